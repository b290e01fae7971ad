/* SPDX-License-Identifier: Apache-2.0 */
/* How connections end: closed, timed out, reset, or never begun. */
#include <string.h>

#include "quic/internal.h"
#include "support/quic_fixture.h"

static int setup(void **state) {
    (void)quic_fixture_start(state, 5);
    return 0;
}

static int setup_connected(void **state) {
    connect_pair(quic_fixture_start(state, 5));
    return 0;
}

/* ---- Close ----------------------------------------------------------------------------------- */

static void phrases_arrive_printable_and_cut(void **state) {
    fixture *f = *state;
    char phrase[300];
    memset(phrase, 'x', sizeof(phrase));
    memcpy(phrase, "a\x1b[2Jb\xff", 7);
    phrase[299] = '\0';
    pln_quic_close(f->a->quic, f->a->conn, 7, phrase, f->pair.now);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(f->b->closed.code, 7);
    assert_int_equal(f->b->closed.err, POLLEN_ECLOSED);
    assert_int_equal(strlen(f->b->closed.phrase), PLN_QUIC_PHRASE_BYTES - 1);
    assert_memory_equal(f->b->closed.phrase, "a[2Jbxxx", 8);
}

static void what_came_before_the_close_is_told_first(void **state) {
    fixture *f = *state;
    assert_int_equal(quic_node_send(f->a, 100, 0), POLLEN_OK);
    quic_pair_settle(&f->pair);
    pln_quic_close(f->a->quic, f->a->conn, 0, "bye", f->pair.now);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(f->b->datagrams.count, 1);
    assert_int_equal(f->b->last.kind, PLN_QUIC_CLOSED);
}

/* The close is lost: whatever the peer sends is answered with it, less and less often. */
static void a_lost_close_is_repeated_for_three_ptos(void **state) {
    fixture *f = *state;
    f->b->deaf = true;
    pln_quic_close(f->a->quic, f->a->conn, 0, "bye", f->pair.now);
    quic_pair_run(&f->pair, PLN_MS(10));
    f->b->deaf = false;
    uint64_t sent = f->a->sent_packets;
    assert_int_equal(quic_node_send(f->b, 10, 0), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(11));
    assert_int_equal(f->a->sent_packets, sent + 1);
    assert_int_equal(f->b->closed.end, PLN_QUIC_END_APP);
    assert_string_equal(f->b->closed.phrase, "bye");
}

static void repeated_packets_are_answered_ever_more_rarely(void **state) {
    fixture *f = *state;
    f->b->deaf = true;
    uint8_t packet[64] = {0x40};
    const quic_conn *conn = pln_quic_conn_find(f->a->quic, f->a->conn);
    memcpy(packet + 1, conn->cids->key.bytes, QUIC_CID_BYTES);
    pln_quic_close(f->a->quic, f->a->conn, 0, "bye", f->pair.now);
    quic_pair_run(&f->pair, PLN_MS(1));
    uint64_t sent = f->a->sent_packets;
    for (int i = 0; i < 16; i++) {
        quic_pair_inject(&f->pair, &f->b->self, f->a, packet, sizeof(packet));
        quic_pair_run(&f->pair, PLN_MS(5));
    }
    assert_int_equal(f->a->sent_packets, sent + 5); /* The 1st, 2nd, 4th, 8th and 16th. */
}

static void after_that_nothing_is_left(void **state) {
    fixture *f = *state;
    pln_quic_close(f->a->quic, f->a->conn, 0, "bye", f->pair.now);
    quic_pair_run(&f->pair, PLN_S(2));
    assert_null(f->a->quic->cids);
    assert_null(f->a->quic->tokens);
    assert_int_equal(f->a->quic->lingering, 0);
    assert_int_equal(stats_of(f->a).connections, 0);
    assert_null(f->b->quic->cids);
    assert_int_equal(f->b->quic->lingering, 0);
    assert_int_equal(pln_quic_next_expiry(f->a->quic), PLN_TS_NEVER);
    assert_int_equal(pln_quic_next_expiry(f->b->quic), PLN_TS_NEVER);
}

static void both_may_close_at_once(void **state) {
    fixture *f = *state;
    pln_quic_close(f->a->quic, f->a->conn, 0, "a", f->pair.now);
    pln_quic_close(f->b->quic, f->b->conn, 0, "b", f->pair.now);
    uint64_t sent = f->a->sent_packets + f->b->sent_packets;
    quic_pair_run(&f->pair, PLN_S(2));
    assert_true(f->a->sent_packets + f->b->sent_packets - sent < 10);
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_CLOSED), 0);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_CLOSED), 0);
}

