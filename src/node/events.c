/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "node/core.h"
#include "node/send.h"
#include "wire/envelope.h"

#define ATTEMPT_OF(op) (((op)&PLN_OP_PROBE) != 0 ? 0 : (op) & ~PLN_OP_NODE)

/* A cut that healed is noticed at several of its ends at once: one retry of all that is lost is
 * enough. */
#define REOPENED_INTERVAL PLN_S(10)

/* The reference waits for this once per connection to learn its own external port. */
static void tell_observed(pln_node *node, const pollen_key *peer, const pollen_addr *addr) {
    pln_node_tell_observed(node->mesh, peer, addr, node->now);
}

/* What did not work from where we were, or seemed to be, may work now.  Only for those that are
 * known to be real: whoever is retried goes before the others. */
static void retry_lost(pln_node *node) {
    pollen_peer peer;
    for (size_t i = 0; pollen_peer_store_at(node->store, i, &peer) == POLLEN_OK; i++) {
        const bool real = peer.permanent || peer.generation != 0;
        if (real && peer.state != POLLEN_PEER_CONNECTED && peer.refusals == 0) {
            pln_node_step(node,
                          &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_RETRY, .peer = peer.key});
        }
    }
}

/* ---- Sessions -------------------------------------------------------------------------------- */

/* A way that was given up is open again: others may be as well, because a cut that healed shows
 * first at one of its many ends. */
static void handle_reopened(pln_node *node) {
    if (pln_ts_reached(node->reopened_from, node->now.mono)) {
        node->reopened_from = pln_ts_add(node->now.mono, REOPENED_INTERVAL);
        retry_lost(node);
    }
}

static bool is_given_up(const pln_node *node, const pollen_key *key) {
    pollen_peer peer;
    return pollen_peer_store_find(node->store, key, &peer) == POLLEN_OK &&
           peer.unreachable_cycles > 0;
}

static void handle_connected(pln_node *node, const pln_mesh_event *event) {
    PLN_ASSERT(event->generation != 0); /* Which the store takes for not known. */
    const bool reopened = is_given_up(node, &event->peer);
    pln_node_step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_CONNECT,
                                             .peer = event->peer,
                                             .addr = event->addr,
                                             .inbound = event->inbound,
                                             .generation = event->generation});
    tell_observed(node, &event->peer, &event->addr);
    if (node->gossips) {
        pln_gossip_connected(&node->gossip, &event->peer, &event->addr, node->now);
    }
    pln_punching_connected(&node->punching, &event->peer, node->now);
    if (reopened) {
        handle_reopened(node);
    }
}

static void handle_disconnected(pln_node *node, const pln_mesh_event *event) {
    pln_node_step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_DISCONNECTED,
                                             .peer = event->peer,
                                             .generation = event->generation,
                                             .reason = event->reason});
    if (!node->keep_peers) {
        /* Only what was asked for is kept; a permanent peer refuses to be forgotten. */
        pln_node_step(node,
                      &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_FORGET, .peer = event->peer});
    }
    pln_punching_disconnected(&node->punching, &event->peer);
    if (pln_mesh_has_session(node->mesh, &event->peer)) {
        return; /* Another one took its place: that is no news to anybody. */
    }
    pln_outside_observer_gone(&node->punching.outside, &event->peer, node->now.mono);
    if (node->gossips) {
        pln_gossip_disconnected(&node->gossip, &event->peer);
    }
}

static void handle_path(pln_node *node, const pln_mesh_event *event) {
    pln_node_step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_MOVED,
                                             .peer = event->peer,
                                             .addr = event->addr,
                                             .generation = event->generation});
    tell_observed(node, &event->peer, &event->addr);
    pln_punching_moved(&node->punching, &event->peer, node->now);
}

/* A dial that found a session standing ends without a CONNECTED of its own, so the store is told of
 * the session here; for a session it knows already that changes nothing. */
static void handle_dialled(pln_node *node, const pln_mesh_event *event) {
    PLN_ASSERT((event->op & PLN_OP_NODE) != 0 && (event->op & PLN_OP_HOLE) == 0);
    const uint64_t attempt = ATTEMPT_OF(event->op);
    pln_session_info info;
    if (event->err != POLLEN_OK ||
        pln_mesh_session_info(node->mesh, &event->peer, &info) != POLLEN_OK) {
        pln_node_fail_attempt(node, &event->peer, attempt, event->reason);
        return;
    }
    pln_node_step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_CONNECT,
                                             .peer = event->peer,
                                             .addr = info.conn.path.remote,
                                             .inbound = info.conn.inbound,
                                             .attempt = attempt,
                                             .generation = info.generation});
}

