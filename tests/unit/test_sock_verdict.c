/* SPDX-License-Identifier: Apache-2.0 */
/* What the reports of peers say of the NAT that we sit behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "sock/verdict.h"
#include "support/addr_text.h"

#define LOCAL_PORT 60611
#define NOW PLN_S(5000)

/* Behind a NAT, at 192.168.1.10. */
static pln_nat_observations at_home(void) {
    pln_nat_observations list = {.count = 0};
    pollen_addr local = addr_of("192.168.1.10:1");
    assert_false(pln_nat_set_locals(&list, &local, 1));
    return list;
}

static pln_nat_observation report(uint8_t observer, const char *observer_addr, const char *seen) {
    return (pln_nat_observation){
        .observer = {.bytes = {observer}},
        .observer_addr = addr_of(observer_addr),
        .seen = addr_of(seen),
        .via = PLN_VIA_MAIN,
        .local_port = LOCAL_PORT,
        .at = NOW - PLN_S(100) + observer,
    };
}

static void hear(pln_nat_observations *list, uint8_t observer, const char *observer_addr,
                 const char *seen) {
    pln_nat_observation observation = report(observer, observer_addr, seen);
    (void)pln_nat_observe(list, &observation);
}

static pln_nat_verdict judge(const pln_nat_observations *list) {
    pln_nat_verdict verdict;
    pln_nat_judge(list, NOW, &verdict);
    return verdict;
}

#define A "203.0.113.1:60611"
#define B "203.0.113.2:60611"
#define C "203.0.113.3:60611"
#define D "203.0.113.4:60611"
#define SEEN "198.51.100.7:"

static void assert_mapping(const pln_nat_observations *list, pollen_nat_mapping mapping) {
    assert_string_equal(pollen_nat_mapping_name(judge(list).mapping),
                        pollen_nat_mapping_name(mapping));
}

static void assert_allocation(const pln_nat_observations *list, pollen_nat_allocation allocation) {
    assert_string_equal(pollen_nat_allocation_name(judge(list).allocation),
                        pollen_nat_allocation_name(allocation));
}

/* ---- Mapping --------------------------------------------------------------------------------- */

static void nobody_and_one_are_not_enough(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
    assert_int_equal(judge(&list).external.port, 0);
    hear(&list, 1, A, SEEN "40000");
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
    assert_int_equal(judge(&list).external.port, 40000);
}

static void two_that_agree_make_it_easy(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40000");
    assert_mapping(&list, POLLEN_NAT_MAPPING_EASY);
    assert_allocation(&list, POLLEN_NAT_ALLOCATION_UNKNOWN);
    pln_nat_verdict verdict = judge(&list);
    pollen_addr expected = addr_of(SEEN "40000");
    assert_true(pollen_addr_equal(&verdict.external, &expected));
}

static void an_easy_nat_that_keeps_the_port_preserves(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "60611");
    hear(&list, 2, B, SEEN "60611");
    assert_mapping(&list, POLLEN_NAT_MAPPING_EASY);
    assert_allocation(&list, POLLEN_NAT_ALLOCATION_PRESERVING);
}

static void two_that_differ_make_it_hard(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "23456");
    assert_mapping(&list, POLLEN_NAT_MAPPING_HARD);
}

static void seen_at_our_own_address_there_is_no_nat(void **state) {
    (void)state;
    pln_nat_observations list = {.count = 0};
    pollen_addr locals[2] = {addr_of("192.168.1.10:1"), addr_of("198.51.100.7:1")};
    assert_false(pln_nat_set_locals(&list, locals, 2));
    hear(&list, 1, A, SEEN "60611"); /* Our interface is the second witness. */
    assert_mapping(&list, POLLEN_NAT_MAPPING_NONE);
    hear(&list, 2, B, SEEN "60611");
    assert_mapping(&list, POLLEN_NAT_MAPPING_NONE);
}

