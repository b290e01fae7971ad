/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/envelope.h"

#include <string.h>

#include "base/assert.h"
#include "wire/digest.h"
#include "wire/protoscan.h"
#include "wire/protowrite.h"

/* Not a cast: the number comes from the network, and an enum holds only what it names. */
static pollen_envelope_kind kind_of(uint32_t number) {
    static const pollen_envelope_kind kinds[] = {
        POLLEN_ENVELOPE_CLOCK,
        POLLEN_ENVELOPE_PUNCH_REQUEST,
        POLLEN_ENVELOPE_PUNCH_TRIGGER,
        POLLEN_ENVELOPE_REDEEM_REQUEST,
        POLLEN_ENVELOPE_REDEEM_RESPONSE,
        POLLEN_ENVELOPE_OBSERVED_ADDRESS,
        POLLEN_ENVELOPE_EVENTS,
        POLLEN_ENVELOPE_RENEWAL_REQUEST,
        POLLEN_ENVELOPE_RENEWAL_RESPONSE,
        POLLEN_ENVELOPE_PAYLOAD,
        POLLEN_ENVELOPE_ECHO,
        POLLEN_ENVELOPE_DIGEST,
        POLLEN_ENVELOPE_WHEREABOUTS,
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (number == (uint32_t)kinds[i]) {
            return kinds[i];
        }
    }
    return POLLEN_ENVELOPE_NONE;
}

/* The body that counts: the last run of fields of one kind, where a field of another kind ends a
 * run. */
typedef struct run {
    pollen_envelope_kind kind;
    const uint8_t *begin; /* From here on the scan finds only bodies of this kind. */
    const uint8_t *body;  /* Of the last field of the run. */
    size_t body_size;
    size_t count;
    size_t total;
} run;

static void note_body(run *r, pollen_envelope_kind kind, const pln_proto_field *field) {
    PLN_ASSERT(kind != POLLEN_ENVELOPE_NONE);
    /* A payload is bytes and no message: of several the last one counts, they are not joined. */
    if (r->kind != kind || kind == POLLEN_ENVELOPE_PAYLOAD) {
        *r = (run){.kind = kind, .begin = field->raw};
    }
    r->body = field->data;
    r->body_size = field->size;
    r->count += 1;
    r->total += field->size;
}

pollen_err pln_envelope_decode(const uint8_t *bytes, size_t size, pln_bytes *scratch,
                               pollen_envelope_kind *ret_kind, const uint8_t **ret_body,
                               size_t *ret_body_size) {
    if (size > PLN_ENVELOPE_BYTES_MAX) {
        return POLLEN_EPROTO;
    }
    run r = {.kind = POLLEN_ENVELOPE_NONE};
    pln_proto_scan scan = pln_proto_scan_of(bytes, size);
    pln_proto_field field;
    pln_proto_step step;
    while ((step = pln_proto_next(&scan, &field)) == PLN_PROTO_FIELD) {
        pollen_envelope_kind kind = kind_of(field.number);
        if (kind == POLLEN_ENVELOPE_NONE) {
            continue;
        }
        if (field.type != PLN_PROTO_LEN) {
            return POLLEN_EPROTO;
        }
        note_body(&r, kind, &field);
    }
    if (step == PLN_PROTO_MALFORMED) {
        return POLLEN_EPROTO;
    }
    if (r.count > 1) {
        PLN_ASSERT(r.begin >= bytes && r.begin <= bytes + size);
        size_t left = (size_t)(bytes + size - r.begin);
        if (!pln_proto_join(r.begin, left, (uint32_t)r.kind, r.total, scratch)) {
            return POLLEN_ENOMEM;
        }
        r.body = scratch->data;
        r.body_size = scratch->size;
    }
    PLN_ASSERT((r.kind == POLLEN_ENVELOPE_NONE) == (r.count == 0));
    *ret_kind = r.kind;
    *ret_body = r.body;
    *ret_body_size = r.body_size;
    return POLLEN_OK;
}

static uint64_t tag_of(pollen_envelope_kind kind) {
    return (uint64_t)kind << 3 | PLN_PROTO_LEN;
}

size_t pln_envelope_overhead(pollen_envelope_kind kind, size_t body_size) {
    if (kind == POLLEN_ENVELOPE_NONE) {
        return 0;
    }
    return pln_varint_size(tag_of(kind)) + pln_varint_size(body_size);
}

size_t pln_envelope_encode(pollen_envelope_kind kind, const uint8_t *body, size_t body_size,
                           uint8_t *out) {
    if (kind == POLLEN_ENVELOPE_NONE) {
        return 0;
    }
    size_t size = pln_varint_write(tag_of(kind), out);
    size += pln_varint_write(body_size, out + size);
    if (body_size > 0) {
        memcpy(out + size, body, body_size);
    }
    return size + body_size;
}
