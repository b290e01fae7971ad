/* SPDX-License-Identifier: Apache-2.0 */
/* How calls end: by deadline, by cancel, by close; and what is refused. */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/api_rig.h"

static size_t count_entries(const char *path) {
    DIR *dir = opendir(path);
    assert_non_null(dir);
    size_t count = 0;
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

/* ---- Calls that wait ------------------------------------------------------------------------- */

typedef struct waiter waiter;
typedef pollen_err (*wait_call)(waiter *w);

struct waiter {
    rig *r;
    pollen_cancel *cancel;
    pollen_stream *stream;
    wait_call call;
    pthread_t thread;
    pollen_err err;
};

static pollen_err wait_recv(waiter *w) {
    pollen_packet packet;
    pollen_err err;
    while ((err = pollen_mesh_recv(w->r->mesh[0], -1, w->cancel, &packet)) == POLLEN_OK) {
        pollen_packet_fini(&packet);
    }
    return err;
}

static pollen_err wait_event(waiter *w) {
    pollen_event event;
    pollen_err err;
    while ((err = pollen_mesh_next_event(w->r->mesh[0], -1, w->cancel, &event)) == POLLEN_OK) {
    }
    return err;
}

static pollen_err wait_accept(waiter *w) {
    pollen_stream *stream;
    return pollen_mesh_accept_stream(w->r->mesh[0], -1, w->cancel, &stream);
}

static pollen_err wait_open(waiter *w) { /* Towards a node that is not there. */
    pollen_stream *stream = NULL;
    pollen_err err =
        pollen_mesh_open_stream(w->r->mesh[0], &w->r->key[2], 1, -1, w->cancel, &stream);
    pollen_stream_close(stream);
    return err;
}

static pollen_err wait_read(waiter *w) {
    uint8_t byte;
    size_t size;
    return pollen_stream_read(w->stream, &byte, 1, -1, w->cancel, &size);
}

static pollen_err wait_write(waiter *w) { /* Nobody reads at the other end. */
    static const uint8_t bytes[1000 * 1000];
    pollen_err err;
    while ((err = pollen_stream_write(w->stream, bytes, sizeof(bytes), -1, w->cancel, NULL)) ==
           POLLEN_OK) {
    }
    return err;
}

static void *run_waiter(void *arg) {
    waiter *w = arg;
    w->err = w->call(w);
    return NULL;
}

static const wait_call wait_calls[] = {wait_recv, wait_event, wait_accept,
                                       wait_open, wait_read,  wait_write};
enum { WAITERS = sizeof(wait_calls) / sizeof(wait_calls[0]) };

static void start_waiters(waiter *w, rig *r, pollen_stream *stream, pollen_cancel *cancel) {
    for (size_t i = 0; i < WAITERS; i++) {
        w[i] = (waiter){.r = r, .cancel = cancel, .stream = stream, .call = wait_calls[i]};
        assert_int_equal(pthread_create(&w[i].thread, NULL, run_waiter, &w[i]), 0);
    }
}

static void expect_waiters(waiter *w, pollen_err err) {
    for (size_t i = 0; i < WAITERS; i++) {
        pthread_join(w[i].thread, NULL);
        if (w[i].err != err) {
            fail_msg("waiter %zu: %s", i, pollen_err_name(w[i].err));
        }
    }
}

static void closing_ends_every_call_that_waits(void **state) {
    (void)state;
    rig r;
    waiter w[WAITERS];
    pollen_stream *ends[2];
    rig_init_pair(&r);
    rig_open(&r, 1, ends);
    start_waiters(w, &r, ends[0], NULL);
    pollen_mesh_close(r.mesh[0]);
    expect_waiters(w, POLLEN_ECLOSED);
    pollen_stream_close(ends[0]);
    pollen_stream_close(ends[1]);
    rig_fini(&r);
}

static void a_cancel_ends_every_call_that_waits(void **state) {
    (void)state;
    rig r;
    waiter w[WAITERS];
    pollen_stream *ends[2];
    pollen_cancel *cancel;
    rig_init_pair(&r);
    rig_open(&r, 1, ends);
    assert_ok(pollen_cancel_create(&cancel));
    start_waiters(w, &r, ends[0], cancel);
    pollen_cancel_fire(cancel);
    expect_waiters(w, POLLEN_ECANCELED);
    /* Once fired it stays fired; calls without it go on. */
    assert_int_equal(pollen_mesh_connect(r.mesh[0], &r.key[2], &r.addr[1], 1, -1, cancel),
                     POLLEN_ECANCELED);
    assert_ok(rig_send(r.mesh[0], &r.key[1], "x", 1));
    pollen_cancel_destroy(cancel);
    pollen_stream_close(ends[0]);
    pollen_stream_close(ends[1]);
    rig_fini(&r);
}

static void a_mesh_closes_while_calls_come_in(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        rig r;
        waiter w[3];
        rig_init(&r, 1);
        for (size_t k = 0; k < 3; k++) {
            w[k] = (waiter){.r = &r, .call = wait_calls[k]};
            assert_int_equal(pthread_create(&w[k].thread, NULL, run_waiter, &w[k]), 0);
        }
        pollen_mesh_close(r.mesh[0]);
        for (size_t k = 0; k < 3; k++) {
            pthread_join(w[k].thread, NULL);
            assert_int_equal(w[k].err, POLLEN_ECLOSED);
        }
        rig_fini(&r);
    }
}

