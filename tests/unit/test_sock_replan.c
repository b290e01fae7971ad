/* SPDX-License-Identifier: Apache-2.0 */
/* A punch that began with little knowledge, and what it makes of more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/sock_rig.h"

/* At a round trip of 80 ms: main sockets from 0; a birthday at 150 ms between a hard and an easy
 * NAT, at 300 ms between unknown ones, at 680 ms between easy ones. */
static pln_punch_plan plan_for(const sock_rig *rig, pollen_nat_mapping ours,
                               pollen_nat_mapping theirs) {
    pln_punch_plan plan = sock_rig_plan_for(rig, ours, theirs);
    plan.rtt = PLN_MS(80);
    return plan;
}

static pln_punch_plan plan_unknown(const sock_rig *rig) {
    return plan_for(rig, POLLEN_NAT_MAPPING_UNKNOWN, POLLEN_NAT_MAPPING_UNKNOWN);
}

static void replan(sock_rig *rig, pollen_nat_mapping ours, pollen_nat_mapping theirs) {
    pln_punch_plan plan = plan_for(rig, ours, theirs);
    assert_int_equal(pln_sock_replan(rig->sock, &plan, rig->now), POLLEN_OK);
    sock_rig_drain(rig);
}

static pln_punch_stats stats_of(const sock_rig *rig) {
    pln_punch_stats stats;
    pollen_key peer = sock_rig_key(1);
    assert_true(pln_sock_get_stats(rig->sock, &peer, &stats));
    return stats;
}

static void the_first_plan_starts(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_unknown(rig);
    plan.target_count = 0;
    assert_int_equal(pln_sock_replan(rig->sock, &plan, rig->now), POLLEN_EADDR);
    replan(rig, POLLEN_NAT_MAPPING_UNKNOWN, POLLEN_NAT_MAPPING_UNKNOWN);
    assert_int_equal(rig->sent_count, 1);
    assert_int_equal(rig->sent[0].to.ttl, 2);
}

static void what_becomes_known_later_counts_from_the_first_start(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_unknown(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 160);
    assert_int_equal(rig->open, 0);
    replan(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_EASY);
    sock_rig_run_to(rig, 195);
    assert_int_equal(rig->open, 256);
}

static void a_pair_that_proves_easy_is_given_more_time(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_unknown(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 160);
    replan(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_EASY);
    sock_rig_run_to(rig, 679);
    assert_int_equal(rig->open, 0);
    assert_in_range(rig->sent_count, 5, 9);
    sock_rig_run_to(rig, 720);
    assert_int_equal(rig->open, 256);
}

static void what_has_been_tried_is_not_tried_again(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_unknown(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 30);
    for (int i = 0; i < 10; i++) {
        replan(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_EASY);
    }
    assert_int_equal(rig->sent_count, 1);
    sock_rig_run_to(rig, 39);
    assert_int_equal(rig->sent_count, 1);
    sock_rig_run_to(rig, 40);
    assert_int_equal(rig->sent_count, 2);
    assert_int_equal(rig->sent[1].to.ttl, 0);
    assert_int_equal(stats_of(rig).ways_used, 1);
}

static void a_side_that_proves_easy_sprays_on_and_asks_for_no_more_sockets(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_unknown(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 310);
    size_t open = rig->open;
    assert_in_range(open, 60, 100);
    replan(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_HARD);
    sock_rig_run_to(rig, 2999);
    assert_int_equal(rig->open, open); /* They may be of use yet. */
    assert_int_equal(rig->open_most, open);
    size_t sprayed = stats_of(rig).ways_used - open;
    assert_in_range(sprayed, 1280 - open, 1280 - open + 8);
}

static void a_side_that_proves_hard_stops_spraying(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_unknown(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 400);
    size_t ways = stats_of(rig).ways_used;
    assert_in_range(ways, 300, 500);
    replan(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_EASY);
    sock_rig_run_to(rig, 1500);
    assert_int_equal(stats_of(rig).ways_used, ways);
    assert_int_equal(rig->open, 256);
}

static void two_sides_that_prove_hard_give_up(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_unknown(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 400);
    replan(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_HARD);
    size_t sent = rig->sent_count;
    sock_rig_run_to(rig, 800);
    assert_int_equal(rig->sent_count, sent);
    assert_int_equal(sock_rig_last(rig, PLN_SOCK_OVER)->end, PLN_PUNCH_HOPELESS);
    assert_int_equal(rig->open, 0);
}

static pln_nat_brief sequential(void) {
    return (pln_nat_brief){.mapping = POLLEN_NAT_MAPPING_HARD,
                           .allocation = POLLEN_NAT_ALLOCATION_SEQUENTIAL,
                           .port_count = 1,
                           .ports = {40000}};
}

/* The peer's sequential NAT stands where it stood as long as we open nothing; and it may take until
 * the peer knows. */
