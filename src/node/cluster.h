/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node's owner has to say to the cluster.  Everything is POLLEN_ENOTSUP without gossip.
 *
 * Thread: the owner's alone.
 */
#ifndef PLN_NODE_CLUSTER_H
#define PLN_NODE_CLUSTER_H

#include "node/node.h"

/*
 * Signs a revocation with the root key and publishes it; the subject's sessions are closed as for
 * one that was heard.
 *
 * Errors: POLLEN_EPERM   this node does not have the root key
 *         POLLEN_EINVAL  our own key, or the root key: nobody would be left
 *         POLLEN_ENOTENROLLED, POLLEN_ENOTSUP, POLLEN_ELIMIT, POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_node_revoke(pln_node *node, const pollen_key *subject, pln_now now);

/* Errors: those of pln_state_set_service(), POLLEN_ENOTSUP */
POLLEN_MUST_USE pollen_err pln_node_set_service(pln_node *node, const char *name, uint16_t port,
                                                pln_now now);
POLLEN_MUST_USE pollen_err pln_node_remove_service(pln_node *node, const char *name, pln_now now);

/* Errors: those of pln_state_set_connection(), POLLEN_ENOTSUP */
POLLEN_MUST_USE pollen_err pln_node_set_connection(pln_node *node,
                                                   const pln_saved_connection *connection, bool on,
                                                   pln_now now);

/* ---- On disk --------------------------------------------------------------------------------- */

/* Before the first input, or when the node has just become a member: what was saved.
 * Errors: POLLEN_ENOTSUP, POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_node_load_state(pln_node *node, const pln_saved_state *saved,
                                               pln_now now, pln_state_loaded *ret);

/* How soon the state has to be saved. */
pln_state_urgency pln_node_save_urgency(const pln_node *node);

/*
 * What is to be saved, with the urgency that it had.  pln_node_state_written() follows.
 *
 * Owner:  ret is the caller's (pln_saved_state_fini).
 * Errors: POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_node_take_state(pln_node *node, pln_saved_state *ret,
                                               pln_state_urgency *ret_urgency);

/* It is durable: revocations in it take effect.  Or err says why not: they do so too. */
void pln_node_state_written(pln_node *node, pln_state_urgency urgency, pollen_err err, pln_now now);

#endif
