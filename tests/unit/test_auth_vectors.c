/* SPDX-License-Identifier: Apache-2.0 */
/* Admission objects and verdicts as the reference makes them (tests/vectors/admission.json). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "auth/revocation.h"
#include "auth/token.h"
#include "support/vectors.h"
#include "unit/admission_kinds.h"

/* One row of the vectors, as what a verification takes. */
typedef struct question {
    const pln_trust *trust;
    const pollen_key *subject; /* NULL: none given. */
    pln_wall now;
} question;

static pollen_err verify(const admission_kind *kind, const admission_object *object,
                         const question *q) {
    if (strcmp(kind->object, "trust_bundle") == 0) {
        return pln_trust_verify(&object->trust);
    }
    if (strcmp(kind->object, "admin_cert") == 0) {
        return pln_admin_cert_verify(&object->admin, q->trust, q->now);
    }
    if (strcmp(kind->object, "membership_cert") == 0) {
        return pln_member_cert_verify(&object->member, q->trust, q->subject, q->now);
    }
    if (strcmp(kind->object, "join_token") == 0) {
        return pln_join_verify(&object->join, q->trust, q->subject, q->now);
    }
    if (strcmp(kind->object, "revocation") == 0) {
        return pln_revocation_verify(&object->revocation, q->trust);
    }
    if (q->trust != NULL) {
        return pln_invite_verify_local(&object->invite, q->trust, q->subject, q->now);
    }
    return pln_invite_verify(&object->invite, q->subject, q->now);
}

static const admission_kind *find_kind(const char *name) {
    for (const admission_kind *kind = admission_kinds; kind->type != NULL; kind++) {
        if (strcmp(kind->type, name) == 0 || strcmp(kind->object, name) == 0) {
            return kind;
        }
    }
    fail_msg("no kind %s", name);
    return NULL;
}

/* ---- Objects --------------------------------------------------------------------------------- */

static void check_signature(const json_t *row, const pln_bytes *signed_bytes) {
    pln_bytes message = vectors_bytes(row, "signed_message");
    assert_true(pln_bytes_equal(signed_bytes, &message));
    pln_bytes_fini(&message);

    pollen_seed seed;
    pollen_key pub;
    pln_signature wanted;
    pln_signature made;
    const char *context = vectors_text(row, "context");
    vectors_fixed(row, "signer_seed", seed.bytes, sizeof(seed.bytes));
    vectors_fixed(row, "signer_pub", pub.bytes, sizeof(pub.bytes));
    vectors_fixed(row, "signature", wanted.bytes, sizeof(wanted.bytes));
    assert_int_equal(
        pln_ed25519ctx_sign(&seed, context, signed_bytes->data, signed_bytes->size, &made),
        POLLEN_OK);
    assert_memory_equal(made.bytes, wanted.bytes, sizeof(made.bytes));
    assert_true(
        pln_ed25519ctx_verify(&pub, context, signed_bytes->data, signed_bytes->size, &wanted));
}

static void test_objects_are_signed_as_the_reference_does(void **state) {
    (void)state;
    json_t *root = vectors_load("admission");
    json_t *rows = json_object_get(root, "objects");
    assert_int_equal(json_array_size(rows), 27);
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        const admission_kind *kind = find_kind(vectors_text(row, "type"));
        pln_bytes encoded = vectors_bytes(row, "encoded");
        admission_object object;
        memset(&object, 0, sizeof(object));
        assert_int_equal(kind->decode(encoded.data, encoded.size, &object), POLLEN_OK);
        assert_true(pln_bytes_equal(kind->wire(&object), &encoded));
        if (kind->encode_claims != NULL) {
            check_signature(row, kind->signed_bytes(&object));
        }
        kind->fini(&object);
        pln_bytes_fini(&encoded);
    }
    json_decref(root);
}

/* ---- Verdicts -------------------------------------------------------------------------------- */

/* NULL when none, or an empty one, is given.  Our keys have one length; a subject of another one is
 * a key that nobody has. */
