/* SPDX-License-Identifier: Apache-2.0 */
#include "run/stream.h"

#include "base/assert.h"
#include "run/runtime.h"

/* Received bytes that wait for the reader.  The peer's credit covers more; what is beyond stays
 * with the core and stops the peer. */
enum { RX_HIGH = 1024 * 1024 };

static pln_mesh *core_of(pollen_mesh *mesh) {
    return pln_node_mesh(mesh->node);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void run_stream(pln_cmd *cmd, pollen_mesh *mesh, pollen_err state);

pollen_stream *pln_stream_create(pollen_mesh *mesh) {
    pollen_stream *stream = pln_calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return NULL;
    }
    stream->cmd.run = run_stream;
    stream->mesh = mesh;
    atomic_init(&stream->refs, 1);
    atomic_init(&stream->cmd_queued, false);
    pln_monitor_init(&stream->monitor);
    return stream;
}

static void ref(pollen_stream *stream) {
    atomic_fetch_add(&stream->refs, 1);
}

void pln_stream_unref(pollen_stream *stream) {
    if (atomic_fetch_sub(&stream->refs, 1) != 1) {
        return;
    }
    PLN_ASSERT(!stream->known); /* The table would hold a reference. */
    pln_chunkq_clear(&stream->rx);
    pln_chunkq_clear(&stream->tx);
    pln_chunkq_clear(&stream->reading);
    if (stream->left > 0) {
        atomic_fetch_sub(&stream->mesh->left_bytes, stream->left);
    }
    pln_monitor_fini(&stream->monitor);
    pln_free(stream);
}

void pln_stream_kick(pollen_stream *stream) {
    if (atomic_exchange(&stream->cmd_queued, true)) {
        return;
    }
    ref(stream);
    if (pln_cmdq_push(&stream->mesh->cmdq, &stream->cmd) != POLLEN_OK) {
        pln_stream_unref(stream); /* Closed: the handle says so by itself. */
    }
}

/* ---- The loop's side ------------------------------------------------------------------------- */

pollen_err pln_stream_attach(pollen_stream *stream, pln_stream_id id, const pollen_key *peer,
                             uint16_t port) {
    PLN_ASSERT(!stream->known);
    PLN_ASSERT(id != 0);
    pollen_mesh *mesh = stream->mesh;
    stream->id = id;
    stream->peer = *peer;
    stream->port = port;
    PLN_MAP_ADD(&mesh->hash_key, mesh->streams, id, sizeof(stream->id), stream);
    if (!PLN_MAP_ADDED(stream)) {
        stream->id = 0;
        pln_mesh_stream_reset(core_of(mesh), id, POLLEN_STREAM_CLOSED);
        pln_mesh_stream_stop(core_of(mesh), id, POLLEN_STREAM_CLOSED);
        return POLLEN_ENOMEM;
    }
    stream->known = true;
    ref(stream);
    return POLLEN_OK;
}

static void forget(pollen_stream *stream) {
    if (stream->known) {
        stream->known = false;
        HASH_DEL(stream->mesh->streams, stream);
        pln_stream_unref(stream);
    }
}

static pollen_stream *find_stream(pollen_mesh *mesh, pln_stream_id id) {
    pollen_stream *stream;
    PLN_MAP_FIND(&mesh->hash_key, mesh->streams, &id, sizeof(id), stream);
    return stream;
}

/* The stream has ended for this reason, where it has not for another one already. */
static void end_stream(pollen_stream *stream, pollen_err err) {
    pthread_mutex_lock(&stream->monitor.lock);
    if (stream->rx_err == POLLEN_OK && (!stream->rx_end || err == POLLEN_ECLOSED)) {
        stream->rx_err = err;
    }
    if (stream->tx_err == POLLEN_OK) {
        stream->tx_err = err;
    }
    pthread_cond_broadcast(&stream->monitor.changed);
    pthread_mutex_unlock(&stream->monitor.lock);
}

/* Moves received chunks to rx while there is room: before an end up to RX_HIGH, at the end as much
 * as all streams together may keep. */
static void pull(pollen_stream *stream, bool is_last) {
    pthread_mutex_lock(&stream->monitor.lock);
    size_t room = stream->rx.bytes < RX_HIGH ? RX_HIGH - stream->rx.bytes : 0;
    bool done = stream->rx_end || stream->rx_err != POLLEN_OK;
    pthread_mutex_unlock(&stream->monitor.lock);
    if (done) {
        return;
    }
    size_t usual = room;
    size_t left = atomic_load(&stream->mesh->left_bytes);
    if (is_last && left < PLN_LEFT_BYTES_MAX) {
        room += PLN_LEFT_BYTES_MAX - left;
    }
    pln_chunkq pulled = {0};
    bool fin = false;
    bool dry = false;
    while (pulled.bytes < room && !fin && !dry) {
        pln_chunk *chunk = pln_mesh_stream_recv(core_of(stream->mesh), stream->id, &fin);
        if (chunk != NULL) {
            pln_chunkq_push(&pulled, chunk);
        }
        dry = chunk == NULL;
    }
    if (is_last && pulled.bytes > usual) {
        stream->left = pulled.bytes - usual;
        atomic_fetch_add(&stream->mesh->left_bytes, stream->left);
    }
    pthread_mutex_lock(&stream->monitor.lock);
    for (pln_chunk *chunk; (chunk = pln_chunkq_pop(&pulled)) != NULL;) {
        pln_chunkq_push(&stream->rx, chunk);
    }
    stream->rx_end = fin;
    stream->rx_stuck = !dry && !fin;
    if (stream->rx.count > 0 || fin) {
        pthread_cond_broadcast(&stream->monitor.changed);
    }
    pthread_mutex_unlock(&stream->monitor.lock);
}

