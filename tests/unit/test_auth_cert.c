/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of trust, who may sign, and remembered verdicts. */
#include "auth/revocation.h"
#include "base/key.h"
#include "support/cluster.h"

/* A key of small order: (0, 1). */
static const pollen_key small_order = {{1}};

/* ---- Trust ----------------------------------------------------------------------------------- */

static void test_trust_names_its_root(void **state) {
    cluster *c = *state;
    assert_int_equal(pln_trust_verify(&c->root.trust), POLLEN_OK);
    pln_trust broken = c->root.trust;
    broken.cluster_id.bytes[31] ^= 1;
    assert_int_equal(pln_trust_verify(&broken), POLLEN_ECERT);
    assert_false(pln_trust_equal(&broken, &c->root.trust));
    broken = c->root.trust;
    broken.root_pub.bytes[0] ^= 1;
    assert_int_equal(pln_trust_verify(&broken), POLLEN_ECERT);
    assert_false(pln_trust_equal(&broken, &c->root.trust));
    assert_false(pln_trust_equal(&c->foreign.trust, &c->root.trust));
    assert_true(pln_trust_equal(&c->admin.trust, &c->root.trust));
}

static void test_a_small_order_root_is_no_root(void **state) {
    (void)state;
    pln_trust trust = {.root_pub = small_order};
    assert_int_equal(pln_trust_create(&small_order, &trust), POLLEN_EKEY);
    pln_sha256(small_order.bytes, sizeof(small_order.bytes), trust.cluster_id.bytes);
    assert_int_equal(pln_trust_verify(&trust), POLLEN_ECERT);
}

/* ---- Windows --------------------------------------------------------------------------------- */

static void test_windows_allow_a_minute_on_both_ends(void **state) {
    (void)state;
    assert_false(pln_window_contains(1000, 2000, 939));
    assert_true(pln_window_contains(1000, 2000, 940));
    assert_true(pln_window_contains(1000, 2000, 2060));
    assert_false(pln_window_contains(1000, 2000, 2061));
    assert_true(pln_window_contains(1000, 1000, 1000));
    assert_true(pln_window_contains(1050, 1000, 1000)); /* Inverted, inside both widened ends. */
    assert_false(pln_window_contains(1061, 1000, 1000));
}

static void test_windows_do_not_overflow(void **state) {
    (void)state;
    assert_true(pln_window_contains(INT64_MIN, INT64_MAX, 0));
    assert_true(pln_window_contains(INT64_MIN, INT64_MAX, INT64_MIN));
    assert_true(pln_window_contains(INT64_MIN, INT64_MAX, INT64_MAX));
    assert_true(pln_window_contains(0, INT64_MAX - 59, INT64_MAX));
    assert_false(pln_window_contains(INT64_MAX, INT64_MAX, 0));
    assert_false(pln_window_contains(INT64_MIN, INT64_MIN, 0));
    assert_true(pln_window_contains(INT64_MIN, INT64_MIN, INT64_MIN + 60));
    assert_false(pln_window_contains(INT64_MIN, INT64_MIN, INT64_MIN + 61));
    pln_member_cert cert = {.not_after = INT64_MAX};
    assert_false(pln_member_cert_is_expired(&cert, INT64_MAX));
}

static void test_wall_time_saturates(void **state) {
    (void)state;
    assert_true(pln_wall_add(5, 7) == 12);
    assert_true(pln_wall_add(5, -7) == -2);
    assert_true(pln_wall_add(INT64_MAX - 1, 1) == INT64_MAX);
    assert_true(pln_wall_add(INT64_MAX - 1, 2) == INT64_MAX);
    assert_true(pln_wall_add(INT64_MIN + 1, -2) == INT64_MIN);
    assert_true(pln_wall_add(INT64_MAX, INT64_MIN) == -1);
}

/* ---- Membership certificates ----------------------------------------------------------------- */

