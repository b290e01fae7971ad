/* SPDX-License-Identifier: Apache-2.0 */
/* Copies and arrays, apart from mem.c: the functions there are replaced at link time, which only
 * reaches calls that come from another file. */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

void *pln_memdup(const void *bytes, size_t size) {
    void *copy = pln_malloc(size);
    if (copy != NULL && size > 0) {
        memcpy(copy, bytes, size);
    }
    return copy;
}

char *pln_strdup(const char *text) {
    return pln_memdup(text, strlen(text) + 1);
}

void *pln_grow(void *items, size_t count, size_t *cap, size_t size, size_t first) {
    PLN_ASSERT(count <= *cap);
    PLN_ASSERT(first > 0);
    if (count < *cap) {
        return items;
    }
    if (*cap > SIZE_MAX / 2 / size) {
        return NULL;
    }
    const size_t grown = *cap == 0 ? first : 2 * *cap;
    void *block = pln_realloc(items, grown * size);
    if (block != NULL) {
        *cap = grown;
    }
    return block;
}
