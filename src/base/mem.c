/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>

/* Size 0 asks for one byte, so that NULL means "no memory" and nothing else. */
static size_t at_least_one(size_t size) {
    return size > 0 ? size : 1;
}

void *pln_calloc(size_t count, size_t size) {
    /* calloc() checks as well, but under AddressSanitizer that ends the process. */
    if (count > SIZE_MAX / at_least_one(size)) {
        return NULL;
    }
    return calloc(at_least_one(count), at_least_one(size));
}

void *pln_malloc(size_t size) {
    return malloc(at_least_one(size));
}

void *pln_realloc(void *block, size_t size) {
    return realloc(block, at_least_one(size));
}

void pln_free(void *block) {
    free(block);
}
