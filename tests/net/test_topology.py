#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that each NAT model behaves as its name says, before anything is measured on them.

    tests/net/test_topology.py FORWARDER [unittest arguments]

FORWARDER is the program built from forwarder.c.  Needs root; without it, or without namespaces, it ends with 77.
That a packet does not arrive is shown by a later one that does: the paths keep the order.
"""
import errno
import os
import socket
import sys
import unittest

import nat
import space
from nodes import pause
from topology import CARRIERS, Topology

FORWARDER = ""
WAIT_S = 10
IP_RECVERR, IP_RECVTTL = 11, 12  # from linux/in.h; the module does not name them
PORT, OTHER = 60611, 60612


class Mailbox:
    """A UDP socket and what came to it."""

    def __init__(self, node, port=0, any_address="0.0.0.0"):
        self.sock = node.space.udp(port, any_address)
        self.sock.settimeout(WAIT_S)
        self.port = self.sock.getsockname()[1]

    def send(self, text, address, port, ttl=64):
        self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        self.sock.sendto(text.encode(), (address, port))

    def get(self):
        """(text, (address, port)) of the next packet."""
        while True:
            try:
                data, source = self.sock.recvfrom(2048)
                return data.decode(), source[:2]
            except ConnectionRefusedError:
                continue

    def until(self, last):
        """The texts that came, up to this one."""
        texts = []
        while last not in texts:
            texts.append(self.get()[0])
        return texts

    def close(self):
        self.sock.close()


class Case(unittest.TestCase):
    def topology(self, *kinds, publics=3):
        made = Topology(kinds, publics)
        self.addCleanup(made.close)
        return made

    def box(self, node, port=0, any_address="0.0.0.0"):
        made = Mailbox(node, port, any_address)
        self.addCleanup(made.close)
        return made

    def seen_ports(self, host, observers):
        """The ports that each of the observers' mailboxes sees the host's socket at."""
        ports = []
        for node, box in observers:
            host.send("look", node.address, box.port)
            text, source = box.get()
            self.assertEqual(text, "look")
            ports.append(source[1])
        return ports


class Mapping(Case):
    def ports(self, model):
        lab = self.topology(model, "public")
        r1, r2, r3 = lab.publics
        host = self.box(lab.a, PORT)
        observers = [(r1, self.box(r1, PORT)), (r2, self.box(r2, PORT)), (r1, self.box(r1, OTHER)),
                     (r3, self.box(r3, PORT))]
        ports = self.seen_ports(host, observers)
        again = self.seen_ports(host, observers)
        self.assertEqual(ports, again, "a mapping does not change while it is used")
        return ports

    def test_easy_models_keep_one_port_for_everybody(self):
        for model in (*nat.EASY, *(name for name in CARRIERS if name == "cgn"), "public"):
            with self.subTest(model):
                self.assertEqual(self.ports(model), [PORT] * 4)

    def test_a_random_model_draws_a_port_for_each_destination(self):
        for model in ("edm_random", "cgn_hard"):
            with self.subTest(model):
                ports = self.ports(model)
                self.assertEqual(len(set(ports)), 4)
                self.assertTrue(all(1024 <= port <= 65535 for port in ports))
                steps = {later - earlier for earlier, later in zip(ports, ports[1:])}
                self.assertFalse(steps <= {1} or steps <= {256}, ports)

    def test_sequential_models_count(self):
        for model, step in (("edm_seq", 1), ("edm_stride256", 256)):
            with self.subTest(model):
                ports = self.ports(model)
                self.assertEqual([(later - earlier) % 65536 for earlier, later in zip(ports, ports[1:])], [step] * 3)

    def test_a_forgotten_mapping_is_drawn_anew(self):
        lab = self.topology("edm_random", "public")
        host, observer = self.box(lab.a, PORT), (lab.publics[0], self.box(lab.publics[0], PORT))
        before = self.seen_ports(host, [observer])
        self.assertEqual(lab.routers()[0].flows(), 1)
        lab.forget()
        self.assertEqual(lab.routers()[0].flows(), 0)
        self.assertNotEqual(before, self.seen_ports(host, [observer]))


class Filtering(Case):
    def passing(self, model):
        """Whose packets reach a socket behind the model that has sent to r1's first port only."""
        lab = self.topology(model, "public")
        r1, r2, _ = lab.publics
        host = self.box(lab.a, PORT)
        first, second, stranger = self.box(r1, PORT), self.box(r1, OTHER), self.box(r2, PORT)
        host.send("open", r1.address, PORT)
        source = first.get()[1]
        second.send("address", *source)
        stranger.send("anybody", *source)
        first.send("port", *source)
        return set(host.until("port"))

    def test_models_filter_as_named(self):
        for model in nat.MODELS:
            if model in ("noudp", "firewall"):
                continue
            expected = {"adf": {"address", "port"}, "eif": {"address", "anybody", "port"}}.get(model, {"port"})
            with self.subTest(model):
                self.assertEqual(self.passing(model), expected)

    def test_nothing_enters_unasked_but_by_eif(self):
        for model in ("plain", "apdf", "adf"):
            with self.subTest(model):
                lab = self.topology(model, "public")
                host, other = self.box(lab.a, PORT), self.box(lab.publics[0], PORT)
                other.send("unasked", lab.a.wan_address, PORT)
                host.send("ask", lab.publics[0].address, PORT)
                other.send("answer", *other.get()[1])
                self.assertEqual(host.until("answer"), ["answer"])

    def test_noudp_lets_tcp_pass_only(self):
        lab = self.topology("noudp", "public")
        r1 = lab.publics[0]
        host, other = self.box(lab.a, PORT), self.box(r1, PORT)
        host.send("lost", r1.address, PORT)
        with lab.a.space.entered():
            tcp = socket.socket()
        with tcp, self.assertRaises(ConnectionRefusedError):
            tcp.settimeout(WAIT_S)
            tcp.connect((r1.address, PORT))
        self.box(lab.b).send("fence", r1.address, PORT)
        self.assertEqual(other.until("fence"), ["fence"])

    def test_a_v6_firewall_translates_nothing_and_filters_like_apdf(self):
        lab = self.topology("v6", "v6")
        r1, r2, _ = lab.publics
        host, first, stranger = (self.box(node, PORT, "::") for node in (lab.a, r1, r2))
        stranger.send("unasked", lab.a.address, PORT)
        host.send("open", r1.address6, PORT)
        source = first.get()[1]
        self.assertEqual(source, (lab.a.address, PORT))
        stranger.send("stranger", *source)
        first.send("port", *source)
        self.assertEqual(host.until("port"), ["port"])


