/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions of pollen/stream.h. */
#include <string.h>

#include "base/assert.h"
#include "run/clock.h"
#include "run/last_error.h"
#include "run/loop.h"
#include "run/runtime.h"

/* Written bytes travel in chunks of this size;
 * no multiple of 4096, where copies alias and slow down. */
enum { WRITE_CHUNK_BYTES = 32 * 1024 - 256 };

/* ---- Opening and accepting ------------------------------------------------------------------- */

static void start_open(pollen_mesh *mesh, pln_call *call) {
    pln_mesh_open_stream(pln_node_mesh(mesh->node), call->op, &call->peer, call->port,
                         call->deadline, mesh->now);
}

pollen_err pollen_mesh_open_stream(pollen_mesh *mesh, const pollen_key *peer, uint16_t port,
                                   int timeout_ms, pollen_cancel *cancel,
                                   pollen_stream **ret_stream) {
    pln_last_error_clear();
    if (mesh == NULL || peer == NULL || port == 0 || ret_stream == NULL) {
        return POLLEN_EINVAL;
    }
    pln_call *call = pln_call_create(start_open, NULL);
    pollen_stream *stream = call == NULL ? NULL : pln_stream_create(mesh);
    if (stream == NULL) {
        pln_call_unref(call);
        return POLLEN_ENOMEM;
    }
    call->peer = *peer;
    call->port = port;
    call->deadline = pln_clock_deadline(timeout_ms);
    call->stream = stream;
    pln_loop_enter(mesh); /* A stream that came too late is given back to the mesh below. */
    pollen_err err = pln_call_run(mesh, call, cancel);
    if (err == POLLEN_OK) {
        call->stream = NULL; /* Now the caller's. */
        *ret_stream = stream;
    } else {
        pln_last_error_peer("open stream to", peer, NULL, err, call->words);
    }
    pln_call_unref(call);
    pln_loop_leave(mesh);
    return err;
}

pollen_err pollen_mesh_accept_stream(pollen_mesh *mesh, int timeout_ms, pollen_cancel *cancel,
                                     pollen_stream **ret_stream) {
    pln_last_error_clear();
    if (mesh == NULL || ret_stream == NULL) {
        return POLLEN_EINVAL;
    }
    pln_acceptq *q = &mesh->accepts;
    pollen_stream *stream = NULL;
    pollen_err err = POLLEN_OK;
    pln_wait wait;
    pln_wait_begin(&wait, mesh, &q->monitor, pln_clock_deadline(timeout_ms), cancel);
    pthread_mutex_lock(&q->monitor.lock);
    while (err == POLLEN_OK && (stream = pln_acceptq_pop_locked(q)) == NULL) {
        err = q->closed ? POLLEN_ECLOSED : pln_wait_step(&wait);
    }
    pthread_mutex_unlock(&q->monitor.lock);
    pln_wait_end(&wait);
    if (err == POLLEN_OK) {
        *ret_stream = stream;
    }
    return err;
}

pollen_key pollen_stream_peer(const pollen_stream *stream) {
    return stream->peer;
}

