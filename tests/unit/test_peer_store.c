/* SPDX-License-Identifier: Apache-2.0 */
/* The peer store cell by cell: states, stages and delays, exactly. */

#include "base/time.h"
#include "support/peer_fixture.h"

static void expect_addr(const pollen_addr *addr, const char *text) {
    char given[POLLEN_ADDR_TEXT_BYTES];
    assert_string_equal(addr->port == 0 ? "none" : pollen_addr_format(addr, given), text);
}

/* ---- The whole way --------------------------------------------------------------------------- */

static void test_delay_after_a_session_goes_by_its_end(void **state) {
    (void)state;
    static const struct {
        pollen_end_reason reason;
        int64_t delay_ms;
    } rows[] = {
        {POLLEN_END_IDLE_TIMEOUT, 1000},  {POLLEN_END_RESET, 5000},
        {POLLEN_END_GRACEFUL, 3000},      {POLLEN_END_UNKNOWN, 3000},
        {POLLEN_END_CERT_ROTATION, 1000}, {POLLEN_END_CERT_EXPIRED, 3000},
        {POLLEN_END_NONE, 3000},          {POLLEN_END_DENIED, 60000},
    };
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t now = 100000 * (int64_t)i;
        rig_connect(&rig, now, i, ADDR_A, i + 1);
        rig_lost(&rig, now + 7, i, i + 1, rows[i].reason);
        rig_expect(&rig, i, DISCOVERED, EAGER, 0, now + 7 + rows[i].delay_ms);
        rig_expect_dial_at(&rig, now + 7 + rows[i].delay_ms, i, DIAL_EAGER);
        rig_forget(&rig, now + 7 + rows[i].delay_ms, i);
    }
}

static void test_a_lost_peer_is_dialled_at_its_last_address_and_connects_again(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    rig_lost(&rig, 60000, 1, 1, POLLEN_END_IDLE_TIMEOUT);
    rig_expect_dial_at(&rig, 61000, 1, DIAL_EAGER);
    expect_addr(&rig.outputs[0].addr, ADDR_A);
    rig_expect(&rig, 1, CONNECTING, EAGER, 0, 61000);
    rig_connect(&rig, 61020, 1, ADDR_A, 2);
    assert_int_equal(rig.output_count, 1);
    assert_int_equal(rig.outputs[0].kind, POLLEN_PEER_OUTPUT_CONNECTED);
    rig_expect(&rig, 1, CONNECTED, DIRECT, 0, 61000);
    assert_int_equal(rig_tick(&rig, 3600000), 0);
}

static void test_stages_escalate_to_unreachable(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 0, 0);
    assert_int_equal(rig_tick(&rig, 0), 1);
    rig_fail(&rig, 2000, 1, POLLEN_END_UNKNOWN);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 1, 3000);
    rig_expect_dial_at(&rig, 3000, 1, DIAL_DIRECT);
    rig_fail(&rig, 5000, 1, POLLEN_END_UNKNOWN);
    rig_expect(&rig, 1, DISCOVERED, PUNCH, 0, 5500);
    rig_expect_dial_at(&rig, 5500, 1, DIAL_PUNCH);
    rig_fail(&rig, 5500, 1, POLLEN_END_UNKNOWN);
    rig_expect(&rig, 1, DISCOVERED, PUNCH, 1, 6500);
    rig_expect_dial_at(&rig, 6500, 1, DIAL_PUNCH);
    rig_fail(&rig, 6500, 1, POLLEN_END_UNKNOWN);
    rig_expect(&rig, 1, UNREACHABLE, PUNCH, 0, 26500);
    rig_expect_dial_at(&rig, 26500, 1, DIAL_DIRECT);
}

static void test_the_eager_attempt_comes_first_and_once(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, ADDR_B);
    rig_tick(&rig, 0);
    assert_int_equal(rig.outputs[0].kind, DIAL_EAGER);
    expect_addr(&rig.outputs[0].addr, ADDR_B);
    rig_fail(&rig, 10, 1, POLLEN_END_UNKNOWN);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 0, 510);
    rig_expect_dial_at(&rig, 510, 1, DIAL_DIRECT);
    assert_int_equal(rig.outputs[0].addr_count, 1);
    expect_addr(&rig.outputs[0].addrs[0], ADDR_A);
}

