#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Services: served ports, forwards to them, and what becomes of the connections in between."""
import contextlib
import socket
import struct
import threading

import pln

LOOPBACK = "127.0.0.1"
BLOB = bytes(range(256)) * 4096  # 1 MiB


def read_all(connection):
    data = bytearray()
    while part := connection.recv(65536):
        data += part
    return bytes(data)


def read_exactly(connection, size):
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise AssertionError(f"the end after {len(data)} of {size} bytes")
        data += part
    return bytes(data)


def reset(connection):
    """Closes it as a program that crashed does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def is_refused(address):
    """A new connection is reset, be it while it is made or later."""
    try:
        with socket.create_connection(address, pln.WAIT_S) as connection:
            return is_reset(connection)
    except ConnectionResetError:
        return True


def is_reset(connection):
    """Waits for the end; True when it is a reset, whatever came before."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return False


class Service:
    """A TCP server whose connections are taken by the test."""

    def __init__(self, test, port=0):
        self.socket = socket.create_server((LOOPBACK, port), backlog=128)
        self.socket.settimeout(pln.WAIT_S)
        self.port = self.socket.getsockname()[1]
        test.addCleanup(self.socket.close)
        self.test = test

    def accept(self):
        connection, _ = self.socket.accept()
        connection.settimeout(pln.WAIT_S)
        self.test.addCleanup(connection.close)
        return connection

    def echo(self, count):
        """The next connections get back what they send, each on a thread of its own."""
        def talk(connection):
            with contextlib.suppress(OSError):
                while part := connection.recv(65536):
                    connection.sendall(part)
                connection.shutdown(socket.SHUT_WR)

        def serve():
            with contextlib.suppress(OSError):
                for _ in range(count):
                    threading.Thread(target=talk, args=(self.accept(),), daemon=True).start()
        threading.Thread(target=serve, daemon=True).start()


class TestCase(pln.TestCase):
    def forward(self, node, *args):
        """The address that `connect` prints, once the service is known."""
        def connect():
            result = node.run("connect", *args)
            self.assertIn(result.code, (0, 3), str(result))
            return result if result.code == 0 else None
        host, port = pln.until(connect, "the service").out.strip().rsplit(":", 1)
        return host, int(port)

    def pair(self):
        """A root that serves what is returned as "it", and a member that forwards it."""
        root, member = self.cluster(2)
        service = Service(self)
        root.must("serve", str(service.port), "it")
        return root, member, service, self.forward(member, "it")

    def dial(self, address):
        connection = socket.create_connection(address, pln.WAIT_S)
        self.addCleanup(connection.close)
        return connection

    def both(self, service, address):
        """The two ends of one connection."""
        client = self.dial(address)
        client.sendall(b"!")
        server = service.accept()
        self.assertEqual(server.recv(1), b"!")
        return client, server

    def check_echo(self, address, data=BLOB):
        client = self.dial(address)
        sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        sender.start()
        self.assertEqual(read_all(client), data)
        sender.join()


