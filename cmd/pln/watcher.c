/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watcher: sessions that come and go reach the log and the board.  Changes of state in between
 * have no event; while somebody watches, they are found by comparing snapshots.
 */
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "base/key.h"
#include "pln/daemon.h"

enum { TICK_MS = 250 };
enum { PAUSE_MS = 20 }; /* While one mesh gives way to the next. */

typedef struct row {
    pollen_key key;
    pollen_peer_state state;
    pollen_addr addr;
} row;

/* The last snapshot, in the order of the keys. */
typedef struct rows {
    row *items;
    size_t count;
    bool known;
} rows;

static int64_t wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int compare_rows(const void *a, const void *b) {
    return pln_key_compare(&((const row *)a)->key, &((const row *)b)->key);
}

static row *find_row(const rows *table, const pollen_key *key) {
    const row wanted = {.key = *key};
    return table->count == 0
               ? NULL
               : bsearch(&wanted, table->items, table->count, sizeof(row), compare_rows);
}

static void forget(rows *table) {
    free(table->items);
    *table = (rows){0};
}

/* Empty when there is no memory: then some changes of state go unseen, and nothing else. */
static rows take_snapshot(pollen_mesh *mesh) {
    rows table = {.known = true};
    const size_t cap = pollen_mesh_peers(mesh, NULL, 0);
    pollen_peer *peers = cap == 0 ? NULL : calloc(cap, sizeof *peers);
    table.items = cap == 0 ? NULL : calloc(cap, sizeof *table.items);
    if (peers != NULL && table.items != NULL) {
        const size_t count = pollen_mesh_peers(mesh, peers, cap);
        table.count = count < cap ? count : cap;
    }
    for (size_t i = 0; i < table.count; i++) {
        table.items[i] = (row){peers[i].key, peers[i].state, peers[i].last_addr};
    }
    free(peers);
    return table;
}

/* Ways into and out of Connected have events of their own. */
static bool is_quiet_change(pollen_peer_state from, pollen_peer_state to) {
    return from != to && from != POLLEN_PEER_CONNECTED && to != POLLEN_PEER_CONNECTED;
}

static void compare(pln_daemon *daemon, pollen_mesh *mesh, rows *table) {
    rows now = take_snapshot(mesh);
    for (size_t i = 0; table->known && i < now.count; i++) {
        const row *before = find_row(table, &now.items[i].key);
        const pollen_peer_state from = before == NULL ? POLLEN_PEER_ABSENT : before->state;
        if (is_quiet_change(from, now.items[i].state)) {
            const pln_board_event event = {.kind = PLN_BOARD_STATE,
                                           .at_ms = wall_ms(),
                                           .peer = now.items[i].key,
                                           .from = from,
                                           .to = now.items[i].state};
            pln_board_post(&daemon->board, &event);
        }
    }
    forget(table);
    *table = now;
}

static void log_event(pln_daemon *daemon, const pollen_event *event) {
    char peer[POLLEN_KEY_HEX_BYTES];
    char addr[POLLEN_ADDR_TEXT_BYTES];
    pollen_key_hex(&event->peer, peer);
    switch (event->kind) {
    case POLLEN_EVENT_CONNECTED:
        pln_logfile_printf(&daemon->log, PLN_LOG_INFO, "peer %s connected at %s%s", peer,
                           pollen_addr_format(&event->addr, addr),
                           event->inbound ? ", by itself" : "");
        break;
    case POLLEN_EVENT_DISCONNECTED:
        atomic_fetch_add(&daemon->ends[event->reason], 1);
        pln_logfile_printf(&daemon->log, PLN_LOG_INFO, "peer %s disconnected: %s", peer,
                           pollen_end_reason_name(event->reason));
        break;
    case POLLEN_EVENT_PATH:
        pln_logfile_printf(&daemon->log, PLN_LOG_INFO, "peer %s moved to %s", peer,
                           pollen_addr_format(&event->addr, addr));
        break;
    }
}

static void post_event(pln_daemon *daemon, const pollen_event *event, const rows *table) {
    const row *before = find_row(table, &event->peer);
    pln_board_event post = {.at_ms = wall_ms(), .peer = event->peer, .addr = event->addr};
    switch (event->kind) {
    case POLLEN_EVENT_CONNECTED:
        post.kind = PLN_BOARD_CONNECTED;
        post.from = before == NULL || before->state == POLLEN_PEER_CONNECTED ? POLLEN_PEER_ABSENT
                                                                             : before->state;
        post.to = POLLEN_PEER_CONNECTED;
        break;
    case POLLEN_EVENT_DISCONNECTED:
        post.kind = PLN_BOARD_DISCONNECTED;
        post.from = POLLEN_PEER_CONNECTED;
        post.to = POLLEN_PEER_DISCOVERED;
        post.reason = event->reason;
        break;
    case POLLEN_EVENT_PATH:
        post.kind = PLN_BOARD_PATH;
        post.from_addr = before == NULL ? (pollen_addr){0} : before->addr;
        break;
    }
    pln_board_post(&daemon->board, &post);
}

void *pln_watcher_run(void *arg) {
    pln_daemon *daemon = arg;
    rows table = {0};
    while (!atomic_load(&daemon->stopping)) {
        pollen_event event;
        pollen_mesh *mesh = pln_daemon_enter(daemon);
        const pollen_err err =
            mesh == NULL ? POLLEN_ECLOSED : pollen_mesh_next_event(mesh, TICK_MS, NULL, &event);
        if (err == POLLEN_OK) {
            log_event(daemon, &event);
            post_event(daemon, &event, &table);
        }
        if (err != POLLEN_ECLOSED && pln_board_is_watched(&daemon->board)) {
            compare(daemon, mesh, &table);
        } else {
            forget(&table);
        }
        pln_daemon_leave(daemon);
        if (err == POLLEN_ECLOSED) {
            (void)poll(NULL, 0, PAUSE_MS);
        }
    }
    forget(&table);
    return NULL;
}

/* A service at the port of benches is a service. */
static void serve_stream(pln_daemon *daemon, pollen_mesh *mesh, pollen_stream *stream) {
    if (pollen_stream_port(stream) == PLN_BENCH_PORT &&
        !pln_provider_serves(&daemon->provider, PLN_BENCH_PORT)) {
        pln_bench_server_accept(&daemon->benches, stream);
    } else {
        pln_provider_accept(&daemon->provider, mesh, stream);
    }
}

void *pln_acceptor_run(void *arg) {
    pln_daemon *daemon = arg;
    while (!atomic_load(&daemon->stopping)) {
        pollen_stream *stream = NULL;
        pollen_mesh *mesh = pln_daemon_enter(daemon);
        const pollen_err err =
            mesh == NULL ? POLLEN_ECLOSED : pollen_mesh_accept_stream(mesh, -1, NULL, &stream);
        if (err == POLLEN_OK && !pln_streams_deliver(&daemon->streams, stream)) {
            serve_stream(daemon, mesh, stream);
        }
        pln_daemon_leave(daemon);
        if (err != POLLEN_OK) {
            (void)poll(NULL, 0, PAUSE_MS);
        }
    }
    return NULL;
}
