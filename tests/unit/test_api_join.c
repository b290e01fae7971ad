/* SPDX-License-Identifier: Apache-2.0 */
/* Joining: by token, by invite, and what is refused. */
#include "auth/credentials.h"
#include "run/admission.h"
#include "run/clock.h"
#include "run/random.h"
#include "support/api_rig.h"
#include "support/temp_dir.h"

/* The root node of a cluster, with a state directory, and how others find it. */
typedef struct host {
    temp_dir dir;
    pollen_credentials *creds;
    pollen_mesh *mesh;
    pollen_key key;
    pollen_addr addr;
    char addr_text[POLLEN_ADDR_TEXT_BYTES];
    const char *addrs[1];
    pollen_bootstrap bootstrap;
} host;

static void host_start(host *h) {
    pollen_mesh_config config;
    pollen_mesh_config_init(&config);
    config.credentials = h->creds;
    config.state_dir = h->dir.path;
    config.port = h->addr.port; /* 0 at first: any; then the same again. */
    assert_ok(pollen_mesh_create(&config, &h->mesh));
    h->addr = rig_loopback(pollen_mesh_listen_port(h->mesh));
    h->addrs[0] = pollen_addr_format(&h->addr, h->addr_text);
    h->bootstrap = (pollen_bootstrap){.peer = h->key, .addrs = h->addrs, .addr_count = 1};
}

static int setup(void **state) {
    static host h;
    h = (host){.creds = rig_root()};
    temp_dir_init(&h.dir);
    h.key = pollen_credentials_key(h.creds);
    host_start(&h);
    *state = &h;
    return 0;
}

static void host_restart(host *h) {
    pollen_mesh_destroy(h->mesh);
    host_start(h);
}

static int teardown(void **state) {
    host *h = *state;
    pollen_mesh_destroy(h->mesh);
    pollen_credentials_destroy(h->creds);
    temp_dir_fini(&h->dir);
    return 0;
}

#define HOST_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Owner: pollen_text_free() */
static char *make_invite(const pollen_credentials *admin, const pollen_bootstrap *bootstrap,
                         const pollen_key *subject) {
    pollen_invite_options options;
    char *invite;
    pollen_invite_options_init(&options);
    options.bootstrap = bootstrap;
    options.bootstrap_count = 1;
    options.subject = subject;
    assert_ok(pollen_invite_create(admin, &options, &invite));
    return invite;
}

/* One that was issued this long ago, for half a minute. */
static char *make_old_invite(const pollen_credentials *admin, const host *h, int64_t age_seconds) {
    const pln_rng rng = pln_os_rng();
    pln_bootstraps bootstrap = {0};
    pln_invite_token token;
    char *text;
    assert_ok(pln_bootstraps_add(&bootstrap, &h->key, h->addrs, 1));
    const pln_invite_terms terms = {.bootstrap = &bootstrap, .ttl_seconds = 30};
    assert_ok(pln_invite_issue(&pln_credentials_of(admin)->signer, &terms, &rng,
                               pln_clock_wall() - age_seconds, &token));
    assert_ok(pln_token_text_encode(&token.wire, &text));
    pln_invite_token_fini(&token);
    pln_bootstraps_fini(&bootstrap);
    return text;
}

static void expect_session(pollen_mesh *mesh, const pollen_key *peer) {
    pollen_key peers[2];
    assert_int_equal(pollen_mesh_connected_peers(mesh, peers, 2), 1);
    assert_memory_equal(&peers[0], peer, sizeof(*peer));
}

/* A node that belongs to nowhere, with its mesh. */
static pollen_mesh *outsider(pollen_credentials **creds, pollen_key *key) {
    *creds = rig_stranger();
    *key = pollen_credentials_key(*creds);
    return rig_mesh(*creds);
}

static void expect_enrolled(pollen_mesh *mesh, bool enrolled) {
    pollen_credentials *now;
    assert_ok(pollen_mesh_credentials(mesh, &now));
    assert_int_equal(pollen_credentials_enrolled(now), enrolled);
    pollen_credentials_destroy(now);
}

/* ---- By token -------------------------------------------------------------------------------- */

static void a_join_token_leads_to_a_session_on_both_ends(void **state) {
    host *h = *state;
    pollen_credentials *creds;
    pollen_key key;
    pollen_mesh *mesh = outsider(&creds, &key);
    char *token = rig_token(h->creds, &key, &h->bootstrap);
    assert_ok(pollen_mesh_join_with_token(mesh, token, SOON_MS, NULL));
    expect_session(mesh, &h->key);
    rig_wait_event(h->mesh, POLLEN_EVENT_CONNECTED, &key, NULL);
    expect_session(h->mesh, &key);
    expect_enrolled(mesh, true);
    pollen_text_free(token);
    pollen_mesh_destroy(mesh);
    pollen_credentials_destroy(creds);
}

