/* SPDX-License-Identifier: Apache-2.0 */
/* The pipe's protocol over a socket pair: complete means complete, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pln/pipe.h"

/* ---- A channel over a socket ----------------------------------------------------------------- */

static pollen_err sock_read(void *ctx, void *bytes, size_t size, size_t *ret_size) {
    const ssize_t got = recv(*(int *)ctx, bytes, size, 0);
    *ret_size = got > 0 ? (size_t)got : 0;
    return got >= 0 ? POLLEN_OK : POLLEN_ENOTCONN;
}

static pollen_err sock_write(void *ctx, const void *bytes, size_t size) {
    const char *at = bytes;
    while (size > 0) {
        const ssize_t sent = send(*(int *)ctx, at, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return POLLEN_ENOTCONN;
        }
        at += sent;
        size -= (size_t)sent;
    }
    return POLLEN_OK;
}

static void sock_close_write(void *ctx) {
    (void)shutdown(*(int *)ctx, SHUT_WR);
}

static void sock_reset(void *ctx) {
    (void)shutdown(*(int *)ctx, SHUT_RDWR);
}

/* ---- One side -------------------------------------------------------------------------------- */

typedef struct side {
    int socket;
    int in_fd;
    int out_fd;
    int stop_fd;
    bool is_opener;
    pln_pipe_result result;
    pthread_t thread;
} side;

static void *run_side(void *arg) {
    side *s = arg;
    const pln_channel channel = {sock_read, sock_write, sock_close_write, sock_reset, &s->socket};
    const pln_pipe_options options = {
        .in_fd = s->in_fd, .out_fd = s->out_fd, .is_opener = s->is_opener, .stop_fd = s->stop_fd};
    s->result = pln_pipe_run(&channel, &options);
    return NULL;
}

/* Two sides with empty input and output files; the tests put in what they need. */
typedef struct fixture {
    side opener, acceptor;
} fixture;

static int file(void) {
    const int fd = memfd_create("pipe", 0);
    assert_true(fd >= 0);
    return fd;
}

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    int fds[2];
    assert_non_null(f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    f->opener = (side){.socket = fds[0], .in_fd = file(), .out_fd = file(), .is_opener = true};
    f->acceptor = (side){.socket = fds[1], .in_fd = file(), .out_fd = file()};
    f->opener.stop_fd = eventfd(0, 0);
    f->acceptor.stop_fd = eventfd(0, 0);
    *state = f;
    return 0;
}

static void close_side(side *s) {
    close(s->socket);
    if (s->in_fd >= 0) {
        close(s->in_fd);
    }
    close(s->out_fd);
    close(s->stop_fd);
}

static int tear_down(void **state) {
    fixture *f = *state;
    close_side(&f->opener);
    close_side(&f->acceptor);
    free(f);
    return 0;
}

static void start(side *s) {
    assert_int_equal(pthread_create(&s->thread, NULL, run_side, s), 0);
}

static void join(side *s) {
    assert_int_equal(pthread_join(s->thread, NULL), 0);
}

static void run_both(fixture *f) {
    start(&f->acceptor);
    start(&f->opener);
    join(&f->opener);
    join(&f->acceptor);
}

static void fill(int fd, const void *bytes, size_t size) {
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
}

static void assert_content(int fd, const void *bytes, size_t size) {
    char *content = malloc(size + 1);
    assert_non_null(content);
    assert_int_equal(pread(fd, content, size + 1, 0), size);
    assert_memory_equal(content, bytes, size);
    free(content);
}

/* ---- Complete -------------------------------------------------------------------------------- */

static void nothing_both_ways_is_complete(void **state) {
    fixture *f = *state;
    run_both(f);
    assert_int_equal(f->opener.result.end, PLN_PIPE_COMPLETE);
    assert_int_equal(f->acceptor.result.end, PLN_PIPE_COMPLETE);
}

