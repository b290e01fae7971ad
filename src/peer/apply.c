/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from an event.  Nothing here can fail. */
#include "base/assert.h"
#include "base/key.h"
#include "peer/backoff.h"
#include "peer/store.h"

pln_ts pln_peer_after_delay(const pollen_peer_store *store, pln_dur delay) {
    /* Only ever longer: the delays that are documented are the least there are. */
    pln_dur spread = delay / 100 * store->config.jitter_percent;
    pln_dur extra = spread == 0 ? 0 : pln_rng_below(&store->rng, spread + 1);
    return pln_ts_add(pln_ts_add(store->now, delay), extra);
}

static void count_up(unsigned *count) {
    if (*count < UINT32_MAX) {
        (*count)++;
    }
}

static void note_end(const pollen_peer_store *store, pln_peer *peer, pollen_end_reason reason) {
    peer->last_end_reason = reason;
    peer->last_end_at = store->now;
}

static void note_generation(pln_peer *peer, uint64_t generation, bool ended) {
    if (generation > peer->generation) {
        peer->generation = generation;
    }
    peer->ended = ended;
}

static void first_stage(pln_peer *peer) {
    peer->stage = pln_peer_stage_first(peer->last_addr.port != 0);
}

static void learn(pollen_peer_store *store, pln_peer *peer, const pollen_peer_input *input) {
    pln_addr_list *list = input->permanent ? &peer->configured : &peer->learnt;
    size_t count = pln_peer_input_addrs(input);
    PLN_ASSERT(count <= list->cap);
    for (size_t i = 0; i < count; i++) {
        list->items[i] = pln_peer_resolve(peer, input, &input->addrs[i]);
    }
    list->count = count;
    if (input->port != 0) {
        peer->observed_port = input->port;
    }
    if (input->addr.port != 0) {
        peer->last_addr = input->addr;
    }
    if (input->permanent && !peer->permanent) {
        peer->permanent = true;
        pln_peer_probe_on_permanent(store, peer);
    }
}

static void wake(pln_peer *peer, pln_ts at) {
    PLN_ASSERT(peer->state == POLLEN_PEER_DISCOVERED);
    first_stage(peer);
    peer->unreachable_cycles = 0;
    peer->due = at;
}

static void attempt(pollen_peer_store *store, pln_peer *peer) {
    PLN_ASSERT(peer->state == POLLEN_PEER_CONNECTING);
    const pollen_peer_store_config *config = &store->config;
    const pln_dur timeouts[] = {
        [POLLEN_STAGE_EAGER_RETRY] = config->eager_timeout_ns,
        [POLLEN_STAGE_DIRECT] = config->direct_timeout_ns,
        [POLLEN_STAGE_PUNCH] = config->punch_timeout_ns,
    };
    PLN_ASSERT(peer->stage.stage != POLLEN_STAGE_NONE);
    peer->attempt = ++store->last_attempt;
    peer->deadline = pln_ts_add(store->now, timeouts[peer->stage.stage]);
    pln_peer_output_push(store, peer);
}

/* The far end of the session takes the place of all that was learnt about the peer's addresses: it
 * is the one that is known to work. */
static void take_addr(pln_peer *peer, const pollen_addr *addr) {
    if (addr->port == 0) {
        return;
    }
    PLN_ASSERT(peer->learnt.cap >= 1);
    peer->learnt.items[0] = *addr;
    peer->learnt.count = 1;
    peer->observed_port = addr->port;
    peer->last_addr = *addr;
}

static void connected(pollen_peer_store *store, pln_peer *peer, const pollen_peer_input *input) {
    PLN_ASSERT(peer->state == POLLEN_PEER_CONNECTED);
    take_addr(peer, &input->addr);
    note_generation(peer, input->generation, false);
    peer->inbound = input->inbound;
    peer->asked_for = false;
    peer->probed = false;
    peer->connected_at = store->now;
    peer->stage = (pln_peer_stage){.stage = POLLEN_STAGE_DIRECT};
    peer->unreachable_cycles = 0;
    pln_peer_output_withdraw(store, peer);
    pln_peer_output_push(store, peer);
}

