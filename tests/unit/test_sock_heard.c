/* SPDX-License-Identifier: Apache-2.0 */
/* A request of the peer's came through: a handshake gets a chance before anything costly begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "support/sock_rig.h"

#define PEER "198.51.100.2:40000"

/* At a round trip of 80 ms: a birthday from 150 ms on, and 220 ms for a handshake. */
static void start(sock_rig *rig, pollen_nat_mapping ours, pollen_nat_mapping theirs) {
    pln_punch_plan plan = sock_rig_plan_for(rig, ours, theirs);
    plan.rtt = PLN_MS(80);
    sock_rig_start(rig, &plan);
}

static size_t sprayed(const sock_rig *rig) {
    size_t count = 0;
    for (size_t i = 0; i < rig->sent_count; i++) {
        count += rig->sent[i].to.path.remote.port != 40000;
    }
    return count;
}

static void no_socket_is_opened_while_a_handshake_has_its_chance(void **state) {
    sock_rig *rig = *state;
    start(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_EASY);
    sock_rig_run_to(rig, 100);
    sock_rig_hear_request(rig, PLN_VIA_MAIN, PEER);
    sock_rig_run_to(rig, 319);
    assert_int_equal(rig->open, 0);
    sock_rig_run_to(rig, 360);
    assert_int_equal(rig->open, 256);
}

static void a_spray_pauses_and_makes_up_for_nothing(void **state) {
    sock_rig *rig = *state;
    start(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_HARD);
    sock_rig_run_to(rig, 200);
    sock_rig_hear_request(rig, PLN_VIA_MAIN, PEER);
    size_t before = sprayed(rig);
    assert_in_range(before, 50, 100);
    sock_rig_run_to(rig, 419);
    assert_int_equal(sprayed(rig), before);
    sock_rig_run_to(rig, 421);
    assert_in_range(sprayed(rig) - before, 1, 22);
}

static void the_way_itself_goes_on(void **state) {
    sock_rig *rig = *state;
    start(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_EASY);
    sock_rig_run_to(rig, 100);
    sock_rig_hear_request(rig, PLN_VIA_MAIN, PEER);
    size_t before = sock_rig_requests(rig);
    sock_rig_run_to(rig, 310);
    assert_in_range(sock_rig_requests(rig) - before, 2, 4);
}

static void a_failed_handshake_ends_the_pause(void **state) {
    sock_rig *rig = *state;
    start(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_EASY);
    sock_rig_run_to(rig, 100);
    sock_rig_hear_request(rig, PLN_VIA_MAIN, PEER);
    sock_rig_run_to(rig, 160);
    assert_int_equal(rig->open, 0);
    pollen_key peer = sock_rig_key(1);
    pln_sock_hole_failed(rig->sock, &peer, &sock_rig_last(rig, PLN_SOCK_TRY)->path, rig->now);
    sock_rig_run_to(rig, 200);
    assert_int_equal(rig->open, 256);
}

/* Whoever forges the peer's address can hold a birthday up, but not for long. */
static void requests_from_everywhere_pause_it_four_times(void **state) {
    sock_rig *rig = *state;
    start(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_UNKNOWN);
    for (unsigned ms = 0; ms < 600; ms += 10) {
        char text[64];
        assert_true(snprintf(text, sizeof(text), "198.51.100.2:%u", 2000 + ms) > 0);
        sock_rig_run_to(rig, ms);
        sock_rig_hear_request(rig, PLN_VIA_MAIN, text);
    }
    assert_int_equal(rig->open, 256);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RULE(no_socket_is_opened_while_a_handshake_has_its_chance),
        RULE(a_spray_pauses_and_makes_up_for_nothing),
        RULE(the_way_itself_goes_on),
        RULE(a_failed_handshake_ends_the_pause),
        RULE(requests_from_everywhere_pause_it_four_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
