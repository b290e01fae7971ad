/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revocations over a cluster: wherever the news comes, and whenever, the revoked one is out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "node/cluster.h"
#include "world.h"

enum { NODES = 8, CUT = 4, OUT = 7 }; /* OUT is to be revoked; it is on the far side of the cut. */

/* From the moment in which a node knows. */
#define AT_ONCE PLN_S(5)

static sim_world *full_mesh(uint64_t seed) {
    const sim_link link = {.delay = PLN_MS(20), .jitter = PLN_MS(5), .mtu = 1472};
    sim_world *world = sim_world_create(seed, &link);
    sim_world_gossip(world);
    for (size_t i = 0; i < NODES; i++) {
        (void)sim_add_node(world);
    }
    for (size_t i = 1; i < NODES; i++) {
        sim_keep(world, i, 0); /* In the configuration, so that it is dialled for ever. */
    }
    sim_keep(world, 1, OUT);
    assert_true(sim_run_until(world, sim_all_settled, NULL, PLN_S(30)));
    return world;
}

static void revoke(sim_world *world, size_t at, size_t who) {
    assert_int_equal(pln_node_revoke(sim_node(world, at), sim_key(world, who), sim_now(world, at)),
                     POLLEN_OK);
    sim_poke(world, at);
}

static bool knows(sim_world *world, size_t node) {
    return sim_is_up(world, node) &&
           pln_state_is_revoked(pln_node_state(sim_node(world, node)), sim_key(world, OUT));
}

static bool has_session(sim_world *world, size_t node, size_t peer) {
    pln_session_info info;
    return sim_is_up(world, node) &&
           pln_mesh_session_info(sim_mesh(world, node), sim_key(world, peer), &info) == POLLEN_OK;
}

static bool keeps(sim_world *world, size_t node, size_t peer) {
    pollen_peer info;
    for (size_t i = 0; pln_node_peer_at(sim_node(world, node), i, &info) == POLLEN_OK; i++) {
        if (pln_key_equal(&info.key, sim_key(world, peer))) {
            return true;
        }
    }
    return false;
}

static size_t count_sessions_of_out(sim_world *world) {
    size_t count = 0;
    for (size_t i = 0; i < NODES; i++) {
        count += i != OUT && has_session(world, i, OUT);
    }
    return count;
}

static bool anybody_beyond_knows(sim_world *world, void *arg) {
    (void)arg;
    for (size_t i = CUT; i < NODES; i++) {
        if (i != OUT && knows(world, i)) {
            return true;
        }
    }
    return false;
}

static bool it_is_out(sim_world *world, void *arg) {
    (void)arg;
    for (size_t i = 0; i < NODES; i++) {
        if (i != OUT && (!knows(world, i) || has_session(world, i, OUT))) {
            return false;
        }
    }
    return true;
}

/* Nobody of those who know has a session with it, or a mind to have one. */
static void assert_stays_out(sim_world *world, pln_dur duration) {
    for (pln_dur passed = 0; passed < duration; passed += PLN_S(1)) {
        sim_run(world, PLN_S(1));
        assert_int_equal(count_sessions_of_out(world), 0);
        for (size_t i = 0; i < NODES; i++) {
            assert_false(i != OUT && keeps(world, i, OUT));
        }
    }
}

static void test_the_issuer_and_all_others_close_at_once(void **state) {
    (void)state;
    sim_world *world = full_mesh(1);
    revoke(world, 0, OUT);
    assert_false(has_session(world, 0, OUT)); /* The issuer is no exception. */
    assert_true(sim_run_until(world, it_is_out, NULL, AT_ONCE));
    sim_run(world, PLN_S(1)); /* Until the last close has arrived. */
    for (size_t i = 0; i < NODES; i++) {
        assert_true(i == OUT || sim_saw(world, i, OUT)->last_reason == POLLEN_END_REVOKED);
        assert_true(i == OUT || sim_saw(world, OUT, i)->last_reason == POLLEN_END_REVOKED);
    }
    assert_stays_out(world, PLN_S(60));
    sim_world_destroy(world);
}

