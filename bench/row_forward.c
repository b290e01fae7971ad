/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP through a forward of `pln connect` to a port of `pln serve`, against TCP without them: each
 * process has a mesh and its tunnels, the child the server too, this one the client.  Client and
 * server are the same in both cases.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node.h"
#include "pln/tunnels.h"
#include "rows.h"

enum { BLOCK = 64 * 1024, TIMEOUT_MS = 10000, CONNECTS_MAX = 100000 };

/* ---- TCP ------------------------------------------------------------------------------------- */

static struct sockaddr_in loopback(uint16_t port) {
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

static int listen_any(uint16_t *ret_port) {
    struct sockaddr_in addr = loopback(0);
    socklen_t size = sizeof addr;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)(const void *)&addr, size) != 0 ||
        listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)(void *)&addr, &size) != 0) {
        bench_die("listening");
    }
    *ret_port = ntohs(addr.sin_port);
    return fd;
}

static int dial(uint16_t port) {
    const struct sockaddr_in addr = loopback(port);
    const int on = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)(const void *)&addr, sizeof addr) != 0) {
        bench_die("connecting");
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* ---- The server ------------------------------------------------------------------------------ */

/* Answers the first byte, swallows the others, and answers their end with their number. */
static void serve_one(int fd) {
    static uint8_t block[BLOCK];
    uint64_t bytes = 0;
    ssize_t got = recv(fd, block, 1, 0);
    if (got == 1 && send(fd, block, 1, MSG_NOSIGNAL) == 1) {
        while ((got = recv(fd, block, sizeof block, 0)) > 0) {
            bytes += (uint64_t)got;
        }
        (void)send(fd, &bytes, sizeof bytes, MSG_NOSIGNAL); /* The client misses it otherwise. */
    }
    close(fd);
}

static void *serve(void *arg) {
    const int listener = *(const int *)arg;
    for (;;) {
        const int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        serve_one(fd);
    }
}

/* ---- The provider ---------------------------------------------------------------------------- */

typedef struct gate {
    pollen_mesh *mesh;
    pln_tunnels tunnels;
    int listener; /* The forward's. */
} gate;

static void *provide(void *arg) {
    gate *g = arg;
    pollen_stream *stream;
    while (pollen_mesh_accept_stream(g->mesh, -1, NULL, &stream) == POLLEN_OK) {
        const pln_tunnel_job job = {.peer = pollen_stream_peer(stream),
                                    .port = pollen_stream_port(stream),
                                    .stream = stream,
                                    .fd = -1};
        pln_tunnels_start(&g->tunnels, g->mesh, &job);
    }
    return NULL;
}

static void start(pthread_t *thread, void *(*body)(void *), void *arg) {
    errno = pthread_create(thread, NULL, body, arg);
    if (errno != 0) {
        bench_die("thread");
    }
}

static void close_gate(gate *g) {
    pollen_mesh_close(g->mesh);
    pln_tunnels_drain(&g->tunnels);
    pollen_mesh_destroy(g->mesh);
    pln_tunnels_fini(&g->tunnels);
}

static void be_provider(int control, const void *arg) {
    (void)arg;
    gate g = {.mesh = bench_mesh(0, true)};
    pthread_t server, provider;
    uint16_t ports[2] = {pollen_mesh_listen_port(g.mesh)};
    int listener = listen_any(&ports[1]);
    pln_tunnels_init(&g.tunnels, NULL);
    start(&server, serve, &listener);
    start(&provider, provide, &g);
    bench_tell(control, ports, sizeof ports);
    uint8_t word;
    bench_hear(control, &word, sizeof word);
    (void)shutdown(listener, SHUT_RDWR);
    pollen_mesh_close(g.mesh);
    pthread_join(provider, NULL);
    pthread_join(server, NULL);
    close(listener);
    close_gate(&g);
}

/* ---- The forward ----------------------------------------------------------------------------- */

typedef struct forward {
    gate gate;
    uint16_t remote; /* The server's port. */
    uint16_t local;
    pthread_t thread;
    bench_child child;
} forward;

static void *accept_all(void *arg) {
    forward *f = arg;
    for (;;) {
        const int fd = accept4(f->gate.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return NULL;
        }
        const pln_tunnel_job job = {.peer = bench_key(0), .port = f->remote, .fd = fd};
        pln_tunnels_start(&f->gate.tunnels, f->gate.mesh, &job);
    }
}

static void open_forward(forward *f) {
    uint16_t ports[2];
    *f = (forward){.child = bench_fork(be_provider, NULL)};
    bench_hear(f->child.control, ports, sizeof ports);
    f->remote = ports[1];
    f->gate.mesh = bench_mesh(1, true);
    f->gate.listener = listen_any(&f->local);
    pln_tunnels_init(&f->gate.tunnels, NULL);
    bench_connect(f->gate.mesh, 0, ports[0]);
    start(&f->thread, accept_all, f);
}

static void close_forward(forward *f) {
    (void)shutdown(f->gate.listener, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    close(f->gate.listener);
    close_gate(&f->gate);
    bench_stop(f->child.control);
    bench_reap(&f->child);
}

/* ---- Measuring ------------------------------------------------------------------------------- */

/* A connection that the server has answered. */
static int greet(uint16_t port) {
    uint8_t byte = 0;
    const int fd = dial(port);
    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1) {
        bench_die("no answer");
    }
    return fd;
}

/* Bytes per second that the server got. */
static double throughput(uint16_t port, double seconds) {
    static uint8_t block[BLOCK];
    uint64_t bytes = 0;
    const int fd = greet(port);
    const uint64_t from = bench_now_ns();
    const uint64_t end = from + (uint64_t)(seconds * 1e9);
    while (bench_now_ns() < end) {
        if (send(fd, block, sizeof block, MSG_NOSIGNAL) < 0) {
            bench_die("sending");
        }
    }
    /* Until all has arrived: what is still in buffers counts with the time it takes. */
    (void)shutdown(fd, SHUT_WR);
    if (recv(fd, &bytes, sizeof bytes, MSG_WAITALL) != (ssize_t)sizeof bytes) {
        bench_die("no count");
    }
    const double took = (double)(bench_now_ns() - from) / 1e9;
    close(fd);
    return (double)bytes / took;
}

/* Median microseconds from connecting to the first byte of an answer. */
static double latency(uint16_t port, double seconds) {
    double *us = calloc(CONNECTS_MAX, sizeof *us);
    size_t count = 0;
    const uint64_t end = bench_now_ns() + (uint64_t)(seconds * 1e9);
    if (us == NULL) {
        bench_die("memory");
    }
    while (count == 0 || (bench_now_ns() < end && count < CONNECTS_MAX)) {
        const uint64_t from = bench_now_ns();
        const int fd = greet(port);
        us[count++] = (double)(bench_now_ns() - from) / 1e3;
        uint64_t none;
        (void)shutdown(fd, SHUT_WR);
        (void)recv(fd, &none, sizeof none, MSG_WAITALL); /* One after the other. */
        close(fd);
    }
    const double median = bench_percentile(us, count, 50);
    free(us);
    return median;
}

bool bench_row_forward(const bench_options *options, bench_sample *ret) {
    forward f;
    open_forward(&f);
    ret->against = throughput(f.remote, options->seconds) * 8 / 1e9;
    ret->ours = throughput(f.local, options->seconds) * 8 / 1e9;
    close_forward(&f);
    return true;
}

bool bench_row_connect(const bench_options *options, bench_sample *ret) {
    forward f;
    open_forward(&f);
    ret->against = latency(f.remote, options->seconds / 2);
    ret->ours = latency(f.local, options->seconds / 2);
    close_forward(&f);
    return true;
}
