/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs of NATs: how often they connect, how soon, and what it takes.  All time is virtual, so that
 * every figure follows from the seeds alone.
 *
 *   POLLEN_SEEDS=10000 tests/unit/test_unit_sock_pairs      more of them; default 200
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/nat_world.h"

enum { SEEDS_MAX = 20000 };

static size_t seeds(void) {
    const char *given = getenv("POLLEN_SEEDS");
    size_t count = given != NULL ? (size_t)strtoul(given, NULL, 10) : 200;
    return count < 10 ? 10 : count > SEEDS_MAX ? SEEDS_MAX : count;
}

typedef struct setting {
    const nat_kind *a, *b;
    unsigned delay_ms, skew_ms, loss_percent;
    unsigned other_flows; /* Between observation and punch, up to so many on each side. */
    size_t fd_max;        /* 0: no limit. */
    bool unknown;         /* Neither side knows anything of the NATs, */
    unsigned known_at_ms; /* or not at first. */
} setting;

typedef struct outcome {
    size_t connected, runs;
    pln_dur p50, p95, longest;
    size_t ways[2], probes[2]; /* At most, by the NAT's place in the setting. */
    size_t holes;
} outcome;

static int compare_times(const void *a, const void *b) {
    pln_dur x = *(const pln_dur *)a;
    pln_dur y = *(const pln_dur *)b;
    return x < y ? -1 : x > y;
}

static nat_world *world_of(const setting *s, uint64_t seed, bool swapped) {
    nat_world *world = nat_world_create(seed, swapped ? s->b : s->a, swapped ? s->a : s->b);
    world->delay = PLN_MS(s->delay_ms);
    world->loss_percent = s->loss_percent;
    nat_world_plan(world, PLN_MS(s->skew_ms), PLN_S(3));
    for (size_t i = 0; i < 2; i++) {
        if (s->unknown || s->known_at_ms > 0) {
            world->hosts[i].plan.ours = (pln_nat_brief){.port_count = 0};
            world->hosts[i].plan.theirs = (pln_nat_brief){.port_count = 0};
        }
        if (s->fd_max > 0) {
            world->hosts[i].fd_max = s->fd_max;
        }
        if (s->other_flows > 0) {
            nat_world_other_flows(world, i,
                                  (unsigned)pln_rng_below(&world->rng, s->other_flows + 1));
        }
    }
    return world;
}

static void note_costs(const nat_world *world, bool swapped, outcome *ret) {
    for (size_t i = 0; i < 2; i++) {
        const pln_punch_stats *stats = &world->hosts[swapped ? 1 - i : i].last_over.stats;
        ret->ways[i] = stats->ways_used > ret->ways[i] ? stats->ways_used : ret->ways[i];
        ret->probes[i] = stats->probes_sent > ret->probes[i] ? stats->probes_sent : ret->probes[i];
    }
}

/* So far along: both sides know what NATs they are behind, and tell each other. */
static void tell(nat_world *world, const setting *s) {
    nat_world_run(world, PLN_MS(s->known_at_ms));
    for (size_t i = 0; i < 2; i++) {
        nat_host *host = &world->hosts[i];
        pln_nat_brief briefs[2];
        for (size_t k = 0; k < 2; k++) {
            briefs[k] = nat_world_brief(world, k, world->hosts[1 - k].plan.targets[0].addr);
        }
        host->plan.ours = briefs[i];
        host->plan.theirs = briefs[1 - i];
        if (!host->connected && !host->over) {
            assert_int_equal(pln_sock_replan(host->sock, &host->plan, world->now), POLLEN_OK);
        }
    }
}

