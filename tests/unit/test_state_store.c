/* SPDX-License-Identifier: Apache-2.0 */
/* What a state knows of itself and of others, and what it tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/state_fixture.h"

static pln_gossip_clock greeting(fixture *f) {
    pln_gossip_peer peer = rig_peer(&f->peer);
    pln_envelopes list = {0};
    pln_state_greet(f->state, &peer, 0, &list);
    assert_int_equal(list.count, 1);
    const pln_gossip_clock clock = rig_clock(&list.items[0]);
    pln_envelopes_fini(&list);
    return clock;
}

/* ---- What we tell of ourselves --------------------------------------------------------------- */

static void the_greeting_is_empty_until_others_are_known(void **arg) {
    fixture *f = *arg;
    pln_gossip_clock clock = greeting(f);
    assert_int_equal(clock.count, 0);
    pln_gossip_clock_fini(&clock);
    apply(f, rig_network(&f->peer, 5, "192.0.2.1", 60611));
    clock = greeting(f);
    assert_int_equal(clock.count, 2);
    assert_true(pln_key_equal(&clock.entries[0].peer, &f->peer));
    assert_int_equal(clock.entries[0].counter, 5);
    assert_int_equal(clock.entries[1].counter, 1);
    pln_gossip_clock_fini(&clock);
}

static void our_network_is_told_under_the_next_counter(void **arg) {
    fixture *f = *arg;
    const char *ips[] = {"192.0.2.1", "2001:db8::1"};
    assert_int_equal(pln_state_set_network(f->state, ips, 2, 60611), POLLEN_OK);
    pln_gossip_event event = only_broadcast(f);
    assert_int_equal(event.kind, PLN_CHANGE_NETWORK);
    assert_int_equal(event.counter, 2); /* The identity took 1. */
    assert_int_equal(event.network.ip_count, 2);
    assert_string_equal(event.network.ips[1], "2001:db8::1");
    assert_int_equal(event.network.local_port, 60611);
    pln_gossip_event_fini(&event);
    assert_int_equal(pln_state_set_network(f->state, ips, 2, 60611), POLLEN_OK);
    assert_silent(f);
}

static void our_external_port_is_told(void **arg) {
    fixture *f = *arg;
    assert_int_equal(pln_state_set_external_port(f->state, 0), POLLEN_OK);
    assert_silent(f);
    assert_int_equal(pln_state_set_external_port(f->state, 40001), POLLEN_OK);
    pln_gossip_event event = only_broadcast(f);
    assert_int_equal(event.kind, PLN_CHANGE_EXTERNAL_PORT);
    assert_int_equal(event.external_port, 40001);
    pln_gossip_event_fini(&event);
}

static void a_session_is_told_and_its_end_too(void **arg) {
    fixture *f = *arg;
    assert_int_equal(pln_state_set_reachable(f->state, &f->peer, true), POLLEN_OK);
    pln_gossip_event event = only_broadcast(f);
    assert_int_equal(event.kind, PLN_CHANGE_REACHABILITY);
    assert_false(event.deleted);
    assert_true(pln_key_equal(&event.reachability.peer, &f->peer));
    pln_gossip_event_fini(&event);
    assert_int_equal(pln_state_set_reachable(f->state, &f->peer, false), POLLEN_OK);
    event = only_broadcast(f);
    assert_true(event.deleted);
    assert_true(pln_key_equal(&event.reachability.peer, &f->peer));
    pln_gossip_event_fini(&event);
    assert_int_equal(pln_state_set_reachable(f->state, &f->peer, false), POLLEN_OK);
    assert_silent(f);
}

/* Only the last word of one attribute is told, however often it changed. */
static void changes_that_were_not_told_yet_are_told_once(void **arg) {
    fixture *f = *arg;
    for (uint16_t port = 1; port <= 100; port++) {
        assert_int_equal(pln_state_set_external_port(f->state, port), POLLEN_OK);
    }
    pln_gossip_event event = only_broadcast(f);
    assert_int_equal(event.external_port, 100);
    assert_int_equal(event.counter, 101);
    pln_gossip_event_fini(&event);
}

static void a_service_is_told_and_withdrawn(void **arg) {
    fixture *f = *arg;
    assert_int_equal(pln_state_set_service(f->state, "web", 8080), POLLEN_OK);
    pln_gossip_event event = only_broadcast(f);
    assert_string_equal(event.service.name, "web");
    assert_int_equal(event.service.port, 8080);
    pln_gossip_event_fini(&event);
    assert_true(rig_take_event(f->state, PLN_STATE_SERVICE_CHANGED, &f->us));
    assert_int_equal(pln_state_save_urgency(f->state), PLN_STATE_SAVE_SOON);
    assert_int_equal(pln_state_remove_service(f->state, "web"), POLLEN_OK);
    event = only_broadcast(f);
    assert_true(event.deleted);
    assert_string_equal(event.service.name, "web");
    pln_gossip_event_fini(&event);
    assert_int_equal(rig_service_port(f->state, &f->us, "web"), 0);
}

