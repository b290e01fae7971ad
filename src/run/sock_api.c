/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public hole puncher: the engine of src/sock on sockets and a thread of its own.  One lock
 * guards a store and all its ways; whoever wants something of the engine takes it, says so, and
 * wakes the thread, which does the sending.
 */
#include <pollen/sock.h>

#include <string.h>

#include <utlist.h>

#include "base/assert.h"
#include "base/chunk.h"
#include "base/key.h"
#include "base/mem.h"
#include "run/clock.h"
#include "run/last_error.h"
#include "run/loop_epoll.h"
#include "run/random.h"
#include "run/sockets.h"
#include "run/thread.h"
#include "run/wait.h"
#include "run/wake.h"
#include "sock/probe.h"
#include "sock/sock.h"

enum { RECVQ_MAX = 256, DATAGRAM_MAX = 65507 };

/* A call that waits for a way; several may wait for the same. */
typedef struct waiter {
    struct waiter *prev, *next;
    pollen_key key;
    bool done;
    pollen_err err;
    pollen_sock_conn *conn; /* A reference of its own. */
} waiter;

struct pollen_sock_conn {
    pollen_sock_conn *prev, *next;
    pollen_sock_store *store; /* A reference. */
    size_t refs;
    pollen_key key;
    pln_path path;
    pln_chunkq received;
};

struct pollen_sock_store {
    uint16_t port;
    pthread_t thread;
    pln_monitor monitor; /* Guards the rest. */
    size_t refs;         /* The owner's, and one for each way. */
    size_t inside;       /* Calls that wait. */
    bool closed;
    pln_udp udp;
    pln_sockets sockets;
    pln_poller poller;
    pln_sock *engine;
    pollen_sock_conn *conns;
    waiter *waiters;
};

/* The engine names a punch by a key, and here is none but the address. */
static pollen_key key_of(const pollen_addr *addr) {
    pollen_key key = {{0}};
    memcpy(key.bytes, addr->ip, sizeof addr->ip);
    key.bytes[16] = (uint8_t)(addr->port >> 8);
    key.bytes[17] = (uint8_t)addr->port;
    memcpy(&key.bytes[18], &addr->zone, sizeof addr->zone);
    return key;
}

static void wake(pollen_sock_store *store) {
    pln_wake(store->poller.wake_fd);
}

/* ---- Ways ------------------------------------------------------------------------------------ */

static pollen_sock_conn *find_conn(pollen_sock_store *store, const pollen_key *key) {
    pollen_sock_conn *conn;
    DL_FOREACH(store->conns, conn) {
        if (pln_key_equal(&conn->key, key)) {
            return conn;
        }
    }
    return NULL;
}

static pollen_sock_conn *add_conn(pollen_sock_store *store, const pollen_key *key,
                                  const pln_path *path) {
    pollen_sock_conn *conn = pln_calloc(1, sizeof *conn);
    if (conn == NULL) {
        return NULL;
    }
    conn->store = store;
    conn->key = *key;
    conn->path = *path;
    DL_APPEND(store->conns, conn);
    store->refs++;
    return conn;
}

/* The one of that path; or else of that host, whose other port, or our other socket, may have
 * become the way that the other end chose. */
static pollen_sock_conn *conn_of(pollen_sock_store *store, const pln_path *path) {
    pollen_sock_conn *conn, *moved = NULL;
    DL_FOREACH(store->conns, conn) {
        if (pln_path_equal(&conn->path, path)) {
            return conn;
        }
        if (pln_addr_same_ip(&conn->path.remote, &path->remote)) {
            moved = conn;
        }
    }
    return moved;
}

static void follow(pollen_sock_store *store, pollen_sock_conn *conn, const pln_path *path,
                   pln_ts now) {
    const uint32_t before = conn->path.via;
    if (pln_path_equal(&conn->path, path) || !pln_sock_won(store->engine, &conn->key, path, now)) {
        return;
    }
    conn->path = *path;
    if (before != path->via && before != PLN_VIA_MAIN) {
        pln_sock_release(store->engine, before);
    }
}

