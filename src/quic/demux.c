/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams in: to a connection, to a new one, or to an answer for strangers. */
#include "base/assert.h"
#include "quic/internal.h"

bool pln_quic_is_quic(const uint8_t *data, size_t size) {
    return size > 0 && (data[0] & 0xc0) != 0;
}

/* ---- To a connection ------------------------------------------------------------------------- */

/* RFC 9000, 21.5.6: nobody may move a connection to where a stranger's packets must not make us
 * talk. */
static bool may_come_from(const quic_conn *conn, const pln_path *path) {
    if (pln_path_equal(path, &conn->path)) {
        return true;
    }
    return pln_addr_is_sendable(&path->remote) &&
           (!pln_addr_is_loopback(&path->remote) || pln_addr_is_loopback(&conn->path.remote));
}

static void note_received(quic_conn *conn, const pln_datagram *datagram) {
    conn->bytes_in += datagram->size;
    conn->hint_path = datagram->path;
    conn->hint_local = datagram->local;
}

/* 0 or an error of ngtcp2. */
static int read_datagram(quic_conn *conn, const pln_datagram *datagram) {
    PLN_ASSERT(conn->ng != NULL);
    quic_sockpath path;
    pln_quic_path_encode(&datagram->path, &path);
    ngtcp2_pkt_info info = {.ecn = datagram->ecn & NGTCP2_ECN_MASK};
    size_t size = pln_quic_hold_early(conn, datagram);
    PLN_ASSERT(size <= datagram->size);
    return ngtcp2_conn_read_pkt(conn->ng, &path.path, &info, datagram->data, size,
                                conn->quic->now.mono);
}

/* May free the connection. */
static void deliver(quic_conn *conn, const pln_datagram *datagram) {
    if (conn->ng == NULL) {
        pln_quic_linger_packet(conn, datagram);
        return;
    }
    if (!may_come_from(conn, &datagram->path)) {
        conn->quic->stats.dropped_unknown++;
        return;
    }
    note_received(conn, datagram);
    int error = read_datagram(conn, datagram);
    if (error != 0) {
        pln_quic_conn_fail(conn, error);
        return;
    }
    conn->last_rx_at = conn->quic->now.mono;
    pln_quic_conn_ready(conn);
}

/* ---- To a new connection --------------------------------------------------------------------- */

typedef enum admission {
    ADMIT,
    ADMIT_RETRY,  /* Prove the address first. */
    ADMIT_REFUSE, /* Say so. */
    ADMIT_DROP,
} admission;

/* A source on this very machine is not limited: whoever can run programs here has shorter ways.
 * Proven addresses have buckets of their own, which nobody can empty in another's name. */
static bool source_allowed(pln_quic *quic, const pollen_addr *source, bool validated) {
    pln_meters *admit = validated ? quic->admit_proven : quic->admit;
    return pln_addr_is_loopback(source) || pln_admit_take(admit, source, quic->now.mono);
}

/* The oldest unfinished handshake gives way when it has had the time that a good one takes. */
static bool make_room(pln_quic *quic) {
    if (quic->stats.handshakes < PLN_HANDSHAKES_MAX) {
        return true;
    }
    quic_conn *oldest = quic->half_open_first;
    if (oldest == NULL ||
        !pln_ts_reached(pln_ts_add(oldest->started_at, PLN_HANDSHAKE_YIELD), quic->now.mono)) {
        return false;
    }
    pln_quic_conn_timed_out(oldest);
    return true;
}

static admission judge(pln_quic *quic, const pln_datagram *datagram, bool validated) {
    bool serves = (quic->config.accept_mesh && quic->mesh != NULL) || quic->config.accept_invites;
    if (!serves || quic->stats.connections >= PLN_CONNS_MAX) {
        return ADMIT_REFUSE;
    }
    if (!validated && quic->stats.handshakes >= PLN_RETRY_AT_HANDSHAKES) {
        return ADMIT_RETRY;
    }
    if (!source_allowed(quic, &datagram->path.remote, validated)) {
        return validated ? ADMIT_DROP : ADMIT_RETRY;
    }
    return make_room(quic) ? ADMIT : ADMIT_DROP;
}

