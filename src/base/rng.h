/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Randomness is injected: the operating system's in production, a seeded generator in tests, so
 * that a failing run replays from its seed.
 */
#ifndef PLN_BASE_RNG_H
#define PLN_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct pln_rng {
    void (*fill)(void *ctx, uint8_t *bytes, size_t count);
    void *ctx;
} pln_rng;

static inline void pln_rng_fill(const pln_rng *rng, uint8_t *bytes, size_t count) {
    rng->fill(rng->ctx, bytes, count);
}

uint64_t pln_rng_u64(const pln_rng *rng);

/* Uniform in [0, bound) without modulo bias; bound is at least 1. */
uint64_t pln_rng_below(const pln_rng *rng, uint64_t bound);

/* The seeded generator of tests and simulations (xoshiro256**, not for secrets). */
typedef struct pln_rng_seeded {
    uint64_t s[4];
} pln_rng_seeded;

/* Owner: the returned value borrows *state, which must outlive it. */
pln_rng pln_rng_from_seed(pln_rng_seeded *state, uint64_t seed);

#endif
