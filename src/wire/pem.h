/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key files: PEM (RFC 7468) around the raw 32 bytes, as the reference writes them.
 */
#ifndef PLN_WIRE_PEM_H
#define PLN_WIRE_PEM_H

#include <stddef.h>
#include <stdint.h>

#include <pollen/err.h>

#define PLN_PEM_NODE_PRIVATE "ED25519 PRIVATE KEY"
#define PLN_PEM_NODE_PUBLIC "ED25519 PUBLIC KEY"
#define PLN_PEM_ADMIN_PRIVATE "POLLEN ADMIN ED25519 PRIVATE KEY"
#define PLN_PEM_ADMIN_PUBLIC "POLLEN ADMIN ED25519 PUBLIC KEY"

#define PLN_PEM_TEXT_BYTES 256 /* The longest of the four forms is 159 bytes. */

/*
 * Reads the first PEM block; text around it and headers inside are tolerated.
 *
 * Errors: POLLEN_EKEY  no block, another label, or not exactly 32 bytes inside
 */
POLLEN_MUST_USE pollen_err pln_pem_decode(const char *text, size_t size, const char *label,
                                          uint8_t ret_key[32]);

/* Into text[PLN_PEM_TEXT_BYTES]; returns the size without the NUL. */
size_t pln_pem_encode(const char *label, const uint8_t key[32], char *text);

#endif
