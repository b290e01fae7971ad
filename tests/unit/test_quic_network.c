/* SPDX-License-Identifier: Apache-2.0 */
/* Bad networks, moving peers and many of them; and that a run replays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "quic/internal.h"
#include "support/quic_pair.h"
#include "support/seed.h"

typedef struct fixture {
    quic_pair pair;
    quic_node *a;
    quic_node *b;
} fixture;

static void init(fixture *f, uint64_t seed) {
    quic_pair_init(&f->pair, seed);
    f->a = quic_pair_add(&f->pair, NULL);
    f->b = quic_pair_add(&f->pair, NULL);
}

static void init_connected(fixture *f, uint64_t seed) {
    init(f, seed);
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(1));
    assert_true(quic_node_connected(f->a));
    assert_true(quic_node_connected(f->b));
}

/* A reader that checks every byte: the k-th is k modulo 251. */
typedef struct reader {
    size_t got;
    bool wrong;
    bool fin;
} reader;

static void read_counting(quic_node *node, pln_quic_event *event) {
    reader *r = node->ctx;
    if (event->kind != PLN_QUIC_STREAM_READABLE) {
        return;
    }
    pln_chunk *chunk = pln_quic_stream_recv(node->quic, event->conn, event->stream, &r->fin);
    while (chunk != NULL) {
        for (size_t i = chunk->begin; i < chunk->end; i++) {
            r->wrong = r->wrong || chunk->data[i] != (uint8_t)(r->got % 251);
            r->got++;
        }
        pln_chunk_destroy(chunk);
        chunk =
            r->fin ? NULL : pln_quic_stream_recv(node->quic, event->conn, event->stream, &r->fin);
    }
}

static void send_counting(quic_node *node, int64_t id, size_t total) {
    size_t sent = 0;
    while (sent < total) {
        size_t size = total - sent < 10000 ? total - sent : 10000;
        pln_chunk *chunk = pln_chunk_create(size);
        assert_non_null(chunk);
        for (size_t i = 0; i < size; i++) {
            chunk->data[i] = (uint8_t)((sent + i) % 251);
        }
        chunk->end = size;
        sent += size;
        assert_int_equal(pln_quic_stream_send(node->quic, node->conn, id, chunk, sent == total),
                         POLLEN_OK);
    }
}

/* Connects (again and again if the network is too bad), and moves a megabyte. */
static void transfer(fixture *f, size_t total) {
    for (int i = 0; i < 10 && !quic_node_connected(f->a); i++) {
        assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
        quic_pair_run(&f->pair, PLN_S(11));
    }
    assert_true(quic_node_connected(f->a));
    reader r = {.got = 0};
    f->b->ctx = &r;
    f->b->on_event = read_counting;
    int64_t id = -1;
    assert_int_equal(pln_quic_stream_open(f->a->quic, f->a->conn, &id), POLLEN_OK);
    send_counting(f->a, id, total);
    for (int i = 0; i < 600 && !r.fin; i++) {
        quic_pair_run(&f->pair, PLN_S(1));
    }
    assert_true(r.fin);
    assert_false(r.wrong);
    assert_int_equal(r.got, total);
    f->b->on_event = NULL;
}

static void bytes_survive_any_network(void **state) {
    (void)state;
    uint64_t seed = test_seed();
    for (unsigned kind = 0; kind < 6; kind++) {
        fixture f;
        init(&f, seed + kind);
        f.pair.lose = kind == 0 || kind == 5 ? 300 : 0;
        f.pair.duplicate = kind == 1 || kind == 5 ? 300 : 0;
        f.pair.corrupt = kind == 2 || kind == 5 ? 100 : 0;
        f.pair.jitter = kind == 3 || kind == 5 ? PLN_MS(50) : 0;
        f.pair.ecn_override = kind == 4 ? NGTCP2_ECN_CE : 0; /* Always congested. */
        transfer(&f, kind == 5 ? 200000 : 1000000);
        quic_pair_fini(&f.pair);
    }
}

static void cubic_works_as_well(void **state) {
    (void)state;
    fixture f;
    quic_node_options options = {.config = {.congestion = PLN_CONGESTION_CUBIC}};
    quic_pair_init(&f.pair, 1);
    f.a = quic_pair_add(&f.pair, &options);
    f.b = quic_pair_add(&f.pair, &options);
    f.pair.lose = 10;
    transfer(&f, 1000000);
    quic_pair_fini(&f.pair);
}

/* 30 % of a handshake's packets are lost, doubled, late or damaged: it succeeds or ends, nothing
 * else. */
