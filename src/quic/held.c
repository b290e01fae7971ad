/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1-RTT packets that reach a dialler before it has sent the end of its handshake.  In that state
 * ngtcp2 1.11 takes frames that it is not ready for: a server that retires its first connection id
 * there, or says HANDSHAKE_DONE, makes it assert or follow a null pointer.  So such packets, which
 * a server may rightly send right behind its first flight, wait until that state is over.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "quic/internal.h"

/* The packets with long headers, which come first in a datagram. */
static size_t long_part(const uint8_t *data, size_t size) {
    size_t at = 0;
    while (at < size && (data[at] & 0x80) != 0) {
        ngtcp2_pkt_hd head;
        ngtcp2_ssize head_size = ngtcp2_pkt_decode_hd_long(&head, data + at, size - at);
        if (head_size <= 0 || head.type == NGTCP2_PKT_RETRY ||
            head.type == NGTCP2_PKT_VERSION_NEGOTIATION ||
            head.len > size - at - (size_t)head_size) {
            return size; /* Nothing can follow, or nothing that could be told apart. */
        }
        at += (size_t)head_size + head.len;
    }
    return at;
}

static void hold(quic_conn *conn, uint8_t ecn, const uint8_t *data, size_t size) {
    PLN_ASSERT(size > 0);
    PLN_ASSERT(conn->held_count <= PLN_EARLY_PACKETS_MAX);
    if (conn->held_count == PLN_EARLY_PACKETS_MAX) {
        return; /* A server's first flight has fewer; what is lost here is sent again. */
    }
    quic_held *held = pln_malloc(sizeof(*held) + size);
    if (held == NULL) {
        return;
    }
    held->next = NULL;
    held->ecn = ecn;
    held->size = size;
    memcpy(held->data, data, size);
    if (conn->held_last != NULL) {
        conn->held_last->next = held;
    } else {
        conn->held = held;
    }
    conn->held_last = held;
    conn->held_count++;
}

size_t pln_quic_hold_early(quic_conn *conn, const pln_datagram *datagram) {
    if (conn->inbound || conn->handshake_sent) {
        return datagram->size;
    }
    size_t now = long_part(datagram->data, datagram->size);
    bool known_path = pln_path_equal(&datagram->path, &conn->path);
    if (now < datagram->size && known_path) {
        hold(conn, datagram->ecn, datagram->data + now, datagram->size - now);
    }
    return now;
}

static quic_held *pop(quic_conn *conn) {
    quic_held *held = conn->held;
    if (held != NULL) {
        PLN_ASSERT(conn->held_count > 0);
        conn->held = held->next;
        conn->held_count--;
        if (conn->held == NULL) {
            conn->held_last = NULL;
        }
    }
    return held;
}

int pln_quic_read_held(quic_conn *conn) {
    int error = 0;
    quic_sockpath path;
    pln_quic_path_encode(&conn->path, &path);
    while (error == 0 && conn->held != NULL && conn->handshake_sent) {
        quic_held *held = pop(conn);
        ngtcp2_pkt_info info = {.ecn = held->ecn & NGTCP2_ECN_MASK};
        error = ngtcp2_conn_read_pkt(conn->ng, &path.path, &info, held->data, held->size,
                                     conn->quic->now.mono);
        pln_free(held);
    }
    return error;
}

void pln_quic_held_clear(quic_conn *conn) {
    for (quic_held *held = pop(conn); held != NULL; held = pop(conn)) {
        pln_free(held);
    }
}
