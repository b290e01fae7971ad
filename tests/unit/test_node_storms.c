/* SPDX-License-Identifier: Apache-2.0 */
/* What a member can make a node send to others by talking about addresses and punches all day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/core.h"
#include "node/send.h"
#include "support/node_wire.h"
#include "wire/envelope.h"

static void send_to_here(nw_fixture *f, size_t from, pln_bytes *envelope) {
    (void)pln_node_send(pln_node_mesh(f->hosts[from].node), nw_key_of(f, HERE), envelope, f->now);
    pln_bytes_fini(envelope);
}

static void say_observed(nw_fixture *f, size_t from, uint16_t port) {
    const pollen_addr seen = pln_addr_ipv4((const uint8_t[]){203, 0, 113, 9}, port);
    pln_bytes envelope = {0};
    assert_int_equal(pln_observed_address_encode(&seen, &envelope), POLLEN_OK);
    send_to_here(f, from, &envelope);
}

/* Others are told what is new of us; a liar has something new all the time. */
static void lies_about_where_we_are_seen_are_not_passed_on_one_by_one(void **state) {
    enum { LIES = 3000 };
    nw_fixture *f = *state;
    nw_connect(f, HERE, MEMBER);
    nw_connect(f, HERE, OTHER);
    nw_run_ms(f, 5000);
    const size_t before = f->hosts[OTHER].received;
    for (uint16_t i = 0; i < LIES; i++) {
        say_observed(f, MEMBER, (uint16_t)(1024 + i));
        nw_run_ms(f, 1);
    }
    nw_run_ms(f, 1000);
    const size_t told = f->hosts[OTHER].received - before;
    print_message("%d lies: another peer got %zu packets\n", LIES, told);
    assert_in_range(told, 0, 200);
}

static void trigger(nw_fixture *f, size_t from, const pollen_key *peer, pollen_nat_mapping nat) {
    pln_punch_trigger msg = {.peer = *peer,
                             .self_addr = f->hosts[HERE].addr,
                             .peer_addr = pln_addr_ipv4((const uint8_t[]){198, 18, 0, 7}, 4242),
                             .has_whereabouts = true};
    msg.whereabouts.mapping = nat;
    pln_bytes envelope = {0};
    assert_int_equal(pln_punch_trigger_encode(&msg, &envelope), POLLEN_OK);
    send_to_here(f, from, &envelope);
}

static size_t punches_of(const nw_host *host) {
    pln_sock_counters counters;
    pln_sock_get_counters(host->node->punching.sock, &counters);
    return counters.punches;
}

/* Each comes twice from an honest coordinator; were the copy charged, newcomers would be met half
 * as often as the limits allow. */
static void a_trigger_that_comes_again_costs_nothing(void **state) {
    nw_fixture *f = *state;
    const pollen_key first = {{7}}, second = {{8}};
    nw_connect(f, HERE, MEMBER);
    nw_run_ms(f, 2000);
    for (unsigned i = 0; i < 3 * PLN_TRIGGERS_BURST; i++) {
        trigger(f, MEMBER, &first, POLLEN_NAT_MAPPING_EASY);
        nw_run_ms(f, 1);
    }
    assert_int_equal(punches_of(&f->hosts[HERE]), 1);
    trigger(f, MEMBER, &second, POLLEN_NAT_MAPPING_EASY);
    nw_run_ms(f, 3);
    assert_int_equal(punches_of(&f->hosts[HERE]), 2);
}

/* Whom we asked for a punch says, again and again, that the peer's NAT is another one. */
static void who_was_asked_once_does_not_begin_punches_for_ever(void **state) {
    enum { SECONDS = 30 };
    nw_fixture *f = *state;
    const pollen_key victim = {{7}};
    const pollen_addr addr = pln_addr_ipv4((const uint8_t[]){198, 18, 0, 7}, 4242);
    nw_connect(f, HERE, MEMBER);
    nw_connect(f, HERE, OTHER);
    nw_run_ms(f, 2000);
    assert_int_equal(pln_node_add_bootstrap(f->hosts[HERE].node, &victim, &addr, 1, f->now),
                     POLLEN_OK);
    nw_run_ms(f, 1500); /* The dial is not answered, so that coordinators are asked. */
    const size_t before = f->hosts[HERE].to_nobody;
    for (unsigned i = 0; i < SECONDS * 100; i++) {
        trigger(f, i % 2 == 0 ? MEMBER : OTHER, &victim,
                i % 4 < 2 ? POLLEN_NAT_MAPPING_EASY : POLLEN_NAT_MAPPING_NONE);
        nw_run_ms(f, 10);
    }
    const size_t sent = f->hosts[HERE].to_nobody - before;
    print_message("%d triggers: %zu packets\n", SECONDS * 100, sent);
    assert_in_range(sent, 1, 1500);
}

/* ---- Introductions --------------------------------------------------------------------------- */

static void count_coordinated(void *ctx, pln_log_level level, const char *module,
                              const char *text) {
    (void)level;
    (void)module;
    *(size_t *)ctx += strstr(text, "coordinating a punch") != NULL;
}

