/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whereabouts (pollen/2): what a node tells its peers of the NAT it sits behind and of the
 * addresses it may be tried at, so that a coordinator can pass it on to whoever wants to reach it.
 */
#ifndef PLN_WIRE_WHEREABOUTS_H
#define PLN_WIRE_WHEREABOUTS_H

#include <pollen/addr.h>
#include <pollen/nat.h>

#include "base/bytes.h"
#include "wire/outbuf.h"

/* Enough for two families on a few interfaces; every one costs whoever punches some probes. */
enum { PLN_WHEREABOUTS_ADDRS_MAX = 8, PLN_WHEREABOUTS_SEEN_MAX = 4 };

typedef struct pln_whereabouts {
    pollen_nat_mapping mapping;
    pollen_nat_allocation allocation;
    uint16_t step; /* Of a sequential allocation; 0: not known. */
    size_t seen_count;
    pollen_addr seen[PLN_WHEREABOUTS_SEEN_MAX]; /* As others see the node, the newest first. */
    size_t addr_count;
    pollen_addr addrs[PLN_WHEREABOUTS_ADDRS_MAX]; /* Of its interfaces. */
    pollen_addr mapped; /* What its router forwards to it; port 0: nothing that it knows of. */
} pln_whereabouts;

/* A value that this version does not know reads as unknown; addresses beyond the maximum are
 * dropped.  Errors: POLLEN_EPROTO (malformed, no address, a host name), POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_whereabouts_decode(const uint8_t *body, size_t size,
                                                  pln_whereabouts *ret);

/* Gives the whole envelope, owned by the caller.  Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_whereabouts_encode(const pln_whereabouts *msg, pln_bytes *ret);

bool pln_whereabouts_equal(const pln_whereabouts *a, const pln_whereabouts *b);

/* Writes the body's fields, for a message that has it inside. */
void pln_whereabouts_put(const pln_whereabouts *msg, pln_out *out);

#endif
