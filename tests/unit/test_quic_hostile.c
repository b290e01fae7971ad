/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that hold a good key and send what no good peer would: memory stays bounded, others are
 * unhurt. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "quic/internal.h"
#include "support/quic_forge.h"

typedef struct fixture {
    quic_pair pair;
    quic_node *bad;
    quic_node *good;
    quic_node *friend;
    pln_conn_id of_friend; /* The good one's connection to its friend. */
} fixture;

static fixture the;

static int setup(void **state) {
    fixture *f = &the;
    quic_pair_init(&f->pair, 8);
    f->bad = quic_pair_add(&f->pair, NULL);
    f->good = quic_pair_add(&f->pair, NULL);
    f->friend = quic_pair_add(&f->pair, NULL);
    assert_int_equal(quic_node_dial(f->friend, f->good, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(1));
    assert_true(quic_node_connected(f->friend));
    f->of_friend = f->good->conn;
    *state = f;
    return 0;
}

/* The bad one is the client. */
static int setup_client(void **state) {
    (void)setup(state);
    assert_int_equal(quic_node_dial(the.bad, the.good, false), POLLEN_OK);
    quic_pair_run(&the.pair, PLN_S(1));
    assert_true(quic_node_connected(the.bad));
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    quic_pair_fini(&f->pair);
    return 0;
}

/* What happens to the bad one is its own business. */
static void assert_friend_unhurt(fixture *f) {
    size_t before = f->friend->datagrams.count;
    assert_int_equal(pln_quic_send_datagram(f->good->quic, f->of_friend, quic_pair_chunk(10, 0), 0),
                     POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(1));
    assert_int_equal(f->friend->datagrams.count, before + 1);
}

static void assert_violation(fixture *f, uint64_t code) {
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(quic_node_seen(f->good, PLN_QUIC_CLOSED), 1);
    assert_int_equal(f->good->closed.end, PLN_QUIC_END_ERROR);
    assert_int_equal(f->good->closed.err, POLLEN_EPROTO);
    assert_int_equal(f->good->closed.code, code);
    assert_int_equal(f->bad->closed.end, PLN_QUIC_END_TRANSPORT);
    assert_int_equal(f->bad->closed.code, code);
    assert_friend_unhurt(f);
}

/* Many times the same packet of frames. */
static void flood(fixture *f, const quic_frames *frames, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        quic_forge_send(f->bad, f->good, frames->data, frames->size);
        if (i % 10 == 0) {
            quic_pair_run(&f->pair, PLN_MS(1));
        }
    }
    quic_pair_run(&f->pair, PLN_MS(50));
}

/* What the good one holds because of the bad one: how much memory there is before and after the end
 * of their connection, while the bad one is gone.  0 under sanitizers, which then only look for
 * crashes. */
static size_t held(fixture *f) {
    assert_friend_unhurt(f);
    quic_node_restart(f->bad);
    f->bad->deaf = true;
    quic_pair_run(&f->pair, PLN_MS(20));
    size_t before = mallinfo2().uordblks;
    pln_quic_close(f->good->quic, f->good->conn, 0, "", f->pair.now);
    quic_pair_run(&f->pair, PLN_S(8));
    size_t after = mallinfo2().uordblks;
    return before > after ? before - after : 0;
}

#define KIB 1024u

/* ---- Floods ---------------------------------------------------------------------------------- */

static void path_challenges_do_not_pile_up(void **state) {
    fixture *f = *state;
    quic_frames frames = {.size = 0};
    for (int i = 0; i < 100; i++) {
        quic_frames_byte(&frames, 0x1a);
        quic_frames_bytes(&frames, (uint8_t)i, 8);
    }
    flood(f, &frames, 1000);
    assert_in_range(held(f), 0, 64 * KIB);
}

static void path_challenges_from_everywhere_do_not_either(void **state) {
    fixture *f = *state;
    quic_frames frames = {.size = 0};
    for (int i = 0; i < 100; i++) {
        quic_frames_byte(&frames, 0x1a);
        quic_frames_bytes(&frames, (uint8_t)i, 8);
    }
    for (int i = 0; i < 50; i++) {
        f->bad->self.remote.port = (uint16_t)(20000 + i);
        flood(f, &frames, 4);
    }
    assert_in_range(held(f), 0, 64 * KIB);
}

static void pings_resets_and_limits_do_not_pile_up(void **state) {
    fixture *f = *state;
    quic_frames frames = {.size = 0};
    for (unsigned i = 0; i < 30; i++) {
        quic_frames_byte(&frames, 0x01); /* PING */
        quic_frames_byte(&frames, 0x10); /* MAX_DATA */
        quic_frames_varint(&frames, 1u << 24 | i);
        quic_frames_byte(&frames, 0x12); /* MAX_STREAMS */
        quic_frames_varint(&frames, 1000 + i);
        quic_frames_byte(&frames, 0x14); /* DATA_BLOCKED */
        quic_frames_varint(&frames, i);
        quic_frames_byte(&frames, 0x04); /* RESET_STREAM */
        quic_frames_varint(&frames, 4 * i);
        quic_frames_varint(&frames, i);
        quic_frames_varint(&frames, 0);
        quic_frames_byte(&frames, 0x05); /* STOP_SENDING */
        quic_frames_varint(&frames, 4 * i);
        quic_frames_varint(&frames, i);
    }
    flood(f, &frames, 1000);
    assert_in_range(held(f), 0, 64 * KIB);
}

