/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: the port, refusals, half-close, reset codes, deadlines, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <pollen/stream.h>

#include "support/mesh_pair.h"

typedef struct pair {
    mp_world *world;
    mp_node *a, *b;
} pair;

static int setup(void **state) {
    static pair p;
    p.world = mp_create(1);
    p.a = mp_add(p.world);
    p.b = mp_add(p.world);
    *state = &p;
    return 0;
}

static int teardown(void **state) {
    mp_destroy(((pair *)*state)->world);
    return 0;
}

static pln_stream_id open_stream(pair *p, uint16_t port) {
    pln_op op = p->a->next_op++;
    pln_mesh_open_stream(p->a->mesh, op, mp_key(p->b), port, PLN_TS_NEVER, p->world->now);
    const pln_mesh_event *done = mp_run_op(p->a, op, PLN_S(1));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_OK);
    assert_int_not_equal(done->stream, 0);
    return done->stream;
}

static pollen_err put(mp_node *node, pln_stream_id stream, const char *text, bool fin) {
    pln_chunk *chunk = NULL;
    if (text != NULL) {
        chunk = pln_chunk_create(strlen(text));
        memcpy(chunk->data, text, strlen(text));
        chunk->end = strlen(text);
    }
    pollen_err err = pln_mesh_stream_send(node->mesh, stream, chunk, fin);
    if (err != POLLEN_OK) {
        pln_chunk_destroy(chunk);
    }
    return err;
}

/* Everything that is there now. */
static size_t take(mp_node *node, pln_stream_id stream, char *text, bool *ret_fin) {
    size_t size = 0;
    bool fin = false;
    *ret_fin = false;
    for (;;) {
        pln_chunk *chunk = pln_mesh_stream_recv(node->mesh, stream, &fin);
        *ret_fin = *ret_fin || fin;
        if (chunk == NULL) {
            break;
        }
        memcpy(text + size, chunk->data + chunk->begin, pln_chunk_size(chunk));
        size += pln_chunk_size(chunk);
        pln_chunk_destroy(chunk);
        if (fin) {
            break;
        }
    }
    text[size] = '\0';
    return size;
}

static pln_stream_id accepted(const mp_node *node, size_t nth) {
    const pln_mesh_event *event = mp_find(node, PLN_MESH_STREAM_ACCEPTED, nth);
    assert_non_null(event);
    return event->stream;
}

/* ---- Opening and accepting ------------------------------------------------------------------- */

static void the_acceptor_learns_the_port_and_the_bytes(void **state) {
    pair *p = *state;
    mp_join(p->a, p->b);
    pln_stream_id stream = open_stream(p, 0x1234);
    assert_int_equal(put(p->a, stream, "hello", false), POLLEN_OK);
    mp_run(p->world, PLN_MS(50));
    assert_int_equal(mp_count(p->b, PLN_MESH_STREAM_ACCEPTED), 1);
    assert_int_equal(mp_find(p->b, PLN_MESH_STREAM_ACCEPTED, 0)->port, 0x1234);
    assert_int_equal(mp_count(p->b, PLN_MESH_STREAM_READABLE), 1);
    char text[16];
    bool fin = true;
    assert_int_equal(take(p->b, accepted(p->b, 0), text, &fin), 5);
    assert_string_equal(text, "hello");
    assert_false(fin);
}

static void each_direction_closes_on_its_own(void **state) {
    pair *p = *state;
    mp_join(p->a, p->b);
    pln_stream_id stream = open_stream(p, 7);
    assert_int_equal(put(p->a, stream, "question", true), POLLEN_OK);
    assert_int_equal(put(p->a, stream, "more", false), POLLEN_ECLOSED);
    mp_run(p->world, PLN_MS(50));
    char text[16];
    bool fin = false;
    pln_stream_id other = accepted(p->b, 0);
    assert_int_equal(take(p->b, other, text, &fin), 8);
    assert_true(fin);
    mp_run(p->world, PLN_S(1));
    assert_int_equal(mp_count(p->b, PLN_MESH_STREAM_CLOSED), 0);
    assert_int_equal(put(p->b, other, "answer", true), POLLEN_OK);
    mp_run(p->world, PLN_MS(100));
    assert_int_equal(take(p->a, stream, text, &fin), 6);
    assert_string_equal(text, "answer");
    assert_true(fin);
    mp_run(p->world, PLN_MS(100));
    assert_int_equal(mp_count(p->a, PLN_MESH_STREAM_CLOSED), 1);
    assert_int_equal(mp_count(p->b, PLN_MESH_STREAM_CLOSED), 1);
    assert_int_equal(mp_find(p->a, PLN_MESH_STREAM_CLOSED, 0)->err, POLLEN_OK);
    assert_int_equal(put(p->a, stream, "x", false), POLLEN_ENOENT);
    assert_null(pln_mesh_stream_recv(p->a->mesh, stream, &fin));
}

