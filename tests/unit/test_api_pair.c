/* SPDX-License-Identifier: Apache-2.0 */
/* Two meshes in one process: sessions, datagrams and what can be seen of them. */
#include <pthread.h>

#include "support/api_rig.h"

static void both_see_the_session(void **state) {
    rig *r = *state;
    for (size_t i = 0; i < 2; i++) {
        const size_t other = 1 - i;
        pollen_key peers[4];
        pollen_addr addr;
        pollen_session_info info;
        pollen_cert_info cert;
        assert_int_equal(pollen_mesh_connected_peers(r->mesh[i], peers, 4), 1);
        assert_memory_equal(&peers[0], &r->key[other], sizeof(pollen_key));
        assert_ok(pollen_mesh_active_peer_address(r->mesh[i], &r->key[other], &addr));
        assert_true(pollen_addr_equal(&addr, &r->addr[other]));
        assert_ok(pollen_mesh_session_info(r->mesh[i], &r->key[other], &info));
        assert_int_equal(info.inbound, i == 0);
        assert_true(info.speaks_2);
        assert_true(info.mtu_bytes >= 1200);
        assert_ok(pollen_mesh_peer_membership_cert(r->mesh[i], &r->key[other], &cert));
        assert_true(cert.not_after > cert.not_before);
    }
}

static void connecting_again_returns_at_once(void **state) {
    rig *r = *state;
    rig_connect(r, 1, 0);
    /* Also from the side that accepted, at an address where nobody is, and without time to wait. */
    pollen_addr nobody = rig_loopback(9);
    assert_ok(pollen_mesh_connect(r->mesh[0], &r->key[1], &nobody, 1, 0, NULL));
}

static void a_payload_arrives_whole_and_from_its_peer(void **state) {
    rig *r = *state;
    pollen_packet packet;
    assert_ok(rig_send(r->mesh[1], &r->key[0], "hello", 5));
    assert_ok(rig_recv(r->mesh[0], SOON_MS, &packet));
    assert_memory_equal(&packet.peer, &r->key[1], sizeof(pollen_key));
    assert_int_equal(packet.envelope.size, 5);
    assert_memory_equal(packet.envelope.body, "hello", 5);
    pollen_packet_fini(&packet);
    assert_null(packet.owner);
}

static void an_empty_payload_is_a_packet_too(void **state) {
    rig *r = *state;
    pollen_packet packet;
    assert_ok(rig_send(r->mesh[0], &r->key[1], NULL, 0));
    assert_ok(rig_recv(r->mesh[1], SOON_MS, &packet));
    assert_int_equal(packet.envelope.size, 0);
    pollen_packet_fini(&packet);
}

/* The largest body that is taken arrives; one byte more is refused and not lost on the way. */
static void the_maximum_is_exact(void **state) {
    rig *r = *state;
    static uint8_t body[65536];
    for (int i = 0; i < 20; i++) {
        /* Discovery of the path goes on meanwhile, so the maximum may have grown. */
        size_t max = pollen_mesh_max_envelope(r->mesh[1], &r->key[0], POLLEN_ENVELOPE_PAYLOAD);
        assert_true(max >= 1100 && max < sizeof(body));
        memset(body, i, max);
        assert_ok(rig_send(r->mesh[1], &r->key[0], body, max));
        pollen_packet packet;
        assert_ok(rig_recv(r->mesh[0], SOON_MS, &packet));
        assert_int_equal(packet.envelope.size, max);
        assert_memory_equal(packet.envelope.body, body, max);
        pollen_packet_fini(&packet);
    }
    assert_int_equal(rig_send(r->mesh[1], &r->key[0], body, sizeof(body)), POLLEN_EMSGSIZE);
    assert_string_not_equal(pollen_last_error(), "");
}

static void sending_refuses_what_it_cannot(void **state) {
    rig *r = *state;
    pollen_envelope envelope = {.kind = POLLEN_ENVELOPE_NONE};
    assert_int_equal(pollen_mesh_send(r->mesh[0], &r->key[1], &envelope), POLLEN_EINVAL);
    envelope.kind = (pollen_envelope_kind)5; /* No kind has this number. */
    assert_int_equal(pollen_mesh_send(r->mesh[0], &r->key[1], &envelope), POLLEN_EINVAL);
    assert_int_equal(rig_send(r->mesh[0], &r->key[2], "x", 1), POLLEN_ENOTCONN);
    assert_int_equal(rig_send(r->mesh[0], &r->key[0], "x", 1), POLLEN_ENOTCONN);
    assert_int_equal(pollen_mesh_max_envelope(r->mesh[0], &r->key[2], POLLEN_ENVELOPE_PAYLOAD), 0);
}

