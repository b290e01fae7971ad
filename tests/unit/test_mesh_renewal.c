/* SPDX-License-Identifier: Apache-2.0 */
/* Echoes, renewal of certificates and its attacks, rotation of sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/key.h"
#include "support/mesh_pair.h"

typedef struct pair {
    mp_world *world;
    mp_node *admin, *member;
} pair;

static int setup(void **state) {
    static pair p;
    p.world = mp_create(1);
    p.admin = mp_add(p.world);
    p.member = mp_prepare(p.world);
    mp_enrol(p.member, mp_signer(p.world), 0, 3600, true);
    mp_start(p.member);
    *state = &p;
    return 0;
}

static int teardown(void **state) {
    mp_destroy(((pair *)*state)->world);
    return 0;
}

static pln_op renew(const pair *p, mp_node *node, const mp_node *at) {
    pln_op op = node->next_op++;
    pln_mesh_renew(node->mesh, op, mp_key(at), p->world->now.mono + PLN_S(10), p->world->now);
    return op;
}

static int64_t not_after(const mp_node *node) {
    return pln_mesh_credentials(node->mesh)->member_cert.not_after;
}

/* ---- Echo ------------------------------------------------------------------------------------ */

static pln_op echo(const pair *p, mp_node *node, const mp_node *at, size_t size) {
    pln_op op = node->next_op++;
    pln_mesh_echo(node->mesh, op, mp_key(at), size, p->world->now.mono + PLN_S(2), p->world->now);
    return op;
}

static void an_echo_takes_a_round_trip(void **state) {
    pair *p = *state;
    mp_join(p->member, p->admin);
    static const size_t sizes[] = {0, 1, 2, 100, 1000};
    for (size_t i = 0; i < 5; i++) {
        const pln_mesh_event *done =
            mp_run_op(p->member, echo(p, p->member, p->admin, sizes[i]), PLN_S(3));
        assert_non_null(done);
        assert_int_equal(done->err, POLLEN_OK);
        assert_in_range(done->rtt, PLN_MS(20), PLN_MS(21));
    }
    assert_int_equal(mp_count(p->admin, PLN_MESH_PACKET), 0);
}

static void an_echo_that_does_not_fit_or_has_no_session_fails(void **state) {
    pair *p = *state;
    pln_op op = echo(p, p->member, p->admin, 10);
    assert_int_equal(mp_run_op(p->member, op, PLN_S(3))->err, POLLEN_ENOTCONN);
    mp_join(p->member, p->admin);
    op = echo(p, p->member, p->admin, 1452);
    assert_int_equal(mp_run_op(p->member, op, PLN_S(3))->err, POLLEN_EMSGSIZE);
    op = echo(p, p->member, p->admin, 1u << 20);
    assert_int_equal(mp_run_op(p->member, op, PLN_S(3))->err, POLLEN_EMSGSIZE);
}

static void a_lost_echo_ends_at_its_deadline(void **state) {
    pair *p = *state;
    mp_join(p->member, p->admin);
    mp_kill(p->admin);
    pln_op op = echo(p, p->member, p->admin, 10);
    mp_run(p->world, PLN_S(2) - 1);
    assert_null(mp_done(p->member, op));
    mp_run(p->world, 1);
    assert_int_equal(mp_done(p->member, op)->err, POLLEN_ETIMEDOUT);
}

static void an_echo_to_the_references_protocol_times_the_acknowledgement(void **state) {
    pair *p = *state;
    mp_node *old = mp_prepare(p->world);
    old->config.only_mesh_1 = true;
    mp_start(old);
    mp_join(p->member, old);
    const pln_mesh_event *done = mp_run_op(p->member, echo(p, p->member, old, 0), PLN_S(3));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_OK);
    assert_in_range(done->rtt, PLN_MS(20), PLN_MS(50)); /* It may be delayed. */
    assert_int_equal(mp_count(old, PLN_MESH_PACKET), 0);
    pln_session_info info;
    assert_int_equal(pln_mesh_session_info(p->member->mesh, mp_key(old), &info), POLLEN_OK);
    assert_false(info.speaks_2);
}

