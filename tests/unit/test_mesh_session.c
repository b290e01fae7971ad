/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: connecting, refusing, ending, and exactly one pair of events for each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/key.h"
#include "support/mesh_pair.h"

static int setup(void **state) {
    *state = mp_create(1);
    return 0;
}

static int teardown(void **state) {
    mp_destroy(*state);
    return 0;
}

/* ---- Connecting ------------------------------------------------------------------------------ */

static void connect_gives_each_side_one_connected_event(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    pln_op op = mp_connect(a, b);
    assert_null(mp_done(a, op)); /* Never from within the command. */
    const pln_mesh_event *done = mp_run_op(a, op, PLN_S(1));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_OK);
    mp_run(world, PLN_S(5));

    assert_int_equal(mp_count(a, PLN_MESH_CONNECTED), 1);
    assert_int_equal(mp_count(b, PLN_MESH_CONNECTED), 1);
    const pln_mesh_event *at_a = mp_find(a, PLN_MESH_CONNECTED, 0);
    const pln_mesh_event *at_b = mp_find(b, PLN_MESH_CONNECTED, 0);
    assert_true(pln_key_equal(&at_a->peer, mp_key(b)));
    assert_true(pln_key_equal(&at_b->peer, mp_key(a)));
    assert_false(at_a->inbound);
    assert_true(at_b->inbound);
    assert_true(at_a->speaks_2);
    assert_true(pollen_addr_equal(&at_a->addr, &b->addr));
    assert_int_equal(mp_count(a, PLN_MESH_DISCONNECTED), 0);
    assert_int_equal(mp_sessions(a), 1);
    assert_int_equal(mp_sessions(b), 1);
}

static void connected_at_the_dialler_takes_two_round_trips(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    pln_ts began = world->now.mono;
    assert_non_null(mp_run_op(a, mp_connect(a, b), PLN_S(1)));
    /* Not after one, when its own handshake is complete but the far end has not judged it. */
    assert_in_range(world->now.mono - began, PLN_MS(40), PLN_MS(41)); /* Packets are paced. */
}

static void second_connect_is_done_at_once(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_join(a, b);
    pln_path nowhere = mp_nowhere(1);
    pln_op op = mp_connect_paths(a, mp_key(b), &nowhere, 1, PLN_S(1));
    assert_null(mp_done(a, op));
    const pln_mesh_event *done = mp_run_op(a, op, 0);
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_OK);
    mp_run(world, PLN_S(1));
    assert_int_equal(mp_count(a, PLN_MESH_CONNECTED), 1);
}

static void a_packet_arrives_whole_with_its_sender(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    b->keep_packets = true;
    mp_join(a, b);
    assert_int_equal(mp_send(a, b, "hello"), POLLEN_OK);
    assert_true(mp_run_for(b, PLN_MESH_PACKET, 1, PLN_S(1)));
    const pln_mesh_event *packet = mp_find(b, PLN_MESH_PACKET, 0);
    assert_true(pln_key_equal(&packet->peer, mp_key(a)));
    assert_int_equal(packet->envelope, POLLEN_ENVELOPE_PAYLOAD);
    assert_int_equal(pln_chunk_size(packet->body), 5);
    assert_memory_equal(packet->body->data + packet->body->begin, "hello", 5);
}

static void send_without_a_session_is_enotconn(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    assert_int_equal(mp_send(a, b, "x"), POLLEN_ENOTCONN);
}

static pollen_err send_bytes(const mp_node *from, const mp_node *to, size_t size) {
    pln_chunk *chunk = pln_chunk_create(size);
    assert_non_null(chunk);
    uint8_t body[2048] = {0};
    size_t overhead = pln_envelope_overhead(POLLEN_ENVELOPE_PAYLOAD, size - 4);
    assert_true(overhead <= 4);
    chunk->end = pln_envelope_encode(POLLEN_ENVELOPE_PAYLOAD, body, size - overhead, chunk->data);
    assert_int_equal(chunk->end, size);
    pollen_err err = pln_mesh_send(from->mesh, mp_key(to), chunk, from->world->now);
    if (err != POLLEN_OK) {
        pln_chunk_destroy(chunk);
    }
    return err;
}

