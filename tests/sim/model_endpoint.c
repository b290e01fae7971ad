/* SPDX-License-Identifier: Apache-2.0 */
/* The modelled QUIC's endpoint: the functions of quic/quic.h, admission, answers to strangers. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/assert.h"
#include "base/mem.h"
#include "model.h"

/* ---- Life ------------------------------------------------------------------------------------ */

pollen_err pln_quic_create(const pln_quic_config *config, pln_now now, pln_quic **ret) {
    pln_quic *quic = pln_calloc(1, sizeof *quic);
    PLN_ASSERT(quic != NULL);
    quic->config = *config;
    quic->config.seed = NULL;
    quic->config.idle_timeout = config->idle_timeout ? config->idle_timeout : PLN_IDLE_TIMEOUT;
    quic->config.keep_alive = config->keep_alive ? config->keep_alive : PLN_KEEP_ALIVE;
    quic->config.handshake_timeout =
        config->handshake_timeout ? config->handshake_timeout : PLN_HANDSHAKE_TIMEOUT;
    quic->key = pollen_seed_key(config->seed);
    quic->now = now;
    quic->slot_free = UINT32_MAX;
    pln_rng_fill(&config->rng, quic->hash_key.bytes, sizeof quic->hash_key.bytes);
    pln_heap_init(&quic->timers);
    *ret = quic;
    return POLLEN_OK;
}

void pln_quic_destroy(pln_quic *quic) {
    if (quic == NULL) {
        return;
    }
    for (uint32_t i = 0; i < quic->slot_cap; i++) {
        if (quic->slots[i].conn != NULL) {
            model_conn_free(quic->slots[i].conn);
        }
    }
    for (model_event *at = quic->event_head; at != NULL;) {
        model_event *next = at->next;
        pln_chunk_destroy(at->event.datagram);
        pln_free(at);
        at = next;
    }
    for (model_stray *at = quic->strays; at != NULL;) {
        model_stray *next = at->next;
        pln_free(at);
        at = next;
    }
    pln_meters_destroy(quic->admit);
    pln_meters_destroy(quic->admit_proven);
    pln_bytes_fini(&quic->cert);
    pln_heap_fini(&quic->timers);
    pln_free(quic->slots);
    pln_free(quic);
}

pollen_err pln_quic_set_identity(pln_quic *quic, const uint8_t *member_cert, size_t size,
                                 pln_wall now) {
    (void)now;
    const bool set = pln_bytes_set(&quic->cert, member_cert, size);
    PLN_ASSERT(set);
    quic->has_cert = true;
    return POLLEN_OK;
}

void pln_quic_set_accept(pln_quic *quic, bool mesh, bool invites) {
    quic->config.accept_mesh = mesh;
    quic->config.accept_invites = invites;
}

bool pln_quic_is_quic(const uint8_t *data, size_t size) {
    return size > 0 && (data[0] & 0xc0) != 0;
}

/* ---- Connections ----------------------------------------------------------------------------- */

static uint32_t take_slot(pln_quic *quic) {
    if (quic->slot_free == UINT32_MAX) {
        const uint32_t cap = quic->slot_cap == 0 ? 4 : 2 * quic->slot_cap;
        quic->slots = pln_realloc(quic->slots, cap * sizeof(model_slot));
        PLN_ASSERT(quic->slots != NULL);
        for (uint32_t i = cap; i-- > quic->slot_cap;) {
            quic->slots[i] = (model_slot){.next_free = quic->slot_free};
            quic->slot_free = i;
        }
        quic->slot_cap = cap;
    }
    const uint32_t slot = quic->slot_free;
    quic->slot_free = quic->slots[slot].next_free;
    return slot;
}

