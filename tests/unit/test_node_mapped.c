/* SPDX-License-Identifier: Apache-2.0 */
/* What others are told of a port that our router forwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/outside.h"
#include "support/addr_text.h"

#define LOCAL_PORT 60611
#define NOW PLN_S(5000)
#define MAPPED "198.51.100.7:40000"

/* At 192.168.1.10, behind a NAT that shows each of three peers another port. */
static pln_outside behind_a_hard_nat(void) {
    static const char *const peers[] = {"203.0.113.1:60611", "203.0.113.2:60611",
                                        "203.0.113.3:60611"};
    static const char *const seen[] = {"198.51.100.7:1024", "198.51.100.7:31024",
                                       "198.51.100.7:7024"};
    pln_outside outside = {.port = 0};
    const pollen_addr local = addr_of("192.168.1.10:1");
    assert_false(pln_outside_set_locals(&outside, &local, 1, LOCAL_PORT, (pln_now){.mono = NOW}));
    for (uint8_t i = 0; i < 3; i++) {
        const pln_nat_observation observation = {.observer = {.bytes = {(uint8_t)(i + 1)}},
                                                 .observer_addr = addr_of(peers[i]),
                                                 .seen = addr_of(seen[i]),
                                                 .via = PLN_VIA_MAIN,
                                                 .local_port = LOCAL_PORT,
                                                 .at = NOW + i};
        (void)pln_outside_observe(&outside, &observation, (pln_now){.mono = NOW + i});
    }
    assert_int_equal(outside.verdict.mapping, POLLEN_NAT_MAPPING_HARD);
    return outside;
}

static bool map(pln_outside *outside, const char *text) {
    const pollen_addr addr = addr_of(text);
    return pln_outside_set_mapped(outside, &addr);
}

static void assert_told(const pln_outside *outside, const char *text) {
    pln_whereabouts told;
    pln_outside_whereabouts(outside, &told);
    const pollen_addr expected = text != NULL ? addr_of(text) : (pollen_addr){.port = 0};
    assert_true(pollen_addr_equal(&told.mapped, &expected));
}

static void a_mapped_port_is_told_whatever_the_nat_shows(void **state) {
    (void)state;
    pln_outside outside = behind_a_hard_nat();
    pollen_addr addrs[8];
    uint16_t port;
    assert_int_equal(pln_outside_addrs(&outside, addrs, 8, &port), 2);
    assert_int_equal(port, 0);
    assert_true(map(&outside, MAPPED));
    assert_int_equal(pln_outside_addrs(&outside, addrs, 8, &port), 2);
    assert_int_equal(port, 40000);
    assert_told(&outside, MAPPED);
}

/* One external port is told, so it has to be that of all the addresses beside it. */
static void where_others_see_us_is_not_told_beside_it(void **state) {
    (void)state;
    pln_outside outside = behind_a_hard_nat();
    const pollen_addr elsewhere = addr_of("198.51.100.99:1");
    pollen_addr addrs[8];
    uint16_t port;
    assert_true(map(&outside, "198.51.100.99:40000"));
    assert_int_equal(pln_outside_addrs(&outside, addrs, 8, &port), 2);
    assert_true(pln_addr_same_ip(&addrs[1], &elsewhere));
}

static void the_same_again_is_no_news_and_nothing_takes_it_back(void **state) {
    (void)state;
    pln_outside outside = behind_a_hard_nat();
    assert_true(map(&outside, MAPPED));
    assert_false(map(&outside, MAPPED));
    assert_true(map(&outside, "198.51.100.7:40001"));
    assert_true(pln_outside_set_mapped(&outside, NULL));
    assert_false(pln_outside_set_mapped(&outside, NULL));
    assert_told(&outside, NULL);
    pollen_addr addrs[8];
    uint16_t port;
    (void)pln_outside_addrs(&outside, addrs, 8, &port);
    assert_int_equal(port, 0);
}

static void a_mapping_to_an_address_of_our_own_adds_nothing(void **state) {
    (void)state;
    pln_outside outside = behind_a_hard_nat();
    pollen_addr addrs[8];
    uint16_t port;
    assert_true(map(&outside, "192.168.1.10:40000"));
    assert_int_equal(pln_outside_addrs(&outside, addrs, 8, &port), 1);
    assert_int_equal(port, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mapped_port_is_told_whatever_the_nat_shows),
        cmocka_unit_test(where_others_see_us_is_not_told_beside_it),
        cmocka_unit_test(the_same_again_is_no_news_and_nothing_takes_it_back),
        cmocka_unit_test(a_mapping_to_an_address_of_our_own_adds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
