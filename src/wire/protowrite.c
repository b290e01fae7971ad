/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/protowrite.h"

#include <string.h>

#include "base/assert.h"

enum { VARINT_BYTES_MAX = 10 };

size_t pln_varint_size(uint64_t value) {
    size_t size = 1;
    while (value >= 0x80) {
        value >>= 7;
        size += 1;
    }
    return size;
}

size_t pln_varint_write(uint64_t value, uint8_t *out) {
    size_t size = 0;
    while (value >= 0x80) {
        out[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[size++] = (uint8_t)value;
    PLN_ASSERT(size <= VARINT_BYTES_MAX);
    return size;
}

static void put_varint(pln_out *out, uint64_t value) {
    uint8_t bytes[VARINT_BYTES_MAX];
    pln_out_put(out, bytes, pln_varint_write(value, bytes));
}

static void put_tag(pln_out *out, uint32_t number, pln_proto_type type) {
    PLN_ASSERT(number > 0);
    put_varint(out, (uint64_t)number << 3 | (uint64_t)type);
}

void pln_proto_put_present_u64(pln_out *out, uint32_t number, uint64_t value) {
    put_tag(out, number, PLN_PROTO_VARINT);
    put_varint(out, value);
}

void pln_proto_put_u64(pln_out *out, uint32_t number, uint64_t value) {
    if (value != 0) {
        pln_proto_put_present_u64(out, number, value);
    }
}

void pln_proto_put_i64(pln_out *out, uint32_t number, int64_t value) {
    pln_proto_put_u64(out, number, (uint64_t)value);
}

void pln_proto_put_bool(pln_out *out, uint32_t number, bool value) {
    pln_proto_put_u64(out, number, value ? 1 : 0);
}

void pln_proto_put_present(pln_out *out, uint32_t number, const void *data, size_t size) {
    PLN_ASSERT(data != NULL || size == 0);
    put_tag(out, number, PLN_PROTO_LEN);
    put_varint(out, size);
    pln_out_put(out, data, size);
}

void pln_proto_put_bytes(pln_out *out, uint32_t number, const void *data, size_t size) {
    if (size > 0) {
        pln_proto_put_present(out, number, data, size);
    }
}

void pln_proto_put_string(pln_out *out, uint32_t number, const char *text) {
    pln_proto_put_bytes(out, number, text, strlen(text));
}

void pln_proto_put_message(pln_out *out, uint32_t number, pln_out *inner) {
    PLN_ASSERT(inner != out);
    if (inner->failed) {
        out->failed = true;
    } else {
        pln_proto_put_present(out, number, inner->bytes.data, inner->bytes.size);
    }
    pln_out_fini(inner);
}

void pln_proto_put_unknown(pln_out *out, const pln_proto_message *message) {
    if (message == NULL) {
        return;
    }
    pln_proto_scan scan = pln_proto_scan_of(message->bytes, message->size);
    pln_proto_field field;
    pln_proto_step step;
    while ((step = pln_proto_next(&scan, &field)) == PLN_PROTO_FIELD) {
        if (!pln_proto_is_known(message->schema, field.number)) {
            pln_out_put(out, field.raw, field.raw_size);
        }
    }
    PLN_ASSERT(step == PLN_PROTO_END); /* It was read to its end before. */
}
