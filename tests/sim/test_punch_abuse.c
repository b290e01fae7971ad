/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member that abuses punching: it aims others at victims, asks without end, or floods with
 * probes.  Whatever it does, what the others send is bounded, and nothing goes where nothing may.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "node/send.h"
#include "support/addr_text.h"
#include "wire/envelope.h"
#include "world.h"

enum { ROOT, VICTIM, ATTACKER };

static const sim_link wan = {.delay = PLN_MS(20), .mtu = 1472};

static bool all_settled(sim_world *world, void *unused) {
    return sim_all_settled(world, unused);
}

static sim_world *three_with(bool behind_nat) {
    sim_world *world = sim_world_create(1, &wan);
    sim_world_gossip(world);
    (void)sim_add_node(world);
    if (behind_nat) {
        (void)sim_add_node_behind(world, sim_add_nat(world, SIM_NAT_PLAIN, SIM_CORE));
    } else {
        (void)sim_add_node(world);
    }
    (void)sim_add_node(world);
    sim_keep(world, VICTIM, ROOT);
    sim_keep(world, ATTACKER, ROOT);
    assert_true(sim_run_until(world, all_settled, NULL, PLN_S(10)));
    sim_run(world, PLN_S(2));
    return world;
}

static sim_world *three(void) {
    return three_with(false);
}

static pollen_key invented(unsigned n) {
    pollen_key key = {{0xee}};
    key.bytes[1] = (uint8_t)(n >> 8);
    key.bytes[2] = (uint8_t)n;
    return key;
}

static void send_from(sim_world *world, size_t from, size_t to, pln_bytes *envelope) {
    (void)pln_node_send(sim_mesh(world, from), sim_key(world, to), envelope, sim_now(world, from));
    pln_bytes_fini(envelope);
    sim_poke(world, from);
}

static void send_trigger_of(sim_world *world, const pln_punch_trigger *msg) {
    pln_bytes envelope = {0};
    assert_int_equal(pln_punch_trigger_encode(msg, &envelope), POLLEN_OK);
    send_from(world, ATTACKER, VICTIM, &envelope);
}

static void send_trigger(sim_world *world, const pollen_key *named, const pollen_addr *at) {
    const pln_punch_trigger msg = {.peer = *named, .peer_addr = *at};
    send_trigger_of(world, &msg);
}

/* ---- What the victim sends ------------------------------------------------------------------- */

typedef struct tally {
    pollen_addr known[3]; /* Where its sessions lead. */
    size_t elsewhere;     /* Datagrams to anywhere else. */
    size_t bytes;
} tally;

static void count(void *arg, pln_ts at, size_t node, const sim_datagram *datagram) {
    (void)at;
    tally *t = arg;
    if (node != VICTIM) {
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        if (memcmp(t->known[i].ip, datagram->to.ip, sizeof datagram->to.ip) == 0) {
            return;
        }
    }
    t->elsewhere++;
    t->bytes += datagram->size;
}

static tally watch(sim_world *world) {
    tally t = {0};
    for (size_t i = 0; i < 3; i++) {
        t.known[i] = sim_addr(world, i);
    }
    return t;
}

static void test_no_trigger_aims_at_what_is_no_other_machine(void **state) {
    (void)state;
    static const char *const forbidden[] = {
        "127.0.0.1:7",       "127.9.9.9:60611", "224.0.0.1:7", "239.1.2.3:7",
        "255.255.255.255:7", "[::1]:7",         "[ff02::1]:7", "[::ffff:127.0.0.1]:7",
        "0.0.0.0:7",         "169.254.1.1:7",   "[fe80::1]:7",
    };
    sim_world *world = three();
    tally t = watch(world);
    sim_world_tap(world, count, &t);
    for (unsigned i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        const pollen_key key = invented(i);
        const pollen_addr at = addr_of(forbidden[i]);
        send_trigger(world, &key, &at);
    }
    const pollen_key key = invented(99);
    const pollen_addr own = sim_addr(world, VICTIM);
    send_trigger(world, &key, &own);
    sim_run(world, PLN_S(10));
    assert_int_equal(t.elsewhere, 0);
    sim_world_destroy(world);
}

static void test_a_thousand_triggers_make_few_packets(void **state) {
    (void)state;
    sim_world *world = three();
    tally t = watch(world);
    sim_world_tap(world, count, &t);
    for (unsigned i = 0; i < 1000; i++) {
        const pollen_key key = invented(i);
        const pollen_addr at = addr_of("203.0.113.77:4242");
        send_trigger(world, &key, &at);
        sim_run(world, PLN_MS(10));
    }
    sim_run(world, PLN_S(20));
    /* Ten seconds of triggers, of which two a second and a burst are taken, and each of these may
     * cost some dozens of probes; but one spray in twenty seconds at most. */
    printf("a thousand triggers: %zu packets, %zu bytes\n", t.elsewhere, t.bytes);
    assert_true(t.elsewhere > 0);
    assert_true(t.elsewhere < 8000);
    assert_true(t.bytes < 8000 * 17);
    sim_world_destroy(world);
}

