/* SPDX-License-Identifier: Apache-2.0 */
/* What a punch may take: sockets, packets and turns; and what is left of it when it is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "support/fail_mem.h"
#include "support/sock_rig.h"

#define PEER "198.51.100.2:40000"

/* We hard, the peer easy: sockets are needed. */
static pln_punch_plan plan_hard(const sock_rig *rig) {
    pln_punch_plan plan = sock_rig_plan(rig);
    plan.ours.mapping = POLLEN_NAT_MAPPING_HARD;
    return plan;
}

static pln_punch_plan plan_spray(const sock_rig *rig, uint8_t peer, const char *addr) {
    pln_punch_plan plan = sock_rig_plan(rig);
    plan.peer = sock_rig_key(peer);
    plan.targets[0].addr = sock_rig_addr(addr);
    plan.theirs.mapping = POLLEN_NAT_MAPPING_HARD;
    return plan;
}

/* A hole over socket 5 of a punch that has many. */
static pln_path hole_over_5(sock_rig *rig) {
    pln_punch_plan plan = plan_hard(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 400);
    sock_rig_hear_request(rig, 5, PEER);
    sock_rig_hear_answer(rig, &rig->sent[rig->sent_count - 1]);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_HOLE), 1);
    return sock_rig_last(rig, PLN_SOCK_HOLE)->path;
}

static bool is_closed(const sock_rig *rig, uint32_t via) {
    size_t closed = 0;
    for (size_t i = 0; i < rig->event_count; i++) {
        closed += rig->events[i].kind == PLN_SOCK_CLOSE_SOCKET && rig->events[i].via == via;
    }
    assert_in_range(closed, 0, 1);
    return closed == 1;
}

/* ---- Starting -------------------------------------------------------------------------------- */

static void forbidden_targets_are_left_out(void **state) {
    sock_rig *rig = *state;
    static const char *const forbidden[] = {
        "127.0.0.1:60611", "0.0.0.0:60611", "224.0.0.251:60611", "255.255.255.255:60611",
        "[::1]:60611",     "[::]:60611",    "[ff02::1]:60611",   "127.255.0.3:1",
    };
    pln_punch_plan plan = sock_rig_plan(rig);
    for (size_t i = 0; i < 8; i++) {
        plan.targets[0].addr = sock_rig_addr(forbidden[i]);
        assert_int_equal(pln_sock_start(rig->sock, &plan, rig->now), POLLEN_EADDR);
    }
    plan.targets[0].addr = sock_rig_addr(PEER);
    plan.targets[0].addr.port = 0;
    assert_int_equal(pln_sock_start(rig->sock, &plan, rig->now), POLLEN_EADDR);
    plan.target_count = 0;
    assert_int_equal(pln_sock_start(rig->sock, &plan, rig->now), POLLEN_EADDR);
    sock_rig_run_to(rig, 5000);
    assert_int_equal(rig->sent_count, 0);
    assert_int_equal(rig->event_count, 0);
}

static void fit_targets_beside_forbidden_ones_are_tried(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    plan.targets[1] = plan.targets[0];
    plan.targets[0].addr = sock_rig_addr("127.0.0.1:22");
    plan.target_count = 2;
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 3000);
    for (size_t i = 0; i < rig->sent_count; i++) {
        assert_int_equal(rig->sent[i].to.path.remote.ip[12], 198);
    }
}

static void loopback_is_for_tests_within_one_machine(void **state) {
    (void)state;
    sock_rig *rig = sock_rig_create_with((pln_sock_config){.loopback_allowed = true});
    pln_punch_plan plan = sock_rig_plan(rig);
    plan.targets[0].addr = sock_rig_addr("127.0.0.1:60611");
    assert_int_equal(pln_sock_start(rig->sock, &plan, rig->now), POLLEN_OK);
    sock_rig_destroy(rig);
}

