/* SPDX-License-Identifier: Apache-2.0 */
/* The state directory: what loads, what is refused, and that a refusal changes no file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pollen/admission.h>

#include "auth/ed25519ctx.h"
#include "base/key.h"
#include "run/statedir.h"
#include "support/rows.h"

typedef struct fixture {
    json_t *disk;
    char dir[64];
} fixture;

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void make_empty(fixture *f) {
    snprintf(f->dir, sizeof(f->dir), "/tmp/pollen-state-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
}

static void drop(fixture *f) {
    assert_int_equal(nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->disk = vectors_load("disk");
    make_empty(f);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    drop(f);
    json_decref(f->disk);
    free(f);
    return 0;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static const char *path_of(const fixture *f, const char *name) {
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    return path;
}

static void put_file(const fixture *f, const char *name, mode_t mode, const void *data,
                     size_t size) {
    const char *path = path_of(f, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

/* The files of a row, with the modes the reference gives them. */
static void put_row(const fixture *f, const json_t *row) {
    size_t i;
    json_t *file;
    const char *keys = path_of(f, "keys");
    assert_true(mkdir(keys, 0750) == 0 || access(keys, F_OK) == 0);
    assert_int_equal(chmod(keys, 0750), 0);
    json_array_foreach(json_object_get(row, "files"), i, file) {
        const char *name = json_string_value(json_array_get(file, 0));
        const char *hex = json_string_value(json_array_get(file, 1));
        pln_bytes bytes = exact_bytes(hex, strlen(hex) / 2);
        assert_true(pln_hex_decode(hex, bytes.data, bytes.size));
        put_file(f, name, strstr(name, ".key") != NULL ? 0600 : 0640, bytes.data, bytes.size);
        pln_bytes_fini(&bytes);
    }
}

static bool exists(const fixture *f, const char *name) {
    return access(path_of(f, name), F_OK) == 0;
}

static mode_t mode_of(const fixture *f, const char *name) {
    struct stat st;
    assert_int_equal(lstat(path_of(f, name), &st), 0);
    return st.st_mode & 07777;
}

/* Names, modes and contents of all files below the directory, as one sum that does not depend on
 * their order. */
static uint8_t tree_sum[32];

static int add_to_sum(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)at;
    static uint8_t bytes[64 * 1024];
    size_t size = (size_t)snprintf((char *)bytes, 512, "%s %o ", path, (unsigned)st->st_mode);
    if (kind == FTW_F) {
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        size += fread(bytes + size, 1, sizeof(bytes) - size, file);
        fclose(file);
        assert_true(size < sizeof(bytes));
    }
    uint8_t hash[32];
    pln_sha256(bytes, size, hash);
    for (size_t i = 0; i < sizeof(hash); i++) {
        tree_sum[i] ^= hash[i];
    }
    return 0;
}

static void sum_up(const fixture *f, uint8_t ret[32]) {
    memset(tree_sum, 0, sizeof(tree_sum));
    assert_int_equal(nftw(f->dir, add_to_sum, 8, FTW_PHYS), 0);
    memcpy(ret, tree_sum, sizeof(tree_sum));
}

static void assert_unchanged(const fixture *f, const uint8_t before[32], const char *what) {
    uint8_t after[32];
    sum_up(f, after);
    if (memcmp(before, after, sizeof(after)) != 0) {
        fail_msg("%s: the directory has changed", what);
    }
}

static void assert_err(const char *what, pollen_err got, pollen_err wanted) {
    if (got != wanted) {
        fail_msg("%s: %s (%s), not %s", what, pollen_err_name(got), pollen_last_error(),
                 pollen_err_name(wanted));
    }
}

static void assert_words(const char *id, const fixture *f) {
    if (strstr(pollen_last_error(), f->dir) == NULL) {
        fail_msg("%s: \"%s\" names no file", id, pollen_last_error());
    }
}

