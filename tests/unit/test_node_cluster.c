/* SPDX-License-Identifier: Apache-2.0 */
/* Revocations in one node: what waits for the disk, and what comes too late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/node_wire.h"

/* As the owner does: everything is taken, and the disk says later what became of it. */
static pln_state_urgency take(nw_fixture *f, size_t i) {
    pln_saved_state saved;
    pln_state_urgency urgency;
    assert_int_equal(pln_node_take_state(f->hosts[i].node, &saved, &urgency), POLLEN_OK);
    pln_saved_state_fini(&saved);
    return urgency;
}

static void written(nw_fixture *f, size_t i, pln_state_urgency urgency, pollen_err err) {
    pln_node_state_written(f->hosts[i].node, urgency, err, f->now);
}

/* ---- Waiting for the disk -------------------------------------------------------------------- */

static void test_a_revocation_takes_effect_when_it_is_saved(void **state) {
    nw_fixture *f = *state;
    nw_start(f, HERE, true);
    nw_connect(f, HERE, MEMBER);
    nw_revoke(f, MEMBER);
    assert_int_equal(pln_node_save_urgency(f->hosts[HERE].node), PLN_STATE_SAVE_NOW);
    const pln_state_urgency urgency = take(f, HERE);
    nw_run_ms(f, 500);
    assert_true(nw_has_session(f, HERE, MEMBER));
    written(f, HERE, urgency, POLLEN_OK);
    assert_false(nw_has_session(f, HERE, MEMBER));
    nw_run_ms(f, 10);
    assert_int_equal(f->hosts[HERE].last_reason, POLLEN_END_REVOKED);
    assert_int_equal(f->hosts[MEMBER].last_reason, POLLEN_END_REVOKED);
}

/* Others learn of it no sooner, so that nobody relies on what this node may forget. */
static void test_it_is_told_when_it_is_saved(void **state) {
    nw_fixture *f = *state;
    nw_start(f, HERE, true);
    nw_connect(f, HERE, OTHER);
    nw_run_ms(f, 300);
    nw_revoke(f, MEMBER);
    const pln_state_urgency urgency = take(f, HERE);
    nw_run_ms(f, 500);
    assert_false(pln_state_is_revoked(pln_node_state(f->hosts[OTHER].node), nw_key_of(f, MEMBER)));
    written(f, HERE, urgency, POLLEN_OK);
    nw_run_ms(f, 10);
    assert_true(pln_state_is_revoked(pln_node_state(f->hosts[OTHER].node), nw_key_of(f, MEMBER)));
}

static void test_who_hears_of_one_saves_it_first_as_well(void **state) {
    nw_fixture *f = *state;
    nw_start(f, OTHER, true);
    nw_connect(f, OTHER, HERE);
    nw_connect(f, OTHER, MEMBER);
    nw_revoke(f, MEMBER);
    nw_run_ms(f, 500);
    assert_int_equal(pln_node_save_urgency(f->hosts[OTHER].node), PLN_STATE_SAVE_NOW);
    assert_true(nw_has_session(f, OTHER, MEMBER));
    written(f, OTHER, take(f, OTHER), POLLEN_OK);
    assert_false(nw_has_session(f, OTHER, MEMBER));
}

static void test_a_slow_disk_is_waited_for_a_second(void **state) {
    nw_fixture *f = *state;
    nw_start(f, HERE, true);
    nw_connect(f, HERE, MEMBER);
    nw_revoke(f, MEMBER);
    nw_run_ms(f, 999);
    assert_true(nw_has_session(f, HERE, MEMBER));
    nw_run_ms(f, 3);
    assert_false(nw_has_session(f, HERE, MEMBER));
}

static void test_a_disk_that_fails_is_not_waited_for(void **state) {
    nw_fixture *f = *state;
    nw_start(f, HERE, true);
    nw_connect(f, HERE, MEMBER);
    nw_connect(f, HERE, OTHER);
    nw_revoke(f, MEMBER);
    written(f, HERE, take(f, HERE), POLLEN_ENOSPC);
    assert_false(nw_has_session(f, HERE, MEMBER));
    assert_int_equal(pln_node_save_urgency(f->hosts[HERE].node), PLN_STATE_SAVE_NOW);
    nw_revoke(f, OTHER); /* Nor for the next one. */
    assert_false(nw_has_session(f, HERE, OTHER));
}

