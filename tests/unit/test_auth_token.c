/* SPDX-License-Identifier: Apache-2.0 */
/* Invites, join tokens and revocations. */
#include "auth/revocation.h"
#include "auth/token.h"
#include "base/key.h"
#include "support/cluster.h"

/* ---- Issuing invites ------------------------------------------------------------------------- */

static void test_an_open_invite_is_good_for_anybody(void **state) {
    cluster *c = *state;
    pln_invite_token invite = cluster_invite(c, &c->root, NULL);
    assert_false(invite.has_subject);
    assert_int_equal(pln_invite_verify(&invite, &c->alice, TEST_NOW), POLLEN_OK);
    assert_int_equal(pln_invite_verify(&invite, &c->bob, TEST_NOW), POLLEN_OK);
    assert_int_equal(pln_invite_verify(&invite, NULL, TEST_NOW), POLLEN_OK);
    pln_invite_token_fini(&invite);
}

static void test_a_bound_invite_is_good_for_its_subject(void **state) {
    cluster *c = *state;
    pln_invite_token invite = cluster_invite(c, &c->admin, &c->alice);
    assert_int_equal(pln_invite_verify(&invite, &c->alice, TEST_NOW), POLLEN_OK);
    assert_int_equal(pln_invite_verify(&invite, &c->bob, TEST_NOW), POLLEN_ESUBJECT);
    assert_int_equal(pln_invite_verify_local(&invite, &c->root.trust, &c->bob, TEST_NOW),
                     POLLEN_ESUBJECT);
    pln_invite_token_fini(&invite);
}

static void test_a_non_renewable_invite_stays_so(void **state) {
    cluster *c = *state;
    pln_invite_terms terms = {.bootstrap = &c->bootstrap, .ttl_seconds = 60, .non_renewable = true};
    pln_invite_token invite;
    assert_int_equal(pln_invite_issue(&c->root, &terms, &c->rng, TEST_NOW, &invite), POLLEN_OK);
    pln_invite_token again;
    assert_int_equal(pln_invite_token_decode(invite.wire.data, invite.wire.size, &again),
                     POLLEN_OK);
    assert_int_equal(pln_invite_verify(&again, &c->alice, TEST_NOW), POLLEN_OK);
    assert_true(again.non_renewable);
    pln_invite_token_fini(&again);
    pln_invite_token_fini(&invite);
}

static void test_token_ids_are_random_uuids(void **state) {
    cluster *c = *state;
    char last[PLN_TOKEN_ID_BYTES] = "";
    for (int i = 0; i < 50; i++) {
        pln_invite_token invite = cluster_invite(c, &c->root, NULL);
        assert_true(pln_is_uuid(invite.token_id));
        assert_int_equal(invite.token_id[14], '4');
        assert_non_null(strchr("89ab", invite.token_id[19]));
        assert_string_not_equal(invite.token_id, last);
        memcpy(last, invite.token_id, sizeof(last));
        pln_invite_token_fini(&invite);
    }
}

static void test_invite_terms_are_checked(void **state) {
    cluster *c = *state;
    static const pollen_key small_order = {{1}};
    const pln_bootstraps nobody = {.items = NULL};
    const pln_invite_terms bad[] = {
        {.bootstrap = &nobody, .ttl_seconds = 60},
        {.bootstrap = &c->bootstrap, .ttl_seconds = 0},
        {.bootstrap = &c->bootstrap, .ttl_seconds = -1},
        {.bootstrap = &c->bootstrap, .ttl_seconds = PLN_INVITE_TTL_MAX_SECONDS + 1},
        {.bootstrap = &c->bootstrap, .ttl_seconds = 60, .membership_ttl_seconds = -1},
    };
    pln_invite_token invite;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(pln_invite_issue(&c->root, &bad[i], &c->rng, TEST_NOW, &invite),
                         POLLEN_EINVAL);
    }
    pln_invite_terms terms = {
        .bootstrap = &c->bootstrap, .ttl_seconds = 60, .subject = &small_order};
    assert_int_equal(pln_invite_issue(&c->root, &terms, &c->rng, TEST_NOW, &invite), POLLEN_EKEY);
    terms.subject = NULL;
    assert_int_equal(pln_invite_issue(&c->admin, &terms, &c->rng, TEST_NOW + 86461, &invite),
                     POLLEN_EEXPIRED);
}