static void test_without_a_last_address_there_is_no_eager_attempt(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_tick(&rig, 0);
    assert_int_equal(rig.outputs[0].kind, DIAL_DIRECT);
}

static void test_a_last_address_alone_is_enough_for_the_eager_attempt(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, NULL, ADDR_B);
    rig_tick(&rig, 0);
    assert_int_equal(rig.outputs[0].kind, DIAL_EAGER);
    expect_addr(&rig.outputs[0].addr, ADDR_B);
}

static void test_an_unreachable_peer_is_tried_again_at_its_last_address_first(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, ADDR_B);
    int64_t now = rig_exhaust(&rig, 1);
    assert_int_equal(now, 3000);
    rig_expect(&rig, 1, UNREACHABLE, PUNCH, 0, 23000);
    rig_expect_dial_at(&rig, 23000, 1, DIAL_EAGER);
}

static void test_a_last_address_learnt_late_keeps_the_stage(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_discover(&rig, 0, 1, ADDR_A, ADDR_B);
    assert_int_equal(rig_tick(&rig, 0), 1);
    assert_int_equal(rig.outputs[0].kind, DIAL_DIRECT);
}

/* ---- An unknown peer ------------------------------------------------------------------------- */

static void test_inputs_that_end_something_create_no_peer(void **state) {
    (void)state;
    rig_lost(&rig, 0, 1, 5, POLLEN_END_GRACEFUL);
    rig_forget(&rig, 0, 1);
    assert_int_equal(rig_step(&rig, 0,
                              &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_CONNECT_FAILED,
                                                   .peer = rig_key(1),
                                                   .attempt = 1}),
                     POLLEN_OK);
    assert_int_equal(rig_step(&rig, 0,
                              &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_MOVED,
                                                   .peer = rig_key(1),
                                                   .addr = rig_addr(ADDR_A)}),
                     POLLEN_OK);
    assert_int_equal(pollen_peer_store_count(rig.store), 0);
    assert_int_equal(pollen_peer_store_next_expiry(rig.store), POLLEN_PEER_NEVER);
}

static void test_an_unknown_peer_connects(void **state) {
    (void)state;
    pollen_peer_input input = {.kind = POLLEN_PEER_INPUT_CONNECT,
                               .peer = rig_key(1),
                               .addr = rig_addr(ADDR_A),
                               .generation = 9,
                               .inbound = true};
    assert_int_equal(rig_step(&rig, 100, &input), POLLEN_OK);
    assert_int_equal(rig.output_count, 1);
    assert_int_equal(rig.outputs[0].kind, POLLEN_PEER_OUTPUT_CONNECTED);
    assert_int_equal(rig.outputs[0].generation, 9);
    assert_true(rig.outputs[0].inbound);
    expect_addr(&rig.outputs[0].addr, ADDR_A);
    rig_expect(&rig, 1, CONNECTED, DIRECT, 0, RIG_NEVER);
    pollen_peer peer = rig_peer(&rig, 1);
    assert_int_equal(rig_ms(peer.connected_at_ns), 100);
    assert_int_equal(rig_ms(peer.since_ns), 100);
    assert_int_equal(peer.observed_port, 60611);
}

static void test_a_retry_creates_a_peer_without_addresses(void **state) {
    (void)state;
    rig_retry(&rig, 5, 1);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 0, 5);
    assert_int_equal(rig_tick(&rig, 5), 1);
    assert_int_equal(rig.outputs[0].kind, DIAL_DIRECT);
    assert_int_equal(rig.outputs[0].addr_count, 0);
}

/* ---- Discovered ------------------------------------------------------------------------------ */

static void test_new_addresses_do_not_hurry_a_peer_that_waits(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    rig_lost(&rig, 0, 1, 1, POLLEN_END_RESET);
    rig_discover(&rig, 10, 1, ADDR_B, NULL);
    rig_expect(&rig, 1, DISCOVERED, EAGER, 0, 5000);
}

static void test_a_retry_hurries_a_peer_that_waits(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    rig_lost(&rig, 0, 1, 1, POLLEN_END_RESET);
    rig_retry(&rig, 10, 1);
    rig_expect(&rig, 1, DISCOVERED, EAGER, 0, 10);
    assert_int_equal(rig_tick(&rig, 10), 1);
}

