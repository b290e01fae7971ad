/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling packets.  One turn of a connection makes one batch of equally sized packets to one place,
 * which the system sends with a single call.  Within a packet datagrams come first, then streams in
 * turn, then whatever the library itself has to say; a packet is never left half made, because
 * nothing else may be done with the connection until it is finished.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "quic/internal.h"

enum { STREAM_VECTORS = 16 };

typedef struct packet {
    ngtcp2_path_storage path;
    ngtcp2_pkt_info info;
    uint8_t *data;
    size_t cap;
} packet;

/* ---- One packet ------------------------------------------------------------------------------ */

/* What a step of filling a packet came to. */
enum { STEP_AGAIN = -1 }; /* Otherwise the packet's size, 0 or an error of ngtcp2 (below -200). */

/* Queued before the path shrank: such a datagram would block the queue for ever. */
static void drop_oversized(quic_conn *conn) {
    quic_tagged *head = pln_quic_sendq_head(&conn->tx_datagrams);
    size_t limit = head != NULL ? pln_quic_datagram_limit(conn) : 0;
    while (head != NULL && pln_chunk_size(head->chunk) > limit) {
        conn->datagrams_dropped++;
        pln_quic_sendq_pop(&conn->tx_datagrams);
        head = pln_quic_sendq_head(&conn->tx_datagrams);
    }
}

static ngtcp2_ssize write_datagram(quic_conn *conn, packet *out) {
    quic_tagged *head = pln_quic_sendq_head(&conn->tx_datagrams);
    pln_chunk *chunk = head->chunk;
    bool more = conn->tx_datagrams.count > 1 || conn->ready_streams_first != NULL;
    ngtcp2_vec vec = {chunk->data + chunk->begin, pln_chunk_size(chunk)};
    int accepted = 0;
    PLN_ASSERT(vec.len > 0); /* ngtcp2 1.11 aborts on an empty one. */
    ngtcp2_ssize result = ngtcp2_conn_writev_datagram(
        conn->ng, &out->path.path, &out->info, out->data, out->cap, &accepted,
        more ? NGTCP2_WRITE_DATAGRAM_FLAG_MORE : NGTCP2_WRITE_DATAGRAM_FLAG_NONE, head->tag, &vec,
        1, conn->quic->now.mono);
    if (accepted != 0) {
        conn->datagrams_out++;
        pln_quic_sendq_pop(&conn->tx_datagrams);
    }
    switch (result) {
    case NGTCP2_ERR_WRITE_MORE:
        return STEP_AGAIN;
    case NGTCP2_ERR_INVALID_ARGUMENT:
    case NGTCP2_ERR_INVALID_STATE:
        /* Too large for the peer, or it takes none. */
        conn->datagrams_dropped++;
        pln_quic_sendq_pop(&conn->tx_datagrams);
        return STEP_AGAIN;
    default:
        return result;
    }
}

/* The next stream that may send within the connection's window; one that has nothing but its end to
 * send needs no window. */
static quic_stream *next_stream(const quic_conn *conn) {
    bool window = ngtcp2_conn_get_max_data_left(conn->ng) > 0;
    for (quic_stream *stream = conn->ready_streams_first; stream != NULL;
         stream = stream->ready_next) {
        if (window || stream->tx_cursor == NULL) {
            return stream;
        }
    }
    return NULL;
}

static ngtcp2_ssize write_stream(quic_conn *conn, quic_stream *stream, packet *out) {
    ngtcp2_vec vec[STREAM_VECTORS];
    bool fin = false;
    size_t count = pln_quic_stream_peek(stream, vec, STREAM_VECTORS, out->cap, &fin);
    ngtcp2_ssize taken = -1;
    uint32_t flags = fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : NGTCP2_WRITE_STREAM_FLAG_NONE;
    if (conn->ready_streams_first != conn->ready_streams_last) {
        flags |= NGTCP2_WRITE_STREAM_FLAG_MORE;
    }
    ngtcp2_ssize result = ngtcp2_conn_writev_stream(
        conn->ng, &out->path.path, &out->info, out->data, out->cap, &taken, flags,
        stream->key.stream, vec, count, conn->quic->now.mono);
    if (taken >= 0) {
        size_t offered = 0;
        for (size_t i = 0; i < count; i++) {
            offered += vec[i].len;
        }
        pln_quic_stream_sent(stream, (size_t)taken, fin && (size_t)taken == offered);
    }
    switch (result) {
    case NGTCP2_ERR_WRITE_MORE:
        return STEP_AGAIN;
    case NGTCP2_ERR_STREAM_DATA_BLOCKED:
        pln_quic_stream_unready(stream); /* Until the peer grants more. */
        return STEP_AGAIN;
    case NGTCP2_ERR_STREAM_SHUT_WR:
    case NGTCP2_ERR_STREAM_NOT_FOUND:
        pln_quic_stream_was_stopped(stream, 0);
        return STEP_AGAIN;
    default:
        return result;
    }
}

