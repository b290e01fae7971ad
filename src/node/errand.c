/* SPDX-License-Identifier: Apache-2.0 */
#include "node/errand.h"

#include <utlist.h>

#include "base/assert.h"
#include "base/mem.h"
#include "node/send.h"
#include "wire/envelope.h"

/* Coordinators are asked again after these times, then the trigger is given up for lost. */
static const pln_dur ask_again[] = {PLN_MS(250), PLN_MS(500), PLN_MS(1000)};
enum { ASKS_MAX = sizeof ask_again / sizeof ask_again[0], REACHERS_LOOKED_AT = 16 };

void pln_errands_init(pln_errands *errands, pln_mesh *mesh, const pln_state *state,
                      pln_neighbours *neighbours) {
    *errands = (pln_errands){.mesh = mesh, .state = state, .neighbours = neighbours};
    pln_heap_init(&errands->timers);
}

void pln_errands_fini(pln_errands *errands) {
    while (errands->map != NULL) {
        pln_errands_remove(errands, errands->map);
    }
    pln_punch_failure failure;
    while (pln_errands_poll_failure(errands, &failure)) {
    }
    pln_heap_fini(&errands->timers);
}

pln_errand *pln_errands_find(const pln_errands *errands, const pollen_key *peer) {
    pln_errand *errand;
    PLN_MAP_FIND(&errands->neighbours->hash_key, errands->map, peer->bytes, POLLEN_KEY_BYTES,
                 errand);
    return errand;
}

static pln_errand *add(pln_errands *errands, const pollen_key *peer) {
    if (HASH_COUNT(errands->map) >= PLN_ERRANDS_MAX) {
        return NULL;
    }
    pln_errand *errand = pln_calloc(1, sizeof *errand);
    if (errand == NULL) {
        return NULL;
    }
    errand->peer = *peer;
    pln_timer_init(&errand->timer);
    if (!pln_heap_set(&errands->timers, &errand->timer, PLN_TS_NEVER - 1)) {
        pln_free(errand);
        return NULL;
    }
    PLN_MAP_ADD(&errands->neighbours->hash_key, errands->map, peer, POLLEN_KEY_BYTES, errand);
    if (!PLN_MAP_ADDED(errand)) {
        pln_heap_cancel(&errands->timers, &errand->timer);
        pln_free(errand);
        return NULL;
    }
    return errand;
}

pln_errand *pln_errands_obtain(pln_errands *errands, const pollen_key *peer) {
    pln_errand *errand = pln_errands_find(errands, peer);
    return errand != NULL ? errand : add(errands, peer);
}

void pln_errands_remove(pln_errands *errands, pln_errand *errand) {
    pln_heap_cancel(&errands->timers, &errand->timer);
    HASH_DEL(errands->map, errand);
    pln_free(errand);
}

static void plan(pln_errands *errands, pln_errand *errand, pln_ts at) {
    const bool planned =
        pln_heap_set(&errands->timers, &errand->timer, pln_ts_min(at, errand->deadline));
    PLN_ASSERT(planned); /* It has its place in the heap. */
}

void pln_errands_fail(pln_errands *errands, pln_errand *errand) {
    PLN_ASSERT(errand->next == NULL); /* It fails once. */
    pln_heap_cancel(&errands->timers, &errand->timer);
    HASH_DEL(errands->map, errand);
    if (errand->attempt == 0) {
        pln_free(errand);
    } else {
        LL_APPEND(errands->failed, errand);
    }
}

bool pln_errands_poll_failure(pln_errands *errands, pln_punch_failure *ret) {
    pln_errand *errand = errands->failed;
    if (errand == NULL) {
        return false;
    }
    errands->failed = errand->next;
    *ret = (pln_punch_failure){.peer = errand->peer, .attempt = errand->attempt};
    pln_free(errand);
    return true;
}

/* ---- Who is asked ---------------------------------------------------------------------------- */

bool pln_errand_was_asked(const pln_errand *errand, const pollen_key *coordinator) {
    PLN_ASSERT(errand->asked_count <= PLN_ERRAND_COORDINATORS_MAX);
    for (size_t i = 0; i < errand->asked_count; i++) {
        if (pln_key_equal(&errand->asked[i], coordinator)) {
            return true;
        }
    }
    return false;
}

bool pln_errand_take_answer(pln_errand *errand, const pollen_key *coordinator) {
    for (size_t i = 0; i < errand->asked_count; i++) {
        if (errand->triggers[i] > 0 && pln_key_equal(&errand->asked[i], coordinator)) {
            errand->triggers[i]--;
            return true;
        }
    }
    return false;
}

/* One on our own machine sees nothing of the network between us and the peer. */
static bool may_coordinate(const pln_errands *errands, const pln_errand *errand,
                           const pollen_key *member) {
    pln_session_info info;
    return !pln_key_equal(member, &errand->peer) &&
           pln_mesh_session_info(errands->mesh, member, &info) == POLLEN_OK &&
           !pln_addr_is_loopback(&info.conn.path.remote);
}

static void choose(const pln_errands *errands, pln_errand *errand, const pollen_key *member) {
    if (errand->asked_count < PLN_ERRAND_COORDINATORS_MAX &&
        !pln_errand_was_asked(errand, member) && may_coordinate(errands, errand, member)) {
        errand->asked[errand->asked_count++] = *member;
    }
}

