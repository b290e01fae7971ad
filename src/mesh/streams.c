/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: ids that outlive their session, the two-byte port, and what is reported of them.
 *
 * A stream is its own node in the queue of events and keeps as flags what there is to tell, so
 * that no event of it can be lost and none is told twice.  One that a peer opened is unknown to
 * the owner until its port has been read; it is then accepted.
 */
#include "mesh/core.h"

#include <string.h>

#include <pollen/stream.h>
#include <utlist.h>

#include "base/assert.h"

/* ---- Tables ---------------------------------------------------------------------------------- */

static pln_mesh_stream *find_by_id(const pln_mesh *mesh, pln_stream_id id) {
    pln_mesh_stream *stream = NULL;
    PLN_MAP_FIND(&mesh->hash_key, mesh->streams, &id, sizeof(id), stream);
    return stream;
}

static pln_mesh_stream *find_open(const pln_mesh *mesh, pln_stream_id id) {
    pln_mesh_stream *stream = find_by_id(mesh, id);
    return stream != NULL && stream->state == PLN_STREAM_OPEN ? stream : NULL;
}

static pln_mesh_stream *find_by_key(const pln_mesh *mesh, pln_conn_id conn, int64_t id) {
    pln_stream_key key = {.conn = conn, .id = id};
    unsigned hash = pln_hash(&mesh->hash_key, &key, sizeof(key));
    pln_mesh_stream *stream = NULL;
    HASH_FIND_BYHASHVALUE(hh_quic, mesh->streams_quic, &key, sizeof(key), hash, stream);
    return stream;
}

static bool add_by_key(pln_mesh *mesh, pln_mesh_stream *stream) {
    unsigned hash = pln_hash(&mesh->hash_key, &stream->key, sizeof(stream->key));
    HASH_ADD_KEYPTR_BYHASHVALUE(hh_quic, mesh->streams_quic, &stream->key, sizeof(stream->key),
                                hash, stream);
    return stream->hh_quic.tbl != NULL;
}

static void free_stream(pln_mesh *mesh, pln_mesh_stream *stream) {
    HASH_DEL(mesh->streams, stream);
    pln_alarm_fini(mesh, &stream->header_alarm);
    pln_chunkq_clear(&stream->rest);
    pln_free(stream);
}

static pln_mesh_stream *create_stream(pln_mesh *mesh, pln_session *session, int64_t quic_id) {
    PLN_ASSERT(session->peer != NULL);
    pln_mesh_stream *stream = pln_calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return NULL;
    }
    stream->id = mesh->next_stream++;
    stream->key = (pln_stream_key){.conn = session->link.conn, .id = quic_id};
    stream->session = session;
    stream->peer = session->peer->key;
    stream->event.stream = stream;
    PLN_MAP_ADD(&mesh->hash_key, mesh->streams, id, sizeof(stream->id), stream);
    if (!PLN_MAP_ADDED(stream)) {
        pln_free(stream);
        return NULL;
    }
    if (!add_by_key(mesh, stream)) {
        free_stream(mesh, stream);
        return NULL;
    }
    DL_APPEND(session->streams, stream);
    session->stream_count++;
    return stream;
}

/* ---- Telling --------------------------------------------------------------------------------- */

static void queue(pln_mesh *mesh, pln_mesh_stream *stream) {
    PLN_ASSERT(stream->event.stream == stream);
    if (!stream->queued) {
        stream->queued = true;
        pln_events_push_stream(&mesh->events, &stream->event);
    }
}

static void tell(pln_mesh *mesh, pln_mesh_stream *stream, pln_mesh_event_kind kind) {
    PLN_ASSERT(stream->state != PLN_STREAM_GONE || kind == PLN_MESH_STREAM_CLOSED);
    if (!stream->silent) {
        stream->flags |= 1u << kind;
        queue(mesh, stream);
    }
}

/* In the order in which an owner can make use of them. */
static const pln_mesh_event_kind order[] = {
    PLN_MESH_STREAM_ACCEPTED, PLN_MESH_STREAM_READABLE, PLN_MESH_STREAM_WRITABLE,
    PLN_MESH_STREAM_RESET,    PLN_MESH_STREAM_STOPPED,  PLN_MESH_STREAM_CLOSED,
};

