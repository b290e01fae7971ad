/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th allocation fails, for every n of a scenario: every op still ends once, events still
 * come in pairs, the next attempt succeeds, and nothing is left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/token.h"
#include "base/key.h"
#include "support/fail_mem.h"
#include "support/mesh_pair.h"

static void expect_each_op_done_once(const mp_node *node) {
    for (pln_op op = 1; op < node->next_op; op++) {
        size_t count = 0;
        for (size_t i = 0; i < node->event_count; i++) {
            count += node->events[i].kind == PLN_MESH_OP_DONE && node->events[i].op == op;
        }
        assert_int_equal(count, 1);
    }
}

static void expect_pairs(const mp_node *node) {
    bool is_up = false;
    for (size_t i = 0; i < node->event_count; i++) {
        if (node->events[i].kind == PLN_MESH_CONNECTED) {
            assert_false(is_up);
            is_up = true;
        } else if (node->events[i].kind == PLN_MESH_DISCONNECTED) {
            assert_true(is_up);
            is_up = false;
        }
    }
    assert_int_equal(is_up, mp_sessions(node) > 0);
}

/* ---- Sessions, streams, renewal -------------------------------------------------------------- */

static void live_a_little(mp_node *a, mp_node *b) {
    mp_world *world = a->world;
    pln_ts deadline = world->now.mono + PLN_S(15);
    (void)mp_connect(a, b);
    (void)mp_connect(b, a);
    pln_mesh_wait(b->mesh, b->next_op++, mp_key(a), deadline, world->now);
    mp_run(world, PLN_MS(200));
    pln_mesh_echo(a->mesh, a->next_op++, mp_key(b), 10, deadline, world->now);
    pln_mesh_open_stream(a->mesh, a->next_op++, mp_key(b), 80, deadline, world->now);
    pln_mesh_open_stream(b->mesh, b->next_op++, mp_key(a), 80, deadline, world->now);
    pln_mesh_renew(b->mesh, b->next_op++, mp_key(a), deadline, world->now);
    mp_run(world, PLN_S(16));
}

static bool is_failing_at(size_t n) {
    mp_world *world = mp_create(1);
    mp_node *a = mp_add(world);
    mp_node *b = mp_add(world);
    fail_mem_arm(n);
    live_a_little(a, b);
    bool failed = fail_mem_disarm();
    mp_run(world, PLN_S(20));
    expect_each_op_done_once(a);
    expect_each_op_done_once(b);
    mp_run(world, PLN_S(40));
    expect_pairs(a);
    expect_pairs(b);
    mp_join(a, b);
    mp_join(b, a);
    pln_mesh_close_all(a->mesh, world->now);
    mp_run(world, PLN_S(1));
    assert_int_equal(mp_sessions(a), 0);
    assert_int_equal(mp_sessions(b), 0);
    mp_destroy(world);
    return failed;
}

static void sessions_survive_any_failed_allocation(void **state) {
    (void)state;
    long live = fail_mem_live();
    size_t n = 1;
    while (is_failing_at(n)) {
        assert_int_equal(fail_mem_live(), live);
        n++;
    }
    assert_true(n > 100);
    assert_int_equal(fail_mem_live(), live);
}

/* ---- Creating -------------------------------------------------------------------------------- */

static void a_mesh_is_created_whole_or_not_at_all(void **state) {
    (void)state;
    mp_world *world = mp_create(1);
    mp_node *node = mp_prepare(world);
    for (size_t n = 1;; n++) {
        long live = fail_mem_live();
        fail_mem_arm(n);
        pollen_err err = pln_mesh_create(&node->config, world->now, &node->mesh);
        if (!fail_mem_disarm()) {
            assert_int_equal(err, POLLEN_OK);
            break;
        }
        assert_int_equal(err, POLLEN_ENOMEM);
        assert_null(node->mesh);
        assert_int_equal(fail_mem_live(), live);
    }
    mp_destroy(world);
}

/* ---- Invites --------------------------------------------------------------------------------- */

static void redeem(mp_node *node, const mp_node *signer, const pln_invite_token *invite) {
    pln_path path = mp_path(signer);
    pln_now now = node->world->now;
    pln_mesh_redeem(node->mesh, node->next_op++, invite, mp_key(signer), &path, 1,
                    now.mono + PLN_S(20), now);
}

static bool is_invite_failing_at(size_t n) {
    mp_world *world = mp_create(1);
    mp_node *signer = mp_add(world);
    mp_node *joiner = mp_prepare(world);
    mp_make_bare(joiner);
    mp_start(joiner);
    pln_bootstraps list = {.items = NULL};
    const char *addr = "10.0.0.1:60611";
    assert_int_equal(pln_bootstraps_add(&list, mp_key(signer), &addr, 1), POLLEN_OK);
    pln_invite_terms terms = {.bootstrap = &list, .ttl_seconds = 3600};
    pln_invite_token invite = {.issued_at = 0};
    assert_int_equal(
        pln_invite_issue(mp_signer(world), &terms, &world->rng, world->now.wall, &invite),
        POLLEN_OK);

    fail_mem_arm(n);
    redeem(joiner, signer, &invite);
    mp_run(world, PLN_S(25));
    bool failed = fail_mem_disarm();
    expect_each_op_done_once(joiner);
    redeem(joiner, signer, &invite);
    mp_run(world, PLN_S(25));
    const pln_mesh_event *done = mp_done(joiner, joiner->next_op - 1);
    assert_non_null(done);
    assert_int_equal(done->err, POLLEN_OK);

    for (size_t k = 1;; k++) { /* The certificate is applied wholly or not at all. */
        fail_mem_arm(k);
        pollen_err err = pln_mesh_apply(joiner->mesh, done->join_token, world->now);
        if (!fail_mem_disarm()) {
            assert_int_equal(err, POLLEN_OK);
            break;
        }
        assert_int_equal(err, POLLEN_ENOMEM);
        assert_false(pln_mesh_credentials(joiner->mesh)->enrolled);
    }
    pln_invite_token_fini(&invite);
    pln_bootstraps_fini(&list);
    mp_destroy(world);
    return failed;
}

static void redeeming_survives_any_failed_allocation(void **state) {
    (void)state;
    long live = fail_mem_live();
    size_t n = 1;
    while (is_invite_failing_at(n)) {
        assert_int_equal(fail_mem_live(), live);
        n++;
    }
    assert_true(n > 50);
    assert_int_equal(fail_mem_live(), live);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mesh_is_created_whole_or_not_at_all),
        cmocka_unit_test(sessions_survive_any_failed_allocation),
        cmocka_unit_test(redeeming_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
