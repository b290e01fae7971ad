/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams through the daemon: who waits for which port, and the copying between a stream and a
 * control connection that carries its bytes.
 */
#ifndef PLN_CMD_STREAMS_H
#define PLN_CMD_STREAMS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <pollen/stream.h>

typedef struct pln_listener {
    uint16_t port;
    pollen_stream *stream; /* The one that came; NULL before. */
    struct pln_listener *next;
} pln_listener;

typedef struct pln_streams {
    pthread_mutex_t lock;   /* Leaf lock; guards the list and what is in it. */
    pthread_cond_t arrived; /* On the monotonic clock. */
    pln_listener *listeners;
} pln_streams;

void pln_streams_init(pln_streams *streams);
void pln_streams_fini(pln_streams *streams);

/* Owner: the listener is the caller's and must stay until it is removed.
 * Errors: POLLEN_EBUSY (somebody waits for this port) */
POLLEN_MUST_USE pollen_err pln_streams_add(pln_streams *streams, pln_listener *listener);

/* Gives back the stream that came, or NULL. */
pollen_stream *pln_streams_remove(pln_streams *streams, pln_listener *listener);

/* Waits up to timeout_ms for a stream.  Errors: POLLEN_ETIMEDOUT */
POLLEN_MUST_USE pollen_err pln_streams_wait(pln_streams *streams, pln_listener *listener,
                                            int timeout_ms);

/* Gives the stream to whoever waits for its port; false: nobody does, and it is still the caller's.
 * */
bool pln_streams_deliver(pln_streams *streams, pollen_stream *stream);

/* Copies both ways until both ended or one failed; each direction is half-closed on its own.
 * Blocks. The stream stays the caller's. */
void pln_streams_relay(pollen_stream *stream, int fd);

#endif
