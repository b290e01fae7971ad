/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of several sessions with one peer is the registered one, and which are closed.
 *
 * Design notes
 *
 * Two nodes may dial each other at the same time, a race may finish on two addresses, a node may
 * restart while its old session still stands at the other end.  Then a pair of nodes has more than
 * one live session.  What must hold:
 *   (1) no interleaving ends with both closing the other's choice, and with none left;
 *   (2) a session of a restarted peer is usable at once, whatever the keys;
 *   (3) in the end there is one, the same on both sides; of two simultaneous ones it is the one
 *       that the node with the smaller key initiated.
 *
 * Receiving needs no decision: envelopes and streams are taken from every live session.  So the
 * two ends may differ for a while about where they *send*, and nothing is lost by it.
 *
 * Closing is for one end alone, the arbiter: the node with the smaller key.  Both know who that
 * is, so that never both close: (1).  It waits PLN_TIE_GRACE after the newest session was
 * confirmed at its end and keeps the best among those that answered a PING since then.  The other
 * end follows: it loses what the arbiter closed, and if that was its primary, another takes its
 * place.  When the arbiter's close is lost, the next packet of the follower (a PING at the latest,
 * by keep-alive) draws the close again, or a stateless reset.  An arbiter that heard no session at
 * all does not choose; it asks again.
 *
 * The best session is found by facts that both ends share: fresher certificates (the sum of the
 * two ends of validity, which is the same on both sides; a node reconnects after a renewal to show
 * its new one), then the smaller key's initiative, then the newest.  Only the arbiter's opinion
 * counts in the end, so that "newest" may differ between the ends by the order of arrival: (3).
 *
 * Sending: a newcomer is the primary at once, but for two cases in which the present primary has
 * proved alive, that is, was heard after the newcomer's first packet:
 *   - the present one is better by the shared facts (simultaneous open, seen from one side);
 *   - they are equal and the newcomer is inbound: it may be the losing address of the peer's race,
 *     about to be closed.  It becomes the primary as soon as the peer uses it, or when the grace
 *     is over.
 * A restarted peer is silent on its old session from before the newcomer's first packet, so that
 * neither case holds, whatever the keys and whoever dials: (2).  If stray packets of the old
 * session arrive late and make it look alive, the first datagram or stream of the peer on the new
 * session, or the end of the grace, puts it right, because then only sessions count that answered
 * since.
 *
 * The order of the keys with a restart.  Arbiter restarts: it knows the new session only; the
 * follower moves to it at once, and its old one ends by the reset that its PING draws, or idles
 * out unseen. Follower restarts: the arbiter moves at once, and closes the old one after the
 * grace.
 *
 * Loss.  A PING is repeated by loss recovery, several times within the grace.  If the better
 * session still looks dead the arbiter keeps the other: that is a decision like any other, and the
 * follower accepts it.  A session whose confirmation is still on its way to the dialler is live at
 * the acceptor; if the arbiter closes it meanwhile, the dial fails at an end that has another
 * session, which makes it succeed.
 *
 * The reference (ALPN pollen/1) closes one of two sessions by itself, at once, by its own order of
 * arrival.  We are never the one to close then, we send on the newest and follow.  Only if several
 * sessions go on to answer for three times the grace, which the reference cannot cause, the
 * arbiter rule is applied.
 *
 * A surplus session that carries streams is closed when they have ended, PLN_DRAIN_MAX at the
 * latest: who opened one within the first second of a session must not lose it to a tie-break.
 *
 * A session that *we* replaced, because of its age or of a new certificate of ours, we also close,
 * follower or not: the arbiter would not choose it, since the new one is newer or fresher.
 */
#include "mesh/core.h"

#include "base/assert.h"
#include "base/key.h"

enum { REFERENCE_GRACES = 3 };

#define DRAIN_CHECK PLN_S(1)

static bool own_is_smaller(const pln_mesh *mesh, const pln_mesh_peer *peer) {
    return pln_key_compare(&mesh->creds.key, &peer->key) < 0;
}

static bool smaller_initiated(const pln_mesh *mesh, const pln_session *session) {
    return own_is_smaller(mesh, session->peer) != session->inbound;
}

/* Ends of validity are the issuer's choice: halved, so that their sum cannot overflow. */
static int64_t freshness(const pln_session *session) {
    return session->cert_not_after / 2 + session->own_not_after / 2;
}

