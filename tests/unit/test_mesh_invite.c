/* SPDX-License-Identifier: Apache-2.0 */
/* Redeeming invites: both sides, losses, refusals, the ledger. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "auth/token.h"
#include "base/key.h"
#include "base/mem.h"
#include "support/mesh_pair.h"

/* Node 0 is the signer; node 1 and 2 belong to no cluster yet. */
typedef struct trio {
    mp_world *world;
    mp_node *signer, *joiner, *other;
    pln_invite_token invite;
} trio;

static int setup(void **state) {
    static trio t;
    t = (trio){.world = mp_create(1)};
    t.signer = mp_add(t.world);
    t.joiner = mp_prepare(t.world);
    mp_make_bare(t.joiner);
    mp_start(t.joiner);
    t.other = mp_prepare(t.world);
    mp_make_bare(t.other);
    mp_start(t.other);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    trio *t = *state;
    pln_invite_token_fini(&t->invite);
    mp_destroy(t->world);
    return 0;
}

static void issue(trio *t, const pln_signer *signer, const pln_bootstraps *bootstrap,
                  const pollen_key *subject, int64_t ttl) {
    pln_invite_terms terms = {
        .bootstrap = bootstrap,
        .subject = subject,
        .ttl_seconds = ttl,
        .membership_ttl_seconds = 3600,
    };
    pln_invite_token_fini(&t->invite);
    assert_int_equal(
        pln_invite_issue(signer, &terms, &t->world->rng, t->world->now.wall, &t->invite),
        POLLEN_OK);
}

/* An invite of the world's signer that names node 0 and `more` peers that do not exist. */
static void invite(trio *t, size_t more, const pollen_key *subject, int64_t ttl) {
    pln_bootstraps list = {.items = NULL};
    for (size_t i = 0; i < more; i++) {
        pollen_seed seed;
        memset(seed.bytes, (int)(0x80 + i), sizeof(seed.bytes));
        pollen_key key = pollen_seed_key(&seed);
        const char *addrs[3] = {"[2001:db8:1111:2222:3333:4444:5555:6666]:60611",
                                "[2001:db8:1111:2222:3333:4444:5555:7777]:60611",
                                "[2001:db8:1111:2222:3333:4444:5555:8888]:60611"};
        assert_int_equal(pln_bootstraps_add(&list, &key, addrs, 3), POLLEN_OK);
    }
    const char *addr = "10.0.0.1:60611";
    assert_int_equal(pln_bootstraps_add(&list, mp_key(t->signer), &addr, 1), POLLEN_OK);
    issue(t, mp_signer(t->world), &list, subject, ttl);
    pln_bootstraps_fini(&list);
}

static pln_op redeem_at(const trio *t, mp_node *node, const pollen_key *keys, const pln_path *paths,
                        size_t count) {
    pln_op op = node->next_op++;
    pln_now now = t->world->now;
    pln_mesh_redeem(node->mesh, op, &t->invite, keys, paths, count, now.mono + PLN_S(20), now);
    return op;
}

static pln_op redeem(const trio *t, mp_node *node) {
    pln_path path = mp_path(t->signer);
    return redeem_at(t, node, mp_key(t->signer), &path, 1);
}

static const pln_mesh_event *redeem_now(const trio *t, mp_node *node) {
    const pln_mesh_event *done = mp_run_op(node, redeem(t, node), PLN_S(25));
    assert_non_null(done);
    return done;
}

static void expect_token(const trio *t, const mp_node *node, const pln_mesh_event *done) {
    assert_int_equal(done->err, POLLEN_OK);
    assert_non_null(done->join_token);
    assert_int_equal(pln_join_verify(done->join_token, &t->signer->creds.trust, mp_key(node),
                                     t->world->now.wall),
                     POLLEN_OK);
}

static void expect_refused(const pln_mesh_event *done, pollen_err err, const char *detail) {
    assert_int_equal(done->err, err);
    assert_null(done->join_token);
    if (detail != NULL) {
        assert_string_equal(done->detail, detail);
    }
}

static pln_mesh_stats stats_of(const mp_node *node) {
    pln_mesh_stats stats;
    pln_mesh_get_stats(node->mesh, &stats);
    return stats;
}