typedef struct rogue {
    pln_conn_id conn;
    pln_bytes answer; /* To whatever comes. */
    size_t datagrams, bytes;
    size_t certs; /* Different ones that were issued to it. */
    uint64_t serial;
    int64_t not_after;
    char reason[256]; /* Of the last refusal. */
} rogue;

static void rogue_note(rogue *r, const pln_chunk *chunk) {
    pln_bytes scratch = {.data = NULL};
    pollen_envelope_kind kind = POLLEN_ENVELOPE_NONE;
    const uint8_t *body = NULL;
    size_t size = 0;
    assert_int_equal(pln_envelope_decode(chunk->data + chunk->begin, pln_chunk_size(chunk),
                                         &scratch, &kind, &body, &size),
                     POLLEN_OK);
    pln_renewal_response response = {.accepted = false};
    pollen_err err = kind == POLLEN_ENVELOPE_RENEWAL_RESPONSE
                         ? pln_renewal_response_decode(body, size, &response)
                         : POLLEN_EPROTO;
    pln_bytes_fini(&scratch);
    if (err != POLLEN_OK) {
        return;
    }
    if (response.has_cert && response.cert.serial != r->serial) {
        r->serial = response.cert.serial;
        r->not_after = response.cert.not_after;
        r->certs++;
    }
    snprintf(r->reason, sizeof(r->reason), "%s", response.reason);
    pln_renewal_response_fini(&response);
}

static void rogue_on_event(mp_node *node, const pln_quic_event *event) {
    rogue *r = node->raw_ctx;
    if (event->kind == PLN_QUIC_CONNECTED) {
        r->conn = event->conn;
    } else if (event->kind == PLN_QUIC_DATAGRAM) {
        r->datagrams++;
        r->bytes += pln_chunk_size(event->datagram);
        rogue_note(r, event->datagram);
        if (r->answer.data != NULL) {
            pln_bytes copy = {.data = NULL};
            assert_true(pln_bytes_copy(&copy, &r->answer));
            mp_raw_send(node, event->conn, &copy);
        }
    }
}

/* A member of which we play the part. */
static mp_node *add_rogue(const pair *p, rogue *r) {
    mp_node *node = mp_prepare(p->world);
    *r = (rogue){.conn = 0};
    node->raw_ctx = r;
    mp_start_raw(node, false, rogue_on_event);
    return node;
}

static void no_answer_is_larger_than_its_request_and_a_flood_is_not_echoed(void **state) {
    pair *p = *state;
    rogue r;
    mp_node *node = add_rogue(p, &r);
    (void)mp_raw_dial(node, p->admin, false);
    mp_run(p->world, PLN_MS(100));
    for (uint32_t size = 0; size < 200; size += 7) {
        r.bytes = 0;
        pln_bytes request = {.data = NULL};
        assert_int_equal(pln_echo_encode(&(pln_echo){.id = 5, .size = size}, &request), POLLEN_OK);
        size_t asked = request.size;
        mp_raw_send(node, r.conn, &request);
        mp_run(p->world, PLN_MS(30));
        assert_true(r.bytes <= asked);
        assert_true(size < 2 || r.bytes > 0);
    }
    r.datagrams = 0;
    for (int i = 0; i < 2000; i++) {
        pln_bytes request = {.data = NULL};
        assert_int_equal(pln_echo_encode(&(pln_echo){.id = 5, .size = 2}, &request), POLLEN_OK);
        mp_raw_send(node, r.conn, &request);
        if (i % 100 == 99) {
            mp_run(p->world, PLN_MS(1));
        }
    }
    mp_run(p->world, PLN_MS(100));
    assert_true(r.datagrams > 100);
    assert_true(r.datagrams < 400);
}

/* ---- Renewal --------------------------------------------------------------------------------- */

static void a_renewed_certificate_lasts_as_long_again(void **state) {
    pair *p = *state;
    mp_join(p->member, p->admin);
    mp_run(p->world, PLN_S(100));
    int64_t before = not_after(p->member);
    const pln_mesh_event *done = mp_run_op(p->member, renew(p, p->member, p->admin), PLN_S(10));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_OK);
    assert_int_equal(not_after(p->member) - before, 100);
    assert_int_equal(mp_count(p->member, PLN_MESH_CREDENTIALS_CHANGED), 1);
    const pln_member_cert *cert = &pln_mesh_credentials(p->member->mesh)->member_cert;
    assert_true(cert->not_after - cert->not_before <= 3660);
}

