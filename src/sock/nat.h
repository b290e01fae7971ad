/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words for how a NAT behaves (RFC 4787, 4), and what one node tells another of its own.
 *
 * Easy: one port whatever the destination (endpoint-independent mapping).  Hard: another port for
 * every destination (address- or address-and-port-dependent mapping).
 */
#ifndef PLN_SOCK_NAT_H
#define PLN_SOCK_NAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum pln_nat_mapping {
    PLN_NAT_MAPPING_UNKNOWN, /* Zero, so that a peer that said nothing is unknown. */
    PLN_NAT_MAPPING_NONE,    /* No NAT: others see the address of our interface. */
    PLN_NAT_MAPPING_EASY,
    PLN_NAT_MAPPING_HARD,
} pln_nat_mapping;

/* How the NAT chooses the outer port of a new mapping. */
typedef enum pln_nat_allocation {
    PLN_NAT_ALLOCATION_UNKNOWN,
    PLN_NAT_ALLOCATION_PRESERVING, /* The port of the socket behind it, when that is free. */
    PLN_NAT_ALLOCATION_SEQUENTIAL, /* The next one, `step` above the last. */
    PLN_NAT_ALLOCATION_RANDOM,
} pln_nat_allocation;

/* The names of the JSON output: "unknown", "none", "easy", "hard"; "unknown", "preserving",
 * "sequential", "random".  Static. */
const char *pln_nat_mapping_name(pln_nat_mapping mapping);
const char *pln_nat_allocation_name(pln_nat_allocation allocation);

enum { PLN_NAT_PORTS_MAX = 4 };

/* Some count in the other byte order: each step is 256, and every 256th one more. */
#define PLN_NAT_STEP_SWAPPED 256

/* The port so many steps after this one; past the end it goes on at the first above the well-known
 * ones.  A step of 0 counts as 1. */
uint16_t pln_nat_port_ahead(uint16_t port, uint16_t step, unsigned steps);

/* A verdict in brief, as it is kept of a peer; all zero: nothing is known. */
typedef struct pln_nat_brief {
    pln_nat_mapping mapping;
    pln_nat_allocation allocation;
    uint16_t step; /* Of a sequential allocation; 0 counts as 1. */
    size_t port_count;
    uint16_t ports[PLN_NAT_PORTS_MAX]; /* Outer ports last seen, the newest first. */
} pln_nat_brief;

#endif
