/* SPDX-License-Identifier: Apache-2.0 */
/* The keys/ folder: what loads, what is refused, and that a refusal changes nothing. */
#include "support/cluster.h"
#include "support/rows.h"
#include "support/tree.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <pollen/admission.h>

#include "run/last_error.h"
#include "run/statedir.h"

#define NODE_KEY "keys/ed25519.key"
#define NODE_PUB "keys/ed25519.pub"
#define ADMIN_KEY "keys/admin_ed25519.key"
#define ADMIN_PUB "keys/admin_ed25519.pub"
#define DELEGATION "keys/admin.cert.pb"
#define TRUST "keys/cluster.trust.pb"
#define MEMBER "keys/membership.cert.pb"

typedef struct fixture {
    char dir[TREE_PATH_BYTES];
    cluster cluster;
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    tree_make(f->dir);
    cluster_init(&f->cluster);
    pln_last_error_clear();
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    cluster_fini(&f->cluster);
    tree_remove(f->dir);
    free(f);
    return 0;
}

/* An empty directory, as the reference makes it. */
static void renew_dir(fixture *f) {
    tree_remove(f->dir);
    tree_make(f->dir);
    assert_int_equal(chmod(f->dir, 0770), 0);
}

static mode_t mode_of_name(const char *name) {
    const size_t size = strlen(name);
    return size > 4 && strcmp(name + size - 4, ".key") == 0 ? 0600 : 0640;
}

static void ensure_keys(const fixture *f) {
    if (!tree_has(f->dir, "keys")) {
        tree_mkdir(f->dir, "keys", 0770);
    }
}

static void lay_out(const fixture *f, const json_t *row) {
    size_t i;
    json_t *file;
    json_array_foreach(json_object_get(row, "files"), i, file) {
        const char *name = json_string_value(json_array_get(file, 0));
        const char *hex = json_string_value(json_array_get(file, 1));
        const size_t size = strlen(hex) / 2;
        pln_bytes bytes = {.data = pln_malloc(size + 1), .size = size};
        assert_non_null(bytes.data);
        assert_true(pln_hex_decode(hex, bytes.data, size));
        ensure_keys(f);
        tree_write(f->dir, name, mode_of_name(name), bytes.data, size);
        pln_bytes_fini(&bytes);
    }
}

static pollen_err load(const fixture *f, pln_credentials *ret) {
    *ret = (pln_credentials){.enrolled = false};
    return pln_statedir_load_credentials(f->dir, TEST_NOW, ret);
}

static void assert_loads(const fixture *f) {
    pln_credentials creds;
    assert_int_equal(load(f, &creds), POLLEN_OK);
    pln_credentials_fini(&creds);
}

/* Refused with err and a sentence that names the file (NULL: the directory), and nothing was
 * changed. */
static void assert_refused(const fixture *f, pollen_err wanted, const char *name) {
    char path[TREE_PATH_BYTES];
    pln_credentials creds;
    const tree_print before = tree_fingerprint(f->dir);
    const pollen_err err = load(f, &creds);
    if (err != wanted) {
        fail_msg("%s, not %s: %s", pollen_err_name(err), pollen_err_name(wanted),
                 pollen_last_error());
    }
    const char *at_fault = name != NULL ? tree_path(f->dir, name, path) : f->dir;
    if (strstr(pollen_last_error(), at_fault) == NULL) {
        fail_msg("\"%s\" does not name %s", pollen_last_error(), at_fault);
    }
    tree_assert_same(f->dir, &before);
}

/* Alice, member by the root's word. */
static pln_credentials alice(fixture *f) {
    const pollen_seed seed = test_seed_of(ALICE);
    pln_credentials creds;
    pln_credentials_init(&creds, &seed);
    assert_int_equal(pln_trust_copy(&creds.trust, &f->cluster.root.trust), POLLEN_OK);
    creds.member_cert = cluster_member(&f->cluster, &f->cluster.root, &creds.key, 86400);
    creds.enrolled = true;
    return creds;
}

