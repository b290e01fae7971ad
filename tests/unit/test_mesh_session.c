/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: connecting, refusing, ending, and exactly one pair of events for each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/key.h"
#include "support/mesh_pair.h"

static int setup(void **state) {
    *state = mp_create(1);
    return 0;
}

static int teardown(void **state) {
    mp_destroy(*state);
    return 0;
}

/* ---- Connecting ------------------------------------------------------------------------------ */

static void connect_gives_each_side_one_connected_event(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    pln_op op = mp_connect(a, b);
    assert_null(mp_done(a, op)); /* Never from within the command. */
    const pln_mesh_event *done = mp_run_op(a, op, PLN_S(1));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_OK);
    mp_run(world, PLN_S(5));

    assert_int_equal(mp_count(a, PLN_MESH_CONNECTED), 1);
    assert_int_equal(mp_count(b, PLN_MESH_CONNECTED), 1);
    const pln_mesh_event *at_a = mp_find(a, PLN_MESH_CONNECTED, 0);
    const pln_mesh_event *at_b = mp_find(b, PLN_MESH_CONNECTED, 0);
    assert_true(pln_key_equal(&at_a->peer, mp_key(b)));
    assert_true(pln_key_equal(&at_b->peer, mp_key(a)));
    assert_false(at_a->inbound);
    assert_true(at_b->inbound);
    assert_true(at_a->speaks_2);
    assert_true(pollen_addr_equal(&at_a->addr, &b->addr));
    assert_int_equal(mp_count(a, PLN_MESH_DISCONNECTED), 0);
    assert_int_equal(mp_sessions(a), 1);
    assert_int_equal(mp_sessions(b), 1);
}

static void connected_at_the_dialler_takes_two_round_trips(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    pln_ts began = world->now.mono;
    assert_non_null(mp_run_op(a, mp_connect(a, b), PLN_S(1)));
    /* Not after one, when its own handshake is complete but the far end has not judged it. */
    assert_in_range(world->now.mono - began, PLN_MS(40), PLN_MS(41)); /* Packets are paced. */
}

static void second_connect_is_done_at_once(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_join(a, b);
    pln_path nowhere = mp_nowhere(1);
    pln_op op = mp_connect_paths(a, mp_key(b), &nowhere, 1, PLN_S(1));
    assert_null(mp_done(a, op));
    const pln_mesh_event *done = mp_run_op(a, op, 0);
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_OK);
    mp_run(world, PLN_S(1));
    assert_int_equal(mp_count(a, PLN_MESH_CONNECTED), 1);
}

static void a_packet_arrives_whole_with_its_sender(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    b->keep_packets = true;
    mp_join(a, b);
    assert_int_equal(mp_send(a, b, "hello"), POLLEN_OK);
    assert_true(mp_run_for(b, PLN_MESH_PACKET, 1, PLN_S(1)));
    const pln_mesh_event *packet = mp_find(b, PLN_MESH_PACKET, 0);
    assert_true(pln_key_equal(&packet->peer, mp_key(a)));
    assert_int_equal(packet->envelope, POLLEN_ENVELOPE_PAYLOAD);
    assert_int_equal(pln_chunk_size(packet->body), 5);
    assert_memory_equal(packet->body->data + packet->body->begin, "hello", 5);
}

static void send_without_a_session_is_enotconn(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    assert_int_equal(mp_send(a, b, "x"), POLLEN_ENOTCONN);
}

/* ---- Main ------------------------------------------------------------------------------------ */

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(connect_gives_each_side_one_connected_event),
        TEST(connected_at_the_dialler_takes_two_round_trips),
        TEST(second_connect_is_done_at_once),
        TEST(a_packet_arrives_whole_with_its_sender),
        TEST(send_without_a_session_is_enotconn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
