/* SPDX-License-Identifier: Apache-2.0 */
/* One session: its start, its end, and what hangs on it. */
#include "mesh/core.h"

#include <string.h>

#include "base/assert.h"
#include "base/key.h"

/* ---- Start ----------------------------------------------------------------------------------- */

/* The facts of the peer's certificate, which was verified during the handshake.  Revocations that
 * came since then count. */
static pollen_err read_cert(const pln_mesh *mesh, pln_session *session) {
    size_t size = 0;
    const uint8_t *bytes = pln_quic_peer_cert(mesh->quic, session->link.conn, &size);
    if (bytes == NULL) {
        return POLLEN_ECERT;
    }
    pln_member_cert cert = {.not_before = 0};
    pollen_err err = pln_member_cert_decode(bytes, size, &cert);
    if (err != POLLEN_OK) {
        return err;
    }
    session->cert_not_before = cert.not_before;
    session->cert_not_after = cert.not_after;
    session->holds_until = cert.not_after;
    session->cert_serial = cert.serial;
    session->cert_renewable = !cert.non_renewable;
    session->issuer = cert.issuer_admin_pub;
    if (pln_mesh_is_revoked(mesh, &cert.subject_pub) ||
        pln_mesh_is_revoked(mesh, &cert.issuer_admin_pub)) {
        err = POLLEN_EREVOKED;
    }
    pln_member_cert_fini(&cert);
    return err;
}

static void free_parts(pln_mesh *mesh, pln_session *session) {
    pln_alarm_fini(mesh, &session->expiry);
    pln_alarm_fini(mesh, &session->renew_resend);
    pln_free(session);
}

void pln_session_free(pln_mesh *mesh, pln_session *session) {
    pln_link_remove(mesh, &session->link);
    free_parts(mesh, session);
}

static pln_session *create_session(pln_mesh *mesh, pln_conn_id conn, const pln_conn_info *info) {
    pln_session *session = pln_calloc(1, sizeof(*session));
    if (session == NULL) {
        return NULL;
    }
    session->inbound = info->inbound;
    session->speaks_2 = info->alpn == PLN_ALPN_MESH_2;
    session->started_at = info->started_at;
    session->own_not_after = mesh->creds.member_cert.not_after;
    session->rotate_at = PLN_TS_NEVER;
    session->age_out_at = PLN_TS_NEVER;
    if (pln_alarm_init(mesh, &session->expiry, pln_expiry_fire) &&
        pln_alarm_init(mesh, &session->renew_resend, pln_renewal_fire) &&
        pln_link_add(mesh, &session->link, PLN_LINK_SESSION, conn)) {
        return session;
    }
    free_parts(mesh, session);
    return NULL;
}

/* Room for one more session of the peer: the one that was silent longest gives way. */
static void make_room(pln_mesh *mesh, pln_mesh_peer *peer, pln_now now) {
    if (peer->session_count < PLN_SESSIONS_PER_PEER_MAX) {
        return;
    }
    pln_session *victim = NULL;
    for (size_t i = 0; i < peer->session_count; i++) {
        pln_session *session = peer->sessions[i];
        if (session != peer->primary && (victim == NULL || pln_session_last_rx(mesh, session) <
                                                               pln_session_last_rx(mesh, victim))) {
            victim = session;
        }
    }
    PLN_ASSERT(victim != NULL);
    pln_session_close(mesh, victim, "replaced", POLLEN_END_GRACEFUL, now);
}

static const char *phrase_of_refusal(pollen_err err) {
    return err == POLLEN_EREVOKED ? "revoked" : "identity failed";
}

pln_session *pln_session_start(pln_mesh *mesh, pln_conn_id conn, const pln_conn_info *info,
                               pln_now now, pollen_err *ret_err) {
    PLN_ASSERT(conn != 0);
    pollen_err err = POLLEN_ENOMEM;
    pln_session *session = create_session(mesh, conn, info);
    if (session == NULL) {
        goto err_conn;
    }
    err = read_cert(mesh, session);
    if (err != POLLEN_OK) {
        goto err_session;
    }
    pln_mesh_peer *peer = pln_registry_obtain(mesh, &info->peer);
    if (peer == NULL) {
        err = POLLEN_ENOMEM;
        goto err_session;
    }
    make_room(mesh, peer, now);
    PLN_ASSERT(peer->session_count < PLN_SESSIONS_PER_PEER_MAX);
    session->peer = peer;
    session->order = mesh->next_order++;
    peer->sessions[peer->session_count++] = session;
    pln_expiry_start(mesh, session, now);
    if (!pln_tie_on_session(mesh, session, now)) {
        /* No memory to register the peer's only session. */
        pln_session_close(mesh, session, "disconnect", POLLEN_END_GRACEFUL, now);
        *ret_err = POLLEN_ENOMEM;
        return NULL;
    }
    return session;

err_session:
    pln_session_free(mesh, session);
err_conn:
    pln_quic_close(mesh->quic, conn, 0, phrase_of_refusal(err), now);
    mesh->stats.sessions_refused++;
    *ret_err = err;
    return NULL;
}