class Serve(TestCase):
    def test_bad_ports_and_names_are_usage_errors(self):
        node = self.node()
        for port in ("0", "65536", "080", "8o", "", " 80", "1e3"):
            self.check_fails(node.run("serve", port), 2, "is no port", "pln help serve")
        self.check_fails(node.run("serve", "80", "81"), 2, "is a number, but not the port's")
        self.check_fails(node.run("serve", "80", "a b"), 2, "has blanks or control characters")
        self.check_fails(node.run("serve", "80", "a\033b"), 2, "has blanks or control characters")
        self.check_fails(node.run("serve", "80", ""), 2, "is empty")
        self.check_fails(node.run("serve", "80", "a" * 65), 2, "is longer than 64 bytes")
        self.check_fails(node.run("serve", "80", "a", "b"), 2, "unexpected argument")
        self.check_fails(node.run("serve"), 2, "expected PORT [NAME]")

    def test_without_a_daemon_there_is_nobody_to_do_it(self):
        node = self.node()
        for args in (["serve", "80"], ["unserve", "80"], ["connect", "web"], ["disconnect", "web"]):
            self.check_fails(node.run(*args), 6, "no daemon is running", "up --detach")

    def test_what_is_served_is_told_and_taken_back(self):
        node = self.node()
        node.up()
        served = node.must("serve", "80", "--json").json()
        self.check_shape(served, "serve")
        self.assertEqual(served, {"schema": "pollen.serve/1", "name": "80", "port": 80})
        result = node.must("serve", "80", "web-ünïcode")
        self.assertEqual(result.out, "")
        self.assertIn("pln connect web-ünïcode", result.err)
        node.must("serve", "8080", "other")
        self.assertEqual(self.services(node), {("80", 80), ("web-ünïcode", 80), ("other", 8080)})
        gone = node.must("unserve", "other", "--json").json()
        self.check_shape(gone, "unserve")
        self.assertEqual(gone["services"], [{"name": "other", "port": 8080}])
        gone = node.must("unserve", "80", "--json").json()
        self.assertEqual({service["name"] for service in gone["services"]}, {"80", "web-ünïcode"})
        self.assertEqual(self.services(node), set())
        self.check_fails(node.run("unserve", "80"), 3, "does not serve '80'", "status services")
        error = self.check(node.run("unserve", "80", "--json"), 3).json()
        self.check_shape(error, "error")

    def test_a_name_moves_to_another_port(self):
        node = self.node()
        node.up()
        node.must("serve", "80", "web")
        node.must("serve", "80", "web")
        node.must("serve", "81", "web")
        self.assertEqual(self.services(node), {("web", 81)})

    @staticmethod
    def services(node):
        return {(service["name"], service["port"]) for service in node.status()["services"]}


