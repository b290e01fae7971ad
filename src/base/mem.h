/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory.  All of the library's own allocations pass through here, the single file that names
 * malloc(): tests replace these functions at link time to make the n-th allocation fail, which
 * reaches every caller without an allocator argument in every signature.
 */
#ifndef PLN_BASE_MEM_H
#define PLN_BASE_MEM_H

#include <stddef.h>

/* Zeroed memory for count objects of size bytes; NULL when there is none or the product overflows.
 */
void *pln_calloc(size_t count, size_t size);

/* Uninitialised memory; NULL when there is none. */
void *pln_malloc(size_t size);

/* As realloc(); on NULL the old block is untouched. */
void *pln_realloc(void *block, size_t size);

void pln_free(void *block); /* Accepts NULL. */

/* Room for one more in a growing array: the block, moved and *cap doubled (`first` at the start)
 * when its count had reached that.  NULL when there is no memory; then all is as it was. */
void *pln_grow(void *items, size_t count, size_t *cap, size_t size, size_t first);

/* A copy of size bytes (NULL when there is no memory); size 0 gives a valid block. */
void *pln_memdup(const void *bytes, size_t size);

/* A NUL-terminated copy; NULL when there is no memory. */
char *pln_strdup(const char *text);

#endif