/* Port, bytes and end in one packet, and the answer at once: all is read although the connection
 * is done with the stream before the owner asks. */
static void what_came_with_the_port_is_not_lost_with_the_stream(void **state) {
    pair *p = *state;
    mp_join(p->a, p->b);
    pln_op op = p->a->next_op++;
    pln_mesh_open_stream(p->a->mesh, op, mp_key(p->b), 9, PLN_TS_NEVER, p->world->now);
    pln_mesh_event event;
    assert_true(pln_mesh_poll_event(p->a->mesh, &event));
    assert_int_equal(put(p->a, event.stream, "all", true), POLLEN_OK);
    mp_run(p->world, PLN_MS(50));
    pln_stream_id other = accepted(p->b, 0);
    assert_int_equal(put(p->b, other, NULL, true), POLLEN_OK);
    mp_run(p->world, PLN_S(1));
    assert_int_equal(mp_count(p->b, PLN_MESH_STREAM_CLOSED), 0);
    char text[16];
    bool fin = false;
    assert_int_equal(take(p->b, other, text, &fin), 3);
    assert_true(fin);
    mp_run(p->world, PLN_MS(1));
    assert_int_equal(mp_count(p->b, PLN_MESH_STREAM_CLOSED), 1);
}

static void open_waits_for_the_session(void **state) {
    pair *p = *state;
    pln_mesh_open_stream(p->a->mesh, 50, mp_key(p->b), 80, p->world->now.mono + PLN_S(9),
                         p->world->now);
    mp_run(p->world, PLN_S(1));
    assert_null(mp_done(p->a, 50));
    mp_join(p->b, p->a);
    mp_run(p->world, PLN_MS(50));
    assert_int_equal(mp_done(p->a, 50)->err, POLLEN_OK);
    assert_int_equal(mp_count(p->b, PLN_MESH_STREAM_ACCEPTED), 1);
}

static void open_to_an_absent_peer_ends_in_time(void **state) {
    pair *p = *state;
    pln_mesh_open_stream(p->a->mesh, 50, mp_key(p->b), 80, p->world->now.mono + PLN_S(2),
                         p->world->now);
    mp_run(p->world, PLN_S(2) - 1);
    assert_null(mp_done(p->a, 50));
    mp_run(p->world, 1);
    assert_int_equal(mp_done(p->a, 50)->err, POLLEN_ETIMEDOUT);
    pln_mesh_open_stream(p->a->mesh, 51, mp_key(p->b), 0, PLN_TS_NEVER, p->world->now);
    mp_run(p->world, 1);
    assert_int_equal(mp_done(p->a, 51)->err, POLLEN_EINVAL);
}

static void open_waits_for_credit(void **state) {
    pair *p = *state;
    mp_join(p->a, p->b);
    pln_stream_id first = open_stream(p, 1);
    for (int i = 1; i < PLN_STREAMS_MAX; i++) {
        (void)open_stream(p, 1);
    }
    mp_run(p->world, PLN_S(1));
    pln_mesh_open_stream(p->a->mesh, 5000, mp_key(p->b), 1, PLN_TS_NEVER, p->world->now);
    mp_run(p->world, PLN_S(5));
    assert_null(mp_done(p->a, 5000));
    pln_mesh_stream_reset(p->a->mesh, first, 0);
    pln_mesh_stream_stop(p->a->mesh, first, 0);
    for (size_t i = 0; i < PLN_STREAMS_MAX; i++) {
        pln_mesh_stream_reset(p->b->mesh, accepted(p->b, i), 0);
        pln_mesh_stream_stop(p->b->mesh, accepted(p->b, i), 0);
    }
    mp_run(p->world, PLN_S(1));
    assert_non_null(mp_done(p->a, 5000));
    assert_int_equal(mp_done(p->a, 5000)->err, POLLEN_OK);
}

