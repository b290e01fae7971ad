/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the node share: node.c has its life, its inputs and its outputs; dials.c does
 * what the peer store wants; news.c stands between the node and gossip; events.c hears what the
 * mesh reports.  Whatever they do is done at node->now.
 */
#ifndef PLN_NODE_CORE_H
#define PLN_NODE_CORE_H

#include "base/meters.h"
#include "node/gossip.h"
#include "node/punch.h"
#include "peer/store.h"

/* Set in the ops of probes, beside PLN_OP_NODE.  Attempts count from 1 and would need centuries to
 * reach the bits that mark an op as ours. */
#define PLN_OP_PROBE (1ull << 62)

struct pln_node {
    pln_mesh *mesh;
    pollen_peer_store *store;
    pollen_key self;
    bool keep_peers;
    bool gossips;
    pln_gossip gossip;                                    /* Zero unless gossips. */
    bool (*is_revoked)(void *ctx, const pollen_key *key); /* The owner's own judgement. */
    void *is_revoked_ctx;
    pln_rng rng;
    const pln_log *log;
    uint64_t last_probe;
    pln_meters *hearsay_dials; /* By address; NULL: none yet. */
    pln_punching punching;
    pln_ts reopened_from; /* When a way that opens again is next taken for a cut that healed. */
    pln_now now; /* Of the input that is being worked on: events are handled at its time. */
};

/* The time of the input that is being worked on. */
void pln_node_set_now(pln_node *node, pln_now now);

/* ---- dials.c --------------------------------------------------------------------------------- */

/* Feeds the store.  A refused input leaves it as it was: the peer is merely not kept, which the log
 * tells. */
void pln_node_step(pln_node *node, const pollen_peer_input *input);
void pln_node_fail_attempt(pln_node *node, const pollen_key *peer, uint64_t attempt,
                           pollen_end_reason reason);

/* Carries out what the store wants, after anything that may have changed that. */
void pln_node_run_store(pln_node *node);

/* Tells the store of punches that failed, after anything that may have ended one. */
void pln_node_run_punching(pln_node *node);
void pln_node_tick(pln_node *node);

/* ---- news.c ---------------------------------------------------------------------------------- */

/* After anything that gossip may have learnt from, or has to tell. */
void pln_node_run_gossip(pln_node *node);

/* Tells the members where they can try us.  Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_node_tell_outside(pln_node *node);

/* ---- events.c -------------------------------------------------------------------------------- */

/* True when the event goes no further up. */
bool pln_node_consume(pln_node *node, pln_mesh_event *event);

#endif
