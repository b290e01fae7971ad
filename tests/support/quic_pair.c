/* SPDX-License-Identifier: Apache-2.0 */
#include "support/quic_pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct quic_wire {
    pln_timer timer;
    quic_node *to;
    pln_path from;
    uint8_t ecn;
    size_t size;
    uint8_t data[];
};

#define REQUIRE(expr)                                                                              \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The harness must go on while the code under test runs out of memory. */
static void *allocate(size_t size) {
    void *block = malloc(size);
    REQUIRE(block != NULL);
    return block;
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static pollen_err verify(void *ctx, const pln_quic_peer *peer, pln_now now) {
    quic_node *node = ctx;
    REQUIRE(now.mono == node->pair->now.mono);
    node->judged = *peer;
    node->judged.member_cert = NULL;
    node->judged_cert_size = peer->member_cert_size;
    node->judged_count++;
    return node->verdict;
}

static void start(quic_node *node, const quic_node_options *options) {
    pln_quic_config config = options->config;
    config.seed = &node->seed;
    config.rng = pln_rng_from_seed(&node->rng_state, pln_rng_u64(&node->pair->rng));
    config.verify = verify;
    config.verify_ctx = node;
    if (!options->no_accept) {
        config.accept_mesh = true;
    }
    REQUIRE(pln_quic_create(&config, node->pair->now, &node->quic) == POLLEN_OK);
    if (!options->no_identity) {
        /* Any bytes do: the certificate's meaning is not this room's business. */
        uint8_t member_cert[354];
        memset(member_cert, (int)node->index + 1, sizeof(member_cert));
        REQUIRE(pln_quic_set_identity(node->quic, member_cert, sizeof(member_cert),
                                      node->pair->now.wall) == POLLEN_OK);
    }
}

quic_node *quic_pair_add(quic_pair *pair, const quic_node_options *given) {
    REQUIRE(pair->count < QUIC_PAIR_NODES);
    quic_node_options options = {.no_accept = false};
    if (given != NULL) {
        options = *given;
    }
    quic_node *node = &pair->nodes[pair->count];
    *node = (quic_node){.pair = pair, .index = pair->count, .stream = -1};
    pair->count++;
    uint8_t byte = options.seed_byte != 0 ? options.seed_byte : (uint8_t)(node->index + 1);
    memset(node->seed.bytes, byte, sizeof(node->seed.bytes));
    node->key = pollen_seed_key(&node->seed);
    uint8_t ip[4] = {10, 0, 0, (uint8_t)(node->index + 1)};
    node->self.remote = pln_addr_ipv4(ip, POLLEN_PORT_DEFAULT);
    start(node, &options);
    return node;
}

void quic_node_restart(quic_node *node) {
    quic_node_options options = {.no_accept = false};
    pln_quic_destroy(node->quic);
    node->quic = NULL;
    node->conn = 0;
    start(node, &options);
}

void quic_node_rebind(quic_node *node) {
    node->self.remote.port++;
}

void quic_pair_init(quic_pair *pair, uint64_t seed) {
    memset(pair, 0, sizeof(*pair));
    pair->rng = pln_rng_from_seed(&pair->rng_state, seed);
    pair->now = (pln_now){.mono = PLN_S(1000), .wall = QUIC_PAIR_WALL};
    pair->delay = PLN_MS(5);
    pair->trace = 14695981039346656037u;
    pln_heap_init(&pair->wires);
}

void quic_pair_fini(quic_pair *pair) {
    for (size_t i = 0; i < pair->count; i++) {
        pln_quic_destroy(pair->nodes[i].quic);
        pln_chunkq_clear(&pair->nodes[i].datagrams);
    }
    for (pln_timer *timer = pln_heap_pop(&pair->wires, PLN_TS_NEVER - 1); timer != NULL;
         timer = pln_heap_pop(&pair->wires, PLN_TS_NEVER - 1)) {
        free(PLN_TIMER_OWNER(timer, quic_wire, timer));
    }
    pln_heap_fini(&pair->wires);
}

/* ---- The network ----------------------------------------------------------------------------- */

static bool happens(quic_pair *pair, unsigned per_mille) {
    return per_mille > 0 && pln_rng_below(&pair->rng, 1000) < per_mille;
}

static void hash(quic_pair *pair, uint64_t value) {
    pair->trace = (pair->trace ^ value) * 1099511628211u;
}

static quic_node *node_at(quic_pair *pair, const pln_path *path) {
    for (size_t i = 0; i < pair->count; i++) {
        if (pollen_addr_equal(&pair->nodes[i].self.remote, &path->remote)) {
            return &pair->nodes[i];
        }
    }
    return NULL;
}

static void launch(quic_pair *pair, quic_node *to, const pln_path *from, const pln_datagram *packet,
                   const uint8_t *data) {
    quic_wire *wire = allocate(sizeof(*wire) + packet->size);
    memset(wire, 0, sizeof(*wire));
    wire->timer.at = PLN_TS_NEVER;
    wire->to = to;
    wire->from = *from;
    wire->ecn = pair->ecn_override != 0 ? pair->ecn_override : packet->ecn;
    wire->size = packet->size;
    if (packet->size > 0) {
        memcpy(wire->data, data, packet->size);
    }
    if (packet->size > 0 && happens(pair, pair->corrupt)) {
        size_t at = (size_t)pln_rng_below(&pair->rng, packet->size);
        wire->data[at] ^= (uint8_t)(1 + pln_rng_below(&pair->rng, 255));
    }
    pln_dur late = pair->jitter > 0 ? pln_rng_below(&pair->rng, pair->jitter) : 0;
    if (!pln_heap_set(&pair->wires, &wire->timer, pair->now.mono + pair->delay + late)) {
        free(wire); /* Memory ran out by design: one more lost packet. */
    }
}

static void send_one(quic_pair *pair, quic_node *from, pln_datagram *packet, uint8_t *data) {
    from->sent_packets++;
    from->sent_bytes += packet->size;
    from->largest_sent = packet->size > from->largest_sent ? packet->size : from->largest_sent;
    hash(pair, pair->now.mono);
    hash(pair, packet->size);
    hash(pair, packet->path.remote.port);
    hash(pair, packet->path.remote.ip[15]);
    if (pair->filter != NULL && !pair->filter(pair, from, packet, data)) {
        return;
    }
    quic_node *to = node_at(pair, &packet->path);
    bool too_large = pair->mtu > 0 && packet->size > pair->mtu;
    if (to == NULL || to->deaf || too_large || happens(pair, pair->lose)) {
        return;
    }
    launch(pair, to, &from->self, packet, data);
    if (happens(pair, pair->duplicate)) {
        launch(pair, to, &from->self, packet, data);
    }
}

void quic_pair_inject(quic_pair *pair, const pln_path *from, quic_node *to, const uint8_t *data,
                      size_t size) {
    pln_datagram packet = {.path = *from, .size = size, .data = data};
    launch(pair, to, from, &packet, data);
}

static void drain_packets(quic_node *node) {
    static uint8_t buf[PLN_TRANSMIT_BYTES];
    pln_transmit batch;
    while (pln_quic_poll_transmit(node->quic, buf, &batch, node->pair->now)) {
        REQUIRE(batch.size > 0 && batch.segment > 0 && batch.segment <= batch.size);
        REQUIRE(batch.size <= PLN_TRANSMIT_BYTES);
        REQUIRE((batch.size + batch.segment - 1) / batch.segment <= PLN_TRANSMIT_SEGMENTS);
        if (batch.size > batch.segment && batch.segment > node->largest_in_batch) {
            node->largest_in_batch = batch.segment;
        }
        for (size_t at = 0; at < batch.size; at += batch.segment) {
            size_t size = batch.size - at < batch.segment ? batch.size - at : batch.segment;
            pln_datagram packet = {
                .path = batch.path, .local = batch.local, .ecn = batch.ecn, .size = size};
            REQUIRE(pln_quic_is_quic(buf + at, size));
            send_one(node->pair, node, &packet, buf + at);
        }
    }
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void note_event(quic_node *node, pln_quic_event *event) {
    node->seen[event->kind]++;
    if (event->kind == PLN_QUIC_CONNECTED) {
        node->conn = event->conn;
    } else if (event->kind == PLN_QUIC_CLOSED) {
        node->closed = event->closed;
    } else if (event->kind == PLN_QUIC_STREAM_OPENED) {
        node->stream = event->stream;
    } else if (event->kind == PLN_QUIC_STREAM_RESET || event->kind == PLN_QUIC_STREAM_STOPPED) {
        node->code = event->code;
    }
    if (node->on_event != NULL) {
        node->on_event(node, event);
    }
    if (event->datagram != NULL) {
        pln_chunkq_push(&node->datagrams, event->datagram);
        event->datagram = NULL;
    }
    node->last = *event;
}

static bool drain_events(quic_node *node) {
    pln_quic_event event;
    bool any = false;
    while (pln_quic_poll_event(node->quic, &event)) {
        any = true;
        note_event(node, &event);
    }
    return any;
}

void quic_pair_settle(quic_pair *pair) {
    bool busy = true;
    for (unsigned round = 0; busy; round++) {
        REQUIRE(round < 100000);
        busy = false;
        for (size_t i = 0; i < pair->count; i++) {
            drain_packets(&pair->nodes[i]);
            busy = drain_events(&pair->nodes[i]) || busy;
        }
    }
}

/* ---- Time ------------------------------------------------------------------------------------ */

static pln_ts next_time(const quic_pair *pair) {
    pln_ts next = pln_heap_next(&pair->wires);
    for (size_t i = 0; i < pair->count; i++) {
        next = pln_ts_min(next, pln_quic_next_expiry(pair->nodes[i].quic));
    }
    return next;
}

static void deliver_due(quic_pair *pair) {
    for (pln_timer *timer = pln_heap_pop(&pair->wires, pair->now.mono); timer != NULL;
         timer = pln_heap_pop(&pair->wires, pair->now.mono)) {
        quic_wire *wire = PLN_TIMER_OWNER(timer, quic_wire, timer);
        /* Exactly as large as the packet, so that a sanitizer sees a read past its end. */
        uint8_t *data = allocate(wire->size > 0 ? wire->size : 1);
        memcpy(data, wire->data, wire->size);
        pln_datagram packet = {
            .path = wire->from, .ecn = wire->ecn, .data = data, .size = wire->size};
        pln_quic_handle_datagram(wire->to->quic, &packet, pair->now);
        free(data);
        free(wire);
    }
}

static void set_time(quic_pair *pair, pln_ts at) {
    REQUIRE(at >= pair->now.mono);
    pair->now.mono = at;
    pair->now.wall = QUIC_PAIR_WALL + (pln_wall)((at - PLN_S(1000)) / PLN_NS_PER_S);
}

bool quic_pair_run_until(quic_pair *pair, bool (*until)(quic_pair *pair), pln_dur at_most) {
    pln_ts end = pair->now.mono + at_most;
    unsigned standing = 0;
    for (;;) {
        quic_pair_settle(pair);
        if (until != NULL && until(pair)) {
            return true;
        }
        pln_ts next = next_time(pair);
        if (next > end) {
            set_time(pair, end);
            return false;
        }
        standing = next <= pair->now.mono ? standing + 1 : 0;
        REQUIRE(standing < 1000); /* Time must pass, or a real loop would spin. */
        set_time(pair, next > pair->now.mono ? next : pair->now.mono);
        deliver_due(pair);
        for (size_t i = 0; i < pair->count; i++) {
            pln_quic_handle_timeout(pair->nodes[i].quic, pair->now);
        }
    }
}

void quic_pair_run(quic_pair *pair, pln_dur span) {
    (void)quic_pair_run_until(pair, NULL, span);
}

/* ---- Short cuts ------------------------------------------------------------------------------ */

pollen_err quic_node_dial(quic_node *from, quic_node *to, bool invite) {
    return pln_quic_dial(from->quic, &to->self, &to->key, invite, from->pair->now, &from->conn);
}

pln_conn_info quic_node_info(const quic_node *node) {
    pln_conn_info info;
    REQUIRE(pln_quic_conn_info(node->quic, node->conn, &info) == POLLEN_OK);
    return info;
}

bool quic_node_connected(const quic_node *node) {
    pln_conn_info info;
    return pln_quic_conn_info(node->quic, node->conn, &info) == POLLEN_OK && info.connected;
}

size_t quic_node_seen(const quic_node *node, pln_quic_event_kind kind) {
    return node->seen[kind];
}

pln_chunk *quic_pair_chunk(size_t size, uint8_t first) {
    pln_chunk *chunk = pln_chunk_create(size);
    REQUIRE(chunk != NULL);
    for (size_t i = 0; i < size; i++) {
        chunk->data[i] = (uint8_t)(first + i);
    }
    chunk->end = size;
    return chunk;
}

pollen_err quic_node_send(quic_node *node, size_t size, uint8_t first) {
    pln_chunk *chunk = quic_pair_chunk(size, first);
    pollen_err err = pln_quic_send_datagram(node->quic, node->conn, chunk, 0);
    if (err != POLLEN_OK) {
        pln_chunk_destroy(chunk);
    }
    return err;
}

pln_path quic_pair_stranger(uint8_t number, uint16_t port) {
    uint8_t ip[4] = {192, 0, 2, number};
    pln_path path = {.via = PLN_VIA_MAIN, .remote = pln_addr_ipv4(ip, port)};
    return path;
}