/* Refused streams give their credit back: a thousand of them, then a good one. */
static void refused_streams_leave_no_trace(void **state) {
    pair *p = *state;
    mp_join(p->a, p->b);
    for (size_t i = 0; i < 1000; i++) {
        pln_stream_id stream = open_stream(p, 22);
        mp_run(p->world, PLN_MS(25));
        pln_stream_id other = accepted(p->b, 0);
        pln_mesh_stream_reset(p->b->mesh, other, POLLEN_STREAM_REFUSED);
        pln_mesh_stream_stop(p->b->mesh, other, POLLEN_STREAM_REFUSED);
        mp_run(p->world, PLN_MS(25));
        assert_int_equal(mp_count(p->a, PLN_MESH_STREAM_RESET), 1);
        assert_int_equal(mp_find(p->a, PLN_MESH_STREAM_RESET, 0)->code, POLLEN_STREAM_REFUSED);
        assert_int_equal(mp_find(p->a, PLN_MESH_STREAM_RESET, 0)->stream, stream);
        assert_int_equal(mp_find(p->a, PLN_MESH_STREAM_STOPPED, 0)->code, POLLEN_STREAM_REFUSED);
        mp_forget(p->a);
        mp_forget(p->b);
    }
    pln_stream_id stream = open_stream(p, 23);
    assert_int_equal(put(p->a, stream, "x", false), POLLEN_OK);
    mp_run(p->world, PLN_MS(50));
    assert_int_equal(mp_find(p->b, PLN_MESH_STREAM_ACCEPTED, 0)->port, 23);
}

static void a_canceled_open_leaves_no_stream(void **state) {
    pair *p = *state;
    mp_join(p->a, p->b);
    pln_mesh_open_stream(p->a->mesh, 60, mp_key(p->b), 80, PLN_TS_NEVER, p->world->now);
    pln_mesh_cancel(p->a->mesh, 60, p->world->now); /* Its OP_DONE is queued already. */
    mp_run(p->world, PLN_S(10));
    assert_null(mp_done(p->a, 60));
    assert_int_equal(mp_count(p->a, PLN_MESH_STREAM_CLOSED), 0);
    assert_int_equal(mp_count(p->b, PLN_MESH_STREAM_ACCEPTED),
                     mp_count(p->b, PLN_MESH_STREAM_CLOSED));
}

/* ---- Headers --------------------------------------------------------------------------------- */

typedef struct opener {
    pln_conn_id conn;
    int64_t stream;
    bool is_reset, is_stopped;
    uint64_t reset_code, stopped_code;
    size_t closed;
} opener;

static void opener_on_event(mp_node *node, const pln_quic_event *event) {
    opener *o = node->raw_ctx;
    if (event->kind == PLN_QUIC_STREAM_RESET) {
        o->is_reset = true;
        o->reset_code = event->code;
    } else if (event->kind == PLN_QUIC_STREAM_STOPPED) {
        o->is_stopped = true;
        o->stopped_code = event->code;
    } else if (event->kind == PLN_QUIC_STREAM_CLOSED) {
        o->closed++;
    }
}

/* b becomes a bare endpoint with a session to a. */
static void start_opener(pair *p, opener *o) {
    mp_kill(p->b);
    *o = (opener){.conn = 0};
    p->b->raw_ctx = o;
    mp_start_raw(p->b, false, opener_on_event);
    o->conn = mp_raw_dial(p->b, p->a, false);
    mp_run(p->world, PLN_MS(100));
    assert_true(mp_has_session(p->a, p->b));
}

static void open_raw(pair *p, opener *o, const char *bytes, size_t size, bool fin) {
    assert_int_equal(pln_quic_stream_open(p->b->raw, o->conn, &o->stream), POLLEN_OK);
    pln_chunk *chunk = pln_chunk_create(size);
    memcpy(chunk->data, bytes, size);
    chunk->end = size;
    assert_int_equal(pln_quic_stream_send(p->b->raw, o->conn, o->stream, chunk, fin), POLLEN_OK);
}

static void expect_protocol_reset(const opener *o) {
    assert_true(o->is_reset);
    assert_int_equal(o->reset_code, POLLEN_STREAM_PROTOCOL);
}

static void port_zero_is_refused(void **state) {
    pair *p = *state;
    opener o;
    start_opener(p, &o);
    open_raw(p, &o, "\0\0abc", 5, false);
    mp_run(p->world, PLN_MS(100));
    expect_protocol_reset(&o);
    assert_true(o.is_stopped);
    assert_int_equal(o.closed, 1);
    assert_int_equal(mp_count(p->a, PLN_MESH_STREAM_ACCEPTED), 0);
}

static void a_stream_that_ends_within_the_port_is_refused(void **state) {
    pair *p = *state;
    opener o;
    start_opener(p, &o);
    open_raw(p, &o, "\1", 1, true);
    mp_run(p->world, PLN_MS(100));
    expect_protocol_reset(&o);
    assert_int_equal(mp_count(p->a, PLN_MESH_STREAM_ACCEPTED), 0);
}

