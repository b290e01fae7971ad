/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renewal of membership certificates over a session.
 *
 * Asking: the request is bound to the session it was sent on; only an answer on this session, and
 * only while the request is pending, counts.  Answering: the subject is the peer that the session
 * authenticated, what it gets does not outlive by its length what it had, and one request in
 * RENEWAL_INTERVAL is worth a signature; the others get the same answer.
 */
#include "mesh/core.h"

#include <string.h>

#include <utlist.h>

#include "base/assert.h"
#include "base/key.h"

#define RENEWAL_RESEND PLN_S(1)
#define RENEWAL_INTERVAL PLN_S(10)

/* ---- Asking ---------------------------------------------------------------------------------- */

static pollen_err send_request(pln_mesh *mesh, pln_session *session) {
    /* The reference sends its X.509 certificate along and does not read the peer's. */
    pln_renewal_request request = {.subject_pub = mesh->creds.key};
    pln_bytes envelope = {.data = NULL};
    pollen_err err = pln_renewal_request_encode(&request, &envelope);
    if (err == POLLEN_OK) {
        err = pln_session_send(mesh, session, &envelope, 0);
    }
    pln_bytes_fini(&envelope);
    return err;
}

void pln_mesh_renew(pln_mesh *mesh, pln_op id, const pollen_key *key, pln_ts deadline,
                    pln_now now) {
    pln_mesh_op *op = pln_ops_start(mesh, id, PLN_OP_RENEW, key, deadline);
    if (op == NULL) {
        return;
    }
    const pln_mesh_peer *peer = pln_registry_find(mesh, key);
    if (peer == NULL || peer->primary == NULL) {
        pln_ops_finish_err(mesh, op, POLLEN_ENOTCONN);
        return;
    }
    pln_session *session = peer->primary;
    bool is_pending = session->renewals != NULL;
    op->session = session;
    DL_APPEND(session->renewals, op);
    if (is_pending) {
        return; /* Shares the answer. */
    }
    pollen_err err = send_request(mesh, session);
    if (err == POLLEN_OK || err == POLLEN_EAGAIN || err == POLLEN_ENOMEM) {
        pln_alarm_set(mesh, &session->renew_resend, pln_ts_add(now.mono, RENEWAL_RESEND));
    } else {
        pln_ops_finish_err(mesh, op, err == POLLEN_ENOENT ? POLLEN_ENOTCONN : err);
    }
}

void pln_renewal_fire(pln_mesh *mesh, pln_alarm *alarm, pln_now now) {
    pln_session *session = PLN_TIMER_OWNER(alarm, pln_session, renew_resend);
    if (session->renewals == NULL) {
        return;
    }
    (void)send_request(mesh, session); /* Again in a second, until the deadline. */
    pln_alarm_set(mesh, alarm, pln_ts_add(now.mono, RENEWAL_RESEND));
}

static pollen_err install(pln_mesh *mesh, const pln_member_cert *cert, pln_now now) {
    pln_credentials creds = {.enrolled = false};
    pollen_err err = pln_credentials_copy(&creds, &mesh->creds);
    if (err == POLLEN_OK) {
        err = pln_credentials_renew(&creds, cert, now.wall);
    }
    if (err == POLLEN_OK) {
        err = pln_mesh_install(mesh, &creds, now);
    }
    pln_credentials_fini(&creds);
    return err;
}

void pln_renewal_on_response(pln_mesh *mesh, pln_session *session, const uint8_t *body, size_t size,
                             pln_now now) {
    if (session->renewals == NULL) {
        return; /* Unasked, or late. */
    }
    pln_renewal_response response = {.accepted = false};
    if (pln_renewal_response_decode(body, size, &response) != POLLEN_OK) {
        return; /* The request is repeated. */
    }
    pln_op_result result = {.err = POLLEN_EDENIED, .detail = response.reason};
    if (response.accepted && response.has_cert) {
        result.err = install(mesh, &response.cert, now);
        result.detail = result.err == POLLEN_OK ? NULL : pollen_strerror(result.err);
    } else if (response.reason[0] == '\0') {
        result.detail = "renewal rejected";
    }
    pln_alarm_off(mesh, &session->renew_resend);
    pln_ops_finish_list(mesh, &session->renewals, &result);
    PLN_ASSERT(session->renewals == NULL);
    pln_renewal_response_fini(&response);
}

