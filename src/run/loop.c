/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Design notes.
 *
 * One thread owns the core.  A turn is: sample the clock once, take datagrams, run commands, expire
 * timers; then send, handle events, and again, until the core is quiet; then note the deadline.
 * Every part has a budget, so that neither a flood of datagrams nor one of commands keeps the
 * others waiting; what is left makes the next turn follow without sleep (`busy`).
 *
 * A run of packets that the socket does not take is kept and sent first thing when it can, because
 * for QUIC these packets are under way.  Until then nothing new is built.
 *
 * Waking a sleeping thread on another CPU takes longer than most packets travel, so while datagrams
 * flow the thread looks again for a moment before it sleeps.
 */
#include "run/loop.h"

#include <poll.h>

#include "base/assert.h"
#include "run/clock.h"
#include "run/runtime.h"

enum { RECV_BATCHES = 4, COMMANDS_MAX = 256, RUNS_MAX = 32, SETTLE_ROUNDS = 16 };
enum { REFRESH_LINKS = 16 }; /* A turn. */

#define REFRESH_INTERVAL PLN_MS(50)
#define SPIN_TIME (50 * 1000ull) /* Nanoseconds. */
enum { SPIN_CREDIT_MAX = 64, SPIN_CREDIT_GAIN = 8 };

/* ---- In -------------------------------------------------------------------------------------- */

static void receive_one(void *ctx, const pln_datagram *datagram) {
    pollen_mesh *mesh = ctx;
    mesh->activity++;
    pln_node_handle_datagram(mesh->node, datagram, mesh->now);
}

static void receive(pollen_mesh *mesh) {
    for (int i = 0; i < RECV_BATCHES; i++) {
        if (pln_udp_recv(&mesh->udp, receive_one, mesh) < PLN_UDP_SLOTS) {
            return; /* The socket is empty, or as good as; it stays readable if not. */
        }
    }
}

static void run_commands(pollen_mesh *mesh) {
    pln_cmdq_reset(&mesh->cmdq);
    for (int i = 0; i < COMMANDS_MAX; i++) {
        if (mesh->backlog == NULL) {
            mesh->backlog = pln_cmdq_take(&mesh->cmdq);
        }
        pln_cmd *cmd = mesh->backlog;
        if (cmd == NULL) {
            return;
        }
        mesh->backlog = cmd->next;
        cmd->run(cmd, mesh, POLLEN_OK);
    }
    mesh->busy = true;
}

static void expire(pollen_mesh *mesh) {
    if (pln_ts_reached(pln_node_next_expiry(mesh->node), mesh->now.mono)) {
        pln_node_handle_timeout(mesh->node, mesh->now);
    }
}

/* ---- Out ------------------------------------------------------------------------------------- */

/* False while the socket is full. */
static bool send_held(pollen_mesh *mesh) {
    if (mesh->holds_run) {
        const bool is_main = mesh->held_run.path.via == PLN_VIA_MAIN;
        pln_udp *udp = pln_sockets_find(&mesh->sockets, mesh->held_run.path.via);
        mesh->holds_run =
            udp != NULL && !pln_udp_send(udp, &mesh->held_run, mesh->run_bytes, &mesh->held_offset);
        /* The others are tried again by the deadline. */
        pln_poller_want_write(&mesh->poller, mesh->holds_run && is_main);
    }
    return !mesh->holds_run;
}

/* Until the core has nothing, the socket is full or the budget is used up. */
static void transmit(pollen_mesh *mesh) {
    for (int i = 0; i < RUNS_MAX; i++) {
        if (!send_held(mesh) ||
            !pln_node_poll_transmit(mesh->node, mesh->run_bytes, &mesh->held_run, mesh->now)) {
            return;
        }
        mesh->activity++;
        mesh->holds_run = true;
        mesh->held_offset = 0;
    }
    if (send_held(mesh)) {
        mesh->busy = true;
    }
}

