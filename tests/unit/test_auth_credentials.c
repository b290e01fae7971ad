/* SPDX-License-Identifier: Apache-2.0 */
/* What changes a node's credentials and what does not, and lack of memory in all that is issued. */
#include "auth/credentials.h"
#include "auth/revocation.h"
#include "base/key.h"
#include "support/cluster.h"
#include "support/fail_mem.h"

typedef struct fixture {
    cluster c;
    pln_credentials creds; /* Alice's. */
    long live;             /* Blocks before the test. */
} fixture;

static int setup(void **state) {
    static fixture f; /* The generator borrows from it, so it must not move. */
    f.live = fail_mem_live();
    cluster_init(&f.c);
    pollen_seed seed = test_seed_of(ALICE);
    pln_credentials_init(&f.creds, &seed);
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    pln_credentials_fini(&f->creds);
    cluster_fini(&f->c);
    assert_int_equal(fail_mem_live(), f->live);
    return 0;
}

/* Applies a token for a membership of ttl_seconds, issued at TEST_NOW. */
static pollen_err apply(fixture *f, const pln_signer *signer, int64_t ttl_seconds,
                        bool *ret_changed) {
    pln_join_token token = cluster_join(&f->c, signer, &f->c.alice, ttl_seconds);
    pollen_err err = pln_credentials_apply(&f->creds, &token, TEST_NOW, ret_changed);
    pln_join_token_fini(&token);
    return err;
}

static void enrol(fixture *f, int64_t ttl_seconds) {
    bool changed = false;
    assert_int_equal(apply(f, &f->c.root, ttl_seconds, &changed), POLLEN_OK);
    assert_true(changed);
}

/* ---- Join tokens ----------------------------------------------------------------------------- */

static void test_a_join_token_enrols(void **state) {
    fixture *f = *state;
    assert_true(pln_key_equal(&f->creds.key, &f->c.alice));
    assert_false(f->creds.enrolled);
    enrol(f, 3600);
    assert_true(f->creds.enrolled);
    assert_true(pln_trust_equal(&f->creds.trust, &f->c.root.trust));
    assert_int_equal(f->creds.member_cert.not_after, TEST_NOW + 3600);
    assert_int_equal(
        pln_member_cert_verify(&f->creds.member_cert, &f->creds.trust, &f->creds.key, TEST_NOW),
        POLLEN_OK);
}

static void test_a_longer_certificate_replaces(void **state) {
    fixture *f = *state;
    enrol(f, 3600);
    enrol(f, 3601);
    assert_int_equal(f->creds.member_cert.not_after, TEST_NOW + 3601);
}

static void test_a_certificate_that_lasts_no_longer_is_not_taken(void **state) {
    fixture *f = *state;
    enrol(f, 3600);
    uint64_t serial = f->creds.member_cert.serial;
    for (int64_t ttl = 3599; ttl <= 3600; ttl++) {
        bool changed = true;
        assert_int_equal(apply(f, &f->c.root, ttl, &changed), POLLEN_OK);
        assert_false(changed);
        assert_int_equal(f->creds.member_cert.not_after, TEST_NOW + 3600);
        assert_true(f->creds.member_cert.serial == serial);
    }
}

static void test_an_expired_certificate_is_replaced(void **state) {
    fixture *f = *state;
    enrol(f, 3600);
    f->creds.member_cert.not_after = TEST_NOW + 86400; /* Not signed so: as good as expired. */
    assert_int_equal(pln_member_cert_encode_claims(&f->creds.member_cert), POLLEN_OK);
    enrol(f, 60);
    assert_int_equal(f->creds.member_cert.not_after, TEST_NOW + 60);

    pln_join_terms terms = {
        .bootstrap = &f->c.bootstrap, .ttl_seconds = 300, .membership = {.ttl_seconds = 5}};
    pln_join_token token;
    bool changed = false;
    pln_wall later = TEST_NOW + 121; /* Past the end and the minute after it. */
    assert_int_equal(pln_join_issue(&f->c.root, &f->c.alice, &terms, &f->c.rng, later, &token),
                     POLLEN_OK);
    assert_int_equal(pln_credentials_apply(&f->creds, &token, later, &changed), POLLEN_OK);
    assert_true(changed);
    assert_int_equal(f->creds.member_cert.not_after, later + 5);
    pln_join_token_fini(&token);
}