class Early(Case):
    """What a packet does that reaches a NAT before the own side has sent."""

    def port_after_an_early_packet(self, model, opener_ttl=None):
        lab = self.topology(model, "public")
        peer = lab.publics[0]
        host, other = self.box(lab.a, PORT), self.box(peer, PORT)
        if opener_ttl is not None:
            host.send("opener", peer.address, PORT, opener_ttl)
        other.send("early", lab.a.wan_address, PORT)
        # Something of the other's that is sure to have crossed the NAT after the early packet.
        fence = self.box(lab.a)
        fence.send("fence", peer.address, PORT)
        text, source = other.get()
        self.assertEqual(text, "fence", "the opener died in the core")
        other.send("crossed", *source)
        fence.until("crossed")
        host.send("late", peer.address, PORT)
        text, source = other.get()
        self.assertEqual(text, "late")
        return source[1]

    def test_an_open_input_chain_moves_the_mapping(self):
        self.assertNotEqual(self.port_after_an_early_packet("plainopen"), PORT)

    def test_no_other_model_moves_it(self):
        for model in ("plain", "plainreject", "apdf", "adf", "eif", "cgn"):
            with self.subTest(model):
                self.assertEqual(self.port_after_an_early_packet(model), PORT)

    def test_a_short_lived_opener_holds_the_mapping(self):
        self.assertEqual(self.port_after_an_early_packet("plainopen", opener_ttl=2), PORT)

    def test_an_opener_dies_between_the_nats(self):
        lab = self.topology("plain", "plain")
        host = self.box(lab.a, PORT)
        router = lab.b.routers[0][0]
        # The first packet makes the routers look up each other's link addresses.
        host.send("warm", lab.b.wan_address, PORT)
        self.box(lab.a).send("fence", lab.publics[0].address, PORT)
        own, _ = router.packets("wan")
        before = lab.a.routers[0][0].packets("wan")[1]
        for _ in range(8):
            host.send("opener", lab.b.wan_address, PORT, 2)
        self.assertEqual(lab.a.routers[0][0].packets("wan")[1] - before, 8, "they left our NAT")
        host.send("whole", lab.b.wan_address, PORT)
        self.assertEqual(router.packets("wan")[0] - own, 1, "and only the whole one reached the other")

    def test_an_opener_of_a_public_host_dies_in_the_core_too(self):
        lab = self.topology("plainopen", "public")
        router = lab.a.routers[0][0]
        host, other = self.box(lab.publics[0], PORT), self.box(lab.b, PORT)
        host.send("warm", lab.a.wan_address, PORT)
        before, _ = router.packets("wan")
        host.send("opener", lab.a.wan_address, PORT, 2)
        other.send("opener", lab.a.wan_address, PORT, 2)
        self.assertEqual(router.packets("wan")[0], before)
        host.send("whole", lab.a.wan_address, PORT, 3)
        self.assertEqual(router.packets("wan")[0], before + 1)

    def test_a_rejecting_nat_says_so_and_a_plain_one_does_not(self):
        for model, refused in (("plainreject", True), ("plain", False)):
            with self.subTest(model):
                lab = self.topology(model, "public")
                peer = self.box(lab.publics[0], PORT)
                peer.sock.connect((lab.a.wan_address, PORT))
                peer.sock.send(b"early")
                host = self.box(lab.a, OTHER)
                # Another socket's exchange through the same NAT: whatever was to come back has come by then.
                other = self.box(lab.publics[0], OTHER)
                host.send("ask", lab.publics[0].address, OTHER)
                other.send("answer", *other.get()[1])
                host.until("answer")
                self.assertEqual(peer.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0, refused)


