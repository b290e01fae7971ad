/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: how they begin, are found, scheduled, and freed. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "quic/internal.h"

/* ---- Slots and ids --------------------------------------------------------------------------- */

/* An id holds the slot's number plus one and how often the slot was used, so that a stale one is
 * found out and 0 names none. */
static bool take_slot(pln_quic *quic, quic_conn *conn) {
    PLN_ASSERT(!conn->has_slot);
    if (quic->slot_free == UINT32_MAX) {
        uint32_t cap = quic->slot_cap == 0 ? 16 : 2 * quic->slot_cap;
        quic_slot *slots = pln_realloc(quic->slots, cap * sizeof(*slots));
        if (slots == NULL) {
            return false;
        }
        for (uint32_t i = cap; i-- > quic->slot_cap;) {
            slots[i] = (quic_slot){.conn = NULL, .next_free = quic->slot_free};
            quic->slot_free = i;
        }
        quic->slots = slots;
        quic->slot_cap = cap;
    }
    uint32_t index = quic->slot_free;
    quic_slot *slot = &quic->slots[index];
    quic->slot_free = slot->next_free;
    PLN_ASSERT(index < quic->slot_cap);
    PLN_ASSERT(slot->conn == NULL);
    slot->conn = conn;
    conn->id = (pln_conn_id)slot->generation << 32 | (index + 1);
    conn->has_slot = true;
    quic->stats.connections++;
    return true;
}

quic_conn *pln_quic_conn_find(const pln_quic *quic, pln_conn_id id) {
    uint32_t index = (uint32_t)id;
    if (index == 0 || index > quic->slot_cap) {
        return NULL;
    }
    quic_conn *conn = quic->slots[index - 1].conn;
    return conn != NULL && conn->id == id ? conn : NULL;
}

void pln_quic_conn_release_slot(quic_conn *conn) {
    pln_quic *quic = conn->quic;
    if (!conn->has_slot) {
        return;
    }
    uint32_t index = (uint32_t)conn->id - 1;
    PLN_ASSERT(index < quic->slot_cap);
    quic_slot *slot = &quic->slots[index];
    PLN_ASSERT(slot->conn == conn);
    PLN_ASSERT(quic->stats.connections > 0);
    slot->conn = NULL;
    slot->generation++;
    slot->next_free = quic->slot_free;
    quic->slot_free = index;
    conn->has_slot = false;
    quic->stats.connections--;
}

/* ---- Creation -------------------------------------------------------------------------------- */

static void settings_init(const quic_conn *conn, ngtcp2_settings *settings) {
    /* Ordered by what is most likely to succeed; the last two only where the path has larger frames
     * than an IPv6 path of 1500 bytes, and failing costs three packets each. */
    static const uint16_t probes[] = {1452, 1392, 1232, 1472, QUIC_UDP_BYTES_MAX};
    const pln_quic *quic = conn->quic;
    ngtcp2_settings_default(settings);
    settings->initial_rtt = QUIC_INITIAL_RTT;
    settings->cc_algo =
        quic->config.congestion == PLN_CONGESTION_CUBIC ? NGTCP2_CC_ALGO_CUBIC : NGTCP2_CC_ALGO_BBR;
    settings->initial_ts = quic->now.mono;
    settings->max_tx_udp_payload_size = QUIC_UDP_BYTES_MAX;
    settings->pmtud_probes = probes;
    settings->pmtud_probeslen = sizeof(probes) / sizeof(probes[0]);
    settings->max_stream_window = QUIC_WINDOW_STREAM_MAX;
    settings->max_window = QUIC_WINDOW_CONN;
    settings->handshake_timeout = UINT64_MAX; /* Ours also covers the wait for the confirmation. */
    settings->rand_ctx.native_handle = conn->quic;
}

void pln_quic_params_init(const quic_conn *conn, ngtcp2_transport_params *params) {
    ngtcp2_transport_params_default(params);
    params->initial_max_stream_data_bidi_local = QUIC_WINDOW_STREAM;
    params->initial_max_stream_data_bidi_remote = QUIC_WINDOW_STREAM;
    params->initial_max_stream_data_uni = QUIC_WINDOW_STREAM;
    params->initial_max_data = QUIC_WINDOW_CONN;
    params->initial_max_streams_bidi = PLN_STREAMS_MAX;
    params->initial_max_streams_uni = PLN_STREAMS_MAX; /* As the reference; each is stopped. */
    params->max_idle_timeout = conn->quic->config.idle_timeout;
    params->max_udp_payload_size = QUIC_UDP_BYTES_MAX;
    params->max_datagram_frame_size = PLN_ENVELOPE_BYTES_MAX;
    params->active_connection_id_limit = 4; /* Spares for migration. */
}

