/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon does for a control client.  Every answer is a line of the machine contract, so
 * that `--json` passes it on as it is and the human form is made from it. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "pln/handler.h"
#include "pln/known.h"
#include "pln/out.h"
#include "pln/services.h"
#include "pln/status.h"
#include "run/clock.h"
#include "run/last_error.h"

#define WATCH_TICK_MS 200
#define LISTEN_TICK_MS 100
#define RETRY_MS 20 /* Between looks for a session that a ping waits for. */
#define DOWN_TICK_MS 50
#define REPLACE_MS 2000

bool pln_reply(pln_control_client *client, json_t *object) {
    char *line = object == NULL ? NULL : pln_json_line(object);
    json_decref(object);
    const bool ok = line != NULL && pln_control_reply(client, line, strlen(line)) == POLLEN_OK;
    free(line);
    return ok;
}

void pln_reply_error(pln_control_client *client, pln_exit code, const char *hint,
                     const char *message) {
    pln_reply(client, json_pack("{s:s, s:s, s:s, s:s?}", "schema", "pollen.error/1", "code",
                                pln_exit_name(code), "message", message, "hint", hint));
}

void pln_reply_err(pln_control_client *client, pollen_err err, const char *what) {
    char message[256];
    const char *detail = pollen_last_error();
    snprintf(message, sizeof message, "%s: %s", what,
             detail[0] != '\0' ? detail : pollen_strerror(err));
    pln_reply_error(client, pln_exit_of(err), NULL, message);
}

bool pln_is_leaving(pln_daemon *daemon, pln_control_client *client) {
    return atomic_load(&daemon->mesh_closing) || pln_control_client_gone(client);
}

/* ---- Which peer is meant --------------------------------------------------------------------- */

typedef struct match {
    pollen_key key;
    size_t count;
    bool revoked; /* The last of them. */
    bool is_self;
} match;

static match find_matches(pollen_mesh *mesh, const char *prefix) {
    match m = {0};
    pln_known known;
    if (pln_known_take(mesh, &known) == POLLEN_OK) {
        for (size_t i = 0; i < known.count; i++) {
            if (pln_key_has_prefix(&known.items[i].key, prefix)) {
                m.key = known.items[i].key;
                m.revoked = pln_known_is_revoked(&known.items[i]);
                m.count++;
            }
        }
        pln_known_fini(&known);
    }
    const pollen_key own = pollen_mesh_key(mesh);
    m.is_self = pln_key_has_prefix(&own, prefix);
    return m;
}

static bool choose_peer(pollen_mesh *mesh, pln_control_client *client, const pln_request *request,
                        bool for_session, pollen_key *ret) {
    const match m = find_matches(mesh, request->peer);
    char message[160];
    if (m.count == 1 && !(for_session && m.revoked)) {
        *ret = m.key;
        return true;
    }
    if (m.count == 1) {
        snprintf(message, sizeof message, "peer %s: revoked, and shut out for good", request->peer);
        pln_reply_error(client, PLN_EXIT_PERM, NULL, message);
    } else if (m.count > 1) {
        snprintf(message, sizeof message, "peer %s: the prefix matches %zu peers", request->peer,
                 m.count);
        pln_reply_error(client, PLN_EXIT_AMBIGUOUS, "pln status --wide", message);
    } else if (m.is_self) {
        snprintf(message, sizeof message, "peer %s: that is this node itself", request->peer);
        pln_reply_error(client, PLN_EXIT_USAGE, "pln status", message);
    } else {
        snprintf(message, sizeof message, "peer %s: no such peer is known", request->peer);
        pln_reply_error(client, PLN_EXIT_NOTFOUND, "pln status", message);
    }
    return false;
}

bool pln_find_peer(pollen_mesh *mesh, pln_control_client *client, const pln_request *request,
                   pollen_key *ret) {
    return choose_peer(mesh, client, request, false, ret);
}

bool pln_find_partner(pollen_mesh *mesh, pln_control_client *client, const pln_request *request,
                      pollen_key *ret) {
    return choose_peer(mesh, client, request, true, ret);
}

/* ---- ping ------------------------------------------------------------------------------------ */

static const char *ping_error(pollen_err err) {
    switch ((int)err) {
    case POLLEN_OK:
        return NULL;
    case POLLEN_ETIMEDOUT:
        return "timeout";
    case POLLEN_ENOTCONN:
        return "not_connected";
    case POLLEN_EMSGSIZE:
        return "too_large";
    case POLLEN_ECLOSED:
        return "closed";
    default:
        return "failed";
    }
}

/* Waits for a session too, so that a ping right after a join needs no loop around it. */
static pollen_err ping_once(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                            const pollen_key *peer, const pln_request *request,
                            uint64_t *ret_rtt_us) {
    const pln_ts deadline = pln_clock_deadline((int)request->timeout_ms);
    for (;;) {
        const int left_ms = pln_clock_ms_until(deadline, pln_clock_mono());
        const pollen_err err =
            pollen_mesh_ping(mesh, peer, (size_t)request->size, left_ms, NULL, ret_rtt_us);
        if (err != POLLEN_ENOTCONN || left_ms <= 0 || pln_is_leaving(daemon, client)) {
            return err;
        }
        (void)poll(NULL, 0, RETRY_MS);
    }
}