static void a_renewed_node_shows_its_certificate_and_is_never_cut_off(void **state) {
    pair *p = *state;
    mp_join(p->admin, p->member); /* The other side dialled. */
    for (int i = 0; i < 5; i++) {
        mp_run(p->world, PLN_S(1800));
        assert_int_equal(mp_run_op(p->member, renew(p, p->member, p->admin), PLN_S(10))->err,
                         POLLEN_OK);
        assert_int_equal(mp_sessions(p->admin), 1);
    }
    mp_run(p->world, PLN_S(60));
    assert_int_equal(mp_sessions(p->admin), 1);
    assert_int_equal(mp_conns(p->admin), 1);
    pln_session_info info;
    assert_int_equal(pln_mesh_session_info(p->admin->mesh, mp_key(p->member), &info), POLLEN_OK);
    assert_int_equal(info.cert_not_after, not_after(p->member));
    for (size_t i = 0; i < mp_count(p->admin, PLN_MESH_DISCONNECTED); i++) {
        assert_int_not_equal(mp_find(p->admin, PLN_MESH_DISCONNECTED, i)->reason,
                             POLLEN_END_CERT_EXPIRED);
    }
}

static void renewing_survives_loss(void **state) {
    pair *p = *state;
    mp_join(p->member, p->admin);
    p->world->loss_percent = 30;
    for (int i = 0; i < 10; i++) {
        mp_run(p->world, PLN_S(20));
        const pln_mesh_event *done = mp_run_op(p->member, renew(p, p->member, p->admin), PLN_S(10));
        assert_non_null(done);
        assert_int_equal(done->err, POLLEN_OK);
        mp_forget(p->member);
    }
}

static void expect_denied(const pair *p, mp_node *node, const mp_node *at, const char *detail) {
    const pln_mesh_event *done = mp_run_op(node, renew(p, node, at), PLN_S(11));
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_EDENIED);
    assert_string_equal(done->detail, detail);
    assert_int_equal(mp_count(node, PLN_MESH_CREDENTIALS_CHANGED), 0);
}

static void refusals_are_told_with_their_reason(void **state) {
    pair *p = *state;
    mp_join(p->member, p->admin);
    expect_denied(p, p->admin, p->member, "this node is not an admin");
    mp_node *guest = mp_prepare(p->world);
    mp_enrol(guest, mp_signer(p->world), 0, 3600, false);
    mp_start(guest);
    mp_join(guest, p->admin);
    expect_denied(p, guest, p->admin,
                  "certificate is non-renewable \xe2\x80\x94 request a new invite from a cluster "
                  "admin");
    mp_revoke(p->admin, mp_key(p->member));
    expect_denied(p, p->member, p->admin, "subject has been revoked");
}

static void without_a_session_there_is_no_renewal(void **state) {
    pair *p = *state;
    pln_op op = renew(p, p->member, p->admin);
    assert_int_equal(mp_run_op(p->member, op, PLN_S(1))->err, POLLEN_ENOTCONN);
    mp_join(p->member, p->admin);
    mp_kill(p->admin);
    op = renew(p, p->member, p->admin);
    mp_run(p->world, PLN_S(10) - 1);
    assert_null(mp_done(p->member, op));
    mp_run(p->world, 1);
    assert_int_equal(mp_done(p->member, op)->err, POLLEN_ETIMEDOUT);
}

/* An answer of the admin's for this subject, as the wire has it. */
static void make_answer(const pair *p, const mp_node *subject, int64_t ttl, bool renewable,
                        pln_bytes *ret) {
    pln_renewal_response response = {.accepted = true, .has_cert = true};
    pln_member_terms terms = {.ttl_seconds = ttl, .non_renewable = !renewable};
    assert_int_equal(pln_member_cert_issue(mp_signer(p->world), mp_key(subject), &terms,
                                           &p->world->rng, p->world->now.wall, &response.cert),
                     POLLEN_OK);
    assert_int_equal(pln_renewal_response_encode(&response, ret), POLLEN_OK);
    pln_renewal_response_fini(&response);
}

