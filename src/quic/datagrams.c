/* SPDX-License-Identifier: Apache-2.0 */
/* DATAGRAM frames (RFC 9221): whole or not at all, one to a chunk. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "quic/internal.h"

enum { SENDQ_CAP_FIRST = 8, ACKED_CAP_FIRST = 16, ACKED_MAX = 4096 };

/* Around the payload: flags, a packet number of at most 4 bytes, frame type and 2-byte length, AEAD
 * tag; the connection id comes on top. */
enum { DATAGRAM_OVERHEAD = 1 + 4 + 3 + 16 };
enum { FRAME_OVERHEAD = 3 };

/* ---- The send queue -------------------------------------------------------------------------- */

quic_tagged *pln_quic_sendq_head(quic_sendq *q) {
    return q->count > 0 ? &q->slots[q->first] : NULL;
}

void pln_quic_sendq_pop(quic_sendq *q) {
    PLN_ASSERT(q->count > 0);
    pln_chunk_destroy(q->slots[q->first].chunk);
    q->first = (q->first + 1) % q->cap;
    q->count--;
}

void pln_quic_sendq_clear(quic_sendq *q) {
    while (q->count > 0) {
        pln_quic_sendq_pop(q);
    }
    pln_free(q->slots);
    *q = (quic_sendq){.slots = NULL};
}

static bool grow(quic_sendq *q) {
    PLN_ASSERT(q->count == q->cap);
    size_t cap = q->cap == 0 ? SENDQ_CAP_FIRST : 2 * q->cap;
    quic_tagged *slots = pln_calloc(cap, sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < q->count; i++) {
        slots[i] = q->slots[(q->first + i) % q->cap];
    }
    pln_free(q->slots);
    q->slots = slots;
    q->cap = cap;
    q->first = 0;
    return true;
}

static bool push(quic_sendq *q, pln_chunk *chunk, uint64_t tag) {
    PLN_ASSERT(q->count <= q->cap);
    PLN_ASSERT(q->count <= PLN_DATAGRAM_SENDQ_MAX);
    if (q->count == PLN_DATAGRAM_SENDQ_MAX || (q->count == q->cap && !grow(q))) {
        return false;
    }
    q->slots[(q->first + q->count) % q->cap] = (quic_tagged){.chunk = chunk, .tag = tag};
    q->count++;
    return true;
}

/* ---- The interface --------------------------------------------------------------------------- */

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

size_t pln_quic_datagram_limit(const quic_conn *conn) {
    if (conn->ng == NULL || !conn->connected) {
        return 0;
    }
    const ngtcp2_transport_params *remote = ngtcp2_conn_get_remote_transport_params(conn->ng);
    if (remote == NULL || remote->max_datagram_frame_size <= FRAME_OVERHEAD) {
        return 0;
    }
    uint64_t peer_max = remote->max_datagram_frame_size - FRAME_OVERHEAD;
    size_t packet = ngtcp2_conn_get_path_max_tx_udp_payload_size(conn->ng);
    if (remote->max_udp_payload_size > 0 && remote->max_udp_payload_size < packet) {
        packet = (size_t)remote->max_udp_payload_size;
    }
    size_t overhead = DATAGRAM_OVERHEAD + ngtcp2_conn_get_dcid(conn->ng)->datalen;
    size_t limit = packet > overhead ? packet - overhead : 0;
    limit = min_size(limit, PLN_ENVELOPE_BYTES_MAX);
    return peer_max < limit ? (size_t)peer_max : limit;
}

size_t pln_quic_datagram_max(const pln_quic *quic, pln_conn_id id) {
    const quic_conn *conn = pln_quic_conn_find(quic, id);
    return conn != NULL ? pln_quic_datagram_limit(conn) : 0;
}

pollen_err pln_quic_send_datagram(pln_quic *quic, pln_conn_id id, pln_chunk *chunk, uint64_t tag) {
    quic_conn *conn = pln_quic_conn_find(quic, id);
    if (conn == NULL || conn->ng == NULL) {
        return POLLEN_ENOENT;
    }
    size_t size = pln_chunk_size(chunk);
    if (size == 0 || size > pln_quic_datagram_limit(conn)) {
        return POLLEN_EMSGSIZE;
    }
    if (!push(&conn->tx_datagrams, chunk, tag)) {
        return POLLEN_EAGAIN;
    }
    pln_quic_conn_ready(conn);
    return POLLEN_OK;
}

/* ---- From the network ------------------------------------------------------------------------ */

bool pln_quic_datagram_received(quic_conn *conn, const uint8_t *data, size_t size) {
    pln_chunk *chunk = NULL;
    if (conn->rx_datagrams.count < PLN_DATAGRAM_RECVQ_MAX) {
        chunk = pln_chunk_create(size);
    }
    if (chunk == NULL) {
        conn->datagrams_dropped++;
        return false;
    }
    if (size > 0) {
        memcpy(chunk->data, data, size);
    }
    chunk->end = size;
    conn->datagrams_in++;
    pln_chunkq_push(&conn->rx_datagrams, chunk);
    pln_quic_conn_event(conn, 0);
    return true;
}

/* A lost note is like a lost acknowledgement: the owner must bear it anyway. */
void pln_quic_datagram_acked(quic_conn *conn, uint64_t tag) {
    PLN_ASSERT(conn->acked_count <= conn->acked_cap);
    if (tag == 0 || conn->acked_count == ACKED_MAX) {
        return;
    }
    if (conn->acked_count == conn->acked_cap) {
        size_t cap = conn->acked_cap == 0 ? ACKED_CAP_FIRST : 2 * conn->acked_cap;
        uint64_t *tags = pln_realloc(conn->acked_tags, cap * sizeof(*tags));
        if (tags == NULL) {
            return;
        }
        conn->acked_tags = tags;
        conn->acked_cap = cap;
    }
    conn->acked_tags[conn->acked_count++] = tag;
    pln_quic_conn_event(conn, 0);
}
