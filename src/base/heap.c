/* SPDX-License-Identifier: Apache-2.0 */
/* slots[0] is the root; a timer's index is its slot plus one, so that a zeroed timer is outside. */
#include "base/heap.h"

#include "base/assert.h"
#include "base/mem.h"

enum { HEAP_CAP_FIRST = 16 };

void pln_heap_init(pln_heap *heap) {
    *heap = (pln_heap){.slots = NULL};
}

void pln_heap_fini(pln_heap *heap) {
    pln_free(heap->slots);
    pln_heap_init(heap);
}

static bool is_before(const pln_timer *a, const pln_timer *b) {
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void place(pln_heap *heap, size_t slot, pln_timer *timer) {
    heap->slots[slot] = timer;
    timer->index = slot + 1;
}

/* Moves the timer from the slot, whose content is about to be overwritten, towards the root. */
static void sift_up(pln_heap *heap, size_t slot, pln_timer *timer) {
    while (slot > 0) {
        size_t parent = (slot - 1) / 2;
        if (!is_before(timer, heap->slots[parent])) {
            break;
        }
        place(heap, slot, heap->slots[parent]);
        slot = parent;
    }
    place(heap, slot, timer);
}

static void sift_down(pln_heap *heap, size_t slot, pln_timer *timer) {
    for (;;) {
        size_t child = 2 * slot + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && is_before(heap->slots[child + 1], heap->slots[child])) {
            child++;
        }
        if (!is_before(heap->slots[child], timer)) {
            break;
        }
        place(heap, slot, heap->slots[child]);
        slot = child;
    }
    place(heap, slot, timer);
}

/* The timer belongs near this slot: at most one of the two moves it. */
static void settle(pln_heap *heap, size_t slot, pln_timer *timer) {
    sift_up(heap, slot, timer);
    if (timer->index == slot + 1) {
        sift_down(heap, slot, timer);
    }
}

static bool reserve(pln_heap *heap) {
    pln_timer **slots =
        pln_grow(heap->slots, heap->count, &heap->cap, sizeof(*slots), HEAP_CAP_FIRST);
    if (slots == NULL) {
        return false;
    }
    heap->slots = slots;
    return true;
}

bool pln_heap_set(pln_heap *heap, pln_timer *timer, pln_ts at) {
    if (at == PLN_TS_NEVER) {
        pln_heap_cancel(heap, timer);
        return true;
    }
    if (timer->index == 0) {
        if (!reserve(heap)) {
            return false;
        }
        heap->count++;
        timer->index = heap->count;
        heap->slots[heap->count - 1] = timer;
    }
    PLN_ASSERT(timer->index <= heap->count);
    PLN_ASSERT(heap->slots[timer->index - 1] == timer);
    timer->at = at;
    timer->order = heap->next_order++;
    settle(heap, timer->index - 1, timer);
    return true;
}

void pln_heap_cancel(pln_heap *heap, pln_timer *timer) {
    timer->at = PLN_TS_NEVER;
    if (timer->index == 0) {
        return;
    }
    PLN_ASSERT(timer->index <= heap->count);
    PLN_ASSERT(heap->slots[timer->index - 1] == timer);
    size_t slot = timer->index - 1;
    timer->index = 0;
    heap->count--;
    if (slot < heap->count) {
        settle(heap, slot, heap->slots[heap->count]);
    }
}

pln_ts pln_heap_next(const pln_heap *heap) {
    return heap->count == 0 ? PLN_TS_NEVER : heap->slots[0]->at;
}

pln_timer *pln_heap_pop(pln_heap *heap, pln_ts now) {
    if (heap->count == 0 || !pln_ts_reached(heap->slots[0]->at, now)) {
        return NULL;
    }
    pln_timer *timer = heap->slots[0];
    PLN_ASSERT(timer->index == 1);
    pln_heap_cancel(heap, timer);
    return timer;
}
