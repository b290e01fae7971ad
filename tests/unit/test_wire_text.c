/* SPDX-License-Identifier: Apache-2.0 */
/* The small text forms: base64 and tokens, UTF-8, durations, host and port, YAML scalars. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/fail_mem.h"
#include "support/rows.h"
#include "wire/admission.h"
#include "wire/base64.h"
#include "wire/duration.h"
#include "wire/hostport.h"
#include "wire/utf8.h"
#include "wire/yaml_text.h"
#include "wire/yaml_tree.h"

static int load(void **state) {
    *state = vectors_load("admission");
    return 0;
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

static pln_bytes exact_text(const char *text) {
    return exact_bytes(text, strlen(text));
}

static bool decodes_as_token(const char *text, bool *ret_join, bool *ret_invite) {
    pln_bytes exact = exact_text(text);
    pln_bytes bytes;
    pln_join_token join;
    pln_invite_token invite;
    pollen_err err = pln_token_text_decode((const char *)exact.data, exact.size, &bytes);
    pln_bytes_fini(&exact);
    *ret_join = *ret_invite = false;
    if (err != POLLEN_OK) {
        assert_int_equal(err, POLLEN_ETOKEN);
        return false;
    }
    if (pln_join_token_decode(bytes.data, bytes.size, &join) == POLLEN_OK) {
        *ret_join = true;
        pln_join_token_fini(&join);
    }
    if (pln_invite_token_decode(bytes.data, bytes.size, &invite) == POLLEN_OK) {
        *ret_invite = true;
        pln_invite_token_fini(&invite);
    }
    pln_bytes_fini(&bytes);
    return true;
}

/* The reference's two steps are decoding, which takes every message, and verifying, which begins
 * with the structure.  Ours decode and judge the structure in one, so that what decodes here is
 * what verifies there: no time or signature is wrong in these strings.  One string differs: white
 * space in front is trimmed by the reference's commands but not by the function that the vectors
 * call; here it always is. */
static void token_strings_are_judged_as_the_reference_does(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*state, "strings"), i, row) {
        bool join;
        bool invite;
        bool is_padded = rows_is(row, "id", "invite-leading-space");
        (void)decodes_as_token(rows_text(row, "string"), &join, &invite);
        assert_int_equal(join, json_is_true(json_object_get(row, "join_verifies_for_node_a")));
        assert_int_equal(
            invite, is_padded || json_is_true(json_object_get(row, "invite_verifies_for_node_a")));
    }
}

static void token_texts_are_made_as_the_reference_does(void **state) {
    size_t i;
    size_t compared = 0;
    json_t *row;
    json_array_foreach(rows_of(*state, "objects"), i, row) {
        const char *wanted = rows_text(row, "base64");
        pln_bytes bytes = vectors_bytes(row, "encoded");
        char *text;
        assert_int_equal(pln_token_text_encode(&bytes, &text), POLLEN_OK);
        if (wanted != NULL) {
            assert_string_equal(text, wanted);
            compared += 1;
        }
        pln_bytes again;
        assert_int_equal(pln_token_text_decode(text, strlen(text), &again), POLLEN_OK);
        assert_true(pln_bytes_equal(&again, &bytes));
        pln_bytes_fini(&again);
        pln_bytes_fini(&bytes);
        pln_free(text);
    }
    assert_true(compared > 10);
}

static void an_over_long_token_text_is_refused(void **state) {
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        pln_bytes bytes = {.data = pln_calloc(1, PLN_TOKEN_BYTES_MAX + over),
                           .size = PLN_TOKEN_BYTES_MAX + over};
        pln_bytes again;
        char *text;
        assert_int_equal(pln_token_text_encode(&bytes, &text), POLLEN_OK);
        pollen_err err = pln_token_text_decode(text, strlen(text), &again);
        assert_int_equal(err, over == 0 ? POLLEN_OK : POLLEN_ETOKEN);
        if (err == POLLEN_OK) {
            pln_bytes_fini(&again);
        }
        pln_free(text);
        pln_bytes_fini(&bytes);
    }
    size_t size = 1 << 20;
    char *large = malloc(size);
    pln_bytes bytes;
    assert_non_null(large);
    memset(large, 'A', size);
    assert_int_equal(pln_token_text_decode(large, size, &bytes), POLLEN_ETOKEN);
    free(large);
}

