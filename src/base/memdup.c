/* SPDX-License-Identifier: Apache-2.0 */
/* Copies, apart from mem.c: the functions there are replaced at link time, which only reaches calls
 * that come from another file. */
#include <string.h>

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