static void unasked_answers_and_those_of_others_are_ignored(void **state) {
    pair *p = *state;
    rogue r;
    mp_node *node = add_rogue(p, &r);
    mp_join(p->member, p->admin);
    (void)mp_raw_dial(node, p->member, false);
    mp_run(p->world, PLN_MS(100));
    int64_t before = not_after(p->member);
    pln_bytes answer = {.data = NULL};
    make_answer(p, p->member, 7200, true, &answer); /* Good in itself. */
    mp_raw_send(node, r.conn, &answer);
    mp_run(p->world, PLN_MS(100));
    assert_int_equal(not_after(p->member), before);

    mp_kill(p->admin); /* So that the question stays open. */
    pln_op op = renew(p, p->member, p->admin);
    make_answer(p, p->member, 7200, true, &answer);
    mp_raw_send(node, r.conn, &answer);
    pln_renewal_response no = {.accepted = false, .reason = "no"};
    assert_int_equal(pln_renewal_response_encode(&no, &answer), POLLEN_OK);
    mp_raw_send(node, r.conn, &answer);
    mp_run(p->world, PLN_S(9));
    assert_null(mp_done(p->member, op));
    assert_int_equal(not_after(p->member), before);
    mp_run(p->world, PLN_S(1));
    assert_int_equal(mp_done(p->member, op)->err, POLLEN_ETIMEDOUT);
}

static void answers_that_do_not_hold_change_nothing(void **state) {
    pair *p = *state;
    rogue r;
    mp_node *node = add_rogue(p, &r);
    (void)mp_raw_dial(node, p->member, false);
    mp_run(p->world, PLN_MS(100));
    static const struct {
        bool for_us;
        int64_t ttl;
        bool renewable;
        pollen_err err;
    } rows[] = {
        {true, 1800, true, POLLEN_ECERT},     /* Shorter. */
        {true, 7200, false, POLLEN_ECERT},    /* Another flag. */
        {false, 7200, true, POLLEN_ESUBJECT}, /* Somebody else's. */
    };
    int64_t before = not_after(p->member);
    for (size_t i = 0; i < 3; i++) {
        make_answer(p, rows[i].for_us ? p->member : p->admin, rows[i].ttl, rows[i].renewable,
                    &r.answer);
        const pln_mesh_event *done = mp_run_op(p->member, renew(p, p->member, node), PLN_S(11));
        assert_non_null(done);
        assert_int_equal(done->err, rows[i].err);
        assert_int_equal(not_after(p->member), before);
        pln_bytes_fini(&r.answer);
    }
    assert_int_equal(mp_count(p->member, PLN_MESH_CREDENTIALS_CHANGED), 0);
}

static void rogue_ask(const pair *p, mp_node *node, const rogue *r, const pollen_key *subject) {
    pln_renewal_request request = {.subject_pub = *subject};
    pln_bytes envelope = {.data = NULL};
    assert_int_equal(pln_renewal_request_encode(&request, &envelope), POLLEN_OK);
    mp_raw_send(node, r->conn, &envelope);
    mp_run(p->world, PLN_MS(50));
}

static void a_flood_of_requests_costs_one_signature(void **state) {
    pair *p = *state;
    rogue r;
    mp_node *node = add_rogue(p, &r);
    (void)mp_raw_dial(node, p->admin, false);
    mp_run(p->world, PLN_MS(100));
    for (int i = 0; i < 100; i++) {
        rogue_ask(p, node, &r, mp_key(node));
    }
    assert_int_equal(r.datagrams, 100);
    assert_int_equal(r.certs, 1);
    r.bytes = 0;
    rogue_ask(p, node, &r, mp_key(p->member)); /* Not the sender's. */
    assert_in_range(r.bytes, 20, 60);          /* A reason and no certificate. */
    assert_string_equal(r.reason, "subject_pub does not match sender");
}

