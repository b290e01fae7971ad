/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The models of NATs by themselves: which port each kind gives, whom it lets in, how long its
 * entries live; and the network around them: double NATs, hairpins, hops.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net.h"

enum { INSIDE_PORT = 60611 };

static pollen_addr at(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port) {
    const uint8_t ip[4] = {a, b, c, d};
    return pln_addr_ipv4(ip, port);
}

static pollen_addr inside(uint8_t host, uint16_t port) {
    return at(10, 0, 0, host, port);
}

static pollen_addr remote(uint8_t host, uint16_t port) {
    return at(44, 0, 0, host, port);
}

typedef struct rig {
    pln_rng_seeded state;
    sim_nat *nat;
} rig;

static void rig_init(rig *r, sim_nat_kind kind) {
    const sim_nat_config config = {.kind = kind, .outside = at(45, 0, 0, 1, 0)};
    r->nat = sim_nat_create(&config, pln_rng_from_seed(&r->state, 1));
}

/* The outside port that a packet gets; 0: dropped. */
static uint16_t out(rig *r, pollen_addr from, pollen_addr to, pln_ts now) {
    pollen_addr seen;
    return sim_nat_out(r->nat, &from, &to, now, &seen) ? seen.port : 0;
}

/* Whether a packet gets in, and to whom. */
static bool in(rig *r, pollen_addr from, uint16_t port, pln_ts now, pollen_addr *ret_to) {
    pollen_addr to;
    return sim_nat_in(r->nat, &from, port, now, ret_to != NULL ? ret_to : &to);
}

/* ---- Mapping --------------------------------------------------------------------------------- */

static void test_kinds_with_one_port_an_endpoint_keep_it_for_all(void **state) {
    (void)state;
    const sim_nat_kind kinds[] = {SIM_NAT_PLAIN, SIM_NAT_PLAIN_OPEN, SIM_NAT_PLAIN_REJECT,
                                  SIM_NAT_APDF,  SIM_NAT_ADF,        SIM_NAT_EIF};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        rig r;
        rig_init(&r, kinds[i]);
        for (uint8_t host = 1; host < 20; host++) {
            assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(host, 1000), 0), INSIDE_PORT);
        }
        sim_nat_destroy(r.nat);
    }
}

static void test_the_second_host_on_a_port_gets_another(void **state) {
    (void)state;
    const sim_nat_kind kinds[] = {SIM_NAT_PLAIN, SIM_NAT_APDF, SIM_NAT_EIF};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        rig r;
        rig_init(&r, kinds[i]);
        assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(1, 1000), 0), INSIDE_PORT);
        const uint16_t other = out(&r, inside(2, INSIDE_PORT), remote(1, 1000), 0);
        assert_int_not_equal(other, 0);
        assert_int_not_equal(other, INSIDE_PORT);
        /* Linux keeps the port towards whom nobody else has spoken to yet; an endpoint kind does
         * not. */
        const uint16_t third = out(&r, inside(2, INSIDE_PORT), remote(2, 1000), 0);
        assert_int_equal(third, kinds[i] == SIM_NAT_PLAIN ? INSIDE_PORT : other);
        sim_nat_destroy(r.nat);
    }
}

static void test_edm_random_gives_each_destination_a_port_of_its_own(void **state) {
    (void)state;
    rig r;
    rig_init(&r, SIM_NAT_EDM_RANDOM);
    uint16_t seen[64];
    size_t equal = 0;
    for (uint8_t i = 0; i < 64; i++) {
        seen[i] = out(&r, inside(1, INSIDE_PORT), remote(i, 1000), 0);
        assert_true(seen[i] >= 1024);
        /* The same destination keeps its port. */
        assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(i, 1000), 1), seen[i]);
        for (uint8_t k = 0; k < i; k++) {
            equal += seen[k] == seen[i];
        }
    }
    assert_true(equal <= 2); /* Expected: 64 * 63 / 2 / 64512 = 0.03. */
    /* Another port of the same host is another destination. */
    assert_int_not_equal(out(&r, inside(1, INSIDE_PORT), remote(0, 1001), 1), seen[0]);
    sim_nat_destroy(r.nat);
}

static void test_edm_seq_counts(void **state) {
    (void)state;
    rig r;
    rig_init(&r, SIM_NAT_EDM_SEQ);
    for (uint8_t i = 0; i < 10; i++) {
        assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(i, 1000), 0), 30000 + i);
    }
    assert_int_equal(out(&r, inside(2, INSIDE_PORT), remote(1, 1000), 0), 30010);
    sim_nat_destroy(r.nat);
}

