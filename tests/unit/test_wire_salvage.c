/* SPDX-License-Identifier: Apache-2.0 */
/* What can be had of a state.yaml that was torn or damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/revocation.h"
#include "base/key.h"
#include "base/mem.h"
#include "support/cluster.h"
#include "support/fail_mem.h"
#include "wire/state_yaml.h"

enum { PEERS = 4, REVOKED = 3 };

typedef struct fixture {
    cluster cluster;
    pln_saved_state saved;
    pln_bytes text;
    char *terminated; /* The same. */
} fixture;

static int setup(void **state) {
    static fixture f;
    f = (fixture){.saved.has_local = true};
    cluster_init(&f.cluster);
    f.saved.local = f.cluster.alice;
    f.saved.peers = pln_calloc(PEERS, sizeof(*f.saved.peers));
    f.saved.revocations = pln_calloc(REVOKED, sizeof(*f.saved.revocations));
    assert_true(f.saved.peers != NULL && f.saved.revocations != NULL);
    for (size_t i = 0; i < PEERS; i++) {
        pln_saved_peer *peer = &f.saved.peers[f.saved.peer_count++];
        peer->key = test_key_of((uint8_t)(0x40 + i));
        peer->last_addr = pln_strdup("192.0.2.1:60611");
        peer->port = 60611;
    }
    for (size_t i = 0; i < REVOKED; i++) {
        const pollen_key key = test_key_of((uint8_t)(0x60 + i));
        assert_int_equal(pln_revocation_issue(&f.cluster.root, &key, TEST_NOW,
                                              &f.saved.revocations[f.saved.revocation_count++]),
                         POLLEN_OK);
    }
    assert_int_equal(pln_saved_state_encode(&f.saved, &f.text), POLLEN_OK);
    f.terminated = calloc(1, f.text.size + 1);
    assert_non_null(f.terminated);
    memcpy(f.terminated, f.text.data, f.text.size);
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    pln_saved_state_fini(&f->saved);
    pln_bytes_fini(&f->text);
    free(f->terminated);
    cluster_fini(&f->cluster);
    return 0;
}

static size_t count_of(const char *text, size_t size, const char *what) {
    size_t count = 0;
    for (size_t i = 0; i + strlen(what) <= size; i++) {
        count += memcmp(text + i, what, strlen(what)) == 0;
    }
    return count;
}

/* Whatever is torn off, whole lines of revocations and whole peers stay. */
static void check_part(const char *text, size_t size) {
    pln_saved_state got;
    const size_t lines = count_of(text, size, "data: ");
    const size_t peers = count_of(text, size, "- identityPublic: ");
    assert_int_equal(pln_saved_state_salvage(text, size, &got), POLLEN_OK);
    assert_in_range(got.revocation_count, lines > 0 ? lines - 1 : 0, lines);
    assert_in_range(got.peer_count, peers > 0 ? peers - 1 : 0, peers);
    pln_saved_state_fini(&got);
}

static void a_torn_text_gives_what_stands_before_the_tear(void **state) {
    const fixture *f = *state;
    const char *text = (const char *)f->text.data;
    for (size_t size = 1; size <= f->text.size; size++) {
        char *part = malloc(size); /* So that a read behind the end is seen. */
        assert_non_null(part);
        memcpy(part, text, size);
        check_part(part, size);
        free(part);
    }
}

/* As a file system leaves it after a power cut. */
static void a_tail_of_zeroes_is_as_good_as_none(void **state) {
    const fixture *f = *state;
    const size_t whole = f->text.size;
    char *text = calloc(1, whole + 4096);
    pln_saved_state got;
    assert_non_null(text);
    memcpy(text, f->text.data, whole);
    assert_int_equal(pln_saved_state_salvage(text, whole + 4096, &got), POLLEN_OK);
    assert_int_equal(got.peer_count, PEERS);
    assert_int_equal(got.revocation_count, REVOKED);
    pln_saved_state_fini(&got);
    memset(text, 0, whole);
    assert_int_equal(pln_saved_state_salvage(text, whole + 4096, &got), POLLEN_OK);
    assert_int_equal(got.peer_count, 0);
    pln_saved_state_fini(&got);
    free(text);
}

