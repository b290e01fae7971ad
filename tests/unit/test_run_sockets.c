/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets beside the main one, over loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/sockets.h"

enum { WAIT_MS = 10000 };

typedef struct fixture {
    pln_udp main;
    pln_sockets sockets;
    size_t heard;
    pln_path path; /* Of the last datagram. */
} fixture;

static int set_up(void **state) {
    static const pln_hash_key key = {{1}};
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(pln_udp_open(&f->main, 0), POLLEN_OK);
    assert_int_equal(pln_sockets_init(&f->sockets, &f->main, &key), POLLEN_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    pln_sockets_fini(&f->sockets);
    pln_sockets_fini(&f->sockets); /* Twice is fine. */
    pln_udp_close(&f->main);
    free(f);
    return 0;
}

static pollen_addr loopback(uint16_t port) {
    static const uint8_t ip[4] = {127, 0, 0, 1};
    return pln_addr_ipv4(ip, port);
}

static void send_from(fixture *f, uint32_t via, uint16_t port, uint8_t ttl) {
    pln_udp *udp = pln_sockets_find(&f->sockets, via);
    assert_non_null(udp);
    const uint8_t bytes[] = {1, 2, 3};
    const pln_transmit run = {.path = {.via = via, .remote = loopback(port)},
                              .ecn = 2,
                              .ttl = ttl,
                              .size = sizeof(bytes),
                              .segment = sizeof(bytes)};
    size_t offset = 0;
    assert_true(pln_udp_send(udp, &run, bytes, &offset));
    assert_int_equal(udp->lost_sends, 0);
}

static void hear(void *ctx, const pln_datagram *datagram) {
    fixture *f = ctx;
    f->heard++;
    f->path = datagram->path;
}

static void hear_one(fixture *f) {
    const size_t before = f->heard;
    while (f->heard == before) {
        struct pollfd pfd = {.fd = f->sockets.epoll_fd, .events = POLLIN};
        assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
        pln_sockets_recv(&f->sockets, hear, f);
    }
}

static uint16_t open_one(fixture *f, uint32_t via) {
    uint16_t port = 0;
    assert_int_equal(pln_sockets_open(&f->sockets, via, &port), POLLEN_OK);
    assert_true(port != 0);
    return port;
}

static void a_datagram_tells_the_socket_it_came_by(void **state) {
    fixture *f = *state;
    const uint16_t first = open_one(f, 7);
    const uint16_t second = open_one(f, 9);
    send_from(f, 7, second, 0);
    hear_one(f);
    assert_int_equal(f->path.via, 9);
    assert_int_equal(f->path.remote.port, first);
    send_from(f, PLN_VIA_MAIN, first, 0);
    hear_one(f);
    assert_int_equal(f->path.via, 7);
    assert_int_equal(f->path.remote.port, pln_udp_port(&f->main));
}

static void a_closed_one_is_not_found_any_more(void **state) {
    fixture *f = *state;
    open_one(f, 7);
    pln_sockets_close(&f->sockets, 7);
    pln_sockets_close(&f->sockets, 7);
    assert_null(pln_sockets_find(&f->sockets, 7));
    assert_int_equal(f->sockets.count, 0);
    assert_ptr_equal(pln_sockets_find(&f->sockets, PLN_VIA_MAIN), &f->main);
}

static size_t open_fds(void) {
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    size_t count = 0;
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

static void many_come_and_go_without_a_trace(void **state) {
    enum { MANY = 256 };
    fixture *f = *state;
    const size_t before = open_fds();
    for (uint32_t via = 1; via <= MANY; via++) {
        open_one(f, via);
    }
    assert_int_equal(f->sockets.count, MANY);
    for (uint32_t via = 1; via <= MANY; via++) {
        pln_sockets_close(&f->sockets, via);
    }
    assert_int_equal(open_fds(), before);
}

static void without_descriptors_opening_fails_and_nothing_else(void **state) {
    fixture *f = *state;
    open_one(f, 1);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    uint16_t port;
    const pollen_err err = pln_sockets_open(&f->sockets, 2, &port);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(err, POLLEN_ESYS);
    assert_int_equal(f->sockets.count, 1);
    assert_null(pln_sockets_find(&f->sockets, 2));
}

static int hops_of_next(int fd) {
    _Alignas(struct cmsghdr) uint8_t control[64];
    uint8_t byte;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    assert_true(recvmsg(fd, &msg, 0) > 0);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) {
            int hops;
            memcpy(&hops, CMSG_DATA(c), sizeof(hops));
            return hops;
        }
    }
    return -1;
}

static void an_opener_leaves_with_few_hops(void **state) {
    fixture *f = *state;
    open_one(f, 7);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(any);
    const int on = 1;
    const struct timeval wait = {.tv_sec = WAIT_MS / 1000};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &size), 0);
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
    send_from(f, 7, ntohs(any.sin_port), 2);
    assert_int_equal(hops_of_next(fd), 2);
    send_from(f, 7, ntohs(any.sin_port), 0); /* The one after it is as usual. */
    assert_true(hops_of_next(fd) > 2);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_datagram_tells_the_socket_it_came_by),
        TEST(a_closed_one_is_not_found_any_more),
        TEST(many_come_and_go_without_a_trace),
        TEST(without_descriptors_opening_fails_and_nothing_else),
        TEST(an_opener_leaves_with_few_hops),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
