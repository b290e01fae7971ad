/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding out what is missing between two nodes of pollen/2.
 *
 * Design notes.  A round begins with one hash of all authors.  Whoever receives a hash that is
 * not its own answers with hashes of parts of that range, or, when it knows few authors in it,
 * with a list of them, each with its highest counter and its hash.  Every answer is about less
 * than the question, so this ends.  Whoever receives a list sends what the other lacks and asks
 * for what it lacks itself.  With equal counters and different hashes nobody can tell who lacks
 * what, so both tell each other all they know of that author.  Nothing is remembered: what is
 * lost on the way is found out again in the next round.
 *
 * The hash of a range is the sum of its authors' mixes; an author's mix is a hash of its key, its
 * highest counter and the sum of its attributes' hashes; an attribute's is a hash of its counter
 * and of a hash of its event without author and counter (attrs.c).  All of them as 64-bit
 * little-endian numbers.
 */
#include "wire/digest.h"
#include "base/assert.h"
#include "base/key.h"
#include "base/mem.h"
#include "state/internal.h"

/* Of a digest of ours: 16 entries take 58 bytes each at most, and so it fits a batch's aim. */
enum { PARTS = PLN_DIGEST_ITEMS_MAX / 2 };

typedef struct span {
    size_t begin; /* Indexes of authors. */
    size_t end;
} span;

static span span_of(const pln_state *state, const pollen_key *from, const pollen_key *to) {
    size_t begin = pln_authors_place(state, from);
    size_t end = to != NULL ? pln_authors_place(state, to) : state->count;
    return (span){.begin = begin, .end = end > begin ? end : begin};
}

/* Authors without any event count for nothing: the other side cannot know them. */
static uint64_t hash_of(const pln_state *state, span range, size_t *ret_known) {
    PLN_ASSERT(range.begin <= range.end && range.end <= state->count);
    uint64_t hash = 0;
    *ret_known = 0;
    for (size_t i = range.begin; i < range.end; i++) {
        hash += state->authors[i]->mix;
        *ret_known += state->authors[i]->max > 0 ? 1 : 0;
    }
    return hash;
}

/* ---- Sending --------------------------------------------------------------------------------- */

typedef struct exchange {
    pln_state *state;
    pln_gossip_peer *peer;
    pln_envelopes *list;
    pln_digest out; /* The next digest to be sent. */
} exchange;

static void push_digest(const pln_digest *digest, pln_envelopes *list) {
    pln_bytes envelope = {0};
    if (pln_digest_encode(digest, &envelope) == POLLEN_OK) {
        (void)pln_envelopes_push(list, &envelope);
    }
}

/* Sends the digest that was prepared, if the peer has not had too much, and empties it. */
static void emit(exchange *ex) {
    if (ex->peer->answer_bytes >= PLN_ENVELOPE_BYTES_TARGET) {
        size_t before = ex->list->count;
        push_digest(&ex->out, ex->list);
        if (ex->list->count > before) {
            ex->peer->answer_bytes -= ex->list->items[before].size;
        }
    }
    ex->out = (pln_digest){.listed = false};
}

void pln_digest_root(const pln_state *state, bool more, pln_envelopes *ret) {
    size_t known;
    pln_digest digest = {.more = more, .span_count = 1};
    digest.spans[0].hash = hash_of(state, (span){.begin = 0, .end = state->count}, &known);
    push_digest(&digest, ret);
}

static void send_list(exchange *ex, span range, const pollen_key *from, const pollen_key *to) {
    ex->out.listed = true;
    ex->out.from = *from;
    ex->out.has_to = to != NULL;
    ex->out.to = to != NULL ? *to : (pollen_key){.bytes = {0}};
    for (size_t i = range.begin; i < range.end; i++) {
        const pln_author *author = ex->state->authors[i];
        if (author->max > 0) {
            PLN_ASSERT(ex->out.entry_count < PARTS);
            ex->out.entries[ex->out.entry_count++] = (pln_digest_entry){
                .author = author->key, .counter = author->max, .hash = author->hash};
        }
    }
    emit(ex);
}

