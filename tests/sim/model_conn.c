/* SPDX-License-Identifier: Apache-2.0 */
/* One modelled connection: its handshake, its timers, its end. */
#include <string.h>

#include <utlist.h>

#include "base/assert.h"
#include "base/mem.h"
#include "model.h"

enum { MASK_BITS = 64, PROBE_TRIES = 3, CHALLENGE_TRIES = 3, ACK_EVERY = 2 };

/* As the real thing, but for jumbo frames. */
static const size_t probe_sizes[] = {1452, 1392, 1232, 1472};
enum { PROBES = sizeof probe_sizes / sizeof probe_sizes[0] };

static pln_ts now_of(const model_conn *conn) {
    return conn->quic->now.mono;
}

pln_dur model_pto(const model_conn *conn) {
    if (conn->srtt == 0) {
        return MODEL_FIRST_PTO;
    }
    const pln_dur spread = 4 * conn->rttvar > PLN_MS(1) ? 4 * conn->rttvar : PLN_MS(1);
    return conn->srtt + spread + (conn->state == MODEL_LIVE ? MODEL_ACK_DELAY : 0);
}

/* RFC 9002, 5.3. */
static void sample_rtt(model_conn *conn, pln_dur rtt) {
    if (conn->srtt == 0) {
        conn->srtt = rtt > 0 ? rtt : 1;
        conn->rttvar = rtt / 2;
        return;
    }
    const pln_dur off = rtt > conn->srtt ? rtt - conn->srtt : conn->srtt - rtt;
    conn->rttvar = (3 * conn->rttvar + off) / 4;
    conn->srtt = (7 * conn->srtt + rtt) / 8;
}

static void set_state(model_conn *conn, model_state state) {
    pln_quic *quic = conn->quic;
    if (conn->state == MODEL_ANSWERED && state != MODEL_ANSWERED) {
        DL_DELETE2(quic->half_open, conn, half_prev, half_next);
        quic->stats.handshakes--;
    }
    conn->state = state;
}

/* ---- The end --------------------------------------------------------------------------------- */

static void drop_output(model_conn *conn) {
    while (conn->tx_head != NULL) {
        model_outgoing *next = conn->tx_head->next;
        pln_chunk_destroy(conn->tx_head->chunk);
        pln_free(conn->tx_head);
        conn->tx_head = next;
    }
    conn->tx_count = 0;
}

void model_conn_leave(model_conn *conn) {
    set_state(conn, MODEL_GONE);
    model_unready(conn);
    pln_heap_cancel(&conn->quic->timers, &conn->timer);
    if (conn->id == 0) {
        model_conn_free(conn);
    }
}

static void linger(model_conn *conn, model_state state) {
    conn->linger_until = pln_ts_add(now_of(conn), 3 * model_pto(conn));
    drop_output(conn);
    set_state(conn, state);
    model_ready(conn); /* For the close, and for its timer. */
}

static void tell(model_conn *conn, const pln_quic_closed *closed) {
    if (conn->id != 0) {
        model_push_event(conn, &(pln_quic_event){.kind = PLN_QUIC_CLOSED, .closed = *closed});
    }
}

void model_conn_end(model_conn *conn, const pln_quic_closed *closed, model_state then) {
    tell(conn, closed);
    if (then == MODEL_GONE) {
        model_conn_leave(conn);
    } else {
        linger(conn, then);
    }
}

void model_conn_close(model_conn *conn, uint64_t code, const char *phrase) {
    conn->close_code = code;
    conn->close_phrase = phrase != NULL ? pln_strdup(phrase) : NULL;
    conn->close_due = true;
    linger(conn, MODEL_CLOSING);
}

/* We refuse the peer. */
static void refuse(model_conn *conn, pollen_err err) {
    tell(conn, &(pln_quic_closed){
                   .end = PLN_QUIC_END_VERIFY, .code = MODEL_CODE_BAD_CERTIFICATE, .err = err});
    model_conn_close(conn, MODEL_CODE_BAD_CERTIFICATE, NULL);
}