static void assert_key(const char *id, const pollen_key *key, const char *wanted) {
    char hex[POLLEN_KEY_HEX_BYTES];
    if (strcmp(pollen_key_hex(key, hex), wanted) != 0) {
        fail_msg("%s: key %s", id, hex);
    }
}

/* ---- The node's key -------------------------------------------------------------------------- */

/* Where the reference believes what does not fit together, crashes, or overwrites a private key,
 * this is what is wanted instead: a missing public half is made again, everything else refused. */
static pollen_err node_verdict(const json_t *row) {
    static const char *const refused[] = {"node-key-missing", "node-pub-of-other", "node-pub-31"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        if (rows_is(row, "id", refused[i])) {
            return POLLEN_EKEY;
        }
    }
    return rows_is(row, "verdict", "accept") ? POLLEN_OK : POLLEN_EKEY;
}

static void check_node_row(fixture *f, const json_t *row, bool create) {
    const char *id = rows_text(row, "id");
    const bool is_new = rows_is(row, "id", "node-none");
    const bool makes_half = rows_is(row, "id", "node-pub-missing");
    const pollen_err wanted = is_new && !create ? POLLEN_ENOENT : node_verdict(row);
    uint8_t before[32];
    pollen_seed seed = {{0}};
    put_row(f, row);
    sum_up(f, before);
    assert_err(id, pln_statedir_load_key(f->dir, create, &seed), wanted);
    if (wanted != POLLEN_OK) {
        assert_unchanged(f, before, id);
        assert_words(id, f);
        return;
    }
    pollen_key key = pollen_seed_key(&seed);
    if (!is_new) {
        assert_key(id, &key, "ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1");
    }
    if (!is_new && !makes_half) {
        assert_unchanged(f, before, id);
    }
    assert_int_equal(mode_of(f, "keys/ed25519.key"), 0600);
    assert_int_equal(mode_of(f, "keys/ed25519.pub"), 0640);
    pollen_seed again;
    assert_err(id, pln_statedir_load_key(f->dir, false, &again), POLLEN_OK);
    assert_memory_equal(&again, &seed, sizeof(seed));
}

static void node_keys_load_or_are_refused_untouched(void **state) {
    fixture *f = *state;
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(f->disk, "keys"), i, row) {
        for (int create = 0; create < 2 && rows_is(row, "kind", "node"); create++) {
            check_node_row(f, row, create == 1);
            drop(f);
            make_empty(f);
        }
    }
}

static void a_restored_public_half_is_the_one_that_was_lost(void **state) {
    fixture *f = *state;
    uint8_t before[32];
    pollen_seed seed;
    put_row(f, rows_find(f->disk, "keys", "node-good"));
    sum_up(f, before);
    assert_int_equal(unlink(path_of(f, "keys/ed25519.pub")), 0);
    assert_err("load", pln_statedir_load_key(f->dir, false, &seed), POLLEN_OK);
    assert_unchanged(f, before, "restored");
}

static void where_there_is_no_node_none_is_made_unasked(void **state) {
    fixture *f = *state;
    pollen_seed seed;
    uint8_t before[32];
    sum_up(f, before);
    assert_err("load", pln_statedir_load_key(f->dir, false, &seed), POLLEN_ENOENT);
    assert_unchanged(f, before, "load");
    assert_err("load", pln_statedir_load_key(path_of(f, "none"), false, &seed), POLLEN_ENOENT);
    assert_unchanged(f, before, "load");
}

/* ---- The admin's key ------------------------------------------------------------------------- */