static pln_credentials alice_with(fixture *f, const pln_signer *signer) {
    pln_credentials creds = alice(f);
    assert_int_equal(pln_signer_copy(&creds.signer, signer), POLLEN_OK);
    creds.has_signer = true;
    return creds;
}

static void save(const fixture *f, const pln_credentials *creds) {
    assert_int_equal(pln_statedir_save_credentials(f->dir, creds), POLLEN_OK);
}

static void save_alice(fixture *f) {
    pln_credentials creds = alice(f);
    save(f, &creds);
    pln_credentials_fini(&creds);
}

static void set_mode(const fixture *f, const char *name, mode_t mode) {
    char path[TREE_PATH_BYTES];
    assert_int_equal(chmod(tree_path(f->dir, name, path), mode), 0);
}

static void drop(const fixture *f, const char *name) {
    char path[TREE_PATH_BYTES];
    assert_int_equal(remove(tree_path(f->dir, name, path)), 0);
}

/* ---- Node keys ------------------------------------------------------------------------------- */

static void assert_key(const pollen_seed *seed, const json_t *row) {
    uint8_t wanted[POLLEN_KEY_BYTES];
    vectors_fixed(row, "pub", wanted, sizeof(wanted));
    const pollen_key key = pollen_seed_key(seed);
    assert_memory_equal(key.bytes, wanted, sizeof(wanted));
}

/* Rows where the reference accepts what it should not (it believes a public half that is another
 * key's or too short) or makes a new node over the old one. */
static bool is_refused_by_us(const json_t *row) {
    return rows_is(row, "verdict", "reject") || rows_is(row, "id", "node-pub-of-other") ||
           rows_is(row, "id", "node-pub-31") || rows_is(row, "id", "node-key-missing");
}

static void check_node_row(fixture *f, const json_t *row, const json_t *good) {
    pollen_seed seed;
    const tree_print before = tree_fingerprint(f->dir);
    const pollen_err err = pln_statedir_load_key(f->dir, true, &seed);
    if (is_refused_by_us(row)) {
        assert_int_equal(err, POLLEN_EKEY);
        assert_non_null(strstr(pollen_last_error(), f->dir));
        tree_assert_same(f->dir, &before);
    } else if (rows_is(row, "id", "node-none")) {
        pollen_seed again;
        assert_int_equal(err, POLLEN_OK);
        assert_int_equal(tree_mode(f->dir, NODE_KEY), 0600);
        assert_int_equal(tree_mode(f->dir, NODE_PUB), 0640);
        assert_int_equal(pln_statedir_load_key(f->dir, true, &again), POLLEN_OK);
        assert_memory_equal(again.bytes, seed.bytes, sizeof(seed.bytes));
    } else if (rows_is(row, "id", "node-pub-missing")) {
        assert_int_equal(err, POLLEN_OK);
        assert_key(&seed, good); /* The same node, and its public half is there again. */
        assert_int_equal(tree_mode(f->dir, NODE_PUB), 0640);
        drop(f, NODE_PUB);
        tree_assert_same(f->dir, &before);
    } else {
        assert_int_equal(err, POLLEN_OK);
        assert_key(&seed, row);
        tree_assert_same(f->dir, &before);
    }
}

static void test_node_keys_of_the_vectors(void **state) {
    fixture *f = *state;
    json_t *disk = vectors_load("disk");
    const json_t *good = rows_find(disk, "keys", "node-good");
    size_t i, count = 0;
    json_t *row;
    json_array_foreach(rows_of(disk, "keys"), i, row) {
        if (rows_is(row, "kind", "node")) {
            print_message("           %s\n", rows_text(row, "id"));
            renew_dir(f);
            lay_out(f, row);
            check_node_row(f, row, good);
            count++;
        }
    }
    assert_int_equal(count, 16);
    json_decref(disk);
}

