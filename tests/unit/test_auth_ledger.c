/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "auth/ledger.h"
#include "base/key.h"
#include "support/cluster.h"
#include "support/fail_mem.h"

typedef struct fixture {
    cluster c;
    pln_ledger ledger;
    pln_bytes answer;
    long live; /* Blocks before the test. */
} fixture;

static int setup(void **state) {
    static fixture f; /* The generator borrows from it, so it must not move. */
    f.live = fail_mem_live();
    cluster_init(&f.c);
    pln_ledger_init(&f.ledger, &f.c.rng);
    f.answer = (pln_bytes){.data = NULL};
    assert_true(pln_bytes_set(&f.answer, "answer", 6));
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    pln_ledger_fini(&f->ledger);
    pln_bytes_fini(&f->answer);
    cluster_fini(&f->c);
    assert_int_equal(fail_mem_live(), f->live);
    return 0;
}

static pln_invite_token token_of(const char *id, int64_t expires_at) {
    pln_invite_token token = {.expires_at = expires_at};
    assert_int_equal(strlen(id), 36);
    memcpy(token.token_id, id, PLN_TOKEN_ID_BYTES);
    return token;
}

/* The n-th of many tokens. */
static pln_invite_token numbered(unsigned n, int64_t expires_at) {
    char id[PLN_TOKEN_ID_BYTES];
    (void)snprintf(id, sizeof(id), "00000000-0000-4000-8000-%012u", n);
    return token_of(id, expires_at);
}

/* As a redeemer does it; the file's content into *ret_text when wanted. */
static void redeem(fixture *f, const pln_invite_token *token, const pollen_key *subject,
                   pln_wall now, pln_bytes *ret_text) {
    pln_bytes text = {.data = NULL};
    assert_int_equal(pln_ledger_prepare(&f->ledger, token, subject, &f->answer, now, &text),
                     POLLEN_OK);
    pln_ledger_commit(&f->ledger, token->token_id);
    if (ret_text != NULL) {
        *ret_text = text;
    } else {
        pln_bytes_fini(&text);
    }
}

static pln_ledger_verdict find(const pln_ledger *ledger, const pln_invite_token *token,
                               const pollen_key *subject) {
    const pln_bytes *answer = NULL;
    pln_ledger_verdict verdict = pln_ledger_find(ledger, token, subject, &answer);
    assert_int_equal(answer != NULL, verdict == PLN_LEDGER_SAME);
    return verdict;
}

static bool contains(const pln_bytes *text, const char *part) {
    return memmem(text->data, text->size, part, strlen(part)) != NULL;
}

/* ---- Whom an invite admits ------------------------------------------------------------------- */

static void test_the_same_subject_gets_the_same_answer(void **state) {
    fixture *f = *state;
    pln_invite_token token = numbered(1, TEST_NOW + 300);
    assert_int_equal(find(&f->ledger, &token, &f->c.alice), PLN_LEDGER_NEW);
    redeem(f, &token, &f->c.alice, TEST_NOW, NULL);
    for (int i = 0; i < 3; i++) {
        const pln_bytes *answer = NULL;
        assert_int_equal(pln_ledger_find(&f->ledger, &token, &f->c.alice, &answer),
                         PLN_LEDGER_SAME);
        assert_true(pln_bytes_equal(answer, &f->answer));
    }
}

static void test_another_key_is_refused(void **state) {
    fixture *f = *state;
    pln_invite_token token = numbered(1, TEST_NOW + 300);
    redeem(f, &token, &f->c.alice, TEST_NOW, NULL);
    assert_int_equal(find(&f->ledger, &token, &f->c.bob), PLN_LEDGER_CONSUMED);
    pln_invite_token other = numbered(2, TEST_NOW + 300);
    assert_int_equal(find(&f->ledger, &other, &f->c.bob), PLN_LEDGER_NEW);
}

static void test_an_id_is_the_same_in_either_case(void **state) {
    fixture *f = *state;
    pln_invite_token lower = token_of("abcdef01-2345-4789-abcd-ef0123456789", TEST_NOW + 300);
    pln_invite_token upper = token_of("ABCDEF01-2345-4789-ABCD-EF0123456789", TEST_NOW + 300);
    redeem(f, &lower, &f->c.alice, TEST_NOW, NULL);
    assert_int_equal(find(&f->ledger, &upper, &f->c.alice), PLN_LEDGER_SAME);
    assert_int_equal(find(&f->ledger, &upper, &f->c.bob), PLN_LEDGER_CONSUMED);
    pln_bytes text = {.data = NULL};
    assert_int_equal(pln_ledger_prepare(&f->ledger, &upper, &f->c.bob, &f->answer, TEST_NOW, &text),
                     POLLEN_EEXIST);
    assert_null(text.data);
}