static void a_peer_has_one_punch_at_a_time(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    sock_rig_start(rig, &plan);
    assert_int_equal(pln_sock_start(rig->sock, &plan, rig->now), POLLEN_EAGAIN);
    pln_sock_cancel(rig->sock, &plan.peer, rig->now);
    sock_rig_start(rig, &plan);
    assert_int_equal(sock_rig_last(rig, PLN_SOCK_OVER)->end, PLN_PUNCH_CANCELLED);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OVER), 1);
}

static void so_many_punches_run_at_once(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    for (uint8_t i = 1; i <= 32; i++) {
        plan.peer = sock_rig_key(i);
        assert_int_equal(pln_sock_start(rig->sock, &plan, rig->now), POLLEN_OK);
    }
    plan.peer = sock_rig_key(33);
    assert_int_equal(pln_sock_start(rig->sock, &plan, rig->now), POLLEN_ELIMIT);
    sock_rig_run_to(rig, 3000);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OVER), 32);
    plan.deadline = rig->now + PLN_S(1);
    assert_int_equal(pln_sock_start(rig->sock, &plan, rig->now), POLLEN_OK);
}

/* ---- Winning --------------------------------------------------------------------------------- */

static void the_winner_s_socket_is_lent_and_the_others_close(void **state) {
    sock_rig *rig = *state;
    pln_path path = hole_over_5(rig);
    pollen_key peer = sock_rig_key(1);
    assert_true(pln_sock_won(rig->sock, &peer, &path, rig->now));
    sock_rig_drain(rig);
    assert_int_equal(sock_rig_last(rig, PLN_SOCK_OVER)->end, PLN_PUNCH_WON);
    assert_int_equal(rig->open, 1);
    pln_sock_counters counters;
    pln_sock_get_counters(rig->sock, &counters);
    assert_int_equal(counters.sockets_lent, 1);
    assert_int_equal(counters.punches, 0);
    sock_rig_run_to(rig, 100000);
    assert_false(is_closed(rig, 5));
    pln_sock_release(rig->sock, 5);
    sock_rig_drain(rig);
    assert_true(is_closed(rig, 5));
    assert_int_equal(rig->open, 0);
    pln_sock_release(rig->sock, 5); /* Once more, and unknown ones, are fine. */
    pln_sock_release(rig->sock, 999);
    sock_rig_drain(rig);
}

static void the_main_socket_may_win(void **state) {
    sock_rig *rig = *state;
    (void)hole_over_5(rig);
    pollen_key peer = sock_rig_key(1);
    pln_path path = {.via = PLN_VIA_MAIN, .remote = sock_rig_addr(PEER)};
    assert_true(pln_sock_won(rig->sock, &peer, &path, rig->now));
    sock_rig_drain(rig);
    assert_int_equal(sock_rig_last(rig, PLN_SOCK_OVER)->end, PLN_PUNCH_WON);
    assert_int_equal(rig->open, 1); /* The one with a hole lingers: */
    sock_rig_run_to(rig, 2399);
    assert_int_equal(rig->open, 1);
    sock_rig_run_to(rig, 2400);
    assert_int_equal(rig->open, 0);
}

static void a_tie_may_settle_on_a_lingering_socket(void **state) {
    sock_rig *rig = *state;
    pln_path over_5 = hole_over_5(rig);
    pollen_key peer = sock_rig_key(1);
    pln_path main_path = {.via = PLN_VIA_MAIN, .remote = sock_rig_addr(PEER)};
    assert_true(pln_sock_won(rig->sock, &peer, &main_path, rig->now));
    sock_rig_run_to(rig, 2000);
    assert_true(pln_sock_won(rig->sock, &peer, &over_5, rig->now));
    sock_rig_run_to(rig, 60000);
    assert_int_equal(rig->open, 1);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OVER), 1);
}

