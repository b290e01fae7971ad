/* SPDX-License-Identifier: Apache-2.0 */
/* Beside vectors.h: lists of rows, values that may be absent, and bytes in blocks of exactly their
 * size, so that a sanitizer sees a read past the end. */
#ifndef TESTS_SUPPORT_ROWS_H
#define TESTS_SUPPORT_ROWS_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "support/vectors.h"

static inline void rows_fail(const char *what, const char *detail) {
    fprintf(stderr, "vectors: %s: %s\n", what, detail);
    abort();
}

static inline json_t *rows_of(const json_t *root, const char *key) {
    json_t *list = json_object_get(root, key);
    if (!json_is_array(list) || json_array_size(list) == 0) {
        rows_fail("no list", key);
    }
    return list;
}

static inline const json_t *rows_find(const json_t *root, const char *list, const char *id) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(root, list), i, row) {
        if (strcmp(json_string_value(json_object_get(row, "id")), id) == 0) {
            return row;
        }
    }
    rows_fail("no row", id);
    return NULL;
}

/* NULL when absent. */
static inline const char *rows_text(const json_t *row, const char *key) {
    return json_string_value(json_object_get(row, key));
}

static inline int rows_is(const json_t *row, const char *key, const char *text) {
    const char *value = rows_text(row, key);
    return value != NULL && strcmp(value, text) == 0;
}

/* Owner: the caller (pln_bytes_fini). */
static inline pln_bytes exact_bytes(const void *data, size_t size) {
    pln_bytes bytes = {.data = pln_malloc(size > 0 ? size : 1), .size = size};
    if (bytes.data == NULL) {
        rows_fail("no memory", "");
    }
    if (size > 0) {
        memcpy(bytes.data, data, size);
    }
    return bytes;
}

#endif