/* The sides change places with every seed, so that either fires first. */
static outcome run(const setting *s) {
    static pln_dur times[SEEDS_MAX];
    outcome ret = {.runs = seeds()};
    for (size_t i = 0; i < ret.runs; i++) {
        bool swapped = i % 2 == 1;
        nat_world *world = world_of(s, i + 1, swapped);
        pln_ts start = world->now;
        if (s->known_at_ms > 0) {
            tell(world, s);
        }
        nat_world_run(world, PLN_S(10));
        if (nat_world_connected(world)) {
            pln_ts a = world->hosts[0].connected_at;
            pln_ts b = world->hosts[1].connected_at;
            times[ret.connected++] = (a > b ? a : b) - start;
        }
        assert_true(world->hosts[0].over && world->hosts[1].over);
        note_costs(world, swapped, &ret);
        ret.holes += world->hosts[0].holes;
        assert_int_equal(nat_world_leaks(world), 0);
        nat_world_destroy(world);
    }
    if (ret.connected > 0) {
        qsort(times, ret.connected, sizeof(times[0]), compare_times);
        ret.p50 = times[ret.connected / 2];
        ret.p95 = times[ret.connected * 95 / 100];
        ret.longest = times[ret.connected - 1];
    }
    print_message("  %zu/%zu, ms: p50 %u p95 %u longest %u; ways %zu/%zu, probes %zu/%zu\n",
                  ret.connected, ret.runs, (unsigned)(ret.p50 / PLN_MS(1)),
                  (unsigned)(ret.p95 / PLN_MS(1)), (unsigned)(ret.longest / PLN_MS(1)), ret.ways[0],
                  ret.ways[1], ret.probes[0], ret.probes[1]);
    return ret;
}

static void assert_rate(const outcome *o, unsigned percent) {
    assert_true(o->connected * 100 >= o->runs * percent);
}

/* ---- Easy pairs ------------------------------------------------------------------------------ */

static const nat_kind *const easy[] = {&nat_none, &nat_plain, &nat_plainopen, &nat_adf, &nat_eif};
enum { EASY = sizeof(easy) / sizeof(easy[0]) };

static void easy_pairs_always_connect_in_half_a_second(void **state) {
    (void)state;
    for (size_t a = 0; a < EASY; a++) {
        for (size_t b = a; b < EASY; b++) {
            outcome o = run(&(setting){.a = easy[a], .b = easy[b], .delay_ms = 10, .skew_ms = 20});
            assert_rate(&o, 100);
            assert_true(o.p95 <= PLN_MS(500) + 2 * PLN_MS(20));
            assert_in_range(o.ways[0], 1, 8);
            assert_in_range(o.ways[1], 1, 8);
            assert_in_range(o.probes[0], 1, 64);
        }
    }
}

static void far_apart_they_take_round_trips_more(void **state) {
    (void)state;
    outcome o = run(&(setting){.a = &nat_plain, .b = &nat_plain, .delay_ms = 100, .skew_ms = 20});
    assert_rate(&o, 100);
    assert_true(o.p95 <= PLN_MS(500) + 2 * PLN_MS(200));
}

static void late_starts_and_losses_are_made_up_for(void **state) {
    (void)state;
    outcome o = run(&(setting){
        .a = &nat_plain, .b = &nat_plain, .delay_ms = 20, .skew_ms = 300, .loss_percent = 20});
    assert_rate(&o, 99);
    assert_true(o.p95 <= PLN_S(1));
}

static void nats_that_accept_anything_need_openers(void **state) {
    (void)state;
    /* Twice the skew that coordinators keep, and hardly any way between the two. */
    for (unsigned skew = 10; skew <= 40; skew += 10) {
        setting s = {.a = &nat_plainopen, .b = &nat_plainopen, .delay_ms = 1, .skew_ms = skew};
        outcome o = run(&s);
        assert_rate(&o, 100);
        assert_in_range(o.ways[0], 1, 8);
    }
}

