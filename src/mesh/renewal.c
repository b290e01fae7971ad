/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renewal of membership certificates over a session.
 *
 * Asking: the request is bound to the session it was sent on; only an answer on this session, and
 * only while the request is pending, counts.  Answering: the subject is the peer that the session
 * authenticated, what it gets lasts no longer than what it had did, and requests that come again
 * get the same answer.
 */
#include "mesh/core.h"

#include <string.h>

#include <utlist.h>

#include "base/assert.h"
#include "base/key.h"

#define RENEWAL_RESEND PLN_S(1)
#define RENEWAL_INTERVAL PLN_S(10) /* Between two signatures for one subject. */
enum { INTERVAL_PARTS = 10, SOON_PARTS = 3 };

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

/* Nothing new: the answer came twice, or ours was issued this very second. */
static bool is_as_good(const pln_mesh *mesh, const pln_member_cert *cert, pln_wall now) {
    const pln_credentials *creds = &mesh->creds;
    return creds->enrolled && cert->not_after == creds->member_cert.not_after &&
           cert->non_renewable == creds->member_cert.non_renewable &&
           pln_member_cert_verify(cert, &creds->trust, &creds->key, now) == POLLEN_OK;
}

static pollen_err install(pln_mesh *mesh, const pln_member_cert *cert, pln_now now) {
    if (is_as_good(mesh, cert, now.wall)) {
        return POLLEN_OK;
    }
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
                           const pln_renewal_request *request, pln_now now) {
    if (!pln_key_equal(&request->subject_pub, &session->peer->key)) {
        return "subject_pub does not match sender";
    }
    if (!mesh->creds.enrolled || !mesh->creds.has_signer) {
        return "this node is not an admin";
    }
    if (pln_mesh_is_revoked(mesh, &session->peer->key)) {
        return "subject has been revoked";
    }
    if (pln_expiry_is_run_out(session->cert_not_after, now.wall)) {
        return "certificate has expired";
    }
    if (!session->cert_renewable) {
        return "certificate is non-renewable \xe2\x80\x94 request a new invite from a cluster "
               "admin";
    }
    return NULL;
}

static bool issue(pln_mesh *mesh, const pln_session *session, pln_now now, pln_member_cert *ret,
                  const char **ret_reason) {
    pln_member_terms terms = {.ttl_seconds = pln_member_renewal_ttl(session->cert_not_before,
                                                                    session->cert_not_after,
                                                                    mesh->membership_ttl_seconds)};
    pollen_err err = pln_member_cert_issue(&mesh->creds.signer, &session->peer->key, &terms,
                                           &mesh->rng, now.wall, ret);
    *ret_reason = err == POLLEN_OK ? NULL : pollen_strerror(err);
    return err == POLLEN_OK;
}

/*
 * A certificate is worth a signature when the subject has taken up the last one, as its session
 * shows, or that one ends soon; so nobody collects certificates ahead.  And never more than one
 * in an interval, which is shorter for those that live shortly.
 */
static bool is_answered(const pln_session *session, const pln_issued *last, pln_now now) {
    int64_t life = pln_cert_life(last->not_before, last->not_after);
    int64_t interval = life / INTERVAL_PARTS;
    pln_dur wait = interval < 1 ? PLN_S(1) : PLN_S(interval);
    if (pln_ts_since(last->at, now.mono) < (wait < RENEWAL_INTERVAL ? wait : RENEWAL_INTERVAL)) {
        return true;
    }
    bool is_taken_up =
        session->cert_serial == last->serial || session->cert_not_after > last->not_after;
    return !is_taken_up && now.wall < pln_wall_add(last->not_after, -(life / SOON_PARTS));
}

static void send_answer(pln_mesh *mesh, pln_session *session, const pln_renewal_response *response,
                        pln_now now) {
    pln_bytes answer = {.data = NULL};
    if (pln_renewal_response_encode(response, &answer) != POLLEN_OK) {
        return; /* They ask again. */
    }
    (void)pln_session_send(mesh, session, &answer, 0); /* Likewise. */
    if (response->has_cert) {
        pln_issued_note(mesh, &response->cert, &answer, now);
    }
    pln_bytes_fini(&answer);
}

static void answer(pln_mesh *mesh, pln_session *session, const pln_renewal_request *request,
                   pln_now now) {
    const char *reason = refusal(mesh, session, request, now);
    const pln_issued *last = reason == NULL ? pln_issued_find(mesh, &session->peer->key) : NULL;
    if (last != NULL && is_answered(session, last, now)) {
        (void)pln_session_send(mesh, session, &last->answer, 0);
        return;
    }
    pln_renewal_response response = {.accepted = false};
    if (reason == NULL) {
        response.has_cert = issue(mesh, session, now, &response.cert, &reason);
    }
    response.accepted = response.has_cert;
    if (reason != NULL) {
        pln_text_copy(response.reason, sizeof(response.reason), reason);
    }
    send_answer(mesh, session, &response, now);
    pln_renewal_response_fini(&response);
}

void pln_renewal_on_request(pln_mesh *mesh, pln_session *session, const uint8_t *body, size_t size,
                            pln_now now) {
    pln_renewal_request request = {.current_cert = {.data = NULL}};
    if (pln_renewal_request_decode(body, size, &request) == POLLEN_OK) {
        answer(mesh, session, &request, now);
        pln_renewal_request_fini(&request);
    }
}
