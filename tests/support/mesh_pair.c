/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/mesh_pair.h"

#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "base/mem.h"

typedef struct mp_packet {
    struct mp_packet *next;
    pln_ts at;
    pollen_addr from, to;
    uint8_t ecn;
    size_t size;
    uint8_t data[];
} mp_packet;

/* ---- The wire -------------------------------------------------------------------------------- */

/* A host answers on every port. */
static mp_node *node_at(mp_world *world, const pollen_addr *addr) {
    for (size_t i = 0; i < world->node_count; i++) {
        if (memcmp(world->nodes[i].addr.ip, addr->ip, sizeof(addr->ip)) == 0) {
            return &world->nodes[i];
        }
    }
    return NULL;
}

static bool is_lost(mp_node *from, const mp_node *to, size_t size) {
    mp_world *world = from->world;
    world->packets_sent++;
    if (to == NULL || size > world->mtu || pln_rng_below(&world->rng, 100) < world->loss_percent) {
        return true;
    }
    return world->filter != NULL && !world->filter(world->filter_ctx, from, to, size);
}

/* One delay for all, so that the list is in the order of arrival by itself, unless the delay
 * shrank. */
static void put_on_wire(mp_node *from, const pln_transmit *transmit, const uint8_t *data,
                        size_t size) {
    mp_world *world = from->world;
    mp_node *to = node_at(world, &transmit->path.remote);
    if (is_lost(from, to, size)) {
        return;
    }
    mp_packet *packet = malloc(sizeof(*packet) + size);
    assert_non_null(packet);
    *packet = (mp_packet){
        .at = world->now.mono + world->delay,
        .from = transmit->local.port != 0 && !from->has_moved ? transmit->local : from->addr,
        .to = transmit->path.remote,
        .ecn = transmit->ecn,
        .size = size,
    };
    memcpy(packet->data, data, size);
    mp_packet **at = &world->packets;
    while (*at != NULL && (*at)->at <= packet->at) {
        at = &(*at)->next;
    }
    packet->next = *at;
    *at = packet;
}

static bool poll_transmit(mp_node *node, pln_transmit *ret) {
    mp_world *world = node->world;
    return node->raw != NULL ? pln_quic_poll_transmit(node->raw, world->buf, ret, world->now)
                             : pln_mesh_poll_transmit(node->mesh, world->buf, ret, world->now);
}

