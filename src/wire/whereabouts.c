/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/whereabouts.h"

#include "base/assert.h"
#include "wire/body.h"

/* 1 mapping, 2 allocation, 3 step, 4 seen, 5 addrs, 6 mapped */
static const pln_proto_schema schema = {.count = 7,
                                        .kinds = {[1] = PLN_FIELD_VARINT,
                                                  [2] = PLN_FIELD_VARINT,
                                                  [3] = PLN_FIELD_VARINT,
                                                  [4] = PLN_FIELD_REPEATED,
                                                  [5] = PLN_FIELD_REPEATED,
                                                  [6] = PLN_FIELD_BYTES}};

/* Up to max of the addresses under that number; false when one of them is none. */
static bool read_addrs(const pln_proto_message *msg, uint32_t number, pollen_addr *ret, size_t max,
                       size_t *ret_count) {
    pln_proto_scan scan = pln_proto_scan_of(msg->bytes, msg->size);
    pln_proto_field field;
    while (*ret_count < max && pln_proto_next_of(&scan, number, &field)) {
        if (!pln_body_read_addr(field.data, field.size, &ret[*ret_count])) {
            return false;
        }
        (*ret_count)++;
    }
    return true;
}

/* True without one. */
static bool read_mapped(const pln_proto_slot *slot, pollen_addr *ret) {
    return slot->size == 0 || pln_body_read_addr(slot->data, slot->size, ret);
}

pollen_err pln_whereabouts_decode(const uint8_t *body, size_t size, pln_whereabouts *ret) {
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&schema, body, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    const uint64_t mapping = msg.slots[1].value;
    const uint64_t allocation = msg.slots[2].value;
    const uint64_t step = msg.slots[3].value;
    *ret = (pln_whereabouts){
        .mapping = mapping <= POLLEN_NAT_MAPPING_HARD ? (pollen_nat_mapping)mapping
                                                      : POLLEN_NAT_MAPPING_UNKNOWN,
        .allocation = allocation <= POLLEN_NAT_ALLOCATION_RANDOM ? (pollen_nat_allocation)allocation
                                                                 : POLLEN_NAT_ALLOCATION_UNKNOWN,
        .step = step <= UINT16_MAX ? (uint16_t)step : 0,
    };
    if (!read_addrs(&msg, 4, ret->seen, PLN_WHEREABOUTS_SEEN_MAX, &ret->seen_count) ||
        !read_addrs(&msg, 5, ret->addrs, PLN_WHEREABOUTS_ADDRS_MAX, &ret->addr_count) ||
        !read_mapped(&msg.slots[6], &ret->mapped)) {
        err = POLLEN_EPROTO;
    }
    pln_proto_message_fini(&msg);
    return err;
}

static void put_addrs(pln_out *out, uint32_t number, const pollen_addr *addrs, size_t count) {
    for (size_t i = 0; i < count; i++) {
        pln_body_put_addr(out, number, &addrs[i]);
    }
}

void pln_whereabouts_put(const pln_whereabouts *msg, pln_out *out) {
    PLN_ASSERT(msg->seen_count <= PLN_WHEREABOUTS_SEEN_MAX);
    PLN_ASSERT(msg->addr_count <= PLN_WHEREABOUTS_ADDRS_MAX);
    pln_proto_put_u64(out, 1, msg->mapping);
    pln_proto_put_u64(out, 2, msg->allocation);
    pln_proto_put_u64(out, 3, msg->step);
    put_addrs(out, 4, msg->seen, msg->seen_count);
    put_addrs(out, 5, msg->addrs, msg->addr_count);
    put_addrs(out, 6, &msg->mapped, msg->mapped.port != 0 ? 1 : 0);
}

pollen_err pln_whereabouts_encode(const pln_whereabouts *msg, pln_bytes *ret) {
    pln_out out = {0};
    pln_whereabouts_put(msg, &out);
    return pln_body_finish(POLLEN_ENVELOPE_WHEREABOUTS, &out, ret);
}

static bool same_addrs(const pollen_addr *a, size_t a_count, const pollen_addr *b, size_t b_count) {
    bool same = a_count == b_count;
    for (size_t i = 0; same && i < a_count; i++) {
        same = pollen_addr_equal(&a[i], &b[i]);
    }
    return same;
}

bool pln_whereabouts_equal(const pln_whereabouts *a, const pln_whereabouts *b) {
    return a->mapping == b->mapping && a->allocation == b->allocation && a->step == b->step &&
           pollen_addr_equal(&a->mapped, &b->mapped) &&
           same_addrs(a->seen, a->seen_count, b->seen, b->seen_count) &&
           same_addrs(a->addrs, a->addr_count, b->addrs, b->addr_count);
}
