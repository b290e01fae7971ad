/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps a large and hostile world from getting a peer stuck: attempts that end, events that
 * come late, delays that grow. */

#include "base/rng.h"
#include "base/time.h"
#include "support/peer_fixture.h"

static pollen_err fail_attempt(int64_t ms, uint32_t peer, uint64_t attempt) {
    return rig_step(&rig, ms,
                    &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_CONNECT_FAILED,
                                         .peer = rig_key(peer),
                                         .attempt = attempt,
                                         .reason = POLLEN_END_UNKNOWN});
}

static int64_t next_expiry(void) {
    return rig_ms(pollen_peer_store_next_expiry(rig.store));
}

/* ---- Every attempt ends ---------------------------------------------------------------------- */

static void test_a_direct_attempt_fails_by_itself_at_its_deadline(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_tick(&rig, 0);
    assert_int_equal(rig_ms(rig.outputs[0].deadline_ns), 5000);
    assert_int_equal(next_expiry(), 5000);
    rig_tick(&rig, 4999);
    rig_expect(&rig, 1, CONNECTING, DIRECT, 0, 0);
    rig_tick(&rig, 5000);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 1, 6000);
    assert_int_equal(rig_peer(&rig, 1).last_end_reason, POLLEN_END_IDLE_TIMEOUT);
}

static void test_punch_coordination_without_an_answer_fails_at_its_deadline(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_tick(&rig, 0);
    rig_fail(&rig, 0, 1, POLLEN_END_UNKNOWN);
    rig_tick(&rig, 1000);
    rig_fail(&rig, 1000, 1, POLLEN_END_UNKNOWN);
    rig_expect_dial_at(&rig, 1500, 1, DIAL_PUNCH);
    rig_tick(&rig, 11499);
    rig_expect(&rig, 1, CONNECTING, PUNCH, 0, 1500);
    rig_tick(&rig, 11500);
    rig_expect(&rig, 1, DISCOVERED, PUNCH, 1, 12500);
}

static void test_a_peer_nobody_reports_on_is_dialled_for_ever(void **state) {
    (void)state;
    size_t dials = 0;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    int64_t now = 0;
    for (int i = 0; i < 200; i++) {
        now = next_expiry() > now ? next_expiry() : now;
        assert_true(now != RIG_NEVER);
        dials += rig_tick(&rig, now);
    }
    assert_true(dials >= 90); /* A dial, then its deadline. */
}

static void test_the_result_of_an_attempt_that_is_over_changes_nothing(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_tick(&rig, 0);
    uint64_t first = rig.outputs[0].attempt;
    rig_tick(&rig, 5000);
    rig_tick(&rig, 6000);
    assert_int_equal(rig.output_count, 1);
    assert_int_not_equal(rig.outputs[0].attempt, first);
    assert_int_equal(fail_attempt(6001, 1, first), POLLEN_OK);
    rig_expect(&rig, 1, CONNECTING, DIRECT, 1, 6000);
    assert_int_equal(fail_attempt(6001, 1, 0), POLLEN_OK);
    rig_expect(&rig, 1, CONNECTING, DIRECT, 1, 6000);
}

static void test_a_failure_that_comes_after_the_session_changes_nothing(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_tick(&rig, 0);
    uint64_t attempt = rig.outputs[0].attempt;
    rig_connect(&rig, 1, 1, ADDR_A, 1);
    assert_int_equal(fail_attempt(2, 1, attempt), POLLEN_OK);
    rig_expect(&rig, 1, CONNECTED, DIRECT, 0, 0);
}

static void test_a_retry_during_an_attempt_skips_the_wait_after_it(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_tick(&rig, 0);
    rig_retry(&rig, 100, 1);
    rig_expect(&rig, 1, CONNECTING, DIRECT, 0, 0);
    rig_fail(&rig, 200, 1, POLLEN_END_UNKNOWN);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 1, 200);
    rig_tick(&rig, 200);
    rig_fail(&rig, 300, 1, POLLEN_END_UNKNOWN);
    rig_expect(&rig, 1, DISCOVERED, PUNCH, 0, 800); /* The wish was good for one attempt. */
}