static void test_load_without_a_node_creates_nothing(void **state) {
    fixture *f = *state;
    pollen_seed seed;
    assert_refused(f, POLLEN_ENOENT, NULL);
    tree_mkdir(f->dir, "keys", 0700);
    assert_refused(f, POLLEN_ENOENT, "keys");
    const tree_print before = tree_fingerprint(f->dir);
    assert_int_equal(pln_statedir_load_key(f->dir, false, &seed), POLLEN_ENOENT);
    tree_assert_same(f->dir, &before);
}

static void test_a_wide_private_key_is_named_with_its_remedy(void **state) {
    fixture *f = *state;
    save_alice(f);
    drop(f, NODE_PUB); /* What else is wrong does not hide it. */
    set_mode(f, NODE_KEY, 0640);
    assert_refused(f, POLLEN_EMODE, NODE_KEY);
    assert_non_null(strstr(pollen_last_error(), "chmod 600"));
    set_mode(f, NODE_KEY, 0600);
    assert_loads(f);
}

static void test_a_public_half_may_be_read_but_not_written_by_others(void **state) {
    fixture *f = *state;
    save_alice(f);
    set_mode(f, NODE_PUB, 0644);
    assert_loads(f);
    set_mode(f, NODE_PUB, 0660);
    assert_refused(f, POLLEN_EMODE, NODE_PUB);
}

static void test_a_lone_public_half_is_refused_whatever_it_holds(void **state) {
    fixture *f = *state;
    save_alice(f);
    drop(f, NODE_KEY);
    assert_refused(f, POLLEN_EKEY, NODE_KEY);
    tree_write(f->dir, NODE_PUB, 0640, "", 0);
    assert_refused(f, POLLEN_EKEY, NODE_KEY);
}

static void test_a_key_of_any_length_but_its_own_is_malformed(void **state) {
    static char huge[20 * 1024];
    fixture *f = *state;
    save_alice(f);
    memset(huge, 'A', sizeof(huge));
    tree_write(f->dir, NODE_KEY, 0600, huge, sizeof(huge));
    assert_refused(f, POLLEN_EKEY, NODE_KEY);
}

static void test_a_key_that_is_a_link_is_refused(void **state) {
    fixture *f = *state;
    char from[TREE_PATH_BYTES], to[TREE_PATH_BYTES];
    save_alice(f);
    assert_int_equal(rename(tree_path(f->dir, NODE_KEY, from), tree_path(f->dir, "elsewhere", to)),
                     0);
    assert_int_equal(symlink(to, from), 0);
    assert_refused(f, POLLEN_EMODE, NODE_KEY);
    pln_credentials creds = alice(f);
    const tree_print before = tree_fingerprint(f->dir);
    assert_int_equal(pln_statedir_save_credentials(f->dir, &creds), POLLEN_EMODE);
    tree_assert_same(f->dir, &before);
    pln_credentials_fini(&creds);
}

/* ---- Credentials ----------------------------------------------------------------------------- */

/* What an admin pair of the vectors makes of a member of the cluster whose root it is. */
static void check_admin_row(fixture *f, const json_t *row) {
    pln_credentials creds;
    const bool heals = rows_is(row, "id", "admin-pub-missing");
    if (rows_is(row, "verdict", "reject") && !heals) {
        assert_refused(f, POLLEN_EKEY, "keys/admin_ed25519");
        return;
    }
    const tree_print before = tree_fingerprint(f->dir);
    assert_int_equal(load(f, &creds), POLLEN_OK);
    assert_true(creds.has_signer && creds.signer.is_root);
    pln_credentials_fini(&creds);
    if (heals) {
        assert_int_equal(tree_mode(f->dir, ADMIN_PUB), 0640);
        drop(f, ADMIN_PUB);
    }
    tree_assert_same(f->dir, &before);
}

static void test_admin_keys_of_the_vectors(void **state) {
    fixture *f = *state;
    json_t *disk = vectors_load("disk");
    size_t i, count = 0;
    json_t *row;
    json_array_foreach(rows_of(disk, "keys"), i, row) {
        if (rows_is(row, "kind", "admin")) {
            print_message("           %s\n", rows_text(row, "id"));
            renew_dir(f);
            lay_out(f, rows_find(disk, "keys", "node-good"));
            lay_out(f, rows_find(disk, "credentials", "member"));
            lay_out(f, row);
            check_admin_row(f, row);
            count++;
        }
    }
    assert_int_equal(count, 7);
    json_decref(disk);
}

