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

#endif