static void test_a_peer_that_waits_may_connect_to_us(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    rig_lost(&rig, 0, 1, 1, POLLEN_END_RESET);
    rig_connect(&rig, 10, 1, ADDR_B, 2);
    rig_expect(&rig, 1, CONNECTED, DIRECT, 0, 5000);
    assert_int_equal(rig_tick(&rig, 5000), 0);
}

/* ---- Connecting ------------------------------------------------------------------------------ */

static void test_addresses_told_during_an_attempt_are_for_the_next_one(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_tick(&rig, 0);
    rig_discover(&rig, 1, 1, ADDR_B, NULL);
    rig_expect(&rig, 1, CONNECTING, DIRECT, 0, 0);
    rig_fail(&rig, 1, 1, POLLEN_END_UNKNOWN);
    rig_expect_dial_at(&rig, 1001, 1, DIAL_DIRECT);
    expect_addr(&rig.outputs[0].addrs[0], ADDR_B);
}

static void test_a_session_that_ends_unannounced_ends_the_attempt(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_tick(&rig, 0);
    rig_lost(&rig, 100, 1, 1, POLLEN_END_RESET);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 0, 5100);
}

/* ---- Connected ------------------------------------------------------------------------------- */

static void test_a_newer_session_is_announced_as_well(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    rig_connect(&rig, 5, 1, ADDR_B, 2);
    assert_int_equal(rig.output_count, 1);
    assert_int_equal(rig.outputs[0].generation, 2);
    expect_addr(&rig.outputs[0].addr, ADDR_B);
    pollen_peer peer = rig_peer(&rig, 1);
    assert_int_equal(rig_ms(peer.connected_at_ns), 5);
    assert_int_equal(rig_ms(peer.since_ns), 0);
    expect_addr(&peer.last_addr, ADDR_B);
}

static void test_a_retry_of_a_connected_peer_does_nothing(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    rig_retry(&rig, 5, 1);
    rig_expect(&rig, 1, CONNECTED, DIRECT, 0, RIG_NEVER);
    assert_int_equal(rig_tick(&rig, 5), 0);
}

static void test_addresses_of_a_connected_peer_are_kept_for_later(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    rig_discover(&rig, 5, 1, ADDR_B, NULL);
    pollen_peer peer = rig_peer(&rig, 1);
    assert_int_equal(peer.state, CONNECTED);
    assert_int_equal(peer.addr_count, 1);
    expect_addr(&peer.addrs[0], ADDR_B);
    expect_addr(&peer.last_addr, ADDR_A);
}

static void test_a_moved_session_takes_its_address_along(void **state) {
    (void)state;
    pollen_peer_input moved = {.kind = POLLEN_PEER_INPUT_MOVED,
                               .peer = rig_key(1),
                               .generation = 4,
                               .addr = rig_addr(ADDR_B)};
    rig_connect(&rig, 0, 1, ADDR_A, 4);
    assert_int_equal(rig_step(&rig, 5, &moved), POLLEN_OK);
    assert_int_equal(rig.output_count, 0);
    pollen_peer peer = rig_peer(&rig, 1);
    expect_addr(&peer.last_addr, ADDR_B);
    expect_addr(&peer.addrs[0], ADDR_B);
    moved.addr = rig_addr(ADDR_A);
    moved.generation = 3;
    assert_int_equal(rig_step(&rig, 6, &moved), POLLEN_OK);
    peer = rig_peer(&rig, 1);
    expect_addr(&peer.last_addr, ADDR_B);
}

static void test_a_session_without_an_address_leaves_those_known(void **state) {
    (void)state;
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_connect(&rig, 0, 1, NULL, 1);
    pollen_peer peer = rig_peer(&rig, 1);
    assert_int_equal(peer.state, CONNECTED);
    assert_int_equal(peer.addr_count, 1);
    expect_addr(&peer.addrs[0], ADDR_A);
    expect_addr(&peer.last_addr, "none");
    rig_lost(&rig, 0, 1, 1, POLLEN_END_IDLE_TIMEOUT);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 0, 1000);
}

/* ---- Unreachable ----------------------------------------------------------------------------- */

