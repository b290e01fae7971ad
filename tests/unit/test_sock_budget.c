/* SPDX-License-Identifier: Apache-2.0 */
/* What a member can make us send by triggers that name peers which it invents: so much to each
 * address, and so many birthdays of each coordinator.  What we want ourselves pays none of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/sock_rig.h"

#define VICTIM "198.51.100.2:40000"

/* From now for five seconds: a peer nobody has heard of, behind a NAT nobody knows, so that all
 * there is of a birthday is tried. */
static pln_punch_plan plan_of(const sock_rig *rig, unsigned peer, const char *at) {
    pln_punch_plan plan = sock_rig_plan(rig);
    plan.peer = (pollen_key){{(uint8_t)(peer >> 8), (uint8_t)peer, 1}};
    plan.targets[0].addr = sock_rig_addr(at);
    plan.theirs.mapping = POLLEN_NAT_MAPPING_UNKNOWN;
    plan.unasked = true;
    plan.deadline = rig->now + PLN_S(5);
    return plan;
}

static pollen_key coordinator(unsigned number) {
    return (pollen_key){{(uint8_t)number, 0xcc}};
}

static void forget_sent(sock_rig *rig) {
    rig->sent_count = 0;
    rig->event_count = 0;
}

static void start(sock_rig *rig, const pln_punch_plan *plan) {
    const pollen_err err = pln_sock_start(rig->sock, plan, rig->now);
    assert_true(err == POLLEN_OK || err == POLLEN_ELIMIT);
}

