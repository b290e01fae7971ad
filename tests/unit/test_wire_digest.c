/* SPDX-License-Identifier: Apache-2.0 */
/* Digests: written and read again, and hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/key.h"
#include "base/mem.h"
#include "support/fail_mem.h"
#include "support/state_rig.h"
#include "wire/digest.h"
#include "wire/protowrite.h"

static pollen_err read_envelope(const pln_bytes *envelope, pln_digest *ret) {
    pln_bytes scratch = {0};
    pollen_envelope_kind kind;
    const uint8_t *body;
    size_t size;
    assert_int_equal(
        pln_envelope_decode(envelope->data, envelope->size, &scratch, &kind, &body, &size),
        POLLEN_OK);
    assert_int_equal(kind, 102);
    return pln_digest_decode(body, size, ret);
}

/* What reading what was written gives. */
static pollen_err again(const pln_digest *digest, pln_digest *ret) {
    pln_bytes envelope = {0};
    assert_int_equal(pln_digest_encode(digest, &envelope), POLLEN_OK);
    pollen_err err = read_envelope(&envelope, ret);
    pln_bytes_fini(&envelope);
    return err;
}

static void a_digest_is_read_as_it_was_written(void **state) {
    (void)state;
    pln_digest digest = {
        .from = rig_key(1),
        .has_to = true,
        .to = rig_key(9),
        .listed = true,
        .more = true,
        .span_count = 2,
        .spans = {{.has_to = true, .to = rig_key(5), .hash = UINT64_MAX}, {.hash = 0}},
        .entry_count = 2,
        .entries = {{.author = rig_key(1), .counter = 7, .hash = 1},
                    {.author = rig_key(8), .counter = UINT64_MAX, .hash = 2}},
        .want_count = 1,
        .wants = {{.author = rig_key(200), .above = 3}},
    };
    pln_digest read;
    assert_int_equal(again(&digest, &read), POLLEN_OK);
    assert_memory_equal(&read, &digest, sizeof(read));
}

static void the_bytes_of_a_digest_are_these(void **state) {
    (void)state;
    pln_digest digest = {.span_count = 1, .spans = {{.hash = 300}}};
    const uint8_t expected[] = {0xb2, 0x06, 0x05, 0x22, 0x03, 0x10, 0xac, 0x02};
    pln_bytes envelope = {0};
    assert_int_equal(pln_digest_encode(&digest, &envelope), POLLEN_OK);
    assert_int_equal(envelope.size, sizeof(expected));
    assert_memory_equal(envelope.data, expected, sizeof(expected));
    pln_bytes_fini(&envelope);
}

static void spans_have_to_grow(void **state) {
    (void)state;
    pln_digest read;
    pln_digest same = {
        .span_count = 2,
        .spans = {{.has_to = true, .to = rig_key(5)}, {.has_to = true, .to = rig_key(5)}}};
    assert_int_equal(again(&same, &read), POLLEN_EPROTO);
    same.spans[1].to = rig_key(6);
    assert_int_equal(again(&same, &read), POLLEN_OK);
    same.spans[0].has_to = false; /* Only the last one may be open. */
    assert_int_equal(again(&same, &read), POLLEN_EPROTO);
    pln_digest empty = {
        .from = rig_key(5), .span_count = 1, .spans = {{.has_to = true, .to = rig_key(5)}}};
    assert_int_equal(again(&empty, &read), POLLEN_EPROTO);
}

static void entries_have_to_grow_within_the_range(void **state) {
    (void)state;
    pln_digest read;
    pln_digest digest = {.from = rig_key(3),
                         .has_to = true,
                         .to = rig_key(6),
                         .listed = true,
                         .entry_count = 2,
                         .entries = {{.author = rig_key(3)}, {.author = rig_key(5)}}};
    assert_int_equal(again(&digest, &read), POLLEN_OK);
    digest.entries[0].author = rig_key(2);
    assert_int_equal(again(&digest, &read), POLLEN_EPROTO);
    digest.entries[0].author = rig_key(5);
    assert_int_equal(again(&digest, &read), POLLEN_EPROTO);
    digest.entries[0].author = rig_key(3);
    digest.entries[1].author = rig_key(6);
    assert_int_equal(again(&digest, &read), POLLEN_EPROTO);
}