static void a_ping_measures_the_way_there_and_back(void **state) {
    rig *r = *state;
    uint64_t rtt_us = 0;
    assert_ok(pollen_mesh_ping(r->mesh[0], &r->key[1], 0, SOON_MS, NULL, &rtt_us));
    assert_in_range(rtt_us, 1, SOON_MS * 1000);
    assert_ok(pollen_mesh_ping(r->mesh[1], &r->key[0], 1000, SOON_MS, NULL, &rtt_us));
    assert_int_equal(pollen_mesh_ping(r->mesh[1], &r->key[2], 0, SOON_MS, NULL, &rtt_us),
                     POLLEN_ENOTCONN);
    assert_int_equal(pollen_mesh_ping(r->mesh[1], &r->key[0], 65000, SOON_MS, NULL, &rtt_us),
                     POLLEN_EMSGSIZE);
}

static void each_session_ends_with_one_event(void **state) {
    rig *r = *state;
    pollen_event ended;
    pollen_mesh_close_peer_session(r->mesh[0], &r->key[1], POLLEN_END_GRACEFUL);
    pollen_mesh_close_peer_session(r->mesh[0], &r->key[1], POLLEN_END_GRACEFUL);
    for (size_t i = 0; i < 2; i++) {
        rig_wait_event(r->mesh[i], POLLEN_EVENT_DISCONNECTED, &r->key[1 - i], &ended);
        assert_int_equal(ended.reason, POLLEN_END_GRACEFUL);
        assert_int_equal(pollen_mesh_connected_peers(r->mesh[i], NULL, 0), 0);
        assert_int_equal(rig_send(r->mesh[i], &r->key[1 - i], "x", 1), POLLEN_ENOTCONN);
    }
    /* Something later, so that a second event would have come before it. */
    rig_connect(r, 1, 0);
    pollen_event event;
    assert_ok(pollen_mesh_next_event(r->mesh[0], SOON_MS, NULL, &event));
    assert_int_equal(event.kind, POLLEN_EVENT_CONNECTED);
    assert_true(event.generation > ended.generation);
}

static void a_broadcast_disconnect_ends_all_and_leaves_the_mesh(void **state) {
    rig *r = *state;
    pollen_mesh_broadcast_disconnect(r->mesh[0]);
    rig_wait_event(r->mesh[1], POLLEN_EVENT_DISCONNECTED, &r->key[0], NULL);
    rig_wait_event(r->mesh[0], POLLEN_EVENT_DISCONNECTED, &r->key[1], NULL);
    rig_connect(r, 0, 1);
}

static void peers_tell_each_other_where_they_see_them(void **state) {
    rig *r = *state;
    /* The other one's word travels as a datagram of its own; a ping behind it is answered later. */
    uint64_t rtt_us;
    pollen_observed observed[2];
    assert_ok(pollen_mesh_ping(r->mesh[1], &r->key[0], 0, SOON_MS, NULL, &rtt_us));
    assert_int_equal(pollen_mesh_observed_addrs(r->mesh[1], observed, 2), 1);
    assert_memory_equal(&observed[0].peer, &r->key[0], sizeof(pollen_key));
    assert_true(pollen_addr_equal(&observed[0].addr, &r->addr[1]));
}