static void a_socket_that_is_gone_cannot_win(void **state) {
    sock_rig *rig = *state;
    pln_path path = hole_over_5(rig);
    pollen_key peer = sock_rig_key(1);
    path.via = 4711;
    assert_false(pln_sock_won(rig->sock, &peer, &path, rig->now));
    sock_rig_drain(rig);
    assert_int_equal(sock_rig_last(rig, PLN_SOCK_OVER)->end, PLN_PUNCH_WON);
}

static void a_punch_that_is_over_leaves_nothing(void **state) {
    sock_rig *rig = *state;
    (void)hole_over_5(rig);
    pollen_key peer = sock_rig_key(1);
    pln_sock_cancel(rig->sock, &peer, rig->now);
    sock_rig_run_to(rig, 10000);
    assert_int_equal(rig->open, 0);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OPEN_SOCKET),
                     sock_rig_count(rig, PLN_SOCK_CLOSE_SOCKET));
    pln_sock_counters counters;
    pln_sock_get_counters(rig->sock, &counters);
    assert_int_equal(counters.sockets_open, 0);
    assert_int_equal(pln_sock_next_expiry(rig->sock), PLN_TS_NEVER);
}

/* ---- Sockets --------------------------------------------------------------------------------- */

static void few_descriptors_mean_fewer_sockets(void **state) {
    sock_rig *rig = *state;
    rig->fd_max = 40;
    pln_punch_plan plan = plan_hard(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 2000);
    assert_int_equal(rig->open, 40);
    pln_punch_stats stats;
    assert_true(pln_sock_get_stats(rig->sock, &plan.peer, &stats));
    assert_in_range(stats.sockets_failed, 216, 217);
    sock_rig_run_to(rig, 3000);
    assert_int_equal(sock_rig_last(rig, PLN_SOCK_OVER)->end, PLN_PUNCH_DEADLINE);
    assert_int_equal(rig->open_most, 40);
}

static void no_descriptor_at_all_is_said(void **state) {
    sock_rig *rig = *state;
    rig->fd_max = 0;
    pln_punch_plan plan = plan_hard(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 3000);
    const pln_sock_event *over = sock_rig_last(rig, PLN_SOCK_OVER);
    assert_int_equal(over->end, PLN_PUNCH_NO_SOCKETS);
    assert_int_equal(over->stats.sockets_opened, 0);
    assert_int_equal(over->stats.sockets_failed, 256);
    assert_in_range(sock_rig_count(rig, PLN_SOCK_OPEN_SOCKET), 1, 2);
}

static void sockets_have_an_upper_limit(void **state) {
    sock_rig *rig = *state;
    pln_sock_set_sockets_max(rig->sock, 100);
    pln_punch_plan plan = plan_hard(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 3000);
    assert_int_equal(rig->open_most, 100);
    assert_int_equal(rig->open, 0);
}

static void a_socket_opened_too_late_is_closed_again(void **state) {
    sock_rig *rig = *state;
    rig->answer_late = true;
    pln_punch_plan plan = plan_hard(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 201);
    assert_in_range(sock_rig_count(rig, PLN_SOCK_OPEN_SOCKET), 8, 10);
    pln_sock_cancel(rig->sock, &plan.peer, rig->now);
    sock_rig_drain(rig);
    rig->open = 1;
    pln_sock_socket_opened(rig->sock, 1, 50000, rig->now);
    pln_sock_socket_failed(rig->sock, 2, rig->now);
    sock_rig_drain(rig);
    assert_true(is_closed(rig, 1));
    assert_false(is_closed(rig, 2));
    pln_sock_socket_opened(rig->sock, 1, 50000, rig->now); /* Of unknown ones nothing is heard. */
    pln_sock_socket_failed(rig->sock, 77, rig->now);
    sock_rig_drain(rig);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_CLOSE_SOCKET), 1);
}