static void a_service_that_is_not_there_is_not_withdrawn(void **arg) {
    fixture *f = *arg;
    assert_int_equal(pln_state_remove_service(f->state, "none"), POLLEN_OK);
    assert_silent(f);
}

static void services_need_a_name_and_a_port(void **arg) {
    fixture *f = *arg;
    char name[PLN_SERVICE_NAME_MAX + 2];
    memset(name, 'x', sizeof(name));
    name[PLN_SERVICE_NAME_MAX + 1] = '\0';
    assert_int_equal(pln_state_set_service(f->state, "", 80), POLLEN_EINVAL);
    assert_int_equal(pln_state_set_service(f->state, "web", 0), POLLEN_EINVAL);
    assert_int_equal(pln_state_set_service(f->state, "\xff", 80), POLLEN_EINVAL);
    assert_int_equal(pln_state_set_service(f->state, name, 80), POLLEN_EINVAL);
    name[PLN_SERVICE_NAME_MAX] = '\0';
    assert_int_equal(pln_state_set_service(f->state, name, 80), POLLEN_OK);
}

static void being_public_is_told_once(void **arg) {
    fixture *f = *arg;
    assert_int_equal(pln_state_set_public(f->state, false), POLLEN_OK);
    assert_silent(f);
    assert_int_equal(pln_state_set_public(f->state, true), POLLEN_OK);
    pln_gossip_event event = only_broadcast(f);
    assert_int_equal(event.kind, PLN_CHANGE_PUBLICLY_ACCESSIBLE);
    pln_gossip_event_fini(&event);
    assert_true(rig_member(f->state, &f->us).is_public);
    assert_int_equal(pln_state_set_public(f->state, true), POLLEN_OK);
    assert_silent(f);
}

static void no_longer_being_public_is_told(void **arg) {
    fixture *f = *arg;
    assert_int_equal(pln_state_set_public(f->state, true), POLLEN_OK);
    drain(f);
    assert_int_equal(pln_state_set_public(f->state, false), POLLEN_OK);
    pln_gossip_event event = only_broadcast(f);
    assert_true(event.deleted);
    pln_gossip_event_fini(&event);
    assert_false(rig_member(f->state, &f->us).is_public);
}

static void being_public_is_offered_to_others(void **arg) {
    fixture *f = *arg;
    assert_int_equal(pln_state_set_public(f->state, true), POLLEN_OK);
    pln_gossip_batch batch = missing_above(f, 0);
    assert_int_equal(count_kind(&batch, PLN_CHANGE_PUBLICLY_ACCESSIBLE), 1);
    pln_gossip_batch_fini(&batch);
}

/* An event of many addresses has to fit the smallest path. */
static void more_addresses_than_fit_a_datagram_are_not_told(void **arg) {
    fixture *f = *arg;
    const char *ips[PLN_GOSSIP_IPS_MAX];
    pln_bytes envelope = {0};
    for (size_t i = 0; i < PLN_GOSSIP_IPS_MAX; i++) {
        ips[i] = "2001:db8:1111:2222:3333:4444:5555:6666";
    }
    assert_int_equal(pln_state_set_network(f->state, ips, PLN_GOSSIP_IPS_MAX, 1), POLLEN_OK);
    assert_true(pln_state_poll_broadcast(f->state, &envelope));
    assert_true(envelope.size <= PLN_ENVELOPE_BYTES_TARGET);
    pln_bytes_fini(&envelope);
}

/* ---- What others tell ------------------------------------------------------------------------ */

static void an_event_of_an_unknown_member_makes_it_known(void **arg) {
    fixture *f = *arg;
    apply(f, rig_network(&f->them, 3, "192.0.2.7", 60611));
    pln_member_info info = rig_member(f->state, &f->them);
    assert_int_equal(info.ip_count, 1);
    assert_int_equal(info.counter, 3);
    assert_false(info.vouched);
    assert_true(rig_take_event(f->state, PLN_STATE_MEMBER_CHANGED, &f->them));
}

static void an_older_counter_of_one_attribute_is_ignored(void **arg) {
    fixture *f = *arg;
    apply(f, rig_external_port(&f->peer, 5, 500));
    apply(f, rig_external_port(&f->peer, 4, 400));
    assert_int_equal(rig_member(f->state, &f->peer).external_port, 500);
}