static void escalate(pollen_peer_store *store, pln_peer *peer) {
    PLN_ASSERT(peer->state == POLLEN_PEER_DISCOVERED);
    bool more = pln_peer_stage_escalate(&peer->stage);
    PLN_ASSERT(more);
    peer->due = pln_peer_after_delay(store, pln_backoff_attempt(peer->stage.attempts));
}

static void escalate_now(pollen_peer_store *store, pln_peer *peer) {
    PLN_ASSERT(peer->state == POLLEN_PEER_DISCOVERED);
    if (!pln_peer_stage_escalate(&peer->stage)) {
        first_stage(peer);
    }
    peer->due = store->now;
}

static void give_up(pollen_peer_store *store, pln_peer *peer) {
    PLN_ASSERT(peer->state == POLLEN_PEER_UNREACHABLE);
    const pollen_peer_store_config *config = &store->config;
    pln_dur max =
        peer->permanent ? config->permanent_delay_max_ns : config->unreachable_delay_max_ns;
    if (peer->lost_at != PLN_TS_NEVER) {
        max = pln_backoff_absent(pln_ts_since(peer->lost_at, store->now), max);
    }
    count_up(&peer->unreachable_cycles);
    peer->asked_for = false;
    peer->stage.attempts = 0;
    peer->due = pln_peer_after_delay(
        store, pln_backoff_grow(PLN_UNREACHABLE_DELAY, peer->unreachable_cycles, max));
}

static pln_ts after_refusal(pollen_peer_store *store, pln_peer *peer) {
    count_up(&peer->refusals);
    return pln_peer_after_delay(store,
                                pln_backoff_grow(store->config.refused_delay_ns, peer->refusals,
                                                 store->config.refused_delay_max_ns));
}

static void refused(pollen_peer_store *store, pln_peer *peer) {
    PLN_ASSERT(peer->state == POLLEN_PEER_UNREACHABLE);
    peer->refused = true;
    peer->asked_for = false;
    peer->stage.attempts = 0;
    peer->due = after_refusal(store, peer);
}

static void lost(pollen_peer_store *store, pln_peer *peer, const pollen_peer_input *input) {
    PLN_ASSERT(peer->state == POLLEN_PEER_DISCOVERED);
    note_end(store, peer, input->reason);
    note_generation(peer, input->generation, true);
    first_stage(peer);
    peer->due = pln_reason_is_refusal(input->reason)
                    ? after_refusal(store, peer)
                    : pln_peer_after_delay(store, pln_backoff_reconnect(input->reason));
}

static void run(pollen_peer_store *store, pln_peer *peer, pln_peer_action action,
                const pollen_peer_input *input) {
    switch (action) {
    case PLN_PEER_ACT_LEARN:
        learn(store, peer, input);
        break;
    case PLN_PEER_ACT_LEARN_WAKE:
        learn(store, peer, input);
        wake(peer, input->not_before_ns > store->now ? input->not_before_ns : store->now);
        break;
    case PLN_PEER_ACT_WAKE:
        peer->refusals = 0;
        peer->asked_for = true;
        wake(peer, store->now);
        break;
    case PLN_PEER_ACT_HURRY:
        peer->hurried = true;
        peer->asked_for = true;
        break;
    case PLN_PEER_ACT_ATTEMPT_FIRST:
        first_stage(peer);
        attempt(store, peer);
        break;
    case PLN_PEER_ACT_ATTEMPT:
        attempt(store, peer);
        break;
    case PLN_PEER_ACT_CONNECTED:
        connected(store, peer, input);
        break;
    case PLN_PEER_ACT_ESCALATE:
        note_end(store, peer, input->reason);
        escalate(store, peer);
        break;
    case PLN_PEER_ACT_ESCALATE_NOW:
        note_end(store, peer, input->reason);
        escalate_now(store, peer);
        break;
    case PLN_PEER_ACT_GIVE_UP:
        note_end(store, peer, input->reason);
        give_up(store, peer);
        break;
    case PLN_PEER_ACT_REFUSED:
        note_end(store, peer, input->reason);
        refused(store, peer);
        break;
    case PLN_PEER_ACT_LOST:
        lost(store, peer, input);
        break;
    case PLN_PEER_ACT_NOTE_END:
        note_generation(peer, input->generation, true);
        break;
    case PLN_PEER_ACT_MOVED:
        take_addr(peer, &input->addr);
        break;
    case PLN_PEER_ACT_UNSET:
    case PLN_PEER_ACT_BUG:
    case PLN_PEER_ACT_IGNORE:
    case PLN_PEER_ACT_REMOVE:
        break;
    }
}