/* What one side sends meanwhile takes its port at a NAT that accepts anything. */
static void a_message_to_begin_that_was_lost_is_made_up_for(void **state) {
    (void)state;
    static const unsigned late_ms[] = {250, 500, 750};
    for (size_t i = 0; i < 3; i++) {
        outcome o = run(&(setting){.a = &nat_plainopen,
                                   .b = &nat_plain,
                                   .delay_ms = 40,
                                   .skew_ms = late_ms[i],
                                   .loss_percent = 10});
        assert_rate(&o, 99);
        assert_true(o.p95 <= PLN_S(3));
    }
}

/* An early packet, such as a dial of the address that others see, has taken the port. */
static void a_port_that_was_taken_is_gone_around(void **state) {
    (void)state;
    size_t connected = 0;
    for (size_t i = 0; i < 20; i++) {
        setting s = {.a = &nat_plainopen, .b = &nat_plain, .delay_ms = 10, .skew_ms = 10};
        nat_world *world = world_of(&s, i + 1, false);
        const uint8_t quic = 0x40;
        pln_path early = {.remote = world->hosts[1].plan.targets[0].addr};
        nat_world_send(world, 1, &early, 0, &quic, 1);
        for (size_t k = 0; k < 2; k++) {
            world->hosts[k].punch_at += PLN_S(1);
            world->hosts[k].plan.at += PLN_S(1);
            world->hosts[k].plan.deadline += PLN_S(3);
        }
        nat_world_run(world, PLN_S(15));
        connected += nat_world_connected(world);
        assert_int_equal(world->hosts[0].last_over.stats.method, PLN_PUNCH_BIRTHDAY);
        nat_world_destroy(world);
    }
    assert_in_range(connected, 19, 20);
}

static void unknown_easy_pairs_connect_before_anything_costly(void **state) {
    (void)state;
    outcome o = run(&(setting){
        .a = &nat_plain, .b = &nat_plain, .delay_ms = 50, .skew_ms = 20, .unknown = true});
    assert_rate(&o, 100);
    assert_in_range(o.ways[0], 1, 8);
}

/* ---- One hard side --------------------------------------------------------------------------- */

static void random_and_plain_meet_by_birthday(void **state) {
    (void)state;
    outcome o =
        run(&(setting){.a = &nat_edm_random, .b = &nat_plain, .delay_ms = 10, .skew_ms = 20});
    assert_rate(&o, 99);
    assert_true(o.p50 <= PLN_MS(600));
    assert_true(o.longest <= PLN_S(3));
    assert_in_range(o.ways[0], 257, 1300);
    assert_in_range(o.ways[1], 100, 1300);
}

static void a_round_trip_of_80_ms_leaves_time_for_a_birthday_in_half_a_second(void **state) {
    (void)state;
    outcome o =
        run(&(setting){.a = &nat_edm_random, .b = &nat_plain, .delay_ms = 40, .skew_ms = 20});
    assert_rate(&o, 99);
    assert_true(o.p50 <= PLN_MS(500));
    assert_true(o.p95 <= PLN_MS(1500));
}

static void what_becomes_known_on_the_way_loses_no_time(void **state) {
    (void)state;
    outcome o = run(&(setting){
        .a = &nat_edm_random, .b = &nat_plain, .delay_ms = 40, .skew_ms = 20, .known_at_ms = 160});
    assert_rate(&o, 99);
    assert_true(o.p50 <= PLN_MS(500));
    assert_true(o.p95 <= PLN_MS(1500));
    assert_in_range(o.ways[0], 1, 700);
}

static void random_and_open_nats_meet_by_birthday(void **state) {
    (void)state;
    outcome o =
        run(&(setting){.a = &nat_edm_random, .b = &nat_plainopen, .delay_ms = 10, .skew_ms = 20});
    assert_rate(&o, 98);
    assert_true(o.p50 <= PLN_MS(600));
    assert_true(o.longest <= PLN_S(3));
}

