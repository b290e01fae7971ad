/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a connection ends.  What its owner is told is one thing; what stays on the wire is another: a
 * stored CONNECTION_CLOSE that answers late packets (closing), or silence that keeps them from
 * being answered with a reset (draining), for three PTOs (RFC 9000, 10.2).
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "quic/internal.h"

enum { PHRASE_SENT_BYTES_MAX = 256 };

/* ---- Lingering ------------------------------------------------------------------------------- */

/* Nothing is left of it on the wire.  May free the connection. */
static void leave_wire(quic_conn *conn) {
    pln_quic *quic = conn->quic;
    if (conn->linger != LINGER_NONE) {
        QUIC_LIST_REMOVE(quic->linger_first, quic->linger_last, conn, linger);
        quic->lingering--;
        conn->linger = LINGER_NONE;
    }
    pln_heap_cancel(&quic->timers, &conn->timer);
    pln_quic_conn_unready(conn);
    pln_quic_conn_drop_state(conn);
    pln_quic_cid_clear(conn);
    pln_free(conn->close_packet);
    conn->close_packet = NULL;
    conn->close_due = false;
    if (!conn->has_slot) {
        pln_quic_conn_destroy(conn);
    }
}

/* May free the connection. */
static void start_linger(quic_conn *conn, quic_linger linger) {
    PLN_ASSERT(conn->ng != NULL);
    PLN_ASSERT(conn->linger == LINGER_NONE);
    pln_quic *quic = conn->quic;
    pln_ts until = pln_ts_add(quic->now.mono, 3 * ngtcp2_conn_get_pto(conn->ng));
    pln_quic_conn_unready(conn);
    pln_quic_conn_drop_state(conn);
    if (!pln_heap_set(&quic->timers, &conn->timer, until)) {
        leave_wire(conn);
        return;
    }
    conn->linger = linger;
    QUIC_LIST_PUSH(quic->linger_first, quic->linger_last, conn, linger);
    quic->lingering++;
    if (conn->close_due) {
        pln_quic_conn_ready(conn);
    }
    if (quic->lingering > PLN_LINGER_MAX) {
        leave_wire(quic->linger_first);
    }
}

/* Makes the last packet and keeps it; false when there is none to send. */
static bool store_close(quic_conn *conn, const ngtcp2_ccerr *error) {
    PLN_ASSERT(conn->close_packet == NULL);
    uint8_t packet[QUIC_CLOSE_BYTES];
    ngtcp2_path_storage path;
    ngtcp2_pkt_info info = {0};
    ngtcp2_path_storage_zero(&path);
    ngtcp2_ssize size = ngtcp2_conn_write_connection_close(
        conn->ng, &path.path, &info, packet, sizeof(packet), error, conn->quic->now.mono);
    if (size <= 0) {
        return false;
    }
    conn->close_packet = pln_memdup(packet, (size_t)size);
    if (conn->close_packet == NULL) {
        return false;
    }
    conn->close_size = (size_t)size;
    conn->close_to = (pln_transmit){.path = pln_quic_path_decode(&path.path),
                                    .ecn = info.ecn,
                                    .size = (size_t)size,
                                    .segment = (size_t)size};
    if (pln_path_equal(&conn->close_to.path, &conn->hint_path)) {
        conn->close_to.local = conn->hint_local;
    }
    conn->close_due = true;
    return true;
}

/* May free the connection. */
static void close_with(quic_conn *conn, const ngtcp2_ccerr *error) {
    if (store_close(conn, error)) {
        start_linger(conn, LINGER_CLOSING);
    } else {
        leave_wire(conn);
    }
}

void pln_quic_linger_end(quic_conn *conn) {
    leave_wire(conn);
}

/* RFC 9000, 10.2.1: fewer and fewer answers, or two closing ends would keep each other awake. */
void pln_quic_linger_packet(quic_conn *conn, const pln_datagram *datagram) {
    (void)datagram;
    if (conn->linger != LINGER_CLOSING) {
        return;
    }
    PLN_ASSERT(conn->close_packet != NULL);
    conn->close_heard++;
    bool power_of_two = (conn->close_heard & (conn->close_heard - 1)) == 0;
    if (power_of_two) {
        conn->close_due = true;
        pln_quic_conn_ready(conn);
    }
}

bool pln_quic_linger_transmit(quic_conn *conn, uint8_t *buf, pln_transmit *ret) {
    pln_quic_conn_unready(conn);
    if (!conn->close_due) {
        return false;
    }
    PLN_ASSERT(conn->close_packet != NULL);
    PLN_ASSERT(conn->close_size <= QUIC_CLOSE_BYTES);
    conn->close_due = false;
    memcpy(buf, conn->close_packet, conn->close_size);
    *ret = conn->close_to;
    return true;
}

/* ---- What the owner is told ------------------------------------------------------------------ */

static const char *end_name(pln_quic_end end) {
    switch (end) {
    case PLN_QUIC_END_IDLE:
        return "idle";
    case PLN_QUIC_END_HANDSHAKE:
        return "handshake timed out";
    case PLN_QUIC_END_RESET:
        return "reset";
    case PLN_QUIC_END_APP:
        return "closed by the peer";
    case PLN_QUIC_END_TRANSPORT:
        return "refused by the peer";
    case PLN_QUIC_END_VERIFY:
        return "peer refused";
    case PLN_QUIC_END_ERROR:
        return "error";
    }
    return "unknown";
}