static void new_connection_ids_are_bounded(void **state) {
    fixture *f = *state;
    for (uint64_t seq = 20; seq < 5000 && quic_node_connected(f->good); seq += 20) {
        quic_frames frames = {.size = 0};
        for (uint64_t i = 0; i < 20; i++) {
            quic_frames_byte(&frames, 0x18);
            quic_frames_varint(&frames, seq + i);
            quic_frames_varint(&frames, seq + i); /* All before are to be retired. */
            quic_frames_byte(&frames, 8);
            quic_frames_bytes(&frames, (uint8_t)(seq + i), 7);
            quic_frames_byte(&frames, (uint8_t)((seq + i) >> 8));
            quic_frames_bytes(&frames, (uint8_t)(seq + i), 15);
            quic_frames_byte(&frames, (uint8_t)((seq + i) >> 8));
        }
        flood(f, &frames, 1);
    }
    assert_in_range(held(f), 0, 64 * KIB);
}

static void unread_streams_are_bounded(void **state) {
    fixture *f = *state;
    for (unsigned n = 0; n < 100; n++) {
        for (unsigned i = 0; i < 7; i++) {
            quic_frames frames = {.size = 0};
            quic_frames_byte(&frames, 0x0e); /* STREAM with offset and length */
            quic_frames_varint(&frames, 4 * n);
            quic_frames_varint(&frames, 1000 * i);
            quic_frames_varint(&frames, 1000);
            quic_frames_bytes(&frames, 'x', 1000);
            quic_forge_send(f->bad, f->good, frames.data, frames.size);
        }
        quic_pair_run(&f->pair, PLN_MS(1));
    }
    assert_int_equal(quic_node_seen(f->good, PLN_QUIC_STREAM_OPENED), 100);
    assert_in_range(held(f), 0, 1536 * KIB); /* What one stream may hold unread. */
}

static void what_exceeds_the_window_ends_it(void **state) {
    fixture *f = *state;
    quic_frames frames = {.size = 0};
    quic_frames_byte(&frames, 0x0e);
    quic_frames_varint(&frames, 0);
    quic_frames_varint(&frames, QUIC_WINDOW_STREAM);
    quic_frames_varint(&frames, 1);
    quic_frames_byte(&frames, 'x');
    quic_forge_send(f->bad, f->good, frames.data, frames.size);
    assert_violation(f, NGTCP2_FLOW_CONTROL_ERROR);
}

/* Two bytes of each four, so that everything between is a gap. */
static void streams_full_of_gaps_are_bounded(void **state) {
    fixture *f = *state;
    for (unsigned i = 0; i < 1300; i++) {
        quic_frames frames = {.size = 0};
        for (unsigned k = 0; k < 100; k++) {
            quic_frames_byte(&frames, 0x0e);
            quic_frames_varint(&frames, 0);
            quic_frames_varint(&frames, 4 * (1 + k + 100 * i));
            quic_frames_varint(&frames, 1);
            quic_frames_byte(&frames, 'x');
        }
        quic_forge_send(f->bad, f->good, frames.data, frames.size);
        quic_pair_run(&f->pair, PLN_MS(1));
    }
    /* 512 KiB of window, and a node for each of at most 131072 gaps. */
    assert_in_range(held(f), 0, 20480 * KIB);
}

static void crypto_data_after_the_handshake_is_bounded(void **state) {
    fixture *f = *state;
    quic_frames frames = {.size = 0};
    quic_frames_byte(&frames, 0x06);
    quic_frames_varint(&frames, 100000);
    quic_frames_varint(&frames, 1000);
    quic_frames_bytes(&frames, 'x', 1000);
    quic_forge_send(f->bad, f->good, frames.data, frames.size);
    assert_violation(f, NGTCP2_CRYPTO_BUFFER_EXCEEDED);
}

/* What the reference sends after its handshakes, and we have no use for. */
static void session_tickets_are_swallowed(void **state) {
    fixture *f = *state;
    quic_frames frames = {.size = 0};
    quic_frames_byte(&frames, 0x06);
    quic_frames_varint(&frames, 0);
    quic_frames_varint(&frames, 200);
    quic_frames_bytes(&frames, 4, 200);
    quic_forge_send(f->bad, f->good, frames.data, frames.size);
    quic_pair_run(&f->pair, PLN_S(1));
    assert_true(quic_node_connected(f->good));
}

/* ---- Violations ------------------------------------------------------------------------------ */

static void send_frames(fixture *f, const char *bytes, size_t size) {
    quic_forge_send(f->bad, f->good, (const uint8_t *)bytes, size);
}