typedef enum rights { NO_MEMBER, MEMBER_ONLY, SIGNS_AS_ROOT, SIGNS_BY_DELEGATION } rights;

typedef struct verdict {
    const char *id;
    pollen_err err;
    const char *names; /* The file at fault. */
    rights rights;
} verdict;

/* The reference tells a node without a cluster, or with an expired certificate, by an error; here
 * both load, so that the one can join and the other be renewed. */
static const verdict verdicts[] = {
    {"none", POLLEN_OK, NULL, NO_MEMBER},
    {"member", POLLEN_OK, NULL, MEMBER_ONLY},
    {"trust-only", POLLEN_OK, NULL, NO_MEMBER},
    {"cert-only", POLLEN_ECERT, TRUST, NO_MEMBER},
    {"cert-of-other-node", POLLEN_ESUBJECT, MEMBER, NO_MEMBER},
    {"cert-expired", POLLEN_OK, NULL, MEMBER_ONLY},
    {"cert-garbage", POLLEN_ECERT, MEMBER, NO_MEMBER},
    {"cert-empty", POLLEN_ECERT, MEMBER, NO_MEMBER},
    {"trust-foreign", POLLEN_ECLUSTER, MEMBER, NO_MEMBER},
    {"trust-inconsistent", POLLEN_ECERT, TRUST, NO_MEMBER},
    {"trust-empty", POLLEN_ECERT, TRUST, NO_MEMBER},
    {"root", POLLEN_OK, NULL, SIGNS_AS_ROOT},
    {"delegated", POLLEN_OK, NULL, SIGNS_BY_DELEGATION},
    {"delegated-no-cert", POLLEN_OK, NULL, MEMBER_ONLY},
    {"delegated-cert-expired", POLLEN_OK, NULL, MEMBER_ONLY},
    {"delegated-cert-self-signed", POLLEN_ESIGNATURE, DELEGATION, NO_MEMBER},
    {"delegated-cert-of-other-key", POLLEN_ECERT, DELEGATION, NO_MEMBER},
    {"admin-key-alone", POLLEN_OK, NULL, NO_MEMBER},
    {"admin-key-and-trust", POLLEN_OK, NULL, NO_MEMBER},
};

static const verdict *verdict_of(const char *id) {
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        if (strcmp(verdicts[i].id, id) == 0) {
            return &verdicts[i];
        }
    }
    fail_msg("a row without a verdict: %s", id);
    return NULL;
}

static rights rights_of(const pln_credentials *creds) {
    if (!creds->enrolled) {
        return NO_MEMBER;
    }
    return !creds->has_signer      ? MEMBER_ONLY
           : creds->signer.is_root ? SIGNS_AS_ROOT
                                   : SIGNS_BY_DELEGATION;
}

static void check_credentials_row(fixture *f, const json_t *row) {
    const verdict *wanted = verdict_of(rows_text(row, "id"));
    if (wanted->err != POLLEN_OK) {
        assert_refused(f, wanted->err, wanted->names);
        return;
    }
    pln_credentials creds;
    uint8_t key[POLLEN_KEY_BYTES];
    const pln_wall now = json_integer_value(json_object_get(row, "now"));
    const tree_print before = tree_fingerprint(f->dir);
    assert_int_equal(pln_statedir_load_credentials(f->dir, now, &creds), POLLEN_OK);
    assert_string_equal(pollen_last_error(), "");
    assert_int_equal(rights_of(&creds), wanted->rights);
    vectors_fixed(row, "node_pub", key, sizeof(key));
    assert_memory_equal(creds.key.bytes, key, sizeof(key));
    if (creds.has_signer) {
        vectors_fixed(row, "signer_pub", key, sizeof(key));
        assert_memory_equal(creds.signer.admin_pub.bytes, key, sizeof(key));
        vectors_fixed(row, "signer_root", key, sizeof(key));
        assert_memory_equal(creds.signer.trust.root_pub.bytes, key, sizeof(key));
    }
    pln_credentials_fini(&creds);
    tree_assert_same(f->dir, &before);
}

