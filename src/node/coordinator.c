/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator.h"

#include "base/assert.h"
#include "base/key.h"
#include "base/mem.h"
#include "node/send.h"
#include "wire/envelope.h"

struct pln_held_trigger {
    pln_timer timer;
    pollen_key to;
    pln_bytes envelope;
};

/* One end of a punch, as we see it. */
typedef struct end {
    const pln_neighbour *neighbour;
    pln_session_info session;
} end;

void pln_coordinator_init(pln_coordinator *coordinator, pln_mesh *mesh, const pln_state *state,
                          pln_neighbours *neighbours, const pln_log *log) {
    *coordinator =
        (pln_coordinator){.mesh = mesh, .state = state, .neighbours = neighbours, .log = log};
    pln_heap_init(&coordinator->held);
}

static void destroy_held(pln_coordinator *coordinator, pln_held_trigger *held) {
    PLN_ASSERT(coordinator->held_count > 0);
    coordinator->held_count--;
    pln_bytes_fini(&held->envelope);
    pln_free(held);
}

void pln_coordinator_fini(pln_coordinator *coordinator) {
    pln_timer *timer;
    while ((timer = pln_heap_pop(&coordinator->held, PLN_TS_NEVER - 1)) != NULL) {
        destroy_held(coordinator, PLN_TIMER_OWNER(timer, pln_held_trigger, timer));
    }
    pln_heap_fini(&coordinator->held);
    pln_meters_destroy(coordinator->introduced);
}

/* ---- Triggers -------------------------------------------------------------------------------- */

/* False when there is no room: then it is sent at once, which is worse than later but not much. */
static bool hold(pln_coordinator *coordinator, const pollen_key *to, pln_bytes *envelope,
                 pln_ts at) {
    if (coordinator->held_count >= PLN_COORDINATOR_HELD_MAX) {
        return false;
    }
    pln_held_trigger *held = pln_calloc(1, sizeof *held);
    if (held == NULL) {
        return false;
    }
    pln_timer_init(&held->timer);
    if (!pln_heap_set(&coordinator->held, &held->timer, at)) {
        pln_free(held);
        return false;
    }
    held->to = *to;
    held->envelope = *envelope;
    *envelope = (pln_bytes){0};
    coordinator->held_count++;
    return true;
}

/* By way of us it takes the sum, and we may be far from both: the longer one is nearer to it. */
static pln_dur round_trip(const end *a, const end *b) {
    const pln_dur rtts[2] = {a->session.conn.rtt, b->session.conn.rtt};
    return rtts[0] > rtts[1] ? rtts[0] : rtts[1];
}

static void trigger(pln_coordinator *coordinator, const end *to, const end *other, pln_dur delay,
                    pln_now now) {
    PLN_ASSERT(to->neighbour != other->neighbour);
    pln_punch_trigger msg = {.peer = other->session.peer,
                             .self_addr = to->session.conn.path.remote,
                             .peer_addr = other->session.conn.path.remote,
                             .round_trip = round_trip(to, other)};
    /* Empty ones, when they have not come yet, still tell an old from a new implementation. */
    msg.has_whereabouts = to->session.speaks_2 && other->session.speaks_2;
    if (other->neighbour->has_whereabouts) {
        msg.whereabouts = other->neighbour->whereabouts;
    }
    pln_bytes envelope = {0}, copy = {0};
    if (pln_punch_trigger_encode(&msg, &envelope) != POLLEN_OK) {
        return;
    }
    const pollen_key *peer = &to->session.peer;
    const pln_ts at = pln_ts_add(now.mono, delay);
    if (pln_bytes_copy(&copy, &envelope)) {
        (void)hold(coordinator, peer, &copy, pln_ts_add(at, PLN_TRIGGER_COPY_AFTER));
    }
    if (delay == 0 || !hold(coordinator, peer, &envelope, at)) {
        (void)pln_node_send(coordinator->mesh, peer, &envelope, now);
    }
    pln_bytes_fini(&envelope);
    pln_bytes_fini(&copy);
}

/* How much earlier a message reaches the one than the other. */
static pln_dur lead(const end *near, const end *far) {
    const pln_dur half = pln_ts_since(near->session.conn.rtt, far->session.conn.rtt) / 2;
    return half < PLN_COORDINATOR_HOLD_MAX ? half : PLN_COORDINATOR_HOLD_MAX;
}

/* ---- Requests -------------------------------------------------------------------------------- */

/* An address on our own machine means nothing to anybody else. */
static bool find_end(const pln_coordinator *coordinator, const pollen_key *peer, end *ret) {
    ret->neighbour = pln_neighbours_find(coordinator->neighbours, peer);
    return ret->neighbour != NULL &&
           pln_mesh_session_info(coordinator->mesh, peer, &ret->session) == POLLEN_OK &&
           !pln_addr_is_loopback(&ret->session.conn.path.remote);
}

static void trigger_both(pln_coordinator *coordinator, const end *a, const end *b, pln_now now) {
    char names[2][PLN_KEY_SHORT_BYTES];
    pln_logf(coordinator->log, PLN_LOG_DEBUG, "node", "coordinating a punch of %s and %s",
             pln_key_short(&a->session.peer, names[0]), pln_key_short(&b->session.peer, names[1]));
    trigger(coordinator, b, a, lead(b, a), now);
    trigger(coordinator, a, b, lead(a, b), now);
}