static void both_ways_arrive_bit_for_bit(void **state) {
    fixture *f = *state;
    const size_t size = 3 * PLN_PIPE_DATA_MAX + 17;
    uint8_t *up = malloc(size);
    assert_non_null(up);
    for (size_t i = 0; i < size; i++) {
        up[i] = (uint8_t)(i * 131 >> 3);
    }
    fill(f->opener.in_fd, up, size);
    fill(f->acceptor.in_fd, "answer", 6);
    run_both(f);
    assert_int_equal(f->opener.result.end, PLN_PIPE_COMPLETE);
    assert_int_equal(f->acceptor.result.end, PLN_PIPE_COMPLETE);
    assert_content(f->acceptor.out_fd, up, size);
    assert_content(f->opener.out_fd, "answer", 6);
    assert_int_equal(f->opener.result.bytes_sent, size);
    assert_int_equal(f->acceptor.result.bytes_received, size);
    free(up);
}

static void one_direction_goes_on_after_the_other_ended(void **state) {
    fixture *f = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    close(f->opener.in_fd);
    f->opener.in_fd = fds[0];
    fill(f->acceptor.in_fd, "early", 5);
    start(&f->acceptor);
    start(&f->opener);
    /* The acceptor's side is at its end long before this is written. */
    assert_int_equal(write(fds[1], "late", 4), 4);
    close(fds[1]);
    join(&f->opener);
    join(&f->acceptor);
    assert_int_equal(f->acceptor.result.end, PLN_PIPE_COMPLETE);
    assert_content(f->acceptor.out_fd, "late", 4);
    assert_content(f->opener.out_fd, "early", 5);
}

static void a_side_without_input_only_receives(void **state) {
    fixture *f = *state;
    close(f->acceptor.in_fd);
    f->acceptor.in_fd = -1;
    fill(f->opener.in_fd, "data", 4);
    run_both(f);
    assert_int_equal(f->acceptor.result.end, PLN_PIPE_COMPLETE);
    assert_content(f->acceptor.out_fd, "data", 4);
}

/* ---- Not complete ---------------------------------------------------------------------------- */

/* The test plays the opener by hand. */
static void talk(fixture *f, const void *bytes, size_t size) {
    start(&f->acceptor);
    assert_int_equal(send(f->opener.socket, bytes, size, MSG_NOSIGNAL), size);
    assert_int_equal(shutdown(f->opener.socket, SHUT_WR), 0);
    join(&f->acceptor);
}

static void an_end_without_end_frame_is_a_cut(void **state) {
    static const uint8_t bytes[] = {1, 0, 0, 1, 1, 2, 0, 0, 2, 'h', 'i'};
    fixture *f = *state;
    talk(f, bytes, sizeof bytes);
    assert_int_equal(f->acceptor.result.end, PLN_PIPE_CUT);
    assert_content(f->acceptor.out_fd, "hi", 2);
}

static void an_end_inside_a_frame_is_a_cut(void **state) {
    static const uint8_t bytes[] = {1, 0, 0, 1, 1, 2, 0, 0, 9, 'h', 'i'};
    fixture *f = *state;
    talk(f, bytes, sizeof bytes);
    assert_int_equal(f->acceptor.result.end, PLN_PIPE_CUT);
}

static void an_end_without_done_is_a_cut(void **state) {
    static const uint8_t bytes[] = {1, 0, 0, 1, 1, 3, 0, 0, 0};
    fixture *f = *state;
    talk(f, bytes, sizeof bytes);
    assert_int_equal(f->acceptor.result.end, PLN_PIPE_CUT);
}

static void another_version_is_told_apart(void **state) {
    static const uint8_t bytes[] = {1, 0, 0, 1, 2};
    fixture *f = *state;
    talk(f, bytes, sizeof bytes);
    assert_int_equal(f->acceptor.result.end, PLN_PIPE_VERSION_OTHER);
}

