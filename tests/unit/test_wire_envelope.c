/* SPDX-License-Identifier: Apache-2.0 */
/* The envelope and its bodies against the reference's vectors, and against hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/fail_mem.h"
#include "support/rows.h"
#include "wire/envelope.h"
#include "wire/protoscan.h"
#include "wire/state.h"

static int load(void **state) {
    *state = vectors_load("envelope");
    return 0;
}

/* Decodes a body and gives the envelope of what was understood; ret may be NULL. */
typedef pollen_err (*recode)(const uint8_t *body, size_t size, pln_bytes *ret);

/* The size that pln_envelope_overhead() promises is the size written. */
static pln_bytes wrap(pollen_envelope_kind kind, pln_bytes *body) {
    size_t size = pln_envelope_overhead(kind, body->size) + body->size;
    pln_bytes whole = {.data = pln_malloc(size > 0 ? size : 1), .size = size};
    assert_non_null(whole.data);
    assert_int_equal(pln_envelope_encode(kind, body->data, body->size, whole.data), size);
    pln_bytes_fini(body);
    return whole;
}

#define RECODE(name, type)                                                                         \
    static pollen_err recode_##name(const uint8_t *body, size_t size, pln_bytes *ret) {            \
        type msg;                                                                                  \
        pollen_err err = pln_##name##_decode(body, size, &msg);                                    \
        return err == POLLEN_OK ? pln_##name##_encode(&msg, ret) : err;                            \
    }

#define RECODE_OWNING(name, type)                                                                  \
    static pollen_err recode_##name(const uint8_t *body, size_t size, pln_bytes *ret) {            \
        type msg;                                                                                  \
        pollen_err err = pln_##name##_decode(body, size, &msg);                                    \
        if (err == POLLEN_OK) {                                                                    \
            err = pln_##name##_encode(&msg, ret);                                                  \
            pln_##name##_fini(&msg);                                                               \
        }                                                                                          \
        return err;                                                                                \
    }

#define RECODE_STATE(name, type, kind)                                                             \
    static pollen_err recode_##name(const uint8_t *body, size_t size, pln_bytes *ret) {            \
        type msg;                                                                                  \
        pln_bytes out;                                                                             \
        pollen_err err = pln_##name##_decode(body, size, &msg);                                    \
        if (err == POLLEN_OK) {                                                                    \
            err = pln_##name##_encode(&msg, &out);                                                 \
            pln_##name##_fini(&msg);                                                               \
        }                                                                                          \
        if (err == POLLEN_OK) {                                                                    \
            *ret = wrap(kind, &out);                                                               \
        }                                                                                          \
        return err;                                                                                \
    }

RECODE(punch_request, pln_punch_request)
RECODE(punch_trigger, pln_punch_trigger)
RECODE(observed_address, pollen_addr)
RECODE_OWNING(redeem_request, pln_redeem_request)
RECODE_OWNING(redeem_response, pln_redeem_response)
RECODE_OWNING(renewal_request, pln_renewal_request)
RECODE_OWNING(renewal_response, pln_renewal_response)
RECODE_STATE(gossip_clock, pln_gossip_clock, POLLEN_ENVELOPE_CLOCK)
RECODE_STATE(gossip_batch, pln_gossip_batch, POLLEN_ENVELOPE_EVENTS)

static const struct body {
    const char *name;
    pollen_envelope_kind kind;
    recode recode;
} bodies[] = {
    {"", POLLEN_ENVELOPE_NONE, NULL},
    {"clock", POLLEN_ENVELOPE_CLOCK, recode_gossip_clock},
    {"punch_coord_request", POLLEN_ENVELOPE_PUNCH_REQUEST, recode_punch_request},
    {"punch_coord_trigger", POLLEN_ENVELOPE_PUNCH_TRIGGER, recode_punch_trigger},
    {"invite_redeem_request", POLLEN_ENVELOPE_REDEEM_REQUEST, recode_redeem_request},
    {"invite_redeem_response", POLLEN_ENVELOPE_REDEEM_RESPONSE, recode_redeem_response},
    {"observed_address", POLLEN_ENVELOPE_OBSERVED_ADDRESS, recode_observed_address},
    {"events", POLLEN_ENVELOPE_EVENTS, recode_gossip_batch},
    {"cert_renewal_request", POLLEN_ENVELOPE_RENEWAL_REQUEST, recode_renewal_request},
    {"cert_renewal_response", POLLEN_ENVELOPE_RENEWAL_RESPONSE, recode_renewal_response},
};