static void test_a_disk_that_works_again_is_waited_for_again(void **state) {
    nw_fixture *f = *state;
    nw_start(f, HERE, true);
    nw_connect(f, HERE, OTHER);
    nw_revoke(f, MEMBER);
    written(f, HERE, take(f, HERE), POLLEN_EIO);
    written(f, HERE, take(f, HERE), POLLEN_OK);
    nw_revoke(f, OTHER);
    assert_true(nw_has_session(f, HERE, OTHER));
    written(f, HERE, take(f, HERE), POLLEN_OK);
    assert_false(nw_has_session(f, HERE, OTHER));
}

static void test_one_that_came_during_a_write_waits_for_the_next(void **state) {
    nw_fixture *f = *state;
    nw_start(f, HERE, true);
    nw_connect(f, HERE, MEMBER);
    nw_connect(f, HERE, OTHER);
    nw_revoke(f, MEMBER);
    const pln_state_urgency first = take(f, HERE);
    nw_revoke(f, OTHER);
    written(f, HERE, first, POLLEN_OK);
    assert_true(nw_has_session(f, HERE, OTHER));
    written(f, HERE, take(f, HERE), POLLEN_OK);
    assert_false(nw_has_session(f, HERE, OTHER));
    assert_false(nw_has_session(f, HERE, MEMBER));
}

/* ---- Too late -------------------------------------------------------------------------------- */

static bool keeps(const nw_fixture *f, size_t i, size_t peer) {
    pollen_peer info;
    for (size_t k = 0; pln_node_peer_at(f->hosts[i].node, k, &info) == POLLEN_OK; k++) {
        if (pln_key_equal(&info.key, nw_key_of(f, peer))) {
            return true;
        }
    }
    return false;
}

/* The session's CONNECTED waits in the queue when its peer is revoked. */
static void test_a_late_connected_does_not_bring_the_revoked_back(void **state) {
    nw_fixture *f = *state;
    f->hosts[HERE].holds_events = true;
    nw_connect(f, MEMBER, HERE);
    nw_revoke(f, MEMBER);
    assert_false(nw_has_session(f, HERE, MEMBER));
    f->hosts[HERE].holds_events = false;
    nw_run_ms(f, 10);
    assert_int_equal(f->hosts[HERE].connected, 1); /* One of each, as for any session. */
    assert_int_equal(f->hosts[HERE].disconnected, 1);
    assert_int_equal(f->hosts[HERE].last_reason, POLLEN_END_REVOKED);
    assert_false(keeps(f, HERE, MEMBER));
}

static void test_the_revoked_are_not_kept(void **state) {
    nw_fixture *f = *state;
    assert_int_equal(pln_node_add_bootstrap(f->hosts[HERE].node, nw_key_of(f, MEMBER),
                                            &f->hosts[MEMBER].addr, 1, f->now),
                     POLLEN_OK);
    nw_revoke(f, MEMBER);
    assert_false(keeps(f, HERE, MEMBER));
    assert_int_equal(pln_node_add_bootstrap(f->hosts[HERE].node, nw_key_of(f, MEMBER),
                                            &f->hosts[MEMBER].addr, 1, f->now),
                     POLLEN_EREVOKED);
    nw_run_ms(f, 5000);
    assert_int_equal(f->hosts[HERE].connected, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, nw_setup, nw_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_revocation_takes_effect_when_it_is_saved),
        TEST(test_it_is_told_when_it_is_saved),
        TEST(test_who_hears_of_one_saves_it_first_as_well),
        TEST(test_a_slow_disk_is_waited_for_a_second),
        TEST(test_a_disk_that_fails_is_not_waited_for),
        TEST(test_a_disk_that_works_again_is_waited_for_again),
        TEST(test_one_that_came_during_a_write_waits_for_the_next),
        TEST(test_a_late_connected_does_not_bring_the_revoked_back),
        TEST(test_the_revoked_are_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
