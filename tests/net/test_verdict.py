#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that real nodes know which NAT they are behind, and say so: netcheck, doctor, status, wait.

    tests/net/test_verdict.py PLN [unittest arguments]

Needs root; without it, or without namespaces, it ends with 77.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import space
from nodes import Ours, wait_for
from topology import Topology

PLN = ""
LATE_S = 120
PUBLICS = 3


class Case(unittest.TestCase):
    def nodes(self, site):
        """The first node, of this site, with sessions with all public hosts; and its place."""
        folder = tempfile.mkdtemp(prefix="pollen-net-")
        self.addCleanup(subprocess.run, ["rm", "-rf", folder], check=True)
        place = Topology((site, "public"), PUBLICS)
        self.addCleanup(place.close)
        publics = self.publics = []
        for i in range(PUBLICS):
            root = publics[0] if publics else None
            publics.append(self.start(place.publics[i], os.path.join(folder, f"r{i}"), root))
        node = self.start(place.a, os.path.join(folder, "a"), publics[0])
        for public in publics:
            wait_for("a session with each public host", lambda p=public: node.peer(p.id()), LATE_S)
        return node, place

    def start(self, at, folder, root):
        node = Ours(PLN, at, folder)
        if root:
            node.join(root.invite())
        node.start()
        self.addCleanup(node.reap)
        self.addCleanup(node.kill)
        wait_for("the node is up", node.up, LATE_S)
        return node

    def verdict(self, node, mapping, *allocations):
        def look():
            value = json.loads(node.run("netcheck", "--json"))
            return value["mapping"] == mapping and value["allocation"] in allocations and value
        return wait_for(f"the verdict {mapping}, {allocations}", look, LATE_S)

    def doctor(self, node):
        checks = json.loads(node.run("doctor", "--json"))["checks"]
        return next((check["result"], check["message"]) for check in checks if check["check"] == "nat")

    def seen_at(self, value):
        return {addr.rpartition(":")[0] for addr in value["public_addrs"]}

    def test_no_nat(self):
        node, place = self.nodes("public")
        value = self.verdict(node, "none", "preserving")
        self.assertEqual(value["public_addrs"], [f"{place.a.address}:{place.a.port}"])
        self.assertEqual(self.doctor(node)[0], "pass")

    def test_an_easy_one_that_keeps_the_port(self):
        node, place = self.nodes("plain")
        value = self.verdict(node, "easy", "preserving")
        self.assertEqual(value["public_addrs"], [f"{place.a.wan_address}:{place.a.port}"])
        self.assertGreaterEqual(sum(item["role"] == "counted" for item in value["evidence"]), 2)
        result, message = self.doctor(node)
        self.assertEqual(result, "pass")
        self.assertTrue(message.startswith("easy"), message)

    def test_hard_ones(self):
        # Two ports that were drawn may lie side by side; then nobody can tell.
        for site, allocations in (("edm_random", ("random", "unknown")), ("edm_seq", ("sequential",))):
            with self.subTest(site):
                node, place = self.nodes(site)
                value = self.verdict(node, "hard", *allocations)
                self.assertEqual(self.seen_at(value), {place.a.wan_address})
                self.assertGreater(len(value["public_addrs"]), 1)
                result, message = self.doctor(node)
                self.assertEqual(result, "warn")
                self.assertTrue(message.startswith("hard"), message)

    def test_one_that_is_remembered(self):
        node, place = self.nodes("edm_random")
        self.verdict(node, "hard", "random", "unknown")
        wait_for("it is on disk", lambda: os.path.exists(os.path.join(node.dir, "nat.json")), LATE_S)
        node.run("down")
        node.reap()
        for public in self.publics[1:]:
            public.kill()
        node.start()
        wait_for("the node is up again", node.up, LATE_S)
        value = self.verdict(node, "hard", "random", "unknown")
        self.assertIsNotNone(value["remembered_at"])
        self.assertEqual(value["doubt"], "one")
        self.assertEqual(self.seen_at(value), {place.a.wan_address})
        self.assertIn("remembered    as of ", node.run("netcheck"))


if __name__ == "__main__":
    PLN = space.program(__doc__)
    unittest.main(verbosity=2)