static void a_lower_counter_of_another_attribute_counts(void **arg) {
    fixture *f = *arg;
    apply(f, rig_external_port(&f->peer, 5, 500));
    apply(f, rig_network(&f->peer, 2, "192.0.2.7", 60611));
    assert_int_equal(rig_member(f->state, &f->peer).ip_count, 1);
    assert_int_equal(rig_member(f->state, &f->peer).counter, 5);
}

static void a_withdrawn_service_is_gone(void **arg) {
    fixture *f = *arg;
    apply(f, rig_service(&f->peer, 1, "web", 80));
    assert_int_equal(rig_service_port(f->state, &f->peer, "web"), 80);
    apply(f, rig_deleted(rig_service(&f->peer, 2, "web", 0)));
    assert_int_equal(rig_service_port(f->state, &f->peer, "web"), 0);
}

static void what_was_withdrawn_does_not_come_back(void **arg) {
    fixture *f = *arg;
    apply(f, rig_deleted(rig_service(&f->peer, 2, "web", 0)));
    apply(f, rig_service(&f->peer, 1, "web", 80));
    assert_int_equal(rig_service_port(f->state, &f->peer, "web"), 0);
}

static void the_network_is_kept_as_told(void **arg) {
    fixture *f = *arg;
    apply(f, rig_network(&f->peer, 1, "192.0.2.7", 70000));
    pln_member_info info = rig_member(f->state, &f->peer);
    assert_string_equal(info.ips[0], "192.0.2.7");
    assert_int_equal(info.local_port, 70000);
}

static void an_identity_is_kept(void **arg) {
    fixture *f = *arg;
    apply(f, rig_identity(&f->peer, 1, 1770001000));
    assert_int_equal(rig_member(f->state, &f->peer).cert_expiry, 1770001000);
}

static void who_reaches_whom_is_known_until_withdrawn(void **arg) {
    fixture *f = *arg;
    apply(f, rig_reachability(&f->peer, 1, &f->them));
    assert_true(pln_state_reaches(f->state, &f->peer, &f->them));
    assert_false(pln_state_reaches(f->state, &f->them, &f->peer));
    apply(f, rig_deleted(rig_reachability(&f->peer, 2, &f->them)));
    assert_false(pln_state_reaches(f->state, &f->peer, &f->them));
}

static void the_flag_of_others_is_known_until_withdrawn(void **arg) {
    fixture *f = *arg;
    apply(f, rig_public(&f->peer, 1));
    assert_true(rig_member(f->state, &f->peer).is_public);
    apply(f, rig_deleted(rig_public(&f->peer, 2)));
    assert_false(rig_member(f->state, &f->peer).is_public);
}

/* ---- What others have of us ------------------------------------------------------------------ */

static void a_higher_counter_of_ours_is_taken_over_and_all_told_anew(void **arg) {
    fixture *f = *arg;
    const char *ip = "192.0.2.1";
    assert_int_equal(pln_state_set_network(f->state, &ip, 1, 60611), POLLEN_OK);
    drain(f);
    apply(f, rig_network(&f->us, 10, "192.0.2.99", 1));
    pln_gossip_batch batch = rig_broadcast(f->state);
    assert_int_equal(batch.count, 2);
    assert_int_equal(batch.events[0].counter, 11);
    assert_int_equal(batch.events[1].counter, 12);
    pln_gossip_batch_fini(&batch);
    assert_string_equal(rig_member(f->state, &f->us).ips[0], "192.0.2.1");
    assert_int_equal(rig_member(f->state, &f->us).counter, 12);
}

static void an_equal_or_lower_counter_of_ours_is_nothing_new(void **arg) {
    fixture *f = *arg;
    const char *ip = "192.0.2.1";
    assert_int_equal(pln_state_set_network(f->state, &ip, 1, 60611), POLLEN_OK);
    drain(f);
    apply(f, rig_network(&f->us, 2, "192.0.2.1", 60611));
    apply(f, rig_network(&f->us, 1, "192.0.2.99", 1));
    assert_silent(f);
    assert_int_equal(rig_member(f->state, &f->us).counter, 2);
}

static void being_public_is_told_anew_as_all_the_rest(void **arg) {
    fixture *f = *arg;
    assert_int_equal(pln_state_set_public(f->state, true), POLLEN_OK);
    drain(f);
    apply(f, rig_external_port(&f->us, 20, 1));
    pln_gossip_batch batch = rig_broadcast(f->state);
    assert_int_equal(count_kind(&batch, PLN_CHANGE_PUBLICLY_ACCESSIBLE), 1);
    pln_gossip_batch_fini(&batch);
    assert_true(rig_member(f->state, &f->us).is_public);
}

