/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes: what a store that is alone does beside the state machine.
 *
 * A node without any session is of no use to anybody, and nobody will tell it anything.  The delays
 * of the state machine, which spare peers that are down and the network, are then too long for the
 * few peers that its configuration names; so these are dialled again and again.  A probe is no
 * attempt: it neither waits for one nor counts as one.
 */
#include "base/assert.h"
#include "peer/backoff.h"
#include "peer/store.h"

/* In one round.  The others follow in the next ones. */
enum { PROBES_MAX = 8 };

static bool is_alone(const pollen_peer_store *store) {
    return store->connected_count == 0 && store->permanents != NULL &&
           store->config.probe_interval_ns != 0;
}

static void plan(pollen_peer_store *store, pln_dur delay) {
    store->probe_at = is_alone(store) ? pln_peer_after_delay(store, delay) : PLN_TS_NEVER;
    store->probes_left = 0;
}

void pln_peer_probe_on_permanent(pollen_peer_store *store, pln_peer *peer) {
    PLN_ASSERT(peer->permanent);
    PLN_ASSERT(peer->permanent_next == NULL);
    if (store->permanents == NULL) {
        store->permanents = peer;
    } else {
        store->permanents_last->permanent_next = peer;
    }
    store->permanents_last = peer;
    store->permanent_count++;
    if (store->probe_at == PLN_TS_NEVER) {
        plan(store, store->config.probe_interval_ns);
    }
}

void pln_peer_probe_on_forgotten(pollen_peer_store *store, pln_peer *peer) {
    pln_peer *before = NULL;
    for (pln_peer *at = store->permanents; at != peer; at = at->permanent_next) {
        PLN_ASSERT(at != NULL);
        before = at;
    }
    *(before == NULL ? &store->permanents : &before->permanent_next) = peer->permanent_next;
    if (store->permanents_last == peer) {
        store->permanents_last = before;
    }
    if (store->probe_next == peer) {
        store->probe_next = peer->permanent_next;
    }
    store->permanent_count--;
    if (store->permanents == NULL) {
        plan(store, 0);
        PLN_ASSERT(store->probe_at == PLN_TS_NEVER);
    }
}

void pln_peer_probe_on_connected(pollen_peer_store *store) {
    store->connected_count++;
    plan(store, 0);
    PLN_ASSERT(store->probe_at == PLN_TS_NEVER);
}

/* Whoever answers with a reset is there, and waits to be dialled. */
void pln_peer_probe_on_lost(pollen_peer_store *store, pollen_end_reason reason) {
    PLN_ASSERT(store->connected_count > 0);
    store->connected_count--;
    if (store->connected_count == 0) {
        plan(store, reason == POLLEN_END_RESET ? 0 : store->config.probe_interval_ns);
    }
}

void pln_peer_probe_tick(pollen_peer_store *store) {
    if (!pln_ts_reached(store->probe_at, store->now)) {
        return;
    }
    plan(store, store->config.probe_interval_ns);
    store->probes_left =
        store->permanent_count < PROBES_MAX ? store->permanent_count : (size_t)PROBES_MAX;
}

/* An attempt that has just begun is as good as a probe; and who refused us is not to be bothered
 * before its time. */
static bool is_worth_it(const pollen_peer_store *store, const pln_peer *peer) {
    const pln_dur interval = store->config.probe_interval_ns;
    const bool is_fresh =
        peer->state == POLLEN_PEER_CONNECTING && pln_ts_since(peer->since, store->now) < interval;
    return !is_fresh && peer->refusals == 0 && peer->configured.count + peer->learnt.count > 0;
}

pln_peer *pln_peer_probe_take(pollen_peer_store *store) {
    while (store->probes_left > 0) {
        pln_peer *peer = store->probe_next == NULL ? store->permanents : store->probe_next;
        PLN_ASSERT(peer != NULL);
        PLN_ASSERT(peer->state != POLLEN_PEER_CONNECTED);
        store->probe_next = peer->permanent_next;
        store->probes_left--;
        if (is_worth_it(store, peer)) {
            peer->probed = true;
            return peer;
        }
    }
    return NULL;
}