static void a_socket_that_nobody_was_asked_for_is_not_closed(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_hard(rig);
    plan.one_shot = true; /* Wants one at once. */
    assert_int_equal(pln_sock_start(rig->sock, &plan, rig->now), POLLEN_OK);
    pln_sock_cancel(rig->sock, &plan.peer, rig->now);
    sock_rig_drain(rig);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OPEN_SOCKET), 0);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_CLOSE_SOCKET), 0);
}

static void numbers_of_sockets_are_never_used_again(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_hard(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 30000);
    plan.at = rig->now;
    plan.deadline = rig->now + PLN_S(3);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 34000);
    uint32_t last = 0;
    for (size_t i = 0; i < rig->event_count; i++) {
        if (rig->events[i].kind == PLN_SOCK_OPEN_SOCKET) {
            assert_int_equal(rig->events[i].via, last + 1);
            last++;
        }
    }
    assert_in_range(last, 512, 2000);
}

/* ---- Birthdays ------------------------------------------------------------------------------- */

static pln_punch_end end_of(sock_rig *rig, const pln_punch_plan *plan, uint64_t at_ms) {
    sock_rig_run_to(rig, at_ms);
    pln_punch_plan own = *plan;
    own.at = rig->now;
    own.deadline = rig->now + PLN_S(3);
    size_t before = sock_rig_count(rig, PLN_SOCK_OVER);
    sock_rig_start(rig, &own);
    sock_rig_run_to(rig, at_ms + 3000);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OVER), before + 1);
    return sock_rig_last(rig, PLN_SOCK_OVER)->end;
}

static void between_two_birthdays_with_a_peer_lie_20_seconds(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_spray(rig, 1, PEER);
    assert_int_equal(end_of(rig, &plan, 0), PLN_PUNCH_DEADLINE); /* Its birthday was at 0.25 s. */
    size_t sent = rig->sent_count;
    assert_int_equal(end_of(rig, &plan, 10000), PLN_PUNCH_HELD);
    assert_in_range(rig->sent_count - sent, 1, 20);
    const pln_punch_stats *stats = &sock_rig_last(rig, PLN_SOCK_OVER)->stats;
    assert_in_range(stats->retry_at - rig->start, PLN_MS(20250), PLN_MS(20260));
    assert_int_equal(end_of(rig, &plan, 19000), PLN_PUNCH_HELD); /* Over at 20.0 s. */
    assert_int_equal(end_of(rig, &plan, 23000), PLN_PUNCH_DEADLINE);
}

static void failed_birthdays_double_the_pause(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_spray(rig, 1, PEER);
    assert_int_equal(end_of(rig, &plan, 0), PLN_PUNCH_DEADLINE);
    assert_int_equal(end_of(rig, &plan, 25000), PLN_PUNCH_DEADLINE);
    assert_int_equal(end_of(rig, &plan, 50000), PLN_PUNCH_HELD);
    assert_int_equal(end_of(rig, &plan, 70000), PLN_PUNCH_DEADLINE); /* 40 s. */
    assert_int_equal(end_of(rig, &plan, 140000), PLN_PUNCH_HELD);
    assert_int_equal(end_of(rig, &plan, 155000), PLN_PUNCH_DEADLINE); /* 80 s. */
    for (uint64_t s = 1000; s < 7000; s += 1000) {
        assert_int_equal(end_of(rig, &plan, s * 1000), PLN_PUNCH_DEADLINE); /* 600 s at most. */
    }
}

static void another_network_begins_anew(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_spray(rig, 1, PEER);
    assert_int_equal(end_of(rig, &plan, 0), PLN_PUNCH_DEADLINE);
    assert_int_equal(end_of(rig, &plan, 4000), PLN_PUNCH_HELD);
    pln_sock_network_changed(rig->sock);
    assert_int_equal(end_of(rig, &plan, 8000), PLN_PUNCH_DEADLINE);
}

