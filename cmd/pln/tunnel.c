/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two threads a tunnel: one waits for TCP (poll) and writes the stream, the other waits for the
 * stream and writes TCP.  A stream has blocking calls alone, and an event loop in between would
 * need threads of its own to wait in them; two with a small stack cost less than a stream's buffers
 * do, and a slow reader holds up nobody but its own direction.  pln_tunnels bounds their number.
 *
 * Whoever waits on one side must hear of the end of the other:
 *   - a failure resets the stream, which ends every call that waits for it, and wakes poll();
 *   - a thread that waits for room looks at the side it is not waiting for once in TICK_MS;
 *   - a thread whose direction has ended watches the connection until the other's has.
 */
#include "pln/tunnel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/clock.h"
#include "run/wake.h"

#define TICK_MS 500
#define DIAL_TIMEOUT_MS 5000       /* On loopback only a full backlog takes any time. */
enum { STACK_BYTES = 256 * 1024 }; /* The copying needs little, a sanitizer more. */

/* ---- Life ------------------------------------------------------------------------------------ */

pollen_err pln_tunnel_init(pln_tunnel *tunnel) {
    *tunnel = (pln_tunnel){.fd = -1, .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    tunnel->up = malloc(PLN_TUNNEL_READ_BYTES);
    tunnel->down = malloc(PLN_TUNNEL_READ_BYTES);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&tunnel->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&tunnel->lock, NULL);
    if (tunnel->wake_fd >= 0 && tunnel->up != NULL && tunnel->down != NULL) {
        return POLLEN_OK;
    }
    pln_tunnel_fini(tunnel);
    return POLLEN_ENOMEM;
}

