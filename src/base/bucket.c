/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bucket.h"

#include "base/assert.h"

bool pln_bucket_take(pln_bucket *bucket, uint32_t per_s, uint32_t burst, pln_ts now) {
    PLN_ASSERT(per_s > 0);
    PLN_ASSERT(burst > 0);
    pln_dur cost = PLN_NS_PER_S / per_s;
    PLN_ASSERT(cost > 0);
    pln_dur most = cost * burst;
    pln_dur gained = bucket->at == 0 ? most : pln_ts_since(bucket->at, now);
    bucket->level_ns += gained < most ? gained : most;
    bucket->level_ns = bucket->level_ns < most ? bucket->level_ns : most;
    bucket->at = now;
    if (bucket->level_ns < cost) {
        return false;
    }
    bucket->level_ns -= cost;
    return true;
}

pln_ts pln_bucket_ready(const pln_bucket *bucket, uint32_t per_s) {
    PLN_ASSERT(per_s > 0);
    pln_dur cost = PLN_NS_PER_S / per_s;
    if (bucket->at == 0 || bucket->level_ns >= cost) {
        return bucket->at;
    }
    return pln_ts_add(bucket->at, cost - bucket->level_ns);
}