/* By the shared facts: above 0 when a is better, 0 when they are equal. */
static int compare_facts(const pln_mesh *mesh, const pln_session *a, const pln_session *b) {
    if (freshness(a) != freshness(b)) {
        return freshness(a) > freshness(b) ? 1 : -1;
    }
    return (int)smaller_initiated(mesh, a) - (int)smaller_initiated(mesh, b);
}

static bool is_better(const pln_mesh *mesh, const pln_session *a, const pln_session *b) {
    int facts = compare_facts(mesh, a, b);
    return facts != 0 ? facts > 0 : a->order > b->order;
}

static bool is_heard_since(const pln_mesh *mesh, const pln_session *session, pln_ts at) {
    return pln_session_last_rx(mesh, session) > at;
}

static bool is_reference(const pln_session *session) {
    return !session->speaks_2;
}

/* Why the primary gives way to another that is at hand. */
static pollen_end_reason reason_of_replacement(const pln_mesh *mesh, const pln_session *old,
                                               bool is_alive, pln_now now) {
    bool is_aged = mesh->max_connection_age > 0 &&
                   pln_ts_since(old->started_at, now.mono) >= mesh->max_connection_age;
    if (old->rotated || is_aged) {
        return POLLEN_END_CERT_ROTATION;
    }
    return is_alive ? POLLEN_END_GRACEFUL : POLLEN_END_RESET;
}

static void move_to(pln_mesh *mesh, pln_session *session, bool old_is_alive, pln_now now) {
    pln_mesh_peer *peer = session->peer;
    PLN_ASSERT(peer->primary != NULL);
    PLN_ASSERT(peer->primary != session);
    pollen_end_reason reason = reason_of_replacement(mesh, peer->primary, old_is_alive, now);
    /* On lack of memory the old one stays; the end of the grace tries again. */
    (void)pln_registry_register(mesh, session, reason, now);
}

static void probe_all(pln_mesh *mesh, pln_mesh_peer *peer, pln_now now) {
    PLN_ASSERT(peer->session_count > 0);
    for (size_t i = 0; i < peer->session_count; i++) {
        pln_quic_ping(mesh->quic, peer->sessions[i]->link.conn, now);
    }
    mesh->dirty = true;
    peer->probe_at = now.mono;
    peer->settled = false;
    pln_alarm_set(mesh, &peer->settle, pln_ts_add(now.mono, PLN_TIE_GRACE));
}

static bool is_switch_due(const pln_mesh *mesh, const pln_session *newcomer, bool old_is_alive) {
    if (!old_is_alive || is_reference(newcomer)) {
        return true;
    }
    PLN_ASSERT(newcomer->peer->primary != NULL);
    int facts = compare_facts(mesh, newcomer, newcomer->peer->primary);
    return facts != 0 ? facts > 0 : !newcomer->inbound;
}

bool pln_tie_on_session(pln_mesh *mesh, pln_session *session, pln_now now) {
    pln_mesh_peer *peer = session->peer;
    if (peer->primary == NULL) {
        return pln_registry_register(mesh, session, POLLEN_END_NONE, now);
    }
    probe_all(mesh, peer, now);
    bool is_alive = is_heard_since(mesh, peer->primary, session->started_at);
    if (is_switch_due(mesh, session, is_alive)) {
        move_to(mesh, session, is_alive, now);
    }
    return true;
}

void pln_tie_on_used(pln_mesh *mesh, pln_session *session, pln_now now) {
    pln_mesh_peer *peer = session->peer;
    if (session == peer->primary || peer->primary == NULL) {
        return;
    }
    bool is_adopted = session->inbound && session->order > peer->primary->order &&
                      compare_facts(mesh, session, peer->primary) == 0;
    bool is_followed = peer->settled && (!own_is_smaller(mesh, peer) || is_reference(session));
    if (is_adopted || is_followed) {
        move_to(mesh, session, true, now);
    }
}

/* ---- After the grace ------------------------------------------------------------------------- */

/* The best of those heard since `at`; NULL when there is none. */
static pln_session *choose(const pln_mesh *mesh, const pln_mesh_peer *peer, pln_ts at) {
    pln_session *best = NULL;
    for (size_t i = 0; i < peer->session_count; i++) {
        pln_session *session = peer->sessions[i];
        PLN_ASSERT(session != NULL);
        if (is_heard_since(mesh, session, at) && (best == NULL || is_better(mesh, session, best))) {
            best = session;
        }
    }
    return best;
}

