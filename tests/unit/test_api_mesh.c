/* SPDX-License-Identifier: Apache-2.0 */
/* What a user of a mesh may rely on: limits, ends and their reasons, sessions that are kept, and a
 * peer that has gone silent. */
#include <pthread.h>
#include <unistd.h>

#include "support/api_child.h"

static bool same_key(const pollen_key *a, const pollen_key *b) {
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* ---- Limits ---------------------------------------------------------------------------------- */

static void assert_arrives(rig *r, const uint8_t *body, size_t size) {
    pollen_packet packet;
    assert_ok(rig_recv(r->mesh[0], SOON_MS, &packet));
    assert_int_equal(packet.envelope.size, size);
    assert_memory_equal(packet.envelope.body, body, size);
    pollen_packet_fini(&packet);
}

/* The path may turn out to be wider between the question and the send; then one byte more is
 * taken rightly, and has to arrive. */
static void one_byte_beyond_the_maximum_is_refused(void **state) {
    rig *r = *state;
    static uint8_t body[65536];
    for (int i = 0; i < 100; i++) {
        const size_t max =
            pollen_mesh_max_envelope(r->mesh[1], &r->key[0], POLLEN_ENVELOPE_PAYLOAD);
        assert_in_range(max, 1100, sizeof(body) - 2);
        memset(body, i, max + 1);
        assert_ok(rig_send(r->mesh[1], &r->key[0], body, max));
        assert_arrives(r, body, max);
        const pollen_err err = rig_send(r->mesh[1], &r->key[0], body, max + 1);
        if (err == POLLEN_EMSGSIZE) {
            return;
        }
        assert_ok(err);
        assert_arrives(r, body, max + 1);
    }
    fail_msg("no maximum was ever kept to");
}

/* ---- Receiving ------------------------------------------------------------------------------- */

static void receiving_takes_its_deadline_and_no_more(void **state) {
    rig *r = *state;
    pollen_packet packet;
    const int64_t start = rig_now_ms();
    assert_int_equal(pollen_mesh_recv(r->mesh[0], 0, NULL, &packet), POLLEN_ETIMEDOUT);
    assert_true(rig_now_ms() - start < SOON_MS / 2);
    const int64_t begin = rig_now_ms();
    assert_int_equal(pollen_mesh_recv(r->mesh[0], 100, NULL, &packet), POLLEN_ETIMEDOUT);
    assert_in_range(rig_now_ms() - begin, 99, SOON_MS / 2);
}

static void what_is_there_is_received_without_waiting(void **state) {
    rig *r = *state;
    pollen_packet packet;
    uint64_t rtt_us;
    pollen_err err = POLLEN_ETIMEDOUT;
    const int64_t start = rig_now_ms();
    assert_ok(rig_send(r->mesh[1], &r->key[0], "here", 4));
    /* Each ping is a moment in which it may come. */
    while (err == POLLEN_ETIMEDOUT && rig_now_ms() - start < SOON_MS) {
        assert_ok(pollen_mesh_ping(r->mesh[1], &r->key[0], 0, SOON_MS, NULL, &rtt_us));
        err = pollen_mesh_recv(r->mesh[0], 0, NULL, &packet);
    }
    assert_ok(err);
    pollen_packet_fini(&packet);
}

static void a_fired_cancel_ends_later_calls_at_once(void **state) {
    rig *r = *state;
    pollen_cancel *cancel;
    pollen_packet packet;
    pollen_event event;
    assert_ok(pollen_cancel_create(&cancel));
    pollen_cancel_fire(cancel);
    assert_int_equal(pollen_mesh_recv(r->mesh[0], -1, cancel, &packet), POLLEN_ECANCELED);
    assert_int_equal(pollen_mesh_next_event(r->mesh[0], -1, cancel, &event), POLLEN_ECANCELED);
    pollen_cancel_destroy(cancel);
}

static void events_that_waited_are_given_after_the_close(void **state) {
    rig *r = *state;
    pollen_event event;
    pollen_packet packet;
    pollen_mesh_close(r->mesh[0]);
    assert_ok(pollen_mesh_next_event(r->mesh[0], 0, NULL, &event));
    assert_int_equal(event.kind, POLLEN_EVENT_DISCONNECTED);
    assert_int_equal(pollen_mesh_next_event(r->mesh[0], -1, NULL, &event), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_recv(r->mesh[0], -1, NULL, &packet), POLLEN_ECLOSED);
    rig_wait_event(r->mesh[1], POLLEN_EVENT_DISCONNECTED, &r->key[0], &event);
    assert_int_equal(event.reason, POLLEN_END_GRACEFUL);
}

/* ---- Ends ------------------------------------------------------------------------------------ */

static void the_peer_sees_why_a_session_was_closed(void **state) {
    /* What has no words of its own is told as graceful. */
    static const pollen_end_reason reasons[][2] = {
        {POLLEN_END_GRACEFUL, POLLEN_END_GRACEFUL},
        {POLLEN_END_CERT_ROTATION, POLLEN_END_CERT_ROTATION},
        {POLLEN_END_CERT_EXPIRED, POLLEN_END_CERT_EXPIRED},
        {POLLEN_END_REVOKED, POLLEN_END_REVOKED},
        {POLLEN_END_DENIED, POLLEN_END_DENIED},
        {POLLEN_END_UNKNOWN, POLLEN_END_GRACEFUL},
    };
    rig *r = *state;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
        pollen_event own, peers;
        pollen_mesh_close_peer_session(r->mesh[0], &r->key[1], reasons[i][0]);
        pollen_mesh_close_peer_session(r->mesh[0], &r->key[1], POLLEN_END_UNKNOWN); /* Over. */
        rig_wait_event(r->mesh[0], POLLEN_EVENT_DISCONNECTED, &r->key[1], &own);
        rig_wait_event(r->mesh[1], POLLEN_EVENT_DISCONNECTED, &r->key[0], &peers);
        assert_int_equal(own.reason, reasons[i][0]);
        assert_int_equal(peers.reason, reasons[i][1]);
        rig_connect(r, 1, 0);
        rig_wait_event(r->mesh[0], POLLEN_EVENT_CONNECTED, &r->key[1], NULL);
    }
}