/* ---- Envelopes ------------------------------------------------------------------------------- */

static void put_back(pln_chunkq *q, pln_chunk *chunk) {
    chunk->next = q->head;
    q->head = chunk;
    q->tail = q->tail == NULL ? chunk : q->tail;
    q->bytes += pln_chunk_size(chunk);
    q->count++;
}

/* Hands on what the link holds; false when the core has no room for more now. */
static bool send_envelopes(pollen_mesh *mesh, pln_link *link) {
    while (link->held.count > 0) {
        pln_chunk *chunk = pln_chunkq_pop(&link->held);
        pollen_err err = pln_mesh_send(pln_node_mesh(mesh->node), &link->peer, chunk, mesh->now);
        if (err == POLLEN_EAGAIN) {
            put_back(&link->held, chunk);
            return false;
        }
        if (err != POLLEN_OK) {
            pln_chunk_destroy(chunk); /* The session ended, or its path became narrower. */
        }
        atomic_fetch_sub(&link->waiting, 1);
    }
    return true;
}

static void drain_link(pollen_mesh *mesh, pln_link *link) {
    if (send_envelopes(mesh, link) || link->blocked) {
        return;
    }
    link->blocked = true;
    link->next_blocked = mesh->blocked;
    mesh->blocked = link;
}

void pln_loop_run_link(pln_cmd *cmd, pollen_mesh *mesh, pollen_err state) {
    pln_link *link = (pln_link *)(void *)cmd;
    PLN_ASSERT_LOOP(mesh);
    if (!pln_directory_done(&mesh->directory, link)) {
        pln_directory_free(&mesh->directory, link);
    } else if (state == POLLEN_OK) {
        drain_link(mesh, link);
    }
}

static void retry_blocked(pollen_mesh *mesh) {
    pln_link *list = mesh->blocked;
    mesh->blocked = NULL;
    for (pln_link *link = list, *next; link != NULL; link = next) {
        next = link->next_blocked;
        link->blocked = false;
        drain_link(mesh, link);
        if (!link->blocked) {
            pln_directory_take(&mesh->directory, link); /* What came while the core was full. */
            drain_link(mesh, link);
        }
    }
}

/* The path of a session grows without an event, and senders want the exact limit. */
static void refresh_links(pollen_mesh *mesh) {
    bool between = mesh->directory.cursor == NULL;
    if (between && mesh->now.mono < pln_ts_add(mesh->refreshed_at, REFRESH_INTERVAL)) {
        return;
    }
    mesh->refreshed_at = between ? mesh->now.mono : mesh->refreshed_at;
    for (int i = 0; i < REFRESH_LINKS; i++) {
        pln_link *link = pln_directory_next(&mesh->directory);
        pln_session_info info;
        if (link != NULL &&
            pln_mesh_session_info(pln_node_mesh(mesh->node), &link->peer, &info) == POLLEN_OK) {
            /* The link is there, so nothing is allocated. */
            PLN_ASSERT(pln_directory_update(&mesh->directory, &info, pln_loop_run_link) ==
                       POLLEN_OK);
        }
        if (mesh->directory.cursor == NULL) {
            return;
        }
    }
}

/* ---- A turn ---------------------------------------------------------------------------------- */

/* Opens and closes what the core asks for; true when there was something. */
static bool serve_sockets(pollen_mesh *mesh) {
    pln_socket_wish wish;
    bool served = false;
    while (pln_node_poll_socket(mesh->node, &wish, mesh->now)) {
        uint16_t port;
        served = true;
        if (!wish.open) {
            pln_sockets_close(&mesh->sockets, wish.via);
        } else if (pln_sockets_open(&mesh->sockets, wish.via, &port) == POLLEN_OK) {
            pln_node_socket_opened(mesh->node, wish.via, port, mesh->now);
        } else {
            pln_node_socket_failed(mesh->node, wish.via, mesh->now);
        }
    }
    return served;
}