model_conn *model_conn_new(pln_quic *quic, const pln_path *path, bool inbound) {
    model_conn *conn = pln_calloc(1, sizeof *conn);
    PLN_ASSERT(conn != NULL);
    conn->quic = quic;
    conn->slot = take_slot(quic);
    model_slot *slot = &quic->slots[conn->slot];
    slot->conn = conn;
    conn->id = (pln_conn_id)slot->generation << 32 | (conn->slot + 1);
    /* The slot is in the connection id, so that no table is needed to find it again. */
    conn->cid = pln_rng_u64(&quic->config.rng) << 32 | (conn->slot + 1);
    conn->inbound = inbound;
    conn->path = *path;
    conn->started_at = quic->now.mono;
    conn->connected_at = PLN_TS_NEVER;
    conn->mtu = MODEL_MTU_FIRST;
    pln_timer_init(&conn->timer);
    quic->stats.connections++;
    return conn;
}

void model_conn_free(model_conn *conn) {
    pln_quic *quic = conn->quic;
    if (conn->state == MODEL_ANSWERED) {
        DL_DELETE2(quic->half_open, conn, half_prev, half_next);
        quic->stats.handshakes--;
    }
    quic->stats.connections -= conn->id != 0;
    model_unready(conn);
    pln_heap_cancel(&quic->timers, &conn->timer);
    while (conn->tx_head != NULL) {
        model_outgoing *next = conn->tx_head->next;
        pln_chunk_destroy(conn->tx_head->chunk);
        pln_free(conn->tx_head);
        conn->tx_head = next;
    }
    model_slot *slot = &quic->slots[conn->slot];
    slot->conn = NULL;
    slot->generation++;
    slot->next_free = quic->slot_free;
    quic->slot_free = conn->slot;
    pln_bytes_fini(&conn->cert);
    pln_free(conn->tags);
    pln_free(conn->close_phrase);
    pln_free(conn);
}

model_conn *model_conn_find(const pln_quic *quic, pln_conn_id id) {
    const uint32_t number = (uint32_t)id;
    model_conn *conn = number > 0 && number <= quic->slot_cap ? quic->slots[number - 1].conn : NULL;
    return conn != NULL && conn->id == id ? conn : NULL;
}

static model_conn *find_cid(const pln_quic *quic, uint64_t cid) {
    const uint32_t number = (uint32_t)cid;
    model_conn *conn = number > 0 && number <= quic->slot_cap ? quic->slots[number - 1].conn : NULL;
    return conn != NULL && conn->cid == cid && conn->state != MODEL_GONE ? conn : NULL;
}

void model_ready(model_conn *conn) {
    if (!conn->ready) {
        conn->ready = true;
        DL_APPEND2(conn->quic->ready, conn, ready_prev, ready_next);
    }
}

void model_speak(model_conn *conn) {
    conn->speak = conn->state == MODEL_ANSWERED ? MODEL_ANSWER_PARTS : 1;
    model_ready(conn);
}

void model_unready(model_conn *conn) {
    if (conn->ready) {
        conn->ready = false;
        DL_DELETE2(conn->quic->ready, conn, ready_prev, ready_next);
    }
}

pollen_err pln_quic_dial(pln_quic *quic, const pln_path *path, const pollen_key *expected,
                         bool invite, pln_now now, pln_conn_id *ret) {
    quic->now = now;
    if (!pln_addr_is_sendable(&path->remote)) {
        return POLLEN_EADDR;
    }
    if (!invite && !quic->has_cert) {
        return POLLEN_ENOTENROLLED;
    }
    if (quic->stats.connections >= PLN_CONNS_MAX) {
        return POLLEN_ELIMIT;
    }
    model_conn *conn = model_conn_new(quic, path, false);
    conn->state = MODEL_DIALLING;
    conn->invite = invite;
    conn->peer = *expected;
    model_speak(conn);
    *ret = conn->id;
    return POLLEN_OK;
}

/* The owner knows it no longer. */
static void forget_id(model_conn *conn) {
    conn->id = 0;
    conn->quic->stats.connections--;
    if (conn->state == MODEL_GONE) {
        model_conn_free(conn);
    }
}