static bool take_flag(pln_mesh_stream *stream, pln_mesh_event_kind *ret) {
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if ((stream->flags & (1u << order[i])) != 0) {
            stream->flags &= ~(1u << order[i]);
            *ret = order[i];
            return true;
        }
    }
    return false;
}

bool pln_streams_poll(pln_mesh *mesh, pln_mesh_stream *stream, pln_mesh_event *ret) {
    PLN_ASSERT(stream->queued);
    pln_mesh_event_kind kind = PLN_MESH_STREAM_CLOSED;
    stream->queued = false;
    bool any = take_flag(stream, &kind);
    if (any) {
        *ret = (pln_mesh_event){
            .kind = kind,
            .peer = stream->peer,
            .stream = stream->id,
            .port = stream->port,
            .err = kind == PLN_MESH_STREAM_CLOSED ? stream->err : POLLEN_OK,
            .code = kind == PLN_MESH_STREAM_STOPPED && stream->stopped_code != 0
                        ? stream->stopped_code
                        : stream->reset_code, /* QUIC may not tell; who resets mostly does both. */
        };
    }
    if (stream->flags != 0) {
        queue(mesh, stream);
    } else if (stream->state == PLN_STREAM_GONE) {
        PLN_ASSERT(mesh->farewell == NULL);
        if (any) {
            mesh->farewell = stream;
        } else {
            free_stream(mesh, stream);
        }
    }
    return any;
}

void pln_streams_end_farewell(pln_mesh *mesh) {
    if (mesh->farewell != NULL) {
        free_stream(mesh, mesh->farewell);
        mesh->farewell = NULL;
    }
}

/* ---- Ends ------------------------------------------------------------------------------------ */

static void leave_header(pln_mesh *mesh, pln_mesh_stream *stream) {
    if (stream->state == PLN_STREAM_HEADER) {
        PLN_ASSERT(stream->session->peer->headers > 0);
        stream->session->peer->headers--;
        pln_alarm_off(mesh, &stream->header_alarm);
    }
}

/* Nothing connects it to a session any more; it waits for its events to be polled. */
static void end_stream(pln_mesh *mesh, pln_mesh_stream *stream, pollen_err err) {
    pln_session *session = stream->session;
    PLN_ASSERT(stream->state != PLN_STREAM_GONE);
    PLN_ASSERT(session != NULL);
    PLN_ASSERT(session->stream_count > 0);
    leave_header(mesh, stream);
    HASH_DELETE(hh_quic, mesh->streams_quic, stream);
    DL_DELETE(session->streams, stream);
    session->stream_count--;
    stream->session = NULL;
    stream->state = PLN_STREAM_GONE;
    stream->err = err;
    tell(mesh, stream, PLN_MESH_STREAM_CLOSED);
    if (!stream->queued) {
        free_stream(mesh, stream);
    }
}

/* What the peer had sent is the owner's, also when the session is over. */
static void save_rest(pln_mesh *mesh, pln_mesh_stream *stream) {
    bool more = stream->state == PLN_STREAM_OPEN && !stream->silent;
    while (more && !stream->fin) {
        pln_chunk *chunk =
            pln_quic_stream_recv(mesh->quic, stream->key.conn, stream->key.id, &stream->fin);
        if (chunk != NULL) {
            pln_chunkq_push(&stream->rest, chunk);
        }
        more = chunk != NULL;
    }
}

void pln_streams_on_session_end(pln_mesh *mesh, pln_session *session) {
    while (session->streams != NULL) {
        save_rest(mesh, session->streams);
        end_stream(mesh, session->streams, POLLEN_ENOTCONN);
    }
    PLN_ASSERT(session->stream_count == 0);
}

static void give_up(pln_mesh *mesh, pln_mesh_stream *stream, uint64_t code) {
    mesh->dirty = true;
    pln_quic_stream_stop(mesh->quic, stream->key.conn, stream->key.id, code);
    pln_quic_stream_reset(mesh->quic, stream->key.conn, stream->key.id, code);
}

/* Refused before the owner heard of it; its end comes as an event of the connection. */
static void refuse(pln_mesh *mesh, pln_mesh_stream *stream, uint64_t code) {
    leave_header(mesh, stream);
    stream->state = PLN_STREAM_OPEN;
    stream->silent = true;
    pln_chunkq_clear(&stream->rest);
    stream->fin = false;
    give_up(mesh, stream, code);
}