static void test_credentials_of_the_vectors(void **state) {
    fixture *f = *state;
    json_t *disk = vectors_load("disk");
    json_t *list = rows_of(disk, "credentials");
    size_t i;
    json_t *row;
    json_array_foreach(list, i, row) {
        print_message("           %s\n", rows_text(row, "id"));
        renew_dir(f);
        lay_out(f, rows_find(disk, "keys", "node-good"));
        lay_out(f, row);
        check_credentials_row(f, row);
    }
    assert_int_equal(json_array_size(list), sizeof(verdicts) / sizeof(verdicts[0]));
    json_decref(disk);
}

static void test_what_is_out_of_its_time_loads(void **state) {
    fixture *f = *state;
    pln_credentials creds;
    save_alice(f);
    assert_int_equal(pln_statedir_load_credentials(f->dir, TEST_NOW + 100 * 365ll * 86400, &creds),
                     POLLEN_OK);
    assert_true(creds.enrolled);
    pln_credentials_fini(&creds);
    /* A clock that was reset. */
    assert_int_equal(pln_statedir_load_credentials(f->dir, 0, &creds), POLLEN_OK);
    assert_true(creds.enrolled);
    pln_credentials_fini(&creds);
}

static void test_an_unsafe_certificate_is_told_as_what_it_is(void **state) {
    static const char *const names[] = {TRUST, MEMBER};
    static char huge[20 * 1024];
    fixture *f = *state;
    for (size_t i = 0; i < 2; i++) {
        renew_dir(f);
        save_alice(f);
        set_mode(f, names[i], 0666);
        assert_refused(f, POLLEN_EMODE, names[i]);
        set_mode(f, names[i], 0640);
        assert_loads(f);
        tree_write(f->dir, names[i], 0640, huge, sizeof(huge));
        assert_refused(f, POLLEN_ECERT, names[i]);
    }
}

static void test_a_root_lasts_as_long_as_the_configuration_says(void **state) {
    fixture *f = *state;
    pln_credentials creds = alice_with(f, &f->cluster.root);
    save(f, &creds);
    pln_credentials_fini(&creds);
    assert_int_equal(load(f, &creds), POLLEN_OK);
    assert_int_equal(creds.signer.issuer.not_after, TEST_NOW + PLN_ADMIN_TTL_DEFAULT);
    pln_credentials_fini(&creds);

    const pln_config config = {.admin_ttl = 7200};
    assert_int_equal(pln_statedir_save_config(f->dir, &config), POLLEN_OK);
    assert_int_equal(load(f, &creds), POLLEN_OK);
    assert_int_equal(creds.signer.issuer.not_after, TEST_NOW + 7200);
    pln_credentials_fini(&creds);
}

/* ---- Directories ----------------------------------------------------------------------------- */

static void test_a_directory_of_everybody_is_refused(void **state) {
    static const char *const names[] = {".", "keys"};
    fixture *f = *state;
    save_alice(f);
    for (size_t i = 0; i < 2; i++) {
        set_mode(f, names[i], 0777);
        assert_refused(f, POLLEN_EMODE, i == 0 ? NULL : "keys");
        assert_int_equal(tree_mode(f->dir, names[i]), 0777);
        set_mode(f, names[i], 0750);
    }
    assert_loads(f);
}

static void copy_file(const fixture *f, const char *from_dir, const json_t *file) {
    static char bytes[TREE_FILE_MAX];
    const char *name = vectors_text(file, "path");
    const mode_t mode = (mode_t)strtol(vectors_text(file, "mode"), NULL, 8);
    if (strcmp(name, ".") == 0) {
        assert_int_equal(chmod(f->dir, mode), 0);
    } else if (rows_is(file, "type", "directory")) {
        tree_mkdir(f->dir, name, mode);
    } else {
        const size_t size = tree_read(from_dir, name, bytes);
        assert_int_equal(size, json_integer_value(json_object_get(file, "size")));
        tree_write(f->dir, name, mode, bytes, size);
    }
}