static void the_largest_envelope_arrives_and_no_larger_is_taken(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_join(a, b);
    pln_session_info info;
    size_t before = 0;
    for (size_t i = 0; i < 20; i++) { /* While the path MTU is being found out. */
        assert_int_equal(pln_mesh_session_info(a->mesh, mp_key(b), &info), POLLEN_OK);
        assert_true(info.envelope_max >= before);
        before = info.envelope_max;
        assert_int_equal(send_bytes(a, b, info.envelope_max), POLLEN_OK);
        assert_int_equal(send_bytes(a, b, info.envelope_max + 1), POLLEN_EMSGSIZE);
        mp_run(world, PLN_MS(500));
        assert_int_equal(mp_count(b, PLN_MESH_PACKET), i + 1);
    }
    assert_true(before > 1300);
}

static void a_silent_peer_costs_its_own_queue_alone(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_node *c = mp_add(world);
    mp_join(a, b);
    mp_join(a, c);
    mp_kill(b);
    pollen_err err = POLLEN_OK;
    size_t taken = 0;
    for (int i = 0; i < 2000 && err == POLLEN_OK; i++) {
        err = send_bytes(a, b, 1000);
        taken += err == POLLEN_OK;
        if (i % 50 == 0) {
            mp_run(world, PLN_MS(1));
        }
    }
    assert_int_equal(err, POLLEN_EAGAIN);
    assert_true(taken >= PLN_DATAGRAM_SENDQ_MAX);
    assert_int_equal(mp_send(a, c, "x"), POLLEN_OK);
    mp_run(world, PLN_MS(30));
    assert_int_equal(mp_count(c, PLN_MESH_PACKET), 1);
}

static void a_peer_that_moves_keeps_its_session(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_join(a, b);
    a->addr.port = 4242; /* As when a NAT forgets. */
    a->has_moved = true;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(mp_send(a, b, "here"), POLLEN_OK);
        mp_run(world, PLN_S(1));
    }
    assert_int_equal(mp_count(b, PLN_MESH_PACKET), 5);
    assert_int_equal(mp_count(b, PLN_MESH_PATH), 1);
    const pln_mesh_event *path = mp_find(b, PLN_MESH_PATH, 0);
    assert_int_equal(path->addr.port, 4242);
    assert_int_equal(path->generation, mp_find(b, PLN_MESH_CONNECTED, 0)->generation);
    pln_session_info info;
    assert_int_equal(pln_mesh_session_info(b->mesh, mp_key(a), &info), POLLEN_OK);
    assert_int_equal(info.conn.path.remote.port, 4242);
    assert_int_equal(mp_count(b, PLN_MESH_DISCONNECTED), 0);
}

/* ---- Refusing -------------------------------------------------------------------------------- */

/* The connect fails with err and reason; nobody saw a session. */
static void expect_refused(mp_node *from, mp_node *to, pollen_err err, pollen_end_reason reason) {
    const pln_mesh_event *done = mp_run_op(from, mp_connect(from, to), PLN_S(30));
    assert_non_null(done);
    assert_int_equal(done->err, err);
    assert_int_equal(done->reason, reason);
    mp_run(from->world, PLN_S(5));
    assert_int_equal(mp_count(from, PLN_MESH_CONNECTED), 0);
    assert_int_equal(mp_count(to, PLN_MESH_CONNECTED), 0);
    assert_int_equal(mp_conns(from), 0);
    assert_int_equal(mp_conns(to), 0);
}

static void dialler_refuses_a_foreign_certificate(void **state) {
    mp_node *a = mp_add(*state);
    mp_node *b = mp_prepare(*state);
    mp_make_foreign(b);
    mp_start(b);
    expect_refused(a, b, POLLEN_ECLUSTER, POLLEN_END_DENIED);
}

