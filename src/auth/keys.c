/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds, and what is derived from them. */
#include <string.h>

#include <sodium/crypto_auth_hmacsha256.h>
#include <sodium/crypto_hash_sha256.h>
#include <sodium/crypto_sign_ed25519.h>
#include <sodium/utils.h>

#include "auth/ed25519ctx.h"
#include "base/assert.h"

void pollen_seed_wipe(pollen_seed *seed) {
    sodium_memzero(seed->bytes, sizeof(seed->bytes));
}

void pln_secret_wipe(void *bytes, size_t size) {
    if (size > 0) {
        sodium_memzero(bytes, size);
    }
}

pollen_key pollen_seed_key(const pollen_seed *seed) {
    pollen_key pub;
    uint8_t secret[crypto_sign_ed25519_SECRETKEYBYTES];
    (void)crypto_sign_ed25519_seed_keypair(pub.bytes, secret, seed->bytes); /* Cannot fail. */
    sodium_memzero(secret, sizeof(secret));
    return pub;
}

void pln_sha256(const uint8_t *bytes, size_t size, uint8_t ret_hash[32]) {
    (void)crypto_hash_sha256(ret_hash, bytes, size); /* Cannot fail. */
}

/* HKDF-SHA-256 without a salt (RFC 5869, 2.2: zeros of the hash's length); label is its info. */
void pln_derive_secret(const pollen_seed *seed, const char *label, uint8_t *ret, size_t size) {
    enum { HASH_BYTES = crypto_auth_hmacsha256_BYTES };
    static const uint8_t salt[HASH_BYTES];
    PLN_ASSERT(size <= (size_t)255 * HASH_BYTES); /* RFC 5869, 2.3: the counter is one octet. */

    crypto_auth_hmacsha256_state hmac;
    uint8_t prk[HASH_BYTES];
    crypto_auth_hmacsha256_init(&hmac, salt, sizeof(salt));
    crypto_auth_hmacsha256_update(&hmac, seed->bytes, sizeof(seed->bytes));
    crypto_auth_hmacsha256_final(&hmac, prk);

    uint8_t block[HASH_BYTES];
    size_t block_size = 0; /* The first round has no block before it. */
    uint8_t counter = 1;
    for (size_t done = 0; done < size; counter++) {
        crypto_auth_hmacsha256_init(&hmac, prk, sizeof(prk));
        crypto_auth_hmacsha256_update(&hmac, block, block_size);
        crypto_auth_hmacsha256_update(&hmac, (const uint8_t *)label, strlen(label));
        crypto_auth_hmacsha256_update(&hmac, &counter, 1);
        crypto_auth_hmacsha256_final(&hmac, block);
        block_size = HASH_BYTES;
        size_t taken = size - done < HASH_BYTES ? size - done : HASH_BYTES;
        memcpy(ret + done, block, taken);
        done += taken;
    }
    sodium_memzero(&hmac, sizeof(hmac));
    sodium_memzero(prk, sizeof(prk));
    sodium_memzero(block, sizeof(block));
}
