/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/utf8.h"

/* How many bytes a first byte announces, and its bits of the code point; 0 when it is none. */
static size_t lead(uint8_t byte, uint32_t *ret_bits) {
    if (byte < 0x80) {
        *ret_bits = byte;
        return 1;
    }
    if (byte >= 0xc2 && byte <= 0xdf) { /* 0xc0 and 0xc1 could only be overlong. */
        *ret_bits = byte & 0x1f;
        return 2;
    }
    if (byte >= 0xe0 && byte <= 0xef) {
        *ret_bits = byte & 0x0f;
        return 3;
    }
    if (byte >= 0xf0 && byte <= 0xf4) {
        *ret_bits = byte & 0x07;
        return 4;
    }
    return 0;
}

size_t pln_utf8_next(const uint8_t *bytes, size_t size, uint32_t *ret_code) {
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t code;
    if (size == 0) {
        return 0;
    }
    size_t count = lead(bytes[0], &code);
    if (count == 0 || count > size) {
        return 0;
    }
    for (size_t i = 1; i < count; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (bytes[i] & 0x3f);
    }
    if (code < smallest[count] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        return 0;
    }
    *ret_code = code;
    return count;
}

bool pln_utf8_is_text(const uint8_t *bytes, size_t size) {
    size_t at = 0;
    while (at < size) {
        uint32_t code;
        size_t count = pln_utf8_next(bytes + at, size - at, &code);
        if (count == 0 || code == 0) {
            return false;
        }
        at += count;
    }
    return true;
}