/* Cuts the range into PARTS of about as many authors.  There are more authors than parts. */
static void send_parts(exchange *ex, span range, const pollen_key *from, const pollen_key *to) {
    size_t known;
    size_t begin = range.begin;
    PLN_ASSERT(range.end - range.begin > PARTS); /* So that no part is empty, and this ends. */
    PLN_ASSERT(ex->out.span_count == 0);
    ex->out.from = *from;
    for (size_t i = 0; i < PARTS; i++) {
        bool last = i + 1 == PARTS;
        size_t end = range.begin + (range.end - range.begin) * (i + 1) / PARTS;
        pln_digest_span *part = &ex->out.spans[ex->out.span_count++];
        part->has_to = !last || to != NULL;
        if (!last) {
            part->to = ex->state->authors[end]->key;
        } else if (to != NULL) {
            part->to = *to;
        }
        part->hash = hash_of(ex->state, (span){.begin = begin, .end = end}, &known);
        begin = end;
    }
    emit(ex);
}

/* ---- A hash that may not be ours ------------------------------------------------------------- */

static void compare_span(exchange *ex, const pollen_key *from, const pln_digest_span *told) {
    const pollen_key *to = told->has_to ? &told->to : NULL;
    span range = span_of(ex->state, from, to);
    size_t known;
    if (hash_of(ex->state, range, &known) == told->hash) {
        return;
    }
    if (known <= PARTS) {
        send_list(ex, range, from, to);
    } else {
        send_parts(ex, range, from, to);
    }
}

static void compare_spans(exchange *ex, const pln_digest *digest) {
    const pollen_key *from = &digest->from;
    for (size_t i = 0; i < digest->span_count; i++) {
        compare_span(ex, from, &digest->spans[i]);
        from = &digest->spans[i].to;
    }
}

/* ---- Events ---------------------------------------------------------------------------------- */

/* False when there was more than may be sent.  All of an author that has more than one answer
 * holds begin anywhere, so that several cut answers are not the same one. */
static bool add_events(pln_batcher *batcher, const pln_state *state, const pln_author *author,
                       uint64_t above) {
    size_t count = 0;
    const pln_attr **list = pln_author_above(author, above, &count);
    bool room = true;
    size_t begin = 0;
    if (above == 0 && count > batcher->room) {
        begin = (size_t)pln_rng_below(&state->rng, count);
    }
    for (size_t i = 0; list != NULL && room && i < count; i++) {
        room = pln_batcher_add(batcher, state, author, list[(begin + i) % count]);
    }
    pln_free(list);
    return room;
}

void pln_digest_own(const pln_state *state, pln_gossip_peer *peer, pln_ts now, pln_envelopes *ret) {
    pln_batcher batcher = pln_batcher_init(peer, now, ret);
    (void)add_events(&batcher, state, state->self, 0); /* A round finds what had no room. */
    pln_batcher_finish(&batcher, peer);
}

/* ---- A list ---------------------------------------------------------------------------------- */

static void want(exchange *ex, const pollen_key *author, uint64_t above) {
    PLN_ASSERT(ex->out.want_count < PARTS);
    ex->out.wants[ex->out.want_count++] = (pln_digest_want){.author = *author, .above = above};
    if (ex->out.want_count == PARTS) {
        emit(ex);
    }
}

/* Whether the node has a session with the author, of whom a third one speaks here: the author tells
 * it all of itself.  Or everybody would send everybody all of everything while a cluster comes
 * together, because views differ by what is just under way. */
static bool hears_first_hand(const exchange *ex, const pln_author *node, const pln_author *author) {
    if (node == NULL || author == ex->state->self || pln_key_equal(&author->key, &ex->peer->key)) {
        return false;
    }
    const pln_attr *attr = pln_attr_reachability(node, &author->key);
    return attr != NULL && !attr->deleted;
}

