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
#include "wire/envelope.h"
#include "world.h"

enum { ROOT, VICTIM, ATTACKER };

static const sim_link wan = {.delay = PLN_MS(20), .mtu = 1472};

static bool all_settled(sim_world *world, void *unused) {
    return sim_all_settled(world, unused);
}

static sim_world *three(void) {
    sim_world *world = sim_world_create(1, &wan);
    sim_world_gossip(world);
    for (size_t i = 0; i < 3; i++) {
        (void)sim_add_node(world);
    }
    sim_keep(world, VICTIM, ROOT);
    sim_keep(world, ATTACKER, ROOT);
    assert_true(sim_run_until(world, all_settled, NULL, PLN_S(10)));
    sim_run(world, PLN_S(2));
    return world;
}

static pollen_addr addr(const char *text) {
    pollen_addr ret;
    assert_int_equal(pollen_addr_parse(text, &ret), POLLEN_OK);
    return ret;
}

static pollen_key invented(unsigned n) {
    pollen_key key = {{0xee}};
    key.bytes[1] = (uint8_t)(n >> 8);
    key.bytes[2] = (uint8_t)n;
    return key;
}

static void send_trigger(sim_world *world, const pollen_key *named, const pollen_addr *at) {
    const pln_punch_trigger msg = {.peer = *named, .peer_addr = *at};
    pln_bytes envelope = {0};
    assert_int_equal(pln_punch_trigger_encode(&msg, &envelope), POLLEN_OK);
    (void)pln_node_send(sim_mesh(world, ATTACKER), sim_key(world, VICTIM), &envelope,
                        sim_now(world, ATTACKER));
    pln_bytes_fini(&envelope);
    sim_poke(world, ATTACKER);
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
        const pollen_addr at = addr(forbidden[i]);
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
        const pollen_addr at = addr("203.0.113.77:4242");
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

static void test_nobody_is_aimed_at_whom_we_have(void **state) {
    (void)state;
    sim_world *world = three();
    tally t = watch(world);
    sim_world_tap(world, count, &t);
    /* Our own key is nobody to punch at, nor is who has a session. */
    const pollen_addr at = addr("203.0.113.77:4242");
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
        pollen_addr from = addr("203.0.113.77:4242");
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
        cmocka_unit_test(test_nobody_is_aimed_at_whom_we_have),
        cmocka_unit_test(test_requests_without_end_are_answered_a_few_times),
        cmocka_unit_test(test_a_flood_of_probes_gets_less_than_it_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