/* A body of so many empty items of one kind. */
static pollen_err read_items(uint32_t number, size_t count, size_t key_size) {
    pln_out body = {0};
    pln_bytes bytes = {0};
    const uint8_t key[POLLEN_KEY_BYTES + 1] = {1};
    static pln_digest read;
    for (size_t i = 0; i < count; i++) {
        pln_out item = {0};
        pln_proto_put_bytes(&item, 1, key, key_size);
        pln_proto_put_message(&body, number, &item);
    }
    assert_int_equal(pln_out_finish(&body, &bytes), POLLEN_OK);
    pollen_err err = pln_digest_decode(bytes.data, bytes.size, &read);
    pln_bytes_fini(&bytes);
    return err;
}

static void items_are_bounded_in_number(void **state) {
    (void)state;
    assert_int_equal(read_items(6, PLN_DIGEST_ITEMS_MAX, POLLEN_KEY_BYTES), POLLEN_OK);
    assert_int_equal(read_items(4, PLN_DIGEST_ITEMS_MAX + 1, 0), POLLEN_EPROTO);
    assert_int_equal(read_items(5, PLN_DIGEST_ITEMS_MAX + 1, POLLEN_KEY_BYTES), POLLEN_EPROTO);
    assert_int_equal(read_items(6, PLN_DIGEST_ITEMS_MAX + 1, POLLEN_KEY_BYTES), POLLEN_EPROTO);
}

static void keys_have_to_be_keys(void **state) {
    (void)state;
    assert_int_equal(read_items(5, 1, POLLEN_KEY_BYTES), POLLEN_OK);
    assert_int_equal(read_items(5, 1, 0), POLLEN_EPROTO);
    assert_int_equal(read_items(5, 1, POLLEN_KEY_BYTES - 1), POLLEN_EPROTO);
    assert_int_equal(read_items(6, 1, POLLEN_KEY_BYTES + 1), POLLEN_EPROTO);
    assert_int_equal(read_items(4, 1, 0), POLLEN_OK); /* An open span. */
    assert_int_equal(read_items(4, 1, 31), POLLEN_EPROTO);
}

static void what_is_unknown_is_skipped(void **state) {
    (void)state;
    const uint8_t body[] = {0x38, 0x01, 0x7a, 0x02, 'h', 'i'};
    pln_digest read;
    assert_int_equal(pln_digest_decode(body, sizeof(body), &read), POLLEN_OK);
    assert_true(read.more);
    assert_int_equal(pln_digest_decode(body, sizeof(body) - 1, &read), POLLEN_EPROTO);
}

static void every_failing_allocation_is_survived(void **state) {
    (void)state;
    pln_digest digest = {.want_count = 3, .span_count = 1};
    for (size_t n = 1;; n++) {
        long live = fail_mem_live();
        pln_bytes envelope = {0};
        fail_mem_arm(n);
        pollen_err err = pln_digest_encode(&digest, &envelope);
        bool failed = fail_mem_disarm();
        assert_int_equal(err, failed ? POLLEN_ENOMEM : POLLEN_OK);
        pln_bytes_fini(&envelope);
        assert_int_equal(fail_mem_live(), live);
        if (!failed) {
            break;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_digest_is_read_as_it_was_written),
        cmocka_unit_test(the_bytes_of_a_digest_are_these),
        cmocka_unit_test(spans_have_to_grow),
        cmocka_unit_test(entries_have_to_grow_within_the_range),
        cmocka_unit_test(items_are_bounded_in_number),
        cmocka_unit_test(keys_have_to_be_keys),
        cmocka_unit_test(what_is_unknown_is_skipped),
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
