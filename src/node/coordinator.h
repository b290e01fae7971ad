/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coordinator: makes two of our neighbours punch at each other, when one of them asks, or when
 * one has just come to us: the others would hear of it by gossip, and ask then, which takes some
 * round trips more.  Both are told the address we see the other at.  The trigger to the nearer one
 * is held back by half of the difference of the round trips, so that both fire together.
 */
#ifndef PLN_NODE_COORDINATOR_H
#define PLN_NODE_COORDINATOR_H

#include "base/heap.h"
#include "base/meters.h"
#include "mesh/mesh.h"
#include "node/neighbours.h"
#include "state/state.h"

typedef struct pln_held_trigger pln_held_trigger;

typedef struct pln_coordinator {
    pln_mesh *mesh;             /* Borrowed. */
    const pln_state *state;     /* Borrowed; NULL without gossip. */
    pln_neighbours *neighbours; /* Borrowed. */
    const pln_log *log;
    pln_heap held; /* Triggers, by when they leave. */
    size_t held_count;
    pln_bucket all;
    pln_bucket introductions;
    pln_meters *introduced; /* By member, which come and go; NULL: nobody yet. */
} pln_coordinator;

void pln_coordinator_init(pln_coordinator *coordinator, pln_mesh *mesh, const pln_state *state,
                          pln_neighbours *neighbours, const pln_log *log);
void pln_coordinator_fini(pln_coordinator *coordinator);

/* One that asks for a stranger, asks too often, or is malformed, is not answered: the wire has no
 * words for it. */
void pln_coordinator_handle_request(pln_coordinator *coordinator, const pollen_key *from,
                                    const uint8_t *body, size_t size, pln_now now);

/* A newcomer's session has begun: makes it and others of our neighbours punch at each other, those
 * that have no session yet as far as is known.  Only those that speak pollen/2: to the reference a
 * trigger is a volley of some thousand probes. */
void pln_coordinator_introduce(pln_coordinator *coordinator, pln_neighbour *newcomer, pln_now now);

/* The neighbour tells more of itself: those to whom it was introduced a moment ago learn it too. */
void pln_coordinator_whereabouts_changed(pln_coordinator *coordinator, pln_neighbour *newcomer,
                                         pln_now now);

pln_ts pln_coordinator_next_expiry(const pln_coordinator *coordinator);
void pln_coordinator_handle_timeout(pln_coordinator *coordinator, pln_now now);

#endif