/* What the other threads want of a stream, taken at one moment. */
typedef struct wishes {
    pln_chunkq tx;
    bool fin, reset, stop, detached, pull;
    uint64_t code;
} wishes;

static wishes take_wishes(pollen_stream *stream) {
    pthread_mutex_lock(&stream->monitor.lock);
    wishes w = {
        .tx = stream->tx,
        .fin = stream->fin,
        .reset = stream->want_reset,
        .stop = stream->want_stop,
        .code = stream->want_code,
        .detached = stream->detached,
        .pull = stream->rx_stuck,
    };
    stream->tx = (pln_chunkq){0};
    /* Until the core has told, these bytes count as under way. */
    stream->unacked += w.tx.bytes;
    pthread_mutex_unlock(&stream->monitor.lock);
    return w;
}

static void send_chunks(pollen_stream *stream, wishes *w) {
    pln_mesh *core = core_of(stream->mesh);
    pollen_err err = POLLEN_OK;
    for (pln_chunk *chunk; err == POLLEN_OK && (chunk = pln_chunkq_pop(&w->tx)) != NULL;) {
        err = pln_mesh_stream_send(core, stream->id, chunk, false);
        if (err != POLLEN_OK) {
            pln_chunk_destroy(chunk);
        }
    }
    if (err == POLLEN_OK && w->fin && !stream->fin_sent) {
        stream->fin_sent = true;
        err = pln_mesh_stream_send(core, stream->id, NULL, true);
    }
    if (err != POLLEN_OK) {
        pln_chunkq_clear(&w->tx); /* An event tells why. */
    }
}

static void update_unacked(pollen_stream *stream) {
    size_t unacked = pln_mesh_stream_unacked(core_of(stream->mesh), stream->id);
    pthread_mutex_lock(&stream->monitor.lock);
    stream->unacked = unacked;
    pthread_cond_broadcast(&stream->monitor.changed);
    pthread_mutex_unlock(&stream->monitor.lock);
}

static void look(pollen_stream *stream) {
    pln_mesh *core = core_of(stream->mesh);
    wishes w = take_wishes(stream);
    if (!w.reset) {
        send_chunks(stream, &w);
        update_unacked(stream);
    } else if (!stream->reset_sent) {
        stream->reset_sent = true;
        pln_mesh_stream_reset(core, stream->id, w.code);
    }
    pln_chunkq_clear(&w.tx);
    if (w.stop && !stream->stop_sent) {
        stream->stop_sent = true;
        pln_mesh_stream_stop(core, stream->id, w.code);
    }
    if (w.pull && !w.stop) {
        pull(stream, false);
    }
    if (w.detached) {
        forget(stream); /* The core finishes what it has by itself. */
    }
}

