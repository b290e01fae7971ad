/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/tunnels.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/key.h"
#include "run/clock.h"

#define OPEN_TIMEOUT_MS 10000 /* A client that waits longer has given up, or should be told. */
#define LOG_INTERVAL PLN_S(1) /* Peers must not fill the log by being refused. */

struct pln_tunnel_entry {
    pln_tunnels *set;
    pollen_mesh *mesh;
    pln_tunnel_job job;
    bool inbound;
    pln_tunnel tunnel;
    pln_tunnel_entry *next, **previous; /* guarded by the lock of the set */
};

void pln_tunnels_init(pln_tunnels *tunnels, pln_logfile *log) {
    *tunnels = (pln_tunnels){.log = log, .open_timeout_ms = OPEN_TIMEOUT_MS};
    pthread_mutex_init(&tunnels->lock, NULL);
    pthread_cond_init(&tunnels->drained, NULL);
}

void pln_tunnels_fini(pln_tunnels *tunnels) {
    pthread_mutex_destroy(&tunnels->lock);
    pthread_cond_destroy(&tunnels->drained);
}

/* ---- The set --------------------------------------------------------------------------------- */

bool pln_tunnels_may_enter(size_t of_peer, size_t of_all) {
    const size_t kept = of_peer < PLN_TUNNELS_FEW ? 0 : PLN_TUNNELS_KEPT;
    return of_peer < PLN_TUNNELS_PEER_MAX && of_all + kept < PLN_TUNNELS_IN_MAX;
}

static bool has_room_locked(const pln_tunnels *tunnels, const pln_tunnel_entry *wanted) {
    size_t in = 0;
    size_t of_peer = 0;
    for (const pln_tunnel_entry *at = tunnels->first; at != NULL; at = at->next) {
        in += at->inbound;
        of_peer += at->inbound && pln_key_equal(&at->job.peer, &wanted->job.peer);
    }
    return tunnels->live < PLN_TUNNELS_MAX &&
           (!wanted->inbound || pln_tunnels_may_enter(of_peer, in));
}

static bool add(pln_tunnels *tunnels, pln_tunnel_entry *entry) {
    pthread_mutex_lock(&tunnels->lock);
    const bool room = has_room_locked(tunnels, entry);
    if (room) {
        entry->next = tunnels->first;
        entry->previous = &tunnels->first;
        if (entry->next != NULL) {
            entry->next->previous = &entry->next;
        }
        tunnels->first = entry;
        tunnels->live++;
    }
    pthread_mutex_unlock(&tunnels->lock);
    return room;
}

/* First out of everybody's sight, then closed, then no longer counted. */
static void finish(pln_tunnel_entry *entry) {
    pln_tunnels *tunnels = entry->set;
    pthread_mutex_lock(&tunnels->lock);
    *entry->previous = entry->next;
    if (entry->next != NULL) {
        entry->next->previous = entry->previous;
    }
    pthread_mutex_unlock(&tunnels->lock);
    pln_tunnel_fini(&entry->tunnel);
    free(entry);
    pthread_mutex_lock(&tunnels->lock);
    if (--tunnels->live == 0) {
        pthread_cond_broadcast(&tunnels->drained);
    }
    pthread_mutex_unlock(&tunnels->lock);
}

void pln_tunnels_cut(pln_tunnels *tunnels, uint16_t port) {
    pthread_mutex_lock(&tunnels->lock);
    for (pln_tunnel_entry *at = tunnels->first; at != NULL; at = at->next) {
        if (at->inbound && at->job.port == port) {
            pln_tunnel_cut(&at->tunnel, PLN_TUNNEL_WITHDRAWN);
        }
    }
    pthread_mutex_unlock(&tunnels->lock);
}

void pln_tunnels_drain(pln_tunnels *tunnels) {
    pthread_mutex_lock(&tunnels->lock);
    for (pln_tunnel_entry *at = tunnels->first; at != NULL; at = at->next) {
        pln_tunnel_cut(&at->tunnel, POLLEN_STREAM_CLOSED);
    }
    while (tunnels->live > 0) {
        pthread_cond_wait(&tunnels->drained, &tunnels->lock);
    }
    pthread_mutex_unlock(&tunnels->lock);
}

size_t pln_tunnels_count(pln_tunnels *tunnels) {
    pthread_mutex_lock(&tunnels->lock);
    const size_t live = tunnels->live;
    pthread_mutex_unlock(&tunnels->lock);
    return live;
}