static void test_a_token_of_another_cluster_touches_nothing(void **state) {
    fixture *f = *state;
    enrol(f, 3600);
    bool changed = true;
    assert_int_equal(apply(f, &f->c.foreign, 7200, &changed), POLLEN_ECLUSTER);
    assert_true(changed); /* Not written on error. */
    assert_true(pln_trust_equal(&f->creds.trust, &f->c.root.trust));
    assert_int_equal(f->creds.member_cert.not_after, TEST_NOW + 3600);
}

/* A root that has not enrolled itself must not lose its cluster either. */
static void test_a_signer_joins_its_own_cluster_only(void **state) {
    fixture *f = *state;
    assert_int_equal(pln_signer_copy(&f->creds.signer, &f->c.root), POLLEN_OK);
    f->creds.has_signer = true;
    bool changed = false;
    assert_int_equal(apply(f, &f->c.foreign, 3600, &changed), POLLEN_ECLUSTER);
    assert_false(f->creds.enrolled);
    enrol(f, 3600);
    assert_true(f->creds.has_signer);
}

static void test_a_token_for_another_key_is_refused(void **state) {
    fixture *f = *state;
    pln_join_token token = cluster_join(&f->c, &f->c.root, &f->c.bob, 3600);
    bool changed = false;
    assert_int_equal(pln_credentials_apply(&f->creds, &token, TEST_NOW, &changed), POLLEN_ESUBJECT);
    assert_false(f->creds.enrolled);
    pln_join_token_fini(&token);
}

static void test_a_lapsed_token_is_refused(void **state) {
    fixture *f = *state;
    pln_join_token token = cluster_join(&f->c, &f->c.root, &f->c.alice, 3600);
    bool changed = false;
    assert_int_equal(pln_credentials_apply(&f->creds, &token, TEST_NOW + 361, &changed),
                     POLLEN_EEXPIRED);
    assert_int_equal(pln_credentials_apply(&f->creds, &token, TEST_NOW + 360, &changed), POLLEN_OK);
    pln_join_token_fini(&token);
}

/* ---- A new cluster --------------------------------------------------------------------------- */

static void test_a_root_is_the_first_member(void **state) {
    fixture *f = *state;
    pollen_seed root = test_seed_of(0x55);
    assert_int_equal(
        pln_credentials_create_root(&f->creds, &root, 86400, 3600, &f->c.rng, TEST_NOW), POLLEN_OK);
    assert_true(f->creds.enrolled);
    assert_true(f->creds.has_signer);
    assert_true(f->creds.signer.is_root);
    assert_int_equal(
        pln_member_cert_verify(&f->creds.member_cert, &f->creds.trust, &f->creds.key, TEST_NOW),
        POLLEN_OK);
    assert_int_equal(f->creds.signer.issuer.not_after, TEST_NOW + 86400);
    assert_int_equal(f->creds.member_cert.not_after, TEST_NOW + 3600);
    assert_int_equal(
        pln_credentials_create_root(&f->creds, &root, 86400, 3600, &f->c.rng, TEST_NOW),
        POLLEN_EEXIST);
}

static void test_a_cluster_without_a_lifetime_is_not_made(void **state) {
    fixture *f = *state;
    pollen_seed root = test_seed_of(0x55);
    assert_int_equal(pln_credentials_create_root(&f->creds, &root, 0, 3600, &f->c.rng, TEST_NOW),
                     POLLEN_EINVAL);
    assert_int_equal(pln_credentials_create_root(&f->creds, &root, 3600, 0, &f->c.rng, TEST_NOW),
                     POLLEN_EINVAL);
    assert_false(f->creds.enrolled);
    assert_false(f->creds.has_signer);
}

/* ---- Renewal --------------------------------------------------------------------------------- */

static pollen_err renew(fixture *f, const pln_signer *signer, const pollen_key *subject,
                        const pln_member_terms *terms) {
    pln_member_cert cert;
    assert_int_equal(pln_member_cert_issue(signer, subject, terms, &f->c.rng, TEST_NOW, &cert),
                     POLLEN_OK);
    pollen_err err = pln_credentials_renew(&f->creds, &cert, TEST_NOW);
    pln_member_cert_fini(&cert);
    return err;
}