/* ---- While the record is being written ------------------------------------------------------- */

static void test_everybody_waits_for_a_write_under_way(void **state) {
    fixture *f = *state;
    pln_invite_token token = numbered(1, TEST_NOW + 300);
    pln_bytes text = {.data = NULL};
    assert_int_equal(
        pln_ledger_prepare(&f->ledger, &token, &f->c.alice, &f->answer, TEST_NOW, &text),
        POLLEN_OK);
    assert_int_equal(find(&f->ledger, &token, &f->c.alice), PLN_LEDGER_PENDING);
    assert_int_equal(find(&f->ledger, &token, &f->c.bob), PLN_LEDGER_PENDING);
    pln_bytes second = {.data = NULL};
    assert_int_equal(
        pln_ledger_prepare(&f->ledger, &token, &f->c.bob, &f->answer, TEST_NOW, &second),
        POLLEN_EEXIST);
    pln_ledger_commit(&f->ledger, token.token_id);
    assert_int_equal(find(&f->ledger, &token, &f->c.alice), PLN_LEDGER_SAME);
    assert_int_equal(find(&f->ledger, &token, &f->c.bob), PLN_LEDGER_CONSUMED);
    pln_bytes_fini(&text);
}

static void test_a_failed_write_leaves_no_trace(void **state) {
    fixture *f = *state;
    pln_invite_token token = numbered(1, TEST_NOW + 300);
    long live = fail_mem_live();
    pln_bytes text = {.data = NULL};
    assert_int_equal(
        pln_ledger_prepare(&f->ledger, &token, &f->c.alice, &f->answer, TEST_NOW, &text),
        POLLEN_OK);
    pln_bytes_fini(&text);
    pln_ledger_abort(&f->ledger, token.token_id);
    assert_int_equal(fail_mem_live(), live);
    assert_int_equal(f->ledger.count, 0);
    assert_int_equal(find(&f->ledger, &token, &f->c.alice), PLN_LEDGER_NEW);

    pln_invite_token other = numbered(2, TEST_NOW + 300);
    redeem(f, &other, &f->c.bob, TEST_NOW, &text);
    assert_false(contains(&text, token.token_id));
    pln_bytes_fini(&text);
    redeem(f, &token, &f->c.bob, TEST_NOW, NULL); /* Also for somebody else. */
}

static void test_a_late_abort_or_commit_is_nothing(void **state) {
    fixture *f = *state;
    pln_invite_token token = numbered(1, TEST_NOW + 300);
    pln_ledger_commit(&f->ledger, token.token_id);
    pln_ledger_abort(&f->ledger, token.token_id);
    assert_int_equal(f->ledger.count, 0);
    redeem(f, &token, &f->c.alice, TEST_NOW, NULL);
    pln_ledger_abort(&f->ledger, token.token_id);
    assert_int_equal(find(&f->ledger, &token, &f->c.alice), PLN_LEDGER_SAME);
}

/* Many at once for one invite: one is admitted, and may ask again. */
static void test_of_many_requests_one_is_admitted(void **state) {
    fixture *f = *state;
    pln_invite_token token = numbered(1, TEST_NOW + 300);
    pln_bytes text = {.data = NULL};
    unsigned prepared = 0;
    for (uint8_t i = 0; i < 64; i++) {
        pollen_key subject = {{i}};
        if (find(&f->ledger, &token, &subject) == PLN_LEDGER_NEW) {
            prepared++;
            assert_int_equal(
                pln_ledger_prepare(&f->ledger, &token, &subject, &f->answer, TEST_NOW, &text),
                POLLEN_OK);
        }
    }
    assert_int_equal(prepared, 1);
    pln_ledger_commit(&f->ledger, token.token_id);
    for (uint8_t i = 0; i < 64; i++) {
        pollen_key subject = {{i}};
        assert_int_equal(find(&f->ledger, &token, &subject),
                         i == 0 ? PLN_LEDGER_SAME : PLN_LEDGER_CONSUMED);
    }
    pln_bytes_fini(&text);
}

