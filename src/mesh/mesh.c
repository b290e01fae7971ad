/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mesh as a whole: its life, its input and output, and the pump that turns the QUIC endpoint's
 * events into ours.
 *
 * The pump runs at the end of every input and around every output, never in pln_mesh_poll_event():
 * what it leads to is to be sent in the same turn.
 */
#include "mesh/core.h"

#include "auth/ed25519ctx.h"
#include "base/assert.h"
#include "base/key.h"

/* Alarms that are off wait here, short of PLN_TS_NEVER, which would take them out of the heap. */
#define ALARM_OFF (PLN_TS_NEVER - 1)

/* ---- Alarms ---------------------------------------------------------------------------------- */

bool pln_alarm_init(pln_mesh *mesh, pln_alarm *alarm,
                    void (*fire)(pln_mesh *mesh, pln_alarm *alarm, pln_now now)) {
    PLN_ASSERT(fire != NULL);
    PLN_ASSERT(!pln_timer_is_set(&alarm->timer));
    pln_timer_init(&alarm->timer);
    alarm->fire = fire;
    return pln_heap_set(&mesh->timers, &alarm->timer, ALARM_OFF);
}

void pln_alarm_fini(pln_mesh *mesh, pln_alarm *alarm) {
    pln_heap_cancel(&mesh->timers, &alarm->timer);
}

void pln_alarm_set(pln_mesh *mesh, pln_alarm *alarm, pln_ts at) {
    PLN_ASSERT(pln_timer_is_set(&alarm->timer));
    bool is_set = pln_heap_set(&mesh->timers, &alarm->timer, pln_ts_min(at, ALARM_OFF));
    PLN_ASSERT(is_set); /* Moving never fails. */
}

void pln_alarm_off(pln_mesh *mesh, pln_alarm *alarm) {
    pln_alarm_set(mesh, alarm, ALARM_OFF);
}

bool pln_alarm_is_on(const pln_alarm *alarm) {
    return alarm->timer.at < ALARM_OFF;
}

void pln_alarm_set_earlier(pln_mesh *mesh, pln_alarm *alarm, pln_ts at) {
    if (at < alarm->timer.at) {
        pln_alarm_set(mesh, alarm, at);
    }
}

static void fire_alarms(pln_mesh *mesh, pln_now now) {
    while (pln_heap_next(&mesh->timers) < ALARM_OFF) {
        pln_timer *timer = pln_heap_pop(&mesh->timers, now.mono);
        if (timer == NULL) {
            return;
        }
        pln_alarm *alarm = PLN_TIMER_OWNER(timer, pln_alarm, timer);
        /* Its slot in the heap is still there. */
        bool is_parked = pln_heap_set(&mesh->timers, timer, ALARM_OFF);
        PLN_ASSERT(is_parked);
        PLN_ASSERT(alarm->fire != NULL);
        alarm->fire(mesh, alarm, now);
    }
}

/* ---- Links ----------------------------------------------------------------------------------- */

bool pln_link_add(pln_mesh *mesh, pln_link *link, pln_link_kind kind, pln_conn_id conn) {
    PLN_ASSERT(conn != 0);
    link->conn = conn;
    link->kind = kind;
    PLN_MAP_ADD(&mesh->hash_key, mesh->links, conn, sizeof(link->conn), link);
    return PLN_MAP_ADDED(link);
}

void pln_link_remove(pln_mesh *mesh, pln_link *link) {
    PLN_ASSERT(pln_link_find(mesh, link->conn) == link);
    HASH_DEL(mesh->links, link);
}

pln_link *pln_link_find(const pln_mesh *mesh, pln_conn_id conn) {
    pln_link *link = NULL;
    PLN_MAP_FIND(&mesh->hash_key, mesh->links, &conn, sizeof(conn), link);
    return link;
}

/* ---- Who is let in --------------------------------------------------------------------------- */

bool pln_mesh_is_revoked(const pln_mesh *mesh, const pollen_key *key) {
    return mesh->is_revoked != NULL && mesh->is_revoked(mesh->is_revoked_ctx, key);
}

