/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NAT a node sits behind, as far as its peers' observations tell (RFC 4787).  A guess is never
 * made: what the evidence does not settle is unknown.
 */
#ifndef POLLEN_NAT_H
#define POLLEN_NAT_H

#include <pollen/addr.h>
#include <pollen/key.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether one socket is seen at one external port by all (RFC 4787, 4.1). */
typedef enum pollen_nat_mapping {
    POLLEN_NAT_MAPPING_UNKNOWN,
    POLLEN_NAT_MAPPING_NONE, /* Seen at an address of its own: there is no NAT. */
    POLLEN_NAT_MAPPING_EASY, /* Endpoint-independent. */
    POLLEN_NAT_MAPPING_HARD, /* Another port for each destination. */
} pollen_nat_mapping;

/* How the NAT chooses external ports (RFC 4787, 4.2). */
typedef enum pollen_nat_allocation {
    POLLEN_NAT_ALLOCATION_UNKNOWN,
    POLLEN_NAT_ALLOCATION_PRESERVING, /* The port of the socket. */
    POLLEN_NAT_ALLOCATION_SEQUENTIAL, /* In small steps. */
    POLLEN_NAT_ALLOCATION_RANDOM,
} pollen_nat_allocation;

/* "easy", "sequential", ...: the names of the command's machine output. */
POLLEN_API const char *pollen_nat_mapping_name(pollen_nat_mapping mapping);
POLLEN_API const char *pollen_nat_allocation_name(pollen_nat_allocation allocation);

#ifdef __cplusplus
}
#endif

#endif
