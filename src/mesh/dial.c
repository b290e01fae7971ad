/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dials.  A peer has at most one race, which tries its paths one after the other, PLN_DIAL_STAGGER
 * apart, the next one at once when one fails (RFC 8305); all connects to the peer wait for the
 * same race.
 *
 * The first confirmed attempt wins and the others are closed, politely, because their handshake
 * may be complete at the far end.  An inbound session that comes in between ends the connects as
 * well, but not the attempts under way: if both ends of a simultaneous open gave up their own dial
 * for the other's, none would be left.  They become surplus sessions for tiebreak.c, or fail.
 */
#include "mesh/core.h"

#include <string.h>

#include <utlist.h>

#include "base/assert.h"
#include "base/key.h"

static void start_next(pln_mesh *mesh, pln_race *race, pln_now now);

static void on_stagger(pln_mesh *mesh, pln_alarm *alarm, pln_now now) {
    start_next(mesh, PLN_TIMER_OWNER(alarm, pln_race, stagger), now);
}

static pln_race *obtain_race(pln_mesh *mesh, pln_mesh_peer *peer) {
    if (peer->race != NULL) {
        return peer->race;
    }
    pln_race *race = pln_calloc(1, sizeof(*race));
    if (race == NULL) {
        return NULL;
    }
    if (!pln_alarm_init(mesh, &race->stagger, on_stagger)) {
        pln_free(race);
        return NULL;
    }
    race->peer = peer;
    peer->race = race;
    return race;
}

static void free_attempt(pln_mesh *mesh, pln_attempt *attempt) {
    PLN_ASSERT(attempt->link.kind == PLN_LINK_DIAL);
    PLN_ASSERT(attempt->race != NULL);
    pln_link_remove(mesh, &attempt->link);
    PLN_ASSERT(attempt->race->attempt_count > 0);
    DL_DELETE(attempt->race->attempts, attempt);
    attempt->race->attempt_count--;
    pln_free(attempt);
}

static void close_oldest(pln_mesh *mesh, pln_race *race, pln_now now) {
    pln_quic_close(mesh->quic, race->attempts->link.conn, 0, "replaced", now);
    free_attempt(mesh, race->attempts);
}

static void close_attempts(pln_mesh *mesh, pln_race *race, pln_now now) {
    while (race->attempts != NULL) {
        close_oldest(mesh, race, now);
    }
}

void pln_dial_destroy(pln_mesh *mesh, pln_race *race) {
    PLN_ASSERT(race->peer->race == race);
    while (race->attempts != NULL) {
        free_attempt(mesh, race->attempts);
    }
    race->peer->race = NULL;
    pln_alarm_fini(mesh, &race->stagger);
    pln_free(race);
}

static bool is_over(const pln_race *race) {
    PLN_ASSERT(race->next <= race->path_count);
    PLN_ASSERT(race->path_count <= PLN_DIAL_ADDRS_MAX);
    return race->attempts == NULL && race->next == race->path_count && !race->confirming;
}

/* Nothing is left to try: whoever still waits has failed.  May free the peer. */
static void end_if_over(pln_mesh *mesh, pln_race *race) {
    if (!is_over(race)) {
        return;
    }
    pln_mesh_peer *peer = race->peer;
    const pln_failure *failure = &race->failure;
    pln_ops_finish_list(mesh, &race->ops,
                        &(pln_op_result){.err = failure->err,
                                         .reason = failure->reason,
                                         .detail = failure->detail});
    PLN_ASSERT(race->ops == NULL);
    pln_dial_destroy(mesh, race);
    pln_registry_release(mesh, peer);
}

