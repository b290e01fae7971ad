/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket, from both sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <pollen/admission.h>

#include "run/control.h"

#define WAIT_MS 10000

typedef struct fixture {
    char dir[64];
    char path[80];
    pln_control *control;
    atomic_int calls;
    atomic_bool saw_client_leave;
} fixture;

/* "echo x" answers x, "raw" turns to raw bytes, "wait" waits until the client is gone. */
static void handle(void *ctx, pln_control_client *client, const char *line) {
    fixture *f = ctx;
    atomic_fetch_add(&f->calls, 1);
    if (strcmp(line, "wait") == 0) {
        while (!pln_control_client_gone(client)) {
            (void)poll(NULL, 0, 1);
        }
        atomic_store(&f->saw_client_leave, true);
    } else if (strcmp(line, "raw") == 0) {
        char bytes[16];
        assert_int_equal(pln_control_reply(client, "go on", 5), POLLEN_OK);
        const int fd = pln_control_client_fd(client);
        const ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        assert_int_equal(send(fd, bytes, (size_t)got, MSG_NOSIGNAL), got);
    } else if (strcmp(line, "flood") == 0) {
        static const char page[4096] = "";
        while (pln_control_reply(client, page, sizeof page) == POLLEN_OK) {
        }
    } else {
        const pollen_err err = pln_control_reply(client, line, strlen(line));
        assert_true(err == POLLEN_OK || err == POLLEN_ECLOSED);
    }
}

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    snprintf(f->dir, sizeof f->dir, "/tmp/pollen-control-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/pln.sock", f->dir);
    assert_int_equal(pln_control_start(f->path, handle, f, &f->control), POLLEN_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    pln_control_stop(f->control);
    assert_int_equal(rmdir(f->dir), 0); /* The socket is gone. */
    free(f);
    return 0;
}

static int dial(const fixture *f) {
    int fd = -1;
    assert_int_equal(pln_control_connect(f->path, &fd), POLLEN_OK);
    return fd;
}

static void say(int fd, const char *text) {
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads exactly as many bytes as expected. */
static void hear(int fd, const char *expected) {
    char bytes[256];
    size_t used = 0;
    while (used < strlen(expected)) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
        const ssize_t got = recv(fd, bytes + used, strlen(expected) - used, 0);
        assert_true(got > 0);
        used += (size_t)got;
    }
    assert_memory_equal(bytes, expected, used);
}

static void hear_end(int fd) {
    char byte;
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
    assert_true(recv(fd, &byte, 1, 0) <= 0);
}

static void every_line_gets_its_answer(void **state) {
    const int fd = dial(*state);
    say(fd, "one\ntwo\nthr");
    hear(fd, "one\ntwo\n");
    say(fd, "ee\n");
    hear(fd, "three\n");
    close(fd);
}