static const struct body *body_of(const char *name) {
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        if (strcmp(bodies[i].name, name) == 0) {
            return &bodies[i];
        }
    }
    fail_msg("no such body: %s", name);
    return NULL;
}

static const struct body *body_of_kind(pollen_envelope_kind kind) {
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        if (bodies[i].kind == kind) {
            return &bodies[i];
        }
    }
    fail_msg("no such kind: %d", (int)kind);
    return NULL;
}

/* ---- What the reference sends ---------------------------------------------------------------- */

typedef enum outcome {
    SAME,    /* Read, and written as the reference wrote it. */
    READ,    /* Read, and written otherwise. */
    REFUSED, /* The body is. */
} outcome;

/* Where we do not do what the reference does, and why. */
static const struct deviation {
    const char *id;
    outcome outcome;
} deviations[] = {
    /* The reference pads and cuts keys of another length; no sender makes them. */
    {"punch-request-empty", REFUSED},
    {"punch-request-short", REFUSED},
    {"punch-request-long", REFUSED},
    {"punch-trigger-empty", REFUSED},
    /* The reference asks a resolver for the names that a coordinator sends, and dials what it
     * says. */
    {"punch-trigger-name", REFUSED},
    /* A zone is a name on the sender's machine and means nothing on ours. */
    {"punch-trigger-zone", REFUSED},
    {"observed-empty", REFUSED},
    /* The structure of a token is judged when it is decoded, not when it is redeemed. */
    {"redeem-request-empty-token", REFUSED},
    {"redeem-request-empty", REFUSED},
    /* Nothing signs what is around an address, so that unknown fields there need not be kept. */
    {"observed-unknown-fields", READ},
    /* The reference keeps a clock entry of nobody. */
    {"clock-empty-key", READ},
};

static outcome outcome_of(const json_t *row) {
    for (size_t i = 0; i < sizeof(deviations) / sizeof(deviations[0]); i++) {
        if (rows_is(row, "id", deviations[i].id)) {
            return deviations[i].outcome;
        }
    }
    return SAME;
}

static void check_sent(const json_t *row) {
    const struct body *wanted = body_of(rows_text(row, "body"));
    const char *sorted = rows_text(row, "deterministic") != NULL ? "deterministic" : "bytes";
    pln_bytes bytes = vectors_bytes(row, "bytes");
    pln_bytes canonical = vectors_bytes(row, sorted);
    pln_bytes scratch = {0};
    pollen_envelope_kind kind;
    const uint8_t *body;
    size_t size;
    assert_int_equal(pln_envelope_decode(bytes.data, bytes.size, &scratch, &kind, &body, &size),
                     POLLEN_OK);
    assert_int_equal(kind, wanted->kind);
    assert_null(scratch.data); /* One body: nothing was copied. */
    if (wanted->recode != NULL) {
        pln_bytes again = {0};
        outcome expected = outcome_of(row);
        pollen_err err = wanted->recode(body, size, &again);
        if (err != (expected == REFUSED ? POLLEN_EPROTO : POLLEN_OK)) {
            fail_msg("%s: %s", rows_text(row, "id"), pollen_strerror(err));
        }
        if (err == POLLEN_OK && pln_bytes_equal(&again, &canonical) != (expected == SAME)) {
            fail_msg("%s: other bytes", rows_text(row, "id"));
        }
        pln_bytes_fini(&again);
    }
    pln_bytes_fini(&bytes);
    pln_bytes_fini(&canonical);
}