static void a_birthday_cancelled_before_it_cost_much_does_not_count(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_spray(rig, 1, PEER);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 280);
    pln_sock_cancel(rig->sock, &plan.peer, rig->now);
    sock_rig_drain(rig);
    assert_int_equal(end_of(rig, &plan, 400), PLN_PUNCH_DEADLINE); /* It had its birthday. */
    pln_sock_network_changed(rig->sock);
    plan.at = rig->now;
    plan.deadline = rig->now + PLN_S(3);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 3400 + 600);
    pln_sock_cancel(rig->sock, &plan.peer, rig->now);
    sock_rig_drain(rig);
    assert_int_equal(end_of(rig, &plan, 4100), PLN_PUNCH_HELD);
}

static void a_node_has_one_birthday_at_a_time(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan one = plan_spray(rig, 1, PEER);
    pln_punch_plan two = plan_spray(rig, 2, "203.0.113.9:1111");
    sock_rig_start(rig, &one);
    sock_rig_start(rig, &two);
    sock_rig_run_to(rig, 1000);
    const pln_sock_event *over = sock_rig_last(rig, PLN_SOCK_OVER);
    assert_non_null(over);
    assert_int_equal(over->end, PLN_PUNCH_HELD);
    assert_true(pln_key_equal(&over->peer, &two.peer));
    for (size_t i = 0; i < rig->sent_count; i++) {
        bool known = rig->sent[i].to.path.remote.port == 1111;
        assert_true(known || rig->sent[i].to.path.remote.ip[12] == 198);
    }
}

static void the_next_birthday_follows_when_the_first_is_over(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan one = plan_spray(rig, 1, PEER);
    pln_punch_plan two = plan_spray(rig, 2, "203.0.113.9:1111");
    sock_rig_start(rig, &one);
    sock_rig_start(rig, &two);
    sock_rig_run_to(rig, 600);
    pln_sock_cancel(rig->sock, &one.peer, rig->now);
    sock_rig_run_to(rig, 3000);
    assert_int_equal(sock_rig_last(rig, PLN_SOCK_OVER)->end, PLN_PUNCH_DEADLINE);
    assert_in_range(sock_rig_last(rig, PLN_SOCK_OVER)->stats.ways_used, 1280, 1300);
}

static void other_names_for_one_address_gain_nothing(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan one = plan_spray(rig, 1, PEER);
    pln_punch_plan two = plan_spray(rig, 2, "198.51.100.2:50000");
    assert_int_equal(end_of(rig, &one, 0), PLN_PUNCH_DEADLINE);
    assert_int_equal(end_of(rig, &two, 3100), PLN_PUNCH_HELD);
    assert_int_equal(end_of(rig, &two, 6200), PLN_PUNCH_DEADLINE);
}

/* 1000 triggers for 1000 peers at one victim, ten a second. */
static void a_thousand_triggers_cause_bounded_packets(void **state) {
    sock_rig *rig = *state;
    size_t to_victim = 0;
    for (unsigned i = 0; i < 1000; i++) {
        pln_punch_plan plan = plan_spray(rig, 1, PEER);
        memset(plan.peer.bytes, (int)(i % 251), 16);
        memset(plan.peer.bytes + 16, (int)(i / 251), 16);
        plan.at = rig->now;
        plan.deadline = rig->now + PLN_S(3);
        pollen_err err = pln_sock_start(rig->sock, &plan, rig->now);
        assert_true(err == POLLEN_OK || err == POLLEN_ELIMIT);
        sock_rig_run_to(rig, (i + 1) * 100u);
        to_victim += rig->sent_count;
        rig->sent_count = 0;
        rig->event_count = 0;
    }
    /* 100 s: a birthday each five seconds, and at most ten probes a second for each of the ten
     * punches under way. */
    assert_in_range(to_victim, 1000, 100 * (1280 / 5 + 10 * 10));
}

/* ---- Strangers ------------------------------------------------------------------------------- */

