/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that came from a peer.
 *
 * An event that is refused, but could be its author's, counts as seen: the reference would send it
 * again in every round otherwise.  One that leaps does not, for then nothing its author really says
 * would be asked for any more.
 */
#include "base/assert.h"
#include "base/key.h"
#include "state/internal.h"

typedef struct apply_ctx {
    pln_state *state;
    pln_gossip_peer *peer;
    pln_author *teller;
    pln_ts now;
} apply_ctx;

/* The session's peer may say of itself what others may not: it is the author. */
static bool leaps(const apply_ctx *ctx, const pln_author *author, uint64_t counter) {
    bool first_hand = pln_key_equal(&author->key, &ctx->peer->key);
    return !first_hand && author->seen > 0 && counter > author->seen &&
           counter - author->seen > PLN_STATE_COUNTER_LEAP;
}

static void note_seen(pln_author *author, uint64_t counter) {
    author->seen = counter > author->seen ? counter : author->seen;
}

static void charge_forgery(pln_gossip_peer *peer) {
    peer->events -= peer->events < PLN_GOSSIP_FORGERY_COST ? peer->events : PLN_GOSSIP_FORGERY_COST;
}

/*
 * Whether the event wins over the attribute it is about.  Of two with the same counter, which
 * only a restart or a forgery can bring about, the same one wins wherever they meet: a
 * withdrawal, then the larger hash.
 */
static pollen_err wins(const pln_gossip_event *event, const pollen_key *subject,
                       const pln_attr *attr, bool *ret) {
    *ret = attr == NULL || attr->loaded || event->counter > attr->counter;
    if (*ret || event->counter < attr->counter) {
        return POLLEN_OK;
    }
    uint64_t content;
    uint32_t size;
    pollen_err err = pln_attr_digest(event, subject, &content, &size);
    *ret = event->deleted != attr->deleted ? event->deleted : content > attr->content;
    *ret = *ret && err == POLLEN_OK;
    return err;
}

/* Room among the attributes of the kind.  The oldest goes, whichever event came first, so that
 * everybody keeps the same ones.  False when the event is older than all. */
static bool fits(pln_state *state, pln_author *author, const pln_gossip_event *event) {
    if (pln_attr_count(author, event->kind) < pln_attr_limit(event->kind)) {
        return true;
    }
    pln_attr *oldest = pln_attr_oldest(author, event->kind);
    if (oldest == NULL || event->counter <= oldest->counter) {
        return false;
    }
    pln_author_remove(state, author, oldest);
    PLN_ASSERT(pln_attr_count(author, event->kind) < pln_attr_limit(event->kind));
    return true;
}

static size_t bytes_needed(const pln_gossip_event *event) {
    pln_attr attr = {.kind = (uint8_t)event->kind};
    if (event->kind == PLN_CHANGE_SERVICE) {
        attr.service = event->service;
    } else if (event->kind == PLN_CHANGE_NETWORK) {
        attr.network = event->network;
    }
    return pln_attr_bytes(&attr);
}

static bool is_saved_kind(pln_change_kind kind) {
    return kind == PLN_CHANGE_NETWORK || kind == PLN_CHANGE_EXTERNAL_PORT ||
           kind == PLN_CHANGE_SERVICE;
}

/* Last writer wins. */
static pollen_err merge(const apply_ctx *ctx, pln_author *author, pln_gossip_event *event,
                        const pollen_key *subject) {
    pln_state *state = ctx->state;
    pln_attr *attr = pln_attr_find(author, event, subject);
    bool won;
    pollen_err err = wins(event, subject, attr, &won);
    if (err != POLLEN_OK || !won) {
        state->stats.events_known += err == POLLEN_OK ? 1 : 0;
        return err;
    }
    if (!pln_authors_make_room(state, author, bytes_needed(event))) {
        return POLLEN_ELIMIT;
    }
    if (attr == NULL && !fits(state, author, event)) {
        return POLLEN_EPROTO;
    }
    pln_change_kind kind = event->kind;
    err = pln_author_put(state, author, event, subject, &attr);
    if (err == POLLEN_OK) {
        author->heard_at = ctx->now;
        state->stats.events_applied += 1;
        pln_state_events_changed(state, author, kind);
        if (is_saved_kind(kind)) {
            pln_state_dirty(state, PLN_STATE_SAVE_SOON);
        }
    }
    return err;
}

