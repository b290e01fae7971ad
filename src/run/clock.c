/* SPDX-License-Identifier: Apache-2.0 */
#include "run/clock.h"

#include <limits.h>

#include "base/assert.h"

static struct timespec read_clock(clockid_t clock) {
    struct timespec at;
    PLN_ASSERT(clock_gettime(clock, &at) == 0);
    return at;
}

static pln_ts read_ts(clockid_t clock) {
    const struct timespec at = read_clock(clock);
    return (pln_ts)at.tv_sec * PLN_NS_PER_S + (pln_ts)at.tv_nsec;
}

pln_ts pln_clock_mono(void) {
    return read_ts(CLOCK_MONOTONIC);
}

pln_ts pln_clock_boot(void) {
    return read_ts(CLOCK_BOOTTIME);
}

/* In whole seconds: the nanoseconds of a clock that somebody set need not fit. */
pln_wall pln_clock_wall(void) {
    return read_clock(CLOCK_REALTIME).tv_sec;
}

pln_now pln_clock_now(void) {
    return (pln_now){.mono = pln_clock_mono(), .wall = pln_clock_wall()};
}

pln_ts pln_clock_deadline(int timeout_ms) {
    if (timeout_ms == 0) {
        return 0; /* Long past: nothing is waited for, so the clock need not be asked. */
    }
    return timeout_ms < 0 ? PLN_TS_NEVER
                          : pln_ts_add(pln_clock_mono(), PLN_MS((unsigned)timeout_ms));
}

int pln_clock_ms_until(pln_ts deadline, pln_ts now) {
    if (deadline == PLN_TS_NEVER) {
        return -1;
    }
    pln_dur left = pln_ts_since(now, deadline);
    pln_dur ms = left / PLN_NS_PER_MS + (left % PLN_NS_PER_MS != 0);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

struct timespec pln_clock_timespec(pln_ts ts) {
    return (struct timespec){.tv_sec = (time_t)(ts / PLN_NS_PER_S),
                             .tv_nsec = (long)(ts % PLN_NS_PER_S)};
}
