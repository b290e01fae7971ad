/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pln bench` at the daemon: round trips while the way is idle, then a stream in each direction
 * with round trips beside it, which tell how long the queues are that it builds.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "pln/bench_wire.h"
#include "pln/handler.h"
#include "pln/percentile.h"
#include "pln/status.h"
#include "run/clock.h"

enum { SAMPLES_MAX = 1500 }; /* Fifty milliseconds apart, for longer than a minute. */
enum { IDLE_SAMPLES = 20, IDLE_PAUSE_MS = 10, LOADED_PAUSE_MS = 50 };
enum { PING_BYTES = 56, PING_MS = 2000, RETRY_MS = 20, WATCH_MS = 20 };
enum { COUNT_MS = 10000 };

typedef struct trips {
    uint64_t us[SAMPLES_MAX];
    size_t count;
    size_t lost;
} trips;

/* One transfer, on a thread of its own. */
typedef struct transfer {
    pollen_mesh *mesh;
    pollen_key peer;
    pln_bench_request request;
    int timeout_ms;
    pollen_cancel *cancel;
    atomic_bool done;
    pollen_err err; /* These are the thread's until it is done. */
    uint64_t reset_code;
    pln_bench_count count;
} transfer;

typedef struct bench {
    pln_daemon *daemon;
    pollen_mesh *mesh;
    pln_control_client *client;
    const pln_request *request;
    pollen_key peer;
} bench;

/* ---- Round trips ----------------------------------------------------------------------------- */

static void sample(const bench *b, trips *t) {
    uint64_t rtt_us = 0;
    const pollen_err err = pollen_mesh_ping(b->mesh, &b->peer, PING_BYTES, PING_MS, NULL, &rtt_us);
    if (err != POLLEN_OK) {
        t->lost++;
    } else if (t->count < SAMPLES_MAX) {
        t->us[t->count++] = rtt_us;
    }
}

static json_t *trips_json(trips *t) {
    if (t->count == 0) {
        return json_pack("{s:i, s:I, s:n, s:n, s:n, s:n, s:n}", "samples", 0, "lost",
                         (json_int_t)t->lost, "min_seconds", "p50_seconds", "p90_seconds",
                         "p99_seconds", "max_seconds");
    }
    pln_percentile_sort(t->us, t->count);
    return json_pack("{s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "samples", (json_int_t)t->count, "lost",
                     (json_int_t)t->lost, "min_seconds", (double)t->us[0] / 1e6, "p50_seconds",
                     (double)pln_percentile(t->us, t->count, 50) / 1e6, "p90_seconds",
                     (double)pln_percentile(t->us, t->count, 90) / 1e6, "p99_seconds",
                     (double)pln_percentile(t->us, t->count, 99) / 1e6, "max_seconds",
                     (double)t->us[t->count - 1] / 1e6);
}

static bool sample_idle(const bench *b, trips *t) {
    for (int i = 0; i < IDLE_SAMPLES && !pln_is_leaving(b->daemon, b->client); i++) {
        sample(b, t);
        (void)poll(NULL, 0, IDLE_PAUSE_MS);
    }
    return !pln_is_leaving(b->daemon, b->client);
}

/* ---- A transfer ------------------------------------------------------------------------------ */

static pollen_err exchange(transfer *t, pollen_stream *stream) {
    uint8_t bytes[PLN_BENCH_REQUEST_BYTES > PLN_BENCH_COUNT_BYTES ? PLN_BENCH_REQUEST_BYTES
                                                                  : PLN_BENCH_COUNT_BYTES];
    pln_bench_request_encode(&t->request, bytes);
    pollen_err err =
        pollen_stream_write(stream, bytes, PLN_BENCH_REQUEST_BYTES, t->timeout_ms, t->cancel, NULL);
    if (err == POLLEN_OK && t->request.direction == PLN_BENCH_DOWN) {
        err = pln_bench_receive(stream, t->request.seconds, t->cancel, &t->count);
        return err == POLLEN_OK ? pollen_stream_close_write(stream) : err;
    }
    if (err == POLLEN_OK) {
        err = pln_bench_send(stream, t->request.seconds, t->cancel);
    }
    if (err == POLLEN_OK) {
        err = pln_bench_read(stream, bytes, PLN_BENCH_COUNT_BYTES, COUNT_MS, t->cancel);
    }
    if (err == POLLEN_OK) {
        t->count = pln_bench_count_decode(bytes);
    }
    return err;
}

static void *run_transfer(void *arg) {
    transfer *t = arg;
    pollen_stream *stream = NULL;
    t->err = pollen_mesh_open_stream(t->mesh, &t->peer, PLN_BENCH_PORT, t->timeout_ms, t->cancel,
                                     &stream);
    if (t->err == POLLEN_OK) {
        t->err = exchange(t, stream);
        t->reset_code = pollen_stream_reset_code(stream);
        pollen_stream_close(stream);
    }
    atomic_store(&t->done, true);
    return NULL;
}

/* Beside it: round trips, and whether anybody still waits. */
static void accompany(const bench *b, transfer *t, trips *ret) {
    pln_ts next = pln_clock_mono();
    while (!atomic_load(&t->done)) {
        if (pln_is_leaving(b->daemon, b->client)) {
            pollen_cancel_fire(t->cancel);
        } else if (pln_ts_reached(next, pln_clock_mono())) {
            next = pln_ts_add(pln_clock_mono(), PLN_MS(LOADED_PAUSE_MS));
            sample(b, ret);
        }
        (void)poll(NULL, 0, WATCH_MS);
    }
}

static pollen_err measure(const bench *b, transfer *t, trips *ret) {
    pthread_t thread;
    pollen_err err = pollen_cancel_create(&t->cancel);
    if (err != POLLEN_OK) {
        return err;
    }
    if (pthread_create(&thread, NULL, run_transfer, t) == 0) {
        accompany(b, t, ret);
        pthread_join(thread, NULL);
        err = t->err;
    } else {
        err = POLLEN_ENOMEM;
    }
    pollen_cancel_destroy(t->cancel);
    return err;
}

/* ---- The answer ------------------------------------------------------------------------------ */

static void fail(const bench *b, const transfer *t, pollen_err err) {
    if (err == POLLEN_ERESET && t->reset_code == PLN_BENCH_BUSY) {
        pln_reply_error(b->client, PLN_EXIT_FAIL, "try again in a minute",
                        "bench: the peer is being measured already");
    } else if (err == POLLEN_ERESET && t->reset_code == PLN_BENCH_ENOUGH) {
        pln_reply_error(b->client, PLN_EXIT_FAIL, "try again in some minutes, or with --seconds 1",
                        "bench: the peer has been measured for so long that it refuses more");
    } else if (err == POLLEN_ERESET || err == POLLEN_EPROTO) {
        pln_reply_error(b->client, PLN_EXIT_PROTO, NULL,
                        "bench: the peer takes no part in this: is it of an older version?");
    } else {
        pln_reply_err(b->client, err, "bench");
    }
}

static double per_second(const pln_bench_count *count) {
    return count->us == 0 ? 0 : (double)count->bytes / ((double)count->us / 1e6);
}

/* NULL: it failed, and the client was told. */
static json_t *transfer_json(const bench *b, pln_bench_direction direction) {
    trips *t = calloc(1, sizeof *t);
    transfer *way = calloc(1, sizeof *way);
    json_t *object = NULL;
    pollen_err err = POLLEN_ENOMEM;
    if (t != NULL && way != NULL) {
        way->mesh = b->mesh;
        way->peer = b->peer;
        way->timeout_ms = (int)b->request->timeout_ms;
        way->request = (pln_bench_request){direction, (uint32_t)b->request->seconds};
        err = measure(b, way, t);
        if (err == POLLEN_OK) {
            object = json_pack("{s:I, s:f, s:f, s:o}", "bytes", (json_int_t)way->count.bytes,
                               "elapsed_seconds", (double)way->count.us / 1e6, "bytes_per_second",
                               per_second(&way->count), "rtt", trips_json(t));
        } else {
            fail(b, way, err);
        }
    } else {
        pln_reply_err(b->client, err, "bench");
    }
    free(t);
    free(way);
    return object;
}

/* A session may be about to come. */
static bool wait_for_session(const bench *b) {
    const pln_ts deadline = pln_clock_deadline((int)b->request->timeout_ms);
    pollen_session_info info;
    while (pollen_mesh_session_info(b->mesh, &b->peer, &info) != POLLEN_OK) {
        if (pln_ts_reached(deadline, pln_clock_mono())) {
            pln_reply_error(b->client, PLN_EXIT_TIMEOUT, "pln doctor",
                            "bench: no session with this peer");
            return false;
        }
        if (pln_is_leaving(b->daemon, b->client)) {
            return false;
        }
        (void)poll(NULL, 0, RETRY_MS);
    }
    return true;
}

static void answer(const bench *b, trips *idle, json_t *up, json_t *down) {
    char id[POLLEN_KEY_HEX_BYTES];
    pollen_session_info info = {0};
    const bool is_up = pollen_mesh_session_info(b->mesh, &b->peer, &info) == POLLEN_OK;
    pln_reply(b->client,
              json_pack("{s:s, s:s, s:s?, s:o, s:o, s:o, s:o}", "schema", "pollen.bench/1", "peer",
                        pollen_key_hex(&b->peer, id), "path", is_up ? pln_path_name(&info) : NULL,
                        "addr", is_up ? pln_json_addr(&info.addr) : json_null(), "idle_rtt",
                        trips_json(idle), "upload", up, "download", down));
}

void pln_handle_bench(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                      const pln_request *request) {
    bench b = {.daemon = daemon, .mesh = mesh, .client = client, .request = request};
    trips *idle = calloc(1, sizeof *idle);
    if (idle == NULL) {
        pln_reply_err(client, POLLEN_ENOMEM, "bench");
    } else if (pln_find_partner(mesh, client, request, &b.peer) && wait_for_session(&b) &&
               sample_idle(&b, idle)) {
        json_t *up = transfer_json(&b, PLN_BENCH_UP);
        json_t *down = up == NULL ? NULL : transfer_json(&b, PLN_BENCH_DOWN);
        if (down != NULL) {
            answer(&b, idle, up, down);
        } else {
            json_decref(up);
        }
    }
    free(idle);
}