static void test_edm_stride256_counts_in_the_upper_byte(void **state) {
    (void)state;
    rig r;
    rig_init(&r, SIM_NAT_EDM_STRIDE256);
    const uint16_t first = out(&r, inside(1, INSIDE_PORT), remote(1, 1000), 0);
    for (uint8_t i = 1; i < 10; i++) {
        const uint16_t port = out(&r, inside(1, INSIDE_PORT), remote((uint8_t)(i + 1), 1000), 0);
        assert_int_equal((uint16_t)(port - first), 256 * i);
    }
    sim_nat_destroy(r.nat);
}

/* ---- Filtering ------------------------------------------------------------------------------- */

typedef struct filter_row {
    sim_nat_kind kind;
    bool same, same_ip, stranger; /* Whom it lets in. */
} filter_row;

static void test_each_kind_lets_in_whom_it_should(void **state) {
    (void)state;
    static const filter_row rows[] = {
        {SIM_NAT_PLAIN, true, false, false},
        {SIM_NAT_PLAIN_OPEN, true, false, false},
        {SIM_NAT_PLAIN_REJECT, true, false, false},
        {SIM_NAT_APDF, true, false, false},
        {SIM_NAT_ADF, true, true, false},
        {SIM_NAT_EIF, true, true, true},
        {SIM_NAT_EDM_RANDOM, true, false, false},
        {SIM_NAT_EDM_SEQ, true, false, false},
        {SIM_NAT_EDM_STRIDE256, true, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rig r;
        rig_init(&r, rows[i].kind);
        const uint16_t port = out(&r, inside(1, INSIDE_PORT), remote(1, 1000), 0);
        pollen_addr to = {.port = 0};
        assert_int_equal(in(&r, remote(2, 1000), port, 0, NULL), rows[i].stranger);
        assert_int_equal(in(&r, remote(1, 2000), port, 0, NULL), rows[i].same_ip);
        assert_int_equal(in(&r, remote(1, 1000), port, 0, &to), rows[i].same);
        const pollen_addr want = inside(1, INSIDE_PORT);
        assert_true(pollen_addr_equal(&to, &want));
        assert_false(in(&r, remote(1, 1000), (uint16_t)(port + 1), 0, NULL));
        sim_nat_destroy(r.nat);
    }
}

static void test_whom_a_cone_let_in_can_be_answered(void **state) {
    (void)state;
    rig r;
    rig_init(&r, SIM_NAT_EIF);
    assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(1, 1000), 0), INSIDE_PORT);
    assert_true(in(&r, remote(2, 7), INSIDE_PORT, 0, NULL));
    assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(2, 7), 0), INSIDE_PORT);
    sim_nat_destroy(r.nat);
}

/* Conntrack keeps the early packet as a flow to the NAT itself, and our own to the same peer
 * clashes with it. */
static void test_an_open_nat_moves_a_flow_that_the_peer_began(void **state) {
    (void)state;
    rig r;
    rig_init(&r, SIM_NAT_PLAIN_OPEN);
    assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(9, 1000), 0), INSIDE_PORT);
    assert_false(in(&r, remote(1, 1000), INSIDE_PORT, 0, NULL));
    const uint16_t moved = out(&r, inside(1, INSIDE_PORT), remote(1, 1000), 0);
    assert_int_not_equal(moved, INSIDE_PORT);
    assert_false(in(&r, remote(1, 1000), INSIDE_PORT, 0, NULL));
    assert_true(in(&r, remote(1, 1000), moved, 0, NULL));
    /* Who sent first is not moved, and neither is anybody once the entry has run out. */
    assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(2, 1000), 0), INSIDE_PORT);
    assert_true(in(&r, remote(2, 1000), INSIDE_PORT, 0, NULL));
    sim_nat_reset(r.nat);
    assert_false(in(&r, remote(1, 1000), INSIDE_PORT, PLN_S(100), NULL));
    assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(1, 1000), PLN_S(130)), INSIDE_PORT);
    sim_nat_destroy(r.nat);
}

static void test_a_rejecting_nat_keeps_nothing_of_what_it_rejects(void **state) {
    (void)state;
    const sim_nat_kind kinds[] = {SIM_NAT_PLAIN, SIM_NAT_PLAIN_REJECT};
    for (size_t i = 0; i < 2; i++) {
        rig r;
        rig_init(&r, kinds[i]);
        assert_false(in(&r, remote(1, 1000), INSIDE_PORT, 0, NULL));
        assert_int_equal(sim_nat_count(r.nat, 0).entries, 0);
        assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(1, 1000), 0), INSIDE_PORT);
        sim_nat_destroy(r.nat);
    }
}

