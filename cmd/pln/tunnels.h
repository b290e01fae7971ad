/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All tunnels of the daemon: their threads, and how many there may be.
 *
 * A tunnel counts from pln_tunnels_start(), which is called between pln_daemon_enter() and
 * pln_daemon_leave(), until its stream is closed; pln_tunnels_drain() waits for that.  So none of
 * them holds the lock of the mesh, and no stream outlives its mesh.
 *
 * Thread: any.
 */
#ifndef PLN_CMD_TUNNELS_H
#define PLN_CMD_TUNNELS_H

#include "pln/logfile.h"
#include "pln/tunnel.h"

/* Each takes two threads, two descriptors and some 200 KiB, so that all of them fit into the 1,024
 * descriptors that a process has by default, and into 64 MiB. */
enum { PLN_TUNNELS_MAX = 256 };

/* Of those, from peers: the programs of this machine are not to be locked out by others. */
enum { PLN_TUNNELS_IN_MAX = 192 };

/* Of those, from one peer: more than the 100 streams that a session carries, so that it binds only
 * who comes back faster than connections end, and never takes the place of all others. */
enum { PLN_TUNNELS_PEER_MAX = 128 };

/* Of those from peers, the last quarter is for peers that have few: whatever two of them take,
 * three others get this many each. */
enum { PLN_TUNNELS_KEPT = 48, PLN_TUNNELS_FEW = 16 };

typedef struct pln_tunnel_entry pln_tunnel_entry;

typedef struct pln_tunnels {
    pthread_mutex_t lock; /* Before the lock of a tunnel. */
    pthread_cond_t drained;
    pln_tunnel_entry *first; /* guarded by lock */
    size_t live;             /* guarded by lock: threads, the listed ones and those that leave */
    uint64_t logged_at;      /* guarded by lock: the last line about a refusal */
    pln_logfile *log;        /* NULL: silent. */
    int open_timeout_ms;     /* For a session with the provider, and for room among its streams. */
} pln_tunnels;

/* What is to be connected: a stream that came with a port of this machine, or a TCP connection that
 * came with a port of a peer. */
typedef struct pln_tunnel_job {
    pollen_key peer;
    uint16_t port;
    pollen_stream *stream; /* NULL: open one. */
    int fd;                /* -1: dial. */
} pln_tunnel_job;

void pln_tunnels_init(pln_tunnels *tunnels, pln_logfile *log);
void pln_tunnels_fini(pln_tunnels *tunnels); /* Drained before. */

/*
 * Owner:  takes the stream or the descriptor, also on failure; then the other side and the log were
 *         told, and there is nothing left to do.
 * Errors: POLLEN_ELIMIT, POLLEN_ENOMEM
 */
pollen_err pln_tunnels_start(pln_tunnels *tunnels, pollen_mesh *mesh, const pln_tunnel_job *job);

/* Whether a peer may have one more beside those of its own, when there are so many from all. */
bool pln_tunnels_may_enter(size_t of_peer, size_t of_all);

/* Ends those that peers have to this port. */
void pln_tunnels_cut(pln_tunnels *tunnels, uint16_t port);

/* Ends all, and waits for them. */
void pln_tunnels_drain(pln_tunnels *tunnels);

size_t pln_tunnels_count(pln_tunnels *tunnels);

#endif
