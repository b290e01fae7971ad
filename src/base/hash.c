/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <string.h>

#include <sodium/crypto_shorthash.h>

_Static_assert(sizeof(pln_hash_key) == crypto_shorthash_KEYBYTES, "a SipHash key");

unsigned pln_hash(const pln_hash_key *key, const void *bytes, size_t count) {
    uint8_t out[crypto_shorthash_BYTES];
    (void)crypto_shorthash(out, bytes, count, key->bytes); /* Has no way to fail. */
    unsigned hash = 0;
    memcpy(&hash, out, sizeof(hash));
    return hash;
}

uint64_t pln_hash64(const pln_hash_key *key, const void *bytes, size_t count) {
    uint8_t out[crypto_shorthash_BYTES];
    (void)crypto_shorthash(out, bytes, count, key->bytes); /* Has no way to fail. */
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof(out); i++) {
        hash |= (uint64_t)out[i] << (8 * i);
    }
    return hash;
}