static void acknowledging_what_was_never_sent_ends_it(void **state) {
    fixture *f = *state;
    send_frames(f, "\x02\x7f\xff\x00\x00\x00", 6);
    assert_violation(f, NGTCP2_PROTOCOL_VIOLATION);
}

static void an_unknown_frame_ends_it(void **state) {
    fixture *f = *state;
    send_frames(f, "\x3f", 1);
    assert_violation(f, NGTCP2_FRAME_ENCODING_ERROR);
}

static void a_stream_that_only_we_may_open_ends_it(void **state) {
    fixture *f = *state;
    send_frames(f, "\x0a\x01\x01x", 4);
    assert_violation(f, NGTCP2_STREAM_STATE_ERROR);
}

static void a_hundred_and_first_stream_ends_it(void **state) {
    fixture *f = *state;
    quic_frames frames = {.size = 0};
    quic_frames_byte(&frames, 0x0a);
    quic_frames_varint(&frames, 400);
    quic_frames_bytes(&frames, 1, 2);
    quic_forge_send(f->bad, f->good, frames.data, frames.size);
    assert_violation(f, NGTCP2_STREAM_LIMIT_ERROR);
}

static void a_client_has_no_handshake_done_to_say(void **state) {
    fixture *f = *state;
    send_frames(f, "\x1e", 1);
    assert_violation(f, NGTCP2_PROTOCOL_VIOLATION);
}

static void an_empty_datagram_frame_is_delivered_or_not_but_harmless(void **state) {
    fixture *f = *state;
    send_frames(f, "\x31\x00\x31\x00\x31\x01x", 7);
    quic_pair_run(&f->pair, PLN_S(1));
    assert_true(quic_node_connected(f->good));
    assert_int_equal(f->good->datagrams.bytes, 1);
}

static void a_peer_s_phrase_is_defused(void **state) {
    fixture *f = *state;
    send_frames(f, "\x1d\x07\x06\x1b[2J\n!", 9);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(f->good->closed.end, PLN_QUIC_END_APP);
    assert_int_equal(f->good->closed.code, 7);
    assert_string_equal(f->good->closed.phrase, "[2J!");
}

/* ---- Servers --------------------------------------------------------------------------------- */

/* Dials a server whose first flight carries these frames in its 1-RTT packets, at which point
 * ngtcp2 1.11 must not see them. */
static void dial_forged(fixture *f, const quic_frames *frames) {
    assert_int_equal(quic_node_dial(f->good, f->bad, false), POLLEN_OK);
    quic_pair_settle(&f->pair);
    quic_forge_set(frames->data, frames->size, true);
    quic_pair_run(&f->pair, PLN_MS(6)); /* ClientHello there, answer made. */
    quic_forge_set(NULL, 0, false);
    quic_pair_run(&f->pair, PLN_S(1));
    assert_friend_unhurt(f);
}

/* Its reset token is still to come, and asserted to be this id's. */
static void a_server_may_retire_its_first_id_early(void **state) {
    fixture *f = *state;
    quic_frames frames = {.size = 0};
    quic_frames_byte(&frames, 0x18);
    quic_frames_varint(&frames, 1);
    quic_frames_varint(&frames, 1);
    quic_frames_byte(&frames, 8);
    quic_frames_bytes(&frames, 7, 8); /* An id that the server does not know: nothing arrives. */
    quic_frames_bytes(&frames, 9, 16);
    dial_forged(f, &frames);
    quic_pair_run(&f->pair, PLN_S(20));
    assert_false(quic_node_connected(f->good));
    assert_friend_unhurt(f);
}

/* Before our last flight is out, what it is to be sent with is thrown away. */
static void a_server_may_say_handshake_done_early(void **state) {
    fixture *f = *state;
    quic_frames frames = {.size = 0};
    quic_frames_byte(&frames, 0x1e);
    dial_forged(f, &frames);
    quic_pair_run(&f->pair, PLN_S(20));
    assert_friend_unhurt(f);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_client, teardown)
    const struct CMUnitTest tests[] = {
        TEST(path_challenges_do_not_pile_up),
        TEST(path_challenges_from_everywhere_do_not_either),
        TEST(pings_resets_and_limits_do_not_pile_up),
        TEST(new_connection_ids_are_bounded),
        TEST(unread_streams_are_bounded),
        TEST(what_exceeds_the_window_ends_it),
        TEST(streams_full_of_gaps_are_bounded),
        TEST(crypto_data_after_the_handshake_is_bounded),
        TEST(session_tickets_are_swallowed),
        TEST(acknowledging_what_was_never_sent_ends_it),
        TEST(an_unknown_frame_ends_it),
        TEST(a_stream_that_only_we_may_open_ends_it),
        TEST(a_hundred_and_first_stream_ends_it),
        TEST(a_client_has_no_handshake_done_to_say),
        TEST(an_empty_datagram_frame_is_delivered_or_not_but_harmless),
        TEST(a_peer_s_phrase_is_defused),
        cmocka_unit_test_setup_teardown(a_server_may_retire_its_first_id_early, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_may_say_handshake_done_early, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
