/* SPDX-License-Identifier: Apache-2.0 */
/* The world's clock, its nodes and what passes between them. */
#include "world_inner.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "wire/envelope.h"

#define START PLN_S(1000)
#define FNV_OFFSET 0xcbf29ce484222325ull
#define FNV_PRIME 0x100000001b3ull
#define PORT POLLEN_PORT_DEFAULT
#define MEMBER_TTL (365ll * 86400)
#define CONDITION_INTERVAL PLN_MS(10)

enum { KEY_SLOTS = 4 * SIM_NODES_MAX };
enum { EPHEMERAL_FIRST = 32768, EPHEMERAL_COUNT = 28232 };

pln_now sim_now(const sim_world *world, size_t node) {
    const sim_host *host = &world->hosts[node];
    const pln_wall passed = (pln_wall)((world->now - START) / PLN_NS_PER_S);
    return (pln_now){.mono = world->now - host->lag, .wall = SIM_WALL_START + passed + host->skew};
}

/* ---- The log --------------------------------------------------------------------------------- */

static void mix(sim_world *world, uint64_t number) {
    world->hash = (world->hash ^ number) * FNV_PRIME;
    world->hash ^= world->hash >> 29;
}

static void print(const sim_world *world, const char *line) {
    fprintf(stderr, "%12.6f %s\n", (double)(world->now - START) / 1e9, line);
}

