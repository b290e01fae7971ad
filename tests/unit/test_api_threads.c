/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads on one mesh: everything arrives whole while sessions come and go, and whoever waits
 * is let go when the mesh closes.  Meant for ThreadSanitizer as much as for its own checks. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/api_rig.h"

enum { SENDERS = 4, RECEIVERS = 2, EACH = 500, BODY = 600, STREAMS = 2, STREAM_BYTES = 1000000 };

/* A message says who sent it and which it is, and the rest of it follows from that. */
typedef struct message {
    uint32_t sender, number;
    uint8_t rest[BODY];
} message;

static message make_message(uint32_t sender, uint32_t number) {
    message m = {.sender = sender, .number = number};
    memset(m.rest, (int)(sender * 31 + number), sizeof(m.rest));
    return m;
}

typedef struct crowd {
    rig *r;
    atomic_uint next_sender;
    atomic_uint got[SENDERS][EACH]; /* How often each message was received. */
    atomic_uint broken;
    atomic_bool over;
} crowd;

/* ---- The jobs -------------------------------------------------------------------------------- */

static void *send_messages(void *arg) {
    crowd *c = arg;
    const uint32_t sender = atomic_fetch_add(&c->next_sender, 1);
    for (uint32_t i = 0; i < EACH; i++) {
        const message m = make_message(sender, i);
        pollen_err err;
        while ((err = rig_send(c->r->mesh[1], &c->r->key[0], &m, sizeof(m))) == POLLEN_EAGAIN ||
               err == POLLEN_ENOTCONN) {
            (void)sched_yield();
        }
        if (err != POLLEN_OK) {
            atomic_fetch_add(&c->broken, 1);
        }
    }
    return NULL;
}

static void take_message(crowd *c, const pollen_packet *packet) {
    message m;
    if (packet->envelope.size != sizeof(m) ||
        memcmp(&packet->peer, &c->r->key[1], sizeof(pollen_key)) != 0) {
        atomic_fetch_add(&c->broken, 1);
        return;
    }
    memcpy(&m, packet->envelope.body, sizeof(m));
    const message wanted = make_message(m.sender, m.number);
    if (m.sender >= SENDERS || m.number >= EACH || memcmp(&m, &wanted, sizeof(m)) != 0) {
        atomic_fetch_add(&c->broken, 1);
        return;
    }
    atomic_fetch_add(&c->got[m.sender][m.number], 1);
}

static void *receive_messages(void *arg) {
    crowd *c = arg;
    pollen_packet packet;
    pollen_err err;
    while ((err = pollen_mesh_recv(c->r->mesh[0], -1, NULL, &packet)) == POLLEN_OK) {
        if (packet.envelope.kind == POLLEN_ENVELOPE_PAYLOAD) {
            take_message(c, &packet);
        }
        pollen_packet_fini(&packet);
    }
    return (void *)(intptr_t)err;
}

static uint8_t byte_at(uint16_t port, size_t at) {
    return (uint8_t)(port * 7 + at * 131 + at / 251);
}

/* A stream that its session took away is no fault; a wrong byte is. */
static void *write_streams(void *arg) {
    crowd *c = arg;
    uint8_t *bytes = malloc(STREAM_BYTES);
    for (uint16_t port = 1; port <= STREAMS && bytes != NULL; port++) {
        pollen_stream *stream;
        for (size_t i = 0; i < STREAM_BYTES; i++) {
            bytes[i] = byte_at(port, i);
        }
        if (pollen_mesh_open_stream(c->r->mesh[1], &c->r->key[0], port, SOON_MS, NULL, &stream) ==
            POLLEN_OK) {
            if (pollen_stream_write(stream, bytes, STREAM_BYTES, SOON_MS, NULL, NULL) ==
                POLLEN_OK) {
                (void)!pollen_stream_close_write(stream);
            }
            pollen_stream_close(stream);
        }
    }
    free(bytes);
    return NULL;
}

