/* SPDX-License-Identifier: Apache-2.0 */
#include "run/cmdq.h"

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "run/wake.h"

void pln_cmdq_init(pln_cmdq *q, int wake_fd, const atomic_uintptr_t *driver) {
    *q = (pln_cmdq){.wake_fd = wake_fd, .driver = driver};
    pthread_mutex_init(&q->lock, NULL);
    q->tail = &q->head;
}

void pln_cmdq_fini(pln_cmdq *q) {
    PLN_ASSERT(q->head == NULL); /* Each command completes, also on shutdown. */
    pthread_mutex_destroy(&q->lock);
}

static bool is_driver(const pln_cmdq *q) {
    return q->driver != NULL && atomic_load(q->driver) == (uintptr_t)pthread_self();
}

pollen_err pln_cmdq_push(pln_cmdq *q, pln_cmd *cmd) {
    PLN_ASSERT(cmd->run != NULL);
    pthread_mutex_lock(&q->lock);
    if (q->closed) {
        pthread_mutex_unlock(&q->lock);
        return POLLEN_ECLOSED;
    }
    bool was_empty = q->head == NULL;
    cmd->next = NULL;
    *q->tail = cmd;
    q->tail = &cmd->next;
    pthread_mutex_unlock(&q->lock);

    /* Wakes coalesce, so the data travels in the list and the fd only says "look".  Whoever drives
     * the mesh looks by itself: pollen_mesh_timeout_ms() is 0 while a command waits. */
    if (was_empty && !is_driver(q)) {
        pln_cmdq_wake(q);
    }
    return POLLEN_OK;
}

static pln_cmd *take_locked(pln_cmdq *q) {
    pln_cmd *list = q->head;
    PLN_ASSERT((list == NULL) == (q->tail == &q->head));
    q->head = NULL;
    q->tail = &q->head;
    return list;
}

pln_cmd *pln_cmdq_take(pln_cmdq *q) {
    pthread_mutex_lock(&q->lock);
    pln_cmd *list = take_locked(q);
    pthread_mutex_unlock(&q->lock);
    return list;
}

pln_cmd *pln_cmdq_close(pln_cmdq *q) {
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pln_cmd *list = take_locked(q);
    pthread_mutex_unlock(&q->lock);
    return list;
}

bool pln_cmdq_is_empty(pln_cmdq *q) {
    pthread_mutex_lock(&q->lock);
    bool empty = q->head == NULL;
    pthread_mutex_unlock(&q->lock);
    return empty;
}

void pln_cmdq_wake(pln_cmdq *q) {
    pln_wake(q->wake_fd);
    atomic_store(&q->woken, true);
}

/* The flag is taken back first: a wake-up in between makes the fd readable for the next look. */
void pln_cmdq_reset(pln_cmdq *q) {
    if (atomic_exchange(&q->woken, false)) {
        pln_wake_reset(q->wake_fd);
    }
}