static void a_member_renews_its_certificate_at_the_root(void **state) {
    rig *r = *state;
    pollen_credentials *now;
    pollen_cert_info before, after;
    assert_ok(pollen_credentials_cert(r->creds[1], &before));
    pollen_err err = pollen_mesh_request_cert_renewal(r->mesh[1], &r->key[0], SOON_MS, NULL);
    assert_int_equal(pollen_last_error()[0] == '\0', err == POLLEN_OK);
    /* A fresh certificate need not be renewed: refused, with words; or renewed and not shorter. */
    assert_ok(pollen_mesh_credentials(r->mesh[1], &now));
    assert_ok(pollen_credentials_cert(now, &after));
    if (err == POLLEN_OK) {
        assert_true(after.not_after >= before.not_after); /* Equal within the same second. */
    } else {
        assert_true(err == POLLEN_EDENIED || err == POLLEN_ECERT);
        assert_int_equal(after.not_after, before.not_after);
    }
    pollen_credentials_destroy(now);
    /* And who is no admin cannot renew. */
    assert_int_equal(pollen_mesh_request_cert_renewal(r->mesh[0], &r->key[1], SOON_MS, NULL),
                     POLLEN_EDENIED);
}

static void other_credentials_have_to_be_of_the_same_key_and_cluster(void **state) {
    rig *r = *state;
    pollen_credentials *elsewhere = rig_root();
    pollen_credentials *nowhere = rig_stranger();
    assert_int_equal(pollen_mesh_update_cert(r->mesh[0], r->creds[1]), POLLEN_EINVAL);
    assert_int_equal(pollen_mesh_update_cert(r->mesh[0], elsewhere), POLLEN_EINVAL);
    assert_int_equal(pollen_mesh_update_cert(r->mesh[0], nowhere), POLLEN_ENOTENROLLED);
    assert_ok(pollen_mesh_update_cert(r->mesh[0], r->creds[0]));
    assert_int_equal(pollen_mesh_connected_peers(r->mesh[0], NULL, 0), 1);
    pollen_credentials_destroy(elsewhere);
    pollen_credentials_destroy(nowhere);
}

/* Answered after all that was sent before it on that session has been put into the queue. */
static void assert_all_arrived(rig *r, size_t from) {
    uint64_t rtt_us;
    for (int i = 0; i < 2; i++) { /* The first answer may leave in the turn that fills the queue. */
        assert_ok(pollen_mesh_ping(r->mesh[from], &r->key[0], 0, SOON_MS, NULL, &rtt_us));
    }
}

/* A third node floods; what the second says afterwards is heard in its turn. */
static void a_flood_does_not_starve_another_peer(void **state) {
    enum { FLOOD = 200 };
    rig *r = *state;
    rig_start(r, 2);
    rig_connect(r, 2, 0);
    rig_wait_event(r->mesh[0], POLLEN_EVENT_CONNECTED, &r->key[2], NULL);
    for (int i = 0; i < FLOOD; i++) {
        assert_ok(rig_send(r->mesh[2], &r->key[0], "flood", 5));
    }
    assert_all_arrived(r, 2);
    assert_ok(rig_send(r->mesh[1], &r->key[0], "me", 2));
    assert_all_arrived(r, 1);

    pollen_packet packet;
    int others = 0;
    assert_ok(rig_recv(r->mesh[0], SOON_MS, &packet));
    while (memcmp(&packet.peer, &r->key[1], sizeof(pollen_key)) != 0) {
        pollen_packet_fini(&packet);
        others++;
        assert_ok(rig_recv(r->mesh[0], SOON_MS, &packet));
    }
    pollen_packet_fini(&packet);
    assert_true(others <= 2);
    assert_ok(
        rig_recv(r->mesh[0], SOON_MS, &packet)); /* There was a flood to stand in line with. */
    pollen_packet_fini(&packet);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        PAIR_TEST(both_see_the_session),
        PAIR_TEST(connecting_again_returns_at_once),
        PAIR_TEST(a_payload_arrives_whole_and_from_its_peer),
        PAIR_TEST(an_empty_payload_is_a_packet_too),
        PAIR_TEST(the_maximum_is_exact),
        PAIR_TEST(sending_refuses_what_it_cannot),
        PAIR_TEST(a_ping_measures_the_way_there_and_back),
        PAIR_TEST(each_session_ends_with_one_event),
        PAIR_TEST(a_broadcast_disconnect_ends_all_and_leaves_the_mesh),
        PAIR_TEST(peers_tell_each_other_where_they_see_them),
        PAIR_TEST(a_member_renews_its_certificate_at_the_root),
        PAIR_TEST(other_credentials_have_to_be_of_the_same_key_and_cluster),
        PAIR_TEST(a_flood_does_not_starve_another_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
