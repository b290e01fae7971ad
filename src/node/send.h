/* SPDX-License-Identifier: Apache-2.0 */
/* Sending what the node itself has to say. */
#ifndef PLN_NODE_SEND_H
#define PLN_NODE_SEND_H

#include "mesh/mesh.h"

/* Sends an encoded envelope on the peer's session.  What cannot be sent is lost, as the network
 * might have lost it; false then. */
bool pln_node_send(pln_mesh *mesh, const pollen_key *peer, const pln_bytes *envelope, pln_now now);

/* Tells the peer where we see it. */
void pln_node_tell_observed(pln_mesh *mesh, const pollen_key *peer, const pollen_addr *addr,
                            pln_now now);

#endif