static pollen_err err_of_code(uint64_t code) {
    if (code == MODEL_CODE_NO_ALPN) {
        return POLLEN_EVERSION;
    }
    return code >= 0x100 || code == MODEL_CODE_REFUSED ? POLLEN_EDENIED : POLLEN_EPROTO;
}

static void be_refused(model_conn *conn, uint64_t code) {
    model_conn_end(
        conn,
        &(pln_quic_closed){.end = PLN_QUIC_END_TRANSPORT, .code = code, .err = err_of_code(code)},
        MODEL_DRAINING);
}

static void be_closed(model_conn *conn, const model_packet *packet) {
    pln_quic_closed closed = {.end = PLN_QUIC_END_APP, .code = packet->code, .err = POLLEN_ECLOSED};
    size_t size = packet->phrase_size;
    size = size < sizeof closed.phrase - 1 ? size : sizeof closed.phrase - 1;
    memcpy(closed.phrase, packet->phrase, size);
    model_conn_end(conn, &closed, MODEL_DRAINING);
}

/* ---- The handshake --------------------------------------------------------------------------- */

static pollen_err judge(const model_conn *conn, const model_packet *packet) {
    const pln_quic *quic = conn->quic;
    if (!conn->inbound && !pln_key_equal(&packet->key, &conn->peer)) {
        return POLLEN_EIDENTITY;
    }
    if (pln_key_equal(&packet->key, &quic->key)) {
        return POLLEN_EIDENTITY;
    }
    const pln_quic_peer peer = {.key = packet->key,
                                .alpn = conn->alpn,
                                .inbound = conn->inbound,
                                .member_cert = packet->cert_size > 0 ? packet->cert : NULL,
                                .member_cert_size = packet->cert_size};
    return quic->config.verify == NULL
               ? POLLEN_OK
               : quic->config.verify(quic->config.verify_ctx, &peer, quic->now);
}

/* False: the peer was refused. */
static bool meet(model_conn *conn, const model_packet *packet) {
    const pollen_err err = judge(conn, packet);
    if (err != POLLEN_OK) {
        refuse(conn, err);
        return false;
    }
    conn->peer = packet->key;
    const bool set =
        packet->cert_size == 0 || pln_bytes_set(&conn->cert, packet->cert, packet->cert_size);
    PLN_ASSERT(set);
    if (conn->pto_count == 0) {
        sample_rtt(conn, now_of(conn) - conn->timed_at);
    }
    conn->pto_count = 0;
    conn->eliciting = 0;
    conn->timed = 0;
    return true;
}

static void connect(model_conn *conn) {
    set_state(conn, MODEL_LIVE);
    conn->connected = true;
    conn->connected_at = now_of(conn);
    conn->idle_from = conn->quiet_from = now_of(conn);
    conn->probe_at = now_of(conn);
    model_push_event(conn, &(pln_quic_event){.kind = PLN_QUIC_CONNECTED});
    model_ready(conn);
}

static void take_answer(model_conn *conn, const model_packet *packet) {
    if (conn->peer_cid != 0 && conn->peer_cid != packet->scid) {
        return; /* Two answers to a HELLO that came twice. */
    }
    if (conn->state == MODEL_FINISHING) {
        model_speak(conn); /* Ours was lost. */
    }
    conn->peer_cid = packet->scid;
    conn->answer_parts |= 1u << packet->part;
    if (conn->state != MODEL_DIALLING || conn->answer_parts != (1u << MODEL_ANSWER_PARTS) - 1) {
        return;
    }
    for (pln_alpn alpn = PLN_ALPN_MESH_1; alpn <= PLN_ALPN_INVITE; alpn++) {
        conn->alpn = packet->alpns & 1 << alpn ? alpn : conn->alpn;
    }
    if (meet(conn, packet)) {
        set_state(conn, MODEL_FINISHING);
        model_speak(conn);
    }
}

static void take_finish(model_conn *conn, const model_packet *packet) {
    if (conn->state == MODEL_ANSWERED && meet(conn, packet)) {
        connect(conn);
    }
    if (conn->state == MODEL_LIVE) {
        model_speak(conn); /* That it is. */
    }
}