uint16_t pollen_stream_port(const pollen_stream *stream) {
    return stream->port;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* With the monitor locked.  True when the call can return with what is in
 * reading, or with *ret_err. */
static bool can_read(pollen_stream *stream, pollen_err *ret_err) {
    bool abrupt = stream->rx_err == POLLEN_ERESET || stream->rx_err == POLLEN_ECLOSED;
    if (!abrupt && stream->rx.count > 0) {
        stream->reading = stream->rx;
        stream->rx = (pln_chunkq){0};
        return true;
    }
    if (stream->rx_err != POLLEN_OK) {
        *ret_err = stream->rx_err;
        return true;
    }
    return stream->rx_end;
}

/* Waits until there is something in reading, the end, or an error. */
static pollen_err fill_reading(pollen_stream *stream, int timeout_ms, pollen_cancel *cancel) {
    pollen_err err = POLLEN_OK;
    pln_wait wait;
    pln_wait_begin(&wait, stream->mesh, &stream->monitor, pln_clock_deadline(timeout_ms), cancel);
    pthread_mutex_lock(&stream->monitor.lock);
    while (err == POLLEN_OK && !can_read(stream, &err)) {
        err = pln_wait_step(&wait);
    }
    bool stuck = stream->rx_stuck && stream->rx.count == 0;
    pthread_mutex_unlock(&stream->monitor.lock);
    pln_wait_end(&wait);
    if (stuck) {
        pln_stream_kick(stream); /* There is room again. */
    }
    return err;
}

/* A reset or the mesh's end beats what was read ahead. */
static pollen_err abrupt_end(pollen_stream *stream) {
    pthread_mutex_lock(&stream->monitor.lock);
    pollen_err err = stream->rx_err;
    pthread_mutex_unlock(&stream->monitor.lock);
    return err == POLLEN_ERESET || err == POLLEN_ECLOSED ? err : POLLEN_OK;
}

static pollen_err stream_error(const pollen_stream *stream, const char *what, pollen_err err) {
    if (err != POLLEN_OK) {
        pln_last_error_peer(what, &stream->peer, NULL, err, "");
    }
    return err;
}

pollen_err pollen_stream_read(pollen_stream *stream, void *bytes, size_t size, int timeout_ms,
                              pollen_cancel *cancel, size_t *ret_size) {
    pln_last_error_clear();
    if (stream == NULL || ret_size == NULL || (bytes == NULL && size > 0)) {
        return POLLEN_EINVAL;
    }
    pollen_err err =
        stream->reading.count == 0 ? fill_reading(stream, timeout_ms, cancel) : abrupt_end(stream);
    if (err == POLLEN_OK) {
        *ret_size = pln_chunkq_read(&stream->reading, bytes, size);
    }
    return stream_error(stream, "read from", err);
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* With the monitor locked. */
static pollen_err can_write(const pollen_stream *stream, bool *ret_room) {
    *ret_room = stream->tx.bytes + stream->unacked < PLN_STREAM_SEND_HIGH;
    return stream->fin || stream->want_reset ? POLLEN_ECLOSED : stream->tx_err;
}

/* Queues the chunk as soon as there is room for it. */
static pollen_err push_chunk(pln_wait *wait, pollen_stream *stream, pln_chunk *chunk) {
    bool room;
    pthread_mutex_lock(&stream->monitor.lock);
    pollen_err err = can_write(stream, &room);
    while (err == POLLEN_OK && !room) {
        err = pln_wait_step(wait);
        if (err == POLLEN_OK) {
            err = can_write(stream, &room);
        }
    }
    if (err == POLLEN_OK) {
        pln_chunkq_push(&stream->tx, chunk);
    }
    pthread_mutex_unlock(&stream->monitor.lock);
    if (err == POLLEN_OK) {
        pln_stream_kick(stream);
    }
    return err;
}

static pollen_err write_piece(pln_wait *wait, pollen_stream *stream, const uint8_t *bytes,
                              size_t size) {
    pln_chunk *chunk = pln_chunk_create(size);
    if (chunk == NULL) {
        return POLLEN_ENOMEM;
    }
    memcpy(chunk->data, bytes, size);
    chunk->end = size;
    pollen_err err = push_chunk(wait, stream, chunk);
    if (err != POLLEN_OK) {
        pln_chunk_destroy(chunk);
    }
    return err;
}

/* What a write would end with, were there room. */
static pollen_err ask_write(pollen_stream *stream) {
    bool room;
    pthread_mutex_lock(&stream->monitor.lock);
    const pollen_err err = can_write(stream, &room);
    pthread_mutex_unlock(&stream->monitor.lock);
    return err;
}

pollen_err pollen_stream_write(pollen_stream *stream, const void *bytes, size_t size,
                               int timeout_ms, pollen_cancel *cancel, size_t *ret_size) {
    pln_last_error_clear();
    if (stream == NULL || (bytes == NULL && size > 0)) {
        return POLLEN_EINVAL;
    }
    pln_wait wait;
    pln_wait_begin(&wait, stream->mesh, &stream->monitor, pln_clock_deadline(timeout_ms), cancel);
    pollen_err err = size == 0 ? ask_write(stream) : POLLEN_OK;
    size_t done = 0;
    while (err == POLLEN_OK && done < size) {
        size_t piece = size - done < WRITE_CHUNK_BYTES ? size - done : WRITE_CHUNK_BYTES;
        err = write_piece(&wait, stream, (const uint8_t *)bytes + done, piece);
        done += err == POLLEN_OK ? piece : 0;
    }
    pln_wait_end(&wait);
    if (ret_size != NULL) {
        *ret_size = done;
    }
    return stream_error(stream, "write to", err);
}

/* ---- Ending ---------------------------------------------------------------------------------- */

pollen_err pollen_stream_close_write(pollen_stream *stream) {
    pln_last_error_clear();
    if (stream == NULL) {
        return POLLEN_EINVAL;
    }
    pthread_mutex_lock(&stream->monitor.lock);
    pollen_err err = stream->fin ? POLLEN_OK : stream->tx_err;
    bool first = err == POLLEN_OK && !stream->fin;
    stream->fin = stream->fin || first;
    pthread_mutex_unlock(&stream->monitor.lock);
    if (first) {
        pln_stream_kick(stream);
    }
    return stream_error(stream, "close", err);
}

/* With the monitor locked: gives up what is not finished. */
static void give_up(pollen_stream *stream, uint64_t code) {
    stream->want_code = code;
    stream->want_stop = stream->want_stop || !stream->rx_end;
    stream->want_reset = true;
    pln_chunkq_clear(&stream->tx);
    if (stream->rx_err == POLLEN_OK) {
        stream->rx_err = POLLEN_ECLOSED;
    }
    if (stream->tx_err == POLLEN_OK) {
        stream->tx_err = POLLEN_ECLOSED;
    }
    pthread_cond_broadcast(&stream->monitor.changed);
}

void pollen_stream_reset(pollen_stream *stream, uint64_t code) {
    pthread_mutex_lock(&stream->monitor.lock);
    bool first = !stream->want_reset;
    if (first) {
        give_up(stream, code);
    }
    pthread_mutex_unlock(&stream->monitor.lock);
    if (first) {
        pln_stream_kick(stream);
    }
}

uint64_t pollen_stream_reset_code(const pollen_stream *stream) {
    pollen_stream *s = (pollen_stream *)(uintptr_t)stream; /* The lock is not part of its value. */
    pthread_mutex_lock(&s->monitor.lock);
    uint64_t code = s->reset_code;
    pthread_mutex_unlock(&s->monitor.lock);
    return code;
}

void pollen_stream_close(pollen_stream *stream) {
    if (stream == NULL) {
        return;
    }
    if (stream->id == 0) {
        pln_stream_unref(stream); /* Never opened. */
        return;
    }
    pthread_mutex_lock(&stream->monitor.lock);
    stream->detached = true;
    if (!stream->want_reset) {
        stream->want_code = POLLEN_STREAM_CLOSED;
        stream->want_stop = !stream->rx_end;
        stream->want_reset = !stream->fin;
    }
    pthread_mutex_unlock(&stream->monitor.lock);
    pln_stream_kick(stream);
    pln_stream_unref(stream);
}