static void test_a_revocation_during_a_partition_closes_when_it_heals(void **state) {
    (void)state;
    sim_world *world = full_mesh(2);
    sim_partition(world, CUT);
    sim_run(world, PLN_S(60)); /* The sessions across the cut have died of silence. */
    revoke(world, 0, OUT);
    sim_run(world, PLN_S(60));
    assert_int_equal(count_sessions_of_out(world), NODES - CUT - 1); /* Its side knows nothing. */
    const uint64_t generation = sim_saw(world, CUT, OUT)->last_generation;
    sim_partition(world, 0);
    assert_true(sim_run_until(world, anybody_beyond_knows, NULL, PLN_S(120)));
    assert_true(sim_run_until(world, it_is_out, NULL, AT_ONCE));
    assert_int_equal(sim_saw(world, CUT, OUT)->last_generation, generation);
    assert_stays_out(world, PLN_S(120));
    sim_world_destroy(world);
}

/* A node that slept through the news lets the revoked one in, until it hears. */
static void test_who_comes_back_elsewhere_is_refused_once_that_is_known(void **state) {
    (void)state;
    enum { LATE = 6 };
    sim_world *world = full_mesh(3);
    sim_kill(world, LATE);
    sim_run(world, PLN_S(60));
    revoke(world, 0, OUT);
    assert_true(sim_run_until(world, anybody_beyond_knows, NULL, AT_ONCE));
    sim_run(world, PLN_S(60));
    sim_set_side(world, LATE, 1);
    sim_set_side(world, OUT, 1);
    sim_restart(world, LATE);
    sim_keep(world, LATE, 0);
    sim_connect(world, OUT, LATE, PLN_S(5));
    sim_run(world, PLN_S(5));
    assert_true(has_session(world, LATE, OUT));
    assert_false(knows(world, LATE));
    sim_set_side(world, LATE, 0);
    sim_set_side(world, OUT, 0);
    for (unsigned i = 0; i < 120 && !knows(world, LATE); i++) {
        sim_run(world, PLN_S(1));
    }
    assert_true(knows(world, LATE));
    assert_true(sim_run_until(world, it_is_out, NULL, AT_ONCE));
    assert_stays_out(world, PLN_S(60));
    sim_world_destroy(world);
}

/* Nothing of a run reaches into the next: the killed node asks everybody again. */
static void test_a_restart_does_not_help_the_revoked(void **state) {
    (void)state;
    sim_world *world = full_mesh(4);
    revoke(world, 0, OUT);
    assert_true(sim_run_until(world, it_is_out, NULL, AT_ONCE));
    sim_kill(world, OUT);
    sim_restart(world, OUT);
    for (size_t i = 0; i < NODES - 1; i++) {
        sim_keep(world, OUT, i);
    }
    assert_stays_out(world, PLN_S(60));
    sim_world_destroy(world);
}

/* Certificates run out everywhere at once: sessions end with the reason, nodes do not. */
static void test_certificates_that_ran_out_end_sessions_and_no_node(void **state) {
    (void)state;
    sim_world *world = full_mesh(5);
    for (size_t i = 0; i < NODES; i++) {
        sim_jump_wall(world, i, 2 * 365 * 86400);
    }
    sim_run(world, PLN_S(3700)); /* Looked at each hour at least. */
    for (size_t a = 0; a < NODES; a++) {
        assert_true(sim_is_up(world, a));
        for (size_t b = 0; b < NODES; b++) {
            assert_false(a != b && has_session(world, a, b));
            assert_true(a == b || sim_saw(world, a, b)->last_reason == POLLEN_END_CERT_EXPIRED);
        }
    }
    sim_world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_issuer_and_all_others_close_at_once),
        cmocka_unit_test(test_a_revocation_during_a_partition_closes_when_it_heals),
        cmocka_unit_test(test_who_comes_back_elsewhere_is_refused_once_that_is_known),
        cmocka_unit_test(test_a_restart_does_not_help_the_revoked),
        cmocka_unit_test(test_certificates_that_ran_out_end_sessions_and_no_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
