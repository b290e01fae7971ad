/* SPDX-License-Identifier: Apache-2.0 */
/* What a store that is alone does beside its machine.  Delays are exact: no jitter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/time.h"
#include "support/peer_rig.h"

#define ADDR_A "192.0.2.1:60611"
#define ADDR_B "192.0.2.2:60611"
#define PROBE POLLEN_PEER_OUTPUT_PROBE
#define DIRECT POLLEN_PEER_OUTPUT_ATTEMPT_CONNECT

static peer_rig rig;

static int setup(void **state) {
    (void)state;
    rig_init(&rig);
    rig.config.probe_interval_ns = PLN_MS(500);
    rig_open(&rig);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    rig_close(&rig);
    return 0;
}

/* How many outputs of the kind the newest step gave. */
static size_t outputs(pollen_peer_output_kind kind) {
    size_t count = 0;
    for (size_t i = 0; i < rig.output_count; i++) {
        count += rig.outputs[i].kind == kind;
    }
    return count;
}

static size_t probes_at(int64_t ms) {
    (void)rig_tick(&rig, ms);
    return outputs(PROBE);
}

static int64_t next_ms(void) {
    return rig_ms(pollen_peer_store_next_expiry(rig.store));
}

static void refuse_probe(int64_t ms, pollen_end_reason reason) {
    const pollen_peer_input refused = {.kind = POLLEN_PEER_INPUT_CONNECT_FAILED,
                                       .peer = rig_key(1),
                                       .attempt = 0,
                                       .reason = reason};
    assert_int_equal(rig_step(&rig, ms, &refused), POLLEN_OK);
}

static void test_who_is_alone_probes_twice_a_second(void **state) {
    (void)state;
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    assert_int_equal(rig_tick(&rig, 0), 1);
    assert_int_equal(rig.outputs[0].kind, DIRECT);
    for (int64_t ms = 500; ms < 5000; ms += 500) {
        assert_int_equal(next_ms(), ms);
        assert_int_equal(probes_at(ms - 1), 0);
        assert_int_equal(probes_at(ms), 1);
        assert_int_equal(probes_at(ms), 0);
    }
}

static void test_a_probe_names_all_addresses_and_no_attempt(void **state) {
    (void)state;
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    rig_discover(&rig, 0, 1, ADDR_B, NULL);
    (void)rig_tick(&rig, 0);
    assert_int_equal(probes_at(500), 1);
    const pollen_peer_output *probe = &rig.outputs[0];
    assert_int_equal(probe->attempt, 0);
    assert_int_equal(probe->deadline_ns, 0);
    assert_int_equal(probe->addr_count, 2);
    const pollen_addr a = rig_addr(ADDR_A);
    assert_true(pollen_addr_equal(&probe->addrs[0], &a));
}

/* An hour, once with probes and once without: the same attempts at the same times. */
static void test_probes_change_nothing_in_the_machine(void **state) {
    (void)state;
    enum { ATTEMPTS_MAX = 1000 };
    static int64_t times[2][ATTEMPTS_MAX];
    size_t counts[2] = {0};
    for (size_t run = 0; run < 2; run++) {
        rig_close(&rig);
        rig.config.probe_interval_ns = run == 0 ? 0 : PLN_MS(500);
        rig_open(&rig);
        rig_discover_permanent(&rig, 0, 1, ADDR_A);
        for (int64_t ms = 0; ms < 3600 * 1000; ms = next_ms()) {
            (void)rig_tick(&rig, ms);
            if (rig.output_count > outputs(PROBE)) {
                assert_true(counts[run] < ATTEMPTS_MAX);
                times[run][counts[run]++] = ms;
            }
        }
    }
    assert_true(counts[0] > 100);
    assert_int_equal(counts[0], counts[1]);
    assert_memory_equal(times[0], times[1], counts[0] * sizeof(times[0][0]));
}

static void test_any_session_ends_it(void **state) {
    (void)state;
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    (void)rig_tick(&rig, 0);
    rig_connect(&rig, 400, 2, ADDR_B, 1);
    assert_int_equal(probes_at(500), 0);
    assert_int_equal(probes_at(4000), 0);
    assert_int_equal(next_ms(), 5000); /* The attempt's deadline. */
}

