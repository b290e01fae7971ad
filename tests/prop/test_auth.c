/* SPDX-License-Identifier: Apache-2.0 */
/* Random tokens: what is issued decodes, encodes and verifies again, and no bit of it may differ.
 * POLLEN_SEED=n replays. */
#include <float.h>
#include <stdio.h>

#include "auth/ledger.h"
#include "auth/token.h"
#include "base/key.h"
#include "support/cluster.h"
#include "support/seed.h"

static int setup(void **state) {
    (void)cluster_setup(state);
    cluster *c = *state;
    c->rng = test_rng(&c->seeded);
    return 0;
}

static pollen_key random_key(const pln_rng *rng) {
    pollen_seed seed;
    pln_rng_fill(rng, seed.bytes, sizeof(seed.bytes));
    return pollen_seed_key(&seed);
}

/* One to five peers of one to four addresses. */
static pln_bootstraps random_bootstraps(const pln_rng *rng) {
    pln_bootstraps list = {.items = NULL};
    uint64_t peers = 1 + pln_rng_below(rng, 5);
    for (uint64_t i = 0; i < peers; i++) {
        pollen_key peer = random_key(rng);
        uint64_t addrs = 1 + pln_rng_below(rng, 4);
        for (uint64_t j = 0; j < addrs; j++) {
            char text[32];
            const char *addr = text;
            (void)snprintf(text, sizeof(text), "192.0.2.%u:%u", (unsigned)pln_rng_below(rng, 256),
                           1 + (unsigned)pln_rng_below(rng, 65535));
            assert_int_equal(pln_bootstraps_add(&list, &peer, &addr, 1), POLLEN_OK);
        }
    }
    return list;
}

/* Anything from a second to more than a clock can count. */
static int64_t random_ttl(const pln_rng *rng) {
    return (int64_t)(pln_rng_u64(rng) >> (1 + pln_rng_below(rng, 62))) + 1;
}

static const pln_signer *random_signer(const cluster *c) {
    return pln_rng_below(&c->rng, 2) == 0 ? &c->root : &c->admin;
}

/* A time near now, near the ends of the type, or anywhere. */
static int64_t random_time(const pln_rng *rng) {
    switch (pln_rng_below(rng, 4)) {
    case 0:
        return TEST_NOW + (int64_t)pln_rng_below(rng, 400) - 200;
    case 1:
        return INT64_MAX - (int64_t)pln_rng_below(rng, 130);
    case 2:
        return INT64_MIN + (int64_t)pln_rng_below(rng, 130);
    default:
        return (int64_t)pln_rng_u64(rng);
    }
}

/* ---- Windows against wider arithmetic -------------------------------------------------------- */

static bool model_contains(int64_t not_before, int64_t not_after, pln_wall now) {
    /* With 64 bits of mantissa beside the sign, each int64_t and each sum here is exact. */
    long double skew = PLN_SKEW_SECONDS;
    return (long double)now >= (long double)not_before - skew &&
           (long double)now <= (long double)not_after + skew;
}

static void test_windows_are_what_wider_numbers_say(void **state) {
    cluster *c = *state;
    assert_true(LDBL_MANT_DIG >= 64);
    for (int i = 0; i < 200000; i++) {
        int64_t not_before = random_time(&c->rng);
        int64_t not_after = random_time(&c->rng);
        pln_wall now = random_time(&c->rng);
        if (pln_rng_below(&c->rng, 2) == 0) {
            now = pln_wall_add(not_after, (int64_t)pln_rng_below(&c->rng, 130));
        }
        assert_int_equal(pln_window_contains(not_before, not_after, now),
                         model_contains(not_before, not_after, now));
    }
}

/* ---- Round trips ----------------------------------------------------------------------------- */

static pln_invite_token random_invite(cluster *c, const pln_bootstraps *bootstrap,
                                      const pollen_key *subject) {
    pln_invite_terms terms = {
        .bootstrap = bootstrap,
        .subject = pln_rng_below(&c->rng, 2) == 0 ? subject : NULL,
        .ttl_seconds = 1 + (int64_t)pln_rng_below(&c->rng, PLN_INVITE_TTL_MAX_SECONDS),
        .membership_ttl_seconds = pln_rng_below(&c->rng, 2) == 0 ? 0 : random_ttl(&c->rng),
        .non_renewable = pln_rng_below(&c->rng, 2) == 0,
    };
    pln_invite_token invite;
    assert_int_equal(pln_invite_issue(random_signer(c), &terms, &c->rng, TEST_NOW, &invite),
                     POLLEN_OK);
    return invite;
}

