/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams to the last byte that fits, and streams: ends, resets, credit, many of them. */
#include <string.h>

#include "quic/internal.h"
#include "support/quic_fixture.h"

static int setup(void **state) {
    (void)quic_fixture_start(state, 3);
    return 0;
}

static int setup_connected(void **state) {
    connect_pair(quic_fixture_start(state, 3));
    return 0;
}

/* ---- Datagrams ------------------------------------------------------------------------------- */

static size_t datagram_max(const quic_node *node) {
    return pln_quic_datagram_max(node->quic, node->conn);
}

/* On a path of this MTU, once it has been found out. */
static void largest_arrives(size_t mtu, size_t found) {
    fixture f;
    quic_pair_init(&f.pair, 4);
    f.a = quic_pair_add(&f.pair, NULL);
    f.b = quic_pair_add(&f.pair, NULL);
    f.pair.mtu = mtu;
    assert_int_equal(quic_node_dial(f.a, f.b, false), POLLEN_OK);
    quic_pair_run(&f.pair, PLN_S(8));
    assert_int_equal(quic_node_info(f.a).mtu, found);
    size_t most = datagram_max(f.a);
    assert_int_equal(most, found - 24 - 8);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(quic_node_send(f.a, most, 1), POLLEN_OK);
        assert_int_equal(quic_node_send(f.a, most + 1, 1), POLLEN_EMSGSIZE);
        quic_pair_run(&f.pair, PLN_MS(7));
    }
    quic_pair_run(&f.pair, PLN_S(1));
    assert_int_equal(f.b->datagrams.count, 100);
    assert_int_equal(f.b->datagrams.bytes, 100 * most);
    assert_int_equal(quic_node_info(f.a).datagrams_dropped, 0);
    quic_pair_fini(&f.pair);
}

static void the_largest_accepted_payload_always_arrives(void **state) {
    (void)state;
    largest_arrives(1200, 1200);
    largest_arrives(1231, 1200);
    largest_arrives(1232, 1232);
    largest_arrives(1400, 1392);
    largest_arrives(1452, 1452);
    largest_arrives(1472, 1472);
    largest_arrives(8951, 1472);
    largest_arrives(65507, 8952);
}

static void the_limit_holds_from_the_first_moment(void **state) {
    fixture *f = *state;
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    assert_int_equal(datagram_max(f->a), 0);
    assert_int_equal(quic_node_send(f->a, 1, 0), POLLEN_EMSGSIZE);
    f->pair.mtu = 1200;
    quic_pair_run(&f->pair, PLN_MS(100));
    size_t most = datagram_max(f->a);
    assert_int_equal(most, 1200 - 24 - 8);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(quic_node_send(f->a, most, 0), POLLEN_OK);
    }
    quic_pair_run(&f->pair, PLN_S(1));
    assert_int_equal(f->b->datagrams.count, 50);
}

static void an_empty_datagram_is_refused(void **state) {
    fixture *f = *state;
    assert_int_equal(quic_node_send(f->a, 0, 0), POLLEN_EMSGSIZE);
}

static void the_send_queue_is_bounded(void **state) {
    fixture *f = *state;
    for (size_t i = 0; i < PLN_DATAGRAM_SENDQ_MAX; i++) {
        assert_int_equal(quic_node_send(f->a, 100, (uint8_t)i), POLLEN_OK);
    }
    assert_int_equal(quic_node_send(f->a, 100, 0), POLLEN_EAGAIN);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(f->b->datagrams.count, PLN_DATAGRAM_SENDQ_MAX);
    assert_int_equal(quic_node_send(f->a, 100, 0), POLLEN_OK);
}

static void small_datagrams_share_packets(void **state) {
    fixture *f = *state;
    uint64_t before = f->a->sent_packets;
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(quic_node_send(f->a, 50, (uint8_t)i), POLLEN_OK);
    }
    quic_pair_run(&f->pair, PLN_MS(2));
    assert_true(f->a->sent_packets - before < 10);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(f->b->datagrams.count, 100);
}