void pln_streams_forsake(pln_mesh *mesh, pln_stream_id id) {
    pln_mesh_stream *stream = find_by_id(mesh, id);
    if (stream == NULL) {
        return;
    }
    stream->silent = true;
    stream->flags = 0; /* If it is gone, it is freed when its place in the queue comes up. */
    if (stream->state == PLN_STREAM_OPEN) {
        refuse(mesh, stream, POLLEN_STREAM_CLOSED);
    }
}

void pln_streams_destroy_all(pln_mesh *mesh) {
    pln_mesh_stream *stream = NULL;
    pln_mesh_stream *next = NULL;
    HASH_CLEAR(hh_quic, mesh->streams_quic);
    HASH_ITER(hh, mesh->streams, stream, next) {
        free_stream(mesh, stream);
    }
}

/* ---- Accepting ------------------------------------------------------------------------------- */

static void on_header_late(pln_mesh *mesh, pln_alarm *alarm, pln_now now) {
    (void)now;
    refuse(mesh, PLN_TIMER_OWNER(alarm, pln_mesh_stream, header_alarm), POLLEN_STREAM_PROTOCOL);
}

static void on_opened(pln_mesh *mesh, pln_session *session, int64_t quic_id, pln_now now) {
    pln_mesh_peer *peer = session->peer;
    pln_mesh_stream *stream =
        peer->headers < PLN_STREAM_HEADERS_MAX ? create_stream(mesh, session, quic_id) : NULL;
    if (stream == NULL) {
        pln_quic_stream_stop(mesh->quic, session->link.conn, quic_id, POLLEN_STREAM_REFUSED);
        pln_quic_stream_reset(mesh->quic, session->link.conn, quic_id, POLLEN_STREAM_REFUSED);
        return;
    }
    stream->silent = true;
    if (!pln_alarm_init(mesh, &stream->header_alarm, on_header_late)) {
        stream->state = PLN_STREAM_OPEN; /* Not counted as one without a header. */
        refuse(mesh, stream, POLLEN_STREAM_REFUSED);
        return;
    }
    stream->state = PLN_STREAM_HEADER;
    peer->headers++;
    pln_alarm_set(mesh, &stream->header_alarm, pln_ts_add(now.mono, PLN_STREAM_HEADER_TIMEOUT));
    pln_tie_on_used(mesh, session, now);
}

static void accept_stream(pln_mesh *mesh, pln_mesh_stream *stream) {
    PLN_ASSERT(stream->state == PLN_STREAM_HEADER);
    PLN_ASSERT(stream->header_size == sizeof(stream->header));
    leave_header(mesh, stream);
    stream->state = PLN_STREAM_OPEN;
    stream->port = (uint16_t)(stream->header[0] << 8 | stream->header[1]);
    if (stream->port == 0) {
        refuse(mesh, stream, POLLEN_STREAM_PROTOCOL);
        return;
    }
    stream->silent = false;
    tell(mesh, stream, PLN_MESH_STREAM_ACCEPTED);
    if (stream->rest.head == NULL && !stream->fin) {
        /* There may be more behind the port; if not, the connection tells when there is. */
        pln_chunk *chunk =
            pln_quic_stream_recv(mesh->quic, stream->key.conn, stream->key.id, &stream->fin);
        if (chunk != NULL) {
            pln_chunkq_push(&stream->rest, chunk);
        }
    }
    if (stream->rest.head != NULL || stream->fin) {
        tell(mesh, stream, PLN_MESH_STREAM_READABLE);
    }
}

/* Moves bytes of the port out of the chunk; takes the chunk and keeps what is left of it. */
static void take_header(pln_mesh_stream *stream, pln_chunk *chunk) {
    while (stream->header_size < sizeof(stream->header) && pln_chunk_size(chunk) > 0) {
        stream->header[stream->header_size++] = chunk->data[chunk->begin++];
    }
    if (pln_chunk_size(chunk) == 0) {
        pln_chunk_destroy(chunk);
        return;
    }
    PLN_ASSERT(stream->rest.head == NULL);
    pln_chunkq_push(&stream->rest, chunk);
}

