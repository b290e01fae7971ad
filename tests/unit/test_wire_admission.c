/* SPDX-License-Identifier: Apache-2.0 */
/* Admission objects against the reference's vectors, and against hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/fail_mem.h"
#include "support/rows.h"
#include "unit/admission_kinds.h"

static int load(void **state) {
    *state = vectors_load("admission");
    return 0;
}

static const admission_kind *kind_of(const char *name) {
    for (const admission_kind *kind = admission_kinds; kind->type != NULL; kind++) {
        if (strcmp(kind->type, name) == 0 || strcmp(kind->object, name) == 0) {
            return kind;
        }
    }
    fail_msg("no such object: %s", name);
    return NULL;
}

static pln_bytes object_bytes(void **state, const char *id) {
    return vectors_bytes(rows_find(*state, "objects", id), "encoded");
}

static pln_bytes case_bytes(void **state, const char *id) {
    return vectors_bytes(rows_find(*state, "cases", id), "bytes");
}

static void assert_bytes(const pln_bytes *got, const pln_bytes *wanted) {
    assert_int_equal(got->size, wanted->size);
    assert_memory_equal(got->data, wanted->data, wanted->size);
}

/* ---- The reference's bytes ------------------------------------------------------------------- */

static void every_object_decodes_to_its_own_bytes(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*state, "objects"), i, row) {
        const admission_kind *kind = kind_of(rows_text(row, "type"));
        pln_bytes encoded = vectors_bytes(row, "encoded");
        admission_object object;
        assert_int_equal(kind->decode(encoded.data, encoded.size, &object), POLLEN_OK);
        assert_bytes(kind->wire(&object), &encoded);
        if (kind->signed_bytes != NULL) {
            pln_bytes message = vectors_bytes(row, "signed_message");
            pln_bytes signature = vectors_bytes(row, "signature");
            assert_bytes(kind->signed_bytes(&object), &message);
            assert_memory_equal(kind->signature(&object)->bytes, signature.data, signature.size);
            pln_bytes_fini(&message);
            pln_bytes_fini(&signature);
        }
        kind->fini(&object);
        pln_bytes_fini(&encoded);
    }
}

static void every_object_is_built_from_its_fields(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*state, "objects"), i, row) {
        const admission_kind *kind = kind_of(rows_text(row, "type"));
        pln_bytes encoded = vectors_bytes(row, "encoded");
        admission_object object;
        assert_int_equal(kind->decode(encoded.data, encoded.size, &object), POLLEN_OK);
        pln_bytes_fini(kind->wire(&object));
        if (kind->encode_claims != NULL) {
            pln_bytes_fini(kind->signed_bytes(&object));
            assert_int_equal(kind->encode_claims(&object), POLLEN_OK);
        }
        assert_int_equal(kind->encode(&object), POLLEN_OK);
        assert_bytes(kind->wire(&object), &encoded);
        kind->fini(&object);
        pln_bytes_fini(&encoded);
    }
}

static void assert_key(const json_t *fields, const char *name, const pollen_key *key) {
    pln_bytes wanted = vectors_bytes(fields, name);
    assert_int_equal(wanted.size, POLLEN_KEY_BYTES);
    assert_memory_equal(wanted.data, key->bytes, POLLEN_KEY_BYTES);
    pln_bytes_fini(&wanted);
}

