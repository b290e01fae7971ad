/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams as they pass between the sockets and the rooms that speak a protocol on them. */
#ifndef PLN_BASE_DATAGRAM_H
#define PLN_BASE_DATAGRAM_H

#include "base/addr.h"

/* One that arrived. */
typedef struct pln_datagram {
    pln_path path;
    pollen_addr
        local;   /* The address it arrived at, when the socket knows; all zero otherwise.  Only a
                  * hint for the source of answers, never part of a path's identity. */
    uint8_t ecn; /* The two ECN bits. */
    const uint8_t *data;
    size_t size;
} pln_datagram;

/* A run of packets to one destination: all of `segment` bytes but for the last, which may be
 * shorter. */
typedef struct pln_transmit {
    pln_path path;
    pollen_addr local; /* Source hint as above. */
    uint8_t ecn;
    uint8_t ttl; /* Hops it may take; 0: as many as the socket is set to. */
    size_t size;
    size_t segment;
} pln_transmit;

enum { PLN_TRANSMIT_BYTES = 65487, PLN_TRANSMIT_SEGMENTS = 64 };

#endif