static const pollen_key *subject_of(const json_t *row, pollen_key *storage) {
    const char *hex = json_string_value(json_object_get(row, "subject"));
    if (hex == NULL || *hex == '\0') {
        return NULL;
    }
    memset(storage, 0, sizeof(*storage));
    if (strlen(hex) == 2 * sizeof(storage->bytes)) {
        assert_true(pln_hex_decode(hex, storage->bytes, sizeof(storage->bytes)));
    }
    return storage;
}

/* Decodes and verifies; local is the trust to compare with where the row has none. */
static pollen_err judge(const json_t *row, const pln_trust *local) {
    const admission_kind *kind = find_kind(vectors_text(row, "object"));
    pln_bytes bytes = vectors_bytes(row, "bytes");
    admission_object object;
    memset(&object, 0, sizeof(object));
    pollen_err err = kind->decode(bytes.data, bytes.size, &object);
    pln_bytes_fini(&bytes);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_trust trust = {.wire = {.data = NULL}};
    pollen_key storage;
    question q = {.trust = local,
                  .subject = subject_of(row, &storage),
                  .now = json_integer_value(json_object_get(row, "now"))};
    if (json_is_string(json_object_get(row, "trust"))) {
        pln_bytes encoded = vectors_bytes(row, "trust");
        assert_int_equal(pln_trust_decode(encoded.data, encoded.size, &trust), POLLEN_OK);
        pln_bytes_fini(&encoded);
        q.trust = &trust;
    }
    err = verify(kind, &object, &q);
    pln_trust_fini(&trust);
    kind->fini(&object);
    return err;
}

/* The reference computes not_after + 60 s without looking, so that the latest of all times counts
 * as past; here "until the end of time" is a valid end. */
static bool is_overflow_of_the_reference(const char *id) {
    return strcmp(id, "admin/not-after-max") == 0;
}

static void test_verdicts_are_the_references(void **state) {
    (void)state;
    json_t *root = vectors_load("admission");
    json_t *rows = json_object_get(root, "cases");
    assert_int_equal(json_array_size(rows), 235);
    size_t accepted = 0;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        const char *id = vectors_text(row, "id");
        bool wanted =
            strcmp(vectors_text(row, "verdict"), "accept") == 0 || is_overflow_of_the_reference(id);
        pollen_err err = judge(row, NULL);
        accepted += err == POLLEN_OK;
        if ((err == POLLEN_OK) != wanted) {
            fail_msg("%s: %s", id, pollen_err_name(err));
        }
    }
    assert_true(accepted > 80);
    json_decref(root);
}

/* The marked rows are good tokens of another cluster.  The reference redeems and applies them; we
 * compare the trust inside with our own first. */
static void test_tokens_of_another_cluster_are_refused(void **state) {
    (void)state;
    json_t *root = vectors_load("admission");
    json_t *first = json_array_get(json_object_get(root, "objects"), 0);
    assert_string_equal(vectors_text(first, "id"), "trust");
    pln_bytes encoded = vectors_bytes(first, "encoded");
    pln_trust local;
    assert_int_equal(pln_trust_decode(encoded.data, encoded.size, &local), POLLEN_OK);
    pln_bytes_fini(&encoded);

    size_t marked = 0;
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(root, "cases"), i, row) {
        if (json_object_get(row, "pitfall") != NULL) {
            marked++;
            assert_int_equal(judge(row, &local), POLLEN_ECLUSTER);
        }
    }
    assert_int_equal(marked, 2);
    pln_trust_fini(&local);
    json_decref(root);
}

/* ---- Objects made from their fields ---------------------------------------------------------- */

static pollen_key key_of(const char *hex) {
    pollen_key key;
    assert_true(pln_hex_decode(hex, key.bytes, sizeof(key.bytes)));
    return key;
}

static void assert_signature(const pln_signature *made, const char *hex) {
    char text[2 * PLN_SIGNATURE_BYTES + 1];
    assert_string_equal(pln_hex_encode(made->bytes, sizeof(made->bytes), text), hex);
}

