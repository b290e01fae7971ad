/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual network: datagrams in flight, ordered by arrival, between hosts that stand in the open
 * core or behind NATs, which may stand behind NATs themselves.  Every draw (loss, delay, order,
 * duplicates) comes from the generator it was given, so that a run replays from its seed.
 *
 * The core is routed: between two NATs stands one router, so that a packet takes one hop to leave
 * its NAT, one through the core, and one more to enter the other NAT.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "base/addr.h"
#include "base/rng.h"
#include "base/time.h"
#include "nat.h"

/* Chances are in millionths. */
typedef struct sim_link {
    pln_dur delay;  /* One way, the least. */
    pln_dur jitter; /* Added uniformly: packets whose draws cross overtake each other. */
    uint32_t loss_ppm;
    uint32_t duplicate_ppm;
    uint32_t corrupt_ppm;
    size_t mtu; /* Larger UDP payloads vanish. */
} sim_link;

enum { SIM_TTL_DEFAULT = 64 };

typedef struct sim_packet {
    struct sim_packet *next;
    pln_ts at;
    uint64_t order; /* Breaks ties: first sent, first delivered. */
    pollen_addr from;
    pollen_addr to;
    uint32_t tag;  /* The sender's. */
    uint32_t door; /* The NAT it waits in front of, or 0. */
    uint8_t ecn;
    uint8_t ttl; /* Left. */
    size_t size;
    uint8_t data[];
} sim_packet;

typedef struct sim_net sim_net;

sim_net *sim_net_create(pln_rng rng, const sim_link *link);
void sim_net_destroy(sim_net *net);
void sim_net_set_link(sim_net *net, const sim_link *link); /* For packets sent from now on. */

/* ---- Where things stand ---------------------------------------------------------------------- */

typedef uint32_t sim_realm; /* The inside of a NAT; 0 is the core. */
enum { SIM_CORE = 0, SIM_NATS_MAX = 256 };

/* Puts up a NAT, whose outside is in the realm; its inside is the new realm. */
sim_realm sim_net_add_nat(sim_net *net, const sim_nat_config *config, sim_realm outside);
sim_nat *sim_net_nat(const sim_net *net, sim_realm inside);

/* A host's IP address is in this realm.  An address that was never placed is in the core. */
void sim_net_place(sim_net *net, const pollen_addr *ip, sim_realm realm);

/* ---- Packets --------------------------------------------------------------------------------- */

typedef struct sim_datagram {
    pollen_addr from;
    pollen_addr to;
    uint32_t tag; /* Comes back with the packet. */
    uint8_t ecn;
    uint8_t ttl; /* 0: SIM_TTL_DEFAULT. */
    const uint8_t *data;
    size_t size;
} sim_datagram;

void sim_net_send(sim_net *net, const sim_datagram *datagram, pln_ts now);

pln_ts sim_net_next(const sim_net *net); /* PLN_TS_NEVER when nothing is in flight. */

/* Takes the next packet that has arrived at its host by now, or NULL.  Owner: the caller (free). */
sim_packet *sim_net_take(sim_net *net, pln_ts now);

typedef struct sim_net_counts {
    uint64_t sent, lost, duplicated, corrupted, bytes;
    uint64_t expired; /* By TTL. */
    uint64_t refused; /* By a NAT, or because there is no way. */
} sim_net_counts;
sim_net_counts sim_net_count(const sim_net *net);

#endif