static void read_header(pln_mesh *mesh, pln_mesh_stream *stream) {
    PLN_ASSERT(stream->state == PLN_STREAM_HEADER);
    while (stream->header_size < sizeof(stream->header) && !stream->fin) {
        pln_chunk *chunk =
            pln_quic_stream_recv(mesh->quic, stream->key.conn, stream->key.id, &stream->fin);
        if (chunk == NULL) {
            break;
        }
        take_header(stream, chunk);
    }
    if (stream->header_size == sizeof(stream->header)) {
        accept_stream(mesh, stream);
    } else if (stream->fin) {
        refuse(mesh, stream, POLLEN_STREAM_PROTOCOL);
    }
}

/* ---- Events of the connection ---------------------------------------------------------------- */

/* What was read ahead with the port is still the owner's. */
static void end_if_read(pln_mesh *mesh, pln_mesh_stream *stream) {
    if (stream->state == PLN_STREAM_OPEN && stream->closed && stream->rest.head == NULL &&
        !stream->fin) {
        end_stream(mesh, stream, POLLEN_OK);
    }
}

static void on_reset(pln_mesh *mesh, pln_mesh_stream *stream, uint64_t code) {
    pln_chunkq_clear(&stream->rest);
    stream->fin = false;
    if (stream->state == PLN_STREAM_HEADER) {
        refuse(mesh, stream, POLLEN_STREAM_PROTOCOL);
        return;
    }
    stream->reset_code = code;
    tell(mesh, stream, PLN_MESH_STREAM_RESET);
}

void pln_streams_on_event(pln_mesh *mesh, pln_session *session, const pln_quic_event *event,
                          pln_now now) {
    if (event->kind == PLN_QUIC_STREAM_OPENED) {
        on_opened(mesh, session, event->stream, now);
        return;
    }
    if (event->kind == PLN_QUIC_STREAMS_AVAILABLE) {
        if (session->peer->primary == session) {
            pln_streams_serve(mesh, session->peer);
        }
        return;
    }
    pln_mesh_stream *stream = find_by_key(mesh, session->link.conn, event->stream);
    if (stream == NULL) {
        return; /* Refused before it had a name. */
    }
    switch ((int)event->kind) {
    case PLN_QUIC_STREAM_READABLE:
        if (stream->state == PLN_STREAM_HEADER) {
            read_header(mesh, stream);
        } else {
            tell(mesh, stream, PLN_MESH_STREAM_READABLE);
        }
        break;
    case PLN_QUIC_STREAM_WRITABLE:
        tell(mesh, stream, PLN_MESH_STREAM_WRITABLE);
        break;
    case PLN_QUIC_STREAM_RESET:
        on_reset(mesh, stream, event->code);
        break;
    case PLN_QUIC_STREAM_STOPPED:
        stream->stopped_code = event->code;
        tell(mesh, stream, PLN_MESH_STREAM_STOPPED);
        break;
    case PLN_QUIC_STREAM_CLOSED:
        stream->closed = true;
        end_if_read(mesh, stream);
        break;
    default:
        break;
    }
}

/* ---- Opening --------------------------------------------------------------------------------- */

static pln_chunk *port_chunk(uint16_t port) {
    pln_chunk *chunk = pln_chunk_create(2);
    if (chunk != NULL) {
        chunk->data[0] = (uint8_t)(port >> 8);
        chunk->data[1] = (uint8_t)(port & 0xff);
        chunk->end = 2;
    }
    return chunk;
}

/* POLLEN_EAGAIN: to be tried again when the session has credit. */
static pollen_err open_one(pln_mesh *mesh, pln_session *session, uint16_t port,
                           pln_stream_id *ret) {
    PLN_ASSERT(port != 0);
    pln_chunk *chunk = port_chunk(port);
    if (chunk == NULL) {
        return POLLEN_ENOMEM;
    }
    int64_t quic_id = 0;
    pollen_err err = pln_quic_stream_open(mesh->quic, session->link.conn, &quic_id);
    if (err != POLLEN_OK) {
        pln_chunk_destroy(chunk);
        return err == POLLEN_ENOENT ? POLLEN_EAGAIN : err; /* Its end is about to be told. */
    }
    pln_mesh_stream *stream = create_stream(mesh, session, quic_id);
    if (stream == NULL) {
        err = POLLEN_ENOMEM;
    } else {
        stream->state = PLN_STREAM_OPEN;
        stream->port = port;
        err = pln_quic_stream_send(mesh->quic, session->link.conn, quic_id, chunk, false);
    }
    if (err != POLLEN_OK) {
        pln_chunk_destroy(chunk);
        if (stream != NULL) {
            refuse(mesh, stream, POLLEN_STREAM_CLOSED);
        } else {
            pln_quic_stream_stop(mesh->quic, session->link.conn, quic_id, POLLEN_STREAM_CLOSED);
            pln_quic_stream_reset(mesh->quic, session->link.conn, quic_id, POLLEN_STREAM_CLOSED);
        }
        return err;
    }
    *ret = stream->id;
    return POLLEN_OK;
}

