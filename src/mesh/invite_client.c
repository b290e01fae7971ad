/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redeeming invites: the joiner's side.
 *
 * All addresses of all bootstrap peers are raced, but the request is sent to one peer at a time,
 * because each signer may redeem the invite: when a connection is confirmed the other dials are
 * put back, and taken up again if this peer refuses, breaks off or does not answer.  The request
 * is repeated on the same connection until the answer is here, which is harmless and repairs a
 * loss in either direction.
 */
#include "mesh/core.h"

#include <string.h>

#include <utlist.h>

#include "auth/token.h"
#include "base/assert.h"
#include "base/key.h"

#define ANSWER_TIMEOUT PLN_S(4)

/* A peer that was reached may have answered in vain; asking it again is harmless. */
enum { TRIES_MAX = 3 };

/* Of one invite: 64 peers of 16 addresses would be more than any race gets through. */
enum { TARGETS_MAX = 128 };

typedef enum target_state { TARGET_UNTRIED, TARGET_DIALLED, TARGET_DONE } target_state;

typedef struct invite_target {
    pollen_key key;
    pln_path path;
    target_state state;
    unsigned tries; /* Without an answer, although it was reached. */
} invite_target;

typedef struct invite_leg {
    pln_link link;
    struct pln_redeem *redeem;
    invite_target *target;
    struct invite_leg *prev, *next;
} invite_leg;

typedef struct pln_redeem {
    pln_mesh_op *op;
    struct pln_redeem *prev, *next;
    pln_trust trust; /* The invite's: the answer must be of the same cluster. */
    pln_bytes request;
    invite_target *targets;
    size_t target_count;
    invite_leg *legs;
    invite_leg *active; /* The one that was confirmed and carries the request. */
    pln_alarm stagger, resend, timeout;
    pln_failure failure;
} pln_redeem;

static void start_next(pln_mesh *mesh, pln_redeem *redeem, pln_now now);

/* ---- Life ------------------------------------------------------------------------------------ */

static void free_leg(pln_mesh *mesh, invite_leg *leg) {
    pln_redeem *redeem = leg->redeem;
    if (redeem->active == leg) {
        redeem->active = NULL;
        pln_alarm_off(mesh, &redeem->resend);
        pln_alarm_off(mesh, &redeem->timeout);
    }
    pln_link_remove(mesh, &leg->link);
    DL_DELETE(redeem->legs, leg);
    pln_free(leg);
}

static void close_leg(pln_mesh *mesh, invite_leg *leg, const char *phrase, pln_now now) {
    mesh->dirty = true;
    pln_quic_close(mesh->quic, leg->link.conn, 0, phrase, now);
    free_leg(mesh, leg);
}

static void free_parts(pln_mesh *mesh, pln_redeem *redeem) {
    pln_alarm_fini(mesh, &redeem->stagger);
    pln_alarm_fini(mesh, &redeem->resend);
    pln_alarm_fini(mesh, &redeem->timeout);
    pln_trust_fini(&redeem->trust);
    pln_bytes_fini(&redeem->request);
    pln_free(redeem->targets);
    pln_free(redeem);
}

static void free_redeem(pln_mesh *mesh, pln_redeem *redeem) {
    while (redeem->legs != NULL) {
        free_leg(mesh, redeem->legs);
    }
    DL_DELETE(mesh->redeems, redeem);
    free_parts(mesh, redeem);
}

void pln_invite_client_stop(pln_mesh *mesh, pln_redeem *redeem, pln_now now) {
    while (redeem->legs != NULL) {
        close_leg(mesh, redeem->legs, "invite redeemed", now);
    }
    free_redeem(mesh, redeem);
}

void pln_invite_client_stop_all(pln_mesh *mesh, pln_now now) {
    while (mesh->redeems != NULL) {
        mesh->redeems->op->redeem = NULL;
        pln_invite_client_stop(mesh, mesh->redeems, now);
    }
}

void pln_invite_client_destroy_all(pln_mesh *mesh) {
    while (mesh->redeems != NULL) {
        mesh->redeems->op->redeem = NULL;
        free_redeem(mesh, mesh->redeems);
    }
}

void pln_invite_client_verdict(const pln_redeem *redeem, pln_failure *ret) {
    if (pln_failure_is_verdict(&redeem->failure)) {
        *ret = redeem->failure;
    }
}