static void test_the_end_of_the_last_session_begins_it(void **state) {
    (void)state;
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    (void)rig_tick(&rig, 0);
    rig_connect(&rig, 100, 1, ADDR_A, 1);
    rig_connect(&rig, 100, 2, ADDR_B, 2);
    rig_lost(&rig, 9000, 1, 1, POLLEN_END_GRACEFUL);
    assert_int_equal(probes_at(9600), 0); /* One is left. */
    rig_lost(&rig, 10000, 2, 2, POLLEN_END_GRACEFUL);
    assert_int_equal(probes_at(10499), 0);
    assert_int_equal(probes_at(10500), 1);
}

/* Its delay in the machine is five seconds. */
static void test_who_answers_with_a_reset_is_dialled_at_once(void **state) {
    (void)state;
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    (void)rig_tick(&rig, 0);
    rig_connect(&rig, 100, 1, ADDR_A, 1);
    rig_lost(&rig, 10000, 1, 1, POLLEN_END_RESET);
    rig_expect(&rig, 1, POLLEN_PEER_DISCOVERED, POLLEN_STAGE_EAGER_RETRY, 0, 15000);
    assert_int_equal(next_ms(), 10000);
    assert_int_equal(probes_at(10000), 1);
}

static void test_learnt_peers_are_not_probed(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    assert_int_equal(rig_tick(&rig, 0), 1);
    assert_int_equal(next_ms(), 5000);
    assert_int_equal(probes_at(4000), 0);
}

static void test_many_take_turns(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 12; i++) {
        rig_discover_permanent(&rig, 0, i, ADDR_A);
    }
    (void)rig_tick(&rig, 0);
    size_t seen[12] = {0};
    for (int64_t ms = 500; ms <= 1500; ms += 500) {
        assert_int_equal(probes_at(ms), 8);
        for (size_t i = 0; i < rig.output_count; i++) {
            seen[rig.outputs[i].peer.bytes[4]]++;
        }
    }
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(seen[i], 2);
    }
}

static void test_an_attempt_that_just_began_is_not_doubled(void **state) {
    (void)state;
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    (void)rig_tick(&rig, 300);
    assert_int_equal(probes_at(500), 0);
    assert_int_equal(probes_at(1000), 1);
}

static void test_a_refusal_ends_it_until_the_machine_dials_again(void **state) {
    (void)state;
    static const pollen_end_reason refusals[] = {POLLEN_END_REVOKED, POLLEN_END_DENIED,
                                                 POLLEN_END_CERT_EXPIRED};
    for (size_t i = 0; i < 3; i++) {
        rig_close(&rig);
        rig_open(&rig);
        rig_discover_permanent(&rig, 0, 1, ADDR_A);
        const int64_t now = rig_exhaust(&rig, 1) + 600;
        assert_int_equal(probes_at(now), 1);
        refuse_probe(now + 10, refusals[i]);
        rig_expect(&rig, 1, POLLEN_PEER_UNREACHABLE, POLLEN_STAGE_PUNCH, 0, now + 10 + 60000);
        assert_int_equal(probes_at(now + 59000), 0);
        (void)rig_tick(&rig, now + 10 + 60000);
        assert_int_equal(rig.output_count, 1);
        assert_int_equal(rig.outputs[0].kind, DIRECT);
        rig_retry(&rig, now + 70500, 1);
        assert_int_equal(probes_at(now + 71000), 0); /* The refusal stands while it is dialled. */
    }
}

static void test_a_refusal_counts_once_though_several_were_under_way(void **state) {
    (void)state;
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    const int64_t now = rig_exhaust(&rig, 1) + 600;
    assert_int_equal(probes_at(now), 1);
    refuse_probe(now + 10, POLLEN_END_DENIED);
    refuse_probe(now + 20, POLLEN_END_DENIED);
    assert_int_equal(rig_peer(&rig, 1).refusals, 1);
}

