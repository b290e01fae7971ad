/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/whereabouts.h"

#include "base/assert.h"
#include "wire/body.h"

/* 1 mapping, 2 allocation, 3 last_port, 4 addrs */
static const pln_proto_schema schema = {.count = 5,
                                        .kinds = {[1] = PLN_FIELD_VARINT,
                                                  [2] = PLN_FIELD_VARINT,
                                                  [3] = PLN_FIELD_VARINT,
                                                  [4] = PLN_FIELD_REPEATED}};

static bool read_addrs(const pln_proto_message *msg, pln_whereabouts *ret) {
    pln_proto_scan scan = pln_proto_scan_of(msg->bytes, msg->size);
    pln_proto_field field;
    while (ret->addr_count < PLN_WHEREABOUTS_ADDRS_MAX && pln_proto_next_of(&scan, 4, &field)) {
        if (!pln_body_read_addr(field.data, field.size, &ret->addrs[ret->addr_count])) {
            return false;
        }
        ret->addr_count++;
    }
    return true;
}

pollen_err pln_whereabouts_decode(const uint8_t *body, size_t size, pln_whereabouts *ret) {
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&schema, body, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    const uint64_t mapping = msg.slots[1].value;
    const uint64_t allocation = msg.slots[2].value;
    const uint64_t port = msg.slots[3].value;
    *ret = (pln_whereabouts){
        .mapping = mapping <= POLLEN_NAT_MAPPING_HARD ? (pollen_nat_mapping)mapping
                                                      : POLLEN_NAT_MAPPING_UNKNOWN,
        .allocation = allocation <= POLLEN_NAT_ALLOCATION_RANDOM ? (pollen_nat_allocation)allocation
                                                                 : POLLEN_NAT_ALLOCATION_UNKNOWN,
        .last_port = port <= UINT16_MAX ? (uint16_t)port : 0,
    };
    if (!read_addrs(&msg, ret)) {
        err = POLLEN_EPROTO;
    }
    pln_proto_message_fini(&msg);
    return err;
}

void pln_whereabouts_put(const pln_whereabouts *msg, pln_out *out) {
    PLN_ASSERT(msg->addr_count <= PLN_WHEREABOUTS_ADDRS_MAX);
    pln_proto_put_u64(out, 1, msg->mapping);
    pln_proto_put_u64(out, 2, msg->allocation);
    pln_proto_put_u64(out, 3, msg->last_port);
    for (size_t i = 0; i < msg->addr_count; i++) {
        pln_body_put_addr(out, 4, &msg->addrs[i]);
    }
}

pollen_err pln_whereabouts_encode(const pln_whereabouts *msg, pln_bytes *ret) {
    pln_out out = {0};
    pln_whereabouts_put(msg, &out);
    return pln_body_finish(POLLEN_ENVELOPE_WHEREABOUTS, &out, ret);
}