static void a_token_of_another_cluster_changes_nothing(void **state) {
    host *h = *state;
    pollen_credentials *elsewhere = rig_root();
    pollen_key cluster, now;
    char *token = rig_token(elsewhere, &h->key, &h->bootstrap);
    assert_ok(pollen_credentials_cluster(h->creds, &cluster));
    assert_int_equal(pollen_mesh_join_with_token(h->mesh, token, SOON_MS, NULL), POLLEN_ECLUSTER);
    assert_string_not_equal(pollen_last_error(), "");
    assert_int_equal(pollen_credentials_apply(h->creds, token), POLLEN_ECLUSTER);
    assert_ok(pollen_credentials_cluster(h->creds, &now));
    assert_memory_equal(&now, &cluster, sizeof(now));
    pollen_text_free(token);
    pollen_credentials_destroy(elsewhere);
}

static void a_token_is_for_its_subject(void **state) {
    host *h = *state;
    pollen_credentials *creds;
    pollen_key key;
    pollen_mesh *mesh = outsider(&creds, &key);
    char *token = rig_token(h->creds, &h->key, &h->bootstrap);
    assert_int_equal(pollen_mesh_join_with_token(mesh, token, SOON_MS, NULL), POLLEN_ESUBJECT);
    expect_enrolled(mesh, false);
    pollen_text_free(token);
    pollen_mesh_destroy(mesh);
    pollen_credentials_destroy(creds);
}

static void garbage_is_no_token(void **state) {
    (void)state;
    pollen_credentials *creds;
    pollen_key key;
    pollen_mesh *mesh = outsider(&creds, &key);
    static const char *const texts[] = {"", "hello", "AAAA", "====", "Cs8CCiR"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(pollen_mesh_join_with_token(mesh, texts[i], SOON_MS, NULL), POLLEN_ETOKEN);
        assert_int_equal(pollen_mesh_join_with_invite(mesh, texts[i], SOON_MS, NULL),
                         POLLEN_ETOKEN);
        assert_int_equal(pollen_credentials_apply(creds, texts[i]), POLLEN_ETOKEN);
    }
    pollen_mesh_destroy(mesh);
    pollen_credentials_destroy(creds);
}

/* The first four addresses lead nowhere. */
static void one_live_address_among_dead_ones_is_found(void **state) {
    host *h = *state;
    pollen_credentials *creds;
    pollen_key key;
    pollen_mesh *mesh = outsider(&creds, &key);
    const char *addrs[] = {"127.0.0.1:1", "127.0.0.2:2", "127.0.0.3:3", "127.0.0.4:4",
                           h->addr_text};
    pollen_bootstrap many = {.peer = h->key, .addrs = addrs, .addr_count = 5};
    char *token = rig_token(h->creds, &key, &many);
    int64_t before = rig_now_ms();
    assert_ok(pollen_mesh_join_with_token(mesh, token, SOON_MS, NULL));
    assert_true(rig_now_ms() - before < SOON_MS / 2);
    pollen_text_free(token);
    pollen_mesh_destroy(mesh);
    pollen_credentials_destroy(creds);
}

/* Names are the joiner's to resolve; this one is in every system's own list. */
static void a_host_name_is_looked_up(void **state) {
    host *h = *state;
    pollen_credentials *creds;
    pollen_key key;
    char name[32];
    const char *addrs[] = {name};
    (void)snprintf(name, sizeof(name), "localhost:%u", (unsigned)h->addr.port);
    pollen_bootstrap named = {.peer = h->key, .addrs = addrs, .addr_count = 1};
    pollen_mesh *mesh = outsider(&creds, &key);
    char *token = rig_token(h->creds, &key, &named);
    char *invite = make_invite(h->creds, &named, NULL);
    char *answer;
    pollen_seed seed = {{8}};
    assert_ok(pollen_mesh_join_with_token(mesh, token, SOON_MS, NULL));
    assert_ok(pollen_redeem_invite(&seed, invite, SOON_MS, &answer));
    pollen_text_free(answer);
    pollen_text_free(invite);
    pollen_text_free(token);
    pollen_mesh_destroy(mesh);
    pollen_credentials_destroy(creds);
}

/* ---- By invite ------------------------------------------------------------------------------- */