/* A rogue with a certificate for the hour, and a session with the admin. */
static mp_node *add_rogue_for_an_hour(const pair *p, rogue *r) {
    mp_node *node = mp_prepare(p->world);
    *r = (rogue){.conn = 0};
    node->raw_ctx = r;
    mp_enrol(node, mp_signer(p->world), 0, 3600, true);
    mp_start_raw(node, false, rogue_on_event);
    (void)mp_raw_dial(node, p->admin, false);
    mp_run(p->world, PLN_MS(100));
    return node;
}

/* Neither by waiting nor by coming again does it get another one, unless it uses the last one, or
 * that one ends soon. */
static void nobody_collects_certificates_ahead(void **state) {
    pair *p = *state;
    rogue r;
    mp_node *node = add_rogue_for_an_hour(p, &r);
    const int64_t began = p->world->now.wall;
    for (int i = 0; i < 22; i++) {
        rogue_ask(p, node, &r, mp_key(node));
        (void)mp_raw_dial(node, p->admin, false);
        mp_run(p->world, PLN_S(100)); /* In all less than two thirds of the hour. */
    }
    assert_int_equal(r.certs, 1);
    assert_in_range(r.not_after - began, 3599, 3600);
    mp_run(p->world, PLN_S(300));
    rogue_ask(p, node, &r, mp_key(node));
    assert_int_equal(r.certs, 2);
}

static void an_expired_subject_is_refused(void **state) {
    pair *p = *state;
    rogue r;
    mp_node *node = add_rogue_for_an_hour(p, &r);
    mp_run(p->world, PLN_S(3600 + 50)); /* A minute of skew is allowed. */
    rogue_ask(p, node, &r, mp_key(node));
    assert_int_equal(r.certs, 1);
    mp_run(p->world, PLN_S(20));
    assert_int_equal(mp_sessions(p->admin), 0);
    r.datagrams = 0;
    rogue_ask(p, node, &r, mp_key(node));
    (void)mp_raw_dial(node, p->admin, false);
    mp_run(p->world, PLN_S(1));
    rogue_ask(p, node, &r, mp_key(node));
    assert_int_equal(r.datagrams, 0);
    assert_int_equal(r.certs, 1);
}

/* In the minute of skew a node is still taken, and may still be renewed. */
static void a_certificate_that_just_ended_is_renewed(void **state) {
    pair *p = *state;
    mp_join(p->member, p->admin);
    mp_run(p->world, PLN_S(3620));
    assert_true(not_after(p->member) < p->world->now.wall);
    assert_int_equal(mp_run_op(p->member, renew(p, p->member, p->admin), PLN_S(10))->err,
                     POLLEN_OK);
    mp_run(p->world, PLN_S(600));
    assert_int_equal(mp_sessions(p->admin), 1);
    assert_int_equal(mp_sessions(p->member), 1);
}

/* Nothing is gained, and nothing is lost. */
static void asking_again_at_once_is_no_failure(void **state) {
    pair *p = *state;
    mp_join(p->member, p->admin);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mp_run_op(p->member, renew(p, p->member, p->admin), PLN_S(10))->err,
                         POLLEN_OK);
    }
    mp_run(p->world, PLN_S(5));
    assert_int_equal(mp_run_op(p->member, renew(p, p->member, p->admin), PLN_S(10))->err,
                     POLLEN_OK);
    assert_true(mp_count(p->member, PLN_MESH_CREDENTIALS_CHANGED) <= 1);
}

/* ---- The time of day ------------------------------------------------------------------------- */

static void a_clock_set_ahead_ends_what_has_run_out_within_seconds(void **state) {
    pair *p = *state;
    mp_join(p->member, p->admin);
    p->world->wall_jump = 86400; /* The admin's certificate is for a year. */
    mp_run(p->world, PLN_S(12));
    assert_int_equal(mp_sessions(p->admin), 0);
    assert_int_equal(mp_sessions(p->member), 0);
    assert_int_equal(mp_find(p->admin, PLN_MESH_DISCONNECTED, 0)->reason, POLLEN_END_CERT_EXPIRED);
    assert_int_equal(mp_find(p->member, PLN_MESH_DISCONNECTED, 0)->reason, POLLEN_END_CERT_EXPIRED);
}

