/* SPDX-License-Identifier: Apache-2.0 */
#include "run/paths.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/key.h"
#include "run/clock.h"
#include "run/loop.h"
#include "run/resolve.h"
#include "run/runtime.h"
#include "run/thread.h"
#include "run/wake.h"

/* Where other addresses are at hand, names are worth no longer wait than this. */
#define LOOKUP_TIME PLN_S(5)
#define LOOKUP_SLICE PLN_MS(50)

static bool is_numeric(const char *text) {
    pollen_addr addr;
    return pln_addr_parse_lenient(text, POLLEN_PORT_DEFAULT, &addr) == POLLEN_OK;
}

static bool has_names(const pln_bootstraps *bootstrap) {
    for (size_t i = 0; i < bootstrap->count; i++) {
        for (size_t k = 0; k < bootstrap->items[i].addr_count; k++) {
            if (!is_numeric(bootstrap->items[i].addrs[k])) {
                return true;
            }
        }
    }
    return false;
}

static void fill_target(const pln_bootstrap *from, bool names, pln_target *target) {
    *target = (pln_target){.peer = from->peer_pub};
    for (size_t i = 0; i < from->addr_count; i++) {
        bool is_name;
        if (names || is_numeric(from->addrs[i])) {
            pln_resolve(from->addrs[i], POLLEN_PORT_DEFAULT, target->addrs, PLN_DIAL_ADDRS_MAX,
                        &target->addr_count, &is_name);
        }
    }
}

/* names: also ask for those; else it does not wait. */
static pollen_err fill_targets(const pln_bootstraps *bootstrap, const pollen_key *self, bool names,
                               pln_targets *ret) {
    *ret = (pln_targets){.items = NULL};
    pln_target *items = bootstrap->count == 0 ? NULL : pln_calloc(bootstrap->count, sizeof(*items));
    if (items == NULL) {
        return bootstrap->count == 0 ? POLLEN_OK : POLLEN_ENOMEM;
    }
    size_t count = 0;
    for (size_t i = 0; i < bootstrap->count; i++) {
        if (!pln_key_equal(&bootstrap->items[i].peer_pub, self)) {
            fill_target(&bootstrap->items[i], names, &items[count]);
            count += items[count].addr_count > 0;
        }
    }
    if (count == 0) {
        pln_free(items);
        return POLLEN_OK;
    }
    *ret = (pln_targets){.items = items, .count = count};
    return POLLEN_OK;
}

/* ---- Looking names up ------------------------------------------------------------------------ */

/* Shared by the call that waits and the thread that asks, which may outlive the call, and the mesh
 * as well: whoever leaves last frees it. */
typedef struct lookup {
    atomic_int refs;
    pln_bootstraps bootstrap;
    pollen_key self;
    int wake_fd; /* A duplicate of the mesh's: wakes a driver that waits for us in its poll(). */
    pln_monitor monitor; /* Guards the rest. */
    bool done;
    pollen_err err;
    pln_targets targets;
} lookup;

static void lookup_unref(lookup *l) {
    if (atomic_fetch_sub(&l->refs, 1) != 1) {
        return;
    }
    pln_bootstraps_fini(&l->bootstrap);
    pln_free(l->targets.items);
    pln_monitor_fini(&l->monitor);
    (void)close(l->wake_fd);
    pln_free(l);
}

static void *lookup_main(void *arg) {
    lookup *l = arg;
    pln_targets targets;
    const pollen_err err = fill_targets(&l->bootstrap, &l->self, true, &targets);
    pthread_mutex_lock(&l->monitor.lock);
    l->err = err;
    l->targets = targets;
    l->done = true;
    pthread_cond_broadcast(&l->monitor.changed);
    pthread_mutex_unlock(&l->monitor.lock);
    pln_wake(l->wake_fd);
    lookup_unref(l);
    return NULL;
}

static lookup *lookup_start(pollen_mesh *mesh, const pln_bootstraps *bootstrap) {
    lookup *l = pln_calloc(1, sizeof(*l));
    if (l == NULL) {
        return NULL;
    }
    atomic_init(&l->refs, 2);
    pln_monitor_init(&l->monitor);
    l->self = mesh->key;
    l->wake_fd = fcntl(mesh->poller.wake_fd, F_DUPFD_CLOEXEC, 0);
    pthread_t thread;
    if (l->wake_fd < 0 || pln_bootstraps_copy(&l->bootstrap, bootstrap) != POLLEN_OK ||
        !pln_thread_start(&thread, lookup_main, l)) {
        lookup_unref(l);
        lookup_unref(l);
        return NULL;
    }
    pthread_detach(thread);
    return l;
}

/* Waits up to deadline or for a slice of it; POLLEN_EAGAIN after the slice. */
static pollen_err wait_slice(lookup *l, pln_wait *wait, pln_ts deadline) {
    pollen_err err = POLLEN_OK;
    wait->deadline = pln_ts_min(deadline, pln_ts_add(pln_clock_mono(), LOOKUP_SLICE));
    const bool whole = wait->deadline == deadline;
    pthread_mutex_lock(&l->monitor.lock);
    while (!l->done && err == POLLEN_OK) {
        err = pln_wait_step(wait);
    }
    pthread_mutex_unlock(&l->monitor.lock);
    return err == POLLEN_ETIMEDOUT && !whole ? POLLEN_EAGAIN : err;
}

/* Takes the answer; an error when it did not come.  The resolver knows nothing of the mesh, so that
 * it has to be looked at now and then whether that closes. */
static pollen_err lookup_wait(pollen_mesh *mesh, lookup *l, pln_ts deadline, pollen_cancel *cancel,
                              pln_targets *ret) {
    pollen_err err;
    pln_wait wait;
    pln_wait_begin(&wait, mesh, &l->monitor, deadline, cancel);
    do {
        err = wait_slice(l, &wait, deadline);
        if (err != POLLEN_OK && pln_loop_is_closed(mesh)) {
            err = POLLEN_ECLOSED;
        }
    } while (err == POLLEN_EAGAIN);
    pln_wait_end(&wait);
    if (err != POLLEN_OK) {
        return err;
    }
    /* Done, so the thread touches these no more. */
    *ret = l->targets;
    l->targets = (pln_targets){.items = NULL};
    return l->err;
}

pollen_err pln_targets_resolve(pollen_mesh *mesh, const pln_bootstraps *bootstrap, pln_ts deadline,
                               pollen_cancel *cancel, pln_targets *ret) {
    pln_targets numeric, all = {.items = NULL};
    pollen_err err = fill_targets(bootstrap, &mesh->key, false, &numeric);
    if (err != POLLEN_OK || !has_names(bootstrap)) {
        *ret = numeric;
        return err;
    }
    lookup *l = lookup_start(mesh, bootstrap);
    if (l == NULL) {
        pln_free(numeric.items);
        return POLLEN_ENOMEM;
    }
    if (numeric.count > 0) {
        deadline = pln_ts_min(deadline, pln_ts_add(pln_clock_mono(), LOOKUP_TIME));
    }
    err = lookup_wait(mesh, l, deadline, cancel, &all);
    lookup_unref(l);
    if (err == POLLEN_ETIMEDOUT && numeric.count > 0) {
        *ret = numeric;
        return POLLEN_OK;
    }
    pln_free(numeric.items);
    *ret = all;
    return err;
}