static void every_message_of_the_reference_is_read_and_written(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*state, "encode"), i, row) {
        check_sent(row);
    }
}

/* ---- What the reference tolerates ------------------------------------------------------------ */

/* Judges the form of a whole envelope: of clock and events the form goes all the way down; the
 * content of the other bodies (is this text an address?) is not what these vectors are about. */
static pollen_err judge_form(const pln_bytes *bytes, pollen_envelope_kind *ret_kind) {
    pln_bytes scratch = {0};
    pln_bytes again = {0};
    const uint8_t *body;
    size_t size;
    pollen_err err =
        pln_envelope_decode(bytes->data, bytes->size, &scratch, ret_kind, &body, &size);
    if (err == POLLEN_OK && *ret_kind != POLLEN_ENVELOPE_NONE) {
        const struct body *b = body_of_kind(*ret_kind);
        pln_proto_scan scan = pln_proto_scan_of(body, size);
        pln_proto_field field;
        pln_proto_step step = PLN_PROTO_FIELD;
        while (step == PLN_PROTO_FIELD) {
            step = pln_proto_next(&scan, &field);
        }
        err = step == PLN_PROTO_MALFORMED ? POLLEN_EPROTO : POLLEN_OK;
        if (err == POLLEN_OK &&
            (b->kind == POLLEN_ENVELOPE_CLOCK || b->kind == POLLEN_ENVELOPE_EVENTS)) {
            err = b->recode(body, size, &again);
        }
    }
    pln_bytes_fini(&scratch);
    pln_bytes_fini(&again);
    return err;
}

/* Rows on which the reference and a generic decoder disagree interoperate either way.  Of those, we
 * refuse field numbers above 2^29-1, which the reference folds into smaller ones. */
static void malformed_and_odd_envelopes_are_judged_as_the_reference_does(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*state, "decode"), i, row) {
        pln_bytes bytes = vectors_bytes(row, "bytes");
        pollen_envelope_kind kind;
        bool accepted = rows_is(row, "verdict", "accept");
        pollen_err err = judge_form(&bytes, &kind);
        bool either = rows_text(row, "generic_decoder") != NULL;
        if (!either && err != (accepted ? POLLEN_OK : POLLEN_EPROTO)) {
            fail_msg("%s: %s", rows_text(row, "id"), pollen_strerror(err));
        }
        if (!either && accepted) {
            assert_int_equal(kind, body_of(rows_text(row, "body"))->kind);
        }
        pln_bytes_fini(&bytes);
    }
}

static pln_bytes row_bytes(void **state, const char *id) {
    return vectors_bytes(rows_find(*state, "decode", id), "bytes");
}

static void a_body_that_comes_twice_is_merged(void **state) {
    pln_bytes bytes = row_bytes(state, "same-body-twice");
    pln_bytes scratch = {0};
    pollen_envelope_kind kind;
    const uint8_t *body;
    size_t size;
    pln_punch_trigger trigger;
    char text[POLLEN_ADDR_TEXT_BYTES];
    assert_int_equal(pln_envelope_decode(bytes.data, bytes.size, &scratch, &kind, &body, &size),
                     POLLEN_OK);
    assert_int_equal(pln_punch_trigger_decode(body, size, &trigger), POLLEN_OK);
    assert_int_equal(trigger.peer.bytes[0], 0xed);
    assert_string_equal(pollen_addr_format(&trigger.peer_addr, text), "198.51.100.7:1");
    pln_bytes_fini(&scratch);
    pln_bytes_fini(&bytes);
}

static void another_body_in_between_ends_the_first(void **state) {
    pln_bytes bytes = row_bytes(state, "body-other-body-body");
    pln_bytes scratch = {0};
    pollen_envelope_kind kind;
    const uint8_t *body;
    size_t size;
    assert_int_equal(pln_envelope_decode(bytes.data, bytes.size, &scratch, &kind, &body, &size),
                     POLLEN_OK);
    assert_int_equal(kind, POLLEN_ENVELOPE_PUNCH_TRIGGER);
    assert_int_equal(size, 16); /* The address alone: the key was in the first. */
    pln_bytes_fini(&scratch);
    pln_bytes_fini(&bytes);
}

