/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered of the NATs at the places where we have been.  At a place that we know, a
 * single word of a peer is enough: it shows the address that belongs to the place.  The first word
 * that contradicts makes an end of that.
 */
#ifndef PLN_NODE_PRIOR_H
#define PLN_NODE_PRIOR_H

#include "sock/verdict.h"
#include "wire/nat_memory.h"

/* A verdict that nobody has confirmed for a month is forgotten. */
enum { PLN_NAT_PLACE_LIFE_S = 30 * 86400 };

/* Fills in an unknown mapping from what is remembered, which verdict->remembered_at tells. */
void pln_prior_apply(const pln_nat_memory *memory, const pln_nat_observations *list, pln_wall wall,
                     pln_nat_verdict *verdict);

/* Learns from a verdict that nothing was filled into.  True when that is worth keeping. */
bool pln_prior_learn(pln_nat_memory *memory, const pln_nat_observations *list, pln_wall wall,
                     const pln_nat_verdict *verdict);

#endif