static void deliver(pollen_sock_store *store, const pln_datagram *datagram, pln_ts now) {
    pollen_sock_conn *conn = conn_of(store, &datagram->path);
    if (conn == NULL || conn->received.count >= RECVQ_MAX) {
        return;
    }
    follow(store, conn, &datagram->path, now);
    pln_chunk *chunk = pln_chunk_create(datagram->size);
    if (chunk != NULL) {
        memcpy(chunk->data, datagram->data, datagram->size);
        chunk->end = datagram->size;
        pln_chunkq_push(&conn->received, chunk);
        pthread_cond_broadcast(&store->monitor.changed);
    }
}

/* ---- The thread ------------------------------------------------------------------------------ */

typedef struct arrival {
    pollen_sock_store *store;
    pln_ts now;
} arrival;

static void receive_one(void *ctx, const pln_datagram *datagram) {
    const arrival *a = ctx;
    pln_probe probe;
    if (pln_probe_decode(datagram->data, datagram->size, &probe)) {
        pln_sock_handle_probe(a->store->engine, datagram, a->now);
    } else {
        deliver(a->store, datagram, a->now);
    }
}

static void receive(pollen_sock_store *store, pln_ts now) {
    arrival a = {.store = store, .now = now};
    (void)pln_udp_recv(&store->udp, receive_one, &a);
    pln_sockets_recv(&store->sockets, receive_one, &a);
}

static void serve_socket(pollen_sock_store *store, const pln_sock_event *event, pln_ts now) {
    uint16_t port;
    if (event->kind == PLN_SOCK_CLOSE_SOCKET) {
        pln_sockets_close(&store->sockets, event->via);
    } else if (pln_sockets_open(&store->sockets, event->via, &port) == POLLEN_OK) {
        pln_sock_socket_opened(store->engine, event->via, port, now);
    } else {
        pln_sock_socket_failed(store->engine, event->via, now);
    }
}

/* Gives the way, or the error, to all who wait for it. */
static void finish(pollen_sock_store *store, const pollen_key *key, pollen_sock_conn *conn,
                   pollen_err err) {
    waiter *w;
    DL_FOREACH(store->waiters, w) {
        if (!w->done && pln_key_equal(&w->key, key)) {
            w->done = true;
            w->err = err;
            w->conn = conn;
            if (conn != NULL) {
                conn->refs++;
            }
        }
    }
    pthread_cond_broadcast(&store->monitor.changed);
}

static bool is_wanted(const pollen_sock_store *store, const pollen_key *key) {
    const waiter *w;
    DL_FOREACH(store->waiters, w) {
        if (!w->done && pln_key_equal(&w->key, key)) {
            return true;
        }
    }
    return false;
}

static void handle_hole(pollen_sock_store *store, const pln_sock_event *event, pln_ts now) {
    if (find_conn(store, &event->peer) != NULL || !is_wanted(store, &event->peer)) {
        return;
    }
    if (!pln_sock_won(store->engine, &event->peer, &event->path, now)) {
        return; /* Its socket went away; there will be another. */
    }
    pollen_sock_conn *conn = add_conn(store, &event->peer, &event->path);
    if (conn == NULL) {
        pln_sock_release(store->engine, event->path.via);
    }
    finish(store, &event->peer, conn, conn == NULL ? POLLEN_ENOMEM : POLLEN_OK);
}

static pollen_err err_of_end(pln_punch_end end) {
    switch (end) {
    case PLN_PUNCH_WON:
        return POLLEN_OK;
    case PLN_PUNCH_DEADLINE:
        return POLLEN_ETIMEDOUT;
    case PLN_PUNCH_HELD:
    case PLN_PUNCH_NO_SOCKETS:
        return POLLEN_ELIMIT;
    case PLN_PUNCH_HOPELESS:
        return POLLEN_EUNREACHABLE;
    case PLN_PUNCH_CANCELLED:
        break;
    }
    return POLLEN_ECANCELED;
}

static void handle_events(pollen_sock_store *store, pln_ts now) {
    pln_sock_event event;
    while (pln_sock_poll_event(store->engine, &event)) {
        switch (event.kind) {
        case PLN_SOCK_OPEN_SOCKET:
        case PLN_SOCK_CLOSE_SOCKET:
            serve_socket(store, &event, now);
            break;
        case PLN_SOCK_TRY:
            break;
        case PLN_SOCK_HOLE:
            handle_hole(store, &event, now);
            break;
        case PLN_SOCK_OVER:
            if (event.end != PLN_PUNCH_WON && event.end != PLN_PUNCH_CANCELLED) {
                finish(store, &event.peer, NULL, err_of_end(event.end));
            }
            break;
        }
    }
}