/* As the reference left it: groups may write to its directories. */
static void copy_directory(const fixture *f, const json_t *row) {
    char from[TREE_PATH_BYTES], name[64];
    size_t i;
    json_t *file;
    (void)snprintf(name, sizeof(name), "statedir/%s", vectors_text(row, "dir"));
    tree_path(POLLEN_TEST_VECTORS, name, from);
    json_array_foreach(rows_of(row, "files"), i, file) {
        copy_file(f, from, file);
    }
    assert_int_equal(tree_mode(f->dir, "."), 0770);
    assert_int_equal(tree_mode(f->dir, "keys"), 0770);
}

static rights rights_wanted(const json_t *row) {
    return rows_is(row, "signer", "root")        ? SIGNS_AS_ROOT
           : rows_is(row, "signer", "delegated") ? SIGNS_BY_DELEGATION
                                                 : MEMBER_ONLY;
}

static void check_directory(fixture *f, const json_t *row, pln_wall now) {
    pln_credentials creds;
    pln_config config;
    uint8_t key[POLLEN_KEY_BYTES];
    const tree_print before = tree_fingerprint(f->dir);
    assert_int_equal(pln_statedir_load_credentials(f->dir, now, &creds), POLLEN_OK);
    assert_int_equal(rights_of(&creds), rights_wanted(row));
    vectors_fixed(row, "node_pub", key, sizeof(key));
    assert_memory_equal(creds.key.bytes, key, sizeof(key));
    assert_int_equal(tree_mode(f->dir, "."), 0750);
    assert_int_equal(tree_mode(f->dir, "keys"), 0750);
    save(f, &creds); /* Nothing changed, so nothing is written. */
    pln_credentials_fini(&creds);
    assert_int_equal(pln_statedir_load_config(f->dir, &config), POLLEN_OK);
    if (rows_is(row, "dir", "relay")) {
        assert_int_equal(config.membership_ttl, 48 * 3600);
        assert_int_equal(config.admin_ttl, 72 * 3600);
        assert_true(config.is_public);
    }
    pln_config_fini(&config);
    tree_assert_same(f->dir, &before);
}

static void test_directories_of_the_reference_work_and_stay_as_they_are(void **state) {
    fixture *f = *state;
    json_t *index = vectors_load("statedir/index");
    const pln_wall now = json_integer_value(json_object_get(index, "now_unix"));
    json_t *list = rows_of(index, "directories");
    size_t i;
    json_t *row;
    json_array_foreach(list, i, row) {
        print_message("           %s\n", vectors_text(row, "dir"));
        renew_dir(f);
        copy_directory(f, row);
        check_directory(f, row, now);
    }
    assert_int_equal(json_array_size(list), 5);
    json_decref(index);
}

/* ---- Saving ---------------------------------------------------------------------------------- */

static void assert_round_trip(fixture *f, pln_credentials *creds, rights wanted) {
    pln_credentials loaded;
    renew_dir(f);
    save(f, creds);
    assert_int_equal(load(f, &loaded), POLLEN_OK);
    assert_int_equal(rights_of(&loaded), wanted);
    assert_memory_equal(loaded.seed.bytes, creds->seed.bytes, sizeof(creds->seed.bytes));
    assert_true(pln_bytes_equal(&loaded.trust.wire, &creds->trust.wire));
    assert_true(pln_bytes_equal(&loaded.member_cert.wire, &creds->member_cert.wire));
    if (creds->has_signer) {
        assert_memory_equal(loaded.signer.seed.bytes, creds->signer.seed.bytes,
                            sizeof(creds->signer.seed.bytes));
    }
    const tree_print before = tree_fingerprint(f->dir);
    save(f, &loaded);
    tree_assert_same(f->dir, &before);
    pln_credentials_fini(&loaded);
    pln_credentials_fini(creds);
}

