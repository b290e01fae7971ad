/* SPDX-License-Identifier: Apache-2.0 */
/* Which ways the owner is told of before anything has answered, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/sock_rig.h"

#define PEER "198.51.100.2:40000"

static void a_target_may_be_tried_when_its_first_full_request_goes(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    sock_rig_start(rig, &plan);
    while (rig->sent_count < 2) {
        assert_int_equal(sock_rig_count(rig, PLN_SOCK_TRY), 0);
        sock_rig_run_to(rig, (rig->now - rig->start) / PLN_MS(1) + 1);
    }
    sock_rig_run_to(rig, 2000);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_TRY), 1);
    const pln_sock_event *try = sock_rig_last(rig, PLN_SOCK_TRY);
    char text[POLLEN_ADDR_TEXT_BYTES];
    assert_int_equal(try->path.via, PLN_VIA_MAIN);
    assert_string_equal(pollen_addr_format(&try->path.remote, text), PEER);
    assert_int_equal(try->method, PLN_PUNCH_OPEN);
    assert_int_equal(try->attempt, 77);
    assert_true(pln_key_equal(&try->peer, &plan.peer));
}

static void trying_does_not_stop_probing(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 300);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_TRY), 1);
    assert_in_range(rig->sent_count, 4, 6);
}

/* It will be at another port for us. */
static void a_hard_peer_is_not_tried_where_others_see_it(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_HARD);
    plan.target_count = 2;
    plan.targets[1] =
        (pln_punch_target){.addr = sock_rig_addr("198.51.100.2:7"), .kind = PLN_TARGET_MAPPED};
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 2000);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_TRY), 1);
    assert_int_equal(sock_rig_last(rig, PLN_SOCK_TRY)->path.remote.port, 7);
}

static void where_the_peer_was_heard_may_be_tried_at_once(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_EASY);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 300);
    size_t tries = sock_rig_count(rig, PLN_SOCK_TRY);
    sock_rig_hear_request(rig, 5, PEER);
    sock_rig_hear_request(rig, 5, PEER);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_TRY), tries + 1);
    const pln_sock_event *try = sock_rig_last(rig, PLN_SOCK_TRY);
    assert_int_equal(try->path.via, 5);
    assert_int_equal(try->method, PLN_PUNCH_BIRTHDAY);
}

static void a_known_hole_is_not_tried(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    sock_rig_start(rig, &plan);
    sock_rig_hear_answer(rig, &rig->sent[0]);
    sock_rig_hear_request(rig, PLN_VIA_MAIN, PEER);
    sock_rig_run_to(rig, 2000);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_HOLE), 1);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_TRY), 0);
}

static void at_most_twelve_ways_are_tried(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan =
        sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_UNKNOWN);
    plan.target_count = 6;
    for (uint16_t i = 1; i < 6; i++) {
        plan.targets[i] = plan.targets[0];
        plan.targets[i].addr.port = (uint16_t)(40000 + i);
    }
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 1000);
    for (uint32_t via = 1; via <= 20; via++) {
        sock_rig_hear_request(rig, via, PEER);
        sock_rig_hear_request(rig, via, "198.51.100.2:5");
    }
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_TRY), 12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RULE(a_target_may_be_tried_when_its_first_full_request_goes),
        RULE(trying_does_not_stop_probing),
        RULE(a_hard_peer_is_not_tried_where_others_see_it),
        RULE(where_the_peer_was_heard_may_be_tried_at_once),
        RULE(a_known_hole_is_not_tried),
        RULE(at_most_twelve_ways_are_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