static void accept_datagram(pln_quic *quic, const pln_datagram *datagram, const ngtcp2_pkt_hd *head,
                            const ngtcp2_cid *odcid) {
    PLN_ASSERT(quic->stats.connections < PLN_CONNS_MAX);
    quic_conn *conn = NULL;
    if (pln_quic_conn_accept(quic, datagram, head, odcid, &conn) != POLLEN_OK) {
        quic->stats.dropped_limit++;
        return;
    }
    note_received(conn, datagram);
    int error = read_datagram(conn, datagram);
    if (error == NGTCP2_ERR_RETRY) {
        /* Half a ClientHello, and not its first half: nothing is kept for an unproven address. */
        pln_quic_stray_retry(quic, datagram, head);
    }
    if (error != 0) {
        pln_quic_conn_fail(conn, error);
        return;
    }
    conn->last_rx_at = quic->now.mono;
    pln_quic_conn_ready(conn);
}

static bool is_retry_token(const ngtcp2_pkt_hd *head) {
    return head->tokenlen > 0 && head->token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2;
}

static void handle_initial(pln_quic *quic, const pln_datagram *datagram) {
    ngtcp2_pkt_hd head;
    ngtcp2_cid odcid;
    if (!pln_addr_is_sendable(&datagram->path.remote) ||
        ngtcp2_accept(&head, datagram->data, datagram->size) != 0) {
        quic->stats.dropped_unknown++;
        return;
    }
    /* Tokens of other kinds count as none (RFC 9000, 8.1.3): from an earlier life, or a guess. */
    bool validated = is_retry_token(&head);
    if (validated && !pln_quic_retry_verify(quic, datagram, &head, &odcid)) {
        pln_quic_stray_refuse(quic, datagram, &head, NGTCP2_INVALID_TOKEN);
        quic->stats.dropped_limit++;
        return;
    }
    admission verdict = judge(quic, datagram, validated);
    if (verdict == ADMIT) {
        accept_datagram(quic, datagram, &head, validated ? &odcid : NULL);
        return;
    }
    if (verdict == ADMIT_RETRY) {
        pln_quic_stray_retry(quic, datagram, &head);
        return;
    }
    if (verdict == ADMIT_REFUSE) {
        pln_quic_stray_refuse(quic, datagram, &head, NGTCP2_CONNECTION_REFUSED);
    }
    quic->stats.dropped_limit++;
}

/* ---- The way of a datagram ------------------------------------------------------------------- */

static void handle_unknown_short(pln_quic *quic, const pln_datagram *datagram) {
    enum { TOKEN = NGTCP2_STATELESS_RESET_TOKENLEN };
    if (datagram->size >= TOKEN + NGTCP2_MIN_STATELESS_RESET_RANDLEN) {
        quic_conn *conn = pln_quic_token_find(quic, datagram->data + datagram->size - TOKEN);
        if (conn != NULL) {
            deliver(conn, datagram); /* ngtcp2 compares again, and the path too. */
            return;
        }
    }
    if (!pln_addr_is_sendable(&datagram->path.remote)) {
        quic->stats.dropped_unknown++;
        return;
    }
    pln_quic_stray_reset(quic, datagram);
}

void pln_quic_handle_datagram(pln_quic *quic, const pln_datagram *datagram, pln_now now) {
    pln_quic_set_now(quic, now);
    quic->stats.datagrams_in++;
    quic->stats.bytes_in += datagram->size;
    ngtcp2_version_cid head;
    if (!pln_quic_is_quic(datagram->data, datagram->size) || datagram->size > QUIC_UDP_BYTES_MAX) {
        quic->stats.dropped_unknown++;
        return;
    }
    int result =
        ngtcp2_pkt_decode_version_cid(&head, datagram->data, datagram->size, QUIC_CID_BYTES);
    if (result == NGTCP2_ERR_VERSION_NEGOTIATION) {
        pln_quic_stray_version(quic, datagram, &head);
        return;
    }
    if (result != 0) {
        quic->stats.dropped_unknown++;
        return;
    }
    quic_conn *conn = pln_quic_cid_find(quic, head.dcid, head.dcidlen);
    if (conn != NULL) {
        deliver(conn, datagram);
    } else if ((datagram->data[0] & 0x80) == 0) {
        handle_unknown_short(quic, datagram);
    } else {
        handle_initial(quic, datagram);
    }
}