static int64_t i64_field(const json_t *fields, const char *name) {
    const char *text = rows_text(fields, name);
    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

static uint64_t u64_field(const json_t *fields, const char *name) {
    const char *text = rows_text(fields, name);
    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static void assert_admin_fields(const json_t *fields, const pln_admin_cert *cert) {
    const json_t *claims = json_object_get(fields, "claims");
    assert_key(claims, "cluster_id", &cert->cluster_id);
    assert_key(claims, "admin_pub", &cert->admin_pub);
    assert_int_equal(cert->not_before, i64_field(claims, "not_before_unix"));
    assert_int_equal(cert->not_after, i64_field(claims, "not_after_unix"));
    assert_true(cert->serial == u64_field(claims, "serial"));
}

static void assert_member_fields(const json_t *fields, const pln_member_cert *cert) {
    const json_t *claims = json_object_get(fields, "claims");
    assert_key(claims, "cluster_id", &cert->cluster_id);
    assert_key(claims, "subject_pub", &cert->subject_pub);
    assert_key(claims, "issuer_admin_pub", &cert->issuer_admin_pub);
    assert_int_equal(cert->not_before, i64_field(claims, "not_before_unix"));
    assert_int_equal(cert->not_after, i64_field(claims, "not_after_unix"));
    assert_true(cert->serial == u64_field(claims, "serial"));
    assert_int_equal(cert->non_renewable, json_is_true(json_object_get(claims, "non_renewable")));
    assert_admin_fields(json_object_get(fields, "issuer"), &cert->issuer);
}

static void assert_bootstrap_fields(const json_t *claims, const pln_bootstraps *list) {
    const json_t *peers = json_object_get(claims, "bootstrap");
    assert_int_equal(list->count, json_array_size(peers));
    for (size_t i = 0; i < list->count; i++) {
        const json_t *peer = json_array_get(peers, i);
        const json_t *addrs = json_object_get(peer, "addrs");
        assert_key(peer, "peer_pub", &list->items[i].peer_pub);
        assert_int_equal(list->items[i].addr_count, json_array_size(addrs));
        for (size_t k = 0; k < list->items[i].addr_count; k++) {
            assert_string_equal(list->items[i].addrs[k],
                                json_string_value(json_array_get(addrs, k)));
        }
    }
}

static void assert_join_fields(const json_t *fields, const pln_join_token *token) {
    const json_t *claims = json_object_get(fields, "claims");
    assert_string_equal(token->token_id, rows_text(claims, "token_id"));
    assert_key(json_object_get(claims, "trust"), "root_pub", &token->trust.root_pub);
    assert_admin_fields(json_object_get(claims, "issuer"), &token->issuer);
    assert_member_fields(json_object_get(claims, "member_cert"), &token->member_cert);
    assert_bootstrap_fields(claims, &token->bootstrap);
    assert_int_equal(token->issued_at, i64_field(claims, "issued_at_unix"));
    assert_int_equal(token->expires_at, i64_field(claims, "expires_at_unix"));
}

static void assert_invite_fields(const json_t *fields, const pln_invite_token *token) {
    const json_t *claims = json_object_get(fields, "claims");
    assert_string_equal(token->token_id, rows_text(claims, "token_id"));
    assert_key(json_object_get(claims, "trust"), "root_pub", &token->trust.root_pub);
    assert_admin_fields(json_object_get(claims, "issuer"), &token->issuer);
    assert_bootstrap_fields(claims, &token->bootstrap);
    assert_int_equal(token->has_subject, rows_text(claims, "subject_pub") != NULL);
    if (token->has_subject) {
        assert_key(claims, "subject_pub", &token->subject_pub);
    }
    assert_int_equal(token->issued_at, i64_field(claims, "issued_at_unix"));
    assert_int_equal(token->expires_at, i64_field(claims, "expires_at_unix"));
    assert_int_equal(token->membership_ttl_seconds, i64_field(claims, "membership_ttl_seconds"));
    assert_int_equal(token->non_renewable, json_is_true(json_object_get(claims, "non_renewable")));
}

static void assert_revocation_fields(const json_t *fields, const pln_revocation *revocation) {
    const json_t *entry = json_object_get(fields, "entry");
    assert_key(entry, "cluster_id", &revocation->cluster_id);
    assert_key(entry, "subject_pub", &revocation->subject_pub);
    assert_key(entry, "issuer_admin_pub", &revocation->issuer_admin_pub);
    assert_int_equal(revocation->revoked_at, i64_field(entry, "revoked_at_unix"));
}

static void every_object_decodes_to_the_fields_named(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*state, "objects"), i, row) {
        const admission_kind *kind = kind_of(rows_text(row, "type"));
        const json_t *fields = json_object_get(row, "fields");
        pln_bytes encoded = vectors_bytes(row, "encoded");
        admission_object object;
        assert_int_equal(kind->decode(encoded.data, encoded.size, &object), POLLEN_OK);
        if (strcmp(kind->type, "TrustBundle") == 0) {
            assert_key(fields, "cluster_id", &object.trust.cluster_id);
            assert_key(fields, "root_pub", &object.trust.root_pub);
        } else if (strcmp(kind->type, "AdminCert") == 0) {
            assert_admin_fields(fields, &object.admin);
        } else if (strcmp(kind->type, "MembershipCert") == 0) {
            assert_member_fields(fields, &object.member);
        } else if (strcmp(kind->type, "JoinToken") == 0) {
            assert_join_fields(fields, &object.join);
        } else if (strcmp(kind->type, "InviteToken") == 0) {
            assert_invite_fields(fields, &object.invite);
        } else {
            assert_revocation_fields(fields, &object.revocation);
        }
        kind->fini(&object);
        pln_bytes_fini(&encoded);
    }
}

