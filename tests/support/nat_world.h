/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two hosts, each with a punching engine, behind NATs of any kind, on a virtual clock.  A hole is
 * followed by a model of a handshake in three packets, so that a pair counts as connected when both
 * ends have a session.
 *
 *   host 0 -- NAT 0 -- core -- NAT 1 -- host 1        a packet of TTL 2 ends at the core
 *
 * Use:  pollen_test(<name> LIBRARIES pollen_nat_world) in CMake.
 */
#ifndef TESTS_SUPPORT_NAT_WORLD_H
#define TESTS_SUPPORT_NAT_WORLD_H

#include "sock/sock.h"

typedef enum nat_filter { NAT_EIF, NAT_ADF, NAT_APDF } nat_filter;

typedef struct nat_kind {
    pollen_nat_mapping mapping; /* Not unknown. */
    pollen_nat_allocation allocation;
    nat_filter filter;
    unsigned step;   /* Sequential: 1 or 256. */
    bool far;        /* Some hops away, as a carrier's is: openers end before it. */
    bool open_input; /* Packets that nobody waits for make entries, which take ports. */
    bool hairpin;
} nat_kind;

extern const nat_kind nat_none, nat_plain, nat_plainopen, nat_adf, nat_eif, nat_edm_random,
    nat_edm_seq, nat_edm_stride256, nat_cgn, nat_cgn_hard;

enum { NAT_ENTRIES_MAX = 8192, NAT_SOCKETS_MAX = 1200 };

typedef struct nat_entry {
    bool input; /* Made by a packet from outside that nobody waited for. */
    uint16_t local_port, outer_port;
    pollen_addr remote; /* The first destination; port 0: any (endpoint-independent). */
    uint16_t next_by_outer, next_by_remote; /* Chains: index + 1, 0 ends. */
} nat_entry;

typedef struct nat_flow {
    uint16_t local_port;
    pollen_addr remote;
    uint16_t next_by_remote;
} nat_flow;

typedef struct nat_box {
    nat_kind kind;
    pollen_addr outer;
    uint16_t next_port; /* Sequential. */
    size_t entry_count;
    nat_entry entries[NAT_ENTRIES_MAX];
    uint16_t by_outer[65536], by_remote[65536]; /* Heads of the chains, by port. */
    /* Of an easy one: to whom each local port has sent. */
    size_t flow_count;
    nat_flow flows[NAT_ENTRIES_MAX];
    uint16_t flow_by_remote[65536];
} nat_box;

typedef struct nat_socket {
    uint32_t via;
    uint16_t port;
    bool open;
} nat_socket;

typedef struct nat_dial {
    pln_path path;
    pln_ts started_at, sent_at;
    bool live;
} nat_dial;

/* A host that punches as the reference does: everything once, at the first moment. */
typedef struct nat_reference nat_reference;

typedef struct nat_host {
    pln_sock *sock;
    nat_reference *reference; /* Instead, when set. */
    pollen_key key;
    pollen_addr local; /* Port: the main socket's. */
    size_t box;        /* Which NAT. */
    size_t socket_count;
    nat_socket sockets[NAT_SOCKETS_MAX];
    size_t fd_max; /* Opening more sockets fails. */
    uint16_t next_port;
    nat_dial dials[PLN_PUNCH_HOLES_MAX + PLN_PUNCH_TRIES_MAX];
    size_t dial_count;
    bool connected; /* A session is confirmed on this side, */
    pln_path session;
    pln_ts connected_at;
    bool over;
    pln_sock_event last_over;
    size_t holes, opens, opened, closes;
    size_t packets_sent;
    pln_ts punch_at; /* PLN_TS_NEVER: no punch is planned. */
    pln_punch_plan plan;
} nat_host;

typedef struct nat_packet {
    pln_ts at;
    uint64_t order;
    pollen_addr from, to;
    size_t size;
    uint8_t data[64];
} nat_packet;

enum { NAT_PACKETS_MAX = 16384 };

typedef struct nat_world {
    pln_rng_seeded seeded[3];
    pln_rng rng;
    pln_ts now;
    pln_dur delay, jitter; /* One way. */
    unsigned loss_percent;
    bool handshakes; /* Holes are followed by dials; set by default. */
    bool filter_udp; /* Nothing arrives anywhere. */
    nat_box boxes[2];
    nat_host hosts[2];
    nat_packet *packets; /* A heap by time. */
    size_t packet_count;
    uint64_t next_order;
} nat_world;

/* Owner: the caller (nat_world_destroy).  Both on one NAT: b is NULL. */
nat_world *nat_world_create(uint64_t seed, const nat_kind *a, const nat_kind *b);
void nat_world_destroy(nat_world *world);

/* The host is one of the reference from now on. */
void nat_world_set_reference(nat_world *world, size_t host);

/* How a coordinator sees the host's main socket now: a flow of its own through the NAT. */
pollen_addr nat_world_observe(nat_world *world, size_t host);

/* So many flows of others pass the host's NAT. */
void nat_world_other_flows(nat_world *world, size_t host, unsigned count);

/* What the host would know of its NAT, had it asked. */
pln_nat_brief nat_world_brief(nat_world *world, size_t host, pollen_addr observed);

/* Plans for both sides, known verdicts and observed targets; host 1 fires `skew` later. */
void nat_world_plan(nat_world *world, pln_dur skew, pln_dur budget);

/* Fires the plans and runs until both punches are over (or span has passed). */
void nat_world_run(nat_world *world, pln_dur span);

bool nat_world_connected(const nat_world *world); /* Both sides. */

/* Ends the sessions; then all sockets but the main ones must be closed: how many are not. */
size_t nat_world_leaks(nat_world *world);

/* Mappings of the host's NAT made for it since the plan. */
size_t nat_world_entries(const nat_world *world, size_t host);

/* ---- For nat_reference.c --------------------------------------------------------------------- */

enum { NAT_DIAL = 0xc1, NAT_ACCEPT = 0xc2, NAT_FINISH = 0xc3 }; /* The model's handshake. */

void nat_world_send(nat_world *world, size_t host, const pln_path *path, unsigned ttl,
                    const uint8_t *data, size_t size);
void nat_world_open_socket(nat_host *host, uint32_t via);
void nat_world_close_socket(nat_host *host, uint32_t via);

nat_reference *nat_reference_create(void);
void nat_reference_destroy(nat_reference *reference);
void nat_reference_drive(nat_world *world, size_t host);
void nat_reference_handle(nat_world *world, size_t host, const pln_datagram *datagram);
pln_ts nat_reference_next(const nat_world *world, size_t host);

#endif