static void of_several_payloads_the_last_one_counts(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0xa2, 0x06, 2, 'a', 'b', 0xa2, 0x06, 1, 'c'};
    pln_bytes scratch = {0};
    pollen_envelope_kind kind;
    const uint8_t *body;
    size_t size;
    assert_int_equal(pln_envelope_decode(bytes, sizeof(bytes), &scratch, &kind, &body, &size),
                     POLLEN_OK);
    assert_int_equal(kind, POLLEN_ENVELOPE_PAYLOAD);
    assert_int_equal(size, 1);
    assert_int_equal(body[0], 'c');
}

static void an_envelope_over_the_limit_is_refused(void **state) {
    (void)state;
    static uint8_t bytes[PLN_ENVELOPE_BYTES_MAX + 1];
    static const uint8_t payload[PLN_ENVELOPE_BYTES_MAX];
    pln_bytes scratch = {0};
    pollen_envelope_kind kind;
    const uint8_t *body;
    size_t size;
    size_t most = PLN_ENVELOPE_BYTES_MAX - 4;
    assert_int_equal(pln_envelope_encode(POLLEN_ENVELOPE_PAYLOAD, payload, most, bytes),
                     PLN_ENVELOPE_BYTES_MAX);
    assert_int_equal(
        pln_envelope_decode(bytes, PLN_ENVELOPE_BYTES_MAX, &scratch, &kind, &body, &size),
        POLLEN_OK);
    assert_int_equal(size, most);
    most += 1;
    assert_int_equal(pln_envelope_encode(POLLEN_ENVELOPE_PAYLOAD, payload, most, bytes),
                     sizeof(bytes));
    assert_int_equal(pln_envelope_decode(bytes, sizeof(bytes), &scratch, &kind, &body, &size),
                     POLLEN_EPROTO);
}

static void none_is_encoded_as_nothing(void **state) {
    (void)state;
    uint8_t out[1];
    assert_int_equal(pln_envelope_overhead(POLLEN_ENVELOPE_NONE, 0), 0);
    assert_int_equal(pln_envelope_encode(POLLEN_ENVELOPE_NONE, NULL, 0, out), 0);
}

/* Cut anywhere, an envelope is refused or (between two fields) a shorter one; its bodies
 * likewise. */
static void every_truncation_ends_well(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*state, "encode"), i, row) {
        pln_bytes whole = vectors_bytes(row, "bytes");
        for (size_t size = 0; size < whole.size && whole.size < 1000; size++) {
            pln_bytes part = exact_bytes(whole.data, size);
            pollen_envelope_kind kind;
            pollen_err err = judge_form(&part, &kind);
            assert_true(err == POLLEN_EPROTO || size == 0 || rows_is(row, "id", "unknown-only") ||
                        rows_is(row, "id", "observed-unknown-fields"));
            pln_bytes_fini(&part);
        }
        pln_bytes_fini(&whole);
    }
}

static void every_truncated_body_ends_well(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*state, "encode"), i, row) {
        const struct body *b = body_of(rows_text(row, "body"));
        pln_bytes whole = vectors_bytes(row, "bytes");
        pln_bytes scratch = {0};
        pollen_envelope_kind kind;
        const uint8_t *body;
        size_t body_size;
        assert_int_equal(
            pln_envelope_decode(whole.data, whole.size, &scratch, &kind, &body, &body_size),
            POLLEN_OK);
        for (size_t size = 0; b->recode != NULL && size < body_size && size < 1000; size++) {
            pln_bytes part = exact_bytes(body, size);
            pln_bytes again = {0};
            pollen_err err = b->recode(part.data, part.size, &again);
            assert_true(err == POLLEN_OK || err == POLLEN_EPROTO);
            pln_bytes_fini(&again);
            pln_bytes_fini(&part);
        }
        pln_bytes_fini(&whole);
    }
}

