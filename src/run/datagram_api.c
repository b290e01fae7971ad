/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions about envelopes and events. */
#include "run/clock.h"
#include "run/last_error.h"
#include "run/loop.h"
#include "run/runtime.h"
#include "wire/envelope.h"

/* ---- Sending --------------------------------------------------------------------------------- */

static bool is_sendable_kind(pollen_envelope_kind kind) {
    switch (kind) {
    case POLLEN_ENVELOPE_CLOCK:
    case POLLEN_ENVELOPE_PUNCH_REQUEST:
    case POLLEN_ENVELOPE_PUNCH_TRIGGER:
    case POLLEN_ENVELOPE_REDEEM_REQUEST:
    case POLLEN_ENVELOPE_REDEEM_RESPONSE:
    case POLLEN_ENVELOPE_OBSERVED_ADDRESS:
    case POLLEN_ENVELOPE_EVENTS:
    case POLLEN_ENVELOPE_RENEWAL_REQUEST:
    case POLLEN_ENVELOPE_RENEWAL_RESPONSE:
    case POLLEN_ENVELOPE_PAYLOAD:
    case POLLEN_ENVELOPE_ECHO:
    case POLLEN_ENVELOPE_DIGEST:
    case POLLEN_ENVELOPE_WHEREABOUTS:
        return true;
    case POLLEN_ENVELOPE_NONE:
        return false;
    }
    return false;
}

static pln_chunk *encode(const pollen_envelope *envelope) {
    pln_chunk *chunk =
        pln_chunk_create(pln_envelope_overhead(envelope->kind, envelope->size) + envelope->size);
    if (chunk != NULL) {
        chunk->end =
            pln_envelope_encode(envelope->kind, envelope->body, envelope->size, chunk->data);
    }
    return chunk;
}

static pollen_err send_chunk(pollen_mesh *mesh, const pollen_key *peer, pollen_envelope_kind kind,
                             pln_chunk *chunk) {
    pln_link *link;
    pollen_err err = pln_directory_send(&mesh->directory, peer, kind, chunk, &link);
    if (err != POLLEN_OK) {
        pln_chunk_destroy(chunk);
        return err;
    }
    if (link != NULL && pln_cmdq_push(&mesh->cmdq, &link->cmd) != POLLEN_OK) {
        pln_directory_unqueue(&mesh->directory, link);
        return POLLEN_ECLOSED;
    }
    return POLLEN_OK;
}

pollen_err pollen_mesh_send(pollen_mesh *mesh, const pollen_key *peer,
                            const pollen_envelope *envelope) {
    if (mesh == NULL || peer == NULL || envelope == NULL || !is_sendable_kind(envelope->kind) ||
        (envelope->body == NULL && envelope->size > 0)) {
        pln_last_error_clear();
        return POLLEN_EINVAL;
    }
    pollen_err err = POLLEN_EMSGSIZE;
    if (envelope->size <= PLN_ENVELOPE_BYTES_MAX) {
        pln_chunk *chunk = encode(envelope);
        err = chunk == NULL ? POLLEN_ENOMEM : send_chunk(mesh, peer, envelope->kind, chunk);
    }
    if (err != POLLEN_OK) {
        pln_last_error_peer("send to", peer, NULL, err, "");
    }
    return err;
}

/* The largest body whose envelope has at most max bytes; the length in front of it grows with
 * it. */
static size_t body_max(pollen_envelope_kind kind, size_t max) {
    size_t body = max;
    while (body > 0 && pln_envelope_overhead(kind, body) + body > max) {
        body--;
    }
    return body;
}

typedef struct max_query {
    const pollen_key *peer;
    size_t max;
} max_query;

/* Asks the core, and lets the senders know as well. */
static pollen_err query_max(pollen_mesh *mesh, void *arg) {
    max_query *query = arg;
    pln_session_info info;
    pollen_err err = pln_mesh_session_info(pln_node_mesh(mesh->node), query->peer, &info);
    if (err == POLLEN_OK) {
        query->max = info.envelope_max;
        err = pln_directory_update(&mesh->directory, &info, pln_loop_run_link);
    }
    return err;
}

size_t pollen_mesh_max_envelope(pollen_mesh *mesh, const pollen_key *peer,
                                pollen_envelope_kind kind) {
    max_query query = {.peer = peer};
    if (!is_sendable_kind(kind) || pln_request(mesh, query_max, &query) != POLLEN_OK) {
        return 0;
    }
    return body_max(kind, query.max);
}

/* ---- Receiving ------------------------------------------------------------------------------- */

pollen_err pollen_mesh_recv(pollen_mesh *mesh, int timeout_ms, pollen_cancel *cancel,
                            pollen_packet *ret_packet) {
    pln_last_error_clear();
    if (mesh == NULL || ret_packet == NULL) {
        return POLLEN_EINVAL;
    }
    pln_inbox *inbox = &mesh->inbox;
    pollen_err err = POLLEN_OK;
    pln_wait wait;
    pln_wait_begin(&wait, mesh, &inbox->monitor, pln_clock_deadline(timeout_ms), cancel);
    pthread_mutex_lock(&inbox->monitor.lock);
    while (err == POLLEN_OK && !pln_inbox_pop_locked(inbox, ret_packet)) {
        err = inbox->closed ? POLLEN_ECLOSED : pln_wait_step(&wait);
    }
    pthread_mutex_unlock(&inbox->monitor.lock);
    pln_wait_end(&wait);
    return err;
}

pollen_err pollen_mesh_next_event(pollen_mesh *mesh, int timeout_ms, pollen_cancel *cancel,
                                  pollen_event *ret_event) {
    pln_last_error_clear();
    if (mesh == NULL || ret_event == NULL) {
        return POLLEN_EINVAL;
    }
    pln_eventq *q = &mesh->events;
    pollen_err err = POLLEN_OK;
    pln_wait wait;
    pln_wait_begin(&wait, mesh, &q->monitor, pln_clock_deadline(timeout_ms), cancel);
    pthread_mutex_lock(&q->monitor.lock);
    while (err == POLLEN_OK && !pln_eventq_pop_locked(q, ret_event)) {
        err = q->closed ? POLLEN_ECLOSED : pln_wait_step(&wait);
    }
    pthread_mutex_unlock(&q->monitor.lock);
    pln_wait_end(&wait);
    return err;
}

/* ---- Ping ------------------------------------------------------------------------------------ */

static void start_echo(pollen_mesh *mesh, pln_call *call) {
    pln_mesh_echo(pln_node_mesh(mesh->node), call->op, &call->peer, call->size, call->deadline,
                  mesh->now);
}

pollen_err pollen_mesh_ping(pollen_mesh *mesh, const pollen_key *peer, size_t size, int timeout_ms,
                            pollen_cancel *cancel, uint64_t *ret_rtt_us) {
    pln_last_error_clear();
    if (mesh == NULL || peer == NULL || ret_rtt_us == NULL) {
        return POLLEN_EINVAL;
    }
    pln_call *call = pln_call_create(start_echo, NULL);
    if (call == NULL) {
        return POLLEN_ENOMEM;
    }
    call->peer = *peer;
    call->size = size;
    call->deadline = pln_clock_deadline(timeout_ms);
    pollen_err err = pln_call_run(mesh, call, cancel);
    if (err == POLLEN_OK) {
        *ret_rtt_us = call->rtt / 1000;
    } else {
        pln_last_error_peer("ping", peer, NULL, err, call->words);
    }
    pln_call_unref(call);
    return err;
}
