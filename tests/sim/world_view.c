/* SPDX-License-Identifier: Apache-2.0 */
/* What a scenario does in a world, and what it sees of it. */
#include "world_inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/token.h"
#include "base/assert.h"
#include "wire/envelope.h"

uint64_t sim_world_seed(const sim_world *world) {
    return world->seed;
}

pln_ts sim_world_now(const sim_world *world) {
    return world->now;
}

pln_rng *sim_world_rng(sim_world *world) {
    return &world->rng;
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

bool sim_is_up(const sim_world *world, size_t node) {
    return world->hosts[node].node != NULL;
}

bool sim_is_asleep(const sim_world *world, size_t node) {
    return world->hosts[node].wakes_at != PLN_TS_NEVER;
}

pln_node *sim_node(sim_world *world, size_t node) {
    return world->hosts[node].node;
}

pln_mesh *sim_mesh(sim_world *world, size_t node) {
    return pln_node_mesh(world->hosts[node].node);
}

/* ---- Commands -------------------------------------------------------------------------------- */

void sim_connect(sim_world *world, size_t from, size_t to, pln_dur timeout) {
    const pln_path path = {.via = PLN_VIA_MAIN, .remote = world->hosts[to].addr};
    const pln_now now = sim_now(world, from);
    sim_record(world, "%zu connects to %zu", from, to);
    pln_mesh_connect(sim_mesh(world, from), world->next_op++, sim_key(world, to), &path, 1,
                     pln_ts_add(now.mono, timeout), now);
    sim_pump(world, from);
}

void sim_keep(sim_world *world, size_t node, size_t peer) {
    sim_record(world, "%zu keeps %zu", node, peer);
    const pollen_err err =
        pln_node_add_bootstrap(sim_node(world, node), sim_key(world, peer),
                               &world->hosts[peer].addr, 1, sim_now(world, node));
    PLN_ASSERT(err == POLLEN_OK);
    sim_pump(world, node);
}

void sim_invite(sim_world *world, pln_invite_token *ret) {
    char text[POLLEN_ADDR_TEXT_BYTES];
    const char *addrs[] = {pollen_addr_format(&world->hosts[0].addr, text)};
    pln_bootstraps bootstrap = {0};
    pollen_err err = pln_bootstraps_add(&bootstrap, sim_key(world, 0), addrs, 1);
    PLN_ASSERT(err == POLLEN_OK);
    const pln_invite_terms terms = {.bootstrap = &bootstrap, .ttl_seconds = 300};
    err = pln_invite_issue(&world->hosts[0].creds.signer, &terms, &world->rng,
                           sim_now(world, 0).wall, ret);
    PLN_ASSERT(err == POLLEN_OK);
    pln_bootstraps_fini(&bootstrap);
}

void sim_join(sim_world *world, size_t node, const pln_invite_token *invite, pln_dur timeout) {
    const pln_path path = {.via = PLN_VIA_MAIN, .remote = world->hosts[0].addr};
    const pln_now now = sim_now(world, node);
    sim_record(world, "%zu joins", node);
    pln_mesh_redeem(sim_mesh(world, node), world->next_op++, invite, sim_key(world, 0), &path, 1,
                    pln_ts_add(now.mono, timeout), now);
    sim_pump(world, node);
}

bool sim_is_enrolled(const sim_world *world, size_t node) {
    return pln_mesh_credentials(pln_node_mesh(world->hosts[node].node))->enrolled;
}

pollen_err sim_send(sim_world *world, size_t from, size_t to, const void *bytes, size_t size) {
    pln_chunk *chunk = pln_chunk_create(size + 16);
    PLN_ASSERT(chunk != NULL);
    chunk->end = pln_envelope_encode(POLLEN_ENVELOPE_PAYLOAD, bytes, size, chunk->data);
    const pollen_err err =
        pln_mesh_send(sim_mesh(world, from), sim_key(world, to), chunk, sim_now(world, from));
    sim_record(world, "%zu sends %zu bytes to %zu: %s", from, size, to, pollen_err_name(err));
    if (err != POLLEN_OK) {
        pln_chunk_destroy(chunk);
    }
    sim_pump(world, from);
    return err;
}

void sim_world_listen(sim_world *world, sim_listener listener, void *arg) {
    world->listener = listener;
    world->listener_arg = arg;
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

bool sim_all_settled(sim_world *world, void *unused) {
    (void)unused;
    for (size_t i = 0; i < world->count; i++) {
        if (!sim_is_up(world, i) ||
            pln_mesh_session_count(sim_mesh(world, i)) != world->count - 1) {
            return false; /* Nearly always the answer, and soon found. */
        }
    }
    for (size_t a = 0; a < world->count; a++) {
        for (size_t b = a + 1; b < world->count; b++) {
            if (!sim_pair_settled(world, a, b)) {
                return false;
            }
        }
    }
    return true;
}

bool sim_all_known(sim_world *world, void *unused) {
    (void)unused;
    for (size_t i = 0; i < world->count; i++) {
        const pln_state *state = sim_is_up(world, i) ? pln_node_state(sim_node(world, i)) : NULL;
        if (state == NULL || pln_state_member_count(state) != world->count) {
            return false;
        }
    }
    return true;
}

size_t sim_connections(sim_world *world, size_t node) {
    pln_mesh_stats stats;
    pln_mesh_get_stats(sim_mesh(world, node), &stats);
    return stats.quic.connections;
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

uint64_t sim_turns(const sim_world *world) {
    return world->turns;
}

bool sim_env_seed(uint64_t *ret) {
    const char *text = getenv("POLLEN_SEED");
    if (text == NULL || *text == '\0') {
        return false;
    }
    *ret = strtoull(text, NULL, 0);
    return true;
}

uint64_t sim_seed_or(uint64_t seed) {
    (void)sim_env_seed(&seed);
    (void)printf("seed %" PRIu64 " (replay: POLLEN_SEED=%" PRIu64 ")\n", seed, seed);
    return seed;
}

void sim_world_tap(sim_world *world, sim_tap tap, void *arg) {
    world->tap = tap;
    world->tap_arg = arg;
}
