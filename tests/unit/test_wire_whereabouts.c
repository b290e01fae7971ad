/* SPDX-License-Identifier: Apache-2.0 */
/* Whereabouts, alone and within a trigger: written and read again, and hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/key.h"
#include "support/addr_text.h"
#include "support/state_rig.h"
#include "wire/envelope.h"
#include "wire/protowrite.h"

/* The body of an envelope that the caller encoded; borrows from it. */
static const uint8_t *body_of(const pln_bytes *envelope, pollen_envelope_kind expected,
                              size_t *ret_size) {
    pln_bytes scratch = {0};
    pollen_envelope_kind kind;
    const uint8_t *body;
    assert_int_equal(
        pln_envelope_decode(envelope->data, envelope->size, &scratch, &kind, &body, ret_size),
        POLLEN_OK);
    assert_int_equal(kind, expected);
    return body;
}

static void assert_same(const pln_whereabouts *a, const pln_whereabouts *b) {
    assert_int_equal(a->mapping, b->mapping);
    assert_int_equal(a->allocation, b->allocation);
    assert_int_equal(a->step, b->step);
    assert_int_equal(a->seen_count, b->seen_count);
    assert_int_equal(a->addr_count, b->addr_count);
    for (size_t i = 0; i < a->seen_count; i++) {
        assert_true(pollen_addr_equal(&a->seen[i], &b->seen[i]));
    }
    for (size_t i = 0; i < a->addr_count; i++) {
        assert_true(pollen_addr_equal(&a->addrs[i], &b->addrs[i]));
    }
    assert_true(pollen_addr_equal(&a->mapped, &b->mapped));
}

static pln_whereabouts sample(void) {
    return (pln_whereabouts){
        .mapping = POLLEN_NAT_MAPPING_HARD,
        .allocation = POLLEN_NAT_ALLOCATION_SEQUENTIAL,
        .step = 256,
        .seen_count = 1,
        .seen = {addr_of("203.0.113.2:30007")},
        .addr_count = 2,
        .addrs = {addr_of("192.168.1.2:60611"), addr_of("[2001:db8::1]:60611")},
        .mapped = addr_of("203.0.113.2:40000")};
}

static void whereabouts_are_read_as_they_were_written(void **state) {
    (void)state;
    const pln_whereabouts written = sample();
    pln_bytes envelope = {0};
    assert_int_equal(pln_whereabouts_encode(&written, &envelope), POLLEN_OK);
    size_t size;
    const uint8_t *body = body_of(&envelope, POLLEN_ENVELOPE_WHEREABOUTS, &size);
    pln_whereabouts read;
    assert_int_equal(pln_whereabouts_decode(body, size, &read), POLLEN_OK);
    assert_same(&read, &written);
    pln_bytes_fini(&envelope);
}

static void without_a_mapping_none_is_told(void **state) {
    (void)state;
    pln_whereabouts written = sample();
    written.mapped = (pollen_addr){.port = 0};
    pln_bytes with = {0};
    pln_bytes without = {0};
    const pln_whereabouts whole = sample();
    assert_int_equal(pln_whereabouts_encode(&whole, &with), POLLEN_OK);
    assert_int_equal(pln_whereabouts_encode(&written, &without), POLLEN_OK);
    assert_int_equal(with.size - without.size, 2 + strlen("203.0.113.2:40000"));
    size_t size;
    const uint8_t *body = body_of(&without, POLLEN_ENVELOPE_WHEREABOUTS, &size);
    pln_whereabouts read;
    assert_int_equal(pln_whereabouts_decode(body, size, &read), POLLEN_OK);
    assert_same(&read, &written);
    pln_bytes_fini(&with);
    pln_bytes_fini(&without);
}