void pln_quic_close(pln_quic *quic, pln_conn_id id, uint64_t code, const char *phrase,
                    pln_now now) {
    quic->now = now;
    model_conn *conn = model_conn_find(quic, id);
    if (conn == NULL) {
        return;
    }
    if (conn->state == MODEL_DIALLING || conn->state == MODEL_ANSWERED) {
        model_conn_close(conn, MODEL_CODE_APPLICATION, NULL);
    } else if (conn->state == MODEL_FINISHING || conn->state == MODEL_LIVE) {
        model_conn_close(conn, code, phrase);
    }
    forget_id(conn);
}

pollen_err pln_quic_conn_info(const pln_quic *quic, pln_conn_id id, pln_conn_info *ret) {
    const model_conn *conn = model_conn_find(quic, id);
    if (conn == NULL) {
        return POLLEN_ENOENT;
    }
    *ret = (pln_conn_info){
        .peer = conn->peer,
        .alpn = conn->alpn,
        .inbound = conn->inbound,
        .connected = conn->connected,
        .path = conn->path,
        .started_at = conn->started_at,
        .connected_at = conn->connected_at,
        .last_rx_at = conn->last_rx_at,
        .rtt = conn->srtt,
        .mtu = conn->mtu,
        .bytes_in = conn->bytes_in,
        .bytes_out = conn->bytes_out,
        .datagrams_in = conn->datagrams_in,
        .datagrams_out = conn->datagrams_out,
    };
    return POLLEN_OK;
}

const uint8_t *pln_quic_peer_cert(const pln_quic *quic, pln_conn_id id, size_t *ret_size) {
    const model_conn *conn = model_conn_find(quic, id);
    *ret_size = conn != NULL ? conn->cert.size : 0;
    return *ret_size > 0 ? conn->cert.data : NULL;
}

void pln_quic_ping(pln_quic *quic, pln_conn_id id, pln_now now) {
    quic->now = now;
    model_conn *conn = model_conn_find(quic, id);
    if (conn != NULL && conn->state == MODEL_LIVE) {
        conn->want_ping = true;
        model_ready(conn);
    }
}

size_t pln_quic_datagram_max(const pln_quic *quic, pln_conn_id id) {
    const model_conn *conn = model_conn_find(quic, id);
    return conn != NULL && conn->state == MODEL_LIVE ? conn->mtu - MODEL_DATAGRAM_OVERHEAD : 0;
}

pollen_err pln_quic_send_datagram(pln_quic *quic, pln_conn_id id, pln_chunk *chunk, uint64_t tag) {
    model_conn *conn = model_conn_find(quic, id);
    if (conn == NULL || conn->state > MODEL_LIVE) {
        return POLLEN_ENOENT;
    }
    const size_t size = pln_chunk_size(chunk);
    if (size == 0 || size > pln_quic_datagram_max(quic, id)) {
        return POLLEN_EMSGSIZE;
    }
    if (conn->tx_count == PLN_DATAGRAM_SENDQ_MAX) {
        return POLLEN_EAGAIN;
    }
    model_outgoing *out = pln_calloc(1, sizeof *out);
    PLN_ASSERT(out != NULL);
    *out = (model_outgoing){.chunk = chunk, .tag = tag};
    *(conn->tx_head == NULL ? &conn->tx_head : &conn->tx_tail->next) = out;
    conn->tx_tail = out;
    conn->tx_count++;
    model_ready(conn);
    return POLLEN_OK;
}

/* ---- Streams: there are none ----------------------------------------------------------------- */

pollen_err pln_quic_stream_open(pln_quic *quic, pln_conn_id conn, int64_t *ret_stream) {
    (void)quic;
    (void)conn;
    (void)ret_stream;
    return POLLEN_EAGAIN;
}

pollen_err pln_quic_stream_send(pln_quic *quic, pln_conn_id conn, int64_t stream, pln_chunk *chunk,
                                bool fin) {
    (void)quic;
    (void)conn;
    (void)stream;
    (void)chunk;
    (void)fin;
    return POLLEN_ENOENT;
}