static pollen_err verify_member(pln_mesh *mesh, const pln_quic_peer *peer, pln_now now) {
    if (!mesh->creds.enrolled) {
        return POLLEN_ENOTENROLLED;
    }
    if (peer->member_cert == NULL) {
        return POLLEN_ECERT;
    }
    pln_member_cert cert = {.not_before = 0};
    pollen_err err = pln_member_cert_decode(peer->member_cert, peer->member_cert_size, &cert);
    if (err != POLLEN_OK) {
        return err == POLLEN_ENOMEM ? err : POLLEN_ECERT;
    }
    err = pln_member_cert_verify_cached(&cert, &mesh->creds.trust, &peer->key, now.wall,
                                        &mesh->verdicts);
    if (err == POLLEN_OK && (pln_mesh_is_revoked(mesh, &cert.subject_pub) ||
                             pln_mesh_is_revoked(mesh, &cert.issuer_admin_pub))) {
        err = POLLEN_EREVOKED;
    }
    pln_member_cert_fini(&cert);
    return err;
}

/* Called in the middle of a handshake, on both sides. */
static pollen_err verify(void *ctx, const pln_quic_peer *peer, pln_now now) {
    pln_mesh *mesh = ctx;
    if (!pln_key_is_usable(&peer->key)) {
        return POLLEN_EKEY;
    }
    if (pln_key_equal(&peer->key, &mesh->creds.key)) {
        return POLLEN_EIDENTITY; /* We met ourselves. */
    }
    return peer->alpn == PLN_ALPN_INVITE ? POLLEN_OK : verify_member(mesh, peer, now);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static bool serves_invites(const pln_mesh *mesh) {
    return mesh->serve_invites && mesh->creds.enrolled && mesh->creds.has_signer && !mesh->is_shut;
}

static void update_accept(pln_mesh *mesh) {
    pln_quic_set_accept(mesh->quic, mesh->creds.enrolled && !mesh->is_shut, serves_invites(mesh));
}

static pollen_err create_quic(pln_mesh *mesh, const pln_mesh_config *config, pln_now now) {
    pln_quic_config quic = {
        .seed = &mesh->creds.seed,
        .rng = config->rng,
        .log = config->log,
        .verify = verify,
        .verify_ctx = mesh,
        .congestion = config->congestion,
        .tls_identity_ttl_seconds = config->tls_identity_ttl_seconds,
        .idle_timeout = config->idle_timeout,
        .keep_alive = config->keep_alive,
        .accept_mesh = mesh->creds.enrolled,
        .accept_invites = serves_invites(mesh),
        .only_mesh_1 = config->only_mesh_1,
    };
    pollen_err err = pln_quic_create(&quic, now, &mesh->quic);
    if (err == POLLEN_OK && mesh->creds.enrolled) {
        const pln_bytes *cert = &mesh->creds.member_cert.wire;
        err = pln_quic_set_identity(mesh->quic, cert->data, cert->size, now.wall);
    }
    return err;
}

pollen_err pln_mesh_create(const pln_mesh_config *config, pln_now now, pln_mesh **ret) {
    pln_mesh *mesh = pln_calloc(1, sizeof(*mesh));
    if (mesh == NULL) {
        return POLLEN_ENOMEM;
    }
    mesh->rng = config->rng;
    pln_verdicts_init(&mesh->verdicts);
    mesh->log = config->log;
    mesh->membership_ttl_seconds = config->membership_ttl_seconds;
    mesh->max_connection_age = config->max_connection_age;
    mesh->is_revoked = config->is_revoked;
    mesh->is_revoked_ctx = config->is_revoked_ctx;
    mesh->serve_invites = config->serve_invites;
    mesh->next_generation = mesh->next_order = mesh->next_tag = mesh->next_stream = 1;
    pln_rng_fill(&mesh->rng, mesh->hash_key.bytes, sizeof(mesh->hash_key.bytes));
    pln_heap_init(&mesh->timers);
    pln_ledger_init(&mesh->ledger, &mesh->rng);

    pollen_err err = POLLEN_ENOMEM;
    if (pln_events_init(&mesh->events)) {
        err = pln_credentials_copy(&mesh->creds, config->creds);
    }
    if (err == POLLEN_OK) {
        err = create_quic(mesh, config, now);
    }
    if (err != POLLEN_OK) {
        pln_mesh_destroy(mesh);
        return err;
    }
    *ret = mesh;
    return POLLEN_OK;
}

void pln_mesh_destroy(pln_mesh *mesh) {
    if (mesh == NULL) {
        return;
    }
    /* Nothing is sent any more, and whoever wanted events has had them. */
    pln_invite_client_destroy_all(mesh);
    pln_invite_server_destroy_all(mesh);
    pln_streams_destroy_all(mesh);
    pln_registry_destroy_all(mesh);
    pln_ops_destroy_all(mesh);
    pln_issued_destroy_all(mesh);
    pln_events_fini(&mesh->events);
    pln_quic_destroy(mesh->quic);
    pln_ledger_fini(&mesh->ledger);
    pln_credentials_fini(&mesh->creds);
    pln_heap_fini(&mesh->timers);
    pln_free(mesh);
}

pollen_err pln_mesh_load_ledger(pln_mesh *mesh, const char *text, size_t size, char *why) {
    return pln_ledger_load(&mesh->ledger, text, size, why);
}

/* ---- The pump -------------------------------------------------------------------------------- */

/* A handshake is complete and confirmed, and the peer was verified. */
static void on_connected(pln_mesh *mesh, pln_conn_id conn, pln_now now) {
    pln_link *link = pln_link_find(mesh, conn);
    if (link != NULL && link->kind == PLN_LINK_DIAL) {
        pln_dial_on_confirmed(mesh, (pln_attempt *)(void *)link, now);
        return;
    }
    if (link != NULL && link->kind == PLN_LINK_INVITE_CLIENT) {
        pln_invite_client_on_confirmed(mesh, link, now);
        return;
    }
    pln_conn_info info;
    if (link != NULL || pln_quic_conn_info(mesh->quic, conn, &info) != POLLEN_OK) {
        return;
    }
    if (mesh->is_shut) {
        pln_quic_close(mesh->quic, conn, 0, "shutdown", now);
    } else if (info.alpn == PLN_ALPN_INVITE) {
        pln_invite_server_on_confirmed(mesh, conn, &info, now);
    } else {
        pollen_err err = POLLEN_OK;
        (void)pln_session_start(mesh, conn, &info, now, &err); /* It closed what it refused. */
    }
}

static void on_closed(pln_mesh *mesh, const pln_quic_event *event, pln_now now) {
    pln_link *link = pln_link_find(mesh, event->conn);
    if (link == NULL) {
        /* An inbound handshake that came to nothing. */
        if (event->closed.end == PLN_QUIC_END_VERIFY) {
            mesh->stats.sessions_refused++;
        }
        return;
    }
    switch (link->kind) {
    case PLN_LINK_DIAL:
        pln_dial_on_closed(mesh, (pln_attempt *)(void *)link, &event->closed, now);
        break;
    case PLN_LINK_SESSION:
        pln_session_on_closed(mesh, (pln_session *)(void *)link, &event->closed, now);
        break;
    case PLN_LINK_INVITE_SERVER:
        pln_invite_server_on_closed(mesh, link);
        break;
    case PLN_LINK_INVITE_CLIENT:
        pln_invite_client_on_closed(mesh, link, &event->closed, now);
        break;
    }
}

/* Takes the datagram. */
static void on_datagram(pln_mesh *mesh, pln_conn_id conn, pln_chunk *chunk, pln_now now) {
    pln_link *link = pln_link_find(mesh, conn);
    if (link != NULL && link->kind == PLN_LINK_SESSION) {
        pln_envelopes_on_datagram(mesh, (pln_session *)(void *)link, chunk, now);
        return;
    }
    if (link != NULL && link->kind == PLN_LINK_INVITE_SERVER) {
        pln_invite_server_on_datagram(mesh, link, chunk, now);
    } else if (link != NULL && link->kind == PLN_LINK_INVITE_CLIENT) {
        pln_invite_client_on_datagram(mesh, link, chunk, now);
    }
    pln_chunk_destroy(chunk);
}

static void on_acked(pln_mesh *mesh, pln_conn_id conn, uint64_t tag, pln_now now) {
    pln_link *link = pln_link_find(mesh, conn);
    if (link != NULL && link->kind == PLN_LINK_SESSION) {
        pln_echo_on_acked(mesh, (pln_session *)(void *)link, tag, now);
    } else if (link != NULL && link->kind == PLN_LINK_INVITE_SERVER) {
        pln_invite_server_on_acked(mesh, link, tag, now);
    }
}

static void on_path(pln_mesh *mesh, const pln_session *session) {
    pln_conn_info info;
    if (session->peer->primary != session ||
        pln_quic_conn_info(mesh->quic, session->link.conn, &info) != POLLEN_OK) {
        return;
    }
    pln_event_node *node = pln_events_node(&mesh->events);
    if (node == NULL) {
        return; /* A hint: the address is in pln_mesh_session_info() as well. */
    }
    node->event = (pln_mesh_event){
        .kind = PLN_MESH_PATH,
        .peer = session->peer->key,
        .generation = session->generation,
        .addr = info.path.remote,
    };
    pln_events_push(&mesh->events, node);
}

static void on_stream(pln_mesh *mesh, const pln_quic_event *event, pln_now now) {
    pln_link *link = pln_link_find(mesh, event->conn);
    if (link != NULL && link->kind == PLN_LINK_SESSION) {
        pln_streams_on_event(mesh, (pln_session *)(void *)link, event, now);
    } else if (event->kind == PLN_QUIC_STREAM_OPENED) {
        pln_quic_stream_stop(mesh->quic, event->conn, event->stream, 0);
        pln_quic_stream_reset(mesh->quic, event->conn, event->stream, 0);
    }
}

static void on_event(pln_mesh *mesh, const pln_quic_event *event, pln_now now) {
    switch (event->kind) {
    case PLN_QUIC_CONNECTED:
        on_connected(mesh, event->conn, now);
        break;
    case PLN_QUIC_CLOSED:
        on_closed(mesh, event, now);
        break;
    case PLN_QUIC_DATAGRAM:
        on_datagram(mesh, event->conn, event->datagram, now);
        break;
    case PLN_QUIC_DATAGRAM_ACKED:
        on_acked(mesh, event->conn, event->tag, now);
        break;
    case PLN_QUIC_PATH_CHANGED: {
        pln_link *link = pln_link_find(mesh, event->conn);
        if (link != NULL && link->kind == PLN_LINK_SESSION) {
            on_path(mesh, (pln_session *)(void *)link);
        }
        break;
    }
    case PLN_QUIC_STREAM_OPENED:
    case PLN_QUIC_STREAM_READABLE:
    case PLN_QUIC_STREAM_WRITABLE:
    case PLN_QUIC_STREAM_RESET:
    case PLN_QUIC_STREAM_STOPPED:
    case PLN_QUIC_STREAM_CLOSED:
    case PLN_QUIC_STREAMS_AVAILABLE:
        on_stream(mesh, event, now);
        break;
    }
}

/* True when there was anything. */
static bool pump(pln_mesh *mesh, pln_now now) {
    bool any = false;
    pln_quic_event event;
    while (pln_quic_poll_event(mesh->quic, &event)) {
        any = true;
        on_event(mesh, &event, now);
    }
    return any;
}

/* ---- Input and output ------------------------------------------------------------------------ */

void pln_mesh_handle_datagram(pln_mesh *mesh, const pln_datagram *datagram, pln_now now) {
    mesh->dirty = true;
    pln_expiry_on_clock(mesh, now);
    pln_quic_handle_datagram(mesh->quic, datagram, now);
    (void)pump(mesh, now); /* Sent when the owner polls. */
}

void pln_mesh_handle_timeout(pln_mesh *mesh, pln_now now) {
    mesh->dirty = true;
    pln_expiry_on_clock(mesh, now);
    pln_quic_handle_timeout(mesh->quic, now);
    (void)pump(mesh, now); /* What the network said comes before what time says. */
    fire_alarms(mesh, now);
}

bool pln_mesh_poll_transmit(pln_mesh *mesh, uint8_t *buf, pln_transmit *ret, pln_now now) {
    (void)pump(mesh, now);
    do {
        if (pln_quic_poll_transmit(mesh->quic, buf, ret, now)) {
            return true;
        }
    } while (pump(mesh, now)); /* Writing may have ended a connection. */
    mesh->dirty = false;
    return false;
}

pln_ts pln_mesh_next_expiry(const pln_mesh *mesh) {
    if (mesh->dirty || mesh->events.head != NULL) {
        return 0;
    }
    pln_ts own = pln_heap_next(&mesh->timers);
    if (own >= ALARM_OFF) {
        own = PLN_TS_NEVER;
    }
    return pln_ts_min(own, pln_quic_next_expiry(mesh->quic));
}

void pln_mesh_shutdown(pln_mesh *mesh, pln_now now) {
    if (mesh->is_shut) {
        return;
    }
    /* First the doors, then who is inside: nothing new can come up behind us. */
    mesh->is_shut = true;
    mesh->dirty = true;
    update_accept(mesh);
    pln_invite_client_stop_all(mesh, now);
    pln_ops_finish_all(mesh, POLLEN_ECLOSED);
    pln_invite_server_close_all(mesh, "shutdown", now);
    pln_mesh_close_all(mesh, now);
}

void pln_mesh_get_stats(const pln_mesh *mesh, pln_mesh_stats *ret) {
    *ret = mesh->stats;
    pln_quic_get_stats(mesh->quic, &ret->quic);
}

/* ---- Credentials ----------------------------------------------------------------------------- */

const pln_credentials *pln_mesh_credentials(const pln_mesh *mesh) {
    return &mesh->creds;
}

pollen_err pln_mesh_install(pln_mesh *mesh, pln_credentials *creds, pln_now now) {
    PLN_ASSERT(creds->enrolled);
    pln_event_node *node = pln_events_node(&mesh->events);
    if (node == NULL) {
        return POLLEN_ENOMEM;
    }
    const pln_bytes *cert = &creds->member_cert.wire;
    pollen_err err = pln_quic_set_identity(mesh->quic, cert->data, cert->size, now.wall);
    if (err != POLLEN_OK) {
        pln_events_release(&mesh->events, node);
        return err;
    }
    pln_credentials_fini(&mesh->creds);
    mesh->creds = *creds;
    mesh->dirty = true;
    *creds = (pln_credentials){.enrolled = false}; /* Moved. */
    node->event = (pln_mesh_event){.kind = PLN_MESH_CREDENTIALS_CHANGED, .peer = mesh->creds.key};
    pln_events_push(&mesh->events, node);
    update_accept(mesh);
    pln_expiry_on_renewed(mesh, now);
    return POLLEN_OK;
}

pollen_err pln_mesh_apply(pln_mesh *mesh, const pln_join_token *token, pln_now now) {
    pln_credentials creds = {.enrolled = false};
    bool changed = false;
    pollen_err err = pln_credentials_copy(&creds, &mesh->creds);
    if (err == POLLEN_OK) {
        err = pln_credentials_apply(&creds, token, now.wall, &changed);
    }
    if (err == POLLEN_OK && changed) {
        err = pln_mesh_install(mesh, &creds, now);
    }
    pln_credentials_fini(&creds);
    return err;
}

pollen_err pln_mesh_set_credentials(pln_mesh *mesh, const pln_credentials *from, pln_now now) {
    if (!pln_key_equal(&from->key, &mesh->creds.key) || !from->enrolled) {
        return POLLEN_EINVAL;
    }
    if (mesh->creds.enrolled && !pln_trust_equal(&from->trust, &mesh->creds.trust)) {
        return POLLEN_ECLUSTER;
    }
    pln_credentials creds = {.enrolled = false};
    pollen_err err = pln_credentials_copy(&creds, from);
    if (err == POLLEN_OK) {
        err = pln_mesh_install(mesh, &creds, now);
    }
    pln_credentials_fini(&creds);
    return err;
}