enum { FLAPS = 30, PULLERS = 2, SEEN_MAX = 4 * FLAPS + 8 };

typedef struct puller {
    pollen_mesh *mesh;
    pollen_event seen[SEEN_MAX];
    size_t count;
    pollen_err err;
} puller;

static void *pull_all(void *arg) {
    puller *p = arg;
    while (p->count < SEEN_MAX &&
           (p->err = pollen_mesh_next_event(p->mesh, -1, NULL, &p->seen[p->count])) == POLLEN_OK) {
        p->count++;
    }
    return NULL;
}

static size_t count_events(const puller *p, pollen_event_kind kind, uint64_t generation) {
    size_t count = 0;
    for (size_t i = 0; i < p->count; i++) {
        count += p->seen[i].kind == kind && p->seen[i].generation == generation;
    }
    return count;
}

static size_t count_both(const puller *p, pollen_event_kind kind, uint64_t generation) {
    return count_events(&p[0], kind, generation) + count_events(&p[1], kind, generation);
}

static void two_that_pull_share_the_events_and_each_is_given_once(void **state) {
    rig *r = *state;
    static puller pullers[PULLERS];
    pthread_t threads[PULLERS];
    pollen_event ended;
    uint64_t newest = 0;
    for (size_t i = 0; i < PULLERS; i++) {
        pullers[i] = (puller){.mesh = r->mesh[0]};
        assert_int_equal(pthread_create(&threads[i], NULL, pull_all, &pullers[i]), 0);
    }
    for (int i = 0; i < FLAPS; i++) {
        pollen_mesh_close_peer_session(r->mesh[1], &r->key[0], POLLEN_END_GRACEFUL);
        rig_wait_event(r->mesh[1], POLLEN_EVENT_DISCONNECTED, &r->key[0], &ended);
        rig_connect(r, 1, 0);
    }
    pollen_mesh_close(r->mesh[0]);
    for (size_t i = 0; i < PULLERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(pullers[i].err, POLLEN_ECLOSED);
    }
    for (size_t i = 0; i < PULLERS; i++) {
        for (size_t k = 0; k < pullers[i].count; k++) {
            const pollen_event *event = &pullers[i].seen[k];
            assert_int_equal(count_both(pullers, event->kind, event->generation), 1);
            newest = event->generation > newest ? event->generation : newest;
        }
    }
    assert_int_equal(count_both(pullers, POLLEN_EVENT_DISCONNECTED, newest), 1);
}

