/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls: what another thread asks of the loop and waits for.
 *
 * A request is answered within one turn, so it lives on the asker's stack and has no deadline.
 *
 * An operation takes time.  Its caller may give up first, so it is counted: one reference for the
 * caller, one for the loop.  The loop knows it by its op and completes it exactly once, also when
 * the mesh closes; what it brings for a caller that left is given back.
 */
#ifndef PLN_RUN_CALL_H
#define PLN_RUN_CALL_H

#include <stdatomic.h>

#include <pollen/stream.h>

#include "base/hash.h"
#include "mesh/mesh.h"
#include "run/cmdq.h"
#include "run/wait.h"

/* ---- Requests -------------------------------------------------------------------------------- */

/* Runs on the loop thread. */
typedef pollen_err (*pln_request_fn)(pollen_mesh *mesh, void *arg);

/* Any thread but the loop's.  Errors: POLLEN_ECLOSED, and what fn returns */
POLLEN_MUST_USE pollen_err pln_request(pollen_mesh *mesh, pln_request_fn fn, void *arg);

/* What a request that lists works on: it fills up to cap items and counts them all. */
typedef struct pln_list_query {
    void *items;
    size_t cap, count;
} pln_list_query;

/* Returns the count; 0 without a mesh, or when it has closed.  fn's arg is a pln_list_query. */
size_t pln_request_list(pollen_mesh *mesh, pln_request_fn fn, void *items, size_t cap);

/* ---- Operations ------------------------------------------------------------------------------ */

typedef struct pln_call pln_call;
struct pln_call {
    pln_cmd cmd;
    atomic_int refs;
    /* Tells the core to begin call->op.  Loop thread. */
    void (*start)(pollen_mesh *mesh, pln_call *call);
    /* What start() needs; fixed before submitting. */
    pollen_key peer;
    pln_path *paths;     /* Owned. */
    pollen_key *targets; /* Owned; of a redeem. */
    size_t path_count;
    pln_invite_token *invite; /* Owned. */
    uint16_t port;
    size_t size;
    pln_ts deadline;
    /* the loop's alone */
    pln_op op;
    UT_hash_handle hh;
    /* guarded by signal's monitor, which is fixed: its own, or that of the call it is a part of */
    pln_call *signal;
    pln_monitor monitor;
    bool done;
    pollen_err err;
    char detail[PLN_QUIC_PHRASE_BYTES];
    char words[PLN_QUIC_PHRASE_BYTES]; /* The waiting thread's copy; empty when it gave up. */
    pln_dur rtt;
    pln_join_token *join_token; /* Owned. */
    pollen_stream *stream;      /* Owned: the handle of an open, made before it is asked for. */
};

/* signal: a call whose monitor is used instead of its own, or NULL.
 * NULL when there is no memory. */
pln_call *pln_call_create(void (*start)(pollen_mesh *, pln_call *), pln_call *signal);
void pln_call_unref(pln_call *call); /* Accepts NULL. */

/* Hands the call to the loop.  Errors: POLLEN_ECLOSED; the call is done then as well */
pollen_err pln_call_submit(pollen_mesh *mesh, pln_call *call);

/* The caller does not want it any more: the loop cancels it.  The caller keeps its reference. */
void pln_call_abandon(pollen_mesh *mesh, pln_call *call);

/* Submits, waits and returns the result; abandons the call when the
 * deadline passes or cancel fires. */
POLLEN_MUST_USE pollen_err pln_call_run(pollen_mesh *mesh, pln_call *call, pollen_cancel *cancel);

/* How long to wait for calls of this deadline.  The core keeps it and knows best what failed; ours
 * only ends the call of a thread whose driver went away.  One that is past leaves the core a moment
 * to look. */
pln_ts pln_call_last_moment(pln_ts deadline);

/* ---- The loop's side ------------------------------------------------------------------------- */

/* The core's OP_DONE; takes what the event owns. */
void pln_call_complete(pollen_mesh *mesh, pln_mesh_event *event);

/* The mesh closes: every call that is left ends with POLLEN_ECLOSED. */
void pln_calls_close(pollen_mesh *mesh);

#endif