static json_t *ping_json(pollen_mesh *mesh, const pollen_key *peer, int64_t seq, pollen_err err,
                         uint64_t rtt_us) {
    char id[POLLEN_KEY_HEX_BYTES];
    pollen_session_info info = {0};
    const bool up = pollen_mesh_session_info(mesh, peer, &info) == POLLEN_OK;
    return json_pack("{s:s, s:s, s:I, s:b, s:o, s:s?, s:o, s:s?}", "schema", "pollen.ping/1",
                     "peer", pollen_key_hex(peer, id), "seq", (json_int_t)seq, "ok",
                     err == POLLEN_OK ? 1 : 0, "rtt_seconds",
                     err == POLLEN_OK ? json_real((double)rtt_us / 1e6) : json_null(), "path",
                     up ? pln_path_name(&info) : NULL, "addr",
                     up ? pln_json_addr(&info.addr) : json_null(), "error", ping_error(err));
}

/* Until the next one is due; false when nobody wants it any more. */
static bool ping_pause(pln_daemon *daemon, pln_control_client *client, pln_ts until) {
    while (!pln_is_leaving(daemon, client)) {
        const int left_ms = pln_clock_ms_until(until, pln_clock_mono());
        if (left_ms <= 0) {
            return true;
        }
        (void)poll(NULL, 0, left_ms < WATCH_TICK_MS ? left_ms : WATCH_TICK_MS);
    }
    return false;
}

static void do_ping(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                    const pln_request *request) {
    pollen_key peer;
    if (!pln_find_partner(mesh, client, request, &peer)) {
        return;
    }
    for (int64_t seq = 1; request->count == 0 || seq <= request->count; seq++) {
        const pln_ts next = pln_ts_add(pln_clock_mono(), PLN_MS(request->interval_ms));
        uint64_t rtt_us = 0;
        const pollen_err err = ping_once(daemon, mesh, client, &peer, request, &rtt_us);
        if (!pln_reply(client, ping_json(mesh, &peer, seq, err, rtt_us)) ||
            (request->until_direct && err == POLLEN_OK)) {
            return;
        }
        if (seq != request->count && !ping_pause(daemon, client, next)) {
            return;
        }
    }
}

/* ---- Streams --------------------------------------------------------------------------------- */

static void carry(pln_control_client *client, pollen_stream *stream) {
    char id[POLLEN_KEY_HEX_BYTES];
    const pollen_key peer = pollen_stream_peer(stream);
    if (pln_reply(client,
                  json_pack("{s:s, s:s, s:i}", "schema", "pollen.stream/1", "peer",
                            pollen_key_hex(&peer, id), "port", (int)pollen_stream_port(stream)))) {
        pln_streams_relay(stream, pln_control_client_fd(client));
    }
    pollen_stream_close(stream);
}

static void do_stream_connect(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                              const pln_request *request) {
    (void)daemon;
    pollen_key peer;
    pollen_stream *stream = NULL;
    if (!pln_find_partner(mesh, client, request, &peer)) {
        return;
    }
    const pollen_err err = pollen_mesh_open_stream(mesh, &peer, (uint16_t)request->port,
                                                   (int)request->timeout_ms, NULL, &stream);
    if (err != POLLEN_OK) {
        pln_reply_err(client, err, "opening a stream");
        return;
    }
    carry(client, stream);
}

static void do_stream_listen(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                             const pln_request *request) {
    (void)mesh;
    pln_listener listener = {.port = (uint16_t)request->port};
    const pln_ts deadline = pln_clock_deadline((int)request->timeout_ms);
    pollen_err err = pln_streams_add(&daemon->streams, &listener);
    if (err != POLLEN_OK) {
        pln_reply_error(client, PLN_EXIT_FAIL, NULL, "somebody listens on this port already");
        return;
    }
    do {
        err = pln_streams_wait(&daemon->streams, &listener, LISTEN_TICK_MS);
    } while (err == POLLEN_ETIMEDOUT && !pln_is_leaving(daemon, client) &&
             !pln_ts_reached(deadline, pln_clock_mono()));
    pollen_stream *stream = pln_streams_remove(&daemon->streams, &listener);
    if (stream != NULL) {
        carry(client, stream);
    } else {
        pln_reply_error(client, PLN_EXIT_TIMEOUT, NULL, "nobody connected in time");
    }
}

/* ---- The others ------------------------------------------------------------------------------ */