static void token_text_without_memory_leaves_nothing(void **state) {
    (void)state;
    pln_bytes bytes;
    long live = fail_mem_live();
    fail_mem_arm(1);
    pollen_err err = pln_token_text_decode("AAAA", 4, &bytes);
    assert_true(fail_mem_disarm());
    assert_int_equal(err, POLLEN_ENOMEM);
    assert_int_equal(fail_mem_live(), live);
}

/* ---- Base64 ---------------------------------------------------------------------------------- */

/* RFC 4648, 10. */
static void base64_has_the_vectors_of_its_rfc(void **state) {
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char text[16];
        uint8_t bytes[8];
        size_t count;
        size_t plain = strlen(pairs[i][0]);
        assert_int_equal(pln_base64_encode((const uint8_t *)pairs[i][0], plain, text),
                         strlen(pairs[i][1]));
        assert_string_equal(text, pairs[i][1]);
        assert_int_equal(pln_base64_decode(text, strlen(text), bytes, plain, &count), POLLEN_OK);
        assert_int_equal(count, plain);
        assert_memory_equal(bytes, pairs[i][0], plain);
    }
}

static void every_byte_survives_base64(void **state) {
    (void)state;
    uint8_t bytes[256];
    uint8_t again[256];
    char text[PLN_BASE64_TEXT(256) + 1];
    size_t count;
    for (size_t i = 0; i < 256; i++) {
        bytes[i] = (uint8_t)i;
    }
    for (size_t size = 0; size <= 256; size++) {
        size_t length = pln_base64_encode(bytes, size, text);
        assert_int_equal(pln_base64_decode(text, length, again, size, &count), POLLEN_OK);
        assert_int_equal(count, size);
        assert_memory_equal(again, bytes, size);
    }
}

static bool is_base64(const char *text, size_t cap) {
    uint8_t bytes[16];
    size_t count;
    return pln_base64_decode(text, strlen(text), bytes, cap, &count) == POLLEN_OK;
}

static void other_text_is_no_base64(void **state) {
    static const char *const bad[] = {
        "A",     "AA",    "AAA",      "A===",  "=",    "====", "AA=A",
        "AA==A", "AA===", "AA==AA==", "AAAA=", "A-_A", "AA A", "AAA\x80"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(is_base64(bad[i], 16));
    }
    assert_true(is_base64("A\r\nA\n=\r=\n", 16));
    assert_true(is_base64("AB==", 16)); /* The four bits left over are not looked at. */
    assert_true(is_base64("AAAA", 3));
    assert_false(is_base64("AAAA", 2));
}

static void base64_takes_exactly_64_characters_of_256(void **state) {
    (void)state;
    size_t taken = 0;
    for (unsigned c = 0; c < 256; c++) {
        char text[4] = {'A', 'A', 'A', (char)c};
        uint8_t bytes[3];
        size_t count;
        bool good = pln_base64_decode(text, 4, bytes, 3, &count) == POLLEN_OK && count == 3;
        taken += good ? 1 : 0;
    }
    assert_int_equal(taken, 64);
}

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

static void utf8_is_what_rfc_3629_says(void **state) {
    static const char *const good[] = {"",
                                       "abc",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80",     "\xc0\x80",         "\xc1\xbf",         "\xc2",
        "\xc2\x41", "\xe0\x9f\xbf",     "\xed\xa0\x80",     "\xed\xbf\xbf",
        "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(pln_utf8_is_text((const uint8_t *)good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(pln_utf8_is_text((const uint8_t *)bad[i], strlen(bad[i])));
    }
    assert_false(pln_utf8_is_text((const uint8_t *)"a\0b", 3));
}

/* ---- Durations ------------------------------------------------------------------------------- */