/* ---- The good way ---------------------------------------------------------------------------- */

static void a_stranger_joins_by_invite_and_is_a_member(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    const pln_mesh_event *done = redeem_now(t, t->joiner);
    expect_token(t, t->joiner, done);
    assert_int_equal(mp_count(t->signer, PLN_MESH_LEDGER_WRITE), 1);
    assert_int_equal(stats_of(t->signer).invites_redeemed, 1);
    assert_false(pln_mesh_credentials(t->joiner->mesh)->enrolled);

    assert_int_equal(pln_mesh_apply(t->joiner->mesh, done->join_token, t->world->now), POLLEN_OK);
    mp_run(t->world, PLN_MS(1));
    assert_int_equal(mp_count(t->joiner, PLN_MESH_CREDENTIALS_CHANGED), 1);
    assert_true(pln_mesh_credentials(t->joiner->mesh)->enrolled);
    mp_join(t->joiner, t->signer);
    pln_session_info info;
    assert_int_equal(pln_mesh_session_info(t->signer->mesh, mp_key(t->joiner), &info), POLLEN_OK);
    assert_int_equal(info.cert_not_after - info.cert_not_before, 3600 + 60);
    /* And accepts dials from then on. */
    pln_mesh_close_all(t->signer->mesh, t->world->now);
    mp_run(t->world, PLN_S(1));
    mp_join(t->signer, t->joiner);
}

static void the_invite_connection_is_gone_afterwards(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    expect_token(t, t->joiner, redeem_now(t, t->joiner));
    mp_run(t->world, PLN_S(1));
    assert_int_equal(mp_conns(t->signer), 0);
    assert_int_equal(mp_conns(t->joiner), 0);
    assert_int_equal(mp_count(t->signer, PLN_MESH_CONNECTED), 0);
}

static void four_dead_addresses_cost_less_than_a_second(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    pln_path paths[5];
    pollen_key keys[5];
    for (uint16_t i = 0; i < 5; i++) {
        paths[i] = i < 4 ? mp_nowhere(i) : mp_path(t->signer);
        keys[i] = *mp_key(t->signer);
    }
    pln_ts began = t->world->now.mono;
    pln_op op = redeem_at(t, t->joiner, keys, paths, 5);
    const pln_mesh_event *done = mp_run_op(t->joiner, op, PLN_S(5));
    assert_non_null(done);
    expect_token(t, t->joiner, done);
    assert_true(t->world->now.mono - began < PLN_S(1));
}

static void thirty_bootstrap_peers_are_trimmed_with_the_signer_kept(void **state) {
    trio *t = *state;
    /* The request has to fit one packet as well: the joiner's own copy names few. */
    invite(t, 4, NULL, 300);
    const pln_mesh_event *done = redeem_now(t, t->joiner);
    expect_token(t, t->joiner, done);
    const pln_bootstraps *list = &done->join_token->bootstrap;
    assert_true(list->count >= 1);
    assert_true(list->count < 5);
    assert_true(pln_key_equal(&list->items[0].peer_pub, mp_key(t->signer)));
}

static void an_invite_too_large_to_be_sent_consumes_nothing(void **state) {
    trio *t = *state;
    invite(t, 29, NULL, 300);
    const pln_mesh_event *done = redeem_now(t, t->joiner);
    assert_int_equal(done->err, POLLEN_EMSGSIZE);
    assert_int_equal(mp_count(t->signer, PLN_MESH_LEDGER_WRITE), 0);
}

/* ---- Losses ---------------------------------------------------------------------------------- */

typedef struct nth_large {
    const mp_node *from;
    size_t min, max; /* Of the packet. */
    int to_drop;
} nth_large;

static bool drop_large(void *ctx, const mp_node *from, const mp_node *to, size_t size) {
    nth_large *n = ctx;
    (void)to;
    if (n->to_drop > 0 && from == n->from && size >= n->min && size <= n->max) {
        n->to_drop--;
        return false;
    }
    return true;
}

