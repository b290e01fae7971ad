/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world: nodes of the very same core that the daemon runs, on one virtual clock over one virtual
 * network.  Everything random comes from one seed; TLS draws its own randomness, which changes
 * bytes but neither sizes nor times, so the log holds events, sizes and times, and equal seeds give
 * equal logs.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "net.h"
#include "node/node.h"

enum { SIM_NODES_MAX = 1024, SIM_SOCKETS_MAX = 512 };

typedef struct sim_world sim_world;

/* The world starts at second 1000 of its clock and at SIM_WALL_START of the calendar. */
#define SIM_WALL_START 1770000000

sim_world *sim_world_create(uint64_t seed, const sim_link *link);
void sim_world_destroy(sim_world *world);
void sim_world_set_link(sim_world *world, const sim_link *link);

/* Nodes started from now on take part in gossip, and so dial the members that they learn of. */
void sim_world_gossip(sim_world *world);

/* A NAT whose outside address is in the realm; nodes are put behind it by sim_add_node_behind(). */
sim_realm sim_add_nat(sim_world *world, sim_nat_kind kind, sim_realm outside);
sim_nat *sim_world_nat(sim_world *world, sim_realm inside);
sim_net *sim_world_net(sim_world *world);

/* Nodes started from now on send PINGs so seldom that in a story of minutes none is sent. */
void sim_world_without_pings(sim_world *world);

uint64_t sim_world_seed(const sim_world *world);
pln_ts sim_world_now(const sim_world *world);
pln_rng *sim_world_rng(sim_world *world); /* For a scenario's own choices. */

/* Adds a member of the world's cluster (the first one is its root) and starts it;
 * returns its index. */
size_t sim_add_node(sim_world *world);
/* The same, inside a NAT, with a private address. */
size_t sim_add_node_behind(sim_world *world, sim_realm realm);
/* Adds a node that belongs to no cluster yet. */
size_t sim_add_outsider(sim_world *world);
size_t sim_node_count(const sim_world *world);
const pollen_key *sim_key(const sim_world *world, size_t node);
pollen_addr sim_addr(const sim_world *world, size_t node);

/* Without a word, as SIGKILL; nothing that was not on disk survives a restart:
 * same key and address, new everything else. */
void sim_kill(sim_world *world, size_t node);
void sim_restart(sim_world *world, size_t node);
bool sim_is_up(const sim_world *world, size_t node);
pln_node *sim_node(sim_world *world, size_t node); /* NULL when killed. */
pln_mesh *sim_mesh(sim_world *world, size_t node);

/* No packet passes between the two sides of the cut:
 * nodes below `below` and the others.  0 heals. */
void sim_partition(sim_world *world, size_t below);
/* The same for one node: packets pass between nodes of one side only.  All begin on side 0. */
void sim_set_side(sim_world *world, size_t node, unsigned side);

/* ---- Sockets --------------------------------------------------------------------------------- */

/* An extra socket of a node, with a port of its own, which is returned.  One that the node sends by
 * without its having been opened is opened then; a killed node's are closed. */
uint16_t sim_open_socket(sim_world *world, size_t node, uint32_t via);
void sim_close_socket(sim_world *world, size_t node, uint32_t via);
size_t sim_socket_count(const sim_world *world, size_t node);

/* ---- A node's clocks ------------------------------------------------------------------------- */

/* What a node takes the time to be. */
pln_now sim_now(const sim_world *world, size_t node);

/* Its calendar leaps, forwards or back. */
void sim_jump_wall(sim_world *world, size_t node, int64_t seconds);

/* The machine sleeps: nothing runs, what is sent to it is lost.  Its monotonic clock stands still
 * meanwhile, as CLOCK_MONOTONIC does, or it does not. */
void sim_sleep(sim_world *world, size_t node, pln_dur duration, bool clock_stands);
bool sim_is_asleep(const sim_world *world, size_t node);

/* ---- Commands -------------------------------------------------------------------------------- */

/* Asks `from` to connect to `to`; the result is logged and counted. */
void sim_connect(sim_world *world, size_t from, size_t to, pln_dur timeout);

/* `node` keeps a session with `peer` from now on, by the peer state machine. */
void sim_keep(sim_world *world, size_t node, size_t peer);

/* The root issues an invite that names itself. */
void sim_invite(sim_world *world, pln_invite_token *ret);

/* The outsider redeems the invite at the root and enrols with the answer;
 * counted as sim_connect(). */
void sim_join(sim_world *world, size_t node, const pln_invite_token *invite, pln_dur timeout);
bool sim_is_enrolled(const sim_world *world, size_t node);

/* Sends an application datagram.  Errors: those of pln_mesh_send() */
pollen_err sim_send(sim_world *world, size_t from, size_t to, const void *bytes, size_t size);

/* Something was done to the node directly: lets it send, and sees when it wants to be woken. */
void sim_poke(sim_world *world, size_t node);

/* Lets virtual time pass. */
void sim_run(sim_world *world, pln_dur duration);

/* Lets time pass until the condition holds or the limit is reached; tells which.  The condition is
 * looked at when a node reported something, and each ten milliseconds. */
bool sim_run_until(sim_world *world, bool (*condition)(sim_world *world, void *arg), void *arg,
                   pln_dur limit);

/* What a node saw of one peer since the world began. */
typedef struct sim_seen {
    uint64_t connected, disconnected; /* Events. */
    pollen_end_reason last_reason;
    uint64_t last_generation;    /* Of the newest CONNECTED. */
    uint64_t packets;            /* Application datagrams received. */
    uint64_t ops_ok, ops_failed; /* Of sim_connect(). */
} sim_seen;
const sim_seen *sim_saw(const sim_world *world, size_t node, size_t peer);

/* Both have each other as their registered session, and it is one and the same connection. */
bool sim_pair_settled(sim_world *world, size_t a, size_t b);
/* All nodes are up and all pairs of them settled. */
bool sim_all_settled(sim_world *world, void *unused);
/* All know of all. */
bool sim_all_known(sim_world *world, void *unused);

/* Connections of the node that are not quite over, surplus ones and dials included. */
size_t sim_connections(sim_world *world, size_t node);

/* Called with every event of a node that is not merely traffic; NULL ends it. */
typedef void (*sim_listener)(void *arg, pln_ts at, size_t node, size_t peer,
                             const pln_mesh_event *event);
void sim_world_listen(sim_world *world, sim_listener listener, void *arg);

/* Called with every datagram that a node sends, whatever becomes of it; NULL ends it. */
typedef void (*sim_tap)(void *arg, pln_ts at, size_t node, const sim_datagram *datagram);
void sim_world_tap(sim_world *world, sim_tap tap, void *arg);

uint64_t sim_log_hash(const sim_world *world);
uint64_t sim_log_lines(const sim_world *world);
sim_net_counts sim_traffic(const sim_world *world);
uint64_t sim_turns(const sim_world *world); /* Inputs that nodes were given. */

/* POLLEN_SEED in the environment replaces the seeds of a test by the one it names. */
bool sim_env_seed(uint64_t *ret);
uint64_t sim_seed_or(uint64_t seed); /* That one, or this; told on stdout. */

#endif