static void dialler_refuses_an_expired_certificate(void **state) {
    mp_node *a = mp_add(*state);
    mp_node *b = mp_prepare(*state);
    mp_enrol(b, mp_signer(*state), -3600, -61, true);
    mp_start(b);
    expect_refused(a, b, POLLEN_EEXPIRED, POLLEN_END_CERT_EXPIRED);
}

static void dialler_refuses_a_revoked_peer(void **state) {
    mp_node *a = mp_add(*state);
    mp_node *b = mp_add(*state);
    mp_revoke(a, mp_key(b));
    expect_refused(a, b, POLLEN_EREVOKED, POLLEN_END_REVOKED);
}

static void dialler_refuses_whoever_a_revoked_issuer_admitted(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_revoke(a, &mp_signer(world)->admin_pub);
    expect_refused(a, b, POLLEN_EREVOKED, POLLEN_END_REVOKED);
}

static void acceptor_refuses_an_expired_certificate(void **state) {
    mp_node *a = mp_add(*state);
    mp_node *b = mp_prepare(*state);
    mp_enrol(b, mp_signer(*state), -3600, -61, true);
    mp_start(b);
    expect_refused(b, a, POLLEN_EDENIED, POLLEN_END_DENIED);
    pln_mesh_stats stats;
    pln_mesh_get_stats(a->mesh, &stats);
    assert_int_equal(stats.sessions_refused, 1);
}

static void acceptor_refuses_a_revoked_peer(void **state) {
    mp_node *a = mp_add(*state);
    mp_node *b = mp_add(*state);
    mp_revoke(a, mp_key(b));
    expect_refused(b, a, POLLEN_EDENIED, POLLEN_END_DENIED);
}

static void another_key_at_the_address_is_eidentity(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_node *c = mp_add(world);
    pln_path path = mp_path(c);
    const pln_mesh_event *done =
        mp_run_op(a, mp_connect_paths(a, mp_key(b), &path, 1, PLN_S(30)), PLN_S(30));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_EIDENTITY);
    mp_run(world, PLN_S(5));
    assert_int_equal(mp_count(a, PLN_MESH_CONNECTED), 0);
    assert_int_equal(mp_count(c, PLN_MESH_CONNECTED), 0);
}

static void own_address_is_eidentity_and_own_key_einval(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    pln_path own = mp_path(a);
    const pln_mesh_event *done =
        mp_run_op(a, mp_connect_paths(a, mp_key(b), &own, 1, PLN_S(30)), PLN_S(30));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_EIDENTITY);
    done = mp_run_op(a, mp_connect_paths(a, mp_key(a), &own, 1, PLN_S(30)), PLN_S(1));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_EINVAL);
}

static void connect_without_credentials_is_enotenrolled(void **state) {
    mp_node *a = mp_add(*state);
    mp_node *b = mp_prepare(*state);
    mp_make_bare(b);
    mp_start(b);
    expect_refused(b, a, POLLEN_ENOTENROLLED, POLLEN_END_NONE);
}

static void a_node_without_credentials_speaks_no_mesh(void **state) {
    mp_node *a = mp_add(*state);
    mp_node *b = mp_prepare(*state);
    mp_make_bare(b);
    mp_start(b);
    const pln_mesh_event *done = mp_run_op(a, mp_connect(a, b), PLN_S(30));
    assert_non_null(done);
    assert_int_not_equal(done->err, POLLEN_OK);
    assert_int_equal(mp_count(a, PLN_MESH_CONNECTED), 0);
}

/* ---- Races ----------------------------------------------------------------------------------- */

static void a_race_finds_the_one_live_address(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    pln_path paths[5] = {mp_nowhere(1), mp_nowhere(2), mp_nowhere(3), mp_path(b), mp_nowhere(4)};
    pln_ts began = world->now.mono;
    const pln_mesh_event *done =
        mp_run_op(a, mp_connect_paths(a, mp_key(b), paths, 5, PLN_S(5)), PLN_S(5));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_OK);
    /* Three staggers of 100 ms and two round trips. */
    assert_in_range(world->now.mono - began, PLN_MS(340), PLN_MS(345));
    mp_run(world, PLN_S(15));
    assert_int_equal(mp_conns(a), 1);
    assert_int_equal(mp_count(a, PLN_MESH_CONNECTED), 1);
}

