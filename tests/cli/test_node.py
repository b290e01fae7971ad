#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nodes that run: start and stop, invites and tokens, status, ping, logs."""
import base64
import json
import os
import pty
import signal
import socket
import subprocess
import threading
import time

import pln


class Up(pln.TestCase):
    def test_makes_a_cluster_where_there_is_none(self):
        node = self.node()
        result = node.up()
        self.assertIn("made a new cluster", result.err)
        status = node.status()
        self.check_shape(status, "status")
        self.assertEqual(status["self"]["id"], node.id())
        self.assertGreater(status["self"]["port"], 0)
        self.assertEqual(status["self"]["addrs"], [f"127.0.0.1:{status['self']['port']}"])
        self.assertEqual(status["self"]["cert"]["health"], "ok")
        self.assertEqual(status["peers"], [])
        self.assertEqual(status["services"], [])

    def test_down_frees_everything(self):
        node = self.node()
        node.up()
        port = node.status()["self"]["port"]
        self.check(node.run("down"), 0)
        self.check(node.run("down"), 6)
        self.assertFalse(os.path.exists(os.path.join(node.dir, "pln.sock")))
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::", port))
        node.up()

    def test_a_second_one_is_refused_and_changes_nothing(self):
        node = self.node()
        node.up()
        before = pln.tree_hash(node.dir)
        for args in (["--detach"], []):
            self.check_fails(node.run("up", "--port", "0", *args), 1, "in use by another process", "down")
        self.assertEqual(pln.tree_hash(node.dir), before)
        self.check(node.run("status"), 0)

    def test_a_busy_port_is_told_and_changes_nothing(self):
        node = self.node()
        node.must("init")
        before = pln.tree_hash(node.dir)
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::", 0))
            port = str(sock.getsockname()[1])
            for args in (["--detach"], []):
                self.check_fails(node.run("up", "--port", port, *args), 1,
                                 f"UDP port {port} is in use", "--port 0")
        self.assertEqual(pln.tree_hash(node.dir), before)

    def test_signals_end_it_cleanly(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            node = self.node(str(number))
            daemon = subprocess.Popen([pln.PLN, "--dir", node.dir, "up", "--port", "0"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            pln.until(lambda: node.run("status").code == 0, "the node")
            daemon.send_signal(number)
            out, err = daemon.communicate(timeout=pln.WAIT_S)
            self.assertEqual(daemon.returncode, 0, err)
            self.assertEqual(out, "")
            self.assertIn("listens on UDP port", err)
            self.assertFalse(os.path.exists(os.path.join(node.dir, "pln.sock")))

    def test_tells_systemd(self):
        node = self.node()
        path = os.path.join(self.root, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(path)
            sock.settimeout(pln.WAIT_S)
            environment = dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC="200000")
            with subprocess.Popen([pln.PLN, "--dir", node.dir, "up", "--port", "0"], env=environment,
                                  stderr=subprocess.DEVNULL) as daemon:
                self.assertEqual(sock.recv(64), b"READY=1")
                self.assertEqual(sock.recv(64), b"WATCHDOG=1")
                daemon.terminate()
                said = sock.recv(64)
                while said == b"WATCHDOG=1":
                    said = sock.recv(64)
                self.assertEqual(said, b"STOPPING=1")

    def test_leaves_no_core_and_lets_nobody_look_in(self):
        node = self.node()
        node.up()
        with open(f"/proc/{node.pid()}/limits", encoding="ascii") as file:
            core = next(line for line in file if line.startswith("Max core file size"))
        self.assertEqual(core.split()[4:6], ["0", "0"])

    def test_a_stale_socket_is_no_obstacle(self):
        node = self.node()
        node.up()
        node.kill()
        self.assertTrue(os.path.exists(os.path.join(node.dir, "pln.sock")))
        self.check(node.run("status"), 6)
        node.up()


class Control(pln.TestCase):
    def ask(self, node, text):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(pln.WAIT_S)
            client.connect(os.path.join(node.dir, "pln.sock"))
            client.sendall(text.encode() + b"\n")
            return json.loads(client.makefile().readline())

    def test_bad_requests_are_refused_and_the_daemon_lives(self):
        node = self.node()
        node.up()
        for text in ("", "{", "[]", "{}", "\0", '{"schema":"pollen.control/1","verb":"fly"}',
                     '{"schema":"pollen.control/1","verb":"ping","peer":"a"}',
                     '{"schema":"pollen.control/1","verb":"stream_listen","port":-1,"timeout_ms":1}',
                     "[" * 5000):
            answer = self.ask(node, text)
            self.check_shape(answer, "error")
            self.assertEqual(answer["code"], "USAGE")
        self.check(node.run("status"), 0)


    def test_a_daemon_that_hangs_is_not_waited_for(self):
        node = self.node()
        path = os.path.join(self.root, "deaf.sock")
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.bind(path)
            deaf.listen()
            self.check_fails(node.run("--socket", path, "status"), 7, "does not answer", "logs")
        node.up()
        pid = node.pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            self.check_fails(node.run("down", "--timeout", "200ms"), 7, "does not answer", "logs")
        finally:
            os.kill(pid, signal.SIGCONT)


class Invite(pln.TestCase):
    def test_token_on_stdout_and_hint_on_stderr(self):
        node = self.node()
        node.up()
        result = self.check(node.run("invite"), 0)
        self.assertRegex(result.out, r"^[A-Za-z0-9+/]+=*\n$")
        self.assertIn("pln join", result.err)
        self.assertNotIn(result.out.strip(), result.err)

    def test_json(self):
        node = self.node()
        node.up()
        value = self.check(node.run("invite", "--json"), 0).json()
        self.check_shape(value, "invite")
        self.assertIsNone(value["subject"])
        subject = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
        for args in (["--subject", subject], [subject]):
            self.assertEqual(node.run("invite", "--json", *args).json()["subject"], subject)

    def test_needs_no_daemon_when_told_where(self):
        node = self.node()
        node.must("init")
        self.check_fails(node.run("invite"), 6, "does not run", "up --detach")
        where = f"{node.id()}@relay.example:60611"
        self.check(node.run("invite", "--bootstrap", where), 0)

    def test_bad_terms(self):
        node = self.node()
        node.must("init")
        for args in (["--ttl", "0"], ["--ttl", "31d"], ["--ttl", "5"], ["--cert-ttl", "1ms"],
                     ["--subject", "abc"], ["--bootstrap", "abc"], ["--bootstrap", "x@1.2.3.4:5"],
                     ["--bootstrap", "00" * 32 + "@host:99999"]):
            self.check_fails(node.run("invite", *args), 2, "")

    def test_a_node_that_is_no_admin_may_not(self):
        root, member = self.cluster(2)
        self.check_fails(member.run("invite"), 4, "not an admin")
        self.check(root.run("invite"), 0)

    def test_a_node_of_no_cluster_cannot(self):
        node = self.node()
        node.id()
        self.check_fails(node.run("invite"), 1, "belongs to no cluster", "init")


class Join(pln.TestCase):
    def test_every_way_to_hand_over_the_token(self):
        root = self.node("root")
        root.up()
        token = root.must("invite").out
        path = os.path.join(self.root, "token")
        ways = {"argument": (lambda t: [t.strip()], {}), "stdin": (lambda t: ["-"], {"stdin": True}),
                "file": (lambda t: [f"@{path}"], {"file": True}), "environment": (lambda t: [], {"env": True})}
        for name, (args, how) in ways.items():
            node = self.node(name)
            token = root.must("invite").out
            if how.get("file"):
                with open(path, "w", encoding="ascii") as file:
                    file.write(token)
            result = node.run("join", "--json", *args(token), stdin=token if how.get("stdin") else "",
                              env={"POLLEN_TOKEN": token} if how.get("env") else None)
            self.check(result, 0)
            self.check_shape(result.json(), "join")
            self.assertEqual(result.json()["cluster_id"], root.status()["self"]["cluster_id"])

    def test_a_running_daemon_takes_it_up_at_once(self):
        root, node = self.node("root"), self.node("member")
        root.up()
        node.must("init")
        node.up()
        port = node.status()["self"]["port"]
        self.check(node.run("join", "--force", "-", stdin=root.must("invite").out), 0)
        node.wait_connected(root.id())
        self.assertEqual(node.status()["self"]["port"], port)
        self.assertEqual(node.status()["self"]["cluster_id"], root.status()["self"]["cluster_id"])

    def test_another_cluster_is_not_left_by_accident(self):
        root, node = self.node("root"), self.node("other")
        root.up()
        node.must("init")
        before = pln.tree_hash(node.dir)
        token = root.must("invite").out
        self.check_fails(node.run("join", "-", stdin=token), 4, "another cluster", "--force")
        self.assertEqual(pln.tree_hash(node.dir), before)
        key = node.id()
        kept = "state.yaml.kept-0011223344556677"
        with open(os.path.join(node.dir, kept), "w", encoding="ascii") as file:
            file.write("peers:\n")
        self.check(node.run("join", "--force", "-", stdin=token), 0)
        self.assertEqual(node.id(), key)
        backup = next(name for name in os.listdir(node.dir) if name.startswith("backup-"))
        self.assertTrue(os.path.exists(os.path.join(node.dir, backup, "keys", "admin_ed25519.key")))
        self.assertFalse(os.path.exists(os.path.join(node.dir, "keys", "admin_ed25519.key")))
        self.assertTrue(os.path.exists(os.path.join(node.dir, backup, kept)))
        self.assertFalse(os.path.exists(os.path.join(node.dir, kept)))

    def test_joining_the_same_cluster_again_is_fine(self):
        root, member = self.cluster(2)
        self.check(member.run("join", "-", stdin=root.must("invite").out), 0)
        member.wait_connected(root.id())

    def refused(self, node, token, code, words, hint):
        before = pln.tree_hash(node.dir) if os.path.exists(node.dir) else None
        self.check_fails(node.run("join", "-", stdin=token), code, words, hint)
        after = pln.tree_hash(node.dir) if os.path.exists(node.dir) else None
        self.assertEqual(after, before)

    def test_tokens_that_are_none(self):
        root = self.node("root")
        root.up()
        good = root.must("invite").out.strip()
        raw = base64.b64decode(good)
        flipped = bytearray(raw)
        flipped[-1] ^= 1
        bad = {"empty": "", "blank": " \n", "words": "not a token", "base64 of nothing": "AAAA",
               "cut": good[:len(good) // 2], "cut in bytes": base64.b64encode(raw[:-9]).decode(),
               "over-long": "A" * 40000, "far too long": "A" * 70000,
               "doubled": base64.b64encode(raw + raw).decode()}
        for fresh in (True, False):
            node = self.node(f"fresh{fresh}")
            if not fresh:
                node.id()
            for name, token in bad.items():
                with self.subTest(name, fresh=fresh):
                    before = pln.tree_hash(node.dir) if os.path.exists(node.dir) else None
                    result = node.run("join", "-", stdin=token)
                    self.assertIn(result.code, (2, 4), str(result))
                    self.assertTrue(result.err.startswith("pln: join"), str(result))
                    self.assertEqual(pln.tree_hash(node.dir) if os.path.exists(node.dir) else None, before)
            self.refused(node, base64.b64encode(bytes(flipped)).decode(), 4, "signature", "paste")

    def test_an_expired_token(self):
        root, node = self.node("root"), self.node("late")
        root.up()
        node.id()
        token = root.must("invite", "--ttl", "1s").out
        end = time.time() + 2
        pln.until(lambda: time.time() > end, "the end of the invite")
        self.refused(node, token, 9, "expired", "pln invite")

    def test_a_token_for_another_node(self):
        root, node = self.node("root"), self.node("wrong")
        root.up()
        node.id()
        token = root.must("invite", "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8").out
        self.refused(node, token, 4, "issued for another node", f"pln invite {node.id()}")

    def test_a_token_that_another_node_used(self):
        root, first, second = self.node("root"), self.node("first"), self.node("second")
        root.up()
        second.id()
        token = root.must("invite").out
        self.check(first.run("join", "-", stdin=token), 0)
        self.refused(second, token, 9, "", "pln invite")
        self.check(first.run("join", "-", stdin=token), 0)

    def test_a_cluster_that_does_not_answer(self):
        root, node = self.node("root"), self.node("lonely")
        root.up()
        node.id()
        token = root.must("invite").out
        root.down()
        result = node.run("join", "--timeout", "1s", "-", stdin=token)
        self.assertIn(result.code, (1, 7), str(result))
        self.assertIn("is the inviting node up?", result.err)

    def test_no_token_at_all(self):
        self.check_fails(self.node().run("join"), 2, "no token")
        self.check_fails(self.node().run("join", "@/nonexistent"), 3, "/nonexistent")

    def test_a_token_never_reaches_the_log(self):
        root, _ = self.cluster(2)
        token = root.must("invite").out.strip()
        node = self.node("third")
        node.must("join", token)
        self.assertNotIn(token[:40], root.must("logs", "-n", "1000").out)


class Status(pln.TestCase):
    def test_shape_with_peers(self):
        root, member = self.cluster(2)
        status = root.status()
        self.check_shape(status, "status")
        peer = root.peer(member.id())
        self.assertEqual((peer["state"], peer["path"]), ("connected", "direct"))
        self.assertEqual(peer["addr"], f"127.0.0.1:{member.status()['self']['port']}")
        self.assertIsNone(peer["stage"])

    def test_human_form(self):
        root, member = self.cluster(2)
        for args in (["status"], ["status", "nodes"], ["status", "--wide", "--all"]):
            result = self.check(root.run(*args), 0)
            self.assertIn(member.id()[:12], result.out)
            self.assertIn("direct", result.out)
            self.assertNotIn("\033", result.out)
            self.assertEqual(result.err, "")
        self.assertIn("SERVICE", self.check(root.run("status", "services"), 0).out)

    def test_watch_tells_of_ends_and_returns(self):
        root, member = self.cluster(2)
        watch = subprocess.Popen([pln.PLN, "--dir", root.dir, "status", "--watch", "--json"],
                                 stdout=subprocess.PIPE, text=True)
        seen = []
        reader = threading.Thread(target=lambda: seen.extend(map(json.loads, watch.stdout)))
        reader.start()

        def came_back():
            """Stops and starts the member, again when the watch had not begun yet."""
            member.must("down")
            member.up()
            member.wait_connected(root.id())
            kinds = [event["event"] for event in list(seen)]
            return "disconnected" in kinds and "connected" in kinds[kinds.index("disconnected"):]
        pln.until(came_back, "an end and a return")
        watch.send_signal(signal.SIGINT)
        self.assertEqual(watch.wait(timeout=pln.WAIT_S), 130)
        reader.join()
        watch.stdout.close()
        for event in seen:
            self.check_shape(event, "event")
            self.assertEqual(event["peer"], member.id())
        ends = [event for event in seen if event["event"] == "disconnected"]
        self.assertEqual((ends[0]["reason"], ends[0]["from"]), ("graceful", "connected"))

    def test_the_reason_of_an_end_is_kept(self):
        root, member = self.cluster(2)
        key = member.id()
        member.must("down")
        peer = pln.until(lambda: (p := root.peer(key)) and p["state"] != "connected" and p, "the end")
        self.assertEqual(peer["last_end"]["reason"], "graceful")
        self.assertIsNone(peer["path"])
        self.check_shape(root.status(), "status")


class Ping(pln.TestCase):
    def test_replies_in_both_forms(self):
        root, member = self.cluster(2)
        key = member.id()
        result = self.check(root.run("ping", "-c", "2", "-i", "10ms", "--json", key), 0)
        lines = result.lines()
        self.assertEqual([line["seq"] for line in lines], [1, 2])
        for line in lines:
            self.check_shape(line, "ping")
            self.assertTrue(line["ok"])
            self.assertEqual((line["peer"], line["path"], line["error"]), (key, "direct", None))
        human = self.check(root.run("ping", "-c", "1", key[:6]), 0)
        self.assertRegex(human.out, rf"^{key[:8]}: seq=1 time=[\d.]+ ms direct via 127\.0\.0\.1:\d+\n$")
        self.assertIn("1 sent, 1 received", human.err)
        self.check(root.run("ping", "--until-direct", key), 0)

    def test_peers_that_are_not_meant(self):
        nodes = self.cluster(3)
        keys = [node.id() for node in nodes[1:]]
        absent = next(d for d in "0123456789abcdef" if all(not n.id().startswith(d) for n in nodes))
        self.check_fails(nodes[0].run("ping", absent), 3, "no such peer", f"--dir {nodes[0].dir} status")
        self.check_fails(nodes[0].run("ping", "zz"), 3, "no peer is named")
        self.check_fails(nodes[0].run("ping", nodes[0].id()), 2, "this node itself")
        self.check_fails(nodes[0].run("ping", "0" * 65), 2, "is no id")
        common = os.path.commonprefix(keys)
        if common:
            self.check_fails(nodes[0].run("ping", common), 5, "matches 2 peers")

    def test_an_ambiguous_prefix(self):
        root = self.node("root")
        root.up()
        members, seen = 0, {}
        while not any(len(v) > 1 for v in seen.values()):
            # After seventeen ids two share their first digit; it takes six or so.
            self.assertLess(members, 17)
            node = self.node(f"member{members}")
            node.must("join", "-", stdin=root.must("invite").out)
            node.up()
            node.wait_connected(root.id())
            seen.setdefault(node.id()[0], []).append(node)
            members += 1
        digit = next(d for d, nodes in seen.items() if len(nodes) > 1)
        self.check_fails(root.run("ping", digit), 5, "matches 2 peers", "status --wide")

    def test_a_silent_peer(self):
        root, member = self.cluster(2)
        key = member.id()
        member.must("down")
        pln.until(lambda: root.peer(key)["state"] != "connected", "the end")
        result = self.check(root.run("ping", "-c", "1", "--timeout", "200ms", "--json", key), 1)
        lines = result.lines()
        self.check_shape(lines[0], "ping")
        self.assertFalse(lines[0]["ok"])
        self.assertIn(lines[0]["error"], ("not_connected", "timeout"))
        self.check_shape(lines[1], "error")

    def test_waits_for_the_session(self):
        root, member = self.cluster(2)
        key = member.id()
        member.must("down")
        member.up()
        self.check(root.run("ping", "-c", "1", "--timeout", "60s", key), 0)


class Certificate(pln.TestCase):
    def member(self, root, *terms):
        node = self.node("member")
        node.must("join", "-", stdin=root.must("invite", *terms).out)
        node.up()
        return node

    def cert(self, node):
        return node.status()["self"]["cert"]

    def test_a_node_whose_certificate_ran_out_stays_and_says_so(self):
        root = self.node("root")
        root.up()
        node = self.member(root, "--guest", "--cert-ttl", "1s")
        pln.until(lambda: self.cert(node)["health"] == "expired", "the end of the certificate")
        self.assertIn("needs a new invite", node.must("status").out)
        node.must("down")
        node.up()
        self.assertEqual(self.cert(node)["health"], "expired")
        self.check(node.run("join", "-", stdin=root.must("invite").out), 0)
        self.assertEqual(self.cert(node)["health"], "ok")
        node.wait_connected(root.id())

    def saved(self, node):
        with open(os.path.join(node.dir, "keys", "membership.cert.pb"), "rb") as file:
            return file.read()

    def test_a_certificate_is_renewed_in_time_and_saved(self):
        # Nine seconds are short for a test, yet long enough for a slow machine: it may be late by
        # the minute that clocks may differ.
        root = self.node("root")
        root.up()
        node = self.node("member")
        node.must("join", "-", stdin=root.must("invite", "--cert-ttl", "9s").out)
        joined = self.saved(node)
        node.up()
        first = self.cert(node)  # The one it joined with, or the next already.
        pln.until(lambda: self.cert(node)["serial"] != first["serial"], "a renewal")
        self.assertGreater(self.cert(node)["not_after"], first["not_after"])
        pln.until(lambda: "certificate renewed" in node.must("logs", "-n", "1000").out, "the log of it")
        pln.until(lambda: self.saved(node) != joined, "the saved certificate")
        node.must("down")
        saved = self.saved(node)
        self.assertNotEqual(saved, joined)
        node.up()
        node.wait_connected(root.id())


class Terminal(pln.TestCase):
    def on_terminal(self, node, **environment):
        master, slave = pty.openpty()
        with subprocess.Popen([pln.PLN, "--dir", node.dir, "status"], stdout=slave,
                              env={**os.environ, **environment}) as process:
            process.wait(timeout=pln.WAIT_S)
        os.close(slave)
        text = b""
        try:
            while chunk := os.read(master, 65536):
                text += chunk
        except OSError:
            pass
        os.close(master)
        return text

    def test_colour_on_a_terminal_unless_told_not_to(self):
        root, _ = self.cluster(2)
        environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        os.environ.clear()
        os.environ.update(environment)
        self.assertIn(b"\033[32m", self.on_terminal(root))
        self.assertNotIn(b"\033", self.on_terminal(root, NO_COLOR="1"))


class Logs(pln.TestCase):
    def test_last_lines(self):
        node = self.node()
        node.up()
        text = self.check(node.run("logs"), 0).out
        self.assertIn("listens on UDP port", text)
        self.assertRegex(text.splitlines()[0], r"^\d{4}-\d\d-\d\dT[\d:.]+Z (info|warn|debug|error) ")
        self.assertEqual(len(self.check(node.run("logs", "-n", "1"), 0).out.splitlines()), 1)
        self.assertEqual(self.check(node.run("logs", "-n", "0"), 0).out, "")

    def test_follow(self):
        node = self.node()
        node.up()
        with subprocess.Popen([pln.PLN, "--dir", node.dir, "logs", "-f", "-n", "0"],
                              stdout=subprocess.PIPE, text=True) as follower:
            node.must("down")
            for line in follower.stdout:
                if line.rstrip().endswith("stopped"):
                    break
            follower.send_signal(signal.SIGINT)
            self.assertEqual(follower.wait(timeout=pln.WAIT_S), 130)

    def test_none_yet(self):
        self.check_fails(self.node().run("logs"), 3, "no node ran here yet", "up --detach")


class Sessions(pln.TestCase):
    def test_a_killed_node_comes_back(self):
        root, member = self.cluster(2)
        member.kill()
        member.up()
        member.wait_connected(root.id())
        self.check(root.run("ping", "-c", "1", "--timeout", "60s", member.id()), 0)

    def test_a_restarted_root_is_found_again(self):
        root, member = self.cluster(2)
        port = str(root.status()["self"]["port"])
        root.must("down")
        root.must("up", "--port", port, "--ips", "127.0.0.1", "--detach")
        member.wait_connected(root.id())


if __name__ == "__main__":
    pln.main()