static void test_a_certificate_ends_when_it_says(void **state) {
    cluster *c = *state;
    pln_member_cert cert = cluster_member(c, &c->root, &c->alice, 3600);
    assert_int_equal(cert.not_before, TEST_NOW - 60);
    assert_int_equal(cert.not_after, TEST_NOW + 3600);
    assert_true(cert.serial != 0);
    /* Expired only beyond the allowed skew: not before its end, not 30 s after it, but 2 min. */
    assert_false(pln_member_cert_is_expired(&cert, TEST_NOW));
    assert_false(pln_member_cert_is_expired(&cert, TEST_NOW + 3630));
    assert_false(pln_member_cert_is_expired(&cert, TEST_NOW + 3660));
    assert_true(pln_member_cert_is_expired(&cert, TEST_NOW + 3661));
    assert_true(pln_member_cert_is_expired(&cert, TEST_NOW + 3720));
    pln_member_cert_fini(&cert);
}

static void test_a_certificate_holds_inside_its_window(void **state) {
    cluster *c = *state;
    pln_member_cert cert = cluster_member(c, &c->root, &c->alice, 3600);
    static const struct {
        pln_wall now;
        pollen_err err;
    } edges[] = {
        {TEST_NOW - 121, POLLEN_EEXPIRED},
        {TEST_NOW - 120, POLLEN_OK},
        {TEST_NOW, POLLEN_OK},
        {TEST_NOW + 3660, POLLEN_OK},
        {TEST_NOW + 3661, POLLEN_EEXPIRED},
    };
    for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++) {
        assert_int_equal(pln_member_cert_verify(&cert, &c->root.trust, &c->alice, edges[i].now),
                         edges[i].err);
    }
    pln_member_cert_fini(&cert);
}

static void test_a_certificate_ends_with_its_issuer(void **state) {
    cluster *c = *state;
    pln_member_cert cert = cluster_member(c, &c->admin, &c->alice, 365 * 86400);
    assert_int_equal(
        pln_member_cert_verify(&cert, &c->root.trust, &c->alice, TEST_NOW + 86400 + 60), POLLEN_OK);
    assert_int_equal(
        pln_member_cert_verify(&cert, &c->root.trust, &c->alice, TEST_NOW + 86400 + 61),
        POLLEN_EEXPIRED);
    pln_member_cert_fini(&cert);
}

static void test_a_certificate_is_its_subjects_alone(void **state) {
    cluster *c = *state;
    pln_member_cert cert = cluster_member(c, &c->root, &c->alice, 3600);
    assert_int_equal(pln_member_cert_verify(&cert, &c->root.trust, &c->bob, TEST_NOW),
                     POLLEN_ESUBJECT);
    /* A forgotten subject must not let everybody in. */
    assert_int_equal(pln_member_cert_verify(&cert, &c->root.trust, NULL, TEST_NOW),
                     POLLEN_ESUBJECT);
    pln_member_cert_fini(&cert);
}

static void test_a_certificate_is_its_clusters_alone(void **state) {
    cluster *c = *state;
    pln_member_cert cert = cluster_member(c, &c->root, &c->alice, 3600);
    assert_int_equal(pln_member_cert_verify(&cert, &c->foreign.trust, &c->alice, TEST_NOW),
                     POLLEN_ECLUSTER);
    pln_trust mixed = c->root.trust; /* Our id over another root. */
    mixed.root_pub = c->foreign.trust.root_pub;
    assert_int_equal(pln_member_cert_verify(&cert, &mixed, &c->alice, TEST_NOW), POLLEN_ESIGNATURE);
    pln_member_cert_fini(&cert);
}

static void test_another_valid_issuer_attached_is_refused(void **state) {
    cluster *c = *state;
    pln_member_cert cert = cluster_member(c, &c->admin, &c->alice, 3600);
    pln_admin_cert_fini(&cert.issuer);
    assert_int_equal(pln_admin_cert_copy(&cert.issuer, &c->root.issuer), POLLEN_OK);
    assert_int_equal(pln_member_cert_verify(&cert, &c->root.trust, &c->alice, TEST_NOW),
                     POLLEN_ECERT);
    pln_member_cert_fini(&cert);
}

