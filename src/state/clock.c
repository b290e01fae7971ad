/* SPDX-License-Identifier: Apache-2.0 */
/* The reference's way of finding out what is missing: clocks. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/key.h"
#include "base/mem.h"
#include "state/internal.h"
#include "wire/envelope.h"
#include "wire/protowrite.h"

/* ---- Answering one --------------------------------------------------------------------------- */

void pln_author_drop_forged(pln_state *state, const pollen_key *peer, uint64_t counter) {
    pln_author *author = pln_authors_find(state, peer);
    if (author == NULL || author == state->self || author->seen <= counter ||
        author->seen - counter <= PLN_STATE_COUNTER_LEAP) {
        return;
    }
    for (size_t i = author->count; i > 0; i--) {
        pln_attr *attr = &author->attrs[i - 1];
        if (attr->counter > counter && attr->counter - counter > PLN_STATE_COUNTER_LEAP) {
            pln_change_kind kind = (pln_change_kind)attr->kind;
            pln_author_remove(state, author, attr);
            pln_state_events_changed(state, author, kind);
        }
    }
    pln_author_recount(author);
}

/* False when the batcher is full; the cursor stands behind the last event then. */
static bool add_above(pln_batcher *batcher, const pln_state *state, const pln_author *author,
                      uint64_t above, pln_gossip_peer *peer) {
    size_t count = 0;
    const pln_attr **list = pln_author_above(author, above, &count);
    bool room = true;
    peer->cursor = author->key;
    peer->cursor_counter = above;
    for (size_t i = 0; list != NULL && room && i < count; i++) {
        room = pln_batcher_add(batcher, state, author, list[i]);
        if (room) {
            peer->cursor_counter = list[i]->counter;
        }
    }
    pln_free(list);
    return room;
}

/*
 * Lowest counters first, so that a clock that comes after a cut answer asks for the rest.  But a
 * clock that does not fit for all its authors would bring the beginning again and again: after a
 * cut answer the peer is owed the rest, which the next rounds send, whatever it asks for
 * meanwhile.
 */
static void add_missing(pln_batcher *batcher, const pln_state *state, const pln_gossip_clock *clock,
                        pln_gossip_peer *peer) {
    size_t next = 0;
    bool room = true;
    for (size_t i = 0; room && i < state->count; i++) {
        const pln_author *author = state->authors[i];
        while (next < clock->count &&
               pln_key_compare(&clock->entries[next].peer, &author->key) < 0) {
            next += 1;
        }
        bool named = next < clock->count && pln_key_equal(&clock->entries[next].peer, &author->key);
        uint64_t above = named ? clock->entries[next].counter : 0;
        if (author->max > above) {
            room = add_above(batcher, state, author, above, peer);
        }
        if (!room) {
            peer->owed = state->count;
        }
    }
}

static const pln_clock_entry *entry_of(const pln_gossip_clock *clock, const pollen_key *key) {
    for (size_t i = 0; i < clock->count; i++) {
        if (pln_key_equal(&clock->entries[i].peer, key)) {
            return &clock->entries[i];
        }
    }
    return NULL;
}

pollen_err pln_state_handle_clock(pln_state *state, pln_gossip_peer *peer, const uint8_t *body,
                                  size_t size, pln_ts now, pln_envelopes *ret) {
    pln_gossip_clock clock;
    pollen_err err = pln_gossip_clock_decode(body, size, &clock);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_authors_heard(state, &peer->key, now);
    const pln_clock_entry *own = entry_of(&clock, &peer->key);
    if (own != NULL) {
        pln_author_drop_forged(state, &peer->key, own->counter);
    }
    if (peer->owed == 0) {
        pln_batcher batcher = pln_batcher_init(peer, now, ret);
        add_missing(&batcher, state, &clock, peer);
        pln_batcher_finish(&batcher, peer);
    }
    pln_gossip_clock_fini(&clock);
    return POLLEN_OK;
}

/* ---- Sending one ----------------------------------------------------------------------------- */

static size_t entry_size(const pln_author *author) {
    enum { AROUND = 2 + 2 + 64 + 1 }; /* Tags and lengths, the key, the value's tag. */
    return AROUND + pln_varint_size(author->seen);
}

/* By what the reference would have to send again. */
static int compare_weights(const void *a, const void *b) {
    const pln_author *const *x = a;
    const pln_author *const *y = b;
    if ((*x)->wire_bytes != (*y)->wire_bytes) {
        return (*x)->wire_bytes > (*y)->wire_bytes ? -1 : 1;
    }
    return pln_key_compare(&(*x)->key, &(*y)->key);
}

/* Those that a clock has something to say of. */
static const pln_author **collect(const pln_state *state, size_t *ret_count) {
    PLN_ASSERT(state->count > 0); /* We are one of them. */
    const pln_author **list = pln_calloc(state->count, sizeof(*list));
    *ret_count = 0;
    for (size_t i = 0; list != NULL && i < state->count; i++) {
        if (state->authors[i]->seen > 0) {
            list[(*ret_count)++] = state->authors[i];
        }
    }
    return list;
}

/* How many of the list, heaviest first, a clock of max bytes names; *ret_resent is what the
 * others cost. */
static size_t choose(const pln_author **list, size_t count, size_t max, uint64_t *ret_resent) {
    qsort(list, count, sizeof(*list), compare_weights);
    size_t overhead = pln_envelope_overhead(POLLEN_ENVELOPE_CLOCK, max);
    size_t size = overhead;
    size_t named = 0;
    while (named < count && named < PLN_CLOCK_ENTRIES_MAX &&
           size + entry_size(list[named]) <= max) {
        size += entry_size(list[named]);
        named += 1;
    }
    PLN_ASSERT(named <= count && named <= PLN_CLOCK_ENTRIES_MAX);
    *ret_resent = 0;
    for (size_t i = named; i < count; i++) {
        *ret_resent += list[i]->wire_bytes;
    }
    return named;
}