static void a_lost_request_is_repeated(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    nth_large n = {.from = t->joiner, .min = 430, .max = 560, .to_drop = 1};
    t->world->filter = drop_large;
    t->world->filter_ctx = &n;
    expect_token(t, t->joiner, redeem_now(t, t->joiner));
    assert_int_equal(n.to_drop, 0);
    assert_int_equal(mp_count(t->signer, PLN_MESH_LEDGER_WRITE), 1);
}

static void a_lost_answer_is_repeated(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    nth_large n = {.from = t->signer, .min = 760, .max = 900, .to_drop = 1};
    t->world->filter = drop_large;
    t->world->filter_ctx = &n;
    expect_token(t, t->joiner, redeem_now(t, t->joiner));
    assert_int_equal(n.to_drop, 0);
    assert_int_equal(mp_count(t->signer, PLN_MESH_LEDGER_WRITE), 1);
}

static void redeeming_survives_heavy_loss(void **state) {
    trio *t = *state;
    t->world->loss_percent = 30;
    for (int i = 0; i < 10; i++) {
        invite(t, 0, NULL, 300);
        expect_token(t, t->joiner, redeem_now(t, t->joiner));
        mp_forget(t->joiner);
    }
    assert_int_equal(mp_count(t->signer, PLN_MESH_LEDGER_WRITE), 10);
}

/* ---- Who may redeem it again ----------------------------------------------------------------- */

static void the_same_key_gets_the_same_answer_again(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    const pln_mesh_event *first = redeem_now(t, t->joiner);
    expect_token(t, t->joiner, first);
    const pln_mesh_event *second = redeem_now(t, t->joiner);
    expect_token(t, t->joiner, second);
    assert_true(pln_bytes_equal(&first->join_token->wire, &second->join_token->wire));
    assert_int_equal(mp_count(t->signer, PLN_MESH_LEDGER_WRITE), 1);
}

static void the_same_key_gets_a_usable_answer_long_after(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 86400);
    expect_token(t, t->joiner, redeem_now(t, t->joiner));
    mp_run(t->world, PLN_S(3600));
    expect_token(t, t->joiner, redeem_now(t, t->joiner));
    assert_int_equal(mp_count(t->signer, PLN_MESH_LEDGER_WRITE), 1);
}

static void another_key_is_told_that_it_is_consumed(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    expect_token(t, t->joiner, redeem_now(t, t->joiner));
    expect_refused(redeem_now(t, t->other), POLLEN_ECONSUMED, "invite token already consumed");
    assert_int_equal(mp_count(t->signer, PLN_MESH_LEDGER_WRITE), 1);
}

static void a_restarted_signer_remembers(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    expect_token(t, t->joiner, redeem_now(t, t->joiner));
    mp_kill(t->signer);
    mp_start(t->signer); /* With the ledger that was written. */
    expect_refused(redeem_now(t, t->other), POLLEN_ECONSUMED, NULL);
    expect_token(t, t->joiner, redeem_now(t, t->joiner));
}

static void of_two_at_once_one_is_admitted(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    t->signer->hold_ledger = true;
    pln_op one = redeem(t, t->joiner);
    pln_op two = redeem(t, t->other);
    mp_run(t->world, PLN_S(1));
    assert_int_equal(mp_count(t->signer, PLN_MESH_LEDGER_WRITE), 1);
    assert_null(mp_done(t->joiner, one));
    assert_null(mp_done(t->other, two)); /* Waits for the write. */
    pln_mesh_ledger_written(t->signer->mesh, t->invite.token_id, POLLEN_OK, t->world->now);
    mp_run(t->world, PLN_S(1));
    assert_int_equal(mp_done(t->joiner, one)->err, POLLEN_OK);
    assert_int_equal(mp_done(t->other, two)->err, POLLEN_ECONSUMED);
}

static void a_failed_write_consumes_nothing(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    t->signer->ledger_err = POLLEN_ENOSPC;
    expect_refused(redeem_now(t, t->joiner), POLLEN_EDENIED,
                   "write consumed invites: no space left");
    t->signer->ledger_err = POLLEN_OK;
    expect_token(t, t->other, redeem_now(t, t->other));
}