static void test_a_firewall_lets_nothing_pass(void **state) {
    (void)state;
    rig r;
    rig_init(&r, SIM_NAT_DROP);
    assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(1, 1000), 0), 0);
    assert_false(in(&r, remote(1, 1000), INSIDE_PORT, 0, NULL));
    sim_nat_destroy(r.nat);
}

/* ---- Time and entries ------------------------------------------------------------------------ */

static void test_an_unanswered_entry_lives_thirty_seconds(void **state) {
    (void)state;
    rig r;
    rig_init(&r, SIM_NAT_PLAIN);
    (void)out(&r, inside(1, INSIDE_PORT), remote(1, 1000), 0);
    (void)out(&r, inside(1, INSIDE_PORT), remote(2, 1000), 0);
    assert_true(in(&r, remote(1, 1000), INSIDE_PORT, PLN_S(30) - 1, NULL));
    assert_false(in(&r, remote(2, 1000), INSIDE_PORT, PLN_S(30), NULL));
    sim_nat_destroy(r.nat);
}

static void test_an_answered_entry_lives_two_minutes_after_each_packet(void **state) {
    (void)state;
    rig r;
    rig_init(&r, SIM_NAT_PLAIN);
    (void)out(&r, inside(1, INSIDE_PORT), remote(1, 1000), 0);
    assert_true(in(&r, remote(1, 1000), INSIDE_PORT, PLN_S(1), NULL));
    assert_true(in(&r, remote(1, 1000), INSIDE_PORT, PLN_S(121) - 1, NULL));
    (void)out(&r, inside(1, INSIDE_PORT), remote(1, 1000), PLN_S(200));
    assert_false(in(&r, remote(1, 1000), INSIDE_PORT, PLN_S(320), NULL));
    sim_nat_destroy(r.nat);
}

static void test_a_port_that_ran_out_is_given_anew(void **state) {
    (void)state;
    rig r;
    rig_init(&r, SIM_NAT_EDM_SEQ);
    assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(1, 1000), 0), 30000);
    assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(1, 1000), PLN_S(29)), 30000);
    assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(1, 1000), PLN_S(59)), 30001);
    sim_nat_destroy(r.nat);
}

static void test_entries_are_counted_and_bounded(void **state) {
    (void)state;
    pln_rng_seeded seeded;
    const sim_nat_config config = {
        .kind = SIM_NAT_PLAIN, .outside = at(45, 0, 0, 1, 0), .entries_max = 100};
    rig r = {.nat = sim_nat_create(&config, pln_rng_from_seed(&seeded, 1))};
    for (uint16_t i = 0; i < 150; i++) {
        assert_int_equal(out(&r, inside(1, INSIDE_PORT), remote(1, (uint16_t)(1000 + i)), 0) != 0,
                         i < 100);
    }
    sim_nat_counts counts = sim_nat_count(r.nat, PLN_S(1));
    assert_int_equal(counts.entries, 100);
    assert_int_equal(counts.entries_peak, 100);
    assert_int_equal(counts.created, 100);
    assert_int_equal(counts.dropped_out, 50);
    counts = sim_nat_count(r.nat, PLN_S(30));
    assert_int_equal(counts.entries, 0);
    assert_int_equal(counts.entries_peak, 100);
    assert_int_not_equal(out(&r, inside(1, INSIDE_PORT), remote(1, 1), PLN_S(30)), 0);
    sim_nat_destroy(r.nat);
}

/* ---- The network around them ----------------------------------------------------------------- */

typedef struct wire {
    pln_rng_seeded state;
    sim_net *net;
} wire;

static const sim_link quick = {.delay = PLN_MS(1), .mtu = 1472};

static void wire_init(wire *w) {
    w->net = sim_net_create(pln_rng_from_seed(&w->state, 1), &quick);
}

static sim_realm add_nat(wire *w, sim_nat_kind kind, uint8_t number, sim_realm outside,
                         bool hairpin) {
    const sim_nat_config config = {
        .kind = kind, .outside = at(45, 0, 0, number, 0), .hairpin = hairpin};
    return sim_net_add_nat(w->net, &config, outside);
}

static void put(wire *w, pollen_addr host, sim_realm realm) {
    sim_net_place(w->net, &host, realm);
}