static void an_invite_leads_to_a_session_on_both_ends(void **state) {
    host *h = *state;
    pollen_credentials *creds;
    pollen_key key;
    pollen_mesh *mesh = outsider(&creds, &key);
    char *invite = make_invite(h->creds, &h->bootstrap, NULL);
    assert_ok(pollen_mesh_join_with_invite(mesh, invite, SOON_MS, NULL));
    expect_session(mesh, &h->key);
    rig_wait_event(h->mesh, POLLEN_EVENT_CONNECTED, &key, NULL);
    /* The mesh itself is enrolled: what it says of itself can be saved and loaded. */
    pollen_credentials *now, *loaded;
    temp_dir dir;
    temp_dir_init(&dir);
    assert_ok(pollen_mesh_credentials(mesh, &now));
    assert_true(pollen_credentials_enrolled(now));
    assert_ok(pollen_credentials_save(now, dir.path));
    assert_ok(pollen_credentials_load(dir.path, &loaded));
    pollen_key loaded_key = pollen_credentials_key(loaded);
    assert_memory_equal(&loaded_key, &key, sizeof(key));
    assert_true(pollen_credentials_enrolled(loaded));
    temp_dir_fini(&dir);
    pollen_credentials_destroy(loaded);
    pollen_credentials_destroy(now);
    pollen_text_free(invite);
    pollen_mesh_destroy(mesh);
    pollen_credentials_destroy(creds);
}

/* Also within the minute by which clocks may differ. */
static void an_invite_that_expired_a_second_ago_is_refused(void **state) {
    host *h = *state;
    pollen_credentials *creds;
    pollen_key key;
    pollen_mesh *mesh = outsider(&creds, &key);
    char *invite = make_old_invite(h->creds, h, 31);
    pollen_err err = pollen_mesh_join_with_invite(mesh, invite, SOON_MS, NULL);
    assert_true(err == POLLEN_EEXPIRED || err == POLLEN_EDENIED);
    assert_string_not_equal(pollen_last_error(), "");
    expect_enrolled(mesh, false);
    assert_int_equal(temp_count(&h->dir), 0); /* Nothing was consumed. */
    pollen_text_free(invite);
    pollen_mesh_destroy(mesh);
    pollen_credentials_destroy(creds);
}

static void an_invite_admits_one_key_as_often_as_it_asks(void **state) {
    host *h = *state;
    pollen_seed first = {{1}}, second = {{2}};
    char *invite = make_invite(h->creds, &h->bootstrap, NULL);
    char *answers[3];
    assert_ok(pollen_redeem_invite(&first, invite, SOON_MS, &answers[0]));
    assert_ok(pollen_redeem_invite(&first, invite, SOON_MS, &answers[1]));
    assert_string_equal(answers[0], answers[1]);
    assert_int_equal(pollen_redeem_invite(&second, invite, SOON_MS, &answers[2]), POLLEN_ECONSUMED);
    assert_string_not_equal(pollen_last_error(), "");
    /* The record is on disk, for nobody else's eyes, and holds after a restart. */
    assert_int_equal(temp_mode(&h->dir, "consumed_invites.json"), 0600);
    assert_int_equal(temp_count(&h->dir), 1);
    host_restart(h);
    assert_ok(pollen_redeem_invite(&first, invite, SOON_MS, &answers[2]));
    assert_string_equal(answers[0], answers[2]);
    pollen_text_free(answers[2]);
    assert_int_equal(pollen_redeem_invite(&second, invite, SOON_MS, &answers[2]), POLLEN_ECONSUMED);
    /* And the answer enrols. */
    pollen_credentials *creds;
    assert_ok(pollen_credentials_create(&first, &creds));
    assert_ok(pollen_credentials_apply(creds, answers[0]));
    pollen_credentials_destroy(creds);
    pollen_text_free(answers[0]);
    pollen_text_free(answers[1]);
    pollen_text_free(invite);
}

/* No room for the record: nobody is admitted, and nothing is used up. */
static void an_invite_survives_a_record_that_cannot_be_written(void **state) {
    host *h = *state;
    pollen_seed seed = {{3}};
    char *invite = make_invite(h->creds, &h->bootstrap, NULL);
    char *answer;
    assert_int_equal(rmdir(h->dir.path), 0);
    pollen_err err = pollen_redeem_invite(&seed, invite, 2000, &answer);
    assert_true(err == POLLEN_EDENIED || err == POLLEN_ETIMEDOUT);
    assert_int_equal(mkdir(h->dir.path, 0700), 0);
    assert_ok(pollen_redeem_invite(&seed, invite, SOON_MS, &answer));
    pollen_text_free(answer);
    pollen_text_free(invite);
}

