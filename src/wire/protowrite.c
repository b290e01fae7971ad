/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/protowrite.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

enum { VARINT_BYTES_MAX = 10 };
enum { FIRST_CAP = 64 };

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
    return size;
}

void pln_proto_put_raw(pln_proto_out *out, const void *data, size_t size) {
    if (out->failed || size == 0) {
        return;
    }
    size_t used = out->bytes.size;
    PLN_ASSERT(size <= SIZE_MAX / 4 && used <= SIZE_MAX / 4);
    if (size > out->cap - used) {
        size_t cap = out->cap > 0 ? out->cap : FIRST_CAP;
        while (cap - used < size) {
            cap *= 2;
        }
        uint8_t *grown = pln_realloc(out->bytes.data, cap);
        if (grown == NULL) {
            out->failed = true;
            return;
        }
        out->bytes.data = grown;
        out->cap = cap;
    }
    memcpy(out->bytes.data + used, data, size);
    out->bytes.size = used + size;
}

static void put_varint(pln_proto_out *out, uint64_t value) {
    uint8_t bytes[VARINT_BYTES_MAX];
    pln_proto_put_raw(out, bytes, pln_varint_write(value, bytes));
}

static void put_tag(pln_proto_out *out, uint32_t number, pln_proto_type type) {
    put_varint(out, (uint64_t)number << 3 | (uint64_t)type);
}

void pln_proto_put_present_u64(pln_proto_out *out, uint32_t number, uint64_t value) {
    put_tag(out, number, PLN_PROTO_VARINT);
    put_varint(out, value);
}

void pln_proto_put_u64(pln_proto_out *out, uint32_t number, uint64_t value) {
    if (value != 0) {
        pln_proto_put_present_u64(out, number, value);
    }
}

void pln_proto_put_i64(pln_proto_out *out, uint32_t number, int64_t value) {
    pln_proto_put_u64(out, number, (uint64_t)value);
}

void pln_proto_put_bool(pln_proto_out *out, uint32_t number, bool value) {
    pln_proto_put_u64(out, number, value ? 1 : 0);
}

void pln_proto_put_present(pln_proto_out *out, uint32_t number, const void *data, size_t size) {
    put_tag(out, number, PLN_PROTO_LEN);
    put_varint(out, size);
    pln_proto_put_raw(out, data, size);
}

void pln_proto_put_bytes(pln_proto_out *out, uint32_t number, const void *data, size_t size) {
    if (size > 0) {
        pln_proto_put_present(out, number, data, size);
    }
}

void pln_proto_put_string(pln_proto_out *out, uint32_t number, const char *text) {
    pln_proto_put_bytes(out, number, text, strlen(text));
}

void pln_proto_put_message(pln_proto_out *out, uint32_t number, pln_proto_out *inner) {
    if (inner->failed) {
        out->failed = true;
    } else {
        pln_proto_put_present(out, number, inner->bytes.data, inner->bytes.size);
    }
    pln_proto_out_fini(inner);
}

void pln_proto_put_unknown(pln_proto_out *out, const pln_proto_message *message) {
    if (message == NULL) {
        return;
    }
    pln_proto_scan scan = pln_proto_scan_of(message->bytes, message->size);
    pln_proto_field field;
    while (pln_proto_next(&scan, &field) == PLN_PROTO_FIELD) {
        if (!pln_proto_is_known(message->schema, field.number)) {
            pln_proto_put_raw(out, field.raw, field.raw_size);
        }
    }
}

pollen_err pln_proto_finish(pln_proto_out *out, pln_bytes *ret) {
    if (out->failed) {
        pln_proto_out_fini(out);
        return POLLEN_ENOMEM;
    }
    pln_bytes_fini(ret);
    *ret = out->bytes;
    *out = (pln_proto_out){0};
    return POLLEN_OK;
}

void pln_proto_out_fini(pln_proto_out *out) {
    pln_bytes_fini(&out->bytes);
    *out = (pln_proto_out){0};
}
