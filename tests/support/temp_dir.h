/* SPDX-License-Identifier: Apache-2.0 */
/* A directory for the time of a test. */
#ifndef TESTS_SUPPORT_TEMP_DIR_H
#define TESTS_SUPPORT_TEMP_DIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEMP_PATH_BYTES = 512 };

typedef struct temp_dir {
    char path[TEMP_PATH_BYTES];
} temp_dir;

/* Mode 0700. */
static inline void temp_dir_init(temp_dir *dir) {
    const char *base = getenv("TMPDIR");
    (void)snprintf(dir->path, sizeof(dir->path), "%s/pollen-test-XXXXXX",
                   base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(dir->path));
}

static inline int temp_remove_one(const char *path, const struct stat *st, int kind,
                                  struct FTW *at) {
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline void temp_dir_fini(temp_dir *dir) {
    (void)nftw(dir->path, temp_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* dir/name; returns ret. */
static inline char *temp_path(const temp_dir *dir, const char *name, char ret[TEMP_PATH_BYTES]) {
    assert_true(snprintf(ret, TEMP_PATH_BYTES, "%s/%s", dir->path, name) < TEMP_PATH_BYTES);
    return ret;
}

/* Writes the file dir/name with exactly this mode. */
static inline void temp_write(const temp_dir *dir, const char *name, const void *bytes, size_t size,
                              mode_t mode) {
    char path[TEMP_PATH_BYTES];
    FILE *file = fopen(temp_path(dir, name, path), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

/* Up to cap bytes of dir/name; returns how many. */
static inline size_t temp_read(const temp_dir *dir, const char *name, void *bytes, size_t cap) {
    char path[TEMP_PATH_BYTES];
    FILE *file = fopen(temp_path(dir, name, path), "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, cap, file);
    assert_int_equal(fclose(file), 0);
    return size;
}

static inline mode_t temp_mode(const temp_dir *dir, const char *name) {
    char path[TEMP_PATH_BYTES];
    struct stat st;
    assert_int_equal(lstat(temp_path(dir, name, path), &st), 0);
    return st.st_mode & 07777;
}

/* Entries of the directory, "." and ".." not counted. */
static inline size_t temp_count(const temp_dir *dir) {
    DIR *open = opendir(dir->path);
    assert_non_null(open);
    size_t count = 0;
    while (readdir(open) != NULL) {
        count++;
    }
    closedir(open);
    return count - 2;
}

#endif