class Connect(TestCase):
    def test_prints_where_to_connect_and_carries_both_ways(self):
        root, member, service, address = self.pair()
        service.echo(3)
        self.check_echo(address)
        self.check_echo(address, b"")
        connected = member.must("connect", "it", "--json").json()
        self.check_shape(connected, "connect")
        self.assertEqual(connected, {
            "schema": "pollen.connect/1", "service": "it", "provider": root.id(), "port": service.port,
            "local_port": address[1], "local_addr": f"{address[0]}:{address[1]}", "connected": True})
        self.assertEqual(member.status()["services"], [{
            "name": "it", "provider": root.id(), "port": service.port, "local_port": address[1]}])
        # By port and by a beginning of the provider's id it is the same forward.
        for args in ([str(service.port)], ["it", root.id()[:8]]):
            self.assertEqual(self.forward(member, *args), address)

    def test_listens_on_loopback_alone_unless_told(self):
        _, member, service, address = self.pair()
        self.assertEqual(address[0], LOOPBACK)
        with self.assertRaises(ConnectionRefusedError):
            self.dial(("127.0.0.2", address[1]))
        self.check_fails(member.run("connect", "it", "--bind", "here"), 2, "expected an IP address")
        self.check_fails(member.run("connect", "it", "--bind", "192.0.2.1"), 1, "forwarded already",
                         "disconnect it")
        member.must("disconnect", "it")
        self.check_fails(member.run("connect", "it", "--bind", "192.0.2.1"), 2, "no address of this machine")
        # Where its own number is free, it is taken.
        self.assertEqual(self.forward(member, "it", "--bind", "127.0.0.2"), ("127.0.0.2", service.port))
        service.echo(1)
        self.check_echo(("127.0.0.2", service.port))

    def test_local_ports(self):
        root, member, service, address = self.pair()
        other = Service(self)
        self.check_fails(member.run("connect", "it", "--local-port", str(other.port)), 1,
                         f"forwarded already, at {LOOPBACK}:{address[1]}", "disconnect it")
        member.must("disconnect", "it")
        self.check_fails(member.run("connect", "it", root.id()[:8], str(other.port)), 1,
                         f"{LOOPBACK}:{other.port} is in use", "LOCAL-PORT")
        self.check_fails(member.run("connect", "it", root.id()[:8], "0"), 2, "is no port")
        self.check_fails(member.run("connect", "it", "--local-port", "65536"), 2, "--local-port")
        other.socket.close()
        self.assertEqual(self.forward(member, "it", root.id()[:8], str(other.port)), (LOOPBACK, other.port))

    def test_what_is_not_served_is_not_found(self):
        root, member = self.cluster(2)
        root.must("serve", "80", "web")
        address = self.forward(member, "web")
        self.assertEqual(member.must("disconnect", str(address[1])).code, 0)
        self.check_fails(member.run("connect", "nothing"), 3, "no member serves 'nothing'", "status services")
        self.check_fails(member.run("connect", "nothing", "19999"), 3, "no member 19999 serves",
                         "connect nothing --local-port 19999")
        self.check_fails(member.run("connect", "web", member.id()), 3, f"no member {member.id()} serves")
        self.check_fails(member.run("connect", "web", "xyz"), 3, "no peer is named 'xyz'")
        self.check_fails(member.run("connect", "w" * 65), 3, "so long a name")
        self.check_fails(root.run("connect", "web"), 2, "served by this node itself")
        self.check_fails(member.run("disconnect", "web"), 3, "no forward is called 'web'", "status services")

    def test_several_providers_have_to_be_told_apart(self):
        nodes = self.cluster(3)
        services = [Service(self), Service(self)]
        for node, service in zip(nodes, services):
            node.must("serve", str(service.port), "web")
        pln.until(lambda: len(nodes[2].status()["services"]) == 2, "both services")
        nodes[2].wait_connected(nodes[1].id())
        result = self.check_fails(nodes[2].run("connect", "web"), 5, "2 services are called 'web'")
        for node in nodes[:2]:
            self.assertIn(node.id()[:12], result.err)
        addresses = [self.forward(nodes[2], "web", node.id()) for node in nodes[:2]]
        for service, address in zip(services, addresses):
            service.echo(1)
            self.check_echo(address)
        self.check_fails(nodes[2].run("disconnect", "web"), 5, "several forwards")
        gone = nodes[2].must("disconnect", "web", nodes[1].id(), "--json").json()
        self.check_shape(gone, "disconnect")
        self.assertEqual((gone["provider"], gone["local_port"]), (nodes[1].id(), addresses[1][1]))
        with self.assertRaises(ConnectionRefusedError):
            self.dial(addresses[1])
        # One that is not connected is no choice beside one that is.
        nodes[2].must("disconnect", "web")
        nodes[0].down()
        pln.until(lambda: nodes[2].peer(nodes[0].id())["state"] != "connected", "the end of the session")
        connected = nodes[2].must("connect", "web", "--json").json()
        self.assertEqual(connected["provider"], nodes[1].id())

    def test_a_hundred_at_once(self):
        """As many as a session carries, made in one moment and held together."""
        _, _, service, address = self.pair()
        service.echo(100)
        problems = []
        all_there = threading.Barrier(100)

        def talk(number):
            try:
                with socket.create_connection(address, pln.WAIT_S) as client:
                    client.sendall(bytes([number]))
                    self.assertEqual(client.recv(1), bytes([number]))
                    all_there.wait(pln.WAIT_S)
                    client.sendall(bytes([number]) * 65536)
                    client.shutdown(socket.SHUT_WR)
                    self.assertEqual(read_all(client), bytes([number]) * 65536)
            except BaseException as problem:  # Told below, by the test's own thread.
                problems.append(problem)
        threads = [threading.Thread(target=talk, args=(i,)) for i in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(problems, [])

    def test_a_provider_that_is_away_is_waited_for(self):
        root, member, service, address = self.pair()
        port = root.status()["self"]["port"]
        root.down()
        pln.until(lambda: member.peer(root.id())["state"] != "connected", "the end of the session")
        member.must("disconnect", "it")
        result = member.must("connect", "it", "--local-port", str(address[1]))
        self.assertIn("is not connected now", result.err)
        self.assertIs(member.must("connect", "it", "--json").json()["connected"], False)
        # Not for ever, ...
        self.assertTrue(is_refused(address))
        # ... and whoever comes once it is back is let through.
        root.up("--port", str(port))
        member.wait_connected(root.id())
        service.echo(1)
        self.check_echo(address)

    def test_nothing_is_lost_by_disconnecting(self):
        _, member, service, address = self.pair()
        client, server = self.both(service, address)
        member.must("disconnect", "it")
        with self.assertRaises(ConnectionRefusedError):
            self.dial(address)
        server.sendall(BLOB)
        server.close()
        self.assertEqual(read_all(client), BLOB)


class Ends(TestCase):
    @staticmethod
    def wait_reset(connection):
        """Until it was reset, without reading from it."""
        pln.until(lambda: connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0, "the reset")

    def test_either_side_may_end_first(self):
        _, _, service, address = self.pair()
        for first, second in ((0, 1), (1, 0)):
            ends = self.both(service, address)
            ends[first].sendall(b"question")
            ends[first].shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(ends[second]), b"question")
            sender = threading.Thread(target=lambda end=ends[second]: (end.sendall(BLOB), end.close()))
            sender.start()
            self.assertEqual(read_all(ends[first]), BLOB)
            sender.join()

    def test_a_reset_is_one_on_the_other_side(self):
        _, _, service, address = self.pair()
        for first, second in ((0, 1), (1, 0)):
            ends = self.both(service, address)
            reset(ends[first])
            self.assertTrue(is_reset(ends[second]))

    def test_a_reset_after_a_half_close_too(self):
        _, _, service, address = self.pair()
        for first, second in ((0, 1), (1, 0)):
            ends = self.both(service, address)
            ends[first].shutdown(socket.SHUT_WR)
            self.assertEqual(ends[second].recv(1), b"")
            reset(ends[first])
            # It has read its end, so that only a write or its state can tell.
            self.wait_reset(ends[second])

    def test_a_reset_while_nobody_reads(self):
        _, _, service, address = self.pair()
        for first, second in ((0, 1), (1, 0)):
            ends = self.both(service, address)
            ends[first].settimeout(1)
            with self.assertRaises(TimeoutError):
                while True:  # Until every buffer on the way is full.
                    ends[first].sendall(BLOB)
            reset(ends[first])
            self.wait_reset(ends[second])

    def test_where_nothing_listens_the_client_is_reset(self):
        root, member, service, address = self.pair()
        service.socket.close()
        self.assertTrue(is_refused(address))
        # At most one line a second, of whatever reason.
        for node, words in ((root, "nothing listens on this port"), (member, "nothing listens on the peer's port")):
            pln.until(lambda: is_refused(address) and words in node.must("logs").out, "the log")

    def test_unserve_cuts_off_and_refuses(self):
        root, member, service, address = self.pair()
        for how in ("it", str(service.port)):
            client, server = self.both(service, address)
            root.must("unserve", how)
            pln.until(lambda: member.status()["services"] == [], "everybody to know it")
            self.assertTrue(is_reset(server))
            self.assertTrue(is_reset(client))
            # Many times, as each takes one of a hundred streams, which must come back.
            for _ in range(150):
                self.assertTrue(is_refused(address))
            # At most one line a second.
            pln.until(lambda: is_refused(address) and "the peer does not serve it" in member.must("logs").out,
                      "the log")
            root.must("serve", str(service.port), "it")
            self.both(service, address)

    def test_another_name_keeps_the_port_served(self):
        root, _, service, address = self.pair()
        root.must("serve", str(service.port), "alias")
        client, server = self.both(service, address)
        root.must("unserve", "it")
        server.sendall(b"still here")
        self.assertEqual(read_exactly(client, 10), b"still here")
        root.must("serve", "1", "alias")
        self.assertTrue(is_reset(client))

    def test_a_slow_reader_holds_up_nobody_else(self):
        _, _, service, address = self.pair()
        slow, pump = self.both(service, address)
        pump.settimeout(1)
        with self.assertRaises(TimeoutError):
            while True:
                pump.sendall(BLOB)
        service.echo(1)
        self.check_echo(address)
        self.assertEqual(read_exactly(slow, 65536), BLOB[:65536])

    def test_the_end_of_a_daemon_is_no_orderly_end(self):
        for who in (0, 1):
            nodes = self.cluster_of_two(str(who))
            service = Service(self)
            nodes[0].must("serve", str(service.port), "it")
            client, server = self.both(service, self.forward(nodes[1], "it"))
            nodes[who].must("down")
            self.assertTrue(is_reset(client))
            self.assertTrue(is_reset(server))

    def cluster_of_two(self, name):
        root, member = self.node(f"root-{name}"), self.node(f"member-{name}")
        root.up()
        member.must("join", "-", stdin=root.must("invite").out)
        member.up()
        member.wait_connected(root.id())
        return root, member

    def test_who_is_revoked_is_cut_off(self):
        root, member, service, address = self.pair()
        client, server = self.both(service, address)
        half, half_server = self.both(service, address)
        half.shutdown(socket.SHUT_WR)
        self.assertEqual(half_server.recv(1), b"")
        root.must("revoke", "--yes", member.id())
        for connection in (client, server, half):
            self.assertTrue(is_reset(connection))
        self.wait_reset(half_server)


