/* SPDX-License-Identifier: Apache-2.0 */
/* What a node makes of where it is seen, and what it tells of that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/outside.h"
#include "support/addr_text.h"

#define LOCAL_PORT 60611
#define NOW PLN_S(5000)
#define NOW_AT(ns) ((pln_now){.mono = NOW + (ns), .wall = WALL})
#define WALL 1767323045 /* 2026-01-02T03:04:05Z */
#define SEEN "198.51.100.7:"

/* Behind a NAT, at 192.168.1.10. */
static pln_outside at_home(void) {
    pln_outside outside = {.port = 0};
    const pollen_addr local = addr_of("192.168.1.10:1");
    assert_false(pln_outside_set_locals(&outside, &local, 1, LOCAL_PORT, NOW_AT(0)));
    return outside;
}

static pln_nat_observation word(uint8_t observer, const char *observer_addr, const char *seen) {
    return (pln_nat_observation){.observer = {.bytes = {observer}},
                                 .observer_addr = addr_of(observer_addr),
                                 .seen = addr_of(seen),
                                 .via = PLN_VIA_MAIN,
                                 .local_port = LOCAL_PORT,
                                 .at = NOW + observer};
}

static bool hear(pln_outside *outside, uint8_t observer, const char *observer_addr,
                 const char *seen) {
    const pln_nat_observation observation = word(observer, observer_addr, seen);
    return pln_outside_observe(outside, &observation, NOW_AT(observer));
}

static void assert_seen(const pln_outside *outside, size_t count, const char *const *texts) {
    pln_whereabouts told;
    pln_outside_whereabouts(outside, &told);
    assert_int_equal(told.seen_count, count);
    for (size_t i = 0; i < count; i++) {
        const pollen_addr expected = addr_of(texts[i]);
        assert_true(pollen_addr_equal(&told.seen[i], &expected));
    }
}

/* ---- What peers are told --------------------------------------------------------------------- */

static void only_addresses_that_count_are_told(void **state) {
    (void)state;
    pln_outside outside = at_home();
    hear(&outside, 1, "203.0.113.1:60611", SEEN "40000");
    hear(&outside, 2, "203.0.113.2:60611", SEEN "40001");
    hear(&outside, 3, "192.168.1.20:60611", "192.168.1.10:60611"); /* On our network. */
    hear(&outside, 4, "203.0.113.2:99", SEEN "40002"); /* Newer, of the second's address. */
    assert_seen(&outside, 2, (const char *const[]){SEEN "40002", SEEN "40000"});
}

static void an_easy_nat_is_told_by_one_address(void **state) {
    (void)state;
    pln_outside outside = at_home();
    hear(&outside, 1, "203.0.113.1:60611", SEEN "40000");
    hear(&outside, 2, "203.0.113.2:60611", SEEN "40000");
    hear(&outside, 3, "203.0.113.3:60611", SEEN "40000");
    hear(&outside, 4, "203.0.113.4:60611", SEEN "5"); /* It lies. */
    assert_seen(&outside, 1, (const char *const[]){SEEN "40000"});
}

static void the_newest_ports_of_a_nat_that_counts_come_first(void **state) {
    (void)state;
    pln_outside outside = at_home();
    hear(&outside, 1, "203.0.113.1:60611", SEEN "40000");
    hear(&outside, 2, "203.0.113.2:60611", SEEN "40001");
    hear(&outside, 3, "203.0.113.3:60611", SEEN "40002");
    assert_false(hear(&outside, 1, "203.0.113.1:60611", SEEN "40000")); /* As a trigger repeats. */
    assert_seen(&outside, 3, (const char *const[]){SEEN "40002", SEEN "40001", SEEN "40000"});
    pln_whereabouts told;
    pln_outside_whereabouts(&outside, &told);
    const pln_nat_brief brief = pln_outside_brief_of_peer(&told);
    assert_int_equal(brief.allocation, POLLEN_NAT_ALLOCATION_SEQUENTIAL);
    assert_int_equal(brief.port_count, 3);
    assert_int_equal(brief.ports[0], 40002);
}

/* A birthday of ours moves the NAT on by hundreds of ports that nobody has seen. */
static void our_own_flows_move_a_nat_that_counts_on(void **state) {
    (void)state;
    pln_outside outside = at_home();
    hear(&outside, 1, "203.0.113.1:60611", SEEN "40000");
    pln_outside_note_flows(&outside, 10); /* From before the second session, which shows them. */
    hear(&outside, 2, "203.0.113.2:60611", SEEN "40011");
    assert_seen(&outside, 2, (const char *const[]){SEEN "40011", SEEN "40000"});
    pln_outside_note_flows(&outside, 268);
    assert_seen(&outside, 3, (const char *const[]){SEEN "40269", SEEN "40011", SEEN "40000"});
    /* A word that was late, of a flow from before: it is no further than we know. */
    hear(&outside, 3, "203.0.113.3:60611", SEEN "40012");
    pln_outside_note_flows(&outside, 270);
    assert_seen(&outside, 4,
                (const char *const[]){SEEN "40271", SEEN "40012", SEEN "40011", SEEN "40000"});
}