static void a_handshake_on_a_bad_network_ends_one_way_or_the_other(void **state) {
    (void)state;
    uint64_t seed = test_seed();
    unsigned connected = 0;
    for (unsigned i = 0; i < 60; i++) {
        fixture f;
        init(&f, seed + i);
        f.pair.lose = 150;
        f.pair.duplicate = 100;
        f.pair.corrupt = 150;
        f.pair.jitter = PLN_MS(100);
        assert_int_equal(quic_node_dial(f.a, f.b, false), POLLEN_OK);
        quic_pair_run(&f.pair, PLN_S(12));
        size_t ups = quic_node_seen(f.a, PLN_QUIC_CONNECTED);
        size_t downs = quic_node_seen(f.a, PLN_QUIC_CLOSED);
        assert_true(ups + downs >= 1);
        assert_true(ups <= 1 && downs <= 1);
        connected += ups > 0 ? 1 : 0;
        pln_quic_stats stats;
        pln_quic_get_stats(f.b->quic, &stats);
        assert_int_equal(stats.handshakes, 0);
        quic_pair_fini(&f.pair);
    }
    assert_true(connected > 40);
}

/* ---- Moving ---------------------------------------------------------------------------------- */

static void a_client_with_a_new_port_keeps_its_connection(void **state) {
    (void)state;
    fixture f;
    init_connected(&f, 1);
    pln_conn_id id = f.b->conn;
    pln_path before = quic_node_info(f.b).path;
    quic_node_rebind(f.a);
    assert_int_equal(quic_node_send(f.a, 100, 0), POLLEN_OK);
    quic_pair_run(&f.pair, PLN_S(1));
    assert_int_equal(quic_node_seen(f.b, PLN_QUIC_PATH_CHANGED), 1);
    assert_int_equal(f.b->conn, id);
    pln_path after = quic_node_info(f.b).path;
    assert_false(pln_path_equal(&before, &after));
    assert_true(pollen_addr_equal(&after.remote, &f.a->self.remote));
    assert_int_equal(quic_node_send(f.b, 100, 0), POLLEN_OK);
    quic_pair_run(&f.pair, PLN_S(1));
    assert_int_equal(f.a->datagrams.count, 1);
    assert_int_equal(f.b->datagrams.count, 1);
    quic_pair_fini(&f.pair);
}

/* Anyone can copy a packet and send it from elsewhere first. */
static void an_unvalidated_address_is_not_reported(void **state) {
    (void)state;
    fixture f;
    init_connected(&f, 1);
    pln_path before = quic_node_info(f.b).path;
    f.a->self.remote.port = 4444;
    assert_int_equal(quic_node_send(f.a, 100, 0), POLLEN_OK);
    quic_pair_settle(&f.pair); /* On its way, as from there; but there is nobody. */
    f.a->self.remote.port = POLLEN_PORT_DEFAULT;
    quic_pair_run(&f.pair, PLN_MS(500));
    assert_int_equal(quic_node_seen(f.b, PLN_QUIC_PATH_CHANGED), 0);
    pln_path after = quic_node_info(f.b).path;
    assert_true(pln_path_equal(&before, &after));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(quic_node_send(f.a, 10, 0), POLLEN_OK);
        quic_pair_run(&f.pair, PLN_MS(500));
    }
    assert_true(quic_node_connected(f.b));
    assert_int_equal(quic_node_send(f.b, 100, 0), POLLEN_OK);
    quic_pair_run(&f.pair, PLN_S(1));
    assert_int_equal(f.a->datagrams.count, 1);
    quic_pair_fini(&f.pair);
}

static void streams_go_on_while_the_client_moves_every_five_seconds(void **state) {
    (void)state;
    fixture f;
    uint64_t seed = test_seed();
    init_connected(&f, seed);
    reader r = {.got = 0};
    f.b->ctx = &r;
    f.b->on_event = read_counting;
    int64_t id = -1;
    assert_int_equal(pln_quic_stream_open(f.a->quic, f.a->conn, &id), POLLEN_OK);
    size_t total = 0;
    f.pair.lose = 20;
    f.pair.jitter = PLN_MS(3);
    for (int i = 0; i < 50; i++) {
        pln_chunk *chunk = pln_chunk_create(3000);
        for (size_t k = 0; k < 3000; k++) {
            chunk->data[k] = (uint8_t)((total + k) % 251);
        }
        chunk->end = 3000;
        total += 3000;
        assert_int_equal(pln_quic_stream_send(f.a->quic, f.a->conn, id, chunk, i == 49), POLLEN_OK);
        if (i % 5 == 4) {
            quic_node_rebind(f.a);
            f.a->self.via = (uint32_t)(i / 10 % 2);
        }
        quic_pair_run(&f.pair, PLN_S(1));
    }
    quic_pair_run(&f.pair, PLN_S(20));
    assert_true(r.fin);
    assert_false(r.wrong);
    assert_int_equal(r.got, total);
    assert_true(quic_node_seen(f.b, PLN_QUIC_PATH_CHANGED) >= 8);
    quic_pair_fini(&f.pair);
}

