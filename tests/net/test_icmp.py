#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that no ICMP error, of whatever kind, costs a socket, a punch or a session, or fills a log.

    tests/net/test_icmp.py PLN [unittest arguments]

Two real nodes meet through NATs while every single datagram of both, from their main sockets as from those of a punch,
is answered with an error.  Needs root; without it, or without namespaces, it ends with 77.
"""
import argparse
import json
import os
import sys
import tempfile
import unittest

import icmp
import space
import trial

PLN = ""
TRIES = 3  # A birthday may fail; three in a row do not.
PINGS = 5
LINES_MAX = 200  # Of a log with all details; there are a thousand errors or so.


class Bench(trial.Bench):
    """Trials amid complaints; those that succeed go on for a while."""

    kinds = ()

    def trial(self, number):
        complainers = [icmp.Complainer(site, self.kinds) for site in (self.place.a, self.place.b)]
        before = [self._heard(item.site) for item in complainers]
        try:
            result = super().trial(number)
        finally:
            for item in complainers:
                item.close()
        result["to_main"] = [item.to_main for item in complainers]
        result["to_others"] = sum(item.to_others for item in complainers)
        result["heard"] = [self._heard(item.site) - early for item, early in zip(complainers, before, strict=True)]
        result["malformed"] = sum(item.site.space.counted("Icmp", "InCsumErrors") for item in complainers)
        return result

    @staticmethod
    def _heard(site):
        return site.space.counted("Icmp", "InMsgs")

    def _until_direct(self, nodes, ids, begun, result):
        super()._until_direct(nodes, ids, begun, result)
        if result["direct"]:
            result["pings"] = [self._ping(nodes["a"], ids[1]), self._ping(nodes["b"], ids[0])]
            result["lines"] = [len(nodes[side].log_text().splitlines()) for side in "ab"]
            result["still"] = [nodes["a"].path(ids[1]), nodes["b"].path(ids[0])]

    @staticmethod
    def _ping(node, peer):
        lines = node.run("ping", peer, "--count", PINGS, "--interval", "20ms", "--json").splitlines()
        return sum(json.loads(line)["ok"] for line in lines)


class Complaints(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(dir=space.SCRATCH)  # pylint: disable=consider-using-with
        os.chmod(cls.folder.name, 0o755)
        trial.Ours.log_level = "debug"
        cls.cluster = trial.Cluster(cls.folder.name, trial.programs(PLN, None, "none"), 3)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def bench(self, *pair):
        options = argparse.Namespace(forward=(), patience=60, settle=20, limit=60.0, keep=None, seed=1, noise=0)
        made = Bench(pair, self.cluster, os.path.join(self.folder.name, "-".join(pair)), options)
        self.addCleanup(made.close)
        return made

    def endures(self, bench, *kinds):
        """A trial amid errors of these kinds."""
        bench.kinds = kinds
        for number in range(TRIES):
            result = bench.trial(number)
            if result["direct"]:
                break
        self.assertTrue(result["direct"], result)
        self.assertEqual(result["pings"], [PINGS, PINGS], "the session goes on")
        self.assertNotIn(None, result["still"])
        self.assertLessEqual(max(result["lines"]), LINES_MAX)
        self.assertTrue(min(result["to_main"]) > 10, result)
        for heard, sent in zip(result["heard"], result["to_main"], strict=True):
            self.assertGreater(heard, sent / 2, "the kernel took them in")  # Its queues may overflow.
        self.assertEqual(result["malformed"], 0)
        return result

    def test_many_sockets_through_a_hard_nat_amid_every_kind_of_v4(self):
        bench = self.bench("plain", "edm_random")
        for name, kind in icmp.V4.items():
            with self.subTest(name):
                self.assertGreater(self.endures(bench, kind)["to_others"], 10)

    def test_main_sockets_amid_all_kinds_by_turns(self):
        self.endures(self.bench("plain", "plain"), *icmp.V4.values())

    def test_v6_amid_every_kind(self):
        bench = self.bench("v6", "v6")
        for name, kind in icmp.V6.items():
            with self.subTest(name):
                self.endures(bench, kind)


if __name__ == "__main__":
    PLN = space.program(__doc__)
    unittest.main(verbosity=2)
