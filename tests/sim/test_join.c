/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining over a bad network: one invite each, 10 % of the packets lost each way, requests and
 * answers among them.  The same subject may ask again, so that no loss can burn an invite.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "world.h"

enum { JOINS = 200 };

static bool is_done(sim_world *world, void *arg) {
    const size_t node = *(const size_t *)arg;
    return sim_is_enrolled(world, node) || sim_saw(world, node, node)->ops_failed > 0 ||
           sim_saw(world, node, 0)->ops_failed > 0;
}

/* How long the join took, or 0 when it failed. */
static pln_dur join_once(uint64_t seed, const sim_link *link) {
    sim_world *world = sim_world_create(seed, link);
    (void)sim_add_node(world);
    size_t joiner = sim_add_outsider(world);
    pln_invite_token invite = {0};
    sim_invite(world, &invite);
    const pln_ts from = sim_world_now(world);
    sim_join(world, joiner, &invite, PLN_S(10));
    (void)sim_run_until(world, is_done, &joiner, PLN_S(11));
    const bool enrolled = sim_is_enrolled(world, joiner);
    if (!enrolled) {
        print_error("seed %" PRIu64 " did not join (replay: POLLEN_SEED=%" PRIu64 ")\n", seed,
                    seed);
    }
    const pln_dur took = sim_world_now(world) - from;
    pln_invite_token_fini(&invite);
    sim_world_destroy(world);
    return enrolled ? took : 0;
}

static void test_every_join_succeeds_at_ten_percent_loss(void **state) {
    (void)state;
    const sim_link lossy = {
        .delay = PLN_MS(20), .jitter = PLN_MS(5), .loss_ppm = 100000, .mtu = 1472};
    uint64_t seed;
    if (sim_env_seed(&seed)) {
        assert_true(join_once(seed, &lossy) > 0);
        return;
    }
    size_t joined = 0;
    pln_dur longest = 0;
    for (seed = 1; seed <= JOINS; seed++) {
        const pln_dur took = join_once(seed, &lossy);
        joined += took > 0;
        longest = took > longest ? took : longest;
    }
    print_message("%zu of %d joined, the slowest in %.1f s\n", joined, JOINS,
                  (double)longest / 1e9);
    assert_int_equal(joined, JOINS);
}

static void test_a_join_takes_few_round_trips_without_loss(void **state) {
    (void)state;
    const sim_link good = {.delay = PLN_MS(20), .mtu = 1472};
    const pln_dur took = join_once(1, &good);
    /* Two for the handshake and its confirmation, one for the answer: 3 x 40 ms, and some room. */
    assert_in_range(took, PLN_MS(80), PLN_MS(200));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_join_takes_few_round_trips_without_loss),
        cmocka_unit_test(test_every_join_succeeds_at_ten_percent_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
