/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams.  What is sent stays in its chunks until it is acknowledged; what is received waits in
 * chunks that are filled up before another is made, so that a peer that sends single bytes costs no
 * more than one that sends full packets.  Credit goes back to the peer when the owner takes a
 * chunk.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "quic/internal.h"

/* Small while little waits: most streams are short.  Large when the owner lags behind. */
enum { RX_CHUNK_SMALL = 2048, RX_CHUNK_LARGE = 16384 };

/* ---- Life ------------------------------------------------------------------------------------ */

static quic_stream *find(const pln_quic *quic, pln_conn_id conn, int64_t id) {
    quic_stream_key key;
    memset(&key, 0, sizeof(key)); /* Padding is hashed, if there is any. */
    key.conn = conn;
    key.stream = id;
    quic_stream *stream = NULL;
    PLN_MAP_FIND(&quic->hash_key, quic->streams, &key, sizeof(key), stream);
    return stream;
}

quic_stream *pln_quic_stream_create(quic_conn *conn, int64_t id) {
    PLN_ASSERT(id >= 0);
    pln_quic *quic = conn->quic;
    quic_stream *stream = pln_calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return NULL;
    }
    stream->key.conn = conn->id;
    stream->key.stream = id;
    stream->conn = conn;
    stream->attached = true;
    PLN_MAP_ADD(&quic->hash_key, quic->streams, key, sizeof(stream->key), stream);
    if (!PLN_MAP_ADDED(stream)) {
        pln_free(stream);
        return NULL;
    }
    QUIC_LIST_PUSH(conn->streams_first, conn->streams_last, stream, all);
    return stream;
}

void pln_quic_stream_destroy(quic_stream *stream) {
    quic_conn *conn = stream->conn;
    pln_quic_stream_unready(stream);
    pln_quic_stream_forget_events(stream);
    if (conn->quiet == stream) {
        conn->quiet = stream->all_next;
    }
    QUIC_LIST_REMOVE(conn->streams_first, conn->streams_last, stream, all);
    HASH_DEL(conn->quic->streams, stream);
    pln_chunk_destroy_list(stream->tx_head);
    pln_chunkq_clear(&stream->rx);
    pln_free(stream);
}

void pln_quic_streams_clear(quic_conn *conn) {
    while (conn->streams_first != NULL) {
        pln_quic_stream_destroy(conn->streams_first);
    }
}

void pln_quic_stream_ready(quic_stream *stream) {
    quic_conn *conn = stream->conn;
    if (!stream->ready) {
        stream->ready = true;
        QUIC_LIST_PUSH(conn->ready_streams_first, conn->ready_streams_last, stream, ready);
    }
    pln_quic_conn_ready(conn);
}

void pln_quic_stream_unready(quic_stream *stream) {
    quic_conn *conn = stream->conn;
    if (stream->ready) {
        stream->ready = false;
        QUIC_LIST_REMOVE(conn->ready_streams_first, conn->ready_streams_last, stream, ready);
    }
}

/* Both sides are over and everything was handed on: nobody needs it any more. */
static void maybe_finish(quic_stream *stream) {
    bool drained = stream->rx_closed || stream->rx_fin_read;
    if (!stream->attached && drained) {
        pln_quic_stream_event(stream, STREAM_EV_CLOSED);
    }
}

/* ---- Opening --------------------------------------------------------------------------------- */

pollen_err pln_quic_stream_open(pln_quic *quic, pln_conn_id id, int64_t *ret_stream) {
    quic_conn *conn = pln_quic_conn_find(quic, id);
    if (conn == NULL || conn->ng == NULL) {
        return POLLEN_ENOENT;
    }
    if (!conn->connected || ngtcp2_conn_get_streams_bidi_left(conn->ng) == 0) {
        conn->streams_wanted = true;
        return POLLEN_EAGAIN;
    }
    int64_t stream_id = -1;
    if (ngtcp2_conn_open_bidi_stream(conn->ng, &stream_id, NULL) != 0) {
        return POLLEN_EAGAIN;
    }
    quic_stream *stream = pln_quic_stream_create(conn, stream_id);
    if (stream == NULL) {
        /* Nothing of it has been sent: the number is lost, and the peer will not miss it. */
        (void)ngtcp2_conn_shutdown_stream(conn->ng, 0, stream_id, 0);
        return POLLEN_EAGAIN;
    }
    (void)ngtcp2_conn_set_stream_user_data(conn->ng, stream_id, stream); /* It exists. */
    *ret_stream = stream_id;
    return POLLEN_OK;
}

/* ---- Sending --------------------------------------------------------------------------------- */

bool pln_quic_stream_wants(const quic_stream *stream) {
    return stream->attached && !stream->tx_closed &&
           (stream->tx_cursor != NULL || (stream->tx_fin_queued && !stream->tx_fin_sent));
}