static void test_an_invite_names_its_relays(void **state) {
    cluster *c = *state;
    pln_invite_token invite = cluster_invite(c, &c->root, NULL);
    pollen_key relay = test_key_of(RELAY);
    assert_true(pln_invite_names_relay(&invite, &relay));
    assert_false(pln_invite_names_relay(&invite, &c->alice));
    pln_invite_token_fini(&invite);
}

/* ---- Verifying at the redeemer --------------------------------------------------------------- */

static void test_an_invite_of_an_unrelated_root_is_refused(void **state) {
    cluster *c = *state;
    pln_invite_token invite = cluster_invite(c, &c->foreign, NULL);
    assert_int_equal(pln_invite_verify(&invite, &c->alice, TEST_NOW), POLLEN_OK);
    assert_int_equal(pln_invite_verify_local(&invite, &c->root.trust, &c->alice, TEST_NOW),
                     POLLEN_ECLUSTER);
    pln_invite_token_fini(&invite);
}

/* The foreign root's token with our trust put inside: the issuer no longer chains. */
static void test_an_invite_with_our_trust_and_a_foreign_issuer_is_refused(void **state) {
    cluster *c = *state;
    pln_signer thief;
    assert_int_equal(pln_signer_copy(&thief, &c->foreign), POLLEN_OK);
    pln_trust_fini(&thief.trust);
    assert_int_equal(pln_trust_copy(&thief.trust, &c->root.trust), POLLEN_OK);
    pln_invite_token invite = cluster_invite(c, &thief, NULL);
    assert_int_equal(pln_invite_verify_local(&invite, &c->root.trust, &c->alice, TEST_NOW),
                     POLLEN_ESIGNATURE);
    pln_invite_token_fini(&invite);
    pln_signer_fini(&thief);
}

static void test_a_redeemer_grants_nothing_past_the_end(void **state) {
    cluster *c = *state;
    pln_invite_token invite = cluster_invite(c, &c->root, NULL);
    static const struct {
        int64_t after;
        pollen_err holder;
        pollen_err redeemer;
    } edges[] = {
        {-61, POLLEN_EEXPIRED, POLLEN_EEXPIRED},
        {-60, POLLEN_OK, POLLEN_OK},
        {3599, POLLEN_OK, POLLEN_OK},
        {3600, POLLEN_OK, POLLEN_EEXPIRED},
        {3660, POLLEN_OK, POLLEN_EEXPIRED},
        {3661, POLLEN_EEXPIRED, POLLEN_EEXPIRED},
    };
    for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++) {
        pln_wall now = TEST_NOW + edges[i].after;
        assert_int_equal(pln_invite_verify(&invite, &c->alice, now), edges[i].holder);
        assert_int_equal(pln_invite_verify_local(&invite, &c->root.trust, &c->alice, now),
                         edges[i].redeemer);
    }
    pln_invite_token_fini(&invite);
}

static void resign_invite(const pln_signer *signer, pln_invite_token *invite) {
    assert_int_equal(pln_invite_token_encode_claims(invite), POLLEN_OK);
    assert_int_equal(pln_ed25519ctx_sign(&signer->seed, PLN_CTX_INVITE, invite->signed_bytes.data,
                                         invite->signed_bytes.size, &invite->signature),
                     POLLEN_OK);
    assert_int_equal(pln_invite_token_encode(invite), POLLEN_OK);
}