static quic_conn *new_conn(pln_quic *quic, const pln_path *path, bool inbound) {
    quic_conn *conn = pln_calloc(1, sizeof(*conn));
    if (conn == NULL) {
        return NULL;
    }
    conn->quic = quic;
    conn->inbound = inbound;
    conn->path = *path;
    conn->started_at = quic->now.mono;
    conn->connected_at = PLN_TS_NEVER;
    conn->timer.at = PLN_TS_NEVER;
    if (!take_slot(quic, conn)) {
        pln_free(conn);
        return NULL;
    }
    return conn;
}

/* After this a connection that fails is ended like any other. */
static bool start_client(quic_conn *conn) {
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    quic_sockpath path;
    ngtcp2_cid dcid;
    ngtcp2_cid scid;
    pln_quic_cid_random(conn->quic, &dcid);
    pln_quic_cid_random(conn->quic, &scid);
    settings_init(conn, &settings);
    pln_quic_params_init(conn, &params);
    pln_quic_path_encode(&conn->path, &path);
    if (ngtcp2_conn_client_new(&conn->ng, &dcid, &scid, &path.path, NGTCP2_PROTO_VER_V1,
                               pln_quic_callbacks(false), &settings, &params, NULL, conn) != 0) {
        conn->ng = NULL;
        return false;
    }
    return pln_quic_cid_add(conn, scid.data, scid.datalen) && pln_quic_tls_open(conn);
}

static bool start_server(quic_conn *conn, const ngtcp2_pkt_hd *head, const ngtcp2_cid *odcid) {
    pln_quic *quic = conn->quic;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    quic_sockpath path;
    ngtcp2_cid scid;
    pln_quic_cid_random(quic, &scid);
    settings_init(conn, &settings);
    pln_quic_params_init(conn, &params);
    pln_quic_path_encode(&conn->path, &path);
    params.original_dcid = odcid != NULL ? *odcid : head->dcid;
    params.original_dcid_present = 1;
    if (odcid != NULL) {
        params.retry_scid = head->dcid;
        params.retry_scid_present = 1;
        settings.token = head->token;
        settings.tokenlen = head->tokenlen;
        settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
    }
    params.stateless_reset_token_present = 1;
    if (ngtcp2_crypto_generate_stateless_reset_token(params.stateless_reset_token,
                                                     quic->reset_secret, sizeof(quic->reset_secret),
                                                     &scid) != 0) {
        return false;
    }
    if (ngtcp2_conn_server_new(&conn->ng, &head->scid, &scid, &path.path, head->version,
                               pln_quic_callbacks(true), &settings, &params, NULL, conn) != 0) {
        conn->ng = NULL;
        return false;
    }
    return pln_quic_cid_add(conn, scid.data, scid.datalen) &&
           pln_quic_cid_add(conn, head->dcid.data, head->dcid.datalen) && pln_quic_tls_open(conn);
}

pollen_err pln_quic_dial(pln_quic *quic, const pln_path *path, const pollen_key *expected,
                         bool invite, pln_now now, pln_conn_id *ret) {
    pln_quic_set_now(quic, now);
    if (!pln_addr_is_sendable(&path->remote)) {
        return POLLEN_EADDR;
    }
    if (!invite && quic->mesh == NULL) {
        return POLLEN_ENOTENROLLED;
    }
    if (quic->stats.connections >= PLN_CONNS_MAX) {
        return POLLEN_ELIMIT;
    }
    quic_conn *conn = new_conn(quic, path, false);
    if (conn == NULL) {
        return POLLEN_ENOMEM;
    }
    conn->invite = invite;
    conn->peer = *expected;
    if (!start_client(conn)) {
        pln_quic_conn_destroy(conn);
        return POLLEN_ENOMEM;
    }
    pln_quic_conn_ready(conn);
    *ret = conn->id;
    return POLLEN_OK;
}

pollen_err pln_quic_conn_accept(pln_quic *quic, const pln_datagram *datagram,
                                const ngtcp2_pkt_hd *head, const ngtcp2_cid *odcid,
                                quic_conn **ret) {
    quic_conn *conn = new_conn(quic, &datagram->path, true);
    if (conn == NULL) {
        return POLLEN_ENOMEM;
    }
    conn->counted_handshake = true;
    quic->stats.handshakes++;
    QUIC_LIST_PUSH(quic->half_open_first, quic->half_open_last, conn, half_open);
    if (!start_server(conn, head, odcid)) {
        pln_quic_conn_destroy(conn);
        return POLLEN_ENOMEM;
    }
    *ret = conn;
    return POLLEN_OK;
}

/* ---- Progress -------------------------------------------------------------------------------- */