static void a_clock_set_back_ends_nothing(void **state) {
    pair *p = *state;
    mp_join(p->member, p->admin);
    p->world->wall_jump = -86400;
    mp_run(p->world, PLN_S(7200)); /* The hour of the certificate is not over by this clock. */
    assert_int_equal(mp_count(p->admin, PLN_MESH_DISCONNECTED), 0);
    p->world->wall_jump = 0;
    mp_run(p->world, PLN_S(12));
    assert_int_equal(mp_find(p->admin, PLN_MESH_DISCONNECTED, 0)->reason, POLLEN_END_CERT_EXPIRED);
}

/* ---- Rotation -------------------------------------------------------------------------------- */

static void set_age(mp_node *node, pln_dur age) {
    mp_kill(node);
    node->config.max_connection_age = age;
    mp_start(node);
}

static void a_session_of_full_age_is_replaced_before_it_ends(void **state) {
    pair *p = *state;
    set_age(p->admin, PLN_S(100));
    set_age(p->member, PLN_S(100));
    mp_join(p->member, p->admin);
    pln_session_info info;
    size_t sent = 0;
    for (int i = 0; i < 1200; i++) {
        sent += mp_send(p->member, p->admin, "on") == POLLEN_OK;
        mp_run(p->world, PLN_MS(500));
        assert_int_equal(pln_mesh_session_info(p->admin->mesh, mp_key(p->member), &info),
                         POLLEN_OK);
    }
    assert_int_equal(sent, 1200);
    assert_int_equal(mp_count(p->admin, PLN_MESH_PACKET), 1200);
    size_t ends = mp_count(p->member, PLN_MESH_DISCONNECTED);
    assert_in_range(ends, 4, 6);
    for (size_t i = 0; i < ends; i++) {
        assert_int_equal(mp_find(p->member, PLN_MESH_DISCONNECTED, i)->reason,
                         POLLEN_END_CERT_ROTATION);
        assert_int_equal(mp_find(p->admin, PLN_MESH_DISCONNECTED, i)->reason,
                         POLLEN_END_CERT_ROTATION);
    }
    assert_int_equal(mp_conns(p->admin), 1);
}

static void a_stream_goes_on_over_a_rotation(void **state) {
    pair *p = *state;
    set_age(p->member, PLN_S(100));
    mp_join(p->member, p->admin);
    pln_mesh_open_stream(p->member->mesh, 900, mp_key(p->admin), 80, PLN_TS_NEVER, p->world->now);
    pln_stream_id stream = mp_run_op(p->member, 900, PLN_S(1))->stream;
    size_t got = 0;
    for (int i = 0; i < 130; i++) {
        pln_chunk *chunk = pln_chunk_create(100);
        chunk->end = 100;
        assert_int_equal(pln_mesh_stream_send(p->member->mesh, stream, chunk, i == 129), POLLEN_OK);
        mp_run(p->world, PLN_S(1));
        const pln_mesh_event *accepted = mp_find(p->admin, PLN_MESH_STREAM_ACCEPTED, 0);
        bool fin = false;
        for (;;) {
            chunk = pln_mesh_stream_recv(p->admin->mesh, accepted->stream, &fin);
            if (chunk == NULL) {
                break;
            }
            got += pln_chunk_size(chunk);
            pln_chunk_destroy(chunk);
        }
    }
    assert_int_equal(got, 13000);
    assert_true(mp_count(p->member, PLN_MESH_DISCONNECTED) >= 1);
}

/* The old session is closed when its stream is done; neither its age nor the certificate that was
 * shown on it ends it before. */