static void take_retry(model_conn *conn) {
    if (conn->state == MODEL_DIALLING && !conn->proven) {
        conn->proven = true;
        model_speak(conn);
    }
}

/* ---- What comes in --------------------------------------------------------------------------- */

/* False: it came before, or too late to tell. */
static bool note_number(model_conn *conn, uint32_t number) {
    if (number > conn->rx_largest) {
        const uint32_t ahead = number - conn->rx_largest;
        conn->rx_mask = ahead >= MASK_BITS ? 0 : conn->rx_mask << ahead;
        if (conn->rx_largest > 0 && ahead <= MASK_BITS) {
            conn->rx_mask |= 1ull << (ahead - 1);
        }
        conn->rx_largest = number;
        conn->rx_largest_at = now_of(conn);
        return true;
    }
    const uint32_t behind = conn->rx_largest - number;
    if (behind == 0 || behind > MASK_BITS || (conn->rx_mask >> (behind - 1) & 1)) {
        return false;
    }
    conn->rx_mask |= 1ull << (behind - 1);
    return true;
}

static bool is_acked(const model_packet *packet, uint32_t number) {
    if (number == packet->acked) {
        return true;
    }
    const uint32_t behind = packet->acked - number;
    return number < packet->acked && behind <= MASK_BITS &&
           (packet->acked_mask >> (behind - 1) & 1);
}

static void take_tags(model_conn *conn, const model_packet *packet) {
    size_t kept = 0;
    for (size_t i = 0; i < conn->tag_count; i++) {
        const model_tag tag = conn->tags[i];
        if (is_acked(packet, tag.number)) {
            model_push_event(conn,
                             &(pln_quic_event){.kind = PLN_QUIC_DATAGRAM_ACKED, .tag = tag.tag});
        } else if (tag.number + MASK_BITS > packet->acked) {
            conn->tags[kept++] = tag;
        }
    }
    conn->tag_count = kept;
}

static void take_ack(model_conn *conn, const model_packet *packet) {
    conn->confirmed = true;
    if (conn->timed != 0 && is_acked(packet, conn->timed)) {
        const pln_dur rtt = now_of(conn) - conn->timed_at;
        const pln_dur held = (pln_dur)packet->ack_delay_us * 1000;
        sample_rtt(conn, packet->acked == conn->timed && held < rtt ? rtt - held : rtt);
        conn->timed = 0;
    } else if (packet->acked > conn->timed) {
        conn->timed = 0;
    }
    if (conn->eliciting != 0 && is_acked(packet, conn->eliciting)) {
        conn->eliciting = 0;
        conn->pto_count = 0;
    }
    if (conn->probe_number != 0 && is_acked(packet, conn->probe_number)) {
        conn->mtu = probe_sizes[conn->probe];
        conn->probe++;
        conn->probe_tries = 0;
        conn->probe_number = 0;
        conn->probe_at = now_of(conn);
    }
    take_tags(conn, packet);
}

static void take_datagrams(model_conn *conn, model_packet *packet) {
    const uint8_t *data;
    size_t size;
    while (conn->id != 0 && model_packet_next(packet, &data, &size)) {
        pln_chunk *chunk = pln_chunk_create(size);
        PLN_ASSERT(chunk != NULL);
        memcpy(chunk->data, data, size);
        chunk->end = size;
        conn->datagrams_in++;
        model_push_event(conn, &(pln_quic_event){.kind = PLN_QUIC_DATAGRAM, .datagram = chunk});
    }
}

/* The dialler speaks from elsewhere: we answer there, and it has to prove that it is there. */
static void follow(model_conn *conn, const pln_path *path) {
    if (conn->challenge_tries == 0) {
        conn->old_path = conn->path;
    }
    conn->path = *path;
    conn->challenge = pln_rng_u64(&conn->quic->config.rng);
    conn->challenge_tries = CHALLENGE_TRIES;
    conn->want_challenge = true;
}

static void take_response(model_conn *conn, const model_packet *packet, const pln_path *path) {
    if (conn->challenge_tries > 0 && packet->token == conn->challenge &&
        pln_path_equal(path, &conn->path)) {
        conn->challenge_tries = 0;
        conn->want_challenge = false;
        if (!pln_path_equal(&conn->old_path, &conn->path)) {
            model_push_event(conn, &(pln_quic_event){.kind = PLN_QUIC_PATH_CHANGED});
        }
    }
}