static void do_watch(pln_daemon *daemon, pln_control_client *client) {
    uint64_t at;
    pollen_err err = POLLEN_OK;
    bool ok = true;
    pln_board_enter(&daemon->board, &at);
    while (ok && !pln_control_client_gone(client) &&
           (err == POLLEN_OK || err == POLLEN_ETIMEDOUT)) {
        pln_board_event event;
        err = pln_board_next(&daemon->board, &at, WATCH_TICK_MS, &event);
        ok = err != POLLEN_OK || pln_reply(client, pln_board_json(&event));
    }
    pln_board_leave(&daemon->board);
    if (err == POLLEN_ELIMIT) {
        pln_reply_error(client, PLN_EXIT_FAIL, NULL, "this reader is too slow: events were missed");
    }
}

static void do_reload(pln_daemon *daemon, pln_control_client *client) {
    char why[PLN_DAEMON_WHY_BYTES];
    const pollen_err err = pln_daemon_reload(daemon, why);
    if (err == POLLEN_OK) {
        pln_reply(client, json_pack("{s:s}", "schema", "pollen.ok/1"));
    } else {
        char message[PLN_DAEMON_WHY_BYTES + 16];
        snprintf(message, sizeof message, "reload: %s", why);
        pln_reply_error(client, pln_exit_of(err), NULL, message);
    }
}

/* The connection stays open as long as the daemon works: its end says that all is done. */
static void do_shutdown(pln_daemon *daemon, pln_control_client *client) {
    pln_reply(client, json_pack("{s:s}", "schema", "pollen.ok/1"));
    pln_logfile_printf(&daemon->log, PLN_LOG_INFO, "asked to stop");
    pln_daemon_request_stop(daemon);
    while (!pln_control_client_gone(client)) {
        (void)poll(NULL, 0, DOWN_TICK_MS);
    }
}

static void do_status(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                      const pln_request *request) {
    pln_reply(client, pln_status_json(daemon, mesh, request->verb == PLN_REQUEST_STATUS_ALL));
}

static void do_info(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                    const pln_request *request) {
    (void)request;
    pln_reply(client, pln_info_json(daemon, mesh));
}

/* What runs between pln_daemon_enter() and pln_daemon_leave(). */
static pln_handler *const mesh_handlers[PLN_REQUEST_VERBS] = {
    [PLN_REQUEST_BENCH] = pln_handle_bench,
    [PLN_REQUEST_CONNECT] = pln_handle_connect,
    [PLN_REQUEST_DIAGNOSE] = pln_handle_diagnose,
    [PLN_REQUEST_DISCONNECT] = pln_handle_disconnect,
    [PLN_REQUEST_INFO] = do_info,
    [PLN_REQUEST_METRICS] = pln_handle_metrics,
    [PLN_REQUEST_NETCHECK] = pln_handle_netcheck,
    [PLN_REQUEST_PING] = do_ping,
    [PLN_REQUEST_REVOKE] = pln_handle_revoke,
    [PLN_REQUEST_SERVE] = pln_handle_serve,
    [PLN_REQUEST_STATUS] = do_status,
    [PLN_REQUEST_STATUS_ALL] = do_status,
    [PLN_REQUEST_STREAM_CONNECT] = do_stream_connect,
    [PLN_REQUEST_STREAM_LISTEN] = do_stream_listen,
    [PLN_REQUEST_UNSERVE] = pln_handle_unserve,
};

/* While one mesh gives way to another there is none for a moment. */
static pollen_mesh *enter_mesh(pln_daemon *daemon) {
    pollen_mesh *mesh = pln_daemon_enter(daemon);
    for (int left = REPLACE_MS; mesh == NULL && left > 0; left -= RETRY_MS) {
        if (atomic_load(&daemon->stopping)) {
            break;
        }
        pln_daemon_leave(daemon);
        (void)poll(NULL, 0, RETRY_MS);
        mesh = pln_daemon_enter(daemon);
    }
    return mesh;
}

static void with_mesh(pln_daemon *daemon, pln_control_client *client, const pln_request *request) {
    pollen_mesh *mesh = enter_mesh(daemon);
    if (mesh == NULL) {
        pln_reply_error(client, PLN_EXIT_FAIL, NULL, "the daemon is stopping");
    } else {
        mesh_handlers[request->verb](daemon, mesh, client, request);
    }
    pln_daemon_leave(daemon);
}

void pln_daemon_handle(void *ctx, pln_control_client *client, const char *line) {
    pln_daemon *daemon = ctx;
    pln_request request;
    char why[PLN_REQUEST_WHY_BYTES];
    pln_last_error_clear();
    if (pln_request_parse(line, strlen(line), &request, why) != POLLEN_OK) {
        pln_reply_error(client, PLN_EXIT_USAGE, NULL, why);
    } else if (request.verb == PLN_REQUEST_RELOAD) {
        do_reload(daemon, client);
    } else if (request.verb == PLN_REQUEST_SHUTDOWN) {
        do_shutdown(daemon, client);
    } else if (request.verb == PLN_REQUEST_WATCH) {
        do_watch(daemon, client);
    } else {
        with_mesh(daemon, client, &request);
    }
}