static void test_a_renewal_must_end_later(void **state) {
    fixture *f = *state;
    pln_member_terms terms = {.ttl_seconds = 3600};
    assert_int_equal(renew(f, &f->c.root, &f->c.alice, &terms), POLLEN_ENOTENROLLED);
    enrol(f, 3600);
    assert_int_equal(renew(f, &f->c.root, &f->c.alice, &terms), POLLEN_ECERT);
    terms.ttl_seconds = 3599;
    assert_int_equal(renew(f, &f->c.root, &f->c.alice, &terms), POLLEN_ECERT);
    terms.ttl_seconds = 3601;
    assert_int_equal(renew(f, &f->c.admin, &f->c.alice, &terms), POLLEN_OK);
    assert_int_equal(f->creds.member_cert.not_after, TEST_NOW + 3601);
}

static void test_a_renewal_changes_nothing_else(void **state) {
    fixture *f = *state;
    enrol(f, 3600);
    pln_member_terms terms = {.ttl_seconds = 7200, .non_renewable = true};
    assert_int_equal(renew(f, &f->c.root, &f->c.alice, &terms), POLLEN_ECERT);
    terms.non_renewable = false;
    assert_int_equal(renew(f, &f->c.root, &f->c.bob, &terms), POLLEN_ESUBJECT);
    assert_int_equal(renew(f, &f->c.foreign, &f->c.alice, &terms), POLLEN_ECLUSTER);
    assert_int_equal(f->creds.member_cert.not_after, TEST_NOW + 3600);
}

/* ---- Copies and secrets ---------------------------------------------------------------------- */

static void test_a_copy_stands_alone(void **state) {
    fixture *f = *state;
    pollen_seed root = test_seed_of(0x55);
    assert_int_equal(
        pln_credentials_create_root(&f->creds, &root, 86400, 3600, &f->c.rng, TEST_NOW), POLLEN_OK);
    pln_credentials copy = {.enrolled = false};
    assert_int_equal(pln_credentials_copy(&copy, &f->creds), POLLEN_OK);
    pln_credentials_fini(&f->creds);
    pollen_seed seed = test_seed_of(ALICE);
    assert_memory_equal(copy.seed.bytes, seed.bytes, sizeof(seed.bytes));
    assert_int_equal(pln_member_cert_verify(&copy.member_cert, &copy.trust, &copy.key, TEST_NOW),
                     POLLEN_OK);
    pln_member_cert cert = cluster_member(&f->c, &copy.signer, &f->c.bob, 60);
    assert_int_equal(pln_member_cert_verify(&cert, &copy.trust, &f->c.bob, TEST_NOW), POLLEN_OK);
    pln_member_cert_fini(&cert);
    pln_credentials_fini(&copy);
}

static void test_finished_credentials_hold_no_secret(void **state) {
    fixture *f = *state;
    pollen_seed zero = {{0}};
    pollen_seed root = test_seed_of(0x55);
    assert_int_equal(
        pln_credentials_create_root(&f->creds, &root, 86400, 3600, &f->c.rng, TEST_NOW), POLLEN_OK);
    pln_credentials_fini(&f->creds);
    assert_memory_equal(f->creds.seed.bytes, zero.bytes, sizeof(zero.bytes));
    assert_memory_equal(f->creds.signer.seed.bytes, zero.bytes, sizeof(zero.bytes));
    pln_credentials_fini(&f->creds);
}

/* ---- Lack of memory: every allocation fails once, and nothing changed or leaked -------------- */

/* Runs until no allocation fails any more; each run ends with what the run before it began with. */
static void for_each_allocation(fixture *f, pollen_err (*run)(fixture *f)) {
    long live = fail_mem_live();
    for (size_t n = 1;; n++) {
        fail_mem_arm(n);
        pollen_err err = run(f);
        if (!fail_mem_disarm()) {
            assert_int_equal(err, POLLEN_OK);
            assert_true(n > 1);
            return;
        }
        assert_int_equal(err, POLLEN_ENOMEM);
        assert_int_equal(fail_mem_live(), live);
    }
}