static bool is_ours_to_close(const pln_mesh *mesh, const pln_mesh_peer *peer,
                             const pln_session *session, pln_now now) {
    pln_ts reference_is_done = pln_ts_add(peer->probe_at, REFERENCE_GRACES * PLN_TIE_GRACE);
    if (session->rotated) {
        return true;
    }
    if (is_reference(session) && now.mono < reference_is_done) {
        return false;
    }
    return own_is_smaller(mesh, peer);
}

/* Closes what is surplus and idle.  True when something is left to look after. */
static bool close_surplus(pln_mesh *mesh, pln_mesh_peer *peer, pln_now now) {
    PLN_ASSERT(peer->primary != NULL);
    bool is_overdue = pln_ts_reached(peer->drain_until, now.mono);
    size_t i = 0;
    while (i < peer->session_count) {
        pln_session *session = peer->sessions[i];
        bool has_streams = session->stream_count > 0 && !is_overdue;
        if (session == peer->primary || has_streams ||
            !is_ours_to_close(mesh, peer, session, now)) {
            i++;
            continue;
        }
        const char *phrase = session->rotated ? pln_reason_phrase(POLLEN_END_CERT_ROTATION)
                             : session->order > peer->primary->order ? "duplicate"
                                                                     : "replaced";
        pln_session_close(mesh, session, phrase, POLLEN_END_GRACEFUL, now);
    }
    return peer->session_count > 1;
}

/* True when the primary stands for now. */
static bool settle_primary(pln_mesh *mesh, pln_mesh_peer *peer, pln_now now) {
    pln_session *best = choose(mesh, peer, peer->probe_at);
    if (best == NULL) {
        return false;
    }
    bool is_alive = is_heard_since(mesh, peer->primary, peer->probe_at);
    bool is_free = own_is_smaller(mesh, peer) && !is_reference(best);
    bool is_held = compare_facts(mesh, best, peer->primary) == 0; /* See "Sending". */
    if (best != peer->primary && (!is_alive || is_free || is_held)) {
        move_to(mesh, best, is_alive, now);
    }
    /* Without memory to move away from a dead one it is too early to close the others. */
    return is_alive || best == peer->primary;
}

void pln_tie_fire(pln_mesh *mesh, pln_alarm *alarm, pln_now now) {
    pln_mesh_peer *peer = PLN_TIMER_OWNER(alarm, pln_mesh_peer, settle);
    PLN_ASSERT(peer->session_count > 0);
    PLN_ASSERT(peer->primary != NULL);
    mesh->dirty = true;
    if (!peer->settled) {
        if (!settle_primary(mesh, peer, now)) {
            probe_all(mesh, peer, now);
            return;
        }
        peer->settled = true;
        peer->drain_until = pln_ts_add(now.mono, PLN_DRAIN_MAX);
    }
    if (close_surplus(mesh, peer, now)) {
        pln_alarm_set(mesh, &peer->settle, pln_ts_add(now.mono, DRAIN_CHECK));
    }
}

/* ---- Ends ------------------------------------------------------------------------------------ */

static pln_session *best_left(const pln_mesh *mesh, const pln_mesh_peer *peer) {
    pln_session *best = choose(mesh, peer, peer->probe_at);
    return best != NULL ? best : choose(mesh, peer, 0);
}

bool pln_tie_replace(pln_mesh *mesh, pln_mesh_peer *peer, pollen_end_reason reason, pln_now now) {
    pln_session *best = best_left(mesh, peer);
    return best != NULL && pln_registry_register(mesh, best, reason, now);
}

void pln_tie_on_ended(pln_mesh *mesh, pln_mesh_peer *peer, pln_now now) {
    if (peer->session_count < 2) {
        pln_alarm_off(mesh, &peer->settle);
        peer->settled = true;
    }
    if (peer->primary != NULL || peer->session_count == 0) {
        return;
    }
    /* There was no memory to put another in the place of the primary; perhaps there is now. */
    pln_session *session = peer->sessions[peer->session_count - 1];
    if (!pln_registry_register(mesh, session, POLLEN_END_NONE, now)) {
        pln_session_close(mesh, session, "disconnect", POLLEN_END_GRACEFUL, now);
    }
}