static void plan_ack(model_conn *conn, const model_packet *packet, bool asks) {
    if (!asks) {
        return;
    }
    conn->rx_unacked++;
    if (conn->rx_unacked >= ACK_EVERY || (packet->flags & (MODEL_F_PING | MODEL_F_DONE))) {
        conn->want_ack = true;
    } else {
        conn->ack_at = pln_ts_add(now_of(conn), MODEL_ACK_DELAY);
    }
}

static void take_data(model_conn *conn, const pln_datagram *datagram, model_packet *packet) {
    const bool newest = packet->number > conn->rx_largest;
    const bool asks = packet->datagrams_size > 0 || (packet->flags & ~MODEL_F_ACK & ~MODEL_F_CLOSE);
    const bool moved = !pln_path_equal(&datagram->path, &conn->path);
    if (moved && (!conn->inbound || !pln_addr_is_sendable(&datagram->path.remote))) {
        return; /* Only diallers move. */
    }
    model_ready(conn);
    if (!note_number(conn, packet->number)) {
        conn->want_ack |= asks;
        return;
    }
    conn->last_rx_at = conn->idle_from = conn->quiet_from = now_of(conn);
    conn->spoke_since = false;
    if (packet->flags & MODEL_F_CLOSE) {
        be_closed(conn, packet);
        return;
    }
    if (conn->state == MODEL_FINISHING) {
        connect(conn); /* All that an acceptor says before we confirm carries DONE. */
    }
    if (moved && newest) {
        follow(conn, &datagram->path);
    }
    if (packet->flags & MODEL_F_ACK) {
        take_ack(conn, packet);
    }
    if (packet->flags & MODEL_F_CHALLENGE) {
        conn->response = packet->token;
        conn->want_response = true;
    }
    if (packet->flags & MODEL_F_RESPONSE) {
        take_response(conn, packet, &datagram->path);
    }
    take_datagrams(conn, packet);
    plan_ack(conn, packet, asks);
}

void model_conn_receive(model_conn *conn, const pln_datagram *datagram, model_packet *packet) {
    conn->bytes_in += datagram->size;
    if (conn->state == MODEL_CLOSING) {
        conn->close_heard++;
        if ((conn->close_heard & (conn->close_heard - 1)) == 0) {
            conn->close_due = true;
            model_ready(conn);
        }
        return;
    }
    if (conn->state == MODEL_DRAINING) {
        return;
    }
    if (packet->type == MODEL_DATA) {
        if (conn->state == MODEL_LIVE || conn->state == MODEL_FINISHING) {
            take_data(conn, datagram, packet);
        }
        return;
    }
    if (!pln_path_equal(&datagram->path, &conn->path)) {
        return; /* Nobody moves during a handshake. */
    }
    conn->last_rx_at = now_of(conn);
    model_ready(conn);
    switch (packet->type) {
    case MODEL_ANSWER:
        take_answer(conn, packet);
        return;
    case MODEL_FINISH:
        take_finish(conn, packet);
        return;
    case MODEL_RETRY:
        take_retry(conn);
        return;
    case MODEL_REFUSE:
        if (conn->state != MODEL_LIVE) {
            be_refused(conn, packet->code);
        }
        return;
    case MODEL_HELLO:
    case MODEL_DATA:
    case MODEL_RESET:
        return;
    }
}

/* ---- Timers ---------------------------------------------------------------------------------- */

static pln_dur backed_off(const model_conn *conn) {
    const unsigned doublings = conn->pto_count < 16 ? conn->pto_count : 16;
    return model_pto(conn) << doublings;
}

/* As the real thing's: less than half of the idle timeout. */
static pln_dur keep_alive(const model_conn *conn) {
    const pln_quic_config *config = &conn->quic->config;
    const pln_dur share = config->idle_timeout / 30 * 13;
    return config->keep_alive < share ? config->keep_alive : share;
}

