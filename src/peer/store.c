/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/store.h"

#include <string.h>

#include "base/assert.h"
#include "base/key.h"
#include "base/limits.h"
#include "base/mem.h"

static pln_peer *by_key_owner(const pln_tree_node *node) {
    return PLN_TREE_OWNER(node, pln_peer, by_key);
}

static pln_peer *by_time_owner(const pln_tree_node *node) {
    return PLN_TREE_OWNER(node, pln_peer, by_time);
}

static int compare_keys(const pln_tree_node *a, const pln_tree_node *b) {
    return pln_key_compare(&by_key_owner(a)->key, &by_key_owner(b)->key);
}

static int compare_times(const pln_tree_node *a, const pln_tree_node *b) {
    const pln_peer *x = by_time_owner(a);
    const pln_peer *y = by_time_owner(b);
    if (x->queued_at != y->queued_at) {
        return x->queued_at < y->queued_at ? -1 : 1;
    }
    return pln_key_compare(&x->key, &y->key);
}

/* ---- Life ------------------------------------------------------------------------------------ */

void pollen_peer_store_config_init(pollen_peer_store_config *config) {
    *config = (pollen_peer_store_config){
        .size = sizeof(*config),
        .jitter_percent = 20,
        .dials_max = 64,
        .dials_per_second = 50,
        .dials_burst = 50,
        .eager_timeout_ns = PLN_S(5),
        .direct_timeout_ns = PLN_S(5),
        /* A round trip to each of up to three coordinators, then probing, then a handshake. */
        .punch_timeout_ns = PLN_S(10),
        .unreachable_delay_max_ns = PLN_S(300),
        .permanent_delay_max_ns = PLN_S(60),
        .refused_delay_ns = PLN_S(60),
        .refused_delay_max_ns = PLN_S(3600),
        .peers_max = PLN_PEERS_MAX,
        .probe_interval_ns = PLN_S(1),
    };
}

static bool is_config_usable(const pollen_peer_store_config *config) {
    if (config->jitter_percent > 100 || (config->jitter_percent > 0 && config->random == NULL)) {
        return false;
    }
    if (config->eager_timeout_ns == 0 || config->direct_timeout_ns == 0 ||
        config->punch_timeout_ns == 0) {
        return false;
    }
    if (config->unreachable_delay_max_ns == 0 || config->permanent_delay_max_ns == 0 ||
        config->refused_delay_ns == 0 || config->refused_delay_max_ns == 0) {
        return false;
    }
    return config->peers_max > 0 && config->peers_max <= PLN_PEERS_MAX;
}

pollen_err pollen_peer_store_create(const pollen_peer_store_config *config,
                                    pollen_peer_store **ret_store) {
    if (config == NULL || ret_store == NULL || config->size != sizeof(*config) ||
        !is_config_usable(config)) {
        return POLLEN_EINVAL;
    }
    pollen_peer_store *store = pln_calloc(1, sizeof(*store));
    if (store == NULL) {
        return POLLEN_ENOMEM;
    }
    store->config = *config;
    store->probe_at = PLN_TS_NEVER;
    store->rng = (pln_rng){.fill = config->random, .ctx = config->random_context};
    pln_budget_init(&store->budget, config->dials_max, config->dials_per_second,
                    config->dials_burst);
    pln_tree_init(&store->by_key, compare_keys);
    for (size_t i = 0; i < PLN_PEER_QUEUE_COUNT; i++) {
        pln_tree_init(&store->queues[i], compare_times);
    }
    *ret_store = store;
    return POLLEN_OK;
}

static void destroy_peer(pln_peer *peer) {
    pln_free(peer->learnt.items);
    pln_free(peer->configured.items);
    pln_free(peer);
}

void pollen_peer_store_destroy(pollen_peer_store *store) {
    if (store == NULL) {
        return;
    }
    for (;;) {
        pln_tree_node *node = pln_tree_first(&store->by_key);
        if (node == NULL) {
            break;
        }
        pln_tree_remove(&store->by_key, node);
        destroy_peer(by_key_owner(node));
    }
    pln_free(store);
}

void pln_peer_store_set_log(pollen_peer_store *store, const pln_log *log) {
    store->log = log;
}