static void unusable_addresses_cost_no_time(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    pln_path paths[3] = {mp_nowhere(1), mp_nowhere(2), mp_path(b)};
    paths[0].remote.port = 0;
    memset(paths[1].remote.ip, 0, sizeof(paths[1].remote.ip));
    pln_ts began = world->now.mono;
    const pln_mesh_event *done =
        mp_run_op(a, mp_connect_paths(a, mp_key(b), paths, 3, PLN_S(5)), PLN_S(5));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_OK);
    assert_in_range(world->now.mono - began, PLN_MS(40), PLN_MS(41));
    done = mp_run_op(b, mp_connect_paths(b, mp_key(a), paths, 2, PLN_S(5)), PLN_S(5));
    assert_int_equal(done->err, POLLEN_OK); /* It has a session. */
    pln_mesh_close_all(b->mesh, world->now);
    done = mp_run_op(b, mp_connect_paths(b, mp_key(a), paths, 2, PLN_S(5)), PLN_S(5));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_EADDR);
    done = mp_run_op(b, mp_connect_paths(b, mp_key(a), NULL, 0, PLN_S(5)), PLN_S(5));
    assert_int_equal(done->err, POLLEN_EADDR);
}

static void nobody_there_is_eunreachable(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    pln_path paths[2] = {mp_nowhere(1), mp_nowhere(2)};
    pln_op op = mp_connect_paths(a, mp_key(b), paths, 2, PLN_S(60));
    const pln_mesh_event *done = mp_run_op(a, op, PLN_S(60));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_EUNREACHABLE);
    assert_int_equal(mp_conns(a), 0);
}

static void a_denial_says_more_than_silence(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_revoke(a, mp_key(b));
    pln_path paths[2] = {mp_path(a), mp_nowhere(2)};
    pln_op op = mp_connect_paths(b, mp_key(a), paths, 2, PLN_S(60));
    const pln_mesh_event *done = mp_run_op(b, op, PLN_S(60));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_EDENIED);
    /* Also when the deadline cuts the silent one short. */
    op = mp_connect_paths(b, mp_key(a), paths, 2, PLN_S(2));
    done = mp_run_op(b, op, PLN_S(3));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_EDENIED);
}

static void connects_to_one_peer_share_the_race(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    pln_path nowhere = mp_nowhere(1);
    pln_op first = mp_connect_paths(a, mp_key(b), &nowhere, 1, PLN_MS(300));
    pln_op second = mp_connect_paths(a, mp_key(b), &nowhere, 1, PLN_S(30));
    mp_run(world, PLN_MS(300));
    assert_non_null(mp_done(a, first));
    assert_int_equal(mp_done(a, first)->err, POLLEN_ETIMEDOUT);
    assert_null(mp_done(a, second));
    pln_op third = mp_connect(a, b);
    mp_run(world, PLN_S(1));
    assert_int_equal(mp_done(a, second)->err, POLLEN_OK);
    assert_int_equal(mp_done(a, third)->err, POLLEN_OK);
    assert_int_equal(mp_count(a, PLN_MESH_CONNECTED), 1);
}

/* ---- Ops ------------------------------------------------------------------------------------- */

static void a_connect_ends_at_its_deadline(void **state) {
    static const pln_dur at[] = {PLN_MS(2000) - 1, PLN_MS(2000), PLN_MS(2000) + 1};
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    for (size_t i = 0; i < 3; i++) {
        pln_path nowhere = mp_nowhere(1);
        pln_op op = mp_connect_paths(a, mp_key(b), &nowhere, 1, PLN_MS(2000));
        mp_run(world, at[i]);
        assert_int_equal(mp_done(a, op) != NULL, i > 0);
        mp_run(world, PLN_MS(10));
        assert_int_equal(mp_done(a, op)->err, POLLEN_ETIMEDOUT);
        assert_int_equal(mp_conns(a), 0);
    }
}

