/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the world share. */
#ifndef SIM_WORLD_INNER_H
#define SIM_WORLD_INNER_H

#include "base/heap.h"
#include "world.h"

/* An extra socket, as the node names it, and the port that it is bound to. */
typedef struct sim_socket {
    uint32_t via;
    uint16_t port;
} sim_socket;

typedef struct sim_host {
    pln_node *node; /* NULL when killed. */
    pln_credentials creds;
    pollen_addr addr;
    pln_rng_seeded rng;
    pln_timer timer; /* When it is to be woken, by the world's clock. */
    unsigned side;   /* Of the cut. */
    pln_dur lag;     /* How far its monotonic clock is behind the world's. */
    int64_t skew;    /* Seconds that its calendar is ahead. */
    pln_ts wakes_at; /* PLN_TS_NEVER: it is awake. */
    bool clock_stands;
    pln_dur sleeps;
    sim_seen *seen; /* By peer. */
    sim_socket *sockets;
    size_t socket_count, socket_cap;
    uint16_t next_port;
} sim_host;

struct sim_world {
    uint64_t seed;
    pln_rng_seeded rng_state, net_rng_state;
    pln_rng rng;
    sim_net *net;
    pln_ts now;
    sim_host *hosts;
    size_t count;
    uint16_t *by_key; /* Open addressing by the first bytes of the key: index plus one. */
    pln_heap timers;
    size_t *due; /* Hosts whose time has come. */
    size_t nats;
    pln_op next_op;
    uint64_t hash, lines, turns;
    uint64_t reports; /* Events that a condition may depend on. */
    bool verbose;
    bool gossip;
    bool without_pings;
    sim_listener listener;
    void *listener_arg;
    sim_tap tap;
    void *tap_arg;
    uint8_t *buf; /* PLN_TRANSMIT_BYTES */
};

/* Into the log.  Numbers go into its hash as they are, since most lines are packets. */
void sim_record(sim_world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Output and events until there is neither; then the node's timer is set. */
void sim_pump(sim_world *world, size_t node);

size_t sim_host_by_key(const sim_world *world, const pollen_key *key); /* SIM_NODES_MAX: none. */

#endif
