/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests (pollen.mesh.v1.Digest): how two nodes of pollen/2 find out what either of them does
 * not know of the members, without telling each other all of it.  A digest speaks of a range of
 * keys, [from, to): as hashes of spans of it, or as a list of all its authors; beside that it may
 * ask for events.
 *
 * A digest holds so little that it lies in fixed arrays.
 */
#ifndef PLN_WIRE_DIGEST_H
#define PLN_WIRE_DIGEST_H

#include "wire/envelope.h"

typedef struct pln_digest_span {
    bool has_to; /* False only in the last one: up to the last key. */
    pollen_key to;
    uint64_t hash;
} pln_digest_span;

typedef struct pln_digest_entry {
    pollen_key author;
    uint64_t counter;
    uint64_t hash;
} pln_digest_entry;

typedef struct pln_digest_want {
    pollen_key author;
    uint64_t above;
} pln_digest_want;

typedef struct pln_digest {
    pollen_key from; /* All zero: from the first key. */
    bool has_to;
    pollen_key to; /* Of the listed range. */
    bool listed;
    bool more;
    pln_digest_span spans[PLN_DIGEST_ITEMS_MAX]; /* Their ends grow. */
    size_t span_count;
    pln_digest_entry entries[PLN_DIGEST_ITEMS_MAX]; /* Of the range, sorted, each author once. */
    size_t entry_count;
    pln_digest_want wants[PLN_DIGEST_ITEMS_MAX];
    size_t want_count;
} pln_digest;

/*
 * Owner:  ret is filled only on success.
 * Errors: POLLEN_EPROTO  malformed, a key of another length, too many items, spans or entries out
 * of order or
 *                        outside of the range
 */
POLLEN_MUST_USE pollen_err pln_digest_decode(const uint8_t *body, size_t size, pln_digest *ret);

/* The whole envelope.  Owner: ret is the caller's.  Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_digest_encode(const pln_digest *digest, pln_bytes *ret);

#endif
