/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams of sessions: which are ours to answer and which are packets for the owner. */
#include "mesh/core.h"

#include <string.h>

/* The first kind that only pollen/2 knows. */
#define KIND_FIRST_OF_2 POLLEN_ENVELOPE_PAYLOAD

/* Takes the chunk, whose bytes between begin and end are the body. */
static void push_packet(pln_mesh *mesh, const pln_session *session, pollen_envelope_kind kind,
                        pln_chunk *chunk) {
    pln_event_node *node =
        mesh->events.packets < PLN_PACKETS_QUEUED_MAX ? pln_events_node(&mesh->events) : NULL;
    if (node == NULL) {
        mesh->stats.packets_dropped++;
        pln_chunk_destroy(chunk);
        return;
    }
    node->event.kind = PLN_MESH_PACKET;
    node->event.peer = session->peer->key;
    node->event.envelope = kind;
    node->event.body = chunk;
    pln_events_push(&mesh->events, node);
}

/* Undecodable datagrams are the peer's fault: it is told by the close when it goes on with them. */
static void on_garbage(pln_mesh *mesh, pln_session *session, pln_now now) {
    mesh->stats.envelopes_garbage++;
    if (++session->garbage >= PLN_GARBAGE_DATAGRAMS_MAX) {
        pln_session_close(mesh, session, "recv failed", POLLEN_END_UNKNOWN, now);
    }
}

/* The body in a chunk of its own, when it was merged elsewhere; NULL when there is no memory. */
static pln_chunk *chunk_of(const uint8_t *body, size_t size) {
    pln_chunk *chunk = pln_chunk_create(size);
    if (chunk != NULL && size > 0) {
        memcpy(chunk->data, body, size);
        chunk->end = size;
    }
    return chunk;
}

/* A decoded envelope: body borrows from the datagram, or from scratch when bodies were merged. */
typedef struct envelope_view {
    pollen_envelope_kind kind;
    const uint8_t *body;
    size_t size;
    pln_bytes scratch;
} envelope_view;

/* Takes the chunk out of its holder. */
static void deliver(pln_mesh *mesh, const pln_session *session, const envelope_view *view,
                    pln_chunk **holder) {
    pln_chunk *chunk = *holder;
    if (view->scratch.data != NULL) {
        chunk = chunk_of(view->body, view->size);
        if (chunk == NULL) {
            mesh->stats.packets_dropped++;
            return;
        }
    } else {
        *holder = NULL;
        chunk->begin = view->size == 0 ? chunk->end : (size_t)(view->body - chunk->data);
        chunk->end = chunk->begin + view->size;
    }
    push_packet(mesh, session, view->kind, chunk);
}

/* May end the session. */
static void dispatch(pln_mesh *mesh, pln_session *session, const envelope_view *view,
                     pln_chunk **holder, pln_now now) {
    switch (view->kind) {
    case POLLEN_ENVELOPE_NONE:
    case POLLEN_ENVELOPE_REDEEM_REQUEST:
    case POLLEN_ENVELOPE_REDEEM_RESPONSE:
        break; /* The latter two belong to invite connections. */
    case POLLEN_ENVELOPE_RENEWAL_REQUEST:
        pln_renewal_on_request(mesh, session, view->body, view->size, now);
        break;
    case POLLEN_ENVELOPE_RENEWAL_RESPONSE:
        pln_renewal_on_response(mesh, session, view->body, view->size, now);
        break;
    case POLLEN_ENVELOPE_ECHO:
        pln_echo_on_envelope(mesh, session, view->body, view->size, now);
        break;
    case POLLEN_ENVELOPE_CLOCK:
    case POLLEN_ENVELOPE_PUNCH_REQUEST:
    case POLLEN_ENVELOPE_PUNCH_TRIGGER:
    case POLLEN_ENVELOPE_OBSERVED_ADDRESS:
    case POLLEN_ENVELOPE_EVENTS:
    case POLLEN_ENVELOPE_PAYLOAD:
    case POLLEN_ENVELOPE_DIGEST:
    case POLLEN_ENVELOPE_WHEREABOUTS:
        deliver(mesh, session, view, holder);
        break;
    }
}

static void open_envelope(pln_mesh *mesh, pln_session *session, pln_chunk **holder, pln_now now) {
    envelope_view view = {.kind = POLLEN_ENVELOPE_NONE};
    pollen_err err =
        pln_envelope_decode((*holder)->data + (*holder)->begin, pln_chunk_size(*holder),
                            &view.scratch, &view.kind, &view.body, &view.size);
    if (err == POLLEN_EPROTO) {
        on_garbage(mesh, session, now);
        return;
    }
    if (err != POLLEN_OK) {
        mesh->stats.packets_dropped++;
        return;
    }
    mesh->stats.envelopes_in++;
    if (view.kind >= KIND_FIRST_OF_2 && !session->speaks_2) {
        view.kind = POLLEN_ENVELOPE_NONE; /* As the reference would take it. */
    }
    dispatch(mesh, session, &view, holder, now);
    pln_bytes_fini(&view.scratch);
}

void pln_envelopes_on_datagram(pln_mesh *mesh, pln_session *session, pln_chunk *chunk,
                               pln_now now) {
    pln_tie_on_used(mesh, session, now);
    open_envelope(mesh, session, &chunk, now);
    pln_chunk_destroy(chunk);
}