static void two_sides_that_prove_sequential_late_scatter_twice_all_the_same(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_unknown(rig);
    plan.ours = sequential();
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 1000);
    assert_int_equal(rig->open, 0);
    plan.theirs = sequential();
    assert_int_equal(pln_sock_replan(rig->sock, &plan, rig->now), POLLEN_OK);
    sock_rig_run_to(rig, 1050);
    assert_int_equal(rig->open, 40);
    sock_rig_run_to(rig, 1399);
    assert_int_equal(rig->open, 40);
    sock_rig_run_to(rig, 1450);
    assert_int_equal(rig->open, 100);
}

static uint16_t aim_of_second_scattering(sock_rig *rig, uint16_t told) {
    pln_punch_plan plan = plan_unknown(rig);
    plan.ours = sequential();
    plan.theirs = sequential();
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 300);
    plan.theirs.ports[0] = told;
    assert_int_equal(pln_sock_replan(rig->sock, &plan, rig->now), POLLEN_OK);
    sock_rig_run_to(rig, 405);
    const rig_sent *last = &rig->sent[rig->sent_count - 1];
    assert_true(last->to.path.via > 40);
    return last->to.path.remote.port;
}

/* Which may count the peer's own sockets, or not. */
static void what_is_told_between_two_scatterings_moves_the_second_if_it_is_far_ahead(void **state) {
    (void)state;
    static const uint16_t told_and_aim[][2] = {
        {40000, 40095}, {40045, 40095}, {40061, 40096}, {40090, 40125}, {39990, 40095}};
    for (size_t i = 0; i < 5; i++) {
        sock_rig *rig = sock_rig_create();
        assert_int_equal(aim_of_second_scattering(rig, told_and_aim[i][0]), told_and_aim[i][1]);
        sock_rig_destroy(rig);
    }
}

static void plans_without_end_cost_no_more_than_one(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_unknown(rig);
    plan.deadline = rig->now + PLN_S(8);
    sock_rig_start(rig, &plan);
    for (unsigned ms = 0; ms < 7900; ms += 7) {
        sock_rig_run_to(rig, ms);
        replan(rig, (pollen_nat_mapping)(ms % 4),
               ms % 3 == 0 ? POLLEN_NAT_MAPPING_EASY : POLLEN_NAT_MAPPING_UNKNOWN);
    }
    assert_in_range(stats_of(rig).ways_used, 1000, 1300);
    sock_rig_run_to(rig, 12000);
    assert_int_equal(rig->open, 0);
}

static void events_are_of_the_newest_attempt(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_unknown(rig);
    sock_rig_start(rig, &plan);
    plan.attempt = 78;
    assert_int_equal(pln_sock_replan(rig->sock, &plan, rig->now), POLLEN_OK);
    sock_rig_run_to(rig, 3000);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OVER), 1);
    assert_int_equal(sock_rig_last(rig, PLN_SOCK_OVER)->attempt, 78);
}

static void only_what_is_wanted_lasts_longer(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_for(rig, POLLEN_NAT_MAPPING_NONE, POLLEN_NAT_MAPPING_NONE);
    plan.unasked = true;
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 2000);
    plan.deadline = rig->now + PLN_S(3);
    assert_int_equal(pln_sock_replan(rig->sock, &plan, rig->now), POLLEN_OK);
    sock_rig_run_to(rig, 3000);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OVER), 1);
    plan.deadline = rig->now + PLN_S(3);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 5000);
    plan.unasked = false;
    plan.deadline = rig->now + PLN_S(3);
    assert_int_equal(pln_sock_replan(rig->sock, &plan, rig->now), POLLEN_OK);
    sock_rig_run_to(rig, 7999);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OVER), 1);
    sock_rig_run_to(rig, 8000);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OVER), 2);
}

static void new_targets_join_and_the_old_ones_stay(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = plan_for(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_EASY);
    sock_rig_start(rig, &plan);
    plan.targets[0].addr = sock_rig_addr("203.0.113.50:9");
    assert_int_equal(pln_sock_replan(rig->sock, &plan, rig->now), POLLEN_OK);
    sock_rig_run_to(rig, 600);
    assert_int_equal(stats_of(rig).ways_used, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RULE(the_first_plan_starts),
        RULE(what_becomes_known_later_counts_from_the_first_start),
        RULE(a_pair_that_proves_easy_is_given_more_time),
        RULE(what_has_been_tried_is_not_tried_again),
        RULE(a_side_that_proves_easy_sprays_on_and_asks_for_no_more_sockets),
        RULE(a_side_that_proves_hard_stops_spraying),
        RULE(two_sides_that_prove_hard_give_up),
        RULE(two_sides_that_prove_sequential_late_scatter_twice_all_the_same),
        RULE(what_is_told_between_two_scatterings_moves_the_second_if_it_is_far_ahead),
        RULE(plans_without_end_cost_no_more_than_one),
        RULE(events_are_of_the_newest_attempt),
        RULE(only_what_is_wanted_lasts_longer),
        RULE(new_targets_join_and_the_old_ones_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