size_t pln_quic_stream_unacked(const pln_quic *quic, pln_conn_id conn, int64_t stream) {
    (void)quic;
    (void)conn;
    (void)stream;
    return 0;
}

pln_chunk *pln_quic_stream_recv(pln_quic *quic, pln_conn_id conn, int64_t stream, bool *ret_fin) {
    (void)quic;
    (void)conn;
    (void)stream;
    *ret_fin = false;
    return NULL;
}

void pln_quic_stream_reset(pln_quic *quic, pln_conn_id conn, int64_t stream, uint64_t code) {
    (void)quic;
    (void)conn;
    (void)stream;
    (void)code;
}

void pln_quic_stream_stop(pln_quic *quic, pln_conn_id conn, int64_t stream, uint64_t code) {
    (void)quic;
    (void)conn;
    (void)stream;
    (void)code;
}

/* ---- Strangers ------------------------------------------------------------------------------- */

void model_push_stray(pln_quic *quic, const pln_path *path, const model_packet *packet) {
    if (quic->stray_count >= PLN_STRAYS_MAX) {
        quic->stats.dropped_limit++;
        return;
    }
    model_stray *stray = pln_calloc(1, sizeof *stray);
    PLN_ASSERT(stray != NULL);
    stray->path = *path;
    stray->packet = *packet;
    *(quic->strays == NULL ? &quic->strays : &quic->strays_tail->next) = stray;
    quic->strays_tail = stray;
    quic->stray_count++;
}

static void reset(pln_quic *quic, const pln_path *path, uint64_t cid) {
    const pln_ts now = quic->now.mono;
    if (quic->reset_ever && pln_ts_since(quic->reset_at, now) < PLN_RESET_INTERVAL) {
        quic->stats.dropped_unknown++;
        return;
    }
    quic->reset_ever = true;
    quic->reset_at = now;
    quic->stats.resets_sent++;
    model_push_stray(quic, path,
                     &(model_packet){.type = MODEL_RESET, .dcid = cid, .key = quic->key});
}

/* Only diallers hear of a reset: the token of the connection id that an acceptor uses can only come
 * after the handshake, and it goes on using the first one. */
static void handle_reset(pln_quic *quic, const model_packet *packet) {
    for (uint32_t i = 0; i < quic->slot_cap; i++) {
        model_conn *conn = quic->slots[i].conn;
        if (conn != NULL && !conn->inbound &&
            (conn->state == MODEL_LIVE || conn->state == MODEL_FINISHING) &&
            conn->peer_cid == packet->dcid && pln_key_equal(&conn->peer, &packet->key)) {
            quic->stats.resets_received++;
            model_conn_end(conn,
                           &(pln_quic_closed){.end = PLN_QUIC_END_RESET, .err = POLLEN_ERESET},
                           MODEL_DRAINING);
            return;
        }
    }
    quic->stats.dropped_unknown++;
}

typedef enum admission { ADMIT, ADMIT_RETRY, ADMIT_REFUSE, ADMIT_DROP } admission;

static bool source_allowed(pln_quic *quic, const pollen_addr *source, bool proven) {
    pln_meters **admit = proven ? &quic->admit_proven : &quic->admit;
    if (*admit == NULL) {
        *admit = pln_admit_create(&quic->hash_key); /* Most nodes never need both. */
        PLN_ASSERT(*admit != NULL);
    }
    return pln_admit_take(*admit, source, quic->now.mono);
}

static bool make_room(pln_quic *quic) {
    if (quic->stats.handshakes < PLN_HANDSHAKES_MAX) {
        return true;
    }
    model_conn *oldest = quic->half_open;
    if (!pln_ts_reached(pln_ts_add(oldest->started_at, PLN_HANDSHAKE_YIELD), quic->now.mono)) {
        return false;
    }
    model_conn_end(oldest, &(pln_quic_closed){.end = PLN_QUIC_END_HANDSHAKE}, MODEL_GONE);
    return true;
}