/* A private address is that of many, and another port takes something that changed it. */
static void one_peer_alone_cannot_say_that_there_is_no_nat(void **state) {
    (void)state;
    pln_nat_observations list = {.count = 0};
    pollen_addr locals[2] = {addr_of("192.168.1.10:1"), addr_of("198.51.100.7:1")};
    assert_false(pln_nat_set_locals(&list, locals, 2));
    hear(&list, 1, A, "192.168.1.10:60611");
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
    hear(&list, 1, A, SEEN "60612");
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
    hear(&list, 1, A, SEEN "60611");
    hear(&list, 2, B, SEEN "40000"); /* They differ, and either may be right. */
    assert_mapping(&list, POLLEN_NAT_MAPPING_HARD);
}

static void only_ipv6_is_judged_where_there_is_no_ipv4(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    pollen_addr locals[2] = {addr_of("192.168.1.10:1"), addr_of("[2001:db8:7::1]:1")};
    (void)pln_nat_set_locals(&list, locals, 2);
    hear(&list, 1, "[2001:db8:1::1]:60611", "[2001:db8:7::1]:60611");
    hear(&list, 2, "[2001:db8:2::1]:60611", "[2001:db8:7::1]:60611");
    assert_mapping(&list, POLLEN_NAT_MAPPING_NONE);
    hear(&list, 3, A, SEEN "40000");
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
    hear(&list, 4, B, SEEN "40000");
    assert_mapping(&list, POLLEN_NAT_MAPPING_EASY);
}

/* ---- Who counts ------------------------------------------------------------------------------ */

static pln_nat_role role_of(const pln_nat_observations *list, uint8_t observer) {
    pln_nat_verdict verdict = judge(list);
    for (size_t i = 0; i < verdict.evidence_count; i++) {
        if (verdict.evidence[i].observation.observer.bytes[0] == observer) {
            return verdict.evidence[i].role;
        }
    }
    fail();
    return PLN_NAT_ROLE_OLD;
}

static void observers_behind_one_address_count_once(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, "203.0.113.1:60611", SEEN "40000");
    hear(&list, 2, "203.0.113.1:1234", SEEN "40000");
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
    assert_int_equal(role_of(&list, 1), PLN_NAT_ROLE_SAME_ADDRESS);
    hear(&list, 3, "203.0.113.1:77", SEEN "23456");
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
}

static void observers_in_one_ipv6_house_count_once(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, "[2001:db8:1::1]:60611", "[2001:db8:7::1]:60611");
    hear(&list, 2, "[2001:db8:1::2]:60611", "[2001:db8:7::1]:60611");
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
}

static void an_observer_behind_our_nat_does_not_count(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, "198.51.100.7:5000", SEEN "40000"); /* Hairpin. */
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
    assert_int_equal(role_of(&list, 2), PLN_NAT_ROLE_INSIDE);
}

static void observers_on_our_network_do_not_count(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, "192.168.1.20:60611", "192.168.1.10:60611");
    hear(&list, 2, "192.168.1.30:60611", "192.168.1.10:60611");
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
    hear(&list, 3, A, SEEN "40000");
    hear(&list, 4, B, SEEN "30000");
    assert_mapping(&list, POLLEN_NAT_MAPPING_HARD);
    assert_int_equal(role_of(&list, 1), PLN_NAT_ROLE_INSIDE);
}

static void a_private_observer_of_our_public_address_does_not_count(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, "10.1.2.3:60611", SEEN "40000");
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
}

static void between_two_nats_of_ours_only_the_outermost_counts(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, "100.64.0.5:60611", "100.64.0.9:60611"); /* Behind the carrier's, as we are. */
    hear(&list, 2, "100.64.0.6:60611", "100.64.0.9:60611");
    assert_mapping(&list, POLLEN_NAT_MAPPING_EASY);
    hear(&list, 3, A, SEEN "40000");
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
    hear(&list, 4, B, SEEN "23456");
    assert_mapping(&list, POLLEN_NAT_MAPPING_HARD);
}

static void sockets_are_not_compared_with_each_other(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    pln_nat_observation other = report(2, B, SEEN "40001");
    other.via = 7;
    other.local_port = 50000;
    pln_nat_observe(&list, &other);
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
    hear(&list, 3, C, SEEN "40000");
    assert_mapping(&list, POLLEN_NAT_MAPPING_EASY);
    assert_int_equal(role_of(&list, 2), PLN_NAT_ROLE_OTHER_SOCKET);
}

