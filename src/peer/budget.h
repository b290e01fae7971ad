/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many attempts may run at once, and how many may start in a second: a node that knows
 * thousands of dead peers must not dial them all at start.  A quarter of either is kept for
 * favoured attempts, so that a peer that was there a moment ago does not wait behind all those that
 * never answered.
 */
#ifndef PLN_PEER_BUDGET_H
#define PLN_PEER_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/time.h"

typedef struct pln_budget {
    size_t in_flight;
    size_t in_flight_max; /* 0: no limit. */
    size_t in_flight_kept;
    pln_dur interval;  /* Between two starts in the long run; 0: no limit. */
    pln_dur tolerance; /* How far a burst may run ahead of that. */
    pln_dur tolerance_kept;
    pln_ts arrival; /* When the next start is due at the allowed rate. */
} pln_budget;

/* per_second and in_flight_max 0: no limit; a burst of 0 counts as 1. */
void pln_budget_init(pln_budget *budget, unsigned in_flight_max, unsigned per_second,
                     unsigned burst);

/* From when on one more may start; PLN_TS_NEVER while as many as may be are running. */
pln_ts pln_budget_free_at(const pln_budget *budget, bool favoured);

bool pln_budget_take(pln_budget *budget, bool favoured, pln_ts now); /* False: not now. */
void pln_budget_release(pln_budget *budget); /* One that was taken is over. */

#endif
