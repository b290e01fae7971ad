/* SPDX-License-Identifier: Apache-2.0 */
/* A token bucket: how often something may be done for somebody.  A zeroed one is full. */
#ifndef PLN_BASE_BUCKET_H
#define PLN_BASE_BUCKET_H

#include <stdbool.h>

#include "base/time.h"

typedef struct pln_bucket {
    uint64_t level_ns; /* Nanoseconds of allowance. */
    pln_ts at;
} pln_bucket;

/* Takes one of `per_s` a second, up to `burst` saved; false when there is none left. */
bool pln_bucket_take(pln_bucket *bucket, uint32_t per_s, uint32_t burst, pln_ts now);

/* When it has one at the earliest; 0 for a bucket never used. */
pln_ts pln_bucket_ready(const pln_bucket *bucket, uint32_t per_s);

#endif
