/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the daemon that need no mesh: the board of events and the log file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pln/board.h"
#include "pln/logfile.h"
#include "pln/status.h"

/* ---- The board ------------------------------------------------------------------------------- */

static int set_up_board(void **state) {
    pln_board *board = calloc(1, sizeof *board);
    assert_non_null(board);
    assert_int_equal(pln_board_init(board), POLLEN_OK);
    *state = board;
    return 0;
}

static int tear_down_board(void **state) {
    pln_board_fini(*state);
    free(*state);
    return 0;
}

static void post(pln_board *board, int64_t at_ms) {
    const pln_board_event event = {.kind = PLN_BOARD_STATE,
                                   .at_ms = at_ms,
                                   .from = POLLEN_PEER_DISCOVERED,
                                   .to = POLLEN_PEER_CONNECTING};
    pln_board_post(board, &event);
}

static void a_reader_sees_what_is_posted_after_it_came(void **state) {
    pln_board *board = *state;
    pln_board_event event;
    uint64_t at;
    post(board, 1);
    pln_board_enter(board, &at);
    assert_int_equal(pln_board_next(board, &at, 0, &event), POLLEN_ETIMEDOUT);
    post(board, 2);
    post(board, 3);
    assert_int_equal(pln_board_next(board, &at, 0, &event), POLLEN_OK);
    assert_int_equal(event.at_ms, 2);
    assert_int_equal(pln_board_next(board, &at, 0, &event), POLLEN_OK);
    assert_int_equal(event.at_ms, 3);
    pln_board_leave(board);
}

static void a_reader_that_is_overtaken_is_told(void **state) {
    pln_board *board = *state;
    pln_board_event event;
    uint64_t at;
    pln_board_enter(board, &at);
    for (int i = 0; i < PLN_BOARD_EVENTS; i++) {
        post(board, i);
    }
    uint64_t copy = at;
    assert_int_equal(pln_board_next(board, &copy, 0, &event), POLLEN_OK);
    assert_int_equal(event.at_ms, 0);
    post(board, PLN_BOARD_EVENTS);
    assert_int_equal(pln_board_next(board, &at, 0, &event), POLLEN_ELIMIT);
    pln_board_leave(board);
}

static void a_closed_board_ends_the_waiting(void **state) {
    pln_board *board = *state;
    pln_board_event event;
    uint64_t at;
    pln_board_enter(board, &at);
    pln_board_close(board);
    assert_int_equal(pln_board_next(board, &at, -1, &event), POLLEN_ECLOSED);
    pln_board_leave(board);
}

static void a_board_knows_whether_it_is_watched(void **state) {
    pln_board *board = *state;
    uint64_t at;
    assert_false(pln_board_is_watched(board));
    pln_board_enter(board, &at);
    assert_true(pln_board_is_watched(board));
    pln_board_leave(board);
    assert_false(pln_board_is_watched(board));
}

static void a_state_that_is_not_known_is_null(void **state) {
    const pln_board_event event = {.kind = PLN_BOARD_CONNECTED, .to = POLLEN_PEER_CONNECTED};
    (void)state;
    json_t *object = pln_board_json(&event);
    assert_true(json_is_null(json_object_get(object, "from")));
    assert_string_equal(json_string_value(json_object_get(object, "to")), "connected");
    assert_true(json_is_null(json_object_get(object, "reason")));
    json_decref(object);
}

/* ---- The log file ---------------------------------------------------------------------------- */

typedef struct log_fixture {
    char dir[64];
    char path[96];
    char old[96];
    pln_logfile log;
} log_fixture;

static int set_up_log(void **state) {
    log_fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    snprintf(f->dir, sizeof f->dir, "/tmp/pollen-log-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/pln.log", f->dir);
    snprintf(f->old, sizeof f->old, "%s/pln.log.1", f->dir);
    pln_logfile_init(&f->log, f->dir, PLN_LOG_INFO, false);
    *state = f;
    return 0;
}

static int tear_down_log(void **state) {
    log_fixture *f = *state;
    pln_logfile_close(&f->log);
    (void)unlink(f->path);
    (void)unlink(f->old);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static void read_log(const char *path, char *text, size_t cap) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, cap - 1, file)] = '\0';
    fclose(file);
}