/* It comes from another place each time, and is gone before the one that it is introduced to can
 * answer. */
static void who_comes_and_goes_all_the_time_is_introduced_a_few_times(void **state) {
    enum { TIMES = 30 };
    nw_fixture *f = *state;
    size_t coordinated = 0;
    const pln_log log = {.write = count_coordinated, .ctx = &coordinated, .level = PLN_LOG_DEBUG};
    nw_connect(f, MEMBER, HERE);
    nw_run_ms(f, 3000);
    f->hosts[HERE].node->punching.coordinator.log = &log;
    const pln_ts start = f->now.mono;
    for (uint8_t i = 0; i < TIMES; i++) {
        f->hosts[OTHER].addr = pln_addr_ipv4((const uint8_t[]){198, 18, 1, i}, 60611);
        nw_start(f, OTHER, false);
        nw_connect(f, OTHER, HERE);
    }
    assert_true(f->now.mono - start < PLN_S(5));
    print_message("%d comings: %zu introductions and requests\n", TIMES, coordinated);
    assert_in_range(coordinated, 1, TIMES / 2);
    f->hosts[HERE].node->punching.coordinator.log = NULL;
}

/* ---- Cut off --------------------------------------------------------------------------------- */

static void say_where_we_are(nw_fixture *f, size_t i) {
    assert_int_equal(pln_node_advertise(f->hosts[i].node, &f->hosts[i].addr, 1, 60611, f->now),
                     POLLEN_OK);
}

static void trigger_without_whereabouts(nw_fixture *f, size_t peer) {
    const pln_punch_trigger msg = {.peer = *nw_key_of(f, peer),
                                   .self_addr = f->hosts[HERE].addr,
                                   .peer_addr =
                                       pln_addr_ipv4((const uint8_t[]){44, 0, 0, 3}, 60611)};
    pln_bytes envelope = {0};
    assert_int_equal(pln_punch_trigger_encode(&msg, &envelope), POLLEN_OK);
    send_to_here(f, MEMBER, &envelope);
}

/* Nothing but a cut keeps two nodes without NAT apart, and no number of ports mends that.  The
 * coordinator need not have heard from the peer of its NAT: it says so to everybody. */
static void for_a_public_peer_nothing_is_sprayed(void **state) {
    nw_fixture *f = *state;
    for (size_t i = 0; i < NODES; i++) {
        f->hosts[i].addr = pln_addr_ipv4((const uint8_t[]){44, 0, 0, (uint8_t)(i + 1)}, 60611);
        say_where_we_are(f, i);
    }
    nw_connect(f, HERE, MEMBER);
    nw_connect(f, HERE, OTHER);
    nw_connect(f, MEMBER, OTHER);
    nw_run_ms(f, 5000);
    f->hosts[OTHER].addr = pln_addr_ipv4((const uint8_t[]){44, 9, 9, 9}, 1); /* Cut off. */
    nw_start(f, OTHER, false);
    const size_t before = f->hosts[HERE].to_nobody;
    for (unsigned i = 0; i < 900; i++) {
        if (i % 50 == 0 && !nw_has_session(f, HERE, OTHER)) {
            trigger_without_whereabouts(f, OTHER);
        }
        nw_run_ms(f, 100);
    }
    assert_false(nw_has_session(f, HERE, OTHER));
    assert_in_range(f->hosts[HERE].to_nobody - before, 1, 500);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, nw_setup, nw_teardown)

/* ---- Another place --------------------------------------------------------------------------- */

static size_t words_about(const nw_host *host) {
    size_t count = 0;
    pln_observed one;
    while (pln_node_observed_at(host->node, count, &one) == POLLEN_OK) {
        count++;
    }
    return count;
}

/* An interface more, such as a bridge for containers, ends no session; those who told where they
 * see us have no reason of their own to say it again. */
static void after_another_address_peers_are_asked_again(void **state) {
    nw_fixture *f = *state;
    say_where_we_are(f, HERE);
    nw_connect(f, HERE, MEMBER);
    nw_connect(f, HERE, OTHER);
    nw_run_ms(f, 20000);
    assert_int_equal(words_about(&f->hosts[HERE]), 2);
    const pollen_addr bridge = pln_addr_ipv4((const uint8_t[]){172, 17, 0, 1}, 60611);
    assert_int_equal(pln_node_advertise(f->hosts[HERE].node, &bridge, 1, 60611, f->now), POLLEN_OK);
    assert_int_equal(words_about(&f->hosts[HERE]), 0);
    nw_transmit(f, &f->hosts[HERE]);
    f->count = 0; /* What was said of that at once is lost. */
    nw_run_ms(f, 2000);
    assert_int_equal(words_about(&f->hosts[HERE]), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(lies_about_where_we_are_seen_are_not_passed_on_one_by_one),
        TEST(a_trigger_that_comes_again_costs_nothing),
        TEST(who_was_asked_once_does_not_begin_punches_for_ever),
        TEST(who_comes_and_goes_all_the_time_is_introduced_a_few_times),
        TEST(after_another_address_peers_are_asked_again),
        TEST(for_a_public_peer_nothing_is_sprayed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