static admission judge(pln_quic *quic, const pln_datagram *datagram, bool proven) {
    const bool serves = (quic->config.accept_mesh && quic->has_cert) || quic->config.accept_invites;
    if (!serves || quic->stats.connections >= PLN_CONNS_MAX) {
        return ADMIT_REFUSE;
    }
    if (!proven && quic->stats.handshakes >= PLN_RETRY_AT_HANDSHAKES) {
        return ADMIT_RETRY;
    }
    if (!source_allowed(quic, &datagram->path.remote, proven)) {
        return proven ? ADMIT_DROP : ADMIT_RETRY;
    }
    return make_room(quic) ? ADMIT : ADMIT_DROP;
}

/* The server's choice; NONE when there is nothing in common. */
static pln_alpn choose_alpn(const pln_quic *quic, uint8_t offered) {
    const bool mesh = quic->config.accept_mesh && quic->has_cert;
    if (quic->config.accept_invites && (offered & 1 << PLN_ALPN_INVITE)) {
        return PLN_ALPN_INVITE;
    }
    if (mesh && !quic->config.only_mesh_1 && (offered & 1 << PLN_ALPN_MESH_2)) {
        return PLN_ALPN_MESH_2;
    }
    return mesh && (offered & 1 << PLN_ALPN_MESH_1) ? PLN_ALPN_MESH_1 : PLN_ALPN_NONE;
}

static model_conn *find_half_open(const pln_quic *quic, uint64_t peer_cid) {
    for (model_conn *at = quic->half_open; at != NULL; at = at->half_next) {
        if (at->peer_cid == peer_cid) {
            return at;
        }
    }
    return NULL;
}

static void accept_hello(pln_quic *quic, const pln_datagram *datagram, const model_packet *packet) {
    const pln_alpn alpn = choose_alpn(quic, packet->alpns);
    if (alpn == PLN_ALPN_NONE) {
        model_push_stray(quic, &datagram->path,
                         &(model_packet){.type = MODEL_REFUSE,
                                         .dcid = packet->scid,
                                         .code = MODEL_CODE_NO_ALPN});
        return;
    }
    model_conn *conn = model_conn_new(quic, &datagram->path, true);
    conn->state = MODEL_ANSWERED;
    conn->alpn = alpn;
    conn->peer_cid = packet->scid;
    conn->bytes_in = datagram->size;
    conn->last_rx_at = quic->now.mono;
    DL_APPEND2(quic->half_open, conn, half_prev, half_next);
    quic->stats.handshakes++;
    model_speak(conn);
}

static void handle_hello(pln_quic *quic, const pln_datagram *datagram, const model_packet *packet) {
    model_conn *known = find_half_open(quic, packet->scid);
    if (known != NULL) {
        model_speak(known); /* Its answer was lost, or is late. */
        return;
    }
    if (!pln_addr_is_sendable(&datagram->path.remote)) {
        quic->stats.dropped_unknown++;
        return;
    }
    switch (judge(quic, datagram, packet->part == 1)) {
    case ADMIT:
        accept_hello(quic, datagram, packet);
        return;
    case ADMIT_RETRY:
        quic->stats.retries_sent++;
        model_push_stray(quic, &datagram->path,
                         &(model_packet){.type = MODEL_RETRY, .dcid = packet->scid});
        return;
    case ADMIT_REFUSE:
        model_push_stray(quic, &datagram->path,
                         &(model_packet){.type = MODEL_REFUSE,
                                         .dcid = packet->scid,
                                         .code = MODEL_CODE_REFUSED});
        break;
    case ADMIT_DROP:
        break;
    }
    quic->stats.dropped_limit++;
}

/* ---- Input and output ------------------------------------------------------------------------ */