static void admin_keys_load_or_are_refused_untouched(void **state) {
    fixture *f = *state;
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(f->disk, "keys"), i, row) {
        if (!rows_is(row, "kind", "admin")) {
            continue;
        }
        const char *id = rows_text(row, "id");
        const bool makes_half = rows_is(row, "id", "admin-pub-missing");
        const bool good = rows_is(row, "verdict", "accept") || makes_half;
        uint8_t before[32];
        pln_credentials creds;
        put_row(f, rows_find(f->disk, "keys", "node-good"));
        put_row(f, rows_find(f->disk, "credentials", "member"));
        put_row(f, row);
        sum_up(f, before);
        assert_err(id, pln_statedir_load_credentials(f->dir, 1770000000, &creds),
                   good ? POLLEN_OK : POLLEN_EKEY);
        if (good) {
            assert_true(creds.has_signer);
            assert_key(id, &creds.signer.admin_pub,
                       "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
            pln_credentials_fini(&creds);
        }
        if (makes_half) {
            assert_int_equal(mode_of(f, "keys/admin_ed25519.pub"), 0640);
        } else {
            assert_unchanged(f, before, id);
        }
        drop(f);
        make_empty(f);
    }
}

/* ---- Credentials ----------------------------------------------------------------------------- */

typedef struct verdict {
    const char *id;
    pollen_err err;
    bool enrolled, signs;
} verdict;

/* What differs from the reference: a directory without a membership is one of a node that belongs
 * to no cluster; what has merely expired loads, so that it can be renewed; an admin certificate for
 * another key is refused when it is loaded and not when it is first used. */
static const verdict verdicts[] = {
    {"none", POLLEN_OK, false, false},
    {"member", POLLEN_OK, true, false},
    {"trust-only", POLLEN_OK, false, false},
    {"cert-only", POLLEN_ECERT, false, false},
    {"cert-of-other-node", POLLEN_ESUBJECT, false, false},
    {"cert-expired", POLLEN_OK, true, false},
    {"cert-garbage", POLLEN_ECERT, false, false},
    {"cert-empty", POLLEN_ECERT, false, false},
    {"trust-foreign", POLLEN_ECLUSTER, false, false},
    {"trust-inconsistent", POLLEN_ECERT, false, false},
    {"trust-empty", POLLEN_ECERT, false, false},
    {"root", POLLEN_OK, true, true},
    {"delegated", POLLEN_OK, true, true},
    {"delegated-no-cert", POLLEN_OK, true, false},
    {"delegated-cert-expired", POLLEN_OK, true, false},
    {"delegated-cert-self-signed", POLLEN_ESIGNATURE, false, false},
    {"delegated-cert-of-other-key", POLLEN_ECERT, false, false},
    {"admin-key-alone", POLLEN_OK, false, false},
    {"admin-key-and-trust", POLLEN_OK, false, false},
};

static const verdict *verdict_of(const json_t *row) {
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(*verdicts); i++) {
        if (rows_is(row, "id", verdicts[i].id)) {
            return &verdicts[i];
        }
    }
    fail_msg("no verdict for %s", rows_text(row, "id"));
    return NULL;
}

static void check_credentials_row(fixture *f, const json_t *row) {
    const char *id = rows_text(row, "id");
    const verdict *wanted = verdict_of(row);
    const pln_wall now = json_integer_value(json_object_get(row, "now"));
    uint8_t before[32];
    pln_credentials creds;
    put_row(f, rows_find(f->disk, "keys", "node-good"));
    put_row(f, row);
    sum_up(f, before);
    assert_err(id, pln_statedir_load_credentials(f->dir, now, &creds), wanted->err);
    assert_unchanged(f, before, id);
    if (wanted->err != POLLEN_OK) {
        assert_words(id, f);
        return;
    }
    if (creds.enrolled != wanted->enrolled || creds.has_signer != wanted->signs) {
        fail_msg("%s: enrolled %d, signs %d", id, creds.enrolled, creds.has_signer);
    }
    assert_string_equal(pollen_last_error(), "");
    assert_key(id, &creds.key, rows_text(row, "node_pub"));
    if (creds.has_signer) {
        assert_key(id, &creds.signer.admin_pub, rows_text(row, "signer_pub"));
        assert_key(id, &creds.signer.trust.root_pub, rows_text(row, "signer_root"));
    }
    assert_err(id, pln_statedir_save_credentials(f->dir, &creds), POLLEN_OK);
    assert_unchanged(f, before, id); /* What is there already is not written again. */
    pln_credentials_fini(&creds);
}