static void test_terms_reach_the_certificate(void **state) {
    cluster *c = *state;
    pln_member_terms terms = {.ttl_seconds = 3600, .non_renewable = true};
    pln_member_cert cert;
    assert_int_equal(pln_member_cert_issue(&c->root, &c->alice, &terms, &c->rng, TEST_NOW, &cert),
                     POLLEN_OK);
    assert_true(cert.non_renewable);
    assert_int_equal(pln_member_cert_verify(&cert, &c->root.trust, &c->alice, TEST_NOW), POLLEN_OK);

    pln_member_cert again;
    assert_int_equal(pln_member_cert_decode(cert.wire.data, cert.wire.size, &again), POLLEN_OK);
    assert_true(again.non_renewable);
    assert_true(pln_bytes_equal(&again.wire, &cert.wire));
    pln_member_cert_fini(&again);
    pln_member_cert_fini(&cert);
}

static void test_a_lifetime_must_be_positive(void **state) {
    cluster *c = *state;
    static const int64_t bad[] = {0, -1, INT64_MIN};
    pln_member_cert member = {.serial = 7};
    pln_admin_cert admin = {.serial = 7};
    pln_signer signer;
    pollen_seed seed = test_seed_of(ROOT);
    for (size_t i = 0; i < 3; i++) {
        pln_member_terms terms = {.ttl_seconds = bad[i]};
        assert_int_equal(
            pln_member_cert_issue(&c->root, &c->alice, &terms, &c->rng, TEST_NOW, &member),
            POLLEN_EINVAL);
        assert_int_equal(
            pln_admin_cert_issue(&c->root, &c->alice, bad[i], &c->rng, TEST_NOW, &admin),
            POLLEN_EINVAL);
        assert_int_equal(pln_signer_create_root(&seed, bad[i], &c->rng, TEST_NOW, &signer),
                         POLLEN_EINVAL);
    }
    assert_int_equal(member.serial, 7);
    assert_int_equal(admin.serial, 7);
}

/* The reference adds its minute to a later end without looking and takes it for past. */
static void test_the_latest_end_is_the_year_9999(void **state) {
    cluster *c = *state;
    pln_member_cert cert = cluster_member(c, &c->root, &c->alice, INT64_MAX);
    assert_true(cert.not_after == 253402300799);
    assert_int_equal(pln_member_cert_verify(&cert, &c->root.trust, &c->alice, TEST_NOW), POLLEN_OK);
    pln_member_cert_fini(&cert);
}

static void test_unusable_keys_get_no_certificate(void **state) {
    cluster *c = *state;
    pln_member_cert member;
    pln_admin_cert admin;
    pln_member_terms terms = {.ttl_seconds = 60};
    assert_int_equal(
        pln_member_cert_issue(&c->root, &small_order, &terms, &c->rng, TEST_NOW, &member),
        POLLEN_EKEY);
    assert_int_equal(pln_admin_cert_issue(&c->root, &small_order, 60, &c->rng, TEST_NOW, &admin),
                     POLLEN_EKEY);
}

/* What a careless signer could still have signed. */
static void test_certificates_over_unusable_keys_are_refused(void **state) {
    cluster *c = *state;
    pln_admin_cert admin = {.cluster_id = c->root.trust.cluster_id,
                            .admin_pub = small_order,
                            .not_before = TEST_NOW,
                            .not_after = TEST_NOW + 60};
    assert_int_equal(pln_admin_cert_encode_claims(&admin), POLLEN_OK);
    assert_int_equal(pln_ed25519ctx_sign(&c->root.seed, PLN_CTX_ADMIN, admin.signed_bytes.data,
                                         admin.signed_bytes.size, &admin.signature),
                     POLLEN_OK);
    assert_int_equal(pln_admin_cert_verify(&admin, &c->root.trust, TEST_NOW), POLLEN_EKEY);
    pln_admin_cert_fini(&admin);

    pln_member_cert cert = cluster_member(c, &c->root, &c->alice, 60);
    cert.subject_pub = small_order;
    assert_int_equal(pln_member_cert_encode_claims(&cert), POLLEN_OK);
    assert_int_equal(pln_ed25519ctx_sign(&c->root.seed, PLN_CTX_MEMBERSHIP, cert.signed_bytes.data,
                                         cert.signed_bytes.size, &cert.signature),
                     POLLEN_OK);
    assert_int_equal(pln_member_cert_verify(&cert, &c->root.trust, &small_order, TEST_NOW),
                     POLLEN_EKEY);
    pln_member_cert_fini(&cert);
}

