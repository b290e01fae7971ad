/* SPDX-License-Identifier: Apache-2.0 */
#include <pollen/err.h>

const char *pollen_strerror(pollen_err err) {
    switch ((int)err) {
#define TEXT_CASE(name, value, text)                                                               \
    case value:                                                                                    \
        return text;
        POLLEN_ERR_MAP(TEXT_CASE)
#undef TEXT_CASE
    default:
        return "unknown error";
    }
}

const char *pollen_err_name(pollen_err err) {
    switch ((int)err) {
#define NAME_CASE(name, value, text)                                                               \
    case value:                                                                                    \
        return #name;
        POLLEN_ERR_MAP(NAME_CASE)
#undef NAME_CASE
    default:
        return "UNKNOWN";
    }
}