static void test_a_probe_that_was_not_answered_says_nothing(void **state) {
    (void)state;
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    const int64_t now = rig_exhaust(&rig, 1);
    assert_int_equal(probes_at(now + 600), 1);
    refuse_probe(now + 5600, POLLEN_END_IDLE_TIMEOUT);
    rig_expect(&rig, 1, POLLEN_PEER_UNREACHABLE, POLLEN_STAGE_PUNCH, 0, now + 20000);
}

static void test_a_refusal_before_any_probe_is_late(void **state) {
    (void)state;
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    refuse_probe(10, POLLEN_END_DENIED);
    rig_expect(&rig, 1, POLLEN_PEER_DISCOVERED, POLLEN_STAGE_DIRECT, 0, 0);
}

static void test_a_session_withdraws_what_was_not_pulled(void **state) {
    (void)state;
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    (void)rig_tick(&rig, 0);
    const pollen_peer_input tick = {.kind = POLLEN_PEER_INPUT_TICK};
    assert_int_equal(pollen_peer_store_step(rig.store, PLN_MS(500), &tick), POLLEN_OK);
    rig_connect(&rig, 500, 1, ADDR_A, 1); /* Pulls as well. */
    assert_int_equal(outputs(PROBE), 0);
    assert_int_equal(outputs(POLLEN_PEER_OUTPUT_CONNECTED), 1);
}

static void forget(int64_t ms, uint32_t peer) {
    const pollen_peer_input revoked = {
        .kind = POLLEN_PEER_INPUT_FORGET, .peer = rig_key(peer), .permanent = true};
    assert_int_equal(rig_step(&rig, ms, &revoked), POLLEN_OK);
}

/* In the middle of a round, too. */
static void test_the_forgotten_are_not_probed(void **state) {
    (void)state;
    for (uint32_t gone = 0; gone < 12; gone++) {
        rig_close(&rig);
        rig_open(&rig);
        for (uint32_t i = 0; i < 12; i++) {
            rig_discover_permanent(&rig, 0, i, ADDR_A);
        }
        (void)rig_tick(&rig, 0);
        const pollen_peer_input tick = {.kind = POLLEN_PEER_INPUT_TICK};
        assert_int_equal(pollen_peer_store_step(rig.store, PLN_MS(500), &tick), POLLEN_OK);
        forget(500, gone);
        for (size_t i = 0; i < rig.output_count; i++) {
            assert_int_not_equal(rig.outputs[i].peer.bytes[4], gone);
        }
        for (int64_t ms = 1000; ms < 3000; ms += 500) {
            assert_int_equal(probes_at(ms), 8);
            for (size_t i = 0; i < rig.output_count; i++) {
                assert_int_not_equal(rig.outputs[i].peer.bytes[4], gone);
            }
        }
    }
}

static void test_when_all_are_forgotten_there_is_nothing_left_to_do(void **state) {
    (void)state;
    rig_discover_permanent(&rig, 0, 1, ADDR_A);
    rig_discover_permanent(&rig, 0, 2, ADDR_A);
    (void)rig_tick(&rig, 0);
    forget(100, 2);
    forget(200, 1);
    assert_int_equal(next_ms(), RIG_NEVER);
    rig_discover_permanent(&rig, 300, 3, ADDR_A);
    (void)rig_tick(&rig, 300);
    assert_int_equal(probes_at(800), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_who_is_alone_probes_twice_a_second),
        TEST(test_a_probe_names_all_addresses_and_no_attempt),
        TEST(test_probes_change_nothing_in_the_machine),
        TEST(test_any_session_ends_it),
        TEST(test_the_end_of_the_last_session_begins_it),
        TEST(test_who_answers_with_a_reset_is_dialled_at_once),
        TEST(test_learnt_peers_are_not_probed),
        TEST(test_many_take_turns),
        TEST(test_an_attempt_that_just_began_is_not_doubled),
        TEST(test_a_refusal_ends_it_until_the_machine_dials_again),
        TEST(test_a_refusal_counts_once_though_several_were_under_way),
        TEST(test_a_probe_that_was_not_answered_says_nothing),
        TEST(test_a_refusal_before_any_probe_is_late),
        TEST(test_a_session_withdraws_what_was_not_pulled),
        TEST(test_the_forgotten_are_not_probed),
        TEST(test_when_all_are_forgotten_there_is_nothing_left_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
