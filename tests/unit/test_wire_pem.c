/* SPDX-License-Identifier: Apache-2.0 */
/* The key files of the state directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/rows.h"
#include "wire/pem.h"

static int load(void **state) {
    *state = vectors_load("disk");
    return 0;
}

static const char *label_of(const char *kind, const char *path) {
    bool admin = strcmp(kind, "admin") == 0;
    if (strstr(path, ".pub") != NULL) {
        return admin ? PLN_PEM_ADMIN_PUBLIC : PLN_PEM_NODE_PUBLIC;
    }
    return admin ? PLN_PEM_ADMIN_PRIVATE : PLN_PEM_NODE_PRIVATE;
}

/* The verdict of the whole pair is for auth.  Of a single file: the reference refuses another label
 * and what is no PEM, and crashes on seeds that are not 32 bytes or believes public keys that are
 * not; we refuse every length but 32. */
static bool file_is_good(const char *id, const char *path) {
    static const char *const bad_keys[] = {
        "node-key-wrong-type", "node-key-not-pem", "node-key-empty", "node-seed-31",
        "node-seed-64",        "admin-seed-31",    "admin-seed-64",  "admin-node-type"};
    static const char *const bad_pubs[] = {"node-pub-wrong-type", "node-pub-31",
                                           "admin-pub-node-type"};
    bool is_pub = strstr(path, ".pub") != NULL;
    const char *const *ids = is_pub ? bad_pubs : bad_keys;
    size_t count = is_pub ? sizeof(bad_pubs) / sizeof(*bad_pubs) : sizeof(bad_keys) / sizeof(*ids);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(ids[i], id) == 0) {
            return false;
        }
    }
    return true;
}

static void key_files_are_read_as_the_reference_does(void **state) {
    size_t i;
    size_t k;
    json_t *row;
    json_t *file;
    json_array_foreach(rows_of(*state, "keys"), i, row) {
        const char *id = rows_text(row, "id");
        json_array_foreach(json_object_get(row, "files"), k, file) {
            const char *path = json_string_value(json_array_get(file, 0));
            const char *hex = json_string_value(json_array_get(file, 1));
            pln_bytes text = exact_bytes(hex, strlen(hex) / 2);
            uint8_t key[32];
            assert_true(pln_hex_decode(hex, text.data, text.size));
            pollen_err err = pln_pem_decode((const char *)text.data, text.size,
                                            label_of(rows_text(row, "kind"), path), key);
            if (err != (file_is_good(id, path) ? POLLEN_OK : POLLEN_EKEY)) {
                fail_msg("%s %s: %s", id, path, pollen_strerror(err));
            }
            pln_bytes_fini(&text);
        }
    }
}

static void key_files_are_written_as_the_reference_does(void **state) {
    const json_t *files = json_object_get(rows_find(*state, "keys", "admin-good"), "files");
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        const char *label = label_of("admin", json_string_value(json_array_get(file, 0)));
        const char *hex = json_string_value(json_array_get(file, 1));
        pln_bytes wanted = exact_bytes(hex, strlen(hex) / 2);
        char text[PLN_PEM_TEXT_BYTES];
        uint8_t key[32];
        assert_true(pln_hex_decode(hex, wanted.data, wanted.size));
        assert_int_equal(pln_pem_decode((const char *)wanted.data, wanted.size, label, key),
                         POLLEN_OK);
        assert_int_equal(pln_pem_encode(label, key, text), wanted.size);
        assert_memory_equal(text, wanted.data, wanted.size);
        pln_bytes_fini(&wanted);
    }
}

static void truncated_key_files_are_refused(void **state) {
    (void)state;
    uint8_t key[32];
    char text[PLN_PEM_TEXT_BYTES];
    memset(key, 7, sizeof(key));
    size_t size = pln_pem_encode(PLN_PEM_NODE_PRIVATE, key, text);
    for (size_t i = 0; i < size - 1; i++) { /* The last newline may be missing. */
        pln_bytes part = exact_bytes(text, i);
        assert_int_equal(pln_pem_decode((const char *)part.data, i, PLN_PEM_NODE_PRIVATE, key),
                         POLLEN_EKEY);
        pln_bytes_fini(&part);
    }
}

static void headers_and_blank_lines_in_a_key_file_are_skipped(void **state) {
    (void)state;
    static const char text[] = "text\n-----BEGIN ED25519 PUBLIC KEY-----\n"
                               "Proc: a\nNote: b\n\n"
                               "AwMDAwMDAwMDAwMDAwMDAwMD\n\nAwMDAwMDAwMDAwMDAwM=\n"
                               "-----END ED25519 PUBLIC KEY-----";
    uint8_t key[32];
    uint8_t wanted[32];
    memset(wanted, 3, sizeof(wanted));
    assert_int_equal(pln_pem_decode(text, strlen(text), PLN_PEM_NODE_PUBLIC, key), POLLEN_OK);
    assert_memory_equal(key, wanted, sizeof(key));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_files_are_read_as_the_reference_does),
        cmocka_unit_test(key_files_are_written_as_the_reference_does),
        cmocka_unit_test(truncated_key_files_are_refused),
        cmocka_unit_test(headers_and_blank_lines_in_a_key_file_are_skipped),
    };
    return cmocka_run_group_tests(tests, load, vectors_unload);
}