class Neighbours(Case):
    def through_wan(self, kind):
        """Whether b, behind the same router, hears a at b's public address; with a fence from the router's side."""
        lab = self.topology(kind)
        a, b, r1 = self.box(lab.a, lab.a.port), self.box(lab.b, lab.b.port), self.box(lab.publics[0], PORT)
        b.send("look", lab.publics[0].address, PORT)
        source = r1.get()[1]
        self.assertEqual(source, (lab.b.wan_address, lab.b.port))
        a.send("hairpin", *source)
        a.send("look", lab.publics[0].address, PORT)
        r1.get()
        r1.send("fence", *source)
        return lab, a, b, b.until("fence")

    def test_without_hairpin_only_the_private_address_works(self):
        lab, a, b, texts = self.through_wan("lan")
        self.assertEqual(texts, ["fence"])
        a.send("direct", lab.b.address, lab.b.port)
        self.assertEqual(b.get(), ("direct", (lab.a.address, lab.a.port)))

    def test_with_hairpin_only_the_public_address_works(self):
        lab, a, b, texts = self.through_wan("hairpin")
        self.assertEqual(texts, ["hairpin", "fence"])
        a.send("private", lab.b.address, lab.b.port)
        a.send("again", lab.b.wan_address, lab.b.port)
        self.assertEqual(b.get(), ("again", (lab.a.wan_address, lab.a.port)))
        b.send("back", lab.a.wan_address, lab.a.port)
        self.assertEqual(a.get(), ("back", (lab.b.wan_address, lab.b.port)))