static pollen_err start_attempt(pln_mesh *mesh, pln_race *race, const pln_path *path, pln_now now) {
    pln_attempt *attempt = pln_calloc(1, sizeof(*attempt));
    if (attempt == NULL) {
        return POLLEN_ENOMEM;
    }
    pln_conn_id conn = 0;
    pollen_err err = pln_quic_dial(mesh->quic, path, &race->peer->key, false, now, &conn);
    if (err == POLLEN_OK && !pln_link_add(mesh, &attempt->link, PLN_LINK_DIAL, conn)) {
        pln_quic_close(mesh->quic, conn, 0, "disconnect", now);
        err = POLLEN_ENOMEM;
    }
    if (err != POLLEN_OK) {
        pln_free(attempt);
        return err;
    }
    attempt->race = race;
    DL_APPEND(race->attempts, attempt);
    race->attempt_count++;
    if (race->attempt_count > PLN_DIAL_ATTEMPTS_MAX) {
        close_oldest(mesh, race, now);
    }
    return POLLEN_OK;
}

/* The next path that can be dialled; may end the race and free the peer. */
static void start_next(pln_mesh *mesh, pln_race *race, pln_now now) {
    mesh->dirty = true;
    pln_alarm_off(mesh, &race->stagger);
    while (race->next < race->path_count) {
        pollen_err err = start_attempt(mesh, race, &race->paths[race->next++], now);
        if (err == POLLEN_OK) {
            if (race->next < race->path_count) {
                pln_alarm_set(mesh, &race->stagger, pln_ts_add(now.mono, PLN_DIAL_STAGGER));
            }
            return;
        }
        pln_failure_note(&race->failure, err, POLLEN_END_UNKNOWN, pollen_strerror(err));
    }
    end_if_over(mesh, race);
}

static void add_path(pln_race *race, const pln_path *path) {
    for (size_t i = 0; i < race->path_count; i++) {
        if (pln_path_equal(&race->paths[i], path)) {
            return;
        }
    }
    if (race->path_count < PLN_DIAL_ADDRS_MAX) {
        race->paths[race->path_count++] = *path;
    }
}

static pollen_err check_connect(const pln_mesh *mesh, const pollen_key *key, size_t path_count) {
    if (pln_key_equal(key, &mesh->creds.key)) {
        return POLLEN_EINVAL;
    }
    if (!mesh->creds.enrolled) {
        return POLLEN_ENOTENROLLED;
    }
    return path_count == 0 ? POLLEN_EADDR : POLLEN_OK;
}

/* The race that the op is to wait for; NULL when the op is done already. */
static pln_race *enter_race(pln_mesh *mesh, pln_mesh_op *op, size_t path_count) {
    const pln_mesh_peer *known = pln_registry_find(mesh, &op->peer);
    if (known != NULL && known->primary != NULL) {
        pln_ops_finish_err(mesh, op, POLLEN_OK);
        return NULL;
    }
    pollen_err err = check_connect(mesh, &op->peer, path_count);
    if (err != POLLEN_OK) {
        pln_ops_finish_err(mesh, op, err);
        return NULL;
    }
    pln_mesh_peer *peer = pln_registry_obtain(mesh, &op->peer);
    pln_race *race = peer == NULL ? NULL : obtain_race(mesh, peer);
    if (race == NULL) {
        pln_ops_finish_err(mesh, op, POLLEN_ENOMEM);
        if (peer != NULL) {
            pln_registry_release(mesh, peer);
        }
    }
    return race;
}

static void join_race(pln_mesh *mesh, pln_race *race, pln_mesh_op *op, const pln_path *paths,
                      size_t path_count, pln_now now) {
    bool was_waiting = pln_alarm_is_on(&race->stagger);
    for (size_t i = 0; i < path_count; i++) {
        add_path(race, &paths[i]);
    }
    DL_APPEND(race->ops, op);
    if (!was_waiting) {
        start_next(mesh, race, now);
    }
}

/* A command is one call, so that it fits a queue of commands: many parameters.
 * NOLINTNEXTLINE(readability-function-size) */
void pln_mesh_connect(pln_mesh *mesh, pln_op id, const pollen_key *key, const pln_path *paths,
                      size_t path_count, pln_ts deadline, pln_now now) {
    pln_mesh_op *op = pln_ops_start(mesh, id, PLN_OP_CONNECT, key, deadline);
    pln_race *race = op == NULL ? NULL : enter_race(mesh, op, path_count);
    if (race != NULL) {
        join_race(mesh, race, op, paths, path_count, now);
    }
}

