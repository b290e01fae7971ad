/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions about sessions and peers. */
#include <string.h>

#include "run/admission.h"
#include "run/clock.h"
#include "run/last_error.h"
#include "run/loop.h"
#include "run/paths.h"
#include "run/runtime.h"

static pln_mesh *core_of(pollen_mesh *mesh) {
    return pln_node_mesh(mesh->node);
}

/* ---- Connecting ------------------------------------------------------------------------------ */

static void start_connect(pollen_mesh *mesh, pln_call *call) {
    pln_mesh_connect(core_of(mesh), call->op, &call->peer, call->paths, call->path_count,
                     call->deadline, mesh->now);
}

/* A dial is one call, as for the core: many parameters.
 * NOLINTNEXTLINE(readability-function-size) */
pollen_err pln_connect_create(pollen_mesh *mesh, const pollen_key *peer, const pollen_addr *addrs,
                              size_t addr_count, pln_ts deadline, pln_call *signal,
                              pln_call **ret) {
    if (pln_key_equal(peer, &mesh->key)) {
        return POLLEN_EINVAL;
    }
    pln_call *call = pln_call_create(start_connect, signal);
    if (call == NULL) {
        return POLLEN_ENOMEM;
    }
    call->peer = *peer;
    call->deadline = deadline;
    call->paths = pln_calloc(PLN_DIAL_ADDRS_MAX, sizeof(*call->paths));
    if (call->paths == NULL) {
        pln_call_unref(call);
        return POLLEN_ENOMEM;
    }
    for (size_t i = 0; i < addr_count && call->path_count < PLN_DIAL_ADDRS_MAX; i++) {
        if (pln_addr_is_sendable(&addrs[i])) {
            call->paths[call->path_count++] = (pln_path){PLN_VIA_MAIN, addrs[i]};
        }
    }
    if (call->path_count == 0) {
        pln_call_unref(call);
        return POLLEN_EADDR;
    }
    *ret = call;
    return POLLEN_OK;
}

pollen_err pollen_mesh_connect(pollen_mesh *mesh, const pollen_key *peer, const pollen_addr *addrs,
                               size_t addr_count, int timeout_ms, pollen_cancel *cancel) {
    pln_last_error_clear();
    if (mesh == NULL || peer == NULL || (addrs == NULL && addr_count > 0)) {
        return POLLEN_EINVAL;
    }
    pln_call *call = NULL;
    pollen_err err = pln_connect_create(mesh, peer, addrs, addr_count,
                                        pln_clock_deadline(timeout_ms), NULL, &call);
    if (err == POLLEN_OK) {
        err = pln_call_run(mesh, call, cancel);
    }
    if (err != POLLEN_OK) {
        pln_last_error_peer("connect to", peer, addr_count > 0 ? addrs : NULL, err,
                            call == NULL ? "" : call->words);
    }
    pln_call_unref(call);
    return err;
}

/* ---- Closing --------------------------------------------------------------------------------- */

typedef struct close_cmd {
    pln_cmd cmd;
    pollen_key peer;
    pollen_end_reason reason;
    bool all;
} close_cmd;

static void run_close(pln_cmd *cmd, pollen_mesh *mesh, pollen_err state) {
    const close_cmd *c = (const close_cmd *)(const void *)cmd;
    if (state == POLLEN_OK && c->all) {
        pln_mesh_close_all(core_of(mesh), mesh->now);
    } else if (state == POLLEN_OK) {
        pln_mesh_close_peer(core_of(mesh), &c->peer, c->reason, mesh->now);
    }
    pln_free(cmd);
}

static void push_close(pollen_mesh *mesh, close_cmd what) {
    close_cmd *c = pln_memdup(&what, sizeof(what));
    if (c != NULL && pln_cmdq_push(&mesh->cmdq, &c->cmd) != POLLEN_OK) {
        pln_free(c);
    }
}

void pollen_mesh_close_peer_session(pollen_mesh *mesh, const pollen_key *peer,
                                    pollen_end_reason reason) {
    push_close(mesh, (close_cmd){.cmd.run = run_close, .peer = *peer, .reason = reason});
}

void pollen_mesh_broadcast_disconnect(pollen_mesh *mesh) {
    push_close(mesh, (close_cmd){.cmd.run = run_close, .all = true});
}