/* ---- Structure ------------------------------------------------------------------------------- */

/* Whether a text of the reference's errors comes from its structural validation, which here is part
 * of decoding; what else it rejects is for auth to judge. */
static bool is_structural(const json_t *row) {
    const char *error = rows_text(row, "error");
    return strcmp(rows_text(row, "stage"), "decode") == 0 ||
           strstr(error, "validation error") != NULL || strstr(error, "invalid UTF-8") != NULL;
}

/* A join token's bytes read as an invite: the reference unmarshals them and its validator refuses;
 * here the field that would be a bootstrap peer is refused one step earlier.  The verdict is the
 * same. */
static void structure_is_judged_as_the_reference_does(void **state) {
    size_t i;
    size_t refused = 0;
    json_t *row;
    json_array_foreach(rows_of(*state, "cases"), i, row) {
        const admission_kind *kind = kind_of(rows_text(row, "object"));
        bool accepted = strcmp(rows_text(row, "verdict"), "accept") == 0;
        bool decodes = accepted || !is_structural(row);
        pln_bytes bytes = vectors_bytes(row, "bytes");
        admission_object object;
        pollen_err err = kind->decode(bytes.data, bytes.size, &object);
        if (err != (decodes ? POLLEN_OK : POLLEN_EPROTO)) {
            fail_msg("%s: %s", rows_text(row, "id"), pollen_strerror(err));
        }
        if (err == POLLEN_OK) {
            kind->fini(&object);
        } else {
            refused += 1;
        }
        pln_bytes_fini(&bytes);
    }
    assert_true(refused > 60); /* The sorting above did sort. */
}

/* All vectors whose bytes are another encoding of the same content have the message that was
 * signed. */
