/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Twenty nodes that all dial each other over a lossy, reordering, duplicating network, a third of
 * which is killed and restarted meanwhile: 190 pairs, each with exactly one live session in the
 * end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "world.h"

enum { NODES = 20 };

static const sim_link rough = {.delay = PLN_MS(15),
                               .jitter = PLN_MS(20),
                               .loss_ppm = 50000,
                               .duplicate_ppm = 20000,
                               .mtu = 1500 - 28};

static void dial_all(sim_world *world) {
    for (size_t a = 0; a < NODES; a++) {
        for (size_t b = 0; b < NODES; b++) {
            if (a != b && sim_is_up(world, a) && !sim_pair_settled(world, a, b)) {
                sim_connect(world, a, b, PLN_S(5));
            }
        }
    }
}

static uint64_t run_twenty(uint64_t seed) {
    sim_world *world = sim_world_create(seed, &rough);
    for (size_t i = 0; i < NODES; i++) {
        (void)sim_add_node(world);
    }
    dial_all(world);
    sim_run(world, PLN_MS(500));
    for (size_t i = 0; i < NODES; i += 3) {
        sim_kill(world, i);
        sim_run(world, pln_rng_below(sim_world_rng(world), PLN_MS(300)));
        sim_restart(world, i);
    }
    bool settled = false;
    for (int round = 0; round < 8 && !settled; round++) {
        dial_all(world);
        settled = sim_run_until(world, sim_all_settled, NULL, PLN_S(6));
    }
    assert_true(settled);
    sim_run(world, PLN_S(45));
    assert_true(sim_all_settled(world, NULL));
    for (size_t i = 0; i < NODES; i++) {
        pln_mesh_stats stats;
        pln_mesh_get_stats(sim_mesh(world, i), &stats);
        assert_int_equal(stats.quic.connections, NODES - 1);
    }
    const uint64_t hash = sim_log_hash(world);
    sim_world_destroy(world);
    return hash;
}

static void test_twenty_nodes_settle_and_replay(void **state) {
    (void)state;
    const uint64_t seed = sim_seed_or(20);
    assert_int_equal(run_twenty(seed), run_twenty(seed));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twenty_nodes_settle_and_replay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