void pln_streams_serve(pln_mesh *mesh, pln_mesh_peer *peer) {
    while (peer->opens != NULL && peer->primary != NULL) {
        pln_stream_id id = 0;
        pollen_err err = open_one(mesh, peer->primary, peer->opens->port, &id);
        if (err == POLLEN_EAGAIN) {
            return;
        }
        mesh->dirty = true;
        pln_ops_finish(mesh, peer->opens, &(pln_op_result){.err = err, .stream = id});
    }
}

void pln_mesh_open_stream(pln_mesh *mesh, pln_op id, const pollen_key *key, uint16_t port,
                          pln_ts deadline, pln_now now) {
    (void)now;
    pln_mesh_op *op = pln_ops_start(mesh, id, PLN_OP_OPEN, key, deadline);
    if (op == NULL) {
        return;
    }
    if (port == 0 || mesh->waiter_count >= PLN_WAITERS_MAX) {
        pln_ops_finish_err(mesh, op, port == 0 ? POLLEN_EINVAL : POLLEN_ELIMIT);
        return;
    }
    pln_mesh_peer *peer = pln_registry_obtain(mesh, key);
    if (peer == NULL) {
        pln_ops_finish_err(mesh, op, POLLEN_ENOMEM);
        return;
    }
    op->port = port;
    mesh->waiter_count++;
    DL_APPEND(peer->opens, op);
    if (peer->primary == NULL) {
        pln_events_wanted(mesh, key);
    }
    pln_streams_serve(mesh, peer);
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

pollen_err pln_mesh_stream_send(pln_mesh *mesh, pln_stream_id id, pln_chunk *chunk, bool fin) {
    const pln_mesh_stream *stream = find_open(mesh, id);
    if (stream == NULL) {
        return POLLEN_ENOENT;
    }
    mesh->dirty = true;
    return pln_quic_stream_send(mesh->quic, stream->key.conn, stream->key.id, chunk, fin);
}

size_t pln_mesh_stream_unacked(const pln_mesh *mesh, pln_stream_id id) {
    const pln_mesh_stream *stream = find_open(mesh, id);
    return stream == NULL ? 0
                          : pln_quic_stream_unacked(mesh->quic, stream->key.conn, stream->key.id);
}

pln_chunk *pln_mesh_stream_recv(pln_mesh *mesh, pln_stream_id id, bool *ret_fin) {
    *ret_fin = false;
    pln_mesh_stream *stream = find_by_id(mesh, id);
    if (stream == NULL || stream->silent || stream->state == PLN_STREAM_HEADER) {
        return NULL;
    }
    mesh->dirty = true; /* Credit may have to be told. */
    pln_chunk *chunk = pln_chunkq_pop(&stream->rest);
    if (chunk == NULL && !stream->fin) {
        return stream->state == PLN_STREAM_GONE
                   ? NULL
                   : pln_quic_stream_recv(mesh->quic, stream->key.conn, stream->key.id, ret_fin);
    }
    if (stream->rest.head == NULL) {
        *ret_fin = stream->fin;
        stream->fin = false;
        end_if_read(mesh, stream);
    }
    return chunk;
}

void pln_mesh_stream_reset(pln_mesh *mesh, pln_stream_id id, uint64_t code) {
    const pln_mesh_stream *stream = find_open(mesh, id);
    if (stream != NULL) {
        mesh->dirty = true;
        pln_quic_stream_reset(mesh->quic, stream->key.conn, stream->key.id, code);
    }
}

void pln_mesh_stream_stop(pln_mesh *mesh, pln_stream_id id, uint64_t code) {
    pln_mesh_stream *stream = find_open(mesh, id);
    if (stream == NULL) {
        return;
    }
    mesh->dirty = true;
    pln_chunkq_clear(&stream->rest);
    stream->fin = false;
    pln_quic_stream_stop(mesh->quic, stream->key.conn, stream->key.id, code);
    end_if_read(mesh, stream);
}
