/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/renewal_plan.h"

#include "auth/signer.h"
#include "base/assert.h"

enum { ASK_PARTS = 3, JITTER_PARTS = 30, JITTER_MAX_S = 7 * 86400 };
enum { RETRY_FIRST_PARTS = 60, RETRY_FIRST_MIN_S = 1, RETRY_FIRST_MAX_S = 60 };
enum { RETRY_LAST_PARTS = 12, RETRY_LAST_MIN_S = 5, RETRY_LAST_MAX_S = 3600 };
enum { DOUBLINGS_MAX = 12 }; /* From the least to beyond the most. */

static int64_t held(int64_t value, int64_t least, int64_t most) {
    return value < least ? least : value > most ? most : value;
}

void pln_renewal_plan_init(pln_renewal_plan *plan, const pln_rng *rng) {
    *plan = (pln_renewal_plan){.jitter = (uint32_t)pln_rng_below(rng, PLN_RENEWAL_PARTS)};
}

bool pln_renewal_plan_is_due(const pln_renewal_plan *plan, int64_t not_before, int64_t not_after,
                             pln_wall now) {
    const int64_t life = pln_cert_life(not_before, not_after);
    PLN_ASSERT(plan->jitter < PLN_RENEWAL_PARTS);
    const int64_t early =
        held(life / JITTER_PARTS, 0, JITTER_MAX_S) * plan->jitter / PLN_RENEWAL_PARTS;
    return now >= pln_wall_add(not_after, -(life / ASK_PARTS + early));
}

bool pln_renewal_plan_may_ask(const pln_renewal_plan *plan, pln_ts now) {
    return pln_ts_reached(plan->retry_at, now);
}

void pln_renewal_plan_on_failed(pln_renewal_plan *plan, int64_t not_before, int64_t not_after,
                                const pln_rng *rng, pln_ts now) {
    const int64_t life = pln_cert_life(not_before, not_after);
    const int64_t most = held(life / RETRY_LAST_PARTS, RETRY_LAST_MIN_S, RETRY_LAST_MAX_S);
    const int64_t first = held(life / RETRY_FIRST_PARTS, RETRY_FIRST_MIN_S, RETRY_FIRST_MAX_S);
    PLN_ASSERT(plan->failures <= DOUBLINGS_MAX);
    PLN_ASSERT(first <= most);
    const pln_dur wait = PLN_S(held(first << plan->failures, first, most));
    plan->retry_at = pln_ts_add(now, wait + pln_rng_below(rng, wait / 4));
    plan->failures += plan->failures < DOUBLINGS_MAX;
}