/* ---- Looking --------------------------------------------------------------------------------- */

size_t pollen_mesh_connected_peers(pollen_mesh *mesh, pollen_key *keys, size_t cap) {
    return pln_directory_peers(&mesh->directory, keys, cap);
}

static pollen_err not_connected(const pollen_key *peer, pollen_err err) {
    if (err != POLLEN_OK) {
        pln_last_error_peer("look at", peer, NULL, err, "");
    }
    return err;
}

pollen_err pollen_mesh_active_peer_address(pollen_mesh *mesh, const pollen_key *peer,
                                           pollen_addr *ret_addr) {
    pln_last_error_clear();
    if (mesh == NULL || peer == NULL || ret_addr == NULL) {
        return POLLEN_EINVAL;
    }
    return not_connected(peer, pln_directory_addr(&mesh->directory, peer, ret_addr));
}

typedef struct session_query {
    const pollen_key *peer;
    pln_session_info info;
    bool punched;
    pln_ts now;
} session_query;

static pollen_err query_session(pollen_mesh *mesh, void *arg) {
    session_query *query = arg;
    query->now = mesh->now.mono;
    query->punched = pln_node_is_punched(mesh->node, query->peer);
    return pln_mesh_session_info(core_of(mesh), query->peer, &query->info);
}

pollen_err pollen_mesh_peer_membership_cert(pollen_mesh *mesh, const pollen_key *peer,
                                            pollen_cert_info *ret_info) {
    pln_last_error_clear();
    if (mesh == NULL || peer == NULL || ret_info == NULL) {
        return POLLEN_EINVAL;
    }
    session_query query = {.peer = peer};
    pollen_err err = pln_request(mesh, query_session, &query);
    if (err == POLLEN_OK) {
        *ret_info = (pollen_cert_info){
            .not_before = query.info.cert_not_before,
            .not_after = query.info.cert_not_after,
            .serial = query.info.cert_serial,
            .renewable = query.info.cert_renewable,
        };
    }
    return not_connected(peer, err);
}

pollen_err pollen_mesh_session_info(pollen_mesh *mesh, const pollen_key *peer,
                                    pollen_session_info *ret_info) {
    pln_last_error_clear();
    if (mesh == NULL || peer == NULL || ret_info == NULL) {
        return POLLEN_EINVAL;
    }
    session_query query = {.peer = peer};
    pollen_err err = pln_request(mesh, query_session, &query);
    if (err != POLLEN_OK) {
        return not_connected(peer, err);
    }
    const pln_conn_info *conn = &query.info.conn;
    *ret_info = (pollen_session_info){
        .addr = conn->path.remote,
        .generation = query.info.generation,
        .inbound = conn->inbound,
        .punched = query.punched,
        .speaks_2 = query.info.speaks_2,
        .connected_ms = (int64_t)(pln_ts_since(conn->connected_at, query.now) / PLN_NS_PER_MS),
        .rtt_us = (uint32_t)(conn->rtt / 1000),
        .cwnd_bytes = conn->cwnd,
        .mtu_bytes = (uint32_t)conn->mtu,
        .bytes_in = conn->bytes_in,
        .bytes_out = conn->bytes_out,
        .packets_lost = conn->packets_lost,
        .datagrams_in = conn->datagrams_in,
        .datagrams_out = conn->datagrams_out,
        .datagrams_dropped = conn->datagrams_dropped + pln_inbox_dropped(&mesh->inbox, peer),
    };
    return POLLEN_OK;
}

/* ---- Kept peers ------------------------------------------------------------------------------ */

typedef struct keep_arg {
    const pollen_key *peer;
    const pollen_addr *addrs;
    size_t addr_count;
} keep_arg;

static pollen_err keep_peer(pollen_mesh *mesh, void *arg) {
    const keep_arg *keep = arg;
    return pln_node_add_bootstrap(mesh->node, keep->peer, keep->addrs, keep->addr_count, mesh->now);
}