static void a_carrier_s_nat_is_met_before_a_spray_is_over(void **state) {
    (void)state;
    static const nat_kind *const kinds[] = {&nat_plain, &nat_plainopen, &nat_cgn};
    for (size_t i = 0; i < 3; i++) {
        outcome o =
            run(&(setting){.a = &nat_cgn_hard, .b = kinds[i], .delay_ms = 40, .skew_ms = 20});
        assert_rate(&o, 98);
        assert_true(o.p50 <= (kinds[i]->open_input ? PLN_MS(1800) : PLN_MS(1300)));
    }
}

static void losses_do_not_keep_a_birthday_from_happening(void **state) {
    (void)state;
    outcome o = run(&(setting){
        .a = &nat_edm_random, .b = &nat_plain, .delay_ms = 20, .skew_ms = 20, .loss_percent = 10});
    assert_rate(&o, 99);
}

static void random_and_open_filters_need_no_birthday(void **state) {
    (void)state;
    static const nat_kind *const filters[] = {&nat_adf, &nat_eif, &nat_none};
    for (size_t i = 0; i < 3; i++) {
        outcome o =
            run(&(setting){.a = &nat_edm_random, .b = filters[i], .delay_ms = 10, .skew_ms = 20});
        assert_rate(&o, 100);
        assert_true(o.p95 <= PLN_MS(600));
        assert_in_range(o.ways[0], 1, 12);
        assert_in_range(o.ways[1], 1, 12);
    }
}

static void sequential_and_plain_meet_by_prediction(void **state) {
    (void)state;
    static const nat_kind *const kinds[] = {&nat_edm_seq, &nat_edm_stride256};
    static const nat_kind *const others[] = {&nat_plain, &nat_plainopen, &nat_adf};
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < 3; k++) {
            outcome o = run(&(setting){
                .a = kinds[i], .b = others[k], .delay_ms = 10, .skew_ms = 20, .other_flows = 5});
            assert_rate(&o, 99);
            assert_in_range(o.probes[0], 1, 64);
            assert_in_range(o.probes[1], 1, 64);
        }
    }
}

static void a_moved_counter_falls_back_to_a_birthday(void **state) {
    (void)state;
    outcome o = run(&(setting){
        .a = &nat_edm_seq, .b = &nat_plain, .delay_ms = 10, .skew_ms = 20, .other_flows = 2000});
    assert_rate(&o, 97);
}

static void unknown_and_hard_meet_by_doing_both(void **state) {
    (void)state;
    outcome o = run(&(setting){
        .a = &nat_edm_random, .b = &nat_plain, .delay_ms = 10, .skew_ms = 20, .unknown = true});
    assert_rate(&o, 99);
    assert_in_range(o.ways[0], 1, 1300);
    assert_in_range(o.ways[1], 1, 1300);
}

static void forty_descriptors_do_for_a_birthday(void **state) {
    (void)state;
    outcome o = run(&(setting){
        .a = &nat_edm_random, .b = &nat_plain, .delay_ms = 10, .skew_ms = 20, .fd_max = 40});
    assert_rate(&o, 95);
}

/* ---- Two hard sides -------------------------------------------------------------------------- */

static void two_sequential_sides_meet_in_spite_of_other_flows(void **state) {
    (void)state;
    static const nat_kind *const kinds[] = {&nat_edm_seq, &nat_edm_stride256};
    for (size_t i = 0; i < 4; i++) {
        outcome o = run(&(setting){.a = kinds[i / 2],
                                   .b = kinds[i % 2],
                                   .delay_ms = 10,
                                   .skew_ms = 20,
                                   .other_flows = 15});
        assert_rate(&o, 95);
        assert_true(o.p95 <= PLN_MS(500));
        assert_in_range(o.ways[0], 41, 45);
        assert_in_range(o.probes[0], 41, 200);
    }
}

static void flows_of_a_busy_household_do_not_keep_them_apart(void **state) {
    (void)state;
    outcome o = run(&(setting){.a = &nat_edm_seq,
                               .b = &nat_edm_seq,
                               .delay_ms = 40,
                               .skew_ms = 20,
                               .loss_percent = 10,
                               .other_flows = 45});
    assert_rate(&o, 95);
    assert_true(o.p95 <= PLN_MS(1500));
}