static void transmit(pollen_sock_store *store, pln_ts now) {
    uint8_t bytes[PLN_PROBE_BYTES];
    pln_transmit run;
    while (pln_sock_poll_transmit(store->engine, bytes, &run, now)) {
        pln_udp *udp = pln_sockets_find(&store->sockets, run.path.via);
        size_t offset = 0;
        if (udp != NULL) {
            const bool sent = pln_udp_send(udp, &run, bytes, &offset);
            (void)sent; /* A probe that is lost is sent again. */
        }
    }
}

static pln_dur turn(pollen_sock_store *store) {
    const pln_ts now = pln_clock_mono();
    receive(store, now);
    pln_sock_handle_timeout(store->engine, now);
    handle_events(store, now);
    transmit(store, now);
    const pln_ts next = pln_sock_next_expiry(store->engine);
    return next == PLN_TS_NEVER ? PLN_TS_NEVER : pln_ts_since(now, next);
}

static void *run(void *arg) {
    pollen_sock_store *store = arg;
    pthread_mutex_lock(&store->monitor.lock);
    while (!store->closed) {
        const pln_dur wait = turn(store);
        pthread_mutex_unlock(&store->monitor.lock);
        if ((pln_poller_wait(&store->poller, wait) & PLN_READY_WAKE) != 0) {
            pln_wake_reset(store->poller.wake_fd);
        }
        pthread_mutex_lock(&store->monitor.lock);
    }
    pthread_mutex_unlock(&store->monitor.lock);
    return NULL;
}

/* ---- Coming and going ------------------------------------------------------------------------ */

static void close_sockets(pollen_sock_store *store) {
    pln_sockets_fini(&store->sockets);
    pln_udp_close(&store->udp);
}

static void free_store(pollen_sock_store *store) {
    PLN_ASSERT(store->conns == NULL);
    close_sockets(store);
    pln_sock_destroy(store->engine);
    pln_poller_fini(&store->poller);
    pln_monitor_fini(&store->monitor);
    pln_free(store);
}

static pollen_err open_store(pollen_sock_store *store, uint16_t port) {
    pln_hash_key key;
    pollen_err err = pln_os_random(key.bytes, sizeof key.bytes);
    if (err == POLLEN_OK) {
        err = pln_udp_open(&store->udp, port);
    }
    if (err == POLLEN_OK) {
        store->port = pln_udp_port(&store->udp);
        err = pln_sockets_init(&store->sockets, &store->udp, &key);
    }
    if (err == POLLEN_OK) {
        err = pln_poller_init(&store->poller, store->udp.fd, store->sockets.epoll_fd);
    }
    if (err == POLLEN_OK) {
        const pln_sock_config config = {.rng = pln_os_rng(), .loopback_allowed = true};
        err = pln_sock_create(&config, &store->engine);
    }
    return err;
}

pollen_err pollen_sock_store_create(uint16_t port, pollen_sock_store **ret_store) {
    pln_last_error_clear();
    if (ret_store == NULL) {
        return POLLEN_EINVAL;
    }
    pollen_sock_store *store = pln_calloc(1, sizeof *store);
    if (store == NULL) {
        return POLLEN_ENOMEM;
    }
    store->refs = 1;
    store->udp.fd = -1;
    store->sockets.epoll_fd = -1;
    store->poller = (pln_poller){.epoll_fd = -1, .wake_fd = -1};
    pln_monitor_init(&store->monitor);
    pollen_err err = open_store(store, port);
    if (err == POLLEN_OK && !pln_thread_start(&store->thread, run, store)) {
        err = POLLEN_ESYS;
    }
    if (err != POLLEN_OK) {
        free_store(store);
        return err;
    }
    *ret_store = store;
    return POLLEN_OK;
}

