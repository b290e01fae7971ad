/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errands: the wish for a peer.  Coordinators are asked, two or three so that one that is slow, far
 * or false does not decide, and asked again while no trigger comes.  An errand ends with a session,
 * or fails at its deadline, when nobody can be asked, or when the punch it led to is in vain.
 *
 * Calling order: inputs; then poll_failure until false; then next_expiry.
 */
#ifndef PLN_NODE_ERRAND_H
#define PLN_NODE_ERRAND_H

#include "base/heap.h"
#include "mesh/mesh.h"
#include "node/neighbours.h"
#include "node/sightings.h"
#include "sock/sock.h"
#include "state/state.h"

enum { PLN_ERRAND_COORDINATORS_MAX = 3 };

typedef struct pln_errand pln_errand;
struct pln_errand {
    pollen_key peer;
    UT_hash_handle hh;
    pln_errand *next; /* In the list of failed ones. */
    uint64_t attempt; /* The store's; 0: accompanies another. */
    pln_ts deadline;
    pln_timer timer; /* Asks, or ends the errand. */
    unsigned asks;
    bool wanted;   /* By us, not just by who sent a trigger. */
    bool speaks_2; /* So a trigger said of the peer. */
    bool punching; /* A trigger has come; planned with these: */
    pln_nat_brief theirs;
    pln_sightings sightings; /* Of the peer, by who sent triggers. */
    uint64_t last_trigger;   /* A hash: each comes twice. */
    pln_ts last_trigger_at;
    size_t asked_count;
    pollen_key asked[PLN_ERRAND_COORDINATORS_MAX];
    unsigned triggers[PLN_ERRAND_COORDINATORS_MAX]; /* That each may send for having been asked. */
};

typedef struct pln_errands {
    pln_mesh *mesh;             /* Borrowed. */
    const pln_state *state;     /* Borrowed; NULL without gossip. */
    pln_neighbours *neighbours; /* Borrowed. */
    pln_errand *map;            /* By peer. */
    pln_errand *failed;         /* A list: over, and not told yet. */
    pln_heap timers;
} pln_errands;

void pln_errands_init(pln_errands *errands, pln_mesh *mesh, const pln_state *state,
                      pln_neighbours *neighbours);
void pln_errands_fini(pln_errands *errands); /* Accepts a zeroed one. */

/* Whether there is anybody who may be able to coordinate a punch with the peer. */
bool pln_errands_can_ask(const pln_errands *errands, const pollen_key *peer);

/*
 * Asks for coordination after delay, if the peer has no session by then.  attempt is the store's,
 * which ends through pln_errands_poll_failure(); 0 accompanies a direct dial and ends silently.
 * False when an attempt cannot succeed: there are too many, or there is no memory.
 */
bool pln_errands_want(pln_errands *errands, const pollen_key *peer, uint64_t attempt, pln_dur delay,
                      pln_ts deadline, pln_now now);

typedef struct pln_punch_failure {
    pollen_key peer;
    uint64_t attempt;
} pln_punch_failure;

bool pln_errands_poll_failure(pln_errands *errands, pln_punch_failure *ret);

/* Somebody has a session now: if it is the peer that was wanted, this is the end of the errand. */
void pln_errands_connected(pln_errands *errands, const pollen_key *peer, pln_now now);

/* What is under way was planned for another NAT; coordinators bring both sides to plan anew. */
void pln_errands_ask_anew(pln_errands *errands, pln_now now);

void pln_errands_handle_timeout(pln_errands *errands, pln_now now);
pln_ts pln_errands_next_expiry(const pln_errands *errands);

/* ---- One, for who carries out triggers ------------------------------------------------------- */

/* NULL when the peer is not wanted. */
pln_errand *pln_errands_find(const pln_errands *errands, const pollen_key *peer);

/* Finds or adds; NULL when there are PLN_ERRANDS_MAX, or no memory. */
pln_errand *pln_errands_obtain(pln_errands *errands, const pollen_key *peer);
void pln_errands_remove(pln_errands *errands, pln_errand *errand);

/* It did not lead to a session. */
void pln_errands_fail(pln_errands *errands, pln_errand *errand);

bool pln_errand_was_asked(const pln_errand *errand, const pollen_key *coordinator);

/* Takes one of the triggers that the coordinator may send because it was asked; false: none left.
 * Else whoever was asked once could trigger for ever. */
bool pln_errand_take_answer(pln_errand *errand, const pollen_key *coordinator);

/* A punch goes by this plan; the errand waits for it. */
void pln_errands_started(pln_errands *errands, pln_errand *errand, const pln_punch_plan *to,
                         pln_now now);

#endif
