/* SPDX-License-Identifier: Apache-2.0 */
/* What the core reports, handed to whoever waits for it. */
#include "run/loop.h"
#include "run/runtime.h"

/* Enough to serve a burst; the rest follows after the packets that these events lead to. */
enum { EVENTS_MAX = 1024 };

static pln_mesh *core_of(pollen_mesh *mesh) {
    return pln_node_mesh(mesh->node);
}

static pollen_err push_public(pollen_mesh *mesh, pollen_event_kind kind,
                              const pln_mesh_event *event) {
    pollen_event public = {
        .kind = kind,
        .peer = event->peer,
        .generation = event->generation,
        .addr = event->addr,
        .inbound = event->inbound,
        .reason = event->reason,
    };
    return pln_eventq_push(&mesh->events, &public);
}

static pollen_err update_link(pollen_mesh *mesh, const pollen_key *peer) {
    pln_session_info info;
    pollen_err err = pln_mesh_session_info(core_of(mesh), peer, &info);
    if (err == POLLEN_OK) {
        err = pln_directory_update(&mesh->directory, &info, pln_loop_run_link);
    }
    return err;
}

static void handle_connected(pollen_mesh *mesh, const pln_mesh_event *event) {
    pollen_err err = update_link(mesh, &event->peer);
    if (push_public(mesh, POLLEN_EVENT_CONNECTED, event) != POLLEN_OK || err == POLLEN_ENOMEM) {
        /* A session that cannot be told of would be one that cannot be used. */
        pln_mesh_close_peer(core_of(mesh), &event->peer, POLLEN_END_UNKNOWN, mesh->now);
    }
}

static void unlink_blocked(pollen_mesh *mesh, pln_link *link) {
    for (pln_link **at = &mesh->blocked; *at != NULL; at = &(*at)->next_blocked) {
        if (*at == link) {
            *at = link->next_blocked;
            return;
        }
    }
}

static void handle_disconnected(pollen_mesh *mesh, const pln_mesh_event *event) {
    pln_link *link = pln_directory_remove(&mesh->directory, &event->peer, event->generation);
    if (link != NULL) {
        if (link->blocked) {
            unlink_blocked(mesh, link);
        }
        pln_directory_free(&mesh->directory, link);
        pln_inbox_peer_gone(&mesh->inbox, &event->peer);
    }
    (void)push_public(mesh, POLLEN_EVENT_DISCONNECTED, event); /* Only CONNECTED can fail. */
}

static void handle_path(pollen_mesh *mesh, const pln_mesh_event *event) {
    (void)update_link(mesh, &event->peer); /* The link is there, so nothing is allocated. */
    (void)push_public(mesh, POLLEN_EVENT_PATH, event);
}

static void handle_event(pollen_mesh *mesh, pln_mesh_event *event) {
    switch (event->kind) {
    case PLN_MESH_CONNECTED:
        handle_connected(mesh, event);
        return;
    case PLN_MESH_DISCONNECTED:
        handle_disconnected(mesh, event);
        return;
    case PLN_MESH_PATH:
        handle_path(mesh, event);
        return;
    case PLN_MESH_OP_DONE:
        pln_call_complete(mesh, event);
        return;
    case PLN_MESH_PACKET:
        pln_inbox_push(&mesh->inbox, &event->peer, event->envelope, event->body);
        return;
    case PLN_MESH_STREAM_ACCEPTED:
    case PLN_MESH_STREAM_READABLE:
    case PLN_MESH_STREAM_WRITABLE:
    case PLN_MESH_STREAM_RESET:
    case PLN_MESH_STREAM_STOPPED:
    case PLN_MESH_STREAM_CLOSED:
        pln_stream_handle_event(mesh, event);
        return;
    case PLN_MESH_LEDGER_WRITE:
        pln_ledger_writer_push(mesh, event->token_id, event->text);
        return;
    case PLN_MESH_CREDENTIALS_CHANGED:
        pln_saver_on_enrolled(mesh);
        return; /* pollen_mesh_credentials() gives them to whoever asks. */
    case PLN_MESH_WANTED:
        return; /* The node's. */
    }
}

bool pln_loop_handle_events(pollen_mesh *mesh) {
    PLN_ASSERT_LOOP(mesh);
    pln_mesh_event event;
    int count = 0;
    while (count < EVENTS_MAX && pln_node_poll_event(mesh->node, &event)) {
        handle_event(mesh, &event);
        count++;
    }
    return count > 0;
}
