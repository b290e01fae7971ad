/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two nodes behind NATs that know one public node and nobody else (or two, so that they know what
 * NAT they sit behind): the time from the second one's
 * session with that node to their own direct session.  A table is printed; bounds that are held are
 * those a user would miss.
 *
 * POLLEN_SIM_SEEDS=n runs n seeds a pair, POLLEN_SEED=n that one alone.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "world.h"

enum { SEEDS = 10, SEEDS_MAX = 100000 };
enum { ROOT = 0, SETTLE_S = 1 };

static const sim_link wan = {.delay = PLN_MS(20), .jitter = PLN_MS(2), .mtu = 1472};
static const sim_link far = {.delay = PLN_MS(40), .jitter = PLN_MS(2), .mtu = 1472};
static const sim_link lossy = {
    .delay = PLN_MS(20), .jitter = PLN_MS(2), .loss_ppm = 100000, .mtu = 1472};

static size_t seeds(void) {
    const char *text = getenv("POLLEN_SIM_SEEDS");
    const long n = text == NULL ? SEEDS : strtol(text, NULL, 10);
    return n > 0 && n < SEEDS_MAX ? (size_t)n : SEEDS;
}

static bool meets_root(sim_world *world, void *node) {
    return sim_pair_settled(world, ROOT, *(const size_t *)node);
}

/* The newest two. */
static bool pair_settled(sim_world *world, void *unused) {
    (void)unused;
    return sim_pair_settled(world, sim_node_count(world) - 2, sim_node_count(world) - 1);
}

/* The root, and others that stand in the open. */
static void add_public(sim_world *world, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const size_t node = sim_add_node(world);
        if (node != ROOT) {
            sim_keep(world, node, ROOT);
        }
    }
}

static bool add_behind(sim_world *world, sim_nat_kind kind) {
    size_t node = sim_add_node_behind(world, sim_add_nat(world, kind, SIM_CORE));
    sim_keep(world, node, ROOT);
    return sim_run_until(world, meets_root, &node, PLN_S(10));
}

typedef struct story {
    const sim_link *link;
    size_t publics;
    sim_nat_kind first, second;
    pln_dur limit;
} story;

/* How long it took; PLN_TS_NEVER when it did not succeed in time. */
static pln_dur meet(uint64_t seed, const story *s) {
    sim_world *world = sim_world_create(seed, s->link);
    sim_world_gossip(world);
    add_public(world, s->publics);
    pln_dur took = PLN_TS_NEVER;
    if (add_behind(world, s->first)) {
        sim_run(world, PLN_S(SETTLE_S));
        if (add_behind(world, s->second)) {
            const pln_ts from = sim_world_now(world);
            if (sim_run_until(world, pair_settled, NULL, s->limit)) {
                took = pln_ts_since(from, sim_world_now(world));
            }
        }
    }
    sim_world_destroy(world);
    return took;
}

static int compare(const void *a, const void *b) {
    const pln_dur x = *(const pln_dur *)a, y = *(const pln_dur *)b;
    return (x > y) - (x < y);
}

typedef struct outcome {
    size_t runs, met;
    pln_dur p50, p95, worst;
} outcome;

static outcome measure(const story *s) {
    uint64_t only = 0;
    const size_t runs = sim_env_seed(&only) ? 1 : seeds();
    pln_dur *times = calloc(runs, sizeof *times);
    assert_non_null(times);
    outcome ret = {.runs = runs};
    for (size_t i = 0; i < runs; i++) {
        const uint64_t seed = runs == 1 && only != 0 ? only : i + 1;
        const pln_dur took = meet(seed, s);
        if (took == PLN_TS_NEVER) {
            printf("  seed %" PRIu64 " did not meet\n", seed);
        } else {
            times[ret.met++] = took;
        }
    }
    qsort(times, ret.met, sizeof *times, compare);
    if (ret.met > 0) {
        ret.p50 = times[ret.met / 2];
        ret.p95 = times[ret.met * 95 / 100];
        ret.worst = times[ret.met - 1];
    }
    free(times);
    printf("  %-14s %-14s %zu of %zu  p50 %.3f s  p95 %.3f s  worst %.3f s\n",
           sim_nat_kind_name(s->first), sim_nat_kind_name(s->second), ret.met, ret.runs,
           (double)ret.p50 / 1e9, (double)ret.p95 / 1e9, (double)ret.worst / 1e9);
    return ret;
}