static void a_dial_can_be_closed_at_any_moment(void **state) {
    (void)state;
    for (unsigned step = 0; step < 30; step++) {
        fixture f;
        quic_pair_init(&f.pair, step);
        f.a = quic_pair_add(&f.pair, NULL);
        f.b = quic_pair_add(&f.pair, NULL);
        assert_int_equal(quic_node_dial(f.a, f.b, false), POLLEN_OK);
        if (step > 0) {
            quic_pair_run(&f.pair, PLN_MS(step - 1));
        }
        pln_conn_id id = f.a->conn;
        pln_quic_close(f.a->quic, id, 0, "cancelled", f.pair.now);
        quic_pair_run(&f.pair, PLN_S(5));
        /* The acceptor is not left with a connection that nobody uses. */
        assert_int_equal(stats_of(f.b).connections, 0);
        assert_int_equal(stats_of(f.b).handshakes, 0);
        assert_int_equal(quic_node_seen(f.b, PLN_QUIC_CONNECTED) > 0,
                         quic_node_seen(f.b, PLN_QUIC_CONNECTED) ==
                                 quic_node_seen(f.b, PLN_QUIC_CLOSED) &&
                             quic_node_seen(f.b, PLN_QUIC_CONNECTED) > 0);
        quic_pair_fini(&f.pair);
    }
}

/* Each failed handshake leaves a stored close for a while; strangers must not pile them up. */
static void what_lingers_is_bounded(void **state) {
    fixture *f = *state;
    f->b->deaf = true;
    for (unsigned i = 0; i < PLN_LINGER_MAX + 50; i++) {
        assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
        quic_pair_settle(&f->pair);
        pln_quic_close(f->a->quic, f->a->conn, 0, "", f->pair.now);
        assert_in_range(f->a->quic->lingering, 1, PLN_LINGER_MAX);
    }
    assert_int_equal(f->a->quic->lingering, PLN_LINGER_MAX);
    quic_pair_run(&f->pair, PLN_S(5));
    assert_int_equal(f->a->quic->lingering, 0);
}

static void an_id_is_not_used_twice(void **state) {
    fixture *f = *state;
    pln_conn_id first = f->a->conn;
    pln_quic_close(f->a->quic, first, 0, "", f->pair.now);
    connect_pair(f);
    assert_true(f->a->conn != first);
    pln_conn_info info;
    assert_int_equal(pln_quic_conn_info(f->a->quic, first, &info), POLLEN_ENOENT);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void silence_ends_a_connection_after_the_idle_timeout(void **state) {
    fixture *f = *state;
    quic_pair_run(&f->pair, PLN_S(5));
    f->b->deaf = true;
    f->a->deaf = true;
    pln_ts last = quic_node_info(f->a).last_rx_at;
    /* The keep-alive that follows restarts a's clock once: RFC 9000, 10.1. */
    quic_pair_run(&f->pair, last + PLN_S(30) - f->pair.now.mono - 1);
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_CLOSED), 0);
    quic_pair_run(&f->pair, PLN_S(14));
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_CLOSED), 1);
    assert_int_equal(f->a->closed.end, PLN_QUIC_END_IDLE);
    assert_int_equal(f->a->closed.err, POLLEN_ETIMEDOUT);
    assert_int_equal(f->b->closed.end, PLN_QUIC_END_IDLE);
    assert_int_equal(stats_of(f->a).connections, 0);
}

static void keep_alives_hold_an_unused_connection(void **state) {
    fixture *f = *state;
    quic_pair_run(&f->pair, PLN_S(10));
    uint64_t sent = f->a->sent_packets + f->b->sent_packets;
    quic_pair_run(&f->pair, PLN_S(600));
    assert_true(quic_node_connected(f->a));
    assert_true(quic_node_connected(f->b));
    assert_true(f->a->sent_packets + f->b->sent_packets - sent < 600);
}

/* A dialler that hears nothing, exactly at its deadline. */
static void a_handshake_ends_at_its_deadline(void **state) {
    fixture *f = *state;
    f->b->deaf = true;
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(10) - 1);
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_CLOSED), 0);
    quic_pair_run(&f->pair, 1);
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_CLOSED), 1);
    assert_int_equal(f->a->closed.end, PLN_QUIC_END_HANDSHAKE);
    assert_int_equal(f->a->closed.err, POLLEN_ETIMEDOUT);
    quic_pair_run(&f->pair, 1);
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_CLOSED), 1);
}