static void frames_out_of_order_are_refused(void **state) {
    static const struct {
        uint8_t bytes[24];
        size_t size;
    } rows[] = {
        {{2, 0, 0, 1, 'x'}, 5},                             /* DATA before HELLO */
        {{3, 0, 0, 0}, 4},                                  /* END before HELLO */
        {{1, 0, 0, 1, 1, 1, 0, 0, 1, 1}, 10},               /* HELLO twice */
        {{1, 0, 0, 2, 1, 1}, 6},                            /* HELLO too long */
        {{1, 0, 0, 1, 1, 2, 0, 0, 0}, 9},                   /* DATA without data */
        {{1, 0, 0, 1, 1, 2, 1, 0, 1}, 9},                   /* DATA too long */
        {{1, 0, 0, 1, 1, 2, 0xff, 0xff, 0xff}, 9},          /* the same */
        {{1, 0, 0, 1, 1, 3, 0, 0, 0, 2, 0, 0, 1, 'x'}, 14}, /* DATA after END */
        {{1, 0, 0, 1, 1, 3, 0, 0, 0, 3, 0, 0, 0}, 13},      /* END twice */
        {{1, 0, 0, 1, 1, 5, 0, 0, 0}, 9},                   /* unknown */
        {{0, 0, 0, 0}, 4},                                  /* unknown */
        {{'G', 'E', 'T', ' ', '/'}, 5},                     /* another protocol */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture *f;
        assert_int_equal(set_up((void **)&f), 0);
        talk(f, rows[i].bytes, rows[i].size);
        assert_int_equal(f->acceptor.result.end, PLN_PIPE_PROTO);
        tear_down((void **)&f);
    }
    (void)state;
}

static void done_before_we_ended_is_refused(void **state) {
    static const uint8_t bytes[] = {1, 0, 0, 1, 1, 4, 0, 0, 0};
    fixture *f = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    close(f->acceptor.in_fd);
    f->acceptor.in_fd = fds[0]; /* Stays open: our END has not been sent. */
    talk(f, bytes, sizeof bytes);
    assert_int_equal(f->acceptor.result.end, PLN_PIPE_PROTO);
    close(fds[1]);
}

static void an_output_that_fails_is_told_and_cuts_the_other_side(void **state) {
    fixture *f = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    close(f->acceptor.out_fd);
    f->acceptor.out_fd = fds[1];
    fill(f->opener.in_fd, "data", 4);
    run_both(f);
    assert_int_equal(f->acceptor.result.end, PLN_PIPE_OUTPUT);
    assert_int_equal(f->opener.result.end, PLN_PIPE_CUT);
}

static void a_stop_ends_a_side_that_waits_for_input(void **state) {
    fixture *f = *state;
    const uint64_t one = 1;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    close(f->opener.in_fd);
    f->opener.in_fd = fds[0];
    start(&f->acceptor);
    start(&f->opener);
    assert_int_equal(write(f->opener.stop_fd, &one, sizeof one), sizeof one);
    join(&f->opener);
    join(&f->acceptor);
    assert_int_equal(f->opener.result.end, PLN_PIPE_STOPPED);
    assert_int_equal(f->acceptor.result.end, PLN_PIPE_CUT);
    close(fds[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(nothing_both_ways_is_complete),
        TEST(both_ways_arrive_bit_for_bit),
        TEST(one_direction_goes_on_after_the_other_ended),
        TEST(a_side_without_input_only_receives),
        TEST(an_end_without_end_frame_is_a_cut),
        TEST(an_end_inside_a_frame_is_a_cut),
        TEST(an_end_without_done_is_a_cut),
        TEST(another_version_is_told_apart),
        cmocka_unit_test(frames_out_of_order_are_refused),
        TEST(done_before_we_ended_is_refused),
        TEST(an_output_that_fails_is_told_and_cuts_the_other_side),
        TEST(a_stop_ends_a_side_that_waits_for_input),
#undef TEST
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
