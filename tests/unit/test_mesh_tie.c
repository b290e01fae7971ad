/* SPDX-License-Identifier: Apache-2.0 */
/* Several sessions with one peer: simultaneous opens, races, restarts, and the reference's
 * habits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/key.h"
#include "support/mesh_pair.h"

#define RTT PLN_MS(100)

static mp_world *create_world(uint64_t seed) {
    mp_world *world = mp_create(seed);
    world->delay = RTT / 2;
    return world;
}

static bool initiated_here(const mp_node *node, const mp_node *peer) {
    pln_session_info info;
    assert_int_equal(pln_mesh_session_info(node->mesh, mp_key(peer), &info), POLLEN_OK);
    return !info.conn.inbound;
}

/* One connection at each end, the same one, and no event too many or too few. */
static void expect_one(const mp_node *a, const mp_node *b) {
    assert_int_equal(mp_sessions(a), 1);
    assert_int_equal(mp_sessions(b), 1);
    assert_int_equal(mp_conns(a), 1);
    assert_int_equal(mp_conns(b), 1);
    assert_true(initiated_here(a, b) != initiated_here(b, a));
    assert_int_equal(mp_count(a, PLN_MESH_CONNECTED), mp_count(a, PLN_MESH_DISCONNECTED) + 1);
    assert_int_equal(mp_count(b, PLN_MESH_CONNECTED), mp_count(b, PLN_MESH_DISCONNECTED) + 1);
}

/* CONNECTED and DISCONNECTED alternate, with growing generations. */
static void expect_alternation(const mp_node *node) {
    bool is_up = false;
    uint64_t generation = 0;
    for (size_t i = 0; i < node->event_count; i++) {
        const pln_mesh_event *event = &node->events[i];
        if (event->kind == PLN_MESH_CONNECTED) {
            assert_false(is_up);
            assert_true(event->generation > generation);
            generation = event->generation;
            is_up = true;
        } else if (event->kind == PLN_MESH_DISCONNECTED) {
            assert_true(is_up);
            assert_int_equal(event->generation, generation);
            is_up = false;
        }
    }
}

/* ---- Simultaneous open ----------------------------------------------------------------------- */

typedef struct opening {
    bool a_dialled, b_dialled;
    bool a_done, b_done;
} opening;

/* a dials at 0, b `quarters` of a round trip later (or earlier).  Whoever has a session already
 * does not dial. */
static opening open_both(mp_node *a, mp_node *b, int quarters) {
    mp_node *first = quarters >= 0 ? a : b;
    mp_node *second = quarters >= 0 ? b : a;
    pln_op op_first = mp_connect(first, second);
    mp_run(a->world, (pln_dur)(quarters >= 0 ? quarters : -quarters) * RTT / 4);
    bool second_dialled = !mp_has_session(second, first);
    pln_op op_second = mp_connect(second, first);
    mp_run(a->world, PLN_S(10));
    const pln_mesh_event *done_first = mp_done(first, op_first);
    const pln_mesh_event *done_second = mp_done(second, op_second);
    assert_non_null(done_first);
    assert_non_null(done_second);
    return (opening){
        .a_dialled = first == a || second_dialled,
        .b_dialled = first == b || second_dialled,
        .a_done = (first == a ? done_first : done_second)->err == POLLEN_OK,
        .b_done = (first == b ? done_first : done_second)->err == POLLEN_OK,
    };
}

static void of_two_simultaneous_sessions_the_smaller_keys_survives(void **state) {
    (void)state;
    for (int quarters = -8; quarters <= 8; quarters++) {
        mp_world *world = create_world(1);
        mp_node *a = mp_add(world); /* The smaller key. */
        mp_node *b = mp_add(world);
        opening how = open_both(a, b, quarters);
        assert_true(how.a_done);
        assert_true(how.b_done);
        expect_one(a, b);
        expect_alternation(a);
        expect_alternation(b);
        assert_int_equal(initiated_here(a, b), how.a_dialled);
        /* It is stable. */
        size_t events = mp_count(a, PLN_MESH_CONNECTED) + mp_count(b, PLN_MESH_CONNECTED);
        mp_run(world, PLN_S(60));
        expect_one(a, b);
        assert_int_equal(mp_count(a, PLN_MESH_CONNECTED) + mp_count(b, PLN_MESH_CONNECTED), events);
        mp_destroy(world);
    }
}

