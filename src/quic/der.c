/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/der.h"

#include <string.h>

#include "base/assert.h"

/* ---- Reading --------------------------------------------------------------------------------- */

/* The length that starts at data[1]; returns the size of tag and length, 0 when malformed.
 * Indefinite and longer-than-needed forms are BER. */
static size_t read_length(const pln_der *in, size_t *ret_length) {
    if (in->size < 2) {
        return 0;
    }
    uint8_t first = in->data[1];
    if (first < 0x80) {
        *ret_length = first;
        return 2;
    }
    size_t count = first & 0x7f;
    if (count == 0 || count > 4 || in->size < 2 + count) {
        return 0;
    }
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        length = length << 8 | in->data[2 + i];
    }
    bool minimal = length >= 0x80 && in->data[2] != 0;
    if (!minimal) {
        return 0;
    }
    *ret_length = length;
    return 2 + count;
}

bool pln_der_any(pln_der *in, uint8_t *ret_tag, pln_der *ret, pln_der *ret_whole) {
    size_t length = 0;
    size_t head = read_length(in, &length);
    bool long_tag = head > 0 && (in->data[0] & 0x1f) == 0x1f;
    if (head == 0 || long_tag || length > in->size - head) {
        return false;
    }
    *ret_tag = in->data[0];
    *ret = (pln_der){in->data + head, length};
    if (ret_whole != NULL) {
        *ret_whole = (pln_der){in->data, head + length};
    }
    in->data += head + length;
    in->size -= head + length;
    return true;
}

bool pln_der_take(pln_der *in, uint8_t tag, pln_der *ret) {
    uint8_t found = 0;
    return pln_der_is(in, tag) && pln_der_any(in, &found, ret, NULL);
}

bool pln_der_equal_bytes(const pln_der *a, const uint8_t *bytes, size_t size) {
    return a->size == size && (size == 0 || memcmp(a->data, bytes, size) == 0);
}

bool pln_der_equal(const pln_der *a, const pln_der *b) {
    return pln_der_equal_bytes(a, b->data, b->size);
}

bool pln_der_is_integer(const pln_der *content) {
    if (content->size == 0) {
        return false;
    }
    if (content->size == 1) {
        return true;
    }
    bool next_negative = (content->data[1] & 0x80) != 0;
    bool padded =
        (content->data[0] == 0x00 && !next_negative) || (content->data[0] == 0xff && next_negative);
    return !padded;
}

bool pln_der_is_oid(const pln_der *content) {
    bool at_start = true;
    for (size_t i = 0; i < content->size; i++) {
        if (at_start && content->data[i] == 0x80) {
            return false; /* A leading zero digit. */
        }
        at_start = (content->data[i] & 0x80) == 0;
    }
    return content->size > 0 && at_start;
}

bool pln_der_is_bit_string(const pln_der *content) {
    if (content->size == 0) {
        return false;
    }
    uint8_t unused = content->data[0];
    if (unused > 7 || (content->size == 1 && unused != 0)) {
        return false;
    }
    uint8_t last = content->data[content->size - 1];
    return unused == 0 || (last & ((1u << unused) - 1)) == 0;
}

/* ---- Writing --------------------------------------------------------------------------------- */

void pln_der_put(pln_der_writer *out, const void *bytes, size_t size) {
    PLN_ASSERT(out->begin <= out->cap);
    if (out->overflow || size > out->begin) {
        out->overflow = true;
        return;
    }
    out->begin -= size;
    if (size > 0) {
        memcpy(out->data + out->begin, bytes, size);
    }
}

void pln_der_wrap(pln_der_writer *out, uint8_t tag, size_t mark) {
    if (out->overflow) {
        return;
    }
    PLN_ASSERT(mark >= out->begin);
    PLN_ASSERT(mark - out->begin <= UINT32_MAX);
    size_t length = mark - out->begin;
    uint8_t head[6] = {tag};
    size_t head_size = 2;
    if (length < 0x80) {
        head[1] = (uint8_t)length;
    } else {
        size_t count = length < 0x100 ? 1 : length < 0x10000 ? 2 : length < 0x1000000 ? 3 : 4;
        head[1] = (uint8_t)(0x80 | count);
        for (size_t i = 0; i < count; i++) {
            head[2 + i] = (uint8_t)(length >> (8 * (count - 1 - i)));
        }
        head_size += count;
    }
    pln_der_put(out, head, head_size);
}
