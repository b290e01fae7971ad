/* SPDX-License-Identifier: Apache-2.0 */
/* What a state gives to the disk and takes from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/state_fixture.h"

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

/* ---- Files of any kind ----------------------------------------------------------------------- */

/* Peers that nobody had a session with are hearsay, here as from others. */
static void a_file_of_too_many_peers_is_taken_in_part(void **arg) {
    enum { COUNT = PLN_STATE_HEARSAY_MAX + 100 };
    fixture *f = *arg;
    pln_state_loaded loaded;
    pln_saved_state saved = {.peers = pln_calloc(COUNT, sizeof(*saved.peers)), .peer_count = COUNT};
    assert_non_null(saved.peers);
    for (uint32_t i = 0; i < COUNT; i++) {
        saved.peers[i].key = rig_key_of(i + 1);
        saved.peers[i].port = 60611;
    }
    assert_int_equal(pln_state_load(f->state, &saved, &loaded), POLLEN_OK);
    assert_int_equal(loaded.members, PLN_STATE_HEARSAY_MAX);
    assert_int_equal(loaded.dropped, 100);
    assert_int_equal(pln_state_member_count(f->state), PLN_STATE_HEARSAY_MAX + 1);
    pln_saved_state_fini(&saved);
}

static void a_file_of_too_many_services_and_connections_is_taken_in_part(void **arg) {
    enum { SERVICES = PLN_STATE_SERVICES_MAX + 5, CONNECTIONS = PLN_STATE_CONNECTIONS_MAX + 7 };
    fixture *f = *arg;
    pln_state_loaded loaded;
    pln_saved_state saved = {.services = pln_calloc(SERVICES, sizeof(*saved.services)),
                             .connections = pln_calloc(CONNECTIONS, sizeof(*saved.connections)),
                             .connection_count = CONNECTIONS};
    assert_true(saved.services != NULL && saved.connections != NULL);
    for (; saved.service_count < SERVICES; saved.service_count++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%zu", saved.service_count);
        saved.services[saved.service_count] =
            (pln_saved_service){.name = pln_strdup(name), .provider = f->us, .port = 80};
    }
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        saved.connections[i] =
            (pln_saved_connection){.peer = f->peer, .remote_port = 80, .local_port = 1000 + i};
    }
    assert_int_equal(pln_state_load(f->state, &saved, &loaded), POLLEN_OK);
    assert_int_equal(loaded.services, PLN_STATE_SERVICES_MAX);
    assert_int_equal(loaded.dropped, 5 + 7);
    pln_saved_state_fini(&saved);
}

/* A word of our own that no reference would serve, and names as long as a file can hold. */
static void senseless_services_are_left_out(void **arg) {
    fixture *f = *arg;
    char name[PLN_SERVICE_NAME_MAX + 2];
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    pln_saved_service services[] = {
        {.name = name, .provider = f->peer, .port = 80},
        {.name = name + 1, .provider = f->us, .port = 0},
        {.name = name + 1, .provider = f->us, .port = 70000},
        {.name = name + 1, .provider = f->us, .port = 80},
    };
    pln_saved_state saved = {.services = services, .service_count = 4};
    pln_state_loaded loaded;
    assert_int_equal(pln_state_load(f->state, &saved, &loaded), POLLEN_OK);
    assert_int_equal(loaded.services, 1);
    assert_int_equal(loaded.dropped, 3);
    assert_int_equal(rig_service_port(f->state, &f->us, name + 1), 80);
}

/* The file may name us among the peers, and say of us what it likes. */
static void what_a_file_says_of_our_own_addresses_is_not_taken(void **arg) {
    fixture *f = *arg;
    pln_saved_peer self = {.key = f->us, .port = 1, .external_port = 2};
    pln_saved_state saved = {.peers = &self, .peer_count = 1};
    pln_state_loaded loaded;
    assert_int_equal(pln_state_load(f->state, &saved, &loaded), POLLEN_OK);
    assert_int_equal(loaded.members, 0);
    assert_int_equal(rig_member(f->state, &f->us).local_port, 0);
    assert_int_equal(rig_member(f->state, &f->us).external_port, 0);
}

/* The key beside a revocation is a comment: what was signed counts, once. */
static void revocations_of_a_file_are_verified_and_count_once(void **arg) {
    fixture *f = *arg;
    pln_revocation foreign;
    pln_state_loaded loaded;
    assert_int_equal(pln_revocation_issue(&f->cluster.foreign, &f->peer, TEST_NOW, &foreign),
                     POLLEN_OK);
    pln_revocation list[] = {f->revocation, foreign, f->revocation};
    const pln_saved_state saved = {.revocations = list, .revocation_count = 3};
    assert_int_equal(pln_state_load(f->state, &saved, &loaded), POLLEN_OK);
    assert_int_equal(loaded.revocations, 1);
    assert_int_equal(loaded.refused_revocations, 1);
    assert_true(pln_state_is_revoked(f->state, &f->them));
    assert_false(pln_state_is_revoked(f->state, &f->peer));
    assert_int_equal(rig_take_revoked(f->state), 1); /* So that sessions with it are closed. */
    pln_revocation_fini(&foreign);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_last_address_is_kept),
        TEST(a_last_address_makes_nobody_known),
        TEST(a_member_with_nothing_but_a_last_address_is_listed),
        TEST(the_last_address_outlives_a_restart),
        TEST(a_service_whose_provider_is_not_listed_makes_it_known),
        TEST(what_was_loaded_gives_way_to_any_event),
        TEST(connections_are_kept_for_the_owner),
        TEST(a_save_that_failed_is_still_due),
        TEST(a_file_of_too_many_peers_is_taken_in_part),
        TEST(a_file_of_too_many_services_and_connections_is_taken_in_part),
        TEST(senseless_services_are_left_out),
        TEST(what_a_file_says_of_our_own_addresses_is_not_taken),
        TEST(revocations_of_a_file_are_verified_and_count_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