void pln_quic_handle_datagram(pln_quic *quic, const pln_datagram *datagram, pln_now now) {
    quic->now = now;
    quic->stats.datagrams_in++;
    quic->stats.bytes_in += datagram->size;
    model_packet packet;
    if (!model_packet_read(datagram->data, datagram->size, &packet)) {
        quic->stats.dropped_unknown++;
        return;
    }
    if (packet.type == MODEL_HELLO) {
        handle_hello(quic, datagram, &packet);
        return;
    }
    if (packet.type == MODEL_RESET) {
        handle_reset(quic, &packet);
        return;
    }
    model_conn *conn =
        packet.dcid == 0 ? find_half_open(quic, packet.scid) : find_cid(quic, packet.dcid);
    if (conn != NULL) {
        model_conn_receive(conn, datagram, &packet);
    } else if (packet.type == MODEL_DATA && pln_addr_is_sendable(&datagram->path.remote)) {
        reset(quic, &datagram->path, packet.dcid);
    } else {
        quic->stats.dropped_unknown++;
    }
}

void pln_quic_handle_timeout(pln_quic *quic, pln_now now) {
    quic->now = now;
    pln_timer *timer;
    while ((timer = pln_heap_pop(&quic->timers, now.mono)) != NULL) {
        model_conn_expire(PLN_TIMER_OWNER(timer, model_conn, timer));
    }
}

static bool send_stray(pln_quic *quic, uint8_t *buf, pln_transmit *ret) {
    model_stray *stray = quic->strays;
    if (stray == NULL) {
        return false;
    }
    quic->strays = stray->next;
    quic->stray_count--;
    const size_t size = model_packet_seal(buf, model_packet_write(&stray->packet, buf), 0);
    *ret = (pln_transmit){.path = stray->path, .size = size, .segment = size};
    pln_free(stray);
    return true;
}

bool pln_quic_poll_transmit(pln_quic *quic, uint8_t *buf, pln_transmit *ret, pln_now now) {
    quic->now = now;
    bool sent = send_stray(quic, buf, ret);
    while (!sent && quic->ready != NULL) {
        model_conn *conn = quic->ready;
        const pln_path path = conn->path;
        const size_t size = model_conn_write(conn, buf);
        if (size == 0) {
            model_unready(conn);
            model_conn_set_timer(conn);
            continue;
        }
        conn->bytes_out += size;
        *ret = (pln_transmit){.path = path, .size = size, .segment = size};
        sent = true;
    }
    if (sent) {
        quic->stats.datagrams_out++;
        quic->stats.bytes_out += ret->size;
    }
    return sent;
}

pln_ts pln_quic_next_expiry(const pln_quic *quic) {
    return quic->ready != NULL || quic->strays != NULL ? 0 : pln_heap_next(&quic->timers);
}

/* ---- Events ---------------------------------------------------------------------------------- */

void model_push_event(model_conn *conn, const pln_quic_event *event) {
    pln_quic *quic = conn->quic;
    model_event *node = pln_malloc(sizeof *node);
    PLN_ASSERT(node != NULL);
    node->next = NULL;
    node->event = *event;
    node->event.conn = conn->id;
    *(quic->event_head == NULL ? &quic->event_head : &quic->event_tail->next) = node;
    quic->event_tail = node;
}

bool pln_quic_poll_event(pln_quic *quic, pln_quic_event *ret) {
    while (quic->event_head != NULL) {
        model_event *node = quic->event_head;
        quic->event_head = node->next;
        *ret = node->event;
        pln_free(node);
        model_conn *conn = model_conn_find(quic, ret->conn);
        if (conn == NULL) {
            pln_chunk_destroy(ret->datagram); /* Closed by its owner meanwhile. */
            continue;
        }
        if (ret->kind == PLN_QUIC_CLOSED) {
            forget_id(conn);
        }
        return true;
    }
    return false;
}

void pln_quic_get_stats(const pln_quic *quic, pln_quic_stats *ret) {
    *ret = quic->stats;
}