static void test_a_retry_wakes_an_unreachable_peer(void **state) {
    (void)state;
    int64_t now = rig_exhaust_new(&rig, 0, 1, ADDR_A);
    rig_retry(&rig, now + 1, 1);
    rig_expect(&rig, 1, DISCOVERED, DIRECT, 0, now + 1);
    assert_int_equal(rig_tick(&rig, now + 1), 1);
}

static void test_an_unreachable_peer_may_connect_to_us(void **state) {
    (void)state;
    int64_t now = rig_exhaust_new(&rig, 0, 1, ADDR_A);
    rig_connect(&rig, now + 1, 1, ADDR_B, 1);
    rig_expect(&rig, 1, CONNECTED, DIRECT, 0, now + 20000);
    assert_int_equal(rig_tick(&rig, now + 20000), 0);
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static void discover_ports(int64_t ms, const char *const *texts, const uint16_t *ports,
                           size_t count, uint16_t port) {
    pollen_addr addrs[POLLEN_PEER_ADDRS_MAX + 4];
    for (size_t i = 0; i < count; i++) {
        addrs[i] = rig_addr(texts[i]);
        addrs[i].port = ports[i];
    }
    assert_int_equal(rig_step(&rig, ms,
                              &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_DISCOVER,
                                                   .peer = rig_key(1),
                                                   .addrs = addrs,
                                                   .addr_count = count,
                                                   .port = port}),
                     POLLEN_OK);
}

static void test_an_address_without_a_port_takes_the_known_one(void **state) {
    (void)state;
    const char *const texts[] = {"192.0.2.1:1", "[2001:db8::1]:1"};
    discover_ports(0, texts, (const uint16_t[]){0, 4000}, 2, 7000);
    pollen_peer peer = rig_peer(&rig, 1);
    expect_addr(&peer.addrs[0], "192.0.2.1:7000");
    expect_addr(&peer.addrs[1], "[2001:db8::1]:4000");
    discover_ports(0, texts, (const uint16_t[]){0, 0}, 2, 0);
    peer = rig_peer(&rig, 1);
    expect_addr(&peer.addrs[1], "[2001:db8::1]:7000");
    assert_int_equal(peer.observed_port, 7000);
}

static void test_addresses_beyond_the_maximum_are_dropped(void **state) {
    (void)state;
    const char *texts[POLLEN_PEER_ADDRS_MAX + 4];
    uint16_t ports[POLLEN_PEER_ADDRS_MAX + 4];
    for (size_t i = 0; i < POLLEN_PEER_ADDRS_MAX + 4; i++) {
        texts[i] = ADDR_A;
        ports[i] = (uint16_t)(1000 + i);
    }
    discover_ports(0, texts, ports, POLLEN_PEER_ADDRS_MAX + 4, 0);
    pollen_peer peer = rig_peer(&rig, 1);
    assert_int_equal(peer.addr_count, POLLEN_PEER_ADDRS_MAX);
    assert_int_equal(peer.addrs[POLLEN_PEER_ADDRS_MAX - 1].port, 1000 + POLLEN_PEER_ADDRS_MAX - 1);
}

/* ---- Order and snapshots --------------------------------------------------------------------- */

static void test_due_peers_leave_by_time_then_by_key(void **state) {
    (void)state;
    static const uint32_t expected[] = {7, 3, 5, 9, 1};
    rig_discover(&rig, 0, 7, ADDR_A, NULL);
    rig_discover(&rig, 1, 9, ADDR_A, NULL);
    rig_discover(&rig, 1, 5, ADDR_A, NULL);
    rig_discover(&rig, 1, 3, ADDR_A, NULL);
    rig_discover(&rig, 2, 1, ADDR_A, NULL);
    assert_int_equal(rig_tick(&rig, 2), 5);
    for (size_t i = 0; i < 5; i++) {
        pollen_key key = rig_key(expected[i]);
        assert_memory_equal(&rig.outputs[i].peer, &key, sizeof(key));
        assert_int_equal(rig.outputs[i].attempt, i + 1);
    }
}