static void whoever_waited_for_a_failed_write_is_next(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    t->signer->hold_ledger = true;
    pln_op one = redeem(t, t->joiner);
    mp_run(t->world, PLN_MS(200));
    pln_op two = redeem(t, t->other);
    mp_run(t->world, PLN_MS(200));
    pln_mesh_ledger_written(t->signer->mesh, t->invite.token_id, POLLEN_EIO, t->world->now);
    mp_run(t->world, PLN_S(1));
    assert_int_equal(mp_done(t->joiner, one)->err, POLLEN_EDENIED);
    assert_int_equal(mp_count(t->signer, PLN_MESH_LEDGER_WRITE), 2);
    pln_mesh_ledger_written(t->signer->mesh, t->invite.token_id, POLLEN_OK, t->world->now);
    mp_run(t->world, PLN_S(1));
    assert_int_equal(mp_done(t->other, two)->err, POLLEN_OK);
}

static void a_write_that_ends_after_the_client_left_still_counts(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    t->signer->hold_ledger = true;
    pln_op op = redeem(t, t->joiner);
    mp_run(t->world, PLN_S(1));
    pln_mesh_cancel(t->joiner->mesh, op, t->world->now);
    mp_run(t->world, PLN_S(1));
    assert_int_equal(mp_conns(t->signer), 0);
    pln_mesh_ledger_written(t->signer->mesh, t->invite.token_id, POLLEN_OK, t->world->now);
    t->signer->hold_ledger = false;
    expect_token(t, t->joiner, redeem_now(t, t->joiner));
    expect_refused(redeem_now(t, t->other), POLLEN_ECONSUMED, NULL);
}

/* ---- Refusals -------------------------------------------------------------------------------- */

/* An invite that another cluster's root made, and which leads to the signer. */
static void invite_from_elsewhere(trio *t) {
    pln_signer foreign;
    pln_bootstraps list = {.items = NULL};
    const char *addr = "10.0.0.1:60611";
    assert_int_equal(pln_signer_create_root(&t->world->foreign_seed, 86400, &t->world->rng,
                                            t->world->now.wall, &foreign),
                     POLLEN_OK);
    assert_int_equal(pln_bootstraps_add(&list, mp_key(t->signer), &addr, 1), POLLEN_OK);
    issue(t, &foreign, &list, NULL, 300);
    pln_bootstraps_fini(&list);
    pln_signer_fini(&foreign);
}

static void an_invite_of_a_foreign_root_is_refused(void **state) {
    trio *t = *state;
    invite_from_elsewhere(t);
    expect_refused(redeem_now(t, t->joiner), POLLEN_EDENIED, "trust bundle cluster id mismatch");
    assert_int_equal(mp_count(t->signer, PLN_MESH_LEDGER_WRITE), 0);
}

static void an_invite_of_another_subject_is_refused(void **state) {
    trio *t = *state;
    invite(t, 0, mp_key(t->other), 300);
    expect_refused(redeem_now(t, t->joiner), POLLEN_ESUBJECT, NULL); /* By ourselves already. */
    expect_token(t, t->other, redeem_now(t, t->other));
}

static void an_invite_that_ran_out_is_refused_even_within_the_skew(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    mp_run(t->world, PLN_S(301));
    expect_refused(redeem_now(t, t->joiner), POLLEN_EEXPIRED, "invite token expired");
    mp_run(t->world, PLN_S(100));
    expect_refused(redeem_now(t, t->joiner), POLLEN_EEXPIRED, NULL); /* By ourselves. */
    assert_int_equal(mp_count(t->signer, PLN_MESH_LEDGER_WRITE), 0);
}

static void a_revoked_key_is_not_admitted(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    mp_revoke(t->signer, mp_key(t->joiner));
    expect_refused(redeem_now(t, t->joiner), POLLEN_EDENIED, "subject has been revoked");
}

static void a_signer_that_is_not_named_refuses(void **state) {
    trio *t = *state;
    pln_bootstraps list = {.items = NULL};
    const char *addr = "10.0.0.9:60611";
    assert_int_equal(pln_bootstraps_add(&list, mp_key(t->other), &addr, 1), POLLEN_OK);
    issue(t, mp_signer(t->world), &list, NULL, 300);
    expect_refused(redeem_now(t, t->joiner), POLLEN_EDENIED,
                   "invite token does not name this node");
    pln_bootstraps_fini(&list);
}