static void read_stream(crowd *c, pollen_stream *stream) {
    uint8_t bytes[4096];
    const uint16_t port = pollen_stream_port(stream);
    size_t at = 0, size = 0;
    while (pollen_stream_read(stream, bytes, sizeof(bytes), SOON_MS, NULL, &size) == POLLEN_OK &&
           size > 0) {
        for (size_t i = 0; i < size; i++) {
            if (bytes[i] != byte_at(port, at + i)) {
                atomic_fetch_add(&c->broken, 1);
                return;
            }
        }
        at += size;
    }
    if (at > STREAM_BYTES) {
        atomic_fetch_add(&c->broken, 1);
    }
}

static void *read_streams(void *arg) {
    crowd *c = arg;
    pollen_stream *stream;
    pollen_err err;
    while ((err = pollen_mesh_accept_stream(c->r->mesh[0], -1, NULL, &stream)) == POLLEN_OK) {
        read_stream(c, stream);
        pollen_stream_close(stream);
    }
    return (void *)(intptr_t)err;
}

static void *look_around(void *arg) {
    crowd *c = arg;
    while (!atomic_load(&c->over)) {
        pollen_session_info info;
        pollen_key peers[2];
        pollen_addr addr;
        uint64_t rtt_us;
        (void)!pollen_mesh_session_info(c->r->mesh[0], &c->r->key[1], &info);
        (void)pollen_mesh_connected_peers(c->r->mesh[0], peers, 2);
        (void)!pollen_mesh_active_peer_address(c->r->mesh[0], &c->r->key[1], &addr);
        (void)pollen_mesh_max_envelope(c->r->mesh[1], &c->r->key[0], POLLEN_ENVELOPE_PAYLOAD);
        (void)!pollen_mesh_ping(c->r->mesh[1], &c->r->key[0], 100, 1000, NULL, &rtt_us);
    }
    return NULL;
}

/* Ends the session again and again; it is kept, so that it comes back. */
static void *shake(void *arg) {
    crowd *c = arg;
    for (int i = 0; i < 10 && !atomic_load(&c->over); i++) {
        pollen_event event;
        pollen_mesh_close_peer_session(c->r->mesh[1], &c->r->key[0], POLLEN_END_GRACEFUL);
        (void)!pollen_mesh_next_event(c->r->mesh[1], 1000, NULL, &event);
        (void)!pollen_mesh_connect(c->r->mesh[1], &c->r->key[0], &c->r->addr[0], 1, SOON_MS, NULL);
    }
    return NULL;
}

/* ---- The tests ------------------------------------------------------------------------------- */

static void start(pthread_t *threads, size_t count, void *(*job)(void *), crowd *c) {
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, job, c), 0);
    }
}

static void join(const pthread_t *threads, size_t count, pollen_err wanted) {
    for (size_t i = 0; i < count; i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_int_equal((intptr_t)result, wanted);
    }
}

typedef struct threads {
    pthread_t senders[SENDERS], receivers[RECEIVERS], writer, reader, looker, shaker;
} threads;

static void run_crowd(crowd *c, bool with_shaking) {
    threads t;
    start(t.receivers, RECEIVERS, receive_messages, c);
    start(&t.reader, 1, read_streams, c);
    start(&t.writer, 1, write_streams, c);
    start(&t.looker, 1, look_around, c);
    start(t.senders, SENDERS, send_messages, c);
    if (with_shaking) {
        start(&t.shaker, 1, shake, c);
        join(&t.shaker, 1, POLLEN_OK);
    }
    join(t.senders, SENDERS, POLLEN_OK);
    join(&t.writer, 1, POLLEN_OK);
    atomic_store(&c->over, true);
    join(&t.looker, 1, POLLEN_OK);
    pollen_mesh_close(c->r->mesh[0]);
    join(t.receivers, RECEIVERS, POLLEN_ECLOSED);
    join(&t.reader, 1, POLLEN_ECLOSED);
}

