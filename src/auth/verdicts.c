/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/verdicts.h"

#include <string.h>

#include <sodium/crypto_hash_sha256.h>

void pln_verdicts_init(pln_verdicts *verdicts) {
    *verdicts = (pln_verdicts){.hits = 0};
}

/* Key and signature have fixed lengths and the context ends in its NUL, so no two inputs run
 * together into the same bytes. */
static void hash_input(const pollen_key *pub, const char *context, const pln_bytes *msg,
                       const pln_signature *signature, uint8_t ret_hash[32]) {
    crypto_hash_sha256_state hash;
    crypto_hash_sha256_init(&hash);
    crypto_hash_sha256_update(&hash, pub->bytes, sizeof(pub->bytes));
    crypto_hash_sha256_update(&hash, signature->bytes, sizeof(signature->bytes));
    crypto_hash_sha256_update(&hash, (const uint8_t *)context, strlen(context) + 1);
    crypto_hash_sha256_update(&hash, msg->data, msg->size);
    crypto_hash_sha256_final(&hash, ret_hash);
}

static bool is_in(uint8_t bucket[PLN_VERDICT_WAYS][32], const uint8_t hash[32]) {
    for (size_t i = 0; i < PLN_VERDICT_WAYS; i++) {
        if (memcmp(bucket[i], hash, 32) == 0) {
            return true;
        }
    }
    return false;
}

static void put(uint8_t bucket[PLN_VERDICT_WAYS][32], const uint8_t hash[32]) {
    static const uint8_t none[32];
    size_t way = hash[1] % PLN_VERDICT_WAYS;
    for (size_t i = 0; i < PLN_VERDICT_WAYS; i++) {
        if (memcmp(bucket[i], none, 32) == 0) {
            way = i;
            break;
        }
    }
    memcpy(bucket[way], hash, 32);
}

bool pln_verdicts_verify(pln_verdicts *verdicts, const pollen_key *pub, const char *context,
                         const pln_bytes *msg, const pln_signature *signature) {
    if (verdicts == NULL) {
        return pln_ed25519ctx_verify(pub, context, msg->data, msg->size, signature);
    }
    uint8_t hash[32];
    hash_input(pub, context, msg, signature, hash);
    uint8_t(*bucket)[32] = verdicts->hashes[hash[0] % PLN_VERDICT_BUCKETS];
    if (is_in(bucket, hash)) {
        verdicts->hits++;
        return true;
    }
    verdicts->misses++;
    if (!pln_ed25519ctx_verify(pub, context, msg->data, msg->size, signature)) {
        return false;
    }
    put(bucket, hash);
    return true;
}