static void append(quic_stream *stream, pln_chunk *chunk) {
    PLN_ASSERT(!stream->tx_fin_queued);
    PLN_ASSERT(!stream->tx_closed);
    PLN_ASSERT((stream->tx_head == NULL) == (stream->tx_tail == NULL));
    chunk->next = NULL;
    if (stream->tx_tail != NULL) {
        stream->tx_tail->next = chunk;
    } else {
        stream->tx_head = chunk;
        stream->tx_head_acked = 0;
    }
    stream->tx_tail = chunk;
    if (stream->tx_cursor == NULL) {
        stream->tx_cursor = chunk;
        stream->tx_cursor_sent = 0;
    }
    stream->tx_unacked += pln_chunk_size(chunk);
    if (stream->tx_unacked >= PLN_STREAM_SEND_LOW) {
        stream->tx_full = true;
    }
}

pollen_err pln_quic_stream_send(pln_quic *quic, pln_conn_id conn_id, int64_t id, pln_chunk *chunk,
                                bool fin) {
    quic_stream *stream = find(quic, conn_id, id);
    if (stream == NULL) {
        return POLLEN_ENOENT;
    }
    if (stream->tx_closed || stream->tx_fin_queued || stream->conn->ng == NULL) {
        return POLLEN_ECLOSED;
    }
    if (chunk != NULL && pln_chunk_size(chunk) > 0) {
        append(stream, chunk);
    } else {
        pln_chunk_destroy(chunk);
    }
    stream->tx_fin_queued = fin;
    if (pln_quic_stream_wants(stream)) {
        pln_quic_stream_ready(stream);
    }
    return POLLEN_OK;
}

size_t pln_quic_stream_unacked(const pln_quic *quic, pln_conn_id conn, int64_t id) {
    const quic_stream *stream = find(quic, conn, id);
    return stream != NULL ? stream->tx_unacked : 0;
}

size_t pln_quic_stream_peek(const quic_stream *stream, ngtcp2_vec *vec, size_t count, size_t bytes,
                            bool *ret_fin) {
    PLN_ASSERT(stream->tx_cursor == NULL ||
               stream->tx_cursor_sent < pln_chunk_size(stream->tx_cursor));
    size_t used = 0;
    size_t offered = 0;
    size_t skip = stream->tx_cursor_sent;
    pln_chunk *chunk = stream->tx_cursor;
    for (; chunk != NULL && used < count && offered < bytes; chunk = chunk->next) {
        vec[used].base = chunk->data + chunk->begin + skip;
        vec[used].len = pln_chunk_size(chunk) - skip;
        offered += vec[used].len;
        used++;
        skip = 0;
    }
    *ret_fin = chunk == NULL && stream->tx_fin_queued;
    return used;
}

void pln_quic_stream_sent(quic_stream *stream, size_t bytes, bool fin) {
    quic_conn *conn = stream->conn;
    stream->tx_any_sent = true;
    stream->tx_fin_sent = stream->tx_fin_sent || fin;
    while (stream->tx_cursor != NULL) {
        size_t left = pln_chunk_size(stream->tx_cursor) - stream->tx_cursor_sent;
        if (bytes < left) {
            stream->tx_cursor_sent += bytes;
            break;
        }
        bytes -= left;
        stream->tx_cursor = stream->tx_cursor->next;
        stream->tx_cursor_sent = 0;
    }
    PLN_ASSERT(stream->tx_cursor != NULL || bytes == 0);
    pln_quic_stream_unready(stream);
    if (pln_quic_stream_wants(stream)) {
        /* Behind the others: each gets a packet in turn. */
        stream->ready = true;
        QUIC_LIST_PUSH(conn->ready_streams_first, conn->ready_streams_last, stream, ready);
    }
}

void pln_quic_stream_acked(quic_stream *stream, uint64_t bytes) {
    PLN_ASSERT(bytes <= stream->tx_unacked);
    stream->tx_unacked -= (size_t)bytes;
    stream->tx_head_acked += (size_t)bytes;
    while (stream->tx_head != NULL && stream->tx_head != stream->tx_cursor &&
           stream->tx_head_acked >= pln_chunk_size(stream->tx_head)) {
        pln_chunk *chunk = stream->tx_head;
        stream->tx_head_acked -= pln_chunk_size(chunk);
        stream->tx_head = chunk->next;
        if (stream->tx_head == NULL) {
            stream->tx_tail = NULL;
        }
        pln_chunk_destroy(chunk);
    }
    if (stream->tx_full && stream->tx_unacked < PLN_STREAM_SEND_LOW) {
        stream->tx_full = false;
        if (!stream->tx_closed) {
            pln_quic_stream_event(stream, STREAM_EV_WRITABLE);
        }
    }
}

/* What has been sent must stay until ngtcp2 lets go of it; the rest will never be sent. */
static void drop_unsent(quic_stream *stream) {
    stream->tx_closed = true;
    pln_quic_stream_unready(stream);
    pln_chunk *cursor = stream->tx_cursor;
    if (cursor == NULL) {
        return;
    }
    pln_chunk *unsent = cursor->next;
    cursor->next = NULL;
    stream->tx_tail = cursor;
    for (const pln_chunk *chunk = unsent; chunk != NULL; chunk = chunk->next) {
        PLN_ASSERT(stream->tx_unacked >= pln_chunk_size(chunk));
        stream->tx_unacked -= pln_chunk_size(chunk);
    }
    pln_chunk_destroy_list(unsent);
}