static void a_canceled_op_is_never_done(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    for (pln_dur after = 0; after < PLN_MS(60); after += PLN_MS(5)) {
        pln_op op = mp_connect(a, b);
        mp_run(world, after);
        bool was_done = mp_done(a, op) != NULL;
        pln_mesh_cancel(a->mesh, op, world->now);
        mp_run(world, PLN_S(4));
        assert_int_equal(mp_done(a, op) != NULL, was_done);
        if (!was_done) {
            /* Nothing is left of it at either end. */
            assert_int_equal(mp_sessions(a), 0);
            assert_int_equal(mp_sessions(b), 0);
        }
        pln_mesh_close_all(a->mesh, world->now);
        mp_run(world, PLN_S(1));
        assert_int_equal(mp_conns(a), 0);
        assert_int_equal(mp_conns(b), 0);
    }
    assert_int_equal(mp_count(b, PLN_MESH_CONNECTED), mp_count(b, PLN_MESH_DISCONNECTED));
    assert_int_equal(mp_count(a, PLN_MESH_CONNECTED), mp_count(a, PLN_MESH_DISCONNECTED));
}

static void a_queued_done_can_be_canceled(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    pln_op op = mp_connect_paths(a, mp_key(b), NULL, 0, PLN_S(1)); /* Fails: is queued. */
    pln_mesh_cancel(a->mesh, op, world->now);
    mp_run(world, PLN_S(2));
    assert_null(mp_done(a, op));
}

static void waiters_are_woken_by_a_session_of_either_direction(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    pln_mesh_wait(a->mesh, 100, mp_key(b), world->now.mono + PLN_S(9), world->now);
    pln_mesh_wait(b->mesh, 100, mp_key(a), world->now.mono + PLN_S(9), world->now);
    pln_mesh_wait(b->mesh, 101, mp_key(b), world->now.mono + PLN_S(2), world->now);
    mp_run(world, PLN_MS(50));
    assert_null(mp_done(a, 100));
    mp_join(a, b);
    assert_int_equal(mp_done(a, 100)->err, POLLEN_OK);
    assert_int_equal(mp_done(b, 100)->err, POLLEN_OK);
    mp_run(world, PLN_S(2));
    assert_int_equal(mp_done(b, 101)->err, POLLEN_ETIMEDOUT);
    pln_mesh_wait(a->mesh, 102, mp_key(b), world->now.mono + PLN_S(9), world->now);
    assert_int_equal(mp_run_op(a, 102, 0)->err, POLLEN_OK);
}

static void the_waiter_above_the_limit_is_refused(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    for (pln_op op = 1000; op <= 1000 + PLN_WAITERS_MAX; op++) {
        pln_mesh_wait(a->mesh, op, mp_key(b), world->now.mono + PLN_S(9), world->now);
    }
    mp_run(world, PLN_MS(1));
    assert_int_equal(mp_count(a, PLN_MESH_OP_DONE), 1);
    assert_int_equal(mp_done(a, 1000 + PLN_WAITERS_MAX)->err, POLLEN_ELIMIT);
    pln_mesh_cancel(a->mesh, 1000, world->now);
    pln_mesh_wait(a->mesh, 7, mp_key(b), world->now.mono + PLN_S(1), world->now);
    mp_run(world, PLN_S(1));
    assert_int_equal(mp_done(a, 7)->err, POLLEN_ETIMEDOUT);
}

/* ---- Ends ------------------------------------------------------------------------------------ */

/* One DISCONNECTED for the one CONNECTED, of the same generation. */
static void expect_end(const mp_node *node, pollen_end_reason reason) {
    assert_int_equal(mp_count(node, PLN_MESH_CONNECTED), 1);
    assert_int_equal(mp_count(node, PLN_MESH_DISCONNECTED), 1);
    const pln_mesh_event *end = mp_find(node, PLN_MESH_DISCONNECTED, 0);
    assert_int_equal(end->reason, reason);
    assert_int_equal(end->generation, mp_find(node, PLN_MESH_CONNECTED, 0)->generation);
    assert_int_equal(mp_sessions(node), 0);
}

