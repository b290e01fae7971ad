/* SPDX-License-Identifier: Apache-2.0 */
/* What killed writes leave in the state directory, and who clears it away. */
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "run/files.h"
#include "run/statedir.h"
#include "support/temp_dir.h"

#define TAIL ".0123456789abcdef.tmp"

static int set_up(void **state) {
    static temp_dir dir;
    char keys[TEMP_PATH_BYTES];
    temp_dir_init(&dir);
    assert_int_equal(mkdir(temp_path(&dir, "keys", keys), 0700), 0);
    *state = &dir;
    return 0;
}

static int tear_down(void **state) {
    temp_dir_fini(*state);
    return 0;
}

static void leave(const temp_dir *dir, const char *name) {
    char path[TEMP_PATH_BYTES];
    const struct timespec old[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
    temp_write(dir, name, "torn", 4, 0600);
    assert_int_equal(utimensat(AT_FDCWD, temp_path(dir, name, path), old, 0), 0);
}

static bool is_there(const temp_dir *dir, const char *name) {
    char path[TEMP_PATH_BYTES];
    struct stat st;
    return lstat(temp_path(dir, name, path), &st) == 0;
}

static void lock_and_unlock(const temp_dir *dir) {
    int fd;
    assert_int_equal(pln_statedir_lock(dir->path, &fd), POLLEN_OK);
    pln_statedir_unlock(fd);
}

static void what_writes_left_is_gone_when_the_directory_is_locked(void **state) {
    const temp_dir *dir = *state;
    static const char *const left[] = {
        "state.yaml" TAIL,       "state.yaml.kept-00112233aabbccdd" TAIL,
        "config.yaml" TAIL,      "consumed_invites.json" TAIL,
        "keys/ed25519.key" TAIL, "keys/membership.cert.pb" TAIL};
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
        leave(dir, left[i]);
    }
    lock_and_unlock(dir);
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
        assert_false(is_there(dir, left[i]));
    }
}

static void what_is_not_ours_stays(void **state) {
    const temp_dir *dir = *state;
    static const char *const others[] = {"state.yaml.tmp",
                                         "state.yaml.0123456789abcde.tmp",
                                         "state.yaml.0123456789ABCDEF.tmp",
                                         "state.yaml.0123456789abcdef.tmp.txt",
                                         "notes" TAIL,
                                         "state.yamlx" TAIL,
                                         "keys/state.yaml" TAIL,
                                         "keys/notes" TAIL,
                                         "state.yaml",
                                         "keys/ed25519.key",
                                         TAIL};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        leave(dir, others[i]);
    }
    lock_and_unlock(dir);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_true(is_there(dir, others[i]));
    }
}

static void links_and_directories_stay(void **state) {
    const temp_dir *dir = *state;
    char from[TEMP_PATH_BYTES], to[TEMP_PATH_BYTES];
    leave(dir, "precious");
    assert_int_equal(
        symlink(temp_path(dir, "precious", from), temp_path(dir, "state.yaml" TAIL, to)), 0);
    assert_int_equal(link(from, temp_path(dir, "config.yaml" TAIL, to)), 0);
    assert_int_equal(mkdir(temp_path(dir, "consumed_invites.json" TAIL, to), 0700), 0);
    lock_and_unlock(dir);
    assert_true(is_there(dir, "precious"));
    assert_true(is_there(dir, "state.yaml" TAIL));
    assert_true(is_there(dir, "config.yaml" TAIL));
    assert_true(is_there(dir, "consumed_invites.json" TAIL));
}

static void what_is_as_young_as_the_lock_stays(void **state) {
    const temp_dir *dir = *state;
    const struct timespec future[2] = {{.tv_sec = 4000000000}, {.tv_sec = 4000000000}};
    char path[TEMP_PATH_BYTES];
    leave(dir, "state.yaml" TAIL);
    assert_int_equal(utimensat(AT_FDCWD, temp_path(dir, "state.yaml" TAIL, path), future, 0), 0);
    lock_and_unlock(dir);
    assert_true(is_there(dir, "state.yaml" TAIL));
}

/* Who writes without holding the directory's lock holds that of its file. */
static void what_is_being_written_stays(void **state) {
    const temp_dir *dir = *state;
    char path[TEMP_PATH_BYTES];
    leave(dir, "keys/ed25519.pub" TAIL);
    const int fd = open(temp_path(dir, "keys/ed25519.pub" TAIL, path), O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    lock_and_unlock(dir);
    assert_true(is_there(dir, "keys/ed25519.pub" TAIL));
    assert_int_equal(close(fd), 0);
    lock_and_unlock(dir);
    assert_false(is_there(dir, "keys/ed25519.pub" TAIL));
}

static void who_does_not_get_the_lock_clears_nothing(void **state) {
    const temp_dir *dir = *state;
    int first, second;
    assert_int_equal(pln_statedir_lock(dir->path, &first), POLLEN_OK);
    leave(dir, "state.yaml" TAIL);
    assert_int_equal(pln_statedir_lock(dir->path, &second), POLLEN_EBUSY);
    assert_true(is_there(dir, "state.yaml" TAIL));
    pln_statedir_unlock(first);
}

static void write_for_ever(const char *path) {
    char *bytes = calloc(1, 1 << 20);
    while (bytes != NULL && pln_file_write(path, 0640, bytes, 1 << 20) == POLLEN_OK) {
    }
    _exit(1);
}

/* In the midst of a write, as often as not. */
static void a_write_that_is_killed_leaves_nothing_for_long(void **state) {
    const temp_dir *dir = *state;
    char path[TEMP_PATH_BYTES];
    temp_path(dir, "state.yaml", path);
    for (long delay = 1; delay <= 10; delay++) {
        const struct itimerval soon = {.it_value = {.tv_usec = delay * 3000}};
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)setitimer(ITIMER_REAL, &soon, NULL); /* Nobody handles SIGALRM. */
            write_for_ever(path);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
    }
    lock_and_unlock(dir);
    const bool has_file = is_there(dir, "state.yaml");   /* Not if all were killed early. */
    assert_int_equal(temp_count(dir), has_file ? 3 : 2); /* The lock, keys and the file. */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_writes_left_is_gone_when_the_directory_is_locked),
        TEST(what_is_not_ours_stays),
        TEST(links_and_directories_stay),
        TEST(what_is_as_young_as_the_lock_stays),
        TEST(what_is_being_written_stays),
        TEST(who_does_not_get_the_lock_clears_nothing),
        TEST(a_write_that_is_killed_leaves_nothing_for_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
