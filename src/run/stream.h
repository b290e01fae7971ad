/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream between a caller and the loop: two bounded queues of chunks, which change hands by
 * pointer.
 *
 * Reading: the loop fills rx up to RX_HIGH bytes and then leaves the rest with the core, so that
 *          the peer runs out of credit; the reader takes the whole queue at once and has it to
 *          itself.  When the session ends, what the core still holds is moved as well: it was
 *          received, and is read before the end.
 * Writing: the writer fills tx while that and what the core has not yet had acknowledged are below
 *          PLN_STREAM_SEND_HIGH; the loop hands all of it on.
 *
 * Both sides tell the loop "look at this stream" by one embedded command, queued at most once.
 */
#ifndef PLN_RUN_STREAM_H
#define PLN_RUN_STREAM_H

#include <pollen/stream.h>

#include <stdatomic.h>

#include "base/chunk.h"
#include "base/hash.h"
#include "mesh/mesh.h"
#include "run/cmdq.h"
#include "run/wait.h"

struct pollen_stream {
    pln_cmd cmd;
    atomic_bool cmd_queued;
    atomic_int refs; /* The handle, the loop's table, the queued command. */
    pollen_mesh *mesh;
    pln_stream_id id; /* fixed before the handle is given out, like peer and port */
    pollen_key peer;
    uint16_t port;
    /* the loop's alone */
    UT_hash_handle hh;
    bool known; /* In the loop's table. */
    bool fin_sent, reset_sent, stop_sent;
    size_t left; /* Of the bytes in rx when the session ended, what is beyond the usual. */
    /* guarded by monitor */
    pln_monitor monitor;
    pln_chunkq rx;
    bool rx_end;   /* Nothing follows what is in rx. */
    bool rx_stuck; /* The loop stopped pulling because rx is full. */
    pollen_err rx_err;
    pln_chunkq tx;
    bool fin; /* Our side ends behind tx. */
    size_t unacked;
    pollen_err tx_err;
    bool want_reset, want_stop;
    uint64_t want_code;
    uint64_t reset_code; /* The peer's. */
    bool detached;       /* The handle was given back. */
    /* the reading thread's alone */
    pln_chunkq reading;
};

pollen_stream *pln_stream_create(pollen_mesh *mesh); /* One reference; NULL without memory. */
void pln_stream_unref(pollen_stream *stream);
void pln_stream_kick(pollen_stream *stream); /* Any thread: "look at this stream". */

/* ---- The loop's side ------------------------------------------------------------------------- */

/* Enters the stream into the loop's table, which takes a reference.  Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_stream_attach(pollen_stream *stream, pln_stream_id id,
                                             const pollen_key *peer, uint16_t port);

/* STREAM_* events. */
void pln_stream_handle_event(pollen_mesh *mesh, const pln_mesh_event *event);

/* The mesh closes: all of them end with POLLEN_ECLOSED. */
void pln_streams_close(pollen_mesh *mesh);

/* ---- Streams that wait for pollen_mesh_accept_stream() --------------------------------------- */

typedef struct pln_accept pln_accept;

/* First come, first served; a peer holds PLN_ACCEPTQ_PEER_MAX places at most. */
typedef struct pln_acceptq {
    pln_monitor monitor; /* Guards the rest. */
    pln_accept *head, **tail;
    size_t count;
    bool closed;
} pln_acceptq;

void pln_acceptq_init(pln_acceptq *q);
void pln_acceptq_fini(pln_acceptq *q);
void pln_acceptq_close(pln_acceptq *q); /* Gives back the streams that nobody took. */

/* With the monitor locked: gives away the oldest, NULL when there is none. */
pollen_stream *pln_acceptq_pop_locked(pln_acceptq *q);

#endif
