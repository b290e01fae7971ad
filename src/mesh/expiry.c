/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that come to an end by time: the peer's certificate runs out, ours did, or the session
 * reached its maximum age.
 *
 * A session is not simply cut by age, nor left to run out after our certificate was renewed: the
 * side whose matter it is makes a new one first, on the same path, and moves (make before break).
 * By age that is the one that dialled; what nobody replaced is closed at one and a half times the
 * age.
 */
#include "mesh/core.h"

#include "base/assert.h"
#include "base/key.h"

/* Replacements are spread over this share of the age, or this time after a renewal, so that a
 * cluster that came up together does not handshake together. */
enum { AGE_JITTER_PARTS = 10 };
#define RENEWED_JITTER PLN_S(30)
enum { RENEWED_JITTER_PARTS = 8 }; /* Of what is left of the new certificate, if that is less. */
#define ROTATE_RETRY PLN_S(60)

/* An alarm further away than this is looked at again: wall and monotonic clock may drift apart.
 * When one was set, by more than this step, all are. */
#define EXPIRY_CHECK_MAX PLN_S(3600)
enum { CLOCK_STEP_S = 2 };

bool pln_expiry_is_run_out(int64_t not_after, pln_wall now) {
    return now > PLN_SKEW_SECONDS && not_after < now - PLN_SKEW_SECONDS;
}

/* When a certificate is to be looked at again. */
static pln_ts check_at(int64_t not_after, pln_now now) {
    int64_t end =
        not_after > INT64_MAX - PLN_SKEW_SECONDS - 1 ? INT64_MAX : not_after + PLN_SKEW_SECONDS + 1;
    if (end <= now.wall) {
        return now.mono;
    }
    uint64_t left = (uint64_t)end - (uint64_t)now.wall;
    pln_dur wait = left > EXPIRY_CHECK_MAX / PLN_NS_PER_S ? EXPIRY_CHECK_MAX : PLN_S(left);
    return pln_ts_add(now.mono, wait);
}

static void set_next(pln_mesh *mesh, pln_session *session, pln_now now) {
    pln_ts at = check_at(session->holds_until, now);
    at = pln_ts_min(at, session->rotate_at);
    at = pln_ts_min(at, session->age_out_at);
    pln_alarm_set(mesh, &session->expiry, at);
}

void pln_expiry_start(pln_mesh *mesh, pln_session *session, pln_now now) {
    pln_dur age = mesh->max_connection_age;
    if (age > 0) {
        pln_dur jitter = pln_rng_below(&mesh->rng, age / AGE_JITTER_PARTS + 1);
        session->age_out_at = pln_ts_add(now.mono, pln_ts_add(age, age / 2));
        if (!session->inbound) {
            session->rotate_at = pln_ts_add(now.mono, pln_ts_add(age, jitter));
        }
    }
    set_next(mesh, session, now);
}

/* A node of the reference with the smaller key refuses a second session, and closes the first one
 * itself when it is old or its certificate has run out. */
static bool takes_another(const pln_mesh *mesh, const pln_session *session) {
    return session->speaks_2 || pln_key_compare(&mesh->creds.key, &session->peer->key) < 0;
}

static void rotate(pln_mesh *mesh, pln_session *session, pln_now now) {
    PLN_ASSERT(session->peer != NULL);
    session->rotate_at = pln_ts_add(now.mono, ROTATE_RETRY);
    if (session->peer->primary == session && !mesh->is_shut && takes_another(mesh, session)) {
        (void)pln_dial_rotate(mesh, session,
                              now); /* Tried again when it does not come to anything. */
    }
}

/* A peer that showed a newer certificate on another session is not cut off by the old one, where
 * its streams still run. */
static void adopt_newest(pln_session *session) {
    const pln_mesh_peer *peer = session->peer;
    for (size_t i = 0; i < peer->session_count; i++) {
        if (peer->sessions[i]->cert_not_after > session->holds_until) {
            session->holds_until = peer->sessions[i]->cert_not_after;
        }
    }
}

static void close_for(pln_mesh *mesh, pln_session *session, pollen_end_reason reason, pln_now now) {
    pln_session_close(mesh, session, pln_reason_phrase(reason), reason, now);
}

void pln_expiry_fire(pln_mesh *mesh, pln_alarm *alarm, pln_now now) {
    pln_session *session = PLN_TIMER_OWNER(alarm, pln_session, expiry);
    mesh->dirty = true;
    if (pln_expiry_is_run_out(session->holds_until, now.wall)) {
        adopt_newest(session);
    }
    if (pln_expiry_is_run_out(session->holds_until, now.wall)) {
        close_for(mesh, session, POLLEN_END_CERT_EXPIRED, now);
        return;
    }
    if (pln_ts_reached(session->age_out_at, now.mono)) {
        if (session->peer->primary == session) {
            close_for(mesh, session, POLLEN_END_CERT_ROTATION, now);
            return;
        }
        /* It was replaced, and waits for its streams. */
        session->age_out_at = pln_ts_add(now.mono, ROTATE_RETRY);
    }
    if (pln_ts_reached(session->rotate_at, now.mono)) {
        rotate(mesh, session, now);
    }
    set_next(mesh, session, now);
}

/* ---- A certificate of our own ---------------------------------------------------------------- */

static pln_dur renewed_jitter(int64_t not_after, pln_wall now) {
    if (not_after <= now) {
        return 1;
    }
    uint64_t share = ((uint64_t)not_after - (uint64_t)now) / RENEWED_JITTER_PARTS;
    return share < RENEWED_JITTER / PLN_NS_PER_S ? PLN_S(share) + 1 : RENEWED_JITTER;
}

void pln_expiry_on_renewed(pln_mesh *mesh, pln_now now) {
    pln_dur most = renewed_jitter(mesh->creds.member_cert.not_after, now.wall);
    for (size_t i = 0; i < mesh->registered_count; i++) {
        pln_session *session = mesh->registered[i]->primary;
        PLN_ASSERT(session != NULL);
        if (session->own_not_after >= mesh->creds.member_cert.not_after) {
            continue;
        }
        pln_dur jitter = pln_rng_below(&mesh->rng, most);
        pln_ts at = pln_ts_add(now.mono, jitter);
        session->rotate_at = pln_ts_min(session->rotate_at, at);
        pln_alarm_set_earlier(mesh, &session->expiry, at);
    }
}

/* ---- The time of day ------------------------------------------------------------------------- */

/* What is due by the time of day is due at another time now: looked at again, at once. */
static void look_at_all(pln_mesh *mesh, pln_now now) {
    for (pln_mesh_peer *peer = mesh->peers; peer != NULL; peer = peer->hh.next) {
        for (size_t i = 0; i < peer->session_count; i++) {
            pln_alarm_set_earlier(mesh, &peer->sessions[i]->expiry, now.mono);
        }
    }
}

void pln_expiry_on_clock(pln_mesh *mesh, pln_now now) {
    int64_t offset = pln_wall_add(now.wall, -(int64_t)(now.mono / PLN_NS_PER_S));
    if (offset > pln_wall_add(mesh->clock_offset, CLOCK_STEP_S) ||
        offset < pln_wall_add(mesh->clock_offset, -CLOCK_STEP_S)) {
        mesh->clock_offset = offset;
        look_at_all(mesh, now);
    }
}