void pln_quic_conn_end_handshake(quic_conn *conn) {
    pln_quic *quic = conn->quic;
    if (conn->counted_handshake) {
        conn->counted_handshake = false;
        PLN_ASSERT(conn->quic->stats.handshakes > 0);
        quic->stats.handshakes--;
        QUIC_LIST_REMOVE(quic->half_open_first, quic->half_open_last, conn, half_open);
    }
}

/* RFC 9000, 10.1.2: PINGs must come before the smaller of both idle timeouts, and can be lost. */
static pln_dur effective_keep_alive(const quic_conn *conn) {
    PLN_ASSERT(conn->ng != NULL);
    pln_dur idle = conn->quic->config.idle_timeout;
    const ngtcp2_transport_params *remote = ngtcp2_conn_get_remote_transport_params(conn->ng);
    if (remote != NULL && remote->max_idle_timeout > 0 && remote->max_idle_timeout < idle) {
        idle = remote->max_idle_timeout;
    }
    pln_dur share = idle / 30 * 13;
    return conn->quic->config.keep_alive < share ? conn->quic->config.keep_alive : share;
}

void pln_quic_conn_connected(quic_conn *conn) {
    if (conn->connected) {
        return;
    }
    conn->connected = true;
    conn->connected_at = conn->quic->now.mono;
    conn->tls_over = true;
    conn->keep_alive = effective_keep_alive(conn);
    ngtcp2_conn_set_keep_alive_timeout(conn->ng, conn->keep_alive);
    pln_quic_conn_end_handshake(conn);
    pln_quic_conn_event(conn, CONN_EV_CONNECTED);
}

void pln_quic_conn_ready(quic_conn *conn) {
    pln_quic *quic = conn->quic;
    if (!conn->ready) {
        conn->ready = true;
        QUIC_LIST_PUSH(quic->ready_first, quic->ready_last, conn, ready);
    }
}

void pln_quic_conn_unready(quic_conn *conn) {
    pln_quic *quic = conn->quic;
    if (conn->ready) {
        conn->ready = false;
        QUIC_LIST_REMOVE(quic->ready_first, quic->ready_last, conn, ready);
    }
}

void pln_quic_conn_set_timer(quic_conn *conn) {
    pln_quic *quic = conn->quic;
    if (conn->ng == NULL) {
        return;
    }
    pln_ts at = ngtcp2_conn_get_expiry(conn->ng);
    if (!conn->connected) {
        at = pln_ts_min(at, pln_ts_add(conn->started_at, quic->config.handshake_timeout));
    }
    if (at != PLN_TS_NEVER && pln_ts_reached(at, quic->now.mono)) {
        /* It has just been handled, and nothing came of it: look again soon, do not spin. */
        at = pln_ts_add(quic->now.mono, PLN_NS_PER_MS);
    }
    if (conn->ping && conn->last_tx_at == quic->now.mono) {
        /* The library's clock must move before it sees the PING as due. */
        at = pln_ts_min(at, pln_ts_add(quic->now.mono, 1));
    }
    if (!pln_heap_set(&quic->timers, &conn->timer, at)) {
        /* Without a timer it would hang for ever. */
        conn->fault = POLLEN_ENOMEM;
        pln_quic_conn_fail(conn, NGTCP2_ERR_NOMEM);
    }
}

/* ---- The end --------------------------------------------------------------------------------- */

void pln_quic_conn_drop_state(quic_conn *conn) {
    pln_quic_tls_close(conn);
    ngtcp2_conn_del(conn->ng);
    conn->ng = NULL;
    pln_quic_sendq_clear(&conn->tx_datagrams);
    pln_quic_held_clear(conn);
    pln_quic_token_clear(conn);
    pln_quic_conn_end_handshake(conn);
}

void pln_quic_conn_destroy(quic_conn *conn) {
    pln_quic *quic = conn->quic;
    if (quic->farewell == conn) {
        quic->farewell = NULL;
    }
    if (conn->linger != LINGER_NONE) {
        QUIC_LIST_REMOVE(quic->linger_first, quic->linger_last, conn, linger);
        quic->lingering--;
    }
    pln_heap_cancel(&quic->timers, &conn->timer);
    pln_quic_conn_unready(conn);
    pln_quic_conn_drop_state(conn);
    pln_quic_streams_clear(conn);
    pln_quic_conn_forget_events(conn);
    pln_quic_conn_release_slot(conn);
    pln_quic_cid_clear(conn);
    pln_chunkq_clear(&conn->rx_datagrams);
    pln_bytes_fini(&conn->member_cert);
    PLN_ASSERT(conn->streams_first == NULL);
    PLN_ASSERT(!conn->ready);
    PLN_ASSERT(!conn->ev_listed);
    pln_free(conn->acked_tags);
    pln_free(conn->close_packet);
    pln_free(conn);
}