/* ---- Certificates ---------------------------------------------------------------------------- */

static void new_credentials_count_from_the_next_handshake_on(void **state) {
    rig *r = *state;
    pollen_invite_options options;
    pollen_cert_info before, after;
    char *token;
    pollen_invite_options_init(&options);
    options.membership_ttl_seconds = 2 * 365 * 86400;
    assert_ok(pollen_join_token_create(r->creds[0], &r->key[1], &options, &token));
    assert_ok(pollen_credentials_apply(r->creds[1], token));
    pollen_text_free(token);

    assert_ok(pollen_mesh_peer_membership_cert(r->mesh[0], &r->key[1], &before));
    assert_ok(pollen_mesh_update_cert(r->mesh[1], r->creds[1]));
    assert_ok(pollen_mesh_peer_membership_cert(r->mesh[0], &r->key[1], &after));
    assert_int_equal(after.serial, before.serial);
    assert_int_equal(pollen_mesh_connected_peers(r->mesh[1], NULL, 0), 1);

    pollen_mesh_close_peer_session(r->mesh[1], &r->key[0], POLLEN_END_CERT_ROTATION);
    rig_wait_event(r->mesh[1], POLLEN_EVENT_DISCONNECTED, &r->key[0], NULL);
    rig_wait_event(r->mesh[0], POLLEN_EVENT_DISCONNECTED, &r->key[1], NULL);
    rig_connect(r, 1, 0);
    rig_wait_event(r->mesh[0], POLLEN_EVENT_CONNECTED, &r->key[1], NULL);
    assert_ok(pollen_mesh_peer_membership_cert(r->mesh[0], &r->key[1], &after));
    assert_int_not_equal(after.serial, before.serial);
    assert_true(after.not_after > before.not_after);
}

/* ---- Sessions that are kept ------------------------------------------------------------------ */

static void restart_at_the_same_port(rig *r, size_t i) {
    pollen_mesh_config config;
    pollen_mesh_destroy(r->mesh[i]);
    r->mesh[i] = NULL;
    pollen_mesh_config_init(&config);
    config.credentials = r->creds[i];
    config.port = r->addr[i].port;
    assert_ok(pollen_mesh_create(&config, &r->mesh[i]));
}

static void a_kept_peer_is_dialled_again_after_every_end(void **state) {
    rig *r = *state;
    pollen_peer peer;
    assert_ok(pollen_mesh_keep_peer(r->mesh[0], &r->key[1], &r->addr[1], 1));
    pollen_mesh_close_peer_session(r->mesh[1], &r->key[0], POLLEN_END_GRACEFUL);
    rig_wait_event(r->mesh[0], POLLEN_EVENT_DISCONNECTED, &r->key[1], NULL);
    rig_wait_event(r->mesh[0], POLLEN_EVENT_CONNECTED, &r->key[1], NULL);

    restart_at_the_same_port(r, 1);
    rig_wait_event(r->mesh[0], POLLEN_EVENT_DISCONNECTED, &r->key[1], NULL);
    rig_wait_event(r->mesh[0], POLLEN_EVENT_CONNECTED, &r->key[1], NULL);
    assert_int_equal(pollen_mesh_peers(r->mesh[0], &peer, 1), 1);
    assert_true(same_key(&peer.key, &r->key[1]));
    assert_true(peer.permanent);
    assert_int_equal(peer.state, POLLEN_PEER_CONNECTED);
}