void sim_record(sim_world *world, const char *format, ...) {
    char line[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    mix(world, world->now);
    for (const char *c = line; *c != '\0'; c++) {
        mix(world, (uint8_t)*c);
    }
    world->lines++;
    if (world->verbose) {
        print(world, line);
    }
}

/* Most lines are packets: their numbers are hashed without being printed first. */
static void record_packet(sim_world *world, size_t from, const pollen_addr *to, size_t size) {
    mix(world, world->now);
    mix(world, (uint64_t)from << 32 | size);
    mix(world, (uint64_t)to->ip[13] << 32 | (uint64_t)to->ip[14] << 24 |
                   (uint64_t)to->ip[15] << 16 | to->port);
    world->lines++;
    if (world->verbose) {
        char text[POLLEN_ADDR_TEXT_BYTES];
        char line[160];
        (void)snprintf(line, sizeof line, "%zu > %s %zu bytes", from, pollen_addr_format(to, text),
                       size);
        print(world, line);
    }
}

/* ---- Life ------------------------------------------------------------------------------------ */

sim_world *sim_world_create(uint64_t seed, const sim_link *link) {
    sim_world *world = calloc(1, sizeof *world);
    PLN_ASSERT(world != NULL);
    world->seed = seed;
    world->rng = pln_rng_from_seed(&world->rng_state, seed);
    world->net = sim_net_create(pln_rng_from_seed(&world->net_rng_state, seed ^ FNV_PRIME), link);
    world->now = START;
    world->hosts = calloc(SIM_NODES_MAX, sizeof(sim_host));
    world->by_key = calloc(KEY_SLOTS, sizeof(uint16_t));
    world->due = calloc(SIM_NODES_MAX, sizeof(size_t));
    world->buf = malloc(PLN_TRANSMIT_BYTES);
    pln_heap_init(&world->timers);
    world->hash = FNV_OFFSET;
    world->next_op = 1;
    world->verbose = getenv("POLLEN_SIM_VERBOSE") != NULL;
    PLN_ASSERT(world->hosts != NULL && world->by_key != NULL && world->due != NULL &&
               world->buf != NULL);
    return world;
}

void sim_world_destroy(sim_world *world) {
    if (world == NULL) {
        return;
    }
    for (size_t i = 0; i < world->count; i++) {
        pln_node_destroy(world->hosts[i].node);
        pln_credentials_fini(&world->hosts[i].creds);
        pln_heap_cancel(&world->timers, &world->hosts[i].timer);
        free(world->hosts[i].seen);
        free(world->hosts[i].sockets);
    }
    pln_heap_fini(&world->timers);
    sim_net_destroy(world->net);
    free(world->hosts);
    free(world->by_key);
    free(world->due);
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

/* Outside addresses are public ones: 45.0.0.1 and on. */
sim_realm sim_add_nat(sim_world *world, sim_nat_kind kind, sim_realm outside) {
    const size_t number = ++world->nats;
    const uint8_t ip[4] = {45, 0, (uint8_t)(number >> 8), (uint8_t)number};
    const sim_nat_config config = {.kind = kind, .outside = pln_addr_ipv4(ip, 0)};
    return sim_net_add_nat(world->net, &config, outside);
}

sim_nat *sim_world_nat(sim_world *world, sim_realm inside) {
    return sim_net_nat(world->net, inside);
}

sim_net *sim_world_net(sim_world *world) {
    return world->net;
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

static void start(sim_world *world, size_t node) {
    sim_host *host = &world->hosts[node];
    const pln_now now = sim_now(world, node);
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
    pollen_err err = pln_node_create(&config, now, &host->node);
    PLN_ASSERT(err == POLLEN_OK);
    err = pln_node_advertise(host->node, &host->addr, 1, host->addr.port, now);
    PLN_ASSERT(err == POLLEN_OK);
    sim_pump(world, node);
}

static size_t key_slot(const pollen_key *key) {
    return ((size_t)key->bytes[0] << 8 | key->bytes[1]) % KEY_SLOTS;
}

static void index_key(sim_world *world, size_t node) {
    size_t slot = key_slot(&world->hosts[node].creds.key);
    while (world->by_key[slot] != 0) {
        slot = (slot + 1) % KEY_SLOTS;
    }
    world->by_key[slot] = (uint16_t)(node + 1);
}

size_t sim_host_by_key(const sim_world *world, const pollen_key *key) {
    for (size_t slot = key_slot(key); world->by_key[slot] != 0; slot = (slot + 1) % KEY_SLOTS) {
        const size_t node = world->by_key[slot] - 1u;
        if (pln_key_equal(&world->hosts[node].creds.key, key)) {
            return node;
        }
    }
    return SIM_NODES_MAX;
}

/* In the core 44.0.0.1 and on, behind NATs 10.0.0.1 and on: no two nodes share one anywhere, so
 * that a node is found by its address. */
static pollen_addr address_of(size_t node, sim_realm realm) {
    const size_t number = node + 1;
    const uint8_t ip[4] = {realm == SIM_CORE ? 44 : 10, 0, (uint8_t)(number >> 8), (uint8_t)number};
    return pln_addr_ipv4(ip, PORT);
}

static size_t add(sim_world *world, sim_realm realm, bool enrolled) {
    PLN_ASSERT(world->count < SIM_NODES_MAX);
    const size_t node = world->count;
    sim_host *host = &world->hosts[node];
    pollen_seed seed;
    pln_rng_fill(&world->rng, seed.bytes, sizeof seed.bytes);
    pln_credentials_init(&host->creds, &seed);
    if (enrolled) {
        enrol(world, host);
    }
    pln_timer_init(&host->timer);
    host->wakes_at = PLN_TS_NEVER;
    host->seen = calloc(SIM_NODES_MAX, sizeof(sim_seen));
    PLN_ASSERT(host->seen != NULL);
    host->addr = address_of(node, realm);
    if (realm != SIM_CORE) {
        sim_net_place(world->net, &host->addr, realm);
    }
    world->count++;
    index_key(world, node);
    start(world, node);
    return node;
}

size_t sim_add_node(sim_world *world) {
    return add(world, SIM_CORE, true);
}

size_t sim_add_node_behind(sim_world *world, sim_realm realm) {
    return add(world, realm, true);
}

size_t sim_add_outsider(sim_world *world) {
    return add(world, SIM_CORE, false);
}

void sim_kill(sim_world *world, size_t node) {
    sim_record(world, "%zu killed", node);
    sim_host *host = &world->hosts[node];
    pln_node_destroy(host->node);
    host->node = NULL;
    host->socket_count = 0;
    pln_heap_cancel(&world->timers, &host->timer);
}

void sim_restart(sim_world *world, size_t node) {
    PLN_ASSERT(world->hosts[node].node == NULL);
    sim_record(world, "%zu restarted", node);
    start(world, node);
}

void sim_partition(sim_world *world, size_t below) {
    sim_record(world, "partition below %zu", below);
    for (size_t i = 0; i < world->count; i++) {
        world->hosts[i].side = i < below;
    }
}

void sim_set_side(sim_world *world, size_t node, unsigned side) {
    sim_record(world, "%zu goes to side %u", node, side);
    world->hosts[node].side = side;
}

static size_t host_by_ip(const sim_world *world, const pollen_addr *addr) {
    const size_t number = (size_t)addr->ip[14] << 8 | addr->ip[15];
    const size_t node = number - 1;
    return node < world->count && memcmp(addr->ip, world->hosts[node].addr.ip, 16) == 0
               ? node
               : SIM_NODES_MAX;
}

/* ---- Clocks ---------------------------------------------------------------------------------- */

void sim_jump_wall(sim_world *world, size_t node, int64_t seconds) {
    sim_record(world, "%zu jumps %" PRId64 " s", node, seconds);
    world->hosts[node].skew += seconds;
}

void sim_sleep(sim_world *world, size_t node, pln_dur duration, bool clock_stands) {
    sim_host *host = &world->hosts[node];
    PLN_ASSERT(host->wakes_at == PLN_TS_NEVER);
    sim_record(world, "%zu falls asleep", node);
    host->wakes_at = pln_ts_add(world->now, duration);
    host->sleeps = duration;
    host->clock_stands = clock_stands;
    const bool set = pln_heap_set(&world->timers, &host->timer, host->wakes_at);
    PLN_ASSERT(set);
}

static void wake(sim_world *world, size_t node) {
    sim_host *host = &world->hosts[node];
    host->wakes_at = PLN_TS_NEVER;
    host->lag += host->clock_stands ? host->sleeps : 0;
    sim_record(world, "%zu wakes", node);
}

/* When the node wants to be woken, by the world's clock. */
static void set_timer(sim_world *world, size_t node) {
    sim_host *host = &world->hosts[node];
    if (host->node == NULL || host->wakes_at != PLN_TS_NEVER) {
        return;
    }
    const pln_ts own = pln_node_next_expiry(host->node);
    const bool set = pln_heap_set(&world->timers, &host->timer, pln_ts_add(own, host->lag));
    PLN_ASSERT(set);
}

/* ---- Sockets --------------------------------------------------------------------------------- */

static uint16_t port_of_via(sim_world *world, size_t node, uint32_t via) {
    sim_host *host = &world->hosts[node];
    if (via == PLN_VIA_MAIN) {
        return host->addr.port;
    }
    for (size_t i = 0; i < host->socket_count; i++) {
        if (host->sockets[i].via == via) {
            return host->sockets[i].port;
        }
    }
    return sim_open_socket(world, node, via);
}

/* False: nothing is bound to the port. */
static bool via_of_port(const sim_host *host, uint16_t port, uint32_t *ret) {
    *ret = PLN_VIA_MAIN;
    if (port == host->addr.port) {
        return true;
    }
    for (size_t i = 0; i < host->socket_count; i++) {
        if (host->sockets[i].port == port) {
            *ret = host->sockets[i].via;
            return true;
        }
    }
    return false;
}

uint16_t sim_open_socket(sim_world *world, size_t node, uint32_t via) {
    sim_host *host = &world->hosts[node];
    PLN_ASSERT(via != PLN_VIA_MAIN && host->socket_count < SIM_SOCKETS_MAX);
    if (host->socket_count == host->socket_cap) {
        host->socket_cap = host->socket_cap == 0 ? 16 : 2 * host->socket_cap;
        host->sockets = realloc(host->sockets, host->socket_cap * sizeof(sim_socket));
        PLN_ASSERT(host->sockets != NULL);
    }
    uint32_t unused;
    uint16_t port;
    do {
        port = (uint16_t)(EPHEMERAL_FIRST + pln_rng_below(&world->rng, EPHEMERAL_COUNT));
    } while (via_of_port(host, port, &unused));
    host->sockets[host->socket_count++] = (sim_socket){.via = via, .port = port};
    sim_record(world, "%zu opens socket %" PRIu32 " at port %u", node, via, (unsigned)port);
    return port;
}

void sim_close_socket(sim_world *world, size_t node, uint32_t via) {
    sim_host *host = &world->hosts[node];
    for (size_t i = 0; i < host->socket_count; i++) {
        if (host->sockets[i].via == via) {
            host->sockets[i] = host->sockets[--host->socket_count];
            sim_record(world, "%zu closes socket %" PRIu32, node, via);
            return;
        }
    }
}

size_t sim_socket_count(const sim_world *world, size_t node) {
    return world->hosts[node].socket_count;
}

/* ---- One node's turn ------------------------------------------------------------------------- */

static void record_event(sim_world *world, size_t node, size_t peer, const pln_mesh_event *event) {
    sim_seen *seen = &world->hosts[node].seen[peer];
    switch (event->kind) {
    case PLN_MESH_CONNECTED:
        seen->connected++;
        seen->last_generation = event->generation;
        sim_record(world, "%zu connected %zu gen %" PRIu64 "%s", node, peer, event->generation,
                   event->inbound ? " inbound" : "");
        return;
    case PLN_MESH_DISCONNECTED:
        seen->disconnected++;
        seen->last_reason = event->reason;
        sim_record(world, "%zu disconnected %zu gen %" PRIu64 " reason %d", node, peer,
                   event->generation, (int)event->reason);
        return;
    case PLN_MESH_PACKET:
        seen->packets += event->envelope == POLLEN_ENVELOPE_PAYLOAD;
        sim_record(world, "%zu packet from %zu kind %d size %zu", node, peer, (int)event->envelope,
                   pln_chunk_size(event->body));
        return;
    case PLN_MESH_OP_DONE:
        *(event->err == POLLEN_OK ? &seen->ops_ok : &seen->ops_failed) += 1;
        sim_record(world, "%zu op %" PRIu64 " on %zu: %s %s", node, event->op, peer,
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
    case PLN_MESH_WANTED:
        sim_record(world, "%zu event %d", node, (int)event->kind);
        return;
    }
}

/* What the daemon does with files: here a write takes no time and never fails. */
static void do_duties(sim_world *world, size_t node, const pln_mesh_event *event) {
    pln_mesh *mesh = sim_mesh(world, node);
    if (event->kind == PLN_MESH_LEDGER_WRITE) {
        pln_mesh_ledger_written(mesh, event->token_id, POLLEN_OK, sim_now(world, node));
    } else if (event->join_token != NULL) {
        const pollen_err err = pln_mesh_apply(mesh, event->join_token, sim_now(world, node));
        sim_record(world, "%zu enrols: %s", node, pollen_err_name(err));
    }
}

static void take_events(sim_world *world, size_t node) {
    pln_mesh_event event;
    while (pln_node_poll_event(world->hosts[node].node, &event)) {
        const size_t known = sim_host_by_key(world, &event.peer);
        const size_t peer = known < SIM_NODES_MAX ? known : node;
        record_event(world, node, peer, &event);
        world->reports++;
        if (world->listener != NULL && event.kind != PLN_MESH_PACKET) {
            world->listener(world->listener_arg, world->now, node, peer, &event);
        }
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
    sim_datagram datagram = {.from = world->hosts[node].addr,
                             .to = batch->path.remote,
                             .tag = (uint32_t)node,
                             .ecn = batch->ecn,
                             .ttl = batch->ttl};
    datagram.from.port = port_of_via(world, node, batch->path.via);
    for (size_t at = 0; at < batch->size; at += batch->segment) {
        const size_t left = batch->size - at;
        datagram.data = world->buf + at;
        datagram.size = left < batch->segment ? left : batch->segment;
        record_packet(world, node, &datagram.to, datagram.size);
        if (world->tap != NULL) {
            world->tap(world->tap_arg, world->now, node, &datagram);
        }
        sim_net_send(world->net, &datagram, world->now);
    }
}

static void serve_sockets(sim_world *world, size_t node) {
    pln_node *core = world->hosts[node].node;
    pln_socket_wish wish;
    while (pln_node_poll_socket(core, &wish, sim_now(world, node))) {
        if (!wish.open) {
            sim_close_socket(world, node, wish.via);
        } else if (sim_socket_count(world, node) < SIM_SOCKETS_MAX) {
            const uint16_t port = sim_open_socket(world, node, wish.via);
            pln_node_socket_opened(core, wish.via, port, sim_now(world, node));
        } else {
            pln_node_socket_failed(core, wish.via, sim_now(world, node));
        }
    }
}

/* Output first, then events, until there is neither: an event may have led to more output. */
void sim_pump(sim_world *world, size_t node) {
    pln_node *core = world->hosts[node].node;
    const pln_now now = sim_now(world, node);
    pln_transmit batch;
    world->turns++;
    serve_sockets(world, node);
    while (pln_node_poll_transmit(core, world->buf, &batch, now)) {
        send_batch(world, node, &batch);
    }
    take_events(world, node);
    serve_sockets(world, node);
    while (pln_node_poll_transmit(core, world->buf, &batch, now)) {
        send_batch(world, node, &batch);
    }
    set_timer(world, node);
}

void sim_poke(sim_world *world, size_t node) {
    sim_pump(world, node);
}

static void deliver(sim_world *world, const sim_packet *packet) {
    const size_t to = host_by_ip(world, &packet->to);
    if (to == SIM_NODES_MAX) {
        return;
    }
    sim_host *host = &world->hosts[to];
    const bool cut = host->side != world->hosts[packet->tag].side;
    uint32_t via;
    if (host->node == NULL || host->wakes_at != PLN_TS_NEVER || cut ||
        !via_of_port(host, packet->to.port, &via)) {
        return;
    }
    const pln_datagram datagram = {.path = {.via = via, .remote = packet->from},
                                   .local = host->addr,
                                   .ecn = packet->ecn,
                                   .data = packet->data,
                                   .size = packet->size};
    pln_node_handle_datagram(host->node, &datagram, sim_now(world, to));
    sim_pump(world, to);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void wake_due(sim_world *world) {
    size_t count = 0;
    pln_timer *timer;
    while ((timer = pln_heap_pop(&world->timers, world->now)) != NULL) {
        world->due[count++] = (size_t)(PLN_TIMER_OWNER(timer, sim_host, timer) - world->hosts);
    }
    for (size_t i = 0; i < count; i++) {
        const size_t node = world->due[i];
        if (world->hosts[node].wakes_at != PLN_TS_NEVER) {
            wake(world, node);
        }
        if (world->hosts[node].node != NULL) {
            pln_node_handle_timeout(world->hosts[node].node, sim_now(world, node));
            sim_pump(world, node);
        }
    }
}

/* Everything that is due at this instant. */
static void do_moment(sim_world *world) {
    sim_packet *packet;
    while ((packet = sim_net_take(world->net, world->now)) != NULL) {
        deliver(world, packet);
        free(packet);
    }
    wake_due(world);
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
    uint64_t reports = world->reports - 1;
    pln_ts look_at = world->now;
    for (size_t i = 0; i < world->count; i++) {
        set_timer(world, i);
    }
    for (;;) {
        if (condition != NULL && (reports != world->reports || look_at <= world->now)) {
            if (condition(world, arg)) {
                return true;
            }
            reports = world->reports;
            look_at = pln_ts_add(world->now, CONDITION_INTERVAL);
        }
        const pln_ts next = pln_ts_min(sim_net_next(world->net), pln_heap_next(&world->timers));
        if (next > end) {
            world->now = end;
            return condition != NULL && condition(world, arg);
        }
        advance(world, next);
        do_moment(world);
    }
}