/* The next stream that has sent something and waits, be it for its owner or for credit. */
static quic_stream *next_quiet(quic_conn *conn) {
    quic_stream *start = conn->quiet != NULL ? conn->quiet : conn->streams_first;
    quic_stream *stream = start;
    while (stream != NULL) {
        quic_stream *next = stream->all_next != NULL ? stream->all_next : conn->streams_first;
        if (stream->attached && stream->tx_any_sent && !stream->tx_closed && !stream->tx_fin_sent) {
            conn->quiet = next;
            return stream;
        }
        stream = next == start ? NULL : next;
    }
    return NULL;
}

/* ngtcp2 1.11 does not tell of a STOP_SENDING; it only refuses the next write.  Writing nothing to
 * a stream that has sent before is the same as writing for no stream, so that each last write also
 * asks one of the silent streams. */
static ngtcp2_ssize write_rest(quic_conn *conn, packet *out) {
    quic_stream *quiet = next_quiet(conn);
    int64_t id = quiet != NULL ? quiet->key.stream : -1;
    ngtcp2_ssize result =
        ngtcp2_conn_writev_stream(conn->ng, &out->path.path, &out->info, out->data, out->cap, NULL,
                                  NGTCP2_WRITE_STREAM_FLAG_NONE, id, NULL, 0, conn->quic->now.mono);
    if (result == NGTCP2_ERR_STREAM_SHUT_WR || result == NGTCP2_ERR_STREAM_NOT_FOUND) {
        pln_quic_stream_was_stopped(quiet, 0);
        return STEP_AGAIN;
    }
    return result;
}

static ngtcp2_ssize write_step(quic_conn *conn, packet *out) {
    drop_oversized(conn);
    if (conn->connected && conn->tx_datagrams.count > 0) {
        return write_datagram(conn, out);
    }
    quic_stream *stream = next_stream(conn);
    return stream != NULL ? write_stream(conn, stream, out) : write_rest(conn, out);
}

/* The packet's size, 0 when there is none to send now, or an error of ngtcp2. */
static ngtcp2_ssize write_packet(quic_conn *conn, packet *out) {
    ngtcp2_ssize result = STEP_AGAIN;
    while (result == STEP_AGAIN) {
        result = write_step(conn, out);
    }
    return result;
}

/* ---- A batch --------------------------------------------------------------------------------- */

static void describe(const quic_conn *conn, const packet *out, size_t size, pln_transmit *ret) {
    *ret = (pln_transmit){.path = pln_quic_path_decode(&out->path.path),
                          .ecn = out->info.ecn,
                          .size = size,
                          .segment = size};
    if (pln_path_equal(&ret->path, &conn->hint_path)) {
        ret->local = conn->hint_local;
    }
}

static bool same_place(const pln_transmit *a, const pln_transmit *b) {
    return pln_path_equal(&a->path, &b->path) && a->ecn == b->ecn;
}

/* Made already, and counted as sent by the library: keeps it for the next call. */
static void stash(pln_quic *quic, const uint8_t *data, const pln_transmit *to) {
    PLN_ASSERT(quic->stash_size == 0);
    PLN_ASSERT(to->size <= sizeof(quic->stash));
    memcpy(quic->stash, data, to->size);
    quic->stash_size = to->size;
    quic->stash_to = *to;
}

typedef enum batch_end {
    BATCH_MORE,  /* Full; the connection may have more to say. */
    BATCH_DRY,   /* It has nothing more to say now. */
    BATCH_ERROR, /* *ret_error holds why. */
} batch_end;

typedef struct batch {
    uint8_t *buf;
    pln_transmit to; /* size 0: nothing yet. */
    size_t quantum;  /* Bytes that may go in one burst. */
    size_t segments;
    int error;
} batch;

/* Whether one more packet may follow in this batch. */
static bool has_room(const batch *b) {
    return b->to.size + b->to.segment <= b->quantum && b->segments < PLN_TRANSMIT_SEGMENTS;
}

/* Adds a packet that lies right behind the others; false when the batch ends with it or before
 * it. */