static void credentials_load_or_are_refused_untouched(void **state) {
    fixture *f = *state;
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(f->disk, "credentials"), i, row) {
        check_credentials_row(f, row);
        drop(f);
        make_empty(f);
    }
}

static void credentials_are_saved_as_they_were_loaded(void **state) {
    static const char *const ids[] = {"member", "root", "delegated"};
    fixture *f = *state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
        const pln_wall now = 1770000000;
        pln_credentials first, second;
        put_row(f, rows_find(f->disk, "keys", "node-good"));
        put_row(f, rows_find(f->disk, "credentials", ids[i]));
        assert_err(ids[i], pln_statedir_load_credentials(f->dir, now, &first), POLLEN_OK);
        drop(f);
        make_empty(f);
        assert_err(ids[i], pln_statedir_save_credentials(f->dir, &first), POLLEN_OK);
        assert_int_equal(mode_of(f, "keys"), 0750);
        assert_int_equal(mode_of(f, "keys/ed25519.key"), 0600);
        assert_int_equal(mode_of(f, "keys/membership.cert.pb"), 0640);
        assert_int_equal(exists(f, "keys/admin.cert.pb"), strcmp(ids[i], "delegated") == 0);
        assert_err(ids[i], pln_statedir_load_credentials(f->dir, now, &second), POLLEN_OK);
        assert_memory_equal(&first.seed, &second.seed, sizeof(first.seed));
        assert_true(pln_bytes_equal(&first.member_cert.wire, &second.member_cert.wire));
        assert_true(pln_bytes_equal(&first.trust.wire, &second.trust.wire));
        assert_int_equal(first.has_signer, second.has_signer);
        pln_credentials_fini(&first);
        pln_credentials_fini(&second);
        drop(f);
        make_empty(f);
    }
}

static void another_nodes_key_is_never_overwritten(void **state) {
    fixture *f = *state;
    uint8_t before[32];
    pollen_seed seed;
    pln_credentials other;
    put_row(f, rows_find(f->disk, "keys", "node-good"));
    sum_up(f, before);
    assert_int_equal(pollen_seed_generate(&seed), POLLEN_OK);
    pln_credentials_init(&other, &seed);
    assert_err("save", pln_statedir_save_credentials(f->dir, &other), POLLEN_EEXIST);
    assert_unchanged(f, before, "save");
    assert_words("save", f);
    pln_credentials_fini(&other);
}

static void a_key_that_others_may_read_is_refused_untouched(void **state) {
    fixture *f = *state;
    uint8_t before[32];
    pollen_seed seed;
    pln_credentials creds;
    put_row(f, rows_find(f->disk, "keys", "node-good"));
    assert_int_equal(chmod(path_of(f, "keys/ed25519.key"), 0644), 0);
    sum_up(f, before);
    assert_err("load", pln_statedir_load_key(f->dir, true, &seed), POLLEN_EMODE);
    assert_non_null(strstr(pollen_last_error(), "chmod 600"));
    assert_err("load", pln_statedir_load_credentials(f->dir, 1770000000, &creds), POLLEN_EMODE);
    assert_unchanged(f, before, "load");
}

static void a_link_in_place_of_a_key_is_refused_untouched(void **state) {
    fixture *f = *state;
    char target[256];
    uint8_t before[32];
    pollen_seed seed;
    put_row(f, rows_find(f->disk, "keys", "node-good"));
    snprintf(target, sizeof(target), "%s/elsewhere", f->dir);
    assert_int_equal(rename(path_of(f, "keys/ed25519.key"), target), 0);
    assert_int_equal(symlink(target, path_of(f, "keys/ed25519.key")), 0);
    sum_up(f, before);
    assert_err("load", pln_statedir_load_key(f->dir, true, &seed), POLLEN_EMODE);
    assert_unchanged(f, before, "load");
}