static void a_stream_outlives_the_session_that_was_replaced(void **state) {
    pair *p = *state;
    set_age(p->admin, PLN_S(1000));
    set_age(p->member, PLN_S(1000));
    mp_join(p->member, p->admin);
    pln_mesh_open_stream(p->member->mesh, 900, mp_key(p->admin), 80, PLN_TS_NEVER, p->world->now);
    pln_stream_id stream = mp_run_op(p->member, 900, PLN_S(1))->stream;
    mp_run(p->world, PLN_S(1000));
    for (int i = 0; i < 3; i++) { /* The first certificate is for the hour. */
        mp_run(p->world, PLN_S(1500));
        assert_int_equal(mp_run_op(p->member, renew(p, p->member, p->admin), PLN_S(10))->err,
                         POLLEN_OK);
    }
    mp_run(p->world, PLN_S(100));
    assert_int_equal(mp_sessions(p->admin), 1);
    pln_chunk *chunk = pln_chunk_create(100);
    chunk->end = 100;
    assert_int_equal(pln_mesh_stream_send(p->member->mesh, stream, chunk, true), POLLEN_OK);
    mp_run(p->world, PLN_S(1));
    bool fin = false;
    chunk = pln_mesh_stream_recv(p->admin->mesh,
                                 mp_find(p->admin, PLN_MESH_STREAM_ACCEPTED, 0)->stream, &fin);
    assert_non_null(chunk);
    assert_int_equal(pln_chunk_size(chunk), 100);
    pln_chunk_destroy(chunk);
}

static void what_nobody_replaces_is_closed_at_one_and_a_half_ages(void **state) {
    pair *p = *state;
    set_age(p->admin, PLN_S(100)); /* It accepts; the dialler knows no age. */
    mp_join(p->member, p->admin);
    mp_run(p->world, PLN_S(149));
    assert_int_equal(mp_sessions(p->admin), 1);
    mp_run(p->world, PLN_S(2));
    assert_int_equal(mp_find(p->admin, PLN_MESH_DISCONNECTED, 0)->reason, POLLEN_END_CERT_ROTATION);
    assert_int_equal(mp_find(p->member, PLN_MESH_DISCONNECTED, 0)->reason,
                     POLLEN_END_CERT_ROTATION);
}

/* ---- Credentials ----------------------------------------------------------------------------- */

static void credentials_of_another_key_or_cluster_are_refused(void **state) {
    pair *p = *state;
    pln_now now = p->world->now;
    assert_int_equal(pln_mesh_set_credentials(p->member->mesh, &p->admin->creds, now),
                     POLLEN_EINVAL);
    pln_credentials creds = {.enrolled = false};
    assert_int_equal(pln_credentials_copy(&creds, &p->member->creds), POLLEN_OK);
    mp_make_foreign(p->member);
    assert_int_equal(pln_mesh_set_credentials(p->member->mesh, &p->member->creds, now),
                     POLLEN_ECLUSTER);
    assert_int_equal(pln_mesh_set_credentials(p->member->mesh, &creds, now), POLLEN_OK);
    mp_run(p->world, 1);
    assert_int_equal(mp_count(p->member, PLN_MESH_CREDENTIALS_CHANGED), 1);
    pln_credentials_fini(&creds);
    mp_join(p->member, p->admin);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_echo_takes_a_round_trip),
        TEST(an_echo_that_does_not_fit_or_has_no_session_fails),
        TEST(a_lost_echo_ends_at_its_deadline),
        TEST(an_echo_to_the_references_protocol_times_the_acknowledgement),
        TEST(no_answer_is_larger_than_its_request_and_a_flood_is_not_echoed),
        TEST(a_renewed_certificate_lasts_as_long_again),
        TEST(a_renewed_node_shows_its_certificate_and_is_never_cut_off),
        TEST(renewing_survives_loss),
        TEST(refusals_are_told_with_their_reason),
        TEST(without_a_session_there_is_no_renewal),
        TEST(unasked_answers_and_those_of_others_are_ignored),
        TEST(answers_that_do_not_hold_change_nothing),
        TEST(a_flood_of_requests_costs_one_signature),
        TEST(nobody_collects_certificates_ahead),
        TEST(an_expired_subject_is_refused),
        TEST(a_certificate_that_just_ended_is_renewed),
        TEST(asking_again_at_once_is_no_failure),
        TEST(a_clock_set_ahead_ends_what_has_run_out_within_seconds),
        TEST(a_clock_set_back_ends_nothing),
        TEST(a_session_of_full_age_is_replaced_before_it_ends),
        TEST(a_stream_goes_on_over_a_rotation),
        TEST(a_stream_outlives_the_session_that_was_replaced),
        TEST(what_nobody_replaces_is_closed_at_one_and_a_half_ages),
        TEST(credentials_of_another_key_or_cluster_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