static void silence_is_idle_timeout_after_thirty_seconds(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_join(a, b);
    mp_run(world, PLN_S(60));
    assert_int_equal(mp_sessions(a), 1); /* Kept alive. */
    mp_kill(b);
    mp_run(world, PLN_S(19));
    assert_int_equal(mp_sessions(a), 1);
    mp_run(world, PLN_S(25)); /* The next keep-alive begins the thirty seconds anew. */
    expect_end(a, POLLEN_END_IDLE_TIMEOUT);
}

static void a_restarted_acceptor_is_reset(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_join(a, b);
    mp_kill(b);
    mp_start(b);
    assert_int_equal(mp_send(a, b, "anybody there?"), POLLEN_OK);
    mp_run(world, PLN_MS(25));
    expect_end(a, POLLEN_END_RESET);
}

/* What the one who closes says, and what the other one gets to know. */
static const struct {
    pollen_end_reason said;
    pollen_end_reason heard;
} closes[] = {
    {POLLEN_END_GRACEFUL, POLLEN_END_GRACEFUL},
    {POLLEN_END_UNKNOWN, POLLEN_END_GRACEFUL},
    {POLLEN_END_CERT_ROTATION, POLLEN_END_CERT_ROTATION},
    {POLLEN_END_CERT_EXPIRED, POLLEN_END_CERT_EXPIRED},
    {POLLEN_END_REVOKED, POLLEN_END_REVOKED},
    {POLLEN_END_DENIED, POLLEN_END_DENIED},
};

static void closes_are_told_with_their_reason(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    for (size_t i = 0; i < sizeof(closes) / sizeof(closes[0]); i++) {
        mp_forget(a);
        mp_forget(b);
        mp_join(a, b);
        pln_mesh_close_peer(a->mesh, mp_key(b), closes[i].said, world->now);
        assert_int_equal(mp_sessions(a), 0);
        pln_mesh_close_peer(a->mesh, mp_key(b), closes[i].said, world->now); /* Idempotent. */
        mp_run(world, PLN_MS(50));
        expect_end(a, closes[i].said);
        expect_end(b, closes[i].heard);
    }
}

static void close_of_an_unknown_peer_does_nothing(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    pln_mesh_close_peer(a->mesh, mp_key(b), POLLEN_END_GRACEFUL, world->now);
    pln_mesh_handle_revoked(a->mesh, mp_key(b), world->now);
    mp_run(world, PLN_S(1));
    assert_int_equal(a->event_count, 0);
}

static void a_revocation_closes_subjects_and_those_the_subject_admitted(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_join(a, b);
    pln_mesh_handle_revoked(b->mesh, mp_key(a), world->now);
    mp_run(world, PLN_MS(50));
    expect_end(a, POLLEN_END_REVOKED);
    expect_end(b, POLLEN_END_REVOKED);

    mp_forget(b);
    mp_node *c = mp_add(world);
    mp_join(b, c);
    pln_mesh_handle_revoked(b->mesh, &mp_signer(world)->admin_pub, world->now);
    mp_run(world, PLN_MS(50));
    expect_end(b, POLLEN_END_REVOKED);
    expect_end(c, POLLEN_END_REVOKED);
}

static void a_certificate_that_runs_out_ends_the_session(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_prepare(world);
    mp_enrol(b, mp_signer(world), 0, 100, true);
    mp_start(b);
    mp_join(a, b);
    pln_mesh_open_stream(a->mesh, 900, mp_key(b), 80, PLN_TS_NEVER, world->now);
    mp_run(world, PLN_S(159)); /* A minute of skew is allowed. */
    assert_int_equal(mp_sessions(a), 1);
    assert_int_equal(mp_count(a, PLN_MESH_STREAM_CLOSED), 0);
    mp_run(world, PLN_S(3));
    expect_end(a, POLLEN_END_CERT_EXPIRED);
    expect_end(b, POLLEN_END_CERT_EXPIRED);
    assert_int_equal(mp_find(a, PLN_MESH_STREAM_CLOSED, 0)->err, POLLEN_ENOTCONN);
    assert_int_equal(mp_find(b, PLN_MESH_STREAM_CLOSED, 0)->err, POLLEN_ENOTCONN);
}

