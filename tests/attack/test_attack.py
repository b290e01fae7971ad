#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A daemon under attack: floods, odd datagrams, kills in the middle of a join, too few descriptors."""
import os
import random
import resource
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import pln  # noqa: E402

FLOOD_PER_S = 10000
FLOOD_MAX_S = 3 * pln.WAIT_S
GROWTH_KIB_MAX = 64 * 1024  # A sanitizer's allocator keeps what is freed; a leak of the flood is larger.
SEED = int(os.environ.get("POLLEN_SEED", "1"))


def initial(rng):
    """Looks like a client's first packet until somebody tries to decrypt it."""
    head = b"\xc3\x00\x00\x00\x01\x08" + rng.randbytes(8) + b"\x08" + rng.randbytes(8) + b"\x00\x44\x80"
    return (head + rng.randbytes(64)).ljust(1200, b"\x5a")


class Flood:
    """Sends packets from many ports until it is left; sent counts them."""

    def __init__(self, port, packets):
        self.port, self.packets, self.sent = port, packets, 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(64)]
        began = time.monotonic()
        while not self.stop.is_set() and time.monotonic() - began < FLOOD_MAX_S:
            for _ in range(FLOOD_PER_S // 100):
                packet = self.packets[self.sent % len(self.packets)]
                try:
                    sockets[self.sent % len(sockets)].sendto(packet, ("127.0.0.1", self.port))
                except OSError:
                    pass  # A full buffer is the flood's own.
                self.sent += 1
            self.stop.wait(max(0.0, began + self.sent / FLOOD_PER_S - time.monotonic()))
        for sock in sockets:
            sock.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


class AttackCase(pln.TestCase):
    def setUp(self):
        super().setUp()
        self.rng = random.Random(SEED)

    def port(self, node):
        return node.status()["self"]["port"]

    def memory_kib(self, node):
        with open(f"/proc/{node.pid()}/status", encoding="ascii") as file:
            return int(next(line for line in file if line.startswith("VmRSS")).split()[1])


class Strangers(AttackCase):
    def test_a_flood_of_first_packets_keeps_nobody_out(self):
        root, member = self.cluster(2)
        member.down()
        pln.until(lambda: root.peer(member.id())["state"] != "connected", "the member gone")
        before = self.memory_kib(root)
        packets = [initial(self.rng) for _ in range(4096)]
        with Flood(self.port(root), packets) as flood:
            pln.until(lambda: flood.sent > FLOOD_PER_S, "a second of it")
            member.up()
            began = time.monotonic()
            member.wait_connected(root.id())
            print(f"connected after {time.monotonic() - began:.2f} s of flood", file=sys.stderr)
            newcomer = self.node("newcomer")
            newcomer.must("join", "-", stdin=root.must("invite").out)
            self.assertTrue(flood.thread.is_alive(), "all of this was in the flood")
        self.assertLess(self.memory_kib(root) - before, GROWTH_KIB_MAX)

    def test_odd_datagrams_are_survived(self):
        root, member = self.cluster(2)
        sizes = [0, 1, 2, 19, 20, 21, 1199, 1200, 1201, 1452, 1453, 9000, 65507]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            sock.settimeout(0.2)
            for first in (0x00, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xc3, 0xe0, 0xf0, 0xff):
                for size in sizes:
                    data = (bytes([first]) + self.rng.randbytes(min(size, 64))).ljust(size, b"\0")[:size]
                    sock.sendto(data, ("127.0.0.1", self.port(root)))
                    try:
                        self.assertLess(len(sock.recv(65536)), size, "no answer is as large as its cause")
                    except TimeoutError:
                        pass
                    sock.settimeout(0.005)
        self.assertEqual(member.must("ping", root.id()[:8], "--count", "3", "--json").code, 0)


class Invites(AttackCase):
    def test_of_64_at_once_one_is_admitted(self):
        root = self.node("root")
        root.up()
        token = root.must("invite").out.strip()
        joins = [subprocess.Popen([pln.PLN, "--dir", os.path.join(self.root, f"j{i}"), "join",
                                   "--timeout", "4m", "-"],
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                 for i in range(64)]
        for join in joins:
            join.stdin.write(token.encode())
            join.stdin.close()
        said = [(join.wait(timeout=300), join.stderr.read().decode()) for join in joins]
        for join in joins:
            join.stderr.close()
        self.assertEqual([code for code, _ in said].count(0), 1, said)
        for code, text in said:
            self.assertTrue(code == 0 or "already" in text or "consumed" in text, text)

    def test_a_kill_at_any_moment_admits_one_who_may_ask_again(self):
        root = self.node("root")
        root.up()
        port = str(self.port(root))
        for i in range(8):
            token = root.must("invite").out.strip()
            first, other = self.node(f"first{i}"), self.node(f"other{i}")
            join = subprocess.Popen([pln.PLN, "--dir", first.dir, "join", "--timeout", "60s", "-"],
                                    stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
            join.stdin.write(token.encode())
            join.stdin.close()
            threading.Event().wait(self.rng.random() * 0.06)
            root.kill()
            root.must("up", "--port", port, "--ips", "127.0.0.1", "--detach")
            join.wait(timeout=pln.WAIT_S)
            first.must("join", "-", stdin=token)  # The same key, whether or not it got its answer.
            self.assertNotEqual(other.run("join", "-", stdin=token).code, 0)


class Users(AttackCase):
    def test_64_descriptors_are_enough(self):
        root, member = self.cluster(2)
        resource.prlimit(root.pid(), resource.RLIMIT_NOFILE, (64, 64))
        clients = []
        for _ in range(100):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(1)
            try:
                client.connect(os.path.join(root.dir, "pln.sock"))
            except OSError:
                pass
            clients.append(client)
        member.must("ping", root.id()[:8], "--count", "3")  # Others notice nothing.
        for client in clients:
            client.close()
        pln.until(lambda: root.run("status").code == 0, "an answer")
        newcomer = self.node("newcomer")
        newcomer.must("join", "-", stdin=root.must("invite").out)
        newcomer.up()
        newcomer.wait_connected(root.id())


class Members(AttackCase):
    def test_one_that_floods_does_not_stop_another(self):
        root, loud, quiet = self.cluster(3)
        floods = [subprocess.Popen([pln.PLN, "--dir", loud.dir, "ping", root.id(), "--count", "0", "--interval",
                                    "1ms", "--size", "1000", "--json"], stdout=subprocess.DEVNULL)
                  for _ in range(6)]
        streams = [subprocess.Popen([pln.PLN, "--dir", loud.dir, "pipe", "connect", root.id(), "--port", "7"],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL) for _ in range(20)]
        try:
            replies = quiet.must("ping", root.id(), "--count", "20", "--interval", "20ms", "--timeout", "5s",
                                 "--json").lines()
        finally:
            for process in floods + streams:
                process.kill()
                process.wait()
        # A datagram may be lost where the machine is too slow for the flood; starved, all would be.
        self.assertGreaterEqual(sum(reply["ok"] for reply in replies), 10)


if __name__ == "__main__":
    pln.main()