static void a_port_may_come_byte_by_byte(void **state) {
    pair *p = *state;
    opener o;
    start_opener(p, &o);
    open_raw(p, &o, "\1", 1, false);
    mp_run(p->world, PLN_S(4));
    pln_chunk *chunk = pln_chunk_create(1);
    chunk->data[0] = 2;
    chunk->end = 1;
    assert_int_equal(pln_quic_stream_send(p->b->raw, o.conn, o.stream, chunk, false), POLLEN_OK);
    mp_run(p->world, PLN_S(4));
    assert_int_equal(mp_find(p->a, PLN_MESH_STREAM_ACCEPTED, 0)->port, 0x0102);
    assert_false(o.is_reset);
}

static void a_port_is_due_in_five_seconds(void **state) {
    pair *p = *state;
    opener o;
    start_opener(p, &o);
    open_raw(p, &o, "\1", 1, false);
    /* It opens after the one-way delay and is reset five seconds later, which is seen after
     * another. */
    mp_run(p->world, PLN_MS(10) + PLN_S(5) + PLN_MS(10) - 1);
    assert_false(o.is_reset);
    mp_run(p->world, PLN_MS(1)); /* Packets are paced. */
    expect_protocol_reset(&o);
    assert_int_equal(mp_count(p->a, PLN_MESH_STREAM_ACCEPTED), 0);
}

static void silent_streams_of_one_peer_do_not_stop_another(void **state) {
    pair *p = *state;
    opener o;
    start_opener(p, &o);
    mp_node *c = mp_add(p->world);
    mp_join(c, p->a);
    for (int i = 0; i < PLN_STREAM_HEADERS_MAX; i++) {
        open_raw(p, &o, "\1", 1, false);
    }
    mp_run(p->world, PLN_MS(100));
    assert_false(o.is_reset);
    open_raw(p, &o, "\1", 1, false);
    mp_run(p->world, PLN_MS(100));
    assert_true(o.is_reset);
    assert_int_equal(o.reset_code, POLLEN_STREAM_REFUSED);
    pln_mesh_open_stream(c->mesh, 70, mp_key(p->a), 80, PLN_TS_NEVER, p->world->now);
    mp_run(p->world, PLN_MS(100));
    assert_int_equal(mp_done(c, 70)->err, POLLEN_OK);
    assert_int_equal(mp_count(p->a, PLN_MESH_STREAM_ACCEPTED), 1);
}

static void a_reset_within_the_port_is_not_told(void **state) {
    pair *p = *state;
    opener o;
    start_opener(p, &o);
    open_raw(p, &o, "\1", 1, false);
    mp_run(p->world, PLN_MS(50));
    pln_quic_stream_reset(p->b->raw, o.conn, o.stream, 77);
    mp_run(p->world, PLN_S(10));
    assert_int_equal(o.closed, 1);
    assert_int_equal(mp_count(p->a, PLN_MESH_STREAM_ACCEPTED), 0);
    assert_int_equal(mp_count(p->a, PLN_MESH_STREAM_RESET), 0);
    assert_int_equal(mp_count(p->a, PLN_MESH_STREAM_CLOSED), 0);
}

/* ---- Resets and ends ------------------------------------------------------------------------- */

static void resets_arrive_with_their_code_and_stops_arrive(void **state) {
    pair *p = *state;
    mp_join(p->a, p->b);
    pln_stream_id stream = open_stream(p, 5);
    mp_run(p->world, PLN_MS(50));
    pln_mesh_stream_reset(p->a->mesh, stream, 41);
    mp_run(p->world, PLN_MS(50));
    const pln_mesh_event *event = mp_find(p->b, PLN_MESH_STREAM_RESET, 0);
    assert_non_null(event);
    assert_int_equal(event->code, 41);
    pln_mesh_stream_stop(p->a->mesh, stream, 42);
    assert_int_equal(put(p->b, event->stream, "x", false), POLLEN_OK);
    mp_run(p->world, PLN_MS(100));
    assert_int_equal(mp_count(p->b, PLN_MESH_STREAM_STOPPED), 1);
}

