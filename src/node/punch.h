/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Punching, between the peer store that wants a peer (errand.h), the coordinators that see both
 * ends, the engine of src/sock that opens holes, and the mesh that dials along them (hole.h).  Here
 * is what joins them: a trigger starts a punch, whether we asked for it or the other side did.
 *
 * Calling order: inputs, of errands too; then poll_socket and pln_errands_poll_failure() until
 * false; then next_expiry.  The engine's datagrams are the owner's to take and to give
 * (punching->sock).
 */
#ifndef PLN_NODE_PUNCH_H
#define PLN_NODE_PUNCH_H

#include "node/coordinator.h"
#include "node/errand.h"
#include "node/hole.h"
#include "node/inquiry.h"
#include "node/node.h"
#include "node/outside.h"

typedef struct pln_punching {
    pln_mesh *mesh;         /* Borrowed. */
    const pln_state *state; /* Borrowed; NULL without gossip. */
    const pln_log *log;
    pollen_key self;
    pln_sock *sock;
    pln_neighbours neighbours;
    pln_coordinator coordinator;
    pln_errands errands;
    pln_holes holes;
    pln_outside outside;
    pln_inquiry inquiry;
    pln_bucket triggers;
    pln_bucket retellings; /* Of where we are, after punches. */
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

/* As pln_errands_want(); a punch that only others asked for so far is ours as well from now on. */
bool pln_punching_want(pln_punching *punching, const pollen_key *peer, uint64_t attempt,
                       pln_dur delay, pln_ts deadline, pln_now now);

/* Where our interfaces are.  True when we look different from outside now. */
bool pln_punching_set_locals(pln_punching *punching, const pollen_addr *addrs, size_t count,
                             uint16_t port, pln_now now);

/* As pln_outside_set_mapped(); neighbours are told. */
bool pln_punching_set_mapped(pln_punching *punching, const pollen_addr *addr, pln_now now);

/* No punch with this peer is wanted any more, whoever asks. */
void pln_punching_forget(pln_punching *punching, const pollen_key *peer, pln_now now);

/* ---- Input and output ------------------------------------------------------------------------ */

void pln_punching_handle_timeout(pln_punching *punching, pln_now now);
pln_ts pln_punching_next_expiry(const pln_punching *punching);

/* As pln_node_poll_socket(): carries out what the engine has found, up to the next socket that is
 * to be opened or closed. */
bool pln_punching_poll_socket(pln_punching *punching, pln_socket_wish *ret, pln_now now);

#endif