static void finish(pln_mesh *mesh, pln_redeem *redeem, const pln_op_result *result, pln_now now) {
    pln_mesh_op *op = redeem->op;
    PLN_ASSERT(op->redeem == redeem);
    op->redeem = NULL;
    pln_ops_finish(mesh, op, result); /* Copies the detail, which may be the redeem's. */
    pln_invite_client_stop(mesh, redeem, now);
}

/* ---- Dials ----------------------------------------------------------------------------------- */

static pollen_err dial(pln_mesh *mesh, pln_redeem *redeem, invite_target *target, pln_now now) {
    invite_leg *leg = pln_calloc(1, sizeof(*leg));
    if (leg == NULL) {
        return POLLEN_ENOMEM;
    }
    pln_conn_id conn = 0;
    pollen_err err = pln_quic_dial(mesh->quic, &target->path, &target->key, true, now, &conn);
    if (err == POLLEN_OK && !pln_link_add(mesh, &leg->link, PLN_LINK_INVITE_CLIENT, conn)) {
        pln_quic_close(mesh->quic, conn, 0, "invite redeemed", now);
        err = POLLEN_ENOMEM;
    }
    if (err != POLLEN_OK) {
        pln_free(leg);
        return err;
    }
    leg->redeem = redeem;
    leg->target = target;
    target->state = TARGET_DIALLED;
    DL_APPEND(redeem->legs, leg);
    return POLLEN_OK;
}

/* The first of those tried least. */
static invite_target *next_target(const pln_redeem *redeem) {
    invite_target *best = NULL;
    for (size_t i = 0; i < redeem->target_count; i++) {
        invite_target *target = &redeem->targets[i];
        if (target->state == TARGET_UNTRIED && (best == NULL || target->tries < best->tries)) {
            best = target;
        }
    }
    return best;
}

static void put_back(invite_target *target) {
    PLN_ASSERT(target->tries < TRIES_MAX);
    target->tries++;
    target->state = target->tries < TRIES_MAX ? TARGET_UNTRIED : TARGET_DONE;
}

/* May end the redeem. */
static void start_next(pln_mesh *mesh, pln_redeem *redeem, pln_now now) {
    PLN_ASSERT(redeem->active == NULL);
    mesh->dirty = true;
    pln_alarm_off(mesh, &redeem->stagger);
    for (invite_target *target = next_target(redeem); target != NULL;
         target = next_target(redeem)) {
        pollen_err err = dial(mesh, redeem, target, now);
        if (err == POLLEN_OK) {
            if (next_target(redeem) != NULL) {
                pln_alarm_set(mesh, &redeem->stagger, pln_ts_add(now.mono, PLN_DIAL_STAGGER));
            }
            return;
        }
        target->state = TARGET_DONE;
        pln_failure_note(&redeem->failure, err, POLLEN_END_UNKNOWN, pollen_strerror(err));
    }
    if (redeem->legs == NULL) {
        pln_op_result result = {.err = redeem->failure.err, .detail = redeem->failure.detail};
        finish(mesh, redeem, &result, now);
    }
}

static void on_stagger(pln_mesh *mesh, pln_alarm *alarm, pln_now now) {
    start_next(mesh, PLN_TIMER_OWNER(alarm, pln_redeem, stagger), now);
}

/* ---- The request ----------------------------------------------------------------------------- */

static void send_request(pln_mesh *mesh, pln_redeem *redeem, pln_now now) {
    if (redeem->active == NULL) {
        return;
    }
    pollen_err err = pln_mesh_send_conn(mesh, redeem->active->link.conn, &redeem->request, 0);
    if (err == POLLEN_EMSGSIZE) {
        pln_failure_note(&redeem->failure, err, POLLEN_END_NONE, "invite too large for a datagram");
    }
    pln_alarm_set(mesh, &redeem->resend, pln_ts_add(now.mono, PLN_INVITE_RETRANSMIT));
}

static void on_resend(pln_mesh *mesh, pln_alarm *alarm, pln_now now) {
    send_request(mesh, PLN_TIMER_OWNER(alarm, pln_redeem, resend), now);
}