static void transmit_all(mp_node *node) {
    mp_world *world = node->world;
    pln_transmit transmit;
    while (poll_transmit(node, &transmit)) {
        for (size_t at = 0; at < transmit.size; at += transmit.segment) {
            size_t left = transmit.size - at;
            put_on_wire(node, &transmit, world->buf + at,
                        left < transmit.segment ? left : transmit.segment);
        }
    }
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void drop_event(pln_mesh_event *event) {
    pln_chunk_destroy(event->body);
    pln_bytes_fini(&event->text);
    if (event->join_token != NULL) {
        pln_join_token_fini(event->join_token);
        pln_free(event->join_token);
    }
}

static void write_ledger(mp_node *node, const pln_mesh_event *event) {
    if (node->hold_ledger) {
        return;
    }
    if (node->ledger_err == POLLEN_OK) {
        free(node->ledger);
        node->ledger = malloc(event->text.size);
        assert_non_null(node->ledger);
        memcpy(node->ledger, event->text.data, event->text.size);
        node->ledger_size = event->text.size;
    }
    pln_mesh_ledger_written(node->mesh, event->token_id, node->ledger_err, node->world->now);
}

static void take_events(mp_node *node) {
    pln_mesh_event event;
    while (!node->hold_events && pln_mesh_poll_event(node->mesh, &event)) {
        assert_true(node->event_count < MP_EVENTS_MAX);
        if (event.kind == PLN_MESH_PACKET && !node->keep_packets) {
            pln_chunk_destroy(event.body);
            event.body = NULL;
        }
        node->events[node->event_count++] = event;
        if (event.kind == PLN_MESH_LEDGER_WRITE) {
            write_ledger(node, &event);
        }
    }
}

static void take_raw_events(mp_node *node) {
    pln_quic_event event;
    while (pln_quic_poll_event(node->raw, &event)) {
        if (node->on_raw != NULL) {
            node->on_raw(node, &event);
        }
        if (event.kind == PLN_QUIC_DATAGRAM) {
            pln_chunk_destroy(event.datagram);
        }
    }
}

static bool is_up(const mp_node *node) {
    return node->mesh != NULL || node->raw != NULL;
}

static void serve(mp_node *node) {
    if (!is_up(node)) {
        return;
    }
    transmit_all(node);
    if (node->raw != NULL) {
        take_raw_events(node);
    } else {
        take_events(node);
    }
    transmit_all(node);
}

static pln_ts expiry_of(const mp_node *node) {
    return node->raw != NULL ? pln_quic_next_expiry(node->raw) : pln_mesh_next_expiry(node->mesh);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void set_now(mp_world *world, pln_ts mono) {
    world->now.mono = mono;
    world->now.wall =
        MP_WALL_START + world->wall_jump + (pln_wall)((mono - MP_START) / PLN_NS_PER_S);
}

static void deliver(mp_world *world) {
    while (world->packets != NULL && world->packets->at <= world->now.mono) {
        mp_packet *packet = world->packets;
        world->packets = packet->next;
        mp_node *to = node_at(world, &packet->to);
        if (to != NULL && is_up(to)) {
            pln_datagram datagram = {
                .path = {.via = PLN_VIA_MAIN, .remote = packet->from},
                .local = packet->to,
                .ecn = packet->ecn,
                .data = packet->data,
                .size = packet->size,
            };
            if (to->raw != NULL) {
                pln_quic_handle_datagram(to->raw, &datagram, world->now);
            } else {
                pln_mesh_handle_datagram(to->mesh, &datagram, world->now);
            }
            serve(to);
        }
        free(packet);
    }
}

static pln_ts next_time(const mp_world *world) {
    pln_ts next = world->packets != NULL ? world->packets->at : PLN_TS_NEVER;
    for (size_t i = 0; i < world->node_count; i++) {
        const mp_node *node = &world->nodes[i];
        if (is_up(node) && !node->hold_events) {
            next = pln_ts_min(next, expiry_of(node));
        }
    }
    return next;
}

/* One instant; false when nothing is to happen before the end. */
static bool step(mp_world *world, pln_ts end) {
    pln_ts next = next_time(world);
    if (next > end) {
        return false;
    }
    if (next > world->now.mono) {
        set_now(world, next);
    }
    deliver(world);
    for (size_t i = 0; i < world->node_count; i++) {
        mp_node *node = &world->nodes[i];
        if (!is_up(node)) {
            continue;
        }
        if (node->raw != NULL && expiry_of(node) <= world->now.mono) {
            pln_quic_handle_timeout(node->raw, world->now);
        } else if (node->raw == NULL && expiry_of(node) <= world->now.mono) {
            pln_mesh_handle_timeout(node->mesh, world->now);
        }
        serve(node);
    }
    return true;
}

static bool run_while(mp_world *world, pln_dur limit, bool (*is_wanted)(void *ctx), void *ctx) {
    pln_ts end = world->now.mono + limit;
    for (size_t i = 0; i < world->node_count; i++) {
        serve(&world->nodes[i]);
    }
    size_t idle = 0;
    for (;;) {
        if (is_wanted != NULL && !is_wanted(ctx)) {
            return true;
        }
        pln_ts before = world->now.mono;
        if (!step(world, end)) {
            break;
        }
        /* Time must pass, or somebody has work for ever. */
        idle = world->now.mono == before ? idle + 1 : 0;
        assert_true(idle < 10000);
    }
    set_now(world, end);
    return false;
}

void mp_run(mp_world *world, pln_dur duration) {
    (void)run_while(world, duration, NULL, NULL);
}

typedef struct awaited {
    const mp_node *node;
    pln_mesh_event_kind kind;
    size_t count;
    pln_op op;
} awaited;

static bool lacks_events(void *ctx) {
    const awaited *a = ctx;
    return mp_count(a->node, a->kind) < a->count;
}

bool mp_run_for(mp_node *node, pln_mesh_event_kind kind, size_t count, pln_dur limit) {
    awaited a = {.node = node, .kind = kind, .count = count};
    return run_while(node->world, limit, lacks_events, &a);
}

static bool lacks_op(void *ctx) {
    const awaited *a = ctx;
    return mp_done(a->node, a->op) == NULL;
}

const pln_mesh_event *mp_run_op(mp_node *node, pln_op op, pln_dur limit) {
    awaited a = {.node = node, .op = op};
    (void)run_while(node->world, limit, lacks_op, &a);
    return mp_done(node, op);
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static int compare_seeds(const void *a, const void *b) {
    pollen_key key_a = pollen_seed_key(a);
    pollen_key key_b = pollen_seed_key(b);
    return pln_key_compare(&key_a, &key_b);
}

/* Seeds whose keys are in ascending order. */
static pollen_seed seed_number(size_t number) {
    pollen_seed seeds[MP_NODES_MAX];
    for (size_t i = 0; i < MP_NODES_MAX; i++) {
        memset(seeds[i].bytes, (int)(0x40 + i), sizeof(seeds[i].bytes));
    }
    qsort(seeds, MP_NODES_MAX, sizeof(seeds[0]), compare_seeds);
    return seeds[number];
}

static bool is_revoked(void *ctx, const pollen_key *key) {
    const mp_node *node = ctx;
    for (size_t i = 0; i < node->revoked_count; i++) {
        if (pln_key_equal(&node->revoked[i], key)) {
            return true;
        }
    }
    return false;
}

mp_world *mp_create(uint64_t seed) {
    mp_world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->buf = malloc(PLN_TRANSMIT_BYTES);
    assert_non_null(world->buf);
    world->rng = pln_rng_from_seed(&world->rng_state, seed);
    world->delay = PLN_MS(10);
    world->mtu = 1452;
    memset(world->root_seed.bytes, 0x11, sizeof(world->root_seed.bytes));
    memset(world->foreign_seed.bytes, 0x22, sizeof(world->foreign_seed.bytes));
    set_now(world, MP_START);
    return world;
}

static void free_node(mp_node *node) {
    mp_forget(node);
    mp_kill(node);
    pln_credentials_fini(&node->creds);
    free(node->events);
    free(node->ledger);
}

void mp_destroy(mp_world *world) {
    for (size_t i = 0; i < world->node_count; i++) {
        free_node(&world->nodes[i]);
    }
    while (world->packets != NULL) {
        mp_packet *packet = world->packets;
        world->packets = packet->next;
        free(packet);
    }
    free(world->buf);
    free(world);
}

const pln_signer *mp_signer(mp_world *world) {
    return &world->nodes[0].creds.signer;
}

void mp_enrol(mp_node *node, const pln_signer *signer, int64_t from, int64_t to, bool renewable) {
    mp_world *world = node->world;
    pln_member_terms terms = {.ttl_seconds = to - from, .non_renewable = !renewable};
    pln_member_cert_fini(&node->creds.member_cert);
    pln_trust_fini(&node->creds.trust);
    /* Issued as if it were `from` and a minute, because the beginning is back-dated by that. */
    assert_int_equal(pln_member_cert_issue(signer, &node->creds.key, &terms, &world->rng,
                                           world->now.wall + from, &node->creds.member_cert),
                     POLLEN_OK);
    assert_int_equal(pln_trust_copy(&node->creds.trust, &signer->trust), POLLEN_OK);
    node->creds.enrolled = true;
}

void mp_make_foreign(mp_node *node) {
    pln_signer signer;
    mp_world *world = node->world;
    assert_int_equal(
        pln_signer_create_root(&world->foreign_seed, 86400, &world->rng, world->now.wall, &signer),
        POLLEN_OK);
    mp_enrol(node, &signer, 0, 86400, true);
    pln_signer_fini(&signer);
}

void mp_make_bare(mp_node *node) {
    pln_member_cert_fini(&node->creds.member_cert);
    pln_trust_fini(&node->creds.trust);
    node->creds.enrolled = false;
}

mp_node *mp_prepare(mp_world *world) {
    assert_true(world->node_count < MP_NODES_MAX);
    size_t index = world->node_count++;
    mp_node *node = &world->nodes[index];
    *node = (mp_node){.world = world, .index = index, .next_op = 1};
    node->events = calloc(MP_EVENTS_MAX, sizeof(*node->events));
    assert_non_null(node->events);
    uint8_t ip[4] = {10, 0, 0, (uint8_t)(index + 1)};
    node->addr = pln_addr_ipv4(ip, 60611);
    pollen_seed seed = seed_number(index);
    pln_credentials_init(&node->creds, &seed);
    node->config = (pln_mesh_config){
        .creds = &node->creds,
        .rng = pln_rng_from_seed(&node->rng_state, 1000 + index),
        .tls_identity_ttl_seconds = 10ll * 365 * 86400,
        .membership_ttl_seconds = 365 * 86400,
        .is_revoked = is_revoked,
        .is_revoked_ctx = node,
        .serve_invites = true,
    };
    if (index == 0) {
        /* A day ago, so that certificates that ran out meanwhile can be made. */
        assert_int_equal(pln_credentials_create_root(&node->creds, &world->root_seed,
                                                     10ll * 365 * 86400, 365 * 86400, &world->rng,
                                                     world->now.wall - 86400),
                         POLLEN_OK);
    } else {
        mp_enrol(node, mp_signer(world), 0, 365 * 86400, true);
    }
    return node;
}

void mp_start(mp_node *node) {
    assert_null(node->mesh);
    assert_int_equal(pln_mesh_create(&node->config, node->world->now, &node->mesh), POLLEN_OK);
    if (node->ledger != NULL) {
        assert_int_equal(pln_mesh_load_ledger(node->mesh, node->ledger, node->ledger_size, NULL),
                         POLLEN_OK);
    }
}

mp_node *mp_add(mp_world *world) {
    mp_node *node = mp_prepare(world);
    mp_start(node);
    return node;
}

void mp_kill(mp_node *node) {
    pln_mesh_destroy(node->mesh);
    pln_quic_destroy(node->raw);
    node->mesh = NULL;
    node->raw = NULL;
}

/* ---- Bare endpoints -------------------------------------------------------------------------- */

static pollen_err accept_all(void *ctx, const pln_quic_peer *peer, pln_now now) {
    (void)ctx;
    (void)peer;
    (void)now;
    return POLLEN_OK;
}

void mp_start_raw(mp_node *node, bool only_mesh_1,
                  void (*on_raw)(mp_node *node, const pln_quic_event *event)) {
    pln_quic_config config = {
        .seed = &node->creds.seed,
        .rng = node->config.rng,
        .verify = accept_all,
        .tls_identity_ttl_seconds = 86400,
        .accept_mesh = true,
        .accept_invites = true,
        .only_mesh_1 = only_mesh_1,
    };
    assert_int_equal(pln_quic_create(&config, node->world->now, &node->raw), POLLEN_OK);
    if (node->creds.enrolled) {
        const pln_bytes *cert = &node->creds.member_cert.wire;
        assert_int_equal(
            pln_quic_set_identity(node->raw, cert->data, cert->size, node->world->now.wall),
            POLLEN_OK);
    }
    node->on_raw = on_raw;
}

pln_conn_id mp_raw_dial(mp_node *node, const mp_node *to, bool invite) {
    pln_conn_id conn = 0;
    pln_path path = mp_path(to);
    assert_int_equal(pln_quic_dial(node->raw, &path, mp_key(to), invite, node->world->now, &conn),
                     POLLEN_OK);
    return conn;
}

void mp_raw_send(mp_node *node, pln_conn_id conn, pln_bytes *envelope) {
    pln_chunk *chunk = pln_chunk_create(envelope->size);
    assert_non_null(chunk);
    memcpy(chunk->data, envelope->data, envelope->size);
    chunk->end = envelope->size;
    pln_bytes_fini(envelope);
    if (pln_quic_send_datagram(node->raw, conn, chunk, 0) != POLLEN_OK) {
        pln_chunk_destroy(chunk);
    }
}

const pollen_key *mp_key(const mp_node *node) {
    return &node->creds.key;
}

pln_path mp_path(const mp_node *node) {
    return (pln_path){.via = PLN_VIA_MAIN, .remote = node->addr};
}

pln_path mp_nowhere(uint16_t number) {
    uint8_t ip[4] = {10, 9, 9, 9};
    return (pln_path){.via = PLN_VIA_MAIN, .remote = pln_addr_ipv4(ip, (uint16_t)(1 + number))};
}

void mp_revoke(mp_node *node, const pollen_key *key) {
    assert_true(node->revoked_count < MP_REVOKED_MAX);
    node->revoked[node->revoked_count++] = *key;
}

/* ---- What was seen --------------------------------------------------------------------------- */

size_t mp_count(const mp_node *node, pln_mesh_event_kind kind) {
    size_t count = 0;
    for (size_t i = 0; i < node->event_count; i++) {
        count += node->events[i].kind == kind;
    }
    return count;
}

const pln_mesh_event *mp_find(const mp_node *node, pln_mesh_event_kind kind, size_t nth) {
    for (size_t i = 0; i < node->event_count; i++) {
        if (node->events[i].kind == kind && nth-- == 0) {
            return &node->events[i];
        }
    }
    return NULL;
}

const pln_mesh_event *mp_done(const mp_node *node, pln_op op) {
    for (size_t i = 0; i < node->event_count; i++) {
        if (node->events[i].kind == PLN_MESH_OP_DONE && node->events[i].op == op) {
            return &node->events[i];
        }
    }
    return NULL;
}

void mp_forget(mp_node *node) {
    for (size_t i = 0; i < node->event_count; i++) {
        drop_event(&node->events[i]);
    }
    node->event_count = 0;
}

/* ---- Commands -------------------------------------------------------------------------------- */

pln_op mp_connect_paths(mp_node *from, const pollen_key *to, const pln_path *paths, size_t count,
                        pln_dur timeout) {
    pln_op op = from->next_op++;
    pln_now now = from->world->now;
    pln_mesh_connect(from->mesh, op, to, paths, count, pln_ts_add(now.mono, timeout), now);
    return op;
}

pln_op mp_connect(mp_node *from, const mp_node *to) {
    pln_path path = mp_path(to);
    return mp_connect_paths(from, mp_key(to), &path, 1, PLN_S(30));
}

void mp_join(mp_node *from, mp_node *to) {
    const pln_mesh_event *done = mp_run_op(from, mp_connect(from, to), PLN_S(30));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_OK);
    mp_run(from->world, PLN_MS(100));
    assert_true(mp_has_session(from, to));
    assert_true(mp_has_session(to, from));
}

pollen_err mp_send(mp_node *from, const mp_node *to, const char *text) {
    size_t size = strlen(text);
    pln_chunk *chunk =
        pln_chunk_create(pln_envelope_overhead(POLLEN_ENVELOPE_PAYLOAD, size) + size);
    assert_non_null(chunk);
    chunk->end =
        pln_envelope_encode(POLLEN_ENVELOPE_PAYLOAD, (const uint8_t *)text, size, chunk->data);
    pollen_err err = pln_mesh_send(from->mesh, mp_key(to), chunk, from->world->now);
    if (err != POLLEN_OK) {
        pln_chunk_destroy(chunk);
    }
    return err;
}

size_t mp_sessions(const mp_node *node) {
    return pln_mesh_session_count(node->mesh);
}

bool mp_has_session(const mp_node *node, const mp_node *peer) {
    pln_session_info info;
    return node->mesh != NULL &&
           pln_mesh_session_info(node->mesh, mp_key(peer), &info) == POLLEN_OK;
}

size_t mp_conns(const mp_node *node) {
    pln_mesh_stats stats;
    pln_mesh_get_stats(node->mesh, &stats);
    return stats.quic.connections;
}