static void a_stranger_is_answered_four_times_and_then_twice_a_second(void **state) {
    sock_rig *rig = *state;
    for (int i = 0; i < 100; i++) {
        sock_rig_hear_request(rig, PLN_VIA_MAIN, "203.0.113.200:1000");
    }
    assert_int_equal(sock_rig_answers(rig), 4);
    sock_rig_run_to(rig, 499);
    sock_rig_hear_request(rig, PLN_VIA_MAIN, "203.0.113.200:1000");
    assert_int_equal(sock_rig_answers(rig), 4);
    sock_rig_run_to(rig, 500);
    sock_rig_hear_request(rig, PLN_VIA_MAIN, "203.0.113.200:1000");
    sock_rig_hear_request(rig, PLN_VIA_MAIN, "203.0.113.200:1001"); /* The same source. */
    assert_int_equal(sock_rig_answers(rig), 5);
    assert_int_equal(sock_rig_requests(rig), 0);
    pln_sock_counters counters;
    pln_sock_get_counters(rig->sock, &counters);
    assert_int_equal(counters.strangers_answered, 5);
    assert_int_equal(counters.strangers_ignored, 98);
}

static void one_ipv6_house_is_one_stranger(void **state) {
    sock_rig *rig = *state;
    for (unsigned i = 0; i < 50; i++) {
        char text[64];
        assert_true(snprintf(text, sizeof(text), "[2001:db8:1:2::%x]:1000", i + 1) > 0);
        sock_rig_hear_request(rig, PLN_VIA_MAIN, text);
    }
    assert_int_equal(sock_rig_answers(rig), 4);
}

static void strangers_together_have_a_limit(void **state) {
    sock_rig *rig = *state;
    for (unsigned i = 0; i < 10000; i++) {
        char text[64];
        assert_true(snprintf(text, sizeof(text), "10.%u.%u.9:1000", i / 256, i % 256) > 0);
        sock_rig_hear_request(rig, PLN_VIA_MAIN, text);
    }
    assert_int_equal(sock_rig_answers(rig), 64);
    sock_rig_run_to(rig, 1000);
    for (unsigned i = 0; i < 10000; i++) {
        char text[64];
        assert_true(snprintf(text, sizeof(text), "10.%u.%u.9:1000", i / 256, i % 256) > 0);
        sock_rig_hear_request(rig, PLN_VIA_MAIN, text);
    }
    assert_int_equal(sock_rig_answers(rig), 64 + 32);
}

static void strangers_do_not_starve_a_punch(void **state) {
    sock_rig *rig = *state;
    strangers_together_have_a_limit(state);
    pln_punch_plan plan = sock_rig_plan(rig);
    sock_rig_start(rig, &plan);
    size_t answers = sock_rig_answers(rig);
    sock_rig_hear_request(rig, PLN_VIA_MAIN, PEER);
    assert_int_equal(sock_rig_answers(rig), answers + 1);
}

static void responses_and_garbage_cause_nothing(void **state) {
    sock_rig *rig = *state;
    pln_probe response = {.kind = PLN_PROBE_RESPONSE};
    sock_rig_hear(rig, PLN_VIA_MAIN, "203.0.113.200:1000", &response);
    sock_rig_hear(rig, 9, "203.0.113.200:1000", &response);
    for (size_t size = 0; size < 64; size++) {
        uint8_t bytes[64] = {0x01};
        pln_datagram datagram = {
            .path = {.remote = sock_rig_addr("203.0.113.200:1000")}, .data = bytes, .size = size};
        if (size != 17) {
            pln_sock_handle_probe(rig->sock, &datagram, rig->now);
        }
    }
    sock_rig_drain(rig);
    assert_int_equal(rig->sent_count, 0);
}