class Restart(TestCase):
    def test_both_sides_take_up_where_they_were(self):
        root, member, service, address = self.pair()
        root.must("serve", "9", "gone")
        root.must("unserve", "gone")
        for end in (lambda node: node.must("down"), pln.Node.kill):
            # Killed, it may lose what it was told just before.
            pln.until(lambda: self.is_kept(root, member, address), "what was told to be on disk")
            for node in (root, member):
                port = node.status()["self"]["port"]  # The same again, by which they find each other.
                end(node)
                node.up("--port", str(port))
            member.wait_connected(root.id())
            self.assertEqual([(s["name"], s["local_port"]) for s in member.status()["services"]],
                             [("it", address[1])])
            client, server = self.both(service, address)
            server.sendall(b"again")
            self.assertEqual(read_exactly(client, 5), b"again")

    def test_another_address_is_kept_too(self):
        root, member, service, _ = self.pair()
        member.must("disconnect", "it")
        address = self.forward(member, "it", "--bind", "127.0.0.2")
        member.down()
        member.up()
        member.wait_connected(root.id())
        service.echo(1)
        self.check_echo(address)
        with self.assertRaises(ConnectionRefusedError):
            self.dial((LOOPBACK, address[1] if address[1] != service.port else 1))

    @staticmethod
    def is_kept(root, member, address):
        def state(node):
            with contextlib.suppress(FileNotFoundError), open(f"{node.dir}/state.yaml", encoding="utf-8") as file:
                return file.read()
            return ""
        return "name: it" in state(root) and str(address[1]) in state(member)

    def test_a_port_that_was_taken_meanwhile_is_tried_again(self):
        _, member, service, address = self.pair()
        member.down()
        with socket.create_server(address):
            member.up()
            self.assertIn("tried again", pln.until(lambda: member.must("logs").out, "the log"))
        service.echo(1)
        pln.until(lambda: "listening now" in member.must("logs").out, "the second attempt")
        self.check_echo(address)


if __name__ == "__main__":
    pln.main()