class Core(Case):
    def test_private_addresses_lead_nowhere(self):
        lab = self.topology("plain", "public")
        other = self.box(lab.b, PORT)
        other.sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        other.sock.connect((lab.a.address, PORT))
        other.sock.send(b"into the void")
        with self.assertRaises(OSError) as raised:
            other.sock.recv(16)
        self.assertEqual(raised.exception.errno, errno.ENETUNREACH)

    def test_nothing_is_left(self):
        lab = Topology(("plain", "cgn"))
        self.assertNotEqual(os.listdir(space.NAMES), [])
        lab.close()
        self.assertEqual(os.listdir(space.NAMES), [])


@unittest.skipUnless(os.path.exists("/dev/net/tun"), "no /dev/net/tun")
class Far(Case):
    def forwarded(self, *options, count=500):
        """The numbers that arrive, in order, of so many sent from a to r1."""
        lab = self.topology("plain", "public")
        lab.start_forwarder(FORWARDER, *options)
        host, other = self.box(lab.a, PORT), self.box(lab.publics[0], PORT)
        other.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        for i in range(count):
            host.send(f"{i}", lab.publics[0].address, PORT)
            if i % 20 == 0:
                pause(0.005)  # The kernel's own queues are short, and a loaded machine is slow to empty them.
        end = self.box(lab.b, OTHER)
        end.send("end", lab.publics[0].address, PORT)
        texts = other.until("end")[:-1]
        return list(map(int, texts)), lab

    def test_loss_is_what_was_asked_for_and_repeats_with_the_seed(self):
        options = ("--seed", 5, "--from", "198.51.100.0/30", "--loss", 10)
        first, lab = self.forwarded(*options)
        self.assertIn(f"{500 - len(first)} lost", lab.stop_forwarder())
        self.assertTrue(20 <= 500 - len(first) <= 90, len(first))
        self.assertEqual(first, self.forwarded(*options)[0])
        self.assertNotEqual(first, self.forwarded("--seed", 6, *options[2:])[0])

    def test_each_direction_has_its_own_figures(self):
        lab = self.topology("plain", "public")
        lab.start_forwarder(FORWARDER, "--from", "198.51.100.0/30", "--loss", 100)
        host, other, far = self.box(lab.a, PORT), self.box(lab.publics[0], PORT), self.box(lab.b, PORT)
        host.send("lost", lab.publics[0].address, PORT)
        far.send("kept", lab.publics[0].address, PORT)
        self.assertEqual(other.until("kept"), ["kept"])

    def test_reordering_reorders(self):
        arrived, _ = self.forwarded("--from", "198.51.100.0/30", "--reorder", 10, "--from", "198.51.100.4/30",
                                    "--delay", 300)
        self.assertEqual(sorted(arrived), list(range(500)))
        self.assertNotEqual(arrived, sorted(arrived))

    def test_delay_delays(self):
        lab = self.topology("plain", "public")
        lab.start_forwarder(FORWARDER, "--delay", 40)
        host, other = self.box(lab.a, PORT), self.box(lab.publics[0], PORT)
        begun = os.times().elapsed
        host.send("ping", lab.publics[0].address, PORT)
        other.send("pong", *other.get()[1])
        host.until("pong")
        self.assertGreaterEqual(os.times().elapsed - begun, 0.07)

    def test_the_extra_hop_is_hidden(self):
        ttls = []
        for forwarded in (False, True):
            lab = self.topology("plain", "public")
            if forwarded:
                lab.start_forwarder(FORWARDER)
            host, other = self.box(lab.a, PORT), self.box(lab.publics[0], PORT)
            other.sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
            host.send("look", lab.publics[0].address, PORT, ttl=17)
            ttls.append(int.from_bytes(other.sock.recvmsg(16, 64)[1][0][2], sys.byteorder))
        self.assertEqual(ttls, [15, 15])


if __name__ == "__main__":
    FORWARDER = space.program(__doc__)
    unittest.main()
