/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tunnel: one TCP connection and one stream, whose bytes are copied both ways.
 *
 * Each direction ends on its own (half-close).  What is no orderly end on one side is none on the
 * other: a TCP reset becomes a reset of the stream, and a stream that was reset, or lost its
 * session, becomes a TCP reset, so that nobody takes half of something for the whole.
 *
 * Threads: pln_tunnel_run() works with a second thread, because a stream is waited for by blocking
 *          calls; pln_tunnel_cut() comes from any.
 */
#ifndef PLN_CMD_TUNNEL_H
#define PLN_CMD_TUNNEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <pollen/stream.h>

/* Read at once.  Two of them are what a tunnel buffers; the rest is TCP's and the stream's. */
enum { PLN_TUNNEL_READ_BYTES = 64 * 1024 };

/* Codes with which the streams of tunnels are reset, beside those of pollen/stream.h. */
enum {
    PLN_TUNNEL_UNAVAILABLE = 0x71, /* Nothing accepts TCP connections at the port that is served. */
    PLN_TUNNEL_ABORTED = 0x72,     /* The TCP connection was reset. */
    PLN_TUNNEL_FULL = 0x73,        /* The provider has as many connections as it takes. */
    PLN_TUNNEL_WITHDRAWN = 0x74,   /* The port is not served any more. */
};

typedef struct pln_tunnel {
    int fd;                 /* TCP; -1 while there is none. */
    int wake_fd;            /* Readable: give up. */
    pthread_mutex_t lock;   /* Leaf lock. */
    pthread_cond_t changed; /* On the monotonic clock. */
    pollen_stream *stream;  /* guarded by lock until it is set; NULL before */
    bool failed;            /* guarded by lock */
    bool sent_end;          /* guarded by lock: the stream's side of the TCP peer has ended */
    uint64_t code;          /* guarded by lock: of a failure */
    uint8_t *up;            /* PLN_TUNNEL_READ_BYTES, from TCP to the stream */
    uint8_t *down;
} pln_tunnel;

/* Errors: POLLEN_ENOMEM (memory or descriptors) */
POLLEN_MUST_USE pollen_err pln_tunnel_init(pln_tunnel *tunnel);

/* Closes both; TCP by a reset when the tunnel failed. */
void pln_tunnel_fini(pln_tunnel *tunnel);

/* Owner: takes the stream, also when it was cut meanwhile and so resets it. */
void pln_tunnel_set_stream(pln_tunnel *tunnel, pollen_stream *stream);

/* Owner: takes the descriptor and sets it up; before pln_tunnel_run(). */
void pln_tunnel_set_tcp(pln_tunnel *tunnel, int fd);

/*
 * Connects to this port of this machine, 127.0.0.1 and then ::1.
 *
 * Errors: POLLEN_EUNREACHABLE (nobody listens), POLLEN_ECANCELED (cut)
 */
POLLEN_MUST_USE pollen_err pln_tunnel_dial(pln_tunnel *tunnel, uint16_t port);

/* Copies until both directions have ended (true) or one failed.  tcp_begins: that side is likely to
 * speak first, and does not wait for the second thread. */
bool pln_tunnel_run(pln_tunnel *tunnel, bool tcp_begins);

/* Ends it at once, now or when it starts; the stream is reset with this code.  Idempotent. */
void pln_tunnel_cut(pln_tunnel *tunnel, uint64_t code);

/* Attributes of a thread that runs tunnels: a small stack.  Owner: pthread_attr_destroy(). */
void pln_tunnel_thread_attr(pthread_attr_t *attr);

#endif