static void what_is_no_address_on_the_network_is_left_out(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    pln_nat_observation bad = report(1, A, "127.0.0.1:60611");
    pln_nat_observe(&list, &bad);
    bad.seen = addr_of("224.0.0.1:60611");
    pln_nat_observe(&list, &bad);
    bad.seen = addr_of(SEEN "1");
    bad.seen.port = 0;
    pln_nat_observe(&list, &bad);
    bad = report(1, "127.0.0.1:60611", SEEN "60611");
    pln_nat_observe(&list, &bad);
    assert_int_equal(list.count, 0);
}

/* ---- Liars ----------------------------------------------------------------------------------- */

static void one_liar_does_not_make_an_easy_nat_hard(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40000");
    hear(&list, 3, C, SEEN "23456");
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN); /* The liar might be one of the two. */
    hear(&list, 4, D, SEEN "40000");
    assert_mapping(&list, POLLEN_NAT_MAPPING_EASY);
    assert_int_equal(judge(&list).external.port, 40000);
}

static void a_preserved_port_is_no_coincidence(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "60611");
    hear(&list, 2, B, SEEN "60611");
    hear(&list, 3, C, SEEN "23456");
    assert_mapping(&list, POLLEN_NAT_MAPPING_EASY);
    assert_int_equal(judge(&list).external.port, 60611);
}

static void one_liar_does_not_make_a_hard_nat_easy(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "23456");
    hear(&list, 3, C, SEEN "40000"); /* Copied from the first. */
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
    hear(&list, 4, D, SEEN "11111");
    assert_mapping(&list, POLLEN_NAT_MAPPING_HARD);
}

static void an_even_split_is_unknown(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40000");
    hear(&list, 3, C, SEEN "23456");
    hear(&list, 4, D, SEEN "23456");
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
}

static void many_keys_behind_one_address_are_one_liar(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40000");
    hear(&list, 3, C, SEEN "40000");
    for (uint8_t i = 10; i < 30; i++) {
        hear(&list, i, "203.0.113.99:60611", SEEN "5000");
    }
    assert_mapping(&list, POLLEN_NAT_MAPPING_EASY);
}

/* ---- Allocation ------------------------------------------------------------------------------ */

static void near_ports_are_sequential(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40003");
    assert_allocation(&list, POLLEN_NAT_ALLOCATION_SEQUENTIAL);
    hear(&list, 3, C, SEEN "40004");
    assert_allocation(&list, POLLEN_NAT_ALLOCATION_SEQUENTIAL);
    assert_int_equal(judge(&list).step, 1);
    assert_int_equal(judge(&list).external.port, 40004);
}

static void distant_ports_are_random(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "1030");
    assert_allocation(&list, POLLEN_NAT_ALLOCATION_RANDOM);
    hear(&list, 3, C, SEEN "50123");
    assert_allocation(&list, POLLEN_NAT_ALLOCATION_RANDOM);
}

static void strides_of_256_are_sequential(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40256");
    hear(&list, 3, C, SEEN "41024");
    assert_allocation(&list, POLLEN_NAT_ALLOCATION_SEQUENTIAL);
    assert_int_equal(judge(&list).step, 256);
}

static void counting_in_the_other_byte_order_is_sequential_across_its_end(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "65141"); /* 0xfe75, 0xff75, 0x0076 */
    hear(&list, 2, B, SEEN "65397");
    hear(&list, 3, C, SEEN "118");
    assert_allocation(&list, POLLEN_NAT_ALLOCATION_SEQUENTIAL);
    assert_int_equal(judge(&list).step, 256);
    assert_int_equal(pln_nat_port_ahead(65141, 256, 2), 118);
    assert_int_equal(pln_nat_port_ahead(65141, 256, 3), 118 + 256);
}

static void steps_go_on_above_the_well_known_ports(void **state) {
    (void)state;
    assert_int_equal(pln_nat_port_ahead(40000, 0, 3), 40003);
    assert_int_equal(pln_nat_port_ahead(40000, 2, 3), 40006);
    assert_int_equal(pln_nat_port_ahead(65535, 1, 1), 1024);
    assert_int_equal(pln_nat_port_ahead(65530, 1, 8), 1026);
    assert_int_equal(pln_nat_port_ahead(65535, 256, 1), 1024); /* Not port 0. */
}

