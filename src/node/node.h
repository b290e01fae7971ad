/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node: the driver above the mesh.  It keeps the bootstrap peers connected by the peer state
 * machine, and by gossip the other members as well; it tells peers the address it sees them at and
 * learns its own from theirs, and passes everything else through.  It does no I/O; the calling
 * order is that of mesh/mesh.h, with this object in its place.
 *
 * Commands that are the mesh's alone go to pln_node_mesh() directly; ops with the top bit set are
 * the node's own.
 *
 * Thread: the owner's alone.
 */
#ifndef PLN_NODE_NODE_H
#define PLN_NODE_NODE_H

#include <pollen/peer.h>

#include "mesh/mesh.h"
#include "sock/verdict.h"
#include "state/state.h"
#include "wire/nat_memory.h"

typedef struct pln_node pln_node;

#define PLN_OP_NODE (1ull << 63)

typedef struct pln_node_config {
    pln_mesh_config mesh;
    bool keep_peers; /* Dial known peers by itself; off, it is the mesh alone. */
    bool gossip;     /* Take part in what members tell each other, and dial those it learns of. */
    bool saves;      /* The owner keeps the state on disk (node/cluster.h). */
    bool no_jitter;  /* Exact delays, for tests. */
} pln_node_config;

POLLEN_MUST_USE pollen_err pln_node_create(const pln_node_config *config, pln_now now,
                                           pln_node **ret);
void pln_node_destroy(pln_node *node);
pln_mesh *pln_node_mesh(pln_node *node);

void pln_node_handle_datagram(pln_node *node, const pln_datagram *datagram, pln_now now);
void pln_node_handle_timeout(pln_node *node, pln_now now);
bool pln_node_poll_transmit(pln_node *node, uint8_t *buf, pln_transmit *ret, pln_now now);
pln_ts pln_node_next_expiry(const pln_node *node);

/* The mesh's events, but for those that the node consumed itself: its own ops, observed
 * addresses. */
bool pln_node_poll_event(pln_node *node, pln_mesh_event *ret);

/* Sockets beside the main one, for punching: the owner opens one on a free port, or closes it.  It
 * answers an open with pln_node_socket_opened() or pln_node_socket_failed(), and from then on sends
 * and receives on it under that name.  After every other input and output, until false. */
typedef struct pln_socket_wish {
    uint32_t via;
    bool open; /* Else: close. */
} pln_socket_wish;
bool pln_node_poll_socket(pln_node *node, pln_socket_wish *ret, pln_now now);
void pln_node_socket_opened(pln_node *node, uint32_t via, uint16_t port, pln_now now);
void pln_node_socket_failed(pln_node *node, uint32_t via, pln_now now);

/* Adds or refreshes a permanent peer; its addresses are numeric.  Dialled at the next timeout.
 * Errors: POLLEN_EINVAL (our own key), POLLEN_EREVOKED, POLLEN_ELIMIT, POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_node_add_bootstrap(pln_node *node, const pollen_key *peer,
                                                  const pollen_addr *addrs, size_t addr_count,
                                                  pln_now now);

/* What the store knows of a peer, in the order of the keys.  Errors: POLLEN_ENOENT past the end */
size_t pln_node_peer_count(const pln_node *node);
POLLEN_MUST_USE pollen_err pln_node_peer_at(const pln_node *node, size_t index, pollen_peer *ret);

/* Our address as peers last told it, newest first.  Errors: POLLEN_ENOENT past the end */
typedef struct pln_observed {
    pollen_key peer;
    pollen_addr addr;
    pln_ts at;
} pln_observed;
POLLEN_MUST_USE pollen_err pln_node_observed_at(const pln_node *node, size_t index,
                                                pln_observed *ret);

/* What we tell other members of where we are; the port is the mesh's own.  Nothing without gossip.
 * Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_node_advertise(pln_node *node, const pollen_addr *addrs,
                                              size_t count, uint16_t port, pln_now now);

/* What our router forwards to us from now on, NULL for nothing: others are told to try it.
 * Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_node_set_mapped(pln_node *node, const pollen_addr *addr,
                                               pln_now now);

/* What is known of the members; NULL without gossip. */
const pln_state *pln_node_state(const pln_node *node);

/* The same, to be changed by the commands of cluster.h: after each change
 * pln_node_state_changed() acts on it and tells the others. */
pln_state *pln_node_change_state(pln_node *node, pln_now now);
void pln_node_state_changed(pln_node *node);

/* ---- NAT ------------------------------------------------------------------------------------- */

/* What the NAT in front of us is, as far as peers' observations tell. */
void pln_node_judge_nat(const pln_node *node, pln_now now, pln_nat_verdict *ret);

/* Before the first input: what was remembered of the NATs of other times. */
void pln_node_load_nat_memory(pln_node *node, const pln_nat_memory *memory);

/* True when there is something new to be kept, once for each change. */
bool pln_node_take_nat_memory(pln_node *node, pln_nat_memory *ret);

/* The peer's session goes through a hole that was punched. */
bool pln_node_is_punched(const pln_node *node, const pollen_key *peer);

#endif
