/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DER (X.690, 10): a strict reader over borrowed bytes and a writer that works backwards, so that
 * every length is known when it is written.  Only single-byte tags exist here; X.509 needs no
 * others.
 */
#ifndef PLN_QUIC_DER_H
#define PLN_QUIC_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_OID = 0x06,
    DER_UTF8_STRING = 0x0c,
    DER_PRINTABLE_STRING = 0x13,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT_0 = 0xa0,
    DER_CONTEXT_3 = 0xa3,
};

/* ---- Reading --------------------------------------------------------------------------------- */

typedef struct pln_der {
    const uint8_t *data;
    size_t size;
} pln_der;

static inline bool pln_der_is(const pln_der *in, uint8_t tag) {
    return in->size > 0 && in->data[0] == tag;
}

/* Takes one element of any tag off the front; ret is its content, ret_whole (may be NULL) the
 * element with tag and length.  False when it is malformed or not minimal; then `in` is
 * unchanged. */
bool pln_der_any(pln_der *in, uint8_t *ret_tag, pln_der *ret, pln_der *ret_whole);

/* The same, of this tag. */
bool pln_der_take(pln_der *in, uint8_t tag, pln_der *ret);

bool pln_der_equal(const pln_der *a, const pln_der *b);
bool pln_der_equal_bytes(const pln_der *a, const uint8_t *bytes, size_t size);

/* Contents that are well formed for their type. */
bool pln_der_is_integer(const pln_der *content);
bool pln_der_is_oid(const pln_der *content);
bool pln_der_is_bit_string(const pln_der *content);

/* ---- Writing --------------------------------------------------------------------------------- */

typedef struct pln_der_writer {
    uint8_t *data;
    size_t begin; /* What is written is data[begin..cap). */
    size_t cap;
    bool overflow; /* Something did not fit; the result is void. */
} pln_der_writer;

/* Puts bytes in front of what is there. */
void pln_der_put(pln_der_writer *out, const void *bytes, size_t size);

/* Makes everything written since the mark (an earlier out->begin) the content of one element. */
void pln_der_wrap(pln_der_writer *out, uint8_t tag, size_t mark);

#endif
