/* SPDX-License-Identifier: Apache-2.0 */
/* What a node remembers of the NATs at the places where it has been. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "node/outside.h"
#include "support/addr_text.h"

#define LOCAL_PORT 60611
#define DAY 86400
#define WALL 1767323045 /* 2026-01-02T03:04:05Z */
#define A "203.0.113.1:60611"
#define B "203.0.113.2:60611"
#define C "203.0.113.3:60611"
#define SEEN "198.51.100.7:"

typedef struct fixture {
    pln_outside outside;
    pln_now now;
} fixture;

static void move_to(fixture *f, const char *local) {
    const pollen_addr addr = addr_of(local);
    (void)pln_outside_set_locals(&f->outside, &addr, 1, LOCAL_PORT, f->now);
}

static fixture start_at(const char *local) {
    fixture f = {.now = {.mono = PLN_S(5000), .wall = WALL}};
    move_to(&f, local);
    return f;
}

static void hear(fixture *f, uint8_t observer, const char *observer_addr, const char *seen) {
    const pln_nat_observation observation = {.observer = {.bytes = {observer}},
                                             .observer_addr = addr_of(observer_addr),
                                             .seen = addr_of(seen),
                                             .via = PLN_VIA_MAIN,
                                             .local_port = LOCAL_PORT,
                                             .at = f->now.mono};
    (void)pln_outside_observe(&f->outside, &observation, f->now);
}

/* The next start of the node, days later, with what it kept. */
static fixture start_again(const fixture *before, int days, const char *local) {
    fixture f = {.now = {.mono = PLN_S(10), .wall = before->now.wall + days * DAY}};
    f.outside.memory = before->outside.memory;
    move_to(&f, local);
    return f;
}

static fixture that_met_a_random_nat(void) {
    fixture f = start_at("192.168.1.10:1");
    hear(&f, 1, A, SEEN "40000");
    hear(&f, 2, B, SEEN "23456");
    assert_int_equal(f.outside.verdict.allocation, POLLEN_NAT_ALLOCATION_RANDOM);
    return f;
}

static void assert_mapping(const fixture *f, pollen_nat_mapping mapping, pln_wall remembered_at) {
    assert_int_equal(f->outside.verdict.mapping, mapping);
    assert_int_equal(f->outside.verdict.remembered_at, remembered_at);
}

static void one_word_at_a_known_place_is_enough(void **state) {
    (void)state;
    const fixture before = that_met_a_random_nat();
    assert_mapping(&before, POLLEN_NAT_MAPPING_HARD, 0);
    fixture f = start_again(&before, 2, "192.168.1.10:9");
    assert_mapping(&f, POLLEN_NAT_MAPPING_UNKNOWN, 0);
    hear(&f, 1, A, SEEN "31000");
    assert_mapping(&f, POLLEN_NAT_MAPPING_HARD, WALL);
    assert_int_equal(f.outside.verdict.allocation, POLLEN_NAT_ALLOCATION_RANDOM);
    assert_int_equal(f.outside.verdict.doubt, PLN_NAT_DOUBT_ONE);
    pln_whereabouts told;
    pln_outside_whereabouts(&f.outside, &told);
    assert_int_equal(told.mapping, POLLEN_NAT_MAPPING_HARD);
    hear(&f, 2, B, SEEN "5000"); /* From here on it is known. */
    assert_mapping(&f, POLLEN_NAT_MAPPING_HARD, 0);
}

static void a_network_that_comes_back_is_known(void **state) {
    (void)state;
    fixture f = that_met_a_random_nat();
    move_to(&f, "192.168.43.5:1");
    hear(&f, 1, A, "192.0.2.9:40000");
    assert_mapping(&f, POLLEN_NAT_MAPPING_UNKNOWN, 0);
    move_to(&f, "192.168.1.10:1");
    assert_mapping(&f, POLLEN_NAT_MAPPING_UNKNOWN, 0); /* Nobody sees us yet. */
    hear(&f, 1, A, SEEN "31000");
    assert_mapping(&f, POLLEN_NAT_MAPPING_HARD, WALL);
}

static void another_address_is_another_place(void **state) {
    (void)state;
    const fixture before = that_met_a_random_nat();
    fixture f = start_again(&before, 0, "192.168.1.11:1");
    hear(&f, 1, A, SEEN "31000");
    assert_mapping(&f, POLLEN_NAT_MAPPING_UNKNOWN, 0);
    f = start_again(&before, 0, "192.168.1.10:1");
    hear(&f, 1, A, "198.51.100.8:31000");
    assert_mapping(&f, POLLEN_NAT_MAPPING_UNKNOWN, 0);
}

static void the_first_word_that_contradicts_ends_it(void **state) {
    (void)state;
    const fixture before = that_met_a_random_nat();
    fixture f = start_again(&before, 0, "192.168.1.10:1");
    f.outside.memory_changed = false;
    hear(&f, 1, A, SEEN "60611"); /* The port is kept: the router is another one. */
    assert_mapping(&f, POLLEN_NAT_MAPPING_UNKNOWN, 0);
    assert_int_equal(f.outside.memory.count, 0);
    assert_true(f.outside.memory_changed);
    f = start_again(&f, 0, "192.168.1.10:1");
    hear(&f, 1, A, SEEN "31000");
    assert_mapping(&f, POLLEN_NAT_MAPPING_UNKNOWN, 0);
}

