/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash tables are uthash's, keyed by SipHash-2-4 under a secret of the table's owner, because most
 * of the keys come from the network and a predictable hash lets a stranger turn a look-up into a
 * list walk.
 *
 * An element embeds a `UT_hash_handle hh`.  The macros below compute the hash themselves, so that
 * the secret need not be a global.
 */
#ifndef PLN_BASE_HASH_H
#define PLN_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

#define uthash_malloc(size) pln_malloc(size)
#define uthash_free(block, size) pln_free(block)
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

typedef struct pln_hash_key {
    uint8_t bytes[16];
} pln_hash_key;

unsigned pln_hash(const pln_hash_key *key, const void *bytes, size_t count);

/* All 64 bits, the same number on every machine: for hashes that travel. */
uint64_t pln_hash64(const pln_hash_key *key, const void *bytes, size_t count);

/* Sets out to the element whose key equals, or to NULL. */
#define PLN_MAP_FIND(hkey, head, keyptr, keylen, out)                                              \
    HASH_FIND_BYHASHVALUE(hh, head, keyptr, keylen, pln_hash(hkey, keyptr, keylen), out)

/* Adds an element whose key is its member `field`; on lack of memory the element stays outside,
 * which PLN_MAP_ADDED tells. */
#define PLN_MAP_ADD(hkey, head, field, keylen, add)                                                \
    do {                                                                                           \
        unsigned pln_hashv_ = pln_hash(hkey, &(add)->field, keylen);                               \
        (add)->hh.tbl = NULL;                                                                      \
        HASH_ADD_KEYPTR_BYHASHVALUE(hh, head, &(add)->field, keylen, pln_hashv_, add);             \
    } while (0)
#define PLN_MAP_ADDED(add) ((add)->hh.tbl != NULL)

#endif