static void assert_all_meet(const story *s) {
    const outcome result = measure(s);
    assert_int_equal(result.met, result.runs);
}

/* ---- Easy and easy --------------------------------------------------------------------------- */

static const sim_nat_kind easy[] = {SIM_NAT_PLAIN, SIM_NAT_PLAIN_OPEN, SIM_NAT_PLAIN_REJECT,
                                    SIM_NAT_APDF,  SIM_NAT_ADF,        SIM_NAT_EIF};
enum { EASY = sizeof easy / sizeof easy[0] };

static void test_easy_meets_easy(void **state) {
    (void)state;
    for (size_t i = 0; i < EASY; i++) {
        for (size_t k = 0; k < EASY; k++) {
            assert_all_meet(&(story){&wan, 1, easy[i], easy[k], PLN_S(5)});
        }
    }
}

static void test_easy_meets_easy_at_ten_percent_loss(void **state) {
    (void)state;
    assert_all_meet(&(story){&lossy, 1, SIM_NAT_APDF, SIM_NAT_APDF, PLN_S(8)});
    assert_all_meet(&(story){&lossy, 1, SIM_NAT_PLAIN, SIM_NAT_EIF, PLN_S(8)});
}

/* A coordinator that waited for gossip, a probe's answer before the handshake, or a pause that a
 * shorter way does not need: each would be over it. */
static void test_easy_meets_easy_within_three_round_trips(void **state) {
    (void)state;
    for (size_t i = 0; i < EASY; i++) {
        const outcome result = measure(&(story){&far, 1, easy[i], easy[EASY - 1 - i], PLN_S(5)});
        assert_int_equal(result.met, result.runs);
        assert_in_range(result.worst, 0, PLN_MS(250));
    }
}

/* ---- Hard and easy --------------------------------------------------------------------------- */

static void test_hard_meets_easy(void **state) {
    (void)state;
    for (size_t i = 0; i < EASY; i++) {
        assert_all_meet(&(story){&wan, 1, SIM_NAT_EDM_RANDOM, easy[i], PLN_S(10)});
        assert_all_meet(&(story){&wan, 1, easy[i], SIM_NAT_EDM_RANDOM, PLN_S(10)});
    }
}

static void test_hard_meets_easy_when_both_know(void **state) {
    (void)state;
    assert_all_meet(&(story){&far, 3, SIM_NAT_PLAIN, SIM_NAT_EDM_RANDOM, PLN_S(3)});
    assert_all_meet(&(story){&far, 3, SIM_NAT_EDM_RANDOM, SIM_NAT_APDF, PLN_S(3)});
    assert_all_meet(&(story){&wan, 3, SIM_NAT_EDM_RANDOM, SIM_NAT_APDF, PLN_S(10)});
    assert_all_meet(&(story){&wan, 3, SIM_NAT_PLAIN, SIM_NAT_EDM_RANDOM, PLN_S(10)});
}

static void test_sequential_meets_easy(void **state) {
    (void)state;
    assert_all_meet(&(story){&wan, 1, SIM_NAT_EDM_SEQ, SIM_NAT_APDF, PLN_S(10)});
    assert_all_meet(&(story){&wan, 3, SIM_NAT_APDF, SIM_NAT_EDM_SEQ, PLN_S(10)});
}

/* ---- Hard and hard --------------------------------------------------------------------------- */

static void test_sequential_meets_sequential(void **state) {
    (void)state;
    assert_all_meet(&(story){&wan, 3, SIM_NAT_EDM_SEQ, SIM_NAT_EDM_SEQ, PLN_S(30)});
}

static void test_random_and_random_do_not_meet(void **state) {
    (void)state;
    const outcome result =
        measure(&(story){&wan, 3, SIM_NAT_EDM_RANDOM, SIM_NAT_EDM_RANDOM, PLN_S(20)});
    assert_int_equal(result.met, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_easy_meets_easy),
        cmocka_unit_test(test_easy_meets_easy_at_ten_percent_loss),
        cmocka_unit_test(test_easy_meets_easy_within_three_round_trips),
        cmocka_unit_test(test_hard_meets_easy),
        cmocka_unit_test(test_hard_meets_easy_when_both_know),
        cmocka_unit_test(test_sequential_meets_easy),
        cmocka_unit_test(test_sequential_meets_sequential),
        cmocka_unit_test(test_random_and_random_do_not_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
