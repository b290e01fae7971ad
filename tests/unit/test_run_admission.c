/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions around credentials and tokens. */
#include "support/cluster.h"
#include "support/fail_mem.h"
#include "support/tree.h"

#include <pollen/admission.h>

#include "base/key.h"
#include "base/mem.h"
#include "run/admission.h"
#include "run/clock.h"
#include "run/last_error.h"
#include "wire/config_yaml.h"

enum { HOUR = 3600, DAY = 86400, SOON = 60 /* How long a test may take between two looks. */ };

static const char *const relay_addrs[] = {"192.0.2.1:60611", "relay.example.org:60611"};

typedef struct fixture {
    pollen_credentials *root;  /* Root of a cluster. */
    pollen_credentials *alice; /* Belongs nowhere. */
    pollen_bootstrap relay;
    pollen_invite_options options; /* With that relay. */
    char dir[TREE_PATH_BYTES];
} fixture;

static pollen_credentials *node(uint8_t byte) {
    const pollen_seed seed = test_seed_of(byte);
    pollen_credentials *credentials = NULL;
    assert_int_equal(pollen_credentials_create(&seed, &credentials), POLLEN_OK);
    return credentials;
}

static pollen_credentials *root_of(uint8_t byte, uint8_t root_byte) {
    const pollen_seed root = test_seed_of(root_byte);
    pollen_credentials *credentials = node(byte);
    assert_int_equal(pollen_credentials_create_cluster(credentials, &root), POLLEN_OK);
    return credentials;
}

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->root = root_of(RELAY, ROOT);
    f->alice = node(ALICE);
    f->relay =
        (pollen_bootstrap){.peer = test_key_of(RELAY), .addrs = relay_addrs, .addr_count = 2};
    pollen_invite_options_init(&f->options);
    f->options.bootstrap = &f->relay;
    f->options.bootstrap_count = 1;
    tree_make(f->dir);
    pln_last_error_clear();
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    pollen_credentials_destroy(f->root);
    pollen_credentials_destroy(f->alice);
    tree_remove(f->dir);
    free(f);
    return 0;
}

static char *join_text(const fixture *f, const pollen_credentials *admin, uint8_t subject) {
    const pollen_key key = test_key_of(subject);
    char *text = NULL;
    assert_int_equal(pollen_join_token_create(admin, &key, &f->options, &text), POLLEN_OK);
    return text;
}

static pollen_err apply(const fixture *f, const pollen_credentials *admin, uint8_t subject) {
    char *text = join_text(f, admin, subject);
    const pollen_err err = pollen_credentials_apply(f->alice, text);
    pollen_text_free(text);
    return err;
}

static pollen_cert_info cert_of(const pollen_credentials *credentials) {
    pollen_cert_info info;
    assert_int_equal(pollen_credentials_cert(credentials, &info), POLLEN_OK);
    return info;
}

static pollen_key cluster_of(const pollen_credentials *credentials) {
    pollen_key own;
    assert_int_equal(pollen_credentials_cluster(credentials, &own), POLLEN_OK);
    return own;
}

/* The clock of the machine runs, so a time is right when it is so by a minute. */
static void assert_about(int64_t time, int64_t wanted) {
    assert_in_range((uint64_t)time, (uint64_t)(wanted - SOON), (uint64_t)(wanted + SOON));
}

/* ---- Credentials ----------------------------------------------------------------------------- */

static void test_a_new_node_belongs_nowhere(void **state) {
    fixture *f = *state;
    pollen_key own;
    pollen_cert_info info;
    const pollen_key key = pollen_credentials_key(f->alice);
    const pollen_key wanted = test_key_of(ALICE);
    assert_true(pln_key_equal(&key, &wanted));
    assert_false(pollen_credentials_enrolled(f->alice));
    assert_false(pollen_credentials_is_admin(f->alice));
    assert_int_equal(pollen_credentials_cluster(f->alice, &own), POLLEN_ENOTENROLLED);
    assert_int_equal(pollen_credentials_cert(f->alice, &info), POLLEN_ENOTENROLLED);
}

