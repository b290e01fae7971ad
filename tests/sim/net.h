/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual network: datagrams in flight, ordered by arrival.  Every draw (loss, delay, order,
 * duplicates) comes from the generator it was given, so that a run replays from its seed.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "base/addr.h"
#include "base/rng.h"
#include "base/time.h"

/* Chances are in millionths. */
typedef struct sim_link {
    pln_dur delay;  /* One way, the least. */
    pln_dur jitter; /* Added uniformly: packets whose draws cross overtake each other. */
    uint32_t loss_ppm;
    uint32_t duplicate_ppm;
    uint32_t corrupt_ppm;
    size_t mtu; /* Larger UDP payloads vanish. */
} sim_link;

typedef struct sim_packet {
    struct sim_packet *next;
    pln_ts at;
    uint64_t order; /* Breaks ties: first sent, first delivered. */
    pollen_addr from;
    pollen_addr to;
    uint8_t ecn;
    size_t size;
    uint8_t data[];
} sim_packet;

typedef struct sim_net sim_net;

sim_net *sim_net_create(pln_rng rng, const sim_link *link);
void sim_net_destroy(sim_net *net);
void sim_net_set_link(sim_net *net, const sim_link *link); /* For packets sent from now on. */

void sim_net_send(sim_net *net, const pollen_addr *from, const pollen_addr *to, uint8_t ecn,
                  const uint8_t *data, size_t size, pln_ts now);

pln_ts sim_net_next(const sim_net *net); /* PLN_TS_NEVER when nothing is in flight. */

/* Takes the next packet that has arrived by now, or NULL.  Owner: the caller (free). */
sim_packet *sim_net_take(sim_net *net, pln_ts now);

typedef struct sim_net_counts {
    uint64_t sent, lost, duplicated, corrupted, bytes;
} sim_net_counts;
sim_net_counts sim_net_count(const sim_net *net);

#endif
