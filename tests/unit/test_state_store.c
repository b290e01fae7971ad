/* SPDX-License-Identifier: Apache-2.0 */
/* What a state knows of itself and of others, and what it tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/key.h"
#include "base/mem.h"
#include "support/cluster.h"
#include "support/state_rig.h"
#include "wire/envelope.h"

#define US rig_key(0x55)
#define PEER rig_key(0x11)
#define THEM rig_key(0x22)

typedef struct fixture {
    cluster cluster;
    pln_state *state;
    pollen_key us, peer, them;
    pln_revocation revocation; /* Of them. */
} fixture;

static int setup(void **arg) {
    static fixture f;
    f = (fixture){.us = US, .peer = PEER, .them = THEM};
    cluster_init(&f.cluster);
    f.state = rig_state(&f.us, &f.cluster.root.trust);
    assert_int_equal(pln_revocation_issue(&f.cluster.root, &f.them, TEST_NOW, &f.revocation),
                     POLLEN_OK);
    *arg = &f;
    return 0;
}

static int teardown(void **arg) {
    fixture *f = *arg;
    pln_state_destroy(f->state);
    pln_revocation_fini(&f->revocation);
    cluster_fini(&f->cluster);
    return 0;
}

static void apply(fixture *f, pln_gossip_event event) {
    rig_apply_one(f->state, &f->peer, &event);
}

/* The one event that is to be broadcast.  Owner: the caller. */
static pln_gossip_event only_broadcast(fixture *f) {
    pln_gossip_batch batch = rig_broadcast(f->state);
    assert_int_equal(batch.count, 1);
    pln_gossip_event event = batch.events[0];
    pln_free(batch.events);
    assert_true(pln_key_equal(&event.author, &f->us));
    return event;
}

static void assert_silent(fixture *f) {
    pln_bytes envelope = {0};
    assert_false(pln_state_poll_broadcast(f->state, &envelope));
}

static void drain(fixture *f) {
    pln_gossip_batch batch = rig_broadcast(f->state);
    pln_gossip_batch_fini(&batch);
}

static pln_gossip_batch missing_above(fixture *f, uint64_t counter) {
    pln_clock_entry entry = {.peer = f->us, .counter = counter};
    pln_gossip_clock clock = {.entries = &entry, .count = counter > 0 ? 1 : 0};
    return rig_missing_for(f->state, &clock);
}

static size_t count_kind(const pln_gossip_batch *batch, pln_change_kind kind) {
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        count += batch->events[i].kind == kind ? 1 : 0;
    }
    return count;
}

static void read_clock(const pln_bytes *envelope, pln_gossip_clock *ret) {
    pln_bytes scratch = {0};
    pollen_envelope_kind kind;
    const uint8_t *body;
    size_t size;
    assert_int_equal(
        pln_envelope_decode(envelope->data, envelope->size, &scratch, &kind, &body, &size),
        POLLEN_OK);
    assert_int_equal(kind, POLLEN_ENVELOPE_CLOCK);
    assert_int_equal(pln_gossip_clock_decode(body, size, ret), POLLEN_OK);
}