static void other_encodings_of_a_content_have_the_signed_form(void **state) {
    static const char *const pairs[][2] = {
        {"admin/reordered-claims", "admin/root-valid"},
        {"admin/long-lengths", "admin/root-valid"},
        {"admin/claims-split", "admin/root-valid"},
        {"admin/claims-duplicate", "admin/root-valid"},
        {"admin/unknown-outside-claims", "admin/root-valid"},
        {"admin/unknown-in-claims-signed-moved", "admin/unknown-in-claims-signed"},
        {"member/reordered", "member/root-issued"},
        {"member/non-renewable-as-2", "member/non-renewable"},
        {"join/reordered", "join/valid"},
        {"join/nested-reordered", "join/valid"},
        {"invite/reordered", "invite/open"},
        {"revocation/reordered", "revocation/valid"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        const admission_kind *kind =
            kind_of(rows_text(rows_find(*state, "cases", pairs[i][0]), "object"));
        pln_bytes other = case_bytes(state, pairs[i][0]);
        pln_bytes plain = case_bytes(state, pairs[i][1]);
        admission_object a;
        admission_object b;
        assert_int_equal(kind->decode(other.data, other.size, &a), POLLEN_OK);
        assert_int_equal(kind->decode(plain.data, plain.size, &b), POLLEN_OK);
        assert_true(pln_bytes_equal(kind->signed_bytes(&a), kind->signed_bytes(&b)));
        kind->fini(&a);
        kind->fini(&b);
        pln_bytes_fini(&other);
        pln_bytes_fini(&plain);
    }
}

static void unknown_fields_are_kept_byte_for_byte_at_the_end(void **state) {
    /* Field 15 with a tag padded to three bytes, and a group with a nested group. */
    static const uint8_t unknown[] = {0xfa, 0x80, 0x00, 0x01, 'x',  0xa3, 0x01, 0x08,
                                      0x01, 0xab, 0x01, 0xac, 0x01, 0xa4, 0x01};
    pln_bytes plain = object_bytes(state, "trust");
    uint8_t bytes[sizeof(unknown) + 68];
    assert_int_equal(plain.size, 68);
    memcpy(bytes, unknown, sizeof(unknown));
    memcpy(bytes + sizeof(unknown), plain.data, plain.size);
    pln_trust trust;
    assert_int_equal(pln_trust_decode(bytes, sizeof(bytes), &trust), POLLEN_OK);
    assert_int_equal(trust.wire.size, sizeof(bytes));
    assert_memory_equal(trust.wire.data, plain.data, plain.size);
    assert_memory_equal(trust.wire.data + plain.size, unknown, sizeof(unknown));
    pln_trust_fini(&trust);
    pln_bytes_fini(&plain);
}

static void a_uuid_is_36_characters_in_five_groups(void **state) {
    (void)state;
    assert_true(pln_is_uuid("123e4567-e89b-42d3-a456-426614174000"));
    assert_true(pln_is_uuid("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"));
    assert_false(pln_is_uuid(""));
    assert_false(pln_is_uuid("123e4567-e89b-42d3-a456-42661417400"));
    assert_false(pln_is_uuid("123e4567-e89b-42d3-a456-4266141740000"));
    assert_false(pln_is_uuid("123e4567e-89b-42d3-a456-426614174000"));
    assert_false(pln_is_uuid("123e4567-e89b-42d3-a456-42661417400g"));
}

/* ---- Hostile bytes --------------------------------------------------------------------------- */

/* A prefix that ends between two fields is a shorter message and may be one; the required parts
 * make it none. */
static void every_truncation_is_refused(void **state) {
    static const char *const ids[] = {"trust",  "admin-root",  "member-a",
                                      "join-a", "invite-open", "revocation-a"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const admission_kind *kind =
            kind_of(rows_text(rows_find(*state, "objects", ids[i]), "type"));
        pln_bytes whole = object_bytes(state, ids[i]);
        for (size_t size = 0; size < whole.size; size++) {
            pln_bytes part = exact_bytes(whole.data, size);
            admission_object object;
            assert_int_equal(kind->decode(part.data, part.size, &object), POLLEN_EPROTO);
            pln_bytes_fini(&part);
        }
        pln_bytes_fini(&whole);
    }
}

/* The tenth byte of a varint holds one bit of the number; the reference ignores the rest, and so do
 * we. */
static bool is_tenth_of_varint(const pln_bytes *bytes, size_t at) {
    for (size_t i = 1; i <= 9; i++) {
        if (at < i || bytes->data[at - i] < 0x80) {
            return false;
        }
    }
    return true;
}

static void every_changed_byte_is_refused_or_shows(void **state) {
    pln_bytes whole = object_bytes(state, "join-a");
    for (size_t at = 0; at < whole.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            pln_bytes changed = exact_bytes(whole.data, whole.size);
            changed.data[at] ^= (uint8_t)(1u << bit);
            pln_join_token token;
            if (pln_join_token_decode(changed.data, changed.size, &token) == POLLEN_OK) {
                bool same = token.wire.size == whole.size &&
                            memcmp(token.wire.data, whole.data, whole.size) == 0;
                assert_true(!same || (bit > 0 && is_tenth_of_varint(&whole, at)));
                pln_join_token_fini(&token);
            }
            pln_bytes_fini(&changed);
        }
    }
    pln_bytes_fini(&whole);
}

/* Unknown fields make an object as large as one likes; one byte over the limit is refused, and a
 * mebibyte is too, without being looked at. */
static void over_long_objects_are_refused(void **state) {
    static const char *const ids[] = {"trust",  "admin-root",  "member-a",
                                      "join-a", "invite-open", "revocation-a"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const admission_kind *kind =
            kind_of(rows_text(rows_find(*state, "objects", ids[i]), "type"));
        pln_bytes plain = object_bytes(state, ids[i]);
        size_t sizes[] = {kind->bytes_max, kind->bytes_max + 1, 1 << 20};
        for (size_t k = 0; k < 3; k++) {
            uint8_t *bytes = malloc(sizes[k]);
            assert_non_null(bytes);
            memset(bytes, 0, sizes[k]);
            memcpy(bytes, plain.data, plain.size);
            for (size_t at = plain.size; at < sizes[k]; at += 1) {
                /* Field 15, varint 0; an odd byte out is a padded value. */
                bool odd = at == plain.size && (sizes[k] - at) % 2 == 1;
                bytes[at] = 0x78;
                bytes[at + 1] = odd ? 0x80 : 0;
                at += odd ? 2 : 1;
            }
            admission_object object;
            pollen_err err = kind->decode(bytes, sizes[k], &object);
            assert_int_equal(err, k == 0 ? POLLEN_OK : POLLEN_EPROTO);
            if (err == POLLEN_OK) {
                kind->fini(&object);
            }
            free(bytes);
        }
        pln_bytes_fini(&plain);
    }
}