/* EPROTO refuses the event for good, everything else for now. */
static pollen_err merge_revocation(const apply_ctx *ctx, pln_author *author,
                                   pln_gossip_event *event) {
    pln_revocation revocation;
    bool added;
    if (event->deleted) {
        return POLLEN_EPROTO; /* A revocation is for ever. */
    }
    pollen_err err =
        pln_revocation_decode(event->revocation.data, event->revocation.size, &revocation);
    if (err != POLLEN_OK) {
        return err;
    }
    err = pln_revocation_learn(ctx->state, &revocation, &added);
    if (err == POLLEN_ECLUSTER || err == POLLEN_ESIGNATURE) {
        charge_forgery(ctx->peer);
        err = POLLEN_EPROTO;
    }
    if (err == POLLEN_OK) {
        err = merge(ctx, author, event, &revocation.subject_pub);
    }
    pln_revocation_fini(&revocation);
    return err;
}

static pollen_err merge_any(const apply_ctx *ctx, pln_author *author, pln_gossip_event *event) {
    if (event->kind == PLN_CHANGE_UNKNOWN || !pln_attr_is_named(event)) {
        return POLLEN_EPROTO;
    }
    if (event->kind == PLN_CHANGE_REVOCATION) {
        return merge_revocation(ctx, author, event);
    }
    return merge(ctx, author, event, NULL);
}

static pollen_err apply_foreign(const apply_ctx *ctx, pln_gossip_event *event) {
    pln_author *author;
    uint64_t counter = event->counter;
    if (counter > PLN_STATE_COUNTER_MAX) {
        return POLLEN_EPROTO;
    }
    if (event->kind == PLN_CHANGE_REVOCATION && !ctx->state->has_trust) {
        return POLLEN_ENOTENROLLED; /* Not seen either: it has to come again when we are. */
    }
    pollen_err err = pln_authors_admit(ctx->state, &event->author, ctx->teller, &author);
    if (err != POLLEN_OK) {
        return err;
    }
    PLN_ASSERT(author != ctx->state->self); /* Our own events are pln_own_heard()'s. */
    if (leaps(ctx, author, counter)) {
        return POLLEN_EPROTO;
    }
    err = merge_any(ctx, author, event);
    if (err == POLLEN_OK || err == POLLEN_EPROTO) {
        note_seen(author, counter);
    }
    return err;
}

static pollen_err apply_one(const apply_ctx *ctx, pln_gossip_event *event) {
    /* Counters begin at 1.  What has none could never be asked for, and so not be known to all. */
    if (!event->has_author || event->kind == PLN_CHANGE_NONE || event->counter == 0) {
        return POLLEN_EPROTO;
    }
    if (pln_key_equal(&event->author, &ctx->state->self->key)) {
        return pln_own_heard(ctx->state, event);
    }
    return apply_foreign(ctx, event);
}

/* ENOMEM when any event could not be kept for that; other refusals are the sender's matter. */
static pollen_err apply_all(const apply_ctx *ctx, pln_gossip_batch *batch) {
    pollen_err result = POLLEN_OK;
    for (size_t i = 0; i < batch->count; i++) {
        if (ctx->peer->events == 0) {
            ctx->state->stats.events_dropped += batch->count - i;
            return result == POLLEN_OK ? POLLEN_ELIMIT : result;
        }
        ctx->peer->events -= 1;
        pollen_err err = apply_one(ctx, &batch->events[i]);
        if (err == POLLEN_ENOMEM) {
            result = err;
        } else if (err != POLLEN_OK) {
            ctx->state->stats.events_refused += 1;
        }
    }
    return result;
}

pollen_err pln_state_handle_events(pln_state *state, pln_gossip_peer *peer, const uint8_t *body,
                                   size_t size, pln_ts now) {
    pln_gossip_batch batch;
    pollen_err err = pln_gossip_batch_decode(body, size, &batch);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_authors_heard(state, &peer->key, now);
    pln_gossip_peer_refill(peer, now);
    apply_ctx ctx = {
        .state = state, .peer = peer, .teller = pln_authors_teller(state, &peer->key), .now = now};
    err = apply_all(&ctx, &batch);
    pln_own_settle(state, now);
    pln_gossip_batch_fini(&batch);
    return err;
}