/* Nobody takes the events of b meanwhile: the newest are dropped and counted. */
static void the_receive_queue_is_bounded(void **state) {
    fixture *f = *state;
    quic_conn *conn = pln_quic_conn_find(f->b->quic, f->b->conn);
    for (size_t i = 0; i < PLN_DATAGRAM_RECVQ_MAX + 10; i++) {
        (void)pln_quic_datagram_received(conn, (const uint8_t *)"x", 1);
    }
    assert_int_equal(conn->rx_datagrams.count, PLN_DATAGRAM_RECVQ_MAX);
    assert_int_equal(quic_node_info(f->b).datagrams_dropped, 10);
}

static uint64_t acked_tag;

static void keep_tag(quic_node *node, pln_quic_event *event) {
    (void)node;
    if (event->kind == PLN_QUIC_DATAGRAM_ACKED) {
        acked_tag = event->tag;
    }
}

static void an_acknowledged_datagram_is_told_by_its_tag(void **state) {
    fixture *f = *state;
    f->a->on_event = keep_tag;
    acked_tag = 0;
    assert_int_equal(pln_quic_send_datagram(f->a->quic, f->a->conn, quic_pair_chunk(10, 0), 4711),
                     POLLEN_OK);
    assert_int_equal(quic_node_send(f->a, 10, 0), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(acked_tag, 4711);
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_DATAGRAM_ACKED), 1);
}

/* What one send call moves: equal packets, but for the last. */
static void datagrams_of_one_size_travel_in_one_batch(void **state) {
    fixture *f = *state;
    f->pair.mtu = 1472; /* Only one fits a packet. */
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(8));
    for (size_t i = 0; i < 30; i++) {
        assert_int_equal(quic_node_send(f->a, 1000, 0), POLLEN_OK);
    }
    static uint8_t buf[PLN_TRANSMIT_BYTES];
    pln_transmit batch;
    size_t largest = 0;
    while (pln_quic_poll_transmit(f->a->quic, buf, &batch, f->pair.now)) {
        size_t segments = (batch.size + batch.segment - 1) / batch.segment;
        largest = segments > largest ? segments : largest;
    }
    assert_in_range(largest, 8, 64);
}

static void talk_at_once(quic_node *node, pln_quic_event *event) {
    if (event->kind == PLN_QUIC_CONNECTED) {
        for (int i = 0; i < 100; i++) {
            assert_int_equal(quic_node_send(node, 1100, 0), POLLEN_OK);
        }
    }
}

/* It may be the one packet that the system refuses, and must not take others with it. */
static void a_probe_for_a_larger_mtu_goes_alone(void **state) {
    fixture *f = *state;
    f->pair.mtu = 1200;
    f->pair.delay = PLN_MS(50);
    f->a->on_event = talk_at_once;
    f->b->on_event = talk_at_once;
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(5));
    assert_int_equal(f->a->largest_sent, 1452);
    assert_in_range(f->a->largest_in_batch, 1100, 1200);
    assert_in_range(f->b->largest_in_batch, 1100, 1200);
    assert_int_equal(f->b->datagrams.count, 100);
}

/* ---- Streams --------------------------------------------------------------------------------- */

static int64_t open_stream(quic_node *node) {
    int64_t id = -1;
    assert_int_equal(pln_quic_stream_open(node->quic, node->conn, &id), POLLEN_OK);
    return id;
}

static pollen_err send_bytes(quic_node *node, int64_t id, size_t size, bool fin) {
    pln_chunk *chunk = size > 0 ? quic_pair_chunk(size, 0) : NULL;
    pollen_err err = pln_quic_stream_send(node->quic, node->conn, id, chunk, fin);
    if (err != POLLEN_OK) {
        pln_chunk_destroy(chunk);
    }
    return err;
}

/* Takes all that is there. */
static size_t take(quic_node *node, int64_t id, bool *ret_fin) {
    size_t total = 0;
    *ret_fin = false;
    for (;;) {
        pln_chunk *chunk = pln_quic_stream_recv(node->quic, node->conn, id, ret_fin);
        if (chunk == NULL) {
            return total;
        }
        total += pln_chunk_size(chunk);
        pln_chunk_destroy(chunk);
        if (*ret_fin) {
            return total;
        }
    }
}

