/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: reliable byte streams between two peers, each direction closed on its own (half-close)
 * or reset with a code.  A stream is opened towards a port, a number from 1 to 65535 by which the
 * acceptor tells what the stream is for.
 *
 * Thread: one thread may read while another writes; each direction is for one thread at a time.
 * Lifetime: a stream is a handle of its own: pollen_stream_close() frees it in any state, also
 *         after the mesh has closed, but before pollen_mesh_destroy().
 */
#ifndef POLLEN_STREAM_H
#define POLLEN_STREAM_H

#include <pollen/mesh.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pollen_stream pollen_stream;

/* Codes by which the library itself resets streams; applications use what they like. */
enum {
    POLLEN_STREAM_CLOSED = 0,  /* pollen_stream_close() before the end. */
    POLLEN_STREAM_REFUSED = 1, /* Nobody serves this port, or nobody accepts. */
    POLLEN_STREAM_PROTOCOL = 2 /* No port within five seconds. */
};

/*
 * Waits for a session with the peer, opens a stream on it and announces the port.
 *
 * Owner:  ret_stream is the caller's: pollen_stream_close().
 * Errors: POLLEN_EINVAL (port 0), POLLEN_ETIMEDOUT, POLLEN_ECANCELED, POLLEN_ECLOSED,
 *         POLLEN_ELIMIT, POLLEN_ENOMEM
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_open_stream(pollen_mesh *mesh,
                                                              const pollen_key *peer, uint16_t port,
                                                              int timeout_ms, pollen_cancel *cancel,
                                                              pollen_stream **ret_stream);

/*
 * Waits for a stream that a peer opened.
 *
 * Errors: POLLEN_ETIMEDOUT, POLLEN_ECANCELED, POLLEN_ECLOSED, POLLEN_ENOMEM
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_accept_stream(pollen_mesh *mesh, int timeout_ms,
                                                                pollen_cancel *cancel,
                                                                pollen_stream **ret_stream);

POLLEN_API pollen_key pollen_stream_peer(const pollen_stream *stream);
POLLEN_API uint16_t pollen_stream_port(const pollen_stream *stream);

/*
 * Reads up to size bytes, waiting for at least one; *ret_size is 0 at the end of the peer's side.
 * When the session ends, what had been received is read first.
 *
 * Errors: POLLEN_ERESET     the peer reset it: pollen_stream_reset_code()
 *         POLLEN_ENOTCONN   the session ended
 *         POLLEN_ETIMEDOUT, POLLEN_ECANCELED, POLLEN_ECLOSED
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_stream_read(pollen_stream *stream, void *bytes,
                                                         size_t size, int timeout_ms,
                                                         pollen_cancel *cancel, size_t *ret_size);

/*
 * Writes all of it, waiting for room; on an error *ret_size (may be NULL) bytes had been taken.
 * With size 0 it never waits and only tells whether the stream takes more, from any thread.
 *
 * Errors: POLLEN_ERESET     the peer wants no more: pollen_stream_reset_code()
 *         POLLEN_ECLOSED    after pollen_stream_close_write(), or the mesh closed
 *         POLLEN_ENOTCONN, POLLEN_ETIMEDOUT, POLLEN_ECANCELED, POLLEN_ENOMEM
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_stream_write(pollen_stream *stream, const void *bytes,
                                                          size_t size, int timeout_ms,
                                                          pollen_cancel *cancel, size_t *ret_size);

/* Ends our side; what was written still arrives.  Idempotent. */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_stream_close_write(pollen_stream *stream);

/* Gives up both directions with a code; bytes on the way are dropped.  Idempotent. */
POLLEN_API void pollen_stream_reset(pollen_stream *stream, uint64_t code);

/* The code of the peer's reset; 0 when there was none. */
POLLEN_API uint64_t pollen_stream_reset_code(const pollen_stream *stream);

/* Frees the handle.  What was written is still delivered if the write side was closed; an
 * unfinished side is reset with POLLEN_STREAM_CLOSED.  Accepts NULL. */
POLLEN_API void pollen_stream_close(pollen_stream *stream);

#ifdef __cplusplus
}
#endif

#endif