pollen_err pollen_mesh_keep_peer(pollen_mesh *mesh, const pollen_key *peer,
                                 const pollen_addr *addrs, size_t addr_count) {
    pln_last_error_clear();
    if (mesh == NULL || peer == NULL || (addrs == NULL && addr_count > 0) ||
        pln_key_equal(peer, &mesh->key)) {
        return POLLEN_EINVAL;
    }
    pollen_addr usable[PLN_ADDRS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < addr_count && count < PLN_ADDRS_MAX; i++) {
        if (pln_addr_is_sendable(&addrs[i])) {
            usable[count++] = addrs[i];
        }
    }
    pollen_err err = POLLEN_EADDR;
    if (count > 0) {
        keep_arg keep = {.peer = peer, .addrs = usable, .addr_count = count};
        err = pln_request(mesh, keep_peer, &keep);
    }
    if (err != POLLEN_OK) {
        pln_last_error_peer("keep", peer, NULL, err, "");
    }
    return err;
}

static pollen_err advertise(pollen_mesh *mesh, void *arg) {
    const keep_arg *own = arg;
    return pln_node_advertise(mesh->node, own->addrs, own->addr_count, mesh->port, mesh->now);
}

pollen_err pollen_mesh_advertise(pollen_mesh *mesh, const pollen_addr *addrs, size_t addr_count) {
    pln_last_error_clear();
    if (mesh == NULL || (addrs == NULL && addr_count > 0)) {
        return POLLEN_EINVAL;
    }
    keep_arg own = {.addrs = addrs, .addr_count = addr_count};
    return pln_request(mesh, advertise, &own);
}

static pollen_err query_peers(pollen_mesh *mesh, void *arg) {
    pln_list_query *query = arg;
    pollen_peer *peers = query->items;
    query->count = pln_node_peer_count(mesh->node);
    for (size_t i = 0; i < query->count && i < query->cap; i++) {
        pollen_err err = pln_node_peer_at(mesh->node, i, &peers[i]);
        if (err != POLLEN_OK) {
            return err;
        }
    }
    return POLLEN_OK;
}

size_t pollen_mesh_peers(pollen_mesh *mesh, pollen_peer *peers, size_t cap) {
    return pln_request_list(mesh, query_peers, peers, cap);
}

/* ---- Certificates ---------------------------------------------------------------------------- */

static pollen_err set_credentials(pollen_mesh *mesh, void *arg) {
    return pln_mesh_set_credentials(core_of(mesh), arg, mesh->now);
}

pollen_err pollen_mesh_update_cert(pollen_mesh *mesh, const pollen_credentials *credentials) {
    pln_last_error_clear();
    if (mesh == NULL || credentials == NULL) {
        return POLLEN_EINVAL;
    }
    const pln_credentials *creds = pln_credentials_of(credentials);
    if (!creds->enrolled) {
        return POLLEN_ENOTENROLLED;
    }
    /* Borrowed by the loop while this thread waits. */
    return pln_request(mesh, set_credentials, (void *)(uintptr_t)creds);
}

static void start_renew(pollen_mesh *mesh, pln_call *call) {
    pln_mesh_renew(core_of(mesh), call->op, &call->peer, call->deadline, mesh->now);
}

pollen_err pollen_mesh_request_cert_renewal(pollen_mesh *mesh, const pollen_key *peer,
                                            int timeout_ms, pollen_cancel *cancel) {
    pln_last_error_clear();
    if (mesh == NULL || peer == NULL) {
        return POLLEN_EINVAL;
    }
    pln_call *call = pln_call_create(start_renew, NULL);
    if (call == NULL) {
        return POLLEN_ENOMEM;
    }
    call->peer = *peer;
    call->deadline = pln_clock_deadline(timeout_ms);
    pollen_err err = pln_call_run(mesh, call, cancel);
    if (err != POLLEN_OK) {
        pln_last_error_peer("renewal by", peer, NULL, err, call->words);
    }
    pln_call_unref(call);
    return err;
}

static pollen_err copy_credentials(pollen_mesh *mesh, void *arg) {
    return pln_credentials_wrap(pln_mesh_credentials(core_of(mesh)), arg);
}

pollen_err pollen_mesh_credentials(pollen_mesh *mesh, pollen_credentials **ret_credentials) {
    pln_last_error_clear();
    if (mesh == NULL || ret_credentials == NULL) {
        return POLLEN_EINVAL;
    }
    pollen_credentials *copy = NULL;
    pollen_err err = pln_request(mesh, copy_credentials, &copy);
    if (err == POLLEN_OK) {
        *ret_credentials = copy;
    }
    return err;
}
