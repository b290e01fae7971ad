/* SPDX-License-Identifier: Apache-2.0 */
/* Events into envelopes, and how many of them one peer may cause. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "state/internal.h"
#include "wire/envelope.h"
#include "wire/protowrite.h"

/* ---- Envelopes ------------------------------------------------------------------------------- */

bool pln_envelopes_push(pln_envelopes *list, pln_bytes *envelope) {
    pln_bytes *items = pln_grow(list->items, list->count, &list->cap, sizeof(*items), 8);
    if (items == NULL) {
        pln_bytes_fini(envelope);
        return false;
    }
    list->items = items;
    list->items[list->count++] = *envelope;
    *envelope = (pln_bytes){0};
    return true;
}

void pln_envelopes_fini(pln_envelopes *list) {
    for (size_t i = 0; i < list->count; i++) {
        pln_bytes_fini(&list->items[i]);
    }
    pln_free(list->items);
    *list = (pln_envelopes){0};
}

/* Ends the body, which is empty afterwards. */
static bool wrap(pln_out *body, pln_bytes *ret) {
    pln_out out = {0};
    pln_proto_put_message(&out, POLLEN_ENVELOPE_EVENTS, body);
    return pln_out_finish(&out, ret) == POLLEN_OK;
}

/* ---- Accounts of peers ----------------------------------------------------------------------- */

void pln_gossip_peer_init(pln_gossip_peer *peer, const pollen_key *key, bool speaks_2,
                          size_t envelope_max, pln_ts now) {
    *peer = (pln_gossip_peer){
        .key = *key,
        .speaks_2 = speaks_2,
        .envelope_max = envelope_max,
        .answer_bytes = PLN_GOSSIP_ANSWER_BURST,
        .events = PLN_GOSSIP_EVENTS_BURST,
        .refilled_at = now,
    };
}

static uint64_t refilled(uint64_t left, uint64_t per_second, uint64_t burst, pln_dur elapsed) {
    if (elapsed >= PLN_S(burst / per_second)) {
        return burst;
    }
    left += per_second * elapsed / PLN_NS_PER_S;
    return left < burst ? left : burst;
}

void pln_gossip_peer_refill(pln_gossip_peer *peer, pln_ts now) {
    pln_dur elapsed = pln_ts_since(peer->refilled_at, now);
    if (elapsed < PLN_MS(10)) {
        return; /* Smaller steps would round to nothing each. */
    }
    peer->answer_bytes = refilled(peer->answer_bytes, PLN_GOSSIP_ANSWER_BYTES_PER_S,
                                  PLN_GOSSIP_ANSWER_BURST, elapsed);
    peer->events =
        refilled(peer->events, PLN_GOSSIP_EVENTS_PER_S, PLN_GOSSIP_EVENTS_BURST, elapsed);
    peer->refilled_at = now;
}

/* ---- Batches --------------------------------------------------------------------------------- */

/* A batch of so many bytes makes an envelope of the target. */
static size_t body_max(size_t target) {
    size_t overhead = pln_envelope_overhead(POLLEN_ENVELOPE_EVENTS, target);
    return target > overhead ? target - overhead : 0;
}

pln_batcher pln_batcher_init(pln_gossip_peer *peer, pln_ts now, pln_envelopes *list) {
    pln_gossip_peer_refill(peer, now);
    size_t target = peer->envelope_max < PLN_ENVELOPE_BYTES_TARGET ? peer->envelope_max
                                                                   : PLN_ENVELOPE_BYTES_TARGET;
    size_t afforded = target > 0 ? (size_t)(peer->answer_bytes / target) : 0;
    return (pln_batcher){
        .list = list,
        .target = target,
        .max = peer->envelope_max,
        .room =
            afforded < PLN_GOSSIP_ANSWER_ENVELOPES_MAX ? afforded : PLN_GOSSIP_ANSWER_ENVELOPES_MAX,
    };
}