/* Back and forth faster than paths can be validated. */
static void hurried_moves_break_nothing(void **state) {
    (void)state;
    fixture f;
    init_connected(&f, 7);
    for (int i = 0; i < 300; i++) {
        f.a->self.remote.port = (uint16_t)(POLLEN_PORT_DEFAULT + i * 7 % 3);
        f.a->self.via = (uint32_t)(i * 5 % 2);
        if (quic_node_send(f.a, 100, 0) == POLLEN_ENOENT) {
            break;
        }
        quic_pair_run(&f.pair, PLN_MS((unsigned)(i % 17)));
    }
    f.a->self.via = 0;
    f.a->self.remote.port = POLLEN_PORT_DEFAULT;
    quic_pair_run(&f.pair, PLN_S(40));
    /* It may have ended, but both know. */
    assert_int_equal(quic_node_connected(f.a), quic_node_connected(f.b));
    quic_pair_fini(&f.pair);
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* The reference changes keys after its first hundred packets, long after we let go of TLS. */
static void keys_change_without_tls(void **state) {
    (void)state;
    fixture f;
    init_connected(&f, 1);
    quic_conn *a = pln_quic_conn_find(f.a->quic, f.a->conn);
    quic_conn *b = pln_quic_conn_find(f.b->quic, f.b->conn);
    assert_null(a->tls);
    assert_null(b->tls);
    assert_null(a->identity);
    for (size_t i = 0; i < 6; i++) {
        quic_conn *who = i % 2 == 0 ? a : b;
        assert_int_equal(quic_node_send(f.a, 100, 0), POLLEN_OK);
        quic_pair_run(&f.pair, PLN_S(1));
        assert_int_equal(ngtcp2_conn_initiate_key_update(who->ng, f.pair.now.mono), 0);
        assert_int_equal(quic_node_send(f.b, 100, 0), POLLEN_OK);
        quic_pair_run(&f.pair, PLN_S(1));
        assert_int_equal(f.a->datagrams.count, i + 1);
        assert_int_equal(f.b->datagrams.count, i + 1);
    }
    quic_pair_fini(&f.pair);
}

/* ---- Many ------------------------------------------------------------------------------------ */

static void thirty_nodes_connect_all_at_once(void **state) {
    (void)state;
    quic_pair pair;
    quic_pair_init(&pair, 1);
    enum { NODES = 30 };
    for (int i = 0; i < NODES; i++) {
        (void)quic_pair_add(&pair, NULL);
    }
    for (int i = 0; i < NODES; i++) {
        for (int k = 0; k < i; k++) {
            assert_int_equal(quic_node_dial(&pair.nodes[i], &pair.nodes[k], false), POLLEN_OK);
        }
    }
    quic_pair_run(&pair, PLN_S(3));
    size_t connected = 0;
    for (int i = 0; i < NODES; i++) {
        connected += quic_node_seen(&pair.nodes[i], PLN_QUIC_CONNECTED);
        assert_int_equal(quic_node_seen(&pair.nodes[i], PLN_QUIC_CLOSED), 0);
    }
    assert_int_equal(connected, NODES * (NODES - 1));
    quic_pair_fini(&pair);
}

static void several_connections_of_one_pair_are_told_apart(void **state) {
    (void)state;
    fixture f;
    init(&f, 1);
    pln_conn_id ids[20];
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(quic_node_dial(f.a, f.b, false), POLLEN_OK);
        ids[i] = f.a->conn;
    }
    quic_pair_run(&f.pair, PLN_S(2));
    assert_int_equal(quic_node_seen(f.a, PLN_QUIC_CONNECTED), 20);
    for (size_t i = 0; i < 20; i++) {
        for (size_t n = 0; n <= i; n++) {
            assert_int_equal(
                pln_quic_send_datagram(f.a->quic, ids[i], quic_pair_chunk(i + 1, 0), 0), POLLEN_OK);
        }
    }
    quic_pair_run(&f.pair, PLN_S(1));
    assert_int_equal(f.b->datagrams.count, 20 * 21 / 2);
    assert_int_equal(f.b->datagrams.bytes, 20 * 21 * 41 / 6);
    quic_pair_fini(&f.pair);
}

static bool black_hole(quic_pair *pair, quic_node *from, pln_datagram *packet, uint8_t *data) {
    (void)from;
    (void)data;
    return packet->path.remote.ip[15] != *(const uint8_t *)pair->ctx;
}

