/* SPDX-License-Identifier: Apache-2.0 */
/* A node comes to know its NAT, though much of what is said gets lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "world.h"

enum { ROOT = 0, SEEDS = 40, ELSEWHERE_MAX = 2 };

static const sim_link lossy = {
    .delay = PLN_MS(20), .jitter = PLN_MS(2), .loss_ppm = 200000, .mtu = 1472};

/* With the root and one more in the open, so that neither of the two words may be missing. */
static pln_nat_verdict verdict_after(uint64_t seed, sim_nat_kind kind, pln_dur time) {
    sim_world *world = sim_world_create(seed, &lossy);
    sim_world_gossip(world);
    (void)sim_add_node(world);
    sim_keep(world, sim_add_node(world), ROOT);
    const size_t node = sim_add_node_behind(world, sim_add_nat(world, kind, SIM_CORE));
    sim_keep(world, node, ROOT);
    sim_run(world, time);
    pln_nat_verdict verdict;
    const pln_now now = {.mono = sim_world_now(world), .wall = SIM_WALL_START};
    pln_node_judge_nat(sim_node(world, node), now, &verdict);
    sim_world_destroy(world);
    return verdict;
}

/* A punch that began too early to know the NAT may leave the session with the other one on another
 * socket than the root's: both words have come then, and do not tell. */
static void assert_all_know(sim_nat_kind kind, pollen_nat_mapping mapping) {
    size_t knowing = 0;
    size_t elsewhere = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const pln_nat_verdict verdict = verdict_after(seed, kind, PLN_S(20));
        knowing += verdict.mapping == mapping;
        elsewhere += verdict.doubt == PLN_NAT_DOUBT_ONE_SOCKET;
        if (verdict.mapping != mapping) {
            const char *doubt = pln_nat_doubt_name(verdict.doubt);
            printf("  seed %u: %s\n", (unsigned)seed, doubt != NULL ? doubt : "another mapping");
        }
    }
    assert_int_equal(knowing + elsewhere, SEEDS);
    assert_in_range(elsewhere, 0, ELSEWHERE_MAX);
}

static void words_that_get_lost_are_said_again(void **state) {
    (void)state;
    assert_all_know(SIM_NAT_PLAIN, POLLEN_NAT_MAPPING_EASY);
    assert_all_know(SIM_NAT_EDM_RANDOM, POLLEN_NAT_MAPPING_HARD);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_that_get_lost_are_said_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
