/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys.  A node *is* its Ed25519 public key (RFC 8032): sessions, datagrams and streams run between
 * keys, and an address is only a hint of where a key may be reached.
 *
 * Thread: all functions here may be called from any thread.
 */
#ifndef POLLEN_KEY_H
#define POLLEN_KEY_H

#include <stdint.h>

#include <pollen/err.h>

#ifdef __cplusplus
extern "C" {
#endif

#define POLLEN_KEY_BYTES 32
#define POLLEN_KEY_HEX_BYTES 65 /* 64 lower-case hex digits and the terminating NUL. */

/* A public key.  Compared byte-wise; "the smaller key" means memcmp() < 0. */
typedef struct pollen_key {
    uint8_t bytes[POLLEN_KEY_BYTES];
} pollen_key;

/* The private half as its RFC 8032 seed.  Wipe it with pollen_seed_wipe() when done. */
typedef struct pollen_seed {
    uint8_t bytes[POLLEN_KEY_BYTES];
} pollen_seed;

/*
 * Draws a new seed from the operating system.
 *
 * Owner:  ret_seed is filled by value.
 * Errors: POLLEN_ESYS  no randomness could be had
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_seed_generate(pollen_seed *ret_seed);

/* Overwrites the seed in a way the compiler may not drop. */
POLLEN_API void pollen_seed_wipe(pollen_seed *seed);

/* The public key that belongs to the seed. */
POLLEN_API pollen_key pollen_seed_key(const pollen_seed *seed);

/* 64 lower-case hex digits and a NUL into hex[POLLEN_KEY_HEX_BYTES]; returns hex. */
POLLEN_API char *pollen_key_hex(const pollen_key *key, char *hex);

/*
 * Reads exactly 64 hex digits of either case.
 *
 * Owner:  text is borrowed for the call; ret_key is filled by value.
 * Errors: POLLEN_EINVAL  anything else than 64 hex digits
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_key_parse(const char *text, pollen_key *ret_key);

#ifdef __cplusplus
}
#endif

#endif