static void a_dead_peer_does_not_hold_up_the_others(void **state) {
    (void)state;
    fixture f;
    init_connected(&f, 1);
    quic_node *c = quic_pair_add(&f.pair, NULL);
    pln_conn_id to_b = f.a->conn;
    assert_int_equal(quic_node_dial(f.a, c, false), POLLEN_OK);
    quic_pair_run(&f.pair, PLN_S(1));
    pln_conn_id to_c = f.a->conn;
    uint8_t dead = 2;
    f.pair.ctx = &dead;
    f.pair.filter = black_hole;
    size_t accepted = 0;
    for (int i = 0; i < 2000; i++) {
        pln_chunk *chunk = quic_pair_chunk(1000, 0);
        if (pln_quic_send_datagram(f.a->quic, to_b, chunk, 0) == POLLEN_OK) {
            accepted++;
        } else {
            pln_chunk_destroy(chunk);
        }
        assert_int_equal(pln_quic_send_datagram(f.a->quic, to_c, quic_pair_chunk(100, 0), 0),
                         POLLEN_OK);
        quic_pair_run(&f.pair, PLN_MS(5));
    }
    assert_in_range(accepted, PLN_DATAGRAM_SENDQ_MAX, 1000);
    assert_int_equal(c->datagrams.count, 2000);
    quic_pair_fini(&f.pair);
}

/* ---- Replay ---------------------------------------------------------------------------------- */

static uint64_t trace_of(uint64_t seed) {
    fixture f;
    init(&f, seed);
    f.pair.lose = 50;
    f.pair.jitter = PLN_MS(2);
    transfer(&f, 300000);
    quic_node_rebind(f.a);
    assert_int_equal(quic_node_send(f.a, 500, 0), POLLEN_OK);
    quic_pair_run(&f.pair, PLN_S(40));
    uint64_t trace = f.pair.trace;
    quic_pair_fini(&f.pair);
    return trace;
}

/* Sizes and times of all packets; what TLS draws itself changes neither. */
static void the_same_seed_gives_the_same_packets(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed < 6; seed++) {
        uint64_t first = trace_of(seed);
        assert_true(first == trace_of(seed));
        assert_true(first != trace_of(seed + 100));
    }
}

/* Loses the server's first packet with a short header, the one with HANDSHAKE_DONE. */
static bool lose_done(quic_pair *pair, quic_node *from, pln_datagram *packet, uint8_t *data) {
    size_t *lost = pair->ctx;
    if (from->index != 1 || packet->size == 0 || (data[0] & 0x80) != 0 || *lost > 0) {
        return true;
    }
    *lost = *lost + 1;
    return false;
}

static bool server_is_connected(quic_pair *pair) {
    return quic_node_connected(&pair->nodes[1]);
}

static void a_datagram_confirms_what_handshake_done_did_not(void **state) {
    (void)state;
    fixture f;
    size_t lost = 0;
    init(&f, 1);
    f.pair.filter = lose_done;
    f.pair.ctx = &lost;
    assert_int_equal(quic_node_dial(f.a, f.b, false), POLLEN_OK);
    assert_true(quic_pair_run_until(&f.pair, server_is_connected, PLN_S(1)));
    quic_pair_settle(&f.pair);
    assert_int_equal(lost, 1);
    assert_int_equal(quic_node_send(f.b, 100, 1), POLLEN_OK);
    quic_pair_run(&f.pair, PLN_MS(6)); /* The way takes 5; a repetition needs a round trip more. */
    assert_true(quic_node_connected(f.a));
    assert_int_equal(f.a->datagrams.count, 1);
    quic_pair_fini(&f.pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_survive_any_network),
        cmocka_unit_test(cubic_works_as_well),
        cmocka_unit_test(a_handshake_on_a_bad_network_ends_one_way_or_the_other),
        cmocka_unit_test(a_datagram_confirms_what_handshake_done_did_not),
        cmocka_unit_test(a_client_with_a_new_port_keeps_its_connection),
        cmocka_unit_test(an_unvalidated_address_is_not_reported),
        cmocka_unit_test(streams_go_on_while_the_client_moves_every_five_seconds),
        cmocka_unit_test(hurried_moves_break_nothing),
        cmocka_unit_test(keys_change_without_tls),
        cmocka_unit_test(thirty_nodes_connect_all_at_once),
        cmocka_unit_test(several_connections_of_one_pair_are_told_apart),
        cmocka_unit_test(a_dead_peer_does_not_hold_up_the_others),
        cmocka_unit_test(the_same_seed_gives_the_same_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