/* ---- Building -------------------------------------------------------------------------------- */

static void an_object_without_its_parts_is_not_built(void **state) {
    (void)state;
    pln_member_cert member = {0};
    pln_join_token join = {0};
    pln_invite_token invite = {0};
    assert_int_equal(pln_member_cert_encode_claims(&member), POLLEN_OK);
    assert_int_equal(pln_member_cert_encode(&member), POLLEN_EINVAL);
    assert_int_equal(pln_join_token_encode_claims(&join), POLLEN_EINVAL);
    assert_int_equal(pln_invite_token_encode_claims(&invite), POLLEN_EINVAL);
    pln_member_cert_fini(&member);
}

static pln_join_token decoded_join(void **state) {
    pln_bytes bytes = object_bytes(state, "join-a");
    pln_join_token token;
    assert_int_equal(pln_join_token_decode(bytes.data, bytes.size, &token), POLLEN_OK);
    pln_bytes_fini(&bytes);
    return token;
}

static void bootstrap_limits_hold_in_both_directions(void **state) {
    pln_join_token token = decoded_join(state);
    const char *addr = "192.0.2.1:60611";
    pln_bootstraps_fini(&token.bootstrap);
    for (unsigned i = 0; i <= PLN_BOOTSTRAP_MAX; i++) {
        pollen_key key = {.bytes = {(uint8_t)i}};
        pln_join_token again;
        assert_int_equal(pln_bootstraps_add(&token.bootstrap, &key, &addr, 1), POLLEN_OK);
        if (i == PLN_BOOTSTRAP_MAX) {
            break;
        }
        assert_int_equal(pln_join_token_encode_claims(&token), POLLEN_OK);
        assert_int_equal(pln_join_token_encode(&token), POLLEN_OK);
        assert_int_equal(pln_join_token_decode(token.wire.data, token.wire.size, &again),
                         POLLEN_OK);
        assert_int_equal(again.bootstrap.count, i + 1);
        assert_true(pln_bytes_equal(&again.wire, &token.wire));
        pln_join_token_fini(&again);
    }
    assert_int_equal(pln_join_token_encode_claims(&token), POLLEN_EINVAL);
    pln_join_token_fini(&token);
}

static void addresses_of_a_peer_are_limited(void **state) {
    pln_join_token token = decoded_join(state);
    pollen_key key = {.bytes = {7}};
    pln_bootstraps_fini(&token.bootstrap);
    for (unsigned i = 0; i <= PLN_ADDRS_MAX; i++) {
        char text[32];
        const char *addr = text;
        snprintf(text, sizeof(text), "192.0.2.1:%u", 1000 + i);
        assert_int_equal(pln_bootstraps_add(&token.bootstrap, &key, &addr, 1), POLLEN_OK);
        assert_int_equal(pln_join_token_encode_claims(&token),
                         i < PLN_ADDRS_MAX ? POLLEN_OK : POLLEN_EINVAL);
    }
    assert_int_equal(token.bootstrap.count, 1);
    pln_join_token_fini(&token);
}

static void adding_a_known_peer_adds_only_new_addresses(void **state) {
    (void)state;
    pln_bootstraps list = {0};
    pollen_key a = {.bytes = {1}};
    pollen_key b = {.bytes = {2}};
    const char *first[] = {"x:1", "y:2"};
    const char *second[] = {"y:2", "z:3"};
    assert_int_equal(pln_bootstraps_add(&list, &a, first, 2), POLLEN_OK);
    assert_int_equal(pln_bootstraps_add(&list, &b, first, 1), POLLEN_OK);
    assert_int_equal(pln_bootstraps_add(&list, &a, second, 2), POLLEN_OK);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[0].addr_count, 3);
    assert_string_equal(list.items[0].addrs[2], "z:3");
    assert_int_equal(list.items[1].addr_count, 1);
    pln_bootstraps_fini(&list);
}

