/* SPDX-License-Identifier: Apache-2.0 */
/* A mesh that is driven from outside, and peers that fall silent because nobody drives them. */
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/api_rig.h"

static pollen_mesh *external_mesh(const pollen_credentials *creds) {
    pollen_mesh_config config;
    pollen_mesh *mesh;
    pollen_mesh_config_init(&config);
    config.credentials = creds;
    config.external_loop = true;
    assert_ok(pollen_mesh_create(&config, &mesh));
    return mesh;
}

static void start_external(rig *r, size_t i) {
    r->mesh[i] = external_mesh(r->creds[i]);
    r->addr[i] = rig_loopback(pollen_mesh_listen_port(r->mesh[i]));
}

static size_t count_threads(void) {
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    size_t count = 0;
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

/* One round of an embedder's loop over some meshes. */
static void turn(pollen_mesh **meshes, size_t count, int timeout_ms) {
    struct pollfd fds[RIG_NODES];
    for (size_t i = 0; i < count; i++) {
        fds[i] = (struct pollfd){.fd = pollen_mesh_fd(meshes[i]), .events = POLLIN};
        int due = pollen_mesh_timeout_ms(meshes[i]);
        timeout_ms = due >= 0 && due < timeout_ms ? due : timeout_ms;
    }
    (void)poll(fds, count, timeout_ms);
    for (size_t i = 0; i < count; i++) {
        assert_ok(pollen_mesh_dispatch(meshes[i]));
    }
}

/* ---- One thread for everything --------------------------------------------------------------- */

/* Every call that waits runs the mesh itself; the other mesh has a thread of its own. */
static void the_driving_thread_may_wait(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 1);
    start_external(&r, 1);
    rig_connect(&r, 1, 0);
    assert_ok(rig_send(r.mesh[1], &r.key[0], "there", 5));
    uint64_t rtt_us;
    assert_ok(pollen_mesh_ping(r.mesh[1], &r.key[0], 100, SOON_MS, NULL, &rtt_us));
    pollen_packet packet;
    assert_ok(rig_recv(r.mesh[0], SOON_MS, &packet));
    pollen_packet_fini(&packet);
    assert_ok(rig_send(r.mesh[0], &r.key[1], "back", 4));
    assert_ok(rig_recv(r.mesh[1], SOON_MS, &packet));
    assert_int_equal(packet.envelope.size, 4);
    pollen_packet_fini(&packet);

    pollen_stream *ends[2];
    static uint8_t bytes[3 * 1000 * 1000], got[1000 * 1000];
    assert_ok(pollen_mesh_open_stream(r.mesh[1], &r.key[0], 5, SOON_MS, NULL, &ends[1]));
    assert_ok(pollen_stream_write(ends[1], bytes, 1000, SOON_MS, NULL, NULL));
    assert_ok(pollen_mesh_ping(r.mesh[1], &r.key[0], 0, SOON_MS, NULL, &rtt_us));
    assert_ok(pollen_mesh_accept_stream(r.mesh[0], SOON_MS, NULL, &ends[0]));
    assert_ok(pollen_stream_write(ends[0], bytes, sizeof(bytes), SOON_MS, NULL, NULL));
    assert_ok(pollen_stream_close_write(ends[0]));
    size_t size, total = 0;
    do {
        assert_ok(pollen_stream_read(ends[1], got, sizeof(got), SOON_MS, NULL, &size));
        total += size;
    } while (size > 0);
    assert_int_equal(total, sizeof(bytes));
    pollen_event event;
    rig_wait_event(r.mesh[1], POLLEN_EVENT_CONNECTED, &r.key[0], &event);
    pollen_stream_close(ends[0]);
    pollen_stream_close(ends[1]);
    rig_fini(&r);
}

static void no_thread_is_started(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 0);
    size_t before = count_threads();
    start_external(&r, 0);
    turn(&r.mesh[0], 1, 0);
    assert_int_equal(count_threads(), before);
    rig_fini(&r);
}

static void looking_does_not_wait_and_does_not_dispatch(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 0);
    start_external(&r, 0);
    pollen_packet packet;
    pollen_event event;
    pollen_stream *stream;
    int64_t before = rig_now_ms();
    assert_int_equal(pollen_mesh_recv(r.mesh[0], 0, NULL, &packet), POLLEN_ETIMEDOUT);
    assert_int_equal(pollen_mesh_next_event(r.mesh[0], 0, NULL, &event), POLLEN_ETIMEDOUT);
    assert_int_equal(pollen_mesh_accept_stream(r.mesh[0], 0, NULL, &stream), POLLEN_ETIMEDOUT);
    assert_true(rig_now_ms() - before < SOON_MS);
    assert_int_equal(pollen_mesh_recv(r.mesh[0], 20, NULL, &packet), POLLEN_ETIMEDOUT);
    assert_true(rig_now_ms() - before >= 20);
    rig_fini(&r);
}

/* ---- A loop of two meshes, and calls from another thread ------------------------------------- */

typedef struct job {
    rig *r;
    pollen_cancel *cancel;
    pollen_err err;
    atomic_bool done;
} job;

static void *connect_and_talk(void *arg) {
    job *j = arg;
    rig *r = j->r;
    pollen_packet packet;
    j->err = pollen_mesh_connect(r->mesh[1], &r->key[0], &r->addr[0], 1, SOON_MS, NULL);
    if (j->err == POLLEN_OK) {
        j->err = rig_send(r->mesh[1], &r->key[0], "x", 1);
    }
    if (j->err == POLLEN_OK) {
        j->err = rig_recv(r->mesh[0], SOON_MS, &packet);
    }
    if (j->err == POLLEN_OK) {
        pollen_packet_fini(&packet);
    }
    atomic_store(&j->done, true);
    return NULL;
}

