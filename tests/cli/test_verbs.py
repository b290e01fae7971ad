#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator asks of a running cluster: wait, revoke, metrics, doctor, bench, netcheck."""
import os
import pty
import re
import socket
import subprocess
import threading
import time

import pln


class Wait(pln.TestCase):
    def test_for_any_peer_and_for_one(self):
        root, member = self.cluster(2)
        for args in ([], ["--count", "1"], ["--all"], [member.id()], [member.id()[:8]],
                     ["--daemon", "--all"]):
            result = self.check(root.run("wait", *args), 0)
            self.assertRegex(result.out, rf"^{member.id()[:12]}  connected, direct via 127\.0\.0\.1:\d+\n$")
        value = self.check(root.run("wait", "--json"), 0).json()
        self.check_shape(value, "wait")
        self.assertEqual([peer["id"] for peer in value["peers"]], [member.id()])

    def test_from_before_the_daemon_and_the_peer_are_there(self):
        root = self.node("root")
        root.up()
        member = self.node("member")
        member.must("join", "-", stdin=root.must("invite").out)
        waits = [subprocess.Popen([pln.PLN, "--dir", member.dir, "wait", "--daemon", *args],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                 for args in ([], [root.id()], ["--count", "1"])]
        pause = threading.Event()
        pause.wait(0.3)
        self.assertEqual([process.poll() for process in waits], [None] * 3)
        member.up()
        for process in waits:
            _, err = process.communicate(timeout=pln.WAIT_S)
            self.assertEqual((process.returncode, err), (0, ""))

    def test_for_the_daemon_alone_names_no_peers(self):
        root, member = self.cluster(2)
        root.wait_connected(member.id())
        self.assertEqual(self.check(root.run("wait", "--daemon"), 0).out, "")
        value = self.check(root.run("wait", "--daemon", "--json"), 0).json()
        self.check_shape(value, "wait")
        self.assertEqual(value["peers"], [])

    def test_a_daemon_that_is_not_there(self):
        node = self.node()
        self.check_fails(node.run("wait"), 6, "no daemon is running", "up --detach")
        self.check_fails(node.run("wait", "--daemon", "--timeout", "200ms"), 7, "no daemon came up",
                         f"--dir {node.dir} up --detach")

    def test_alone_until_the_deadline(self):
        node = self.node()
        node.up()
        self.check(node.run("wait", "--daemon"), 0)
        for args, words in (([], "0 of 1 peers connected"), (["--all"], "no peer became known"),
                            (["ab" * 32], "no such peer became known")):
            result = self.check_fails(node.run("wait", "--timeout", "200ms", *args), 7, words, "pln --dir")
            self.assertEqual(result.out, "")
        result = self.check(node.run("wait", "--timeout", "100ms", "--json"), 7)
        self.check_shape(result.json(), "error")
        self.assertEqual(result.json()["code"], "TIMEOUT")

    def test_a_peer_that_went_is_named_with_the_next_step(self):
        root, member = self.cluster(2)
        key = member.id()
        member.must("down")
        pln.until(lambda: root.peer(key)["state"] != "connected", "the end")
        self.check_fails(root.run("wait", "--timeout", "300ms", key), 7, key[:12], f"doctor {key[:12]}")

    def test_what_makes_no_sense(self):
        node = self.node()
        node.up()
        for args in (["ab", "--all"], ["--all", "--count", "2"], ["--count", "0"], ["--timeout", "0"],
                     ["0" * 65]):
            self.check_fails(node.run("wait", *args), 2, "")
        self.check_fails(node.run("wait", "xyz"), 3, "no peer is named")
        self.check_fails(node.run("wait", node.id()), 2, "this node itself")


class Revoke(pln.TestCase):
    def test_shuts_a_member_out_for_good(self):
        root, member = self.cluster(2)
        key = member.id()
        value = self.check(root.run("revoke", "--yes", "--json", key[:10]), 0).json()
        self.check_shape(value, "revoke")
        self.assertEqual((value["peer"], value["revoked"]), (key, True))
        pln.until(lambda: root.peer(key) is None, "the end of the member in status")
        everybody = self.check(root.run("status", "--all", "--json"), 0).json()
        self.check_shape(everybody, "status")
        revoked = next(peer for peer in everybody["peers"] if peer["id"] == key)
        self.assertTrue(revoked["revoked"])
        self.assertNotEqual(revoked["state"], "connected")
        self.assertIn("revoked", self.check(root.run("status", "--all"), 0).out)
        self.assertNotIn(key[:12], self.check(root.run("status"), 0).out)
        self.assertEqual(self.check(root.run("revoke", "--yes", key), 0).out, f"revoked {key}\n")
        member.must("down")
        member.up()
        self.check(member.run("wait", "--timeout", "2s"), 7)

    def test_other_members_close_their_sessions_too(self):
        root, first, second = self.cluster(3)
        gone, other = first.id(), second.id()
        second.wait_connected(gone)
        root.must("revoke", "--yes", gone)
        pln.until(lambda: second.peer(gone) is None, "the revocation at another member")
        self.check(second.run("wait", "--timeout", "300ms", "--json", gone), 7)
        root.wait_connected(other)

    def test_nobody_waits_for_who_is_revoked(self):
        root, member = self.cluster(2)
        key = member.id()
        root.must("revoke", "--yes", key)
        for args in (["ping", key], ["bench", key], ["pipe", "connect", key, "--port", "7"]):
            self.check_fails(root.run(*args), 4, f"peer {key}: revoked")

    def test_survives_a_restart(self):
        root, member = self.cluster(2)
        key = member.id()
        root.must("revoke", "--yes", key)
        root.kill()
        root.up()
        everybody = root.must("status", "--all", "--json").json()
        self.assertEqual([(peer["id"], peer["revoked"]) for peer in everybody["peers"]], [(key, True)])

    def test_only_the_root_may(self):
        root, member = self.cluster(2)
        for args in (["--yes"], []):
            self.check_fails(member.run("revoke", *args, root.id()), 4,
                             "only the node with the cluster's root key", "made the cluster")
        self.assertEqual(root.peer(member.id())["state"], "connected")

    def test_who_is_not_meant(self):
        root = self.node("root")
        root.up()
        self.check_fails(root.run("revoke", "--yes", "ab" * 32), 3, "no such peer", "status")
        self.check_fails(root.run("revoke", "--yes", "xyz"), 3, "no peer is named")
        self.check_fails(root.run("revoke", "--yes", root.id()), 2, "this node itself")

    def answer(self, node, key, text):
        """The exit code of a revoke that is asked on a terminal, and what it said."""
        master, slave = pty.openpty()
        os.write(master, text)
        done = subprocess.run([pln.PLN, "--dir", node.dir, "revoke", key], stdin=slave, capture_output=True,
                              text=True, check=False, timeout=pln.WAIT_S)
        os.close(slave)
        os.close(master)
        return done

    def test_asks_on_a_terminal_and_nowhere_else(self):
        root, member = self.cluster(2)
        key = member.id()
        self.check_fails(root.run("revoke", key), 2, "say --yes")
        done = self.answer(root, key[:8], b"no\n")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(key, done.stderr)
        self.assertIn("not confirmed", done.stderr)
        self.assertEqual(root.peer(key)["state"], "connected")
        done = self.answer(root, key[:8], b"yes\n")
        self.assertEqual((done.returncode, done.stdout), (0, f"revoked {key}\n"), done.stderr)


class Status(pln.TestCase):
    def test_a_member_that_is_only_heard_of_is_there(self):
        root, first, second = self.cluster(3)
        for node, other in ((first, second), (second, first)):
            peer = pln.until(lambda n=node, o=other: n.peer(o.id()), "a member that the root told of")
            self.assertFalse(peer["revoked"])
            self.assertIsNotNone(peer["addr"])

    def test_columns_of_the_wide_form(self):
        root, member = self.cluster(2)
        lines = self.check(root.run("status", "nodes", "--wide"), 0).out.splitlines()
        for title in ("PEER", "STATE", "PATH", "ADDR", "RTT", "SINCE", "NEXT", "FAILED", "LAST END",
                      "DROPPED"):
            self.assertIn(title, lines[0])
        self.assertTrue(lines[1].startswith(member.id()))

    def test_what_comes_next_of_a_certificate(self):
        root = self.node("root")
        root.up()
        guest = self.node("guest")
        guest.must("join", "-", stdin=root.must("invite", "--guest").out)
        guest.up()
        self.assertRegex(root.must("status").out, r"(?m)^cert      ok, \d+d\d+h left; renews itself in \d+d")
        self.assertRegex(guest.must("status").out, r"(?m)^cert      ok, .* left; not renewable; a new invite")

    def test_watch_prints_a_line_for_each_change(self):
        root, member = self.cluster(2)
        key = member.id()
        with subprocess.Popen([pln.PLN, "--dir", root.dir, "status", "--watch"], stdout=subprocess.PIPE,
                              text=True) as watch:
            seen = []
            reader = threading.Thread(target=lambda: seen.extend(iter(watch.stdout.readline, "")))
            reader.start()

            def told():
                member.must("down")
                member.up()
                member.wait_connected(root.id())
                return any(" disconnected " in line and key[:12] in line and "graceful" in line
                           for line in seen)
            pln.until(told, "a line of an end")
            watch.terminate()
            reader.join()
        self.assertRegex(seen[0], r"^\d{4}-\d\d-\d\dT[\d:.]+Z  \S+")


class Metrics(pln.TestCase):
    def samples(self, text):
        """{name and labels: value}; checks what a scraper would refuse."""
        types, values = {}, {}
        self.assertTrue(text.endswith("\n"))
        for line in text.splitlines():
            if line.startswith("# HELP "):
                self.assertRegex(line, r"^# HELP pollen_[a-z_]+ \S.*\.$|^# HELP pollen_[a-z_]+ \S.*\)\.$")
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                self.assertNotIn(name, types)
                self.assertEqual(kind, "counter" if name.endswith("_total") else "gauge")
                types[name] = kind
            else:
                match = re.fullmatch(r'((pollen_[a-z_]+)(?:\{[a-z_]+="[^"\\\n]*"\})?) (\d+(?:\.\d+)?)', line)
                self.assertIsNotNone(match, line)
                self.assertIn(match[2], types)
                self.assertEqual(match[2], list(types)[-1], "the samples of a name stand together")
                self.assertNotIn(match[1], values)
                values[match[1]] = float(match[3])
        return values

    def test_figures_of_a_node_and_its_peers(self):
        root, member = self.cluster(2)
        key = member.id()
        values = self.samples(self.check(root.run("metrics"), 0).out)
        self.assertEqual(values['pollen_peers{state="connected"}'], 1)
        self.assertEqual(values['pollen_sessions{path="direct"}'], 1)
        self.assertEqual(values[f'pollen_peer_up{{peer="{key}"}}'], 1)
        self.assertEqual(values["pollen_invites_redeemed_total"], 1)
        self.assertEqual(values["pollen_peers_without_series"], 0)
        self.assertGreater(values[f'pollen_peer_bytes_in_total{{peer="{key}"}}'], 0)
        self.assertGreater(values["pollen_envelopes_in_total"], 0)
        self.check_shape(self.check(root.run("metrics", "--json"), 0).json(), "metrics")

        root.must("ping", "-c", "1", key)
        self.assertGreater(self.samples(root.must("metrics").out)["pollen_udp_bytes_in_total"],
                           values["pollen_udp_bytes_in_total"])
        member.must("down")

        def ended():
            now = self.samples(root.must("metrics").out)
            return now['pollen_session_ends_total{reason="graceful"}'] == 1 and now
        now = pln.until(ended, "the end of the session in the figures")
        self.assertEqual(now['pollen_sessions{path="direct"}'], 0)
        self.assertEqual(now[f'pollen_peer_up{{peer="{key}"}}'], 0)
        self.assertNotIn(f'pollen_peer_bytes_in_total{{peer="{key}"}}', now)

    def test_a_large_cluster_makes_no_more_series_than_asked_for(self):
        root, first, second = self.cluster(3)
        values = self.samples(self.check(root.run("metrics", "--peers", "1"), 0).out)
        self.assertEqual(len([name for name in values if name.startswith("pollen_peer_up{")]), 1)
        self.assertEqual(values["pollen_peers_without_series"], 1)
        self.assertEqual(values['pollen_peers{state="connected"}'], 2)
        none = root.must("metrics", "--peers", "0").out
        self.assertNotIn("peer=", none)
        self.check_fails(root.run("metrics", "--peers", "-1"), 2, "--peers")


class Doctor(pln.TestCase):
    def report(self, node, *args, code=0):
        value = self.check(node.run("doctor", "--json", *args), code).json()
        self.check_shape(value, "doctor")
        results = [check["result"] for check in value["checks"]]
        worst = next(word for word in ("fail", "warn", "pass") if word in results)
        self.assertEqual(value["verdict"], worst)
        return value["checks"]

    def find(self, checks, name, result):
        """The one check of this name and result."""
        found = [check for check in checks if (check["check"], check["result"]) == (name, result)]
        self.assertEqual(len(found), 1, f"{name} {result} in {checks}")
        return found[0]

    def test_a_healthy_node_passes_and_nothing_is_changed(self):
        root, member = self.cluster(2)
        for node in (root, member):
            checks = self.report(node)
            for name in ("directory", "key", "certificate", "config", "clock", "daemon", "port",
                         "nat", "bootstrap", "renewal", "sessions"):
                self.find(checks, name, "pass")
            self.assertIn("--ips", self.find(checks, "addresses", "warn")["fix"])
        self.assertEqual(self.find(self.report(root, member.id()[:9]), "peer", "pass")["peer"], member.id())
        human = self.check(root.run("doctor", member.id()), 0)
        self.assertRegex(human.out, r"(?m)^PASS  directory     ")
        self.assertRegex(human.out, rf"(?m)^PASS  {member.id()[:12]}  connected, direct via ")
        self.assertEqual(human.err, "")
        member.must("down")
        before = pln.tree_hash(member.dir)
        self.report(member, code=1)
        self.assertEqual(pln.tree_hash(member.dir), before)

    def test_nothing_there_at_all(self):
        node = self.node()
        checks = self.report(node, code=1)
        check = self.find(checks, "directory", "fail")
        self.assertIn(f"{node.dir} is not there", check["message"])
        self.assertIn(f"pln --dir {node.dir} join TOKEN ", check["fix"])
        fix = self.find(checks, "daemon", "fail")["fix"]
        self.assertIn(f"pln --dir {node.dir} up --detach ", fix)
        self.assertIn("pln join TOKEN first", fix)
        result = self.check(node.run("doctor"), 1)
        self.assertIn("2 of the checks failed", result.err)
        self.assertFalse(os.path.exists(node.dir))

    def test_a_file_in_place_of_the_directory(self):
        node = self.node()
        with open(node.dir, "w", encoding="ascii"):
            pass
        self.assertIn("Not a directory", self.find(self.report(node, code=1), "directory", "fail")["message"])

    def test_files_that_the_daemon_would_refuse(self):
        node = self.node()
        node.must("init")
        fix = self.find(self.report(node, code=1), "daemon", "fail")["fix"]
        self.assertEqual(fix, f"pln --dir {node.dir} up --detach")
        key = os.path.join(node.dir, "keys", "ed25519.key")
        os.chmod(key, 0o644)
        check = self.find(self.report(node, code=1), "directory", "fail")
        self.assertIn("ed25519.key has mode 0644", check["message"])
        self.assertTrue(check["fix"].startswith("chmod "))
        subprocess.run(check["fix"], shell=True, check=True)
        self.find(self.report(node, code=1), "directory", "pass")
        with open(os.path.join(node.dir, "config.yaml"), "w", encoding="ascii") as file:
            file.write("bootstrap_peers: {\n")
        os.chmod(os.path.join(node.dir, "config.yaml"), 0o600)
        self.assertIn("config.yaml", self.find(self.report(node, code=1), "config", "fail")["message"])

    def test_a_node_without_a_cluster(self):
        node = self.node()
        node.id()
        self.assertIn("join", self.find(self.report(node, code=1), "certificate", "fail")["fix"])

    def test_a_clock_that_went_back(self):
        node = self.node()
        node.up()
        self.find(self.report(node), "clock", "pass")
        ahead = time.time() + 3600
        os.utime(os.path.join(node.dir, "pln.log"), (ahead, ahead))
        self.assertIn("went back", self.find(self.report(node), "clock", "warn")["message"])

    def test_a_daemon_that_hangs(self):
        path = os.path.join(self.root, "deaf.sock")
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.bind(path)
            deaf.listen()
            done = pln.run("doctor", "--json", "--socket", path, "--timeout", "200ms")
        checks = self.check(done, 1).json()["checks"]
        self.assertEqual([check["check"] for check in checks], ["daemon", "port"])
        self.assertIn("does not answer", checks[0]["message"])

    def test_a_peer_that_went(self):
        root, member = self.cluster(2)
        key = root.id()
        root.must("down")
        pln.until(lambda: member.peer(key)["state"] != "connected", "the end")
        checks = self.report(member, code=1)
        self.find(checks, "sessions", "fail")
        self.find(checks, "bootstrap", "warn")
        self.assertEqual(self.find(checks, "peer", "warn")["peer"], key)
        check = self.find(self.report(member, key[:9], code=1), "peer", "fail")
        self.assertRegex(check["message"], r"^last end \S+ ago \(\w+\): .*; (next try in|trying now)")
        self.assertIsNotNone(check["fix"])

    def test_certificates_that_ran_out_are_named(self):
        root = self.node("root")
        root.up()
        guest = self.node("guest")
        guest.must("join", "-", stdin=root.must("invite", "--guest", "--cert-ttl", "3s").out)
        guest.up()
        key = guest.id()
        pln.until(lambda: root.peer(key) is not None, "the guest in the root's status")
        pln.until(lambda: guest.status()["self"]["cert"]["health"] == "expired", "its end")
        checks = self.report(guest, root.id(), code=1)
        self.assertIn("join TOKEN", self.find(checks, "certificate", "fail")["fix"])
        guest.must("down")
        pln.until(lambda: root.peer(key)["state"] != "connected", "the end of the session")
        check = self.find(self.report(root, key, code=1), "peer", "fail")
        self.assertIn("certificate", check["message"])

    def test_a_revoked_peer(self):
        root, member = self.cluster(2)
        root.must("revoke", "--yes", member.id())
        check = self.find(self.report(root, member.id(), code=1), "peer", "fail")
        self.assertIn("revoked", check["message"])
        self.assertEqual([check for check in self.report(root) if check["check"] == "peer"], [])

    def test_who_is_not_meant(self):
        node = self.node()
        node.up()
        self.check_fails(node.run("doctor", "ab" * 32), 3, "no such peer", "status --wide")
        self.check_fails(node.run("doctor", "xyz"), 3, "no peer is named")
        self.check_fails(node.run("doctor", node.id()), 2, "this node itself")


class Bench(pln.TestCase):
    def test_both_ways_and_in_both_forms(self):
        root, member = self.cluster(2)
        value = self.check(root.run("bench", "--seconds", "1", "--json", member.id()), 0).json()
        self.check_shape(value, "bench")
        self.assertEqual((value["peer"], value["path"]), (member.id(), "direct"))
        for way in ("upload", "download"):
            self.assertGreater(value[way]["bytes"], 0)
        rtt = value["idle_rtt"]
        self.assertGreater(rtt["samples"], 0)
        self.assertLessEqual(rtt["min_seconds"], rtt["p50_seconds"])
        self.assertLessEqual(rtt["p50_seconds"], rtt["p99_seconds"])
        human = self.check(member.run("bench", "-s", "1", root.id()[:8]), 0).out
        self.assertRegex(human, r"(?m)^upload    [\d.]+ Mbit/s \([\d.]+ MB in [\d.]+ s\)$")
        self.assertRegex(human, r"(?m)^download  [\d.]+ Mbit/s")

    def test_who_cannot_be_measured(self):
        root, member = self.cluster(2)
        key = member.id()
        self.check_fails(root.run("bench", "ab" * 32), 3, "no such peer", "status")
        self.check_fails(root.run("bench", root.id()), 2, "this node itself")
        for args in (["--seconds", "0"], ["--seconds", "61"], ["--timeout", "0"]):
            self.check_fails(root.run("bench", *args, key), 2, args[0])
        member.must("down")
        pln.until(lambda: root.peer(key)["state"] != "connected", "the end")
        self.check_fails(root.run("bench", "--timeout", "300ms", key), 7, "no session", "doctor")

    def test_a_peer_that_serves_the_port_otherwise_takes_no_part(self):
        root, member = self.cluster(2)
        with subprocess.Popen([pln.PLN, "--dir", member.dir, "pipe", "listen", "--port", "65533"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as pipe:
            pln.until(lambda: root.run("bench", "--seconds", "1", member.id()).code == 10, "a refusal")
            pipe.terminate()
            pipe.communicate(timeout=pln.WAIT_S)
        self.check(root.run("bench", "--seconds", "1", member.id()), 0)


class Netcheck(pln.TestCase):
    def test_what_loopback_shows_is_no_evidence(self):
        root, member = self.cluster(2)
        for node in (root, member):
            value = self.check(node.run("netcheck", "--json"), 0).json()
            self.check_shape(value, "netcheck")
            self.assertEqual((value["mapping"], value["allocation"]), ("unknown", "unknown"))
            self.assertEqual(value["public_addrs"], [])
        human = self.check(root.run("netcheck"), 0).out
        self.assertIn("mapping       unknown: all peers that see this node sit on this side", human)
        self.assertIn("public addrs  unknown", human)
        self.assertIn("router speaks pcp unknown, nat-pmp unknown, upnp unknown", human)


if __name__ == "__main__":
    pln.main()