static void no_packet_is_lost_while_two_sessions_become_one(void **state) {
    (void)state;
    for (int quarters = -8; quarters <= 8; quarters++) {
        mp_world *world = create_world(1);
        mp_node *a = mp_add(world);
        mp_node *b = mp_add(world);
        mp_node *first = quarters >= 0 ? a : b;
        mp_node *second = quarters >= 0 ? b : a;
        (void)mp_connect(first, second);
        mp_run(world, (pln_dur)(quarters >= 0 ? quarters : -quarters) * RTT / 4);
        (void)mp_connect(second, first);
        size_t sent_a = 0;
        size_t sent_b = 0;
        for (int i = 0; i < 500; i++) {
            mp_run(world, PLN_MS(10));
            sent_a += mp_send(a, b, "from a") == POLLEN_OK;
            sent_b += mp_send(b, a, "from b") == POLLEN_OK;
        }
        mp_run(world, PLN_S(1));
        assert_true(sent_a > 400);
        assert_true(sent_b > 400);
        assert_int_equal(mp_count(b, PLN_MESH_PACKET), sent_a);
        assert_int_equal(mp_count(a, PLN_MESH_PACKET), sent_b);
        mp_destroy(world);
    }
}

static void one_survives_also_when_a_third_of_the_packets_is_lost(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        mp_world *world = create_world(seed);
        mp_node *a = mp_add(world);
        mp_node *b = mp_add(world);
        world->loss_percent = 30;
        int quarters = (int)pln_rng_below(&world->rng, 17) - 8;
        (void)open_both(a, b, quarters);
        world->loss_percent = 0;
        mp_run(world, PLN_S(40)); /* What was lost with the last close idles out. */
        if (mp_sessions(a) == 0 && mp_sessions(b) == 0) {
            assert_true(mp_count(a, PLN_MESH_CONNECTED) == mp_count(a, PLN_MESH_DISCONNECTED));
        } else {
            expect_one(a, b);
        }
        expect_alternation(a);
        expect_alternation(b);
        mp_destroy(world);
    }
}

/* ---- Races ----------------------------------------------------------------------------------- */

static void five_addresses_of_one_host_give_one_session(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        mp_world *world = create_world(seed);
        world->delay = PLN_MS(40 + 20 * (seed % 10));
        world->loss_percent = 10;
        mp_node *a = mp_add(world);
        mp_node *b = mp_add(world);
        mp_node *from = seed % 2 == 0 ? a : b;
        mp_node *to = seed % 2 == 0 ? b : a;
        pln_path paths[5];
        for (size_t i = 0; i < 5; i++) {
            paths[i] = mp_path(to);
            paths[i].remote.port = (uint16_t)(7000 + i);
        }
        pln_op op = mp_connect_paths(from, mp_key(to), paths, 5, PLN_S(20));
        const pln_mesh_event *done = mp_run_op(from, op, PLN_S(20));
        assert_non_null(done);
        assert_int_equal(done->err, POLLEN_OK);
        world->loss_percent = 0;
        mp_run(world, PLN_S(5));
        expect_one(a, b);
        expect_alternation(to);
        mp_destroy(world);
    }
}

static void an_acceptor_does_not_move_to_the_losers_of_a_race(void **state) {
    (void)state;
    mp_world *world = create_world(1);
    world->delay = PLN_MS(200);
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    pln_path paths[3] = {mp_path(b), mp_path(b), mp_path(b)};
    paths[1].remote.port = 7001;
    paths[2].remote.port = 7002;
    (void)mp_connect_paths(a, mp_key(b), paths, 3, PLN_S(20));
    mp_run(world, PLN_S(10));
    expect_one(a, b);
    assert_int_equal(mp_count(b, PLN_MESH_CONNECTED), 1);
    mp_destroy(world);
}

/* ---- Restarts -------------------------------------------------------------------------------- */

