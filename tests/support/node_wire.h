/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three nodes of one cluster in memory, on a virtual clock over a wire that takes a millisecond;
 * the test decides when a node's events are looked at.
 */
#ifndef TESTS_SUPPORT_NODE_WIRE_H
#define TESTS_SUPPORT_NODE_WIRE_H

#include "base/key.h"
#include "base/mem.h"
#include "node/cluster.h"
#include "support/cluster.h"

enum { NODES = 3, PACKETS = 1024, PACKET_BYTES = 1472 };
enum { HERE, MEMBER, OTHER }; /* HERE has the root key. */

typedef struct nw_packet {
    size_t to;
    pollen_addr from;
    size_t size;
    uint8_t bytes[PACKET_BYTES];
} nw_packet;

typedef struct nw_host {
    pln_node *node;
    pln_credentials creds;
    pollen_addr addr;
    pln_rng_seeded seeded;
    bool holds_events;
    size_t connected, disconnected;
    size_t to_nobody; /* Packets to addresses that none of the nodes has. */
    size_t received;
    pollen_end_reason last_reason;
} nw_host;

typedef struct nw_fixture {
    nw_host hosts[NODES];
    pln_now now;
    nw_packet *wire;
    size_t count;
    pln_op next_op;
    pln_rng_seeded seeded;
    uint8_t *buf;
} nw_fixture;

/* ---- The wire -------------------------------------------------------------------------------- */

static inline void nw_put_on_wire(nw_fixture *f, nw_host *from, const pln_transmit *batch) {
    for (size_t at = 0; at < batch->size; at += batch->segment) {
        const size_t left = batch->size - at;
        nw_packet *p = &f->wire[f->count];
        p->to = NODES;
        for (size_t i = 0; i < NODES; i++) {
            p->to = pollen_addr_equal(&f->hosts[i].addr, &batch->path.remote) ? i : p->to;
        }
        p->from = from->addr;
        p->size = left < batch->segment ? left : batch->segment;
        if (p->size > PACKET_BYTES) {
            continue; /* A probe of the path's size. */
        }
        memcpy(p->bytes, f->buf + at, p->size);
        f->count += p->to < NODES ? 1 : 0;
        from->to_nobody += p->to < NODES ? 0 : 1;
        assert_true(f->count < PACKETS);
    }
}

static inline void nw_take_events(nw_fixture *f, nw_host *h) {
    pln_mesh_event event;
    (void)f;
    while (!h->holds_events && pln_node_poll_event(h->node, &event)) {
        h->connected += event.kind == PLN_MESH_CONNECTED;
        h->disconnected += event.kind == PLN_MESH_DISCONNECTED;
        h->last_reason = event.kind == PLN_MESH_DISCONNECTED ? event.reason : h->last_reason;
        pln_chunk_destroy(event.body);
        pln_bytes_fini(&event.text);
    }
}

static inline void nw_transmit(nw_fixture *f, nw_host *h) {
    pln_transmit batch;
    while (pln_node_poll_transmit(h->node, f->buf, &batch, f->now)) {
        nw_put_on_wire(f, h, &batch);
    }
}

/* As the owner of the node does, which has no descriptors left. */
static inline void nw_open_no_sockets(nw_fixture *f, nw_host *h) {
    pln_socket_wish wish;
    while (!h->holds_events && pln_node_poll_socket(h->node, &wish, f->now)) {
        if (wish.open) {
            pln_node_socket_failed(h->node, wish.via, f->now);
        }
    }
}