static void tell(quic_conn *conn, pln_quic_end end, uint64_t code, pollen_err err) {
    conn->closed.end = end;
    conn->closed.code = code;
    conn->closed.err = err;
    char peer[PLN_KEY_SHORT_BYTES];
    pln_logf(conn->quic->config.log, PLN_LOG_DEBUG, PLN_QUIC_ROOM,
             "connection %s %s ended: %s, code 0x%llx, %s", conn->inbound ? "from" : "to",
             pln_key_short(&conn->peer, peer), end_name(end), (unsigned long long)code,
             pollen_err_name(err));
    if (conn->has_slot) {
        pln_quic_conn_event(conn, CONN_EV_CLOSED);
    }
}

static void copy_phrase(quic_conn *conn, const ngtcp2_ccerr *error) {
    size_t count = 0;
    for (size_t i = 0; i < error->reasonlen && count + 1 < PLN_QUIC_PHRASE_BYTES; i++) {
        uint8_t byte = error->reason[i];
        if (byte >= 0x20 && byte < 0x7f) {
            conn->closed.phrase[count++] = (char)byte;
        }
    }
    conn->closed.phrase[count] = '\0';
}

static pollen_err err_of_code(uint64_t code) {
    if (code == (NGTCP2_CRYPTO_ERROR | 120u)) {
        return POLLEN_EVERSION; /* no_application_protocol */
    }
    bool crypto = code >= NGTCP2_CRYPTO_ERROR && code <= (NGTCP2_CRYPTO_ERROR | 0xffu);
    if (crypto || code == NGTCP2_CONNECTION_REFUSED) {
        return POLLEN_EDENIED;
    }
    return code == NGTCP2_NO_ERROR ? POLLEN_ECLOSED : POLLEN_EPROTO;
}

/* The peer closed, or lost its state. */
static void tell_peer_closed(quic_conn *conn) {
    if (conn->was_reset) {
        conn->quic->stats.resets_received++;
        tell(conn, PLN_QUIC_END_RESET, 0, POLLEN_ERESET);
        return;
    }
    const ngtcp2_ccerr *error = ngtcp2_conn_get_ccerr(conn->ng);
    copy_phrase(conn, error);
    if (error->type == NGTCP2_CCERR_TYPE_APPLICATION) {
        tell(conn, PLN_QUIC_END_APP, error->error_code, POLLEN_ECLOSED);
    } else {
        tell(conn, PLN_QUIC_END_TRANSPORT, error->error_code, err_of_code(error->error_code));
    }
}

/* We found something wrong; returns what to tell the peer. */
static ngtcp2_ccerr tell_own_error(quic_conn *conn, int error) {
    ngtcp2_ccerr close;
    ngtcp2_ccerr_default(&close);
    if (error == NGTCP2_ERR_CRYPTO) {
        ngtcp2_ccerr_set_tls_alert(&close, ngtcp2_conn_get_tls_alert(conn->ng), NULL, 0);
    } else {
        ngtcp2_ccerr_set_liberr(&close, error, NULL, 0);
    }
    if (conn->refusal != POLLEN_OK) {
        tell(conn, PLN_QUIC_END_VERIFY, close.error_code, conn->refusal);
        return close;
    }
    pollen_err err = error == NGTCP2_ERR_NOMEM ? POLLEN_ENOMEM : POLLEN_EPROTO;
    if (conn->fault != POLLEN_OK) {
        err = conn->fault;
    }
    tell(conn, PLN_QUIC_END_ERROR, close.error_code, err);
    return close;
}

/* May free the connection. */
void pln_quic_conn_fail(quic_conn *conn, int error) {
    PLN_ASSERT(error != 0);
    switch (error) {
    case NGTCP2_ERR_DRAINING:
        tell_peer_closed(conn);
        start_linger(conn, LINGER_DRAINING);
        return;
    case NGTCP2_ERR_IDLE_CLOSE:
        tell(conn, conn->connected ? PLN_QUIC_END_IDLE : PLN_QUIC_END_HANDSHAKE, 0,
             POLLEN_ETIMEDOUT);
        leave_wire(conn);
        return;
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
        tell(conn, PLN_QUIC_END_TRANSPORT, NGTCP2_VERSION_NEGOTIATION_ERROR, POLLEN_EVERSION);
        leave_wire(conn);
        return;
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY:
        /* Not even a beginning: as if it had never been. */
        pln_quic_conn_forget_events(conn);
        pln_quic_conn_release_slot(conn);
        leave_wire(conn);
        return;
    default: {
        ngtcp2_ccerr close = tell_own_error(conn, error);
        close_with(conn, &close);
        return;
    }
    }
}

/* The handshake took too long.  May free the connection. */
void pln_quic_conn_timed_out(quic_conn *conn) {
    tell(conn, PLN_QUIC_END_HANDSHAKE, 0, POLLEN_ETIMEDOUT);
    if (conn->inbound) {
        leave_wire(conn);
        return;
    }
    /* The server may have a connection that only our confirmation lacks: do not leave it there. */
    ngtcp2_ccerr close;
    ngtcp2_ccerr_default(&close);
    close_with(conn, &close);
}

void pln_quic_close(pln_quic *quic, pln_conn_id id, uint64_t code, const char *phrase,
                    pln_now now) {
    pln_quic_set_now(quic, now);
    quic_conn *conn = pln_quic_conn_find(quic, id);
    if (conn == NULL) {
        return;
    }
    pln_quic_conn_forget_events(conn);
    pln_quic_conn_release_slot(conn);
    pln_quic_streams_clear(conn);
    pln_chunkq_clear(&conn->rx_datagrams);
    if (conn->ng != NULL) {
        ngtcp2_ccerr close;
        ngtcp2_ccerr_default(&close);
        size_t size = strnlen(phrase, PHRASE_SENT_BYTES_MAX);
        ngtcp2_ccerr_set_application_error(&close, code, (const uint8_t *)phrase, size);
        close_with(conn, &close);
    } else if (conn->linger == LINGER_NONE) {
        pln_quic_conn_destroy(conn);
    }
}