static void streams_end_with_their_session(void **state) {
    pair *p = *state;
    mp_join(p->a, p->b);
    pln_stream_id one = open_stream(p, 5);
    pln_stream_id two = open_stream(p, 6);
    assert_true(two != one);
    mp_run(p->world, PLN_MS(50));
    pln_mesh_close_peer(p->b->mesh, mp_key(p->a), POLLEN_END_GRACEFUL, p->world->now);
    mp_run(p->world, PLN_MS(50));
    for (mp_node *node = p->a; node != NULL; node = node == p->a ? p->b : NULL) {
        assert_int_equal(mp_count(node, PLN_MESH_STREAM_CLOSED), 2);
        assert_int_equal(mp_find(node, PLN_MESH_STREAM_CLOSED, 0)->err, POLLEN_ENOTCONN);
        assert_int_equal(mp_find(node, PLN_MESH_STREAM_CLOSED, 1)->err, POLLEN_ENOTCONN);
    }
    assert_int_equal(put(p->a, one, "x", false), POLLEN_ENOENT);
    mp_join(p->a, p->b);
    assert_true(open_stream(p, 5) > two); /* Ids are not used twice. */
}

/* Ends while nobody looks; then its owner reads what is left when it hears of the end. */
static void expect_left(pair *p, mp_node *node, pln_stream_id stream, bool is_fin) {
    char text[16] = "";
    bool fin = false;
    pln_mesh_event event;
    size_t closed = 0;
    while (pln_mesh_poll_event(node->mesh, &event)) {
        if (event.kind == PLN_MESH_STREAM_CLOSED && event.stream == stream) {
            assert_int_equal(event.err, POLLEN_ENOTCONN);
            assert_int_equal(take(node, stream, text, &fin), 4);
            closed++;
        }
    }
    assert_int_equal(closed, 1);
    assert_string_equal(text, "last");
    assert_int_equal(fin, is_fin);
    assert_null(pln_mesh_stream_recv(node->mesh, stream, &fin));
    mp_run(p->world, PLN_MS(1));
}

static void what_was_received_outlives_the_session(void **state) {
    pair *p = *state;
    mp_join(p->a, p->b);
    static const struct {
        bool fin, by_receiver;
    } rows[] = {{true, false}, {false, false}, {true, true}, {false, true}};
    for (size_t i = 0; i < 4; i++) {
        mp_forget(p->b);
        pln_stream_id stream = open_stream(p, 5);
        mp_run(p->world, PLN_MS(50));
        pln_stream_id other = accepted(p->b, 0);
        p->b->hold_events = true;
        assert_int_equal(put(p->a, stream, "last", rows[i].fin), POLLEN_OK);
        mp_run(p->world, PLN_MS(50));
        mp_node *closer = rows[i].by_receiver ? p->b : p->a;
        mp_node *peer = rows[i].by_receiver ? p->a : p->b;
        pln_mesh_close_peer(closer->mesh, mp_key(peer), POLLEN_END_GRACEFUL, p->world->now);
        mp_run(p->world, PLN_MS(50));
        expect_left(p, p->b, other, rows[i].fin);
        p->b->hold_events = false;
        mp_join(p->a, p->b);
    }
}

/* Nobody asks for events any more, and nothing is left behind. */
static void what_nobody_takes_is_freed(void **state) {
    pair *p = *state;
    mp_join(p->a, p->b);
    pln_stream_id stream = open_stream(p, 5);
    mp_run(p->world, PLN_MS(50));
    p->b->hold_events = true;
    assert_int_equal(put(p->a, stream, "last", true), POLLEN_OK);
    mp_run(p->world, PLN_MS(50));
    pln_mesh_close_peer(p->a->mesh, mp_key(p->b), POLLEN_END_GRACEFUL, p->world->now);
    mp_run(p->world, PLN_MS(50));
    pln_mesh_event event;
    while (pln_mesh_poll_event(p->b->mesh, &event) && event.kind != PLN_MESH_STREAM_CLOSED) {
    }
    mp_kill(p->b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_acceptor_learns_the_port_and_the_bytes),
        TEST(each_direction_closes_on_its_own),
        TEST(what_came_with_the_port_is_not_lost_with_the_stream),
        TEST(open_waits_for_the_session),
        TEST(open_to_an_absent_peer_ends_in_time),
        TEST(open_waits_for_credit),
        TEST(refused_streams_leave_no_trace),
        TEST(a_canceled_open_leaves_no_stream),
        TEST(port_zero_is_refused),
        TEST(a_stream_that_ends_within_the_port_is_refused),
        TEST(a_port_may_come_byte_by_byte),
        TEST(a_port_is_due_in_five_seconds),
        TEST(silent_streams_of_one_peer_do_not_stop_another),
        TEST(a_reset_within_the_port_is_not_told),
        TEST(resets_arrive_with_their_code_and_stops_arrive),
        TEST(streams_end_with_their_session),
        TEST(what_was_received_outlives_the_session),
        TEST(what_nobody_takes_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