static void each_side_ends_for_itself(void **state) {
    fixture *f = *state;
    int64_t id = open_stream(f->a);
    bool fin = false;
    assert_int_equal(send_bytes(f->a, id, 10, true), POLLEN_OK);
    assert_int_equal(send_bytes(f->a, id, 1, false), POLLEN_ECLOSED);
    quic_pair_run(&f->pair, PLN_MS(50));
    assert_int_equal(take(f->b, id, &fin), 10);
    assert_true(fin);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_bytes(f->b, id, 20, false), POLLEN_OK);
        quic_pair_run(&f->pair, PLN_MS(50));
        assert_int_equal(take(f->a, id, &fin), 20);
        assert_false(fin);
    }
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_STREAM_CLOSED), 0);
    assert_int_equal(send_bytes(f->b, id, 0, true), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(50));
    assert_int_equal(take(f->a, id, &fin), 0);
    assert_true(fin);
    quic_pair_run(&f->pair, PLN_MS(200));
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_STREAM_CLOSED), 1);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_STREAM_CLOSED), 1);
    assert_int_equal(send_bytes(f->b, id, 1, false), POLLEN_ENOENT);
}

/* The bytes of a stream that both sides have ended wait for their reader. */
static void closed_comes_only_after_the_last_byte_is_read(void **state) {
    fixture *f = *state;
    int64_t id = open_stream(f->a);
    assert_int_equal(send_bytes(f->a, id, 100000, true), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(50));
    assert_int_equal(send_bytes(f->b, id, 0, true), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(1));
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_STREAM_CLOSED), 0);
    bool fin = false;
    assert_int_equal(take(f->b, id, &fin), 100000);
    assert_true(fin);
    quic_pair_settle(&f->pair);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_STREAM_CLOSED), 1);
}

static void readable_is_told_once_until_the_queue_ran_dry(void **state) {
    fixture *f = *state;
    int64_t id = open_stream(f->a);
    bool fin = false;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_bytes(f->a, id, 100, false), POLLEN_OK);
        quic_pair_run(&f->pair, PLN_MS(50));
    }
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_STREAM_READABLE), 1);
    assert_int_equal(take(f->b, id, &fin), 300);
    assert_int_equal(send_bytes(f->a, id, 100, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(50));
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_STREAM_READABLE), 2);
}

static void a_reset_reaches_the_peer_with_its_code(void **state) {
    fixture *f = *state;
    int64_t id = open_stream(f->a);
    assert_int_equal(send_bytes(f->a, id, 100, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(50));
    pln_quic_stream_reset(f->a->quic, f->a->conn, id, 77);
    assert_int_equal(send_bytes(f->a, id, 1, false), POLLEN_ECLOSED);
    quic_pair_run(&f->pair, PLN_MS(50));
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_STREAM_RESET), 1);
    assert_int_equal(f->b->code, 77);
    bool fin = true;
    assert_int_equal(take(f->b, id, &fin), 0);
    assert_false(fin);
}

static void a_stop_ends_a_writer_that_is_silent(void **state) {
    fixture *f = *state;
    int64_t id = open_stream(f->a);
    assert_int_equal(send_bytes(f->a, id, 100, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(50));
    pln_quic_stream_stop(f->b->quic, f->b->conn, id, 5);
    quic_pair_run(&f->pair, PLN_MS(200));
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_STREAM_STOPPED), 1);
    assert_int_equal(send_bytes(f->a, id, 1, false), POLLEN_ECLOSED);
}

static void a_stop_ends_a_writer_that_waits_for_credit(void **state) {
    fixture *f = *state;
    int64_t id = open_stream(f->a);
    assert_int_equal(send_bytes(f->a, id, 600000, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(2));
    pln_quic_stream_stop(f->b->quic, f->b->conn, id, 5);
    quic_pair_run(&f->pair, PLN_S(1));
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_STREAM_STOPPED), 1);
    /* What was dropped unread counts no more: another stream has the whole window. */
    int64_t next = open_stream(f->a);
    assert_int_equal(send_bytes(f->a, next, 500000, true), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(2));
    bool fin = false;
    assert_int_equal(take(f->b, next, &fin), 500000);
    assert_true(fin);
}

static void a_stream_stopped_and_reset_on_both_sides_goes_away(void **state) {
    fixture *f = *state;
    int64_t id = open_stream(f->a);
    assert_int_equal(send_bytes(f->a, id, 100, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(50));
    pln_quic_stream_reset(f->a->quic, f->a->conn, id, 1);
    pln_quic_stream_stop(f->a->quic, f->a->conn, id, 2);
    pln_quic_stream_reset(f->b->quic, f->b->conn, id, 3);
    pln_quic_stream_stop(f->b->quic, f->b->conn, id, 4);
    quic_pair_run(&f->pair, PLN_S(1));
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_STREAM_CLOSED), 1);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_STREAM_CLOSED), 1);
    assert_null(f->a->quic->streams);
    assert_null(f->b->quic->streams);
}

