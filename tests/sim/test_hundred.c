/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hundred nodes over the modelled QUIC, each of which knows one other: the view of all, the
 * sessions of all, and both again after a cut.
 *
 * POLLEN_SEED=n replays a seed; POLLEN_SIM_NODES=n takes so many nodes instead.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "run/clock.h"
#include "world.h"

/* A cluster comes together in n^3 packets: only the first story affords a hundred. */
enum { HUNDRED = 100, FEWER = 40 };

static const sim_link good = {.delay = PLN_MS(20), .jitter = PLN_MS(5), .mtu = 1472};

static size_t nodes_or(size_t nodes) {
    const char *text = getenv("POLLEN_SIM_NODES");
    return text != NULL ? (size_t)strtoull(text, NULL, 10) : nodes;
}

static double seconds(pln_dur duration) {
    return (double)duration / 1e9;
}

typedef size_t (*known_to)(sim_world *world, size_t node);

/* The first one is known by all: the hardest for it, the easiest for the rest. */
static size_t the_first(sim_world *world, size_t node) {
    (void)world;
    (void)node;
    return 0;
}

/* Each knows one of those that started before it. */
static size_t an_earlier(sim_world *world, size_t node) {
    return (size_t)pln_rng_below(sim_world_rng(world), node);
}

static sim_world *start(uint64_t seed, size_t nodes, known_to knows) {
    sim_world *world = sim_world_create(seed, &good);
    sim_world_gossip(world);
    for (size_t i = 0; i < nodes; i++) {
        (void)sim_add_node(world);
        if (i > 0) {
            sim_keep(world, i, knows(world, i));
        }
    }
    return world;
}

static void assert_within(sim_world *world, bool (*condition)(sim_world *world, void *arg),
                          pln_dur limit, const char *what) {
    const pln_ts from = sim_world_now(world);
    const pln_ts began = pln_clock_mono();
    const bool holds = sim_run_until(world, condition, NULL, limit);
    print_message("%zu nodes: %s after %.2f virtual seconds, %.2f real ones\n",
                  sim_node_count(world), what, seconds(sim_world_now(world) - from),
                  seconds(pln_clock_mono() - began));
    assert_true(holds);
}

static void meet(uint64_t seed, size_t nodes, known_to knows) {
    sim_world *world = start(seed, nodes, knows);
    const pln_ts from = sim_world_now(world);
    assert_within(world, sim_all_known, PLN_S(10), "all know of all");
    assert_within(world, sim_all_settled, PLN_S(10) - (sim_world_now(world) - from),
                  "all pairs have a session");
    /* Each says of each of its n sessions that it has it, to each of n. */
    const uint64_t n = sim_node_count(world), sent = sim_traffic(world).sent;
    print_message("%" PRIu64 " packets, %.2f n^3\n", sent, (double)sent / (double)(n * n * n));
    assert_true(sent < 4 * n * n * n);
    sim_run(world, PLN_S(60));
    assert_true(sim_all_settled(world, NULL));
    for (size_t i = 0; i < sim_node_count(world); i++) {
        assert_int_equal(sim_connections(world, i), sim_node_count(world) - 1);
    }
    sim_world_destroy(world);
}

static void test_all_know_and_reach_all_within_ten_seconds(void **state) {
    (void)state;
    meet(sim_seed_or(1), nodes_or(HUNDRED), the_first);
}

static void test_a_random_tree_becomes_a_full_mesh_as_well(void **state) {
    (void)state;
    meet(sim_seed_or(2), nodes_or(FEWER), an_earlier);
}

static void test_a_cut_of_ten_minutes_heals_within_thirty_seconds(void **state) {
    (void)state;
    sim_world *world = start(sim_seed_or(3), nodes_or(FEWER), the_first);
    assert_within(world, sim_all_settled, PLN_S(10), "all pairs have a session");
    pln_ts began = pln_clock_mono();
    sim_run(world, PLN_S(60));
    const double idle = seconds(pln_clock_mono() - began);
    print_message("idle full mesh: %.0f virtual seconds in a real one\n", 60 / idle);
    sim_partition(world, sim_node_count(world) / 2);
    began = pln_clock_mono();
    sim_run(world, PLN_S(600));
    print_message("cut in two: %.0f virtual seconds in a real one\n",
                  600 / seconds(pln_clock_mono() - began));
    sim_partition(world, 0);
    assert_within(world, sim_all_settled, PLN_S(30), "healed, a full mesh again");
    sim_world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_know_and_reach_all_within_ten_seconds),
        cmocka_unit_test(test_a_random_tree_becomes_a_full_mesh_as_well),
        cmocka_unit_test(test_a_cut_of_ten_minutes_heals_within_thirty_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
