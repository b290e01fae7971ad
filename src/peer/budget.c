/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rate is kept by the generic cell rate algorithm (ITU-T I.371): one timestamp instead of a
 * bucket that would have to be refilled, so that the moment when the next start is allowed can be
 * told in advance.
 */
#include "peer/budget.h"

#include "base/assert.h"

enum { KEPT_SHARE = 4 };

void pln_budget_init(pln_budget *budget, unsigned in_flight_max, unsigned per_second,
                     unsigned burst) {
    pln_dur interval = per_second == 0 ? 0 : PLN_S(1) / per_second;
    unsigned burst_kept = burst / KEPT_SHARE;
    *budget = (pln_budget){
        .in_flight_max = in_flight_max,
        .in_flight_kept = in_flight_max / KEPT_SHARE,
        .interval = interval,
        .tolerance = burst == 0 ? 0 : (burst - 1) * interval,
        .tolerance_kept = burst_kept * interval,
    };
}

pln_ts pln_budget_free_at(const pln_budget *budget, bool favoured) {
    size_t in_flight_kept = favoured ? 0 : budget->in_flight_kept;
    if (budget->in_flight_max != 0 && budget->in_flight >= budget->in_flight_max - in_flight_kept) {
        return PLN_TS_NEVER;
    }
    pln_dur tolerance_kept = favoured ? 0 : budget->tolerance_kept;
    return pln_ts_since(budget->tolerance - tolerance_kept, budget->arrival);
}

bool pln_budget_take(pln_budget *budget, bool favoured, pln_ts now) {
    if (!pln_ts_reached(pln_budget_free_at(budget, favoured), now)) {
        return false;
    }
    pln_ts start = budget->arrival > now ? budget->arrival : now;
    budget->arrival = pln_ts_add(start, budget->interval);
    PLN_ASSERT(budget->in_flight_max == 0 || budget->in_flight < budget->in_flight_max);
    budget->in_flight++;
    return true;
}

void pln_budget_release(pln_budget *budget) {
    PLN_ASSERT(budget->in_flight > 0);
    budget->in_flight--;
}