/* What runs by intervals runs by the monotonic clock. */
static void a_wall_clock_that_jumps_a_day_ends_no_session(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_join(a, b);
    static const pln_wall jumps[] = {86400, -86400, 0};
    for (size_t i = 0; i < 3; i++) {
        world->wall_jump = jumps[i];
        mp_run(world, PLN_S(4000)); /* Certificates are looked at once an hour. */
        assert_int_equal(mp_sessions(a), 1);
        assert_int_equal(mp_sessions(b), 1);
        assert_int_equal(mp_count(a, PLN_MESH_DISCONNECTED), 0);
    }
}

static void shutdown_ends_everything_once(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_node *c = mp_add(world);
    mp_join(a, b);
    pln_path nowhere = mp_nowhere(1);
    pln_op dial = mp_connect_paths(a, mp_key(c), &nowhere, 1, PLN_S(30));
    pln_mesh_wait(a->mesh, 100, mp_key(c), PLN_TS_NEVER, world->now);
    pln_mesh_open_stream(a->mesh, 101, mp_key(c), 80, PLN_TS_NEVER, world->now);
    pln_mesh_shutdown(a->mesh, world->now);
    pln_mesh_shutdown(a->mesh, world->now);
    pln_op late = mp_connect(a, b);
    mp_run(world, PLN_S(1));
    assert_int_equal(mp_done(a, dial)->err, POLLEN_ECLOSED);
    assert_int_equal(mp_done(a, 100)->err, POLLEN_ECLOSED);
    assert_int_equal(mp_done(a, 101)->err, POLLEN_ECLOSED);
    assert_int_equal(mp_done(a, late)->err, POLLEN_ECLOSED);
    expect_end(a, POLLEN_END_GRACEFUL);
    expect_end(b, POLLEN_END_GRACEFUL);
    const pln_mesh_event *done = mp_run_op(b, mp_connect(b, a), PLN_S(30));
    assert_int_not_equal(done->err, POLLEN_OK);
    mp_run(world, PLN_S(1));
    assert_int_equal(mp_conns(a), 0);
}

static void garbage_ends_that_session_alone(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    mp_node *c = mp_add(world);
    mp_join(a, b);
    mp_join(c, b);
    for (int i = 0; i < PLN_GARBAGE_DATAGRAMS_MAX; i++) {
        assert_int_equal(mp_sessions(b), 2);
        pln_chunk *chunk = pln_chunk_create(3);
        memcpy(chunk->data, "\xff\xff\xff", 3);
        chunk->end = 3;
        assert_int_equal(pln_mesh_send(a->mesh, mp_key(b), chunk, world->now), POLLEN_OK);
        mp_run(world, PLN_MS(30));
    }
    assert_int_equal(mp_sessions(b), 1);
    assert_true(mp_has_session(b, c));
    assert_int_equal(mp_find(b, PLN_MESH_DISCONNECTED, 0)->reason, POLLEN_END_UNKNOWN);
    expect_end(a, POLLEN_END_GRACEFUL);
    pln_mesh_stats stats;
    pln_mesh_get_stats(b->mesh, &stats);
    assert_int_equal(stats.envelopes_garbage, PLN_GARBAGE_DATAGRAMS_MAX);
}

static void every_session_gives_one_pair_of_events_whoever_polls_late(void **state) {
    mp_world *world = *state;
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    b->hold_events = true;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(mp_run_op(a, mp_connect(a, b), PLN_S(1))->err, POLLEN_OK);
        mp_run(world, PLN_MS(20));
        pln_mesh_close_peer(a->mesh, mp_key(b), POLLEN_END_GRACEFUL, world->now);
        mp_run(world, PLN_MS(50));
    }
    b->hold_events = false;
    mp_run(world, PLN_MS(1));
    assert_int_equal(b->event_count, 40);
    uint64_t generation = 0;
    for (size_t i = 0; i < 40; i += 2) {
        assert_int_equal(b->events[i].kind, PLN_MESH_CONNECTED);
        assert_int_equal(b->events[i + 1].kind, PLN_MESH_DISCONNECTED);
        assert_int_equal(b->events[i].generation, b->events[i + 1].generation);
        assert_true(b->events[i].generation > generation);
        generation = b->events[i].generation;
    }
}

