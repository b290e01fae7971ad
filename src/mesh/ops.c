/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of operations.
 *
 * An op is in the table from its command until its OP_DONE was polled, so that it can be canceled
 * also while the event is queued.  Until it is finished it stands in one list, of whoever it waits
 * for, and holds one deadline.
 */
#include "mesh/core.h"

#include <string.h>

#include <utlist.h>

#include "base/assert.h"
#include "base/key.h"

static void on_deadline(pln_mesh *mesh, pln_alarm *alarm, pln_now now);

static pln_mesh_op *find_op(const pln_mesh *mesh, pln_op id) {
    pln_mesh_op *op = NULL;
    PLN_MAP_FIND(&mesh->hash_key, mesh->ops, &id, sizeof(id), op);
    return op;
}

void pln_ops_refuse(pln_mesh *mesh, pln_op id, const pollen_key *peer, pollen_err err) {
    PLN_ASSERT(err != POLLEN_OK);
    pln_event_node *node = pln_events_node(&mesh->events);
    if (node == NULL) {
        node = pln_events_node_reserved(&mesh->events);
    }
    if (node == NULL) {
        /* Sixteen commands in one turn found no memory; whoever issues them had to allocate too. */
        pln_logf(mesh->log, PLN_LOG_ERROR, "mesh", "no memory to end an operation");
        return;
    }
    node->event = (pln_mesh_event){.kind = PLN_MESH_OP_DONE, .op = id, .err = err, .peer = *peer};
    pln_events_push(&mesh->events, node);
}

static pln_mesh_op *create_op(pln_mesh *mesh, pln_op id, pln_op_kind kind, const pollen_key *peer) {
    pln_mesh_op *op = pln_calloc(1, sizeof(*op));
    if (op == NULL) {
        return NULL;
    }
    *op = (pln_mesh_op){.id = id, .kind = kind, .peer = *peer};
    op->done = pln_events_node(&mesh->events);
    if (op->done == NULL || !pln_alarm_init(mesh, &op->deadline, on_deadline)) {
        goto err_op;
    }
    PLN_MAP_ADD(&mesh->hash_key, mesh->ops, id, sizeof(op->id), op);
    if (!PLN_MAP_ADDED(op)) {
        goto err_op;
    }
    return op;

err_op:
    pln_alarm_fini(mesh, &op->deadline);
    pln_events_release(&mesh->events, op->done);
    pln_free(op);
    return NULL;
}

pln_mesh_op *pln_ops_start(pln_mesh *mesh, pln_op id, pln_op_kind kind, const pollen_key *peer,
                           pln_ts deadline) {
    PLN_ASSERT(id != 0);
    mesh->dirty = true;
    pollen_err err = POLLEN_OK;
    if (mesh->is_shut) {
        err = POLLEN_ECLOSED;
    } else if (find_op(mesh, id) != NULL) {
        err = POLLEN_EEXIST;
    }
    if (err != POLLEN_OK) {
        pln_ops_refuse(mesh, id, peer, err);
        return NULL;
    }
    pln_mesh_op *op = create_op(mesh, id, kind, peer);
    if (op == NULL) {
        pln_ops_refuse(mesh, id, peer, POLLEN_ENOMEM);
        return NULL;
    }
    pln_alarm_set(mesh, &op->deadline, deadline);
    return op;
}

/* Out of the list it waits in; the op may not be the last thing that kept a race or peer. */
static void detach(pln_mesh *mesh, pln_mesh_op *op) {
    pln_mesh_peer *peer = pln_registry_find(mesh, &op->peer);
    switch (op->kind) {
    case PLN_OP_CONNECT:
        if (op->prev != NULL && peer != NULL && peer->race != NULL) {
            DL_DELETE(peer->race->ops, op);
        }
        break;
    case PLN_OP_WAIT:
        if (op->prev != NULL && peer != NULL) {
            DL_DELETE(peer->waiters, op);
            PLN_ASSERT(mesh->waiter_count > 0);
            mesh->waiter_count--;
        }
        break;
    case PLN_OP_OPEN:
        if (op->prev != NULL && peer != NULL) {
            DL_DELETE(peer->opens, op);
            PLN_ASSERT(mesh->waiter_count > 0);
            mesh->waiter_count--;
        }
        break;
    case PLN_OP_ECHO:
        if (op->session != NULL) {
            DL_DELETE(op->session->echoes, op);
        }
        break;
    case PLN_OP_RENEW:
        if (op->session != NULL) {
            DL_DELETE(op->session->renewals, op);
        }
        break;
    case PLN_OP_REDEEM:
        break;
    }
    op->session = NULL;
    op->prev = NULL;
    op->next = NULL;
}

