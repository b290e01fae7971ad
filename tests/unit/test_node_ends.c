/* SPDX-License-Identifier: Apache-2.0 */
/* What a node does after each kind of end of a session.  Delays have up to a fifth of jitter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/node_wire.h"

static pollen_peer peer_of(const nw_fixture *f, size_t node, size_t peer) {
    pollen_peer found;
    for (size_t i = 0; pln_node_peer_at(f->hosts[node].node, i, &found) == POLLEN_OK; i++) {
        if (pln_key_equal(&found.key, nw_key_of(f, peer))) {
            return found;
        }
    }
    fail_msg("unknown to the node");
    return found;
}

static void run_until_gone(nw_fixture *f, unsigned limit_ms) {
    for (unsigned ms = 0; ms < limit_ms && nw_has_session(f, HERE, MEMBER); ms++) {
        nw_run_ms(f, 1);
    }
    nw_run_ms(f, 1); /* And its event is handled. */
    assert_false(nw_has_session(f, HERE, MEMBER));
}

/* Another session stands all the time, so that nobody is alone. */
static void connect_all(nw_fixture *f) {
    nw_connect(f, HERE, OTHER);
    nw_connect(f, HERE, MEMBER);
    nw_run_ms(f, 200);
}

static void expect_next(const nw_fixture *f, pollen_peer_state state, pollen_end_reason reason,
                        pln_dur delay) {
    const pollen_peer peer = peer_of(f, HERE, MEMBER);
    assert_int_equal(peer.state, state);
    assert_int_equal(peer.last_end_reason, reason);
    const pln_dur wait = peer.next_action_ns - peer.last_end_at_ns;
    assert_in_range(wait, delay, delay + delay / 5);
}

static void close_there(nw_fixture *f, pollen_end_reason reason) {
    pln_mesh_close_peer(pln_node_mesh(f->hosts[MEMBER].node), nw_key_of(f, HERE), reason, f->now);
    run_until_gone(f, 100);
}

