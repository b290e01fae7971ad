/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing protobuf: an append-only buffer with one function per kind of field.  The caller writes fields
 * in the order in which they belong on the wire; scalars at their default are left out.
 *
 * A lack of memory is remembered and reported once, at the end, so that a message is written without a
 * check per field.
 */
#ifndef PLN_WIRE_PROTOWRITE_H
#define PLN_WIRE_PROTOWRITE_H

#include "wire/protoscan.h"

typedef struct pln_proto_out {
    pln_bytes bytes;
    size_t cap;
    bool failed; /* There was no memory. */
} pln_proto_out;

void pln_proto_put_u64(pln_proto_out *out, uint32_t number, uint64_t value);
void pln_proto_put_i64(pln_proto_out *out, uint32_t number, int64_t value);
void pln_proto_put_bool(pln_proto_out *out, uint32_t number, bool value);
void pln_proto_put_bytes(pln_proto_out *out, uint32_t number, const void *data, size_t size);
void pln_proto_put_string(pln_proto_out *out, uint32_t number, const char *text);

/* Written even when empty: a message that is set, an element of a repeated field, a field of a map. */
void pln_proto_put_present(pln_proto_out *out, uint32_t number, const void *data, size_t size);
void pln_proto_put_present_u64(pln_proto_out *out, uint32_t number, uint64_t value);

/* Ends and frees `inner`, and writes it as a message that is set. */
void pln_proto_put_message(pln_proto_out *out, uint32_t number, pln_proto_out *inner);

/* Bytes as they are. */
void pln_proto_put_raw(pln_proto_out *out, const void *data, size_t size);

/* The unknown fields of a message that was read, in their order and byte for byte; NULL writes none. */
void pln_proto_put_unknown(pln_proto_out *out, const pln_proto_message *message);

/*
 * Ends the writing; out is empty afterwards in any case.
 *
 * Owner:  ret's old content is freed and replaced, the caller's.
 * Errors: POLLEN_ENOMEM  then ret is unchanged
 */
POLLEN_MUST_USE pollen_err pln_proto_finish(pln_proto_out *out, pln_bytes *ret);
void pln_proto_out_fini(pln_proto_out *out);

/* The bytes of a tag or length, and the bytes of a LEN field around its data. */
size_t pln_varint_size(uint64_t value);
size_t pln_varint_write(uint64_t value, uint8_t *out);

#endif