static inline void nw_run_ms(nw_fixture *f, unsigned ms) {
    for (unsigned i = 0; i < ms; i++) {
        for (size_t k = 0; k < NODES; k++) {
            if (pln_ts_reached(pln_node_next_expiry(f->hosts[k].node), f->now.mono)) {
                pln_node_handle_timeout(f->hosts[k].node, f->now);
            }
            nw_take_events(f, &f->hosts[k]);
            nw_open_no_sockets(f, &f->hosts[k]);
            nw_transmit(f, &f->hosts[k]);
        }
        const size_t count = f->count;
        f->now.mono += PLN_MS(1);
        for (size_t k = 0; k < count; k++) {
            nw_packet *p = &f->wire[k];
            const pln_datagram datagram = {
                .path = {PLN_VIA_MAIN, p->from}, .data = p->bytes, .size = p->size};
            f->hosts[p->to].received++;
            pln_node_handle_datagram(f->hosts[p->to].node, &datagram, f->now);
        }
        f->count = 0;
    }
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static inline void nw_enrol(nw_fixture *f, const pln_rng *rng, size_t i) {
    const pollen_seed seed = test_seed_of((uint8_t)(0x21 + i));
    const pollen_seed root = test_seed_of(ROOT);
    const pln_bootstraps none = {.count = 0};
    const pln_join_terms terms = {
        .bootstrap = &none, .ttl_seconds = 300, .membership = {.ttl_seconds = 86400}};
    pln_join_token token;
    bool changed;
    nw_host *h = &f->hosts[i];
    pln_credentials_init(&h->creds, &seed);
    if (i == HERE) {
        assert_int_equal(pln_credentials_create_root(&h->creds, &root, 86400, 86400, rng, TEST_NOW),
                         POLLEN_OK);
        return;
    }
    assert_int_equal(
        pln_join_issue(&f->hosts[HERE].creds.signer, &h->creds.key, &terms, rng, TEST_NOW, &token),
        POLLEN_OK);
    assert_int_equal(pln_credentials_apply(&h->creds, &token, TEST_NOW, &changed), POLLEN_OK);
    pln_join_token_fini(&token);
}

static inline void nw_start(nw_fixture *f, size_t i, bool saves) {
    nw_host *h = &f->hosts[i];
    const pln_node_config config = {
        .mesh = {.creds = &h->creds,
                 .rng = pln_rng_from_seed(&h->seeded, i + 1),
                 .tls_identity_ttl_seconds = 86400,
                 .membership_ttl_seconds = 86400},
        .keep_peers = true,
        .gossip = true,
        .saves = saves,
    };
    pln_node_destroy(h->node);
    h->node = NULL;
    assert_int_equal(pln_node_create(&config, f->now, &h->node), POLLEN_OK);
}

static inline int nw_setup(void **state) {
    nw_fixture *f = pln_calloc(1, sizeof(*f));
    assert_non_null(f);
    f->wire = pln_calloc(PACKETS, sizeof(*f->wire));
    f->buf = pln_malloc(PLN_TRANSMIT_BYTES);
    assert_true(f->wire != NULL && f->buf != NULL);
    f->now = (pln_now){.mono = PLN_S(1000), .wall = TEST_NOW};
    const pln_rng rng = pln_rng_from_seed(&f->seeded, 99);
    for (size_t i = 0; i < NODES; i++) {
        f->hosts[i].addr = pln_addr_ipv4((const uint8_t[]){10, 0, 0, (uint8_t)(i + 1)}, 60611);
        nw_enrol(f, &rng, i);
        nw_start(f, i, false);
    }
    *state = f;
    return 0;
}

static inline int nw_teardown(void **state) {
    nw_fixture *f = *state;
    for (size_t i = 0; i < NODES; i++) {
        pln_node_destroy(f->hosts[i].node);
        pln_credentials_fini(&f->hosts[i].creds);
    }
    pln_free(f->wire);
    pln_free(f->buf);
    pln_free(f);
    return 0;
}

static inline const pollen_key *nw_key_of(const nw_fixture *f, size_t i) {
    return &f->hosts[i].creds.key;
}

static inline bool nw_has_session(const nw_fixture *f, size_t i, size_t peer) {
    pln_session_info info;
    return pln_mesh_session_info(pln_node_mesh(f->hosts[i].node), nw_key_of(f, peer), &info) ==
           POLLEN_OK;
}

static inline void nw_connect(nw_fixture *f, size_t from, size_t to) {
    const pln_path path = {PLN_VIA_MAIN, f->hosts[to].addr};
    pln_mesh_connect(pln_node_mesh(f->hosts[from].node), ++f->next_op, nw_key_of(f, to), &path, 1,
                     PLN_TS_NEVER, f->now);
    for (int i = 0; i < 500 && !(nw_has_session(f, from, to) && nw_has_session(f, to, from)); i++) {
        nw_run_ms(f, 1);
    }
    assert_true(nw_has_session(f, from, to) && nw_has_session(f, to, from));
}

static inline void nw_revoke(nw_fixture *f, size_t who) {
    assert_int_equal(pln_node_revoke(f->hosts[HERE].node, nw_key_of(f, who), f->now), POLLEN_OK);
}

#endif
