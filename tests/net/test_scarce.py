#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that a node that cannot have the sockets it would like meets its peer all the same.

    tests/net/test_scarce.py PLN [unittest arguments]

Needs root; without it, or without namespaces, it ends with 77.
"""
import argparse
import os
import shutil
import sys
import tempfile
import unittest

import space
import trial
from nodes import Ours

PLN = ""
TRIALS = 2
DESCRIPTORS, PORTS = 64, 100
PAIR = ("plain", "edm_random")  # Many sockets are wanted on the hard side.


class FewDescriptors(Ours):
    """ulimit -n 64"""

    kind = "few"
    prefix = ("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}")


class Scarce(unittest.TestCase):
    def meets(self, node_class, pair, prepare=lambda site: None):
        """Every trial ends with a direct session.  Returns how many sockets a punch had to do without, at most."""
        options = argparse.Namespace(forward=(), patience=60, settle=20, limit=280.0, keep=None, seed=1, noise=0)
        refused = 0
        with tempfile.TemporaryDirectory(dir=space.SCRATCH) as folder:
            os.chmod(folder, 0o755)
            roles = {"r1": (Ours, PLN), "a": (node_class, PLN), "b": (node_class, PLN)}
            bench = Bench(pair, trial.Cluster(folder, roles, 3), os.path.join(folder, "bench"), options)
            self.addCleanup(bench.close)
            for site in (bench.place.a, bench.place.b):
                prepare(site)
            for number in range(TRIALS):
                result = bench.trial(number)
                self.assertTrue(result["direct"], result)
                refused = max(refused, result["refused"])
        return refused

    @unittest.skipUnless(shutil.which("prlimit"), "prlimit is missing: install util-linux")
    def test_with_few_descriptors(self):
        self.assertGreater(self.meets(FewDescriptors, PAIR), 0)

    def test_when_sockets_cannot_be_bound(self):
        def leave_few_ports(site):
            site.space.set(ipv4__ip_local_port_range=f"50000 {50000 + PORTS - 1}")
        self.assertGreater(self.meets(Ours, PAIR, leave_few_ports), 0)


class Bench(trial.Bench):
    """Trials that look at how many sockets a punch had to do without, which the log tells."""

    def _until_direct(self, nodes, ids, begun, result):
        super()._until_direct(nodes, ids, begun, result)
        lines = [line.split() for side in "ab" for line in nodes[side].log_text().splitlines() if " refused" in line]
        result["refused"] = max((int(line[-2]) for line in lines), default=0)


if __name__ == "__main__":
    PLN = space.program(__doc__)
    unittest.main(verbosity=2)