void pln_ops_finish(pln_mesh *mesh, pln_mesh_op *op, const pln_op_result *result) {
    PLN_ASSERT(!op->finished);
    PLN_ASSERT(op->done != NULL);
    detach(mesh, op);
    pln_alarm_off(mesh, &op->deadline);
    op->finished = true;

    pln_mesh_event *event = &op->done->event;
    *event = (pln_mesh_event){
        .kind = PLN_MESH_OP_DONE,
        .op = op->id,
        .peer = op->peer,
        .err = result->err,
        .reason = result->reason,
        .rtt = result->rtt,
        .stream = result->stream,
        .join_token = result->join_token,
    };
    if (result->detail != NULL) {
        pln_text_copy(event->detail, sizeof(event->detail), result->detail);
    }
    op->done->op = op;
    pln_events_push(&mesh->events, op->done);
}

void pln_ops_finish_err(pln_mesh *mesh, pln_mesh_op *op, pollen_err err) {
    pln_ops_finish(mesh, op, &(pln_op_result){.err = err});
}

void pln_ops_finish_list(pln_mesh *mesh, pln_mesh_op **list, const pln_op_result *result) {
    while (*list != NULL) {
        pln_ops_finish(mesh, *list, result); /* Takes it out of the list. */
    }
}

void pln_ops_free(pln_mesh *mesh, pln_mesh_op *op) {
    PLN_ASSERT(op->prev == NULL);
    PLN_ASSERT(op->finished);
    HASH_DEL(mesh->ops, op);
    pln_alarm_fini(mesh, &op->deadline);
    pln_free(op);
}

/* Ends an op before what it waits for, and tells whom it waited for. */
static void finish_early(pln_mesh *mesh, pln_mesh_op *op, pollen_err err, pln_now now) {
    pln_mesh_peer *peer = pln_registry_find(mesh, &op->peer);
    pln_failure failure = {.err = err};
    if (op->kind == PLN_OP_CONNECT && err == POLLEN_ETIMEDOUT && peer != NULL &&
        peer->race != NULL && pln_failure_is_verdict(&peer->race->failure)) {
        failure = peer->race->failure; /* One address said no before the others stayed silent. */
    }
    if (op->kind == PLN_OP_REDEEM && op->redeem != NULL) {
        struct pln_redeem *redeem = op->redeem;
        op->redeem = NULL;
        if (err == POLLEN_ETIMEDOUT) {
            pln_invite_client_verdict(redeem, &failure);
        }
        pln_invite_client_stop(mesh, redeem, now);
    }
    pln_ops_finish(mesh, op,
                   &(pln_op_result){failure.err, failure.reason, failure.detail, .rtt = 0});
    if (peer != NULL && op->kind == PLN_OP_CONNECT) {
        pln_dial_on_op_gone(mesh, peer, now);
    } else if (peer != NULL) {
        pln_registry_release(mesh, peer);
    }
}

static void on_deadline(pln_mesh *mesh, pln_alarm *alarm, pln_now now) {
    pln_mesh_op *op = PLN_TIMER_OWNER(alarm, pln_mesh_op, deadline);
    finish_early(mesh, op, POLLEN_ETIMEDOUT, now);
}

void pln_mesh_cancel(pln_mesh *mesh, pln_op id, pln_now now) {
    pln_mesh_op *op = find_op(mesh, id);
    if (op == NULL) {
        return;
    }
    mesh->dirty = true;
    if (!op->finished) {
        finish_early(mesh, op, POLLEN_ECANCELED, now);
    } else if (op->done->event.stream != 0) {
        pln_streams_forsake(mesh, op->done->event.stream);
    }
    PLN_ASSERT(op->finished);
    op->done->dead = true;
}

void pln_ops_finish_all(pln_mesh *mesh, pollen_err err) {
    pln_mesh_op *op = NULL;
    pln_mesh_op *next = NULL;
    HASH_ITER(hh, mesh->ops, op, next) {
        if (!op->finished) {
            pln_ops_finish_err(mesh, op, err);
        }
    }
}

void pln_ops_destroy_all(pln_mesh *mesh) {
    pln_mesh_op *op = NULL;
    pln_mesh_op *next = NULL;
    HASH_ITER(hh, mesh->ops, op, next) {
        if (!op->finished) {
            pln_events_release(&mesh->events, op->done);
        }
        HASH_DEL(mesh->ops, op);
        pln_alarm_fini(mesh, &op->deadline);
        pln_free(op);
    }
}