/* Node `gone` restarts and dials; `old_dialler` had dialled the session before. */
static void restart(size_t gone, size_t old_dialler) {
    mp_world *world = create_world(1);
    mp_node *nodes[2] = {mp_add(world), mp_add(world)};
    mp_node *back = nodes[gone];
    mp_node *stayed = nodes[1 - gone];
    mp_join(nodes[old_dialler], nodes[1 - old_dialler]);
    mp_run(world, PLN_S(5));
    mp_kill(back);
    mp_forget(back);
    mp_run(world, PLN_S(1));
    mp_start(back);

    pln_ts began = world->now.mono;
    const pln_mesh_event *done = mp_run_op(back, mp_connect(back, stayed), PLN_S(5));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_OK);
    assert_true(world->now.mono - began < PLN_S(2));
    assert_int_equal(mp_send(back, stayed, "here again"), POLLEN_OK);
    assert_int_equal(mp_send(stayed, back, "welcome"), POLLEN_OK);
    mp_run(world, RTT);
    assert_int_equal(mp_count(stayed, PLN_MESH_PACKET), 1);
    assert_int_equal(mp_count(back, PLN_MESH_PACKET), 1);

    mp_run(world, PLN_S(40));
    expect_one(back, stayed);
    assert_int_equal(mp_count(back, PLN_MESH_CONNECTED), 1);
    assert_int_equal(mp_count(stayed, PLN_MESH_CONNECTED), 2);
    assert_int_equal(mp_find(stayed, PLN_MESH_DISCONNECTED, 0)->reason, POLLEN_END_RESET);
    assert_ptr_equal(mp_find(stayed, PLN_MESH_CONNECTED, 1),
                     mp_find(stayed, PLN_MESH_DISCONNECTED, 0) + 1); /* Directly behind. */
    mp_destroy(world);
}

static void a_restarted_peer_is_back_at_once(void **state) {
    (void)state;
    for (size_t gone = 0; gone < 2; gone++) {
        for (size_t old_dialler = 0; old_dialler < 2; old_dialler++) {
            restart(gone, old_dialler);
        }
    }
}

static void a_peer_that_restarts_again_and_again_has_one_session(void **state) {
    (void)state;
    mp_world *world = create_world(1);
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    for (int i = 0; i < 8; i++) {
        mp_join(a, b);
        mp_kill(a);
        mp_forget(a);
        mp_start(a);
        assert_true(mp_conns(b) <= PLN_SESSIONS_PER_PEER_MAX);
    }
    mp_join(a, b);
    mp_run(world, PLN_S(40));
    assert_int_equal(mp_conns(b), 1);
    expect_alternation(b);
    mp_destroy(world);
}

/* ---- Streams on a surplus session ------------------------------------------------------------ */

static void a_stream_outlives_the_tie_break_of_its_session(void **state) {
    (void)state;
    mp_world *world = create_world(1);
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    (void)mp_connect(a, b);
    (void)mp_connect(b, a);
    assert_true(mp_run_for(a, PLN_MESH_CONNECTED, 1, PLN_S(1)));
    assert_false(initiated_here(a, b)); /* b's dial: it will have to give way. */
    pln_mesh_open_stream(a->mesh, 100, mp_key(b), 80, PLN_TS_NEVER, world->now);
    const pln_mesh_event *opened = mp_run_op(a, 100, PLN_S(1));
    assert_int_equal(opened->err, POLLEN_OK);
    pln_stream_id stream = opened->stream;
    mp_run(world, PLN_S(20));
    assert_true(initiated_here(a, b));
    assert_int_equal(mp_conns(a), 2);
    pln_chunk *chunk = pln_chunk_create(1);
    chunk->end = 1;
    assert_int_equal(pln_mesh_stream_send(a->mesh, stream, chunk, true), POLLEN_OK);
    mp_run(world, PLN_S(1));
    assert_int_equal(mp_count(b, PLN_MESH_STREAM_ACCEPTED), 1);
    pln_stream_id accepted = mp_find(b, PLN_MESH_STREAM_ACCEPTED, 0)->stream;
    bool fin = false;
    chunk = pln_mesh_stream_recv(b->mesh, accepted, &fin);
    assert_non_null(chunk);
    assert_true(fin);
    pln_chunk_destroy(chunk);
    assert_int_equal(pln_mesh_stream_send(b->mesh, accepted, NULL, true), POLLEN_OK);
    mp_run(world, RTT);
    assert_null(pln_mesh_stream_recv(a->mesh, stream, &fin));
    assert_true(fin);
    mp_run(world, PLN_S(3));
    assert_int_equal(mp_find(a, PLN_MESH_STREAM_CLOSED, 0)->err, POLLEN_OK);
    expect_one(a, b);
    mp_destroy(world);
}

