/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of `pln bench`: answers streams to PLN_BENCH_PORT, one at a time for each peer and
 * PLN_BENCH_SERVED_MAX in all, each for a bounded time.
 *
 * Thread: any.
 */
#ifndef PLN_CMD_BENCH_SERVER_H
#define PLN_CMD_BENCH_SERVER_H

#include <pthread.h>

#include "pln/bench_wire.h"

enum { PLN_BENCH_SERVED_MAX = 4 };

typedef struct pln_bench_server {
    pthread_mutex_t lock; /* Leaf lock. */
    pthread_cond_t drained;
    pollen_key peers[PLN_BENCH_SERVED_MAX]; /* guarded by lock: whom a thread serves */
    size_t count;                           /* guarded by lock */
} pln_bench_server;

void pln_bench_server_init(pln_bench_server *server);
void pln_bench_server_fini(pln_bench_server *server); /* Drained before. */

/* Serves or refuses it, on a thread of its own.  Owner: takes the stream. */
void pln_bench_server_accept(pln_bench_server *server, pollen_stream *stream);

/* Waits until nothing is served any more, which is soon once the mesh is closed. */
void pln_bench_server_drain(pln_bench_server *server);

#endif
