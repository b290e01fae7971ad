/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definitions in api/ against the bytes: code that protoc-c generated from them reads
 * everything the reference wrote, knows every field, and writes the same bytes again.  Our own
 * codec is held to the same bytes elsewhere, so that definitions and codec cannot drift apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pollen/admission/v1/admission.pb-c.h"
#include "pollen/mesh/v1/mesh.pb-c.h"
#include "pollen/state/v1/state.pb-c.h"
#include "support/rows.h"

static const struct type {
    const char *name;
    const ProtobufCMessageDescriptor *descriptor;
} types[] = {
    {"TrustBundle", &pollen__admission__v1__trust_bundle__descriptor},
    {"AdminCert", &pollen__admission__v1__admin_cert__descriptor},
    {"MembershipCert", &pollen__admission__v1__membership_cert__descriptor},
    {"JoinToken", &pollen__admission__v1__join_token__descriptor},
    {"InviteToken", &pollen__admission__v1__invite_token__descriptor},
    {"SignedRevocation", &pollen__admission__v1__signed_revocation__descriptor},
    {"Service", &pollen__state__v1__service__descriptor},
    {"GossipEvent", &pollen__state__v1__gossip_event__descriptor},
    {"GossipEventBatch", &pollen__state__v1__gossip_event_batch__descriptor},
    {"GossipVectorClock", &pollen__state__v1__gossip_vector_clock__descriptor},
};

static const ProtobufCMessageDescriptor *descriptor_of(const char *name) {
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].name, name) == 0) {
            return types[i].descriptor;
        }
    }
    fail_msg("no such message: %s", name);
    return NULL;
}

/* Whether a message or one inside it has fields that its definition does not name. */
static bool has_unknown(const ProtobufCMessage *message) {
    if (message->n_unknown_fields > 0) {
        return true;
    }
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const uint8_t *base = (const uint8_t *)message;
        if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
            continue;
        }
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = *(const size_t *)(const void *)(base + field->quantifier_offset);
            ProtobufCMessage *const *items =
                *(ProtobufCMessage *const *const *)(const void *)(base + field->offset);
            for (size_t k = 0; k < count; k++) {
                if (has_unknown(items[k])) {
                    return true;
                }
            }
            continue;
        }
        bool is_other =
            (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            *(const uint32_t *)(const void *)(base + field->quantifier_offset) != field->id;
        const ProtobufCMessage *inner =
            *(ProtobufCMessage *const *)(const void *)(base + field->offset);
        if (!is_other && inner != NULL && has_unknown(inner)) {
            return true;
        }
    }
    return false;
}

/* Reads and writes again.  The size is the same in any case; the bytes are unless the order of
 * fields may differ: the reference writes a oneof's member last, generated code in its place, and
 * maps in no order. */
static void check_message(const json_t *row, const char *key,
                          const ProtobufCMessageDescriptor *descriptor, bool ordered) {
    pln_bytes bytes = vectors_bytes(row, key);
    const char *id = rows_text(row, "id");
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, NULL, bytes.size, bytes.data);
    if (message == NULL) {
        fail_msg("%s is not read", id);
    }
    pln_bytes again = {.data = pln_calloc(1, bytes.size + 64), .size = 0};
    assert_non_null(again.data);
    assert_in_range(protobuf_c_message_get_packed_size(message), 0, bytes.size + 64);
    again.size = protobuf_c_message_pack(message, again.data);
    char *fields = json_dumps(json_object_get(row, "fields"), 0);
    assert_int_equal(has_unknown(message), strstr(fields, "_unknown") != NULL);
    if (ordered && !pln_bytes_equal(&again, &bytes)) {
        fail_msg("%s is written otherwise", id);
    }
    free(fields);
    protobuf_c_message_free_unpacked(message, NULL);
    pln_bytes_fini(&again);
    pln_bytes_fini(&bytes);
}

static void admission_objects_are_as_defined(void **state) {
    (void)state;
    json_t *root = vectors_load("admission");
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(root, "objects"), i, row) {
        check_message(row, "encoded", descriptor_of(rows_text(row, "type")), true);
    }
    json_decref(root);
}

static void envelopes_are_as_defined(void **state) {
    (void)state;
    json_t *root = vectors_load("envelope");
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(root, "encode"), i, row) {
        bool ordered = !rows_is(row, "body", "clock") && !rows_is(row, "body", "events");
        check_message(row, "bytes", &pollen__mesh__v1__envelope__descriptor, ordered);
    }
    json_decref(root);
}

static void state_messages_are_as_defined(void **state) {
    (void)state;
    json_t *root = vectors_load("state");
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(root, "encode"), i, row) {
        check_message(row, "bytes", descriptor_of(rows_text(row, "type")), false);
    }
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(admission_objects_are_as_defined),
        cmocka_unit_test(envelopes_are_as_defined),
        cmocka_unit_test(state_messages_are_as_defined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