static void test_the_root_is_the_first_member(void **state) {
    fixture *f = *state;
    const pollen_key root = test_key_of(ROOT);
    pollen_key id;
    pln_sha256(root.bytes, sizeof(root.bytes), id.bytes);
    assert_true(pollen_credentials_enrolled(f->root));
    assert_true(pollen_credentials_is_admin(f->root));
    const pollen_key own = cluster_of(f->root);
    assert_true(pln_key_equal(&own, &id));
    const pollen_cert_info info = cert_of(f->root);
    assert_true(info.renewable);
    assert_int_not_equal(info.serial, 0);
    assert_about(info.not_before, pln_clock_wall() - PLN_BACKDATE_SECONDS);
    assert_about(info.not_after, pln_clock_wall() + PLN_MEMBERSHIP_TTL_DEFAULT);
}

static void test_a_member_makes_no_second_cluster(void **state) {
    fixture *f = *state;
    const pollen_seed other = test_seed_of(FOREIGN_ROOT);
    const pollen_key before = cluster_of(f->root);
    assert_int_equal(pollen_credentials_create_cluster(f->root, &other), POLLEN_EEXIST);
    const pollen_key after = cluster_of(f->root);
    assert_true(pln_key_equal(&before, &after));
}

static void test_null_is_an_invalid_argument(void **state) {
    fixture *f = *state;
    const pollen_key key = test_key_of(ALICE);
    pollen_credentials *credentials = NULL;
    char *text = NULL;
    pollen_credentials_destroy(NULL);
    pollen_text_free(NULL);
    assert_int_equal(pollen_credentials_create(NULL, &credentials), POLLEN_EINVAL);
    assert_int_equal(pollen_credentials_create_cluster(f->alice, NULL), POLLEN_EINVAL);
    assert_int_equal(pollen_credentials_load(NULL, &credentials), POLLEN_EINVAL);
    assert_int_equal(pollen_credentials_save(NULL, f->dir), POLLEN_EINVAL);
    assert_int_equal(pollen_credentials_save(f->root, NULL), POLLEN_EINVAL);
    assert_int_equal(pollen_credentials_apply(f->alice, NULL), POLLEN_EINVAL);
    assert_int_equal(pollen_invite_create(f->root, NULL, &text), POLLEN_EINVAL);
    assert_int_equal(pollen_join_token_create(f->root, NULL, &f->options, &text), POLLEN_EINVAL);
    assert_int_equal(pollen_join_token_create(f->root, &key, &f->options, NULL), POLLEN_EINVAL);
    assert_null(text);
    assert_null(credentials);
}

/* ---- Invites --------------------------------------------------------------------------------- */

static pln_invite_token invite(const fixture *f) {
    char *text = NULL;
    pln_invite_token token;
    assert_int_equal(pollen_invite_create(f->root, &f->options, &text), POLLEN_OK);
    assert_int_equal(pln_read_invite(text, &token), POLLEN_OK);
    pollen_text_free(text);
    return token;
}

static void test_an_invite_says_what_was_asked_for(void **state) {
    fixture *f = *state;
    const pollen_key alice = test_key_of(ALICE);
    f->options.subject = &alice;
    f->options.ttl_seconds = HOUR;
    f->options.membership_ttl_seconds = DAY;
    f->options.non_renewable = true;
    pln_invite_token token = invite(f);
    assert_true(token.has_subject && pln_key_equal(&token.subject_pub, &alice));
    assert_about(token.expires_at, pln_clock_wall() + HOUR);
    assert_int_equal(token.membership_ttl_seconds, DAY);
    assert_true(token.non_renewable);
    assert_int_equal(token.bootstrap.count, 1);
    assert_true(pln_key_equal(&token.bootstrap.items[0].peer_pub, &f->relay.peer));
    assert_int_equal(token.bootstrap.items[0].addr_count, 2);
    assert_string_equal(token.bootstrap.items[0].addrs[1], relay_addrs[1]);
    assert_int_equal(pln_invite_verify(&token, &alice, pln_clock_wall()), POLLEN_OK);
    pln_invite_token_fini(&token);
}