/* ---- Whole directories of the reference ------------------------------------------------------ */

static void copy_vector(const fixture *f, const char *dir, const json_t *entry) {
    const char *name = rows_text(entry, "path");
    const mode_t mode = (mode_t)strtoul(rows_text(entry, "mode"), NULL, 8);
    if (rows_is(entry, "type", "directory")) {
        assert_true(strcmp(name, ".") == 0 || mkdir(path_of(f, name), 0700) == 0);
        assert_int_equal(chmod(path_of(f, name), mode), 0);
        return;
    }
    static uint8_t bytes[64 * 1024];
    char path[512];
    snprintf(path, sizeof(path), "%s/statedir/%s/%s", POLLEN_TEST_VECTORS, dir, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    put_file(f, name, mode, bytes, size);
}

static void check_directory(fixture *f, const json_t *row, pln_wall now) {
    const char *dir = rows_text(row, "dir");
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(row, "files"), i, entry) {
        copy_vector(f, dir, entry);
    }
    pln_credentials creds;
    pln_config config;
    assert_err(dir, pln_statedir_load_credentials(f->dir, now, &creds), POLLEN_OK);
    assert_true(creds.enrolled);
    assert_key(dir, &creds.key, rows_text(row, "node_pub"));
    assert_int_equal(creds.has_signer, !rows_is(row, "signer", "none"));
    if (creds.has_signer) {
        assert_int_equal(creds.signer.is_root, rows_is(row, "signer", "root"));
    }
    /* The group may not swap files any more. */
    assert_int_equal(mode_of(f, "."), 0750);
    assert_int_equal(mode_of(f, "keys"), 0750);

    uint8_t before[32];
    sum_up(f, before);
    assert_err(dir, pln_statedir_save_credentials(f->dir, &creds), POLLEN_OK);
    assert_unchanged(f, before, dir);
    assert_err(dir, pln_statedir_load_config(f->dir, &config), POLLEN_OK);
    pln_config_fini(&config);
    pln_credentials_fini(&creds);
}

static void directories_of_the_reference_load(void **state) {
    fixture *f = *state;
    json_t *index = vectors_load("statedir/index");
    const pln_wall now = json_integer_value(json_object_get(index, "now_unix"));
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(index, "directories"), i, row) {
        check_directory(f, row, now);
        drop(f);
        make_empty(f);
    }
    json_decref(index);
}

/* ---- Settings and the lock ------------------------------------------------------------------- */

static void broken_settings_are_refused_and_stay(void **state) {
    fixture *f = *state;
    uint8_t before[32];
    pln_config config = {0};
    put_file(f, "config.yaml", 0600, "certTTLs: [\n", 12);
    sum_up(f, before);
    assert_err("load", pln_statedir_load_config(f->dir, &config), POLLEN_ECONFIG);
    assert_non_null(strstr(pollen_last_error(), "config.yaml"));
    assert_unchanged(f, before, "load");
}

static void broken_settings_stop_a_root_whose_certificates_depend_on_them(void **state) {
    fixture *f = *state;
    pln_credentials creds;
    put_row(f, rows_find(f->disk, "keys", "node-good"));
    put_row(f, rows_find(f->disk, "credentials", "root"));
    put_file(f, "config.yaml", 0600, "certTTLs: [\n", 12);
    assert_err("load", pln_statedir_load_credentials(f->dir, 1770000000, &creds), POLLEN_ECONFIG);
}

static void missing_settings_are_the_defaults(void **state) {
    fixture *f = *state;
    pln_config config = {0};
    assert_err("load", pln_statedir_load_config(f->dir, &config), POLLEN_OK);
    assert_int_equal(config.admin_ttl, 0);
    assert_int_equal(config.bootstrap.count, 0);
    pln_config_fini(&config);
}

