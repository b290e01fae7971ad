/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers and which of their sessions is registered.
 *
 * pln_registry_register() and pln_registry_unregister() are the only writers of peer->primary, and
 * each change of it queues its events: CONNECTED when one comes, DISCONNECTED when it goes, both
 * in this order when one replaces another.  The node of the DISCONNECTED is taken together with
 * that of the CONNECTED.
 */
#include "mesh/core.h"

#include <string.h>

#include <utlist.h>

#include "base/assert.h"
#include "base/key.h"

enum { REGISTERED_CAP_FIRST = 16 };

pln_mesh_peer *pln_registry_find(const pln_mesh *mesh, const pollen_key *key) {
    pln_mesh_peer *peer = NULL;
    PLN_MAP_FIND(&mesh->hash_key, mesh->peers, key, sizeof(*key), peer);
    return peer;
}

pln_mesh_peer *pln_registry_obtain(pln_mesh *mesh, const pollen_key *key) {
    pln_mesh_peer *peer = pln_registry_find(mesh, key);
    if (peer != NULL) {
        return peer;
    }
    peer = pln_calloc(1, sizeof(*peer));
    if (peer == NULL) {
        return NULL;
    }
    peer->key = *key;
    peer->settled = true;
    if (!pln_alarm_init(mesh, &peer->settle, pln_tie_fire)) {
        pln_free(peer);
        return NULL;
    }
    PLN_MAP_ADD(&mesh->hash_key, mesh->peers, key, sizeof(peer->key), peer);
    if (!PLN_MAP_ADDED(peer)) {
        pln_alarm_fini(mesh, &peer->settle);
        pln_free(peer);
        return NULL;
    }
    return peer;
}

static void free_peer(pln_mesh *mesh, pln_mesh_peer *peer) {
    PLN_ASSERT(peer->session_count == 0);
    PLN_ASSERT(peer->race == NULL);
    HASH_DEL(mesh->peers, peer);
    pln_alarm_fini(mesh, &peer->settle);
    pln_events_release(&mesh->events, peer->goodbye);
    pln_free(peer);
}

void pln_registry_release(pln_mesh *mesh, pln_mesh_peer *peer) {
    if (peer->session_count > 0 || peer->race != NULL || peer->waiters != NULL ||
        peer->opens != NULL) {
        return;
    }
    PLN_ASSERT(peer->primary == NULL);
    free_peer(mesh, peer);
}

void pln_registry_destroy_all(pln_mesh *mesh) {
    pln_mesh_peer *peer = NULL;
    pln_mesh_peer *next = NULL;
    HASH_ITER(hh, mesh->peers, peer, next) {
        while (peer->session_count > 0) {
            pln_session_free(mesh, peer->sessions[--peer->session_count]);
        }
        if (peer->race != NULL) {
            pln_dial_destroy(mesh, peer->race);
        }
        free_peer(mesh, peer);
    }
    pln_free(mesh->registered);
    mesh->registered = NULL;
    mesh->registered_count = 0;
}

/* ---- The sorted array ------------------------------------------------------------------------ */