static void a_flood_in_the_peer_s_name_gets_no_more_than_it_brings(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_spray(rig, 1, PEER);
    plan.theirs.mapping = POLLEN_NAT_MAPPING_UNKNOWN;
    plan.ours.mapping = POLLEN_NAT_MAPPING_HARD; /* Neither sprays; sockets fail. */
    rig->fd_max = 0;
    sock_rig_start(rig, &plan);
    for (unsigned i = 0; i < 3000; i++) {
        char text[64];
        assert_true(snprintf(text, sizeof(text), "198.51.100.2:%u", 1024 + i) > 0);
        sock_rig_run_to(rig, i);
        sock_rig_hear_request(rig, PLN_VIA_MAIN, text);
    }
    assert_in_range(sock_rig_answers(rig), 64, 64 + 600 + 1);
    assert_in_range(sock_rig_requests(rig), 1, 5 * 30);
}

static void a_flood_from_the_peer_s_very_address_hastens_few_requests(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    plan.ours.mapping = POLLEN_NAT_MAPPING_NONE; /* Other ports are not tried. */
    plan.theirs.mapping = POLLEN_NAT_MAPPING_NONE;
    sock_rig_start(rig, &plan);
    for (unsigned ms = 0; ms < 1000; ms += 5) {
        sock_rig_run_to(rig, ms);
        sock_rig_hear_request(rig, PLN_VIA_MAIN, PEER);
    }
    assert_int_equal(sock_rig_answers(rig), 200);
    assert_in_range(sock_rig_requests(rig), 8, 20);
}

/* ---- Allowances and memory ------------------------------------------------------------------- */

/* Whatever is told of the network, a peer costs 2600 probes at once and 100 a second. */
static void probes_to_one_peer_have_an_allowance(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_spray(rig, 1, PEER);
    for (uint64_t s = 0; s < 12; s += 3) {
        pln_sock_network_changed(rig->sock);
        (void)end_of(rig, &plan, s * 1000);
    }
    assert_in_range(rig->sent_count, 2600, 2600 + 12 * 100);
}

static void start_many(sock_rig *rig) {
    for (uint8_t i = 1; i <= 32; i++) {
        pln_punch_plan plan = sock_rig_plan(rig);
        plan.peer = sock_rig_key(i);
        plan.ours.mapping = POLLEN_NAT_MAPPING_NONE;
        plan.theirs.mapping = POLLEN_NAT_MAPPING_NONE;
        plan.target_count = 6;
        for (uint8_t k = 0; k < 6; k++) {
            plan.targets[k] = plan.targets[0];
            plan.targets[k].addr.ip[15] = i;
            plan.targets[k].addr.port = (uint16_t)(40000 + k);
        }
        sock_rig_start(rig, &plan);
    }
}

/* 32 punches at 6 addresses each, one after the other for 90 s. */
static void probes_of_a_node_have_an_allowance(void **state) {
    sock_rig *rig = *state;
    size_t sent = 0;
    for (uint64_t s = 0; s < 90; s += 3) {
        sock_rig_run_to(rig, s * 1000);
        start_many(rig);
        sock_rig_run_to(rig, s * 1000 + 3000);
        sent += rig->sent_count;
        rig->sent_count = 0;
        rig->event_count = 0;
        assert_in_range(sent, 1, 4000 + (s + 3) * 1000);
    }
    assert_in_range(sent, 80000, 94000);
}

static void no_allocation_is_missed(void **state) {
    (void)state;
    for (size_t n = 1;; n++) {
        long live = fail_mem_live();
        sock_rig *rig = sock_rig_create();
        pln_punch_plan plan = plan_hard(rig);
        fail_mem_arm(n);
        pollen_err err = pln_sock_start(rig->sock, &plan, rig->now);
        if (err == POLLEN_OK) {
            sock_rig_run_to(rig, 2000);
            sock_rig_hear_request(rig, PLN_VIA_MAIN, "198.51.100.2:99");
            sock_rig_run_to(rig, 6000);
            assert_int_equal(sock_rig_count(rig, PLN_SOCK_OVER), 1);
        } else {
            assert_int_equal(err, POLLEN_ENOMEM);
            assert_int_equal(rig->event_count, 0);
        }
        bool failed = fail_mem_disarm();
        assert_int_equal(rig->open, 0);
        sock_rig_destroy(rig);
        assert_int_equal(fail_mem_live(), live);
        if (!failed) {
            assert_int_equal(err, POLLEN_OK);
            break;
        }
    }
}