static pln_gossip_clock greeting(fixture *f) {
    pln_gossip_peer peer = rig_peer(&f->peer);
    pln_envelopes list = {0};
    pln_gossip_clock clock;
    pln_state_greet(f->state, &peer, 0, &list);
    assert_int_equal(list.count, 1);
    read_clock(&list.items[0], &clock);
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

/* ---- Last addresses -------------------------------------------------------------------------- */

static pollen_addr addr_of(const char *text) {
    pollen_addr addr;
    assert_int_equal(pollen_addr_parse(text, &addr), POLLEN_OK);
    return addr;
}

static void the_last_address_is_kept(void **arg) {
    fixture *f = *arg;
    pollen_addr addr = addr_of("192.0.2.9:4000");
    apply(f, rig_public(&f->peer, 1));
    pln_state_set_last_addr(f->state, &f->peer, &addr);
    pln_member_info info = rig_member(f->state, &f->peer);
    assert_true(pollen_addr_equal(&info.last_addr, &addr));
    assert_int_equal(pln_state_save_urgency(f->state), PLN_STATE_SAVE_SOON);
}

static void a_last_address_makes_nobody_known(void **arg) {
    fixture *f = *arg;
    pollen_addr addr = addr_of("192.0.2.9:4000");
    pln_state_set_last_addr(f->state, &f->peer, &addr);
    assert_false(rig_knows(f->state, &f->peer));
}

/* A session makes its peer known, so that its address is not lost the first time. */
static void a_member_with_nothing_but_a_last_address_is_listed(void **arg) {
    fixture *f = *arg;
    pollen_addr addr = addr_of("192.0.2.9:4000");
    assert_int_equal(pln_state_vouch(f->state, &f->peer, 1), POLLEN_OK);
    pln_state_set_last_addr(f->state, &f->peer, &addr);
    pln_member_info info;
    assert_int_equal(pln_state_member_count(f->state), 2);
    assert_int_equal(pln_state_member_at(f->state, 0, &info), POLLEN_OK);
    assert_true(pln_key_equal(&info.key, &f->peer));
    assert_int_equal(info.last_addr.port, 4000);
    assert_true(info.vouched);
    assert_int_equal(pln_state_member_at(f->state, 2, &info), POLLEN_ENOENT);
}

/* Saves and gives a new state of ours that has loaded it. */
static pln_state *reborn(fixture *f) {
    pln_saved_state saved;
    pln_saved_state read;
    pln_state_loaded loaded;
    pln_bytes text = {0};
    char why[128];
    assert_int_equal(pln_state_save(f->state, &saved), POLLEN_OK);
    assert_int_equal(pln_saved_state_encode(&saved, &text), POLLEN_OK);
    assert_int_equal(pln_saved_state_decode((const char *)text.data, text.size, &read, why),
                     POLLEN_OK);
    pln_state *state = rig_state(&f->us, &f->cluster.root.trust);
    assert_int_equal(pln_state_load(state, &read, &loaded), POLLEN_OK);
    pln_saved_state_fini(&saved);
    pln_saved_state_fini(&read);
    pln_bytes_fini(&text);
    return state;
}

static void the_last_address_outlives_a_restart(void **arg) {
    fixture *f = *arg;
    pollen_addr addr = addr_of("[2001:db8::9]:4000");
    assert_int_equal(pln_state_vouch(f->state, &f->peer, 1), POLLEN_OK);
    pln_state_set_last_addr(f->state, &f->peer, &addr);
    pln_state *state = reborn(f);
    pln_member_info info = rig_member(state, &f->peer);
    assert_true(pollen_addr_equal(&info.last_addr, &addr));
    assert_true(info.vouched); /* It had a session, and so is no hearsay. */
    pln_state_destroy(state);
}

static void a_service_whose_provider_is_not_listed_makes_it_known(void **arg) {
    fixture *f = *arg;
    pln_saved_service service = {
        .name = (char *)(uintptr_t) "web", .provider = f->peer, .port = 80};
    pln_saved_state saved = {.services = &service, .service_count = 1};
    pln_state_loaded loaded;
    assert_int_equal(pln_state_load(f->state, &saved, &loaded), POLLEN_OK);
    assert_int_equal(loaded.services, 1);
    assert_int_equal(rig_service_port(f->state, &f->peer, "web"), 80);
    assert_true(rig_knows(f->state, &f->peer));
}

/* What stands in the file is only a beginning: the author's first word replaces it. */
static void what_was_loaded_gives_way_to_any_event(void **arg) {
    fixture *f = *arg;
    apply(f, rig_external_port(&f->peer, 50, 500));
    pln_state *state = reborn(f);
    assert_int_equal(rig_member(state, &f->peer).external_port, 500);
    pln_gossip_event event = rig_external_port(&f->peer, 1, 600);
    rig_apply_one(state, &f->peer, &event);
    assert_int_equal(rig_member(state, &f->peer).external_port, 600);
    pln_state_destroy(state);
}

/* ---- Revocations ----------------------------------------------------------------------------- */

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

/* ---- Questions ------------------------------------------------------------------------------- */

static void public_addresses_are_dialled_at_the_external_port(void **arg) {
    fixture *f = *arg;
    pollen_addr addrs[8];
    pln_gossip_event event = rig_network(&f->peer, 1, "8.8.8.8", 60611);
    const char *more[] = {"10.1.2.3", "127.0.0.1", "169.254.1.1", "2001:db9::1",
                          "fd00::1",  "host.name", "1.2.3.4:5",   "0.0.0.0"};
    event.network.ips = pln_realloc(event.network.ips, 9 * sizeof(char *));
    for (size_t i = 0; i < 8; i++) {
        event.network.ips[event.network.ip_count++] = pln_strdup(more[i]);
    }
    apply(f, event);
    assert_int_equal(pln_state_addrs(f->state, &f->peer, addrs, 8), 6);
    assert_int_equal(addrs[0].port, 60611);
    apply(f, rig_external_port(&f->peer, 2, 40001));
    assert_int_equal(pln_state_addrs(f->state, &f->peer, addrs, 8), 6);
    const uint16_t ports[] = {40001, 60611, 60611, 60611, 40001, 60611};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(addrs[i].port, ports[i]);
    }
    assert_int_equal(pln_state_addrs(f->state, &f->peer, addrs, 2), 2);
}

