/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two nodes that connect, die, restart and close at random moments over a bad network: whatever
 * happened, once the network is good again there is exactly one live session, the same one on both
 * sides.
 *
 * POLLEN_SEED=n replays one seed; POLLEN_SIM_SEEDS=n runs n of them; POLLEN_SIM_VERBOSE=1 prints
 * the log.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "world.h"

enum { SEEDS_DEFAULT = 1000 };

static sim_link draw_link(pln_rng *rng) {
    const pln_dur delay = PLN_MS(1 + pln_rng_below(rng, 80));
    return (sim_link){.delay = delay,
                      .jitter = pln_rng_below(rng, delay + 1),
                      .loss_ppm = (uint32_t)pln_rng_below(rng, 200000),
                      .duplicate_ppm = (uint32_t)pln_rng_below(rng, 50000),
                      .corrupt_ppm = (uint32_t)pln_rng_below(rng, 20000),
                      .mtu = 1500 - 28};
}

static void act(sim_world *world) {
    pln_rng *rng = sim_world_rng(world);
    const size_t one = (size_t)pln_rng_below(rng, 2);
    const size_t other = 1 - one;
    switch (pln_rng_below(rng, 6)) {
    case 0:
    case 1:
        if (sim_is_up(world, one)) {
            sim_connect(world, one, other, PLN_S(5));
        }
        return;
    case 2: /* Both at once, or nearly. */
        for (size_t i = 0; i < 2; i++) {
            if (sim_is_up(world, i)) {
                sim_connect(world, i, 1 - i, PLN_S(5));
                sim_run(world, pln_rng_below(rng, PLN_MS(100)));
            }
        }
        return;
    case 3:
        if (sim_is_up(world, one)) {
            sim_kill(world, one);
        }
        return;
    case 4:
        if (!sim_is_up(world, one)) {
            sim_restart(world, one);
        }
        return;
    default:
        if (sim_is_up(world, one)) {
            pln_mesh_close_peer(sim_mesh(world, one), sim_key(world, other), POLLEN_END_GRACEFUL,
                                (pln_now){.mono = sim_world_now(world), .wall = SIM_WALL_START});
        }
        return;
    }
}

static bool settled(sim_world *world, void *arg) {
    (void)arg;
    return sim_pair_settled(world, 0, 1);
}

static size_t live_connections(sim_world *world, size_t node) {
    pln_mesh_stats stats;
    pln_mesh_get_stats(sim_mesh(world, node), &stats);
    return stats.quic.connections;
}

static void heal(sim_world *world) {
    const sim_link good = {.delay = PLN_MS(20), .mtu = 1500 - 28};
    sim_world_set_link(world, &good);
    for (size_t i = 0; i < 2; i++) {
        if (!sim_is_up(world, i)) {
            sim_restart(world, i);
        }
    }
    /* The first dial may find a session that only its own side still believes
     * in, and end with it. */
    for (int round = 0; round < 8 && !sim_pair_settled(world, 0, 1); round++) {
        sim_connect(world, 0, 1, PLN_S(5));
        sim_run(world, pln_rng_below(sim_world_rng(world), PLN_MS(100)));
        sim_connect(world, 1, 0, PLN_S(5));
        (void)sim_run_until(world, settled, NULL, PLN_S(6));
    }
    sim_run(world, PLN_S(45)); /* What was surplus is closed, what was dead has idled out. */
}

static bool check(bool holds, const sim_world *world, const char *claim) {
    if (!holds) {
        print_error("seed %" PRIu64 ": %s (replay: POLLEN_SEED=%" PRIu64 ")\n",
                    sim_world_seed(world), claim, sim_world_seed(world));
    }
    return holds;
}

/* Runs the story of one seed; the hash of its log, or 0 when a claim fails. */
static uint64_t run_seed(uint64_t seed) {
    pln_rng_seeded link_state;
    pln_rng link_rng = pln_rng_from_seed(&link_state, seed + 1);
    const sim_link link = draw_link(&link_rng);
    sim_world *world = sim_world_create(seed, &link);
    (void)sim_add_node(world);
    (void)sim_add_node(world);

    const uint64_t acts = 2 + pln_rng_below(sim_world_rng(world), 8);
    for (uint64_t i = 0; i < acts; i++) {
        act(world);
        sim_run(world, pln_rng_below(sim_world_rng(world), PLN_S(2)));
    }
    heal(world);

    const uint8_t payload[64] = {0};
    const uint64_t before[2] = {sim_saw(world, 0, 1)->packets, sim_saw(world, 1, 0)->packets};
    bool good = check(sim_pair_settled(world, 0, 1), world, "both have the session");
    good = good && check(live_connections(world, 0) == 1 && live_connections(world, 1) == 1, world,
                         "exactly one live session on both sides");
    good = good && check(sim_send(world, 0, 1, payload, sizeof payload) == POLLEN_OK &&
                             sim_send(world, 1, 0, payload, sizeof payload) == POLLEN_OK,
                         world, "both can send");
    sim_run(world, PLN_S(1));
    good = good && check(sim_saw(world, 0, 1)->packets == before[0] + 1 &&
                             sim_saw(world, 1, 0)->packets == before[1] + 1,
                         world, "both receive");
    const uint64_t hash = good ? sim_log_hash(world) : 0;
    sim_world_destroy(world);
    return hash;
}

static void test_every_seed_ends_with_one_live_session(void **state) {
    (void)state;
    uint64_t seed;
    if (sim_env_seed(&seed)) {
        assert_true(run_seed(seed) != 0);
        return;
    }
    const char *text = getenv("POLLEN_SIM_SEEDS");
    const uint64_t seeds = text != NULL ? strtoull(text, NULL, 10) : SEEDS_DEFAULT;
    uint64_t failed = 0;
    for (seed = 1; seed <= seeds; seed++) {
        failed += run_seed(seed) == 0;
    }
    print_message("%" PRIu64 " seeds, %" PRIu64 " failed\n", seeds, failed);
    assert_int_equal(failed, 0);
}

static void test_a_seed_gives_the_same_log_again(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        const uint64_t first = run_seed(seed);
        const uint64_t second = run_seed(seed);
        assert_int_not_equal(first, 0);
        assert_int_equal(first, second);
    }
    assert_int_not_equal(run_seed(1), run_seed(2));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_seed_gives_the_same_log_again),
        cmocka_unit_test(test_every_seed_ends_with_one_live_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