static void test_the_file_holds_what_is_pending_for_others(void **state) {
    fixture *f = *state;
    pln_invite_token a = numbered(1, TEST_NOW + 300);
    pln_invite_token b = numbered(2, TEST_NOW + 300);
    pln_bytes first = {.data = NULL};
    pln_bytes second = {.data = NULL};
    assert_int_equal(pln_ledger_prepare(&f->ledger, &a, &f->c.alice, &f->answer, TEST_NOW, &first),
                     POLLEN_OK);
    assert_int_equal(pln_ledger_prepare(&f->ledger, &b, &f->c.bob, &f->answer, TEST_NOW, &second),
                     POLLEN_OK);
    assert_true(contains(&second, a.token_id));
    assert_true(contains(&second, b.token_id));
    assert_false(contains(&first, b.token_id));
    pln_bytes_fini(&first);
    pln_bytes_fini(&second);
}

/* ---- Lapsing --------------------------------------------------------------------------------- */

/* Kept until two days after the invite's end, when no clock that is put right revives it. */
static void test_records_lapse_two_days_after_their_invite(void **state) {
    fixture *f = *state;
    static const struct {
        int64_t after;
        bool kept;
    } edges[] = {{172799, true}, {172800, true}, {172801, false}};
    for (size_t i = 0; i < 3; i++) {
        pln_ledger_fini(&f->ledger);
        pln_invite_token old = numbered(1, TEST_NOW + 300);
        pln_invite_token next = numbered(2, TEST_NOW + 900000);
        pln_bytes text = {.data = NULL};
        redeem(f, &old, &f->c.alice, TEST_NOW, NULL);
        redeem(f, &next, &f->c.bob, TEST_NOW + 300 + edges[i].after, &text);
        assert_int_equal(contains(&text, old.token_id), edges[i].kept);
        assert_int_equal(f->ledger.count, edges[i].kept ? 2 : 1);
        pln_bytes_fini(&text);
    }
}

/* The clock runs a day ahead while others join, and is put right. */
static void test_a_clock_that_was_ahead_revives_no_invite(void **state) {
    fixture *f = *state;
    pln_invite_token used = numbered(1, TEST_NOW + 300);
    pln_invite_token next = numbered(2, TEST_NOW + 900000);
    redeem(f, &used, &f->c.alice, TEST_NOW, NULL);
    redeem(f, &next, &f->c.bob, TEST_NOW + 86400, NULL);
    assert_int_equal(find(&f->ledger, &used, &f->c.bob), PLN_LEDGER_CONSUMED);
    assert_int_equal(find(&f->ledger, &used, &f->c.alice), PLN_LEDGER_SAME);
}

static void test_an_expiry_that_is_not_positive_never_lapses(void **state) {
    fixture *f = *state;
    pln_invite_token zero = numbered(1, 0);
    pln_invite_token negative = numbered(2, -5);
    pln_invite_token last = numbered(3, INT64_MAX);
    redeem(f, &zero, &f->c.alice, TEST_NOW, NULL);
    redeem(f, &negative, &f->c.alice, TEST_NOW, NULL);
    redeem(f, &last, &f->c.alice, TEST_NOW, NULL);
    pln_invite_token next = numbered(4, TEST_NOW);
    redeem(f, &next, &f->c.bob, INT64_MAX, NULL);
    assert_int_equal(f->ledger.count, 4);
}

static void test_a_write_under_way_does_not_lapse(void **state) {
    fixture *f = *state;
    pln_invite_token slow = numbered(1, TEST_NOW + 1);
    pln_bytes text = {.data = NULL};
    assert_int_equal(
        pln_ledger_prepare(&f->ledger, &slow, &f->c.alice, &f->answer, TEST_NOW, &text), POLLEN_OK);
    pln_bytes_fini(&text);
    pln_invite_token next = numbered(2, TEST_NOW + 900000);
    redeem(f, &next, &f->c.bob, TEST_NOW + 500000, NULL);
    assert_int_equal(find(&f->ledger, &slow, &f->c.alice), PLN_LEDGER_PENDING);
    pln_ledger_commit(&f->ledger, slow.token_id);
    assert_int_equal(find(&f->ledger, &slow, &f->c.alice), PLN_LEDGER_SAME);
}

/* ---- The file -------------------------------------------------------------------------------- */

