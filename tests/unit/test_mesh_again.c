/* SPDX-License-Identifier: Apache-2.0 */
/* Asking and dialling again: for a peer that was away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/mesh_pair.h"

static pln_op echo(mp_node *from, const mp_node *to, pln_dur timeout) {
    const pln_op op = from->next_op++;
    pln_mesh_echo(from->mesh, op, mp_key(to), 56, pln_ts_add(from->world->now.mono, timeout),
                  from->world->now);
    return op;
}

static pln_op connect_again(mp_node *from, const mp_node *to, pln_dur timeout) {
    const pln_op op = from->next_op++;
    const pln_path path = mp_path(to);
    pln_mesh_connect_again(from->mesh, op, mp_key(to), &path, 1,
                           pln_ts_add(from->world->now.mono, timeout), from->world->now);
    return op;
}

/* Whichever key is smaller.  The peer was killed and is dialling while it is asked on the session
 * that it knows nothing of. */
static void an_echo_follows_to_the_session_of_a_restarted_peer(void **state) {
    (void)state;
    for (size_t gone = 0; gone < 2; gone++) {
        mp_world *world = mp_create(1);
        world->delay = PLN_MS(50);
        (void)mp_add(world);
        (void)mp_add(world);
        mp_node *restarts = &world->nodes[gone];
        mp_node *asks = &world->nodes[1 - gone];
        mp_join(asks, restarts);
        mp_kill(restarts);
        mp_run(world, PLN_S(1));
        const pln_op op = echo(asks, restarts, PLN_S(5));
        mp_run(world, PLN_MS(200)); /* It was lost: nobody is there to reset. */
        assert_null(mp_done(asks, op));
        mp_start(restarts);
        (void)mp_connect(restarts, asks);
        const pln_mesh_event *done = mp_run_op(asks, op, PLN_MS(600));
        assert_non_null(done);
        assert_int_equal(done->err, POLLEN_OK);
        assert_in_range(done->rtt, PLN_MS(100), PLN_MS(150)); /* Not the time it was lost. */
        mp_destroy(world);
    }
}

static void an_echo_without_another_session_ends_with_its_own(void **state) {
    (void)state;
    mp_world *world = mp_create(2);
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_join(a, b);
    mp_kill(b);
    const pln_op op = echo(a, b, PLN_S(60));
    const pln_mesh_event *done = mp_run_op(a, op, PLN_S(40));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_ENOTCONN);
    mp_destroy(world);
}

/* A dial repeats itself after 0.3, 0.6, 1.2 s and more, so that after five seconds it is slow. */
static void a_path_that_is_being_tried_is_tried_again(void **state) {
    (void)state;
    mp_world *world = mp_create(3);
    mp_node *a = mp_add(world);
    mp_node *b = mp_prepare(world);
    const pln_op first = connect_again(a, b, PLN_S(60));
    for (int i = 0; i < 10; i++) {
        mp_run(world, PLN_MS(500));
        (void)connect_again(a, b, PLN_S(60));
        assert_int_equal(mp_conns(a), 2 + i);
    }
    mp_start(b);
    (void)connect_again(a, b, PLN_S(60));
    const pln_mesh_event *done = mp_run_op(a, first, PLN_MS(300));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_OK);
    mp_run(world, PLN_S(5));
    assert_int_equal(mp_conns(a), 1);
    assert_int_equal(mp_conns(b), 1);
    assert_int_equal(mp_count(b, PLN_MESH_CONNECTED), 1 + mp_count(b, PLN_MESH_DISCONNECTED));
    mp_destroy(world);
}

static void dials_under_way_have_a_bound(void **state) {
    (void)state;
    mp_world *world = mp_create(4);
    mp_node *a = mp_add(world);
    mp_node *b = mp_prepare(world);
    for (int i = 0; i < 3 * PLN_DIAL_ATTEMPTS_MAX; i++) {
        (void)connect_again(a, b, PLN_S(60));
        mp_run(world, PLN_MS(10));
        assert_in_range(mp_conns(a), 1, PLN_DIAL_ATTEMPTS_MAX);
    }
    mp_run(world, PLN_S(70)); /* All of them end. */
    assert_int_equal(mp_conns(a), 0);
    mp_destroy(world);
}

/* A dial that is merely slow is not cut by those beside it. */
static void a_far_peer_is_reached_all_the_same(void **state) {
    (void)state;
    mp_world *world = mp_create(5);
    world->delay = PLN_MS(1000);
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    for (int i = 0; i < 6; i++) {
        (void)connect_again(a, b, PLN_S(5));
        mp_run(world, PLN_MS(500));
    }
    mp_run(world, PLN_S(4));
    assert_true(mp_has_session(a, b));
    mp_run(world, PLN_S(10));
    assert_int_equal(mp_conns(a), 1);
    mp_destroy(world);
}

static void whoever_is_asked_for_without_a_session_is_wanted(void **state) {
    (void)state;
    mp_world *world = mp_create(6);
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    (void)echo(a, b, PLN_S(1));
    mp_run(world, PLN_MS(10));
    assert_int_equal(mp_count(a, PLN_MESH_WANTED), 1);
    pln_mesh_wait(a->mesh, a->next_op++, mp_key(b), pln_ts_add(world->now.mono, PLN_S(1)),
                  world->now);
    mp_run(world, PLN_MS(10));
    assert_int_equal(mp_count(a, PLN_MESH_WANTED), 2);
    pln_mesh_open_stream(a->mesh, a->next_op++, mp_key(b), 7, pln_ts_add(world->now.mono, PLN_S(1)),
                         world->now);
    mp_run(world, PLN_MS(10));
    assert_int_equal(mp_count(a, PLN_MESH_WANTED), 3);
    assert_true(pln_key_equal(&mp_find(a, PLN_MESH_WANTED, 0)->peer, mp_key(b)));
    mp_join(a, b);
    (void)echo(a, b, PLN_S(1));
    mp_run(world, PLN_S(1));
    assert_int_equal(mp_count(a, PLN_MESH_WANTED), 3);
    mp_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_echo_follows_to_the_session_of_a_restarted_peer),
        cmocka_unit_test(an_echo_without_another_session_ends_with_its_own),
        cmocka_unit_test(a_path_that_is_being_tried_is_tried_again),
        cmocka_unit_test(dials_under_way_have_a_bound),
        cmocka_unit_test(a_far_peer_is_reached_all_the_same),
        cmocka_unit_test(whoever_is_asked_for_without_a_session_is_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