static void a_reader_that_never_reads_stops_the_writer(void **state) {
    fixture *f = *state;
    int64_t id = open_stream(f->a);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(send_bytes(f->a, id, 100000, false), POLLEN_OK);
    }
    quic_pair_run(&f->pair, PLN_S(10));
    assert_int_equal(pln_quic_stream_unacked(f->a->quic, f->a->conn, id),
                     40u * 100000 - QUIC_WINDOW_STREAM);
    /* Nobody else is hurt. */
    assert_int_equal(quic_node_send(f->a, 100, 0), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(f->b->datagrams.count, 1);
    /* And when it reads at last, all goes on. */
    size_t got = 0;
    bool fin = false;
    for (int i = 0; i < 200 && got < 4000000; i++) {
        got += take(f->b, id, &fin);
        quic_pair_run(&f->pair, PLN_MS(20));
    }
    assert_int_equal(got, 4000000);
    assert_true(quic_node_seen(f->a, PLN_QUIC_STREAM_WRITABLE) >= 1);
    assert_int_equal(pln_quic_stream_unacked(f->a->quic, f->a->conn, id), 0);
}

static size_t eaten;

static void eat(quic_node *node, pln_quic_event *event) {
    if (event->kind == PLN_QUIC_STREAM_READABLE) {
        bool fin = false;
        eaten += take(node, event->stream, &fin);
        if (fin) {
            /* Refused where the opener, who has ended its side itself, eats the echo. */
            pollen_err err =
                pln_quic_stream_send(node->quic, event->conn, event->stream, NULL, true);
            assert_true(err == POLLEN_OK || err == POLLEN_ECLOSED);
        }
    }
}

static void windows_grow_with_a_fast_reader(void **state) {
    fixture *f = *state;
    f->pair.delay = PLN_MS(50);
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(1));
    f->b->on_event = eat;
    eaten = 0;
    int64_t id = open_stream(f->a);
    assert_int_equal(send_bytes(f->a, id, 40u * 1024 * 1024, true), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(6));
    /* 512 KiB per round trip of 100 ms would be 30 MiB at best. */
    assert_int_equal(eaten, 40u * 1024 * 1024);
}

static void a_thousand_streams_come_and_go(void **state) {
    fixture *f = *state;
    f->b->on_event = eat;
    f->a->on_event = eat;
    eaten = 0;
    size_t opened = 0;
    size_t refused = 0;
    while (opened < 1000) {
        int64_t id = -1;
        if (pln_quic_stream_open(f->a->quic, f->a->conn, &id) == POLLEN_OK) {
            opened++;
            assert_int_equal(send_bytes(f->a, id, 300, true), POLLEN_OK);
            continue;
        }
        size_t told = quic_node_seen(f->a, PLN_QUIC_STREAMS_AVAILABLE);
        refused++;
        quic_pair_run(&f->pair, PLN_MS(50));
        assert_true(quic_node_seen(f->a, PLN_QUIC_STREAMS_AVAILABLE) > told);
    }
    quic_pair_run(&f->pair, PLN_S(1));
    assert_true(refused > 0);
    assert_int_equal(eaten, 1000 * 300);
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_STREAM_CLOSED), 1000);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_STREAM_CLOSED), 1000);
    assert_null(f->a->quic->streams);
    assert_null(f->b->quic->streams);
}

static void streams_take_turns(void **state) {
    fixture *f = *state;
    f->pair.delay = PLN_MS(20);
    int64_t large = open_stream(f->a);
    int64_t small = open_stream(f->a);
    assert_int_equal(send_bytes(f->a, large, 400000, true), POLLEN_OK);
    assert_int_equal(send_bytes(f->a, small, 5000, true), POLLEN_OK);
    bool fin = false;
    bool large_fin = false;
    size_t large_got = 0;
    while (!fin) {
        quic_pair_run(&f->pair, PLN_MS(1));
        (void)take(f->b, small, &fin);
        large_got += take(f->b, large, &large_fin);
    }
    assert_true(large_got < 100000);
}