/* First those that say they have a session with the peer.  While nobody does, which is so for the
 * first moments of a node, whoever is there: one that cannot help does nothing. */
static void choose_all(const pln_errands *errands, pln_errand *errand) {
    pln_reacher reachers[REACHERS_LOOKED_AT];
    size_t count = 0;
    if (errands->state != NULL) {
        count = pln_state_reachers(errands->state, &errand->peer, reachers, REACHERS_LOOKED_AT);
    }
    for (size_t i = 0; i < count && i < REACHERS_LOOKED_AT; i++) {
        choose(errands, errand, &reachers[i].key);
    }
    const pln_neighbour *neighbour, *next;
    HASH_ITER(hh, errands->neighbours->map, neighbour, next) {
        if (errand->asked_count > 0) {
            return;
        }
        choose(errands, errand, &neighbour->key);
    }
}

bool pln_errands_can_ask(const pln_errands *errands, const pollen_key *peer) {
    pln_errand errand = {.peer = *peer};
    choose_all(errands, &errand);
    return errand.asked_count > 0;
}

static void ask(pln_errands *errands, pln_errand *errand, pln_now now) {
    const pln_punch_request msg = {.peer = errand->peer};
    pln_bytes envelope = {0};
    if (pln_punch_request_encode(&msg, &envelope) != POLLEN_OK) {
        return;
    }
    for (size_t i = 0; i < errand->asked_count; i++) {
        pln_neighbours_tell(errands->neighbours,
                            pln_neighbours_find(errands->neighbours, &errand->asked[i]), now);
        errand->triggers[i] = PLN_TRIGGERS_PER_ASK;
        (void)pln_node_send(errands->mesh, &errand->asked[i], &envelope, now);
    }
    pln_bytes_fini(&envelope);
}

/* ---- The course of one ----------------------------------------------------------------------- */

/* A peer that has just come may learn of its NAT in the next moments; while that is not known, a
 * punch does what either kind would need. */
static bool is_vague(const pln_errand *errand) {
    return errand->speaks_2 && errand->theirs.mapping == POLLEN_NAT_MAPPING_UNKNOWN &&
           errand->asks < ASKS_MAX;
}

static void run(pln_errands *errands, pln_errand *errand, pln_now now) {
    if (pln_mesh_has_session(errands->mesh, &errand->peer)) {
        pln_errands_remove(errands, errand); /* The store hears of the session from the mesh. */
        return;
    }
    if (pln_ts_reached(errand->deadline, now.mono) ||
        (!errand->punching && errand->asks == ASKS_MAX)) {
        pln_errands_fail(errands, errand);
        return;
    }
    if (errand->punching && errand->asks > 0 && !is_vague(errand)) {
        plan(errands, errand, errand->deadline);
        return;
    }
    choose_all(errands, errand);
    if (errand->asked_count == 0 && errand->attempt != 0) {
        pln_errands_fail(errands, errand);
        return;
    }
    PLN_ASSERT(errand->asks < ASKS_MAX);
    ask(errands, errand, now);
    plan(errands, errand, pln_ts_add(now.mono, ask_again[errand->asks]));
    errand->asks++;
}

bool pln_errands_want(pln_errands *errands, const pollen_key *peer, uint64_t attempt, pln_dur delay,
                      pln_ts deadline, pln_now now) {
    pln_errand *errand = pln_errands_obtain(errands, peer);
    if (errand == NULL) {
        return false;
    }
    errand->wanted = true;
    errand->attempt = attempt != 0 ? attempt : errand->attempt;
    errand->deadline = deadline > errand->deadline ? deadline : errand->deadline;
    if (!errand->punching) {
        errand->asks = 0;
        plan(errands, errand, pln_ts_add(now.mono, delay));
    }
    return true;
}

void pln_errands_started(pln_errands *errands, pln_errand *errand, const pln_punch_plan *to,
                         pln_now now) {
    PLN_ASSERT(pln_key_equal(&errand->peer, &to->peer));
    errand->punching = true;
    errand->theirs = to->theirs;
    plan(errands, errand,
         is_vague(errand) ? pln_ts_add(now.mono, ask_again[errand->asks]) : errand->deadline);
}

void pln_errands_connected(pln_errands *errands, const pollen_key *peer, pln_now now) {
    pln_errand *errand, *next;
    HASH_ITER(hh, errands->map, errand, next) {
        if (pln_key_equal(&errand->peer, peer)) {
            pln_errands_remove(errands, errand);
        } else if (errand->asked_count == 0) {
            plan(errands, errand, now.mono); /* Here is somebody who can be asked. */
        }
    }
}

void pln_errands_ask_anew(pln_errands *errands, pln_now now) {
    pln_errand *errand, *next;
    HASH_ITER(hh, errands->map, errand, next) {
        errand->asks = 0;
        plan(errands, errand, now.mono);
    }
}

/* ---- Time ------------------------------------------------------------------------------------ */

void pln_errands_handle_timeout(pln_errands *errands, pln_now now) {
    pln_timer *timer;
    while ((timer = pln_heap_pop(&errands->timers, now.mono)) != NULL) {
        run(errands, PLN_TIMER_OWNER(timer, pln_errand, timer), now);
    }
}

pln_ts pln_errands_next_expiry(const pln_errands *errands) {
    return pln_heap_next(&errands->timers);
}
