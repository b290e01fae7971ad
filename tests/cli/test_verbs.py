#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator asks of a running cluster: wait."""
import os
import subprocess
import threading

import pln


class Wait(pln.TestCase):
    def test_for_any_peer_and_for_one(self):
        root, member = self.cluster(2)
        for args in ([], ["--count", "1"], ["--all"], [member.id()], [member.id()[:8]], ["--daemon", "--all"]):
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


if __name__ == "__main__":
    pln.main()