static size_t count_received(crowd *c) {
    size_t count = 0;
    for (size_t s = 0; s < SENDERS; s++) {
        for (size_t i = 0; i < EACH; i++) {
            assert_in_range(atomic_load(&c->got[s][i]), 0, 1); /* Never twice. */
            count += atomic_load(&c->got[s][i]);
        }
    }
    return count;
}

static void what_many_threads_send_arrives_whole_and_once(void **state) {
    (void)state;
    rig r;
    crowd *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->r = &r;
    rig_init_pair(&r);
    run_crowd(c, false);
    assert_int_equal(atomic_load(&c->broken), 0);
    assert_true(count_received(c) > 0);
    rig_fini(&r);
    free(c);
}

static void sessions_that_come_and_go_break_nothing(void **state) {
    (void)state;
    rig r;
    crowd *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->r = &r;
    rig_init_pair(&r);
    run_crowd(c, true);
    assert_int_equal(atomic_load(&c->broken), 0);
    (void)count_received(c);
    rig_fini(&r);
    free(c);
}

/* ---- Going away in the middle ---------------------------------------------------------------- */

typedef struct opener {
    rig *r;
    pollen_cancel *cancel;
    atomic_bool about;
} opener;

static void *open_once(void *arg) {
    opener *o = arg;
    pollen_stream *stream;
    atomic_store(&o->about, true);
    const pollen_err err =
        pollen_mesh_open_stream(o->r->mesh[1], &o->r->key[0], 1, -1, o->cancel, &stream);
    if (err == POLLEN_OK) {
        pollen_stream_close(stream);
    }
    return (void *)(intptr_t)err;
}

/* An open may succeed at the moment its caller gives up, and the mesh close a moment later. */
static void opens_that_are_given_up_lose_nothing(void **state) {
    (void)state;
    rig r;
    rig_init_pair(&r);
    for (int i = 0; i < 200; i++) {
        opener o = {.r = &r};
        pthread_t thread;
        void *result;
        assert_ok(pollen_cancel_create(&o.cancel));
        assert_int_equal(pthread_create(&thread, NULL, open_once, &o), 0);
        while (!atomic_load(&o.about)) {
            (void)sched_yield();
        }
        pollen_cancel_fire(o.cancel);
        assert_int_equal(pthread_join(thread, &result), 0);
        const pollen_err err = (pollen_err)(intptr_t)result;
        assert_true(err == POLLEN_OK || err == POLLEN_ECANCELED);
        pollen_cancel_destroy(o.cancel);
    }
    uint64_t rtt_us;
    assert_ok(pollen_mesh_ping(r.mesh[1], &r.key[0], 0, SOON_MS, NULL, &rtt_us));
    rig_fini(&r);
}

static void a_mesh_may_go_while_an_open_is_given_up(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        rig r;
        opener o = {.r = &r};
        pthread_t thread;
        void *result;
        rig_init_pair(&r);
        pollen_mesh *peer = r.mesh[0];
        pollen_mesh *own = r.mesh[1];
        assert_ok(pollen_cancel_create(&o.cancel));
        assert_int_equal(pthread_create(&thread, NULL, open_once, &o), 0);
        while (!atomic_load(&o.about)) {
            (void)sched_yield();
        }
        pollen_cancel_fire(o.cancel);
        pollen_mesh_close(own);
        assert_int_equal(pthread_join(thread, &result), 0);
        pollen_mesh_close(peer);
        pollen_cancel_destroy(o.cancel);
        rig_fini(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_many_threads_send_arrives_whole_and_once),
        cmocka_unit_test(sessions_that_come_and_go_break_nothing),
        cmocka_unit_test(opens_that_are_given_up_lose_nothing),
        cmocka_unit_test(a_mesh_may_go_while_an_open_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
