/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An append-only buffer.  A lack of memory is remembered and reported once, at the end, so that a
 * message or a text is written without a check per part.
 */
#ifndef PLN_WIRE_OUTBUF_H
#define PLN_WIRE_OUTBUF_H

#include <stdbool.h>

#include <pollen/err.h>

#include "base/bytes.h"

typedef struct pln_out {
    pln_bytes bytes;
    size_t cap;
    bool failed; /* There was no memory. */
} pln_out;

void pln_out_put(pln_out *out, const void *data, size_t size);
void pln_out_text(pln_out *out, const char *text);

/* At most 255 characters; for numbers and other short things. */
__attribute__((format(printf, 2, 3))) void pln_out_printf(pln_out *out, const char *format, ...);

/*
 * Ends the writing; out is empty afterwards in any case.
 *
 * Owner:  ret's old content is freed and replaced, the caller's.
 * Errors: POLLEN_ENOMEM  then ret is unchanged
 */
POLLEN_MUST_USE pollen_err pln_out_finish(pln_out *out, pln_bytes *ret);
void pln_out_fini(pln_out *out);

#endif
