/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"

#include <string.h>

#include "base/assert.h"

uint64_t pln_rng_u64(const pln_rng *rng) {
    /* Byte by byte, so that a seed gives the same run on every machine. */
    uint8_t bytes[8];
    pln_rng_fill(rng, bytes, sizeof(bytes));
    uint64_t value = 0;
    for (size_t i = sizeof(bytes); i > 0; i--) {
        value = value << 8 | bytes[i - 1];
    }
    return value;
}

uint64_t pln_rng_below(const pln_rng *rng, uint64_t bound) {
    PLN_ASSERT(bound >= 1);

    /* 2^64 mod bound values at the low end are one too many for an even spread.  A draw is refused
     * with less than one half; sixty-four in a row only come from a generator that is stuck. */
    uint64_t surplus = (0 - bound) % bound;
    uint64_t value = pln_rng_u64(rng);
    for (int tries = 0; value < surplus && tries < 64; tries++) {
        value = pln_rng_u64(rng);
    }
    return value % bound;
}

static uint64_t rotate_left(uint64_t value, unsigned bits) {
    return value << bits | value >> (64 - bits);
}

/* xoshiro256** 1.0 (Blackman, Vigna). */
static uint64_t next_u64(pln_rng_seeded *state) {
    uint64_t *s = state->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

static void fill_seeded(void *ctx, uint8_t *bytes, size_t count) {
    while (count > 0) {
        uint64_t value = next_u64(ctx);
        size_t taken = count < 8 ? count : 8;
        for (size_t i = 0; i < taken; i++) {
            bytes[i] = (uint8_t)(value >> (8 * i));
        }
        bytes += taken;
        count -= taken;
    }
}

/* SplitMix64, which the authors of xoshiro recommend to spread a seed: the state must not be all
 * zero. */
static uint64_t split_mix(uint64_t *seed) {
    *seed += 0x9e3779b97f4a7c15u;
    uint64_t z = *seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

pln_rng pln_rng_from_seed(pln_rng_seeded *state, uint64_t seed) {
    for (size_t i = 0; i < 4; i++) {
        state->s[i] = split_mix(&seed);
    }
    return (pln_rng){.fill = fill_seeded, .ctx = state};
}