/* A handshake is 1,200 bytes and is repeated; a trigger is a hundred. */
static void test_a_thousand_triggers_make_few_handshakes(void **state) {
    (void)state;
    sim_world *world = three_with(true); /* Who has no NAT leaves the first step to others. */
    tally t = watch(world);
    sim_world_tap(world, count, &t);
    for (unsigned i = 0; i < 1000; i++) {
        pln_punch_trigger msg = {.peer = invented(i),
                                 .peer_addr = addr_of("203.0.113.77:4242"),
                                 .has_whereabouts = true,
                                 .whereabouts = {.mapping = i % 2 == 0 ? POLLEN_NAT_MAPPING_NONE
                                                                       : POLLEN_NAT_MAPPING_EASY,
                                                 .addr_count = 8}};
        msg.peer_addr.port = (uint16_t)(1024 + i);
        for (uint16_t k = 0; k < 8; k++) {
            msg.whereabouts.addrs[k] = addr_of("203.0.113.77:1");
            msg.whereabouts.addrs[k].port = (uint16_t)(10000 + 8 * i + k);
        }
        send_trigger_of(world, &msg);
        sim_run(world, PLN_MS(100));
    }
    sim_run(world, PLN_S(20));
    printf("a thousand triggers of public peers: %zu packets, %zu bytes\n", t.elsewhere, t.bytes);
    assert_true(t.elsewhere > 0);
    /* 2,600 probes' worth at once and 26 a second, at most 45 bytes on the wire each. */
    assert_true(t.bytes < (2600 + 120 * 26) * 45);
    sim_world_destroy(world);
}

static void test_no_whereabouts_aim_at_what_is_no_other_machine(void **state) {
    (void)state;
    static const char *const forbidden[] = {
        "127.0.0.1:7", "224.0.0.1:7", "255.255.255.255:7",  "[::1]:7",
        "[ff02::1]:7", "0.0.0.0:7",   "169.254.169.254:80", "[fe80::1]:7",
    };
    sim_world *world = three();
    tally t = watch(world);
    sim_world_tap(world, count, &t);
    pln_punch_trigger msg = {.peer = invented(1),
                             .peer_addr = sim_addr(world, ROOT),
                             .has_whereabouts = true,
                             .whereabouts = {.addr_count = 8, .mapped = addr_of("127.0.0.1:8")}};
    for (unsigned i = 0; i < 8; i++) {
        msg.whereabouts.addrs[i] = addr_of(forbidden[i]);
    }
    send_trigger_of(world, &msg);
    msg.peer = invented(2);
    msg.whereabouts.mapped = sim_addr(world, VICTIM);
    send_trigger_of(world, &msg);
    sim_run(world, PLN_S(10));
    assert_int_equal(t.elsewhere, 0);
    sim_world_destroy(world);
}

static void test_nobody_is_aimed_at_whom_we_have(void **state) {
    (void)state;
    sim_world *world = three();
    tally t = watch(world);
    sim_world_tap(world, count, &t);
    /* Our own key is nobody to punch at, nor is who has a session. */
    const pollen_addr at = addr_of("203.0.113.77:4242");
    send_trigger(world, sim_key(world, VICTIM), &at);
    send_trigger(world, sim_key(world, ROOT), &at);
    sim_run(world, PLN_S(10));
    assert_int_equal(t.elsewhere, 0);
    sim_world_destroy(world);
}

/* ---- Coordination ---------------------------------------------------------------------------- */

typedef struct sent {
    size_t node;
    size_t datagrams;
} sent;

static void count_sent(void *arg, pln_ts at, size_t node, const sim_datagram *datagram) {
    (void)at;
    (void)datagram;
    sent *s = arg;
    s->datagrams += node == s->node;
}

static void test_requests_without_end_are_answered_a_few_times(void **state) {
    (void)state;
    sim_world *world = three();
    const pln_punch_request msg = {.peer = *sim_key(world, VICTIM)};
    pln_bytes envelope = {0};
    assert_int_equal(pln_punch_request_encode(&msg, &envelope), POLLEN_OK);
    sent s = {.node = ROOT};
    sim_world_tap(world, count_sent, &s);
    for (unsigned i = 0; i < 2000; i++) {
        (void)pln_node_send(sim_mesh(world, ATTACKER), sim_key(world, ROOT), &envelope,
                            sim_now(world, ATTACKER));
        sim_poke(world, ATTACKER);
        sim_run(world, PLN_MS(5));
    }
    pln_bytes_fini(&envelope);
    /* Ten seconds: 64 at once and 20 a second, two triggers each, beside acknowledgements. */
    assert_true(s.datagrams > 2 * 64);
    assert_true(s.datagrams < 2 * (64 + 10 * 20) + 2000);
    sim_world_destroy(world);
}

