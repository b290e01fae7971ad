/* SPDX-License-Identifier: Apache-2.0 */
/* An owned run of bytes, and hexadecimal. */
#ifndef PLN_BASE_BYTES_H
#define PLN_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pln_bytes {
    uint8_t *data; /* NULL when empty. */
    size_t size;
} pln_bytes;

/* Both return false when there is no memory; then dst is unchanged.  Otherwise the old content is
 * freed. */
bool pln_bytes_set(pln_bytes *dst, const void *data, size_t size);
bool pln_bytes_copy(pln_bytes *dst, const pln_bytes *src);
void pln_bytes_fini(pln_bytes *bytes); /* Leaves it empty. */
bool pln_bytes_equal(const pln_bytes *a, const pln_bytes *b);

/* The value of a hex digit of either case, -1 for anything else. */
int pln_hex_value(char c);

/* 2 * count lower-case digits and a NUL into text; returns text. */
char *pln_hex_encode(const uint8_t *bytes, size_t count, char *text);

/* Exactly 2 * count digits of either case, then the end of text; false otherwise. */
bool pln_hex_decode(const char *text, uint8_t *bytes, size_t count);

#endif