uint64_t pln_peer_store_visited(const pollen_peer_store *store) {
    uint64_t visited = 0;
    for (size_t i = 0; i < PLN_PEER_QUEUE_COUNT; i++) {
        visited += store->queues[i].visited;
    }
    return visited;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static bool is_input_usable(const pollen_peer_input *input) {
    switch (input->kind) {
    case POLLEN_PEER_INPUT_DISCOVER:
        return (input->addrs != NULL || input->addr_count == 0) &&
               input->not_before_ns != POLLEN_PEER_NEVER;
    case POLLEN_PEER_INPUT_CONNECT_FAILED:
    case POLLEN_PEER_INPUT_DISCONNECTED:
        return (unsigned)input->reason <= POLLEN_END_DENIED;
    case POLLEN_PEER_INPUT_TICK:
    case POLLEN_PEER_INPUT_CONNECT:
    case POLLEN_PEER_INPUT_RETRY:
    case POLLEN_PEER_INPUT_FORGET:
    case POLLEN_PEER_INPUT_MOVED:
        return true;
    }
    return false;
}

pln_peer *pln_peer_find(const pollen_peer_store *store, const pollen_key *key) {
    pln_peer probe = {.key = *key};
    pln_tree_node *node = pln_tree_find(&store->by_key, &probe.by_key);
    return node == NULL ? NULL : by_key_owner(node);
}

/* Outside of the tree as yet.  NULL when there is no memory. */
static pln_peer *create_peer(const pollen_key *key) {
    pln_peer *peer = pln_calloc(1, sizeof(*peer));
    if (peer == NULL) {
        return NULL;
    }
    if (!pln_addr_list_reserve(&peer->learnt, 1)) {
        pln_free(peer);
        return NULL;
    }
    peer->key = *key;
    peer->deadline = PLN_TS_NEVER;
    peer->due = PLN_TS_NEVER;
    peer->connected_at = PLN_TS_NEVER;
    peer->lost_at = PLN_TS_NEVER;
    peer->last_end_at = PLN_TS_NEVER;
    return peer;
}

static bool reserve_addrs(pln_peer *peer, const pollen_peer_input *input) {
    if (input->kind != POLLEN_PEER_INPUT_DISCOVER) {
        return true;
    }
    pln_addr_list *list = input->permanent ? &peer->configured : &peer->learnt;
    return pln_addr_list_reserve(list, pln_peer_input_addrs(input));
}

static pollen_err step_absent(pollen_peer_store *store, const pollen_peer_input *input) {
    pln_peer_event event = pln_peer_classify(NULL, input);
    if (pln_peer_table_at(POLLEN_PEER_ABSENT, event).next == POLLEN_PEER_ABSENT) {
        return POLLEN_OK;
    }
    if (pln_tree_count(&store->by_key) >= store->config.peers_max) {
        return POLLEN_ELIMIT;
    }
    pln_peer *peer = create_peer(&input->peer);
    if (peer == NULL) {
        return POLLEN_ENOMEM;
    }
    if (!reserve_addrs(peer, input)) {
        destroy_peer(peer);
        return POLLEN_ENOMEM;
    }
    pln_tree_insert(&store->by_key, &peer->by_key);
    pln_peer_apply(store, peer, event, input);
    return POLLEN_OK;
}

static pollen_err step_known(pollen_peer_store *store, pln_peer *peer,
                             const pollen_peer_input *input) {
    if (input->kind == POLLEN_PEER_INPUT_FORGET && peer->permanent && !input->permanent) {
        return POLLEN_EPERM;
    }
    if (!reserve_addrs(peer, input)) {
        return POLLEN_ENOMEM;
    }
    pln_peer_apply(store, peer, pln_peer_classify(peer, input), input);
    if (peer->state == POLLEN_PEER_ABSENT) {
        PLN_ASSERT(peer->queue == PLN_PEER_QUEUE_NONE);
        PLN_ASSERT(!peer->has_output);
        if (peer->permanent) {
            pln_peer_probe_on_forgotten(store, peer);
        }
        pln_tree_remove(&store->by_key, &peer->by_key);
        destroy_peer(peer);
    }
    return POLLEN_OK;
}

static pln_peer *queue_first(const pollen_peer_store *store, pln_peer_queue queue) {
    PLN_ASSERT(queue != PLN_PEER_QUEUE_NONE);
    PLN_ASSERT(queue < PLN_PEER_QUEUE_COUNT);
    pln_tree_node *node = pln_tree_first(&store->queues[queue]);
    return node == NULL ? NULL : by_time_owner(node);
}

static void fail_overdue(pollen_peer_store *store) {
    const pollen_peer_input silence = {
        .kind = POLLEN_PEER_INPUT_CONNECT_FAILED,
        .reason = POLLEN_END_IDLE_TIMEOUT,
    };
    for (;;) {
        pln_peer *peer = queue_first(store, PLN_PEER_QUEUE_DEADLINE);
        if (peer == NULL || !pln_ts_reached(peer->queued_at, store->now)) {
            break;
        }
        PLN_ASSERT(peer->state == POLLEN_PEER_CONNECTING);
        pln_peer_apply(store, peer, pln_peer_classify_failure(peer, silence.reason), &silence);
    }
}

/* When the queue's first peer can be dialled: when it is due, and the budget has a place. */
static pln_ts dial_at(const pollen_peer_store *store, pln_peer_queue queue) {
    const pln_peer *peer = queue_first(store, queue);
    if (peer == NULL) {
        return PLN_TS_NEVER;
    }
    pln_ts free_at = pln_budget_free_at(&store->budget, queue == PLN_PEER_QUEUE_FAVOURED);
    return peer->queued_at > free_at ? peer->queued_at : free_at;
}

/* Of the peers that can be dialled now the one that is due first; NULL when there is none.  The
 * order holds across both queues: a place in the budget is lost, but never won, as peers are taken.
 */
static pln_peer *next_to_dial(const pollen_peer_store *store) {
    pln_peer *next = NULL;
    for (pln_peer_queue q = PLN_PEER_QUEUE_FAVOURED; q <= PLN_PEER_QUEUE_OTHERS; q++) {
        if (!pln_ts_reached(dial_at(store, q), store->now)) {
            continue;
        }
        pln_peer *peer = queue_first(store, q);
        if (next == NULL || compare_times(&peer->by_time, &next->by_time) < 0) {
            next = peer;
        }
    }
    return next;
}

static void dial_due(pollen_peer_store *store, const pollen_peer_input *tick) {
    for (;;) {
        pln_peer *peer = next_to_dial(store);
        if (peer == NULL) {
            break;
        }
        bool taken =
            pln_budget_take(&store->budget, peer->queue == PLN_PEER_QUEUE_FAVOURED, store->now);
        PLN_ASSERT(taken);
        pln_peer_apply(store, peer, PLN_PEER_EV_DUE, tick);
    }
}

pollen_err pollen_peer_store_step(pollen_peer_store *store, uint64_t now_ns,
                                  const pollen_peer_input *input) {
    if (store == NULL || input == NULL || !is_input_usable(input)) {
        return POLLEN_EINVAL;
    }
    if (now_ns < store->now || now_ns == POLLEN_PEER_NEVER) {
        return POLLEN_EINVAL;
    }
    pln_ts before = store->now;
    store->now = now_ns;
    if (input->kind == POLLEN_PEER_INPUT_TICK) {
        /* In this order, so that what an overdue attempt held is free for the next one. */
        fail_overdue(store);
        dial_due(store, input);
        pln_peer_probe_tick(store);
        return POLLEN_OK;
    }
    pln_peer *peer = pln_peer_find(store, &input->peer);
    pollen_err err = peer == NULL ? step_absent(store, input) : step_known(store, peer, input);
    if (err != POLLEN_OK) {
        store->now = before;
    }
    return err;
}

uint64_t pollen_peer_store_next_expiry(const pollen_peer_store *store) {
    const pln_peer *running = queue_first(store, PLN_PEER_QUEUE_DEADLINE);
    pln_ts next = running == NULL ? PLN_TS_NEVER : running->queued_at;
    next = pln_ts_min(next, store->probe_at);
    next = pln_ts_min(next, dial_at(store, PLN_PEER_QUEUE_FAVOURED));
    return pln_ts_min(next, dial_at(store, PLN_PEER_QUEUE_OTHERS));
}