static void on_timeout(pln_mesh *mesh, pln_alarm *alarm, pln_now now) {
    pln_redeem *redeem = PLN_TIMER_OWNER(alarm, pln_redeem, timeout);
    PLN_ASSERT(redeem->active != NULL); /* The alarm is off while none is. */
    pln_failure_note(&redeem->failure, POLLEN_EUNREACHABLE, POLLEN_END_NONE,
                     "no answer to the invite");
    put_back(redeem->active->target);
    close_leg(mesh, redeem->active, "invite redeemed", now);
    start_next(mesh, redeem, now);
}

void pln_invite_client_on_confirmed(pln_mesh *mesh, pln_link *link, pln_now now) {
    invite_leg *winner = (invite_leg *)(void *)link;
    pln_redeem *redeem = winner->redeem;
    invite_leg *other = NULL;
    invite_leg *next = NULL;
    DL_FOREACH_SAFE(redeem->legs, other, next) {
        if (other != winner) {
            other->target->state = TARGET_UNTRIED; /* For when this one does not help. */
            close_leg(mesh, other, "replaced", now);
        }
    }
    PLN_ASSERT(redeem->active == NULL);
    redeem->active = winner;
    pln_alarm_off(mesh, &redeem->stagger);
    pln_alarm_set(mesh, &redeem->timeout, pln_ts_add(now.mono, ANSWER_TIMEOUT));
    send_request(mesh, redeem, now);
}

/* ---- The answer ------------------------------------------------------------------------------ */

static pollen_err err_of_reason(const char *reason) {
    static const struct {
        const char *part;
        pollen_err err;
    } rows[] = {
        {"already consumed", POLLEN_ECONSUMED},
        {"expired", POLLEN_EEXPIRED},
        {"subject mismatch", POLLEN_ESUBJECT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strstr(reason, rows[i].part) != NULL) {
            return rows[i].err;
        }
    }
    return POLLEN_EDENIED;
}

/* The peer's other addresses would say the same. */
static void drop_peer(pln_redeem *redeem, const pollen_key *key) {
    for (size_t i = 0; i < redeem->target_count; i++) {
        if (pln_key_equal(&redeem->targets[i].key, key)) {
            redeem->targets[i].state = TARGET_DONE;
        }
    }
}

static void on_refused(pln_mesh *mesh, pln_redeem *redeem, pollen_err err, const char *reason,
                       pln_now now) {
    pln_failure_note(&redeem->failure, err, POLLEN_END_DENIED, reason);
    drop_peer(redeem, &redeem->active->target->key);
    close_leg(mesh, redeem->active, "invite redeemed", now);
    start_next(mesh, redeem, now);
}

/* Takes the token out of the response. */
static void on_accepted(pln_mesh *mesh, pln_redeem *redeem, pln_redeem_response *response,
                        pln_now now) {
    pollen_err err =
        pln_join_verify(&response->join_token, &redeem->trust, &mesh->creds.key, now.wall);
    if (err != POLLEN_OK) {
        on_refused(mesh, redeem, err, "the answer to the invite does not hold", now);
        return;
    }
    pln_join_token *token = pln_malloc(sizeof(*token));
    pln_op_result result = {.err = token == NULL ? POLLEN_ENOMEM : POLLEN_OK, .join_token = token};
    if (token != NULL) {
        *token = response->join_token;
        response->join_token = (pln_join_token){.issued_at = 0};
    }
    finish(mesh, redeem, &result, now);
}

static void on_response(pln_mesh *mesh, pln_redeem *redeem, const uint8_t *body, size_t size,
                        pln_now now) {
    pln_redeem_response response;
    if (pln_redeem_response_decode(body, size, &response) != POLLEN_OK) {
        return; /* The request is repeated. */
    }
    if (response.accepted && response.has_join_token) {
        on_accepted(mesh, redeem, &response, now);
    } else {
        const char *reason = response.reason[0] != '\0' ? response.reason : "invite token rejected";
        on_refused(mesh, redeem, err_of_reason(reason), reason, now);
    }
    pln_redeem_response_fini(&response);
}

