/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A few meshes in memory, on a virtual clock over a tiny virtual wire: one delay, a share of loss,
 * and addresses that nobody has.  Every event is recorded, so that a test counts and looks for
 * them.
 *
 * Lifetime: a world owns its nodes; what mp_* returns is borrowed until the next mp_* call.
 */
#ifndef TESTS_SUPPORT_MESH_PAIR_H
#define TESTS_SUPPORT_MESH_PAIR_H

#include "mesh/mesh.h"
#include "wire/envelope.h"

enum { MP_NODES_MAX = 8, MP_EVENTS_MAX = 4096, MP_REVOKED_MAX = 4 };

#define MP_WALL_START 1770000000
#define MP_START PLN_S(1000)

typedef struct mp_world mp_world;

typedef struct mp_node {
    mp_world *world;
    size_t index;
    pln_mesh *mesh; /* NULL while it is down. */
    pln_quic *raw;  /* Or a bare endpoint, for what a mesh would not do. */
    void (*on_raw)(struct mp_node *node, const pln_quic_event *event);
    void *raw_ctx;
    pln_credentials creds; /* What it starts with. */
    pln_mesh_config config;
    pollen_addr addr;
    bool has_moved; /* Sends from addr, wherever it was addressed. */
    pln_rng_seeded rng_state;
    pln_mesh_event *events; /* All since the last mp_forget(), in order. */
    size_t event_count;
    pollen_key revoked[MP_REVOKED_MAX];
    size_t revoked_count;
    pln_op next_op;
    bool keep_packets;     /* Off, their bodies are freed at once. */
    bool hold_events;      /* The owner does not poll. */
    pollen_err ledger_err; /* What writing the ledger gives. */
    bool hold_ledger;      /* The write does not end by itself. */
    char *ledger;          /* The text last written. */
    size_t ledger_size;
} mp_node;

struct mp_world {
    pln_now now;
    pln_ts epoch;       /* For the wall clock. */
    pln_wall wall_jump; /* Seconds that the wall clock is wrong by. */
    pln_dur delay;      /* One way. */
    uint32_t loss_percent;
    size_t mtu; /* Larger UDP payloads vanish; 1452 as on Ethernet with IPv6. */
    mp_node nodes[MP_NODES_MAX];
    size_t node_count;
    pln_rng_seeded rng_state;
    pln_rng rng;
    struct mp_packet *packets;
    uint64_t next_order;
    uint8_t *buf;
    pollen_seed root_seed;
    pollen_seed foreign_seed; /* Of another cluster's root. */
    size_t packets_sent;
    /* Looks at each packet; false drops it.  NULL: all pass. */
    bool (*filter)(void *ctx, const mp_node *from, const mp_node *to, size_t size);
    void *filter_ctx;
};

mp_world *mp_create(uint64_t seed);
void mp_destroy(mp_world *world);

/* A member of the world's cluster; the first one is its root and signer.  Its key is the one with
 * this number, and numbers are in the order of the keys: node 0 has the smallest. */
mp_node *mp_add(mp_world *world);
/* The same, but not started: for tests that change creds or config first. */
mp_node *mp_prepare(mp_world *world);
void mp_start(mp_node *node);
void mp_kill(mp_node *node); /* Without a word. */

/* Starts a prepared node as a bare endpoint with its key and certificate, which accepts whoever
 * comes. on_raw hears of everything; datagrams are freed after it. */
void mp_start_raw(mp_node *node, bool only_mesh_1,
                  void (*on_raw)(mp_node *node, const pln_quic_event *event));
pln_conn_id mp_raw_dial(mp_node *node, const mp_node *to, bool invite);
/* Sends an encoded envelope and frees it. */
void mp_raw_send(mp_node *node, pln_conn_id conn, pln_bytes *envelope);

/* Enrols with a certificate of this signer, valid for [now + from, now + to]. */
void mp_enrol(mp_node *node, const pln_signer *signer, int64_t from, int64_t to, bool renewable);
const pln_signer *mp_signer(mp_world *world);
void mp_make_foreign(mp_node *node); /* A member of another cluster. */
void mp_make_bare(mp_node *node);    /* Of none. */

const pollen_key *mp_key(const mp_node *node);
pln_path mp_path(const mp_node *node);
pln_path mp_nowhere(uint16_t number); /* An address that nobody has. */
void mp_revoke(mp_node *node, const pollen_key *key);

void mp_run(mp_world *world, pln_dur duration);
/* Until the node has that many events of the kind, or the limit is reached. */
bool mp_run_for(mp_node *node, pln_mesh_event_kind kind, size_t count, pln_dur limit);
/* Until the op is done; NULL when the limit is reached first. */
const pln_mesh_event *mp_run_op(mp_node *node, pln_op op, pln_dur limit);

size_t mp_count(const mp_node *node, pln_mesh_event_kind kind);
const pln_mesh_event *mp_find(const mp_node *node, pln_mesh_event_kind kind, size_t nth);
const pln_mesh_event *mp_done(const mp_node *node, pln_op op); /* Its OP_DONE, or NULL. */
void mp_forget(mp_node *node);

/* Commands with a deadline of 30 s. */
pln_op mp_connect(mp_node *from, const mp_node *to);
pln_op mp_connect_paths(mp_node *from, const pollen_key *to, const pln_path *paths, size_t count,
                        pln_dur timeout);
/* Connects and waits until both have the session; fails the test otherwise. */
void mp_join(mp_node *from, mp_node *to);
pollen_err mp_send(mp_node *from, const mp_node *to, const char *text);

size_t mp_sessions(const mp_node *node);
bool mp_has_session(const mp_node *node, const mp_node *peer);
/* Connections that the endpoint holds, registered or not. */
size_t mp_conns(const mp_node *node);

#endif
