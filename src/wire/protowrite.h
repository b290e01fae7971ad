/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing protobuf into a pln_out: one function per kind of field.  The caller writes the fields in
 * the order in which they belong on the wire; scalars at their default are left out.
 */
#ifndef PLN_WIRE_PROTOWRITE_H
#define PLN_WIRE_PROTOWRITE_H

#include "wire/outbuf.h"
#include "wire/protoscan.h"

void pln_proto_put_u64(pln_out *out, uint32_t number, uint64_t value);
void pln_proto_put_i64(pln_out *out, uint32_t number, int64_t value);
void pln_proto_put_bool(pln_out *out, uint32_t number, bool value);
void pln_proto_put_bytes(pln_out *out, uint32_t number, const void *data, size_t size);
void pln_proto_put_string(pln_out *out, uint32_t number, const char *text);

/* Written even when empty: a message that is set, an element of a repeated field, a field of a
 * map. */
void pln_proto_put_present(pln_out *out, uint32_t number, const void *data, size_t size);
void pln_proto_put_present_u64(pln_out *out, uint32_t number, uint64_t value);

/* Ends and frees `inner`, and writes it as a message that is set. */
void pln_proto_put_message(pln_out *out, uint32_t number, pln_out *inner);

/* The unknown fields of a message that was read, in their order and byte for byte; NULL writes
 * none. */
void pln_proto_put_unknown(pln_out *out, const pln_proto_message *message);

/* A tag or a length: how many bytes it takes, and writing them. */
size_t pln_varint_size(uint64_t value);
size_t pln_varint_write(uint64_t value, uint8_t *out);

#endif
