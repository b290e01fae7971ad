/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kept peer: dialled until it answers, again after every end, and each side learns from the other
 * at which address it is seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "world.h"

static const sim_link near_by = {.delay = PLN_MS(10), .mtu = 1472};

static bool settled(sim_world *world, void *arg) {
    (void)arg;
    return sim_pair_settled(world, 0, 1);
}

static sim_world *pair(uint64_t seed) {
    sim_world *world = sim_world_create(seed, &near_by);
    (void)sim_add_node(world);
    (void)sim_add_node(world);
    return world;
}

static void assert_peer_state(sim_world *world, size_t node, pollen_peer_state state) {
    pollen_peer peer;
    assert_int_equal(pln_node_peer_at(sim_node(world, node), 0, &peer), POLLEN_OK);
    assert_int_equal(peer.state, state);
    assert_true(peer.permanent);
}

static void test_a_kept_peer_is_connected_at_once(void **state) {
    (void)state;
    sim_world *world = pair(1);
    sim_keep(world, 1, 0);
    assert_true(sim_run_until(world, settled, NULL, PLN_MS(200)));
    assert_peer_state(world, 1, POLLEN_PEER_CONNECTED);
    sim_world_destroy(world);
}

static void test_a_kept_peer_that_comes_late_is_found(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 20; i++) {
        sim_world *world = pair(20 + i);
        sim_kill(world, 0);
        sim_keep(world, 1, 0);
        sim_run(world, PLN_S(30) + i * PLN_MS(53));
        assert_false(sim_pair_settled(world, 0, 1));
        sim_restart(world, 0);
        /* Probes are a second apart, or a fifth more by jitter, and each repeats itself. */
        assert_true(sim_run_until(world, settled, NULL, PLN_MS(1300)));
        sim_run(world, PLN_S(10));
        assert_int_equal(sim_saw(world, 1, 0)->connected, 1);
        assert_int_equal(sim_saw(world, 0, 1)->connected, 1);
        sim_world_destroy(world);
    }
}

/* The bound above is not for near peers alone: the handshake comes on top. */
static void test_a_kept_peer_far_away_that_comes_late_is_found(void **state) {
    (void)state;
    const sim_link far_away = {.delay = PLN_MS(350), .mtu = 1472};
    sim_world *world = sim_world_create(40, &far_away);
    (void)sim_add_node(world);
    (void)sim_add_node(world);
    sim_kill(world, 0);
    sim_keep(world, 1, 0);
    sim_run(world, PLN_S(30));
    sim_restart(world, 0);
    assert_true(sim_run_until(world, settled, NULL, PLN_S(3)));
    sim_world_destroy(world);
}

static void test_a_kept_peer_is_dialled_again_after_it_was_killed(void **state) {
    (void)state;
    sim_world *world = pair(3);
    sim_keep(world, 1, 0);
    assert_true(sim_run_until(world, settled, NULL, PLN_S(1)));
    sim_kill(world, 0);
    sim_run(world, PLN_S(2));
    sim_restart(world, 0);
    /* The reset of the restarted peer answers the next PING, and whoever is alone then dials at
     * once. */
    sim_run(world, PLN_S(40));
    assert_true(sim_pair_settled(world, 0, 1));
    assert_int_equal(sim_saw(world, 1, 0)->connected, 2);
    assert_int_equal(sim_saw(world, 1, 0)->disconnected, 1);
    assert_int_equal(sim_saw(world, 1, 0)->last_reason, POLLEN_END_RESET);
    sim_world_destroy(world);
}

static void test_both_learn_the_address_they_are_seen_at(void **state) {
    (void)state;
    sim_world *world = pair(4);
    sim_keep(world, 1, 0);
    assert_true(sim_run_until(world, settled, NULL, PLN_S(1)));
    sim_run(world, PLN_MS(100));
    for (size_t i = 0; i < 2; i++) {
        pln_observed seen;
        assert_int_equal(pln_node_observed_at(sim_node(world, i), 0, &seen), POLLEN_OK);
        const pollen_addr own = sim_addr(world, i);
        assert_true(pollen_addr_equal(&seen.addr, &own));
        assert_true(pln_key_equal(&seen.peer, sim_key(world, 1 - i)));
    }
    /* A peer that is gone bears witness no more. */
    sim_kill(world, 0);
    sim_run(world, PLN_S(40));
    pln_observed seen;
    assert_int_equal(pln_node_observed_at(sim_node(world, 1), 0, &seen), POLLEN_ENOENT);
    sim_world_destroy(world);
}

static void test_our_own_key_is_not_kept(void **state) {
    (void)state;
    sim_world *world = pair(5);
    const pollen_addr addr = sim_addr(world, 0);
    const pln_now now = {.mono = sim_world_now(world), .wall = SIM_WALL_START};
    assert_int_equal(pln_node_add_bootstrap(sim_node(world, 0), sim_key(world, 0), &addr, 1, now),
                     POLLEN_EINVAL);
    assert_int_equal(pln_node_peer_count(sim_node(world, 0)), 0);
    sim_world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_kept_peer_is_connected_at_once),
        cmocka_unit_test(test_a_kept_peer_that_comes_late_is_found),
        cmocka_unit_test(test_a_kept_peer_far_away_that_comes_late_is_found),
        cmocka_unit_test(test_a_kept_peer_is_dialled_again_after_it_was_killed),
        cmocka_unit_test(test_both_learn_the_address_they_are_seen_at),
        cmocka_unit_test(test_our_own_key_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