static void test_an_invite_is_open_for_five_minutes_unless_asked(void **state) {
    fixture *f = *state;
    pln_invite_token token = invite(f);
    assert_false(token.has_subject);
    assert_false(token.non_renewable);
    assert_int_equal(token.membership_ttl_seconds, 0);
    assert_about(token.expires_at, pln_clock_wall() + 300);
    pln_invite_token_fini(&token);
}

static void test_only_an_admin_invites(void **state) {
    fixture *f = *state;
    const pollen_key bob = test_key_of(BOB);
    char *text = NULL;
    assert_int_equal(apply(f, f->root, ALICE), POLLEN_OK); /* A member, and no more. */
    assert_int_equal(pollen_invite_create(f->alice, &f->options, &text), POLLEN_ENOTADMIN);
    assert_int_equal(pollen_join_token_create(f->alice, &bob, &f->options, &text),
                     POLLEN_ENOTADMIN);
    assert_null(text);
}

static void test_an_invite_needs_sane_options(void **state) {
    static const int64_t bad[] = {-1, 0, PLN_INVITE_TTL_MAX_SECONDS + 1, INT64_MAX};
    fixture *f = *state;
    char *text = NULL;
    const pollen_invite_options good = f->options;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        f->options.ttl_seconds = bad[i];
        assert_int_equal(pollen_invite_create(f->root, &f->options, &text), POLLEN_EINVAL);
    }
    f->options = good;
    f->options.membership_ttl_seconds = -1;
    assert_int_equal(pollen_invite_create(f->root, &f->options, &text), POLLEN_EINVAL);
    f->options = good;
    f->options.bootstrap_count = 0;
    assert_int_equal(pollen_invite_create(f->root, &f->options, &text), POLLEN_EINVAL);
    f->options = good;
    f->options.bootstrap = NULL;
    assert_int_equal(pollen_invite_create(f->root, &f->options, &text), POLLEN_EINVAL);
    f->options = good;
    f->relay.addr_count = 0;
    assert_int_equal(pollen_invite_create(f->root, &f->options, &text), POLLEN_EINVAL);
    f->relay.addr_count = 2;
    f->options.size = 0; /* Not initialised. */
    assert_int_equal(pollen_invite_create(f->root, &f->options, &text), POLLEN_EINVAL);
    assert_null(text);
}

/* ---- Join tokens ----------------------------------------------------------------------------- */

static void test_a_join_token_enrols(void **state) {
    fixture *f = *state;
    f->options.membership_ttl_seconds = DAY;
    f->options.non_renewable = true;
    assert_int_equal(apply(f, f->root, ALICE), POLLEN_OK);
    assert_true(pollen_credentials_enrolled(f->alice));
    assert_false(pollen_credentials_is_admin(f->alice));
    const pollen_key own = cluster_of(f->alice);
    const pollen_key wanted = cluster_of(f->root);
    assert_true(pln_key_equal(&own, &wanted));
    const pollen_cert_info info = cert_of(f->alice);
    assert_false(info.renewable);
    assert_about(info.not_after, pln_clock_wall() + DAY);
}

static void test_a_membership_lasts_a_year_unless_asked(void **state) {
    fixture *f = *state;
    assert_int_equal(apply(f, f->root, ALICE), POLLEN_OK);
    const pollen_cert_info info = cert_of(f->alice);
    assert_true(info.renewable);
    assert_about(info.not_after, pln_clock_wall() + PLN_MEMBERSHIP_TTL_DEFAULT);
}

static void test_the_longer_membership_is_kept(void **state) {
    fixture *f = *state;
    f->options.membership_ttl_seconds = DAY;
    assert_int_equal(apply(f, f->root, ALICE), POLLEN_OK);
    const uint64_t first = cert_of(f->alice).serial;
    f->options.membership_ttl_seconds = HOUR;
    assert_int_equal(apply(f, f->root, ALICE), POLLEN_OK);
    assert_int_equal(cert_of(f->alice).serial, first);
    f->options.membership_ttl_seconds = 2 * DAY;
    assert_int_equal(apply(f, f->root, ALICE), POLLEN_OK);
    assert_int_not_equal(cert_of(f->alice).serial, first);
}