static void who_serves_no_invites_is_eversion(void **state) {
    trio *t = *state;
    mp_node *member = mp_add(t->world);
    invite(t, 0, NULL, 300);
    pln_path path = mp_path(member);
    pln_op op = redeem_at(t, t->joiner, mp_key(member), &path, 1);
    const pln_mesh_event *done = mp_run_op(t->joiner, op, PLN_S(25));
    expect_refused(done, POLLEN_EVERSION, NULL);
}

static void the_reason_arrives_also_when_its_datagram_does_not(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    expect_token(t, t->joiner, redeem_now(t, t->joiner));
    mp_run(t->world, PLN_S(1));
    t->world->loss_percent = 30;
    for (int i = 0; i < 20; i++) {
        expect_refused(redeem_now(t, t->other), POLLEN_ECONSUMED, "invite token already consumed");
    }
}

/* ---- The next peer --------------------------------------------------------------------------- */

static void when_one_peer_refuses_the_next_is_asked(void **state) {
    trio *t = *state;
    mp_node *member = mp_add(t->world); /* Serves no invites. */
    invite(t, 0, NULL, 300);
    pollen_key keys[2] = {*mp_key(member), *mp_key(t->signer)};
    pln_path paths[2] = {mp_path(member), mp_path(t->signer)};
    pln_op op = redeem_at(t, t->joiner, keys, paths, 2);
    const pln_mesh_event *done = mp_run_op(t->joiner, op, PLN_S(25));
    assert_non_null(done);
    expect_token(t, t->joiner, done);
}

static void nothing_is_heard_is_etimedout_at_the_deadline(void **state) {
    trio *t = *state;
    invite(t, 0, NULL, 300);
    pln_path nowhere = mp_nowhere(1);
    pln_op op = t->joiner->next_op++;
    pln_mesh_redeem(t->joiner->mesh, op, &t->invite, mp_key(t->signer), &nowhere, 1,
                    t->world->now.mono + PLN_S(3), t->world->now);
    mp_run(t->world, PLN_S(3) - 1);
    assert_null(mp_done(t->joiner, op));
    mp_run(t->world, 1);
    assert_int_equal(mp_done(t->joiner, op)->err, POLLEN_ETIMEDOUT);
    assert_int_equal(mp_conns(t->joiner), 0);
}

/* ---- Rogues ---------------------------------------------------------------------------------- */

typedef struct rogue {
    pln_conn_id conn;
    pln_ts closed_at;
    char phrase[PLN_QUIC_PHRASE_BYTES];
    size_t answers, requests;
    pln_bytes answer; /* What a rogue signer says. */
} rogue;

static void rogue_on_event(mp_node *node, const pln_quic_event *event) {
    rogue *r = node->raw_ctx;
    if (event->kind == PLN_QUIC_CLOSED) {
        r->closed_at = node->world->now.mono;
        snprintf(r->phrase, sizeof(r->phrase), "%s", event->closed.phrase);
    } else if (event->kind == PLN_QUIC_DATAGRAM) {
        r->answers++;
        if (r->answer.data != NULL) {
            pln_bytes copy = {.data = NULL};
            assert_true(pln_bytes_copy(&copy, &r->answer));
            mp_raw_send(node, event->conn, &copy);
        }
    }
}

static void start_rogue(trio *t, rogue *r) {
    mp_kill(t->other);
    *r = (rogue){.conn = 0};
    t->other->raw_ctx = r;
    mp_start_raw(t->other, false, rogue_on_event);
}

/* A rogue that holds all the places there are for invites. */
static void take_all_places(trio *t, rogue *r) {
    start_rogue(t, r);
    for (int i = 0; i < PLN_INVITE_CONNS_MAX; i++) {
        (void)mp_raw_dial(t->other, t->signer, true);
        mp_run(t->world, PLN_MS(60));
    }
    assert_int_equal(mp_conns(t->signer), PLN_INVITE_CONNS_MAX);
}

static void an_idle_invite_connection_ends_after_ten_seconds(void **state) {
    trio *t = *state;
    rogue r;
    start_rogue(t, &r);
    (void)mp_raw_dial(t->other, t->signer, true);
    mp_run(t->world, PLN_MS(30)); /* The handshake is complete at the signer. */
    mp_run(t->world, PLN_S(10));
    assert_int_equal(mp_conns(t->signer), 0);
    mp_run(t->world, PLN_MS(20));
    assert_string_equal(r.phrase, "recv failed");
}

