/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a certificate is to be renewed, and when to try again.
 *
 * It is due once a third of its life is left, a little earlier by a share drawn for each
 * certificate, so that members that joined together do not all ask together.  It stays due after
 * its end: peers allow for clocks that differ, and our own clock may be the wrong one.  Attempts
 * that failed are spaced by monotonic time, which no clock setting moves.
 *
 * Thread: functions of their arguments.
 */
#ifndef PLN_AUTH_RENEWAL_PLAN_H
#define PLN_AUTH_RENEWAL_PLAN_H

#include <stdbool.h>

#include "base/rng.h"
#include "base/time.h"

typedef struct pln_renewal_plan {
    pln_ts retry_at; /* Not before; 0: at once. */
    uint32_t failures;
    uint32_t jitter; /* Parts of PLN_RENEWAL_PARTS. */
} pln_renewal_plan;

enum { PLN_RENEWAL_PARTS = 1024 };

/* For a certificate that was not asked for yet. */
void pln_renewal_plan_init(pln_renewal_plan *plan, const pln_rng *rng);

/* The certificate is in the last third of its life. */
bool pln_renewal_plan_is_due(const pln_renewal_plan *plan, int64_t not_before, int64_t not_after,
                             pln_wall now);

/* An attempt may be made. */
bool pln_renewal_plan_may_ask(const pln_renewal_plan *plan, pln_ts now);

/* Everybody who was asked refused or was silent: waits twice as long as the last time, from a
 * sixtieth of the life (1 s to 1 min) up to a twelfth of it (5 s to 1 h), and up to a quarter more
 * than that. */
void pln_renewal_plan_on_failed(pln_renewal_plan *plan, int64_t not_before, int64_t not_after,
                                const pln_rng *rng, pln_ts now);

#endif