static void the_socket_is_for_its_owner_alone(void **state) {
    const fixture *f = *state;
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_line_that_is_too_long_ends_the_connection(void **state) {
    fixture *f = *state;
    const int fd = dial(f);
    char *line = malloc(PLN_CONTROL_LINE_MAX + 1);
    assert_non_null(line);
    memset(line, 'x', PLN_CONTROL_LINE_MAX);
    line[PLN_CONTROL_LINE_MAX] = '\0';
    say(fd, line);
    hear_end(fd);
    assert_int_equal(atomic_load(&f->calls), 0);
    free(line);
    close(fd);
}

static void the_longest_line_is_served(void **state) {
    fixture *f = *state;
    const int fd = dial(f);
    char *line = malloc(PLN_CONTROL_LINE_MAX + 1);
    assert_non_null(line);
    memset(line, 'x', PLN_CONTROL_LINE_MAX);
    line[PLN_CONTROL_LINE_MAX - 1] = '\n';
    line[PLN_CONTROL_LINE_MAX] = '\0';
    say(fd, line);
    hear(fd, "xxx");
    free(line);
    close(fd);
}

static void a_client_that_never_reads_holds_up_nobody(void **state) {
    fixture *f = *state;
    const int deaf = dial(f);
    const int other = dial(f);
    say(deaf, "flood\n");
    say(other, "hello\n");
    hear(other, "hello\n");
    close(deaf);
    close(other);
}

static void a_handler_sees_that_its_client_left(void **state) {
    fixture *f = *state;
    const int fd = dial(f);
    say(fd, "wait\n");
    close(fd);
    for (int i = 0; i < WAIT_MS && !atomic_load(&f->saw_client_leave); i++) {
        (void)poll(NULL, 0, 1);
    }
    assert_true(atomic_load(&f->saw_client_leave));
}

static void stop_ends_a_handler_that_waits(void **state) {
    fixture *f = *state;
    const int fd = dial(f);
    say(fd, "wait\n");
    while (atomic_load(&f->calls) == 0) {
        (void)poll(NULL, 0, 1);
    }
    pln_control_stop(f->control);
    f->control = NULL;
    hear_end(fd);
    close(fd);
}

static void a_handler_may_go_on_with_raw_bytes(void **state) {
    const int fd = dial(*state);
    say(fd, "raw\n");
    hear(fd, "go on\n");
    say(fd, "no newline");
    hear(fd, "no newline");
    close(fd);
}

static void one_client_too_many_is_turned_away_and_then_served(void **state) {
    const fixture *f = *state;
    int fds[PLN_CONTROL_CLIENTS_MAX];
    for (int i = 0; i < PLN_CONTROL_CLIENTS_MAX; i++) {
        fds[i] = dial(f);
        say(fds[i], "x\n");
        hear(fds[i], "x\n");
    }
    const int extra = dial(f);
    hear_end(extra);
    close(extra);
    close(fds[0]);
    for (int i = 0; i < WAIT_MS; i++) {
        char byte = 0;
        const int again = dial(f);
        const bool sent = send(again, "y\n", 2, MSG_NOSIGNAL) == 2;
        const bool served = sent && recv(again, &byte, 1, 0) == 1 && byte == 'y';
        close(again);
        if (served) {
            break;
        }
        assert_true(i + 1 < WAIT_MS);
    }
    for (int i = 1; i < PLN_CONTROL_CLIENTS_MAX; i++) {
        close(fds[i]);
    }
}

static void a_live_socket_is_not_taken_over(void **state) {
    const fixture *f = *state;
    pln_control *second = NULL;
    assert_int_equal(pln_control_start(f->path, handle, NULL, &second), POLLEN_EBUSY);
    assert_null(second);
    close(dial(f));
}

static void a_stale_socket_is_replaced(void **state) {
    fixture *f = *state;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    pln_control_stop(f->control);
    memcpy(addr.sun_path, f->path, strlen(f->path));
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    close(fd); /* The file stays, as after a crash. */
    assert_int_equal(pln_control_start(f->path, handle, f, &f->control), POLLEN_OK);
    const int client = dial(f);
    say(client, "alive\n");
    hear(client, "alive\n");
    close(client);
}

static void what_is_no_socket_stays(void **state) {
    fixture *f = *state;
    pln_control_stop(f->control);
    f->control = NULL;
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    fclose(file);
    pln_control *control = NULL;
    assert_int_equal(pln_control_start(f->path, handle, f, &control), POLLEN_ESYS);
    assert_non_null(strstr(pollen_last_error(), "not a socket"));
    assert_int_equal(unlink(f->path), 0);
}

static void nobody_at_the_path_is_told_apart(void **state) {
    int fd = -1;
    (void)state;
    assert_int_equal(pln_control_connect("/nonexistent/pln.sock", &fd), POLLEN_EUNREACHABLE);
    assert_int_equal(fd, -1);
}

static void a_path_too_long_for_a_socket_is_refused(void **state) {
    char path[200];
    int fd = -1;
    pln_control *control = NULL;
    (void)state;
    memset(path, 'p', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    assert_int_equal(pln_control_connect(path, &fd), POLLEN_EINVAL);
    assert_int_equal(pln_control_start(path, handle, NULL, &control), POLLEN_EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(every_line_gets_its_answer),
        TEST(the_socket_is_for_its_owner_alone),
        TEST(a_line_that_is_too_long_ends_the_connection),
        TEST(the_longest_line_is_served),
        TEST(a_client_that_never_reads_holds_up_nobody),
        TEST(a_handler_sees_that_its_client_left),
        TEST(stop_ends_a_handler_that_waits),
        TEST(a_handler_may_go_on_with_raw_bytes),
        TEST(one_client_too_many_is_turned_away_and_then_served),
        TEST(a_live_socket_is_not_taken_over),
        TEST(a_stale_socket_is_replaced),
        TEST(what_is_no_socket_stays),
        cmocka_unit_test(nobody_at_the_path_is_told_apart),
        cmocka_unit_test(a_path_too_long_for_a_socket_is_refused),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