static void test_a_retry_during_the_last_attempt_starts_over(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    for (int64_t due = 0;
         rig_peer(&rig, 1).stage_attempts != 1 || rig_peer(&rig, 1).stage != PUNCH;) {
        rig_tick(&rig, due);
        rig_fail(&rig, due, 1, POLLEN_END_UNKNOWN);
        due = rig_ms(rig_peer(&rig, 1).next_action_ns);
    }
    rig_tick(&rig, 2500);
    rig_retry(&rig, 2600, 1);
    rig_fail(&rig, 2700, 1, POLLEN_END_UNKNOWN);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 0, 2700);
}

/* ---- Late events ----------------------------------------------------------------------------- */

static void test_the_end_of_an_old_session_does_not_end_the_new_one(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    rig_connect(&rig, 10, 1, ADDR_B, 2);
    rig_lost(&rig, 20, 1, 1, POLLEN_END_IDLE_TIMEOUT);
    rig_expect(&rig, 1, CONNECTED, DIRECT, 0, RIG_NEVER);
    rig_lost(&rig, 30, 1, 2, POLLEN_END_IDLE_TIMEOUT);
    rig_expect(&rig, 1, DISCOVERED, EAGER, 0, 1030);
}

static void test_a_session_that_has_ended_does_not_begin_again(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    rig_lost(&rig, 20, 1, 2, POLLEN_END_RESET); /* Overtook the beginning of session 2. */
    rig_expect(&rig, 1, DISCOVERED, EAGER, 0, 5020);
    rig_connect(&rig, 30, 1, ADDR_B, 2);
    assert_int_equal(rig.output_count, 0);
    rig_expect(&rig, 1, DISCOVERED, EAGER, 0, 5020);
    rig_connect(&rig, 40, 1, ADDR_B, 1);
    rig_lost(&rig, 50, 1, 1, POLLEN_END_GRACEFUL);
    rig_expect(&rig, 1, DISCOVERED, EAGER, 0, 5020);
    rig_connect(&rig, 60, 1, ADDR_B, 3);
    rig_expect(&rig, 1, CONNECTED, DIRECT, 0, 5020);
}

static void test_an_end_that_overtakes_its_beginning_is_remembered_while_waiting(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_lost(&rig, 1, 1, 7, POLLEN_END_RESET);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 0, 0);
    rig_connect(&rig, 2, 1, ADDR_A, 7);
    assert_int_equal(rig.output_count, 0);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 0, 0);
}

static void test_a_session_is_announced_once(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    assert_int_equal(rig.output_count, 1);
    rig_connect(&rig, 1, 1, ADDR_A, 1);
    assert_int_equal(rig.output_count, 0);
}

static void test_without_generations_the_attempt_tells_what_is_late(void **state) {
    (void)state;
    pollen_peer_input connect = {
        .kind = POLLEN_PEER_INPUT_CONNECT, .peer = rig_key(1), .addr = rig_addr(ADDR_A)};
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_tick(&rig, 0);
    connect.attempt = rig.outputs[0].attempt;
    rig_tick(&rig, 5000);
    assert_int_equal(rig_step(&rig, 5001, &connect), POLLEN_OK);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 1, 6000);
    rig_tick(&rig, 6000);
    connect.attempt = rig.outputs[0].attempt;
    assert_int_equal(rig_step(&rig, 6001, &connect), POLLEN_OK);
    rig_expect(&rig, 1, CONNECTED, DIRECT, 0, 6000);
}