void pln_invite_client_on_datagram(pln_mesh *mesh, pln_link *link, const pln_chunk *chunk,
                                   pln_now now) {
    pln_redeem *redeem = ((invite_leg *)(void *)link)->redeem;
    pln_bytes scratch = {.data = NULL};
    pollen_envelope_kind kind = POLLEN_ENVELOPE_NONE;
    const uint8_t *body = NULL;
    size_t size = 0;
    pollen_err err = pln_envelope_decode(chunk->data + chunk->begin, pln_chunk_size(chunk),
                                         &scratch, &kind, &body, &size);
    if (err == POLLEN_OK && kind == POLLEN_ENVELOPE_REDEEM_RESPONSE && redeem->active != NULL) {
        mesh->stats.envelopes_in++;
        on_response(mesh, redeem, body, size, now);
    }
    pln_bytes_fini(&scratch);
}

void pln_invite_client_on_closed(pln_mesh *mesh, pln_link *link, const pln_quic_closed *closed,
                                 pln_now now) {
    invite_leg *leg = (invite_leg *)(void *)link;
    pln_redeem *redeem = leg->redeem;
    bool was_active = redeem->active == leg;
    leg->target->state = TARGET_DONE;
    if (was_active && closed->end == PLN_QUIC_END_APP) {
        /* The reason again, in case that the datagram with it was lost. */
        pln_failure_note(&redeem->failure, err_of_reason(closed->phrase), POLLEN_END_DENIED,
                         closed->phrase);
        drop_peer(redeem, &leg->target->key);
    } else {
        pln_failure_of_closed(&redeem->failure, closed);
        if (was_active) {
            put_back(leg->target);
        }
    }
    free_leg(mesh, leg);
    if (was_active || redeem->active == NULL) {
        start_next(mesh, redeem, now);
    }
}

/* ---- The command ----------------------------------------------------------------------------- */

static pollen_err fill_redeem(const pln_mesh *mesh, pln_redeem *redeem,
                              const pln_invite_token *invite) {
    pln_redeem_request request = {.token = *invite, .subject_pub = mesh->creds.key}; /* Borrowed. */
    pollen_err err = pln_trust_copy(&redeem->trust, &invite->trust);
    return err != POLLEN_OK ? err : pln_redeem_request_encode(&request, &redeem->request);
}

static pln_redeem *create_redeem(pln_mesh *mesh, size_t target_count) {
    pln_redeem *redeem = pln_calloc(1, sizeof(*redeem));
    if (redeem == NULL) {
        return NULL;
    }
    redeem->targets = pln_calloc(target_count, sizeof(invite_target));
    if (redeem->targets == NULL || !pln_alarm_init(mesh, &redeem->stagger, on_stagger) ||
        !pln_alarm_init(mesh, &redeem->resend, on_resend) ||
        !pln_alarm_init(mesh, &redeem->timeout, on_timeout)) {
        free_parts(mesh, redeem);
        return NULL;
    }
    DL_APPEND(mesh->redeems, redeem);
    return redeem;
}

/* A command is one call, so that it fits a queue of commands: many parameters.
 * NOLINTNEXTLINE(readability-function-size) */
void pln_mesh_redeem(pln_mesh *mesh, pln_op id, const pln_invite_token *invite,
                     const pollen_key *targets, const pln_path *paths, size_t path_count,
                     pln_ts deadline, pln_now now) {
    pln_mesh_op *op = pln_ops_start(mesh, id, PLN_OP_REDEEM, &mesh->creds.key, deadline);
    if (op == NULL) {
        return;
    }
    size_t count = path_count < TARGETS_MAX ? path_count : TARGETS_MAX;
    pollen_err err =
        count == 0 ? POLLEN_EADDR : pln_invite_verify(invite, &mesh->creds.key, now.wall);
    pln_redeem *redeem = err == POLLEN_OK ? create_redeem(mesh, count) : NULL;
    if (redeem == NULL) {
        pln_ops_finish_err(mesh, op, err != POLLEN_OK ? err : POLLEN_ENOMEM);
        return;
    }
    redeem->op = op;
    op->redeem = redeem;
    err = fill_redeem(mesh, redeem, invite);
    if (err != POLLEN_OK) {
        pln_op_result result = {.err = err};
        finish(mesh, redeem, &result, now);
        return;
    }
    redeem->target_count = count;
    for (size_t i = 0; i < count; i++) {
        redeem->targets[i] = (invite_target){.key = targets[i], .path = paths[i]};
    }
    start_next(mesh, redeem, now);
}