static void ports_that_are_none_are_not_dialled(void **arg) {
    fixture *f = *arg;
    pollen_addr addr;
    apply(f, rig_network(&f->peer, 1, "8.8.8.8", 70000));
    assert_int_equal(pln_state_addrs(f->state, &f->peer, &addr, 1), 0);
    apply(f, rig_network(&f->peer, 2, "8.8.8.8", 0));
    assert_int_equal(pln_state_addrs(f->state, &f->peer, &addr, 1), 0);
    apply(f, rig_network(&f->us, 1, "8.8.8.8", 1));
    assert_int_equal(pln_state_addrs(f->state, &f->us, &addr, 1), 0);
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

static void services_are_found_by_name_port_and_provider(void **arg) {
    fixture *f = *arg;
    pln_service_info found[4];
    apply(f, rig_service(&f->peer, 1, "web", 80));
    apply(f, rig_service(&f->peer, 2, "db", 5432));
    apply(f, rig_service(&f->them, 1, "web", 81));
    pln_service_filter all = {0};
    assert_int_equal(pln_state_services(f->state, &all, found, 4), 3);
    assert_string_equal(found[0].name, "db");
    assert_string_equal(found[1].name, "web");
    assert_true(pln_key_equal(&found[2].provider, &f->them));
    pln_service_filter web = {.name = "web"};
    assert_int_equal(pln_state_services(f->state, &web, found, 4), 2);
    pln_service_filter port = {.port = 81};
    assert_int_equal(pln_state_services(f->state, &port, found, 4), 1);
    pln_service_filter one = {.name = "web", .provider = &f->peer};
    assert_int_equal(pln_state_services(f->state, &one, found, 4), 1);
    assert_int_equal(found[0].port, 80);
    assert_int_equal(pln_state_services(f->state, &all, found, 1), 3);
}

static void those_heard_of_last_are_asked_first(void **arg) {
    fixture *f = *arg;
    pln_reacher found[3];
    pollen_key target = rig_key(0x99);
    for (uint8_t i = 1; i <= 4; i++) {
        pollen_key key = rig_key(i);
        apply(f, rig_reachability(&key, 1, &target));
        assert_int_equal(pln_state_vouch(f->state, &key, i == 3 ? 900 : i), POLLEN_OK);
    }
    assert_int_equal(pln_state_reachers(f->state, &target, found, 3), 3);
    assert_int_equal(found[0].key.bytes[0], 3);
    assert_int_equal(found[1].key.bytes[0], 4);
    assert_int_equal(found[2].key.bytes[0], 2);
    assert_int_equal(pln_state_reachers(f->state, &target, found, 1), 1);
    assert_int_equal(found[0].key.bytes[0], 3);
    assert_int_equal(pln_state_reachers(f->state, &f->peer, found, 3), 0);
    /* Whatever comes from its session is a sign of life. */
    pollen_key key = rig_key(1);
    pln_gossip_peer peer = rig_peer(&key);
    pln_envelopes list = {0};
    assert_int_equal(pln_state_handle_clock(f->state, &peer, NULL, 0, 1000, &list), POLLEN_OK);
    pln_envelopes_fini(&list);
    assert_int_equal(pln_state_reachers(f->state, &target, found, 3), 3);
    assert_int_equal(found[0].key.bytes[0], 1);
}

static void connections_are_kept_for_the_owner(void **arg) {
    fixture *f = *arg;
    pln_saved_connection connection = {.peer = f->peer, .remote_port = 80, .local_port = 8000};
    pln_saved_connection found;
    assert_int_equal(pln_state_set_connection(f->state, &connection, true), POLLEN_OK);
    assert_int_equal(pln_state_set_connection(f->state, &connection, true), POLLEN_OK);
    pln_state *state = reborn(f);
    assert_int_equal(pln_state_connection_at(state, 0, &found), POLLEN_OK);
    assert_int_equal(found.local_port, 8000);
    assert_int_equal(pln_state_connection_at(state, 1, &found), POLLEN_ENOENT);
    pln_state_destroy(state);
    assert_int_equal(pln_state_set_connection(f->state, &connection, false), POLLEN_OK);
    assert_int_equal(pln_state_connection_at(f->state, 0, &found), POLLEN_ENOENT);
}

static void a_save_that_failed_is_still_due(void **arg) {
    fixture *f = *arg;
    assert_int_equal(pln_state_publish_revocation(f->state, &f->revocation), POLLEN_OK);
    pln_state_urgency urgency = pln_state_save_urgency(f->state);
    pln_state_note_saved(f->state);
    assert_int_equal(pln_state_save_urgency(f->state), PLN_STATE_SAVED);
    pln_state_note_save_failed(f->state, urgency);
    assert_int_equal(pln_state_save_urgency(f->state), PLN_STATE_SAVE_NOW);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
        TEST(the_last_address_is_kept),
        TEST(a_last_address_makes_nobody_known),
        TEST(a_member_with_nothing_but_a_last_address_is_listed),
        TEST(the_last_address_outlives_a_restart),
        TEST(a_service_whose_provider_is_not_listed_makes_it_known),
        TEST(what_was_loaded_gives_way_to_any_event),
        TEST(a_published_revocation_revokes_its_subject_alone),
        TEST(a_published_revocation_is_told_to_its_issuer),
        TEST(a_second_publication_is_nothing_new),
        TEST(a_revocation_that_is_told_of_revokes),
        TEST(without_trust_no_revocation_counts),
        TEST(a_revocation_is_never_withdrawn),
        TEST(a_revocation_that_two_tell_of_is_one),
        TEST(a_revocation_of_a_foreign_root_counts_for_nothing),
        TEST(revocations_outlive_a_restart_and_are_offered_to_joiners),
        TEST(public_addresses_are_dialled_at_the_external_port),
        TEST(ports_that_are_none_are_not_dialled),
        TEST(the_revoked_are_neither_dialled_nor_used),
        TEST(services_are_found_by_name_port_and_provider),
        TEST(those_heard_of_last_are_asked_first),
        TEST(connections_are_kept_for_the_owner),
        TEST(a_save_that_failed_is_still_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