static void copies_are_equal_and_independent(void **state) {
    pln_join_token token = decoded_join(state);
    pln_trust trust = {0};
    pln_member_cert member = {0};
    pln_admin_cert admin = {0};
    pln_bootstraps list = {0};
    assert_int_equal(pln_trust_copy(&trust, &token.trust), POLLEN_OK);
    assert_int_equal(pln_member_cert_copy(&member, &token.member_cert), POLLEN_OK);
    assert_int_equal(pln_admin_cert_copy(&admin, &token.issuer), POLLEN_OK);
    assert_int_equal(pln_bootstraps_copy(&list, &token.bootstrap), POLLEN_OK);
    pln_bytes wire = {0};
    assert_true(pln_bytes_copy(&wire, &token.member_cert.wire));
    pln_join_token_fini(&token);
    assert_true(pln_bytes_equal(&member.wire, &wire));
    assert_int_equal(trust.wire.size, 68);
    assert_int_equal(list.count, 1);
    pln_bytes_fini(&wire);
    pln_trust_fini(&trust);
    pln_member_cert_fini(&member);
    pln_admin_cert_fini(&admin);
    pln_bootstraps_fini(&list);
}

/* ---- Lack of memory -------------------------------------------------------------------------- */

static void decoding_without_memory_leaves_nothing(void **state) {
    static const char *const ids[] = {"trust",  "admin-root",  "member-a",
                                      "join-a", "invite-open", "revocation-a"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const admission_kind *kind =
            kind_of(rows_text(rows_find(*state, "objects", ids[i]), "type"));
        pln_bytes bytes = object_bytes(state, ids[i]);
        for (size_t n = 1;; n++) {
            admission_object object;
            long live = fail_mem_live();
            fail_mem_arm(n);
            pollen_err err = kind->decode(bytes.data, bytes.size, &object);
            if (!fail_mem_disarm()) {
                assert_int_equal(err, POLLEN_OK);
                kind->fini(&object);
                break;
            }
            assert_int_equal(err, POLLEN_ENOMEM);
            assert_int_equal(fail_mem_live(), live);
        }
        pln_bytes_fini(&bytes);
    }
}

static void encoding_without_memory_leaves_the_object(void **state) {
    pln_join_token token = decoded_join(state);
    for (size_t n = 1;; n++) {
        fail_mem_arm(n);
        pollen_err err = pln_join_token_encode_claims(&token);
        if (err == POLLEN_OK) {
            err = pln_join_token_encode(&token);
        }
        if (!fail_mem_disarm()) {
            assert_int_equal(err, POLLEN_OK);
            break;
        }
        assert_int_equal(err, POLLEN_ENOMEM);
    }
    pln_join_token_fini(&token);
}

static void copying_without_memory_leaves_nothing(void **state) {
    pln_join_token token = decoded_join(state);
    for (size_t n = 1;; n++) {
        pln_member_cert member = {0};
        pln_bootstraps list = {0};
        long live = fail_mem_live();
        fail_mem_arm(n);
        pollen_err err = pln_member_cert_copy(&member, &token.member_cert);
        if (err == POLLEN_OK) {
            err = pln_bootstraps_copy(&list, &token.bootstrap);
        }
        bool failed = fail_mem_disarm();
        assert_int_equal(err, failed ? POLLEN_ENOMEM : POLLEN_OK);
        pln_member_cert_fini(&member);
        pln_bootstraps_fini(&list);
        assert_int_equal(fail_mem_live(), live);
        if (!failed) {
            break;
        }
    }
    pln_join_token_fini(&token);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_object_decodes_to_its_own_bytes),
        cmocka_unit_test(every_object_is_built_from_its_fields),
        cmocka_unit_test(every_object_decodes_to_the_fields_named),
        cmocka_unit_test(structure_is_judged_as_the_reference_does),
        cmocka_unit_test(other_encodings_of_a_content_have_the_signed_form),
        cmocka_unit_test(unknown_fields_are_kept_byte_for_byte_at_the_end),
        cmocka_unit_test(a_uuid_is_36_characters_in_five_groups),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_changed_byte_is_refused_or_shows),
        cmocka_unit_test(over_long_objects_are_refused),
        cmocka_unit_test(an_object_without_its_parts_is_not_built),
        cmocka_unit_test(bootstrap_limits_hold_in_both_directions),
        cmocka_unit_test(addresses_of_a_peer_are_limited),
        cmocka_unit_test(adding_a_known_peer_adds_only_new_addresses),
        cmocka_unit_test(copies_are_equal_and_independent),
        cmocka_unit_test(decoding_without_memory_leaves_nothing),
        cmocka_unit_test(encoding_without_memory_leaves_the_object),
        cmocka_unit_test(copying_without_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, load, vectors_unload);
}
