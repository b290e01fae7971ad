/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of the state directory: config.yaml, the lock, paths. */
#include "support/tree.h"

#include <pollen/admission.h>

#include "run/last_error.h"
#include "run/statedir.h"

typedef struct fixture {
    char dir[TREE_PATH_BYTES];
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    tree_make(f->dir);
    pln_last_error_clear();
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    tree_remove(f->dir);
    free(f);
    return 0;
}

/* ---- config.yaml ----------------------------------------------------------------------------- */

static void test_no_configuration_is_the_default_one(void **state) {
    fixture *f = *state;
    pln_config config = {.is_public = true};
    assert_int_equal(pln_statedir_load_config(f->dir, &config), POLLEN_OK);
    assert_int_equal(config.bootstrap.count, 0);
    assert_false(config.is_public);
    assert_string_equal(pollen_last_error(), "");
    pln_config_fini(&config);
}

/* The reference takes the default one here, and forgets what was configured. */
static void test_a_broken_configuration_is_refused(void **state) {
    static const char text[] = "public: true\ncertTTLs: [1, 2\n";
    fixture *f = *state;
    pln_config config;
    tree_write(f->dir, PLN_FILE_CONFIG, 0600, text, sizeof(text) - 1);
    const tree_print before = tree_fingerprint(f->dir);
    assert_int_equal(pln_statedir_load_config(f->dir, &config), POLLEN_ECONFIG);
    assert_non_null(strstr(pollen_last_error(), PLN_FILE_CONFIG));
    assert_non_null(strstr(pollen_last_error(), "line"));
    tree_assert_same(f->dir, &before);
}

static void test_a_configuration_of_others_is_refused(void **state) {
    fixture *f = *state;
    pln_config config;
    tree_write(f->dir, PLN_FILE_CONFIG, 0660, "{}\n", 3);
    assert_int_equal(pln_statedir_load_config(f->dir, &config), POLLEN_EMODE);
    assert_non_null(strstr(pollen_last_error(), PLN_FILE_CONFIG));
}

/* The reference adds brackets to such an address at every save. */
static void test_saving_a_configuration_twice_gives_equal_bytes(void **state) {
    static const char text[] =
        "bootstrapPeers:\n"
        "    - peerPub: ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1\n"
        "      addrs: [\"[2001:db8::1]\", \"192.0.2.1\"]\n"
        "public: true\n";
    static char first[TREE_FILE_MAX], second[TREE_FILE_MAX];
    fixture *f = *state;
    pln_config config;
    size_t size = 0;
    tree_write(f->dir, PLN_FILE_CONFIG, 0600, text, sizeof(text) - 1);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pln_statedir_load_config(f->dir, &config), POLLEN_OK);
        assert_int_equal(config.bootstrap.count, 1);
        assert_int_equal(pln_statedir_save_config(f->dir, &config), POLLEN_OK);
        pln_config_fini(&config);
        size = tree_read(f->dir, PLN_FILE_CONFIG, i == 0 ? first : second);
    }
    assert_memory_equal(first, second, size + 1);
    assert_int_equal(tree_mode(f->dir, PLN_FILE_CONFIG), 0600);
}

/* ---- The lock and paths ---------------------------------------------------------------------- */

static void test_the_lock_is_held_by_one(void **state) {
    fixture *f = *state;
    int fd = -1, other = -1;
    assert_int_equal(pln_statedir_lock(f->dir, &fd), POLLEN_OK);
    assert_int_equal(tree_mode(f->dir, PLN_FILE_LOCK) & 0077, 0);
    assert_int_equal(pln_statedir_lock(f->dir, &other), POLLEN_EBUSY);
    assert_non_null(strstr(pollen_last_error(), PLN_FILE_LOCK));
    pln_statedir_unlock(fd);
    assert_int_equal(pln_statedir_lock(f->dir, &fd), POLLEN_OK);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    pln_statedir_unlock(fd);
}

static void test_a_lock_that_is_a_link_is_refused(void **state) {
    fixture *f = *state;
    char path[TREE_PATH_BYTES], victim[TREE_PATH_BYTES];
    int fd = -1;
    assert_int_equal(
        symlink(tree_path(f->dir, "victim", victim), tree_path(f->dir, PLN_FILE_LOCK, path)), 0);
    assert_int_equal(pln_statedir_lock(f->dir, &fd), POLLEN_EMODE);
    assert_non_null(strstr(pollen_last_error(), path));
    assert_false(tree_has(f->dir, "victim"));
}

static void test_a_path_that_is_too_long_is_refused(void **state) {
    static char dir[PLN_PATH_BYTES], path[PLN_PATH_BYTES];
    (void)state;
    memset(dir, 'd', sizeof(dir));
    dir[PLN_PATH_BYTES - 3] = '\0';
    assert_int_equal(pln_statedir_path(dir, "n", path), POLLEN_OK);
    assert_int_equal(strlen(path), PLN_PATH_BYTES - 1);
    assert_int_equal(pln_statedir_path(dir, "no", path), POLLEN_EINVAL);
    assert_string_not_equal(pollen_last_error(), "");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_no_configuration_is_the_default_one),
        TEST(test_a_broken_configuration_is_refused),
        TEST(test_a_configuration_of_others_is_refused),
        TEST(test_saving_a_configuration_twice_gives_equal_bytes),
        TEST(test_the_lock_is_held_by_one),
        TEST(test_a_lock_that_is_a_link_is_refused),
        TEST(test_a_path_that_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