/* With one counter two events of ours can differ only when one is of an earlier life. */
static void another_content_under_our_counter_is_overridden(void **arg) {
    fixture *f = *arg;
    assert_int_equal(pln_state_set_external_port(f->state, 7), POLLEN_OK);
    drain(f);
    apply(f, rig_external_port(&f->us, 2, 8));
    pln_gossip_event event = only_broadcast(f);
    assert_int_equal(event.counter, 3);
    assert_int_equal(event.external_port, 7);
    pln_gossip_event_fini(&event);
}

static void what_we_told_in_an_earlier_life_is_withdrawn(void **arg) {
    fixture *f = *arg;
    apply(f, rig_service(&f->us, 1, "ghost", 80));
    pln_gossip_event event = only_broadcast(f);
    assert_true(event.deleted);
    assert_string_equal(event.service.name, "ghost");
    assert_int_equal(event.counter, 2);
    pln_gossip_event_fini(&event);
    assert_int_equal(rig_service_port(f->state, &f->us, "ghost"), 0);
}

/* ---- Clocks ---------------------------------------------------------------------------------- */

static void three_things_of_ours(fixture *f) {
    assert_int_equal(pln_state_set_external_port(f->state, 1), POLLEN_OK);
    assert_int_equal(pln_state_set_service(f->state, "web", 80), POLLEN_OK);
    drain(f);
}

static void who_knows_nothing_is_sent_everything(void **arg) {
    fixture *f = *arg;
    three_things_of_ours(f);
    pln_gossip_batch batch = missing_above(f, 0);
    assert_int_equal(batch.count, 3);
    pln_gossip_batch_fini(&batch);
}

static void who_knows_some_is_sent_the_rest(void **arg) {
    fixture *f = *arg;
    three_things_of_ours(f);
    pln_gossip_batch batch = missing_above(f, 2);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.events[0].counter, 3);
    pln_gossip_batch_fini(&batch);
}

static void who_knows_all_is_sent_nothing(void **arg) {
    fixture *f = *arg;
    three_things_of_ours(f);
    pln_gossip_batch batch = missing_above(f, 3);
    assert_int_equal(batch.count, 0);
    pln_gossip_batch_fini(&batch);
}

static void a_clock_tells_the_highest_counter(void **arg) {
    fixture *f = *arg;
    three_things_of_ours(f);
    apply(f, rig_external_port(&f->peer, 9, 500));
    apply(f, rig_public(&f->peer, 4));
    pln_gossip_clock clock = greeting(f);
    assert_int_equal(clock.entries[0].counter, 9);
    assert_int_equal(clock.entries[1].counter, 3);
    pln_gossip_clock_fini(&clock);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_greeting_is_empty_until_others_are_known),
        TEST(our_network_is_told_under_the_next_counter),
        TEST(our_external_port_is_told),
        TEST(a_session_is_told_and_its_end_too),
        TEST(changes_that_were_not_told_yet_are_told_once),
        TEST(a_service_is_told_and_withdrawn),
        TEST(a_service_that_is_not_there_is_not_withdrawn),
        TEST(services_need_a_name_and_a_port),
        TEST(being_public_is_told_once),
        TEST(no_longer_being_public_is_told),
        TEST(being_public_is_offered_to_others),
        TEST(more_addresses_than_fit_a_datagram_are_not_told),
        TEST(an_event_of_an_unknown_member_makes_it_known),
        TEST(an_older_counter_of_one_attribute_is_ignored),
        TEST(a_lower_counter_of_another_attribute_counts),
        TEST(a_withdrawn_service_is_gone),
        TEST(what_was_withdrawn_does_not_come_back),
        TEST(the_network_is_kept_as_told),
        TEST(an_identity_is_kept),
        TEST(who_reaches_whom_is_known_until_withdrawn),
        TEST(the_flag_of_others_is_known_until_withdrawn),
        TEST(a_higher_counter_of_ours_is_taken_over_and_all_told_anew),
        TEST(an_equal_or_lower_counter_of_ours_is_nothing_new),
        TEST(being_public_is_told_anew_as_all_the_rest),
        TEST(another_content_under_our_counter_is_overridden),
        TEST(what_we_told_in_an_earlier_life_is_withdrawn),
        TEST(who_knows_nothing_is_sent_everything),
        TEST(who_knows_some_is_sent_the_rest),
        TEST(who_knows_all_is_sent_nothing),
        TEST(a_clock_tells_the_highest_counter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
