/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw UDP on loopback with what the kernel offers: the most that any transport above it could
 * reach.  The sockets are of the kind a node has: dual-stack, one for all peers, so neither
 * connected nor bound to an address.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum { BATCH_BYTES = 64000, BUFFER_BYTES = 65536, SOCKET_BYTES = 8 << 20 };

/* *addr: where others reach it, by IPv4. */
static int open_socket(struct sockaddr_in6 *addr) {
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int off = 0, bytes = SOCKET_BYTES;
    *addr = (struct sockaddr_in6){.sin6_family = AF_INET6};
    socklen_t size = sizeof *addr;
    if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0 ||
        bind(fd, (struct sockaddr *)addr, sizeof *addr) != 0 ||
        getsockname(fd, (struct sockaddr *)addr, &size) != 0 ||
        inet_pton(AF_INET6, "::ffff:127.0.0.1", &addr->sin6_addr) != 1) {
        bench_die("udp socket");
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return fd;
}

/* Tells its port, counts until the parent speaks, tells the count. */
static void count_bytes(int control, const void *arg) {
    (void)arg;
    struct sockaddr_in6 addr;
    const int fd = open_socket(&addr);
    const int on = 1;
    (void)setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);
    bench_tell(control, &addr, sizeof addr);
    static uint8_t buffer[BUFFER_BYTES];
    uint64_t bytes = 0, turns = 0;
    while (turns++ % 256 != 0 || !bench_stopped(control)) {
        const ssize_t size = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        bytes += size > 0 ? (uint64_t)size : 0;
    }
    bench_tell(control, &bytes, sizeof bytes);
    close(fd);
}

static bool send_batches(int fd, struct sockaddr_in6 *to, size_t segment, double seconds) {
    static uint8_t buffer[BATCH_BYTES];
    const uint16_t gso = (uint16_t)segment;
    char space[CMSG_SPACE(sizeof gso)] = {0};
    struct iovec iov = {.iov_base = buffer, .iov_len = BATCH_BYTES / segment * segment};
    struct msghdr msg = {.msg_name = to,
                         .msg_namelen = sizeof *to,
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = space,
                         .msg_controllen = sizeof space};
    struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
    header->cmsg_level = SOL_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof gso);
    memcpy(CMSG_DATA(header), &gso, sizeof gso);
    const uint64_t end = bench_now_ns() + (uint64_t)(seconds * 1e9);
    while (bench_now_ns() < end) {
        if (sendmsg(fd, &msg, 0) < 0) {
            return false; /* No GSO on this kernel. */
        }
    }
    return true;
}

bool bench_udp_throughput(size_t segment, double seconds, double *ret_bytes_per_second) {
    bench_child child = bench_fork(count_bytes, NULL);
    struct sockaddr_in6 to, from;
    bench_hear(child.control, &to, sizeof to);
    const int fd = open_socket(&from);
    const bool sent = send_batches(fd, &to, segment, seconds);
    bench_stop(child.control);
    uint64_t bytes = 0;
    bench_hear(child.control, &bytes, sizeof bytes);
    close(fd);
    bench_reap(&child);
    *ret_bytes_per_second = (double)bytes / seconds;
    return sent;
}

static void reflect(int control, const void *arg) {
    (void)arg;
    struct sockaddr_in6 addr, from;
    const int fd = open_socket(&addr);
    bench_tell(control, &addr, sizeof addr);
    uint8_t buffer[2048];
    uint64_t turns = 0;
    while (turns++ % 1024 != 0 || !bench_stopped(control)) {
        socklen_t from_size = sizeof from;
        const ssize_t size =
            recvfrom(fd, buffer, sizeof buffer, MSG_DONTWAIT, (struct sockaddr *)&from, &from_size);
        if (size > 0) {
            (void)sendto(fd, buffer, (size_t)size, 0, (struct sockaddr *)&from, from_size);
        }
    }
    close(fd);
}

bool bench_udp_round_trip(size_t size, double seconds, double *ret_ns) {
    enum { SAMPLES_MAX = 200000 };
    static double samples[SAMPLES_MAX];
    bench_child child = bench_fork(reflect, NULL);
    struct sockaddr_in6 to, from;
    bench_hear(child.control, &to, sizeof to);
    const int fd = open_socket(&from);
    uint8_t buffer[2048] = {0};
    size_t count = 0;
    const uint64_t end = bench_now_ns() + (uint64_t)(seconds * 1e9);
    for (uint64_t now = bench_now_ns(); now < end && count < SAMPLES_MAX;) {
        (void)sendto(fd, buffer, size, 0, (struct sockaddr *)&to, sizeof to);
        while (recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) < 0 && bench_now_ns() < end) {
        }
        const uint64_t done = bench_now_ns();
        samples[count++] = (double)(done - now);
        now = done;
    }
    bench_stop(child.control);
    close(fd);
    bench_reap(&child);
    *ret_ns = bench_percentile(samples, count, 50);
    return count > 0;
}
