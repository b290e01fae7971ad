/* SPDX-License-Identifier: Apache-2.0 */
/* Files: what may be read, and that a write leaves the old or the new content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pollen/admission.h>

#include "run/files.h"

enum { LIMIT = 64 * 1024, SKIPPED = 77 };

typedef struct fixture {
    char dir[64];
    char path[96];
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    snprintf(f->dir, sizeof(f->dir), "/tmp/pollen-files-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/file", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    char path[512];
    DIR *dir = opendir(f->dir);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", f->dir, entry->d_name);
        if (entry->d_name[0] != '.' && unlink(path) != 0) {
            assert_int_equal(rmdir(path), 0);
        }
    }
    closedir(dir);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static size_t count_files(const char *path) {
    size_t count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

static mode_t mode_of(const char *path) {
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void write_text(const char *path, mode_t mode, const char *text) {
    assert_int_equal(pln_file_write(path, mode, text, strlen(text)), POLLEN_OK);
}

static void assert_content(const char *path, const char *wanted) {
    char text[256] = "";
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t size = fread(text, 1, sizeof(text), file);
    fclose(file);
    assert_int_equal(size, strlen(wanted));
    assert_memory_equal(text, wanted, size);
}

static void assert_refused(const char *path, mode_t mode, const char *why) {
    uint8_t kept = 1;
    pln_bytes bytes = {.data = &kept, .size = 1};
    assert_int_equal(pln_file_read(path, mode, LIMIT, &bytes), POLLEN_EMODE);
    assert_ptr_equal(bytes.data, &kept);
    assert_non_null(strstr(pollen_last_error(), why));
    assert_non_null(strstr(pollen_last_error(), path));
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void what_was_written_is_read(void **state) {
    const fixture *f = *state;
    static const size_t sizes[] = {0, 1, 4096, LIMIT};
    static uint8_t out[LIMIT];
    memset(out, 0xa5, sizeof(out));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        pln_bytes in = {0};
        assert_int_equal(pln_file_write(f->path, PLN_MODE_SECRET, out, sizes[i]), POLLEN_OK);
        assert_int_equal(pln_file_read(f->path, PLN_MODE_SECRET, LIMIT, &in), POLLEN_OK);
        assert_int_equal(in.size, sizes[i]);
        assert_memory_equal(in.data, out, sizes[i]);
        pln_bytes_fini(&in);
    }
    assert_int_equal(count_files(f->dir), 1);
}

static void a_file_that_is_too_long_is_refused(void **state) {
    const fixture *f = *state;
    pln_bytes in = {0};
    write_text(f->path, PLN_MODE_SECRET, "12345");
    assert_int_equal(pln_file_read(f->path, PLN_MODE_SECRET, 4, &in), POLLEN_ELIMIT);
    assert_null(in.data);
    assert_int_equal(pln_file_read(f->path, PLN_MODE_SECRET, 5, &in), POLLEN_OK);
    pln_bytes_fini(&in);
}

static void a_missing_file_is_told_apart(void **state) {
    const fixture *f = *state;
    pln_bytes in = {0};
    assert_int_equal(pln_file_read(f->path, PLN_MODE_PUBLIC, LIMIT, &in), POLLEN_ENOENT);
    assert_non_null(strstr(pollen_last_error(), f->path));
}

static void a_secret_that_others_may_read_is_refused_with_the_remedy(void **state) {
    static const mode_t wide[] = {0644, 0604, 0640, 0602, 0700, 04600};
    const fixture *f = *state;
    write_text(f->path, PLN_MODE_SECRET, "secret");
    for (size_t i = 0; i < sizeof(wide) / sizeof(*wide); i++) {
        assert_int_equal(chmod(f->path, wide[i]), 0);
        assert_refused(f->path, PLN_MODE_SECRET, "chmod 600");
    }
    assert_int_equal(chmod(f->path, 0400), 0);
    pln_bytes in = {0};
    assert_int_equal(pln_file_read(f->path, PLN_MODE_SECRET, LIMIT, &in), POLLEN_OK);
    pln_bytes_fini(&in);
}

static void a_public_file_may_be_read_by_all_and_written_by_nobody_else(void **state) {
    const fixture *f = *state;
    pln_bytes in = {0};
    write_text(f->path, PLN_MODE_PUBLIC, "public");
    assert_int_equal(chmod(f->path, 0644), 0);
    assert_int_equal(pln_file_read(f->path, PLN_MODE_PUBLIC, LIMIT, &in), POLLEN_OK);
    pln_bytes_fini(&in);
    assert_int_equal(chmod(f->path, 0660), 0);
    assert_refused(f->path, PLN_MODE_PUBLIC, "chmod 640");
    assert_int_equal(chmod(f->path, 0646), 0);
    assert_refused(f->path, PLN_MODE_PUBLIC, "chmod 640");
}

static void a_file_of_another_user_is_refused(void **state) {
    const fixture *f = *state;
    write_text(f->path, PLN_MODE_SECRET, "planted");
    if (geteuid() != 0 || chown(f->path, 12345, (gid_t)-1) != 0) {
        skip();
    }
    assert_refused(f->path, PLN_MODE_SECRET, "another user");
}

static void what_is_no_file_is_refused_without_waiting(void **state) {
    const fixture *f = *state;
    assert_int_equal(mkfifo(f->path, 0600), 0); /* Opening it would wait for a writer. */
    assert_refused(f->path, PLN_MODE_SECRET, "not a regular file");
    assert_refused(f->dir, PLN_MODE_SECRET, "not a regular file");
}

