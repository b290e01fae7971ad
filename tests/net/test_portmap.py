#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that a node behind a real router that speaks PCP and NAT-PMP gets a port of it, and what that is good for.

    tests/net/test_portmap.py PLN [unittest arguments]

The router is miniupnpd, on the NAT of the laboratory.  Needs root; without it, or without namespaces or
miniupnpd, it ends with 77.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import space
from nodes import Failure, Ours, pause, wait_for
from topology import Topology

PLN = ""
LATE_S = 120


def shortest_life():
    """The shortest that miniupnpd can be told to grant at most and a node takes for a mapping: that of Debian 12 takes
    a minute, later ones two."""
    query = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "miniupnpd-nftables"],
                           capture_output=True, text=True, check=False)
    return 62 if query.stdout.startswith("2.3.1-") else 122


SHORT_S, LONG_S = shortest_life(), 1200  # The longer one is what a node asks for.
# No address of the documentation's ranges: miniupnpd refuses to map a port of any address that is not of the wide
# world.  It is so only within this namespace.
WAN, CORE = "11.0.0.2", "11.0.0.1"

_CHAINS = """
add rule ip nat passing ct status dnat accept
table inet miniupnpd {
  chain forward { type filter hook forward priority 0; policy accept; jump mapped; }
  chain mapped { }
  chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_mapped; }
  chain postrouting { type nat hook postrouting priority 110; policy accept; jump postrouting_mapped; }
  chain prerouting_mapped { }
  chain postrouting_mapped { }
}
"""
_CONFIGURATION = f"""
ext_ifname=wan
ext_ip={WAN}
listening_ip=lan
enable_natpmp=yes
enable_upnp=no
secure_mode=yes
system_uptime=no
uuid=00000000-0000-0000-0000-000000000000
min_lifetime={SHORT_S - 2}
upnp_table_name=miniupnpd
upnp_nat_table_name=miniupnpd
upnp_forward_chain=mapped
upnp_nat_chain=prerouting_mapped
upnp_nat_postrouting_chain=postrouting_mapped
allow 1024-65535 192.168.1.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""
_NO_PCP = """
table inet nopcp {
  chain own { type filter hook input priority -10; policy accept; udp dport 5351 @th,64,8 2 drop; }
}
"""


class Mapping(Ours):
    """A node that asks its router."""

    def options(self):
        return [*super().options(), "--port-mapping", "pcp"]

    def mapping(self):
        return json.loads(self.run("netcheck", "--json"))["port_mapping"]


class Router:
    """The daemon on the innermost router of a site."""

    def __init__(self, place, core, folder, lifetime):
        self.space, self.folder = place.routers[0][0], folder
        self.log = os.path.join(folder, "miniupnpd.log")
        self.configuration = os.path.join(folder, "miniupnpd.conf")
        with open(self.configuration, "w", encoding="ascii") as file:
            file.write(f"{_CONFIGURATION}max_lifetime={lifetime}\n")
        self.space.ip(["addr flush dev wan", f"addr add {WAN}/30 dev wan", f"route add default via {CORE}"], "-4")
        core.ip([f"addr add {CORE}/30 dev to-a"])
        self.space.nft(_CHAINS)
        self.start()

    def start(self):
        with open(self.log, "ab") as log, self.space.entered():
            self.process = subprocess.Popen(
                [_program(), "-d", "-f", self.configuration, "-P", os.path.join(self.folder, "miniupnpd.pid")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def restart(self):
        """As after a power cut: what it knew is gone."""
        self.close()
        for chain in ("mapped", "prerouting_mapped", "postrouting_mapped"):
            self.space.run("nft", "flush", "chain", "inet", "miniupnpd", chain)
        self.start()

    def close(self):
        self.process.kill()
        self.process.wait(10)

    def listens(self):
        if self.process.poll() is not None:
            raise Failure(f"miniupnpd ended: {self.text()}")
        return "Listening for NAT-PMP/PCP" in self.text()

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def forwards(self):
        """The ports that it forwards, as the kernel has them: {outer: (address, port)}."""
        rules = self.space.run("nft", "-n", "list", "chain", "inet", "miniupnpd", "prerouting_mapped")
        return {int(outer): (address, int(port)) for outer, address, port in
                re.findall(r"dport (\d+) .*?dnat ip to ([\d.]+):(\d+)", rules)}


def _program():
    return shutil.which("miniupnpd", path=os.environ.get("PATH", "") + ":/usr/sbin")


class Case(unittest.TestCase):
    def lab(self, *sites, lifetime=LONG_S):
        folder = tempfile.mkdtemp(prefix="pollen-net-")
        self.addCleanup(subprocess.run, ["rm", "-rf", folder], check=True)
        place = Topology(sites, 2)
        self.addCleanup(place.close)
        router = Router(place.a, place.core, folder, lifetime)
        self.addCleanup(router.close)
        wait_for("the router listens", router.listens, LATE_S)
        return folder, place, router

    def start(self, kind, at, folder, root):
        node = kind(PLN, at, folder)
        if root:
            node.join(root.invite())
        node.start()
        self.addCleanup(node.reap)
        self.addCleanup(node.kill)
        wait_for("the node is up", node.up, LATE_S)
        return node

    def mapped(self, node):
        def look():
            value = node.mapping()
            return value["state"] == "mapped" and value
        return wait_for("the port is mapped", look, LATE_S)

    def asked_anew_never(self, node):
        """What it had was kept all the time.  A router may answer before a busy node has told that it asks."""
        self.assertLessEqual(node.log_text().count("port mapping: asking"), 1)

    def test_a_port_is_mapped_used_renewed_and_given_back(self):
        # Both routers choose another port for every peer, at random, and there is no third node to introduce these
        # two: without a port that the router forwards they never meet.
        folder, place, router = self.lab("edm_random", "edm_random", lifetime=SHORT_S)
        node = self.start(Mapping, place.a, os.path.join(folder, "a"), None)
        value = self.mapped(node)
        made = time.monotonic()
        self.assertEqual(value, {"pcp": True, "nat_pmp": None, "upnp": None, "state": "mapped",
                                 "gateway_addr": "192.168.1.1:5351", "external_addr": f"{WAN}:{place.a.port}"})
        self.assertEqual(router.forwards(), {place.a.port: (place.a.address, place.a.port)})

        other = self.start(Ours, place.b, os.path.join(folder, "b"), node)
        _, path, addr = wait_for("a session with the other", lambda: other.peer(node.id()), LATE_S)
        self.assertEqual((path, addr), ("direct", f"{WAN}:{place.a.port}"))

        # Once its first life is over, only a renewal can have kept it.
        while time.monotonic() < made + SHORT_S + 5:
            pause(1)
            self.assertEqual(node.mapping()["state"], "mapped")
        self.assertEqual(set(router.forwards()), {place.a.port})
        self.asked_anew_never(node)

        node.run("down")
        self.assertEqual(router.forwards(), {})

    def test_members_that_are_introduced_are_told_of_it(self):
        folder, place, router = self.lab("edm_random", "edm_random")
        root = self.start(Ours, place.publics[0], os.path.join(folder, "r1"), None)
        node = self.start(Mapping, place.a, os.path.join(folder, "a"), root)
        self.mapped(node)
        wait_for("a session with the root", lambda: node.peer(root.id()), LATE_S)
        other = self.start(Ours, place.b, os.path.join(folder, "b"), root)
        # Dialled or aimed at, whichever came first: a pair that lacks it would only meet through others.
        session = wait_for("a session with the other", lambda: other.peer(node.id()), LATE_S)
        self.assertEqual(session[2], f"{WAN}:{place.a.port}")
        self.assertEqual(set(router.forwards()), {place.a.port})

    def test_a_router_that_restarts_is_asked_again(self):
        folder, place, router = self.lab("plain", "public")
        node = self.start(Mapping, place.a, os.path.join(folder, "a"), None)
        self.mapped(node)
        pause(8)  # its clock, by which a restart is known, is to be ahead of that of a router that has just started
        router.restart()
        # Not by renewal, which is due after ten minutes.
        wait_for("the port is mapped again", router.forwards, LATE_S)
        self.asked_anew_never(node)

    def test_a_node_that_was_killed_gets_its_port_again(self):
        folder, place, router = self.lab("plain", "public")
        node = self.start(Mapping, place.a, os.path.join(folder, "a"), None)
        self.mapped(node)
        node.kill()
        node.reap()
        self.assertEqual(set(router.forwards()), {place.a.port})
        node.start()
        wait_for("the node is up", node.up, LATE_S)
        self.assertEqual(self.mapped(node)["external_addr"], f"{WAN}:{place.a.port}")

    def test_nat_pmp_does_it_too(self):
        folder, place, router = self.lab("plain", "public")
        router.space.nft(_NO_PCP)
        node = self.start(Mapping, place.a, os.path.join(folder, "a"), None)
        value = self.mapped(node)
        self.assertEqual((value["pcp"], value["nat_pmp"]), (False, True))
        self.assertEqual(value["external_addr"], f"{WAN}:{place.a.port}")
        self.assertEqual(set(router.forwards()), {place.a.port})
        node.run("down")
        self.assertEqual(router.forwards(), {})

    def test_nobody_asks_unless_told(self):
        folder, place, router = self.lab("plain", "public")
        node = self.start(Ours, place.a, os.path.join(folder, "a"), None)
        value = json.loads(node.run("netcheck", "--json"))["port_mapping"]
        self.assertEqual((value["state"], value["pcp"], value["nat_pmp"]), ("off", None, None))
        self.assertEqual(router.forwards(), {})
        self.assertNotIn("request received", router.text())

    def test_without_a_router_there_is_nobody_to_ask(self):
        folder = tempfile.mkdtemp(prefix="pollen-net-")
        self.addCleanup(subprocess.run, ["rm", "-rf", folder], check=True)
        place = Topology(("public", "public"), 1)
        self.addCleanup(place.close)
        place.a.space.ip(["route del default"], "-4")
        node = self.start(Mapping, place.a, os.path.join(folder, "a"), None)
        wait_for("the route is looked for", lambda: node.mapping()["state"] == "no_router", LATE_S)


if __name__ == "__main__":
    PLN = space.program(__doc__)
    if _program() is None:
        space.skip("miniupnpd is missing: install miniupnpd-nftables")
    unittest.main(verbosity=2)
