/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait before the next attempt.  All of it without jitter, which the store adds. */
#ifndef PLN_PEER_BACKOFF_H
#define PLN_PEER_BACKOFF_H

#include <stdbool.h>

#include <pollen/event.h>

#include "base/time.h"

#define PLN_UNREACHABLE_DELAY PLN_S(20)

/* base, doubled with each step above the first, at most max. */
pln_dur pln_backoff_grow(pln_dur base, unsigned steps, pln_dur max);

/* Between two attempts, by the failed ones of the stage that is to be tried next. */
pln_dur pln_backoff_attempt(unsigned stage_attempts);

/* The most to wait for a peer that was there until so long ago: a thirtieth of its absence, so that
 * a network that was cut for ten minutes is whole again half a minute after it heals. */
pln_dur pln_backoff_absent(pln_dur absence, pln_dur max);

/* After a session that ended so.  Not for refusals, which grow. */
pln_dur pln_backoff_reconnect(pollen_end_reason reason);

/* One side will not have the other: dialling again at once is of no use. */
bool pln_reason_is_refusal(pollen_end_reason reason);

#endif
