/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories of a test's own, below /tmp: filling them, and telling whether anything in them
 * changed.  Whatever fails here fails the running test.
 */
#ifndef TESTS_SUPPORT_TREE_H
#define TESTS_SUPPORT_TREE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/ed25519ctx.h"

enum { TREE_PATH_BYTES = 512, TREE_FILE_MAX = 64 * 1024 };

static inline void tree_make(char root[TREE_PATH_BYTES]) {
    (void)snprintf(root, TREE_PATH_BYTES, "/tmp/pollen-tree-XXXXXX");
    assert_non_null(mkdtemp(root));
}

static inline int tree_drop_entry(const char *path, const struct stat *st, int kind,
                                  struct FTW *ftw) {
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline void tree_remove(const char *root) {
    assert_int_equal(nftw(root, tree_drop_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* root/name into path; returns path. */
static inline char *tree_path(const char *root, const char *name, char path[TREE_PATH_BYTES]) {
    assert_true(snprintf(path, TREE_PATH_BYTES, "%s/%s", root, name) < TREE_PATH_BYTES);
    return path;
}

static inline void tree_mkdir(const char *root, const char *name, mode_t mode) {
    char path[TREE_PATH_BYTES];
    assert_int_equal(mkdir(tree_path(root, name, path), mode), 0);
    assert_int_equal(chmod(path, mode), 0); /* Whatever the umask is. */
}

static inline void tree_write(const char *root, const char *name, mode_t mode, const void *bytes,
                              size_t size) {
    char path[TREE_PATH_BYTES];
    FILE *file = fopen(tree_path(root, name, path), "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

/* Into bytes[TREE_FILE_MAX]; returns the size. */
static inline size_t tree_read_path(const char *path, char *bytes) {
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    const size_t size = fread(bytes, 1, TREE_FILE_MAX, file);
    assert_true(size < TREE_FILE_MAX);
    assert_int_equal(fclose(file), 0);
    return size;
}

static inline size_t tree_read(const char *root, const char *name, char *bytes) {
    char path[TREE_PATH_BYTES];
    return tree_read_path(tree_path(root, name, path), bytes);
}

static inline void tree_assert_text(const char *root, const char *name, const char *text) {
    static char bytes[TREE_FILE_MAX];
    const size_t size = tree_read(root, name, bytes);
    bytes[size] = '\0';
    assert_string_equal(bytes, text);
}

static inline bool tree_has(const char *root, const char *name) {
    char path[TREE_PATH_BYTES];
    struct stat st;
    return lstat(tree_path(root, name, path), &st) == 0;
}

static inline mode_t tree_mode(const char *root, const char *name) {
    char path[TREE_PATH_BYTES];
    struct stat st;
    assert_int_equal(lstat(tree_path(root, name, path), &st), 0);
    return st.st_mode & 07777;
}

static inline void tree_note(FILE *notes, const char *path);

static inline void tree_note_dir(FILE *notes, const char *path) {
    struct dirent **names;
    const int count = scandir(path, &names, NULL, alphasort);
    assert_true(count >= 0);
    for (int i = 0; i < count; i++) {
        char inner[TREE_PATH_BYTES];
        if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0) {
            tree_note(notes, tree_path(path, names[i]->d_name, inner));
        }
        free(names[i]);
    }
    free(names);
}

/* A file's inode and time tell of a rewrite with the same bytes.  Of a directory the name counts:
 * its mode may be made narrower while it is read. */
static inline void tree_note(FILE *notes, const char *path) {
    static char bytes[TREE_FILE_MAX];
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    fprintf(notes, "\n%s %o ", path, (unsigned)(st.st_mode & S_IFMT));
    if (S_ISDIR(st.st_mode)) {
        tree_note_dir(notes, path);
    } else if (S_ISLNK(st.st_mode)) {
        const ssize_t size = readlink(path, bytes, sizeof(bytes));
        assert_true(size >= 0);
        fwrite(bytes, 1, (size_t)size, notes);
    } else if (S_ISREG(st.st_mode)) {
        fprintf(notes, "%o %llu %lld.%09ld ", (unsigned)st.st_mode, (unsigned long long)st.st_ino,
                (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
        fwrite(bytes, 1, tree_read_path(path, bytes), notes);
    }
}

typedef struct tree_print {
    uint8_t hash[32];
} tree_print;

static inline tree_print tree_fingerprint(const char *root) {
    char *text = NULL;
    size_t size = 0;
    FILE *notes = open_memstream(&text, &size);
    assert_non_null(notes);
    tree_note(notes, root);
    assert_int_equal(fclose(notes), 0);
    tree_print print;
    pln_sha256((const uint8_t *)text, size, print.hash);
    free(text);
    return print;
}

/* Nothing was written, made or removed since before. */
static inline void tree_assert_same(const char *root, const tree_print *before) {
    const tree_print after = tree_fingerprint(root);
    assert_memory_equal(after.hash, before->hash, sizeof(after.hash));
}

#endif