static void a_log_is_made_at_its_first_line(void **state) {
    log_fixture *f = *state;
    struct stat st;
    assert_int_not_equal(stat(f->path, &st), 0);
    pln_logfile_write(&f->log, PLN_LOG_DEBUG, "below the level");
    assert_int_not_equal(stat(f->path, &st), 0);
    pln_logfile_write(&f->log, PLN_LOG_INFO, "hello");
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_log_line_is_one_line(void **state) {
    log_fixture *f = *state;
    char text[2048];
    pln_logfile_write(&f->log, PLN_LOG_WARN, "one\ntwo\033[31m");
    read_log(f->path, text, sizeof text);
    assert_non_null(strstr(text, "Z warn  one?two?[31m\n"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void a_long_line_is_cut_and_ends(void **state) {
    log_fixture *f = *state;
    char line[4096];
    char text[8192];
    memset(line, '.', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    pln_logfile_write(&f->log, PLN_LOG_INFO, line);
    pln_logfile_write(&f->log, PLN_LOG_INFO, "next");
    read_log(f->path, text, sizeof text);
    assert_true(strlen(text) < 1200);
    assert_non_null(strstr(text, "\n20"));
    assert_non_null(strstr(text, "next\n"));
}

static void a_log_stays_within_its_bound(void **state) {
    log_fixture *f = *state;
    struct stat st;
    char line[512];
    memset(line, '.', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    for (int i = 0; i < 3 * PLN_LOGFILE_BYTES_MAX / 512; i++) {
        pln_logfile_write(&f->log, PLN_LOG_INFO, line);
    }
    assert_int_equal(stat(f->path, &st), 0);
    assert_true(st.st_size <= PLN_LOGFILE_BYTES_MAX);
    assert_int_equal(stat(f->old, &st), 0);
    assert_true(st.st_size <= PLN_LOGFILE_BYTES_MAX);
}

static void a_log_does_not_follow_a_link(void **state) {
    log_fixture *f = *state;
    struct stat st;
    assert_int_equal(symlink(f->old, f->path), 0);
    pln_logfile_write(&f->log, PLN_LOG_INFO, "to nowhere");
    assert_int_not_equal(stat(f->old, &st), 0);
}

/* ---- Health ---------------------------------------------------------------------------------- */

static void health_follows_the_life_of_the_certificate(void **state) {
    static const struct {
        int64_t life_s, left_s;
        bool renewable;
        const char *health;
    } rows[] = {
        {365 * 86400, 30 * 86400 + 1, true, "ok"},
        {365 * 86400, 30 * 86400, true, "renewing"},
        {365 * 86400, 30 * 86400, false, "expiring_soon"},
        {365 * 86400, 7 * 86400, true, "expiring_soon"},
        {365 * 86400, 1, true, "expiring_soon"},
        {365 * 86400, 0, true, "expired"},
        {365 * 86400, -1, true, "expired"},
        {86400, 86400, true, "ok"},
        {86400, 28800, true, "renewing"},
        {86400, 8640, true, "expiring_soon"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const pollen_cert_info cert = {.not_before =
                                           1000 - 60, /* Back-dated by a minute, as every one. */
                                       .not_after = 1000 + rows[i].life_s,
                                       .renewable = rows[i].renewable};
        assert_string_equal(pln_cert_health(&cert, cert.not_after - rows[i].left_s),
                            rows[i].health);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define BOARD(name) cmocka_unit_test_setup_teardown(name, set_up_board, tear_down_board)
#define LOG(name) cmocka_unit_test_setup_teardown(name, set_up_log, tear_down_log)
        BOARD(a_reader_sees_what_is_posted_after_it_came),
        BOARD(a_reader_that_is_overtaken_is_told),
        BOARD(a_closed_board_ends_the_waiting),
        BOARD(a_board_knows_whether_it_is_watched),
        cmocka_unit_test(a_state_that_is_not_known_is_null),
        LOG(a_log_is_made_at_its_first_line),
        LOG(a_log_line_is_one_line),
        LOG(a_long_line_is_cut_and_ends),
        LOG(a_log_stays_within_its_bound),
        LOG(a_log_does_not_follow_a_link),
        cmocka_unit_test(health_follows_the_life_of_the_certificate),
#undef BOARD
#undef LOG
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
