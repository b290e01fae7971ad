/* SPDX-License-Identifier: Apache-2.0 */
#include "support/fail_mem.h"

#include <stdatomic.h>

/* What `ld --wrap=f` calls the original of f, and what it makes f's callers call. */
void *__real_pln_calloc(size_t count, size_t size);
void *__real_pln_malloc(size_t size);
void *__real_pln_realloc(void *block, size_t size);
void __real_pln_free(void *block);
void *__wrap_pln_calloc(size_t count, size_t size);
void *__wrap_pln_malloc(size_t size);
void *__wrap_pln_realloc(void *block, size_t size);
void __wrap_pln_free(void *block);

static atomic_size_t tried;
static atomic_size_t fail_at; /* 0: never. */
static atomic_bool failed;
static atomic_long live;

void fail_mem_arm(size_t n) {
    tried = 0;
    failed = false;
    fail_at = n;
}

bool fail_mem_disarm(void) {
    fail_at = 0;
    return failed;
}

size_t fail_mem_count(void) {
    return tried;
}

long fail_mem_live(void) {
    return live;
}

static bool is_to_fail(void) {
    size_t n = atomic_fetch_add(&tried, 1) + 1;
    if (n != fail_at) {
        return false;
    }
    failed = true;
    return true;
}

static void *counted(void *block) {
    if (block != NULL) {
        atomic_fetch_add(&live, 1);
    }
    return block;
}

void *__wrap_pln_calloc(size_t count, size_t size) {
    return is_to_fail() ? NULL : counted(__real_pln_calloc(count, size));
}

void *__wrap_pln_malloc(size_t size) {
    return is_to_fail() ? NULL : counted(__real_pln_malloc(size));
}

void *__wrap_pln_realloc(void *block, size_t size) {
    if (is_to_fail()) {
        return NULL;
    }
    void *moved = __real_pln_realloc(block, size);
    return block == NULL ? counted(moved) : moved;
}

void __wrap_pln_free(void *block) {
    if (block != NULL) {
        atomic_fetch_sub(&live, 1);
    }
    __real_pln_free(block);
}
