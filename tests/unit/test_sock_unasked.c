/* SPDX-License-Identifier: Apache-2.0 */
/* Punches that only others asked for leave room for those that we want. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/sock_rig.h"

/* Each peer at an address of its own, behind a hard NAT: it takes the node's one birthday. */
static pln_punch_plan plan_of(const sock_rig *rig, uint8_t peer, bool unasked) {
    pln_punch_plan plan = sock_rig_plan(rig);
    plan.peer = sock_rig_key(peer);
    plan.targets[0].addr.ip[15] = peer;
    plan.theirs.mapping = POLLEN_NAT_MAPPING_HARD;
    plan.unasked = unasked;
    return plan;
}

static pollen_err start(sock_rig *rig, uint8_t peer, bool unasked) {
    const pln_punch_plan plan = plan_of(rig, peer, unasked);
    const pollen_err err = pln_sock_start(rig->sock, &plan, rig->now);
    sock_rig_drain(rig);
    return err;
}

static pln_punch_end end_of(const sock_rig *rig, uint8_t peer) {
    const pollen_key key = sock_rig_key(peer);
    for (size_t i = rig->event_count; i > 0; i--) {
        const pln_sock_event *event = &rig->events[i - 1];
        if (event->kind == PLN_SOCK_OVER && pln_key_equal(&event->peer, &key)) {
            return event->end;
        }
    }
    fail();
    return PLN_PUNCH_WON;
}

static bool sprays(const sock_rig *rig, uint8_t peer) {
    const pollen_key key = sock_rig_key(peer);
    pln_punch_stats stats;
    return pln_sock_get_stats(rig->sock, &key, &stats) && stats.method == PLN_PUNCH_BIRTHDAY;
}

static void eight_places_are_kept_for_what_we_want(void **state) {
    sock_rig *rig = *state;
    for (uint8_t i = 1; i <= 24; i++) {
        assert_int_equal(start(rig, i, true), POLLEN_OK);
    }
    assert_int_equal(start(rig, 25, true), POLLEN_ELIMIT);
    for (uint8_t i = 25; i <= 32; i++) {
        assert_int_equal(start(rig, i, false), POLLEN_OK);
    }
    assert_int_equal(start(rig, 33, false), POLLEN_ELIMIT);
}

static void who_becomes_wanted_makes_room_for_others(void **state) {
    sock_rig *rig = *state;
    for (uint8_t i = 1; i <= 24; i++) {
        assert_int_equal(start(rig, i, true), POLLEN_OK);
    }
    const pollen_key peer = sock_rig_key(7);
    pln_sock_want(rig->sock, &peer);
    assert_int_equal(start(rig, 25, true), POLLEN_OK);
    const pollen_key nobody = sock_rig_key(99);
    pln_sock_want(rig->sock, &nobody);
    assert_int_equal(start(rig, 26, true), POLLEN_ELIMIT);
}

static void an_unasked_birthday_gives_way_to_a_wanted_one(void **state) {
    sock_rig *rig = *state;
    assert_int_equal(start(rig, 1, true), POLLEN_OK);
    sock_rig_run_to(rig, 600);
    assert_true(sprays(rig, 1));
    assert_int_equal(start(rig, 2, false), POLLEN_OK);
    sock_rig_run_to(rig, 1200);
    assert_true(sprays(rig, 2));
    assert_int_equal(end_of(rig, 1), PLN_PUNCH_HELD);
    const pln_sock_event *over = sock_rig_last(rig, PLN_SOCK_OVER);
    assert_in_range(over->stats.retry_at, rig->now + PLN_S(19), rig->now + PLN_S(20));
}

static void neither_unasked_nor_wanted_birthdays_displace_their_like(void **state) {
    sock_rig *rig = *state;
    for (int unasked = 0; unasked < 2; unasked++) {
        const uint8_t first = unasked != 0 ? 11 : 21;
        sock_rig_run_to(rig, unasked != 0 ? 20000 : 0);
        assert_int_equal(start(rig, first, unasked != 0), POLLEN_OK);
        sock_rig_run_to(rig, unasked != 0 ? 20600 : 600);
        assert_int_equal(start(rig, first + 1, unasked != 0), POLLEN_OK);
        sock_rig_run_to(rig, unasked != 0 ? 22000 : 2000);
        assert_true(sprays(rig, first));
        assert_int_equal(end_of(rig, first + 1), PLN_PUNCH_HELD);
    }
}

static void an_unasked_birthday_does_not_displace_a_wanted_one(void **state) {
    sock_rig *rig = *state;
    assert_int_equal(start(rig, 1, false), POLLEN_OK);
    sock_rig_run_to(rig, 600);
    assert_int_equal(start(rig, 2, true), POLLEN_OK);
    sock_rig_run_to(rig, 2000);
    assert_true(sprays(rig, 1));
    assert_int_equal(end_of(rig, 2), PLN_PUNCH_HELD);
}

/* What was opened by then is about to be a session. */
static void an_unasked_birthday_with_a_hole_is_left_alone(void **state) {
    sock_rig *rig = *state;
    assert_int_equal(start(rig, 1, true), POLLEN_OK);
    sock_rig_run_to(rig, 2400);
    assert_true(sprays(rig, 1));
    sock_rig_hear_answer(rig, &rig->sent[rig->sent_count - 1]);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_HOLE), 1);
    assert_int_equal(start(rig, 2, false), POLLEN_OK);
    sock_rig_run_to(rig, 2900);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OVER), 0);
}

/* A hundred peers that nobody reaches, wanted and not, for ten minutes: never two birthdays at
 * once, and twenty seconds between two with one peer. */
static void a_hundred_unreachable_peers_share_one_birthday(void **state) {
    enum { PEERS = 100, STEP_MS = 100, MINUTES = 10 };
    sock_rig *rig = *state;
    uint64_t began[PEERS + 1] = {0};
    bool ran[PEERS + 1] = {false};
    size_t births = 0;
    for (uint64_t ms = 0; ms < MINUTES * 60000; ms += STEP_MS) {
        const uint8_t peer = (uint8_t)(1 + ms / STEP_MS * 7 % PEERS);
        (void)start(rig, peer, peer % 3 == 0);
        rig->sent_count = 0;
        rig->event_count = 0;
        sock_rig_run_to(rig, ms + STEP_MS);
        size_t now = 0;
        for (uint8_t i = 1; i <= PEERS; i++) {
            const bool runs = sprays(rig, i);
            now += runs;
            if (runs && !ran[i]) {
                assert_true(began[i] == 0 || ms - began[i] >= 20000 - STEP_MS);
                began[i] = ms;
                births++;
            }
            ran[i] = runs;
        }
        assert_in_range(now, 0, 1);
    }
    print_message("%zu birthdays in %d minutes\n", births, MINUTES);
    assert_in_range(births, MINUTES * 60 / 4, MINUTES * 60 * 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RULE(eight_places_are_kept_for_what_we_want),
        RULE(who_becomes_wanted_makes_room_for_others),
        RULE(an_unasked_birthday_gives_way_to_a_wanted_one),
        RULE(neither_unasked_nor_wanted_birthdays_displace_their_like),
        RULE(an_unasked_birthday_does_not_displace_a_wanted_one),
        RULE(an_unasked_birthday_with_a_hole_is_left_alone),
        RULE(a_hundred_unreachable_peers_share_one_birthday),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
