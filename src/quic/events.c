/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened, in an order that its owner can rely on: nothing of a connection before CONNECTED,
 * nothing after CLOSED.  Connections take turns, one event each.
 */
#include "base/assert.h"
#include "quic/internal.h"

/* ---- Noting ---------------------------------------------------------------------------------- */

void pln_quic_conn_event(quic_conn *conn, unsigned events) {
    PLN_ASSERT(conn->has_slot || !conn->ev_listed);
    pln_quic *quic = conn->quic;
    conn->events |= events;
    if (!conn->ev_listed && conn->has_slot) {
        conn->ev_listed = true;
        QUIC_LIST_PUSH(quic->ev_first, quic->ev_last, conn, ev);
    }
}

void pln_quic_conn_forget_events(quic_conn *conn) {
    pln_quic *quic = conn->quic;
    conn->events = 0;
    if (conn->ev_listed) {
        conn->ev_listed = false;
        QUIC_LIST_REMOVE(quic->ev_first, quic->ev_last, conn, ev);
    }
}

void pln_quic_stream_event(quic_stream *stream, unsigned events) {
    quic_conn *conn = stream->conn;
    stream->events |= events;
    if (!stream->ev_listed) {
        stream->ev_listed = true;
        QUIC_LIST_PUSH(conn->ev_streams_first, conn->ev_streams_last, stream, ev);
    }
    pln_quic_conn_event(conn, 0);
}

void pln_quic_stream_forget_events(quic_stream *stream) {
    quic_conn *conn = stream->conn;
    stream->events = 0;
    if (stream->ev_listed) {
        stream->ev_listed = false;
        QUIC_LIST_REMOVE(conn->ev_streams_first, conn->ev_streams_last, stream, ev);
    }
}

/* ---- Telling --------------------------------------------------------------------------------- */

static const struct {
    unsigned flag;
    pln_quic_event_kind kind;
} STREAM_ORDER[] = {
    {STREAM_EV_OPENED, PLN_QUIC_STREAM_OPENED},     {STREAM_EV_READABLE, PLN_QUIC_STREAM_READABLE},
    {STREAM_EV_RESET, PLN_QUIC_STREAM_RESET},       {STREAM_EV_STOPPED, PLN_QUIC_STREAM_STOPPED},
    {STREAM_EV_WRITABLE, PLN_QUIC_STREAM_WRITABLE}, {STREAM_EV_CLOSED, PLN_QUIC_STREAM_CLOSED},
};

/* The peer may open another only now, so that streams nobody reads keep counting against it. */
static void finish_stream(quic_stream *stream) {
    PLN_ASSERT(stream->events == 0);
    quic_conn *conn = stream->conn;
    if (conn->ng != NULL && ngtcp2_conn_is_local_stream(conn->ng, stream->key.stream) == 0) {
        ngtcp2_conn_extend_max_streams_bidi(conn->ng, 1);
        pln_quic_conn_ready(conn);
    }
    pln_quic_stream_destroy(stream);
}

static bool take_flag(quic_stream *stream, pln_quic_event *ret) {
    for (size_t i = 0; i < sizeof(STREAM_ORDER) / sizeof(STREAM_ORDER[0]); i++) {
        unsigned flag = STREAM_ORDER[i].flag;
        if ((stream->events & flag) == 0) {
            continue;
        }
        stream->events &= ~flag;
        ret->kind = STREAM_ORDER[i].kind;
        ret->stream = stream->key.stream;
        if (flag == STREAM_EV_RESET) {
            ret->code = stream->reset_code;
        } else if (flag == STREAM_EV_STOPPED) {
            ret->code = stream->stop_code;
        } else if (flag == STREAM_EV_CLOSED) {
            finish_stream(stream);
        }
        return true;
    }
    return false;
}

static bool take_stream_event(quic_conn *conn, pln_quic_event *ret) {
    while (conn->ev_streams_first != NULL) {
        quic_stream *stream = conn->ev_streams_first;
        if (take_flag(stream, ret)) {
            return true;
        }
        pln_quic_stream_forget_events(stream);
    }
    return false;
}

static bool take_conn_flag(quic_conn *conn, unsigned flag) {
    bool set = (conn->events & flag) != 0;
    conn->events &= ~flag;
    return set;
}

static bool take_datagram(quic_conn *conn, pln_quic_event *ret) {
    ret->datagram = pln_chunkq_pop(&conn->rx_datagrams);
    ret->kind = PLN_QUIC_DATAGRAM;
    return ret->datagram != NULL;
}

static bool take_acked(quic_conn *conn, pln_quic_event *ret) {
    if (conn->acked_count == 0) {
        return false;
    }
    ret->kind = PLN_QUIC_DATAGRAM_ACKED;
    ret->tag = conn->acked_tags[--conn->acked_count];
    return true;
}

static bool take_live_event(quic_conn *conn, pln_quic_event *ret) {
    if (take_conn_flag(conn, CONN_EV_CONNECTED)) {
        conn->told_connected = true;
        ret->kind = PLN_QUIC_CONNECTED;
        return true;
    }
    if (!conn->told_connected) {
        return false;
    }
    if (take_conn_flag(conn, CONN_EV_PATH)) {
        ret->kind = PLN_QUIC_PATH_CHANGED;
        return true;
    }
    if (take_datagram(conn, ret) || take_acked(conn, ret) || take_stream_event(conn, ret)) {
        return true;
    }
    if (take_conn_flag(conn, CONN_EV_STREAMS)) {
        ret->kind = PLN_QUIC_STREAMS_AVAILABLE;
        return true;
    }
    return false;
}

void pln_quic_end_farewell(pln_quic *quic) {
    quic_conn *conn = quic->farewell;
    if (conn == NULL) {
        return;
    }
    quic->farewell = NULL;
    pln_quic_streams_clear(conn);
    if (conn->linger == LINGER_NONE) {
        pln_quic_conn_destroy(conn);
    }
}

/* The last one.  What is not lingering on the wire is freed when the next event is asked for. */
static bool take_closed(quic_conn *conn, pln_quic_event *ret) {
    if (!take_conn_flag(conn, CONN_EV_CLOSED)) {
        return false;
    }
    ret->kind = PLN_QUIC_CLOSED;
    ret->closed = conn->closed;
    pln_quic_conn_forget_events(conn);
    pln_quic_conn_release_slot(conn);
    pln_chunkq_clear(&conn->rx_datagrams);
    PLN_ASSERT(conn->ng == NULL);
    PLN_ASSERT(conn->quic->farewell == NULL);
    conn->quic->farewell = conn;
    return true;
}

bool pln_quic_poll_event(pln_quic *quic, pln_quic_event *ret) {
    pln_quic_end_farewell(quic);
    while (quic->ev_first != NULL) {
        quic_conn *conn = quic->ev_first;
        PLN_ASSERT(conn->ev_listed);
        PLN_ASSERT(conn->has_slot);
        pln_quic_event event = {.conn = conn->id, .stream = -1};
        if (take_live_event(conn, &event)) {
            QUIC_LIST_REMOVE(quic->ev_first, quic->ev_last, conn, ev);
            QUIC_LIST_PUSH(quic->ev_first, quic->ev_last, conn, ev);
            *ret = event;
            return true;
        }
        if (take_closed(conn, &event)) {
            *ret = event;
            return true;
        }
        conn->ev_listed = false;
        QUIC_LIST_REMOVE(quic->ev_first, quic->ev_last, conn, ev);
    }
    return false;
}
