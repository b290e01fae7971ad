/* SPDX-License-Identifier: Apache-2.0 */
#include "support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

json_t *vectors_load(const char *name) {
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/%s.json", POLLEN_TEST_VECTORS, name);
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL) {
        fail_msg("%s: %s", path, error.text);
    }
    return root;
}

const char *vectors_text(const json_t *row, const char *key) {
    const char *text = json_string_value(json_object_get(row, key));
    if (text == NULL) {
        const char *id = json_string_value(json_object_get(row, "id"));
        fail_msg("%s: no text \"%s\"", id != NULL ? id : "(row)", key);
    }
    return text;
}

pln_bytes vectors_bytes(const json_t *row, const char *key) {
    const char *hex = vectors_text(row, key);
    size_t size = strlen(hex) / 2;
    pln_bytes bytes = {.data = pln_malloc(size), .size = size};
    assert_non_null(bytes.data);
    if (!pln_hex_decode(hex, bytes.data, size)) {
        fail_msg("\"%s\" is no hex: %s", key, hex);
    }
    return bytes;
}

void vectors_fixed(const json_t *row, const char *key, uint8_t *ret, size_t size) {
    const char *hex = vectors_text(row, key);
    if (!pln_hex_decode(hex, ret, size)) {
        fail_msg("\"%s\" is not %zu bytes: %s", key, size, hex);
    }
}

int vectors_unload(void **state) {
    json_decref(*state);
    return 0;
}