static void test_what_was_saved_loads(void **state) {
    fixture *f = *state;
    const pollen_seed seed = test_seed_of(BOB);
    pln_credentials stranger;
    pln_credentials_init(&stranger, &seed);
    pln_credentials member = alice(f);
    pln_credentials root = alice_with(f, &f->cluster.root);
    pln_credentials admin = alice_with(f, &f->cluster.admin);
    assert_round_trip(f, &stranger, NO_MEMBER);
    assert_round_trip(f, &member, MEMBER_ONLY);
    assert_round_trip(f, &root, SIGNS_AS_ROOT);
    assert_false(tree_has(f->dir, DELEGATION)); /* A root needs none. */
    assert_round_trip(f, &admin, SIGNS_BY_DELEGATION);
}

static void test_saved_files_have_the_modes_of_the_reference(void **state) {
    static const struct {
        const char *name;
        mode_t mode;
    } rows[] = {
        {".", 0750},       {"keys", 0750},    {NODE_KEY, 0600}, {NODE_PUB, 0640},   {TRUST, 0640},
        {ADMIN_KEY, 0600}, {ADMIN_PUB, 0640}, {MEMBER, 0640},   {DELEGATION, 0640},
    };
    fixture *f = *state;
    const mode_t before = umask(0);
    pln_credentials admin = alice_with(f, &f->cluster.admin);
    assert_int_equal(chmod(f->dir, 0770), 0);
    save(f, &admin);
    (void)umask(before);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (tree_mode(f->dir, rows[i].name) != rows[i].mode) {
            fail_msg("%s: %o", rows[i].name, (unsigned)tree_mode(f->dir, rows[i].name));
        }
    }
    pln_credentials_fini(&admin);
}

static void test_another_private_key_is_not_overwritten(void **state) {
    fixture *f = *state;
    const pollen_seed bob = test_seed_of(BOB);
    pln_credentials other;
    pln_credentials root = alice_with(f, &f->cluster.root);
    pln_credentials foreign = alice_with(f, &f->cluster.foreign);
    pln_credentials_init(&other, &bob);
    save(f, &root);
    const tree_print before = tree_fingerprint(f->dir);
    assert_int_equal(pln_statedir_save_credentials(f->dir, &other), POLLEN_EEXIST);
    assert_non_null(strstr(pollen_last_error(), NODE_KEY));
    assert_int_equal(pln_statedir_save_credentials(f->dir, &foreign), POLLEN_EEXIST);
    assert_non_null(strstr(pollen_last_error(), ADMIN_KEY));
    tree_assert_same(f->dir, &before);
    pln_credentials_fini(&other);
    pln_credentials_fini(&root);
    pln_credentials_fini(&foreign);
}

/* Of a node that was not loaded from here, say; joining looks only at what it has in memory. */
static void test_a_membership_of_another_cluster_is_not_overwritten(void **state) {
    fixture *f = *state;
    pln_credentials other = alice(f);
    pln_trust_fini(&other.trust);
    pln_member_cert_fini(&other.member_cert);
    assert_int_equal(pln_trust_copy(&other.trust, &f->cluster.foreign.trust), POLLEN_OK);
    other.member_cert = cluster_member(&f->cluster, &f->cluster.foreign, &other.key, 86400);
    save_alice(f);
    const tree_print before = tree_fingerprint(f->dir);
    assert_int_equal(pln_statedir_save_credentials(f->dir, &other), POLLEN_ECLUSTER);
    assert_non_null(strstr(pollen_last_error(), TRUST));
    tree_assert_same(f->dir, &before);
    drop(f, MEMBER); /* What a join left that never ended binds nobody. */
    save(f, &other);
    assert_loads(f);
    pln_credentials_fini(&other);
}

/* A directory in the place of each file in turn stops the save there, as a crash would.  In the
 * place of a key it would do so before anything is written. */
