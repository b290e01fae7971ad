/* SPDX-License-Identifier: Apache-2.0 */
/* When a way is dialled along: at once, after the peer's turn, or after other ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "node/core.h"
#include "support/node_wire.h"

static const pln_hole_kind guess = {.sure = false}, sure = {.sure = true};

static pln_holes *holes_of(nw_fixture *f) {
    return &f->hosts[HERE].node->punching.holes;
}

static void add(nw_fixture *f, uint8_t host, uint16_t port, pln_hole_kind kind) {
    const pollen_key peer = {{7}};
    const pln_path path = {PLN_VIA_MAIN, pln_addr_ipv4((const uint8_t[]){198, 18, 0, host}, port)};
    pln_holes_add(holes_of(f), &peer, &path, kind, f->now);
}

/* Milliseconds until the next dial; -1: none is waiting. */
static int64_t next_in_ms(nw_fixture *f) {
    const pln_ts at = pln_holes_next_expiry(holes_of(f));
    return at == PLN_TS_NEVER ? -1 : (int64_t)(pln_ts_since(f->now.mono, at) / PLN_NS_PER_MS);
}

static void the_first_way_is_dialled_at_once(void **state) {
    nw_fixture *f = *state;
    add(f, 1, 1000, guess);
    assert_int_equal(next_in_ms(f), -1);
    add(f, 1, 1000, guess); /* The same one is there already. */
    assert_int_equal(holes_of(f)->count, 1);
}

static void one_guess_is_dialled_after_the_other(void **state) {
    nw_fixture *f = *state;
    add(f, 1, 1000, guess);
    add(f, 2, 1000, guess);
    assert_int_equal(next_in_ms(f), 250);
    add(f, 3, 1000, guess);
    assert_int_equal(next_in_ms(f), 250);
    f->now.mono += PLN_MS(250);
    pln_holes_handle_timeout(holes_of(f), f->now);
    assert_int_equal(next_in_ms(f), 250);
}

static void what_is_sure_waits_little_for_a_guess(void **state) {
    nw_fixture *f = *state;
    add(f, 1, 1000, guess);
    add(f, 2, 1000, sure);
    assert_int_equal(next_in_ms(f), 50);
}

static void many_guesses_wait_for_a_second_at_most(void **state) {
    nw_fixture *f = *state;
    for (uint8_t host = 1; host <= 12; host++) {
        add(f, host, 1000, guess);
    }
    f->now.mono += PLN_S(1);
    pln_holes_handle_timeout(holes_of(f), f->now);
    assert_int_equal(next_in_ms(f), -1);
    assert_int_equal(holes_of(f)->count, 12);
}

static void a_dial_that_failed_is_not_waited_for(void **state) {
    nw_fixture *f = *state;
    add(f, 1, 1000, guess);
    add(f, 2, 1000, guess);
    f->now.mono += PLN_MS(100);
    const pln_mesh_event failed = {
        .kind = PLN_MESH_OP_DONE, .op = PLN_OP_NODE | PLN_OP_HOLE | 1, .err = POLLEN_ETIMEDOUT};
    pln_holes_dialled(holes_of(f), &failed, f->now);
    assert_int_equal(holes_of(f)->count, 1);
    assert_int_equal(next_in_ms(f), -1);
}

/* The peer's NAT has another port for us than the one that was guessed. */
static void another_port_that_is_sure_does_not_wait(void **state) {
    nw_fixture *f = *state;
    add(f, 1, 1000, guess);
    add(f, 1, 2000, sure);
    assert_int_equal(next_in_ms(f), -1);
    add(f, 1, 3000, sure);
    assert_int_equal(next_in_ms(f), 250);
}

static void a_waiting_guess_that_turns_out_sure_goes_sooner(void **state) {
    nw_fixture *f = *state;
    add(f, 1, 1000, guess);
    add(f, 2, 1000, guess);
    assert_int_equal(next_in_ms(f), 250);
    add(f, 2, 1000, sure);
    assert_int_equal(next_in_ms(f), 50);
    assert_int_equal(holes_of(f)->count, 2);
}

static void the_larger_key_leaves_the_first_dial_to_the_other(void **state) {
    nw_fixture *f = *state;
    const pln_path path = {PLN_VIA_MAIN, pln_addr_ipv4((const uint8_t[]){198, 18, 0, 1}, 1000)};
    pollen_key smaller = {{0}}, larger;
    memset(larger.bytes, 0xff, sizeof larger.bytes);
    const pln_hole_kind shared = {.shared = true, .sure = true};
    pln_holes_add(holes_of(f), &larger, &path, shared, f->now);
    assert_int_equal(next_in_ms(f), -1);
    pln_holes_add(holes_of(f), &smaller, &path, shared, f->now);
    assert_int_equal(next_in_ms(f), 250);
    pln_holes_drop(holes_of(f), &smaller);
    assert_int_equal(next_in_ms(f), -1);
}

static void others_cannot_take_all_the_room(void **state) {
    nw_fixture *f = *state;
    const pln_hole_kind unasked = {.unasked = true};
    for (uint16_t port = 1; port <= PLN_HOLES_MAX; port++) {
        add(f, 1, port, unasked);
    }
    assert_int_equal(holes_of(f)->count, PLN_HOLES_UNASKED_MAX);
    add(f, 2, 1000, guess);
    assert_int_equal(holes_of(f)->count, PLN_HOLES_UNASKED_MAX + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, nw_setup, nw_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_first_way_is_dialled_at_once),
        TEST(one_guess_is_dialled_after_the_other),
        TEST(what_is_sure_waits_little_for_a_guess),
        TEST(many_guesses_wait_for_a_second_at_most),
        TEST(a_dial_that_failed_is_not_waited_for),
        TEST(another_port_that_is_sure_does_not_wait),
        TEST(a_waiting_guess_that_turns_out_sure_goes_sooner),
        TEST(the_larger_key_leaves_the_first_dial_to_the_other),
        TEST(others_cannot_take_all_the_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
