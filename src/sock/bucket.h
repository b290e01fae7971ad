/* SPDX-License-Identifier: Apache-2.0 */
/* An allowance: `burst` at once, then one each `interval`.  All zero is a full one. */
#ifndef PLN_SOCK_BUCKET_H
#define PLN_SOCK_BUCKET_H

#include <stdbool.h>

#include "base/time.h"

typedef struct pln_bucket {
    pln_ts full_at; /* When it will be full again (the "theoretical arrival time" of GCRA). */
} pln_bucket;

typedef struct pln_bucket_rate {
    unsigned burst;
    unsigned per_s;
} pln_bucket_rate;

/* When the next one may be taken, now or before if at once. */
static inline pln_ts pln_bucket_ready(const pln_bucket *bucket, pln_bucket_rate rate) {
    pln_dur most = (pln_dur)(rate.burst - 1) * (PLN_NS_PER_S / rate.per_s);
    return bucket->full_at > most ? bucket->full_at - most : 0;
}

/* False: none is left. */
static inline bool pln_bucket_take(pln_bucket *bucket, pln_bucket_rate rate, pln_ts now) {
    if (pln_bucket_ready(bucket, rate) > now) {
        return false;
    }
    pln_ts from = bucket->full_at > now ? bucket->full_at : now;
    bucket->full_at = pln_ts_add(from, PLN_NS_PER_S / rate.per_s);
    return true;
}

#endif