static void test_a_redeemer_refuses_endless_invites(void **state) {
    cluster *c = *state;
    pln_invite_token invite = cluster_invite(c, &c->root, NULL);
    invite.expires_at = invite.issued_at + PLN_INVITE_TTL_MAX_SECONDS;
    resign_invite(&c->root, &invite);
    assert_int_equal(pln_invite_verify_local(&invite, &c->root.trust, NULL, TEST_NOW), POLLEN_OK);
    invite.expires_at++;
    resign_invite(&c->root, &invite);
    assert_int_equal(pln_invite_verify_local(&invite, &c->root.trust, NULL, TEST_NOW),
                     POLLEN_ETOKEN);
    invite.expires_at = INT64_MAX;
    resign_invite(&c->root, &invite);
    assert_int_equal(pln_invite_verify(&invite, NULL, TEST_NOW), POLLEN_OK);
    assert_int_equal(pln_invite_verify_local(&invite, &c->root.trust, NULL, TEST_NOW),
                     POLLEN_ETOKEN);
    pln_invite_token_fini(&invite);
}

static void test_an_invite_signature_is_no_join_signature(void **state) {
    cluster *c = *state;
    pln_join_token join = cluster_join(c, &c->root, &c->alice, 3600);
    assert_int_equal(pln_ed25519ctx_sign(&c->root.seed, PLN_CTX_INVITE, join.signed_bytes.data,
                                         join.signed_bytes.size, &join.signature),
                     POLLEN_OK);
    assert_int_equal(pln_join_verify(&join, NULL, &c->alice, TEST_NOW), POLLEN_ESIGNATURE);
    pln_join_token_fini(&join);

    pln_invite_token invite = cluster_invite(c, &c->root, NULL);
    assert_int_equal(pln_ed25519ctx_sign(&c->root.seed, PLN_CTX_JOIN, invite.signed_bytes.data,
                                         invite.signed_bytes.size, &invite.signature),
                     POLLEN_OK);
    assert_int_equal(pln_invite_verify(&invite, NULL, TEST_NOW), POLLEN_ESIGNATURE);
    pln_invite_token_fini(&invite);
}

/* ---- Redeeming ------------------------------------------------------------------------------- */

static pln_join_token redeem(cluster *c, const pln_invite_token *invite, pln_wall now) {
    pln_join_token join;
    assert_int_equal(
        pln_invite_redeem(&c->admin, invite, &c->alice, 365 * 86400, &c->rng, now, &join),
        POLLEN_OK);
    assert_int_equal(pln_join_verify(&join, &c->root.trust, &c->alice, now), POLLEN_OK);
    return join;
}