static void test_a_written_ledger_reads_back(void **state) {
    fixture *f = *state;
    pln_invite_token token = numbered(1, TEST_NOW + 300);
    pln_bytes text = {.data = NULL};
    redeem(f, &token, &f->c.alice, TEST_NOW, &text);

    pln_ledger again;
    pln_ledger_init(&again, &f->c.rng);
    assert_int_equal(pln_ledger_load(&again, (const char *)text.data, text.size, NULL), POLLEN_OK);
    const pln_bytes *answer = NULL;
    assert_int_equal(pln_ledger_find(&again, &token, &f->c.alice, &answer), PLN_LEDGER_SAME);
    assert_true(pln_bytes_equal(answer, &f->answer));
    assert_int_equal(find(&again, &token, &f->c.bob), PLN_LEDGER_CONSUMED);
    pln_ledger_fini(&again);
    pln_bytes_fini(&text);
}

static pollen_err load(pln_ledger *ledger, const char *text) {
    char why[128] = "";
    return pln_ledger_load(ledger, text, strlen(text), why);
}

/* The reference keeps no subject: the invite is used, and nobody may ask again. */
static void test_records_of_the_reference_are_consumed(void **state) {
    fixture *f = *state;
    assert_int_equal(load(&f->ledger, "{\"invites\":[{\"tokenID\":\"00000000-0000-4000-8000-"
                                      "000000000001\",\"expiresAtUnix\":1770000300,"
                                      "\"consumedAtUnix\":1770000000}]}"),
                     POLLEN_OK);
    pln_invite_token token = numbered(1, TEST_NOW + 300);
    assert_int_equal(find(&f->ledger, &token, &f->c.alice), PLN_LEDGER_CONSUMED);
}

/* The reference may have written one id in two spellings. */
static void test_two_spellings_in_a_file_are_one_record(void **state) {
    fixture *f = *state;
    assert_int_equal(
        load(&f->ledger,
             "{\"invites\":["
             "{\"tokenID\":\"ABCDEF01-2345-4789-ABCD-EF0123456789\",\"expiresAtUnix\":100,"
             "\"consumedAtUnix\":50},"
             "{\"tokenID\":\"abcdef01-2345-4789-abcd-ef0123456789\",\"expiresAtUnix\":1770000300,"
             "\"consumedAtUnix\":60}]}"),
        POLLEN_OK);
    assert_int_equal(f->ledger.count, 1);
    pln_invite_token next = numbered(1, TEST_NOW + 300);
    redeem(f, &next, &f->c.bob, TEST_NOW, NULL);
    assert_int_equal(f->ledger.count, 2); /* It lives as long as the longer-lived one. */
}

static void test_a_broken_file_leaves_the_ledger_empty(void **state) {
    fixture *f = *state;
    static const char *const bad[] = {"{", "[]", "{\"invites\":7}", "{\"invites\":[7]}",
                                      "{\"invites\":[{\"tokenID\":7}]}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(load(&f->ledger, bad[i]), POLLEN_ESTATE);
        assert_int_equal(f->ledger.count, 0);
    }
}

/* ---- Bounds and memory ----------------------------------------------------------------------- */

/* Fills a ledger from a file of so many records, of which the first `lapsing` end at 100. */
static void load_many(pln_ledger *ledger, unsigned count, unsigned lapsing) {
    pln_ledger_entry *entries = pln_calloc(count, sizeof(*entries));
    assert_non_null(entries);
    for (unsigned i = 0; i < count; i++) {
        pln_invite_token token = numbered(i, 0);
        memcpy(entries[i].token_id, token.token_id, sizeof(token.token_id));
        entries[i].expires_at = i < lapsing ? 100 : TEST_NOW + 1000;
    }
    pln_bytes text = {.data = NULL};
    assert_int_equal(pln_ledger_encode(entries, count, &text), POLLEN_OK);
    pln_free(entries);
    assert_int_equal(pln_ledger_load(ledger, (const char *)text.data, text.size, NULL), POLLEN_OK);
    pln_bytes_fini(&text);
}

static void test_a_full_ledger_refuses_rather_than_forgets(void **state) {
    fixture *f = *state;
    load_many(&f->ledger, PLN_LEDGER_ENTRIES_MAX, 0);
    pln_invite_token token = token_of("abcdef01-2345-4789-abcd-ef0123456789", TEST_NOW + 300);
    pln_bytes text = {.data = NULL};
    assert_int_equal(
        pln_ledger_prepare(&f->ledger, &token, &f->c.alice, &f->answer, TEST_NOW, &text),
        POLLEN_ELIMIT);
    assert_int_equal(f->ledger.count, PLN_LEDGER_ENTRIES_MAX);
    assert_int_equal(find(&f->ledger, &token, &f->c.alice), PLN_LEDGER_NEW);
}