static void test_a_token_for_another_node_is_refused(void **state) {
    fixture *f = *state;
    assert_int_equal(apply(f, f->root, BOB), POLLEN_ESUBJECT);
    assert_false(pollen_credentials_enrolled(f->alice));
}

/* The reference deletes all there is here, the root key included, and joins. */
static void test_a_token_of_another_cluster_changes_nothing(void **state) {
    fixture *f = *state;
    pollen_credentials *foreign = root_of(BOB, FOREIGN_ROOT);
    char *text = join_text(f, foreign, RELAY);
    assert_int_equal(pollen_credentials_save(f->root, f->dir), POLLEN_OK);
    const tree_print before = tree_fingerprint(f->dir);
    const uint64_t serial = cert_of(f->root).serial;
    assert_int_equal(pollen_credentials_apply(f->root, text), POLLEN_ECLUSTER);
    assert_int_equal(cert_of(f->root).serial, serial);
    assert_true(pollen_credentials_is_admin(f->root));
    assert_int_equal(pollen_credentials_save(f->root, f->dir), POLLEN_OK);
    tree_assert_same(f->dir, &before);
    pollen_text_free(text);
    pollen_credentials_destroy(foreign);
}

static void test_an_expired_token_is_refused(void **state) {
    fixture *f = *state;
    const pln_wall then = pln_clock_wall() - DAY;
    const pollen_seed seed = test_seed_of(ROOT);
    const pollen_key alice = test_key_of(ALICE);
    const pln_join_terms terms = {
        .bootstrap = &(pln_bootstraps){0}, .ttl_seconds = 300, .membership = {.ttl_seconds = DAY}};
    pln_rng_seeded seeded;
    const pln_rng rng = pln_rng_from_seed(&seeded, 1);
    pln_signer signer;
    pln_join_token token;
    char *text = NULL;
    assert_int_equal(pln_signer_create_root(&seed, 10 * DAY, &rng, then, &signer), POLLEN_OK);
    assert_int_equal(pln_join_issue(&signer, &alice, &terms, &rng, then, &token), POLLEN_OK);
    assert_int_equal(pln_token_text_encode(&token.wire, &text), POLLEN_OK);
    assert_int_equal(pollen_credentials_apply(f->alice, text), POLLEN_EEXPIRED);
    assert_false(pollen_credentials_enrolled(f->alice));
    pollen_text_free(text);
    pln_join_token_fini(&token);
    pln_signer_fini(&signer);
}

static void test_what_is_no_token_is_refused(void **state) {
    static const char *const texts[] = {"", " ", "hello", "AAAA", "Cg==", "====", "\xff\xfe"};
    fixture *f = *state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(pollen_credentials_apply(f->alice, texts[i]), POLLEN_ETOKEN);
    }
    char *text = join_text(f, f->root, ALICE);
    text[strlen(text) / 2] = '\0';
    assert_int_equal(pollen_credentials_apply(f->alice, text), POLLEN_ETOKEN);
    pollen_text_free(text);
    assert_false(pollen_credentials_enrolled(f->alice));
}

static void test_white_space_around_a_token_is_nothing(void **state) {
    fixture *f = *state;
    char *text = join_text(f, f->root, ALICE);
    const size_t size = strlen(text) + 8;
    char *pasted = malloc(size);
    assert_non_null(pasted);
    (void)snprintf(pasted, size, " \t%.40s\n%s\r\n ", text, text + 40);
    assert_int_equal(pollen_credentials_apply(f->alice, pasted), POLLEN_OK);
    free(pasted);
    pollen_text_free(text);
}

