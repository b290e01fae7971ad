/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gossip: what the members tell each other, carried between the state and the sessions.  One
 * partner for each session; every partner is given a round each ten seconds or so, not all at once.
 */
#ifndef PLN_NODE_GOSSIP_H
#define PLN_NODE_GOSSIP_H

#include "base/bucket.h"
#include "base/hash.h"
#include "base/heap.h"
#include "mesh/mesh.h"
#include "state/state.h"

typedef struct pln_gossip_partner pln_gossip_partner;

/* A revocation takes effect when it is on disk, if the owner keeps the state there: who saw its
 * effect may rely on it, whatever happens to this process.  A disk that takes too long, or fails,
 * must not keep a session open, so the wait is short; after it revocations take effect at once
 * until the disk works again. */
typedef enum pln_gossip_hold {
    PLN_GOSSIP_FREE,
    PLN_GOSSIP_HELD,     /* Until hold_until, or until the state is saved. */
    PLN_GOSSIP_RELEASED, /* Waited in vain. */
} pln_gossip_hold;

typedef struct pln_gossip {
    pln_mesh *mesh; /* Borrowed. */
    pln_state *state;
    pln_rng rng;
    const pln_log *log;           /* Borrowed. */
    pln_gossip_partner *partners; /* By key. */
    pln_hash_key hash_key;
    pln_heap rounds;
    pln_bucket broadcasts;
    pln_ts broadcast_at; /* When to see whether something changed that was not told yet. */
    bool saves;          /* The owner keeps the state on disk. */
    pln_gossip_hold hold;
    pln_ts hold_until;
} pln_gossip;

/* Owner: mesh and log are borrowed.  Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_gossip_init(pln_gossip *gossip, pln_mesh *mesh, const pln_rng *rng,
                                           const pln_log *log);
void pln_gossip_fini(pln_gossip *gossip); /* Accepts a zeroed one. */

/* The credentials of the mesh are other ones. */
void pln_gossip_credentials_changed(pln_gossip *gossip);

void pln_gossip_connected(pln_gossip *gossip, const pollen_key *peer, const pollen_addr *addr,
                          pln_now now);
void pln_gossip_disconnected(pln_gossip *gossip, const pollen_key *peer);

/* True when the kind is one of gossip's; then it has been dealt with. */
bool pln_gossip_handle_packet(pln_gossip *gossip, const pollen_key *peer, pollen_envelope_kind kind,
                              const uint8_t *body, size_t size, pln_now now);

/* Something new was learnt: partners that take little are given their next round soon, so that news
 * travels in fractions of a second and not in rounds of ten. */
void pln_gossip_hurry(pln_gossip *gossip, pln_now now);

pln_ts pln_gossip_next_expiry(const pln_gossip *gossip);
void pln_gossip_handle_timeout(pln_gossip *gossip, pln_now now);

/* Whether what was learnt has to wait for the disk before it is acted upon and told. */
bool pln_gossip_is_held(pln_gossip *gossip, pln_now now);

/* What was taken for the disk is there, or err says why not. */
void pln_gossip_saved(pln_gossip *gossip, pollen_err err);

/* Sends to everybody what changed here. */
void pln_gossip_broadcast(pln_gossip *gossip, pln_now now);

/* The node's own, for its other files; NULL when it takes no part. */
struct pln_node;
pln_gossip *pln_node_gossip(struct pln_node *node);

#endif