static void durations_are_read_as_go_does(void **state) {
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {
        {"0", 0},
        {"-0", 0},
        {"5s", 5000000000},
        {"-1.5h", -5400000000000},
        {"1h30m5s", 5405000000000},
        {"48h0m0s", 172800000000000},
        {"300ms", 300000000},
        {"1us", 1000},
        {"1\xc2\xb5s", 1000},
        {"1\xce\xbcs", 1000},
        {"7ns", 7},
        {".5s", 500000000},
        {"1.s", 1000000000},
        {"0.1s", 100000000},
        {"0.000000001s", 1},
        {"0.9ns", 0},
        {"0.3333333333333333333h", 1200000000000},
        {"0.100000000000000000000000000000000000001h", 360000000000},
        {"1s1h", 3601000000000},
        {"2562047h47m16.854775807s", INT64_MAX},
    };
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      "1",
                                      ".s",
                                      "s",
                                      "1d",
                                      "1 s",
                                      "1h1",
                                      "1.",
                                      "1.5",
                                      "--1s",
                                      "1S",
                                      "1sx",
                                      "9223372036854775808ns",
                                      "2562047h47m16.854775808s",
                                      "99999999999999999999h"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int64_t ns = 42;
        if (pln_duration_parse(good[i].text, &ns) != POLLEN_OK || ns != good[i].ns) {
            fail_msg("%s: %lld", good[i].text, (long long)ns);
        }
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t ns;
        if (pln_duration_parse(bad[i], &ns) != POLLEN_EINVAL) {
            fail_msg("%s is taken", bad[i]);
        }
    }
}

static void durations_are_written_as_go_does(void **state) {
    char text[PLN_DURATION_TEXT_BYTES];
    (void)state;
    assert_string_equal(pln_duration_format(0, text), "0s");
    assert_string_equal(pln_duration_format(59, text), "59s");
    assert_string_equal(pln_duration_format(60, text), "1m0s");
    assert_string_equal(pln_duration_format(3600, text), "1h0m0s");
    assert_string_equal(pln_duration_format(31536000, text), "8760h0m0s");
    assert_string_equal(pln_duration_format(INT64_MAX, text), "2562047788015215h30m7s");
}

/* ---- Host and port --------------------------------------------------------------------------- */

static void an_address_has_one_normal_form(void **state) {
    static const char *const pairs[][2] = {
        {"192.0.2.1", "192.0.2.1:60611"},
        {"192.0.2.1:7", "192.0.2.1:7"},
        {"192.0.2.1:", "192.0.2.1:"},
        {" \trelay.example\n", "relay.example:60611"},
        {"relay.example:70000", "relay.example:70000"},
        {"2001:db8::1", "[2001:db8::1]:60611"},
        {"::1", "[::1]:60611"},
        {"fe80::1%eth0", "[fe80::1%eth0]:60611"},
        {"a%b", "[a%b]:60611"},
        {"[2001:db8::1]", "[2001:db8::1]:60611"},
        {"[2001:db8::1]:5", "[2001:db8::1]:5"},
    };
    static const char *const bad[] = {"",        "  ",   ":1",     "[::1",      "::1]",
                                      "[[::1]]", "[]:1", "[::1]5", "[::1]:1:2", "a b",
                                      "a\tb:1",  "a]:1", "\x7f",   "\xff:1"};
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char once[PLN_ADDR_TEXT_MAX + 1];
        char twice[PLN_ADDR_TEXT_MAX + 1];
        pln_bytes exact = exact_text(pairs[i][0]);
        assert_int_equal(pln_hostport_normalise((const char *)exact.data, exact.size, once),
                         POLLEN_OK);
        assert_string_equal(once, pairs[i][1]);
        assert_int_equal(pln_hostport_normalise(once, strlen(once), twice), POLLEN_OK);
        assert_string_equal(twice, once);
        pln_bytes_fini(&exact);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[PLN_ADDR_TEXT_MAX + 1];
        if (pln_hostport_normalise(bad[i], strlen(bad[i]), text) != POLLEN_EADDR) {
            fail_msg("%s is taken", bad[i]);
        }
    }
}

static void an_address_is_limited_with_its_port(void **state) {
    char name[PLN_ADDR_TEXT_MAX + 2];
    char text[PLN_ADDR_TEXT_MAX + 1];
    (void)state;
    memset(name, 'a', sizeof(name));
    assert_int_equal(pln_hostport_normalise(name, PLN_ADDR_TEXT_MAX - 6, text), POLLEN_OK);
    assert_int_equal(strlen(text), PLN_ADDR_TEXT_MAX);
    assert_int_equal(pln_hostport_normalise(name, PLN_ADDR_TEXT_MAX - 5, text), POLLEN_EADDR);
    assert_int_equal(pln_hostport_normalise(name, PLN_ADDR_TEXT_MAX + 1, text), POLLEN_EADDR);
}

