/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers: a binary heap of deadlines, intrusive.  A node embeds a pln_timer; setting, moving and
 * cancelling one is O(log n), reading the earliest O(1).  Equal deadlines leave in the order in
 * which they were set, so that a run replays.
 */
#ifndef PLN_BASE_HEAP_H
#define PLN_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/time.h"

typedef struct pln_timer {
    pln_ts at; /* PLN_TS_NEVER when not set. */
    uint64_t order;
    size_t index; /* 1-based place in the heap, 0 when not in it. */
} pln_timer;

typedef struct pln_heap {
    pln_timer **slots;
    size_t count;
    size_t cap;
    uint64_t next_order;
} pln_heap;

/* Not set; a zeroed timer is good as well, but for its `at`. */
static inline void pln_timer_init(pln_timer *timer) {
    *timer = (pln_timer){.at = PLN_TS_NEVER};
}

static inline bool pln_timer_is_set(const pln_timer *timer) {
    return timer->index != 0;
}

void pln_heap_init(pln_heap *heap);
void pln_heap_fini(pln_heap *heap); /* The timers belong to their owners. */

/* Sets or moves; PLN_TS_NEVER cancels.  Returns false when there is no memory and nothing changed;
 * moving and cancelling never fail. */
bool pln_heap_set(pln_heap *heap, pln_timer *timer, pln_ts at);
void pln_heap_cancel(pln_heap *heap, pln_timer *timer);

pln_ts pln_heap_next(const pln_heap *heap); /* PLN_TS_NEVER when empty. */

/* Takes out and returns a timer whose deadline is reached, earliest first; NULL when there is none.
 */
pln_timer *pln_heap_pop(pln_heap *heap, pln_ts now);

/* The struct that embeds the timer. */
#define PLN_TIMER_OWNER(timer, type, member)                                                       \
    ((type *)(void *)((char *)(timer)-offsetof(type, member)))

#endif
