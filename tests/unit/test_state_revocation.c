/* SPDX-License-Identifier: Apache-2.0 */
/* Who is revoked, and who says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/state_fixture.h"

static void a_published_revocation_revokes_its_subject_alone(void **arg) {
    fixture *f = *arg;
    assert_int_equal(pln_state_publish_revocation(f->state, &f->revocation), POLLEN_OK);
    pln_gossip_event event = only_broadcast(f);
    assert_int_equal(event.kind, PLN_CHANGE_REVOCATION);
    assert_true(event.revocation.size == f->revocation.wire.size);
    pln_gossip_event_fini(&event);
    assert_true(pln_state_is_revoked(f->state, &f->them));
    assert_false(pln_state_is_revoked(f->state, &f->peer));
}

/* Whoever issues one is told of it as everybody else: its own session has to end as well. */
static void a_published_revocation_is_told_to_its_issuer(void **arg) {
    fixture *f = *arg;
    assert_int_equal(pln_state_publish_revocation(f->state, &f->revocation), POLLEN_OK);
    assert_int_equal(pln_state_save_urgency(f->state), PLN_STATE_SAVE_NOW);
    assert_int_equal(rig_take_revoked(f->state), 1);
}

static void a_second_publication_is_nothing_new(void **arg) {
    fixture *f = *arg;
    assert_int_equal(pln_state_publish_revocation(f->state, &f->revocation), POLLEN_OK);
    drain(f);
    assert_int_equal(rig_take_revoked(f->state), 1);
    assert_int_equal(pln_state_publish_revocation(f->state, &f->revocation), POLLEN_OK);
    assert_silent(f);
    assert_int_equal(rig_take_revoked(f->state), 0);
}

static void a_revocation_that_is_told_of_revokes(void **arg) {
    fixture *f = *arg;
    apply(f, rig_revocation(&f->peer, 1, &f->revocation));
    assert_true(pln_state_is_revoked(f->state, &f->them));
    assert_int_equal(pln_state_save_urgency(f->state), PLN_STATE_SAVE_NOW);
    assert_int_equal(rig_take_revoked(f->state), 1);
}

/* It is not seen either: when we are enrolled it has to come again. */
static void without_trust_no_revocation_counts(void **arg) {
    fixture *f = *arg;
    pln_state *state = rig_state(&f->us, NULL);
    pln_gossip_event event = rig_revocation(&f->peer, 1, &f->revocation);
    rig_apply_one(state, &f->peer, &event);
    assert_false(pln_state_is_revoked(state, &f->them));
    assert_false(rig_knows(state, &f->peer));
    assert_int_equal(pln_state_set_trust(state, &f->cluster.root.trust), POLLEN_OK);
    event = rig_revocation(&f->peer, 1, &f->revocation);
    rig_apply_one(state, &f->peer, &event);
    assert_true(pln_state_is_revoked(state, &f->them));
    pln_state_destroy(state);
}

static void a_revocation_is_never_withdrawn(void **arg) {
    fixture *f = *arg;
    apply(f, rig_revocation(&f->peer, 1, &f->revocation));
    apply(f, rig_deleted(rig_revocation(&f->peer, 2, &f->revocation)));
    assert_true(pln_state_is_revoked(f->state, &f->them));
    assert_int_equal(rig_member(f->state, &f->peer).counter, 1);
}

static void a_revocation_that_two_tell_of_is_one(void **arg) {
    fixture *f = *arg;
    apply(f, rig_revocation(&f->peer, 1, &f->revocation));
    assert_int_equal(rig_take_revoked(f->state), 1);
    pln_gossip_event event = rig_revocation(&f->them, 7, &f->revocation);
    apply(f, event);
    assert_int_equal(rig_take_revoked(f->state), 0);
    assert_int_equal(rig_member(f->state, &f->them).counter, 7);
}

static void a_revocation_of_a_foreign_root_counts_for_nothing(void **arg) {
    fixture *f = *arg;
    pln_revocation foreign;
    assert_int_equal(pln_revocation_issue(&f->cluster.foreign, &f->them, TEST_NOW, &foreign),
                     POLLEN_OK);
    apply(f, rig_revocation(&f->peer, 3, &foreign));
    assert_false(pln_state_is_revoked(f->state, &f->them));
    assert_int_equal(pln_state_publish_revocation(f->state, &foreign), POLLEN_ECLUSTER);
    assert_silent(f);
    pln_revocation_fini(&foreign);
}

static void revocations_outlive_a_restart_and_are_offered_to_joiners(void **arg) {
    fixture *f = *arg;
    apply(f, rig_revocation(&f->peer, 1, &f->revocation));
    pln_state *state = reborn(f);
    assert_true(pln_state_is_revoked(state, &f->them));
    assert_int_equal(rig_take_revoked(state), 1);
    pln_gossip_clock empty = {0};
    pln_gossip_batch batch = rig_missing_for(state, &empty);
    assert_int_equal(count_kind(&batch, PLN_CHANGE_REVOCATION), 1);
    pln_gossip_batch_fini(&batch);
    pln_state_destroy(state);
}

static void the_revoked_are_neither_dialled_nor_used(void **arg) {
    fixture *f = *arg;
    pollen_addr addr;
    pln_reacher reacher;
    apply(f, rig_network(&f->them, 1, "8.8.8.8", 60611));
    apply(f, rig_service(&f->them, 2, "web", 80));
    apply(f, rig_reachability(&f->them, 3, &f->peer));
    assert_int_equal(pln_state_addrs(f->state, &f->them, &addr, 1), 1);
    assert_int_equal(pln_state_reachers(f->state, &f->peer, &reacher, 1), 1);
    apply(f, rig_revocation(&f->peer, 1, &f->revocation));
    assert_int_equal(pln_state_addrs(f->state, &f->them, &addr, 1), 0);
    assert_int_equal(pln_state_reachers(f->state, &f->peer, &reacher, 1), 0);
    assert_int_equal(rig_service_port(f->state, &f->them, "web"), 0);
    assert_true(rig_member(f->state, &f->them).revoked);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_published_revocation_revokes_its_subject_alone),
        TEST(a_published_revocation_is_told_to_its_issuer),
        TEST(a_second_publication_is_nothing_new),
        TEST(a_revocation_that_is_told_of_revokes),
        TEST(without_trust_no_revocation_counts),
        TEST(a_revocation_is_never_withdrawn),
        TEST(a_revocation_that_two_tell_of_is_one),
        TEST(a_revocation_of_a_foreign_root_counts_for_nothing),
        TEST(revocations_outlive_a_restart_and_are_offered_to_joiners),
        TEST(the_revoked_are_neither_dialled_nor_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
