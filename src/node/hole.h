/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holes that a punch has found, and the dials along them.  The end with the smaller key dials at
 * once and the other one a moment later: as a rule there is one handshake.  Dials of one peer race;
 * the mesh keeps one session.
 */
#ifndef PLN_NODE_HOLE_H
#define PLN_NODE_HOLE_H

#include "base/heap.h"
#include "mesh/mesh.h"
#include "sock/sock.h"

typedef struct pln_hole pln_hole;

/* Set in the ops of dials along holes, beside PLN_OP_NODE. */
#define PLN_OP_HOLE (1ull << 61)

typedef struct pln_holes {
    pln_mesh *mesh; /* Borrowed. */
    pln_sock *sock; /* Borrowed: is told of dials that fail. */
    pollen_key self;
    pln_hole *list;
    size_t count;
    size_t unasked; /* Of these. */
    pln_heap timers;
    uint64_t last_op;
} pln_holes;

void pln_holes_init(pln_holes *holes, pln_mesh *mesh, pln_sock *sock, const pollen_key *self);
void pln_holes_fini(pln_holes *holes); /* Accepts a zeroed one. */

typedef struct pln_hole_kind {
    bool shared;  /* The peer may dial along it as well. */
    bool sure;    /* Something of the peer's came along it. */
    bool unasked; /* Only others want the peer and us to meet. */
} pln_hole_kind;

/* Dials along it, at once or, when it is shared or other ways of the peer's are there, a moment
 * later: the longer, the more there are and the surer they are.  One that is there already is
 * dialled sooner for being sure now.  Nothing when the peer has a session, there are PLN_HOLES_MAX,
 * or PLN_HOLES_UNASKED_MAX unasked ones, or no memory is. */
void pln_holes_add(pln_holes *holes, const pollen_key *peer, const pln_path *path,
                   pln_hole_kind kind, pln_now now);

/* A dial with PLN_OP_HOLE is over. */
void pln_holes_dialled(pln_holes *holes, const pln_mesh_event *event, pln_now now);

bool pln_holes_has(const pln_holes *holes, const pollen_key *peer, const pln_path *path);

/* The peer has a session: dials that are under way end with the mesh's own race; those to come are
 * not needed. */
void pln_holes_drop(pln_holes *holes, const pollen_key *peer);

void pln_holes_handle_timeout(pln_holes *holes, pln_now now);
pln_ts pln_holes_next_expiry(const pln_holes *holes);

#endif
