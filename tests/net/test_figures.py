#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that what is said of figures is what was measured; no namespaces, no root."""
import os
import tempfile
import unittest

import demands
import tally


def good(seconds, pair=("plain", "plain"), flows=4):
    return {"pair": list(pair), "direct": True, "seconds": seconds, "flows": flows, "why": None}


BAD = {"pair": ["plain", "plain"], "direct": False, "flows": 4, "why": "no"}


def judged(demand, results, delay=0):
    value = demand.reached(results)
    return value, demand.met(value, delay)


class Demands(unittest.TestCase):
    def test_a_share_counts_every_trial(self):
        self.assertEqual(judged(demands.direct(99), [good(1)] * 99 + [BAD]), (99, True))
        self.assertEqual(judged(demands.direct(99), [good(1)] * 98 + [BAD] * 2), (98, False))

    def test_what_came_too_late_is_not_in_time(self):
        self.assertEqual(judged(demands.direct_within(100, 5), [good(5), good(5.001)]), (50, False))

    def test_a_quantile_is_of_those_that_were_direct(self):
        results = [good(0.1)] * 94 + [good(0.5)] * 6
        self.assertEqual(judged(demands.quantile(50, 0.1), results), (0.1, True))
        self.assertEqual(judged(demands.quantile(95, 0.4), results), (0.5, False))
        self.assertEqual(judged(demands.quantile(50, 9), [BAD]), (None, False))

    def test_a_delay_may_add_round_trips_where_that_is_said(self):
        self.assertTrue(demands.quantile(95, 0.5, round_trips=2).met(0.66, 40))
        self.assertFalse(demands.quantile(95, 0.5, round_trips=2).met(0.661, 40))
        self.assertFalse(demands.quantile(95, 0.5).met(0.51, 40))

    def test_entries_are_those_of_the_worst_trial_of_the_pairs_that_are_meant(self):
        results = [good(1, flows=9), good(1, ("adf", "edm_random"), 12)]
        self.assertEqual(judged(demands.entries(8), results), (12, False))
        self.assertEqual(judged(demands.entries(12, ("adf",)), results), (12, True))

    def test_a_pair_is_given_up_by_both_sides_or_not_at_all(self):
        ended = {"pair": [], "ends": [["hopeless"], ["hopeless"]], "over_seconds": [0.8, 0.9]}
        demand = demands.hopeless_within(1)
        self.assertEqual(judged(demand, [ended]), (0.9, True))
        late = ended | {"ends": [["hopeless"], ["deadline"]]}
        self.assertEqual(judged(demand, [ended, late]), (None, False))


class Tally(unittest.TestCase):
    ROW = demands.Row("punch", "a row", [("plain", "adf")], [demands.direct(100)])

    def test_trials_are_kept_and_not_made_again(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "out")
            tally.Results(path).add(self.ROW, 40, ("adf", "plain"), 3, good(1))
            again = tally.Results(path)
            self.assertTrue(again.has(self.ROW, 40, ("adf", "plain"), 3))
            for other in ((0, ("adf", "plain"), 3), (40, ("plain", "adf"), 3), (40, ("adf", "plain"), 2)):
                self.assertFalse(again.has(self.ROW, *other))
            self.assertEqual(len(again.of(self.ROW, 40, ("plain", "adf"))), 1)

    def test_every_figure_gets_a_line_and_misses_are_counted(self):
        results = tally.Results(None)
        todo = [(self.ROW, delay, ("plain", "adf"), range(1)) for delay in (0, 40)]
        results.add(self.ROW, 0, ("plain", "adf"), 0, BAD)
        lines, missed = tally.verdicts(todo, results)
        self.assertEqual(missed, 1)
        self.assertIn("MISS", lines[1])
        self.assertIn("not measured", lines[2])


if __name__ == "__main__":
    unittest.main()