static void test_an_answer_lasts_five_minutes_or_what_is_left(void **state) {
    cluster *c = *state;
    pln_invite_token invite = cluster_invite(c, &c->root, NULL); /* An hour. */
    static const struct {
        int64_t after;
        int64_t lasts;
    } rows[] = {{0, 300}, {3300, 300}, {3301, 299}, {3599, 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        pln_join_token join = redeem(c, &invite, TEST_NOW + rows[i].after);
        assert_int_equal(join.issued_at, TEST_NOW + rows[i].after);
        assert_int_equal(join.expires_at - join.issued_at, rows[i].lasts);
        pln_join_token_fini(&join);
    }
    pln_join_token join;
    assert_int_equal(
        pln_invite_redeem(&c->admin, &invite, &c->alice, 60, &c->rng, TEST_NOW + 3600, &join),
        POLLEN_EEXPIRED);
    pln_invite_token_fini(&invite);
}

static void test_an_answer_carries_the_invites_terms(void **state) {
    cluster *c = *state;
    pln_invite_terms terms = {.bootstrap = &c->bootstrap,
                              .ttl_seconds = 600,
                              .membership_ttl_seconds = 7200,
                              .non_renewable = true};
    pln_invite_token invite;
    assert_int_equal(pln_invite_issue(&c->root, &terms, &c->rng, TEST_NOW, &invite), POLLEN_OK);
    pln_join_token join = redeem(c, &invite, TEST_NOW);
    assert_int_equal(join.member_cert.not_after, TEST_NOW + 7200);
    assert_true(join.member_cert.non_renewable);
    assert_int_equal(join.bootstrap.count, 1);
    assert_string_equal(join.bootstrap.items[0].addrs[0], "192.0.2.1:60611");
    assert_true(pln_key_equal(&join.issuer.admin_pub, &c->admin.admin_pub));
    pln_join_token_fini(&join);
    pln_invite_token_fini(&invite);
}

static void test_an_answer_without_terms_has_the_redeemers(void **state) {
    cluster *c = *state;
    pln_invite_token invite = cluster_invite(c, &c->root, NULL);
    pln_join_token join = redeem(c, &invite, TEST_NOW);
    assert_int_equal(join.member_cert.not_after, TEST_NOW + 365 * 86400);
    assert_false(join.member_cert.non_renewable);
    pln_join_token_fini(&join);

    invite.membership_ttl_seconds = -5; /* As the reference: not positive is not given. */
    join = redeem(c, &invite, TEST_NOW);
    assert_int_equal(join.member_cert.not_after, TEST_NOW + 365 * 86400);
    pln_join_token_fini(&join);
    invite.membership_ttl_seconds = INT64_MAX;
    join = redeem(c, &invite, TEST_NOW);
    assert_true(join.member_cert.not_after == PLN_NOT_AFTER_MAX);
    pln_join_token_fini(&join);
    pln_invite_token_fini(&invite);
}

/* ---- Join tokens ----------------------------------------------------------------------------- */

static void test_a_delegated_join_token_verifies(void **state) {
    cluster *c = *state;
    pln_join_token join = cluster_join(c, &c->admin, &c->alice, 3600);
    assert_int_equal(pln_join_verify(&join, &c->root.trust, &c->alice, TEST_NOW), POLLEN_OK);
    assert_true(pln_key_equal(&join.member_cert.issuer_admin_pub, &c->admin.admin_pub));
    assert_int_equal(pln_join_verify(&join, NULL, &c->bob, TEST_NOW), POLLEN_ESUBJECT);
    assert_int_equal(pln_join_verify(&join, NULL, NULL, TEST_NOW), POLLEN_ESUBJECT);
    pln_join_token_fini(&join);
}

static void test_a_join_token_passes_the_flag_on(void **state) {
    cluster *c = *state;
    pln_join_terms terms = {.bootstrap = &c->bootstrap,
                            .ttl_seconds = 300,
                            .membership = {.ttl_seconds = 60, .non_renewable = true}};
    pln_join_token join;
    assert_int_equal(pln_join_issue(&c->root, &c->alice, &terms, &c->rng, TEST_NOW, &join),
                     POLLEN_OK);
    assert_true(join.member_cert.non_renewable);
    assert_int_equal(pln_join_verify(&join, NULL, &c->alice, TEST_NOW), POLLEN_OK);
    pln_join_token_fini(&join);
}

static void test_a_join_token_may_have_no_bootstrap(void **state) {
    cluster *c = *state;
    const pln_bootstraps nobody = {.items = NULL};
    pln_join_terms terms = {
        .bootstrap = &nobody, .ttl_seconds = 300, .membership = {.ttl_seconds = 60}};
    pln_join_token join;
    assert_int_equal(pln_join_issue(&c->root, &c->alice, &terms, &c->rng, TEST_NOW, &join),
                     POLLEN_OK);
    assert_int_equal(pln_join_verify(&join, NULL, &c->alice, TEST_NOW), POLLEN_OK);
    pln_join_token_fini(&join);
    terms.ttl_seconds = 0;
    assert_int_equal(pln_join_issue(&c->root, &c->alice, &terms, &c->rng, TEST_NOW, &join),
                     POLLEN_EINVAL);
}

static void test_a_join_token_of_another_cluster_is_refused(void **state) {
    cluster *c = *state;
    pln_join_token join = cluster_join(c, &c->foreign, &c->alice, 3600);
    assert_int_equal(pln_join_verify(&join, NULL, &c->alice, TEST_NOW), POLLEN_OK);
    assert_int_equal(pln_join_verify(&join, &c->root.trust, &c->alice, TEST_NOW), POLLEN_ECLUSTER);
    pln_join_token_fini(&join);
}

/* ---- Revocations ----------------------------------------------------------------------------- */

static void test_the_root_revokes(void **state) {
    cluster *c = *state;
    pln_revocation revocation;
    assert_int_equal(pln_revocation_issue(&c->root, &c->alice, TEST_NOW, &revocation), POLLEN_OK);
    assert_int_equal(pln_revocation_verify(&revocation, &c->root.trust), POLLEN_OK);
    assert_true(pln_key_equal(&revocation.subject_pub, &c->alice));
    assert_int_equal(pln_revocation_verify(&revocation, &c->foreign.trust), POLLEN_ECLUSTER);
    pln_revocation again;
    assert_int_equal(pln_revocation_decode(revocation.wire.data, revocation.wire.size, &again),
                     POLLEN_OK);
    assert_int_equal(pln_revocation_verify(&again, &c->root.trust), POLLEN_OK);
    pln_revocation_fini(&again);
    pln_revocation_fini(&revocation);
}

static void test_nobody_else_revokes(void **state) {
    cluster *c = *state;
    pln_revocation revocation;
    assert_int_equal(pln_revocation_issue(&c->admin, &c->alice, TEST_NOW, &revocation),
                     POLLEN_ENOTADMIN);
    pln_signer liar;
    assert_int_equal(pln_signer_copy(&liar, &c->admin), POLLEN_OK);
    liar.is_root = true;
    assert_int_equal(pln_revocation_issue(&liar, &c->alice, TEST_NOW, &revocation), POLLEN_OK);
    assert_int_equal(pln_revocation_verify(&revocation, &c->root.trust), POLLEN_ESIGNATURE);
    pln_revocation_fini(&revocation);
    liar.admin_pub = c->root.admin_pub; /* Names the root, signs with its own key. */
    assert_int_equal(pln_revocation_issue(&liar, &c->alice, TEST_NOW, &revocation), POLLEN_OK);
    assert_int_equal(pln_revocation_verify(&revocation, &c->root.trust), POLLEN_ESIGNATURE);
    pln_revocation_fini(&revocation);
    liar.seed = c->root.seed; /* Signed by the root, but says that somebody else did. */
    liar.admin_pub = c->admin.admin_pub;
    assert_int_equal(pln_revocation_issue(&liar, &c->alice, TEST_NOW, &revocation), POLLEN_OK);
    assert_int_equal(pln_revocation_verify(&revocation, &c->root.trust), POLLEN_ESIGNATURE);
    pln_revocation_fini(&revocation);
    pln_signer_fini(&liar);
}

static void test_an_empty_revocation_is_malformed(void **state) {
    (void)state;
    pln_revocation revocation;
    assert_int_equal(pln_revocation_decode(NULL, 0, &revocation), POLLEN_EPROTO);
}

static void test_revocations_are_sorted_and_one_each(void **state) {
    cluster *c = *state;
    pln_revocations set;
    pln_revocations_init(&set);
    for (uint8_t i = 40; i > 0; i--) {
        pollen_key subject = test_key_of((uint8_t)(i * 3));
        pln_revocation revocation;
        bool added = false;
        assert_int_equal(pln_revocation_issue(&c->root, &subject, TEST_NOW + i, &revocation),
                         POLLEN_OK);
        assert_int_equal(pln_revocations_add(&set, &revocation, &c->root.trust, &added), POLLEN_OK);
        assert_true(added);
        pln_revocation_fini(&revocation);
        assert_true(pln_revocations_has(&set, &subject));
    }
    assert_int_equal(set.count, 40);
    for (size_t i = 1; i < 40; i++) {
        assert_true(pln_key_compare(&pln_revocations_at(&set, i - 1)->subject_pub,
                                    &pln_revocations_at(&set, i)->subject_pub) < 0);
    }
    assert_null(pln_revocations_at(&set, 40));
    pollen_key free_subject = test_key_of(4);
    assert_false(pln_revocations_has(&set, &free_subject));
    pln_revocations_fini(&set);
    assert_null(pln_revocations_at(&set, 0));
}

/* The key is out, whichever statement said so first. */
static void test_a_second_revocation_changes_nothing(void **state) {
    cluster *c = *state;
    pln_revocations set;
    pln_revocations_init(&set);
    bool added = false;
    for (int i = 0; i < 2; i++) {
        pln_revocation revocation;
        assert_int_equal(pln_revocation_issue(&c->root, &c->alice, TEST_NOW + i, &revocation),
                         POLLEN_OK);
        assert_int_equal(pln_revocations_add(&set, &revocation, &c->root.trust, &added), POLLEN_OK);
        assert_int_equal(added, i == 0);
        pln_revocation_fini(&revocation);
    }
    assert_int_equal(set.count, 1);
    assert_int_equal(pln_revocations_at(&set, 0)->revoked_at, TEST_NOW);
    pln_revocations_fini(&set);
}

static void test_a_false_revocation_is_not_added(void **state) {
    cluster *c = *state;
    pln_revocations set;
    pln_revocations_init(&set);
    pln_revocation revocation;
    bool added = true;
    assert_int_equal(pln_revocation_issue(&c->foreign, &c->alice, TEST_NOW, &revocation),
                     POLLEN_OK);
    assert_int_equal(pln_revocations_add(&set, &revocation, &c->root.trust, &added),
                     POLLEN_ECLUSTER);
    revocation.cluster_id = c->root.trust.cluster_id;
    assert_int_equal(pln_revocations_add(&set, &revocation, &c->root.trust, &added),
                     POLLEN_ESIGNATURE);
    assert_false(pln_revocations_has(&set, &c->alice));
    assert_true(added); /* Untouched on error. */
    pln_revocation_fini(&revocation);
    pln_revocations_fini(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_open_invite_is_good_for_anybody),
        cmocka_unit_test(test_a_bound_invite_is_good_for_its_subject),
        cmocka_unit_test(test_a_non_renewable_invite_stays_so),
        cmocka_unit_test(test_token_ids_are_random_uuids),
        cmocka_unit_test(test_invite_terms_are_checked),
        cmocka_unit_test(test_an_invite_names_its_relays),
        cmocka_unit_test(test_an_invite_of_an_unrelated_root_is_refused),
        cmocka_unit_test(test_an_invite_with_our_trust_and_a_foreign_issuer_is_refused),
        cmocka_unit_test(test_a_redeemer_grants_nothing_past_the_end),
        cmocka_unit_test(test_a_redeemer_refuses_endless_invites),
        cmocka_unit_test(test_an_invite_signature_is_no_join_signature),
        cmocka_unit_test(test_an_answer_lasts_five_minutes_or_what_is_left),
        cmocka_unit_test(test_an_answer_carries_the_invites_terms),
        cmocka_unit_test(test_an_answer_without_terms_has_the_redeemers),
        cmocka_unit_test(test_a_delegated_join_token_verifies),
        cmocka_unit_test(test_a_join_token_passes_the_flag_on),
        cmocka_unit_test(test_a_join_token_may_have_no_bootstrap),
        cmocka_unit_test(test_a_join_token_of_another_cluster_is_refused),
        cmocka_unit_test(test_the_root_revokes),
        cmocka_unit_test(test_nobody_else_revokes),
        cmocka_unit_test(test_an_empty_revocation_is_malformed),
        cmocka_unit_test(test_revocations_are_sorted_and_one_each),
        cmocka_unit_test(test_a_second_revocation_changes_nothing),
        cmocka_unit_test(test_a_false_revocation_is_not_added),
    };
    return cmocka_run_group_tests(tests, cluster_setup, cluster_teardown);
}
