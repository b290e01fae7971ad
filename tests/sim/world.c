/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/token.h"
#include "base/assert.h"
#include "base/mem.h"
#include "wire/envelope.h"

#define START PLN_S(1000)
#define FNV_OFFSET 0xcbf29ce484222325ull
#define FNV_PRIME 0x100000001b3ull
#define PORT POLLEN_PORT_DEFAULT
#define MEMBER_TTL (365ll * 86400)

typedef struct sim_host {
    pln_node *node; /* NULL when killed. */
    pln_credentials creds;
    pollen_addr addr;
    pln_rng_seeded rng;
    sim_seen seen[SIM_NODES_MAX];
} sim_host;

struct sim_world {
    uint64_t seed;
    pln_rng_seeded rng_state, net_rng_state;
    pln_rng rng;
    sim_net *net;
    pln_ts now;
    sim_host *hosts;
    size_t count;
    size_t partition_below;
    pln_op next_op;
    uint64_t hash, lines;
    bool verbose;
    bool gossip;
    bool without_pings;
    uint8_t *buf; /* PLN_TRANSMIT_BYTES */
};

static pln_now now_of(const sim_world *world) {
    const pln_wall passed = (pln_wall)((world->now - START) / PLN_NS_PER_S);
    return (pln_now){.mono = world->now, .wall = SIM_WALL_START + passed};
}

