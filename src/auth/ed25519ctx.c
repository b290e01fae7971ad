/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Design notes
 *
 * libsodium signs plain Ed25519 and Ed25519ph only, so the context variant is put together from its
 * group operations.  Points and scalars stay in their encoded form between calls, which costs a few
 * inversions and lets none of the arithmetic be ours.
 *
 * The equation is that of Go's crypto/ed25519: R must be, byte for byte, the encoding of S*B - h*A.
 * It is not multiplied by the cofactor, so a key with a small-order component is judged by what h
 * does to that component.  libsodium multiplies points of the prime-order subgroup only; for the
 * keys outside, which no honest implementation makes, see multiply_any().
 */
#include "auth/ed25519ctx.h"

#include <string.h>

#include <sodium/crypto_core_ed25519.h>
#include <sodium/crypto_hash_sha512.h>
#include <sodium/crypto_scalarmult_ed25519.h>
#include <sodium/crypto_sign_ed25519.h>
#include <sodium/utils.h>

#include "base/assert.h"

enum { CONTEXT_BYTES_MAX = 255 }; /* RFC 8032, 2: its length is one octet. */

typedef struct scalar {
    uint8_t bytes[crypto_core_ed25519_SCALARBYTES];
} scalar;

typedef struct point {
    uint8_t bytes[crypto_core_ed25519_BYTES];
} point;

/* The neutral element, (0, 1). */
static const point identity = {{1}};

/* L, the order of the base point (RFC 8032, 5.1). */
static const scalar group_order = {{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                    0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                    0,    0,    0,    0,    0,    0,    0,    0,
                                    0,    0,    0,    0,    0,    0,    0,    0x10}};

/* 1/8 mod L. */
static const scalar one_eighth = {{0x79, 0x2f, 0xdc, 0xe2, 0x29, 0xe5, 0x06, 0x61, 0xd0, 0xda, 0x1c,
                                   0x7d, 0xb3, 0x9d, 0xd3, 0x07, 0,    0,    0,    0,    0,    0,
                                   0,    0,    0,    0,    0,    0,    0,    0,    0,    0x06}};

/* ---- Scalars and points ---------------------------------------------------------------------- */

static bool scalar_is_zero(const scalar *s) {
    return sodium_is_zero(s->bytes, sizeof(s->bytes)) == 1;
}

/* Little-endian, as sodium_compare() reads. */
static bool scalar_is_canonical(const scalar *s) {
    return sodium_compare(s->bytes, group_order.bytes, sizeof(s->bytes)) < 0;
}

/* s*B.  The library calls a zero scalar an error; here it is one of the values. */
static point multiply_base(const scalar *s) {
    point result = identity;
    if (!scalar_is_zero(s)) {
        int failed = crypto_scalarmult_ed25519_base_noclamp(result.bytes, s->bytes);
        PLN_ASSERT(failed == 0); /* 0 < s < L, so the product is not the identity. */
    }
    return result;
}

/* False when p is outside the prime-order subgroup, not canonical or not a point.  Some versions
 * let points of twice the prime order pass (CVE-2025-69277); their product is right all the same,
 * because it is that of the point and not of its prime-order part. */
static bool multiply_prime(const scalar *s, const point *p, point *ret) {
    if (scalar_is_zero(s)) {
        *ret = identity;
        return true;
    }
    return crypto_scalarmult_ed25519_noclamp(ret->bytes, s->bytes, p->bytes) == 0;
}

static bool add(const point *a, const point *b, point *ret) {
    return crypto_core_ed25519_add(ret->bytes, a->bytes, b->bytes) == 0;
}

static bool subtract(const point *a, const point *b, point *ret) {
    return crypto_core_ed25519_sub(ret->bytes, a->bytes, b->bytes) == 0;
}

/*
 * s*p for a point that is a sum of a prime-order part q and a small-order part t, of order up to 8:
 * 8p = 8q, hence q = (1/8)(8p), t = p - q, and s*p = s*q + (s mod 8)*t.
 */
