/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/protoscan.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

enum { VARINT_BYTES_MAX = 10 };
enum { FIELD_NUMBER_MAX = (1 << 29) - 1 };

static bool read_varint(pln_proto_scan *scan, uint64_t *ret_value) {
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_BYTES_MAX && scan->at < scan->end; i++) {
        uint8_t byte = *scan->at++;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool read_tag(pln_proto_scan *scan, uint32_t *ret_number, uint8_t *ret_type) {
    uint64_t tag;
    if (!read_varint(scan, &tag)) {
        return false;
    }
    uint64_t number = tag >> 3;
    if (number == 0 || number > FIELD_NUMBER_MAX) {
        return false;
    }
    *ret_number = (uint32_t)number;
    *ret_type = (uint8_t)(tag & 7);
    return true;
}

static bool skip(pln_proto_scan *scan, uint64_t size) {
    if (size > (uint64_t)(scan->end - scan->at)) {
        return false;
    }
    scan->at += size;
    return true;
}

/* Reads the value of a field that is no group. */
static bool read_value(pln_proto_scan *scan, uint8_t type, pln_proto_field *field) {
    uint64_t size;
    switch (type) {
    case PLN_PROTO_VARINT:
        return read_varint(scan, &field->value);
    case PLN_PROTO_FIXED64:
        return skip(scan, 8);
    case PLN_PROTO_FIXED32:
        return skip(scan, 4);
    case PLN_PROTO_LEN:
        if (!read_varint(scan, &size)) {
            return false;
        }
        field->data = scan->at;
        field->size = (size_t)size;
        return skip(scan, size);
    default:
        return false;
    }
}

/* Skips to the end of a group whose start was read.  Counting the depth instead of recursing lets
 * any nesting pass without stack; the numbers at start and end are not compared, as in the
 * reference. */
static bool skip_group(pln_proto_scan *scan) {
    size_t depth = 1;
    while (depth > 0) {
        uint32_t number;
        uint8_t type;
        pln_proto_field ignored;
        if (!read_tag(scan, &number, &type)) {
            return false;
        }
        if (type == PLN_PROTO_GROUP) {
            depth += 1;
        } else if (type == PLN_PROTO_GROUP_END) {
            depth -= 1;
        } else if (!read_value(scan, type, &ignored)) {
            return false;
        }
    }
    return true;
}

pln_proto_step pln_proto_next(pln_proto_scan *scan, pln_proto_field *ret_field) {
    if (scan->at == scan->end) {
        return PLN_PROTO_END;
    }
    pln_proto_field field = {.raw = scan->at};
    uint8_t type;
    if (!read_tag(scan, &field.number, &type)) {
        return PLN_PROTO_MALFORMED;
    }
    bool read = type == PLN_PROTO_GROUP ? skip_group(scan) : read_value(scan, type, &field);
    if (!read) {
        return PLN_PROTO_MALFORMED;
    }
    field.type = (pln_proto_type)type;
    field.raw_size = (size_t)(scan->at - field.raw);
    *ret_field = field;
    return PLN_PROTO_FIELD;
}

bool pln_proto_next_of(pln_proto_scan *scan, uint32_t number, pln_proto_field *ret_field) {
    while (pln_proto_next(scan, ret_field) == PLN_PROTO_FIELD) {
        if (ret_field->number == number) {
            return true;
        }
    }
    return false;
}

bool pln_proto_is_known(const pln_proto_schema *schema, uint32_t number) {
    return number < schema->count && schema->kinds[number] != PLN_FIELD_UNKNOWN;
}

bool pln_proto_join(const uint8_t *bytes, size_t size, uint32_t number, size_t total,
                    pln_bytes *ret) {
    uint8_t *joined = pln_malloc(total > 0 ? total : 1);
    if (joined == NULL) {
        return false;
    }
    size_t used = 0;
    pln_proto_scan scan = pln_proto_scan_of(bytes, size);
    pln_proto_field field;
    while (pln_proto_next_of(&scan, number, &field)) {
        PLN_ASSERT(field.size <= total - used);
        if (field.size > 0) {
            memcpy(joined + used, field.data, field.size);
        }
        used += field.size;
    }
    PLN_ASSERT(used == total);
    pln_bytes_fini(ret);
    *ret = (pln_bytes){.data = joined, .size = used};
    return true;
}

static bool note_field(pln_proto_message *message, const pln_proto_field *field) {
    pln_field_kind kind = (pln_field_kind)message->schema->kinds[field->number];
    pln_proto_type wanted = kind == PLN_FIELD_VARINT ? PLN_PROTO_VARINT : PLN_PROTO_LEN;
    if (field->type != wanted) {
        return false;
    }
    pln_proto_slot *slot = &message->slots[field->number];
    slot->value = field->value;
    slot->data = field->data;
    slot->size = field->size;
    slot->count += 1;
    slot->total += field->size;
    return true;
}

static pollen_err merge_messages(pln_proto_message *message) {
    for (uint32_t number = 1; number < message->schema->count; number++) {
        pln_proto_slot *slot = &message->slots[number];
        if (message->schema->kinds[number] != PLN_FIELD_MESSAGE || slot->count < 2) {
            continue;
        }
        pln_bytes *joined = &message->joined[number];
        if (!pln_proto_join(message->bytes, message->size, number, slot->total, joined)) {
            return POLLEN_ENOMEM;
        }
        slot->data = joined->data;
        slot->size = joined->size;
    }
    return POLLEN_OK;
}

pollen_err pln_proto_read(const pln_proto_schema *schema, const uint8_t *bytes, size_t size,
                          pln_proto_message *ret) {
    PLN_ASSERT(schema->count <= PLN_PROTO_FIELD_MAX + 1);
    pln_proto_message message = {.schema = schema, .bytes = bytes, .size = size};
    pln_proto_scan scan = pln_proto_scan_of(bytes, size);
    pln_proto_field field;
    pln_proto_step step;
    while ((step = pln_proto_next(&scan, &field)) == PLN_PROTO_FIELD) {
        if (pln_proto_is_known(schema, field.number) && !note_field(&message, &field)) {
            return POLLEN_EPROTO;
        }
    }
    if (step == PLN_PROTO_MALFORMED) {
        return POLLEN_EPROTO;
    }
    pollen_err err = merge_messages(&message);
    if (err != POLLEN_OK) {
        pln_proto_message_fini(&message);
        return err;
    }
    *ret = message;
    return POLLEN_OK;
}

void pln_proto_message_fini(pln_proto_message *message) {
    for (size_t i = 0; i <= PLN_PROTO_FIELD_MAX; i++) {
        pln_bytes_fini(&message->joined[i]);
    }
}