static void flush(pln_batcher *batcher) {
    PLN_ASSERT(batcher->open || batcher->body.bytes.size == 0);
    pln_bytes envelope = {0};
    if (batcher->open && wrap(&batcher->body, &envelope)) {
        batcher->bytes += envelope.size;
        (void)pln_envelopes_push(batcher->list, &envelope); /* Lost, as on the network. */
    }
    batcher->open = false;
}

static bool encode_event(const pln_state *state, const pln_author *author, const pln_attr *attr,
                         pln_bytes *ret) {
    pln_gossip_event event = pln_attr_event(state, author, attr);
    return pln_gossip_event_encode(&event, ret) == POLLEN_OK;
}

bool pln_batcher_add(pln_batcher *batcher, const pln_state *state, const pln_author *author,
                     const pln_attr *attr) {
    pln_bytes event = {0};
    if (!encode_event(state, author, attr, &event)) {
        return true; /* Lost, as on the network. */
    }
    size_t size = event.size + pln_gossip_event_overhead(event.size);
    if (size > body_max(batcher->max)) {
        pln_bytes_fini(&event);
        return true; /* No datagram to this peer can hold it. */
    }
    if (batcher->open && batcher->body.bytes.size + size > body_max(batcher->target)) {
        flush(batcher);
    }
    if (!batcher->open) {
        if (batcher->room == 0) {
            pln_bytes_fini(&event);
            return false;
        }
        batcher->room -= 1;
        batcher->open = true;
    }
    pln_proto_put_present(&batcher->body, 1, event.data, event.size);
    pln_bytes_fini(&event);
    return true;
}

void pln_batcher_finish(pln_batcher *batcher, pln_gossip_peer *peer) {
    flush(batcher);
    pln_out_fini(&batcher->body);
    peer->answer_bytes -= batcher->bytes < peer->answer_bytes ? batcher->bytes : peer->answer_bytes;
}

/* ---- To everybody ---------------------------------------------------------------------------- */

static int compare_counters(const void *a, const void *b) {
    const pln_attr *const *x = a;
    const pln_attr *const *y = b;
    return ((*x)->counter > (*y)->counter) - ((*x)->counter < (*y)->counter);
}

static size_t collect_pending(const pln_state *state, pln_attr **list) {
    size_t count = 0;
    for (size_t i = 0; i < state->self->count; i++) {
        pln_attr *attr = &state->self->attrs[i];
        if (attr->pending) {
            PLN_ASSERT(count < state->pending); /* Which is how long the list is. */
            list[count++] = attr;
        }
    }
    qsort(list, count, sizeof(*list), compare_counters);
    return count;
}

/* As many of the pending ones as fit, one at least; marks them as told.  On lack of memory
 * nothing is marked, so that they come again. */
static bool fill(pln_state *state, pln_attr **pending, size_t count, pln_bytes *ret) {
    pln_out body = {0};
    size_t taken = 0;
    for (; taken < count; taken++) {
        pln_bytes event = {0};
        if (!encode_event(state, state->self, pending[taken], &event)) {
            body.failed = true;
            break;
        }
        size_t size = event.size + pln_gossip_event_overhead(event.size);
        bool fits = taken == 0 || body.bytes.size + size <= body_max(PLN_ENVELOPE_BYTES_TARGET);
        if (fits) {
            pln_proto_put_present(&body, 1, event.data, event.size);
        }
        pln_bytes_fini(&event);
        if (!fits) {
            break;
        }
    }
    if (!wrap(&body, ret)) {
        return false;
    }
    PLN_ASSERT(taken > 0 && taken <= state->pending);
    for (size_t i = 0; i < taken; i++) {
        pending[i]->pending = false;
    }
    state->pending -= taken;
    return true;
}

bool pln_state_poll_broadcast(pln_state *state, pln_bytes *ret) {
    pln_bytes envelope = {0};
    if (state->pending == 0) {
        return false;
    }
    pln_attr **pending = pln_calloc(state->pending, sizeof(*pending));
    if (pending == NULL) {
        return false;
    }
    size_t count = collect_pending(state, pending);
    bool filled = fill(state, pending, count, &envelope);
    pln_free(pending);
    if (filled) {
        *ret = envelope;
    }
    return filled;
}
