/* SPDX-License-Identifier: Apache-2.0 */
/* What one node is told of another's NAT, in the words of <pollen/nat.h>, and how one that counts
 * goes on counting. */
#ifndef PLN_SOCK_NAT_H
#define PLN_SOCK_NAT_H

#include <pollen/nat.h>

enum { PLN_NAT_PORTS_MAX = 4 };

/* Some count in the other byte order: each step is 256, and every 256th one more. */
#define PLN_NAT_STEP_SWAPPED 256

/* The port so many steps after this one; past the end it goes on at the first above the well-known
 * ones.  A step of 0 counts as 1. */
uint16_t pln_nat_port_ahead(uint16_t port, uint16_t step, unsigned steps);

/* How many steps lead from one port to the other, up to max; max + 1 when more. */
unsigned pln_nat_steps_between(uint16_t from, uint16_t to, uint16_t step, unsigned max);

/* A verdict in brief, as it is kept of a peer; all zero: nothing is known. */
typedef struct pln_nat_brief {
    pollen_nat_mapping mapping;
    pollen_nat_allocation allocation;
    uint16_t step; /* Of a sequential allocation; 0 counts as 1. */
    size_t port_count;
    uint16_t ports[PLN_NAT_PORTS_MAX]; /* Outer ports last seen, the newest first. */
} pln_nat_brief;

#endif
