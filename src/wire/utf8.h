/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 (RFC 3629), without surrogates, overlong forms or anything above U+10FFFF. */
#ifndef PLN_WIRE_UTF8_H
#define PLN_WIRE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of the code point that bytes begin with, and its value; 0 when they begin with none. */
size_t pln_utf8_next(const uint8_t *bytes, size_t size, uint32_t *ret_code);

/* UTF-8 throughout, and no NUL, so that it can be held as a C string. */
bool pln_utf8_is_text(const uint8_t *bytes, size_t size);

#endif