static void test_a_save_that_stops_anywhere_leaves_what_loads(void **state) {
    static const char *const order[] = {NODE_KEY,   NODE_PUB, ADMIN_KEY, ADMIN_PUB,
                                        DELEGATION, TRUST,    MEMBER};
    enum { COUNT = sizeof(order) / sizeof(order[0]), KEYS = 4 };
    fixture *f = *state;
    pln_credentials admin = alice_with(f, &f->cluster.admin);
    for (size_t stop = 0; stop < COUNT; stop++) {
        renew_dir(f);
        ensure_keys(f);
        tree_mkdir(f->dir, order[stop], 0700);
        assert_int_not_equal(pln_statedir_save_credentials(f->dir, &admin), POLLEN_OK);
        assert_non_null(strstr(pollen_last_error(), f->dir));
        for (size_t i = 0; i < COUNT; i++) {
            const bool written = stop >= KEYS && i < stop;
            assert_int_equal(tree_has(f->dir, order[i]), written || i == stop);
        }
        drop(f, order[stop]);
        if (stop >= KEYS) {
            assert_loads(f);
        }
        save(f, &admin); /* And the save can be done again. */
        assert_loads(f);
    }
    pln_credentials_fini(&admin);
}

static int save_longer_than(const fixture *f, const pln_credentials *creds, rlim_t size) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit limit = {.rlim_cur = size, .rlim_max = size};
        const bool limited =
            signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &limit) == 0;
        _exit(limited ? -pln_statedir_save_credentials(f->dir, creds) : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

static void test_a_renewal_that_does_not_fit_keeps_the_old_certificate(void **state) {
    fixture *f = *state;
    save_alice(f);
    pln_credentials renewed = alice(f);
    pln_member_cert_fini(&renewed.member_cert);
    renewed.member_cert = cluster_member(&f->cluster, &f->cluster.root, &renewed.key, 2 * 86400);
    const tree_print before = tree_fingerprint(f->dir);
    assert_int_equal(save_longer_than(f, &renewed, 100), POLLEN_ENOSPC);
    tree_assert_same(f->dir, &before);
    assert_loads(f);
    save(f, &renewed);
    pln_credentials_fini(&renewed);
}

static void test_a_root_does_not_sign_by_a_broken_configuration(void **state) {
    static const char text[] = "certTTLs: [1, 2\n";
    fixture *f = *state;
    pln_credentials root = alice_with(f, &f->cluster.root);
    save(f, &root);
    pln_credentials_fini(&root);
    tree_write(f->dir, PLN_FILE_CONFIG, 0600, text, sizeof(text) - 1);
    assert_refused(f, POLLEN_ECONFIG, PLN_FILE_CONFIG); /* How long it may sign is written there. */
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_node_keys_of_the_vectors),
        TEST(test_load_without_a_node_creates_nothing),
        TEST(test_a_wide_private_key_is_named_with_its_remedy),
        TEST(test_a_public_half_may_be_read_but_not_written_by_others),
        TEST(test_a_lone_public_half_is_refused_whatever_it_holds),
        TEST(test_a_key_of_any_length_but_its_own_is_malformed),
        TEST(test_a_key_that_is_a_link_is_refused),
        TEST(test_admin_keys_of_the_vectors),
        TEST(test_credentials_of_the_vectors),
        TEST(test_what_is_out_of_its_time_loads),
        TEST(test_an_unsafe_certificate_is_told_as_what_it_is),
        TEST(test_a_root_lasts_as_long_as_the_configuration_says),
        TEST(test_a_directory_of_everybody_is_refused),
        TEST(test_directories_of_the_reference_work_and_stay_as_they_are),
        TEST(test_what_was_saved_loads),
        TEST(test_saved_files_have_the_modes_of_the_reference),
        TEST(test_another_private_key_is_not_overwritten),
        TEST(test_a_membership_of_another_cluster_is_not_overwritten),
        TEST(test_a_save_that_stops_anywhere_leaves_what_loads),
        TEST(test_a_renewal_that_does_not_fit_keeps_the_old_certificate),
        TEST(test_a_root_does_not_sign_by_a_broken_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
