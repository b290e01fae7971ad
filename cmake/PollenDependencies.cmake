# SPDX-License-Identifier: Apache-2.0
# Foreign libraries, each with the lowest version that is known to work.  script/setup installs them.
find_package(PkgConfig REQUIRED)

# pollen_require(NAME "pkg-config spec") makes the target PkgConfig::NAME.
function(pollen_require name spec)
    pkg_check_modules(${name} IMPORTED_TARGET GLOBAL ${spec})
    if(NOT ${name}_FOUND)
        message(FATAL_ERROR "'${spec}' is missing: run script/setup (--tests for the test tools)")
    endif()
endfunction()

pollen_require(NGTCP2 "libngtcp2 >= 1.11")               # first with the datagram and path API we use
pollen_require(NGTCP2_GNUTLS "libngtcp2_crypto_gnutls >= 1.11")
pollen_require(GNUTLS "gnutls >= 3.7.9")                 # Debian 12
pollen_require(SODIUM "libsodium >= 1.0.18")
pollen_require(JANSSON "jansson >= 2.14")
pollen_require(YAML "yaml-0.1 >= 0.2.5")

find_package(Threads REQUIRED)
find_path(UTHASH_INCLUDE_DIR uthash.h)
if(NOT UTHASH_INCLUDE_DIR)
    message(FATAL_ERROR "uthash.h is missing: run script/setup")
endif()

if(POLLEN_TESTS)
    pollen_require(CMOCKA "cmocka >= 1.1.5")
    pollen_require(PROTOBUF_C "libprotobuf-c >= 1.4")
    find_program(PROTOC_C protoc-c)
    if(NOT PROTOC_C)
        message(FATAL_ERROR "protoc-c is missing: run script/setup --tests")
    endif()
endif()
