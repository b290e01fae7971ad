/* SPDX-License-Identifier: Apache-2.0 */
/* Errors, hexadecimal, keys, owned bytes and the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pollen/err.h>

#include "base/bytes.h"
#include "base/key.h"
#include "base/log.h"
#include "base/mem.h"
#include "support/fail_mem.h"

/* ---- Errors ---------------------------------------------------------------------------------- */

static void test_every_error_has_a_name_and_a_text(void **state) {
    (void)state;
#define CHECK(name, value, text)                                                                   \
    assert_string_equal(pollen_err_name(POLLEN_##name), #name);                                    \
    assert_string_equal(pollen_strerror(POLLEN_##name), text);                                     \
    assert_int_equal(POLLEN_##name, value);
    POLLEN_ERR_MAP(CHECK)
#undef CHECK
}

static void test_foreign_numbers_are_unknown(void **state) {
    (void)state;
    static const int foreign[] = {1, -1000, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++) {
        assert_string_equal(pollen_err_name((pollen_err)foreign[i]), "UNKNOWN");
        assert_string_equal(pollen_strerror((pollen_err)foreign[i]), "unknown error");
    }
}

/* ---- Hexadecimal and keys -------------------------------------------------------------------- */

static void test_hex_reads_both_cases_and_writes_lower(void **state) {
    (void)state;
    uint8_t bytes[4];
    assert_true(pln_hex_decode("00fFaB9c", bytes, 4));
    char text[9];
    assert_string_equal(pln_hex_encode(bytes, 4, text), "00ffab9c");
    assert_true(pln_hex_decode("", bytes, 0));
    assert_string_equal(pln_hex_encode(bytes, 0, text), "");
}

static void test_hex_wants_exactly_its_digits(void **state) {
    (void)state;
    static const char *const bad[] = {"",     "0",    "00",    "000",   "00000", "000000",
                                      "0g00", "00:0", " 0000", "0000 ", "0x00",  "/000",
                                      ":000", "@000", "`000",  "G000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        uint8_t bytes[2];
        assert_false(pln_hex_decode(bad[i], bytes, 2));
    }
}

static void test_keys_read_back_as_they_print(void **state) {
    (void)state;
    static const char hex[] = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
    pollen_key key;
    assert_int_equal(pollen_key_parse(hex, &key), POLLEN_OK);
    char text[POLLEN_KEY_HEX_BYTES];
    assert_string_equal(pollen_key_hex(&key, text), hex);
    char brief[PLN_KEY_SHORT_BYTES];
    assert_string_equal(pln_key_short(&key, brief), "03a107bf");
    assert_false(pln_key_is_zero(&key));

    pollen_key upper;
    assert_int_equal(
        pollen_key_parse("03A107BFF3CE10BE1D70DD18E74BC09967E4D6309BA50D5F1DDC8664125531B8",
                         &upper),
        POLLEN_OK);
    assert_true(pln_key_equal(&key, &upper));
}

static void test_a_key_is_64_digits(void **state) {
    (void)state;
    pollen_key key = {{7}};
    assert_int_equal(pollen_key_parse(NULL, &key), POLLEN_EINVAL);
    assert_int_equal(pollen_key_parse("", &key), POLLEN_EINVAL);
    assert_int_equal(
        pollen_key_parse("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b", &key),
        POLLEN_EINVAL);
    assert_int_equal(
        pollen_key_parse("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b80", &key),
        POLLEN_EINVAL);
    assert_int_equal(key.bytes[0], 7);
}

static void test_the_smaller_key_is_so_from_the_first_byte(void **state) {
    (void)state;
    pollen_key a = {{0}};
    pollen_key b = {{0}};
    assert_true(pln_key_is_zero(&a));
    a.bytes[0] = 0x7f;
    b.bytes[0] = 0x80; /* As unsigned bytes. */
    assert_true(pln_key_compare(&a, &b) < 0);
    b.bytes[0] = 0x7f;
    b.bytes[31] = 1;
    assert_true(pln_key_compare(&a, &b) < 0);
    assert_true(pln_key_compare(&b, &a) > 0);
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

static void test_bytes_replace_what_they_held(void **state) {
    (void)state;
    long live = fail_mem_live();
    pln_bytes bytes = {0};
    assert_true(pln_bytes_set(&bytes, "hello", 5));
    assert_true(pln_bytes_set(&bytes, bytes.data + 1, 3)); /* A part of itself. */
    assert_int_equal(bytes.size, 3);
    assert_memory_equal(bytes.data, "ell", 3);
    assert_true(pln_bytes_set(&bytes, NULL, 0));
    assert_null(bytes.data);
    pln_bytes_fini(&bytes);
    pln_bytes_fini(&bytes);
    assert_int_equal(fail_mem_live(), live);
}

static void test_bytes_equal_by_content(void **state) {
    (void)state;
    pln_bytes a = {0};
    pln_bytes b = {0};
    assert_true(pln_bytes_equal(&a, &b));
    assert_true(pln_bytes_set(&a, "abc", 3));
    assert_false(pln_bytes_equal(&a, &b));
    assert_true(pln_bytes_copy(&b, &a));
    assert_true(pln_bytes_equal(&a, &b));
    assert_ptr_not_equal(a.data, b.data);
    assert_true(pln_bytes_set(&b, "abd", 3));
    assert_false(pln_bytes_equal(&a, &b));
    pln_bytes_fini(&a);
    pln_bytes_fini(&b);
}

static void test_bytes_stay_without_memory(void **state) {
    (void)state;
    pln_bytes bytes = {0};
    assert_true(pln_bytes_set(&bytes, "abc", 3));
    fail_mem_arm(1);
    bool set = pln_bytes_set(&bytes, "defg", 4);
    assert_true(fail_mem_disarm());
    assert_false(set);
    assert_int_equal(bytes.size, 3);
    assert_memory_equal(bytes.data, "abc", 3);
    pln_bytes_fini(&bytes);
}

static void test_memory_of_no_size_is_a_block(void **state) {
    (void)state;
    void *blocks[] = {pln_malloc(0), pln_calloc(0, 8), pln_calloc(8, 0), pln_memdup(NULL, 0),
                      pln_realloc(NULL, 0)};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++) {
        assert_non_null(blocks[i]);
        pln_free(blocks[i]);
    }
    assert_null(pln_calloc(SIZE_MAX / 2, 3));
    pln_free(NULL);
    char *text = pln_strdup("");
    assert_string_equal(text, "");
    pln_free(text);
}

/* ---- Log ------------------------------------------------------------------------------------- */

typedef struct sink {
    int count;
    pln_log_level level;
    char room[16];
    char line[1024];
} sink;

static void sink_write(void *ctx, pln_log_level level, const char *room, const char *line) {
    sink *out = ctx;
    out->count++;
    out->level = level;
    strncpy(out->room, room, sizeof(out->room) - 1);
    strncpy(out->line, line, sizeof(out->line) - 1);
}

static void test_log_lines_above_the_level_are_dropped(void **state) {
    (void)state;
    sink out = {0};
    pln_log log = {.write = sink_write, .ctx = &out, .level = PLN_LOG_INFO};
    pln_logf(&log, PLN_LOG_DEBUG, "mesh", "no");
    assert_int_equal(out.count, 0);
    pln_logf(&log, PLN_LOG_INFO, "mesh", "peer %s: %d", "03a107bf", 7);
    assert_int_equal(out.count, 1);
    assert_int_equal(out.level, PLN_LOG_INFO);
    assert_string_equal(out.room, "mesh");
    assert_string_equal(out.line, "peer 03a107bf: 7");
    pln_logf(&log, PLN_LOG_ERROR, "mesh", "yes");
    assert_int_equal(out.count, 2);
}

static void test_log_without_a_sink_is_silent(void **state) {
    (void)state;
    pln_logf(NULL, PLN_LOG_ERROR, "mesh", "x");
    pln_log log = {.level = PLN_LOG_DEBUG};
    pln_logf(&log, PLN_LOG_ERROR, "mesh", "x");
}

static void test_log_line_is_cut_and_harmless(void **state) {
    (void)state;
    sink out = {0};
    pln_log log = {.write = sink_write, .ctx = &out, .level = PLN_LOG_INFO};
    char text[600];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    pln_logf(&log, PLN_LOG_INFO, "mesh", "%s", text);
    assert_int_equal(strlen(out.line), 512);

    memset(&out, 0, sizeof(out));
    pln_logf(&log, PLN_LOG_INFO, "mesh", "reason: %s", "a\nerror: b\x1b[2J\x7f");
    assert_string_equal(out.line, "reason: a?error: b?[2J?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_error_has_a_name_and_a_text),
        cmocka_unit_test(test_foreign_numbers_are_unknown),
        cmocka_unit_test(test_hex_reads_both_cases_and_writes_lower),
        cmocka_unit_test(test_hex_wants_exactly_its_digits),
        cmocka_unit_test(test_keys_read_back_as_they_print),
        cmocka_unit_test(test_a_key_is_64_digits),
        cmocka_unit_test(test_the_smaller_key_is_so_from_the_first_byte),
        cmocka_unit_test(test_bytes_replace_what_they_held),
        cmocka_unit_test(test_bytes_equal_by_content),
        cmocka_unit_test(test_bytes_stay_without_memory),
        cmocka_unit_test(test_memory_of_no_size_is_a_block),
        cmocka_unit_test(test_log_lines_above_the_level_are_dropped),
        cmocka_unit_test(test_log_without_a_sink_is_silent),
        cmocka_unit_test(test_log_line_is_cut_and_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