static void after_closing_every_call_says_so(void **state) {
    (void)state;
    rig r;
    rig_init_pair(&r);
    pollen_mesh *mesh = r.mesh[0];
    pollen_mesh_close(mesh);
    pollen_mesh_close(mesh);
    const pollen_key *peer = &r.key[1];
    pollen_packet packet;
    pollen_stream *stream;
    pollen_credentials *creds;
    pollen_session_info info;
    pollen_event event;
    uint64_t rtt_us;
    assert_int_equal(rig_send(mesh, peer, "x", 1), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_recv(mesh, -1, NULL, &packet), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_connect(mesh, peer, &r.addr[1], 1, -1, NULL), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_open_stream(mesh, peer, 1, -1, NULL, &stream), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_accept_stream(mesh, -1, NULL, &stream), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_ping(mesh, peer, 0, -1, NULL, &rtt_us), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_session_info(mesh, peer, &info), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_credentials(mesh, &creds), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_update_cert(mesh, r.creds[0]), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_keep_peer(mesh, peer, &r.addr[1], 1), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_request_cert_renewal(mesh, peer, -1, NULL), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_connected_peers(mesh, NULL, 0), 0);
    pollen_mesh_close_peer_session(mesh, peer, POLLEN_END_GRACEFUL);
    pollen_mesh_broadcast_disconnect(mesh);
    /* The session's end is told before the end of events. */
    pollen_err err;
    bool ended = false;
    while ((err = pollen_mesh_next_event(mesh, -1, NULL, &event)) == POLLEN_OK) {
        ended = ended || event.kind == POLLEN_EVENT_DISCONNECTED;
    }
    assert_int_equal(err, POLLEN_ECLOSED);
    assert_true(ended);
    /* And the peer is told as well. */
    rig_wait_event(r.mesh[1], POLLEN_EVENT_DISCONNECTED, &r.key[0], &event);
    assert_int_equal(event.reason, POLLEN_END_GRACEFUL);
    rig_fini(&r);
}

/* ---- Closing under load ---------------------------------------------------------------------- */

typedef struct load {
    rig *r;
    size_t node;
    atomic_bool *go;
} load;

static void *send_until_closed(void *arg) {
    load *l = arg;
    pollen_err err = POLLEN_OK;
    while (err != POLLEN_ECLOSED) {
        err = rig_send(l->r->mesh[l->node], &l->r->key[1 - l->node], "load", 4);
    }
    return NULL;
}