/* What the old state held and the new one must not. */
static void leave(pollen_peer_store *store, pln_peer *peer, pollen_peer_state old) {
    peer->since = store->now;
    pln_peer_output_withdraw(store, peer);
    peer->refused = false;
    if (old == POLLEN_PEER_CONNECTING) {
        PLN_ASSERT(peer->attempt != 0);
        peer->attempt = 0;
        peer->deadline = PLN_TS_NEVER;
        peer->hurried = false;
        pln_budget_release(&store->budget);
    }
    if (old == POLLEN_PEER_CONNECTED) {
        peer->lost_at = store->now;
        if (pln_ts_since(peer->connected_at, store->now) >= PLN_PEER_STABLE_SESSION) {
            peer->refusals = 0;
        }
    }
}

static void count_sessions(pollen_peer_store *store, const pln_peer *peer, pollen_peer_state old,
                           const pollen_peer_input *input) {
    PLN_ASSERT(peer->state != old);
    if (peer->state == POLLEN_PEER_CONNECTED) {
        pln_peer_probe_on_connected(store);
    } else if (old == POLLEN_PEER_CONNECTED) {
        pln_peer_probe_on_lost(
            store, input->kind == POLLEN_PEER_INPUT_DISCONNECTED ? input->reason : POLLEN_END_NONE);
    }
}

/* Somebody waits for it, or it was there until now. */
static bool is_favoured(const pln_peer *peer) {
    return peer->permanent || peer->asked_for ||
           (peer->connected_at != PLN_TS_NEVER && peer->unreachable_cycles == 0);
}

static pln_peer_queue queue_of(const pln_peer *peer) {
    switch (peer->state) {
    case POLLEN_PEER_DISCOVERED:
    case POLLEN_PEER_UNREACHABLE:
        return is_favoured(peer) ? PLN_PEER_QUEUE_FAVOURED : PLN_PEER_QUEUE_OTHERS;
    case POLLEN_PEER_CONNECTING:
        return PLN_PEER_QUEUE_DEADLINE;
    case POLLEN_PEER_CONNECTED:
    case POLLEN_PEER_ABSENT:
        break;
    }
    return PLN_PEER_QUEUE_NONE;
}

/* Brings the queues in line with the state. */
static void requeue(pollen_peer_store *store, pln_peer *peer) {
    pln_peer_queue queue = queue_of(peer);
    pln_ts at = queue == PLN_PEER_QUEUE_DEADLINE ? peer->deadline : peer->due;
    if (queue == peer->queue && at == peer->queued_at) {
        return;
    }
    if (peer->queue != PLN_PEER_QUEUE_NONE) {
        pln_tree_remove(&store->queues[peer->queue], &peer->by_time);
    }
    peer->queue = queue;
    peer->queued_at = at;
    if (queue != PLN_PEER_QUEUE_NONE) {
        PLN_ASSERT(at != PLN_TS_NEVER);
        pln_tree_insert(&store->queues[queue], &peer->by_time);
    }
}

void pln_peer_apply(pollen_peer_store *store, pln_peer *peer, pln_peer_event event,
                    const pollen_peer_input *input) {
    pollen_peer_state old = peer->state;
    pln_peer_action action = pln_peer_fsm_step(&peer->state, event);
    if (peer->state != old) {
        count_sessions(store, peer, old, input);
        leave(store, peer, old);
        char text[PLN_KEY_SHORT_BYTES];
        pln_logf(store->log, PLN_LOG_DEBUG, "peer", "%s: %s: %s, %s -> %s",
                 pln_key_short(&peer->key, text), pln_peer_event_name(event),
                 pln_peer_action_name(action), pollen_peer_state_name(old),
                 pollen_peer_state_name(peer->state));
    }
    run(store, peer, action, input);
    requeue(store, peer);
}