/* ---- Links ----------------------------------------------------------------------------------- */

static void a_link_is_not_followed(void **state) {
    const fixture *f = *state;
    char victim[96];
    snprintf(victim, sizeof(victim), "%s/victim", f->dir);
    write_text(victim, PLN_MODE_SECRET, "victim");
    assert_int_equal(symlink(victim, f->path), 0);
    assert_refused(f->path, PLN_MODE_SECRET, "is a link");

    /* A write takes the link's place and leaves alone what it points to. */
    write_text(f->path, PLN_MODE_SECRET, "own");
    struct stat st;
    assert_int_equal(lstat(f->path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_content(victim, "victim");
    assert_content(f->path, "own");
}

static void a_link_where_the_reference_writes_its_temporary_file_is_harmless(void **state) {
    const fixture *f = *state;
    char victim[96];
    char temp[128];
    snprintf(victim, sizeof(victim), "%s/victim", f->dir);
    snprintf(temp, sizeof(temp), "%s.tmp", f->path);
    write_text(victim, PLN_MODE_SECRET, "victim");
    assert_int_equal(symlink(victim, temp), 0);
    write_text(f->path, PLN_MODE_SECRET, "own");
    assert_content(victim, "victim");
    assert_content(f->path, "own");
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void the_umask_does_not_narrow_a_mode(void **state) {
    const fixture *f = *state;
    const mode_t old = umask(077);
    const pollen_err err = pln_file_write(f->path, PLN_MODE_PUBLIC, "x", 1);
    umask(0);
    const pollen_err again = pln_file_write(f->path, PLN_MODE_SECRET, "x", 1);
    const mode_t mode = mode_of(f->path);
    const pollen_err third = pln_file_write(f->path, PLN_MODE_PUBLIC, "x", 1);
    umask(old);
    assert_int_equal(err, POLLEN_OK);
    assert_int_equal(again, POLLEN_OK);
    assert_int_equal(mode, PLN_MODE_SECRET);
    assert_int_equal(third, POLLEN_OK);
    assert_int_equal(mode_of(f->path), PLN_MODE_PUBLIC);
}

static void a_file_beyond_the_size_limit_leaves_the_old_one(void **state) {
    const fixture *f = *state;
    static const uint8_t big[LIMIT];
    write_text(f->path, PLN_MODE_SECRET, "old");

    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small = {.rlim_cur = 4096, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const pollen_err err = pln_file_write(f->path, PLN_MODE_SECRET, big, sizeof(big));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);

    assert_int_equal(err, POLLEN_ENOSPC);
    assert_non_null(strstr(pollen_last_error(), f->path));
    assert_content(f->path, "old");
    assert_int_equal(count_files(f->dir), 1);
}

/* In a process of its own: the exit status is the line that failed, 0 when all held. */
static int write_to_full_disk(const fixture *f) {
    static const uint8_t big[LIMIT];
    char path[128];
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", f->dir, "tmpfs", 0, "size=16k") != 0) {
        return SKIPPED;
    }
    snprintf(path, sizeof(path), "%s/on-tmpfs", f->dir);
    if (pln_file_write(path, PLN_MODE_SECRET, "old", 3) != POLLEN_OK) {
        return 1;
    }
    if (pln_file_write(path, PLN_MODE_SECRET, big, sizeof(big)) != POLLEN_ENOSPC) {
        return 2;
    }
    if (count_files(f->dir) != 1) {
        return 3;
    }
    pln_bytes in = {0};
    if (pln_file_read(path, PLN_MODE_SECRET, LIMIT, &in) != POLLEN_OK || in.size != 3 ||
        memcmp(in.data, "old", 3) != 0) {
        return 4;
    }
    pln_bytes_fini(&in);
    return 0;
}

static void a_full_disk_leaves_the_old_file(void **state) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(write_to_full_disk(*state));
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_write_where_there_is_no_directory_says_so(void **state) {
    const fixture *f = *state;
    char path[128];
    snprintf(path, sizeof(path), "%s/none/file", f->dir);
    assert_int_equal(pln_file_write(path, PLN_MODE_SECRET, "x", 1), POLLEN_ENOENT);
    assert_non_null(strstr(pollen_last_error(), path));
}

static void a_directory_in_the_way_stays(void **state) {
    const fixture *f = *state;
    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_int_equal(pln_file_write(f->path, PLN_MODE_SECRET, "x", 1), POLLEN_EIO);
    assert_int_equal(count_files(f->dir), 1);
    assert_int_equal(rmdir(f->path), 0);
}

static void removing_twice_is_fine(void **state) {
    const fixture *f = *state;
    write_text(f->path, PLN_MODE_SECRET, "x");
    assert_int_equal(pln_file_remove(f->path), POLLEN_OK);
    assert_int_equal(pln_file_remove(f->path), POLLEN_OK);
    assert_int_equal(count_files(f->dir), 0);
}

/* ---- Directories ----------------------------------------------------------------------------- */

static void missing_directories_are_made_with_their_parents(void **state) {
    const fixture *f = *state;
    char deep[160];
    snprintf(deep, sizeof(deep), "%s/a", f->dir);
    const mode_t old = umask(0);
    assert_int_equal(mkdir(deep, 0700), 0);
    snprintf(deep, sizeof(deep), "%s/a/b/c", f->dir);
    const pollen_err err = pln_dir_ensure(deep, PLN_MODE_DIR);
    const pollen_err again = pln_dir_ensure(deep, PLN_MODE_DIR);
    umask(old);
    assert_int_equal(err, POLLEN_OK);
    assert_int_equal(again, POLLEN_OK);
    assert_int_equal(mode_of(deep), PLN_MODE_DIR);
    assert_int_equal(rmdir(deep), 0);
    snprintf(deep, sizeof(deep), "%s/a/b", f->dir);
    assert_int_equal(mode_of(deep), PLN_MODE_DIR);
    assert_int_equal(rmdir(deep), 0);
}

static void a_directory_of_the_reference_is_narrowed(void **state) {
    const fixture *f = *state;
    assert_int_equal(chmod(f->dir, 0770), 0);
    assert_int_equal(pln_dir_ensure(f->dir, PLN_MODE_DIR), POLLEN_OK);
    assert_int_equal(mode_of(f->dir), 0750);
    assert_int_equal(chmod(f->dir, 0700), 0);
    assert_int_equal(pln_dir_ensure(f->dir, PLN_MODE_DIR), POLLEN_OK);
    assert_int_equal(mode_of(f->dir), 0700); /* And none is widened. */
}

static void a_directory_that_all_may_write_is_refused(void **state) {
    const fixture *f = *state;
    static const mode_t wide[] = {0777, 01777, 0702};
    for (size_t i = 0; i < sizeof(wide) / sizeof(*wide); i++) {
        assert_int_equal(chmod(f->dir, wide[i]), 0);
        assert_int_equal(pln_dir_ensure(f->dir, PLN_MODE_DIR), POLLEN_EMODE);
        assert_non_null(strstr(pollen_last_error(), "chmod 750"));
        assert_int_equal(mode_of(f->dir), wide[i]);
    }
}

static void a_directory_of_another_user_is_refused(void **state) {
    const fixture *f = *state;
    if (geteuid() != 0 || chown(f->dir, 12345, (gid_t)-1) != 0) {
        skip();
    }
    assert_int_equal(pln_dir_ensure(f->dir, PLN_MODE_DIR), POLLEN_EMODE);
    assert_int_equal(chown(f->dir, 0, (gid_t)-1), 0);
}

static void a_file_where_a_directory_should_be_is_refused(void **state) {
    const fixture *f = *state;
    char below[128];
    write_text(f->path, PLN_MODE_SECRET, "x");
    assert_int_equal(pln_dir_ensure(f->path, PLN_MODE_DIR), POLLEN_EMODE);
    snprintf(below, sizeof(below), "%s/below", f->path);
    assert_int_equal(pln_dir_ensure(below, PLN_MODE_DIR), POLLEN_ENOENT);
    assert_content(f->path, "x");
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(what_was_written_is_read),
        TEST(a_file_that_is_too_long_is_refused),
        TEST(a_missing_file_is_told_apart),
        TEST(a_secret_that_others_may_read_is_refused_with_the_remedy),
        TEST(a_public_file_may_be_read_by_all_and_written_by_nobody_else),
        TEST(a_file_of_another_user_is_refused),
        TEST(what_is_no_file_is_refused_without_waiting),
        TEST(a_link_is_not_followed),
        TEST(a_link_where_the_reference_writes_its_temporary_file_is_harmless),
        TEST(the_umask_does_not_narrow_a_mode),
        TEST(a_file_beyond_the_size_limit_leaves_the_old_one),
        TEST(a_full_disk_leaves_the_old_file),
        TEST(a_write_where_there_is_no_directory_says_so),
        TEST(a_directory_in_the_way_stays),
        TEST(removing_twice_is_fine),
        TEST(missing_directories_are_made_with_their_parents),
        TEST(a_directory_of_the_reference_is_narrowed),
        TEST(a_directory_that_all_may_write_is_refused),
        TEST(a_directory_of_another_user_is_refused),
        TEST(a_file_where_a_directory_should_be_is_refused),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