static void test_an_output_that_is_overtaken_is_withdrawn(void **state) {
    (void)state;
    const pollen_peer_input inputs[] = {
        {.kind = POLLEN_PEER_INPUT_RETRY, .peer = rig_key(1)},
        {.kind = POLLEN_PEER_INPUT_RETRY, .peer = rig_key(2)},
        {.kind = POLLEN_PEER_INPUT_RETRY, .peer = rig_key(3)},
        {.kind = POLLEN_PEER_INPUT_TICK},
        {.kind = POLLEN_PEER_INPUT_FORGET, .peer = rig_key(2)},
        {.kind = POLLEN_PEER_INPUT_CONNECT, .peer = rig_key(1), .generation = 1},
    };
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        assert_int_equal(pollen_peer_store_step(rig.store, 0, &inputs[i]), POLLEN_OK);
    }
    pollen_peer_output output;
    pollen_key third = rig_key(3);
    assert_true(pollen_peer_store_poll_output(rig.store, &output));
    assert_memory_equal(&output.peer, &third, sizeof(third));
    assert_true(pollen_peer_store_poll_output(rig.store, &output));
    assert_int_equal(output.kind, POLLEN_PEER_OUTPUT_CONNECTED);
    assert_false(pollen_peer_store_poll_output(rig.store, &output));
}

/* ---- Delays that grow ------------------------------------------------------------------------ */

static void test_each_failed_cycle_doubles_the_wait_up_to_the_cap(void **state) {
    (void)state;
    static const int64_t delays[] = {20000, 40000, 80000, 160000, 300000, 300000};
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    for (unsigned i = 0; i < 6; i++) {
        int64_t now = rig_exhaust(&rig, 1);
        rig_expect(&rig, 1, UNREACHABLE, PUNCH, 0, now + delays[i]);
        assert_int_equal(rig_peer(&rig, 1).unreachable_cycles, i + 1);
    }
}

static void test_a_peer_that_was_there_is_waited_for_by_how_long_it_is_away(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    rig_lost(&rig, 1000, 1, 1, POLLEN_END_IDLE_TIMEOUT);
    int64_t now = 0;
    while (now < 610000) { /* Ten minutes of absence: 20 s, which are the least. */
        now = rig_exhaust(&rig, 1);
        const int64_t share = (now - 1000) / 30;
        rig_expect(&rig, 1, UNREACHABLE, PUNCH, 0, now + (share > 20000 ? share : 20000));
    }
    while (now < 20000000) {
        now = rig_exhaust(&rig, 1);
    }
    rig_expect(&rig, 1, UNREACHABLE, PUNCH, 0, now + 300000); /* And the cap stays. */
}

static void test_a_permanent_peer_is_waited_for_a_minute_at_most(void **state) {
    (void)state;
    static const int64_t delays[] = {20000, 40000, 60000, 60000};
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    for (size_t i = 0; i < 4; i++) {
        int64_t now = rig_exhaust(&rig, 1);
        rig_expect(&rig, 1, UNREACHABLE, PUNCH, 0, now + delays[i]);
    }
}

static void test_a_session_ends_the_growth(void **state) {
    (void)state;
    rig_exhaust_new(&rig, 0, 1, ADDR_A);
    int64_t now = rig_exhaust(&rig, 1);
    rig_connect(&rig, now, 1, ADDR_A, 1);
    assert_int_equal(rig_peer(&rig, 1).unreachable_cycles, 0);
    rig_lost(&rig, now, 1, 1, POLLEN_END_IDLE_TIMEOUT);
    now = rig_exhaust(&rig, 1);
    rig_expect(&rig, 1, UNREACHABLE, PUNCH, 0, now + 20000);
}

