/* SPDX-License-Identifier: Apache-2.0 */
/* Streams between two meshes in one process. */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "support/api_rig.h"

static void write_all(pollen_stream *stream, const void *bytes, size_t size) {
    size_t taken = 0;
    assert_ok(pollen_stream_write(stream, bytes, size, SOON_MS, NULL, &taken));
    assert_int_equal(taken, size);
}

/* Up to size bytes, or up to the end. */
static size_t read_up_to(pollen_stream *stream, uint8_t *bytes, size_t size) {
    size_t got = 0, part = 1;
    while (got < size && part > 0) {
        assert_ok(pollen_stream_read(stream, bytes + got, size - got, SOON_MS, NULL, &part));
        got += part;
    }
    return got;
}

static void expect_end(pollen_stream *stream) {
    uint8_t byte;
    size_t size = 1;
    assert_ok(pollen_stream_read(stream, &byte, 1, SOON_MS, NULL, &size));
    assert_int_equal(size, 0);
}

static void both_ends_know_the_peer_and_the_port(void **state) {
    rig *r = *state;
    pollen_stream *ends[2];
    rig_open(r, 443, ends);
    for (size_t i = 0; i < 2; i++) {
        pollen_key peer = pollen_stream_peer(ends[i]);
        assert_memory_equal(&peer, &r->key[1 - i], sizeof(peer));
        assert_int_equal(pollen_stream_port(ends[i]), 443);
        pollen_stream_close(ends[i]);
    }
}

static void a_stream_needs_a_port(void **state) {
    rig *r = *state;
    pollen_stream *stream;
    assert_int_equal(pollen_mesh_open_stream(r->mesh[1], &r->key[0], 0, SOON_MS, NULL, &stream),
                     POLLEN_EINVAL);
}

static void each_side_ends_on_its_own(void **state) {
    rig *r = *state;
    uint8_t bytes[16];
    pollen_stream *ends[2];
    rig_open(r, 1, ends);
    write_all(ends[1], "ping", 4);
    assert_ok(pollen_stream_close_write(ends[1]));
    assert_ok(pollen_stream_close_write(ends[1])); /* Idempotent. */
    assert_int_equal(read_up_to(ends[0], bytes, sizeof(bytes)), 4);
    assert_memory_equal(bytes, "ping", 4);
    expect_end(ends[0]);
    expect_end(ends[0]); /* It stays at its end. */
    /* The other direction is still open, long after. */
    write_all(ends[0], "pong!", 5);
    assert_int_equal(read_up_to(ends[1], bytes, 5), 5);
    assert_memory_equal(bytes, "pong!", 5);
    size_t taken = 9;
    assert_int_equal(pollen_stream_write(ends[1], "x", 1, SOON_MS, NULL, &taken), POLLEN_ECLOSED);
    assert_int_equal(taken, 0);
    pollen_stream_close(ends[0]);
    pollen_stream_close(ends[1]);
}

typedef struct flow {
    pollen_stream *stream;
    size_t size;
    uint8_t salt;
} flow;

enum { FLOW_PIECE = 50001 };

static uint8_t flow_byte(const flow *f, size_t at) {
    return (uint8_t)((at * 131 + at / 251) ^ f->salt);
}

static void *write_flow(void *arg) {
    flow *f = arg;
    uint8_t *piece = malloc(FLOW_PIECE);
    for (size_t at = 0; at < f->size;) {
        size_t size = f->size - at < FLOW_PIECE ? f->size - at : FLOW_PIECE;
        for (size_t i = 0; i < size; i++) {
            piece[i] = flow_byte(f, at + i);
        }
        if (pollen_stream_write(f->stream, piece, size, SOON_MS, NULL, NULL) != POLLEN_OK) {
            break;
        }
        at += size;
    }
    free(piece);
    return (void *)(intptr_t)pollen_stream_close_write(f->stream);
}

static void read_flow(flow *f) {
    uint8_t *piece = malloc(FLOW_PIECE);
    size_t at = 0, size;
    do {
        assert_ok(pollen_stream_read(f->stream, piece, FLOW_PIECE, SOON_MS, NULL, &size));
        for (size_t i = 0; i < size; i++) {
            if (piece[i] != flow_byte(f, at + i)) {
                fail_msg("byte %zu is wrong", at + i);
            }
        }
        at += size;
    } while (size > 0);
    assert_int_equal(at, f->size);
    free(piece);
}