/* ---- Answering ------------------------------------------------------------------------------- */

static const char *refusal(const pln_mesh *mesh, const pln_session *session,
                           const pln_renewal_request *request) {
    if (!pln_key_equal(&request->subject_pub, &session->peer->key)) {
        return "subject_pub does not match sender";
    }
    if (!mesh->creds.enrolled || !mesh->creds.has_signer) {
        return "this node is not an admin";
    }
    if (pln_mesh_is_revoked(mesh, &session->peer->key)) {
        return "subject has been revoked";
    }
    if (!session->cert_renewable) {
        return "certificate is non-renewable \xe2\x80\x94 request a new invite from a cluster "
               "admin";
    }
    return NULL;
}

/* As long as the certificate of this session was, from the back-dated beginning to the end. */
static int64_t ttl_for(const pln_mesh *mesh, const pln_session *session) {
    int64_t ttl = mesh->membership_ttl_seconds;
    int64_t had = session->cert_not_after / 2 - session->cert_not_before / 2;
    if (had < ttl / 2) {
        ttl = session->cert_not_after - session->cert_not_before - PLN_BACKDATE_SECONDS;
    }
    return ttl > 0 ? ttl : 1;
}

static void decide(pln_mesh *mesh, const pln_session *session, const pln_renewal_request *request,
                   pln_now now, pln_renewal_response *ret) {
    const char *reason = refusal(mesh, session, request);
    if (reason == NULL) {
        pln_member_terms terms = {.ttl_seconds = ttl_for(mesh, session)};
        pollen_err err = pln_member_cert_issue(&mesh->creds.signer, &session->peer->key, &terms,
                                               &mesh->rng, now.wall, &ret->cert);
        ret->has_cert = err == POLLEN_OK;
        reason = err == POLLEN_OK ? NULL : pollen_strerror(err);
    }
    ret->accepted = reason == NULL;
    if (reason != NULL) {
        pln_text_copy(ret->reason, sizeof(ret->reason), reason);
    }
}

static bool has_fresh_answer(const pln_session *session, pln_now now) {
    return session->renewal_answer.data != NULL &&
           pln_ts_since(session->renewal_at, now.mono) < RENEWAL_INTERVAL;
}

void pln_renewal_on_request(pln_mesh *mesh, pln_session *session, const uint8_t *body, size_t size,
                            pln_now now) {
    pln_renewal_request request = {.current_cert = {.data = NULL}};
    if (pln_renewal_request_decode(body, size, &request) != POLLEN_OK) {
        return;
    }
    /* Cheap refusals are made anew: an answer for another subject must not stand in for one's
     * own. */
    const char *reason = refusal(mesh, session, &request);
    if (reason != NULL || !has_fresh_answer(session, now)) {
        pln_renewal_response response = {.accepted = false};
        decide(mesh, session, &request, now, &response);
        pln_bytes_fini(&session->renewal_answer);
        if (pln_renewal_response_encode(&response, &session->renewal_answer) == POLLEN_OK) {
            session->renewal_at = now.mono;
        }
        pln_renewal_response_fini(&response);
    }
    pln_renewal_request_fini(&request);
    if (session->renewal_answer.data != NULL) {
        (void)pln_session_send(mesh, session, &session->renewal_answer, 0); /* They ask again. */
    }
    if (reason != NULL) {
        pln_bytes_fini(&session->renewal_answer);
    }
}
