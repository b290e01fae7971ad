/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as tests write them.  Include after cmocka.h. */
#ifndef TESTS_SUPPORT_ADDR_TEXT_H
#define TESTS_SUPPORT_ADDR_TEXT_H

#include <pollen/addr.h>

static inline pollen_addr addr_of(const char *text) {
    pollen_addr addr;
    assert_int_equal(pollen_addr_parse(text, &addr), POLLEN_OK);
    return addr;
}

#endif