static void check_answer(cluster *c, const pln_invite_token *invite, const pollen_key *subject) {
    pln_join_token join;
    pln_join_token again;
    int64_t default_ttl = random_ttl(&c->rng);
    assert_int_equal(
        pln_invite_redeem(random_signer(c), invite, subject, default_ttl, &c->rng, TEST_NOW, &join),
        POLLEN_OK);
    assert_int_equal(pln_join_token_decode(join.wire.data, join.wire.size, &again), POLLEN_OK);
    assert_true(pln_bytes_equal(&again.wire, &join.wire));
    assert_int_equal(pln_join_verify(&again, &c->root.trust, subject, TEST_NOW), POLLEN_OK);
    assert_true(again.member_cert.non_renewable == invite->non_renewable);
    assert_int_equal(again.bootstrap.count, invite->bootstrap.count);
    pollen_key other = random_key(&c->rng);
    assert_int_equal(pln_join_verify(&again, &c->root.trust, &other, TEST_NOW), POLLEN_ESUBJECT);
    assert_int_equal(pln_join_verify(&again, &c->foreign.trust, subject, TEST_NOW),
                     POLLEN_ECLUSTER);
    pln_join_token_fini(&again);
    pln_join_token_fini(&join);
}

static void test_what_is_issued_decodes_and_verifies(void **state) {
    cluster *c = *state;
    for (int i = 0; i < 300; i++) {
        pln_bootstraps bootstrap = random_bootstraps(&c->rng);
        pollen_key subject = random_key(&c->rng);
        pln_invite_token invite = random_invite(c, &bootstrap, &subject);
        pln_invite_token again;
        assert_int_equal(pln_invite_token_decode(invite.wire.data, invite.wire.size, &again),
                         POLLEN_OK);
        assert_true(pln_bytes_equal(&again.wire, &invite.wire));
        assert_int_equal(pln_invite_verify_local(&again, &c->root.trust, &subject, TEST_NOW),
                         POLLEN_OK);
        check_answer(c, &again, &subject);
        pln_invite_token_fini(&again);
        pln_invite_token_fini(&invite);
        pln_bootstraps_fini(&bootstrap);
    }
}

/* ---- One bit --------------------------------------------------------------------------------- */

/* Whatever decodes with one bit flipped is refused.  The one exception is bytes that decode to the
 * very same content, such as a true written as 3 instead of 1, which are the same token. */