/* ---- A member that would be more ------------------------------------------------------------- */

/* A signer without the root's word: its issuer certificate is signed by itself, or is a
 * certificate of somebody else. */
static pln_signer impostor(cluster *c, const pln_admin_cert *issuer) {
    pln_signer signer = {.seed = test_seed_of(BOB), .admin_pub = c->bob};
    assert_int_equal(pln_trust_copy(&signer.trust, &c->root.trust), POLLEN_OK);
    if (issuer != NULL) {
        assert_int_equal(pln_admin_cert_copy(&signer.issuer, issuer), POLLEN_OK);
        return signer;
    }
    signer.is_root = true; /* A lie that only its own process believes. */
    assert_int_equal(
        pln_admin_cert_issue(&signer, &c->bob, 86400, &c->rng, TEST_NOW, &signer.issuer),
        POLLEN_OK);
    return signer;
}

static void test_a_member_cannot_certify_others(void **state) {
    cluster *c = *state;
    const pln_admin_cert *issuers[] = {NULL, &c->root.issuer, &c->admin.issuer};
    static const pollen_err wanted[] = {POLLEN_ESIGNATURE, POLLEN_ECERT, POLLEN_ECERT};
    for (size_t i = 0; i < 3; i++) {
        pln_signer bob = impostor(c, issuers[i]);
        pln_member_cert cert = cluster_member(c, &bob, &c->alice, 3600);
        assert_int_equal(pln_member_cert_verify(&cert, &c->root.trust, &c->alice, TEST_NOW),
                         wanted[i]);
        pln_member_cert_fini(&cert);
        pln_signer_fini(&bob);
    }
}

static void test_a_member_cannot_widen_its_own_certificate(void **state) {
    cluster *c = *state;
    pln_member_cert cert = cluster_member(c, &c->root, &c->alice, 60);
    cert.not_after += 1;
    assert_int_equal(pln_member_cert_encode_claims(&cert), POLLEN_OK);
    assert_int_equal(pln_member_cert_verify(&cert, &c->root.trust, &c->alice, TEST_NOW),
                     POLLEN_ESIGNATURE);
    cert.not_after -= 1;
    cert.issuer.not_after += 1;
    assert_int_equal(pln_member_cert_encode_claims(&cert), POLLEN_OK);
    assert_int_equal(pln_admin_cert_encode_claims(&cert.issuer), POLLEN_OK);
    assert_int_equal(pln_member_cert_verify(&cert, &c->root.trust, &c->alice, TEST_NOW),
                     POLLEN_ESIGNATURE);
    pln_member_cert_fini(&cert);
}

/* ---- Signers --------------------------------------------------------------------------------- */

static void test_a_root_signer_certifies_itself(void **state) {
    cluster *c = *state;
    assert_true(c->root.is_root);
    assert_int_equal(pln_admin_cert_verify(&c->root.issuer, &c->root.trust, TEST_NOW), POLLEN_OK);
    assert_int_equal(c->root.issuer.not_before, TEST_NOW - 60);
    assert_int_equal(c->root.issuer.not_after, TEST_NOW + 5 * 365 * 86400);
}

static void test_a_delegated_signer_signs_in_its_own_name(void **state) {
    cluster *c = *state;
    assert_false(c->admin.is_root);
    pln_member_cert cert = cluster_member(c, &c->admin, &c->alice, 3600);
    pollen_key admin = test_key_of(ADMIN);
    assert_true(pln_key_equal(&cert.issuer_admin_pub, &admin));
    assert_int_equal(pln_member_cert_verify(&cert, &c->root.trust, &c->alice, TEST_NOW), POLLEN_OK);
    pln_member_cert_fini(&cert);
}