static void a_port_that_is_kept_no_more_contradicts(void **state) {
    (void)state;
    fixture f = start_at("192.168.1.10:1");
    hear(&f, 1, A, SEEN "60611");
    hear(&f, 2, B, SEEN "60611");
    assert_int_equal(f.outside.verdict.allocation, POLLEN_NAT_ALLOCATION_PRESERVING);
    fixture again = start_again(&f, 1, "192.168.1.10:1");
    hear(&again, 1, A, SEEN "60611");
    assert_mapping(&again, POLLEN_NAT_MAPPING_EASY, WALL);
    again = start_again(&f, 1, "192.168.1.10:1");
    hear(&again, 1, A, SEEN "40000");
    assert_mapping(&again, POLLEN_NAT_MAPPING_UNKNOWN, 0);
}

static void two_words_that_differ_make_it_another(void **state) {
    (void)state;
    fixture f = start_at("192.168.1.10:1");
    hear(&f, 1, A, SEEN "40000");
    hear(&f, 2, B, SEEN "40000");
    fixture again = start_again(&f, 1, "192.168.1.10:1");
    hear(&again, 1, A, SEEN "40000");
    assert_mapping(&again, POLLEN_NAT_MAPPING_EASY, WALL);
    hear(&again, 2, B, SEEN "1025");
    assert_mapping(&again, POLLEN_NAT_MAPPING_HARD, 0);
    assert_int_equal(again.outside.memory.count, 1);
    assert_int_equal(again.outside.memory.items[0].mapping, POLLEN_NAT_MAPPING_HARD);
    hear(&again, 3, C, SEEN "1025"); /* One of three is odd: nobody knows. */
    assert_mapping(&again, POLLEN_NAT_MAPPING_UNKNOWN, 0);
    assert_int_equal(again.outside.memory.count, 0);
}

static void what_nobody_confirmed_for_a_month_is_forgotten(void **state) {
    (void)state;
    const fixture before = that_met_a_random_nat();
    fixture f = start_again(&before, 30, "192.168.1.10:1");
    hear(&f, 1, A, SEEN "31000");
    assert_mapping(&f, POLLEN_NAT_MAPPING_HARD, WALL);
    f = start_again(&before, 31, "192.168.1.10:1");
    hear(&f, 1, A, SEEN "31000");
    assert_mapping(&f, POLLEN_NAT_MAPPING_UNKNOWN, 0);
}

static void a_place_is_written_down_once_a_day(void **state) {
    (void)state;
    fixture f = that_met_a_random_nat();
    assert_true(f.outside.memory_changed);
    f.outside.memory_changed = false;
    hear(&f, 3, C, SEEN "50000");
    assert_false(f.outside.memory_changed);
    f.now.wall += DAY;
    hear(&f, 3, C, SEEN "51000");
    assert_true(f.outside.memory_changed);
    assert_int_equal(f.outside.memory.items[0].at, WALL + DAY);
}

static void where_we_have_not_been_for_longest_makes_room(void **state) {
    (void)state;
    fixture f = start_at("10.0.0.1:1");
    for (unsigned i = 1; i <= PLN_NAT_PLACES_MAX + 1; i++) {
        char local[32], seen[32];
        snprintf(local, sizeof local, "10.0.%u.1:1", i);
        snprintf(seen, sizeof seen, "198.51.100.%u:40000", i);
        move_to(&f, local);
        hear(&f, 1, A, seen);
        hear(&f, 2, B, seen);
    }
    assert_int_equal(f.outside.memory.count, PLN_NAT_PLACES_MAX);
    fixture again = start_again(&f, 0, "10.0.1.1:1");
    hear(&again, 1, A, "198.51.100.1:40000");
    assert_mapping(&again, POLLEN_NAT_MAPPING_UNKNOWN, 0);
    again = start_again(&f, 0, "10.0.2.1:1");
    hear(&again, 1, A, "198.51.100.2:40000");
    assert_mapping(&again, POLLEN_NAT_MAPPING_EASY, WALL);
}

/* Half of an IPv6 address is another one every day; the house, and the network that its router puts
 * in the place of ours, are the same. */
static void another_ipv6_address_of_the_same_house_is_no_other_place(void **state) {
    (void)state;
    fixture f = start_at("[fd00::aaaa]:1");
    hear(&f, 1, "[2001:db8:1::1]:60611", "[2001:db8:7::aaaa]:60611");
    hear(&f, 2, "[2001:db8:2::1]:60611", "[2001:db8:7::aaaa]:60611");
    assert_mapping(&f, POLLEN_NAT_MAPPING_EASY, 0);
    fixture again = start_again(&f, 1, "[fd00::bbbb]:1");
    hear(&again, 1, "[2001:db8:1::1]:60611", "[2001:db8:7::bbbb]:60611");
    assert_mapping(&again, POLLEN_NAT_MAPPING_EASY, WALL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_word_at_a_known_place_is_enough),
        cmocka_unit_test(a_network_that_comes_back_is_known),
        cmocka_unit_test(another_address_is_another_place),
        cmocka_unit_test(the_first_word_that_contradicts_ends_it),
        cmocka_unit_test(a_port_that_is_kept_no_more_contradicts),
        cmocka_unit_test(two_words_that_differ_make_it_another),
        cmocka_unit_test(what_nobody_confirmed_for_a_month_is_forgotten),
        cmocka_unit_test(a_place_is_written_down_once_a_day),
        cmocka_unit_test(where_we_have_not_been_for_longest_makes_room),
        cmocka_unit_test(another_ipv6_address_of_the_same_house_is_no_other_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