/* ---- Packets --------------------------------------------------------------------------------- */

static void observe(pln_node *node, const pollen_key *observer, const pollen_addr *addr) {
    if (pln_punching_observed(&node->punching, observer, addr, node->now)) {
        const pollen_err err = pln_node_tell_outside(node);
        (void)err; /* Told with the next change. */
        retry_lost(node);
    }
}

/* A coordinator's trigger says it as well, in case the one message of it was lost. */
static void handle_observed(pln_node *node, const pln_mesh_event *event) {
    const uint8_t *body = event->body->data + event->body->begin;
    const size_t size = pln_chunk_size(event->body);
    pollen_addr addr;
    pln_punch_trigger trigger;
    if (event->envelope == POLLEN_ENVELOPE_OBSERVED_ADDRESS) {
        if (pln_observed_address_decode(body, size, &addr) == POLLEN_OK) {
            observe(node, &event->peer, &addr);
        }
    } else if (pln_punch_trigger_decode(body, size, &trigger) == POLLEN_OK) {
        observe(node, &event->peer, &trigger.self_addr);
    }
}

static bool handle_packet(pln_node *node, const pln_mesh_event *event) {
    if (event->envelope == POLLEN_ENVELOPE_OBSERVED_ADDRESS) {
        handle_observed(node, event);
        return true;
    }
    if (event->envelope == POLLEN_ENVELOPE_PUNCH_TRIGGER) {
        handle_observed(node, event);
    }
    const uint8_t *body = event->body->data + event->body->begin;
    const size_t size = pln_chunk_size(event->body);
    return pln_punching_handle_packet(&node->punching, &event->peer, event->envelope, body, size,
                                      node->now) ||
           (node->gossips && pln_gossip_handle_packet(&node->gossip, &event->peer, event->envelope,
                                                      body, size, node->now));
}

/* ---- The rest -------------------------------------------------------------------------------- */

/* Who refused our old certificate may take the new one. */
static void handle_credentials(pln_node *node) {
    if (node->gossips) {
        pln_gossip_credentials_changed(&node->gossip);
    }
    pollen_peer peer;
    for (size_t i = 0; pollen_peer_store_at(node->store, i, &peer) == POLLEN_OK; i++) {
        if (peer.refusals > 0) {
            pln_node_step(node,
                          &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_RETRY, .peer = peer.key});
        }
    }
}

/* Somebody waits for a peer: it is dialled now, however long it would have been left alone.  While
 * an attempt runs there is nothing to hurry, and who refuses us is not asked more often for it. */
static void handle_wanted(pln_node *node, const pollen_key *key) {
    pollen_peer peer;
    if (pollen_peer_store_find(node->store, key, &peer) == POLLEN_OK && peer.refusals == 0 &&
        (peer.state == POLLEN_PEER_DISCOVERED || peer.state == POLLEN_PEER_UNREACHABLE)) {
        pln_node_step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_RETRY, .peer = *key});
    }
}

bool pln_node_consume(pln_node *node, pln_mesh_event *event) {
    switch (event->kind) {
    case PLN_MESH_CONNECTED:
        handle_connected(node, event);
        return false;
    case PLN_MESH_DISCONNECTED:
        handle_disconnected(node, event);
        return false;
    case PLN_MESH_PATH:
        handle_path(node, event);
        return false;
    case PLN_MESH_OP_DONE:
        if ((event->op & PLN_OP_NODE) == 0) {
            return false;
        }
        if ((event->op & PLN_OP_HOLE) != 0) {
            pln_holes_dialled(&node->punching.holes, event, node->now);
        } else {
            handle_dialled(node, event);
        }
        return true;
    case PLN_MESH_PACKET:
        PLN_ASSERT(event->body != NULL);
        if (!handle_packet(node, event)) {
            return false;
        }
        pln_chunk_destroy(event->body);
        return true;
    case PLN_MESH_STREAM_ACCEPTED:
    case PLN_MESH_STREAM_READABLE:
    case PLN_MESH_STREAM_WRITABLE:
    case PLN_MESH_STREAM_RESET:
    case PLN_MESH_STREAM_STOPPED:
    case PLN_MESH_STREAM_CLOSED:
    case PLN_MESH_LEDGER_WRITE:
        return false;
    case PLN_MESH_CREDENTIALS_CHANGED:
        handle_credentials(node);
        return false;
    case PLN_MESH_WANTED:
        handle_wanted(node, &event->peer);
        return true;
    }
    return false;
}
