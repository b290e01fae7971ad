/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command queue: any thread in, loop thread out.  A command is embedded in what it is about (a
 * call, a stream, a link), so that pushing one allocates nothing and cannot fail but for a closed
 * queue.
 */
#ifndef PLN_RUN_CMDQ_H
#define PLN_RUN_CMDQ_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <pollen/err.h>

struct pollen_mesh;

typedef struct pln_cmd pln_cmd;
struct pln_cmd {
    pln_cmd *next;
    /* Runs exactly once for each push, on the loop thread, also when the mesh closes: state is
     * POLLEN_ECLOSED then, and the core must not be touched. */
    void (*run)(pln_cmd *cmd, struct pollen_mesh *mesh, pollen_err state);
};

typedef struct pln_cmdq {
    pthread_mutex_t lock;  /* Leaf lock: taken last; nothing is called while it is held. */
    pln_cmd *head, **tail; /* guarded by lock */
    bool closed;           /* guarded by lock */
    int wake_fd;           /* An eventfd, borrowed; fixed after init. */
    /* The thread that need not be woken by its own pushes, or NULL; fixed after init. */
    const atomic_uintptr_t *driver;
    atomic_bool woken; /* The eventfd was written to since it was last reset. */
} pln_cmdq;

void pln_cmdq_init(pln_cmdq *q, int wake_fd, const atomic_uintptr_t *driver);
void pln_cmdq_fini(pln_cmdq *q);

/* Any thread.  On POLLEN_OK the queue owns cmd until it runs;
 * on POLLEN_ECLOSED the caller still does. */
POLLEN_MUST_USE pollen_err pln_cmdq_push(pln_cmdq *q, pln_cmd *cmd);

/* Loop thread only: all that is queued, in order.
 * pln_cmdq_reset() comes before it, because the other order loses a wake-up. */
pln_cmd *pln_cmdq_take(pln_cmdq *q);

/* Loop thread only: refuses everything from now on and gives what is left. */
pln_cmd *pln_cmdq_close(pln_cmdq *q);

bool pln_cmdq_is_empty(pln_cmdq *q); /* Any thread. */

/* Any thread: makes the eventfd readable. */
void pln_cmdq_wake(pln_cmdq *q);

/* Loop thread only: resets the eventfd, before the queue is looked at. */
void pln_cmdq_reset(pln_cmdq *q);

#endif
