/* SPDX-License-Identifier: Apache-2.0 */
/* The seed of a random test: printed, so that a failure can be replayed with POLLEN_SEED=<n>. */
#ifndef TESTS_SUPPORT_SEED_H
#define TESTS_SUPPORT_SEED_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/rng.h"

static inline uint64_t test_seed(void) {
    const char *given = getenv("POLLEN_SEED");
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t fresh = (uint64_t)now.tv_sec * 1000000007u ^ (uint64_t)now.tv_nsec;
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : fresh;
    printf("POLLEN_SEED=%" PRIu64 "\n", seed);
    return seed;
}

/* A generator from a new seed, or from the one to be replayed.  Owner: borrows *state. */
static inline pln_rng test_rng(pln_rng_seeded *state) {
    return pln_rng_from_seed(state, test_seed());
}

#endif