static void a_client_that_stays_is_closed_within_the_deadline(void **state) {
    trio *t = *state;
    rogue r;
    invite(t, 0, NULL, 300);
    start_rogue(t, &r);
    r.conn = mp_raw_dial(t->other, t->signer, true);
    mp_run(t->world, PLN_MS(100));
    pln_redeem_request request = {.token = t->invite, .subject_pub = *mp_key(t->other)};
    pln_bytes envelope = {.data = NULL};
    assert_int_equal(pln_redeem_request_encode(&request, &envelope), POLLEN_OK);
    mp_raw_send(t->other, r.conn, &envelope);
    mp_run(t->world, PLN_S(5));
    assert_int_equal(r.answers, 1);
    assert_int_equal(r.closed_at, 0);
    mp_run(t->world, PLN_S(6));
    assert_string_equal(r.phrase, "invite redeemed");
    assert_int_equal(mp_conns(t->signer), 0);
}

static void other_messages_end_an_invite_connection(void **state) {
    trio *t = *state;
    rogue r;
    start_rogue(t, &r);
    r.conn = mp_raw_dial(t->other, t->signer, true);
    mp_run(t->world, PLN_MS(100));
    pln_bytes envelope = {.data = NULL};
    assert_int_equal(pln_echo_encode(&(pln_echo){.id = 1}, &envelope), POLLEN_OK);
    mp_raw_send(t->other, r.conn, &envelope);
    mp_run(t->world, PLN_MS(100));
    assert_string_equal(r.phrase, "unexpected message on invite connection");
}

static void invite_connections_are_bounded(void **state) {
    trio *t = *state;
    rogue r;
    start_rogue(t, &r);
    for (int i = 0; i < 3 * PLN_INVITE_CONNS_MAX; i++) {
        (void)mp_raw_dial(t->other, t->signer, true);
        mp_run(t->world, PLN_MS(30));
        assert_true(mp_conns(t->signer) <= PLN_INVITE_CONNS_MAX + 1);
    }
}

/* Neither of these may cost a joiner its place: they prove nothing but that they can dial. */

static void silent_clients_do_not_keep_a_joiner_out(void **state) {
    trio *t = *state;
    rogue r;
    take_all_places(t, &r);
    invite(t, 0, NULL, 300);
    expect_token(t, t->joiner, redeem_now(t, t->joiner));
}

/* Checking a signature costs, so there is a rate, which foreign invites must not use up. */
static void foreign_invites_do_not_keep_a_joiner_waiting(void **state) {
    trio *t = *state;
    rogue r;
    invite_from_elsewhere(t);
    mp_node *rogues[4] = {t->other};
    start_rogue(t, &r);
    for (size_t i = 1; i < 4; i++) {
        rogues[i] = mp_prepare(t->world);
        mp_make_bare(rogues[i]);
        rogues[i]->raw_ctx = &r;
        mp_start_raw(rogues[i], false, rogue_on_event);
    }
    for (int i = 0; i < 38; i++) {
        pln_conn_id conns[4];
        for (size_t k = 0; k < 4; k++) {
            conns[k] = mp_raw_dial(rogues[k], t->signer, true);
        }
        mp_run(t->world, PLN_MS(50));
        for (size_t k = 0; k < 4; k++) {
            pln_redeem_request request = {.token = t->invite, .subject_pub = *mp_key(rogues[k])};
            pln_bytes envelope = {.data = NULL};
            assert_int_equal(pln_redeem_request_encode(&request, &envelope), POLLEN_OK);
            mp_raw_send(rogues[k], conns[k], &envelope);
        }
    }
    /* More than the rate: each got its answer at once, for it cost nothing. */
    mp_run(t->world, PLN_MS(20));
    assert_int_equal(stats_of(t->signer).invites_refused, 4 * 38);
    invite(t, 0, NULL, 300);
    pln_ts began = t->world->now.mono;
    expect_token(t, t->joiner, redeem_now(t, t->joiner));
    assert_true(t->world->now.mono - began < PLN_INVITE_RETRANSMIT);
}