static void *recv_until_closed(void *arg) {
    load *l = arg;
    pollen_packet packet;
    while (pollen_mesh_recv(l->r->mesh[l->node], -1, NULL, &packet) == POLLEN_OK) {
        atomic_store(l->go, true);
        pollen_packet_fini(&packet);
    }
    return NULL;
}

static void *open_until_closed(void *arg) {
    load *l = arg;
    pollen_stream *stream;
    pollen_err err = POLLEN_OK;
    while (err != POLLEN_ECLOSED) {
        err = pollen_mesh_open_stream(l->r->mesh[l->node], &l->r->key[1 - l->node], 1, 50, NULL,
                                      &stream);
        if (err == POLLEN_OK) {
            (void)!pollen_stream_write(stream, "abc", 3, 50, NULL, NULL);
            pollen_stream_close(stream);
        }
    }
    return NULL;
}

static void *accept_until_closed(void *arg) {
    load *l = arg;
    pollen_stream *stream;
    while (pollen_mesh_accept_stream(l->r->mesh[l->node], -1, NULL, &stream) == POLLEN_OK) {
        uint8_t bytes[4];
        size_t size;
        (void)!pollen_stream_read(stream, bytes, sizeof(bytes), 50, NULL, &size);
        pollen_stream_close(stream);
    }
    return NULL;
}

static void *look_until_closed(void *arg) {
    load *l = arg;
    pollen_session_info info;
    pollen_key peers[2];
    pollen_err err = POLLEN_OK;
    while (err != POLLEN_ECLOSED) {
        err = pollen_mesh_session_info(l->r->mesh[l->node], &l->r->key[1 - l->node], &info);
        (void)pollen_mesh_connected_peers(l->r->mesh[l->node], peers, 2);
    }
    return NULL;
}

static void *close_it(void *arg) {
    load *l = arg;
    pollen_mesh_close(l->r->mesh[l->node]);
    return NULL;
}

static void closing_under_load_ends_all_threads(void **state) {
    (void)state;
    void *(*const jobs[])(void *) = {send_until_closed, recv_until_closed, open_until_closed,
                                     accept_until_closed, look_until_closed};
    enum { JOBS = sizeof(jobs) / sizeof(jobs[0]) };
    for (int round = 0; round < 5; round++) {
        rig r;
        rig_init_pair(&r);
        atomic_bool go[2] = {false, false};
        load loads[2];
        pthread_t threads[2][JOBS], closers[2][2];
        for (size_t n = 0; n < 2; n++) {
            loads[n] = (load){.r = &r, .node = n, .go = &go[n]};
            for (size_t j = 0; j < JOBS; j++) {
                assert_int_equal(pthread_create(&threads[n][j], NULL, jobs[j], &loads[n]), 0);
            }
        }
        while (!atomic_load(&go[0]) || !atomic_load(&go[1])) {
            (void)sched_yield();
        }
        for (size_t n = 0; n < 2; n++) { /* From two threads at once. */
            for (size_t c = 0; c < 2; c++) {
                assert_int_equal(pthread_create(&closers[n][c], NULL, close_it, &loads[n]), 0);
            }
        }
        for (size_t n = 0; n < 2; n++) {
            for (size_t c = 0; c < 2; c++) {
                pthread_join(closers[n][c], NULL);
            }
            for (size_t j = 0; j < JOBS; j++) {
                pthread_join(threads[n][j], NULL);
            }
        }
        rig_fini(&r);
    }
}

static void a_mesh_leaves_no_thread_and_no_file_behind(void **state) {
    (void)state;
    rig r;
    rig_init_pair(&r); /* Once before, for what libraries open and keep. */
    rig_fini(&r);
    size_t threads = count_entries("/proc/self/task");
    size_t files = count_entries("/proc/self/fd");
    for (int i = 0; i < 5; i++) {
        pollen_stream *ends[2];
        rig_init_pair(&r);
        rig_open(&r, 1, ends);
        pollen_stream_close(ends[0]);
        pollen_stream_close(ends[1]);
        rig_fini(&r);
    }
    assert_int_equal(count_entries("/proc/self/task"), threads);
    assert_int_equal(count_entries("/proc/self/fd"), files);
}