static void test_a_refused_attempt_waits_long_and_ever_longer(void **state) {
    (void)state;
    static const struct {
        pollen_end_reason reason;
        int64_t delay_ms;
    } rows[] = {
        {POLLEN_END_DENIED, 60000},        {POLLEN_END_REVOKED, 120000},
        {POLLEN_END_CERT_EXPIRED, 240000}, {POLLEN_END_DENIED, 480000},
        {POLLEN_END_DENIED, 960000},       {POLLEN_END_DENIED, 1920000},
        {POLLEN_END_DENIED, 3600000},      {POLLEN_END_DENIED, 3600000},
    };
    int64_t now = 0;
    rig_discover(&rig, now, 1, ADDR_A, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig_tick(&rig, now);
        rig_fail(&rig, now, 1, rows[i].reason);
        rig_expect(&rig, 1, UNREACHABLE, DIRECT, 0, now + rows[i].delay_ms);
        now += rows[i].delay_ms;
        assert_int_equal(rig_tick(&rig, now - 1), 0);
    }
}

/* A peer may refuse us after its half of the handshake: then there was a session for a moment. */
static void test_sessions_that_end_in_refusal_wait_ever_longer(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    rig_lost(&rig, 10, 1, 1, POLLEN_END_DENIED);
    rig_expect(&rig, 1, DISCOVERED, EAGER, 0, 60010);
    rig_connect(&rig, 60010, 1, ADDR_A, 2);
    rig_lost(&rig, 60020, 1, 2, POLLEN_END_DENIED);
    rig_expect(&rig, 1, DISCOVERED, EAGER, 0, 180020);
}

static void test_a_session_of_a_minute_forgets_refusals(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    rig_lost(&rig, 0, 1, 1, POLLEN_END_DENIED);
    rig_connect(&rig, 10, 1, ADDR_A, 2);
    rig_lost(&rig, 60009, 1, 2, POLLEN_END_DENIED);
    assert_int_equal(rig_peer(&rig, 1).refusals, 2);
    rig_connect(&rig, 70000, 1, ADDR_A, 3);
    rig_lost(&rig, 130000, 1, 3, POLLEN_END_DENIED);
    rig_expect(&rig, 1, DISCOVERED, EAGER, 0, 190000);
}

static void test_a_retry_forgets_refusals_and_cycles(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_tick(&rig, 0);
    rig_fail(&rig, 0, 1, POLLEN_END_DENIED);
    rig_retry(&rig, 1, 1);
    pollen_peer peer = rig_peer(&rig, 1);
    assert_int_equal(peer.refusals, 0);
    assert_int_equal(peer.unreachable_cycles, 0);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 0, 1);
}

static void test_jitter_only_lengthens_and_by_its_share_at_most(void **state) {
    (void)state;
    pln_rng_seeded seeded;
    pln_rng rng = pln_rng_from_seed(&seeded, 1);
    rig.config.jitter_percent = 20;
    rig.config.random = rng.fill;
    rig.config.random_context = rng.ctx;
    reopen();
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    for (uint32_t i = 0; i < 200; i++) {
        rig_connect(&rig, 0, i, ADDR_A, i + 1);
        rig_lost(&rig, 0, i, i + 1, POLLEN_END_RESET);
        uint64_t next = rig_peer(&rig, i).next_action_ns;
        least = next < least ? next : least;
        most = next > most ? next : most;
    }
    assert_in_range(least, PLN_MS(5000), PLN_MS(5050));
    assert_in_range(most, PLN_MS(5950), PLN_MS(6000));
}

/* ---- New addresses --------------------------------------------------------------------------- */

static void test_a_new_address_wakes_an_unreachable_peer(void **state) {
    (void)state;
    int64_t now = rig_exhaust_new(&rig, 0, 1, ADDR_A);
    rig_discover(&rig, now + 100, 1, ADDR_A, NULL); /* Nothing new. */
    rig_expect(&rig, 1, UNREACHABLE, PUNCH, 0, now + 20000);
    rig_discover(&rig, now + 200, 1, NULL, NULL); /* Less than before. */
    rig_expect(&rig, 1, UNREACHABLE, PUNCH, 0, now + 20000);
    rig_discover(&rig, now + 300, 1, ADDR_B, NULL);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 0, now + 300);
    assert_int_equal(rig_tick(&rig, now + 300), 1);
    pollen_addr addr = rig_addr(ADDR_B);
    assert_true(pollen_addr_equal(&rig.outputs[0].addrs[0], &addr));
}