static bool may_ask(pln_coordinator *coordinator, const pollen_key *from, pln_ts now) {
    pln_neighbour *neighbour = pln_neighbours_find(coordinator->neighbours, from);
    return neighbour != NULL &&
           pln_bucket_take(&neighbour->requests, PLN_COORDINATIONS_PER_S, PLN_COORDINATIONS_BURST,
                           now) &&
           pln_bucket_take(&coordinator->all, PLN_COORDINATIONS_ALL_PER_S,
                           PLN_COORDINATIONS_ALL_BURST, now);
}

void pln_coordinator_handle_request(pln_coordinator *coordinator, const pollen_key *from,
                                    const uint8_t *body, size_t size, pln_now now) {
    pln_punch_request msg;
    if (pln_punch_request_decode(body, size, &msg) != POLLEN_OK || pln_key_equal(&msg.peer, from) ||
        !may_ask(coordinator, from, now.mono)) {
        return;
    }
    end asker, other;
    if (!find_end(coordinator, from, &asker) || !find_end(coordinator, &msg.peer, &other)) {
        return;
    }
    trigger_both(coordinator, &asker, &other, now);
}

/* ---- Introductions --------------------------------------------------------------------------- */

static bool have_met(const pln_coordinator *coordinator, const pollen_key *a, const pollen_key *b) {
    return pln_state_reaches(coordinator->state, a, b) ||
           pln_state_reaches(coordinator->state, b, a);
}

/* What is done for each pair of the newcomer and one that it has not met. */
typedef void introduction(pln_coordinator *coordinator, const end *newcomer, const end *other,
                          pln_now now);

static void introduce(pln_coordinator *coordinator, const pln_neighbour *newcomer,
                      introduction *tell, pln_now now) {
    end one, other;
    if (coordinator->state == NULL || !newcomer->speaks_2 ||
        !find_end(coordinator, &newcomer->key, &one)) {
        return;
    }
    size_t count = 0;
    const pln_neighbour *neighbour, *next;
    HASH_ITER(hh, coordinator->neighbours->map, neighbour, next) {
        if (neighbour == newcomer || !neighbour->speaks_2 ||
            have_met(coordinator, &newcomer->key, &neighbour->key) ||
            !find_end(coordinator, &neighbour->key, &other)) {
            continue;
        }
        if (count == PLN_INTRODUCED_MAX ||
            !pln_bucket_take(&coordinator->introductions, PLN_INTRODUCTIONS_PER_S,
                             PLN_INTRODUCTIONS_BURST, now.mono)) {
            return;
        }
        tell(coordinator, &one, &other, now);
        count++;
    }
}

static bool may_introduce(pln_coordinator *coordinator, const pollen_key *newcomer, pln_ts now) {
    if (coordinator->introduced == NULL) {
        const pln_meters_config config = {.key = coordinator->neighbours->hash_key,
                                          .sets = 64,
                                          .interval = PLN_INTRODUCED_INTERVAL,
                                          .burst = PLN_INTRODUCED_BURST};
        coordinator->introduced = pln_meters_create(&config);
    }
    return coordinator->introduced != NULL &&
           pln_meters_take(coordinator->introduced, newcomer->bytes, POLLEN_KEY_BYTES, 1, now);
}

void pln_coordinator_introduce(pln_coordinator *coordinator, pln_neighbour *newcomer, pln_now now) {
    if (may_introduce(coordinator, &newcomer->key, now.mono)) {
        newcomer->introduced_at = now.mono;
        newcomer->words = 0;
        introduce(coordinator, newcomer, trigger_both, now);
    }
}

static void tell_other(pln_coordinator *coordinator, const end *newcomer, const end *other,
                       pln_now now) {
    trigger(coordinator, other, newcomer, 0, now);
}

void pln_coordinator_whereabouts_changed(pln_coordinator *coordinator, pln_neighbour *newcomer,
                                         pln_now now) {
    if (newcomer->introduced_at != PLN_TS_NEVER &&
        pln_ts_since(newcomer->introduced_at, now.mono) <= PLN_INTRODUCTION_TIME &&
        newcomer->words < PLN_INTRODUCTION_WORDS_MAX) {
        newcomer->words++;
        introduce(coordinator, newcomer, tell_other, now);
    }
}

/* ---- Time ------------------------------------------------------------------------------------ */

pln_ts pln_coordinator_next_expiry(const pln_coordinator *coordinator) {
    return pln_heap_next(&coordinator->held);
}

void pln_coordinator_handle_timeout(pln_coordinator *coordinator, pln_now now) {
    pln_timer *timer;
    while ((timer = pln_heap_pop(&coordinator->held, now.mono)) != NULL) {
        pln_held_trigger *held = PLN_TIMER_OWNER(timer, pln_held_trigger, timer);
        (void)pln_node_send(coordinator->mesh, &held->to, &held->envelope, now);
        destroy_held(coordinator, held);
    }
}