static void two_random_sides_end_within_a_second_and_64_packets(void **state) {
    (void)state;
    setting s = {.a = &nat_edm_random, .b = &nat_edm_random, .delay_ms = 10, .skew_ms = 20};
    for (uint64_t seed = 1; seed <= 10; seed++) {
        nat_world *world = world_of(&s, seed, false);
        pln_ts start = world->now;
        nat_world_run(world, PLN_S(10));
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(world->hosts[i].last_over.end, PLN_PUNCH_HOPELESS);
            assert_in_range(world->hosts[i].packets_sent, 1, 64);
            assert_int_equal(world->hosts[i].opens, 0);
        }
        assert_true(world->now - start <= PLN_S(1));
        nat_world_destroy(world);
    }
}

/* ---- Other places ---------------------------------------------------------------------------- */

static void two_hosts_behind_one_nat_meet_on_their_lan(void **state) {
    (void)state;
    static const nat_kind *const kinds[] = {&nat_plain, &nat_edm_random};
    for (size_t i = 0; i < 2; i++) {
        nat_world *world = nat_world_create(i + 1, kinds[i], NULL);
        nat_world_plan(world, 0, PLN_S(3));
        for (size_t k = 0; k < 2; k++) {
            pln_punch_plan *plan = &world->hosts[k].plan;
            plan->targets[plan->target_count++] =
                (pln_punch_target){.addr = world->hosts[1 - k].local, .kind = PLN_TARGET_LAN};
        }
        nat_world_run(world, PLN_S(10));
        assert_true(nat_world_connected(world));
        assert_true(pollen_addr_equal(&world->hosts[0].session.remote, &world->hosts[1].local));
        nat_world_destroy(world);
    }
}

static void where_udp_is_dropped_the_deadline_ends_it(void **state) {
    (void)state;
    setting s = {.a = &nat_edm_random, .b = &nat_plain, .delay_ms = 10};
    nat_world *world = world_of(&s, 1, false);
    world->filter_udp = true;
    nat_world_run(world, PLN_S(10));
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(world->hosts[i].last_over.end, PLN_PUNCH_DEADLINE);
        assert_in_range(world->hosts[i].packets_sent, 1000, 2700);
        assert_in_range(nat_world_entries(world, i), 1, 1300);
    }
    assert_int_equal(nat_world_leaks(world), 0);
    nat_world_destroy(world);
}

static void a_run_follows_from_its_seed(void **state) {
    (void)state;
    setting s = {.a = &nat_edm_random, .b = &nat_plain, .delay_ms = 10, .loss_percent = 5};
    for (uint64_t seed = 1; seed <= 5; seed++) {
        nat_world *one = world_of(&s, seed, false);
        nat_world *two = world_of(&s, seed, false);
        nat_world_run(one, PLN_S(10));
        nat_world_run(two, PLN_S(10));
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(one->hosts[i].connected_at, two->hosts[i].connected_at);
            assert_int_equal(one->hosts[i].packets_sent, two->hosts[i].packets_sent);
            assert_true(pln_path_equal(&one->hosts[i].session, &two->hosts[i].session));
        }
        nat_world_destroy(one);
        nat_world_destroy(two);
    }
}

/* ---- The reference --------------------------------------------------------------------------- */

enum { MEETINGS = 50 };

typedef enum sides { BOTH_REFERENCE, OURS_KNOWN, OURS_UNKNOWN } sides;

