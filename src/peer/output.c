/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs and snapshots: what the store tells. */
#include "base/assert.h"
#include "peer/store.h"

void pln_peer_output_push(pollen_peer_store *store, pln_peer *peer) {
    PLN_ASSERT(!peer->has_output);
    peer->has_output = true;
    peer->output_prev = store->output_tail;
    peer->output_next = NULL;
    if (store->output_tail == NULL) {
        store->output_head = peer;
    } else {
        store->output_tail->output_next = peer;
    }
    store->output_tail = peer;
}

void pln_peer_output_withdraw(pollen_peer_store *store, pln_peer *peer) {
    if (!peer->has_output) {
        return;
    }
    if (peer->output_prev == NULL) {
        store->output_head = peer->output_next;
    } else {
        peer->output_prev->output_next = peer->output_next;
    }
    if (peer->output_next == NULL) {
        store->output_tail = peer->output_prev;
    } else {
        peer->output_next->output_prev = peer->output_prev;
    }
    peer->has_output = false;
    peer->output_prev = NULL;
    peer->output_next = NULL;
}

/* Configured addresses first: they stay when there are too many. */
static size_t all_addrs(const pln_peer *peer, pollen_addr addrs[POLLEN_PEER_ADDRS_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < peer->configured.count; i++) {
        addrs[count++] = peer->configured.items[i];
    }
    for (size_t i = 0; i < peer->learnt.count && count < POLLEN_PEER_ADDRS_MAX; i++) {
        if (!pln_addr_list_has(&peer->configured, &peer->learnt.items[i])) {
            addrs[count++] = peer->learnt.items[i];
        }
    }
    PLN_ASSERT(count <= POLLEN_PEER_ADDRS_MAX);
    return count;
}

static void fill_connected(const pln_peer *peer, pollen_peer_output *output) {
    output->kind = POLLEN_PEER_OUTPUT_CONNECTED;
    output->generation = peer->generation;
    output->inbound = peer->inbound;
    output->addr = peer->last_addr;
}

static void fill_attempt(const pln_peer *peer, pollen_peer_output *output) {
    output->attempt = peer->attempt;
    output->deadline_ns = peer->deadline;
    if (peer->stage.stage == POLLEN_STAGE_EAGER_RETRY) {
        output->kind = POLLEN_PEER_OUTPUT_ATTEMPT_EAGER_CONNECT;
        output->addr = peer->last_addr;
        return;
    }
    output->kind = peer->stage.stage == POLLEN_STAGE_PUNCH
                       ? POLLEN_PEER_OUTPUT_REQUEST_PUNCH_COORDINATION
                       : POLLEN_PEER_OUTPUT_ATTEMPT_CONNECT;
    output->addr_count = all_addrs(peer, output->addrs);
}

static bool poll_probe(pollen_peer_store *store, pollen_peer_output *ret_output) {
    const pln_peer *peer = pln_peer_probe_take(store);
    if (peer == NULL) {
        return false;
    }
    *ret_output = (pollen_peer_output){.kind = POLLEN_PEER_OUTPUT_PROBE, .peer = peer->key};
    ret_output->addr_count = all_addrs(peer, ret_output->addrs);
    return true;
}

bool pollen_peer_store_poll_output(pollen_peer_store *store, pollen_peer_output *ret_output) {
    pln_peer *peer = store->output_head;
    if (peer == NULL) {
        return poll_probe(store, ret_output);
    }
    pln_peer_output_withdraw(store, peer);
    *ret_output = (pollen_peer_output){.peer = peer->key};
    if (peer->state == POLLEN_PEER_CONNECTED) {
        fill_connected(peer, ret_output);
    } else {
        PLN_ASSERT(peer->state == POLLEN_PEER_CONNECTING);
        fill_attempt(peer, ret_output);
    }
    return true;
}

/* ---- Snapshots ------------------------------------------------------------------------------- */

static void snapshot(const pln_peer *peer, pollen_peer *ret_peer) {
    *ret_peer = (pollen_peer){
        .key = peer->key,
        .state = peer->state,
        .since_ns = peer->since,
        .permanent = peer->permanent,
        .stage = peer->stage.stage,
        .stage_attempts = peer->stage.attempts,
        .attempt = peer->attempt,
        .deadline_ns = peer->deadline,
        .next_action_ns = peer->due,
        .generation = peer->generation,
        .connected_at_ns = peer->connected_at,
        .last_addr = peer->last_addr,
        .observed_port = peer->observed_port,
        .last_end_reason = peer->last_end_reason,
        .last_end_at_ns = peer->last_end_at,
        .unreachable_cycles = peer->unreachable_cycles,
        .refusals = peer->refusals,
    };
    ret_peer->addr_count = all_addrs(peer, ret_peer->addrs);
}

size_t pollen_peer_store_count(const pollen_peer_store *store) {
    return pln_tree_count(&store->by_key);
}

pollen_err pollen_peer_store_find(const pollen_peer_store *store, const pollen_key *key,
                                  pollen_peer *ret_peer) {
    const pln_peer *peer = pln_peer_find(store, key);
    if (peer == NULL) {
        return POLLEN_ENOENT;
    }
    snapshot(peer, ret_peer);
    return POLLEN_OK;
}

pollen_err pollen_peer_store_at(const pollen_peer_store *store, size_t index,
                                pollen_peer *ret_peer) {
    const pln_tree_node *node = pln_tree_at(&store->by_key, index);
    if (node == NULL) {
        return POLLEN_ENOENT;
    }
    snapshot(PLN_TREE_OWNER(node, pln_peer, by_key), ret_peer);
    return POLLEN_OK;
}