static void test_each_end_has_its_delay(void **state) {
    (void)state;
    static const struct {
        pollen_end_reason reason;
        pln_dur delay;
    } rows[] = {
        {POLLEN_END_GRACEFUL, PLN_S(3)},      {POLLEN_END_CERT_EXPIRED, PLN_S(3)},
        {POLLEN_END_CERT_ROTATION, PLN_S(1)}, {POLLEN_END_REVOKED, PLN_S(60)},
        {POLLEN_END_DENIED, PLN_S(60)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *world = NULL;
        assert_int_equal(nw_setup(&world), 0);
        nw_fixture *f = world;
        connect_all(f);
        close_there(f, rows[i].reason);
        expect_next(f, POLLEN_PEER_DISCOVERED, rows[i].reason, rows[i].delay);
        (void)nw_teardown(&world);
    }
}

static void test_a_closed_session_comes_back(void **state) {
    nw_fixture *f = *state;
    connect_all(f);
    close_there(f, POLLEN_END_GRACEFUL);
    nw_run_ms(f, 3900);
    assert_true(nw_has_session(f, HERE, MEMBER));
}

/* It is nowhere to be reached any more, and cannot say so. */
static void test_silence_ends_a_session_and_is_waited_out_for_a_second(void **state) {
    nw_fixture *f = *state;
    connect_all(f);
    f->hosts[MEMBER].addr.port++;
    run_until_gone(f, 50 * 1000);
    expect_next(f, POLLEN_PEER_DISCOVERED, POLLEN_END_IDLE_TIMEOUT, PLN_S(1));
}

static void ask(nw_fixture *f) {
    pln_mesh_echo(pln_node_mesh(f->hosts[HERE].node), ++f->next_op, nw_key_of(f, MEMBER), 8,
                  pln_ts_add(f->now.mono, PLN_S(5)), f->now);
}

static void test_a_reset_is_waited_out_for_five_seconds(void **state) {
    nw_fixture *f = *state;
    connect_all(f);
    nw_start(f, MEMBER, false);
    ask(f);
    run_until_gone(f, 100);
    expect_next(f, POLLEN_PEER_DISCOVERED, POLLEN_END_RESET, PLN_S(5));
}

/* Whoever asks does not wait for that. */
static void test_a_peer_that_is_asked_for_is_dialled_at_once(void **state) {
    nw_fixture *f = *state;
    connect_all(f);
    nw_start(f, MEMBER, false);
    ask(f);
    run_until_gone(f, 100);
    ask(f);
    nw_run_ms(f, 50);
    assert_true(nw_has_session(f, HERE, MEMBER));
}

static void test_a_peer_that_refused_us_is_not_asked_more_often_for_it(void **state) {
    nw_fixture *f = *state;
    connect_all(f);
    close_there(f, POLLEN_END_DENIED);
    ask(f);
    nw_run_ms(f, 50);
    expect_next(f, POLLEN_PEER_DISCOVERED, POLLEN_END_DENIED, PLN_S(60));
}

static void test_another_certificate_ends_the_wait_after_a_refusal(void **state) {
    nw_fixture *f = *state;
    connect_all(f);
    close_there(f, POLLEN_END_DENIED);
    assert_int_equal(
        pln_mesh_set_credentials(pln_node_mesh(f->hosts[HERE].node), &f->hosts[HERE].creds, f->now),
        POLLEN_OK);
    nw_run_ms(f, 100);
    assert_true(nw_has_session(f, HERE, MEMBER));
}

/* News of an end that come after the next session stands say nothing of it. */
static void test_the_end_of_an_older_session_changes_nothing(void **state) {
    nw_fixture *f = *state;
    connect_all(f);
    f->hosts[HERE].holds_events = true;
    nw_start(f, MEMBER, false);
    const pln_path path = {PLN_VIA_MAIN, f->hosts[HERE].addr};
    pln_mesh_connect(pln_node_mesh(f->hosts[MEMBER].node), ++f->next_op, nw_key_of(f, HERE), &path,
                     1, PLN_TS_NEVER, f->now);
    nw_run_ms(f, 3000);
    f->hosts[HERE].holds_events = false;
    nw_run_ms(f, 10);
    assert_true(nw_has_session(f, HERE, MEMBER));
    assert_int_equal(peer_of(f, HERE, MEMBER).state, POLLEN_PEER_CONNECTED);
    pln_session_info info;
    assert_int_equal(
        pln_mesh_session_info(pln_node_mesh(f->hosts[HERE].node), nw_key_of(f, MEMBER), &info),
        POLLEN_OK);
    assert_int_equal(peer_of(f, HERE, MEMBER).generation, info.generation);
}

/* A machine that slept for an hour: one turn, and everything is late. */
static void test_an_hour_in_one_turn_is_survived(void **state) {
    nw_fixture *f = *state;
    connect_all(f);
    f->now.mono += PLN_S(3600);
    f->now.wall += 3600;
    nw_run_ms(f, 5000);
    assert_true(nw_has_session(f, HERE, MEMBER));
    assert_true(nw_has_session(f, HERE, OTHER));
}

static void test_a_calendar_that_goes_back_changes_nothing(void **state) {
    nw_fixture *f = *state;
    connect_all(f);
    const size_t connected = f->hosts[HERE].connected;
    f->now.wall -= 86400;
    nw_run_ms(f, 5000);
    assert_int_equal(f->hosts[HERE].connected, connected);
    assert_int_equal(f->hosts[HERE].disconnected, 0);
    assert_true(nw_has_session(f, HERE, MEMBER));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, nw_setup, nw_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_end_has_its_delay),
        TEST(test_a_closed_session_comes_back),
        TEST(test_silence_ends_a_session_and_is_waited_out_for_a_second),
        TEST(test_a_reset_is_waited_out_for_five_seconds),
        TEST(test_a_peer_that_is_asked_for_is_dialled_at_once),
        TEST(test_a_peer_that_refused_us_is_not_asked_more_often_for_it),
        TEST(test_another_certificate_ends_the_wait_after_a_refusal),
        TEST(test_the_end_of_an_older_session_changes_nothing),
        TEST(test_an_hour_in_one_turn_is_survived),
        TEST(test_a_calendar_that_goes_back_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
