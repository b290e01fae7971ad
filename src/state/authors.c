/* SPDX-License-Identifier: Apache-2.0 */
/* Authors, and who has to give way when there are too many. */
#include <string.h>

#include <utlist.h>

#include "base/assert.h"
#include "base/key.h"
#include "base/mem.h"
#include "state/internal.h"

size_t pln_authors_place(const pln_state *state, const pollen_key *key) {
    size_t begin = 0;
    size_t end = state->count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (pln_key_compare(&state->authors[middle]->key, key) < 0) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

pln_author *pln_authors_find(const pln_state *state, const pollen_key *key) {
    size_t place = pln_authors_place(state, key);
    bool found = place < state->count && pln_key_equal(&state->authors[place]->key, key);
    return found ? state->authors[place] : NULL;
}

pln_author *pln_authors_teller(const pln_state *state, const pollen_key *peer) {
    pln_author *author = pln_authors_find(state, peer);
    return author != NULL && author->vouched ? author : state->self;
}

void pln_authors_heard(const pln_state *state, const pollen_key *key, pln_ts now) {
    pln_author *author = pln_authors_find(state, key);
    if (author != NULL) {
        author->heard_at = now;
    }
}

/* ---- Accounts -------------------------------------------------------------------------------- */

static void charge(pln_state *state, pln_author *author, pln_author *teller) {
    PLN_ASSERT(author->teller == NULL);
    PLN_ASSERT(teller != author);
    PLN_ASSERT(teller->vouched); /* So that no teller is ever somebody's hearsay. */
    if (teller->told_count == 0) {
        DL_APPEND2(state->tellers, teller, tellers_prev, tellers_next);
    }
    author->teller = teller;
    DL_APPEND2(teller->told, author, told_prev, told_next);
    teller->told_count += 1;
    teller->told_bytes += author->bytes;
    state->hearsay += 1;
    state->hearsay_bytes += author->bytes;
}

static void discharge(pln_state *state, pln_author *author) {
    pln_author *teller = author->teller;
    PLN_ASSERT(teller->told_count > 0);
    PLN_ASSERT(teller->told_bytes >= author->bytes);
    PLN_ASSERT(state->hearsay > 0);
    PLN_ASSERT(state->hearsay_bytes >= author->bytes);
    DL_DELETE2(teller->told, author, told_prev, told_next);
    teller->told_count -= 1;
    teller->told_bytes -= author->bytes;
    if (teller->told_count == 0) {
        DL_DELETE2(state->tellers, teller, tellers_prev, tellers_next);
    }
    author->teller = NULL;
    state->hearsay -= 1;
    state->hearsay_bytes -= author->bytes;
}

void pln_authors_account(pln_state *state, pln_author *author, size_t more, size_t less) {
    PLN_ASSERT(author->bytes + more >= less);
    PLN_ASSERT(state->bytes + more >= less);
    author->bytes = author->bytes + more - less;
    state->bytes = state->bytes + more - less;
    if (author->teller != NULL) {
        author->teller->told_bytes = author->teller->told_bytes + more - less;
        state->hearsay_bytes = state->hearsay_bytes + more - less;
    }
}

/* ---- Giving way ------------------------------------------------------------------------------ */

static void free_author(pln_author *author) {
    pln_free(author->attrs);
    pln_free(author);
}

static void remove_author(pln_state *state, pln_author *author) {
    size_t place = pln_authors_place(state, &author->key);
    PLN_ASSERT(place < state->count);
    PLN_ASSERT(state->authors[place] == author);
    PLN_ASSERT(author != state->self);
    PLN_ASSERT(author->told_count == 0);
    while (author->count > 0) {
        pln_author_remove(state, author, &author->attrs[author->count - 1]);
    }
    pln_authors_account(state, author, 0, sizeof(*author));
    if (author->teller != NULL) {
        discharge(state, author);
    }
    pln_state_events_forget(state, author);
    state->count -= 1;
    memmove(state->authors + place, state->authors + place + 1,
            (state->count - place) * sizeof(pln_author *));
    free_author(author);
}

/* A revocation that nobody else offers becomes ours to offer: it must outlive whoever told of it.
 */
static bool rescue_revocations(pln_state *state, const pln_author *author) {
    for (size_t i = 0; i < author->count; i++) {
        const pln_attr *attr = &author->attrs[i];
        if (attr->kind != PLN_CHANGE_REVOCATION ||
            pln_revocation_is_offered(state, &attr->key, author)) {
            continue;
        }
        pln_gossip_event event = {.kind = PLN_CHANGE_REVOCATION};
        if (pln_own_put(state, &event, &attr->key, false) != POLLEN_OK) {
            return false;
        }
    }
    return true;
}

static pln_author *largest_teller(const pln_state *state) {
    pln_author *largest = NULL;
    pln_author *teller;
    DL_FOREACH2(state->tellers, teller, tellers_next) {
        if (largest == NULL || teller->told_bytes > largest->told_bytes) {
            largest = teller;
        }
    }
    return largest;
}

/* The newest hearsay of the teller with most of it goes; not when that is the one who speaks: it
 * would only replace its own words. */
static bool one_gives_way(pln_state *state, const pln_author *speaker) {
    pln_author *teller = largest_teller(state);
    if (teller == NULL || teller == speaker) {
        return false;
    }
    PLN_ASSERT(teller->told != NULL);
    pln_author *author = teller->told->told_prev; /* The last of the list. */
    PLN_ASSERT(author->teller == teller);
    if (!rescue_revocations(state, author)) {
        return false;
    }
    if (pln_state_events_reserve(state)) {
        pln_state_events_push(state, PLN_STATE_MEMBER_GONE, &author->key);
    }
    remove_author(state, author);
    return true;
}

bool pln_authors_make_room(pln_state *state, pln_author *author, size_t bytes) {
    while (author->teller != NULL && state->hearsay_bytes + bytes > PLN_STATE_HEARSAY_BYTES_MAX) {
        if (!one_gives_way(state, author->teller)) {
            return false;
        }
    }
    while (state->bytes + bytes > PLN_STATE_BYTES_MAX) {
        if (!one_gives_way(state, author->teller)) {
            return false;
        }
    }
    return true;
}

/* ---- Coming and being vouched for ------------------------------------------------------------ */

static bool reserve(pln_state *state) {
    pln_author **authors =
        pln_grow(state->authors, state->count, &state->cap, sizeof(pln_author *), 64);
    if (authors == NULL) {
        return false;
    }
    state->authors = authors;
    return true;
}

/* NULL for the teller: nobody's hearsay. */
static bool has_place(pln_state *state, const pln_author *teller) {
    size_t bytes = sizeof(pln_author);
    while (teller != NULL && (state->hearsay >= PLN_STATE_HEARSAY_MAX ||
                              state->hearsay_bytes + bytes > PLN_STATE_HEARSAY_BYTES_MAX)) {
        if (!one_gives_way(state, teller)) {
            return false;
        }
    }
    while (state->count >= PLN_PEERS_MAX || state->bytes + bytes > PLN_STATE_BYTES_MAX) {
        if (!one_gives_way(state, teller)) {
            return false;
        }
    }
    return true;
}

static pollen_err add_author(pln_state *state, const pollen_key *key, pln_author *teller,
                             pln_author **ret) {
    if (!has_place(state, teller)) {
        return POLLEN_ELIMIT;
    }
    pln_author *author = reserve(state) ? pln_calloc(1, sizeof(*author)) : NULL;
    if (author == NULL) {
        return POLLEN_ENOMEM;
    }
    author->key = *key;
    size_t place = pln_authors_place(state, key);
    PLN_ASSERT(state->count < state->cap);
    PLN_ASSERT(place <= state->count);
    memmove(state->authors + place + 1, state->authors + place,
            (state->count - place) * sizeof(pln_author *));
    state->authors[place] = author;
    state->count += 1;
    if (teller != NULL) {
        charge(state, author, teller);
    }
    author->vouched = teller == NULL;
    pln_authors_account(state, author, sizeof(*author), 0);
    *ret = author;
    return POLLEN_OK;
}

pollen_err pln_authors_admit(pln_state *state, const pollen_key *key, pln_author *teller,
                             pln_author **ret) {
    pln_author *author = pln_authors_find(state, key);
    if (author != NULL) {
        *ret = author;
        return POLLEN_OK;
    }
    return add_author(state, key, teller, ret);
}

pollen_err pln_state_vouch(pln_state *state, const pollen_key *peer, pln_ts now) {
    pln_author *author = pln_authors_find(state, peer);
    if (author == NULL) {
        pollen_err err = add_author(state, peer, NULL, &author);
        if (err != POLLEN_OK) {
            return err;
        }
        pln_state_events_changed(state, author, PLN_CHANGE_NETWORK);
        pln_state_dirty(state, PLN_STATE_SAVE_SOON);
    }
    if (author->teller != NULL) {
        discharge(state, author);
    }
    author->vouched = true;
    author->heard_at = now;
    return POLLEN_OK;
}

void pln_authors_free(pln_state *state) {
    state->tellers = NULL;
    for (size_t i = 0; i < state->count; i++) {
        pln_author *author = state->authors[i];
        author->teller = NULL; /* May be freed already. */
        while (author->count > 0) {
            pln_author_remove(state, author, &author->attrs[author->count - 1]);
        }
        free_author(author);
    }
    pln_free(state->authors);
}