/* Eight punches a second, which is what all coordinators together get. */
static size_t aim_at_victim(sock_rig *rig, unsigned seconds, bool friends, const char *at) {
    enum { PER_S = 8 };
    const uint64_t start_ms = (rig->now - rig->start) / PLN_NS_PER_MS;
    size_t sent = 0;
    for (unsigned i = 0; i < seconds * PER_S; i++) {
        pln_punch_plan plan = plan_of(rig, i, at);
        plan.coordinator = coordinator(friends ? i : 0);
        start(rig, &plan);
        sock_rig_run_to(rig, start_ms + (i + 1) * (1000 / PER_S));
        sent += sock_rig_requests(rig);
        forget_sent(rig);
    }
    return sent;
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static void an_address_gets_what_one_peer_would(void **state) {
    sock_rig *rig = *state;
    const size_t sent = aim_at_victim(rig, 60, true, VICTIM);
    print_message("%zu probes in a minute\n", sent);
    assert_in_range(sent, 1300, 2600 + 60 * 26);
}

static void an_ipv6_house_is_one_address(void **state) {
    sock_rig *rig = *state;
    size_t sent = 0;
    for (unsigned i = 0; i < 400; i++) {
        char at[64];
        assert_true(snprintf(at, sizeof(at), "[2001:db8:1:2::%x]:40000", i + 1) > 0);
        pln_punch_plan plan = plan_of(rig, i, at);
        plan.coordinator = coordinator(i % 100);
        start(rig, &plan);
        sock_rig_run_to(rig, (i + 1) * 125);
        sent += sock_rig_requests(rig);
        forget_sent(rig);
    }
    assert_in_range(sent, 1300, 2600 + 50 * 26);
}

static size_t birthday_probes(sock_rig *rig, const pln_punch_plan *plan) {
    const uint64_t start_ms = (rig->now - rig->start) / PLN_NS_PER_MS;
    forget_sent(rig);
    sock_rig_start(rig, plan);
    sock_rig_run_to(rig, start_ms + 6000);
    return sock_rig_requests(rig);
}

static void another_address_has_a_budget_of_its_own(void **state) {
    sock_rig *rig = *state;
    (void)aim_at_victim(rig, 30, true, VICTIM);
    sock_rig_run_to(rig, 36000);
    pln_punch_plan there = plan_of(rig, 9001, VICTIM);
    there.coordinator = coordinator(200);
    assert_in_range(birthday_probes(rig, &there), 1, 1250);
    pln_punch_plan elsewhere = plan_of(rig, 9002, "198.51.100.3:40000");
    elsewhere.coordinator = coordinator(201);
    assert_in_range(birthday_probes(rig, &elsewhere), 1300, 2600);
}

static void what_we_want_ourselves_pays_nothing(void **state) {
    sock_rig *rig = *state;
    (void)aim_at_victim(rig, 30, true, VICTIM);
    sock_rig_run_to(rig, 36000);
    pln_punch_plan wanted = plan_of(rig, 9001, VICTIM);
    wanted.unasked = false;
    assert_in_range(birthday_probes(rig, &wanted), 1300, 2600);
}

static void hearsay_that_we_want_pays_as_well(void **state) {
    sock_rig *rig = *state;
    (void)aim_at_victim(rig, 30, true, VICTIM);
    sock_rig_run_to(rig, 36000);
    pln_punch_plan wanted = plan_of(rig, 9001, VICTIM);
    wanted.unasked = false;
    wanted.hearsay = true;
    assert_in_range(birthday_probes(rig, &wanted), 1, 1250);
}

/* The node is woken as seldom as if everything had been sent. */
static void a_budget_that_is_used_up_costs_no_turns(void **state) {
    sock_rig *rig = *state;
    (void)aim_at_victim(rig, 30, true, VICTIM);
    for (unsigned i = 0; i < 24; i++) {
        const pln_punch_plan plan = plan_of(rig, 5000 + i, VICTIM);
        start(rig, &plan);
    }
    const pln_ts end = rig->now + PLN_S(5);
    unsigned turns = 0;
    while (rig->now < end) {
        const pln_ts next = pln_sock_next_expiry(rig->sock);
        rig->now = next > rig->now ? next : rig->now;
        pln_sock_handle_timeout(rig->sock, rig->now);
        sock_rig_drain(rig);
        forget_sent(rig);
        turns++;
        assert_in_range(turns, 1, 10000);
    }
}

/* ---- Coordinators ---------------------------------------------------------------------------- */

/* Punches one after the other for a minute, each at an address of its own. */
static size_t births_in_a_minute(sock_rig *rig, unsigned coordinators, bool unasked) {
    const uint64_t start_ms = (rig->now - rig->start) / PLN_NS_PER_MS;
    size_t births = 0;
    for (unsigned i = 0; i < 30; i++) {
        char at[64];
        assert_true(snprintf(at, sizeof(at), "198.51.%u.7:40000", i) > 0);
        pln_punch_plan plan = plan_of(rig, i, at);
        plan.theirs.mapping = POLLEN_NAT_MAPPING_HARD;
        plan.coordinator = coordinator(i % coordinators);
        plan.unasked = unasked;
        plan.deadline = rig->now + PLN_MS(1900);
        sock_rig_start(rig, &plan);
        sock_rig_run_to(rig, start_ms + (i + 1) * 2000);
        births += sock_rig_last(rig, PLN_SOCK_OVER)->stats.method == PLN_PUNCH_BIRTHDAY;
        forget_sent(rig);
    }
    return births;
}

static void one_coordinator_causes_few_birthdays(void **state) {
    sock_rig *rig = *state;
    assert_int_equal(births_in_a_minute(rig, 1, true), 12 + 5);
}

static void two_coordinators_have_a_budget_each(void **state) {
    sock_rig *rig = *state;
    assert_int_equal(births_in_a_minute(rig, 2, true), 30);
}

static void birthdays_that_we_want_are_not_counted(void **state) {
    sock_rig *rig = *state;
    assert_int_equal(births_in_a_minute(rig, 1, false), 30);
}

static void who_becomes_wanted_needs_no_budget(void **state) {
    sock_rig *rig = *state;
    (void)births_in_a_minute(rig, 1, true);
    pln_punch_plan plan = plan_of(rig, 9001, "203.0.113.1:40000");
    plan.coordinator = coordinator(0);
    sock_rig_start(rig, &plan);
    pln_sock_want(rig->sock, &plan.peer);
    sock_rig_run_to(rig, 62500);
    pln_punch_stats stats;
    assert_true(pln_sock_get_stats(rig->sock, &plan.peer, &stats));
    assert_int_equal(stats.method, PLN_PUNCH_BIRTHDAY);
}

/* ---- Tries ----------------------------------------------------------------------------------- */

/* A handshake of 1,200 bytes is worth many probes: whatever peers are named, and wherever somebody
 * says in the victim's name that they are. */
static size_t tries_at_victim(sock_rig *rig, unsigned seconds, bool unasked) {
    const uint64_t start_ms = (rig->now - rig->start) / PLN_NS_PER_MS;
    size_t tries = 0;
    for (unsigned i = 0; i < seconds * 8; i++) {
        pln_punch_plan plan = plan_of(rig, i, VICTIM);
        plan.unasked = unasked;
        plan.theirs.mapping = POLLEN_NAT_MAPPING_EASY;
        plan.deadline = rig->now + PLN_S(2);
        start(rig, &plan);
        for (unsigned n = 0; n < 4; n++) {
            char from[64];
            assert_true(snprintf(from, sizeof(from), "198.51.100.2:%u", 1024 + 4 * i + n) > 0);
            sock_rig_hear_request(rig, PLN_VIA_MAIN, from);
        }
        sock_rig_run_to(rig, start_ms + (i + 1) * 125);
        tries += sock_rig_count(rig, PLN_SOCK_TRY);
        forget_sent(rig);
    }
    return tries;
}

static void few_handshakes_are_tried_at_a_victim(void **state) {
    sock_rig *rig = *state;
    const size_t tries = tries_at_victim(rig, 60, true);
    print_message("%zu handshakes in a minute\n", tries);
    assert_in_range(tries, 10, (2600 + 60 * 26) / 100);
}

static void handshakes_that_we_want_are_not_counted(void **state) {
    sock_rig *rig = *state;
    assert_true(tries_at_victim(rig, 10, false) > 80);
}

/* ---- Turns ----------------------------------------------------------------------------------- */

/* Two dozen unasked punches at six addresses each take all that a node may send. */
static void what_we_want_is_sent_first(void **state) {
    sock_rig *rig = *state;
    size_t wanted_sent = 0;
    for (unsigned s = 0; s < 30; s++) {
        for (unsigned i = 0; i < 24; i++) {
            char at[64];
            assert_true(snprintf(at, sizeof(at), "198.%u.%u.1:40000", s, i) > 0);
            pln_punch_plan plan = plan_of(rig, 100 * s + i, at);
            plan.coordinator = coordinator(i);
            plan.deadline = rig->now + PLN_MS(1000);
            for (uint8_t k = 1; k < 6; k++) {
                plan.targets[k] = plan.targets[0];
                plan.targets[k].addr.ip[15] = k + 1;
                plan.targets[k].kind = PLN_TARGET_LAN;
            }
            plan.target_count = 6;
            start(rig, &plan);
        }
        if (s == 24) { /* The burst is used up long since. */
            pln_punch_plan wanted = plan_of(rig, 9001, "203.0.113.1:40000");
            wanted.unasked = false;
            wanted.theirs.mapping = POLLEN_NAT_MAPPING_HARD;
            start(rig, &wanted);
        }
        sock_rig_run_to(rig, (s + 1) * 1000);
        for (size_t i = 0; i < rig->sent_count; i++) {
            wanted_sent += rig->sent[i].to.path.remote.ip[12] == 203;
        }
        forget_sent(rig);
    }
    assert_in_range(wanted_sent, 1280, 2600);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void fail_a_birthday(sock_rig *rig, uint64_t at_ms) {
    sock_rig_run_to(rig, at_ms);
    pln_punch_plan plan = plan_of(rig, 9001, "203.0.113.1:40000");
    plan.theirs.mapping = POLLEN_NAT_MAPPING_HARD;
    plan.unasked = false;
    plan.deadline = rig->now + PLN_S(2);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, at_ms + 2000);
    forget_sent(rig);
}

/* More names than are remembered, while the pause after a third failure lasts. */
static void invented_peers_do_not_shorten_our_pauses(void **state) {
    sock_rig *rig = *state;
    fail_a_birthday(rig, 0);
    fail_a_birthday(rig, 21000);
    fail_a_birthday(rig, 62000); /* The next at 142 s. */
    for (unsigned i = 0; i < 1500; i++) {
        pln_punch_plan plan = plan_of(rig, i, VICTIM);
        plan.deadline = rig->now + PLN_MS(20);
        start(rig, &plan);
        sock_rig_run_to(rig, 64000 + (i + 1) * 25);
        forget_sent(rig);
    }
    pln_punch_plan plan = plan_of(rig, 9001, "203.0.113.1:40000");
    plan.theirs.mapping = POLLEN_NAT_MAPPING_HARD;
    plan.unasked = false;
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 107000);
    const pln_sock_event *over = sock_rig_last(rig, PLN_SOCK_OVER);
    assert_int_equal(over->end, PLN_PUNCH_HELD);
    assert_in_range(over->stats.retry_at - rig->start, PLN_S(142), PLN_S(143));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RULE(an_address_gets_what_one_peer_would),
        RULE(an_ipv6_house_is_one_address),
        RULE(another_address_has_a_budget_of_its_own),
        RULE(what_we_want_ourselves_pays_nothing),
        RULE(hearsay_that_we_want_pays_as_well),
        RULE(a_budget_that_is_used_up_costs_no_turns),
        RULE(one_coordinator_causes_few_birthdays),
        RULE(two_coordinators_have_a_budget_each),
        RULE(birthdays_that_we_want_are_not_counted),
        RULE(who_becomes_wanted_needs_no_budget),
        RULE(few_handshakes_are_tried_at_a_victim),
        RULE(handshakes_that_we_want_are_not_counted),
        RULE(what_we_want_is_sent_first),
        RULE(invented_peers_do_not_shorten_our_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