static void a_trigger_carries_them(void **state) {
    (void)state;
    const pln_punch_trigger written = {.peer = rig_key(4),
                                       .self_addr = addr_of("203.0.113.1:1000"),
                                       .peer_addr = addr_of("203.0.113.2:2000"),
                                       .has_whereabouts = true,
                                       .whereabouts = sample(),
                                       .round_trip = PLN_MS(80)};
    pln_bytes envelope = {0};
    assert_int_equal(pln_punch_trigger_encode(&written, &envelope), POLLEN_OK);
    size_t size;
    const uint8_t *body = body_of(&envelope, POLLEN_ENVELOPE_PUNCH_TRIGGER, &size);
    pln_punch_trigger read;
    assert_int_equal(pln_punch_trigger_decode(body, size, &read), POLLEN_OK);
    assert_true(pln_key_equal(&read.peer, &written.peer));
    assert_true(pollen_addr_equal(&read.self_addr, &written.self_addr));
    assert_true(pollen_addr_equal(&read.peer_addr, &written.peer_addr));
    assert_true(read.has_whereabouts);
    assert_same(&read.whereabouts, &written.whereabouts);
    assert_int_equal(read.round_trip, PLN_MS(80));
    pln_bytes_fini(&envelope);
}

static void any_difference_is_one(void **state) {
    (void)state;
    const pln_whereabouts same = sample();
    assert_true(pln_whereabouts_equal(&same, &same));
    pln_whereabouts others[] = {same, same, same, same, same, same, same};
    others[0].mapping = POLLEN_NAT_MAPPING_NONE;
    others[1].allocation = POLLEN_NAT_ALLOCATION_PRESERVING;
    others[2].step++;
    others[3].seen_count--;
    others[4].addr_count--;
    others[5].seen[0].port++;
    others[6].addrs[0].ip[0]++;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(pln_whereabouts_equal(&same, &others[i]));
        assert_false(pln_whereabouts_equal(&others[i], &same));
    }
}

static void a_verdict_of_a_later_version_is_unknown(void **state) {
    (void)state;
    static const uint8_t body[] = {0x08, 0x04, 0x10, 0x7f, 0x18, 0x80, 0x80, 0x04};
    pln_whereabouts read;
    assert_int_equal(pln_whereabouts_decode(body, sizeof body, &read), POLLEN_OK);
    assert_int_equal(read.mapping, POLLEN_NAT_MAPPING_UNKNOWN);
    assert_int_equal(read.allocation, POLLEN_NAT_ALLOCATION_UNKNOWN);
    assert_int_equal(read.step, 0); /* 65536 is no step between ports. */
}

static void addresses_beyond_the_maximum_are_dropped(void **state) {
    (void)state;
    pln_out out = {0};
    for (int i = 0; i < 20; i++) {
        pln_proto_put_string(&out, 4, "192.0.2.1:7");
        pln_proto_put_string(&out, 5, "192.0.2.1:7");
    }
    pln_bytes body = {0};
    assert_int_equal(pln_out_finish(&out, &body), POLLEN_OK);
    pln_whereabouts read;
    assert_int_equal(pln_whereabouts_decode(body.data, body.size, &read), POLLEN_OK);
    assert_int_equal(read.seen_count, PLN_WHEREABOUTS_SEEN_MAX);
    assert_int_equal(read.addr_count, PLN_WHEREABOUTS_ADDRS_MAX);
    pln_bytes_fini(&body);
}

static void a_host_name_is_malformed(void **state) {
    (void)state;
    static const uint8_t body[] = "\x22\x0b"
                                  "localhost:7";
    pln_whereabouts read;
    assert_int_equal(pln_whereabouts_decode(body, sizeof body - 1, &read), POLLEN_EPROTO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whereabouts_are_read_as_they_were_written),
        cmocka_unit_test(without_a_mapping_none_is_told),
        cmocka_unit_test(a_trigger_carries_them),
        cmocka_unit_test(any_difference_is_one),
        cmocka_unit_test(a_verdict_of_a_later_version_is_unknown),
        cmocka_unit_test(addresses_beyond_the_maximum_are_dropped),
        cmocka_unit_test(a_host_name_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