static bool multiply_any(const scalar *s, const point *p, point *ret) {
    point eightfold = *p;
    for (int i = 0; i < 3; i++) {
        if (!add(&eightfold, &eightfold, &eightfold)) {
            return false;
        }
    }
    point q;
    point t;
    if (!multiply_prime(&one_eighth, &eightfold, &q) || !subtract(p, &q, &t) ||
        !multiply_prime(s, &q, ret)) {
        return false;
    }
    for (int i = s->bytes[0] & 7; i > 0; i--) {
        if (!add(ret, &t, ret)) {
            return false;
        }
    }
    return true;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* The y coordinates of the eight points of small order (RFC 7748 lists them as x of the other
 * form). */
static const uint8_t small_order_y[][POLLEN_KEY_BYTES] = {
    {0},
    {1},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
};

/* 2^255 - 19: a y coordinate from here on is written in a second way. */
static const uint8_t field_prime[POLLEN_KEY_BYTES] = {
    0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};

/* Canonical and not of small order.  "Minus zero", the other second way of writing a point, occurs
 * with the y of two small-order points only. */
static bool has_usable_encoding(const pollen_key *pub) {
    uint8_t y[POLLEN_KEY_BYTES];
    memcpy(y, pub->bytes, sizeof(y));
    y[31] &= 0x7f; /* Above it is the sign of x. */
    if (sodium_compare(y, field_prime, sizeof(y)) >= 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(small_order_y) / sizeof(*small_order_y); i++) {
        if (memcmp(y, small_order_y[i], sizeof(y)) == 0) {
            return false;
        }
    }
    return true;
}

bool pln_key_is_usable(const pollen_key *pub) {
    point sum;
    point p;
    memcpy(p.bytes, pub->bytes, sizeof(p.bytes));
    return has_usable_encoding(pub) && add(&p, &identity, &sum); /* Adding fails off the curve. */
}

/* ---- Signatures ------------------------------------------------------------------------------ */

/* Starts a hash with dom2(0, context) (RFC 8032, 5.1). */
static void hash_init(crypto_hash_sha512_state *hash, const char *context, size_t context_size) {
    static const char prefix[] = "SigEd25519 no Ed25519 collisions";
    uint8_t flag_and_length[2] = {0, (uint8_t)context_size};
    crypto_hash_sha512_init(hash);
    crypto_hash_sha512_update(hash, (const uint8_t *)prefix, sizeof(prefix) - 1);
    crypto_hash_sha512_update(hash, flag_and_length, sizeof(flag_and_length));
    crypto_hash_sha512_update(hash, (const uint8_t *)context, context_size);
}

/* Ends it, as a number modulo L. */
static scalar hash_scalar(crypto_hash_sha512_state *hash) {
    uint8_t digest[crypto_hash_sha512_BYTES];
    scalar result;
    crypto_hash_sha512_final(hash, digest);
    crypto_core_ed25519_scalar_reduce(result.bytes, digest);
    sodium_memzero(digest, sizeof(digest));
    return result;
}

/* h = H(dom2 || R || A || M). */
static scalar challenge(const char *context, const uint8_t r[32], const pollen_key *pub,
                        const uint8_t *msg, size_t size) {
    crypto_hash_sha512_state hash;
    hash_init(&hash, context, strlen(context));
    crypto_hash_sha512_update(&hash, r, 32);
    crypto_hash_sha512_update(&hash, pub->bytes, sizeof(pub->bytes));
    crypto_hash_sha512_update(&hash, msg, size);
    return hash_scalar(&hash);
}

static bool is_context(const char *context) {
    size_t size = strlen(context);
    return size >= 1 && size <= CONTEXT_BYTES_MAX;
}

/* The secret scalar into expanded[0..31], the prefix of the nonce behind it (RFC 8032, 5.1.5). */
static void expand(const pollen_seed *seed, uint8_t expanded[crypto_hash_sha512_BYTES]) {
    crypto_hash_sha512(expanded, seed->bytes, sizeof(seed->bytes));
    expanded[0] &= 0xf8;
    expanded[31] &= 0x7f;
    expanded[31] |= 0x40;
}

pollen_err pln_ed25519ctx_sign(const pollen_seed *seed, const char *context, const uint8_t *msg,
                               size_t size, pln_signature *ret) {
    if (!is_context(context)) {
        return POLLEN_EINVAL;
    }
    uint8_t expanded[crypto_hash_sha512_BYTES];
    expand(seed, expanded);

    crypto_hash_sha512_state hash;
    hash_init(&hash, context, strlen(context));
    crypto_hash_sha512_update(&hash, expanded + 32, 32);
    crypto_hash_sha512_update(&hash, msg, size);
    scalar nonce = hash_scalar(&hash);
    point r = multiply_base(&nonce);

    pollen_key pub = pollen_seed_key(seed);
    scalar h = challenge(context, r.bytes, &pub, msg, size);
    scalar s;
    crypto_core_ed25519_scalar_mul(s.bytes, h.bytes, expanded);
    crypto_core_ed25519_scalar_add(s.bytes, s.bytes, nonce.bytes);
    memcpy(ret->bytes, r.bytes, 32);
    memcpy(ret->bytes + 32, s.bytes, 32);

    sodium_memzero(expanded, sizeof(expanded));
    sodium_memzero(&hash, sizeof(hash));
    sodium_memzero(&nonce, sizeof(nonce));
    return POLLEN_OK;
}

bool pln_ed25519ctx_verify(const pollen_key *pub, const char *context, const uint8_t *msg,
                           size_t size, const pln_signature *signature) {
    scalar s;
    memcpy(s.bytes, signature->bytes + 32, sizeof(s.bytes));
    if (!is_context(context) || !scalar_is_canonical(&s) || !has_usable_encoding(pub)) {
        return false;
    }
    point a;
    memcpy(a.bytes, pub->bytes, sizeof(a.bytes));
    scalar h = challenge(context, signature->bytes, pub, msg, size);
    point ha;
    if (!multiply_prime(&h, &a, &ha) && !multiply_any(&h, &a, &ha)) {
        return false;
    }
    point sb = multiply_base(&s);
    point r;
    return subtract(&sb, &ha, &r) && memcmp(r.bytes, signature->bytes, sizeof(r.bytes)) == 0;
}