static pollen_err run_issue_admin(fixture *f) {
    pln_admin_cert cert;
    pollen_err err = pln_admin_cert_issue(&f->c.root, &f->c.bob, 60, &f->c.rng, TEST_NOW, &cert);
    if (err == POLLEN_OK) {
        pln_admin_cert_fini(&cert);
    }
    return err;
}

static pollen_err run_create_root(fixture *f) {
    pollen_seed seed = test_seed_of(0x66);
    pln_signer signer;
    pollen_err err = pln_signer_create_root(&seed, 60, &f->c.rng, TEST_NOW, &signer);
    if (err == POLLEN_OK) {
        pln_signer_fini(&signer);
    }
    return err;
}

static pollen_err run_create_delegated(fixture *f) {
    pollen_seed seed = test_seed_of(ADMIN);
    pln_signer signer;
    pollen_err err =
        pln_signer_create_delegated(&seed, &f->c.root.trust, &f->c.admin.issuer, TEST_NOW, &signer);
    if (err == POLLEN_OK) {
        pln_signer_fini(&signer);
    }
    return err;
}

static pollen_err run_issue_invite(fixture *f) {
    pln_invite_token token;
    pln_invite_terms terms = {.bootstrap = &f->c.bootstrap, .ttl_seconds = 60};
    pollen_err err = pln_invite_issue(&f->c.admin, &terms, &f->c.rng, TEST_NOW, &token);
    if (err == POLLEN_OK) {
        pln_invite_token_fini(&token);
    }
    return err;
}

static pollen_err run_redeem(fixture *f) {
    pln_invite_token invite = {.expires_at = TEST_NOW + 60, .bootstrap = f->c.bootstrap};
    pln_join_token token;
    pollen_err err =
        pln_invite_redeem(&f->c.admin, &invite, &f->c.bob, 60, &f->c.rng, TEST_NOW, &token);
    if (err == POLLEN_OK) {
        pln_join_token_fini(&token);
    }
    return err;
}

static pollen_err run_revoke(fixture *f) {
    pln_revocation revocation;
    pollen_err err = pln_revocation_issue(&f->c.root, &f->c.bob, TEST_NOW, &revocation);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_revocations set;
    bool added = false;
    pln_revocations_init(&set);
    err = pln_revocations_add(&set, &revocation, &f->c.root.trust, &added);
    assert_int_equal(added, err == POLLEN_OK);
    assert_int_equal(set.count, added ? 1 : 0);
    pln_revocations_fini(&set);
    pln_revocation_fini(&revocation);
    return err;
}

static void test_issuing_survives_lack_of_memory(void **state) {
    fixture *f = *state;
    pollen_err (*const runs[])(fixture *) = {run_issue_admin,      run_create_root,
                                             run_create_delegated, run_issue_invite,
                                             run_redeem,           run_revoke};
    for (size_t i = 0; i < sizeof(runs) / sizeof(*runs); i++) {
        for_each_allocation(f, runs[i]);
    }
}

static void test_applying_survives_lack_of_memory(void **state) {
    fixture *f = *state;
    const int64_t ttls[] = {3600, 7200}; /* The first enrols, the second replaces. */
    for (size_t i = 0; i < 2; i++) {
        pln_join_token token = cluster_join(&f->c, &f->c.root, &f->c.alice, ttls[i]);
        long live = fail_mem_live();
        bool changed = false;
        for (size_t n = 1;; n++) {
            fail_mem_arm(n);
            pollen_err err = pln_credentials_apply(&f->creds, &token, TEST_NOW, &changed);
            if (!fail_mem_disarm()) {
                assert_int_equal(err, POLLEN_OK);
                break;
            }
            assert_int_equal(err, POLLEN_ENOMEM);
            assert_false(changed);
            assert_int_equal(f->creds.enrolled, i == 1);
            assert_int_equal(f->creds.member_cert.not_after, i == 1 ? TEST_NOW + 3600 : 0);
            assert_int_equal(fail_mem_live(), live);
        }
        assert_true(changed);
        assert_int_equal(f->creds.member_cert.not_after, TEST_NOW + ttls[i]);
        pln_join_token_fini(&token);
    }
}

