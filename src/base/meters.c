/* SPDX-License-Identifier: Apache-2.0 */
#include "base/meters.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

enum { WAYS = 4 };

typedef struct cell {
    uint8_t id[PLN_METERS_ID_BYTES]; /* The rest zero. */
    bool used;
    pln_ts full_at; /* When the bucket will be full again: all there is to know about its level. */
} cell;

struct pln_meters {
    pln_meters_config config;
    cell cells[][WAYS];
};

pln_meters *pln_meters_create(const pln_meters_config *config) {
    PLN_ASSERT(config->sets > 0);
    PLN_ASSERT(config->burst > 0);
    pln_meters *meters = pln_calloc(1, sizeof(*meters) + config->sets * sizeof(cell[WAYS]));
    if (meters != NULL) {
        meters->config = *config;
    }
    return meters;
}

pln_meters *pln_meters_obtain(pln_meters **meters, pln_meters_config config, const pln_rng *rng) {
    if (*meters == NULL) {
        pln_rng_fill(rng, config.key.bytes, sizeof(config.key.bytes));
        *meters = pln_meters_create(&config);
    }
    return *meters;
}

void pln_meters_destroy(pln_meters *meters) {
    pln_free(meters);
}

/* The party's cell; a new one takes over that which will be full first, and so forgets least. */
static cell *find(pln_meters *meters, const uint8_t *id, pln_ts now) {
    const unsigned hash = pln_hash(&meters->config.key, id, PLN_METERS_ID_BYTES);
    cell *set = meters->cells[hash % meters->config.sets];
    cell *oldest = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].used && memcmp(set[i].id, id, PLN_METERS_ID_BYTES) == 0) {
            return &set[i];
        }
        if (!set[i].used || (oldest->used && set[i].full_at < oldest->full_at)) {
            oldest = &set[i];
        }
    }
    /* Inheriting the level keeps a flood of parties from refilling each other's buckets. */
    if (!oldest->used) {
        oldest->full_at = now;
    }
    oldest->used = true;
    memcpy(oldest->id, id, PLN_METERS_ID_BYTES);
    return oldest;
}

bool pln_meters_take(pln_meters *meters, const void *id, size_t size, uint32_t count, pln_ts now) {
    PLN_ASSERT(size <= PLN_METERS_ID_BYTES);
    PLN_ASSERT(count <= meters->config.burst);
    uint8_t padded[PLN_METERS_ID_BYTES] = {0};
    memcpy(padded, id, size);
    cell *mine = find(meters, padded, now);
    const pln_ts full_at = mine->full_at > now ? mine->full_at : now;
    if (pln_ts_since(now, full_at) > (meters->config.burst - count) * meters->config.interval) {
        return false;
    }
    mine->full_at = pln_ts_add(full_at, count * meters->config.interval);
    return true;
}
