/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/admit.h"

#include <string.h>

#include "base/mem.h"

enum { SETS = 1024, WAYS = 4 };

typedef struct bucket {
    uint8_t prefix[16]; /* The source's, the rest zero. */
    bool used;
    pln_ts full_at; /* When the bucket will be full again: all there is to know about its level. */
} bucket;

struct pln_admit {
    pln_hash_key key;
    bucket buckets[SETS][WAYS];
};

#define TOKEN_INTERVAL (PLN_NS_PER_S / PLN_ADMIT_PER_SECOND)

pln_admit *pln_admit_create(const pln_hash_key *key) {
    pln_admit *admit = pln_calloc(1, sizeof(*admit));
    if (admit != NULL) {
        admit->key = *key;
    }
    return admit;
}

void pln_admit_destroy(pln_admit *admit) {
    pln_free(admit);
}

/* This source's bucket; a new source takes over the one that will be full first, which is the one
 * that forgets least. */
static bucket *find(pln_admit *admit, const uint8_t prefix[16], pln_ts now) {
    bucket *set = admit->buckets[pln_hash(&admit->key, prefix, 16) % SETS];
    bucket *oldest = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].used && memcmp(set[i].prefix, prefix, 16) == 0) {
            return &set[i];
        }
        if (!set[i].used || (oldest->used && set[i].full_at < oldest->full_at)) {
            oldest = &set[i];
        }
    }
    /* Inheriting the level keeps a flood of sources from refilling each other's buckets. */
    if (!oldest->used) {
        oldest->full_at = now;
    }
    oldest->used = true;
    memcpy(oldest->prefix, prefix, 16);
    return oldest;
}

bool pln_admit_take(pln_admit *admit, const pollen_addr *source, pln_ts now) {
    uint8_t prefix[16] = {0};
    memcpy(prefix, source->ip, pollen_addr_is_ipv4(source) ? 16 : 8);
    bucket *mine = find(admit, prefix, now);
    pln_ts full_at = mine->full_at > now ? mine->full_at : now;
    if (pln_ts_since(now, full_at) > (PLN_ADMIT_BURST - 1) * TOKEN_INTERVAL) {
        return false;
    }
    mine->full_at = pln_ts_add(full_at, TOKEN_INTERVAL);
    return true;
}
