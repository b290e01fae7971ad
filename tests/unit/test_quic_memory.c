/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of ours fails once: nothing leaks, nothing hangs, and the endpoint goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "quic/internal.h"
#include "support/fail_mem.h"
#include "support/quic_pair.h"

static void an_endpoint_is_made_whole_or_not_at_all(void **state) {
    (void)state;
    pollen_seed seed = {{1}};
    pln_rng_seeded rng_state;
    pln_quic_config config = {.seed = &seed, .rng = pln_rng_from_seed(&rng_state, 1)};
    pln_now now = {.mono = 1, .wall = 1};
    for (size_t n = 1;; n++) {
        long live = fail_mem_live();
        pln_quic *quic = NULL;
        fail_mem_arm(n);
        pollen_err err = pln_quic_create(&config, now, &quic);
        bool failed = fail_mem_disarm();
        if (!failed) {
            assert_int_equal(err, POLLEN_OK);
            pln_quic_destroy(quic);
            assert_int_equal(fail_mem_live(), live);
            break;
        }
        assert_int_equal(err, POLLEN_ENOMEM);
        assert_null(quic);
        assert_int_equal(fail_mem_live(), live);
    }
}

static void an_identity_is_kept_when_the_next_cannot_be_made(void **state) {
    (void)state;
    quic_pair pair;
    quic_pair_init(&pair, 1);
    quic_node *a = quic_pair_add(&pair, NULL);
    const quic_identity *before = a->quic->mesh;
    for (size_t n = 1;; n++) {
        fail_mem_arm(n);
        pollen_err err = pln_quic_set_identity(a->quic, (const uint8_t *)"x", 1, QUIC_PAIR_WALL);
        if (!fail_mem_disarm()) {
            assert_int_equal(err, POLLEN_OK);
            assert_ptr_not_equal(a->quic->mesh, before);
            break;
        }
        assert_int_equal(err, POLLEN_ENOMEM);
        assert_ptr_equal(a->quic->mesh, before);
    }
    quic_pair_fini(&pair);
}

/* ---- A life ---------------------------------------------------------------------------------- */

typedef struct stock {
    pln_chunk *chunks[8]; /* Made beforehand: only the endpoint's own allocations are to fail. */
} stock;

static void stock_init(stock *s) {
    for (size_t i = 0; i < 8; i++) {
        s->chunks[i] = quic_pair_chunk(1000, (uint8_t)i);
    }
}

static void send_datagram(quic_node *node, pln_chunk *chunk) {
    if (pln_quic_send_datagram(node->quic, node->conn, chunk, 1) != POLLEN_OK) {
        pln_chunk_destroy(chunk);
    }
}

static void send_on_stream(quic_node *node, int64_t id, pln_chunk *chunk, bool fin) {
    if (pln_quic_stream_send(node->quic, node->conn, id, chunk, fin) != POLLEN_OK) {
        pln_chunk_destroy(chunk);
    }
}

static void drain(quic_node *node, int64_t id) {
    bool fin = false;
    pln_chunk *chunk = pln_quic_stream_recv(node->quic, node->conn, id, &fin);
    while (chunk != NULL) {
        pln_chunk_destroy(chunk);
        chunk = fin ? NULL : pln_quic_stream_recv(node->quic, node->conn, id, &fin);
    }
}

/* Everything a connection can do, as far as it gets. */
static void live(quic_pair *pair, quic_node *a, quic_node *b, stock *s) {
    a->conn = 0;
    if (quic_node_dial(a, b, false) != POLLEN_OK) {
        a->conn = 0;
    }
    quic_pair_run(pair, PLN_S(1));
    send_datagram(a, s->chunks[0]);
    send_datagram(b, s->chunks[1]);
    int64_t id = -1;
    if (pln_quic_stream_open(a->quic, a->conn, &id) != POLLEN_OK) {
        id = 0;
    }
    send_on_stream(a, id, s->chunks[2], false);
    send_on_stream(a, id, s->chunks[3], true);
    quic_pair_run(pair, PLN_S(1));
    drain(b, id);
    send_on_stream(b, id, s->chunks[4], true);
    a->self.via ^= 1; /* A move, which takes new connection ids. */
    send_datagram(a, s->chunks[5]);
    quic_pair_run(pair, PLN_S(1));
    drain(a, id);
    send_on_stream(a, 1000, s->chunks[6], true);
    pln_chunk_destroy(s->chunks[7]);
    quic_pair_run(pair, PLN_S(1));
    pln_quic_close(a->quic, a->conn, 0, "bye", pair->now);
    quic_pair_run(pair, PLN_S(40));
}

static void assert_empty(const quic_node *node) {
    pln_quic_stats stats;
    pln_quic_get_stats(node->quic, &stats);
    assert_int_equal(stats.connections, 0);
    assert_int_equal(stats.handshakes, 0);
    assert_null(node->quic->cids);
    assert_null(node->quic->tokens);
    assert_null(node->quic->streams);
    assert_int_equal(node->quic->lingering, 0);
}

static void a_connection_outlives_or_ends_but_never_leaks(void **state) {
    (void)state;
    bool failed = true;
    size_t n = 0;
    size_t survived = 0;
    while (failed) {
        n++;
        long before = fail_mem_live();
        quic_pair pair;
        quic_pair_init(&pair, 1);
        quic_node *a = quic_pair_add(&pair, NULL);
        quic_node *b = quic_pair_add(&pair, NULL);
        stock s;
        stock_init(&s);
        fail_mem_arm(n);
        live(&pair, a, b, &s);
        failed = fail_mem_disarm();
        assert_empty(a);
        assert_empty(b);
        survived += quic_node_seen(b, PLN_QUIC_STREAM_OPENED);
        /* The endpoints are as good as new. */
        a->self.via = 0;
        assert_int_equal(quic_node_dial(a, b, false), POLLEN_OK);
        quic_pair_run(&pair, PLN_S(1));
        assert_true(quic_node_connected(a));
        assert_int_equal(quic_node_send(a, 10, 0), POLLEN_OK);
        size_t got = b->datagrams.count;
        quic_pair_run(&pair, PLN_S(1));
        assert_int_equal(b->datagrams.count, got + 1);
        quic_pair_fini(&pair);
        assert_int_equal(fail_mem_live(), before);
    }
    assert_true(n > 30);
    assert_true(survived > n / 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_endpoint_is_made_whole_or_not_at_all),
        cmocka_unit_test(an_identity_is_kept_when_the_next_cannot_be_made),
        cmocka_unit_test(a_connection_outlives_or_ends_but_never_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