/* Any bit of it: what was signed, and the signature. */
static void test_a_token_that_was_changed_is_refused(void **state) {
    fixture *f = *state;
    char *text = join_text(f, f->root, ALICE);
    pln_bytes bytes = {0};
    assert_int_equal(pln_token_text_decode(text, strlen(text), &bytes), POLLEN_OK);
    pollen_text_free(text);
    for (size_t i = 0; i < bytes.size; i++) {
        bytes.data[i] ^= 1;
        assert_int_equal(pln_token_text_encode(&bytes, &text), POLLEN_OK);
        assert_int_not_equal(pollen_credentials_apply(f->alice, text), POLLEN_OK);
        pollen_text_free(text);
        bytes.data[i] ^= 1;
    }
    assert_false(pollen_credentials_enrolled(f->alice));
    pln_bytes_fini(&bytes);
}

/* ---- Loading and saving ---------------------------------------------------------------------- */

static pollen_credentials *reload(const fixture *f, const pollen_credentials *credentials) {
    pollen_credentials *loaded = NULL;
    assert_int_equal(pollen_credentials_save(credentials, f->dir), POLLEN_OK);
    assert_int_equal(pollen_credentials_load(f->dir, &loaded), POLLEN_OK);
    return loaded;
}

static void test_what_was_saved_loads(void **state) {
    fixture *f = *state;
    pollen_credentials *loaded = reload(f, f->root);
    const pollen_key own = cluster_of(loaded);
    const pollen_key wanted = cluster_of(f->root);
    char *text = NULL;
    assert_true(pln_key_equal(&own, &wanted));
    assert_int_equal(cert_of(loaded).serial, cert_of(f->root).serial);
    assert_int_equal(pollen_invite_create(loaded, &f->options, &text), POLLEN_OK);
    pollen_text_free(text);
    assert_int_equal(apply(f, loaded, ALICE), POLLEN_OK);
    pollen_credentials_destroy(loaded);
}

static void test_an_expired_member_loads(void **state) {
    fixture *f = *state;
    const pln_wall then = pln_clock_wall() - 10 * DAY;
    const pollen_seed seed = test_seed_of(BOB), root = test_seed_of(ROOT);
    pln_rng_seeded seeded;
    const pln_rng rng = pln_rng_from_seed(&seeded, 1);
    pln_credentials inner;
    pollen_credentials *old = NULL;
    pln_credentials_init(&inner, &seed);
    assert_int_equal(pln_credentials_create_root(&inner, &root, DAY, HOUR, &rng, then), POLLEN_OK);
    assert_int_equal(pln_credentials_wrap(&inner, &old), POLLEN_OK);
    pollen_credentials *loaded = reload(f, old);
    assert_true(pollen_credentials_enrolled(loaded));
    assert_int_equal(cert_of(loaded).not_after, then + HOUR);
    assert_true(pollen_credentials_is_admin(loaded)); /* A root can always sign anew. */
    pollen_credentials_destroy(loaded);
    pollen_credentials_destroy(old);
    pln_credentials_fini(&inner);
}

static void test_loading_nothing_makes_nothing(void **state) {
    fixture *f = *state;
    char path[TREE_PATH_BYTES];
    pollen_credentials *loaded = NULL;
    assert_int_equal(pollen_credentials_load(f->dir, &loaded), POLLEN_ENOENT);
    assert_int_equal(pollen_credentials_load(tree_path(f->dir, "none", path), &loaded),
                     POLLEN_ENOENT);
    assert_non_null(strstr(pollen_last_error(), path));
    assert_null(loaded);
    assert_false(tree_has(f->dir, "keys"));
    assert_false(tree_has(f->dir, "none"));
}

static void test_a_success_leaves_no_error_behind(void **state) {
    fixture *f = *state;
    pollen_credentials *loaded = NULL;
    assert_int_equal(pollen_credentials_load(f->dir, &loaded), POLLEN_ENOENT);
    assert_string_not_equal(pollen_last_error(), "");
    loaded = reload(f, f->alice);
    assert_string_equal(pollen_last_error(), "");
    pollen_credentials_destroy(loaded);
}

/* ---- Lack of memory -------------------------------------------------------------------------- */

static pollen_err try_load(fixture *f) {
    pollen_credentials *loaded = NULL;
    const pollen_err err = pollen_credentials_load(f->dir, &loaded);
    pollen_credentials_destroy(loaded);
    return err;
}