/* ---- YAML scalars ---------------------------------------------------------------------------- */

static const struct {
    const char *text;
    const char *written;
} scalars[] = {
    {"web", "web"},
    {"192.0.2.1:60611", "192.0.2.1:60611"},
    {"2001:db8::2", "2001:db8::2"},
    {"[::1]:5", "'[::1]:5'"},
    {"192.0.2.1:", "'192.0.2.1:'"},
    {"a: b", "'a: b'"},
    {"a #b", "'a #b'"},
    {"it's", "it's"},
    {"'q'", "'''q'''"},
    {" a", "' a'"},
    {"-", "'-'"},
    {"", "\"\""},
    {"~", "\"~\""},
    {"null", "\"null\""},
    {"yes", "\"yes\""},
    {"TRUE", "\"TRUE\""},
    {"80", "\"80\""},
    {"-1_000", "\"-1_000\""},
    {"0x1f", "\"0x1f\""},
    {"0o17", "\"0o17\""},
    {"1.5", "\"1.5\""},
    {".5", "\".5\""},
    {"1e9", "\"1e9\""},
    {"1e", "1e"},
    {"1.2.3", "1.2.3"},
    {"1:30", "\"1:30\""},
    {"1:90", "1:90"},
    {"2024-01-02", "\"2024-01-02\""},
    {".inf", "\".inf\""},
    {"a\nb", "\"a\\x0Ab\""},
    {"a\"b\\\x01", "\"a\\\"b\\\\\\x01\""},
    {"w\xc3\xab"
     "b \xe2\x9c\x93",
     "w\xc3\xab"
     "b \xe2\x9c\x93"},
    {"\xe2\x80\xa8", "\"\\u2028\""},
};

static void scalars_are_quoted_when_they_would_read_as_something_else(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++) {
        pln_out out = {0};
        pln_bytes bytes = {0};
        pln_yaml_put_scalar(&out, scalars[i].text);
        assert_int_equal(pln_out_finish(&out, &bytes), POLLEN_OK);
        if (bytes.size != strlen(scalars[i].written) ||
            memcmp(bytes.data, scalars[i].written, bytes.size) != 0) {
            fail_msg("%s: %.*s", scalars[i].text, (int)bytes.size, (const char *)bytes.data);
        }
        pln_bytes_fini(&bytes);
    }
}

static void scalars_read_back_as_they_were(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++) {
        pln_out out = {0};
        pln_bytes bytes = {0};
        pln_yaml_node *root;
        pln_out_text(&out, "k: ");
        pln_yaml_put_scalar(&out, scalars[i].text);
        pln_out_text(&out, "\n");
        assert_int_equal(pln_out_finish(&out, &bytes), POLLEN_OK);
        assert_int_equal(pln_yaml_parse((const char *)bytes.data, bytes.size, &root, NULL),
                         POLLEN_OK);
        assert_string_equal(pln_yaml_get(root, "k")->text, scalars[i].text);
        pln_yaml_free(root);
        pln_bytes_fini(&bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_strings_are_judged_as_the_reference_does),
        cmocka_unit_test(token_texts_are_made_as_the_reference_does),
        cmocka_unit_test(an_over_long_token_text_is_refused),
        cmocka_unit_test(token_text_without_memory_leaves_nothing),
        cmocka_unit_test(base64_has_the_vectors_of_its_rfc),
        cmocka_unit_test(every_byte_survives_base64),
        cmocka_unit_test(other_text_is_no_base64),
        cmocka_unit_test(base64_takes_exactly_64_characters_of_256),
        cmocka_unit_test(utf8_is_what_rfc_3629_says),
        cmocka_unit_test(durations_are_read_as_go_does),
        cmocka_unit_test(durations_are_written_as_go_does),
        cmocka_unit_test(an_address_has_one_normal_form),
        cmocka_unit_test(an_address_is_limited_with_its_port),
        cmocka_unit_test(scalars_are_quoted_when_they_would_read_as_something_else),
        cmocka_unit_test(scalars_read_back_as_they_were),
    };
    return cmocka_run_group_tests(tests, load, vectors_unload);
}
