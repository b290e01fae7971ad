/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/bench_server.h"

#include <stdlib.h>

#include "base/key.h"
#include "run/clock.h"
#include "run/random.h"

#define REQUEST_MS 5000
#define COUNT_MS 5000

typedef struct served {
    pln_bench_server *server;
    pollen_stream *stream;
    pollen_key peer;
} served;

static pln_meters *make_meters(size_t sets, pln_dur interval, uint32_t burst) {
    const pln_rng rng = pln_os_rng();
    pln_meters_config config = {.sets = sets, .interval = interval, .burst = burst};
    pln_rng_fill(&rng, config.key.bytes, sizeof config.key.bytes);
    return pln_meters_create(&config);
}

void pln_bench_server_init(pln_bench_server *server) {
    *server = (pln_bench_server){
        .by_peer = make_meters(64, PLN_BENCH_PEER_INTERVAL, PLN_BENCH_PEER_SECONDS),
        .of_all = make_meters(1, PLN_BENCH_ALL_INTERVAL, PLN_BENCH_ALL_SECONDS),
    };
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->drained, NULL);
}

void pln_bench_server_fini(pln_bench_server *server) {
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->drained);
    pln_meters_destroy(server->by_peer);
    pln_meters_destroy(server->of_all);
}

void pln_bench_server_drain(pln_bench_server *server) {
    pthread_mutex_lock(&server->lock);
    while (server->count > 0) {
        pthread_cond_wait(&server->drained, &server->lock);
    }
    pthread_mutex_unlock(&server->lock);
}

static bool enter(pln_bench_server *server, const pollen_key *peer) {
    pthread_mutex_lock(&server->lock);
    bool room = server->count < PLN_BENCH_SERVED_MAX;
    for (size_t i = 0; i < server->count; i++) {
        room = room && !pln_key_equal(&server->peers[i], peer);
    }
    if (room) {
        server->peers[server->count++] = *peer;
    }
    pthread_mutex_unlock(&server->lock);
    return room;
}

static void leave(pln_bench_server *server, const pollen_key *peer) {
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->count; i++) {
        if (pln_key_equal(&server->peers[i], peer)) {
            server->peers[i] = server->peers[--server->count];
            break;
        }
    }
    pthread_cond_broadcast(&server->drained);
    pthread_mutex_unlock(&server->lock);
}

bool pln_bench_server_charge(pln_bench_server *server, const pollen_key *peer, uint32_t seconds,
                             pln_ts now) {
    pthread_mutex_lock(&server->lock);
    const bool enough =
        server->by_peer == NULL || server->of_all == NULL ||
        !pln_meters_take(server->by_peer, peer->bytes, sizeof peer->bytes, seconds, now) ||
        !pln_meters_take(server->of_all, "", 0, seconds, now);
    pthread_mutex_unlock(&server->lock);
    return !enough;
}

static pollen_err count_up(pollen_stream *stream, uint32_t seconds) {
    pln_bench_count count;
    uint8_t bytes[PLN_BENCH_COUNT_BYTES];
    pollen_err err = pln_bench_receive(stream, seconds, NULL, &count);
    if (err == POLLEN_OK) {
        pln_bench_count_encode(&count, bytes);
        err = pollen_stream_write(stream, bytes, sizeof bytes, COUNT_MS, NULL, NULL);
    }
    return err == POLLEN_OK ? pollen_stream_close_write(stream) : err;
}

/* Until the other side has ended too, so that closing cuts off nothing. */
static pollen_err send_down(pollen_stream *stream, uint32_t seconds) {
    pln_bench_count none;
    const pollen_err err = pln_bench_send(stream, seconds, NULL);
    return err == POLLEN_OK ? pln_bench_receive(stream, 0, NULL, &none) : err;
}

static void serve(pln_bench_server *server, pollen_stream *stream) {
    pln_bench_request request;
    uint8_t bytes[PLN_BENCH_REQUEST_BYTES];
    pollen_err err = pln_bench_read(stream, bytes, sizeof bytes, REQUEST_MS, NULL);
    if (err == POLLEN_OK && !pln_bench_request_decode(bytes, &request)) {
        pollen_stream_reset(stream, PLN_BENCH_MALFORMED);
        return;
    }
    if (err == POLLEN_OK) {
        const pollen_key peer = pollen_stream_peer(stream);
        if (!pln_bench_server_charge(server, &peer, request.seconds, pln_clock_mono())) {
            pollen_stream_reset(stream, PLN_BENCH_ENOUGH);
            return;
        }
        err = request.direction == PLN_BENCH_UP ? count_up(stream, request.seconds)
                                                : send_down(stream, request.seconds);
    }
    if (err != POLLEN_OK) {
        pollen_stream_reset(stream, PLN_BENCH_LATE);
    }
}

static void *run(void *arg) {
    served *s = arg;
    serve(s->server, s->stream);
    pollen_stream_close(s->stream);
    leave(s->server, &s->peer);
    free(s);
    return NULL;
}

static bool start_thread(served *s) {
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    const int error = pthread_create(&thread, &attr, run, s);
    pthread_attr_destroy(&attr);
    return error == 0;
}

static void refuse(pollen_stream *stream) {
    pollen_stream_reset(stream, PLN_BENCH_BUSY);
    pollen_stream_close(stream);
}

void pln_bench_server_accept(pln_bench_server *server, pollen_stream *stream) {
    const pollen_key peer = pollen_stream_peer(stream);
    if (!enter(server, &peer)) {
        refuse(stream);
        return;
    }
    served *s = malloc(sizeof *s);
    if (s != NULL) {
        *s = (served){server, stream, peer};
    }
    if (s == NULL || !start_thread(s)) {
        free(s);
        refuse(stream);
        leave(server, &peer);
    }
}