static void check_join_flip(const cluster *c, const pln_join_token *join, uint8_t *bytes,
                            size_t bit) {
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    pln_join_token flipped;
    if (pln_join_token_decode(bytes, join->wire.size, &flipped) == POLLEN_OK) {
        bool same = pln_bytes_equal(&flipped.wire, &join->wire);
        pollen_err err = pln_join_verify(&flipped, &c->root.trust, &c->alice, TEST_NOW);
        if (same != (err == POLLEN_OK)) {
            fail_msg("bit %zu: %s", bit, pollen_err_name(err));
        }
        pln_join_token_fini(&flipped);
    }
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void test_no_bit_of_a_join_token_may_differ(void **state) {
    cluster *c = *state;
    pln_join_token join = cluster_join(c, &c->admin, &c->alice, 3600);
    pln_bytes bytes = {.data = NULL};
    assert_true(pln_bytes_copy(&bytes, &join.wire));
    /* All of them take half a minute under a sanitizer, so every run draws its own. */
    for (int i = 0; i < 1500; i++) {
        check_join_flip(c, &join, bytes.data, (size_t)pln_rng_below(&c->rng, 8 * bytes.size));
    }
    pln_bytes_fini(&bytes);
    pln_join_token_fini(&join);
}

static void test_no_bit_of_an_invite_may_differ(void **state) {
    cluster *c = *state;
    pln_invite_token invite = cluster_invite(c, &c->admin, &c->alice);
    pln_bytes bytes = {.data = NULL};
    assert_true(pln_bytes_copy(&bytes, &invite.wire));
    for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        pln_invite_token flipped;
        if (pln_invite_token_decode(bytes.data, bytes.size, &flipped) == POLLEN_OK) {
            bool same = pln_bytes_equal(&flipped.wire, &invite.wire);
            pollen_err err = pln_invite_verify(&flipped, &c->alice, TEST_NOW);
            if (same != (err == POLLEN_OK)) {
                fail_msg("bit %zu: %s", bit, pollen_err_name(err));
            }
            pln_invite_token_fini(&flipped);
        }
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    pln_bytes_fini(&bytes);
    pln_invite_token_fini(&invite);
}

/* ---- The ledger against a table -------------------------------------------------------------- */

enum { TOKENS = 12, SUBJECTS = 3 };

typedef struct model_entry {
    int64_t expires_at;
    int subject; /* -1: not used. */
    bool pending;
} model_entry;

static pln_ledger_verdict model_find(const model_entry *entry, int subject) {
    if (entry->subject < 0) {
        return PLN_LEDGER_NEW;
    }
    if (entry->pending) {
        return PLN_LEDGER_PENDING;
    }
    return entry->subject == subject ? PLN_LEDGER_SAME : PLN_LEDGER_CONSUMED;
}

static void model_lapse(model_entry *model, pln_wall now) {
    for (size_t i = 0; i < TOKENS; i++) {
        if (!model[i].pending && model[i].expires_at + 172800 < now) {
            model[i].subject = -1;
        }
    }
}

static void step_ledger(cluster *c, pln_ledger *ledger, model_entry *model, pln_wall now) {
    size_t i = (size_t)pln_rng_below(&c->rng, TOKENS);
    int subject = (int)pln_rng_below(&c->rng, SUBJECTS);
    pollen_key key = {{(uint8_t)subject}};
    pln_invite_token token = {.expires_at = model[i].expires_at};
    (void)snprintf(token.token_id, sizeof(token.token_id), "%08x-0000-4000-8000-00000000000%s",
                   (unsigned)i, pln_rng_below(&c->rng, 2) == 0 ? "a" : "A");
    const pln_bytes *found = NULL;
    pln_ledger_verdict wanted = model_find(&model[i], subject);
    assert_int_equal(pln_ledger_find(ledger, &token, &key, &found), wanted);

    uint8_t answer_byte = (uint8_t)subject;
    pln_bytes answer = {.data = &answer_byte, .size = 1};
    pln_bytes text = {.data = NULL};
    switch (pln_rng_below(&c->rng, 3)) {
    case 0:
        pln_ledger_commit(ledger, token.token_id);
        model[i].pending = false;
        break;
    case 1:
        pln_ledger_abort(ledger, token.token_id);
        model[i].subject = model[i].pending ? -1 : model[i].subject;
        model[i].pending = false;
        break;
    default:
        if (wanted == PLN_LEDGER_NEW) {
            model[i] = (model_entry){.expires_at = now + (int64_t)pln_rng_below(&c->rng, 300000),
                                     .subject = subject,
                                     .pending = true};
            token.expires_at = model[i].expires_at;
            assert_int_equal(pln_ledger_prepare(ledger, &token, &key, &answer, now, &text),
                             POLLEN_OK);
            model_lapse(model, now);
        } else {
            assert_int_equal(pln_ledger_prepare(ledger, &token, &key, &answer, now, &text),
                             POLLEN_EEXIST);
        }
        break;
    }
    pln_bytes_fini(&text);
}

static void test_the_ledger_says_what_a_table_says(void **state) {
    cluster *c = *state;
    pln_ledger ledger;
    pln_ledger_init(&ledger, &c->rng);
    model_entry model[TOKENS];
    for (size_t i = 0; i < TOKENS; i++) {
        model[i] = (model_entry){.expires_at = TEST_NOW, .subject = -1};
    }
    pln_wall now = TEST_NOW;
    for (int i = 0; i < 20000; i++) {
        now += (int64_t)pln_rng_below(&c->rng, 15000);
        step_ledger(c, &ledger, model, now);
    }
    pln_ledger_fini(&ledger);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_are_what_wider_numbers_say),
        cmocka_unit_test(test_what_is_issued_decodes_and_verifies),
        cmocka_unit_test(test_no_bit_of_a_join_token_may_differ),
        cmocka_unit_test(test_no_bit_of_an_invite_may_differ),
        cmocka_unit_test(test_the_ledger_says_what_a_table_says),
    };
    return cmocka_run_group_tests(tests, setup, cluster_teardown);
}