/* ---- A silent peer --------------------------------------------------------------------------- */

/* No send takes longer than a scheduler may take; in the end the queue is full and says so. */
static void send_into_the_void(rig *r) {
    static const uint8_t body[1000];
    size_t refused = 0;
    const int64_t start = rig_now_ms();
    for (int i = 0; i < 5000; i++) {
        const pollen_err err = rig_send(r->mesh[0], &r->key[2], body, sizeof(body));
        assert_true(err == POLLEN_OK || err == POLLEN_EAGAIN);
        refused += err == POLLEN_EAGAIN;
    }
    assert_true(refused > 0);
    assert_true(rig_now_ms() - start < SOON_MS);
}

static void write_into_the_void(rig *r) {
    static const uint8_t page[65536];
    pollen_stream *stream;
    pollen_err err = POLLEN_OK;
    assert_ok(pollen_mesh_open_stream(r->mesh[0], &r->key[2], 80, SOON_MS, NULL, &stream));
    for (int i = 0; i < 4096 && err == POLLEN_OK; i++) {
        err = pollen_stream_write(stream, page, sizeof(page), 200, NULL, NULL);
    }
    assert_int_equal(err, POLLEN_ETIMEDOUT);
    pollen_stream_close(stream);
}

static void assert_others_are_served(rig *r) {
    uint64_t rtt_us;
    for (int i = 0; i < 30; i++) {
        pollen_packet packet;
        assert_ok(rig_send(r->mesh[0], &r->key[1], &i, sizeof(i)));
        assert_ok(rig_recv(r->mesh[1], SOON_MS, &packet));
        assert_memory_equal(packet.envelope.body, &i, sizeof(i));
        pollen_packet_fini(&packet);
        assert_ok(pollen_mesh_ping(r->mesh[0], &r->key[1], 0, SOON_MS, NULL, &rtt_us));
    }
}

static void a_peer_that_has_gone_silent_holds_up_nobody(void **state) {
    (void)state;
    rig r;
    uint64_t rtt_us;
    rig_init(&r, 0);
    const child silent = child_fork(r.creds[2]); /* Before there is a thread. */
    rig_start(&r, 0);
    rig_start(&r, 1);
    r.addr[2] = child_start(&silent, 0);
    rig_connect(&r, 0, 1);
    rig_connect(&r, 0, 2);
    assert_ok(pollen_mesh_ping(r.mesh[0], &r.key[2], 0, SOON_MS, NULL, &rtt_us));
    child_stop(&silent);

    const int64_t start = rig_now_ms();
    assert_int_equal(pollen_mesh_ping(r.mesh[0], &r.key[2], 0, 100, NULL, &rtt_us),
                     POLLEN_ETIMEDOUT);
    assert_true(rig_now_ms() - start < SOON_MS / 2);
    send_into_the_void(&r);
    assert_others_are_served(&r);
    write_into_the_void(&r);
    assert_others_are_served(&r);

    const int64_t closing = rig_now_ms();
    pollen_mesh_close(r.mesh[0]);
    assert_true(rig_now_ms() - closing < SOON_MS / 2);
    child_end(&silent);
    rig_fini(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_that_has_gone_silent_holds_up_nobody),
        PAIR_TEST(one_byte_beyond_the_maximum_is_refused),
        PAIR_TEST(receiving_takes_its_deadline_and_no_more),
        PAIR_TEST(what_is_there_is_received_without_waiting),
        PAIR_TEST(a_fired_cancel_ends_later_calls_at_once),
        PAIR_TEST(events_that_waited_are_given_after_the_close),
        PAIR_TEST(the_peer_sees_why_a_session_was_closed),
        PAIR_TEST(two_that_pull_share_the_events_and_each_is_given_once),
        PAIR_TEST(new_credentials_count_from_the_next_handshake_on),
        PAIR_TEST(a_kept_peer_is_dialled_again_after_every_end),
#undef PAIR_TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
