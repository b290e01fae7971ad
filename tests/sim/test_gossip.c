/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members that know one peer each, and learn of all others: a full mesh without being told, and
 * again after some were killed.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "world.h"

enum { NODES = 20 };

static sim_world *star(uint64_t seed, const sim_link *link) {
    sim_world *world = sim_world_create(seed, link);
    sim_world_gossip(world);
    for (size_t i = 0; i < NODES; i++) {
        (void)sim_add_node(world);
    }
    for (size_t i = 1; i < NODES; i++) {
        sim_keep(world, i, 0);
    }
    return world;
}

static double seconds_since(const sim_world *world, pln_ts from) {
    return (double)(sim_world_now(world) - from) / 1e9;
}

static void test_twenty_that_know_one_become_a_full_mesh(void **state) {
    (void)state;
    const sim_link good = {.delay = PLN_MS(20), .jitter = PLN_MS(5), .mtu = 1472};
    sim_world *world = star(1, &good);
    const pln_ts from = sim_world_now(world);
    assert_true(sim_run_until(world, sim_all_settled, NULL, PLN_S(10)));
    print_message("full mesh of %d after %.2f virtual seconds\n", NODES,
                  seconds_since(world, from));
    sim_world_destroy(world);
}

static void test_a_lossy_network_only_takes_longer(void **state) {
    (void)state;
    const sim_link lossy = {.delay = PLN_MS(20),
                            .jitter = PLN_MS(30),
                            .loss_ppm = 100000,
                            .duplicate_ppm = 20000,
                            .mtu = 1472};
    sim_world *world = star(2, &lossy);
    const pln_ts from = sim_world_now(world);
    assert_true(sim_run_until(world, sim_all_settled, NULL, PLN_S(60)));
    print_message("at 10 %% loss after %.2f virtual seconds\n", seconds_since(world, from));
    sim_world_destroy(world);
}

static void test_the_killed_come_back_to_a_full_mesh(void **state) {
    (void)state;
    const sim_link good = {.delay = PLN_MS(20), .mtu = 1472};
    sim_world *world = star(3, &good);
    assert_true(sim_run_until(world, sim_all_settled, NULL, PLN_S(10)));
    for (size_t i = 1; i < NODES; i += 4) {
        sim_kill(world, i);
    }
    sim_run(world, PLN_S(5));
    for (size_t i = 1; i < NODES; i += 4) {
        sim_restart(world, i);
        sim_keep(world, i, 0);
    }
    const pln_ts from = sim_world_now(world);
    assert_true(sim_run_until(world, sim_all_settled, NULL, PLN_S(45)));
    print_message("again after %.2f virtual seconds\n", seconds_since(world, from));
    sim_world_destroy(world);
}

/* Rounds come every nine to eleven seconds.  Without PINGs nothing else wakes an idle node. */
static void test_rounds_come_on_time_with_nothing_else_to_wake_for(void **state) {
    (void)state;
    const sim_link good = {.delay = PLN_MS(20), .mtu = 1472};
    sim_world *world = sim_world_create(4, &good);
    sim_world_gossip(world);
    sim_world_without_pings(world);
    (void)sim_add_node(world);
    (void)sim_add_node(world);
    sim_keep(world, 1, 0);
    sim_run(world, PLN_S(30));
    assert_true(sim_pair_settled(world, 0, 1));
    const uint64_t before = sim_traffic(world).sent;
    sim_run(world, PLN_S(120));
    const uint64_t sent = sim_traffic(world).sent - before;
    print_message("%" PRIu64 " packets in two idle minutes\n", sent);
    assert_in_range(sent, 2 * 10, 4 * 2 * 14);
    sim_world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twenty_that_know_one_become_a_full_mesh),
        cmocka_unit_test(test_a_lossy_network_only_takes_longer),
        cmocka_unit_test(test_the_killed_come_back_to_a_full_mesh),
        cmocka_unit_test(test_rounds_come_on_time_with_nothing_else_to_wake_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
