/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time.  The core reads no clock: whoever calls it samples both clocks once per wake-up and hands
 * the pair down.  Monotonic time drives every timer; wall time only judges certificates and tokens.
 * They have different types so that they cannot be mixed up.
 */
#ifndef PLN_BASE_TIME_H
#define PLN_BASE_TIME_H

#include <stdint.h>

typedef uint64_t pln_ts;  /* Monotonic nanoseconds, absolute; the origin means nothing. */
typedef uint64_t pln_dur; /* Nanoseconds, a span. */
typedef int64_t pln_wall; /* Unix seconds. */

#define PLN_TS_NEVER UINT64_MAX

#define PLN_NS_PER_US 1000ull
#define PLN_NS_PER_MS 1000000ull
#define PLN_NS_PER_S 1000000000ull
#define PLN_MS(n) ((pln_dur)(n)*PLN_NS_PER_MS)
#define PLN_S(n) ((pln_dur)(n)*PLN_NS_PER_S)

/* One sample of both clocks. */
typedef struct pln_now {
    pln_ts mono;
    pln_wall wall;
} pln_now;

/* ts + dur, held at PLN_TS_NEVER instead of overflowing. */
static inline pln_ts pln_ts_add(pln_ts ts, pln_dur dur) {
    return ts > PLN_TS_NEVER - dur ? PLN_TS_NEVER : ts + dur;
}

static inline pln_ts pln_ts_min(pln_ts a, pln_ts b) {
    return a < b ? a : b;
}

/* wall + seconds (which may be negative), held at the ends of the type instead of overflowing. */
static inline pln_wall pln_wall_add(pln_wall wall, int64_t seconds) {
    if (seconds > 0 && wall > INT64_MAX - seconds) {
        return INT64_MAX;
    }
    if (seconds < 0 && wall < INT64_MIN - seconds) {
        return INT64_MIN;
    }
    return wall + seconds;
}

/* A deadline counts as reached at its very instant. */
static inline int pln_ts_reached(pln_ts deadline, pln_ts now) {
    return deadline <= now;
}

/* How long from earlier to later; 0 when later is not later. */
static inline pln_dur pln_ts_since(pln_ts earlier, pln_ts later) {
    return later > earlier ? later - earlier : 0;
}

#endif