static void test_a_new_last_address_wakes_an_unreachable_peer(void **state) {
    (void)state;
    int64_t now = rig_exhaust_new(&rig, 0, 1, ADDR_A);
    rig_discover(&rig, now + 100, 1, ADDR_A, ADDR_B);
    rig_expect(&rig, 1, DISCOVERED, EAGER, 0, now + 100);
}

static void test_a_new_address_does_not_wake_a_peer_that_refused(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_tick(&rig, 0);
    rig_fail(&rig, 0, 1, POLLEN_END_REVOKED);
    rig_discover(&rig, 1, 1, ADDR_B, NULL);
    rig_expect(&rig, 1, UNREACHABLE, DIRECT, 0, 60000);
}

/* ---- Forgetting and keeping ------------------------------------------------------------------ */

static void test_a_peer_is_forgotten_in_every_state(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL); /* Connecting. */
    rig_tick(&rig, 0);
    rig_discover(&rig, 0, 2, ADDR_A, NULL); /* Discovered. */
    rig_connect(&rig, 0, 3, ADDR_A, 1);     /* Connected. */
    for (uint32_t i = 1; i <= 3; i++) {
        rig_forget(&rig, 0, i);
    }
    rig_exhaust_new(&rig, 0, 4, ADDR_A); /* Unreachable. */
    rig_forget(&rig, 3000, 4);
    assert_int_equal(pollen_peer_store_count(rig.store), 0);
    assert_int_equal(next_expiry(), RIG_NEVER);
    assert_int_equal(rig_tick(&rig, 100000), 0);
}

static void test_a_forgotten_peer_stays_forgotten_when_its_session_ends(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    rig_forget(&rig, 1, 1);
    rig_lost(&rig, 2, 1, 1, POLLEN_END_REVOKED);
    assert_int_equal(pollen_peer_store_count(rig.store), 0);
}

static void test_a_permanent_peer_is_not_simply_forgotten(void **state) {
    (void)state;
    pollen_peer_input forget = {.kind = POLLEN_PEER_INPUT_FORGET, .peer = rig_key(1)};
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    assert_int_equal(rig_step(&rig, 1, &forget), POLLEN_EPERM);
    rig_discover(&rig, 2, 1, ADDR_B, NULL); /* Gossip does not make it an ordinary one. */
    assert_true(rig_peer(&rig, 1).permanent);
    assert_int_equal(rig_step(&rig, 3, &forget), POLLEN_EPERM);
    assert_int_equal(pollen_peer_store_count(rig.store), 1);
    forget.permanent = true; /* But by who says that he means it. */
    assert_int_equal(rig_step(&rig, 4, &forget), POLLEN_OK);
    assert_int_equal(pollen_peer_store_count(rig.store), 0);
}

static void test_a_permanent_peer_keeps_its_configured_addresses(void **state) {
    (void)state;
    pollen_addr a = rig_addr(ADDR_A);
    pollen_addr b = rig_addr(ADDR_B);
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    rig_connect(&rig, 0, 1, ADDR_B, 1);
    rig_lost(&rig, 0, 1, 1, POLLEN_END_IDLE_TIMEOUT);
    rig_expect_dial_at(&rig, 1000, 1, DIAL_EAGER);
    assert_true(pollen_addr_equal(&rig.outputs[0].addr, &b));
    rig_fail(&rig, 1000, 1, POLLEN_END_UNKNOWN);
    rig_expect_dial_at(&rig, 1500, 1, DIAL_DIRECT);
    assert_int_equal(rig.outputs[0].addr_count, 2);
    assert_true(pollen_addr_equal(&rig.outputs[0].addrs[0], &a));
    assert_true(pollen_addr_equal(&rig.outputs[0].addrs[1], &b));
    rig_discover(&rig, 1500, 1, ADDR_A, NULL);
    assert_int_equal(rig_peer(&rig, 1).addr_count, 1); /* The same address once. */
}