/* Keys from the seeds 00..1f and 20..3f, computed independently and confirmed by the reference. */
static void test_certificates_come_out_byte_by_byte(void **state) {
    (void)state;
    pollen_seed root_seed;
    pollen_seed node_seed;
    for (size_t i = 0; i < 32; i++) {
        root_seed.bytes[i] = (uint8_t)i;
        node_seed.bytes[i] = (uint8_t)(i + 32);
    }
    pollen_key root = pollen_seed_key(&root_seed);
    pln_trust trust;
    assert_int_equal(pln_trust_create(&root, &trust), POLLEN_OK);
    pollen_key wanted = key_of("56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c");
    assert_memory_equal(trust.cluster_id.bytes, wanted.bytes, sizeof(wanted.bytes));
    assert_int_equal(trust.wire.size, 68);

    pln_member_cert cert = {
        .cluster_id = trust.cluster_id,
        .subject_pub = pollen_seed_key(&node_seed),
        .issuer_admin_pub = root,
        .not_before = 1700000000,
        .not_after = 1731536000,
        .serial = 0x99aabbccddeeff01,
        .issuer = {.cluster_id = trust.cluster_id,
                   .admin_pub = root,
                   .not_before = 1700000000,
                   .not_after = 1857680000,
                   .serial = 0x1122334455667788},
    };
    assert_int_equal(pln_admin_cert_encode_claims(&cert.issuer), POLLEN_OK);
    assert_int_equal(pln_ed25519ctx_sign(&root_seed, PLN_CTX_ADMIN, cert.issuer.signed_bytes.data,
                                         cert.issuer.signed_bytes.size, &cert.issuer.signature),
                     POLLEN_OK);
    assert_signature(&cert.issuer.signature,
                     "681c125bc1dbb9fccc82ff9c86db692eb87447915f06f09e6504e21bf812561b"
                     "65d3b56c010ce5c0dff94bec1860d9c52375804458cfd66788a7febb88cf3d04");
    assert_int_equal(pln_admin_cert_encode(&cert.issuer), POLLEN_OK);
    assert_int_equal(cert.issuer.wire.size, 158);

    assert_int_equal(pln_member_cert_encode_claims(&cert), POLLEN_OK);
    assert_int_equal(pln_ed25519ctx_sign(&root_seed, PLN_CTX_MEMBERSHIP, cert.signed_bytes.data,
                                         cert.signed_bytes.size, &cert.signature),
                     POLLEN_OK);
    assert_signature(&cert.signature,
                     "961f7831ac0995c1d37aae2dc6b15675acaddf07ee580e77bc16a4e4257d21e8"
                     "020d7b19d683c58406ad5c1983ac4b326653373a4c3b9b019a47af2de793ac09");
    assert_int_equal(pln_member_cert_encode(&cert), POLLEN_OK);
    assert_int_equal(cert.wire.size, 354);
    assert_int_equal(pln_member_cert_verify(&cert, &trust, &cert.subject_pub, 1700000000),
                     POLLEN_OK);
    pln_member_cert_fini(&cert);
    pln_trust_fini(&trust);
}

static void test_a_revocation_comes_out_byte_by_byte(void **state) {
    (void)state;
    pollen_seed root_seed;
    for (size_t i = 0; i < 32; i++) {
        root_seed.bytes[i] = (uint8_t)i;
    }
    pollen_key node = key_of("29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7");
    pln_signer root = {
        .seed = root_seed, .admin_pub = pollen_seed_key(&root_seed), .is_root = true};
    assert_int_equal(pln_trust_create(&root.admin_pub, &root.trust), POLLEN_OK);
    pln_revocation revocation;
    assert_int_equal(pln_revocation_issue(&root, &node, 1700000000, &revocation), POLLEN_OK);
    assert_signature(&revocation.signature,
                     "534ab1a98d6044a2aa5a85dbb7834ee5465bfaa9e858536873ed5043271f456e"
                     "0e34a4e498799078d93bb16dd66c2e2f4ef61b203279a4659fca335c9881d607");
    assert_int_equal(revocation.wire.size, 176);
    pln_revocation_fini(&revocation);
    pln_signer_fini(&root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_are_signed_as_the_reference_does),
        cmocka_unit_test(test_verdicts_are_the_references),
        cmocka_unit_test(test_tokens_of_another_cluster_are_refused),
        cmocka_unit_test(test_certificates_come_out_byte_by_byte),
        cmocka_unit_test(test_a_revocation_comes_out_byte_by_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