static void settings_that_were_saved_twice_are_the_same(void **state) {
    fixture *f = *state;
    uint8_t before[32];
    static const char text[] = "certTTLs:\n    membership: 48h0m0s\npublic: true\n";
    pln_config config = {0};
    put_file(f, "config.yaml", 0600, text, sizeof(text) - 1);
    assert_err("load", pln_statedir_load_config(f->dir, &config), POLLEN_OK);
    assert_err("save", pln_statedir_save_config(f->dir, &config), POLLEN_OK);
    pln_config_fini(&config);
    sum_up(f, before);
    assert_err("load", pln_statedir_load_config(f->dir, &config), POLLEN_OK);
    assert_err("save", pln_statedir_save_config(f->dir, &config), POLLEN_OK);
    assert_unchanged(f, before, "save");
    assert_int_equal(config.membership_ttl, 48 * 3600);
    pln_config_fini(&config);
    assert_int_equal(mode_of(f, "config.yaml"), 0600);
}

static void one_process_at_a_time_holds_the_lock(void **state) {
    fixture *f = *state;
    int first = -1, second = -1;
    assert_err("lock", pln_statedir_lock(f->dir, &first), POLLEN_OK);
    assert_err("lock", pln_statedir_lock(f->dir, &second), POLLEN_EBUSY);
    assert_int_equal(second, -1);
    assert_int_equal(mode_of(f, ".state.lock"), 0600);
    pln_statedir_unlock(first);
    assert_err("lock", pln_statedir_lock(f->dir, &second), POLLEN_OK);
    pln_statedir_unlock(second);
}

static void the_public_functions_load_what_they_saved(void **state) {
    fixture *f = *state;
    pollen_seed seed, root;
    pollen_credentials *made, *loaded = NULL;
    char deep[128];
    snprintf(deep, sizeof(deep), "%s/a/b", f->dir);
    assert_int_equal(pollen_seed_generate(&seed), POLLEN_OK);
    assert_int_equal(pollen_seed_generate(&root), POLLEN_OK);
    assert_int_equal(pollen_credentials_create(&seed, &made), POLLEN_OK);
    assert_err("load", pollen_credentials_load(deep, &loaded), POLLEN_ENOENT);
    assert_null(loaded);
    assert_false(exists(f, "a"));
    assert_int_equal(pollen_credentials_create_cluster(made, &root), POLLEN_OK);
    assert_err("save", pollen_credentials_save(made, deep), POLLEN_OK);
    assert_err("load", pollen_credentials_load(deep, &loaded), POLLEN_OK);
    const pollen_key key = pollen_seed_key(&seed);
    const pollen_key stored = pollen_credentials_key(loaded);
    assert_memory_equal(&key, &stored, sizeof(key));
    assert_true(pollen_credentials_enrolled(loaded));
    assert_true(pollen_credentials_is_admin(loaded));
    pollen_credentials_destroy(loaded);
    pollen_credentials_destroy(made);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(node_keys_load_or_are_refused_untouched),
        TEST(a_restored_public_half_is_the_one_that_was_lost),
        TEST(where_there_is_no_node_none_is_made_unasked),
        TEST(admin_keys_load_or_are_refused_untouched),
        TEST(credentials_load_or_are_refused_untouched),
        TEST(credentials_are_saved_as_they_were_loaded),
        TEST(another_nodes_key_is_never_overwritten),
        TEST(a_key_that_others_may_read_is_refused_untouched),
        TEST(a_link_in_place_of_a_key_is_refused_untouched),
        TEST(directories_of_the_reference_load),
        TEST(broken_settings_are_refused_and_stay),
        TEST(broken_settings_stop_a_root_whose_certificates_depend_on_them),
        TEST(missing_settings_are_the_defaults),
        TEST(settings_that_were_saved_twice_are_the_same),
        TEST(one_process_at_a_time_holds_the_lock),
        TEST(the_public_functions_load_what_they_saved),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
