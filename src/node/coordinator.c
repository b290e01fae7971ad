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

void pln_coordinator_init(pln_coordinator *coordinator, pln_mesh *mesh, pln_neighbours *neighbours,
                          const pln_log *log) {
    *coordinator = (pln_coordinator){.mesh = mesh, .neighbours = neighbours, .log = log};
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

static void trigger(pln_coordinator *coordinator, const end *to, const end *other, pln_dur delay,
                    pln_now now) {
    PLN_ASSERT(to->neighbour != other->neighbour);
    pln_punch_trigger msg = {.peer = other->session.peer,
                             .self_addr = to->session.conn.path.remote,
                             .peer_addr = other->session.conn.path.remote};
    /* Empty ones, when they have not come yet, still tell an old from a new implementation. */
    msg.has_whereabouts = to->session.speaks_2 && other->session.speaks_2;
    if (other->neighbour->has_whereabouts) {
        msg.whereabouts = other->neighbour->whereabouts;
    }
    pln_bytes envelope = {0};
    if (pln_punch_trigger_encode(&msg, &envelope) != POLLEN_OK) {
        return;
    }
    if (delay == 0 ||
        !hold(coordinator, &to->session.peer, &envelope, pln_ts_add(now.mono, delay))) {
        (void)pln_node_send(coordinator->mesh, &to->session.peer, &envelope, now);
    }
    pln_bytes_fini(&envelope);
}

/* How much earlier a message reaches the one than the other. */
static pln_dur lead(const end *near, const end *far) {
    const pln_dur lead = pln_ts_since(near->session.conn.rtt, far->session.conn.rtt) / 2;
    return lead < PLN_COORDINATOR_HOLD_MAX ? lead : PLN_COORDINATOR_HOLD_MAX;
}

/* ---- Requests -------------------------------------------------------------------------------- */

/* An address on our own machine means nothing to anybody else. */
static bool find_end(const pln_coordinator *coordinator, const pollen_key *peer, end *ret) {
    ret->neighbour = pln_neighbours_find(coordinator->neighbours, peer);
    return ret->neighbour != NULL &&
           pln_mesh_session_info(coordinator->mesh, peer, &ret->session) == POLLEN_OK &&
           !pln_addr_is_loopback(&ret->session.conn.path.remote);
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
    char names[2][PLN_KEY_SHORT_BYTES];
    pln_logf(coordinator->log, PLN_LOG_DEBUG, "node", "coordinating a punch of %s and %s",
             pln_key_short(from, names[0]), pln_key_short(&msg.peer, names[1]));
    trigger(coordinator, &other, &asker, lead(&other, &asker), now);
    trigger(coordinator, &asker, &other, lead(&asker, &other), now);
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