static bool drop_answers(void *ctx, const mp_node *from, const mp_node *to, size_t size) {
    const trio *t = ctx;
    (void)size;
    return from != t->signer || to != t->other;
}

static void half_open_clients_do_not_keep_a_joiner_out(void **state) {
    trio *t = *state;
    rogue r;
    t->world->filter = drop_answers;
    t->world->filter_ctx = t;
    take_all_places(t, &r);
    invite(t, 0, NULL, 300);
    expect_token(t, t->joiner, redeem_now(t, t->joiner));
}

static void a_join_token_of_another_cluster_is_not_believed(void **state) {
    trio *t = *state;
    rogue r;
    pln_signer foreign;
    assert_int_equal(pln_signer_create_root(&t->world->foreign_seed, 86400, &t->world->rng,
                                            t->world->now.wall, &foreign),
                     POLLEN_OK);
    start_rogue(t, &r);
    pln_bootstraps list = {.items = NULL};
    const char *addr = "10.0.0.3:60611";
    assert_int_equal(pln_bootstraps_add(&list, mp_key(t->other), &addr, 1), POLLEN_OK);
    issue(t, mp_signer(t->world), &list, NULL, 300);
    pln_redeem_response response = {.accepted = true, .has_join_token = true};
    assert_int_equal(pln_invite_redeem(&foreign, &t->invite, mp_key(t->joiner), 3600,
                                       &t->world->rng, t->world->now.wall, &response.join_token),
                     POLLEN_OK);
    assert_int_equal(pln_redeem_response_encode(&response, &r.answer), POLLEN_OK);
    pln_redeem_response_fini(&response);

    pln_path path = mp_path(t->other);
    pln_op op = redeem_at(t, t->joiner, mp_key(t->other), &path, 1);
    const pln_mesh_event *done = mp_run_op(t->joiner, op, PLN_S(25));
    expect_refused(done, POLLEN_ECLUSTER, NULL);
    pln_bytes_fini(&r.answer);
    pln_bootstraps_fini(&list);
    pln_signer_fini(&foreign);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_stranger_joins_by_invite_and_is_a_member),
        TEST(the_invite_connection_is_gone_afterwards),
        TEST(four_dead_addresses_cost_less_than_a_second),
        TEST(thirty_bootstrap_peers_are_trimmed_with_the_signer_kept),
        TEST(an_invite_too_large_to_be_sent_consumes_nothing),
        TEST(a_lost_request_is_repeated),
        TEST(a_lost_answer_is_repeated),
        TEST(redeeming_survives_heavy_loss),
        TEST(the_same_key_gets_the_same_answer_again),
        TEST(the_same_key_gets_a_usable_answer_long_after),
        TEST(another_key_is_told_that_it_is_consumed),
        TEST(a_restarted_signer_remembers),
        TEST(of_two_at_once_one_is_admitted),
        TEST(a_failed_write_consumes_nothing),
        TEST(whoever_waited_for_a_failed_write_is_next),
        TEST(a_write_that_ends_after_the_client_left_still_counts),
        TEST(an_invite_of_a_foreign_root_is_refused),
        TEST(an_invite_of_another_subject_is_refused),
        TEST(an_invite_that_ran_out_is_refused_even_within_the_skew),
        TEST(a_revoked_key_is_not_admitted),
        TEST(a_signer_that_is_not_named_refuses),
        TEST(who_serves_no_invites_is_eversion),
        TEST(the_reason_arrives_also_when_its_datagram_does_not),
        TEST(when_one_peer_refuses_the_next_is_asked),
        TEST(nothing_is_heard_is_etimedout_at_the_deadline),
        TEST(an_idle_invite_connection_ends_after_ten_seconds),
        TEST(a_client_that_stays_is_closed_within_the_deadline),
        TEST(other_messages_end_an_invite_connection),
        TEST(invite_connections_are_bounded),
        TEST(silent_clients_do_not_keep_a_joiner_out),
        TEST(foreign_invites_do_not_keep_a_joiner_waiting),
        TEST(half_open_clients_do_not_keep_a_joiner_out),
        TEST(a_join_token_of_another_cluster_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
