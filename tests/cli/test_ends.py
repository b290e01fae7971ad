#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What takes its time: every way in which a session ends, as status tells it, and certificates that end."""
import os
import signal

import pln

IDLE_S = 30
SKEW_S = 60


class Ends(pln.TestCase):
    def member(self, root, name, *terms):
        node = self.node(name)
        node.must("join", "-", stdin=root.must("invite", *terms).out)
        node.up()
        node.key = node.id()
        node.wait_connected(root.id())
        pln.until(lambda: (root.peer(node.key) or {}).get("state") == "connected", f"{name} at the root")
        return node

    def peer(self, node, key):
        peers = node.must("status", "--json", "--all").json()["peers"]
        return next((peer for peer in peers if peer["id"] == key), {})

    def wait_end(self, node, key, reason, seconds=pln.WAIT_S):
        def ended():
            return ((self.peer(node, key).get("last_end") or {}).get("reason")) == reason
        pln.until(ended, f"an end with the reason {reason}", seconds)

    def test_each_is_told_apart(self):
        """All but "unknown", for which a peer would have to break the protocol."""
        root = self.node("root")
        root.up()
        root.key = root.id()
        silent = self.member(root, "silent")
        pid = silent.pid()
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        guest = self.member(root, "guest", "--guest", "--cert-ttl", "1s")
        brief = self.member(root, "brief", "--cert-ttl", "9s")
        leaving, crashing, bad = (self.member(root, name) for name in ("leaving", "crashing", "bad"))

        leaving.must("down")
        self.wait_end(root, leaving.key, "graceful")
        crashing.kill()
        crashing.up()
        self.wait_end(root, crashing.key, "reset")
        root.must("revoke", "--yes", bad.key)
        self.wait_end(bad, root.key, "revoked")
        bad.must("down")
        bad.up()
        self.wait_end(bad, root.key, "denied")
        # It was renewed, and its new session replaced the old one.
        self.wait_end(brief, root.key, "cert_rotation")
        self.assertEqual(self.peer(brief, root.key)["state"], "connected")
        self.wait_end(root, silent.key, "idle_timeout", IDLE_S + pln.WAIT_S)
        self.wait_end(root, guest.key, "cert_expired", SKEW_S + pln.WAIT_S)
        self.assertIn("disconnected: cert_expired", guest.must("logs").out)

    def test_a_node_that_was_alone_is_renewed_when_an_admin_comes(self):
        root = self.node("root")
        root.up()
        port = str(root.status()["self"]["port"])
        member = self.member(root, "member", "--cert-ttl", "20s")
        root.must("down")
        first = member.status()["self"]["cert"]
        # Its third is over, and in the minute of skew after that it is taken all the same.
        pln.until(lambda: member.status()["self"]["cert"]["health"] == "expired", "the end of it")
        self.assertEqual(member.status()["self"]["cert"]["serial"], first["serial"])
        root.must("up", "--port", port, "--ips", "127.0.0.1", "--detach")
        pln.until(lambda: member.status()["self"]["cert"]["health"] != "expired", "the renewal")
        member.wait_connected(root.id())


if __name__ == "__main__":
    pln.main()