/* ---- The reference --------------------------------------------------------------------------- */

/* Its rule: the node with the smaller key keeps the session it has, the other takes the new one;
 * what loses is closed at once. */
typedef struct reference {
    pln_conn_id registered;
    size_t packets;
} reference;

static void reference_on_event(mp_node *node, const pln_quic_event *event) {
    reference *ref = node->raw_ctx;
    pln_now now = node->world->now;
    if (event->kind == PLN_QUIC_CLOSED && event->conn == ref->registered) {
        ref->registered = 0;
    }
    if (event->kind == PLN_QUIC_DATAGRAM) {
        ref->packets++;
    }
    if (event->kind != PLN_QUIC_CONNECTED) {
        return;
    }
    pln_conn_info info;
    assert_int_equal(pln_quic_conn_info(node->raw, event->conn, &info), POLLEN_OK);
    assert_int_equal(info.alpn, PLN_ALPN_MESH_1);
    if (ref->registered == 0) {
        ref->registered = event->conn;
    } else if (pln_key_compare(mp_key(node), &info.peer) < 0) {
        pln_quic_close(node->raw, event->conn, 0, "duplicate", now);
    } else {
        pln_quic_close(node->raw, ref->registered, 0, "replaced", now);
        ref->registered = event->conn;
    }
}

static void meet_reference(bool is_reference_smaller, int quarters) {
    mp_world *world = create_world(1);
    mp_node *a = mp_prepare(world);
    mp_node *b = mp_prepare(world);
    mp_node *ours = is_reference_smaller ? b : a;
    mp_node *theirs = is_reference_smaller ? a : b;
    reference ref = {.registered = 0};
    mp_start(ours);
    mp_start_raw(theirs, true, reference_on_event);
    theirs->raw_ctx = &ref;

    pln_dur wait = (pln_dur)(quarters >= 0 ? quarters : -quarters) * RTT / 4;
    if (quarters >= 0) {
        (void)mp_connect(ours, theirs);
        mp_run(world, wait);
    }
    if (ref.registered == 0) {
        (void)mp_raw_dial(theirs, ours, false);
    }
    if (quarters < 0) {
        mp_run(world, wait);
        (void)mp_connect(ours, theirs);
    }
    mp_run(world, PLN_S(10));
    assert_int_not_equal(ref.registered, 0);
    assert_int_equal(mp_sessions(ours), 1);
    assert_int_equal(mp_conns(ours), 1);
    expect_alternation(ours);
    assert_int_equal(mp_send(ours, theirs, "hello"), POLLEN_OK);
    mp_run(world, RTT);
    assert_int_equal(ref.packets, 1);
    assert_false(mp_find(ours, PLN_MESH_CONNECTED, 0)->speaks_2);
    mp_destroy(world);
}

static void with_the_reference_one_survives_by_its_choice(void **state) {
    (void)state;
    for (int quarters = -8; quarters <= 8; quarters++) {
        meet_reference(true, quarters);
        meet_reference(false, quarters);
    }
}

static void two_that_only_speak_the_references_protocol_end_with_one(void **state) {
    (void)state;
    mp_world *world = create_world(1);
    mp_node *a = mp_prepare(world);
    mp_node *b = mp_prepare(world);
    a->config.only_mesh_1 = true;
    mp_start(a);
    mp_start(b);
    (void)mp_connect(a, b);
    (void)mp_connect(b, a);
    mp_run(world, PLN_S(10));
    expect_one(a, b);
    mp_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_two_simultaneous_sessions_the_smaller_keys_survives),
        cmocka_unit_test(no_packet_is_lost_while_two_sessions_become_one),
        cmocka_unit_test(one_survives_also_when_a_third_of_the_packets_is_lost),
        cmocka_unit_test(five_addresses_of_one_host_give_one_session),
        cmocka_unit_test(an_acceptor_does_not_move_to_the_losers_of_a_race),
        cmocka_unit_test(a_restarted_peer_is_back_at_once),
        cmocka_unit_test(a_peer_that_restarts_again_and_again_has_one_session),
        cmocka_unit_test(a_stream_outlives_the_tie_break_of_its_session),
        cmocka_unit_test(with_the_reference_one_survives_by_its_choice),
        cmocka_unit_test(two_that_only_speak_the_references_protocol_end_with_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