static void run_stream(pln_cmd *cmd, pollen_mesh *mesh, pollen_err state) {
    pollen_stream *stream = (pollen_stream *)(void *)cmd;
    PLN_ASSERT_LOOP(mesh);
    /* Before looking: whoever changes something from now on asks for another look. */
    atomic_store(&stream->cmd_queued, false);
    if (state == POLLEN_OK && stream->known) {
        look(stream);
    }
    pln_stream_unref(stream);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void handle_reset(pollen_stream *stream, uint64_t code) {
    pthread_mutex_lock(&stream->monitor.lock);
    if (stream->rx_err == POLLEN_OK) {
        stream->rx_err = POLLEN_ERESET;
        stream->reset_code = code;
    }
    pln_chunkq_clear(&stream->rx);
    pthread_cond_broadcast(&stream->monitor.changed);
    pthread_mutex_unlock(&stream->monitor.lock);
}

static void handle_stopped(pollen_stream *stream, uint64_t code) {
    pthread_mutex_lock(&stream->monitor.lock);
    if (stream->tx_err == POLLEN_OK) {
        stream->tx_err = POLLEN_ERESET;
        stream->reset_code = code;
    }
    pln_chunkq_clear(&stream->tx);
    pthread_cond_broadcast(&stream->monitor.changed);
    pthread_mutex_unlock(&stream->monitor.lock);
}

static bool push_accept(pln_acceptq *q, pollen_stream *stream);

static void handle_accepted(pollen_mesh *mesh, const pln_mesh_event *event) {
    pollen_stream *stream = pln_stream_create(mesh);
    if (stream == NULL) {
        pln_mesh_stream_reset(core_of(mesh), event->stream, POLLEN_STREAM_REFUSED);
        pln_mesh_stream_stop(core_of(mesh), event->stream, POLLEN_STREAM_REFUSED);
        return;
    }
    if (pln_stream_attach(stream, event->stream, &event->peer, event->port) != POLLEN_OK) {
        pln_stream_unref(stream);
        return;
    }
    pull(stream, false);
    if (!push_accept(&mesh->accepts, stream)) {
        pollen_stream_reset(stream, POLLEN_STREAM_REFUSED);
        pollen_stream_close(stream);
    }
}

/* The core's stream is gone; what it still has for us can be pulled now and not later. */
static void handle_closed(pollen_stream *stream, const pln_mesh_event *event) {
    pull(stream, true);
    if (event->err == POLLEN_OK && !stream->fin_sent && !stream->reset_sent) {
        /* Only the peer can have ended our side, and where it did so along with its own there is no
         * other event that tells. */
        handle_stopped(stream, event->code);
    }
    end_stream(stream, event->err == POLLEN_OK ? POLLEN_ENOTCONN : event->err);
    forget(stream);
}

void pln_stream_handle_event(pollen_mesh *mesh, const pln_mesh_event *event) {
    PLN_ASSERT_LOOP(mesh);
    if (event->kind == PLN_MESH_STREAM_ACCEPTED) {
        handle_accepted(mesh, event);
        return;
    }
    pollen_stream *stream = find_stream(mesh, event->stream);
    if (stream == NULL) {
        return; /* Its handle was given back. */
    }
    if (event->kind == PLN_MESH_STREAM_READABLE) {
        pull(stream, false);
    } else if (event->kind == PLN_MESH_STREAM_WRITABLE) {
        update_unacked(stream);
    } else if (event->kind == PLN_MESH_STREAM_RESET) {
        handle_reset(stream, event->code);
    } else if (event->kind == PLN_MESH_STREAM_STOPPED) {
        handle_stopped(stream, event->code);
    } else if (event->kind == PLN_MESH_STREAM_CLOSED) {
        handle_closed(stream, event);
    }
}

void pln_streams_close(pollen_mesh *mesh) {
    pollen_stream *stream, *next;
    HASH_ITER(hh, mesh->streams, stream, next) {
        end_stream(stream, POLLEN_ECLOSED);
        forget(stream);
    }
}

/* ---- Accepting ------------------------------------------------------------------------------- */

struct pln_accept {
    pln_accept *next;
    pollen_stream *stream;
};

void pln_acceptq_init(pln_acceptq *q) {
    *q = (pln_acceptq){0};
    q->tail = &q->head;
    pln_monitor_init(&q->monitor);
}

void pln_acceptq_fini(pln_acceptq *q) {
    PLN_ASSERT(q->head == NULL);
    pln_monitor_fini(&q->monitor);
}

pollen_stream *pln_acceptq_pop_locked(pln_acceptq *q) {
    pln_accept *oldest = q->head;
    if (oldest == NULL) {
        return NULL;
    }
    PLN_ASSERT(q->count > 0);
    q->head = oldest->next;
    if (q->head == NULL) {
        q->tail = &q->head;
    }
    q->count--;
    pollen_stream *stream = oldest->stream;
    pln_free(oldest);
    return stream;
}

static bool has_place(const pln_acceptq *q, const pollen_key *peer) {
    if (q->closed || q->count >= PLN_ACCEPTQ_MAX) {
        return false;
    }
    size_t of_peer = 0;
    for (const pln_accept *a = q->head; a != NULL; a = a->next) {
        of_peer += pln_key_equal(&a->stream->peer, peer);
    }
    return of_peer < PLN_ACCEPTQ_PEER_MAX;
}

/* Takes the handle's reference when it returns true. */
static bool push_accept(pln_acceptq *q, pollen_stream *stream) {
    pln_accept *place = pln_calloc(1, sizeof(*place));
    if (place == NULL) {
        return false;
    }
    place->stream = stream;
    pthread_mutex_lock(&q->monitor.lock);
    bool taken = has_place(q, &stream->peer);
    if (taken) {
        *q->tail = place;
        q->tail = &place->next;
        q->count++;
        pthread_cond_signal(&q->monitor.changed);
    }
    pthread_mutex_unlock(&q->monitor.lock);
    if (!taken) {
        pln_free(place);
    }
    return taken;
}

void pln_acceptq_close(pln_acceptq *q) {
    pthread_mutex_lock(&q->monitor.lock);
    q->closed = true;
    pthread_cond_broadcast(&q->monitor.changed);
    pthread_mutex_unlock(&q->monitor.lock);
    for (;;) {
        pthread_mutex_lock(&q->monitor.lock);
        pollen_stream *stream = pln_acceptq_pop_locked(q);
        pthread_mutex_unlock(&q->monitor.lock);
        if (stream == NULL) {
            return;
        }
        pollen_stream_close(stream);
    }
}
