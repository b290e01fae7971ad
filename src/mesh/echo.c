/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Round trips.  A peer of pollen/2 answers an echo; of one that does not know it, the
 * acknowledgement of the datagram is timed: the reference takes the same envelope for an empty
 * one.
 */
#include "mesh/core.h"

#include <utlist.h>

#include "base/assert.h"

/* An answer says `reply` in two bytes more; padding of the request makes room for it, so that no
 * answer is larger than its request. */
enum { ECHO_PADDING_MIN = 2 };

static pollen_err send_request(pln_mesh *mesh, pln_mesh_op *op) {
    PLN_ASSERT(op->kind == PLN_OP_ECHO);
    PLN_ASSERT(op->session != NULL);
    pln_session *session = op->session;
    const size_t size = op->echo_size;
    uint64_t tag = 0;
    op->echo_id = mesh->next_tag++;
    if (!session->speaks_2) {
        tag = op->echo_id;
    }
    if (size > PLN_ENVELOPE_BYTES_MAX) {
        return POLLEN_EMSGSIZE;
    }
    uint32_t padding = size < ECHO_PADDING_MIN ? ECHO_PADDING_MIN : (uint32_t)size;
    pln_bytes envelope = {.data = NULL};
    pollen_err err = pln_echo_encode(&(pln_echo){.id = op->echo_id, .size = padding}, &envelope);
    if (err == POLLEN_OK) {
        err = pln_session_send(mesh, session, &envelope, tag);
    }
    pln_bytes_fini(&envelope);
    return err;
}

/* The time of the round trip begins here. */
static void start_on(pln_mesh *mesh, pln_mesh_op *op, pln_session *session, pln_now now) {
    op->session = session;
    op->sent_at = now.mono;
    DL_APPEND(session->echoes, op);
    pollen_err err = send_request(mesh, op);
    if (err != POLLEN_OK) {
        pln_ops_finish_err(mesh, op, err == POLLEN_ENOENT ? POLLEN_ENOTCONN : err);
    }
}

void pln_mesh_echo(pln_mesh *mesh, pln_op id, const pollen_key *key, size_t size, pln_ts deadline,
                   pln_now now) {
    pln_mesh_op *op = pln_ops_start(mesh, id, PLN_OP_ECHO, key, deadline);
    if (op == NULL) {
        return;
    }
    const pln_mesh_peer *peer = pln_registry_find(mesh, key);
    if (peer == NULL || peer->primary == NULL) {
        pln_events_wanted(mesh, key);
        pln_ops_finish_err(mesh, op, POLLEN_ENOTCONN);
        return;
    }
    op->echo_size = size;
    start_on(mesh, op, peer->primary, now);
}

/* A restarted peer never saw what was asked on the session that its new one replaces. */
void pln_echo_on_replaced(pln_mesh *mesh, pln_session *old, pln_session *session, pln_now now) {
    PLN_ASSERT(old != session);
    pln_mesh_op *op = NULL;
    pln_mesh_op *next = NULL;
    DL_FOREACH_SAFE(old->echoes, op, next) {
        DL_DELETE(old->echoes, op);
        start_on(mesh, op, session, now);
    }
    PLN_ASSERT(old->echoes == NULL);
}

static void finish_echo(pln_mesh *mesh, const pln_session *session, uint64_t id, pln_now now) {
    pln_mesh_op *op = NULL;
    DL_FOREACH(session->echoes, op) {
        if (op->echo_id == id) {
            pln_dur rtt = pln_ts_since(op->sent_at, now.mono);
            pln_ops_finish(mesh, op, &(pln_op_result){.err = POLLEN_OK, .rtt = rtt});
            return;
        }
    }
}

void pln_echo_on_acked(pln_mesh *mesh, pln_session *session, uint64_t tag, pln_now now) {
    finish_echo(mesh, session, tag, now);
}

static void answer(pln_mesh *mesh, pln_session *session, const pln_echo *request) {
    PLN_ASSERT(request->size >= ECHO_PADDING_MIN);
    pln_bytes envelope = {.data = NULL};
    pln_echo reply = {
        .reply = true,
        .id = request->id,
        .size = request->size - ECHO_PADDING_MIN,
    };
    if (pln_echo_encode(&reply, &envelope) == POLLEN_OK) {
        /* Lost like any datagram when there is no room: the asker has a deadline. */
        (void)pln_session_send(mesh, session, &envelope, 0);
    }
    pln_bytes_fini(&envelope);
}

void pln_echo_on_envelope(pln_mesh *mesh, pln_session *session, const uint8_t *body, size_t size,
                          pln_now now) {
    pln_echo echo;
    if (pln_echo_decode(body, size, &echo) != POLLEN_OK) {
        return;
    }
    if (echo.reply) {
        finish_echo(mesh, session, echo.id, now);
    } else if (echo.size >= ECHO_PADDING_MIN &&
               pln_bucket_take(&session->echo_bucket, PLN_ECHO_PER_S, PLN_ECHO_BURST, now.mono)) {
        answer(mesh, session, &echo);
    }
}
