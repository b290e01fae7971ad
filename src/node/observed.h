/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own address as peers see it: the newest word of each peer that has a session, newest first.
 */
#ifndef PLN_NODE_OBSERVED_H
#define PLN_NODE_OBSERVED_H

#include "node/node.h"

/* More witnesses than this prove nothing more; the oldest one makes room. */
enum { PLN_OBSERVED_MAX = 64 };

typedef struct pln_observed_list {
    pln_observed items[PLN_OBSERVED_MAX];
    size_t count;
} pln_observed_list;

/* Replaces what this peer said before. */
void pln_observed_add(pln_observed_list *list, const pollen_key *peer, const pollen_addr *addr,
                      pln_ts now);

/* The peer has no session any more: its word says nothing of today. */
void pln_observed_remove(pln_observed_list *list, const pollen_key *peer);

#endif