static pln_ts idle_at(const model_conn *conn) {
    const pln_dur least = 3 * model_pto(conn);
    const pln_dur idle = conn->quic->config.idle_timeout;
    return pln_ts_add(conn->idle_from, idle > least ? idle : least);
}

static pln_ts pto_at(const model_conn *conn) {
    return conn->eliciting != 0 ? pln_ts_add(conn->eliciting_at, backed_off(conn)) : PLN_TS_NEVER;
}

static pln_ts ack_due_at(const model_conn *conn) {
    return conn->rx_unacked > 0 ? conn->ack_at : PLN_TS_NEVER;
}

static pln_ts challenge_due_at(const model_conn *conn) {
    return conn->challenge_tries > 0 ? pln_ts_add(conn->challenge_at, 3 * model_pto(conn))
                                     : PLN_TS_NEVER;
}

static pln_ts probe_due_at(const model_conn *conn) {
    return conn->probe < PROBES ? conn->probe_at : PLN_TS_NEVER;
}

static pln_ts handshake_ends_at(const model_conn *conn) {
    return pln_ts_add(conn->started_at, conn->quic->config.handshake_timeout);
}

static pln_ts deadline(const model_conn *conn) {
    pln_ts at;
    switch (conn->state) {
    case MODEL_DIALLING:
    case MODEL_FINISHING:
    case MODEL_ANSWERED:
        return pln_ts_min(handshake_ends_at(conn), pto_at(conn));
    case MODEL_LIVE:
        at = pln_ts_min(idle_at(conn), pto_at(conn));
        at = pln_ts_min(at, pln_ts_add(conn->quiet_from, keep_alive(conn)));
        at = pln_ts_min(at, ack_due_at(conn));
        at = pln_ts_min(at, challenge_due_at(conn));
        return pln_ts_min(at, probe_due_at(conn));
    case MODEL_CLOSING:
    case MODEL_DRAINING:
        return conn->linger_until;
    case MODEL_GONE:
        break;
    }
    return PLN_TS_NEVER;
}

void model_conn_set_timer(model_conn *conn) {
    const bool set = pln_heap_set(&conn->quic->timers, &conn->timer, deadline(conn));
    PLN_ASSERT(set);
}

static void expire_handshake(model_conn *conn) {
    if (pln_ts_reached(handshake_ends_at(conn), now_of(conn))) {
        const bool inbound = conn->inbound;
        tell(conn, &(pln_quic_closed){.end = PLN_QUIC_END_HANDSHAKE, .err = POLLEN_ETIMEDOUT});
        if (inbound) {
            model_conn_leave(conn);
        } else {
            model_conn_close(conn, MODEL_CODE_APPLICATION,
                             conn->state == MODEL_FINISHING ? "" : NULL);
        }
        return;
    }
    conn->pto_count++;
    model_speak(conn);
}

static void expire_challenge(model_conn *conn) {
    if (--conn->challenge_tries > 0) {
        conn->want_challenge = true;
    } else {
        conn->path = conn->old_path; /* Whoever spoke from there is not there. */
    }
}

/* A larger packet that got lost several times is too large. */
static void expire_probe(model_conn *conn) {
    if (conn->probe_tries == PROBE_TRIES) {
        conn->probe++;
        conn->probe_tries = 0;
        conn->probe_number = 0;
    }
    while (conn->probe < PROBES && probe_sizes[conn->probe] <= conn->mtu) {
        conn->probe++;
    }
}

static void expire_live(model_conn *conn) {
    const pln_ts now = now_of(conn);
    if (pln_ts_reached(idle_at(conn), now)) {
        model_conn_end(conn, &(pln_quic_closed){.end = PLN_QUIC_END_IDLE, .err = POLLEN_ETIMEDOUT},
                       MODEL_GONE);
        return;
    }
    if (pln_ts_reached(pto_at(conn), now)) {
        conn->pto_count++;
        conn->want_ping = true;
    }
    if (pln_ts_reached(pln_ts_add(conn->quiet_from, keep_alive(conn)), now)) {
        conn->want_ping = true;
    }
    conn->want_ack |= pln_ts_reached(ack_due_at(conn), now) != 0;
    if (pln_ts_reached(challenge_due_at(conn), now)) {
        expire_challenge(conn);
    }
    if (pln_ts_reached(probe_due_at(conn), now)) {
        expire_probe(conn);
    }
    model_ready(conn);
}