static void a_broken_record_stops_the_start(void **state) {
    host *h = *state;
    pollen_mesh_destroy(h->mesh);
    pollen_mesh_config config;
    pollen_mesh_config_init(&config);
    config.credentials = h->creds;
    config.state_dir = h->dir.path;
    temp_write(&h->dir, "consumed_invites.json", "{\"invites\": 7}", 14, 0600);
    assert_int_equal(pollen_mesh_create(&config, &h->mesh), POLLEN_ESTATE);
    assert_non_null(strstr(pollen_last_error(), "consumed_invites.json"));
    h->mesh = NULL;
}

/* Anybody can make a root key and sign invites with it that point here. */
static void an_invite_of_another_root_is_refused(void **state) {
    host *h = *state;
    pollen_credentials *elsewhere = rig_root();
    pollen_seed seed = {{4}};
    char *answer, *invite = make_invite(elsewhere, &h->bootstrap, NULL);
    pollen_err err = pollen_redeem_invite(&seed, invite, SOON_MS, &answer);
    assert_true(err == POLLEN_EDENIED || err == POLLEN_ECLUSTER);
    assert_int_equal(temp_count(&h->dir), 0);
    pollen_text_free(invite);
    pollen_credentials_destroy(elsewhere);
}

static void an_invite_bound_to_a_key_is_for_that_key(void **state) {
    host *h = *state;
    pollen_seed seed = {{5}}, other = {{6}};
    pollen_key subject = pollen_seed_key(&seed);
    char *answer, *invite = make_invite(h->creds, &h->bootstrap, &subject);
    assert_int_equal(pollen_redeem_invite(&other, invite, SOON_MS, &answer), POLLEN_ESUBJECT);
    assert_ok(pollen_redeem_invite(&seed, invite, SOON_MS, &answer));
    pollen_text_free(answer);
    pollen_text_free(invite);
}

static void an_invite_that_nobody_answers_ends_in_time(void **state) {
    host *h = *state;
    pollen_seed seed = {{7}};
    char *answer, *invite = make_invite(h->creds, &h->bootstrap, NULL);
    pollen_mesh_close(h->mesh);
    int64_t before = rig_now_ms();
    pollen_err err = pollen_redeem_invite(&seed, invite, 100, &answer);
    assert_true(err == POLLEN_ETIMEDOUT || err == POLLEN_EUNREACHABLE);
    assert_true(rig_now_ms() - before < SOON_MS);
    pollen_text_free(invite);
}

static void only_admins_issue(void **state) {
    (void)state;
    pollen_credentials *root = rig_root(), *member = rig_member(root);
    pollen_key key = pollen_credentials_key(member);
    pollen_invite_options options;
    pollen_bootstrap bootstrap = {.peer = key};
    char *text;
    pollen_invite_options_init(&options);
    assert_int_equal(pollen_invite_create(root, &options, &text), POLLEN_EINVAL); /* Nowhere. */
    options.bootstrap = &bootstrap;
    options.bootstrap_count = 1;
    assert_int_equal(pollen_invite_create(member, &options, &text), POLLEN_ENOTADMIN);
    assert_int_equal(pollen_join_token_create(member, &key, &options, &text), POLLEN_ENOTADMIN);
    options.ttl_seconds = 0;
    assert_int_equal(pollen_join_token_create(root, &key, &options, &text), POLLEN_EINVAL);
    options.size = 0;
    assert_int_equal(pollen_invite_create(root, &options, &text), POLLEN_EINVAL);
    pollen_credentials_destroy(member);
    pollen_credentials_destroy(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        HOST_TEST(a_join_token_leads_to_a_session_on_both_ends),
        HOST_TEST(a_token_of_another_cluster_changes_nothing),
        HOST_TEST(a_token_is_for_its_subject),
        cmocka_unit_test(garbage_is_no_token),
        HOST_TEST(one_live_address_among_dead_ones_is_found),
        HOST_TEST(a_host_name_is_looked_up),
        HOST_TEST(an_invite_leads_to_a_session_on_both_ends),
        HOST_TEST(an_invite_that_expired_a_second_ago_is_refused),
        HOST_TEST(an_invite_admits_one_key_as_often_as_it_asks),
        HOST_TEST(an_invite_survives_a_record_that_cannot_be_written),
        HOST_TEST(a_broken_record_stops_the_start),
        HOST_TEST(an_invite_of_another_root_is_refused),
        HOST_TEST(an_invite_bound_to_a_key_is_for_that_key),
        HOST_TEST(an_invite_that_nobody_answers_ends_in_time),
        cmocka_unit_test(only_admins_issue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
