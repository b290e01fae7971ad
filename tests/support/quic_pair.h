/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QUIC endpoints that talk to each other in memory, on a virtual clock: a pair, or a few more.  The
 * network between them has one delay and can lose, duplicate, reorder and damage packets, from a
 * seed.
 *
 * Use:  quic_pair pair; quic_pair_init(&pair, seed); quic_node *a = quic_pair_add(&pair, NULL); ...
 * quic_node_dial(a, b, false); quic_pair_run(&pair, PLN_S(1)); ... quic_pair_fini(&pair);
 *
 * Mistakes of a test end it with abort(): this is no cmocka code, fuzzers use it as well.
 */
#ifndef TESTS_SUPPORT_QUIC_PAIR_H
#define TESTS_SUPPORT_QUIC_PAIR_H

#include "base/heap.h"
#include "quic/quic.h"

enum { QUIC_PAIR_NODES = 32, QUIC_PAIR_EVENT_KINDS = 16 };

#define QUIC_PAIR_WALL 1770000000

typedef struct quic_pair quic_pair;
typedef struct quic_node quic_node;

typedef struct quic_node_options {
    pln_quic_config config; /* What is 0 gets a default; verify is the node's own. */
    uint8_t seed_byte; /* The key's seed is 32 times this byte; 0: the node's number plus one. */
    bool no_identity;  /* Not a member yet. */
    bool no_accept;
} quic_node_options;

struct quic_node {
    quic_pair *pair;
    size_t index;
    pln_quic *quic;
    pollen_seed seed;
    pollen_key key;
    pln_path self; /* Where others reach it; changing it is a rebinding. */
    pln_rng_seeded rng_state;
    pollen_err verdict;   /* Of verify; POLLEN_OK by default. */
    pln_quic_peer judged; /* What verify saw last; its member_cert is not valid any more. */
    size_t judged_count;
    size_t judged_cert_size;
    bool deaf; /* What is sent to it is lost. */

    /* What happened.  on_event sees each event first; what it takes it sets to NULL. */
    void (*on_event)(quic_node *node, pln_quic_event *event);
    void *ctx;
    pln_conn_id conn; /* Of the last dial or CONNECTED. */
    size_t seen[QUIC_PAIR_EVENT_KINDS];
    pln_quic_event last; /* Without its datagram. */
    pln_quic_closed closed;
    int64_t stream; /* The last one opened by the peer. */
    uint64_t code;  /* Of the last STREAM_RESET or STREAM_STOPPED. */
    pln_chunkq datagrams;
    uint64_t sent_packets, sent_bytes, largest_sent;
    size_t largest_in_batch; /* Segment of any batch of more than one packet. */
};

typedef struct quic_wire quic_wire; /* A packet on its way. */

struct quic_pair {
    pln_now now;
    pln_rng_seeded rng_state;
    pln_rng rng;
    quic_node nodes[QUIC_PAIR_NODES];
    size_t count;
    pln_heap wires;

    /* The network.  Shares are in per mille. */
    pln_dur delay; /* One way; 5 ms by default. */
    pln_dur jitter;
    unsigned lose, duplicate, corrupt;
    size_t mtu;           /* Larger packets are lost; 0: none is too large. */
    uint8_t ecn_override; /* Not 0: as if a router had marked the packet so. */

    /* Sees each packet as it is sent; false loses it.  It may write to it. */
    bool (*filter)(quic_pair *pair, quic_node *from, pln_datagram *packet, uint8_t *data);
    void *ctx;
    uint64_t trace; /* Hash over times, sizes and addresses of all packets. */
};

void quic_pair_init(quic_pair *pair, uint64_t seed);
void quic_pair_fini(quic_pair *pair);

quic_node *quic_pair_add(quic_pair *pair, const quic_node_options *options);
void quic_node_restart(quic_node *node); /* The same key, everything else forgotten. */
void quic_node_rebind(quic_node *node);  /* A new port, as from a NAT that lost its mapping. */

/* Lets virtual time pass; with until, only until that is true.  Returns whether it is. */
void quic_pair_run(quic_pair *pair, pln_dur span);
bool quic_pair_run_until(quic_pair *pair, bool (*until)(quic_pair *pair), pln_dur at_most);
void quic_pair_settle(quic_pair *pair); /* What is to be done now, without time passing. */

/* Puts bytes on the wire towards a node, as if they came from somewhere. */
void quic_pair_inject(quic_pair *pair, const pln_path *from, quic_node *to, const uint8_t *data,
                      size_t size);

pollen_err quic_node_dial(quic_node *from, quic_node *to, bool invite);
bool quic_node_connected(const quic_node *node);
pln_conn_info quic_node_info(const quic_node *node);
size_t quic_node_seen(const quic_node *node, pln_quic_event_kind kind);

/* A chunk of `size` bytes that count up from `first`. */
pln_chunk *quic_pair_chunk(size_t size, uint8_t first);
pollen_err quic_node_send(quic_node *node, size_t size, uint8_t first);

/* The path of a made-up stranger. */
pln_path quic_pair_stranger(uint8_t number, uint16_t port);

#endif