static void one_liar_does_not_decide_the_allocation(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40001");
    hear(&list, 3, C, SEEN "9999");
    assert_mapping(&list, POLLEN_NAT_MAPPING_HARD);
    assert_allocation(&list, POLLEN_NAT_ALLOCATION_UNKNOWN);
    hear(&list, 4, D, SEEN "40002");
    assert_allocation(&list, POLLEN_NAT_ALLOCATION_SEQUENTIAL);

    list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "20000");
    hear(&list, 3, C, SEEN "60000");
    hear(&list, 4, D, SEEN "20001"); /* Close to the second, as a liar would say. */
    assert_allocation(&list, POLLEN_NAT_ALLOCATION_RANDOM);
}

/* ---- Keeping --------------------------------------------------------------------------------- */

static void an_observer_has_one_word_for_each_socket(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 1, B, SEEN "40000"); /* It moved. */
    assert_int_equal(list.count, 1);
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
}

static void the_oldest_report_makes_room(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    for (uint8_t i = 0; i < 40; i++) {
        char text[32];
        assert_true(snprintf(text, sizeof(text), "203.0.113.%u:60611", i + 1u) > 0);
        hear(&list, i, text, SEEN "40000");
    }
    assert_int_equal(list.count, 32);
    assert_int_equal(list.items[0].observer.bytes[0], 39);
    assert_int_equal(list.items[31].observer.bytes[0], 8);
}

static void another_address_of_ours_forgets_everything(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40000");
    pollen_addr same[2] = {addr_of("192.168.1.10:9"), addr_of("192.168.1.10:8")};
    assert_false(pln_nat_set_locals(&list, same, 2));
    assert_mapping(&list, POLLEN_NAT_MAPPING_EASY);
    pollen_addr other = addr_of("192.168.43.5:1");
    assert_true(pln_nat_set_locals(&list, &other, 1));
    assert_int_equal(list.count, 0);
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
}

static void a_report_grows_old_an_hour_after_its_session(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40000");
    const pln_nat_observation first = report(1, A, SEEN "40000");
    pln_nat_observer_gone(&list, &first.observer, NOW - PLN_S(3600));
    assert_mapping(&list, POLLEN_NAT_MAPPING_EASY);
    list.items[1].gone_at = NOW - PLN_S(3600) - 1;
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
    assert_int_equal(role_of(&list, 1), PLN_NAT_ROLE_OLD);
    assert_true(pln_nat_observe(&list, &first)); /* It is back. */
    assert_mapping(&list, POLLEN_NAT_MAPPING_EASY);
}

static void what_a_standing_session_showed_holds_for_days(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40000");
    pln_nat_verdict verdict;
    pln_nat_judge(&list, NOW + PLN_S(3 * 86400), &verdict);
    assert_int_equal(verdict.mapping, POLLEN_NAT_MAPPING_EASY);
}

/* A coordinator says it with every punch: else its old port would be told as the newest. */
static void the_same_once_more_is_no_news(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40001");
    pln_nat_observation again = report(1, A, SEEN "40000");
    again.at = NOW;
    assert_false(pln_nat_observe(&list, &again));
    assert_int_equal(list.items[0].seen.port, 40001);
    assert_int_equal(list.items[1].at, NOW - PLN_S(100) + 1);
    again.seen.port = 40002;
    assert_true(pln_nat_observe(&list, &again));
    assert_int_equal(list.items[0].seen.port, 40002);
}

/* Neighbours, and a crowd behind one address, leave those their place that tell something. */
static void who_says_least_makes_room(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40000");
    hear(&list, 3, "127.0.0.1:5", "127.0.0.1:60611");
    for (uint8_t i = 10; i < 50; i++) {
        hear(&list, i, "192.168.1.77:60611", "192.168.1.10:60611");
    }
    assert_mapping(&list, POLLEN_NAT_MAPPING_EASY);
    for (size_t i = 0; i < list.count; i++) {
        assert_false(pln_addr_is_loopback(&list.items[i].seen)); /* It went first. */
    }
    for (uint8_t i = 50; i < 200; i++) {
        hear(&list, i, "203.0.113.99:60611", SEEN "5000");
    }
    assert_int_equal(list.count, 32);
    assert_mapping(&list, POLLEN_NAT_MAPPING_UNKNOWN);
    hear(&list, 4, D, SEEN "40000");
    assert_mapping(&list, POLLEN_NAT_MAPPING_EASY);
}