/* Of two views of one author; false when the batcher is full. */
static bool compare_author(exchange *ex, pln_batcher *batcher, const pln_author *author,
                           const pln_digest_entry *entry) {
    const pln_state *state = ex->state;
    if (author->max == entry->counter && author->hash == entry->hash) {
        return true;
    }
    const bool equal = author == state->self || author->max == entry->counter;
    if ((equal || author->max < entry->counter) && !hears_first_hand(ex, state->self, author)) {
        /* What others hold of us, old or forged, we have to see to override it. */
        want(ex, &entry->author, equal ? 0 : author->max);
    }
    if (!equal && author->max < entry->counter) {
        return true;
    }
    return hears_first_hand(ex, pln_authors_find(state, &ex->peer->key), author) ||
           add_events(batcher, state, author, equal ? 0 : entry->counter);
}

/* The authors of both lists, in step.  False when the batcher is full. */
static bool compare_list(exchange *ex, pln_batcher *batcher, const pln_digest *digest) {
    span range = span_of(ex->state, &digest->from, digest->has_to ? &digest->to : NULL);
    size_t next = 0;
    bool room = true;
    for (size_t i = range.begin; i < range.end; i++) {
        const pln_author *author = ex->state->authors[i];
        while (next < digest->entry_count &&
               pln_key_compare(&digest->entries[next].author, &author->key) < 0) {
            want(ex, &digest->entries[next].author, 0);
            next += 1;
        }
        pln_digest_entry entry = {.author = author->key};
        if (next < digest->entry_count &&
            pln_key_equal(&digest->entries[next].author, &author->key)) {
            entry = digest->entries[next];
            next += 1;
        }
        room = compare_author(ex, batcher, author, &entry) && room;
    }
    for (; next < digest->entry_count; next++) {
        want(ex, &digest->entries[next].author, 0);
    }
    return room;
}

/* ---- All ------------------------------------------------------------------------------------- */

static bool add_wanted(exchange *ex, pln_batcher *batcher, const pln_digest *digest) {
    bool room = true;
    for (size_t i = 0; room && i < digest->want_count; i++) {
        const pln_author *author = pln_authors_find(ex->state, &digest->wants[i].author);
        room = author == NULL || add_events(batcher, ex->state, author, digest->wants[i].above);
    }
    return room;
}

static bool is_of_everything(const pln_digest *digest) {
    static const pollen_key first = {.bytes = {0}};
    return digest->span_count == 1 && !digest->spans[0].has_to &&
           pln_key_equal(&digest->from, &first);
}

static void note_first_hand(exchange *ex, const pln_digest *digest) {
    for (size_t i = 0; i < digest->entry_count; i++) {
        if (pln_key_equal(&digest->entries[i].author, &ex->peer->key)) {
            pln_author_drop_forged(ex->state, &ex->peer->key, digest->entries[i].counter);
        }
    }
}

static void answer(exchange *ex, const pln_digest *digest, pln_ts now) {
    pln_batcher batcher = pln_batcher_init(ex->peer, now, ex->list);
    bool room = add_wanted(ex, &batcher, digest);
    if (digest->listed) {
        room = compare_list(ex, &batcher, digest) && room;
    }
    pln_batcher_finish(&batcher, ex->peer);
    if (ex->out.want_count > 0) {
        emit(ex);
    }
    if (!room && ex->peer->answer_bytes >= PLN_ENVELOPE_BYTES_TARGET) {
        ex->out.more = true;
        emit(ex);
    }
}

pollen_err pln_state_handle_digest(pln_state *state, pln_gossip_peer *peer, const uint8_t *body,
                                   size_t size, pln_ts now, pln_envelopes *ret) {
    pln_digest digest;
    pollen_err err = pln_digest_decode(body, size, &digest);
    if (err != POLLEN_OK) {
        return err;
    }
    exchange ex = {.state = state, .peer = peer, .list = ret};
    pln_authors_heard(state, &peer->key, now);
    pln_gossip_peer_refill(peer, now);
    peer->rounds_heard += is_of_everything(&digest) ? 1 : 0;
    note_first_hand(&ex, &digest);
    compare_spans(&ex, &digest);
    answer(&ex, &digest, now);
    if (digest.more && peer->answer_bytes >= PLN_ENVELOPE_BYTES_TARGET) {
        pln_digest_root(state, false, ret);
        peer->answer_bytes -= ret->count > 0 ? ret->items[ret->count - 1].size : 0;
    }
    return POLLEN_OK;
}
