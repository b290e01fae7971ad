# SPDX-License-Identifier: Apache-2.0
# Tests that look at the sources or at the build rather than run it.
set(checks "${PROJECT_SOURCE_DIR}/tests")

pollen_script_test(tidy COMMAND "${checks}/tidy/tidy.py" LABELS static)
pollen_script_test(tidy_selftest COMMAND "${checks}/tidy/selftest.py" LABELS static)
pollen_script_test(format COMMAND "${PROJECT_SOURCE_DIR}/script/format" --check LABELS static)
pollen_script_test(purity COMMAND "${checks}/purity/run" $<TARGET_FILE:pollen_core> LABELS static)
pollen_script_test(purity_selftest COMMAND "${checks}/purity/run" --selftest LABELS static)
pollen_script_test(exports COMMAND "${checks}/install/exports" $<TARGET_FILE:pollen> LABELS static)
pollen_script_test(install COMMAND "${checks}/install/run" "${PROJECT_BINARY_DIR}"
    LABELS static TIMEOUT 300)
pollen_script_test(service
    COMMAND "${checks}/tidy/service" "${PROJECT_BINARY_DIR}/packaging/pln.service" LABELS static)