static void a_newer_port_counts_more_than_what_we_reckoned(void **state) {
    (void)state;
    pln_outside outside = at_home();
    hear(&outside, 1, "203.0.113.1:60611", SEEN "40000");
    hear(&outside, 2, "203.0.113.2:60611", SEEN "40001");
    pln_outside_note_flows(&outside, 3);
    hear(&outside, 3, "203.0.113.3:60611", SEEN "40030"); /* Others have flows as well. */
    pln_outside_note_flows(&outside, 4);
    assert_seen(&outside, 4,
                (const char *const[]){SEEN "40031", SEEN "40030", SEEN "40001", SEEN "40000"});
}

static void a_nat_that_does_not_count_is_where_it_is_seen(void **state) {
    (void)state;
    pln_outside outside = at_home();
    hear(&outside, 1, "203.0.113.1:60611", SEEN "40000");
    hear(&outside, 2, "203.0.113.2:60611", SEEN "40001");
    const pollen_addr other = addr_of("192.168.43.5:1");
    assert_true(pln_outside_set_locals(&outside, &other, 1, LOCAL_PORT, NOW_AT(9)));
    hear(&outside, 1, "203.0.113.1:60611", SEEN "40000");
    pln_outside_note_flows(&outside, 258);
    assert_seen(&outside, 1, (const char *const[]){SEEN "40000"});
    hear(&outside, 2, "203.0.113.2:60611", SEEN "1025");
    assert_seen(&outside, 2, (const char *const[]){SEEN "1025", SEEN "40000"});
}

static void ports_in_strides_of_256_are_reckoned_in_their_order(void **state) {
    (void)state;
    pln_outside outside = at_home();
    hear(&outside, 1, "203.0.113.1:60611", SEEN "64885"); /* 0xfd75 */
    hear(&outside, 2, "203.0.113.2:60611", SEEN "65141"); /* 0xfe75 */
    pln_outside_note_flows(&outside, 2);
    /* 0x0076 comes after 0xff75. */
    assert_seen(&outside, 3, (const char *const[]){SEEN "118", SEEN "65141", SEEN "64885"});
    assert_int_equal(pln_nat_steps_between(65141, 118, 256, 100), 2);
    assert_int_equal(pln_nat_steps_between(118, 65141, 256, 100), 101);
}

/* ---- What we are seen at --------------------------------------------------------------------- */

static void assert_observed(const pln_outside *outside, size_t index, uint8_t peer,
                            const char *seen) {
    const pln_nat_observation *item = pln_outside_observed_at(outside, index);
    const pollen_addr expected = addr_of(seen);
    assert_non_null(item);
    assert_int_equal(item->observer.bytes[0], peer);
    assert_true(pollen_addr_equal(&item->seen, &expected));
}

static void each_peer_with_a_session_has_one_word(void **state) {
    (void)state;
    pln_outside outside = at_home();
    hear(&outside, 1, "203.0.113.1:60611", SEEN "40000");
    hear(&outside, 2, "127.0.0.1:5000", "127.0.0.1:60611");
    pln_nat_observation other = word(1, "203.0.113.1:60611", SEEN "41000");
    other.via = 3; /* Its session moved to another socket. */
    assert_false(pln_outside_observe(&outside, &other, NOW_AT(9)));
    assert_observed(&outside, 0, 1, SEEN "41000");
    assert_observed(&outside, 1, 2, "127.0.0.1:60611");
    assert_null(pln_outside_observed_at(&outside, 2));
    pln_outside_observer_gone(&outside, &other.observer, NOW + 10);
    assert_observed(&outside, 0, 2, "127.0.0.1:60611");
    assert_null(pln_outside_observed_at(&outside, 1));
}

static void what_this_machine_sees_changes_nothing(void **state) {
    (void)state;
    pln_outside outside = at_home();
    assert_false(hear(&outside, 1, "127.0.0.1:5000", "127.0.0.1:60611"));
    assert_false(hear(&outside, 2, "127.0.0.1:5001", "127.0.0.1:60612"));
    assert_int_equal(outside.verdict.mapping, POLLEN_NAT_MAPPING_UNKNOWN);
    assert_seen(&outside, 0, NULL);
    assert_true(hear(&outside, 3, "203.0.113.1:60611", SEEN "40000"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_addresses_that_count_are_told),
        cmocka_unit_test(an_easy_nat_is_told_by_one_address),
        cmocka_unit_test(the_newest_ports_of_a_nat_that_counts_come_first),
        cmocka_unit_test(our_own_flows_move_a_nat_that_counts_on),
        cmocka_unit_test(a_newer_port_counts_more_than_what_we_reckoned),
        cmocka_unit_test(a_nat_that_does_not_count_is_where_it_is_seen),
        cmocka_unit_test(ports_in_strides_of_256_are_reckoned_in_their_order),
        cmocka_unit_test(each_peer_with_a_session_has_one_word),
        cmocka_unit_test(what_this_machine_sees_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
