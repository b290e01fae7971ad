/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/base64.h"

#include <stdbool.h>

#include "base/assert.h"

/* All ones when from <= value <= to, else 0; all of them below 256. */
static uint32_t in_range(uint32_t value, uint32_t from, uint32_t to) {
    return ((from - 1 - value) & (value - to - 1)) >> 8 & 0xff;
}

static char to_char(uint32_t value) {
    uint32_t c = in_range(value, 0, 25) & (value + 'A');
    c |= in_range(value, 26, 51) & (value - 26 + 'a');
    c |= in_range(value, 52, 61) & (value - 52 + '0');
    c |= in_range(value, 62, 62) & '+';
    c |= in_range(value, 63, 63) & '/';
    return (char)c;
}

/* The value of a character, or 0xff when it is not in the alphabet. */
static uint32_t to_value(uint32_t c) {
    uint32_t upper = in_range(c, 'A', 'Z');
    uint32_t lower = in_range(c, 'a', 'z');
    uint32_t digit = in_range(c, '0', '9');
    uint32_t plus = in_range(c, '+', '+');
    uint32_t slash = in_range(c, '/', '/');
    uint32_t value = (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) |
                     (plus & 62) | (slash & 63);
    return value | (~(upper | lower | digit | plus | slash) & 0xff);
}

size_t pln_base64_encode(const uint8_t *bytes, size_t count, char *text) {
    size_t length = 0;
    for (size_t i = 0; i < count; i += 3) {
        size_t left = count - i;
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)bytes[i + 2] : 0;
        text[length++] = to_char(group >> 18);
        text[length++] = to_char(group >> 12 & 63);
        text[length++] = left > 1 ? to_char(group >> 6 & 63) : '=';
        text[length++] = left > 2 ? to_char(group & 63) : '=';
    }
    PLN_ASSERT(length % 4 == 0);
    text[length] = '\0';
    return length;
}

typedef struct decoder {
    uint8_t *bytes;
    size_t cap;
    size_t count;
    uint32_t group;
    unsigned digits;  /* Of the group, padding included. */
    unsigned padding; /* Nothing may follow a padded group. */
} decoder;

static bool take_char(decoder *d, uint8_t c) {
    if (d->padding > 0 && (c != '=' || d->digits == 0)) {
        return false;
    }
    if (c == '=') {
        if (d->digits < 2) {
            return false;
        }
        d->padding += 1;
        d->group <<= 6;
    } else {
        uint32_t value = to_value(c);
        if (value > 63) {
            return false;
        }
        d->group = d->group << 6 | value;
    }
    d->digits += 1;
    return true;
}

static bool end_group(decoder *d) {
    PLN_ASSERT(d->digits == 4);
    PLN_ASSERT(d->padding <= 2);
    size_t count = 3 - d->padding;
    if (count > d->cap - d->count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        d->bytes[d->count++] = (uint8_t)(d->group >> (16 - 8 * i));
    }
    d->group = 0;
    d->digits = 0;
    return true;
}

pollen_err pln_base64_decode(const char *text, size_t size, uint8_t *bytes, size_t cap,
                             size_t *ret_count) {
    decoder d = {.bytes = bytes, .cap = cap};
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\r' || text[i] == '\n') {
            continue;
        }
        if (!take_char(&d, (uint8_t)text[i]) || (d.digits == 4 && !end_group(&d))) {
            return POLLEN_EPROTO;
        }
    }
    if (d.digits != 0) {
        return POLLEN_EPROTO;
    }
    PLN_ASSERT(d.count <= cap);
    *ret_count = d.count;
    return POLLEN_OK;
}