/* ---- Bodies ---------------------------------------------------------------------------------- */

static void a_reason_is_made_printable_and_cut(void **state) {
    (void)state;
    uint8_t body[2 + 1 + 1 + 600];
    size_t used = 0;
    pln_redeem_response response;
    body[used++] = 0x12;
    body[used++] = 0xd8; /* 600 */
    body[used++] = 0x04;
    memcpy(body + used, "\x1b[1m\xc2\x9b\xff\x80", 8);
    for (size_t i = 8; i < 600; i += 2) {
        memcpy(body + used + i, "\xc3\xa9", 2);
    }
    used += 600;
    assert_int_equal(pln_redeem_response_decode(body, used, &response), POLLEN_OK);
    assert_memory_equal(response.reason, "?[1m???\xc3\xa9", 9);
    assert_int_equal(strlen(response.reason), 255); /* 7 and 124 times two: no half character. */
    pln_redeem_response_fini(&response);
    memset(body + used - 600, 'a', 600);
    assert_int_equal(pln_redeem_response_decode(body, used, &response), POLLEN_OK);
    assert_int_equal(strlen(response.reason), 255);
    pln_redeem_response_fini(&response);
}

static void an_echo_keeps_its_size(void **state) {
    (void)state;
    pln_echo echo = {.reply = true, .id = UINT64_MAX, .size = 1200};
    pln_echo again;
    pln_bytes bytes;
    pln_bytes scratch = {0};
    pollen_envelope_kind kind;
    const uint8_t *body;
    size_t size;
    assert_int_equal(pln_echo_encode(&echo, &bytes), POLLEN_OK);
    assert_int_equal(pln_envelope_decode(bytes.data, bytes.size, &scratch, &kind, &body, &size),
                     POLLEN_OK);
    assert_int_equal(kind, POLLEN_ENVELOPE_ECHO);
    assert_int_equal(pln_echo_decode(body, size, &again), POLLEN_OK);
    assert_true(again.reply);
    assert_true(again.id == UINT64_MAX);
    assert_int_equal(again.size, 1200);
    pln_bytes_fini(&bytes);
    echo.size = PLN_ENVELOPE_BYTES_MAX + 1;
    assert_int_equal(pln_echo_encode(&echo, &bytes), POLLEN_EINVAL);
}

static void a_message_around_nothing_is_not_encoded(void **state) {
    (void)state;
    pln_bytes bytes;
    assert_int_equal(pln_redeem_request_encode(&(pln_redeem_request){0}, &bytes), POLLEN_EINVAL);
    pln_redeem_response redeemed = {.has_join_token = true};
    assert_int_equal(pln_redeem_response_encode(&redeemed, &bytes), POLLEN_EINVAL);
    pln_renewal_response renewed = {.has_cert = true};
    assert_int_equal(pln_renewal_response_encode(&renewed, &bytes), POLLEN_EINVAL);
}

static void a_trigger_without_own_address_has_a_zero_one(void **state) {
    pln_bytes bytes = vectors_bytes(rows_find(*state, "encode", "punch-trigger-no-self"), "bytes");
    pln_punch_trigger trigger;
    assert_int_equal(pln_punch_trigger_decode(bytes.data + 2, bytes.size - 2, &trigger), POLLEN_OK);
    assert_int_equal(trigger.self_addr.port, 0);
    assert_int_equal(trigger.peer_addr.port, 40001);
    pln_bytes_fini(&bytes);
}

