/* SPDX-License-Identifier: Apache-2.0 */
#include "node/node.h"

#include "base/assert.h"
#include "base/mem.h"
#include "node/core.h"

/* ---- Life ------------------------------------------------------------------------------------ */

static void draw(void *context, uint8_t *bytes, size_t count) {
    const pln_rng *rng = context;
    pln_rng_fill(rng, bytes, count);
}

static pollen_err create_store(pln_node *node, const pln_node_config *config) {
    pollen_peer_store_config store;
    pollen_peer_store_config_init(&store);
    store.random = draw;
    store.random_context = &node->rng;
    if (config->no_jitter) {
        store.jitter_percent = 0;
    }
    const pollen_err err = pollen_peer_store_create(&store, &node->store);
    if (err == POLLEN_OK) {
        pln_peer_store_set_log(node->store, node->log);
    }
    return err;
}

/* What gossip told, or what the owner says. */
static bool is_revoked(void *ctx, const pollen_key *key) {
    const pln_node *node = ctx;
    return (node->gossip.state != NULL && pln_state_is_revoked(node->gossip.state, key)) ||
           (node->is_revoked != NULL && node->is_revoked(node->is_revoked_ctx, key));
}

static pollen_err create_mesh(pln_node *node, const pln_node_config *config, pln_now now) {
    pln_mesh_config mesh = config->mesh;
    node->is_revoked = mesh.is_revoked;
    node->is_revoked_ctx = mesh.is_revoked_ctx;
    mesh.is_revoked = is_revoked;
    mesh.is_revoked_ctx = node;
    pollen_err err = pln_mesh_create(&mesh, now, &node->mesh);
    node->gossips = config->gossip;
    if (err == POLLEN_OK && config->gossip) {
        err = pln_gossip_init(&node->gossip, node->mesh, &node->rng, node->log);
    }
    if (err == POLLEN_OK) {
        err = pln_punching_init(&node->punching, node->mesh, node->gossip.state, config);
    }
    return err;
}

pollen_err pln_node_create(const pln_node_config *config, pln_now now, pln_node **ret) {
    pln_node *node = pln_calloc(1, sizeof *node);
    if (node == NULL) {
        return POLLEN_ENOMEM;
    }
    node->self = config->mesh.creds->key;
    node->keep_peers = config->keep_peers;
    node->rng = config->mesh.rng;
    node->log = config->mesh.log;
    node->now = now;
    pollen_err err = create_store(node, config);
    if (err == POLLEN_OK) {
        err = create_mesh(node, config, now);
        node->gossip.saves = config->saves;
    }
    if (err != POLLEN_OK) {
        pln_node_destroy(node);
        return err;
    }
    *ret = node;
    return POLLEN_OK;
}

void pln_node_destroy(pln_node *node) {
    if (node == NULL) {
        return;
    }
    pln_punching_fini(&node->punching);
    pln_mesh_destroy(node->mesh);
    pln_gossip_fini(&node->gossip);
    pollen_peer_store_destroy(node->store);
    pln_meters_destroy(node->hearsay_dials);
    pln_free(node);
}

pln_mesh *pln_node_mesh(pln_node *node) {
    return node->mesh;
}

/* ---- Input and output ------------------------------------------------------------------------ */

void pln_node_set_now(pln_node *node, pln_now now) {
    PLN_ASSERT(now.mono >= node->now.mono);
    node->now = now;
}

void pln_node_handle_datagram(pln_node *node, const pln_datagram *datagram, pln_now now) {
    pln_node_set_now(node, now);
    if (pln_quic_is_quic(datagram->data, datagram->size)) {
        pln_mesh_handle_datagram(node->mesh, datagram, now);
    } else {
        pln_sock_handle_probe(node->punching.sock, datagram, now.mono);
    }
}

void pln_node_handle_timeout(pln_node *node, pln_now now) {
    pln_node_set_now(node, now);
    pln_mesh_handle_timeout(node->mesh, now);
    if (node->gossips) {
        pln_gossip_handle_timeout(&node->gossip, now);
        pln_node_run_gossip(node);
    }
    pln_punching_handle_timeout(&node->punching, now);
    pln_node_run_punching(node);
    pln_node_tick(node);
}