/* The first place whose key is not below. */
static size_t find_slot(const pln_mesh *mesh, const pollen_key *key) {
    size_t low = 0;
    size_t high = mesh->registered_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (pln_key_compare(&mesh->registered[mid]->key, key) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static bool reserve_slot(pln_mesh *mesh) {
    pln_mesh_peer **grown =
        pln_grow(mesh->registered, mesh->registered_count, &mesh->registered_cap,
                 sizeof(pln_mesh_peer *), REGISTERED_CAP_FIRST);
    if (grown == NULL) {
        return false;
    }
    mesh->registered = grown;
    return true;
}

static void insert_slot(pln_mesh *mesh, pln_mesh_peer *peer) {
    size_t slot = find_slot(mesh, &peer->key);
    PLN_ASSERT(mesh->registered_count < mesh->registered_cap);
    PLN_ASSERT(slot == mesh->registered_count || mesh->registered[slot] != peer);
    pln_mesh_peer **at = &mesh->registered[slot];
    memmove(at + 1, at, (mesh->registered_count - slot) * sizeof(pln_mesh_peer *));
    *at = peer;
    mesh->registered_count++;
}

static void remove_slot(pln_mesh *mesh, const pln_mesh_peer *peer) {
    size_t slot = find_slot(mesh, &peer->key);
    PLN_ASSERT(slot < mesh->registered_count);
    PLN_ASSERT(mesh->registered[slot] == peer);
    pln_mesh_peer **at = &mesh->registered[slot];
    mesh->registered_count--;
    memmove(at, at + 1, (mesh->registered_count - slot) * sizeof(pln_mesh_peer *));
}

/* ---- Registering ----------------------------------------------------------------------------- */

static void say_goodbye(pln_mesh *mesh, pln_mesh_peer *peer, pollen_end_reason reason) {
    PLN_ASSERT(peer->primary != NULL);
    PLN_ASSERT(peer->goodbye != NULL);
    pln_event_node *node = peer->goodbye;
    peer->goodbye = NULL;
    node->event = (pln_mesh_event){
        .kind = PLN_MESH_DISCONNECTED,
        .peer = peer->key,
        .generation = peer->primary->generation,
        .reason = reason,
    };
    pln_events_push(&mesh->events, node);
    peer->primary = NULL;
    mesh->stats.sessions_closed++;
}

static void wake_waiters(pln_mesh *mesh, pln_mesh_peer *peer) {
    pln_dial_on_registered(mesh, peer);
    pln_ops_finish_list(mesh, &peer->waiters, &(pln_op_result){.err = POLLEN_OK});
    pln_streams_serve(mesh, peer);
}

bool pln_registry_register(pln_mesh *mesh, pln_session *session, pollen_end_reason reason,
                           pln_now now) {
    pln_mesh_peer *peer = session->peer;
    PLN_ASSERT(peer->primary != session);
    PLN_ASSERT(peer->session_count > 0);
    pln_conn_info info;
    if (pln_quic_conn_info(mesh->quic, session->link.conn, &info) != POLLEN_OK) {
        return false;
    }
    pln_event_node *hello = pln_events_node(&mesh->events);
    pln_event_node *goodbye = pln_events_node(&mesh->events);
    if (hello == NULL || goodbye == NULL || !reserve_slot(mesh)) {
        pln_events_release(&mesh->events, hello);
        pln_events_release(&mesh->events, goodbye);
        return false;
    }
    pln_session *old = peer->primary;
    if (old != NULL) {
        say_goodbye(mesh, peer, reason);
    } else {
        insert_slot(mesh, peer);
    }
    PLN_ASSERT(peer->goodbye == NULL);
    peer->primary = session;
    peer->goodbye = goodbye;
    session->generation = mesh->next_generation++;
    hello->event = (pln_mesh_event){
        .kind = PLN_MESH_CONNECTED,
        .peer = peer->key,
        .generation = session->generation,
        .addr = info.path.remote,
        .inbound = session->inbound,
        .speaks_2 = session->speaks_2,
    };
    pln_events_push(&mesh->events, hello);
    mesh->stats.sessions_opened++;
    if (old != NULL) {
        pln_echo_on_replaced(mesh, old, session, now);
    }
    wake_waiters(mesh, peer);
    return true;
}

void pln_registry_unregister(pln_mesh *mesh, pln_mesh_peer *peer, pollen_end_reason reason) {
    remove_slot(mesh, peer);
    say_goodbye(mesh, peer, reason);
}

/* ---- Queries and commands by peer ------------------------------------------------------------ */

static void fill_info(const pln_mesh *mesh, const pln_mesh_peer *peer, pln_session_info *ret) {
    const pln_session *session = peer->primary;
    PLN_ASSERT(session != NULL);
    *ret = (pln_session_info){
        .peer = peer->key,
        .generation = session->generation,
        .speaks_2 = session->speaks_2,
        .envelope_max = pln_quic_datagram_max(mesh->quic, session->link.conn),
        .cert_not_before = session->cert_not_before,
        .cert_not_after = session->cert_not_after,
        .cert_serial = session->cert_serial,
        .cert_renewable = session->cert_renewable,
    };
    if (ret->envelope_max > PLN_ENVELOPE_BYTES_MAX) {
        ret->envelope_max = PLN_ENVELOPE_BYTES_MAX;
    }
    if (pln_quic_conn_info(mesh->quic, session->link.conn, &ret->conn) != POLLEN_OK) {
        /* It ended in this very turn and its event is not yet pumped. */
        ret->conn = (pln_conn_info){.peer = peer->key, .connected_at = PLN_TS_NEVER};
    }
}

size_t pln_mesh_session_count(const pln_mesh *mesh) {
    return mesh->registered_count;
}

pollen_err pln_mesh_session_at(const pln_mesh *mesh, size_t index, pln_session_info *ret) {
    if (index >= mesh->registered_count) {
        return POLLEN_ENOENT;
    }
    fill_info(mesh, mesh->registered[index], ret);
    return POLLEN_OK;
}

static pln_session *find_primary(const pln_mesh *mesh, const pollen_key *key) {
    const pln_mesh_peer *peer = pln_registry_find(mesh, key);
    return peer == NULL ? NULL : peer->primary;
}

pollen_err pln_mesh_session_info(const pln_mesh *mesh, const pollen_key *key,
                                 pln_session_info *ret) {
    const pln_session *session = find_primary(mesh, key);
    if (session == NULL) {
        return POLLEN_ENOTCONN;
    }
    fill_info(mesh, session->peer, ret);
    return POLLEN_OK;
}

pollen_err pln_mesh_send(pln_mesh *mesh, const pollen_key *key, pln_chunk *chunk, pln_now now) {
    (void)now; /* The queue is flushed by the next poll. */
    pln_session *session = find_primary(mesh, key);
    if (session == NULL) {
        return POLLEN_ENOTCONN;
    }
    if (pln_chunk_size(chunk) > PLN_ENVELOPE_BYTES_MAX) {
        return POLLEN_EMSGSIZE;
    }
    pollen_err err = pln_quic_send_datagram(mesh->quic, session->link.conn, chunk, 0);
    if (err == POLLEN_OK) {
        mesh->dirty = true;
        mesh->stats.envelopes_out++;
    }
    return err == POLLEN_ENOENT ? POLLEN_ENOTCONN : err;
}

void pln_mesh_wait(pln_mesh *mesh, pln_op id, const pollen_key *key, pln_ts deadline, pln_now now) {
    (void)now;
    pln_mesh_op *op = pln_ops_start(mesh, id, PLN_OP_WAIT, key, deadline);
    if (op == NULL) {
        return;
    }
    pln_mesh_peer *peer = pln_registry_obtain(mesh, key);
    if (peer == NULL) {
        pln_ops_finish_err(mesh, op, POLLEN_ENOMEM);
    } else if (peer->primary != NULL) {
        pln_ops_finish_err(mesh, op, POLLEN_OK);
    } else if (mesh->waiter_count >= PLN_WAITERS_MAX) {
        pln_ops_finish_err(mesh, op, POLLEN_ELIMIT);
        pln_registry_release(mesh, peer);
    } else {
        mesh->waiter_count++;
        DL_APPEND(peer->waiters, op);
        pln_events_wanted(mesh, key);
    }
}

void pln_mesh_close_peer(pln_mesh *mesh, const pollen_key *key, pollen_end_reason reason,
                         pln_now now) {
    pln_mesh_peer *peer = pln_registry_find(mesh, key);
    if (peer != NULL) {
        pln_session_close_peer(mesh, peer, pln_reason_phrase(reason), reason, now);
    }
}

void pln_mesh_close_all(pln_mesh *mesh, pln_now now) {
    pln_mesh_peer *peer = NULL;
    pln_mesh_peer *next = NULL;
    HASH_ITER(hh, mesh->peers, peer, next) {
        pln_session_close_peer(mesh, peer, "disconnect", POLLEN_END_GRACEFUL, now);
    }
}

/* Whoever was admitted by the key is out as well: it is asked for subject and issuer alike. */
void pln_mesh_handle_revoked(pln_mesh *mesh, const pollen_key *subject, pln_now now) {
    pln_mesh_peer *peer = NULL;
    pln_mesh_peer *next = NULL;
    HASH_ITER(hh, mesh->peers, peer, next) {
        bool is_out = pln_key_equal(&peer->key, subject);
        for (size_t i = 0; i < peer->session_count && !is_out; i++) {
            is_out = pln_key_equal(&peer->sessions[i]->issuer, subject);
        }
        if (is_out) {
            pln_session_close_peer(mesh, peer, "revoked", POLLEN_END_REVOKED, now);
        }
    }
}