/* ---- End ------------------------------------------------------------------------------------- */

static void take_off_peer(pln_mesh_peer *peer, const pln_session *session) {
    PLN_ASSERT(session->peer == peer);
    size_t i = 0;
    while (i < peer->session_count && peer->sessions[i] != session) {
        i++;
    }
    PLN_ASSERT(i < peer->session_count);
    peer->session_count--;
    memmove(&peer->sessions[i], &peer->sessions[i + 1],
            (peer->session_count - i) * sizeof(peer->sessions[0]));
}

void pln_session_end(pln_mesh *mesh, pln_session *session, pollen_end_reason reason, pln_now now) {
    pln_mesh_peer *peer = session->peer;
    mesh->dirty = true;
    pln_streams_on_session_end(mesh, session);
    take_off_peer(peer, session);
    bool was_primary = peer->primary == session;
    if (was_primary && !pln_tie_replace(mesh, peer, reason, now)) {
        pln_registry_unregister(mesh, peer, reason);
    }
    /* Those that did not find another session. */
    pln_op_result gone = {.err = POLLEN_ENOTCONN};
    pln_ops_finish_list(mesh, &session->echoes, &gone);
    pln_ops_finish_list(mesh, &session->renewals, &gone);
    PLN_ASSERT(session->echoes == NULL);
    PLN_ASSERT(session->renewals == NULL);
    pln_session_free(mesh, session);
    pln_tie_on_ended(mesh, peer, now);
    pln_registry_release(mesh, peer);
}

void pln_session_close(pln_mesh *mesh, pln_session *session, const char *phrase,
                       pollen_end_reason reason, pln_now now) {
    pln_streams_on_session_end(mesh, session); /* What they received goes with the connection. */
    pln_quic_close(mesh->quic, session->link.conn, 0, phrase, now);
    pln_session_end(mesh, session, reason, now);
}

/* Those that were confirmed before the given one end with it; its own end decides on the reason. */
static void close_older(pln_mesh *mesh, pln_mesh_peer *peer, const pln_session *than,
                        const char *phrase, pln_now now) {
    size_t i = 0;
    while (i < peer->session_count) {
        pln_session *session = peer->sessions[i];
        if (session != than && session != peer->primary && session->order < than->order) {
            pln_session_close(mesh, session, phrase, POLLEN_END_GRACEFUL, now);
        } else {
            i++;
        }
    }
}

void pln_session_close_peer(pln_mesh *mesh, pln_mesh_peer *peer, const char *phrase,
                            pollen_end_reason reason, pln_now now) {
    /* The primary last, so that no other is promoted on the way, and dials that nobody waits for
     * before them, because they would become sessions. */
    pln_dial_abandon(mesh, peer, now);
    size_t left = peer->session_count;
    for (size_t i = left; i-- > 0;) {
        if (peer->sessions[i] != peer->primary) {
            pln_session_close(mesh, peer->sessions[i], phrase, reason, now);
            left--;
        }
    }
    if (left > 0) {
        PLN_ASSERT(left == 1);
        PLN_ASSERT(peer->primary != NULL);
        pln_session_close(mesh, peer->primary, phrase, reason, now); /* May free the peer. */
    } else {
        pln_registry_release(mesh, peer);
    }
}

void pln_session_on_closed(pln_mesh *mesh, pln_session *session, const pln_quic_closed *closed,
                           pln_now now) {
    if (session->peer->primary == session && pln_reason_is_final(closed)) {
        close_older(mesh, session->peer, session, "disconnect", now);
    }
    pln_session_end(mesh, session, pln_reason_of_closed(closed), now);
}

/* ---- Small things ---------------------------------------------------------------------------- */

pln_ts pln_session_last_rx(const pln_mesh *mesh, const pln_session *session) {
    pln_conn_info info;
    pollen_err err = pln_quic_conn_info(mesh->quic, session->link.conn, &info);
    return err == POLLEN_OK ? info.last_rx_at : 0;
}

pollen_err pln_session_send(pln_mesh *mesh, pln_session *session, const pln_bytes *envelope,
                            uint64_t tag) {
    return pln_mesh_send_conn(mesh, session->link.conn, envelope, tag);
}

pollen_err pln_mesh_send_conn(pln_mesh *mesh, pln_conn_id conn, const pln_bytes *envelope,
                              uint64_t tag) {
    pln_chunk *chunk = pln_chunk_create(envelope->size);
    if (chunk == NULL) {
        return POLLEN_ENOMEM;
    }
    memcpy(chunk->data, envelope->data, envelope->size);
    chunk->end = envelope->size;
    pollen_err err = pln_quic_send_datagram(mesh->quic, conn, chunk, tag);
    if (err != POLLEN_OK) {
        pln_chunk_destroy(chunk);
        return err;
    }
    mesh->dirty = true;
    mesh->stats.envelopes_out++;
    return POLLEN_OK;
}
