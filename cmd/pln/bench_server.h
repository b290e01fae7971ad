/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of `pln bench`: answers streams to PLN_BENCH_PORT, one at a time for each peer and
 * PLN_BENCH_SERVED_MAX in all, each for a bounded time, and all only so often: a measurement takes
 * all that the way and the machine can give, and a member could ask for it day and night.
 *
 * Thread: any.
 */
#ifndef PLN_CMD_BENCH_SERVER_H
#define PLN_CMD_BENCH_SERVER_H

#include <pthread.h>

#include "base/meters.h"
#include "pln/bench_wire.h"

enum { PLN_BENCH_SERVED_MAX = 4 };

/* Seconds of measuring that a peer, and all together, may save up: some thirty measurements of ten
 * seconds, one after the other; then a tenth of the time, and a quarter. */
enum { PLN_BENCH_PEER_SECONDS = 300, PLN_BENCH_ALL_SECONDS = 900 };
#define PLN_BENCH_PEER_INTERVAL PLN_S(10)
#define PLN_BENCH_ALL_INTERVAL PLN_S(4)

typedef struct pln_bench_server {
    pthread_mutex_t lock; /* Leaf lock. */
    pthread_cond_t drained;
    pollen_key peers[PLN_BENCH_SERVED_MAX]; /* guarded by lock: whom a thread serves */
    size_t count;                           /* guarded by lock */
    pln_meters *by_peer, *of_all;           /* guarded by lock; NULL: no memory, nobody is served */
} pln_bench_server;

void pln_bench_server_init(pln_bench_server *server);
void pln_bench_server_fini(pln_bench_server *server); /* Drained before. */

/* Serves or refuses it, on a thread of its own.  Owner: takes the stream. */
void pln_bench_server_accept(pln_bench_server *server, pollen_stream *stream);

/* Takes so many seconds of the peer's and of all; false, and takes none of all, when they are not
 * left. */
bool pln_bench_server_charge(pln_bench_server *server, const pollen_key *peer, uint32_t seconds,
                             pln_ts now);

/* Waits until nothing is served any more, which is soon once the mesh is closed. */
void pln_bench_server_drain(pln_bench_server *server);

#endif
