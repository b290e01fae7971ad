/* SPDX-License-Identifier: Apache-2.0 */
/* When a certificate is renewed, and when that is tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/renewal_plan.h"

enum { ISSUED = 1770000000, BACKDATED = ISSUED - 60, YEAR = 365 * 86400 };

static pln_rng_seeded seeded;

static pln_renewal_plan plan_of(uint32_t jitter) {
    pln_rng rng = pln_rng_from_seed(&seeded, 1);
    pln_renewal_plan plan;
    pln_renewal_plan_init(&plan, &rng);
    assert_true(plan.jitter < PLN_RENEWAL_PARTS);
    plan.jitter = jitter;
    return plan;
}

static bool is_due(const pln_renewal_plan *plan, int64_t life, int64_t after) {
    return pln_renewal_plan_is_due(plan, BACKDATED, ISSUED + life, ISSUED + after);
}

static void a_third_before_the_end_it_is_due(void **state) {
    (void)state;
    static const int64_t lives[] = {9, 600, 3600, 86400, YEAR};
    pln_renewal_plan plan = plan_of(0);
    for (size_t i = 0; i < 5; i++) {
        int64_t due = lives[i] - lives[i] / 3;
        assert_false(is_due(&plan, lives[i], due - 1));
        assert_true(is_due(&plan, lives[i], due));
        assert_true(is_due(&plan, lives[i], lives[i]));
        assert_true(is_due(&plan, lives[i], lives[i] + 86400)); /* Also after the end. */
    }
}

static void a_share_drawn_for_each_makes_it_earlier_by_a_thirtieth_at_most(void **state) {
    (void)state;
    pln_renewal_plan late = plan_of(0), early = plan_of(PLN_RENEWAL_PARTS - 1);
    assert_false(is_due(&late, 3000, 1999));
    assert_false(is_due(&early, 3000, 1900));
    assert_true(is_due(&early, 3000, 1901));
    assert_false(is_due(&early, YEAR, YEAR / 3 * 2 - 7 * 86400)); /* A week at most. */
}

static void windows_at_the_ends_of_time_overflow_nothing(void **state) {
    (void)state;
    pln_renewal_plan plan = plan_of(PLN_RENEWAL_PARTS - 1);
    pln_rng rng = pln_rng_from_seed(&seeded, 1);
    assert_false(pln_renewal_plan_is_due(&plan, BACKDATED, INT64_MAX, ISSUED));
    assert_false(pln_renewal_plan_is_due(&plan, INT64_MIN, INT64_MAX, ISSUED));
    assert_true(pln_renewal_plan_is_due(&plan, INT64_MIN, INT64_MIN, ISSUED));
    assert_true(pln_renewal_plan_is_due(&plan, INT64_MAX, INT64_MIN, ISSUED));
    assert_true(pln_renewal_plan_is_due(&plan, INT64_MAX, INT64_MAX, INT64_MAX));
    pln_renewal_plan_on_failed(&plan, INT64_MIN, INT64_MAX, &rng, PLN_TS_NEVER - 1);
    assert_false(pln_renewal_plan_may_ask(&plan, PLN_TS_NEVER - 1));
}

static void expect_wait(pln_renewal_plan *plan, int64_t life, pln_dur least) {
    pln_rng rng = pln_rng_from_seed(&seeded, least);
    const pln_ts now = PLN_S(5000);
    pln_renewal_plan_on_failed(plan, BACKDATED, ISSUED + life, &rng, now);
    assert_false(pln_renewal_plan_may_ask(plan, now + least - 1));
    assert_true(pln_renewal_plan_may_ask(plan, now + least + least / 4));
}

static void failures_are_spaced_ever_wider_up_to_a_twelfth_of_the_life(void **state) {
    (void)state;
    pln_renewal_plan year = plan_of(0), hour = plan_of(0), brief = plan_of(0);
    assert_true(pln_renewal_plan_may_ask(&year, 0));
    static const uint64_t year_s[] = {60, 120, 240, 480, 960, 1920, 3600, 3600};
    static const uint64_t hour_s[] = {60, 120, 240, 300, 300, 300, 300, 300};
    static const uint64_t brief_s[] = {1, 2, 4, 5, 5, 5, 5, 5};
    for (size_t i = 0; i < 8; i++) {
        expect_wait(&year, YEAR, PLN_S(year_s[i]));
        expect_wait(&hour, 3600, PLN_S(hour_s[i]));
        expect_wait(&brief, 9, PLN_S(brief_s[i]));
    }
    for (size_t i = 0; i < 100; i++) {
        expect_wait(&year, YEAR, PLN_S(3600));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_third_before_the_end_it_is_due),
        cmocka_unit_test(a_share_drawn_for_each_makes_it_earlier_by_a_thirtieth_at_most),
        cmocka_unit_test(windows_at_the_ends_of_time_overflow_nothing),
        cmocka_unit_test(failures_are_spaced_ever_wider_up_to_a_twelfth_of_the_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
