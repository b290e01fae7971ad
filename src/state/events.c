/* SPDX-License-Identifier: Apache-2.0 */
/* What the owner is told.  Changes of members are a list through the members, so that none can be
 * lost for want of memory; revocations have their place reserved before they count. */
#include <utlist.h>

#include "base/assert.h"
#include "base/mem.h"
#include "state/internal.h"

bool pln_state_events_reserve(pln_state *state) {
    pln_state_event *queue =
        pln_grow(state->queue, state->queue_end, &state->queue_cap, sizeof(*queue), 16);
    if (queue == NULL) {
        return false;
    }
    state->queue = queue;
    return true;
}

void pln_state_events_push(pln_state *state, pln_state_event_kind kind, const pollen_key *key) {
    PLN_ASSERT(state->queue_end < state->queue_cap);
    state->queue[state->queue_end++] = (pln_state_event){.kind = kind, .key = *key};
}

void pln_state_dirty(pln_state *state, pln_state_urgency urgency) {
    if (urgency > state->urgency) {
        state->urgency = urgency;
    }
}

void pln_state_events_changed(pln_state *state, pln_author *author, pln_change_kind kind) {
    bool service = kind == PLN_CHANGE_SERVICE;
    if (kind == PLN_CHANGE_REACHABILITY || kind == PLN_CHANGE_REVOCATION ||
        (author == state->self && !service)) {
        return; /* Nobody waits for the first, and the second has an event of its own. */
    }
    if (!author->changed && !author->services_changed) {
        DL_APPEND2(state->changed, author, changed_prev, changed_next);
    }
    author->services_changed = author->services_changed || service;
    author->changed = author->changed || !service;
}

void pln_state_events_forget(pln_state *state, pln_author *author) {
    if (author->changed || author->services_changed) {
        DL_DELETE2(state->changed, author, changed_prev, changed_next);
        author->changed = false;
        author->services_changed = false;
    }
}

static bool poll_changed(pln_state *state, pln_state_event *ret) {
    pln_author *author = state->changed;
    if (author == NULL) {
        return false;
    }
    PLN_ASSERT(author->changed || author->services_changed);
    ret->key = author->key;
    if (author->changed) {
        ret->kind = PLN_STATE_MEMBER_CHANGED;
        author->changed = false;
    } else {
        ret->kind = PLN_STATE_SERVICE_CHANGED;
        author->services_changed = false;
    }
    if (!author->services_changed) {
        DL_DELETE2(state->changed, author, changed_prev, changed_next);
    }
    return true;
}

bool pln_state_poll_event(pln_state *state, pln_state_event *ret) {
    PLN_ASSERT(state->queue_begin <= state->queue_end);
    PLN_ASSERT(state->queue_end <= state->queue_cap);
    if (state->queue_begin < state->queue_end) {
        *ret = state->queue[state->queue_begin++];
        return true;
    }
    state->queue_begin = 0;
    state->queue_end = 0;
    return poll_changed(state, ret);
}