/* Sends and takes what arrives: true, and from and to as the receiver sees them. */
static bool passes(wire *w, pollen_addr *from, pollen_addr *to, uint8_t ttl) {
    const uint8_t byte = 1;
    const sim_datagram datagram = {.from = *from, .to = *to, .ttl = ttl, .data = &byte, .size = 1};
    sim_net_send(w->net, &datagram, 0);
    sim_packet *packet = sim_net_take(w->net, PLN_S(1));
    if (packet == NULL) {
        return false;
    }
    *from = packet->from;
    *to = packet->to;
    free(packet);
    return true;
}

static bool goes(wire *w, pollen_addr from, pollen_addr to, uint8_t ttl) {
    return passes(w, &from, &to, ttl);
}

static void test_hosts_in_the_core_see_each_other_as_they_are(void **state) {
    (void)state;
    wire w;
    wire_init(&w);
    assert_true(goes(&w, remote(1, 5), remote(2, 6), 0));
    sim_net_destroy(w.net);
}

/* The first host is seen as the first port of the NAT numbered 1, and what comes back to that finds
 * it. */
static void assert_seen_outside_and_answered(wire *w) {
    pollen_addr from = inside(1, INSIDE_PORT), to = remote(1, 5);
    assert_true(passes(w, &from, &to, 0));
    const pollen_addr outside = at(45, 0, 0, 1, 30000);
    assert_true(pollen_addr_equal(&from, &outside));
    pollen_addr back = remote(1, 5);
    assert_true(passes(w, &back, &from, 0));
    const pollen_addr host = inside(1, INSIDE_PORT);
    assert_true(pollen_addr_equal(&from, &host));
}

static void test_a_host_behind_a_nat_is_seen_as_its_outside(void **state) {
    (void)state;
    wire w;
    wire_init(&w);
    put(&w, inside(1, 0), add_nat(&w, SIM_NAT_EDM_SEQ, 1, SIM_CORE, false));
    assert_seen_outside_and_answered(&w);
    sim_net_destroy(w.net);
}

static void test_private_addresses_lead_nowhere_from_outside(void **state) {
    (void)state;
    wire w;
    wire_init(&w);
    put(&w, inside(1, 0), add_nat(&w, SIM_NAT_EIF, 1, SIM_CORE, false));
    put(&w, inside(2, 0), add_nat(&w, SIM_NAT_EIF, 2, SIM_CORE, false));
    assert_false(goes(&w, remote(1, 5), inside(1, INSIDE_PORT), 0));
    assert_false(goes(&w, inside(2, INSIDE_PORT), inside(1, INSIDE_PORT), 0));
    assert_int_equal(sim_net_count(w.net).refused, 2);
    sim_net_destroy(w.net);
}

static void test_neighbours_reach_each_other_without_the_nat(void **state) {
    (void)state;
    wire w;
    wire_init(&w);
    const sim_realm realm = add_nat(&w, SIM_NAT_DROP, 1, SIM_CORE, false);
    put(&w, inside(1, 0), realm);
    put(&w, inside(2, 0), realm);
    assert_true(goes(&w, inside(1, 5), inside(2, 6), 1));
    sim_net_destroy(w.net);
}

static void test_neighbours_reach_each_other_from_outside_by_hairpin_only(void **state) {
    (void)state;
    for (int hairpin = 0; hairpin < 2; hairpin++) {
        wire w;
        wire_init(&w);
        const sim_realm realm = add_nat(&w, SIM_NAT_EIF, 1, SIM_CORE, hairpin != 0);
        put(&w, inside(1, 0), realm);
        put(&w, inside(2, 0), realm);
        assert_true(goes(&w, inside(2, 6), remote(1, 1), 0)); /* Its port is open now. */
        pollen_addr from = inside(1, 5), to = at(45, 0, 0, 1, 6);
        assert_int_equal(passes(&w, &from, &to, 0), hairpin);
        if (hairpin) {
            const pollen_addr seen = at(45, 0, 0, 1, 5), host = inside(2, 6);
            assert_true(pollen_addr_equal(&from, &seen));
            assert_true(pollen_addr_equal(&to, &host));
        }
        sim_net_destroy(w.net);
    }
}

static void test_a_nat_behind_a_nat_maps_twice(void **state) {
    (void)state;
    wire w;
    wire_init(&w);
    const sim_realm carrier = add_nat(&w, SIM_NAT_EDM_SEQ, 1, SIM_CORE, false);
    const sim_realm home = add_nat(&w, SIM_NAT_PLAIN, 2, carrier, false);
    put(&w, inside(1, 0), home);
    assert_seen_outside_and_answered(&w);
    sim_net_destroy(w.net);
}