/* How often a host behind `ours` meets one of the reference behind `theirs`. */
static size_t meet_reference(const nat_kind *ours, const nat_kind *theirs, sides which) {
    size_t connected = 0;
    for (size_t i = 0; i < MEETINGS; i++) {
        nat_world *world = nat_world_create(i + 1, ours, theirs);
        world->delay = PLN_MS(20);
        nat_world_plan(world, 0, PLN_S(3));
        nat_host *late = &world->hosts[i % 2];
        late->punch_at += PLN_MS(10);
        late->plan.at += PLN_MS(10);
        nat_world_set_reference(world, 1);
        if (which == BOTH_REFERENCE) {
            nat_world_set_reference(world, 0);
        } else if (which == OURS_UNKNOWN) {
            world->hosts[0].plan.ours = (pln_nat_brief){.port_count = 0};
        }
        nat_world_run(world, PLN_S(10));
        connected += nat_world_connected(world);
        nat_world_destroy(world);
    }
    return connected;
}

static void the_reference_is_met_at_least_as_often_as_it_meets_itself(void **state) {
    (void)state;
    static const nat_kind *const kinds[] = {&nat_plain, &nat_plainopen, &nat_adf, &nat_edm_random};
    for (size_t a = 0; a < 4; a++) {
        for (size_t b = 0; b < 4; b++) {
            size_t own = meet_reference(kinds[a], kinds[b], BOTH_REFERENCE);
            assert_true(meet_reference(kinds[a], kinds[b], OURS_KNOWN) >= own);
            assert_true(meet_reference(kinds[a], kinds[b], OURS_UNKNOWN) >= own);
        }
    }
}

static void a_hard_side_meets_a_plain_reference_nine_times_in_ten(void **state) {
    (void)state;
    size_t own = meet_reference(&nat_edm_random, &nat_plain, BOTH_REFERENCE);
    size_t ours = meet_reference(&nat_edm_random, &nat_plain, OURS_KNOWN);
    print_message("  %zu of %d, the reference %zu\n", ours, MEETINGS, own);
    assert_in_range(ours, MEETINGS * 9 / 10, MEETINGS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(easy_pairs_always_connect_in_half_a_second),
        cmocka_unit_test(far_apart_they_take_round_trips_more),
        cmocka_unit_test(late_starts_and_losses_are_made_up_for),
        cmocka_unit_test(nats_that_accept_anything_need_openers),
        cmocka_unit_test(a_message_to_begin_that_was_lost_is_made_up_for),
        cmocka_unit_test(a_port_that_was_taken_is_gone_around),
        cmocka_unit_test(unknown_easy_pairs_connect_before_anything_costly),
        cmocka_unit_test(random_and_plain_meet_by_birthday),
        cmocka_unit_test(a_round_trip_of_80_ms_leaves_time_for_a_birthday_in_half_a_second),
        cmocka_unit_test(what_becomes_known_on_the_way_loses_no_time),
        cmocka_unit_test(random_and_open_nats_meet_by_birthday),
        cmocka_unit_test(a_carrier_s_nat_is_met_before_a_spray_is_over),
        cmocka_unit_test(losses_do_not_keep_a_birthday_from_happening),
        cmocka_unit_test(random_and_open_filters_need_no_birthday),
        cmocka_unit_test(sequential_and_plain_meet_by_prediction),
        cmocka_unit_test(a_moved_counter_falls_back_to_a_birthday),
        cmocka_unit_test(unknown_and_hard_meet_by_doing_both),
        cmocka_unit_test(forty_descriptors_do_for_a_birthday),
        cmocka_unit_test(two_sequential_sides_meet_in_spite_of_other_flows),
        cmocka_unit_test(flows_of_a_busy_household_do_not_keep_them_apart),
        cmocka_unit_test(two_random_sides_end_within_a_second_and_64_packets),
        cmocka_unit_test(two_hosts_behind_one_nat_meet_on_their_lan),
        cmocka_unit_test(where_udp_is_dropped_the_deadline_ends_it),
        cmocka_unit_test(a_run_follows_from_its_seed),
        cmocka_unit_test(the_reference_is_met_at_least_as_often_as_it_meets_itself),
        cmocka_unit_test(a_hard_side_meets_a_plain_reference_nine_times_in_ten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