/* The hash is FNV-1a over the text of the lines: cheap, and any difference shows. */
__attribute__((format(printf, 2, 3))) static void record(sim_world *world, const char *format,
                                                         ...) {
    char line[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    char stamped[320];
    (void)snprintf(stamped, sizeof stamped, "%" PRIu64 " %s", world->now, line);
    for (const char *c = stamped; *c != '\0'; c++) {
        world->hash = (world->hash ^ (uint8_t)*c) * FNV_PRIME;
    }
    world->lines++;
    if (world->verbose) {
        fprintf(stderr, "%12.6f %s\n", (double)(world->now - START) / 1e9, line);
    }
}

sim_world *sim_world_create(uint64_t seed, const sim_link *link) {
    sim_world *world = calloc(1, sizeof *world);
    PLN_ASSERT(world != NULL);
    world->seed = seed;
    world->rng = pln_rng_from_seed(&world->rng_state, seed);
    world->net = sim_net_create(pln_rng_from_seed(&world->net_rng_state, seed ^ FNV_PRIME), link);
    world->now = START;
    world->hosts = calloc(SIM_NODES_MAX, sizeof(sim_host));
    world->buf = malloc(PLN_TRANSMIT_BYTES);
    world->hash = FNV_OFFSET;
    world->next_op = 1;
    world->verbose = getenv("POLLEN_SIM_VERBOSE") != NULL;
    PLN_ASSERT(world->hosts != NULL && world->buf != NULL);
    return world;
}

void sim_world_destroy(sim_world *world) {
    if (world == NULL) {
        return;
    }
    for (size_t i = 0; i < world->count; i++) {
        pln_node_destroy(world->hosts[i].node);
        pln_credentials_fini(&world->hosts[i].creds);
    }
    sim_net_destroy(world->net);
    free(world->hosts);
    free(world->buf);
    free(world);
}

void sim_world_set_link(sim_world *world, const sim_link *link) {
    sim_net_set_link(world->net, link);
}

void sim_world_gossip(sim_world *world) {
    world->gossip = true;
}

void sim_world_without_pings(sim_world *world) {
    world->without_pings = true;
}

uint64_t sim_world_seed(const sim_world *world) {
    return world->seed;
}

pln_ts sim_world_now(const sim_world *world) {
    return world->now;
}

pln_rng *sim_world_rng(sim_world *world) {
    return &world->rng;
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static void enrol(sim_world *world, sim_host *host) {
    pollen_err err;
    if (world->count == 0) {
        pollen_seed root;
        pln_rng_fill(&world->rng, root.bytes, sizeof root.bytes);
        err = pln_credentials_create_root(&host->creds, &root, 5 * MEMBER_TTL, MEMBER_TTL,
                                          &world->rng, SIM_WALL_START);
        PLN_ASSERT(err == POLLEN_OK);
        return;
    }
    const pln_bootstraps none = {0};
    const pln_join_terms terms = {
        .bootstrap = &none, .ttl_seconds = 3600, .membership = {.ttl_seconds = MEMBER_TTL}};
    pln_join_token token = {0};
    err = pln_join_issue(&world->hosts[0].creds.signer, &host->creds.key, &terms, &world->rng,
                         SIM_WALL_START, &token);
    PLN_ASSERT(err == POLLEN_OK);
    bool changed = false;
    err = pln_credentials_apply(&host->creds, &token, SIM_WALL_START, &changed);
    PLN_ASSERT(err == POLLEN_OK && changed);
    pln_join_token_fini(&token);
}

static void start(sim_world *world, sim_host *host) {
    const pln_node_config config = {
        .mesh = {.creds = &host->creds,
                 .rng = pln_rng_from_seed(&host->rng, pln_rng_u64(&world->rng)),
                 .tls_identity_ttl_seconds = 10 * MEMBER_TTL,
                 .membership_ttl_seconds = MEMBER_TTL,
                 .idle_timeout = world->without_pings ? PLN_S(3600) : 0,
                 .keep_alive = world->without_pings ? PLN_S(1000) : 0,
                 .serve_invites = host->creds.has_signer},
        .keep_peers = world->gossip,
        .gossip = world->gossip,
    };
    pollen_err err = pln_node_create(&config, now_of(world), &host->node);
    PLN_ASSERT(err == POLLEN_OK);
    err = pln_node_advertise(host->node, &host->addr, 1, host->addr.port, now_of(world));
    PLN_ASSERT(err == POLLEN_OK);
}

static size_t add(sim_world *world, bool enrolled) {
    PLN_ASSERT(world->count < SIM_NODES_MAX);
    sim_host *host = &world->hosts[world->count];
    pollen_seed seed;
    pln_rng_fill(&world->rng, seed.bytes, sizeof seed.bytes);
    pln_credentials_init(&host->creds, &seed);
    if (enrolled) {
        enrol(world, host);
    }
    const uint8_t ip[4] = {10, 0, 0, (uint8_t)(world->count + 1)};
    host->addr = pln_addr_ipv4(ip, PORT);
    start(world, host);
    return world->count++;
}

size_t sim_add_node(sim_world *world) {
    return add(world, true);
}

size_t sim_add_outsider(sim_world *world) {
    return add(world, false);
}

size_t sim_node_count(const sim_world *world) {
    return world->count;
}

const pollen_key *sim_key(const sim_world *world, size_t node) {
    return &world->hosts[node].creds.key;
}

pollen_addr sim_addr(const sim_world *world, size_t node) {
    return world->hosts[node].addr;
}

void sim_kill(sim_world *world, size_t node) {
    record(world, "%zu killed", node);
    pln_node_destroy(world->hosts[node].node);
    world->hosts[node].node = NULL;
}

void sim_restart(sim_world *world, size_t node) {
    PLN_ASSERT(world->hosts[node].node == NULL);
    record(world, "%zu restarted", node);
    start(world, &world->hosts[node]);
}

bool sim_is_up(const sim_world *world, size_t node) {
    return world->hosts[node].node != NULL;
}

pln_node *sim_node(sim_world *world, size_t node) {
    return world->hosts[node].node;
}

pln_mesh *sim_mesh(sim_world *world, size_t node) {
    return pln_node_mesh(world->hosts[node].node);
}

void sim_partition(sim_world *world, size_t below) {
    record(world, "partition below %zu", below);
    world->partition_below = below;
}

static size_t host_by_addr(const sim_world *world, const pollen_addr *addr) {
    return (size_t)addr->ip[15] - 1 < world->count && addr->port == PORT ? (size_t)addr->ip[15] - 1
                                                                         : SIM_NODES_MAX;
}

static size_t host_by_key(const sim_world *world, const pollen_key *key) {
    for (size_t i = 0; i < world->count; i++) {
        if (pln_key_equal(&world->hosts[i].creds.key, key)) {
            return i;
        }
    }
    return SIM_NODES_MAX;
}

static bool is_cut(const sim_world *world, size_t a, size_t b) {
    return (a < world->partition_below) != (b < world->partition_below);
}

/* ---- One node's turn ------------------------------------------------------------------------- */

static void record_event(sim_world *world, size_t node, size_t peer, const pln_mesh_event *event) {
    sim_seen *seen = &world->hosts[node].seen[peer];
    switch (event->kind) {
    case PLN_MESH_CONNECTED:
        seen->connected++;
        seen->last_generation = event->generation;
        record(world, "%zu connected %zu gen %" PRIu64 "%s", node, peer, event->generation,
               event->inbound ? " inbound" : "");
        return;
    case PLN_MESH_DISCONNECTED:
        seen->disconnected++;
        seen->last_reason = event->reason;
        record(world, "%zu disconnected %zu gen %" PRIu64 " reason %d", node, peer,
               event->generation, (int)event->reason);
        return;
    case PLN_MESH_PACKET:
        seen->packets += event->envelope == POLLEN_ENVELOPE_PAYLOAD;
        record(world, "%zu packet from %zu kind %d size %zu", node, peer, (int)event->envelope,
               pln_chunk_size(event->body));
        return;
    case PLN_MESH_OP_DONE:
        *(event->err == POLLEN_OK ? &seen->ops_ok : &seen->ops_failed) += 1;
        record(world, "%zu op %" PRIu64 " on %zu: %s %s", node, event->op, peer,
               pollen_err_name(event->err), event->detail);
        return;
    case PLN_MESH_PATH:
    case PLN_MESH_STREAM_ACCEPTED:
    case PLN_MESH_STREAM_READABLE:
    case PLN_MESH_STREAM_WRITABLE:
    case PLN_MESH_STREAM_RESET:
    case PLN_MESH_STREAM_STOPPED:
    case PLN_MESH_STREAM_CLOSED:
    case PLN_MESH_LEDGER_WRITE:
    case PLN_MESH_CREDENTIALS_CHANGED:
        record(world, "%zu event %d", node, (int)event->kind);
        return;
    }
}

/* What the daemon does with files: here a write takes no time and never fails. */
static void do_duties(sim_world *world, size_t node, const pln_mesh_event *event) {
    pln_mesh *mesh = sim_mesh(world, node);
    if (event->kind == PLN_MESH_LEDGER_WRITE) {
        pln_mesh_ledger_written(mesh, event->token_id, POLLEN_OK, now_of(world));
    } else if (event->join_token != NULL) {
        const pollen_err err = pln_mesh_apply(mesh, event->join_token, now_of(world));
        record(world, "%zu enrols: %s", node, pollen_err_name(err));
    }
}

static void take_events(sim_world *world, size_t node) {
    pln_mesh_event event;
    while (pln_node_poll_event(world->hosts[node].node, &event)) {
        const size_t peer = host_by_key(world, &event.peer);
        record_event(world, node, peer < SIM_NODES_MAX ? peer : node, &event);
        do_duties(world, node, &event);
        pln_chunk_destroy_list(event.body);
        pln_bytes_fini(&event.text);
        if (event.join_token != NULL) {
            pln_join_token_fini(event.join_token);
            pln_free(event.join_token);
        }
    }
}

static void send_batch(sim_world *world, size_t node, const pln_transmit *batch) {
    PLN_ASSERT(batch->size > 0 && batch->segment > 0);
    for (size_t at = 0; at < batch->size; at += batch->segment) {
        const size_t left = batch->size - at;
        const size_t size = left < batch->segment ? left : batch->segment;
        const size_t to = host_by_addr(world, &batch->path.remote);
        record(world, "%zu > %zu %zu bytes", node, to, size);
        if (to < SIM_NODES_MAX && !is_cut(world, node, to)) {
            sim_net_send(world->net, &world->hosts[node].addr, &batch->path.remote, batch->ecn,
                         world->buf + at, size, world->now);
        }
    }
}

/* Output first, then events, until there is neither: an event may have led to more output. */
static void pump(sim_world *world, size_t node) {
    pln_node *core = world->hosts[node].node;
    pln_transmit batch;
    while (pln_node_poll_transmit(core, world->buf, &batch, now_of(world))) {
        send_batch(world, node, &batch);
    }
    take_events(world, node);
    while (pln_node_poll_transmit(core, world->buf, &batch, now_of(world))) {
        send_batch(world, node, &batch);
    }
}

static void deliver(sim_world *world, sim_packet *packet) {
    const size_t to = host_by_addr(world, &packet->to);
    const size_t from = host_by_addr(world, &packet->from);
    if (to < SIM_NODES_MAX && world->hosts[to].node != NULL && !is_cut(world, from, to)) {
        const pln_datagram datagram = {.path = {.via = PLN_VIA_MAIN, .remote = packet->from},
                                       .local = world->hosts[to].addr,
                                       .ecn = packet->ecn,
                                       .data = packet->data,
                                       .size = packet->size};
        pln_node_handle_datagram(world->hosts[to].node, &datagram, now_of(world));
        pump(world, to);
    }
    free(packet);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static pln_ts next_moment(const sim_world *world) {
    pln_ts next = sim_net_next(world->net);
    for (size_t i = 0; i < world->count; i++) {
        if (world->hosts[i].node != NULL) {
            next = pln_ts_min(next, pln_node_next_expiry(world->hosts[i].node));
        }
    }
    return next;
}

/* Everything that is due at this instant. */
static void do_moment(sim_world *world) {
    sim_packet *packet;
    while ((packet = sim_net_take(world->net, world->now)) != NULL) {
        deliver(world, packet);
    }
    for (size_t i = 0; i < world->count; i++) {
        sim_host *host = &world->hosts[i];
        if (host->node != NULL && pln_ts_reached(pln_node_next_expiry(host->node), world->now)) {
            pln_node_handle_timeout(host->node, now_of(world));
            pump(world, i);
        }
    }
}

static void advance(sim_world *world, pln_ts to) {
    /* A timer that stays due would stand still for ever: time passes by a microsecond at least. */
    world->now = to > world->now ? to : world->now + 1000;
}

void sim_run(sim_world *world, pln_dur duration) {
    (void)sim_run_until(world, NULL, NULL, duration);
}

bool sim_run_until(sim_world *world, bool (*condition)(sim_world *world, void *arg), void *arg,
                   pln_dur limit) {
    const pln_ts end = pln_ts_add(world->now, limit);
    for (;;) {
        if (condition != NULL && condition(world, arg)) {
            return true;
        }
        const pln_ts next = next_moment(world);
        if (next > end) {
            world->now = end;
            return condition != NULL && condition(world, arg);
        }
        advance(world, next);
        do_moment(world);
    }
}

/* ---- Commands -------------------------------------------------------------------------------- */

void sim_connect(sim_world *world, size_t from, size_t to, pln_dur timeout) {
    const pln_path path = {.via = PLN_VIA_MAIN, .remote = world->hosts[to].addr};
    record(world, "%zu connects to %zu", from, to);
    pln_mesh_connect(sim_mesh(world, from), world->next_op++, sim_key(world, to), &path, 1,
                     pln_ts_add(world->now, timeout), now_of(world));
    pump(world, from);
}

void sim_keep(sim_world *world, size_t node, size_t peer) {
    record(world, "%zu keeps %zu", node, peer);
    const pollen_err err = pln_node_add_bootstrap(sim_node(world, node), sim_key(world, peer),
                                                  &world->hosts[peer].addr, 1, now_of(world));
    PLN_ASSERT(err == POLLEN_OK);
    pump(world, node);
}

void sim_invite(sim_world *world, pln_invite_token *ret) {
    char text[POLLEN_ADDR_TEXT_BYTES];
    const char *addrs[] = {pollen_addr_format(&world->hosts[0].addr, text)};
    pln_bootstraps bootstrap = {0};
    pollen_err err = pln_bootstraps_add(&bootstrap, sim_key(world, 0), addrs, 1);
    PLN_ASSERT(err == POLLEN_OK);
    const pln_invite_terms terms = {.bootstrap = &bootstrap, .ttl_seconds = 300};
    err = pln_invite_issue(&world->hosts[0].creds.signer, &terms, &world->rng, now_of(world).wall,
                           ret);
    PLN_ASSERT(err == POLLEN_OK);
    pln_bootstraps_fini(&bootstrap);
}

void sim_join(sim_world *world, size_t node, const pln_invite_token *invite, pln_dur timeout) {
    const pln_path path = {.via = PLN_VIA_MAIN, .remote = world->hosts[0].addr};
    record(world, "%zu joins", node);
    pln_mesh_redeem(sim_mesh(world, node), world->next_op++, invite, sim_key(world, 0), &path, 1,
                    pln_ts_add(world->now, timeout), now_of(world));
    pump(world, node);
}

bool sim_is_enrolled(const sim_world *world, size_t node) {
    return pln_mesh_credentials(pln_node_mesh(world->hosts[node].node))->enrolled;
}

pollen_err sim_send(sim_world *world, size_t from, size_t to, const void *bytes, size_t size) {
    pln_chunk *chunk = pln_chunk_create(size + 16);
    PLN_ASSERT(chunk != NULL);
    chunk->end = pln_envelope_encode(POLLEN_ENVELOPE_PAYLOAD, bytes, size, chunk->data);
    const pollen_err err =
        pln_mesh_send(sim_mesh(world, from), sim_key(world, to), chunk, now_of(world));
    record(world, "%zu sends %zu bytes to %zu: %s", from, size, to, pollen_err_name(err));
    if (err != POLLEN_OK) {
        pln_chunk_destroy(chunk);
    }
    pump(world, from);
    return err;
}

/* ---- What can be seen ------------------------------------------------------------------------ */

const sim_seen *sim_saw(const sim_world *world, size_t node, size_t peer) {
    return &world->hosts[node].seen[peer];
}

bool sim_pair_settled(sim_world *world, size_t a, size_t b) {
    pln_session_info from_a, from_b;
    if (!sim_is_up(world, a) || !sim_is_up(world, b) ||
        pln_mesh_session_info(sim_mesh(world, a), sim_key(world, b), &from_a) != POLLEN_OK ||
        pln_mesh_session_info(sim_mesh(world, b), sim_key(world, a), &from_b) != POLLEN_OK) {
        return false;
    }
    /* One end's dial is the other end's arrival; two different connections of one direction would
     * differ in when they began by more than a flight. */
    return from_a.conn.inbound != from_b.conn.inbound;
}

uint64_t sim_log_hash(const sim_world *world) {
    return world->hash;
}

uint64_t sim_log_lines(const sim_world *world) {
    return world->lines;
}

sim_net_counts sim_traffic(const sim_world *world) {
    return sim_net_count(world->net);
}

bool sim_env_seed(uint64_t *ret) {
    const char *text = getenv("POLLEN_SEED");
    if (text == NULL || *text == '\0') {
        return false;
    }
    *ret = strtoull(text, NULL, 0);
    return true;
}
