/* SPDX-License-Identifier: Apache-2.0 */
/* The sentence behind pollen_last_error(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pollen/admission.h>

#include "run/last_error.h"

static const pollen_key peer = {.bytes = {0xab, 0xcd, 0xef, 0x01, 0x23}};

static const char *sentence(const pollen_addr *addr, pollen_err err, const char *detail) {
    pln_last_error_peer("connect to", &peer, addr, err, detail);
    return pollen_last_error();
}

static void names_peer_address_error_and_detail(void **state) {
    (void)state;
    pollen_addr addr;
    assert_int_equal(pollen_addr_parse("192.0.2.1:7", &addr), POLLEN_OK);
    assert_string_equal(sentence(&addr, POLLEN_EDENIED, "duplicate"),
                        "connect to peer abcdef01 at 192.0.2.1:7: the peer refused us (duplicate)");
    assert_string_equal(sentence(NULL, POLLEN_EDENIED, ""),
                        "connect to peer abcdef01: the peer refused us");
}

static void a_detail_that_is_the_error_is_said_once(void **state) {
    (void)state;
    assert_string_equal(sentence(NULL, POLLEN_EREVOKED, "revoked"),
                        "connect to peer abcdef01: revoked");
    assert_string_equal(sentence(NULL, POLLEN_EREVOKED, "revoked by 12"),
                        "connect to peer abcdef01: revoked (revoked by 12)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_peer_address_error_and_detail),
        cmocka_unit_test(a_detail_that_is_the_error_is_said_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
