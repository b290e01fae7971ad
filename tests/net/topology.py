# SPDX-License-Identifier: Apache-2.0
"""Two sites, some public hosts, and a routed core between them.

      a ── nat-a ──┐            ┌── nat-b ── b
                   ├─── core ───┤
      r1 ──────────┘            └────────── r2, r3 ...

A site is `public` (no router), a NAT model of nat.py, `cgn` or `cgn_hard` (a plain home router behind a
carrier's NAT, which is apdf or edm_random), or `v6` (global addresses behind a stateful firewall).  `lan` and
`hairpin` stand for both sites at once, behind one router: `lan` is one segment whose router does not hairpin,
`hairpin` two that see each other only through the router's public address.

The core has no default route: a packet to an address that nobody has dies there.  So does one that was sent with
TTL 2, from behind a NAT, where the core is the second router, as from a public host, where a rule stands in for it.
"""
import itertools
import subprocess
import time

import nat
from space import Failure, Space, make, remove, run

CARRIERS = {"cgn": "apdf", "cgn_hard": "edm_random"}
SITES = ("public", *(model for model in nat.MODELS if model != "firewall"), *CARRIERS, "v6")
SHARED = ("lan", "hairpin")
PORTS = {"a": 60611, "b": 60612}
PUBLIC_PORT = 60611
NOISE_PORT = 9  # Nobody listens there.
_ROUTER = {"ipv4__ip_forward": 1, "ipv6__conf__all__forwarding": 1}
_EVERYWHERE = {
    # A reply may leave by another link than the one it would be sent to.
    "ipv4__conf__all__rp_filter": 0, "ipv4__conf__default__rp_filter": 0,
    "ipv6__conf__all__accept_dad": 0, "ipv6__conf__default__accept_dad": 0,
    "ipv6__conf__default__autoconf": 0, "ipv6__conf__default__accept_ra": 0,
}


class Node:
    """Where a node stands: its namespace, its addresses, the routers before it (the innermost first)."""

    def __init__(self, space, port):
        self.space, self.port = space, port
        self.address = None       # as its own interface has it
        self.address6 = None      # a second one, of a public host
        self.wan_address = None   # as the core sees it
        self.routers = []         # (space, model)

    def make_noise(self, to, count):
        """So many flows that the host begins to somebody, as other programs on it do."""
        v6 = ":" in self.address
        for _ in range(count):
            with self.space.udp(host="::" if v6 else "0.0.0.0") as sock:
                sock.sendto(b"noise", (to.address6 if v6 else to.address, NOISE_PORT))


