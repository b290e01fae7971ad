/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Punching, between the peer store that wants a peer, the coordinators that see both ends, the
 * engine of src/sock that opens holes, and the mesh that dials along them.
 *
 * An errand is the wish for one peer: coordinators are asked, two or three so that one that is
 * slow, far or false does not decide, and asked again while no trigger comes.  A trigger starts a
 * punch, whether we asked for it or the other side did.  A hole is dialled by the end with the
 * smaller key at once and by the other one a moment later: as a rule there is one handshake.
 *
 * Calling order: inputs; then poll_socket and poll_failure until false; then next_expiry.  The
 * engine's datagrams are the owner's to take and to give (punching->sock).
 */
#ifndef PLN_NODE_PUNCH_H
#define PLN_NODE_PUNCH_H

#include <pollen/peer.h>

#include "node/coordinator.h"
#include "node/node.h"
#include "node/outside.h"
#include "sock/sock.h"

typedef struct pln_errand pln_errand;
typedef struct pln_hole pln_hole;

/* Set in the ops of dials along holes, beside PLN_OP_NODE. */
#define PLN_OP_HOLE (1ull << 61)

typedef struct pln_punching {
    pln_mesh *mesh;         /* Borrowed. */
    const pln_state *state; /* Borrowed; NULL without gossip. */
    const pln_log *log;
    pln_rng rng;
    pollen_key self;
    pln_sock *sock;
    pln_neighbours neighbours;
    pln_coordinator coordinator;
    pln_outside outside;
    pln_bytes told; /* The whereabouts that neighbours have of us. */
    pln_bucket triggers;
    pln_errand *errands; /* By peer. */
    pln_errand *failed;  /* A list: over, and not told yet. */
    pln_hole *holes;     /* A list. */
    size_t hole_count;
    pln_heap asks;  /* Of errands. */
    pln_heap dials; /* Of holes. */
    uint64_t last_op;
} pln_punching;

/* Owner: what config.mesh points to, mesh and state are borrowed.  Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_punching_init(pln_punching *punching, pln_mesh *mesh,
                                             const pln_state *state, const pln_node_config *config);
void pln_punching_fini(pln_punching *punching); /* Accepts a zeroed one. */

/* ---- Sessions -------------------------------------------------------------------------------- */

void pln_punching_connected(pln_punching *punching, const pollen_key *peer, pln_now now);
void pln_punching_moved(pln_punching *punching, const pollen_key *peer, pln_now now);
void pln_punching_disconnected(pln_punching *punching, const pollen_key *peer);

/* True when the kind is one of punching's; then it has been dealt with. */
bool pln_punching_handle_packet(pln_punching *punching, const pollen_key *peer,
                                pollen_envelope_kind kind, const uint8_t *body, size_t size,
                                pln_now now);

/* A peer says where it sees us.  True when we look different from outside now. */
bool pln_punching_observed(pln_punching *punching, const pollen_key *peer, const pollen_addr *seen,
                           pln_now now);

/* Where our interfaces are.  True when we look different from outside now. */
bool pln_punching_set_locals(pln_punching *punching, const pollen_addr *addrs, size_t count,
                             uint16_t port, pln_now now);

/* ---- The wish for a peer --------------------------------------------------------------------- */

/* Whether there is anybody who may be able to coordinate a punch with the peer. */
bool pln_punching_can_ask(const pln_punching *punching, const pollen_key *peer);

/*
 * Asks for coordination after delay, if the peer has no session by then.  attempt is the store's,
 * which ends through pln_punching_poll_failure(); 0 accompanies a direct dial and ends silently.
 * False when an attempt cannot succeed: nobody can be asked.
 */
bool pln_punching_want(pln_punching *punching, const pollen_key *peer, uint64_t attempt,
                       pln_dur delay, pln_ts deadline, pln_now now);

/* No punch with this peer is wanted any more, whoever asks. */
void pln_punching_forget(pln_punching *punching, const pollen_key *peer, pln_now now);

typedef struct pln_punch_failure {
    pollen_key peer;
    uint64_t attempt;
} pln_punch_failure;

bool pln_punching_poll_failure(pln_punching *punching, pln_punch_failure *ret);

/* A dial along a hole is over. */
void pln_punching_dialled(pln_punching *punching, const pln_mesh_event *event, pln_now now);

/* ---- Input and output ------------------------------------------------------------------------ */

void pln_punching_handle_timeout(pln_punching *punching, pln_now now);
pln_ts pln_punching_next_expiry(const pln_punching *punching);

/* As pln_node_poll_socket(): carries out what the engine has found, up to the next socket that is
 * to be opened or closed. */
bool pln_punching_poll_socket(pln_punching *punching, pln_socket_wish *ret, pln_now now);

#endif
