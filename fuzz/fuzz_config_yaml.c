/* SPDX-License-Identifier: Apache-2.0 */
/* Settings. */
#include "fuzz.h"
#include "wire/config_yaml.h"

static bool recode_config(const uint8_t *data, size_t size, pln_bytes *ret) {
    pln_config config;
    char why[128];
    if (pln_config_decode((const char *)data, size, &config, why) != POLLEN_OK) {
        return false;
    }
    FUZZ_CHECK(pln_config_encode(&config, ret) == POLLEN_OK);
    pln_config_fini(&config);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_check_stable(recode_config, data, size);
    return 0;
}