void model_conn_expire(model_conn *conn) {
    switch (conn->state) {
    case MODEL_DIALLING:
    case MODEL_FINISHING:
    case MODEL_ANSWERED:
        expire_handshake(conn);
        return;
    case MODEL_LIVE:
        expire_live(conn);
        return;
    case MODEL_CLOSING:
    case MODEL_DRAINING:
        model_conn_leave(conn);
        return;
    case MODEL_GONE:
        return;
    }
}

/* ---- What goes out --------------------------------------------------------------------------- */

static void note_sent(model_conn *conn, uint32_t number) {
    const pln_ts now = now_of(conn);
    conn->eliciting = number;
    conn->eliciting_at = now;
    if (conn->timed == 0) {
        conn->timed = number;
        conn->timed_at = now;
    }
    if (!conn->spoke_since) {
        conn->spoke_since = true;
        conn->idle_from = now;
    }
    conn->quiet_from = now;
}

static size_t write_flight(model_conn *conn, uint8_t *buf) {
    const pln_quic *quic = conn->quic;
    if (conn->speak == 0) {
        return 0;
    }
    conn->speak--;
    model_packet packet = {.dcid = conn->peer_cid, .scid = conn->cid, .key = quic->key};
    size_t least = MODEL_HELLO_BYTES;
    const bool shows_cert = conn->alpn != PLN_ALPN_INVITE && quic->has_cert;
    if (conn->state == MODEL_DIALLING) {
        packet.type = MODEL_HELLO;
        packet.part = conn->proven;
        packet.alpns = conn->invite               ? 1 << PLN_ALPN_INVITE
                       : quic->config.only_mesh_1 ? 1 << PLN_ALPN_MESH_1
                                                  : 1 << PLN_ALPN_MESH_1 | 1 << PLN_ALPN_MESH_2;
    } else {
        packet.type = conn->state == MODEL_ANSWERED ? MODEL_ANSWER : MODEL_FINISH;
        packet.part = (uint8_t)conn->speak;
        least = conn->speak == 0 && conn->inbound ? 0 : least;
        packet.alpns = (uint8_t)(1 << conn->alpn);
        packet.cert = shows_cert ? quic->cert.data : NULL;
        packet.cert_size = shows_cert ? quic->cert.size : 0;
    }
    note_sent(conn, 1);
    return model_packet_seal(buf, model_packet_write(&packet, buf), least);
}

static size_t write_close(model_conn *conn, uint8_t *buf) {
    if (!conn->close_due) {
        return 0;
    }
    conn->close_due = false;
    model_packet packet = {.dcid = conn->peer_cid, .scid = conn->cid, .code = conn->close_code};
    if (conn->close_phrase == NULL) {
        packet.type = MODEL_REFUSE;
    } else {
        packet.type = MODEL_DATA;
        packet.number = ++conn->next_number;
        packet.flags = MODEL_F_CLOSE;
        packet.phrase = conn->close_phrase;
        packet.phrase_size = strlen(conn->close_phrase);
    }
    return model_packet_seal(buf, model_packet_write(&packet, buf), MODEL_DATA_BYTES_MIN);
}

static void note_tag(model_conn *conn, uint32_t number, uint64_t tag) {
    if (tag == 0) {
        return;
    }
    if (conn->tag_count == conn->tag_cap) {
        conn->tag_cap = conn->tag_cap == 0 ? 4 : 2 * conn->tag_cap;
        conn->tags = pln_realloc(conn->tags, conn->tag_cap * sizeof(model_tag));
        PLN_ASSERT(conn->tags != NULL);
    }
    conn->tags[conn->tag_count++] = (model_tag){.number = number, .tag = tag};
}