/* With the lock, which is given back; the last one frees. */
static void unref_store(pollen_sock_store *store) {
    PLN_ASSERT(store->refs > 0);
    const bool last = --store->refs == 0;
    pthread_mutex_unlock(&store->monitor.lock);
    if (last) {
        free_store(store);
    }
}

void pollen_sock_store_destroy(pollen_sock_store *store) {
    if (store == NULL) {
        return;
    }
    pthread_mutex_lock(&store->monitor.lock);
    store->closed = true;
    pthread_cond_broadcast(&store->monitor.changed);
    wake(store);
    pthread_mutex_unlock(&store->monitor.lock);
    pthread_join(store->thread, NULL);
    pthread_mutex_lock(&store->monitor.lock);
    while (store->inside > 0) {
        pthread_cond_wait(&store->monitor.changed, &store->monitor.lock);
    }
    close_sockets(store);
    unref_store(store);
}

uint16_t pollen_sock_store_port(const pollen_sock_store *store) {
    return store->port;
}

size_t pollen_sock_store_sockets(pollen_sock_store *store) {
    pthread_mutex_lock(&store->monitor.lock);
    const size_t count = store->sockets.count;
    pthread_mutex_unlock(&store->monitor.lock);
    return count;
}

/* ---- Punching -------------------------------------------------------------------------------- */

static pollen_err start(pollen_sock_store *store, const pollen_addr *addr, const pollen_key *key,
                        pln_ts deadline) {
    const pln_ts now = pln_clock_mono();
    const pln_punch_plan plan = {.peer = *key,
                                 .target_count = 1,
                                 .targets = {{.addr = *addr, .kind = PLN_TARGET_OBSERVED}},
                                 .at = now,
                                 .deadline = deadline};
    const pollen_err err = pln_sock_start(store->engine, &plan, now);
    return err == POLLEN_EAGAIN ? POLLEN_OK : err; /* Somebody is at it: for both of us. */
}

/* With the lock: until the way is there, or is not to be. */
static pollen_err await(pollen_sock_store *store, waiter *w, pln_wait *wait) {
    pollen_err err = POLLEN_OK;
    while (!w->done && !store->closed && err == POLLEN_OK) {
        err = pln_wait_step(wait);
    }
    if (w->done) {
        return w->err;
    }
    return store->closed ? POLLEN_ECLOSED : err;
}

static void leave(pollen_sock_store *store, waiter *w) {
    DL_DELETE(store->waiters, w);
    if (!w->done && !is_wanted(store, &w->key)) {
        pln_sock_cancel(store->engine, &w->key, pln_clock_mono());
        wake(store);
    }
}

static pollen_err punch_locked(pollen_sock_store *store, const pollen_addr *addr, pln_wait *wait,
                               pollen_sock_conn **ret_conn) {
    waiter w = {.key = key_of(addr)};
    pollen_sock_conn *conn = find_conn(store, &w.key);
    if (store->closed || conn != NULL) {
        if (conn != NULL) {
            conn->refs++;
            *ret_conn = conn;
        }
        return store->closed ? POLLEN_ECLOSED : POLLEN_OK;
    }
    pollen_err err = start(store, addr, &w.key, wait->deadline);
    if (err != POLLEN_OK) {
        return err;
    }
    DL_APPEND(store->waiters, &w);
    wake(store);
    err = await(store, &w, wait);
    leave(store, &w);
    *ret_conn = w.conn;
    return err;
}

pollen_err pollen_sock_store_punch(pollen_sock_store *store, const pollen_addr *addr,
                                   int timeout_ms, pollen_cancel *cancel,
                                   pollen_sock_conn **ret_conn) {
    pln_last_error_clear();
    if (store == NULL || addr == NULL || ret_conn == NULL) {
        return POLLEN_EINVAL;
    }
    pln_wait wait;
    *ret_conn = NULL;
    pln_wait_begin(&wait, NULL, &store->monitor, pln_clock_deadline(timeout_ms), cancel);
    pthread_mutex_lock(&store->monitor.lock);
    store->inside++;
    const pollen_err err = punch_locked(store, addr, &wait, ret_conn);
    store->inside--;
    pthread_cond_broadcast(&store->monitor.changed);
    pthread_mutex_unlock(&store->monitor.lock);
    pln_wait_end(&wait);
    return err;
}