static void test_configured_addresses_stay_when_there_are_too_many(void **state) {
    (void)state;
    pollen_addr addrs[POLLEN_PEER_ADDRS_MAX];
    for (int permanent = 1; permanent >= 0; permanent--) {
        for (size_t i = 0; i < POLLEN_PEER_ADDRS_MAX; i++) {
            addrs[i] = rig_addr(permanent != 0 ? ADDR_A : ADDR_B);
            addrs[i].port = (uint16_t)(1 + i);
        }
        const pollen_peer_input input = {.kind = POLLEN_PEER_INPUT_DISCOVER,
                                         .peer = rig_key(1),
                                         .addrs = addrs,
                                         .addr_count = permanent != 0 ? POLLEN_PEER_ADDRS_MAX - 1
                                                                      : POLLEN_PEER_ADDRS_MAX,
                                         .permanent = permanent != 0};
        assert_int_equal(rig_step(&rig, 0, &input), POLLEN_OK);
    }
    pollen_peer peer = rig_peer(&rig, 1);
    assert_int_equal(peer.addr_count, POLLEN_PEER_ADDRS_MAX);
    pollen_addr last_configured = rig_addr(ADDR_A);
    last_configured.port = POLLEN_PEER_ADDRS_MAX - 1;
    assert_true(pollen_addr_equal(&peer.addrs[POLLEN_PEER_ADDRS_MAX - 2], &last_configured));
    assert_true(pollen_addr_equal(&peer.addrs[POLLEN_PEER_ADDRS_MAX - 1], &addrs[0]));
}

/* A node that starts before its relay has to find it soon after the relay is there. */
static void test_a_relay_that_starts_later_is_found_within_a_minute(void **state) {
    (void)state;
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    int64_t last = 0;
    for (int64_t now = 0; now<3600000; now = next_expiry()> now ? next_expiry() : now + 1) {
        if (rig_tick(&rig, now) > 0) {
            assert_true(now - last <= 60000 + 10000);
            last = now;
            rig_fail(&rig, now, 1, POLLEN_END_UNKNOWN);
        }
    }
    assert_true(last > 3600000 - 70000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_direct_attempt_fails_by_itself_at_its_deadline,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_punch_coordination_without_an_answer_fails_at_its_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_peer_nobody_reports_on_is_dialled_for_ever, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_result_of_an_attempt_that_is_over_changes_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_failure_that_comes_after_the_session_changes_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_retry_during_an_attempt_skips_the_wait_after_it,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_retry_during_the_last_attempt_starts_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_end_of_an_old_session_does_not_end_the_new_one,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_session_that_has_ended_does_not_begin_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_an_end_that_overtakes_its_beginning_is_remembered_while_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_session_is_announced_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_generations_the_attempt_tells_what_is_late,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_output_that_is_overtaken_is_withdrawn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_each_failed_cycle_doubles_the_wait_up_to_the_cap,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_peer_that_was_there_is_waited_for_by_how_long_it_is_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_permanent_peer_is_waited_for_a_minute_at_most, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_session_ends_the_growth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_refused_attempt_waits_long_and_ever_longer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_sessions_that_end_in_refusal_wait_ever_longer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_session_of_a_minute_forgets_refusals, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_retry_forgets_refusals_and_cycles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jitter_only_lengthens_and_by_its_share_at_most, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_new_address_wakes_an_unreachable_peer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_new_last_address_wakes_an_unreachable_peer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_new_address_does_not_wake_a_peer_that_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_peer_is_forgotten_in_every_state, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_forgotten_peer_stays_forgotten_when_its_session_ends,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_permanent_peer_is_not_simply_forgotten, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_permanent_peer_keeps_its_configured_addresses, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_configured_addresses_stay_when_there_are_too_many,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_relay_that_starts_later_is_found_within_a_minute,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
