/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting: what every blocking call is made of.  A monitor is a mutex, named by what it guards, and
 * a condition on the monotonic clock:
 *
 *     pln_wait_begin(&wait, mesh, &monitor, deadline, cancel);
 *     pthread_mutex_lock(&monitor.lock);
 *     while (!condition && err == POLLEN_OK) {
 *         err = pln_wait_step(&wait);
 *     }
 *     pthread_mutex_unlock(&monitor.lock);
 *     pln_wait_end(&wait);
 *
 * Locks: every monitor's is a leaf, taken last.  The one lock that is held while a monitor's is
 *        taken is that of a pollen_cancel: cancel->lock, then monitor.lock.
 *
 * With an external loop the driving thread does not sleep in pln_wait_step() but runs the mesh; the
 * monitor is released meanwhile.
 */
#ifndef PLN_RUN_WAIT_H
#define PLN_RUN_WAIT_H

#include <pthread.h>
#include <stdbool.h>

#include <pollen/mesh.h>

#include "base/time.h"

typedef struct pln_monitor {
    pthread_mutex_t lock;
    pthread_cond_t changed;
} pln_monitor;

void pln_monitor_init(pln_monitor *monitor);
void pln_monitor_fini(pln_monitor *monitor);

typedef struct pln_wait {
    pollen_mesh *mesh;
    pln_monitor *monitor;
    pln_ts deadline;
    pollen_cancel *cancel;
    bool drives;                /* This thread runs the mesh. */
    struct pln_wait *next;      /* guarded by cancel->lock */
    struct pln_wait **previous; /* guarded by cancel->lock */
} pln_wait;

/* The monitor is not locked.  mesh is NULL when none is waited for; cancel may be NULL. */
void pln_wait_begin(pln_wait *wait, pollen_mesh *mesh, pln_monitor *monitor, pln_ts deadline,
                    pollen_cancel *cancel);
void pln_wait_end(pln_wait *wait);

/*
 * With the monitor locked: waits until something may have changed.
 *
 * Errors: POLLEN_ETIMEDOUT (at once when the deadline is past), POLLEN_ECANCELED
 */
POLLEN_MUST_USE pollen_err pln_wait_step(pln_wait *wait);

#endif