static void many_bytes_arrive_in_order_both_ways_at_once(void **state) {
    rig *r = *state;
    pollen_stream *ends[2];
    rig_open(r, 7, ends);
    enum { SIZE = 20 * 1000 * 1000 };
    flow out[2], in[2];
    pthread_t writers[2];
    for (uint8_t i = 0; i < 2; i++) {
        out[i] = (flow){.stream = ends[i], .size = SIZE, .salt = i};
        in[1 - i] = (flow){.stream = ends[1 - i], .size = SIZE, .salt = i};
        assert_int_equal(pthread_create(&writers[i], NULL, write_flow, &out[i]), 0);
    }
    pthread_t reader; /* The second reader; the first is this thread. */
    assert_int_equal(
        pthread_create(&reader, NULL, (void *(*)(void *))(void (*)(void))read_flow, &in[0]), 0);
    read_flow(&in[1]);
    pthread_join(reader, NULL);
    for (size_t i = 0; i < 2; i++) {
        void *result;
        pthread_join(writers[i], &result);
        assert_null(result);
        pollen_stream_close(ends[i]);
    }
}

/* A reader that never reads stops its own writer and nothing else. */
static void a_reader_that_does_not_read_stops_its_writer(void **state) {
    rig *r = *state;
    static uint8_t bytes[1000 * 1000];
    pollen_stream *slow[2], *other[2];
    rig_open(r, 1, slow);
    size_t total = 0, taken = 0;
    pollen_err err;
    do {
        err = pollen_stream_write(slow[1], bytes, sizeof(bytes), 300, NULL, &taken);
        total += taken;
    } while (err == POLLEN_OK && total < 200 * sizeof(bytes));
    assert_int_equal(err, POLLEN_ETIMEDOUT);
    assert_true(total < 100 * sizeof(bytes)); /* Bounded on both sides together. */
    rig_open(r, 2, other);
    write_all(other[1], "through", 7);
    assert_int_equal(read_up_to(other[0], bytes, 7), 7);
    /* And once it reads, all of it comes. */
    assert_ok(pollen_stream_close_write(slow[1]));
    size_t size, got = 0;
    do {
        assert_ok(pollen_stream_read(slow[0], bytes, sizeof(bytes), SOON_MS, NULL, &size));
        got += size;
    } while (size > 0);
    assert_int_equal(got, total);
    for (size_t i = 0; i < 2; i++) {
        pollen_stream_close(slow[i]);
        pollen_stream_close(other[i]);
    }
}

static void a_reset_reaches_both_directions_with_its_code(void **state) {
    rig *r = *state;
    uint8_t byte;
    size_t size;
    pollen_stream *ends[2];
    rig_open(r, 1, ends);
    pollen_stream_reset(ends[1], 77);
    pollen_stream_reset(ends[1], 78); /* Idempotent: the first code counts. */
    assert_int_equal(pollen_stream_read(ends[0], &byte, 1, SOON_MS, NULL, &size), POLLEN_ERESET);
    assert_int_equal(pollen_stream_reset_code(ends[0]), 77);
    pollen_err err;
    do {
        err = pollen_stream_write(ends[0], "x", 1, SOON_MS, NULL, &size);
    } while (err == POLLEN_OK);
    assert_int_equal(err, POLLEN_ERESET);
    /* Who reset it is done with it. */
    assert_int_equal(pollen_stream_read(ends[1], &byte, 1, SOON_MS, NULL, &size), POLLEN_ECLOSED);
    assert_int_equal(pollen_stream_write(ends[1], "x", 1, SOON_MS, NULL, &size), POLLEN_ECLOSED);
    assert_int_equal(pollen_stream_reset_code(ends[1]), 0);
    pollen_stream_close(ends[0]);
    pollen_stream_close(ends[1]);
}