class Topology:
    made = itertools.count(1)

    def __init__(self, kinds, publics=3):
        """kinds: (site of a, site of b), or (one of SHARED,)."""
        self.kinds, self.tag = kinds, f"lab{next(Topology.made)}"
        self.spaces, self.cables, self.setup = [], [], {}
        self.firewalls = []
        self.forwarder, self.is_far = None, False
        self.core_links, self.public_links = [], []
        self.core = self._space("core")
        self.publics = [self._public(f"r{i + 1}", i) for i in range(publics)]
        if kinds[0] in SHARED:
            self.a, self.b = self._shared(kinds[0])
        else:
            self.a, self.b = (self._site(side, kind, i) for i, (side, kind) in enumerate(zip("ab", kinds, strict=True)))
        self._build()

    # -- Plans: names, cables, and what is to be configured where ---------------------------------------

    def _space(self, name):
        space = Space(f"{self.tag}-{name}")
        self.spaces.append(space)
        self.setup[space] = []
        return space

    def _cable(self, outer, outer_link, inner, inner_link, addresses, default=True):
        """addresses: (outer, inner) of each family, with their prefix length."""
        self.cables.append((outer, outer_link, inner, inner_link))
        for ours, theirs in addresses:
            self.setup[outer].append(f"addr add {ours} dev {outer_link}{_nodad(ours)}")
            self.setup[inner].append(f"addr add {theirs} dev {inner_link}{_nodad(theirs)}")
        self.setup[outer].append(f"link set {outer_link} up")
        self.setup[inner].append(f"link set {inner_link} up")
        if default:
            self.setup[inner] += [f"route add default via {_bare(ours)}" for ours, _ in addresses]

    def _to_core(self, inner, inner_link, name, v4_net, v4_at, v6_net):
        """A cable from the core; the public addresses of its inner end."""
        link = f"to-{name}"
        self.core_links.append(link)
        self._cable(self.core, link, inner, inner_link,
                    [(f"{v4_net}.{v4_at + 1}/30", f"{v4_net}.{v4_at + 2}/30"), (f"{v6_net}::1/64", f"{v6_net}::2/64")])
        return f"{v4_net}.{v4_at + 2}", f"{v6_net}::2"

    def _public(self, name, i):
        node = Node(self._space(name), PUBLIC_PORT)
        self.public_links.append(f"to-{name}")
        node.address, node.address6 = self._to_core(node.space, "eth0", name, "203.0.113", 4 * i, f"2001:db8:0:{i:x}")
        node.wan_address = node.address
        return node

    def _router(self, name, model, hairpin_address=None):
        space = self._space(name)
        self.firewalls.append((space, model, hairpin_address))
        return space

    def _site(self, side, kind, i):
        node = Node(self._space(side), PORTS[side])
        net6 = f"2001:db8:{side}:0"
        wan = ("198.51.100", 4 * i, net6)
        if kind == "public":
            self.public_links.append(f"to-{side}")
            node.address, _ = self._to_core(node.space, "eth0", side, *wan)
            node.wan_address = node.address
            return node
        if kind == "v6":
            router = self._router(f"nat-{side}", "firewall")
            _, outside = self._to_core(router, "wan", side, *wan)
            self._cable(router, "lan", node.space, "eth0", [(f"2001:db8:{side}:1::1/64", f"2001:db8:{side}:1::2/64")])
            self.setup[self.core].append(f"route add 2001:db8:{side}:1::/64 via {outside}")
            node.address = node.wan_address = f"2001:db8:{side}:1::2"
            node.routers = [(router, "firewall")]
            return node
        router = self._router(f"nat-{side}", "plain" if kind in CARRIERS else kind)
        node.routers = [(router, "plain" if kind in CARRIERS else kind)]
        if kind in CARRIERS:
            carrier = self._router(f"cgn-{side}", CARRIERS[kind])
            node.routers.append((carrier, CARRIERS[kind]))
            node.wan_address, _ = self._to_core(carrier, "wan", side, *wan)
            self._cable(carrier, "lan", router, "wan", [("100.64.0.1/24", "100.64.0.2/24")])
        else:
            node.wan_address, _ = self._to_core(router, "wan", side, *wan)
        # The same private network on both sides, as between most homes.
        node.address = f"192.168.1.{i + 2}"
        self._cable(router, "lan", node.space, "eth0", [("192.168.1.1/24", f"{node.address}/24")])
        return node

    def _shared(self, kind):
        a, b = (Node(self._space(side), PORTS[side]) for side in "ab")
        address = "198.51.100.2"
        router = self._router("nat-a", "apdf", address if kind == "hairpin" else None)
        self._to_core(router, "wan", "a", "198.51.100", 0, "2001:db8:a:0")
        if kind == "lan":
            switch = self._space("switch")
            self.setup[switch] += ["link add br0 type bridge", "link set br0 up"]
            self._cable(switch, "uplink", router, "lan", [], default=False)
            self.setup[switch].append("link set uplink master br0")
            self.setup[router].append("addr add 192.168.1.1/24 dev lan")
        for i, node in enumerate((a, b)):
            node.wan_address, node.routers = address, [(router, "apdf")]
            if kind == "lan":
                node.address = f"192.168.1.{i + 2}"
                self._cable(switch, f"port{i}", node.space, "eth0", [], default=False)
                self.setup[switch].append(f"link set port{i} master br0")
                self.setup[node.space] += [f"addr add {node.address}/24 dev eth0", "route add default via 192.168.1.1"]
            else:
                node.address = f"192.168.{i + 1}.2"
                self._cable(router, f"lan{i + 1}", node.space, "eth0",
                            [(f"192.168.{i + 1}.1/24", f"{node.address}/24")])
        return a, b

    # -- Doing it ---------------------------------------------------------------------------------------

    def _build(self):
        make(self.spaces, self.cables)
        routers = {self.core, *(space for space, _, _ in self.firewalls)}
        for space in self.spaces:
            space.set(**_EVERYWHERE, **(_ROUTER if space in routers else {}))
            # Routes last: they need the links that the other lines set up.
            lines = sorted(self.setup[space], key=lambda line: line.startswith("route"))
            space.ip(["link set lo up", *lines])
        self.core.nft(nat.one_more_hop(self.public_links))
        for space, model, hairpin in self.firewalls:
            space.nft(nat.rules(model, hairpin))

    def close(self):
        self.stop_forwarder()
        remove(self.spaces)

    def forget(self):
        """The NATs forget every flow and mapping, as after hours of silence."""
        for space, model, _ in self.firewalls:
            text = nat.reset(model)
            if text:
                space.nft(text)
            space.forget_flows()

    def become(self, models):
        """The routers turn into NATs of these models, in their order, and know nothing."""
        changed = []
        for (space, _, hairpin), model in zip(self.firewalls, models, strict=True):
            space.nft("flush ruleset\n" + nat.rules(model, hairpin))
            changed.append((space, model, hairpin))
        self.firewalls = changed
        self.forget()

    def routers(self):
        return [space for space, _, _ in self.firewalls]

    def start_forwarder(self, program, *options):
        """What crosses the core passes a process that delays, loses and reorders.

        Started again, it has lost what was under way, so that no trial hears the one before.
        """
        if not self.is_far:
            self._detour()
        self.stop_forwarder()
        with self.core.entered():
            self.forwarder = subprocess.Popen([program, "far", *map(str, options)], stdin=subprocess.DEVNULL,
                                              stdout=subprocess.PIPE, text=True)
        if self.forwarder.stdout.readline() != "ready\n":
            raise Failure(f"the forwarder does not start (exit status {self.forwarder.wait(5)})")
        self._await_link()

    def _await_link(self):
        """The kernel notices a moment later that somebody reads from the device, and drops what comes before."""
        end = time.monotonic() + 10
        while True:
            state = run("ip", "-n", self.core.name, "link", "show", "far")
            if "LOWER_UP" in state and "qdisc noop" not in state and "state DOWN" not in state:
                return
            if time.monotonic() > end:
                raise Failure(f"the forwarder's link does not come up: {state}")

    def _detour(self):
        self.is_far = True
        self.core.run("ip", "tuntap", "add", "dev", "far", "mode", "tun")
        self.core.ip(["link set far up txqueuelen 10000"])
        for family in ("-4", "-6"):
            self.core.ip([*(f"rule add iif {name} lookup 100 priority 100" for name in self.core_links),
                          "route add default dev far table 100"], family)

    def stop_forwarder(self):
        """What the forwarder counted."""
        if self.forwarder is None:
            return ""
        self.forwarder.terminate()
        counts, _ = self.forwarder.communicate(timeout=10)
        self.forwarder = None
        return counts.strip()


def _bare(address):
    return address.split("/")[0]


def _nodad(address):
    return " nodad" if ":" in address else ""
