/* SPDX-License-Identifier: Apache-2.0 */
#include "run/wait.h"

#include <poll.h>
#include <stdatomic.h>

#include "base/assert.h"
#include "base/mem.h"
#include "run/clock.h"
#include "run/loop.h"

struct pollen_cancel {
    atomic_bool fired;
    pthread_mutex_t lock; /* Taken before a monitor's. */
    pln_wait *waiting;    /* guarded by lock */
};

void pln_monitor_init(pln_monitor *monitor) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&monitor->lock, NULL);
    pthread_cond_init(&monitor->changed, &attr);
    pthread_condattr_destroy(&attr);
}

void pln_monitor_fini(pln_monitor *monitor) {
    pthread_cond_destroy(&monitor->changed);
    pthread_mutex_destroy(&monitor->lock);
}

pollen_err pollen_cancel_create(pollen_cancel **ret_cancel) {
    pollen_cancel *cancel = pln_calloc(1, sizeof(*cancel));
    if (cancel == NULL) {
        return POLLEN_ENOMEM;
    }
    pthread_mutex_init(&cancel->lock, NULL);
    *ret_cancel = cancel;
    return POLLEN_OK;
}

void pollen_cancel_fire(pollen_cancel *cancel) {
    pthread_mutex_lock(&cancel->lock);
    atomic_store(&cancel->fired, true);
    for (pln_wait *wait = cancel->waiting; wait != NULL; wait = wait->next) {
        /* Under the monitor's lock, so that a waiter that has just looked is asleep by now. */
        pthread_mutex_lock(&wait->monitor->lock);
        pthread_cond_broadcast(&wait->monitor->changed);
        pthread_mutex_unlock(&wait->monitor->lock);
        if (wait->drives) {
            pln_loop_wake(wait->mesh);
        }
    }
    pthread_mutex_unlock(&cancel->lock);
}

void pollen_cancel_destroy(pollen_cancel *cancel) {
    if (cancel == NULL) {
        return;
    }
    PLN_ASSERT(cancel->waiting == NULL);
    pthread_mutex_destroy(&cancel->lock);
    pln_free(cancel);
}

void pln_wait_begin(pln_wait *wait, pollen_mesh *mesh, pln_monitor *monitor, pln_ts deadline,
                    pollen_cancel *cancel) {
    PLN_ASSERT(monitor != NULL);
    *wait = (pln_wait){.mesh = mesh, .monitor = monitor, .deadline = deadline, .cancel = cancel};
    if (mesh != NULL) {
        pln_loop_enter(mesh);
        wait->drives = pln_loop_is_driver(mesh);
    }
    if (cancel == NULL) {
        return;
    }
    pthread_mutex_lock(&cancel->lock);
    wait->next = cancel->waiting;
    wait->previous = &cancel->waiting;
    if (wait->next != NULL) {
        wait->next->previous = &wait->next;
    }
    cancel->waiting = wait;
    pthread_mutex_unlock(&cancel->lock);
}

void pln_wait_end(pln_wait *wait) {
    if (wait->cancel != NULL) {
        pthread_mutex_lock(&wait->cancel->lock);
        PLN_ASSERT(*wait->previous == wait);
        *wait->previous = wait->next;
        if (wait->next != NULL) {
            wait->next->previous = wait->previous;
        }
        pthread_mutex_unlock(&wait->cancel->lock);
    }
    if (wait->mesh != NULL) {
        pln_loop_leave(wait->mesh);
    }
}

static void drive(pln_wait *wait, pln_ts now) {
    PLN_ASSERT(wait->drives);
    PLN_ASSERT(wait->mesh != NULL);
    struct pollfd fd = {.fd = pollen_mesh_fd(wait->mesh), .events = POLLIN};
    pthread_mutex_unlock(&wait->monitor->lock);
    const int own = pln_clock_ms_until(wait->deadline, now);
    const int due = pollen_mesh_timeout_ms(wait->mesh);
    (void)poll(&fd, 1, due >= 0 && (own < 0 || due < own) ? due : own);
    /* A closed mesh has closed what we wait for as well, so the caller will see it. */
    const pollen_err closed = pollen_mesh_dispatch(wait->mesh);
    (void)closed;
    pthread_mutex_lock(&wait->monitor->lock);
}

pollen_err pln_wait_step(pln_wait *wait) {
    if (wait->cancel != NULL && atomic_load(&wait->cancel->fired)) {
        return POLLEN_ECANCELED;
    }
    if (wait->deadline == PLN_TS_NEVER && !wait->drives) {
        pthread_cond_wait(&wait->monitor->changed, &wait->monitor->lock);
        return POLLEN_OK;
    }
    pln_ts now = wait->deadline == 0 ? 0 : pln_clock_mono();
    if (pln_ts_reached(wait->deadline, now)) {
        return POLLEN_ETIMEDOUT;
    }
    if (wait->drives) {
        drive(wait, now);
    } else {
        struct timespec at = pln_clock_timespec(wait->deadline);
        (void)pthread_cond_timedwait(&wait->monitor->changed, &wait->monitor->lock, &at);
    }
    return POLLEN_OK;
}