static void calls_of_other_threads_wait_for_the_driver(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 0);
    start_external(&r, 0);
    start_external(&r, 1);
    turn(r.mesh, 2, 0);
    job j = {.r = &r};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, connect_and_talk, &j), 0);
    while (!atomic_load(&j.done)) {
        turn(r.mesh, 2, 100);
    }
    pthread_join(thread, NULL);
    assert_int_equal(j.err, POLLEN_OK);
    rig_fini(&r);
}

static void *fire(void *arg) {
    pollen_cancel_fire(((job *)arg)->cancel);
    return NULL;
}

static void a_cancel_wakes_the_driver(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 0);
    start_external(&r, 0);
    job j = {.r = &r};
    pthread_t thread;
    pollen_packet packet;
    assert_ok(pollen_cancel_create(&j.cancel));
    assert_int_equal(pthread_create(&thread, NULL, fire, &j), 0);
    assert_int_equal(pollen_mesh_recv(r.mesh[0], -1, j.cancel, &packet), POLLEN_ECANCELED);
    pthread_join(thread, NULL);
    pollen_cancel_destroy(j.cancel);
    rig_fini(&r);
}

static void *close_mesh(void *arg) {
    pollen_mesh_close(((job *)arg)->r->mesh[0]);
    return NULL;
}

static void another_thread_may_close(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 0);
    start_external(&r, 0);
    job j = {.r = &r};
    pthread_t thread;
    pollen_packet packet;
    assert_int_equal(pthread_create(&thread, NULL, close_mesh, &j), 0);
    assert_int_equal(pollen_mesh_recv(r.mesh[0], -1, NULL, &packet), POLLEN_ECLOSED);
    pthread_join(thread, NULL);
    assert_int_equal(pollen_mesh_dispatch(r.mesh[0]), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_timeout_ms(r.mesh[0]), -1);
    rig_fini(&r);
}

/* ---- Silence --------------------------------------------------------------------------------- */

/* Connects 1 to 0, which is driven for that and then left alone: its socket swallows everything. */
static void connect_to_silent(rig *r) {
    start_external(r, 0);
    rig_start(r, 1);
    rig_start(r, 2);
    rig_connect(r, 1, 2);
    rig_connect(r, 0, 1);
    rig_wait_event(r->mesh[1], POLLEN_EVENT_CONNECTED, &r->key[0], NULL);
}

static int compare_times(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t now_us(void) {
    struct timespec at;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &at), 0);
    return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

static void sending_to_a_silent_peer_never_waits(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 0);
    connect_to_silent(&r);
    enum { SENDS = 20000 };
    static int64_t took[SENDS];
    static uint8_t body[1000];
    size_t full = 0;
    for (size_t i = 0; i < SENDS; i++) {
        int64_t before = now_us();
        pollen_err err = rig_send(r.mesh[1], &r.key[0], body, sizeof(body));
        took[i] = now_us() - before;
        assert_true(err == POLLEN_OK || err == POLLEN_EAGAIN);
        full += err == POLLEN_EAGAIN;
    }
    qsort(took, SENDS, sizeof(took[0]), compare_times);
    assert_true(took[SENDS * 99 / 100] < 100000); /* Of network there would be none for 30 s. */
    assert_true(full > 0);                        /* The queue has an end, and says so. */
    /* Others do not notice. */
    pollen_packet packet;
    uint64_t rtt_us;
    assert_ok(rig_send(r.mesh[1], &r.key[2], "you", 3));
    assert_ok(rig_recv(r.mesh[2], SOON_MS, &packet));
    pollen_packet_fini(&packet);
    assert_ok(pollen_mesh_ping(r.mesh[1], &r.key[2], 0, SOON_MS, NULL, &rtt_us));
    rig_fini(&r);
}

/* And when it comes back, what waited is delivered, and there is room again. */
static void a_peer_that_wakes_up_gets_what_waited(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 0);
    connect_to_silent(&r);
    static uint8_t body[1000];
    pollen_err err;
    do {
        err = rig_send(r.mesh[1], &r.key[0], body, sizeof(body));
    } while (err == POLLEN_OK);
    assert_int_equal(err, POLLEN_EAGAIN);
    pollen_packet packet;
    int64_t end = rig_now_ms() + SOON_MS;
    while (err == POLLEN_EAGAIN) {
        assert_true(rig_now_ms() < end);
        turn(&r.mesh[0], 1, 10);
        while (pollen_mesh_recv(r.mesh[0], 0, NULL, &packet) == POLLEN_OK) {
            pollen_packet_fini(&packet);
        }
        err = rig_send(r.mesh[1], &r.key[0], "last", 4);
    }
    assert_int_equal(err, POLLEN_OK);
    do {
        assert_ok(rig_recv(r.mesh[0], SOON_MS, &packet));
        bool last = packet.envelope.size == 4;
        pollen_packet_fini(&packet);
        if (last) {
            break;
        }
    } while (true);
    rig_fini(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_driving_thread_may_wait),
        cmocka_unit_test(no_thread_is_started),
        cmocka_unit_test(looking_does_not_wait_and_does_not_dispatch),
        cmocka_unit_test(calls_of_other_threads_wait_for_the_driver),
        cmocka_unit_test(a_cancel_wakes_the_driver),
        cmocka_unit_test(another_thread_may_close),
        cmocka_unit_test(sending_to_a_silent_peer_never_waits),
        cmocka_unit_test(a_peer_that_wakes_up_gets_what_waited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
