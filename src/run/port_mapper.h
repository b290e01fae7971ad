/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine of src/portmap on a socket and a clock, in a thread of its own: routers are slow, the
 * loop has better things to do, and with a loop of the embedder's giving a mapping back must not
 * wait for its next dispatch.  The thread exists while a mapping is wanted.
 *
 * Thread: any, but one for init and fini.
 */
#ifndef PLN_RUN_PORT_MAPPER_H
#define PLN_RUN_PORT_MAPPER_H

#include <pthread.h>

#include <pollen/nat.h>

#include "run/cmdq.h"

typedef struct pln_port_mapper {
    pln_cmd cmd;          /* First: what the loop thread runs to tell the core. */
    pollen_mesh *mesh;    /* Borrowed; fixed. */
    pthread_mutex_t turn; /* Held while it starts or stops; taken before the other. */
    bool runs;            /* guarded by turn */
    pthread_t thread;     /* guarded by turn, while it runs */
    int wake_fd;          /* Readable: it is to stop.  Of the thread, while it runs. */

    pthread_mutex_t lock;       /* A leaf. */
    pollen_port_mapping report; /* guarded by lock */
    bool queued;                /* guarded by lock: the loop has yet to run cmd */
} pln_port_mapper;

void pln_port_mapper_init(pln_port_mapper *mapper, pollen_mesh *mesh);
void pln_port_mapper_fini(pln_port_mapper *mapper); /* Stopped before. */

/* Starts it, unless it runs.  Errors: POLLEN_ESYS, POLLEN_ECLOSED */
POLLEN_MUST_USE pollen_err pln_port_mapper_start(pln_port_mapper *mapper);

/* Gives back the mapping, for which a router that does not answer is waited for a moment. */
void pln_port_mapper_stop(pln_port_mapper *mapper);

#endif