static pollen_err try_invite(fixture *f) {
    char *text = NULL;
    const pollen_err err = pollen_invite_create(f->root, &f->options, &text);
    pollen_text_free(text);
    return err;
}

static pollen_err try_join(fixture *f) {
    const pollen_key alice = test_key_of(ALICE);
    char *text = NULL;
    const pollen_err err = pollen_join_token_create(f->root, &alice, &f->options, &text);
    pollen_text_free(text);
    return err;
}

static pollen_err try_cluster(fixture *f) {
    const pollen_seed root = test_seed_of(FOREIGN_ROOT);
    pollen_credentials *credentials = NULL;
    const pollen_seed seed = test_seed_of(BOB);
    pollen_err err = pollen_credentials_create(&seed, &credentials);
    if (err == POLLEN_OK) {
        err = pollen_credentials_create_cluster(credentials, &root);
        assert_int_equal(pollen_credentials_enrolled(credentials), err == POLLEN_OK);
    }
    pollen_credentials_destroy(credentials);
    (void)f;
    return err;
}

static void assert_survives(fixture *f, pollen_err (*act)(fixture *f)) {
    for (size_t n = 1;; n++) {
        const long live = fail_mem_live();
        fail_mem_arm(n);
        const pollen_err err = act(f);
        if (!fail_mem_disarm()) {
            assert_int_equal(err, POLLEN_OK);
            assert_true(n > 1);
            return;
        }
        assert_int_equal(err, POLLEN_ENOMEM);
        assert_int_equal(fail_mem_live(), live);
    }
}

static void test_lack_of_memory_is_told_and_nothing_is_lost(void **state) {
    fixture *f = *state;
    assert_int_equal(pollen_credentials_save(f->root, f->dir), POLLEN_OK);
    const tree_print before = tree_fingerprint(f->dir);
    assert_survives(f, try_load);
    assert_survives(f, try_invite);
    assert_survives(f, try_join);
    assert_survives(f, try_cluster);
    tree_assert_same(f->dir, &before);
}

static void test_lack_of_memory_enrols_nobody(void **state) {
    fixture *f = *state;
    char *text = join_text(f, f->root, ALICE);
    for (size_t n = 1;; n++) {
        const long live = fail_mem_live();
        fail_mem_arm(n);
        const pollen_err err = pollen_credentials_apply(f->alice, text);
        if (!fail_mem_disarm()) {
            assert_int_equal(err, POLLEN_OK);
            break;
        }
        assert_int_equal(err, POLLEN_ENOMEM);
        assert_int_equal(fail_mem_live(), live);
        assert_false(pollen_credentials_enrolled(f->alice));
    }
    assert_true(pollen_credentials_enrolled(f->alice));
    pollen_text_free(text);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_node_belongs_nowhere),
        TEST(test_the_root_is_the_first_member),
        TEST(test_a_member_makes_no_second_cluster),
        TEST(test_null_is_an_invalid_argument),
        TEST(test_an_invite_says_what_was_asked_for),
        TEST(test_an_invite_is_open_for_five_minutes_unless_asked),
        TEST(test_only_an_admin_invites),
        TEST(test_an_invite_needs_sane_options),
        TEST(test_a_join_token_enrols),
        TEST(test_a_membership_lasts_a_year_unless_asked),
        TEST(test_the_longer_membership_is_kept),
        TEST(test_a_token_for_another_node_is_refused),
        TEST(test_a_token_of_another_cluster_changes_nothing),
        TEST(test_an_expired_token_is_refused),
        TEST(test_what_is_no_token_is_refused),
        TEST(test_white_space_around_a_token_is_nothing),
        TEST(test_a_token_that_was_changed_is_refused),
        TEST(test_what_was_saved_loads),
        TEST(test_an_expired_member_loads),
        TEST(test_loading_nothing_makes_nothing),
        TEST(test_a_success_leaves_no_error_behind),
        TEST(test_lack_of_memory_is_told_and_nothing_is_lost),
        TEST(test_lack_of_memory_enrols_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