static void test_renewing_survives_lack_of_memory(void **state) {
    fixture *f = *state;
    enrol(f, 3600);
    pln_member_cert cert = cluster_member(&f->c, &f->c.root, &f->c.alice, 7200);
    long live = fail_mem_live();
    for (size_t n = 1;; n++) {
        fail_mem_arm(n);
        pollen_err err = pln_credentials_renew(&f->creds, &cert, TEST_NOW);
        if (!fail_mem_disarm()) {
            assert_int_equal(err, POLLEN_OK);
            break;
        }
        assert_int_equal(err, POLLEN_ENOMEM);
        assert_int_equal(f->creds.member_cert.not_after, TEST_NOW + 3600);
        assert_int_equal(fail_mem_live(), live);
    }
    assert_int_equal(f->creds.member_cert.not_after, TEST_NOW + 7200);
    pln_member_cert_fini(&cert);
}

static void test_founding_survives_lack_of_memory(void **state) {
    fixture *f = *state;
    pollen_seed root = test_seed_of(0x55);
    long live = fail_mem_live();
    for (size_t n = 1;; n++) {
        fail_mem_arm(n);
        pollen_err err =
            pln_credentials_create_root(&f->creds, &root, 86400, 3600, &f->c.rng, TEST_NOW);
        if (!fail_mem_disarm()) {
            assert_int_equal(err, POLLEN_OK);
            break;
        }
        assert_int_equal(err, POLLEN_ENOMEM);
        assert_false(f->creds.enrolled);
        assert_false(f->creds.has_signer);
        assert_int_equal(fail_mem_live(), live);
    }
    live = fail_mem_live();
    for (size_t n = 1;; n++) {
        pln_credentials copy = {.enrolled = false};
        fail_mem_arm(n);
        pollen_err err = pln_credentials_copy(&copy, &f->creds);
        if (!fail_mem_disarm()) {
            assert_int_equal(err, POLLEN_OK);
            pln_credentials_fini(&copy);
            break;
        }
        assert_int_equal(err, POLLEN_ENOMEM);
        assert_false(copy.enrolled);
        assert_int_equal(fail_mem_live(), live);
    }
}

/* Decoding allocates, verifying does not: a peer's certificate costs no memory to judge. */
static void test_verifying_allocates_nothing(void **state) {
    fixture *f = *state;
    pln_join_token join = cluster_join(&f->c, &f->c.admin, &f->c.alice, 3600);
    pln_invite_token invite = cluster_invite(&f->c, &f->c.admin, NULL);
    fail_mem_arm(1);
    pollen_err joined = pln_join_verify(&join, &f->c.root.trust, &f->c.alice, TEST_NOW);
    pollen_err invited = pln_invite_verify_local(&invite, &f->c.root.trust, NULL, TEST_NOW);
    bool failed = fail_mem_disarm();
    assert_false(failed);
    assert_int_equal(joined, POLLEN_OK);
    assert_int_equal(invited, POLLEN_OK);
    pln_join_token_fini(&join);
    pln_invite_token_fini(&invite);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_join_token_enrols),
        TEST(test_a_longer_certificate_replaces),
        TEST(test_a_certificate_that_lasts_no_longer_is_not_taken),
        TEST(test_an_expired_certificate_is_replaced),
        TEST(test_a_token_of_another_cluster_touches_nothing),
        TEST(test_a_signer_joins_its_own_cluster_only),
        TEST(test_a_token_for_another_key_is_refused),
        TEST(test_a_lapsed_token_is_refused),
        TEST(test_a_root_is_the_first_member),
        TEST(test_a_cluster_without_a_lifetime_is_not_made),
        TEST(test_a_renewal_must_end_later),
        TEST(test_a_renewal_changes_nothing_else),
        TEST(test_a_copy_stands_alone),
        TEST(test_finished_credentials_hold_no_secret),
        TEST(test_issuing_survives_lack_of_memory),
        TEST(test_applying_survives_lack_of_memory),
        TEST(test_renewing_survives_lack_of_memory),
        TEST(test_founding_survives_lack_of_memory),
        TEST(test_verifying_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
