/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of a punch: from what a trigger says, and what else is known, where the peer may be,
 * what both NATs are, and whether the first step is ours.
 */
#ifndef PLN_NODE_PLAN_H
#define PLN_NODE_PLAN_H

#include "node/errand.h"
#include "node/outside.h"
#include "wire/envelope.h"

/* What is known beside the trigger; borrowed. */
typedef struct pln_planner {
    const pln_outside *outside;
    const pln_state *state; /* NULL without gossip. */
} pln_planner;

/* Where a trigger may aim us: at another machine. */
bool pln_plan_may_aim_at(const pollen_addr *addr);

/* from is who sent the trigger.  A plan without targets is one that the engine refuses. */
void pln_plan_punch(const pln_planner *planner, const pln_errand *errand, const pollen_key *from,
                    const pln_punch_trigger *msg, pln_ts now, pln_punch_plan *ret);

#endif