static void a_certificate_in_a_request_is_limited(void **state) {
    (void)state;
    static uint8_t der[PLN_CERT_BYTES_MAX + 1];
    for (size_t size = PLN_CERT_BYTES_MAX; size <= sizeof(der); size++) {
        pln_renewal_request request = {.current_cert = {.data = der, .size = size}};
        pln_renewal_request again;
        pln_bytes bytes;
        assert_int_equal(pln_renewal_request_encode(&request, &bytes), POLLEN_OK);
        pollen_err err = pln_renewal_request_decode(bytes.data + 3, bytes.size - 3, &again);
        assert_int_equal(err, size == PLN_CERT_BYTES_MAX ? POLLEN_OK : POLLEN_EPROTO);
        if (err == POLLEN_OK) {
            pln_renewal_request_fini(&again);
        }
        pln_bytes_fini(&bytes);
    }
}

/* ---- Lack of memory -------------------------------------------------------------------------- */

static void a_body_without_memory_leaves_nothing(void **state) {
    static const char *const ids[] = {
        "punch-trigger-v4", "redeem-request", "redeem-response-accepted", "renewal-request",
        "renewal-response", "observed-v4",    "events-several",           "clock-16"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const json_t *row = rows_find(*state, "encode", ids[i]);
        const struct body *b = body_of(rows_text(row, "body"));
        pln_bytes bytes = vectors_bytes(row, "bytes");
        pln_bytes scratch = {0};
        pollen_envelope_kind kind;
        const uint8_t *body;
        size_t size;
        assert_int_equal(pln_envelope_decode(bytes.data, bytes.size, &scratch, &kind, &body, &size),
                         POLLEN_OK);
        /* The last allocation of clock and events is of this test, in wrap(). */
        bool is_wrapped = kind == POLLEN_ENVELOPE_CLOCK || kind == POLLEN_ENVELOPE_EVENTS;
        pln_bytes out = {0};
        fail_mem_arm(SIZE_MAX);
        assert_int_equal(b->recode(body, size, &out), POLLEN_OK);
        (void)fail_mem_disarm();
        size_t last = fail_mem_count() - (is_wrapped ? 1 : 0);
        pln_bytes_fini(&out);
        for (size_t n = 1; n <= last; n++) {
            long live = fail_mem_live();
            fail_mem_arm(n);
            pollen_err err = b->recode(body, size, &out);
            assert_true(fail_mem_disarm());
            assert_int_equal(err, POLLEN_ENOMEM);
            assert_int_equal(fail_mem_live(), live);
        }
        pln_bytes_fini(&bytes);
    }
}

static void merging_without_memory_is_reported(void **state) {
    pln_bytes bytes = row_bytes(state, "same-body-twice");
    pln_bytes scratch = {0};
    pollen_envelope_kind kind;
    const uint8_t *body;
    size_t size;
    fail_mem_arm(1);
    pollen_err err = pln_envelope_decode(bytes.data, bytes.size, &scratch, &kind, &body, &size);
    assert_true(fail_mem_disarm());
    assert_int_equal(err, POLLEN_ENOMEM);
    pln_bytes_fini(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_of_the_reference_is_read_and_written),
        cmocka_unit_test(malformed_and_odd_envelopes_are_judged_as_the_reference_does),
        cmocka_unit_test(a_body_that_comes_twice_is_merged),
        cmocka_unit_test(another_body_in_between_ends_the_first),
        cmocka_unit_test(of_several_payloads_the_last_one_counts),
        cmocka_unit_test(an_envelope_over_the_limit_is_refused),
        cmocka_unit_test(none_is_encoded_as_nothing),
        cmocka_unit_test(every_truncation_ends_well),
        cmocka_unit_test(every_truncated_body_ends_well),
        cmocka_unit_test(a_reason_is_made_printable_and_cut),
        cmocka_unit_test(an_echo_keeps_its_size),
        cmocka_unit_test(a_message_around_nothing_is_not_encoded),
        cmocka_unit_test(a_trigger_without_own_address_has_a_zero_one),
        cmocka_unit_test(a_certificate_in_a_request_is_limited),
        cmocka_unit_test(a_body_without_memory_leaves_nothing),
        cmocka_unit_test(merging_without_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, load, vectors_unload);
}