static void push_clock(pln_gossip_clock *clock, pln_envelopes *ret) {
    pln_bytes body = {0};
    pln_bytes envelope = {0};
    pln_out out = {0};
    pollen_err err = pln_gossip_clock_encode(clock, &body);
    if (err == POLLEN_OK) {
        pln_proto_put_present(&out, POLLEN_ENVELOPE_CLOCK, body.data, body.size);
        err = pln_out_finish(&out, &envelope);
    }
    pln_bytes_fini(&body);
    if (err == POLLEN_OK) {
        (void)pln_envelopes_push(ret, &envelope);
    }
}

static int compare_entries(const void *a, const void *b) {
    const pln_clock_entry *x = a;
    const pln_clock_entry *y = b;
    return pln_key_compare(&x->peer, &y->peer);
}

static void send_clock(const pln_author **list, size_t count, size_t skip, pln_envelopes *ret) {
    pln_gossip_clock clock = {0};
    clock.entries = pln_calloc(count > 0 ? count : 1, sizeof(*clock.entries));
    if (clock.entries == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (i != skip) {
            clock.entries[clock.count++] =
                (pln_clock_entry){.peer = list[i]->key, .counter = list[i]->seen};
        }
    }
    PLN_ASSERT(clock.count <= count);
    qsort(clock.entries, clock.count, sizeof(*clock.entries), compare_entries);
    push_clock(&clock, ret);
    pln_gossip_clock_fini(&clock);
}

/* A round in which all that are named are, or one of them is left out to be told anew. */
static size_t skipped(uint64_t round, size_t named) {
    if (named == 0 || round % PLN_GOSSIP_REPAIR_ROUNDS != PLN_GOSSIP_REPAIR_ROUNDS - 1) {
        return SIZE_MAX;
    }
    return (size_t)(round / PLN_GOSSIP_REPAIR_ROUNDS % named);
}

/* A session that begins is sent a clock out of turn, unless it would bring more than a megabyte. */
enum { GREETING_PERIOD_MAX = 16 };

static void round_clock(const pln_state *state, const pln_gossip_peer *peer, bool greeting,
                        pln_envelopes *ret) {
    size_t count;
    uint64_t resent;
    const pln_author **list = collect(state, &count);
    if (list == NULL) {
        return;
    }
    size_t named = choose(list, count, peer->envelope_max, &resent);
    /* Peers have different turns, and take the load of one another. */
    uint64_t period = 1 + resent / PLN_GOSSIP_RESENT_BYTES;
    uint64_t turn = peer->round + peer->key.bytes[0];
    if ((greeting && period <= GREETING_PERIOD_MAX) || turn % period == 0) {
        send_clock(list, named, greeting ? SIZE_MAX : skipped(peer->round, named), ret);
    }
    pln_free(list);
}

/* ---- Unasked --------------------------------------------------------------------------------- */

/*
 * From where the last events ended, of everybody but the peer itself: one envelope, or what an
 * answer may hold while the rest of one is owed.  Goes once around at most.
 */
static void send_unasked(const pln_state *state, pln_gossip_peer *peer, pln_ts now,
                         pln_envelopes *ret) {
    pln_batcher batcher = pln_batcher_init(peer, now, ret);
    if (peer->owed == 0 && batcher.room > 1) {
        batcher.room = 1;
    }
    size_t at = pln_authors_place(state, &peer->cursor);
    for (size_t passed = 0; passed < state->count; passed++) {
        at = at < state->count ? at : 0;
        const pln_author *author = state->authors[at];
        bool begun = pln_key_equal(&author->key, &peer->cursor);
        bool itself = pln_key_equal(&author->key, &peer->key);
        if (!itself &&
            !add_above(&batcher, state, author, begun ? peer->cursor_counter : 0, peer)) {
            break;
        }
        peer->owed -= peer->owed > 0 ? 1 : 0;
        at += 1;
    }
    pln_batcher_finish(&batcher, peer);
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

static bool knows_others(const pln_state *state) {
    for (size_t i = 0; i < state->count; i++) {
        if (state->authors[i] != state->self && state->authors[i]->max > 0) {
            return true;
        }
    }
    return false;
}

void pln_state_greet(pln_state *state, pln_gossip_peer *peer, pln_ts now, pln_envelopes *ret) {
    pln_own_settle(state, now);
    if (peer->speaks_2) {
        /* One of the two is enough, or both would send each other all that differs twice.  Among
         * many sessions what others say is soon found by a round with any of them. */
        if (state->self->reachable > PLN_GOSSIP_FEW_SESSIONS) {
            pln_digest_own(state, peer, now, ret);
        } else if (pln_key_compare(&state->self->key, &peer->key) < 0) {
            pln_digest_root(state, false, ret);
        }
    } else if (knows_others(state)) {
        round_clock(state, peer, true, ret);
    } else {
        pln_gossip_clock empty = {0}; /* Brings also what others hold of us from earlier. */
        push_clock(&empty, ret);
    }
}

void pln_state_round(pln_state *state, pln_gossip_peer *peer, pln_ts now, pln_envelopes *ret) {
    peer->round += 1;
    pln_own_settle(state, now);
    if (peer->speaks_2) {
        pln_digest_root(state, false, ret);
        return;
    }
    round_clock(state, peer, false, ret);
    send_unasked(state, peer, now, ret);
}