static void a_reset_wakes_a_reader_that_waits(void **state) {
    rig *r = *state;
    pollen_stream *ends[2];
    rig_open(r, 1, ends);
    /* Nothing was written, so the read below waits until the reset comes, whenever that is. */
    pollen_stream_reset(ends[0], 5);
    uint8_t byte;
    size_t size;
    assert_int_equal(pollen_stream_read(ends[1], &byte, 1, SOON_MS, NULL, &size), POLLEN_ERESET);
    assert_int_equal(pollen_stream_reset_code(ends[1]), 5);
    pollen_stream_close(ends[0]);
    pollen_stream_close(ends[1]);
}

/* What was written and ended is delivered, though the handle is gone. */
static void closing_after_the_end_loses_nothing(void **state) {
    rig *r = *state;
    static uint8_t sent[3 * 1000 * 1000], got[sizeof(sent)];
    pollen_stream *ends[2];
    rig_open(r, 1, ends);
    memset(sent, 0xa5, sizeof(sent));
    write_all(ends[1], sent, sizeof(sent));
    assert_ok(pollen_stream_close_write(ends[1]));
    pollen_stream_close(ends[1]);
    assert_int_equal(read_up_to(ends[0], got, sizeof(got)), sizeof(got));
    assert_memory_equal(sent, got, sizeof(sent));
    expect_end(ends[0]);
    pollen_stream_close(ends[0]);
}

static void closing_before_the_end_resets(void **state) {
    rig *r = *state;
    uint8_t bytes[8];
    size_t size;
    pollen_stream *ends[2];
    rig_open(r, 1, ends);
    pollen_stream_close(ends[1]);
    assert_int_equal(pollen_stream_read(ends[0], bytes, 1, SOON_MS, NULL, &size), POLLEN_ERESET);
    assert_int_equal(pollen_stream_reset_code(ends[0]), POLLEN_STREAM_CLOSED);
    pollen_stream_close(ends[0]);
}

/* All hundred that a session carries may wait, as they may come at once; one more is not opened
 * before one of them has ended. */
static void streams_that_nobody_accepts_wait_until_somebody_does(void **state) {
    rig *r = *state;
    pollen_stream *streams[101];
    for (int i = 0; i < 100; i++) {
        assert_ok(pollen_mesh_open_stream(r->mesh[1], &r->key[0], 9, SOON_MS, NULL, &streams[i]));
    }
    assert_int_not_equal(
        pollen_mesh_open_stream(r->mesh[1], &r->key[0], 9, 100, NULL, &streams[100]), POLLEN_OK);
    for (int i = 0; i < 100; i++) {
        pollen_stream *accepted;
        assert_ok(pollen_mesh_accept_stream(r->mesh[0], SOON_MS, NULL, &accepted));
        pollen_stream_close(accepted);
    }
    assert_ok(pollen_mesh_open_stream(r->mesh[1], &r->key[0], 9, SOON_MS, NULL, &streams[100]));
    for (int i = 0; i < 101; i++) {
        pollen_stream_close(streams[i]);
    }
}

/* The limit of 100 at once is passed many times over. */
static void streams_that_are_refused_give_their_place_back(void **state) {
    rig *r = *state;
    uint8_t byte;
    size_t size;
    for (int i = 0; i < 300; i++) {
        pollen_stream *ends[2];
        rig_open(r, 9, ends);
        pollen_stream_reset(ends[0], POLLEN_STREAM_REFUSED);
        pollen_stream_close(ends[0]);
        assert_int_equal(pollen_stream_read(ends[1], &byte, 1, SOON_MS, NULL, &size),
                         POLLEN_ERESET);
        assert_int_equal(pollen_stream_reset_code(ends[1]), POLLEN_STREAM_REFUSED);
        pollen_stream_close(ends[1]);
    }
}

static void opening_and_closing_does_not_use_up_the_peer(void **state) {
    rig *r = *state;
    for (int i = 0; i < 500; i++) {
        pollen_stream *ends[2];
        uint8_t byte = 0;
        rig_open(r, (uint16_t)(1 + i), ends);
        write_all(ends[1], "x", 1);
        assert_int_equal(read_up_to(ends[0], &byte, 1), 1);
        pollen_stream_close(ends[0]);
        pollen_stream_close(ends[1]);
    }
}

