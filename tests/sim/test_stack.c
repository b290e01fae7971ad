/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole stack, real QUIC and TLS, through what networks and machines do to it: a long cut, a
 * network that does everything wrong at once, calendars that leap, a machine that sleeps.  Whatever
 * happened, once it is over all pairs have their one session again.
 *
 * POLLEN_SEED=n replays a seed; POLLEN_SIM_VERBOSE=1 prints the log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "run/clock.h"
#include "world.h"

enum { TWENTY = 20, SIX = 6 };

static const sim_link good = {.delay = PLN_MS(20), .jitter = PLN_MS(5), .mtu = 1472};

static double seconds(pln_dur duration) {
    return (double)duration / 1e9;
}

/* Members that know the first one, a full mesh. */
static sim_world *mesh_of(size_t nodes, uint64_t seed) {
    sim_world *world = sim_world_create(seed, &good);
    sim_world_gossip(world);
    for (size_t i = 0; i < nodes; i++) {
        (void)sim_add_node(world);
        if (i > 0) {
            sim_keep(world, i, 0);
        }
    }
    assert_true(sim_run_until(world, sim_all_settled, NULL, PLN_S(30)));
    return world;
}

static void assert_settles_within(sim_world *world, pln_dur limit, const char *what) {
    const pln_ts from = sim_world_now(world);
    const bool settled = sim_run_until(world, sim_all_settled, NULL, limit);
    print_message("%s: full mesh after %.2f virtual seconds\n", what,
                  seconds(sim_world_now(world) - from));
    assert_true(settled);
}

static void test_a_cut_of_ten_minutes_heals_within_thirty_seconds(void **state) {
    (void)state;
    sim_world *world = mesh_of(TWENTY, sim_seed_or(1));
    sim_partition(world, TWENTY / 2);
    sim_run(world, PLN_S(600));
    assert_false(sim_pair_settled(world, 0, TWENTY - 1));
    assert_true(sim_pair_settled(world, 0, 1));
    assert_true(sim_pair_settled(world, TWENTY - 2, TWENTY - 1));
    sim_partition(world, 0);
    assert_settles_within(world, PLN_S(30), "cut for ten minutes");
    sim_world_destroy(world);
}

/* The nodes' own work, not the wait: how much virtual time passes in one real second. */
static void test_twenty_nodes_run_faster_than_time(void **state) {
    (void)state;
    sim_world *world = mesh_of(TWENTY, sim_seed_or(2));
    const pln_ts from = sim_world_now(world);
    const pln_ts began = pln_clock_mono();
    sim_run(world, PLN_S(120));
    const double real = seconds(pln_clock_mono() - began);
    print_message("%d nodes, idle full mesh: %.0f virtual seconds in a real one\n", TWENTY,
                  seconds(sim_world_now(world) - from) / (real > 0 ? real : 1));
    assert_true(sim_all_settled(world, NULL));
    sim_world_destroy(world);
}

/* ---- Everything at once ---------------------------------------------------------------------- */

static void leap_one(sim_world *world) {
    /* Forwards by up to a month and back to the truth: within what certificates allow. */
    pln_rng *rng = sim_world_rng(world);
    const size_t node = (size_t)pln_rng_below(rng, sim_node_count(world));
    const int64_t ahead = sim_now(world, node).wall - sim_now(world, 0).wall;
    sim_jump_wall(world, node, ahead > 0 ? -ahead : (int64_t)pln_rng_below(rng, 30 * 86400));
}

static uint64_t live_through_a_storm(uint64_t seed) {
    const sim_link storm = {.delay = PLN_MS(10),
                            .jitter = PLN_MS(80),
                            .loss_ppm = 300000,
                            .duplicate_ppm = 100000,
                            .mtu = 1472};
    sim_world *world = mesh_of(SIX, seed);
    sim_world_set_link(world, &storm);
    for (int i = 0; i < 60; i++) {
        leap_one(world);
        sim_run(world, PLN_S(5));
    }
    /* Still in the storm. */
    assert_settles_within(world, PLN_S(300), "30 % loss, reordering, duplicates, leaps");
    sim_world_set_link(world, &good);
    assert_settles_within(world, PLN_S(60), "after it");
    sim_run(world, PLN_S(60));
    for (size_t i = 0; i < SIX; i++) {
        assert_int_equal(sim_connections(world, i), SIX - 1);
    }
    const uint64_t hash = sim_log_hash(world);
    sim_world_destroy(world);
    return hash;
}

static void test_a_storm_is_lived_through_and_replays(void **state) {
    (void)state;
    const uint64_t seed = sim_seed_or(3);
    assert_int_equal(live_through_a_storm(seed), live_through_a_storm(seed));
}

/* ---- Sleep ----------------------------------------------------------------------------------- */

static void sleep_two_hours(uint64_t seed, bool clock_stands, const char *what) {
    sim_world *world = mesh_of(SIX, seed);
    const size_t sleeper = 3;
    sim_sleep(world, sleeper, PLN_S(7200), clock_stands);
    sim_run(world, PLN_S(7199));
    for (size_t i = 0; i < SIX; i++) {
        if (i != sleeper) {
            assert_int_equal(pln_mesh_session_count(sim_mesh(world, i)), SIX - 2);
        }
    }
    sim_run(world, PLN_S(1));
    assert_settles_within(world, PLN_S(60), what);
    sim_world_destroy(world);
}

static void test_a_machine_that_slept_is_back_within_a_minute(void **state) {
    (void)state;
    const uint64_t seed = sim_seed_or(4);
    sleep_two_hours(seed, true, "slept for two hours, clock frozen");
    sleep_two_hours(seed, false, "slept for two hours, clock running");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cut_of_ten_minutes_heals_within_thirty_seconds),
        cmocka_unit_test(test_twenty_nodes_run_faster_than_time),
        cmocka_unit_test(test_a_storm_is_lived_through_and_replays),
        cmocka_unit_test(test_a_machine_that_slept_is_back_within_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
