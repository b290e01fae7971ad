/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include <string.h>

#include "base/mem.h"

bool pln_bytes_set(pln_bytes *dst, const void *data, size_t size) {
    uint8_t *copy = NULL;
    if (size > 0) {
        /* Before the old content is freed, because data may be a part of it. */
        copy = pln_memdup(data, size);
        if (copy == NULL) {
            return false;
        }
    }
    pln_free(dst->data);
    dst->data = copy;
    dst->size = size;
    return true;
}

bool pln_bytes_copy(pln_bytes *dst, const pln_bytes *src) {
    return pln_bytes_set(dst, src->data, src->size);
}

void pln_bytes_fini(pln_bytes *bytes) {
    pln_free(bytes->data);
    bytes->data = NULL;
    bytes->size = 0;
}

bool pln_bytes_equal(const pln_bytes *a, const pln_bytes *b) {
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

int pln_hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

char *pln_hex_encode(const uint8_t *bytes, size_t count, char *text) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 0x0f];
    }
    text[2 * count] = '\0';
    return text;
}

bool pln_hex_decode(const char *text, uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int high = pln_hex_value(text[2 * i]);
        if (high < 0) {
            return false; /* Not read on: this may have been the end of text. */
        }
        int low = pln_hex_value(text[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * count] == '\0';
}