/* ---- A way ----------------------------------------------------------------------------------- */

void pollen_sock_conn_ref(pollen_sock_conn *conn) {
    pthread_mutex_lock(&conn->store->monitor.lock);
    conn->refs++;
    pthread_mutex_unlock(&conn->store->monitor.lock);
}

void pollen_sock_conn_unref(pollen_sock_conn *conn) {
    if (conn == NULL) {
        return;
    }
    pollen_sock_store *store = conn->store;
    pthread_mutex_lock(&store->monitor.lock);
    PLN_ASSERT(conn->refs > 0);
    if (--conn->refs > 0) {
        pthread_mutex_unlock(&store->monitor.lock);
        return;
    }
    DL_DELETE(store->conns, conn);
    if (conn->path.via != PLN_VIA_MAIN) {
        pln_sock_release(store->engine, conn->path.via);
    }
    if (!store->closed) {
        wake(store);
    }
    pln_chunkq_clear(&conn->received);
    pln_free(conn);
    unref_store(store);
}

pollen_addr pollen_sock_conn_peer(pollen_sock_conn *conn) {
    pthread_mutex_lock(&conn->store->monitor.lock);
    const pollen_addr peer = conn->path.remote;
    pthread_mutex_unlock(&conn->store->monitor.lock);
    return peer;
}

static pollen_err send_locked(pollen_sock_conn *conn, const uint8_t *bytes, size_t size) {
    pln_udp *udp =
        conn->store->closed ? NULL : pln_sockets_find(&conn->store->sockets, conn->path.via);
    const pln_transmit datagram = {.path = conn->path, .ecn = 2, .size = size, .segment = size};
    size_t offset = 0;
    if (udp == NULL) {
        return POLLEN_ECLOSED;
    }
    return pln_udp_send(udp, &datagram, bytes, &offset) ? POLLEN_OK : POLLEN_EAGAIN;
}

pollen_err pollen_sock_conn_send(pollen_sock_conn *conn, const void *bytes, size_t size) {
    pln_last_error_clear();
    pln_probe probe;
    if (conn == NULL || bytes == NULL || pln_probe_decode(bytes, size, &probe)) {
        return POLLEN_EINVAL;
    }
    if (size == 0 || size > DATAGRAM_MAX) {
        return POLLEN_EMSGSIZE;
    }
    pthread_mutex_lock(&conn->store->monitor.lock);
    const pollen_err err = send_locked(conn, bytes, size);
    pthread_mutex_unlock(&conn->store->monitor.lock);
    return err;
}

static pollen_err recv_locked(pollen_sock_conn *conn, void *bytes, size_t cap, pln_wait *wait,
                              size_t *ret_size) {
    pollen_err err = POLLEN_OK;
    while (conn->received.count == 0 && !conn->store->closed && err == POLLEN_OK) {
        err = pln_wait_step(wait);
    }
    pln_chunk *chunk = pln_chunkq_pop(&conn->received);
    if (chunk == NULL) {
        return conn->store->closed ? POLLEN_ECLOSED : err;
    }
    const size_t size = pln_chunk_size(chunk);
    *ret_size = size < cap ? size : cap;
    memcpy(bytes, chunk->data + chunk->begin, *ret_size);
    pln_chunk_destroy(chunk);
    return POLLEN_OK;
}

pollen_err pollen_sock_conn_recv(pollen_sock_conn *conn, void *bytes, size_t cap, int timeout_ms,
                                 pollen_cancel *cancel, size_t *ret_size) {
    pln_last_error_clear();
    if (conn == NULL || bytes == NULL || ret_size == NULL) {
        return POLLEN_EINVAL;
    }
    pollen_sock_store *store = conn->store;
    pln_wait wait;
    pln_wait_begin(&wait, NULL, &store->monitor, pln_clock_deadline(timeout_ms), cancel);
    pthread_mutex_lock(&store->monitor.lock);
    store->inside++;
    const pollen_err err = recv_locked(conn, bytes, cap, &wait, ret_size);
    store->inside--;
    pthread_cond_broadcast(&store->monitor.changed);
    pthread_mutex_unlock(&store->monitor.lock);
    pln_wait_end(&wait);
    return err;
}