/* ---- In time, and refused -------------------------------------------------------------------- */

static void an_absent_peer_costs_the_deadline_and_no_more(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 1);
    pollen_stream *stream;
    int64_t before = rig_now_ms();
    assert_int_equal(pollen_mesh_open_stream(r.mesh[0], &r.key[1], 1, 50, NULL, &stream),
                     POLLEN_ETIMEDOUT);
    assert_string_not_equal(pollen_last_error(), "");
    pollen_addr nobody = rig_loopback(9);
    assert_int_equal(pollen_mesh_connect(r.mesh[0], &r.key[1], &nobody, 1, 50, NULL),
                     POLLEN_ETIMEDOUT);
    int64_t took = rig_now_ms() - before;
    assert_in_range(took, 100, SOON_MS);
    rig_fini(&r);
}

static void a_stream_waits_for_the_session(void **state) {
    (void)state;
    rig r;
    waiter w = {.r = &r};
    rig_init(&r, 1);
    rig_start(&r, 2);
    w.call = wait_open;
    assert_int_equal(pthread_create(&w.thread, NULL, run_waiter, &w), 0);
    assert_ok(pollen_mesh_keep_peer(r.mesh[0], &r.key[2], &r.addr[2], 1));
    pthread_join(w.thread, NULL);
    assert_int_equal(w.err, POLLEN_OK);
    pollen_peer peers[2];
    assert_int_equal(pollen_mesh_peers(r.mesh[0], peers, 2), 1);
    assert_int_equal(peers[0].state, POLLEN_PEER_CONNECTED);
    rig_fini(&r);
}

static void another_key_at_the_address_is_told_apart(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 2);
    assert_int_equal(pollen_mesh_connect(r.mesh[0], &r.key[2], &r.addr[1], 1, SOON_MS, NULL),
                     POLLEN_EIDENTITY);
    assert_string_not_equal(pollen_last_error(), "");
    assert_int_equal(pollen_mesh_connected_peers(r.mesh[0], NULL, 0), 0);
    rig_fini(&r);
}

static void a_member_of_another_cluster_is_refused(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 1);
    pollen_credentials *creds = rig_root();
    pollen_mesh *foreign = rig_mesh(creds);
    pollen_key key = pollen_credentials_key(creds);
    pollen_addr addr = rig_loopback(pollen_mesh_listen_port(foreign));
    pollen_err err = pollen_mesh_connect(r.mesh[0], &key, &addr, 1, SOON_MS, NULL);
    assert_true(err == POLLEN_ECLUSTER || err == POLLEN_EDENIED);
    assert_int_equal(pollen_mesh_connected_peers(r.mesh[0], NULL, 0), 0);
    assert_int_equal(pollen_mesh_connected_peers(foreign, NULL, 0), 0);
    pollen_event event;
    assert_int_equal(pollen_mesh_next_event(r.mesh[0], 0, NULL, &event), POLLEN_ETIMEDOUT);
    assert_int_equal(pollen_mesh_next_event(foreign, 0, NULL, &event), POLLEN_ETIMEDOUT);
    pollen_mesh_destroy(foreign);
    pollen_credentials_destroy(creds);
    rig_fini(&r);
}

static bool is_node_2(void *context, const pollen_key *key) {
    const rig *r = context;
    return memcmp(key, &r->key[2], sizeof(*key)) == 0;
}

static void the_revoked_are_refused(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 0);
    pollen_mesh_config config;
    pollen_mesh_config_init(&config);
    config.credentials = r.creds[0];
    config.is_subject_revoked = is_node_2;
    config.is_subject_revoked_context = &r;
    assert_ok(pollen_mesh_create(&config, &r.mesh[0]));
    r.addr[0] = rig_loopback(pollen_mesh_listen_port(r.mesh[0]));
    rig_start(&r, 1);
    rig_start(&r, 2);
    assert_int_equal(pollen_mesh_connect(r.mesh[2], &r.key[0], &r.addr[0], 1, SOON_MS, NULL),
                     POLLEN_EDENIED);
    assert_int_equal(pollen_mesh_connect(r.mesh[0], &r.key[2], &r.addr[2], 1, SOON_MS, NULL),
                     POLLEN_EREVOKED);
    rig_connect(&r, 1, 0);
    rig_fini(&r);
}