/* ---- Doubt ----------------------------------------------------------------------------------- */

static void assert_doubt(const pln_nat_observations *list, pln_nat_doubt doubt) {
    assert_int_equal(judge(list).doubt, doubt);
    assert_int_equal(judge(list).mapping == POLLEN_NAT_MAPPING_UNKNOWN,
                     doubt != PLN_NAT_DOUBT_NONE);
}

static void a_verdict_says_what_it_lacks(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    assert_doubt(&list, PLN_NAT_DOUBT_NOBODY);
    hear(&list, 1, "192.168.1.20:60611", "192.168.1.10:60611");
    assert_doubt(&list, PLN_NAT_DOUBT_ALL_INSIDE);
    hear(&list, 2, A, SEEN "40000");
    assert_doubt(&list, PLN_NAT_DOUBT_ONE);
    hear(&list, 3, "203.0.113.1:77", SEEN "40001");
    assert_doubt(&list, PLN_NAT_DOUBT_ONE_ADDRESS);
    hear(&list, 4, B, SEEN "40001");
    assert_doubt(&list, PLN_NAT_DOUBT_NONE);
    hear(&list, 5, C, SEEN "50000");
    assert_doubt(&list, PLN_NAT_DOUBT_ODD_ONE);
    hear(&list, 6, D, SEEN "50000");
    assert_doubt(&list, PLN_NAT_DOUBT_SPLIT);
}

static void two_sockets_with_one_observer_each_leave_it_open(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    pln_nat_observation other = report(2, B, SEEN "40001");
    other.via = 7;
    assert_true(pln_nat_observe(&list, &other));
    assert_doubt(&list, PLN_NAT_DOUBT_ONE_SOCKET);
    assert_int_equal(judge(&list).external.port, 40000); /* The main one's, though it is older. */
}

static void who_contradicts_all_others_is_outvoted(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40000");
    hear(&list, 3, C, SEEN "40000");
    hear(&list, 4, D, SEEN "23456");
    assert_mapping(&list, POLLEN_NAT_MAPPING_EASY);
    assert_int_equal(role_of(&list, 4), PLN_NAT_ROLE_OUTVOTED);
    assert_int_equal(role_of(&list, 3), PLN_NAT_ROLE_COUNTED);
}

static void a_port_far_from_all_others_misleads_nobody(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40001");
    hear(&list, 3, C, SEEN "40002");
    hear(&list, 4, D, SEEN "9999");
    assert_allocation(&list, POLLEN_NAT_ALLOCATION_SEQUENTIAL);
    assert_int_equal(role_of(&list, 4), PLN_NAT_ROLE_OUTVOTED);
    assert_int_equal(judge(&list).external.port, 40002);
    const pln_nat_verdict verdict = judge(&list);
    const pln_nat_brief brief = pln_nat_brief_of(&verdict);
    assert_int_equal(brief.port_count, 3);
    assert_int_equal(brief.ports[0], 40002);
}

static void a_peer_is_told_the_newest_ports(void **state) {
    (void)state;
    pln_nat_observations list = at_home();
    pln_nat_verdict verdict = judge(&list);
    pln_nat_brief brief = pln_nat_brief_of(&verdict);
    assert_int_equal(brief.port_count, 0);
    hear(&list, 1, A, SEEN "40000");
    hear(&list, 2, B, SEEN "40001");
    hear(&list, 3, "192.168.1.9:1", "192.168.1.10:60611");
    verdict = judge(&list);
    brief = pln_nat_brief_of(&verdict);
    assert_int_equal(brief.mapping, POLLEN_NAT_MAPPING_HARD);
    assert_int_equal(brief.port_count, 2);
    assert_int_equal(brief.ports[0], 40001);
    assert_int_equal(brief.ports[1], 40000);
    assert_int_equal(brief.step, 1);
}