static void single_bytes_do_not_cost_a_chunk_each(void **state) {
    fixture *f = *state;
    int64_t id = open_stream(f->a);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(send_bytes(f->a, id, 1, false), POLLEN_OK);
        quic_pair_run(&f->pair, PLN_MS(1));
    }
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(f->b->quic->streams->rx.bytes, 1000);
    assert_int_equal(f->b->quic->streams->rx.count, 1);
}

/* The library's own call: our interface cannot even open one. */
static void a_unidirectional_stream_of_the_peer_is_stopped(void **state) {
    fixture *f = *state;
    quic_conn *conn = pln_quic_conn_find(f->a->quic, f->a->conn);
    uint8_t packet[1400];
    for (int i = 0; i < 300; i++) {
        int64_t id = -1;
        if (ngtcp2_conn_open_uni_stream(conn->ng, &id, NULL) != 0) {
            quic_pair_run(&f->pair, PLN_MS(100));
            assert_int_equal(ngtcp2_conn_open_uni_stream(conn->ng, &id, NULL), 0);
        }
        ngtcp2_ssize size = ngtcp2_conn_write_stream(conn->ng, NULL, NULL, packet, sizeof(packet),
                                                     NULL, NGTCP2_WRITE_STREAM_FLAG_NONE, id,
                                                     (const uint8_t *)"hello", 5, f->pair.now.mono);
        assert_true(size > 0);
        quic_pair_inject(&f->pair, &f->a->self, f->b, packet, (size_t)size);
        quic_pair_run(&f->pair, PLN_MS(20));
    }
    assert_true(quic_node_connected(f->b));
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_STREAM_OPENED), 0);
}

static void what_does_not_exist_is_told_so(void **state) {
    fixture *f = *state;
    bool fin = true;
    int64_t id = -1;
    pln_conn_id none = f->a->conn + (1ull << 32);
    assert_int_equal(pln_quic_stream_open(f->a->quic, none, &id), POLLEN_ENOENT);
    assert_int_equal(pln_quic_stream_open(f->a->quic, 0, &id), POLLEN_ENOENT);
    assert_int_equal(pln_quic_stream_send(f->a->quic, f->a->conn, 4, NULL, true), POLLEN_ENOENT);
    assert_null(pln_quic_stream_recv(f->a->quic, f->a->conn, 4, &fin));
    assert_false(fin);
    assert_int_equal(pln_quic_stream_unacked(f->a->quic, f->a->conn, 4), 0);
    pln_quic_stream_reset(f->a->quic, f->a->conn, 4, 0);
    pln_quic_stream_stop(f->a->quic, f->a->conn, 4, 0);
    assert_int_equal(pln_quic_datagram_max(f->a->quic, none), 0);
    pln_quic_ping(f->a->quic, none, f->pair.now);
    pln_quic_close(f->a->quic, none, 0, "", f->pair.now);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_connected, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_accepted_payload_always_arrives),
        cmocka_unit_test_setup_teardown(the_limit_holds_from_the_first_moment, setup, teardown),
        TEST(an_empty_datagram_is_refused),
        TEST(the_send_queue_is_bounded),
        TEST(small_datagrams_share_packets),
        TEST(the_receive_queue_is_bounded),
        TEST(an_acknowledged_datagram_is_told_by_its_tag),
        cmocka_unit_test_setup_teardown(datagrams_of_one_size_travel_in_one_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_probe_for_a_larger_mtu_goes_alone, setup, teardown),
        TEST(each_side_ends_for_itself),
        TEST(closed_comes_only_after_the_last_byte_is_read),
        TEST(readable_is_told_once_until_the_queue_ran_dry),
        TEST(a_reset_reaches_the_peer_with_its_code),
        TEST(a_stop_ends_a_writer_that_is_silent),
        TEST(a_stop_ends_a_writer_that_waits_for_credit),
        TEST(a_stream_stopped_and_reset_on_both_sides_goes_away),
        TEST(a_reader_that_never_reads_stops_the_writer),
        cmocka_unit_test_setup_teardown(windows_grow_with_a_fast_reader, setup, teardown),
        TEST(a_thousand_streams_come_and_go),
        TEST(streams_take_turns),
        TEST(single_bytes_do_not_cost_a_chunk_each),
        TEST(a_unidirectional_stream_of_the_peer_is_stopped),
        TEST(what_does_not_exist_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