static void an_acceptor_s_handshake_ends_at_its_deadline(void **state) {
    fixture *f = *state;
    f->a->deaf = true;
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(5));
    assert_int_equal(stats_of(f->b).handshakes, 1);
    quic_pair_run(&f->pair, PLN_S(10) - 1);
    assert_int_equal(stats_of(f->b).handshakes, 1);
    quic_pair_run(&f->pair, 1);
    assert_int_equal(stats_of(f->b).handshakes, 0);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_CONNECTED), 0);
}

/* The client is done, but the server's word that it accepts never comes. */
static bool lose_after_first_flight(quic_pair *pair, quic_node *from, pln_datagram *packet,
                                    uint8_t *data) {
    (void)packet;
    (void)data;
    return from->index != 1 || pair->now.mono < PLN_S(1000) + PLN_MS(10);
}

static void a_handshake_without_confirmation_is_none(void **state) {
    fixture *f = *state;
    f->pair.filter = lose_after_first_flight;
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(9));
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_CONNECTED), 1);
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_CONNECTED), 0);
    quic_pair_run(&f->pair, PLN_S(2));
    assert_int_equal(f->a->closed.end, PLN_QUIC_END_HANDSHAKE);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_CLOSED), 1); /* It was told. */
}

static void late_and_needless_timeouts_do_nothing(void **state) {
    fixture *f = *state;
    for (int i = 0; i < 100; i++) {
        pln_quic_handle_timeout(f->a->quic, f->pair.now);
    }
    pln_now earlier = {.mono = f->pair.now.mono - PLN_S(1), .wall = f->pair.now.wall};
    pln_quic_handle_timeout(f->a->quic, earlier);
    quic_pair_run(&f->pair, PLN_S(1));
    assert_true(quic_node_connected(f->a));
}

static void a_ping_asks_for_an_answer_now(void **state) {
    fixture *f = *state;
    quic_pair_run(&f->pair, PLN_S(5));
    pln_ts before = f->pair.now.mono;
    assert_true(quic_node_info(f->a).last_rx_at < before);
    pln_quic_ping(f->a->quic, f->a->conn, f->pair.now);
    quic_pair_run(&f->pair, PLN_MS(40)); /* A round trip and the peer's delay. */
    assert_true(quic_node_info(f->a).last_rx_at > before);
}

static void a_ping_right_behind_a_packet_is_sent_as_well(void **state) {
    fixture *f = *state;
    quic_pair_run(&f->pair, PLN_S(5));
    uint64_t sent = f->a->sent_packets;
    for (int i = 0; i < 3; i++) {
        pln_quic_ping(f->a->quic, f->a->conn, f->pair.now);
        quic_pair_run(&f->pair, 0);
    }
    assert_int_equal(f->a->sent_packets, sent + 1);
    quic_pair_run(&f->pair, PLN_MS(4)); /* Less than a round trip; pacing may hold them apart. */
    assert_int_equal(f->a->sent_packets, sent + 2);
}

static void a_lost_ping_is_repeated(void **state) {
    fixture *f = *state;
    quic_pair_run(&f->pair, PLN_S(5));
    pln_ts before = f->pair.now.mono;
    f->b->deaf = true;
    pln_quic_ping(f->a->quic, f->a->conn, f->pair.now);
    quic_pair_run(&f->pair, PLN_MS(1));
    f->b->deaf = false;
    quic_pair_run(&f->pair, PLN_MS(500));
    assert_true(quic_node_info(f->a).last_rx_at > before);
}

/* ---- Resets ---------------------------------------------------------------------------------- */

/* The acceptor restarts with the same key and nothing else: its dialler learns of it at once. */
static void a_restarted_server_resets_its_clients(void **state) {
    fixture *f = *state;
    quic_node_restart(f->b);
    assert_int_equal(quic_node_send(f->a, 100, 0), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(50));
    assert_int_equal(f->a->closed.end, PLN_QUIC_END_RESET);
    assert_int_equal(f->a->closed.err, POLLEN_ERESET);
    assert_int_equal(stats_of(f->a).resets_received, 1);
    assert_int_equal(stats_of(f->b).resets_sent, 1);
    connect_pair(f);
}

/* A client's first connection id has no token (RFC 9000, 18.2): the server cannot believe its
 * reset. */
static void a_restarted_client_cannot_reset_its_server(void **state) {
    fixture *f = *state;
    quic_node_restart(f->a);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(quic_node_send(f->b, 100, 0), POLLEN_OK);
        quic_pair_run(&f->pair, PLN_MS(100));
    }
    assert_true(stats_of(f->a).resets_sent > 0);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_CLOSED), 0);
    quic_pair_run(&f->pair, PLN_S(60));
    assert_int_equal(f->b->closed.end, PLN_QUIC_END_IDLE);
}