static void test_delegation_is_checked_when_it_is_loaded(void **state) {
    cluster *c = *state;
    pollen_seed admin = test_seed_of(ADMIN);
    pollen_seed bob = test_seed_of(BOB);
    pln_signer signer;
    /* The certificate of another key. */
    assert_int_equal(
        pln_signer_create_delegated(&bob, &c->root.trust, &c->admin.issuer, TEST_NOW, &signer),
        POLLEN_ECERT);
    /* Another root's. */
    assert_int_equal(
        pln_signer_create_delegated(&admin, &c->foreign.trust, &c->admin.issuer, TEST_NOW, &signer),
        POLLEN_ESIGNATURE);
    /* Over. */
    assert_int_equal(pln_signer_create_delegated(&admin, &c->root.trust, &c->admin.issuer,
                                                 TEST_NOW + 86461, &signer),
                     POLLEN_EEXPIRED);
    /* Signed by itself. */
    pln_signer self = impostor(c, NULL);
    assert_int_equal(
        pln_signer_create_delegated(&bob, &c->root.trust, &self.issuer, TEST_NOW, &signer),
        POLLEN_ESIGNATURE);
    pln_signer_fini(&self);
}

static void test_the_root_key_by_certificate_is_still_the_root(void **state) {
    cluster *c = *state;
    pollen_seed seed = test_seed_of(ROOT);
    pln_signer signer;
    assert_int_equal(
        pln_signer_create_delegated(&seed, &c->root.trust, &c->root.issuer, TEST_NOW, &signer),
        POLLEN_OK);
    assert_true(signer.is_root);
    pln_signer_fini(&signer);
}

static void test_only_the_root_delegates(void **state) {
    cluster *c = *state;
    pln_admin_cert cert;
    assert_int_equal(pln_admin_cert_issue(&c->admin, &c->bob, 60, &c->rng, TEST_NOW, &cert),
                     POLLEN_ENOTADMIN);
}

static void test_an_expired_signer_signs_no_more(void **state) {
    cluster *c = *state;
    pln_member_terms terms = {.ttl_seconds = 60};
    pln_member_cert cert;
    assert_int_equal(
        pln_member_cert_issue(&c->admin, &c->alice, &terms, &c->rng, TEST_NOW + 86400 + 60, &cert),
        POLLEN_OK);
    pln_member_cert_fini(&cert);
    assert_int_equal(
        pln_member_cert_issue(&c->admin, &c->alice, &terms, &c->rng, TEST_NOW + 86400 + 61, &cert),
        POLLEN_EEXPIRED);
}

static void test_a_finished_signer_holds_no_secret(void **state) {
    cluster *c = *state;
    pln_signer copy;
    pollen_seed zero = {{0}};
    assert_int_equal(pln_signer_copy(&copy, &c->root), POLLEN_OK);
    assert_memory_equal(copy.seed.bytes, c->root.seed.bytes, sizeof(copy.seed.bytes));
    pln_signer_fini(&copy);
    assert_memory_equal(copy.seed.bytes, zero.bytes, sizeof(zero.bytes));
}

/* ---- Renewal --------------------------------------------------------------------------------- */

static void test_a_renewal_lasts_no_longer_than_the_original(void **state) {
    cluster *c = *state;
    pln_member_cert cert = cluster_member(c, &c->root, &c->alice, 3600);
    assert_int_equal(pln_member_renewal_ttl(cert.not_before, cert.not_after, 365 * 86400), 3600);
    assert_int_equal(pln_member_renewal_ttl(cert.not_before, cert.not_after, 3600), 3600);
    assert_int_equal(pln_member_renewal_ttl(cert.not_before, cert.not_after, 60), 60);
    pln_member_cert_fini(&cert);

    assert_int_equal(pln_member_renewal_ttl(100, 160, 60), 0);
    assert_int_equal(pln_member_renewal_ttl(100, 161, 60), 1);
    assert_int_equal(pln_member_renewal_ttl(100, 50, 60), 0);
    assert_true(pln_member_renewal_ttl(INT64_MIN, INT64_MAX, INT64_MAX) == INT64_MAX);
    assert_int_equal(pln_member_renewal_ttl(INT64_MAX, INT64_MIN, 60), 0);
}