/* ---- Introductions --------------------------------------------------------------------------- */

enum { CROWD = 24 };

static bool has_session(sim_world *world, size_t node, size_t peer) {
    return pln_mesh_has_session(sim_mesh(world, node), sim_key(world, peer));
}

/* The root knows a crowd, which a newcomer has not met. */
static sim_world *crowd(void) {
    sim_world *world = three();
    for (size_t i = 3; i < 3 + CROWD; i++) {
        assert_int_equal(sim_add_node(world), i);
        sim_keep(world, i, ROOT);
    }
    sim_run(world, PLN_S(5));
    return world;
}

typedef struct passed_on {
    pollen_addr to; /* The first of the crowd; their addresses follow each other. */
    size_t bytes;
} passed_on;

static void count_passed_on(void *arg, pln_ts at, size_t node, const sim_datagram *datagram) {
    (void)at;
    passed_on *p = arg;
    const int nth = datagram->to.ip[15] - p->to.ip[15];
    p->bytes += node == ROOT && nth >= 0 && nth < CROWD ? datagram->size : 0;
}

/* Whatever a newcomer says of itself, all the time, in the first moment and later. */
static void test_a_newcomer_that_moves_all_the_time_is_passed_on_a_few_times(void **state) {
    (void)state;
    sim_world *world = crowd();
    const size_t newcomer = sim_add_node(world);
    sim_connect(world, newcomer, ROOT, PLN_S(5));
    for (int i = 0; i < 100 && !has_session(world, newcomer, ROOT); i++) {
        sim_run(world, PLN_MS(10));
    }
    passed_on p = {.to = sim_addr(world, 3)};
    sim_world_tap(world, count_passed_on, &p);
    for (uint16_t i = 0; i < 2000; i++) {
        const pln_whereabouts msg = {
            .mapping = POLLEN_NAT_MAPPING_HARD,
            .addr_count = 1,
            .addrs = {pln_addr_ipv4((const uint8_t[]){203, 0, 113, 77}, (uint16_t)(1024 + i))}};
        pln_bytes envelope = {0};
        assert_int_equal(pln_whereabouts_encode(&msg, &envelope), POLLEN_OK);
        send_from(world, newcomer, ROOT, &envelope);
        sim_run(world, PLN_MS(1));
    }
    printf("2000 words of a newcomer: %zu bytes to %u others\n", p.bytes, CROWD);
    assert_true(p.bytes < 8 * 12 * 150 + CROWD * 1000); /* Beside acknowledgements and gossip. */
    sim_world_destroy(world);
}

/* ---- Probes ---------------------------------------------------------------------------------- */

static void test_a_flood_of_probes_gets_less_than_it_gives(void **state) {
    (void)state;
    sim_world *world = three();
    tally t = watch(world);
    sim_world_tap(world, count, &t);
    uint8_t probe[17] = {1};
    const pollen_addr victim = sim_addr(world, VICTIM);
    for (unsigned i = 0; i < 5000; i++) {
        probe[0] = (uint8_t)(1 + i % 2);
        probe[1] = (uint8_t)i;
        pollen_addr from = addr_of("203.0.113.77:4242");
        from.ip[14] = (uint8_t)(i >> 8);
        from.port = (uint16_t)(1024 + i);
        const sim_datagram datagram = {
            .from = from, .to = victim, .tag = ATTACKER, .data = probe, .size = sizeof probe};
        sim_net_send(sim_world_net(world), &datagram, sim_world_now(world));
        sim_run(world, PLN_MS(1));
    }
    sim_run(world, PLN_S(5));
    assert_true(t.bytes <= 5000 * sizeof probe / 2);
    assert_true(sim_all_settled(world, NULL));
    sim_world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_trigger_aims_at_what_is_no_other_machine),
        cmocka_unit_test(test_a_thousand_triggers_make_few_packets),
        cmocka_unit_test(test_a_thousand_triggers_make_few_handshakes),
        cmocka_unit_test(test_no_whereabouts_aim_at_what_is_no_other_machine),
        cmocka_unit_test(test_nobody_is_aimed_at_whom_we_have),
        cmocka_unit_test(test_requests_without_end_are_answered_a_few_times),
        cmocka_unit_test(test_a_newcomer_that_moves_all_the_time_is_passed_on_a_few_times),
        cmocka_unit_test(test_a_flood_of_probes_gets_less_than_it_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
