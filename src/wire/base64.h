/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 (RFC 4648, 4) with padding, as tokens, key files and both state files use it.
 *
 * Private keys pass through, so that neither direction branches on, or indexes by, the value of a
 * character that is part of the alphabet.
 */
#ifndef PLN_WIRE_BASE64_H
#define PLN_WIRE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include <pollen/err.h>

/* Characters without the NUL. */
#define PLN_BASE64_TEXT(count) (((count) + 2) / 3 * 4)

/* Bytes that a text of that many characters cannot exceed. */
#define PLN_BASE64_BYTES(count) ((count) / 4 * 3)

/* Into text[PLN_BASE64_TEXT(count) + 1], with a NUL; returns the length. */
size_t pln_base64_encode(const uint8_t *bytes, size_t count, char *text);

/*
 * Decodes into bytes[cap].  CR and LF are ignored wherever they are, as the reference does; the
 * bits left over in the last character are ignored too.
 *
 * Errors: POLLEN_EPROTO  a foreign character, missing or surplus padding, or more than cap bytes
 */
POLLEN_MUST_USE pollen_err pln_base64_decode(const char *text, size_t size, uint8_t *bytes,
                                             size_t cap, size_t *ret_count);

#endif