static bool add_packet(quic_conn *conn, batch *b, const pln_transmit *to) {
    if (b->to.size == 0) {
        b->to = *to;
        b->segments = 1;
        /* A probe for a larger MTU goes alone, because it may be the one packet that is too
         * large. */
        return to->size <= ngtcp2_conn_get_path_max_tx_udp_payload_size(conn->ng);
    }
    if (!same_place(&b->to, to) || to->size > b->to.segment) {
        stash(conn->quic, b->buf + b->to.size, to);
        return false;
    }
    b->to.size += to->size;
    b->segments++;
    return to->size == b->to.segment;
}

static batch_end fill_batch(quic_conn *conn, batch *b) {
    for (;;) {
        packet out = {.data = b->buf + b->to.size, .cap = PLN_TRANSMIT_BYTES - b->to.size};
        ngtcp2_path_storage_zero(&out.path);
        if (out.cap > QUIC_UDP_BYTES_MAX) {
            out.cap = QUIC_UDP_BYTES_MAX;
        }
        ngtcp2_ssize size = write_packet(conn, &out);
        if (size < 0) {
            b->error = (int)size;
            return BATCH_ERROR;
        }
        if (size == 0) {
            return BATCH_DRY;
        }
        pln_transmit to;
        describe(conn, &out, (size_t)size, &to);
        if (!add_packet(conn, b, &to) || !has_room(b)) {
            return BATCH_MORE;
        }
    }
}

static uint64_t bytes_in_flight(const quic_conn *conn) {
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info(conn->ng, &info);
    return info.bytes_in_flight;
}

/* A PING is what ngtcp2 sends when the keep-alive time is over: for this batch it always is.  What
 * is in flight grows only by packets that the peer must acknowledge. */
static batch_end fill_with_ping(quic_conn *conn, batch *b) {
    if (!conn->ping || !conn->connected) {
        return fill_batch(conn, b);
    }
    size_t mtu = ngtcp2_conn_get_path_max_tx_udp_payload_size(conn->ng);
    uint64_t before = bytes_in_flight(conn);
    ngtcp2_conn_set_keep_alive_timeout(conn->ng, 1);
    batch_end end = fill_batch(conn, b);
    ngtcp2_conn_set_keep_alive_timeout(conn->ng, conn->keep_alive);
    if (bytes_in_flight(conn) > before && b->to.segment <= mtu) {
        conn->ping = false;
    }
    return end;
}

/* What must happen before the connection may speak; false when it ended. */
static bool prepare(quic_conn *conn) {
    pln_ts now = conn->quic->now.mono;
    if (conn->tls_over) {
        conn->tls_over = false;
        pln_quic_tls_close(conn);
    }
    int error = pln_quic_read_held(conn);
    if (error == 0 && pln_ts_reached(ngtcp2_conn_get_expiry(conn->ng), now)) {
        error = ngtcp2_conn_handle_expiry(conn->ng, now);
    }
    if (error != 0) {
        pln_quic_conn_fail(conn, error);
    }
    return error == 0;
}

static void account(quic_conn *conn, const batch *b) {
    size_t sent = b->to.size + conn->quic->stash_size;
    if (sent > 0) {
        conn->bytes_out += sent;
        conn->last_tx_at = conn->quic->now.mono;
    }
    ngtcp2_conn_update_pkt_tx_time(conn->ng, conn->quic->now.mono);
}

static size_t quantum_of(const quic_conn *conn) {
    size_t quantum = ngtcp2_conn_get_send_quantum(conn->ng);
    return quantum < PLN_TRANSMIT_BYTES ? quantum : PLN_TRANSMIT_BYTES;
}

bool pln_quic_conn_transmit(quic_conn *conn, uint8_t *buf, pln_transmit *ret) {
    if (conn->ng == NULL) {
        return pln_quic_linger_transmit(conn, buf, ret);
    }
    pln_quic_conn_unready(conn);
    if (!prepare(conn)) {
        return false;
    }
    batch b = {.buf = buf, .quantum = quantum_of(conn)};
    batch_end end = fill_with_ping(conn, &b);
    account(conn, &b);
    *ret = b.to;
    switch (end) {
    case BATCH_MORE:
        pln_quic_conn_ready(conn);
        break;
    case BATCH_DRY:
        if (conn->held != NULL && conn->handshake_sent) {
            pln_quic_conn_ready(conn); /* What was held back may be read now. */
        }
        pln_quic_conn_set_timer(conn);
        break;
    case BATCH_ERROR:
        pln_quic_conn_fail(conn, b.error);
        break;
    }
    return b.to.size > 0;
}
