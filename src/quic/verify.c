/* SPDX-License-Identifier: Apache-2.0 */
/* The judgement of a peer's certificate, in the middle of its handshake. */
#include "quic/internal.h"

/* What the TLS layer of the reference does: certificates behind the first are ignored, but must
 * parse. */
static bool rest_parses(const gnutls_datum_t *chain, unsigned count) {
    for (unsigned i = 1; i < count; i++) {
        pln_x509_peer ignored;
        if (pln_x509_parse(chain[i].data, chain[i].size, &ignored) == POLLEN_ECERT) {
            return false;
        }
    }
    return true;
}

static pollen_err judge(quic_conn *conn, const pln_x509_peer *peer) {
    pln_quic *quic = conn->quic;
    if (!conn->inbound && !pln_key_equal(&peer->key, &conn->peer)) {
        return POLLEN_EIDENTITY;
    }
    if (pln_key_equal(&peer->key, &quic->key)) {
        return POLLEN_EIDENTITY; /* Ourselves, by a stale address or a trick. */
    }
    if (quic->config.verify == NULL) {
        return POLLEN_OK;
    }
    pln_quic_peer presented = {.key = peer->key,
                               .alpn = conn->alpn,
                               .inbound = conn->inbound,
                               .member_cert = peer->member_cert,
                               .member_cert_size = peer->member_cert_size};
    return quic->config.verify(quic->config.verify_ctx, &presented, quic->now);
}

static pollen_err check(quic_conn *conn, const gnutls_datum_t *chain, unsigned count) {
    pln_x509_peer peer;
    if (!pln_quic_alpn_allowed(conn, conn->alpn)) {
        conn->alert = GNUTLS_A_NO_APPLICATION_PROTOCOL; /* A server that chose none, or not ours. */
        return POLLEN_EVERSION;
    }
    if (chain == NULL || count == 0) {
        return POLLEN_ECERT;
    }
    pollen_err err = pln_x509_parse(chain[0].data, chain[0].size, &peer);
    if (err == POLLEN_ECERT || !rest_parses(chain, count)) {
        conn->alert = GNUTLS_A_DECODE_ERROR;
        return POLLEN_ECERT;
    }
    if (err == POLLEN_OK) {
        err = judge(conn, &peer);
    }
    if (err != POLLEN_OK) {
        return err;
    }
    if (peer.member_cert != NULL &&
        !pln_bytes_set(&conn->member_cert, peer.member_cert, peer.member_cert_size)) {
        return POLLEN_ENOMEM;
    }
    conn->peer = peer.key;
    conn->peer_known = true;
    return POLLEN_OK;
}

/* GnuTLS calls this after CertificateVerify, so that the key is proven; not 0 sends
 * bad_certificate. */
int pln_quic_verify_peer(gnutls_session_t session) {
    const ngtcp2_crypto_conn_ref *ref = gnutls_session_get_ptr(session);
    quic_conn *conn = ref->user_data;
    unsigned count = 0;
    conn->alpn = pln_quic_tls_alpn(session);
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    pollen_err err = check(conn, chain, count);
    if (err != POLLEN_OK) {
        conn->refusal = err;
        return -1;
    }
    conn->verified = true;
    return 0;
}