static void test_peers_are_listed_in_the_order_of_their_keys(void **state) {
    (void)state;
    static const uint32_t order[] = {4, 2, 8, 6};
    for (size_t i = 0; i < 4; i++) {
        rig_retry(&rig, 0, order[i]);
    }
    assert_int_equal(pollen_peer_store_count(rig.store), 4);
    pollen_peer peer;
    for (size_t i = 0; i < 4; i++) {
        pollen_key key = rig_key(2 * ((uint32_t)i + 1));
        assert_int_equal(pollen_peer_store_at(rig.store, i, &peer), POLLEN_OK);
        assert_memory_equal(&peer.key, &key, sizeof(key));
    }
    assert_int_equal(pollen_peer_store_at(rig.store, 4, &peer), POLLEN_ENOENT);
    pollen_key unknown = rig_key(3);
    assert_int_equal(pollen_peer_store_find(rig.store, &unknown, &peer), POLLEN_ENOENT);
}

static void test_a_snapshot_tells_why_and_when_the_last_session_ended(void **state) {
    (void)state;
    rig_connect(&rig, 0, 1, ADDR_A, 1);
    assert_int_equal(rig_peer(&rig, 1).last_end_at_ns, POLLEN_PEER_NEVER);
    rig_lost(&rig, 500, 1, 1, POLLEN_END_RESET);
    pollen_peer peer = rig_peer(&rig, 1);
    assert_int_equal(peer.last_end_reason, POLLEN_END_RESET);
    assert_int_equal(rig_ms(peer.last_end_at_ns), 500);
}

static void test_whoever_is_left_time_to_dial_is_dialled_after_it(void **state) {
    (void)state;
    const pollen_addr addr = rig_addr("192.0.2.1:60611");
    pollen_peer_input discover = {.kind = POLLEN_PEER_INPUT_DISCOVER,
                                  .peer = rig_key(1),
                                  .addrs = &addr,
                                  .addr_count = 1,
                                  .not_before_ns = PLN_MS(700)};
    assert_int_equal(rig_step(&rig, 200, &discover), POLLEN_OK);
    rig_expect_dial_at(&rig, 700, 1, POLLEN_PEER_OUTPUT_ATTEMPT_CONNECT);
    /* Unless somebody asks for it. */
    discover.peer = rig_key(2);
    discover.not_before_ns = PLN_S(9);
    assert_int_equal(rig_step(&rig, 800, &discover), POLLEN_OK);
    rig_retry(&rig, 900, 2);
    assert_int_equal(rig_tick(&rig, 900), 1);
    /* Times that are over are none, and never is none either. */
    discover.peer = rig_key(3);
    discover.not_before_ns = PLN_MS(10);
    assert_int_equal(rig_step(&rig, 1000, &discover), POLLEN_OK);
    assert_int_equal(rig_tick(&rig, 1000), 1);
    discover.not_before_ns = POLLEN_PEER_NEVER;
    assert_int_equal(rig_step(&rig, 1000, &discover), POLLEN_EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_delay_after_a_session_goes_by_its_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_whoever_is_left_time_to_dial_is_dialled_after_it,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_lost_peer_is_dialled_at_its_last_address_and_connects_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stages_escalate_to_unreachable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_eager_attempt_comes_first_and_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_without_a_last_address_there_is_no_eager_attempt,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_last_address_alone_is_enough_for_the_eager_attempt,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_an_unreachable_peer_is_tried_again_at_its_last_address_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_last_address_learnt_late_keeps_the_stage, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_inputs_that_end_something_create_no_peer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_unknown_peer_connects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_retry_creates_a_peer_without_addresses, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_new_addresses_do_not_hurry_a_peer_that_waits, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_retry_hurries_a_peer_that_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_peer_that_waits_may_connect_to_us, setup, teardown),
        cmocka_unit_test_setup_teardown(test_addresses_told_during_an_attempt_are_for_the_next_one,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_session_that_ends_unannounced_ends_the_attempt,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_newer_session_is_announced_as_well, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_retry_of_a_connected_peer_does_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_addresses_of_a_connected_peer_are_kept_for_later,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_moved_session_takes_its_address_along, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_session_without_an_address_leaves_those_known, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_retry_wakes_an_unreachable_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_unreachable_peer_may_connect_to_us, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_address_without_a_port_takes_the_known_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_addresses_beyond_the_maximum_are_dropped, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_due_peers_leave_by_time_then_by_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peers_are_listed_in_the_order_of_their_keys, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_snapshot_tells_why_and_when_the_last_session_ended,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