static void settle(pollen_mesh *mesh) {
    for (int i = 0; i < SETTLE_ROUNDS; i++) {
        const bool served = serve_sockets(mesh);
        transmit(mesh);
        if (!pln_loop_handle_events(mesh) && !served) {
            return;
        }
        retry_blocked(mesh);
    }
    mesh->busy = true;
}

static void set_deadline(pollen_mesh *mesh) {
    pln_ts next = pln_node_next_expiry(mesh->node);
    if (mesh->holds_run) {
        /* The core may be due all the time, and cannot be served before the socket is writable. */
        pln_ts soon = pln_ts_add(mesh->now.mono, PLN_MS(1));
        next = next > soon ? next : soon;
    }
    next = pln_ts_min(next, pln_saver_next_expiry(&mesh->saver));
    atomic_store(&mesh->deadline, mesh->busy ? mesh->now.mono : next);
}

void pln_loop_turn(pollen_mesh *mesh, unsigned ready) {
    atomic_store(&mesh->owner, (uintptr_t)pthread_self());
    mesh->now = pln_clock_now();
    mesh->busy = false;
    mesh->activity = 0;
    if ((ready & PLN_READY_READ) != 0) {
        receive(mesh);
    }
    if ((ready & PLN_READY_SOCKETS) != 0) {
        pln_sockets_recv(&mesh->sockets, receive_one, mesh);
    }
    run_commands(mesh);
    expire(mesh);
    retry_blocked(mesh);
    settle(mesh);
    refresh_links(mesh);
    pln_saver_step(mesh);
    pln_nat_file_step(mesh);
    set_deadline(mesh);
}

/* ---- Sleeping -------------------------------------------------------------------------------- */

/* Looks for a moment; what is ready, 0 when the moment has passed in vain. */
static unsigned spin(pollen_mesh *mesh) {
    pln_ts end = pln_ts_min(pln_clock_mono() + SPIN_TIME, atomic_load(&mesh->deadline));
    unsigned ready = 0;
    while (ready == 0 && pln_clock_mono() < end) {
        ready = pln_poller_wait(&mesh->poller, 0);
    }
    /* Spinning pays where it hits; where it misses it is given up,
     * and tried again when sleeps turn out to have been short. */
    if (ready != 0) {
        mesh->spin_credit += SPIN_CREDIT_GAIN;
        mesh->spin_credit =
            mesh->spin_credit < SPIN_CREDIT_MAX ? mesh->spin_credit : SPIN_CREDIT_MAX;
    } else {
        mesh->spin_credit--;
    }
    return ready;
}

static pln_dur time_left(pollen_mesh *mesh, pln_ts now) {
    const pln_ts deadline = atomic_load(&mesh->deadline);
    return deadline == PLN_TS_NEVER ? PLN_TS_NEVER : pln_ts_since(now, deadline);
}

static unsigned sleep_until_ready(pollen_mesh *mesh) {
    unsigned ready = 0;
    if (mesh->may_spin && mesh->activity > 0 && mesh->spin_credit > 0) {
        ready = spin(mesh);
    }
    if (ready == 0) {
        pln_ts before = pln_clock_mono();
        ready = pln_poller_wait(&mesh->poller, time_left(mesh, before));
        if (mesh->activity > 0 && pln_clock_mono() - before < 2 * SPIN_TIME) {
            mesh->spin_credit += mesh->spin_credit < SPIN_CREDIT_MAX;
        }
    }
    return ready;
}

void *pln_loop_main(void *arg) {
    pollen_mesh *mesh = arg;
    pln_loop_turn(mesh, PLN_READY_READ);
    while (!mesh->stop) {
        pln_loop_turn(mesh, sleep_until_ready(mesh));
    }
    pln_loop_shutdown(mesh);
    return NULL;
}

/* ---- The end --------------------------------------------------------------------------------- */