/* NOLINTNEXTLINE(readability-function-size) As above. */
void pln_mesh_connect_again(pln_mesh *mesh, pln_op id, const pollen_key *key, const pln_path *paths,
                            size_t path_count, pln_ts deadline, pln_now now) {
    pln_mesh_op *op = pln_ops_start(mesh, id, PLN_OP_CONNECT, key, deadline);
    pln_race *race = op == NULL ? NULL : enter_race(mesh, op, path_count);
    if (race == NULL) {
        return;
    }
    if (race->next == race->path_count && !race->confirming) {
        race->next = 0;
    }
    join_race(mesh, race, op, paths, path_count, now);
}

void pln_dial_on_confirmed(pln_mesh *mesh, pln_attempt *attempt, pln_now now) {
    pln_race *race = attempt->race;
    pln_mesh_peer *peer = race->peer;
    pln_conn_id conn = attempt->link.conn;
    PLN_ASSERT(!race->confirming);
    free_attempt(mesh, attempt);
    pln_alarm_off(mesh, &race->stagger);
    race->next = race->path_count;
    race->confirming = true;
    close_attempts(mesh, race, now);
    if (race->rotation) {
        for (size_t i = 0; i < peer->session_count; i++) {
            peer->sessions[i]->rotated = true;
        }
    }

    pln_conn_info info;
    pollen_err err = pln_quic_conn_info(mesh->quic, conn, &info);
    if (err == POLLEN_OK && pln_session_start(mesh, conn, &info, now, &err) != NULL) {
        /* Also when it stays surplus: the peer has a session. */
        pln_ops_finish_list(mesh, &race->ops, &(pln_op_result){.err = POLLEN_OK});
    } else {
        pln_failure_of_closed(&race->failure,
                              &(pln_quic_closed){.end = PLN_QUIC_END_VERIFY, .err = err});
    }
    race->confirming = false;
    end_if_over(mesh, race);
}

void pln_dial_on_closed(pln_mesh *mesh, pln_attempt *attempt, const pln_quic_closed *closed,
                        pln_now now) {
    pln_race *race = attempt->race;
    free_attempt(mesh, attempt);
    pln_failure_of_closed(&race->failure, closed);
    if (race->next < race->path_count) {
        start_next(mesh, race, now);
    } else {
        end_if_over(mesh, race);
    }
}

void pln_dial_on_registered(pln_mesh *mesh, pln_mesh_peer *peer) {
    pln_race *race = peer->race;
    if (race == NULL) {
        return;
    }
    pln_ops_finish_list(mesh, &race->ops, &(pln_op_result){.err = POLLEN_OK});
    race->next = race->path_count;
    pln_alarm_off(mesh, &race->stagger);
    if (is_over(race)) {
        pln_dial_destroy(mesh, race); /* The peer has a session and stays. */
    }
}

void pln_dial_abandon(pln_mesh *mesh, pln_mesh_peer *peer, pln_now now) {
    pln_race *race = peer->race;
    if (race != NULL && race->ops == NULL && !race->confirming) {
        close_attempts(mesh, race, now);
        pln_dial_destroy(mesh, race);
        mesh->dirty = true;
    }
}

void pln_dial_on_op_gone(pln_mesh *mesh, pln_mesh_peer *peer, pln_now now) {
    if (peer->primary == NULL) {
        pln_dial_abandon(mesh, peer, now);
    }
    pln_registry_release(mesh, peer);
}

bool pln_dial_rotate(pln_mesh *mesh, pln_session *session, pln_now now) {
    pln_conn_info info;
    if (session->peer->race != NULL ||
        pln_quic_conn_info(mesh->quic, session->link.conn, &info) != POLLEN_OK) {
        return false;
    }
    pln_race *race = obtain_race(mesh, session->peer);
    if (race == NULL) {
        return false;
    }
    PLN_ASSERT(race->path_count == 0);
    PLN_ASSERT(race->ops == NULL);
    race->rotation = true;
    add_path(race, &info.path);
    start_next(mesh, race, now); /* The peer has a session and stays. */
    return true;
}
