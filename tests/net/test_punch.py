#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The punching engine through real NATs, without nodes: its verdict on each, and a way through each kind of pair.

    tests/net/test_punch.py PUNCHER [unittest arguments]

PUNCHER is the program built from puncher.c.  Needs root; without it, or without namespaces, it ends with 77.
"""
import argparse
import sys
import unittest

import engine
import space

PUNCHER = ""
TRIES = 3  # A birthday may fail; three in a row do not.
NONE, EASY, HARD = "1", "2", "3"
UNKNOWN, PRESERVING, SEQUENTIAL, RANDOM = "0", "1", "2", "3"


class Case(unittest.TestCase):
    def bench(self, *pair):
        options = argparse.Namespace(puncher=PUNCHER, publics=3, seed=1, limit=20.0, skew=20.0, noise=0, forward=())
        made = engine.Bench(pair, options)
        self.addCleanup(made.close)
        return made

    def punch(self, *pair):
        """The first result that is a success, or the last one."""
        bench = self.bench(*pair)
        for number in range(TRIES):
            result = bench.trial(number)
            if result["direct"]:
                break
        return result


class Verdict(Case):
    def verdict(self, site):
        """mapping, allocation, step"""
        bench = self.bench(site, "public")
        side = engine.Side(PUNCHER, bench.place.a, 1)
        self.addCleanup(side.close)
        return tuple(bench.verdict(side)[:3])

    def test_each_model_is_known_for_what_it_is(self):
        expected = {
            "public": (NONE, PRESERVING, "0"),
            **{site: (EASY, PRESERVING, "0") for site in ("plain", "plainopen", "plainreject", "apdf", "adf", "eif",
                                                          "cgn")},
            **{site: (HARD, RANDOM, "0") for site in ("edm_random", "cgn_hard")},
            "edm_seq": (HARD, SEQUENTIAL, "1"),
            "edm_stride256": (HARD, SEQUENTIAL, "256"),
        }
        for site, wanted in expected.items():
            with self.subTest(site):
                for _ in range(TRIES):
                    seen = self.verdict(site)
                    if seen[1] != UNKNOWN:
                        break
                    # Two ports that were drawn may lie side by side, which could be steps as well.
                    self.assertEqual((seen[0], wanted[1]), (HARD, RANDOM))
                self.assertEqual(seen, wanted)


class Punch(Case):
    def test_pairs_meet_by_the_cheapest_method_that_can_work(self):
        for pair, methods in (
            (("plain", "plain"), {"open"}),
            (("plainopen", "plainopen"), {"open"}),
            (("adf", "edm_random"), {"open"}),
            (("cgn", "cgn"), {"open"}),
            (("apdf", "edm_seq"), {"open", "predict"}),
            (("edm_seq", "edm_seq"), {"scatter"}),
            (("edm_seq", "edm_stride256"), {"scatter"}),
            (("apdf", "edm_random"), {"birthday"}),
            (("edm_random", "plainopen"), {"birthday"}),
            (("cgn", "cgn_hard"), {"birthday"}),
            (("lan",), {"open"}),
            (("hairpin",), {"open"}),
            (("v6", "v6"), {"open"}),
        ):
            with self.subTest(pair):
                result = self.punch(*pair)
                self.assertTrue(result["direct"], result)
                self.assertIn(result["method"], methods)

    def test_a_hopeless_pair_costs_few_probes(self):
        bench = self.bench("edm_random", "edm_random")
        result = bench.trial(0)
        self.assertFalse(result["direct"])
        self.assertEqual([end[0] for end in result["ends"]], ["hopeless", "hopeless"])
        self.assertTrue(all(int(end[2]) <= 32 for end in result["ends"]), result["ends"])


if __name__ == "__main__":
    PUNCHER = space.program(__doc__)
    unittest.main()