/* ---- Verdicts -------------------------------------------------------------------------------- */

static void test_good_signatures_are_verified_once(void **state) {
    cluster *c = *state;
    pln_verdicts verdicts;
    pln_verdicts_init(&verdicts);
    pln_member_cert alice = cluster_member(c, &c->admin, &c->alice, 3600);
    pln_member_cert bob = cluster_member(c, &c->admin, &c->bob, 3600);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            pln_member_cert_verify_cached(&alice, &c->root.trust, &c->alice, TEST_NOW, &verdicts),
            POLLEN_OK);
    }
    assert_int_equal(verdicts.misses, 2);
    assert_int_equal(verdicts.hits, 4);
    assert_int_equal(
        pln_member_cert_verify_cached(&bob, &c->root.trust, &c->bob, TEST_NOW, &verdicts),
        POLLEN_OK);
    assert_int_equal(verdicts.misses, 3); /* Their issuer was known. */
    pln_member_cert_fini(&alice);
    pln_member_cert_fini(&bob);
}

static void test_a_known_signature_excuses_nothing_else(void **state) {
    cluster *c = *state;
    pln_verdicts verdicts;
    pln_verdicts_init(&verdicts);
    pln_member_cert cert = cluster_member(c, &c->admin, &c->alice, 3600);
    const pln_trust *trust = &c->root.trust;
    assert_int_equal(pln_member_cert_verify_cached(&cert, trust, &c->alice, TEST_NOW, &verdicts),
                     POLLEN_OK);
    assert_int_equal(
        pln_member_cert_verify_cached(&cert, trust, &c->alice, TEST_NOW + 3661, &verdicts),
        POLLEN_EEXPIRED);
    assert_int_equal(pln_member_cert_verify_cached(&cert, trust, &c->bob, TEST_NOW, &verdicts),
                     POLLEN_ESUBJECT);
    assert_int_equal(
        pln_member_cert_verify_cached(&cert, &c->foreign.trust, &c->alice, TEST_NOW, &verdicts),
        POLLEN_ECLUSTER);
    pln_trust mixed = *trust;
    mixed.root_pub = c->foreign.trust.root_pub;
    assert_int_equal(pln_member_cert_verify_cached(&cert, &mixed, &c->alice, TEST_NOW, &verdicts),
                     POLLEN_ESIGNATURE);
    cert.signature.bytes[0] ^= 1;
    assert_int_equal(pln_member_cert_verify_cached(&cert, trust, &c->alice, TEST_NOW, &verdicts),
                     POLLEN_ESIGNATURE);
    cert.signature.bytes[0] ^= 1;
    cert.signed_bytes.data[cert.signed_bytes.size - 1] ^= 1;
    assert_int_equal(pln_member_cert_verify_cached(&cert, trust, &c->alice, TEST_NOW, &verdicts),
                     POLLEN_ESIGNATURE);
    pln_member_cert_fini(&cert);
}

static void test_a_known_signature_is_known_under_its_context_only(void **state) {
    cluster *c = *state;
    pln_verdicts verdicts;
    pln_verdicts_init(&verdicts);
    uint8_t text[] = "m";
    pln_bytes msg = {.data = text, .size = 1};
    pln_signature signature;
    assert_int_equal(pln_ed25519ctx_sign(&c->root.seed, PLN_CTX_INVITE, text, 1, &signature),
                     POLLEN_OK);
    assert_true(
        pln_verdicts_verify(&verdicts, &c->root.admin_pub, PLN_CTX_INVITE, &msg, &signature));
    assert_false(
        pln_verdicts_verify(&verdicts, &c->root.admin_pub, PLN_CTX_JOIN, &msg, &signature));
    assert_false(pln_verdicts_verify(&verdicts, &c->bob, PLN_CTX_INVITE, &msg, &signature));
}