bool pln_node_poll_transmit(pln_node *node, uint8_t *buf, pln_transmit *ret, pln_now now) {
    pln_node_set_now(node, now);
    return pln_sock_poll_transmit(node->punching.sock, buf, ret, now.mono) ||
           pln_mesh_poll_transmit(node->mesh, buf, ret, now);
}

pln_ts pln_node_next_expiry(const pln_node *node) {
    const pln_ts lower =
        pln_ts_min(pln_mesh_next_expiry(node->mesh), pollen_peer_store_next_expiry(node->store));
    const pln_ts next = pln_ts_min(lower, pln_punching_next_expiry(&node->punching));
    return node->gossips ? pln_ts_min(next, pln_gossip_next_expiry(&node->gossip)) : next;
}

bool pln_node_poll_event(pln_node *node, pln_mesh_event *ret) {
    while (pln_mesh_poll_event(node->mesh, ret)) {
        const bool consumed = pln_node_consume(node, ret);
        pln_node_run_gossip(node);
        pln_node_run_punching(node);
        pln_node_run_store(node);
        if (!consumed) {
            return true;
        }
    }
    return false;
}

bool pln_node_poll_socket(pln_node *node, pln_socket_wish *ret, pln_now now) {
    pln_node_set_now(node, now);
    const bool wished = pln_punching_poll_socket(&node->punching, ret, now);
    pln_node_run_punching(node);
    pln_node_run_store(node);
    return wished;
}

void pln_node_socket_opened(pln_node *node, uint32_t via, uint16_t port, pln_now now) {
    pln_node_set_now(node, now);
    pln_sock_socket_opened(node->punching.sock, via, port, now.mono);
}

void pln_node_socket_failed(pln_node *node, uint32_t via, pln_now now) {
    pln_node_set_now(node, now);
    pln_sock_socket_failed(node->punching.sock, via, now.mono);
}

/* ---- Peers ----------------------------------------------------------------------------------- */

pollen_err pln_node_add_bootstrap(pln_node *node, const pollen_key *peer, const pollen_addr *addrs,
                                  size_t addr_count, pln_now now) {
    if (pln_key_equal(peer, &node->self)) {
        return POLLEN_EINVAL;
    }
    if (node->gossips && pln_state_is_revoked(node->gossip.state, peer)) {
        return POLLEN_EREVOKED;
    }
    pln_node_set_now(node, now);
    return pollen_peer_store_step(node->store, now.mono,
                                  &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_DISCOVER,
                                                       .peer = *peer,
                                                       .addrs = addrs,
                                                       .addr_count = addr_count,
                                                       .permanent = true});
}

size_t pln_node_peer_count(const pln_node *node) {
    return pollen_peer_store_count(node->store);
}

pollen_err pln_node_peer_at(const pln_node *node, size_t index, pollen_peer *ret) {
    return pollen_peer_store_at(node->store, index, ret);
}

pollen_err pln_node_observed_at(const pln_node *node, size_t index, pln_observed *ret) {
    const pln_nat_observation *item = pln_outside_observed_at(&node->punching.outside, index);
    if (item == NULL) {
        return POLLEN_ENOENT;
    }
    *ret = (pln_observed){.peer = item->observer, .addr = item->seen, .at = item->at};
    return POLLEN_OK;
}

/* ---- NAT ------------------------------------------------------------------------------------- */

void pln_node_judge_nat(const pln_node *node, pln_now now, pln_nat_verdict *ret) {
    pln_outside_judge(&node->punching.outside, now, ret);
}

void pln_node_load_nat_memory(pln_node *node, const pln_nat_memory *memory) {
    node->punching.outside.memory = *memory;
}

bool pln_node_take_nat_memory(pln_node *node, pln_nat_memory *ret) {
    pln_outside *outside = &node->punching.outside;
    const bool changed = outside->memory_changed;
    outside->memory_changed = false;
    if (changed) {
        *ret = outside->memory;
    }
    return changed;
}

bool pln_node_is_punched(const pln_node *node, const pollen_key *peer) {
    const pln_neighbour *neighbour = pln_neighbours_find(&node->punching.neighbours, peer);
    return neighbour != NULL && neighbour->punched;
}