static void sessions_are_listed_in_the_order_of_their_keys(void **state) {
    mp_world *world = *state;
    mp_node *nodes[6];
    for (size_t i = 0; i < 6; i++) {
        nodes[i] = mp_add(world);
    }
    static const size_t order[] = {5, 1, 4, 3, 0};
    for (size_t i = 0; i < 5; i++) {
        mp_join(nodes[2], nodes[order[i]]);
    }
    pln_session_info before;
    pln_session_info info;
    assert_int_equal(pln_mesh_session_at(nodes[2]->mesh, 0, &before), POLLEN_OK);
    for (size_t i = 1; i < 5; i++) {
        assert_int_equal(pln_mesh_session_at(nodes[2]->mesh, i, &info), POLLEN_OK);
        assert_true(pln_key_compare(&before.peer, &info.peer) < 0);
        before = info;
    }
    assert_int_equal(pln_mesh_session_at(nodes[2]->mesh, 5, &info), POLLEN_ENOENT);
    pln_mesh_close_peer(nodes[2]->mesh, mp_key(nodes[3]), POLLEN_END_GRACEFUL, world->now);
    assert_int_equal(mp_sessions(nodes[2]), 4);
    assert_false(mp_has_session(nodes[2], nodes[3]));
}

/* ---- Main ------------------------------------------------------------------------------------ */

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(connect_gives_each_side_one_connected_event),
        TEST(connected_at_the_dialler_takes_two_round_trips),
        TEST(second_connect_is_done_at_once),
        TEST(a_packet_arrives_whole_with_its_sender),
        TEST(send_without_a_session_is_enotconn),
        TEST(the_largest_envelope_arrives_and_no_larger_is_taken),
        TEST(a_silent_peer_costs_its_own_queue_alone),
        TEST(a_peer_that_moves_keeps_its_session),
        TEST(dialler_refuses_a_foreign_certificate),
        TEST(dialler_refuses_an_expired_certificate),
        TEST(dialler_refuses_a_revoked_peer),
        TEST(dialler_refuses_whoever_a_revoked_issuer_admitted),
        TEST(acceptor_refuses_an_expired_certificate),
        TEST(acceptor_refuses_a_revoked_peer),
        TEST(another_key_at_the_address_is_eidentity),
        TEST(own_address_is_eidentity_and_own_key_einval),
        TEST(connect_without_credentials_is_enotenrolled),
        TEST(a_node_without_credentials_speaks_no_mesh),
        TEST(a_race_finds_the_one_live_address),
        TEST(unusable_addresses_cost_no_time),
        TEST(nobody_there_is_eunreachable),
        TEST(a_denial_says_more_than_silence),
        TEST(connects_to_one_peer_share_the_race),
        TEST(a_connect_ends_at_its_deadline),
        TEST(a_canceled_op_is_never_done),
        TEST(a_queued_done_can_be_canceled),
        TEST(waiters_are_woken_by_a_session_of_either_direction),
        TEST(the_waiter_above_the_limit_is_refused),
        TEST(silence_is_idle_timeout_after_thirty_seconds),
        TEST(a_restarted_acceptor_is_reset),
        TEST(closes_are_told_with_their_reason),
        TEST(close_of_an_unknown_peer_does_nothing),
        TEST(a_revocation_closes_subjects_and_those_the_subject_admitted),
        TEST(a_certificate_that_runs_out_ends_the_session),
        TEST(a_wall_clock_that_jumps_a_day_ends_no_session),
        TEST(shutdown_ends_everything_once),
        TEST(garbage_ends_that_session_alone),
        TEST(every_session_gives_one_pair_of_events_whoever_polls_late),
        TEST(sessions_are_listed_in_the_order_of_their_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