static void test_bad_signatures_are_not_remembered(void **state) {
    cluster *c = *state;
    pln_verdicts verdicts;
    pln_verdicts_init(&verdicts);
    pln_signature none = {{0}};
    pln_bytes msg = {.data = NULL};
    for (int i = 0; i < 3; i++) {
        assert_false(
            pln_verdicts_verify(&verdicts, &c->root.admin_pub, PLN_CTX_INVITE, &msg, &none));
    }
    assert_int_equal(verdicts.misses, 3);
    assert_int_equal(verdicts.hits, 0);
}

/* Twice as many as there is room for: what is pushed out costs a verification and nothing else. */
static void test_verdicts_have_a_bound_and_give_room(void **state) {
    cluster *c = *state;
    pln_verdicts verdicts;
    pln_verdicts_init(&verdicts);
    enum { COUNT = 2 * PLN_VERDICT_BUCKETS * PLN_VERDICT_WAYS };
    static pln_signature signatures[COUNT];
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            uint8_t text[2] = {(uint8_t)(i >> 8), (uint8_t)i};
            pln_bytes msg = {.data = text, .size = sizeof(text)};
            if (round == 0) {
                assert_int_equal(pln_ed25519ctx_sign(&c->root.seed, PLN_CTX_INVITE, text,
                                                     sizeof(text), &signatures[i]),
                                 POLLEN_OK);
            }
            assert_true(pln_verdicts_verify(&verdicts, &c->root.admin_pub, PLN_CTX_INVITE, &msg,
                                            &signatures[i]));
            assert_true(pln_verdicts_verify(&verdicts, &c->root.admin_pub, PLN_CTX_INVITE, &msg,
                                            &signatures[i]));
        }
    }
    assert_true(verdicts.misses >= COUNT);
    assert_true(verdicts.hits >= 2 * COUNT);
    assert_int_equal(verdicts.hits + verdicts.misses, 4 * COUNT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trust_names_its_root),
        cmocka_unit_test(test_a_small_order_root_is_no_root),
        cmocka_unit_test(test_windows_allow_a_minute_on_both_ends),
        cmocka_unit_test(test_windows_do_not_overflow),
        cmocka_unit_test(test_wall_time_saturates),
        cmocka_unit_test(test_a_certificate_ends_when_it_says),
        cmocka_unit_test(test_a_certificate_holds_inside_its_window),
        cmocka_unit_test(test_a_certificate_ends_with_its_issuer),
        cmocka_unit_test(test_a_certificate_is_its_subjects_alone),
        cmocka_unit_test(test_a_certificate_is_its_clusters_alone),
        cmocka_unit_test(test_another_valid_issuer_attached_is_refused),
        cmocka_unit_test(test_terms_reach_the_certificate),
        cmocka_unit_test(test_a_lifetime_must_be_positive),
        cmocka_unit_test(test_the_latest_end_is_the_year_9999),
        cmocka_unit_test(test_unusable_keys_get_no_certificate),
        cmocka_unit_test(test_certificates_over_unusable_keys_are_refused),
        cmocka_unit_test(test_a_member_cannot_certify_others),
        cmocka_unit_test(test_a_member_cannot_widen_its_own_certificate),
        cmocka_unit_test(test_a_root_signer_certifies_itself),
        cmocka_unit_test(test_a_delegated_signer_signs_in_its_own_name),
        cmocka_unit_test(test_delegation_is_checked_when_it_is_loaded),
        cmocka_unit_test(test_the_root_key_by_certificate_is_still_the_root),
        cmocka_unit_test(test_only_the_root_delegates),
        cmocka_unit_test(test_an_expired_signer_signs_no_more),
        cmocka_unit_test(test_a_finished_signer_holds_no_secret),
        cmocka_unit_test(test_a_renewal_lasts_no_longer_than_the_original),
        cmocka_unit_test(test_good_signatures_are_verified_once),
        cmocka_unit_test(test_a_known_signature_excuses_nothing_else),
        cmocka_unit_test(test_a_known_signature_is_known_under_its_context_only),
        cmocka_unit_test(test_bad_signatures_are_not_remembered),
        cmocka_unit_test(test_verdicts_have_a_bound_and_give_room),
    };
    return cmocka_run_group_tests(tests, cluster_setup, cluster_teardown);
}