static void revocations_behind_the_damage_are_found(void **state) {
    const fixture *f = *state;
    char *text = malloc(f->text.size);
    pln_saved_state got;
    assert_non_null(text);
    memcpy(text, f->text.data, f->text.size);
    memset(text, '{', 40);
    assert_int_equal(pln_saved_state_salvage(text, f->text.size, &got), POLLEN_OK);
    assert_int_equal(got.revocation_count, REVOKED);
    for (size_t i = 0; i < REVOKED; i++) {
        assert_int_equal(pln_revocation_verify(&got.revocations[i], &f->cluster.root.trust),
                         POLLEN_OK);
    }
    pln_saved_state_fini(&got);
    free(text);
}

static void lines_are_read_in_any_quotes(void **state) {
    const fixture *f = *state;
    const char *data = strstr(f->terminated, "data: ") + 6;
    const int size = (int)((const char *)memchr(data, '\n', 1024) - data);
    static const char *const forms[] = {"{data: %.*s\n",       "}\n  data: \"%.*s\"\r\n",
                                        "}\n- data: '%.*s'\n", "}\n\tdata: %.*s\n",
                                        "}\n  data: %.*s*\n",  "}\n  data:%.*s"};
    static const size_t found[] = {0, 1, 1, 0, 0, 1};
    char text[1024];
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        const int length = snprintf(text, sizeof(text), forms[i], size, data);
#pragma GCC diagnostic pop
        pln_saved_state got;
        assert_in_range(length, 1, sizeof(text) - 1);
        assert_int_equal(pln_saved_state_salvage(text, (size_t)length, &got), POLLEN_OK);
        assert_int_equal(got.revocation_count, found[i]);
        pln_saved_state_fini(&got);
    }
}

static void a_lack_of_memory_is_told_and_nothing_is_lost(void **state) {
    const fixture *f = *state;
    char *text = malloc(f->text.size);
    assert_non_null(text);
    memcpy(text, f->text.data, f->text.size);
    memset(text, '{', 40);
    for (size_t nth = 1;; nth++) {
        pln_saved_state got;
        const long live = fail_mem_live();
        fail_mem_arm(nth);
        const pollen_err err = pln_saved_state_salvage(text, f->text.size, &got);
        const bool failed = fail_mem_disarm();
        assert_int_equal(err, failed ? POLLEN_ENOMEM : POLLEN_OK);
        if (!failed) {
            pln_saved_state_fini(&got);
            break;
        }
        assert_int_equal(fail_mem_live(), live);
    }
    free(text);
}

/* ---- Too much -------------------------------------------------------------------------------- */

static void what_others_tell_again_gives_way_in_a_state_that_is_too_large(void **state) {
    fixture *f = *state;
    pln_saved_state *saved = &f->saved;
    pln_saved_state again;
    pln_bytes text = {0};
    pln_free(saved->peers[1].last_addr);
    saved->peers[1].last_addr = NULL;
    saved->services = pln_calloc(2, sizeof(*saved->services));
    assert_non_null(saved->services);
    saved->services[0] =
        (pln_saved_service){.name = pln_strdup("theirs"), .provider = f->cluster.bob};
    saved->services[1] = (pln_saved_service){.name = pln_strdup("ours"), .provider = saved->local};
    saved->service_count = 2;
    pln_saved_state_shrink(saved);
    assert_int_equal(saved->peer_count, PEERS - 1);
    assert_int_equal(saved->service_count, 1);
    assert_string_equal(saved->services[0].name, "ours");
    assert_int_equal(saved->revocation_count, REVOKED);
    assert_int_equal(pln_saved_state_encode(saved, &text), POLLEN_OK);
    assert_int_equal(pln_saved_state_decode((const char *)text.data, text.size, &again, NULL),
                     POLLEN_OK);
    assert_int_equal(again.peer_count, PEERS - 1);
    pln_saved_state_fini(&again);
    pln_bytes_fini(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_torn_text_gives_what_stands_before_the_tear),
        TEST(a_tail_of_zeroes_is_as_good_as_none),
        TEST(revocations_behind_the_damage_are_found),
        TEST(lines_are_read_in_any_quotes),
        TEST(a_lack_of_memory_is_told_and_nothing_is_lost),
        TEST(what_others_tell_again_gives_way_in_a_state_that_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
