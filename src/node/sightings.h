/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where coordinators see a peer.  Two that see it at different ports tell of its NAT before the
 * peer itself has heard of both, and before its word of that could reach us.
 */
#ifndef PLN_NODE_SIGHTINGS_H
#define PLN_NODE_SIGHTINGS_H

#include "sock/verdict.h"

/* As many as are asked.  The record of what is seen of ourselves holds more, but is one. */
enum { PLN_SIGHTINGS_MAX = 3 };

typedef struct pln_sightings {
    size_t count;
    pln_nat_observation items[PLN_SIGHTINGS_MAX]; /* The newest first. */
} pln_sightings;

/* Takes the place of what the same coordinator said before, or of the oldest. */
void pln_sightings_add(pln_sightings *sightings, const pln_nat_observation *seen);

/* What they say of the peer's NAT; unknown when they are too few, or at one place. */
pln_nat_brief pln_sightings_judge(const pln_sightings *sightings, pln_ts now);

#endif