/* One hop out of our NAT, one through the core, one into the peer's. */
static void test_a_low_ttl_opens_our_nat_and_dies_before_the_peer_s(void **state) {
    (void)state;
    wire w;
    wire_init(&w);
    const sim_realm ours = add_nat(&w, SIM_NAT_PLAIN, 1, SIM_CORE, false);
    const sim_realm theirs = add_nat(&w, SIM_NAT_PLAIN_OPEN, 2, SIM_CORE, false);
    put(&w, inside(1, 0), ours);
    put(&w, inside(2, 0), theirs);
    const pollen_addr us = inside(1, INSIDE_PORT), them = inside(2, INSIDE_PORT);
    const pollen_addr our_outside = at(45, 0, 0, 1, INSIDE_PORT);
    const pollen_addr their_outside = at(45, 0, 0, 2, INSIDE_PORT);
    assert_false(goes(&w, us, their_outside, 1));
    assert_int_equal(sim_nat_count(sim_net_nat(w.net, ours), 0).entries, 0);
    assert_false(goes(&w, us, their_outside, 2));
    assert_int_equal(sim_nat_count(sim_net_nat(w.net, ours), 0).entries, 1);
    assert_int_equal(sim_nat_count(sim_net_nat(w.net, theirs), 0).entries, 0);
    assert_int_equal(sim_net_count(w.net).expired, 2);
    /* So theirs comes through ours, and ours through theirs then. */
    assert_true(goes(&w, them, our_outside, 0));
    assert_true(goes(&w, us, their_outside, 4));
    sim_net_destroy(w.net);
}

static void test_without_an_opener_an_open_nat_is_clashed_with(void **state) {
    (void)state;
    wire w;
    wire_init(&w);
    put(&w, inside(1, 0), add_nat(&w, SIM_NAT_PLAIN_OPEN, 1, SIM_CORE, false));
    put(&w, inside(2, 0), add_nat(&w, SIM_NAT_PLAIN_OPEN, 2, SIM_CORE, false));
    const pollen_addr us = inside(1, INSIDE_PORT), them = inside(2, INSIDE_PORT);
    const pollen_addr our_outside = at(45, 0, 0, 1, INSIDE_PORT);
    const pollen_addr their_outside = at(45, 0, 0, 2, INSIDE_PORT);
    assert_false(goes(&w, us, their_outside, 0)); /* Theirs keeps it for itself. */
    assert_false(goes(&w, them, our_outside, 0)); /* From another port, which ours does not know. */
    assert_false(goes(&w, us, their_outside, 0));
    sim_net_destroy(w.net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_with_one_port_an_endpoint_keep_it_for_all),
        cmocka_unit_test(test_the_second_host_on_a_port_gets_another),
        cmocka_unit_test(test_edm_random_gives_each_destination_a_port_of_its_own),
        cmocka_unit_test(test_edm_seq_counts),
        cmocka_unit_test(test_edm_stride256_counts_in_the_upper_byte),
        cmocka_unit_test(test_each_kind_lets_in_whom_it_should),
        cmocka_unit_test(test_whom_a_cone_let_in_can_be_answered),
        cmocka_unit_test(test_an_open_nat_moves_a_flow_that_the_peer_began),
        cmocka_unit_test(test_a_rejecting_nat_keeps_nothing_of_what_it_rejects),
        cmocka_unit_test(test_a_firewall_lets_nothing_pass),
        cmocka_unit_test(test_an_unanswered_entry_lives_thirty_seconds),
        cmocka_unit_test(test_an_answered_entry_lives_two_minutes_after_each_packet),
        cmocka_unit_test(test_a_port_that_ran_out_is_given_anew),
        cmocka_unit_test(test_entries_are_counted_and_bounded),
        cmocka_unit_test(test_hosts_in_the_core_see_each_other_as_they_are),
        cmocka_unit_test(test_a_host_behind_a_nat_is_seen_as_its_outside),
        cmocka_unit_test(test_private_addresses_lead_nowhere_from_outside),
        cmocka_unit_test(test_neighbours_reach_each_other_without_the_nat),
        cmocka_unit_test(test_neighbours_reach_each_other_from_outside_by_hairpin_only),
        cmocka_unit_test(test_a_nat_behind_a_nat_maps_twice),
        cmocka_unit_test(test_a_low_ttl_opens_our_nat_and_dies_before_the_peer_s),
        cmocka_unit_test(test_without_an_opener_an_open_nat_is_clashed_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