static void arguments_that_make_no_sense_are_refused(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 1);
    pollen_addr none = {.port = 1}, nobody = rig_loopback(0);
    assert_int_equal(pollen_mesh_connect(r.mesh[0], &r.key[0], &r.addr[0], 1, 0, NULL),
                     POLLEN_EINVAL);
    assert_int_equal(pollen_mesh_connect(r.mesh[0], &r.key[1], NULL, 0, 0, NULL), POLLEN_EADDR);
    assert_int_equal(pollen_mesh_connect(r.mesh[0], &r.key[1], &none, 1, 0, NULL), POLLEN_EADDR);
    assert_int_equal(pollen_mesh_connect(r.mesh[0], &r.key[1], &nobody, 1, 0, NULL), POLLEN_EADDR);
    assert_int_equal(pollen_mesh_keep_peer(r.mesh[0], &r.key[0], &r.addr[0], 1), POLLEN_EINVAL);
    assert_int_equal(pollen_mesh_keep_peer(r.mesh[0], &r.key[1], &none, 1), POLLEN_EADDR);
    assert_int_equal(pollen_mesh_dispatch(r.mesh[0]), POLLEN_EINVAL);
    pollen_mesh_destroy(NULL);
    pollen_stream_close(NULL);
    pollen_cancel_destroy(NULL);
    pollen_credentials_destroy(NULL);
    pollen_text_free(NULL);
    rig_fini(&r);
}

static void a_mesh_needs_credentials_and_a_free_port(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 1);
    pollen_mesh *mesh;
    pollen_mesh_config config;
    pollen_mesh_config_init(&config);
    assert_int_equal(pollen_mesh_create(&config, &mesh), POLLEN_EINVAL);
    config.credentials = r.creds[1];
    config.size = 0;
    assert_int_equal(pollen_mesh_create(&config, &mesh), POLLEN_EINVAL);
    static const int64_t ages[] = {INT64_MAX, INT64_MAX / 2, 100LL * 365 * 86400 + 1, -1};
    for (size_t i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
        pollen_mesh_config_init(&config);
        config.credentials = r.creds[1];
        config.max_connection_age_seconds = ages[i];
        assert_int_equal(pollen_mesh_create(&config, &mesh), POLLEN_EINVAL);
    }
    pollen_mesh_config_init(&config);
    config.credentials = r.creds[1];
    config.port = pollen_mesh_listen_port(r.mesh[0]);
    assert_int_equal(pollen_mesh_create(&config, &mesh), POLLEN_EADDRINUSE);
    assert_string_not_equal(pollen_last_error(), "");
    rig_fini(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_ends_every_call_that_waits),
        cmocka_unit_test(a_cancel_ends_every_call_that_waits),
        cmocka_unit_test(a_mesh_closes_while_calls_come_in),
        cmocka_unit_test(after_closing_every_call_says_so),
        cmocka_unit_test(closing_under_load_ends_all_threads),
        cmocka_unit_test(a_mesh_leaves_no_thread_and_no_file_behind),
        cmocka_unit_test(an_absent_peer_costs_the_deadline_and_no_more),
        cmocka_unit_test(a_stream_waits_for_the_session),
        cmocka_unit_test(another_key_at_the_address_is_told_apart),
        cmocka_unit_test(a_member_of_another_cluster_is_refused),
        cmocka_unit_test(the_revoked_are_refused),
        cmocka_unit_test(arguments_that_make_no_sense_are_refused),
        cmocka_unit_test(a_mesh_needs_credentials_and_a_free_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