/* Returns the new size. */
static size_t append_datagrams(model_conn *conn, uint32_t number, uint8_t *buf, size_t size) {
    while (conn->tx_head != NULL) {
        model_outgoing *out = conn->tx_head;
        if (size + 2 + pln_chunk_size(out->chunk) > conn->mtu) {
            break;
        }
        size = model_packet_append(buf, size, out->chunk);
        note_tag(conn, number, out->tag);
        conn->tx_head = out->next;
        conn->tx_count--;
        conn->datagrams_out++;
        pln_chunk_destroy(out->chunk);
        pln_free(out);
    }
    return size;
}

static uint8_t take_flags(model_conn *conn, uint64_t *ret_token) {
    unsigned flags = conn->want_ping ? MODEL_F_PING : 0;
    flags |= conn->inbound && !conn->confirmed ? MODEL_F_DONE : 0;
    if (conn->want_challenge) {
        flags |= MODEL_F_CHALLENGE;
        *ret_token = conn->challenge;
        conn->challenge_at = now_of(conn);
        conn->want_challenge = false;
    } else if (conn->want_response) {
        flags |= MODEL_F_RESPONSE;
        *ret_token = conn->response;
        conn->want_response = false;
    }
    conn->want_ping = false;
    conn->speak = 0;
    return (uint8_t)flags;
}

/* A datagram that fills the packet leaves no room for it, and goes first. */
static void add_ack(model_conn *conn, model_packet *packet) {
    const model_outgoing *out = conn->tx_head;
    const size_t most = conn->mtu - MODEL_DATAGRAM_OVERHEAD - MODEL_ACK_BYTES;
    if (conn->rx_largest == 0 || (out != NULL && pln_chunk_size(out->chunk) > most)) {
        return;
    }
    packet->flags |= MODEL_F_ACK;
    packet->acked = conn->rx_largest;
    packet->acked_mask = conn->rx_mask;
    packet->ack_delay_us = (uint32_t)(pln_ts_since(conn->rx_largest_at, now_of(conn)) / 1000);
    conn->rx_unacked = 0;
    conn->want_ack = false;
}

static size_t write_data(model_conn *conn, uint8_t *buf) {
    const bool asks = conn->want_ping || conn->speak > 0 || conn->want_challenge ||
                      conn->want_response || conn->tx_head != NULL;
    if (!asks && !conn->want_ack) {
        return 0;
    }
    model_packet packet = {
        .type = MODEL_DATA, .dcid = conn->peer_cid, .number = ++conn->next_number};
    packet.flags = take_flags(conn, &packet.token);
    const bool eliciting = packet.flags != 0 || conn->tx_head != NULL;
    add_ack(conn, &packet);
    size_t size = model_packet_write(&packet, buf);
    size = append_datagrams(conn, packet.number, buf, size);
    if (eliciting) {
        note_sent(conn, packet.number);
    }
    return model_packet_seal(buf, size, MODEL_DATA_BYTES_MIN);
}

/* A probe that gets lost says something about its size only, so that it arms no other timer. */
static size_t write_probe(model_conn *conn, uint8_t *buf) {
    if (conn->probe >= PROBES || !pln_ts_reached(conn->probe_at, now_of(conn))) {
        return 0;
    }
    expire_probe(conn);
    if (conn->probe >= PROBES) {
        return 0;
    }
    model_packet packet = {.type = MODEL_DATA,
                           .dcid = conn->peer_cid,
                           .number = ++conn->next_number,
                           .flags = MODEL_F_PING};
    conn->probe_tries++;
    conn->probe_number = packet.number;
    conn->probe_at = pln_ts_add(now_of(conn), model_pto(conn));
    return model_packet_seal(buf, model_packet_write(&packet, buf), probe_sizes[conn->probe]);
}

size_t model_conn_write(model_conn *conn, uint8_t *buf) {
    switch (conn->state) {
    case MODEL_DIALLING:
    case MODEL_FINISHING:
    case MODEL_ANSWERED:
        return write_flight(conn, buf);
    case MODEL_LIVE: {
        const size_t size = write_data(conn, buf);
        return size > 0 ? size : write_probe(conn, buf);
    }
    case MODEL_CLOSING:
        return write_close(conn, buf);
    case MODEL_DRAINING:
    case MODEL_GONE:
        break;
    }
    return 0;
}
