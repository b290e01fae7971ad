/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies that carry addresses: punch coordination, observed address, echo. */
#include "wire/body.h"

#include <string.h>

#include "base/addr.h"
#include "base/assert.h"
#include "base/key.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wire/admission_parts.h"
#include "wire/utf8.h"

pollen_err pln_body_finish(pollen_envelope_kind kind, pln_out *body, pln_bytes *ret) {
    PLN_ASSERT(kind != POLLEN_ENVELOPE_NONE);
    pln_out out = {0};
    pln_bytes envelope = {0};
    pln_proto_put_message(&out, (uint32_t)kind, body);
    pollen_err err = pln_out_finish(&out, &envelope);
    if (err == POLLEN_OK) {
        *ret = envelope;
    }
    return err;
}

bool pln_body_optional_key(const pln_proto_slot *slot, pollen_key *ret) {
    if (slot->size == 0) {
        *ret = (pollen_key){0};
        return true;
    }
    return pln_admission_key(slot, ret);
}

bool pln_body_read_addr(const uint8_t *data, size_t size, pollen_addr *ret) {
    char text[POLLEN_ADDR_TEXT_BYTES];
    if (size == 0 || size >= sizeof(text) || !pln_utf8_is_text(data, size)) {
        return false;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    return pollen_addr_parse(text, ret) == POLLEN_OK;
}

static bool read_addr(const pln_proto_slot *slot, pollen_addr *ret) {
    return pln_body_read_addr(slot->data, slot->size, ret);
}

void pln_body_put_addr(pln_out *out, uint32_t number, const pollen_addr *addr) {
    char text[POLLEN_ADDR_TEXT_BYTES];
    pln_proto_put_string(out, number, pollen_addr_format(addr, text));
}

/* ---- PunchCoordRequest: 1 peer_id ------------------------------------------------------------ */

pollen_err pln_punch_request_decode(const uint8_t *body, size_t size, pln_punch_request *ret) {
    static const pln_proto_schema schema = {.count = 2, .kinds = {[1] = PLN_FIELD_BYTES}};
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&schema, body, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    bool valid = pln_admission_key(&msg.slots[1], &ret->peer);
    pln_proto_message_fini(&msg);
    return valid ? POLLEN_OK : POLLEN_EPROTO;
}

pollen_err pln_punch_request_encode(const pln_punch_request *msg, pln_bytes *ret) {
    pln_out out = {0};
    pln_proto_put_bytes(&out, 1, msg->peer.bytes, POLLEN_KEY_BYTES);
    return pln_body_finish(POLLEN_ENVELOPE_PUNCH_REQUEST, &out, ret);
}

/* ---- PunchCoordTrigger: 1 peer_id, 2 self_addr, 3 peer_addr, 4 whereabouts (pollen/2) -------- */

pollen_err pln_punch_trigger_decode(const uint8_t *body, size_t size, pln_punch_trigger *ret) {
    static const pln_proto_schema schema = {.count = 6,
                                            .kinds = {[1] = PLN_FIELD_BYTES,
                                                      [2] = PLN_FIELD_BYTES,
                                                      [3] = PLN_FIELD_BYTES,
                                                      [4] = PLN_FIELD_MESSAGE,
                                                      [5] = PLN_FIELD_VARINT}};
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&schema, body, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_punch_trigger trigger = {0};
    if (!pln_admission_key(&msg.slots[1], &trigger.peer) ||
        !read_addr(&msg.slots[3], &trigger.peer_addr)) {
        err = POLLEN_EPROTO;
    }
    if (!read_addr(&msg.slots[2], &trigger.self_addr)) {
        trigger.self_addr = (pollen_addr){0};
    }
    trigger.has_whereabouts = msg.slots[4].data != NULL;
    trigger.round_trip = msg.slots[5].value <= PLN_ROUND_TRIP_TOLD_MAX / PLN_NS_PER_US
                             ? msg.slots[5].value * PLN_NS_PER_US
                             : 0;
    if (err == POLLEN_OK && trigger.has_whereabouts) {
        err = pln_whereabouts_decode(msg.slots[4].data, msg.slots[4].size, &trigger.whereabouts);
    }
    pln_proto_message_fini(&msg);
    if (err == POLLEN_OK) {
        *ret = trigger;
    }
    return err;
}

pollen_err pln_punch_trigger_encode(const pln_punch_trigger *msg, pln_bytes *ret) {
    pln_out out = {0};
    pln_proto_put_bytes(&out, 1, msg->peer.bytes, POLLEN_KEY_BYTES);
    if (msg->self_addr.port != 0) {
        pln_body_put_addr(&out, 2, &msg->self_addr);
    }
    pln_body_put_addr(&out, 3, &msg->peer_addr);
    if (msg->has_whereabouts) {
        pln_out inner = {0};
        pln_whereabouts_put(&msg->whereabouts, &inner);
        pln_proto_put_message(&out, 4, &inner);
        pln_proto_put_u64(&out, 5, msg->round_trip / PLN_NS_PER_US);
    }
    return pln_body_finish(POLLEN_ENVELOPE_PUNCH_TRIGGER, &out, ret);
}

/* ---- ObservedAddress: 1 addr ----------------------------------------------------------------- */

pollen_err pln_observed_address_decode(const uint8_t *body, size_t size, pollen_addr *ret) {
    static const pln_proto_schema schema = {.count = 2, .kinds = {[1] = PLN_FIELD_BYTES}};
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&schema, body, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    bool valid = read_addr(&msg.slots[1], ret);
    pln_proto_message_fini(&msg);
    return valid ? POLLEN_OK : POLLEN_EPROTO;
}

pollen_err pln_observed_address_encode(const pollen_addr *addr, pln_bytes *ret) {
    pln_out out = {0};
    pln_body_put_addr(&out, 1, addr);
    return pln_body_finish(POLLEN_ENVELOPE_OBSERVED_ADDRESS, &out, ret);
}

/* ---- Echo: 1 reply, 2 id, 3 padding ---------------------------------------------------------- */

pollen_err pln_echo_decode(const uint8_t *body, size_t size, pln_echo *ret) {
    static const pln_proto_schema schema = {
        .count = 4,
        .kinds = {[1] = PLN_FIELD_VARINT, [2] = PLN_FIELD_VARINT, [3] = PLN_FIELD_BYTES}};
    pln_proto_message msg;
    if (size > PLN_ENVELOPE_BYTES_MAX) {
        return POLLEN_EPROTO;
    }
    pollen_err err = pln_proto_read(&schema, body, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    *ret = (pln_echo){
        .reply = msg.slots[1].value != 0,
        .id = msg.slots[2].value,
        .size = (uint32_t)msg.slots[3].size,
    };
    pln_proto_message_fini(&msg);
    return POLLEN_OK;
}

pollen_err pln_echo_encode(const pln_echo *msg, pln_bytes *ret) {
    if (msg->size > PLN_ENVELOPE_BYTES_MAX) {
        return POLLEN_EINVAL;
    }
    uint8_t *padding = pln_calloc(1, msg->size > 0 ? msg->size : 1);
    if (padding == NULL) {
        return POLLEN_ENOMEM;
    }
    pln_out out = {0};
    pln_proto_put_bool(&out, 1, msg->reply);
    pln_proto_put_u64(&out, 2, msg->id);
    pln_proto_put_bytes(&out, 3, padding, msg->size);
    pln_free(padding);
    return pln_body_finish(POLLEN_ENVELOPE_ECHO, &out, ret);
}
