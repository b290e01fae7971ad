/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the router to forward our UDP port: PCP first, and NAT-PMP where that is not spoken or
 * says no.  One mapping of one port, of IPv4: a router before IPv6 translates nothing, and what its
 * firewall keeps out punching opens.
 *
 * Calling order: any number of inputs (set_network, release, handle_*); then poll_transmit until it
 * returns false; then poll_change; then next_expiry.  Datagrams are the owner's to send and to
 * receive, on a socket of their own, because a probe of sock's may look like PCP; what routers tell
 * everybody on PLN_PORTMAP_CLIENT_PORT is for pln_portmap_handle_datagram() as well.
 *
 * Only what comes from the router's port 5351 is looked at.  Whoever can forge that is on our
 * network and could as well ask the router itself; a mapping never makes more of a peer than an
 * address to try, where the handshake proves who is there.
 *
 * Thread: the owner's alone.
 */
#ifndef PLN_PORTMAP_PORTMAP_H
#define PLN_PORTMAP_PORTMAP_H

#include <pollen/nat.h>

#include "base/datagram.h"
#include "base/rng.h"
#include "base/time.h"
#include "portmap/packet.h"

/* Where we are.  gateway: the IPv4 router, NULL: there is none; client: our own address as that
 * router sees it; port: what is to be forwarded. */
typedef struct pln_portmap_network {
    pollen_addr gateway;
    pollen_addr client;
    uint16_t port;
} pln_portmap_network;

typedef enum pln_portmap_step {
    PLN_PORTMAP_IDLE,
    PLN_PORTMAP_PCP,
    PLN_PORTMAP_PMP_ADDRESS,
    PLN_PORTMAP_PMP,
    PLN_PORTMAP_RELEASE,
} pln_portmap_step;

/* What the router said of its clock, by which a restart is noticed (RFC 6887, 8.5). */
typedef struct pln_portmap_epoch {
    bool known;
    uint32_t seconds;
    pln_ts at;
} pln_portmap_epoch;

/* Embedded; nothing is allocated. */
typedef struct pln_portmap {
    pln_rng rng;
    pln_portmap_network network; /* The gateway's port is 0 when there is none. */
    pollen_port_mapping report;
    bool changed; /* Since poll_change. */

    /* The request under way. */
    pln_portmap_step step;
    bool due; /* To be sent now. */
    unsigned sendings;
    pln_ts answer_by; /* Sent again, or given up, then. */
    pollen_addr pmp_address;
    uint32_t refused_s; /* For how long PCP refused in this round; 0: it did not. */
    pln_ts sent_at;     /* The last time anything was. */
    pln_portmap_epoch epoch;

    /* The mapping, while report.external has a port. */
    bool by_pcp;
    uint8_t nonce[PLN_PORTMAP_NONCE_BYTES];
    uint32_t granted_s;
    pln_ts granted_at;
    unsigned renewals; /* Tried since then. */

    pln_ts next_at; /* While idle: the next round, or renewal. */
} pln_portmap;

void pln_portmap_init(pln_portmap *pm, const pln_rng *rng);

/* Where we are now; the same again changes nothing.  Another network begins anew: a mapping at the
 * former router is forgotten, which it will be there as well when it expires.  NULL: no router. */
void pln_portmap_set_network(pln_portmap *pm, const pln_portmap_network *network, pln_ts now);

/* Gives back what there is.  Done when pln_portmap_is_off(), at once when there is nothing. */
void pln_portmap_release(pln_portmap *pm, pln_ts now);
bool pln_portmap_is_off(const pln_portmap *pm);

void pln_portmap_handle_datagram(pln_portmap *pm, const pln_datagram *datagram, pln_ts now);
void pln_portmap_handle_timeout(pln_portmap *pm, pln_ts now); /* Late or spurious: nothing. */

/* Fills buf, which has room for PLN_PORTMAP_REQUEST_BYTES; false when nothing is to be sent. */
bool pln_portmap_poll_transmit(pln_portmap *pm, uint8_t *buf, pln_transmit *ret, pln_ts now);

/* True once after the report became another. */
bool pln_portmap_poll_change(pln_portmap *pm);
const pollen_port_mapping *pln_portmap_report(const pln_portmap *pm);

pln_ts pln_portmap_next_expiry(const pln_portmap *pm);

#endif
