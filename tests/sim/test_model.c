/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model against the real thing: the same stories give the same reports, for each node and peer
 * in the same order, with the same reasons, and at about the same times.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "story.h"

enum { SEEDS = 8, NODES = 3 };

static bool read_line(FILE *from, char *text, size_t cap) {
    return fgets(text, (int)cap, from) != NULL;
}

static void read_log(FILE *from, size_t want_story, uint64_t want_seed, story_log *ret) {
    char text[160];
    size_t story_index = 0, lines = 0;
    uint64_t seed = 0;
    assert_true(read_line(from, text, sizeof text));
    assert_int_equal(
        sscanf(text, "story %zu seed %" SCNu64 " lines %zu", &story_index, &seed, &lines), 3);
    assert_int_equal(story_index, want_story);
    assert_int_equal(seed, want_seed);
    assert_true(lines <= STORY_LINES_MAX);
    ret->count = lines;
    for (size_t i = 0; i < lines; i++) {
        assert_true(read_line(from, text, sizeof text));
        assert_true(story_parse(text, &ret->lines[i]));
    }
}

static pln_dur apart(pln_dur a, pln_dur b) {
    return a > b ? a - b : b - a;
}

static bool are_alike(const story_line *a, const story_line *b, pln_dur tolerance) {
    return a->kind == b->kind && a->inbound == b->inbound && a->reason == b->reason &&
           a->err == b->err && apart(a->at, b->at) <= tolerance;
}

/* The next line of the pair at or after the index; log->count: there is none. */
static size_t next_of(const story_log *log, size_t from, size_t node, size_t peer) {
    while (from < log->count && (log->lines[from].node != node || log->lines[from].peer != peer)) {
        from++;
    }
    return from;
}

static void print_log(const char *what, const story_log *log) {
    for (size_t i = 0; i < log->count; i++) {
        char text[160];
        story_format(&log->lines[i], text, sizeof text);
        print_error("  %s %s\n", what, text);
    }
}

static bool pair_is_alike(const story_log *real, const story_log *model, size_t node, size_t peer,
                          const story *told, pln_dur *ret_most) {
    size_t at_real = next_of(real, 0, node, peer), at_model = next_of(model, 0, node, peer);
    while (at_real < real->count && at_model < model->count) {
        const story_line *a = &real->lines[at_real], *b = &model->lines[at_model];
        if (!are_alike(a, b, told->tolerance)) {
            return false;
        }
        *ret_most = apart(a->at, b->at) > *ret_most ? apart(a->at, b->at) : *ret_most;
        at_real = next_of(real, at_real + 1, node, peer);
        at_model = next_of(model, at_model + 1, node, peer);
    }
    return at_real == real->count && at_model == model->count;
}

static bool compare(const story *told, uint64_t seed, const story_log *real, const story_log *model,
                    pln_dur *ret_most) {
    bool alike = true;
    for (size_t node = 0; node < NODES; node++) {
        for (size_t peer = 0; peer < NODES; peer++) {
            alike = alike && pair_is_alike(real, model, node, peer, told, ret_most);
        }
    }
    if (!alike) {
        print_error("%s, seed %" PRIu64 ":\n", told->name, seed);
        print_log("real ", real);
        print_log("model", model);
    }
    return alike;
}

static void test_the_model_tells_the_stories_of_the_real_thing(void **state) {
    (void)state;
    static story_log real, model;
    char command[1024];
    (void)snprintf(command, sizeof command, "'%s' %d", SIM_TELL, SEEDS);
    FILE *from = popen(command, "r");
    assert_non_null(from);
    size_t differ = 0;
    for (size_t i = 0; i < story_count; i++) {
        pln_dur most = 0;
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            read_log(from, i, seed, &real);
            story_run(&stories[i], seed, &model);
            differ += !compare(&stories[i], seed, &real, &model, &most);
        }
        print_message("%-28s times differ by up to %.0f ms\n", stories[i].name, (double)most / 1e6);
    }
    assert_int_equal(pclose(from), 0);
    assert_int_equal(differ, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_model_tells_the_stories_of_the_real_thing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