void pln_tunnel_fini(pln_tunnel *tunnel) {
    pollen_stream_close(tunnel->stream);
    if (tunnel->fd >= 0) {
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        if (tunnel->failed) {
            (void)setsockopt(tunnel->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        }
        close(tunnel->fd);
    }
    if (tunnel->wake_fd >= 0) {
        close(tunnel->wake_fd);
    }
    free(tunnel->up);
    free(tunnel->down);
    pthread_mutex_destroy(&tunnel->lock);
    pthread_cond_destroy(&tunnel->changed);
}

void pln_tunnel_thread_attr(pthread_attr_t *attr) {
    pthread_attr_init(attr);
    (void)pthread_attr_setstacksize(attr, STACK_BYTES); /* Else the default, which is larger. */
}

void pln_tunnel_set_stream(pln_tunnel *tunnel, pollen_stream *stream) {
    pthread_mutex_lock(&tunnel->lock);
    tunnel->stream = stream;
    const bool failed = tunnel->failed;
    const uint64_t code = tunnel->code;
    pthread_mutex_unlock(&tunnel->lock);
    if (failed) {
        pollen_stream_reset(stream, code);
    }
}

void pln_tunnel_set_tcp(pln_tunnel *tunnel, int fd) {
    const int on = 1;
    /* Whole chunks are copied, so waiting for more to send only delays; and whoever vanishes beyond
     * this machine is noticed in the end. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    tunnel->fd = fd;
}

void pln_tunnel_cut(pln_tunnel *tunnel, uint64_t code) {
    pthread_mutex_lock(&tunnel->lock);
    const bool first = !tunnel->failed;
    if (first) {
        tunnel->failed = true;
        tunnel->code = code;
    }
    pollen_stream *stream = tunnel->stream;
    pthread_cond_broadcast(&tunnel->changed);
    pthread_mutex_unlock(&tunnel->lock);
    if (first && stream != NULL) {
        pollen_stream_reset(stream, code);
    }
    pln_wake(tunnel->wake_fd);
}

static bool has_failed(pln_tunnel *tunnel) {
    pthread_mutex_lock(&tunnel->lock);
    const bool failed = tunnel->failed;
    pthread_mutex_unlock(&tunnel->lock);
    return failed;
}

static bool has_sent_end(pln_tunnel *tunnel) {
    pthread_mutex_lock(&tunnel->lock);
    const bool sent = tunnel->sent_end;
    pthread_mutex_unlock(&tunnel->lock);
    return sent;
}

/* ---- The TCP side ---------------------------------------------------------------------------- */

typedef enum readiness { READY, LATE, WOKEN } readiness;

/* Without events it is ready when the connection has hung up. */
static readiness wait_tcp(pln_tunnel *tunnel, short events, int timeout_ms) {
    struct pollfd fds[] = {{.fd = tunnel->fd, .events = events},
                           {.fd = tunnel->wake_fd, .events = POLLIN}};
    int count;
    do {
        count = poll(fds, 2, timeout_ms);
    } while (count < 0 && errno == EINTR);
    return fds[1].revents != 0 ? WOKEN : fds[0].revents != 0 ? READY : LATE;
}

static bool is_aborted(const pln_tunnel *tunnel) {
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(tunnel->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0;
}

static pollen_err dial(pln_tunnel *tunnel, const struct sockaddr *addr, socklen_t size) {
    const int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return POLLEN_EUNREACHABLE;
    }
    pln_tunnel_set_tcp(tunnel, fd);
    readiness ready = READY;
    if (connect(fd, addr, size) != 0) {
        ready = errno == EINPROGRESS ? wait_tcp(tunnel, POLLOUT, DIAL_TIMEOUT_MS) : LATE;
    }
    if (ready == READY && !is_aborted(tunnel)) {
        return POLLEN_OK;
    }
    close(fd);
    tunnel->fd = -1;
    return ready == WOKEN ? POLLEN_ECANCELED : POLLEN_EUNREACHABLE;
}

pollen_err pln_tunnel_dial(pln_tunnel *tunnel, uint16_t port) {
    const struct sockaddr_in four = {.sin_family = AF_INET,
                                     .sin_port = htons(port),
                                     .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    const struct sockaddr_in6 six = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const pollen_err err =
        dial(tunnel, (const struct sockaddr *)(const void *)&four, (socklen_t)sizeof four);
    return err != POLLEN_EUNREACHABLE
               ? err
               : dial(tunnel, (const struct sockaddr *)(const void *)&six, (socklen_t)sizeof six);
}

/* ---- From TCP to the stream ------------------------------------------------------------------ */

/* Waiting for room in the stream hides what becomes of the connection; so look now and then. */
static bool write_stream(pln_tunnel *tunnel, const uint8_t *bytes, size_t size) {
    while (size > 0) {
        size_t taken = 0;
        const pollen_err err =
            pollen_stream_write(tunnel->stream, bytes, size, TICK_MS, NULL, &taken);
        bytes += taken;
        size -= taken;
        if (err != POLLEN_OK && err != POLLEN_ETIMEDOUT) {
            pln_tunnel_cut(tunnel, POLLEN_STREAM_CLOSED);
            return false;
        }
        if (err == POLLEN_ETIMEDOUT && wait_tcp(tunnel, 0, 0) != LATE && is_aborted(tunnel)) {
            pln_tunnel_cut(tunnel, PLN_TUNNEL_ABORTED);
            return false;
        }
    }
    return true;
}

static void end_stream(pln_tunnel *tunnel) {
    pthread_mutex_lock(&tunnel->lock);
    tunnel->sent_end = true;
    pthread_cond_broadcast(&tunnel->changed);
    pthread_mutex_unlock(&tunnel->lock);
    if (pollen_stream_close_write(tunnel->stream) != POLLEN_OK) {
        pln_tunnel_cut(tunnel, POLLEN_STREAM_CLOSED);
        return;
    }
    /* Until the other direction has ended too, which hangs up, or the peer resets it. */
    if (wait_tcp(tunnel, 0, -1) == READY && is_aborted(tunnel)) {
        pln_tunnel_cut(tunnel, PLN_TUNNEL_ABORTED);
    }
}

static void *upward(void *arg) {
    pln_tunnel *tunnel = arg;
    while (wait_tcp(tunnel, POLLIN, -1) != WOKEN) {
        const ssize_t got = recv(tunnel->fd, tunnel->up, PLN_TUNNEL_READ_BYTES, MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (got < 0) {
            pln_tunnel_cut(tunnel, PLN_TUNNEL_ABORTED);
            return NULL;
        }
        if (got == 0) {
            end_stream(tunnel);
            return NULL;
        }
        if (!write_stream(tunnel, tunnel->up, (size_t)got)) {
            return NULL;
        }
    }
    return NULL;
}

/* ---- From the stream to TCP ------------------------------------------------------------------ */

/* Could we write?  Our own end is no failure. */
static bool can_write_stream(pln_tunnel *tunnel) {
    return pollen_stream_write(tunnel->stream, NULL, 0, 0, NULL, NULL) == POLLEN_OK ||
           has_sent_end(tunnel);
}

static bool is_stream_alive(pln_tunnel *tunnel) {
    size_t none;
    uint8_t byte;
    const pollen_err err = pollen_stream_read(tunnel->stream, &byte, 0, 0, NULL, &none);
    return (err == POLLEN_OK || err == POLLEN_ETIMEDOUT) && can_write_stream(tunnel);
}

static bool write_tcp(pln_tunnel *tunnel, const uint8_t *bytes, size_t size) {
    while (size > 0) {
        const ssize_t sent = send(tunnel->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) {
            bytes += sent;
            size -= (size_t)sent;
            continue;
        }
        if (errno != EINTR && errno != EAGAIN) {
            pln_tunnel_cut(tunnel, PLN_TUNNEL_ABORTED);
            return false;
        }
        const readiness ready = wait_tcp(tunnel, POLLOUT, TICK_MS);
        if (ready == LATE && !is_stream_alive(tunnel)) {
            pln_tunnel_cut(tunnel, POLLEN_STREAM_CLOSED);
        }
        if (ready == WOKEN) {
            return false;
        }
    }
    return true;
}

/* The peer's side has ended; until ours has, the stream can still fail, and nobody else may be
 * looking. */
static void watch_stream(pln_tunnel *tunnel) {
    pthread_mutex_lock(&tunnel->lock);
    while (!tunnel->failed && !tunnel->sent_end) {
        const struct timespec until = pln_clock_timespec(pln_clock_deadline(TICK_MS));
        if (pthread_cond_timedwait(&tunnel->changed, &tunnel->lock, &until) != ETIMEDOUT) {
            continue;
        }
        pthread_mutex_unlock(&tunnel->lock);
        if (!can_write_stream(tunnel)) {
            pln_tunnel_cut(tunnel, POLLEN_STREAM_CLOSED);
        }
        pthread_mutex_lock(&tunnel->lock);
    }
    pthread_mutex_unlock(&tunnel->lock);
}

static void *downward(void *arg) {
    pln_tunnel *tunnel = arg;
    size_t got = 0;
    do {
        const pollen_err err =
            pollen_stream_read(tunnel->stream, tunnel->down, PLN_TUNNEL_READ_BYTES, -1, NULL, &got);
        if (err != POLLEN_OK) {
            pln_tunnel_cut(tunnel, POLLEN_STREAM_CLOSED);
            return NULL;
        }
        if (!write_tcp(tunnel, tunnel->down, got)) {
            return NULL;
        }
    } while (got > 0);
    (void)shutdown(tunnel->fd, SHUT_WR); /* It may be reset by now, which the other thread sees. */
    watch_stream(tunnel);
    return NULL;
}

/* ---- Both ------------------------------------------------------------------------------------ */

bool pln_tunnel_run(pln_tunnel *tunnel, bool tcp_begins) {
    pthread_attr_t attr;
    pthread_t thread;
    pln_tunnel_thread_attr(&attr);
    const int error = pthread_create(&thread, &attr, tcp_begins ? downward : upward, tunnel);
    pthread_attr_destroy(&attr);
    if (error != 0) {
        pln_tunnel_cut(tunnel, PLN_TUNNEL_FULL);
        return false;
    }
    (void)(tcp_begins ? upward : downward)(tunnel);
    pthread_join(thread, NULL);
    return !has_failed(tunnel);
}
