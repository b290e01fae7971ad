/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading protobuf without allocation: a scanner over the fields of one message, and on top of it a
 * message read into slots by field number.
 *
 * The scanner takes what every protobuf decoder takes and the reference takes too: varints of up to
 * ten bytes, padded or not, whose excess high bits are dropped; unknown fields of every wire type,
 * groups included, which keep their exact bytes.  It refuses field number 0, numbers above 2^29-1,
 * wire types 6 and 7, a group end without a start, and any length past the end.
 *
 * Owner: everything found borrows from the bytes that are read.
 */
#ifndef PLN_WIRE_PROTOSCAN_H
#define PLN_WIRE_PROTOSCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pollen/err.h>

#include "base/bytes.h"

/* The wire types of the protobuf encoding. */
typedef enum pln_proto_type {
    PLN_PROTO_VARINT = 0,
    PLN_PROTO_FIXED64 = 1,
    PLN_PROTO_LEN = 2,
    PLN_PROTO_GROUP = 3,
    PLN_PROTO_GROUP_END = 4,
    PLN_PROTO_FIXED32 = 5,
} pln_proto_type;

typedef struct pln_proto_scan {
    const uint8_t *at;
    const uint8_t *end;
} pln_proto_scan;

typedef struct pln_proto_field {
    uint32_t number;
    pln_proto_type type;
    uint64_t value;      /* Of a VARINT. */
    const uint8_t *data; /* Of a LEN. */
    size_t size;
    const uint8_t *raw; /* The whole field with its tag. */
    size_t raw_size;
} pln_proto_field;

typedef enum pln_proto_step {
    PLN_PROTO_FIELD,
    PLN_PROTO_END,
    PLN_PROTO_MALFORMED,
} pln_proto_step;

static inline pln_proto_scan pln_proto_scan_of(const uint8_t *bytes, size_t size) {
    return (pln_proto_scan){.at = bytes, .end = size > 0 ? bytes + size : bytes};
}

/* The next field; a group is one field, with all that is in it. */
pln_proto_step pln_proto_next(pln_proto_scan *scan, pln_proto_field *ret_field);

/* ---- Messages read into slots ---------------------------------------------------------------- */

/* What a field of a schema is.  A schema is an array indexed by field number, up to
 * PLN_PROTO_FIELD_MAX; numbers with PLN_FIELD_UNKNOWN, and those above its end, are unknown fields.
 *  */
typedef enum pln_field_kind {
    PLN_FIELD_UNKNOWN = 0,
    PLN_FIELD_VARINT,   /* The last one counts. */
    PLN_FIELD_BYTES,    /* The last one counts. */
    PLN_FIELD_MESSAGE,  /* Several are merged, which for encoded messages is to join them. */
    PLN_FIELD_REPEATED, /* Only counted: the caller scans for them. */
} pln_field_kind;

enum { PLN_PROTO_FIELD_MAX = 10 }; /* The highest number in use below the envelope. */

typedef struct pln_proto_schema {
    size_t count; /* Entries of kinds, number 0 included. */
    uint8_t kinds[PLN_PROTO_FIELD_MAX + 1];
} pln_proto_schema;

typedef struct pln_proto_slot {
    uint64_t value;
    const uint8_t *data; /* NULL when absent. */
    size_t size;
    size_t count; /* Occurrences. */
    size_t total; /* Bytes of all occurrences. */
} pln_proto_slot;

typedef struct pln_proto_message {
    const pln_proto_schema *schema;
    const uint8_t *bytes;
    size_t size;
    pln_proto_slot slots[PLN_PROTO_FIELD_MAX + 1];
    pln_bytes joined[PLN_PROTO_FIELD_MAX + 1]; /* Merged messages. */
} pln_proto_message;

/*
 * Owner:  ret borrows from bytes; pln_proto_message_fini() frees what had to be merged.
 * Errors: POLLEN_EPROTO  malformed, or a known field with another wire type
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_proto_read(const pln_proto_schema *schema, const uint8_t *bytes,
                                          size_t size, pln_proto_message *ret);
void pln_proto_message_fini(pln_proto_message *message);

/* The next occurrence of a repeated field of a message that was read. */
bool pln_proto_next_of(pln_proto_scan *scan, uint32_t number, pln_proto_field *ret_field);

/* Joins the `total` bytes of all LEN fields with that number; false when there is no memory. */
bool pln_proto_join(const uint8_t *bytes, size_t size, uint32_t number, size_t total,
                    pln_bytes *ret);

bool pln_proto_is_known(const pln_proto_schema *schema, uint32_t number);

#endif