void pln_quic_stream_reset(pln_quic *quic, pln_conn_id conn_id, int64_t id, uint64_t code) {
    quic_stream *stream = find(quic, conn_id, id);
    if (stream == NULL || stream->tx_closed) {
        return;
    }
    drop_unsent(stream);
    if (stream->attached && stream->conn->ng != NULL) {
        /* Fails only without memory, and then the next write will find the same. */
        (void)ngtcp2_conn_shutdown_stream_write(stream->conn->ng, 0, id, code);
        pln_quic_conn_ready(stream->conn);
    }
}

void pln_quic_stream_was_stopped(quic_stream *stream, uint64_t code) {
    if (!stream->tx_closed) {
        drop_unsent(stream);
        stream->stop_code = code;
        pln_quic_stream_event(stream, STREAM_EV_STOPPED);
    }
}

/* ---- Receiving ------------------------------------------------------------------------------- */

static void tell_readable(quic_stream *stream) {
    if (!stream->rx_told) {
        stream->rx_told = true;
        pln_quic_stream_event(stream, STREAM_EV_READABLE);
    }
}

bool pln_quic_stream_received(quic_stream *stream, const uint8_t *data, size_t size, bool fin) {
    size_t cap = stream->rx.bytes < RX_CHUNK_SMALL ? RX_CHUNK_SMALL : RX_CHUNK_LARGE;
    if (size > 0 && pln_chunkq_append(&stream->rx, data, size, cap) != 0) {
        return false;
    }
    stream->rx_fin = stream->rx_fin || fin;
    tell_readable(stream);
    return true;
}

static void give_credit(quic_stream *stream, size_t bytes) {
    ngtcp2_conn *ng = stream->conn->ng;
    if (ng == NULL || bytes == 0) {
        return;
    }
    if (stream->attached && !stream->rx_closed) {
        /* Fails only without memory; the stream then stalls until the peer gives up. */
        (void)ngtcp2_conn_extend_max_stream_offset(ng, stream->key.stream, bytes);
    }
    ngtcp2_conn_extend_max_offset(ng, bytes);
    pln_quic_conn_ready(stream->conn);
}

pln_chunk *pln_quic_stream_recv(pln_quic *quic, pln_conn_id conn_id, int64_t id, bool *ret_fin) {
    quic_stream *stream = find(quic, conn_id, id);
    *ret_fin = false;
    if (stream == NULL || stream->rx_closed) {
        return NULL;
    }
    pln_chunk *chunk = pln_chunkq_pop(&stream->rx);
    if (chunk != NULL) {
        give_credit(stream, pln_chunk_size(chunk));
    }
    if (stream->rx.head == NULL) {
        stream->rx_told = false;
        if (stream->rx_fin) {
            *ret_fin = true;
            stream->rx_fin_read = true;
            stream->rx_told = true; /* There is nothing left to tell. */
            maybe_finish(stream);
        }
    }
    return chunk;
}

static void drop_received(quic_stream *stream) {
    give_credit(stream, stream->rx.bytes);
    stream->rx_closed = true;
    stream->events &= ~(unsigned)STREAM_EV_READABLE;
    pln_chunkq_clear(&stream->rx);
}

void pln_quic_stream_stop(pln_quic *quic, pln_conn_id conn_id, int64_t id, uint64_t code) {
    quic_stream *stream = find(quic, conn_id, id);
    if (stream == NULL || stream->rx_closed) {
        return;
    }
    drop_received(stream);
    if (stream->attached && stream->conn->ng != NULL) {
        (void)ngtcp2_conn_shutdown_stream_read(stream->conn->ng, 0, id, code); /* As for reset. */
        pln_quic_conn_ready(stream->conn);
    }
    maybe_finish(stream);
}

void pln_quic_stream_was_reset(quic_stream *stream, uint64_t code) {
    if (stream->rx_closed || stream->rx_fin_read) {
        return;
    }
    drop_received(stream);
    stream->reset_code = code;
    pln_quic_stream_event(stream, STREAM_EV_RESET);
}

/* ngtcp2 is done with it: both sides ended, and ours is acknowledged. */
void pln_quic_stream_detached(quic_stream *stream, bool has_code, uint64_t code) {
    stream->attached = false;
    if (has_code && (stream->events & STREAM_EV_STOPPED) != 0) {
        stream->stop_code = code;
    }
    pln_quic_stream_unready(stream);
    pln_chunk_destroy_list(stream->tx_head);
    stream->tx_head = NULL;
    stream->tx_tail = NULL;
    stream->tx_cursor = NULL;
    stream->tx_unacked = 0;
    stream->tx_closed = true;
    maybe_finish(stream);
}