static void a_stream_ends_with_its_session(void **state) {
    rig *r = *state;
    uint8_t bytes[8];
    size_t size;
    pollen_stream *ends[2];
    rig_open(r, 1, ends);
    write_all(ends[1], "last", 4);
    assert_int_equal(read_up_to(ends[0], bytes, 4), 4);
    pollen_mesh_close_peer_session(r->mesh[1], &r->key[0], POLLEN_END_GRACEFUL);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pollen_stream_read(ends[i], bytes, 1, SOON_MS, NULL, &size),
                         POLLEN_ENOTCONN);
        assert_int_equal(pollen_stream_write(ends[i], "x", 1, SOON_MS, NULL, &size),
                         POLLEN_ENOTCONN);
        pollen_stream_close(ends[i]);
    }
}

static void reading_and_writing_take_a_deadline(void **state) {
    rig *r = *state;
    uint8_t byte;
    size_t size;
    pollen_stream *ends[2];
    rig_open(r, 1, ends);
    assert_int_equal(pollen_stream_read(ends[0], &byte, 1, 0, NULL, &size), POLLEN_ETIMEDOUT);
    int64_t before = rig_now_ms();
    assert_int_equal(pollen_stream_read(ends[0], &byte, 1, 30, NULL, &size), POLLEN_ETIMEDOUT);
    assert_true(rig_now_ms() - before >= 30);
    pollen_stream_close(ends[0]);
    pollen_stream_close(ends[1]);
}

/* More than the reader's queue of 1 MiB holds is there when the session ends. */
static void what_was_received_is_read_after_the_session(void **state) {
    rig *r = *state;
    enum { SIZE = 1300 * 1000 };
    static uint8_t got[SIZE + 1];
    const flow f = {.size = SIZE, .salt = 3};
    static uint8_t bytes[SIZE];
    for (size_t i = 0; i < SIZE; i++) {
        bytes[i] = flow_byte(&f, i);
    }
    pollen_stream *ends[2];
    rig_open(r, 1, ends);
    write_all(ends[1], bytes, SIZE);
    pollen_session_info info;
    const int64_t end = rig_now_ms() + SOON_MS;
    do {
        assert_true(rig_now_ms() < end);
        (void)poll(NULL, 0, 1);
        assert_ok(pollen_mesh_session_info(r->mesh[0], &r->key[1], &info));
    } while (info.bytes_in < SIZE); /* With headers and repetitions, so some may lack. */
    pollen_mesh_close_peer_session(r->mesh[1], &r->key[0], POLLEN_END_GRACEFUL);
    rig_wait_event(r->mesh[0], POLLEN_EVENT_DISCONNECTED, &r->key[1], NULL);
    size_t total = 0, part = 0;
    pollen_err err = POLLEN_OK;
    do {
        total += part;
        err = pollen_stream_read(ends[0], got + total, SIZE + 1 - total, SOON_MS, NULL, &part);
    } while (err == POLLEN_OK);
    assert_int_equal(err, POLLEN_ENOTCONN);
    assert_in_range(total, 1100 * 1000, SIZE);
    assert_memory_equal(got, bytes, total);
    pollen_stream_close(ends[0]);
    pollen_stream_close(ends[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        PAIR_TEST(both_ends_know_the_peer_and_the_port),
        PAIR_TEST(a_stream_needs_a_port),
        PAIR_TEST(each_side_ends_on_its_own),
        PAIR_TEST(many_bytes_arrive_in_order_both_ways_at_once),
        PAIR_TEST(a_reader_that_does_not_read_stops_its_writer),
        PAIR_TEST(a_reset_reaches_both_directions_with_its_code),
        PAIR_TEST(a_reset_wakes_a_reader_that_waits),
        PAIR_TEST(closing_after_the_end_loses_nothing),
        PAIR_TEST(closing_before_the_end_resets),
        PAIR_TEST(streams_that_nobody_accepts_wait_until_somebody_does),
        PAIR_TEST(streams_that_are_refused_give_their_place_back),
        PAIR_TEST(opening_and_closing_does_not_use_up_the_peer),
        PAIR_TEST(a_stream_ends_with_its_session),
        PAIR_TEST(reading_and_writing_take_a_deadline),
        PAIR_TEST(what_was_received_is_read_after_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