/* The last packets, for which a full socket is waited a moment for. */
static void flush(pollen_mesh *mesh) {
    transmit(mesh);
    for (int i = 0; i < 4 && (mesh->holds_run || mesh->busy); i++) {
        struct pollfd fd = {.fd = mesh->udp.fd, .events = POLLOUT};
        (void)poll(&fd, 1, 20);
        mesh->busy = false;
        transmit(mesh);
    }
}

static void close_links(pollen_mesh *mesh) {
    pln_directory_close(&mesh->directory);
    mesh->blocked = NULL;
    while (mesh->directory.links != NULL) {
        pln_link *link = mesh->directory.links;
        link = pln_directory_remove(&mesh->directory, &link->peer, link->generation);
        PLN_ASSERT(link != NULL);
        pln_directory_free(&mesh->directory, link);
    }
}

static void end_commands(pollen_mesh *mesh) {
    for (pln_cmd *cmd = mesh->backlog, *next; cmd != NULL; cmd = next) {
        next = cmd->next;
        cmd->run(cmd, mesh, POLLEN_ECLOSED);
    }
    mesh->backlog = NULL;
    for (pln_cmd *cmd = pln_cmdq_close(&mesh->cmdq), *next; cmd != NULL; cmd = next) {
        next = cmd->next;
        cmd->run(cmd, mesh, POLLEN_ECLOSED);
    }
    PLN_ASSERT(pln_cmdq_is_empty(&mesh->cmdq));
}

void pln_loop_shutdown(pollen_mesh *mesh) {
    PLN_ASSERT(mesh->node != NULL); /* It is shut down once. */
    atomic_store(&mesh->owner, (uintptr_t)pthread_self());
    mesh->now = pln_clock_now();
    end_commands(mesh);
    pln_streams_close(mesh); /* First, or they would end for the want of a session. */
    pln_mesh_shutdown(pln_node_mesh(mesh->node), mesh->now);
    flush(mesh);
    while (pln_loop_handle_events(mesh)) {
        flush(mesh);
    }
    pln_calls_close(mesh);
    pln_streams_close(mesh); /* Those that came meanwhile. */
    pln_acceptq_close(&mesh->accepts);
    close_links(mesh);
    pln_inbox_close(&mesh->inbox);
    pln_eventq_close(&mesh->events);
    pln_writer_stop(&mesh->writer);
    pln_saver_finish(mesh);
    pln_node_destroy(mesh->node);
    mesh->node = NULL;
    pln_sockets_fini(&mesh->sockets);
    pln_udp_close(&mesh->udp);
    atomic_store(&mesh->deadline, PLN_TS_NEVER);
    pln_loop_wake(mesh); /* A driver that waits in its poll() finds the mesh closed. */
}

/* ---- Any thread ------------------------------------------------------------------------------ */

void pln_loop_wake(pollen_mesh *mesh) {
    pln_cmdq_wake(&mesh->cmdq);
}

bool pln_loop_is_driver(pollen_mesh *mesh) {
    return mesh->external && atomic_load(&mesh->driver) == (uintptr_t)pthread_self();
}

bool pln_loop_is_closed(pollen_mesh *mesh) {
    pthread_mutex_lock(&mesh->life_monitor.lock);
    bool closed = mesh->life != PLN_LIFE_OPEN;
    pthread_mutex_unlock(&mesh->life_monitor.lock);
    return closed;
}

void pln_loop_enter(pollen_mesh *mesh) {
    pthread_mutex_lock(&mesh->life_monitor.lock);
    mesh->inside++;
    pthread_mutex_unlock(&mesh->life_monitor.lock);
}

void pln_loop_leave(pollen_mesh *mesh) {
    pthread_mutex_lock(&mesh->life_monitor.lock);
    PLN_ASSERT(mesh->inside > 0);
    if (--mesh->inside == 0) {
        pthread_cond_broadcast(&mesh->life_monitor.changed);
    }
    pthread_mutex_unlock(&mesh->life_monitor.lock);
}
