/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/streams.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/clock.h"
#include "run/control.h"

enum { RELAY_BYTES = 64 * 1024 };

void pln_streams_init(pln_streams *streams) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&streams->arrived, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&streams->lock, NULL);
    streams->listeners = NULL;
}

void pln_streams_fini(pln_streams *streams) {
    pthread_mutex_destroy(&streams->lock);
    pthread_cond_destroy(&streams->arrived);
}

static pln_listener *find_locked(pln_streams *streams, uint16_t port) {
    pln_listener *at = streams->listeners;
    while (at != NULL && at->port != port) {
        at = at->next;
    }
    return at;
}

pollen_err pln_streams_add(pln_streams *streams, pln_listener *listener) {
    pthread_mutex_lock(&streams->lock);
    const bool taken = find_locked(streams, listener->port) != NULL;
    if (!taken) {
        listener->next = streams->listeners;
        streams->listeners = listener;
    }
    pthread_mutex_unlock(&streams->lock);
    return taken ? POLLEN_EBUSY : POLLEN_OK;
}

pollen_stream *pln_streams_remove(pln_streams *streams, pln_listener *listener) {
    pthread_mutex_lock(&streams->lock);
    pln_listener **at = &streams->listeners;
    while (*at != NULL && *at != listener) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = listener->next;
    }
    pollen_stream *stream = listener->stream;
    listener->stream = NULL;
    pthread_mutex_unlock(&streams->lock);
    return stream;
}

pollen_err pln_streams_wait(pln_streams *streams, pln_listener *listener, int timeout_ms) {
    const struct timespec until = pln_clock_timespec(pln_clock_deadline(timeout_ms));
    pollen_err err = POLLEN_OK;
    pthread_mutex_lock(&streams->lock);
    while (listener->stream == NULL && err == POLLEN_OK) {
        if (pthread_cond_timedwait(&streams->arrived, &streams->lock, &until) != 0) {
            err = POLLEN_ETIMEDOUT;
        }
    }
    if (listener->stream != NULL) {
        err = POLLEN_OK;
    }
    pthread_mutex_unlock(&streams->lock);
    return err;
}

bool pln_streams_deliver(pln_streams *streams, pollen_stream *stream) {
    pthread_mutex_lock(&streams->lock);
    pln_listener *listener = find_locked(streams, pollen_stream_port(stream));
    const bool wanted = listener != NULL && listener->stream == NULL;
    if (wanted) {
        listener->stream = stream;
        pthread_cond_broadcast(&streams->arrived);
    }
    pthread_mutex_unlock(&streams->lock);
    return wanted;
}

/* ---- Copying --------------------------------------------------------------------------------- */

typedef struct relay {
    pollen_stream *stream;
    int fd;
} relay;

/* From the client to the peer.  The end of the client's side becomes the end of ours: whether the
 * client meant it or was killed, the bytes tell (see pipe.h). */
static void *upward(void *arg) {
    relay *r = arg;
    uint8_t bytes[RELAY_BYTES];
    for (;;) {
        const ssize_t got = recv(r->fd, bytes, sizeof bytes, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got == 0) {
            if (pollen_stream_close_write(r->stream) != POLLEN_OK) {
                pollen_stream_reset(r->stream, POLLEN_STREAM_CLOSED);
            }
            return NULL;
        }
        if (got < 0 ||
            pollen_stream_write(r->stream, bytes, (size_t)got, -1, NULL, NULL) != POLLEN_OK) {
            pollen_stream_reset(r->stream, POLLEN_STREAM_CLOSED);
            (void)shutdown(r->fd, SHUT_RDWR);
            return NULL;
        }
    }
}

/* From the peer to the client. */
static void downward(relay *r) {
    uint8_t bytes[RELAY_BYTES];
    for (;;) {
        size_t got;
        const pollen_err err = pollen_stream_read(r->stream, bytes, sizeof bytes, -1, NULL, &got);
        if (err == POLLEN_OK && got == 0) {
            (void)shutdown(r->fd, SHUT_WR);
            return;
        }
        if (err != POLLEN_OK || !pln_send_all(r->fd, bytes, got)) {
            pollen_stream_reset(r->stream, POLLEN_STREAM_CLOSED);
            (void)shutdown(r->fd, SHUT_RDWR);
            return;
        }
    }
}

void pln_streams_relay(pollen_stream *stream, int fd) {
    relay r = {.stream = stream, .fd = fd};
    pthread_t thread;
    if (pthread_create(&thread, NULL, upward, &r) != 0) {
        pollen_stream_reset(stream, POLLEN_STREAM_CLOSED);
        return;
    }
    downward(&r);
    pthread_join(thread, NULL);
}