/* But once the server uses a later one, which it does when packets come by another way, it can. */
static void after_a_move_a_restarted_client_can(void **state) {
    fixture *f = *state;
    f->a->self.via = 1;
    assert_int_equal(quic_node_send(f->a, 100, 0), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(3));
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_PATH_CHANGED), 1);
    quic_node_restart(f->a);
    assert_int_equal(quic_node_send(f->b, 100, 0), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(f->b->closed.end, PLN_QUIC_END_RESET);
}

static void a_reset_from_elsewhere_is_not_believed(void **state) {
    fixture *f = *state;
    uint8_t packet[42] = {0x40};
    memcpy(packet + 26, f->a->quic->tokens->bytes, 16);
    pln_path elsewhere = quic_pair_stranger(1, 1);
    quic_pair_inject(&f->pair, &elsewhere, f->a, packet, sizeof(packet));
    quic_pair_run(&f->pair, PLN_MS(50));
    assert_true(quic_node_connected(f->a));
    quic_pair_inject(&f->pair, &f->b->self, f->a, packet, sizeof(packet));
    quic_pair_run(&f->pair, PLN_MS(50));
    assert_int_equal(f->a->closed.end, PLN_QUIC_END_RESET);
}

static void a_reset_is_smaller_than_what_caused_it_and_rare(void **state) {
    fixture *f = *state;
    pln_path from = quic_pair_stranger(1, 1000);
    uint8_t packet[1200];
    memset(packet, 0x55, sizeof(packet));
    for (size_t size = 1; size <= sizeof(packet); size = size < 64 ? size + 1 : size * 2) {
        f->a->largest_sent = 0;
        quic_pair_inject(&f->pair, &from, f->a, packet, size);
        quic_pair_run(&f->pair, PLN_MS(25));
        assert_true(f->a->largest_sent < size);
        assert_int_equal(f->a->largest_sent > 0, size >= 22);
    }
    uint64_t before = stats_of(f->a).resets_sent;
    for (int i = 0; i < 1000; i++) {
        quic_pair_inject(&f->pair, &from, f->a, packet, 100);
        quic_pair_run(&f->pair, PLN_MS(1));
    }
    assert_true(stats_of(f->a).resets_sent - before <= 51);
}

/* Two endpoints that do not know each other's packets. */
static void resets_do_not_feed_each_other(void **state) {
    fixture *f = *state;
    uint8_t packet[1200];
    memset(packet, 0x55, sizeof(packet));
    quic_pair_inject(&f->pair, &f->b->self, f->a, packet, sizeof(packet));
    uint64_t before = f->a->sent_packets + f->b->sent_packets;
    quic_pair_run(&f->pair, PLN_S(20));
    assert_true(f->a->sent_packets + f->b->sent_packets - before <= 22);
    before = f->a->sent_packets + f->b->sent_packets;
    quic_pair_run(&f->pair, PLN_S(5));
    assert_int_equal(f->a->sent_packets + f->b->sent_packets, before);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_connected, teardown)
#define TEST_UNCONNECTED(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(phrases_arrive_printable_and_cut),
        TEST(what_came_before_the_close_is_told_first),
        TEST(a_lost_close_is_repeated_for_three_ptos),
        TEST(repeated_packets_are_answered_ever_more_rarely),
        TEST(after_that_nothing_is_left),
        TEST(both_may_close_at_once),
        cmocka_unit_test(a_dial_can_be_closed_at_any_moment),
        TEST_UNCONNECTED(what_lingers_is_bounded),
        TEST(an_id_is_not_used_twice),
        TEST(silence_ends_a_connection_after_the_idle_timeout),
        TEST(keep_alives_hold_an_unused_connection),
        TEST_UNCONNECTED(a_handshake_ends_at_its_deadline),
        TEST_UNCONNECTED(an_acceptor_s_handshake_ends_at_its_deadline),
        TEST_UNCONNECTED(a_handshake_without_confirmation_is_none),
        TEST(late_and_needless_timeouts_do_nothing),
        TEST(a_ping_asks_for_an_answer_now),
        TEST(a_ping_right_behind_a_packet_is_sent_as_well),
        TEST(a_lost_ping_is_repeated),
        TEST(a_restarted_server_resets_its_clients),
        TEST(a_restarted_client_cannot_reset_its_server),
        TEST(after_a_move_a_restarted_client_can),
        TEST(a_reset_from_elsewhere_is_not_believed),
        TEST(a_reset_is_smaller_than_what_caused_it_and_rare),
        TEST_UNCONNECTED(resets_do_not_feed_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