static void destroying_in_the_middle_frees_everything(void **state) {
    (void)state;
    long live = fail_mem_live();
    sock_rig *rig = sock_rig_create();
    (void)hole_over_5(rig);
    sock_rig_destroy(rig);
    assert_int_equal(fail_mem_live(), live);
    pln_sock_destroy(NULL);
}

static void all_ends_and_methods_have_names(void **state) {
    (void)state;
    assert_string_equal(pln_punch_end_name(PLN_PUNCH_WON), "won");
    assert_string_equal(pln_punch_end_name(PLN_PUNCH_DEADLINE), "deadline");
    assert_string_equal(pln_punch_end_name(PLN_PUNCH_HOPELESS), "hopeless");
    assert_string_equal(pln_punch_end_name(PLN_PUNCH_HELD), "held");
    assert_string_equal(pln_punch_end_name(PLN_PUNCH_NO_SOCKETS), "no-sockets");
    assert_string_equal(pln_punch_end_name(PLN_PUNCH_CANCELLED), "cancelled");
    assert_string_equal(pln_punch_method_name(PLN_PUNCH_OPEN), "open");
    assert_string_equal(pln_punch_method_name(PLN_PUNCH_PREDICT), "predict");
    assert_string_equal(pln_punch_method_name(PLN_PUNCH_SCATTER), "scatter");
    assert_string_equal(pln_punch_method_name(PLN_PUNCH_BIRTHDAY), "birthday");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RULE(forbidden_targets_are_left_out),
        RULE(fit_targets_beside_forbidden_ones_are_tried),
        RULE(loopback_is_for_tests_within_one_machine),
        RULE(a_peer_has_one_punch_at_a_time),
        RULE(so_many_punches_run_at_once),
        RULE(the_winner_s_socket_is_lent_and_the_others_close),
        RULE(the_main_socket_may_win),
        RULE(a_tie_may_settle_on_a_lingering_socket),
        RULE(a_socket_that_is_gone_cannot_win),
        RULE(a_punch_that_is_over_leaves_nothing),
        RULE(few_descriptors_mean_fewer_sockets),
        RULE(no_descriptor_at_all_is_said),
        RULE(sockets_have_an_upper_limit),
        RULE(a_socket_opened_too_late_is_closed_again),
        RULE(a_socket_that_nobody_was_asked_for_is_not_closed),
        RULE(numbers_of_sockets_are_never_used_again),
        RULE(between_two_birthdays_with_a_peer_lie_20_seconds),
        RULE(failed_birthdays_double_the_pause),
        RULE(another_network_begins_anew),
        RULE(a_birthday_cancelled_before_it_cost_much_does_not_count),
        RULE(a_node_has_one_birthday_at_a_time),
        RULE(the_next_birthday_follows_when_the_first_is_over),
        RULE(other_names_for_one_address_gain_nothing),
        RULE(a_thousand_triggers_cause_bounded_packets),
        RULE(a_stranger_is_answered_four_times_and_then_twice_a_second),
        RULE(one_ipv6_house_is_one_stranger),
        RULE(strangers_together_have_a_limit),
        RULE(strangers_do_not_starve_a_punch),
        RULE(responses_and_garbage_cause_nothing),
        RULE(a_flood_in_the_peer_s_name_gets_no_more_than_it_brings),
        RULE(a_flood_from_the_peer_s_very_address_hastens_few_requests),
        RULE(probes_to_one_peer_have_an_allowance),
        RULE(probes_of_a_node_have_an_allowance),
        RULE(no_allocation_is_missed),
        RULE(destroying_in_the_middle_frees_everything),
        RULE(all_ends_and_methods_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