static void log_refusal(pln_tunnels *tunnels, const pln_tunnel_job *job, const char *why) {
    char peer[POLLEN_KEY_HEX_BYTES];
    const pln_ts now = pln_clock_mono();
    pthread_mutex_lock(&tunnels->lock);
    const bool due = tunnels->logged_at == 0 ||
                     pln_ts_reached(pln_ts_add(tunnels->logged_at, LOG_INTERVAL), now);
    tunnels->logged_at = due ? now : tunnels->logged_at;
    pthread_mutex_unlock(&tunnels->lock);
    if (due && tunnels->log != NULL) {
        pln_logfile_printf(tunnels->log, PLN_LOG_WARN, "connection %s peer %s, port %u: %s",
                           job->stream != NULL ? "of" : "to", pollen_key_hex(&job->peer, peer),
                           (unsigned)job->port, why);
    }
}

/* ---- One tunnel's thread --------------------------------------------------------------------- */

static bool dial(pln_tunnel_entry *entry) {
    const pollen_err err = pln_tunnel_dial(&entry->tunnel, entry->job.port);
    if (err == POLLEN_EUNREACHABLE) {
        pln_tunnel_cut(&entry->tunnel, PLN_TUNNEL_UNAVAILABLE);
        log_refusal(entry->set, &entry->job, "nothing listens on this port of this machine");
    }
    return err == POLLEN_OK;
}

static bool open_stream(pln_tunnel_entry *entry) {
    pollen_stream *stream = NULL;
    const pollen_err err = pollen_mesh_open_stream(entry->mesh, &entry->job.peer, entry->job.port,
                                                   entry->set->open_timeout_ms, NULL, &stream);
    if (err != POLLEN_OK) {
        pln_tunnel_cut(&entry->tunnel, POLLEN_STREAM_CLOSED);
        log_refusal(entry->set, &entry->job, pollen_strerror(err));
        return false;
    }
    pln_tunnel_set_stream(&entry->tunnel, stream);
    return true;
}

static void log_end(pln_tunnel_entry *entry) {
    const uint64_t code = pollen_stream_reset_code(entry->tunnel.stream);
    const char *why = entry->inbound                   ? NULL
                      : code == POLLEN_STREAM_REFUSED  ? "the peer does not serve it"
                      : code == PLN_TUNNEL_UNAVAILABLE ? "nothing listens on the peer's port"
                      : code == PLN_TUNNEL_FULL        ? "the peer has too many connections"
                      : code == PLN_TUNNEL_WITHDRAWN   ? "the peer serves it no more"
                                                       : NULL;
    if (why != NULL) {
        log_refusal(entry->set, &entry->job, why);
    }
}

static void *run(void *arg) {
    pln_tunnel_entry *entry = arg;
    if (entry->inbound ? dial(entry) : open_stream(entry)) {
        if (!pln_tunnel_run(&entry->tunnel, !entry->inbound)) {
            log_end(entry);
        }
    }
    finish(entry);
    return NULL;
}

static int start_thread(pln_tunnel_entry *entry) {
    pthread_attr_t attr;
    pthread_t thread;
    pln_tunnel_thread_attr(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    const int error = pthread_create(&thread, &attr, run, entry);
    pthread_attr_destroy(&attr);
    return error;
}

/* Gives back what came with the job. */
static void refuse(const pln_tunnel_job *job) {
    if (job->stream != NULL) {
        pollen_stream_reset(job->stream, PLN_TUNNEL_FULL);
        pollen_stream_close(job->stream);
    }
    if (job->fd >= 0) {
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(job->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(job->fd);
    }
}

static pln_tunnel_entry *create(pln_tunnels *tunnels, pollen_mesh *mesh,
                                const pln_tunnel_job *job) {
    pln_tunnel_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL || pln_tunnel_init(&entry->tunnel) != POLLEN_OK) {
        free(entry);
        return NULL;
    }
    entry->set = tunnels;
    entry->mesh = mesh;
    entry->job = *job;
    entry->inbound = job->stream != NULL;
    return entry;
}

pollen_err pln_tunnels_start(pln_tunnels *tunnels, pollen_mesh *mesh, const pln_tunnel_job *job) {
    pln_tunnel_entry *entry = create(tunnels, mesh, job);
    if (entry == NULL) {
        log_refusal(tunnels, job, "out of memory or descriptors");
        refuse(job);
        return POLLEN_ENOMEM;
    }
    if (!add(tunnels, entry)) {
        pln_tunnel_fini(&entry->tunnel);
        free(entry);
        log_refusal(tunnels, job, "too many connections");
        refuse(job);
        return POLLEN_ELIMIT;
    }
    if (job->stream != NULL) {
        pln_tunnel_set_stream(&entry->tunnel, job->stream);
    } else {
        pln_tunnel_set_tcp(&entry->tunnel, job->fd);
    }
    if (start_thread(entry) != 0) {
        pln_tunnel_cut(&entry->tunnel, PLN_TUNNEL_FULL);
        log_refusal(tunnels, job, "out of threads");
        finish(entry);
        return POLLEN_ENOMEM;
    }
    return POLLEN_OK;
}
