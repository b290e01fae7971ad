/* SPDX-License-Identifier: Apache-2.0 */
/* The peer store's budget for dials, and what it refuses. */

#include "support/peer_fixture.h"

static int64_t next_expiry(void) {
    return rig_ms(pollen_peer_store_next_expiry(rig.store));
}

/* ---- The budget for dials -------------------------------------------------------------------- */

static void test_attempts_in_flight_are_bounded_and_the_rest_waits_its_turn(void **state) {
    (void)state;
    rig.config.dials_max = 3;
    reopen();
    for (uint32_t i = 0; i < 5; i++) {
        rig_discover(&rig, 0, i, ADDR_A, NULL);
    }
    assert_int_equal(rig_tick(&rig, 0), 3);
    assert_int_equal(rig_tick(&rig, 10), 0);
    assert_int_equal(next_expiry(), 5000); /* Of an attempt: nothing else makes room. */
    rig_connect(&rig, 20, 0, ADDR_A, 1);
    assert_int_equal(next_expiry(), 0);
    assert_int_equal(rig_tick(&rig, 20), 1);
    pollen_key next = rig_key(3);
    assert_memory_equal(&rig.outputs[0].peer, &next, sizeof(next));
    assert_int_equal(rig_tick(&rig, 5000), 1); /* Two attempts failed; only peer 4 is due. */
}

static void test_a_forgotten_peer_gives_its_place_back(void **state) {
    (void)state;
    rig.config.dials_max = 1;
    reopen();
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_discover(&rig, 0, 2, ADDR_A, NULL);
    assert_int_equal(rig_tick(&rig, 0), 1);
    rig_forget(&rig, 1, 1);
    assert_int_equal(rig_tick(&rig, 1), 1);
}

static void test_dials_in_a_second_are_bounded(void **state) {
    (void)state;
    rig.config.dials_per_second = 10;
    rig.config.dials_burst = 1;
    reopen();
    for (uint32_t i = 0; i < 5; i++) {
        rig_discover(&rig, 0, i, ADDR_A, NULL);
    }
    assert_int_equal(rig_tick(&rig, 0), 1);
    assert_int_equal(next_expiry(), 100);
    assert_int_equal(rig_tick(&rig, 99), 0);
    assert_int_equal(rig_tick(&rig, 100), 1);
    assert_int_equal(rig_tick(&rig, 1000), 1); /* What was not used is not saved up. */
}

static void test_a_thousand_dead_peers_do_not_exceed_the_rate(void **state) {
    (void)state;
    rig.config.dials_max = 64;
    rig.config.dials_per_second = 50;
    reopen();
    for (uint32_t i = 0; i < 1000; i++) {
        rig_discover(&rig, 0, i, ADDR_A, NULL);
    }
    size_t dials = 0;
    for (int64_t now = 0; now < 60000; now += 100) {
        size_t started = rig_tick(&rig, now);
        assert_true(started <= 64);
        dials += started;
    }
    assert_in_range(dials, 48 * 6, 48 * 13); /* Slots of five to ten seconds each. */
}

static void test_a_peer_that_was_there_does_not_wait_behind_those_that_never_were(void **state) {
    (void)state;
    rig.config.dials_max = 8;
    reopen();
    for (uint32_t i = 0; i < 100; i++) {
        rig_discover(&rig, 0, i, ADDR_A, NULL);
    }
    rig_connect(&rig, 0, 500, ADDR_A, 1);
    assert_int_equal(rig_tick(&rig, 0), 6);
    rig_lost(&rig, 100, 500, 1, POLLEN_END_IDLE_TIMEOUT);
    rig_retry(&rig, 200, 99);
    pollen_key asked_for = rig_key(99);
    assert_int_equal(rig_tick(&rig, 200), 1);
    assert_memory_equal(&rig.outputs[0].peer, &asked_for, sizeof(asked_for));
    rig_expect_dial_at(&rig, 1100, 500, DIAL_EAGER);
}

/* ---- Misuse ---------------------------------------------------------------------------------- */

static void test_time_that_goes_back_is_refused(void **state) {
    (void)state;
    const pollen_peer_input tick = {.kind = POLLEN_PEER_INPUT_TICK};
    assert_int_equal(rig_step(&rig, 1000, &tick), POLLEN_OK);
    assert_int_equal(rig_step(&rig, 999, &tick), POLLEN_EINVAL);
    assert_int_equal(rig_step(&rig, 1000, &tick), POLLEN_OK);
    assert_int_equal(pollen_peer_store_step(rig.store, POLLEN_PEER_NEVER, &tick), POLLEN_EINVAL);
}

static void test_inputs_out_of_range_are_refused(void **state) {
    (void)state;
    const pollen_peer_input inputs[] = {
        {.kind = (pollen_peer_input_kind)99},
        {.kind = POLLEN_PEER_INPUT_DISCOVER, .addr_count = 1},
        {.kind = POLLEN_PEER_INPUT_DISCONNECTED, .reason = (pollen_end_reason)99},
    };
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        assert_int_equal(rig_step(&rig, 0, &inputs[i]), POLLEN_EINVAL);
    }
    assert_int_equal(pollen_peer_store_count(rig.store), 0);
}

static void test_configurations_that_cannot_work_are_refused(void **state) {
    (void)state;
    pollen_peer_store *store = NULL;
    pollen_peer_store_config config;
    pollen_peer_store_config_init(&config);
    assert_int_equal(pollen_peer_store_create(&config, &store), POLLEN_EINVAL); /* No source. */
    config.jitter_percent = 0;
    pollen_peer_store_config good = config;
    config.size = 0;
    assert_int_equal(pollen_peer_store_create(&config, &store), POLLEN_EINVAL);
    config = good;
    config.punch_timeout_ns = 0;
    assert_int_equal(pollen_peer_store_create(&config, &store), POLLEN_EINVAL);
    config = good;
    config.peers_max = 0;
    assert_int_equal(pollen_peer_store_create(&config, &store), POLLEN_EINVAL);
    assert_null(store);
    assert_int_equal(pollen_peer_store_create(&good, &store), POLLEN_OK);
    pollen_peer_store_destroy(store);
    pollen_peer_store_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_attempts_in_flight_are_bounded_and_the_rest_waits_its_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_forgotten_peer_gives_its_place_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_dials_in_a_second_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_thousand_dead_peers_do_not_exceed_the_rate, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_a_peer_that_was_there_does_not_wait_behind_those_that_never_were, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_that_goes_back_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_inputs_out_of_range_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_configurations_that_cannot_work_are_refused, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