static void all_names_are_those_of_the_output(void **state) {
    (void)state;
    assert_string_equal(pollen_nat_mapping_name(POLLEN_NAT_MAPPING_UNKNOWN), "unknown");
    assert_string_equal(pollen_nat_mapping_name(POLLEN_NAT_MAPPING_NONE), "none");
    assert_string_equal(pollen_nat_mapping_name(POLLEN_NAT_MAPPING_EASY), "easy");
    assert_string_equal(pollen_nat_mapping_name(POLLEN_NAT_MAPPING_HARD), "hard");
    assert_string_equal(pollen_nat_allocation_name(POLLEN_NAT_ALLOCATION_UNKNOWN), "unknown");
    assert_string_equal(pollen_nat_allocation_name(POLLEN_NAT_ALLOCATION_PRESERVING), "preserving");
    assert_string_equal(pollen_nat_allocation_name(POLLEN_NAT_ALLOCATION_SEQUENTIAL), "sequential");
    assert_string_equal(pollen_nat_allocation_name(POLLEN_NAT_ALLOCATION_RANDOM), "random");
    assert_string_equal(pln_nat_role_name(PLN_NAT_ROLE_COUNTED), "counted");
    assert_string_equal(pln_nat_role_name(PLN_NAT_ROLE_OTHER_FAMILY), "other_family");
    assert_string_equal(pln_nat_role_name(PLN_NAT_ROLE_OUTVOTED), "outvoted");
    assert_null(pln_nat_doubt_name(PLN_NAT_DOUBT_NONE));
    assert_string_equal(pln_nat_doubt_name(PLN_NAT_DOUBT_ODD_ONE), "odd_one");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_and_one_are_not_enough),
        cmocka_unit_test(two_that_agree_make_it_easy),
        cmocka_unit_test(an_easy_nat_that_keeps_the_port_preserves),
        cmocka_unit_test(two_that_differ_make_it_hard),
        cmocka_unit_test(seen_at_our_own_address_there_is_no_nat),
        cmocka_unit_test(one_peer_alone_cannot_say_that_there_is_no_nat),
        cmocka_unit_test(only_ipv6_is_judged_where_there_is_no_ipv4),
        cmocka_unit_test(observers_behind_one_address_count_once),
        cmocka_unit_test(observers_in_one_ipv6_house_count_once),
        cmocka_unit_test(an_observer_behind_our_nat_does_not_count),
        cmocka_unit_test(observers_on_our_network_do_not_count),
        cmocka_unit_test(a_private_observer_of_our_public_address_does_not_count),
        cmocka_unit_test(between_two_nats_of_ours_only_the_outermost_counts),
        cmocka_unit_test(sockets_are_not_compared_with_each_other),
        cmocka_unit_test(what_is_no_address_on_the_network_is_left_out),
        cmocka_unit_test(one_liar_does_not_make_an_easy_nat_hard),
        cmocka_unit_test(a_preserved_port_is_no_coincidence),
        cmocka_unit_test(one_liar_does_not_make_a_hard_nat_easy),
        cmocka_unit_test(an_even_split_is_unknown),
        cmocka_unit_test(many_keys_behind_one_address_are_one_liar),
        cmocka_unit_test(near_ports_are_sequential),
        cmocka_unit_test(distant_ports_are_random),
        cmocka_unit_test(strides_of_256_are_sequential),
        cmocka_unit_test(counting_in_the_other_byte_order_is_sequential_across_its_end),
        cmocka_unit_test(steps_go_on_above_the_well_known_ports),
        cmocka_unit_test(one_liar_does_not_decide_the_allocation),
        cmocka_unit_test(an_observer_has_one_word_for_each_socket),
        cmocka_unit_test(the_oldest_report_makes_room),
        cmocka_unit_test(another_address_of_ours_forgets_everything),
        cmocka_unit_test(a_report_grows_old_an_hour_after_its_session),
        cmocka_unit_test(what_a_standing_session_showed_holds_for_days),
        cmocka_unit_test(the_same_once_more_is_no_news),
        cmocka_unit_test(who_says_least_makes_room),
        cmocka_unit_test(a_verdict_says_what_it_lacks),
        cmocka_unit_test(two_sockets_with_one_observer_each_leave_it_open),
        cmocka_unit_test(who_contradicts_all_others_is_outvoted),
        cmocka_unit_test(a_port_far_from_all_others_misleads_nobody),
        cmocka_unit_test(a_peer_is_told_the_newest_ports),
        cmocka_unit_test(all_names_are_those_of_the_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