static void test_lapsed_records_make_room(void **state) {
    fixture *f = *state;
    load_many(&f->ledger, PLN_LEDGER_ENTRIES_MAX, 1);
    pln_invite_token token = token_of("abcdef01-2345-4789-abcd-ef0123456789", TEST_NOW + 300);
    redeem(f, &token, &f->c.alice, TEST_NOW, NULL);
    assert_int_equal(f->ledger.count, PLN_LEDGER_ENTRIES_MAX);
}

static void test_preparing_without_memory_changes_nothing(void **state) {
    fixture *f = *state;
    pln_invite_token old = numbered(1, 100);
    pln_invite_token kept = numbered(2, TEST_NOW + 300);
    redeem(f, &old, &f->c.bob, 50, NULL);
    redeem(f, &kept, &f->c.bob, 50, NULL);
    pln_invite_token token = numbered(3, TEST_NOW + 300);
    long live = fail_mem_live();
    pln_bytes text = {.data = NULL};
    size_t n = 1;
    for (;; n++) {
        fail_mem_arm(n);
        pollen_err err =
            pln_ledger_prepare(&f->ledger, &token, &f->c.alice, &f->answer, TEST_NOW, &text);
        if (!fail_mem_disarm()) {
            assert_int_equal(err, POLLEN_OK);
            break;
        }
        assert_int_equal(err, POLLEN_ENOMEM);
        assert_null(text.data);
        assert_int_equal(fail_mem_live(), live);
        assert_int_equal(f->ledger.count, 2); /* The lapsed one too. */
        assert_int_equal(find(&f->ledger, &token, &f->c.alice), PLN_LEDGER_NEW);
    }
    assert_true(n > 3);
    assert_int_equal(find(&f->ledger, &kept, &f->c.bob), PLN_LEDGER_SAME);
    pln_bytes_fini(&text);
}

static void test_loading_without_memory_leaves_it_empty(void **state) {
    fixture *f = *state;
    pln_bytes text = {.data = NULL};
    for (unsigned i = 0; i < 20; i++) {
        pln_invite_token token = numbered(i, TEST_NOW + 300);
        pln_bytes_fini(&text);
        redeem(f, &token, &f->c.alice, TEST_NOW, &text);
    }
    pln_ledger_fini(&f->ledger);
    long live = fail_mem_live();
    for (size_t n = 1;; n++) {
        fail_mem_arm(n);
        pollen_err err = pln_ledger_load(&f->ledger, (const char *)text.data, text.size, NULL);
        if (!fail_mem_disarm()) {
            assert_int_equal(err, POLLEN_OK);
            break;
        }
        assert_int_equal(err, POLLEN_ENOMEM);
        assert_int_equal(f->ledger.count, 0);
        assert_int_equal(fail_mem_live(), live);
    }
    assert_int_equal(f->ledger.count, 20);
    pln_bytes_fini(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_the_same_subject_gets_the_same_answer),
        TEST(test_another_key_is_refused),
        TEST(test_an_id_is_the_same_in_either_case),
        TEST(test_everybody_waits_for_a_write_under_way),
        TEST(test_a_failed_write_leaves_no_trace),
        TEST(test_a_late_abort_or_commit_is_nothing),
        TEST(test_of_many_requests_one_is_admitted),
        TEST(test_the_file_holds_what_is_pending_for_others),
        TEST(test_records_lapse_two_days_after_their_invite),
        TEST(test_a_clock_that_was_ahead_revives_no_invite),
        TEST(test_an_expiry_that_is_not_positive_never_lapses),
        TEST(test_a_write_under_way_does_not_lapse),
        TEST(test_a_written_ledger_reads_back),
        TEST(test_records_of_the_reference_are_consumed),
        TEST(test_two_spellings_in_a_file_are_one_record),
        TEST(test_a_broken_file_leaves_the_ledger_empty),
        TEST(test_a_full_ledger_refuses_rather_than_forgets),
        TEST(test_lapsed_records_make_room),
        TEST(test_preparing_without_memory_changes_nothing),
        TEST(test_loading_without_memory_leaves_it_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
