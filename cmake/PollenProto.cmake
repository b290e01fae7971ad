# SPDX-License-Identifier: Apache-2.0
# pollen_proto(<name>/v1/<file>.proto ...) makes the library pollen_proto of protobuf-c's code for
# api/public/pollen/<name>/v1/<file>.proto, into the build tree.
#
# src/wire has its own reader and writer; tests hold them against this one.  The root of the proto
# files is api/public, so that one imports another as "pollen/admission/v1/admission.proto", and the
# generated header of that file is included as "pollen/admission/v1/admission.pb-c.h".
set(POLLEN_PROTO_ROOT "${PROJECT_SOURCE_DIR}/api/public")
set(POLLEN_PROTO_OUT "${PROJECT_BINARY_DIR}/gen")

function(pollen_proto)
    set(sources "")
    foreach(file IN LISTS ARGN)
        set(proto "${POLLEN_PROTO_ROOT}/pollen/${file}")
        string(REGEX REPLACE "\\.proto$" ".pb-c" stem "${POLLEN_PROTO_OUT}/pollen/${file}")
        add_custom_command(
            OUTPUT "${stem}.c" "${stem}.h"
            COMMAND "${CMAKE_COMMAND}" -E make_directory "${POLLEN_PROTO_OUT}"
            COMMAND "${PROTOC_C}" "--proto_path=${POLLEN_PROTO_ROOT}"
                    "--c_out=${POLLEN_PROTO_OUT}" "${proto}"
            DEPENDS "${proto}"
            COMMENT "Generating pollen/${file}"
            VERBATIM)
        list(APPEND sources "${stem}.c" "${stem}.h")
    endforeach()
    # Not our code, so not our warnings.
    add_library(pollen_proto STATIC ${sources})
    target_include_directories(pollen_proto SYSTEM PUBLIC "${POLLEN_PROTO_OUT}")
    target_link_libraries(pollen_proto PUBLIC PkgConfig::PROTOBUF_C)
endfunction()
