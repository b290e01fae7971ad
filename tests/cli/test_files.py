#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What init, id and purge do with the state directory, and what they refuse."""
import os
import shutil
import subprocess

import pln


class Init(pln.TestCase):
    def test_makes_a_cluster_once(self):
        node = self.node()
        result = self.check(node.run("init"), 0)
        self.assertRegex(result.out, r"^root_pub: [0-9a-f]{64}\ncluster_id: [0-9a-f]{64}\n$")
        before = pln.tree_hash(node.dir)
        self.check_fails(node.run("init"), 1, "member of a cluster already", "up")
        self.assertEqual(pln.tree_hash(node.dir), before)

    def test_goes_on_where_it_was_interrupted(self):
        files = ["admin_ed25519.key", "admin_ed25519.pub", "cluster.trust.pb", "membership.cert.pb"]
        for kept in range(len(files)):  # They are written in this order.
            node = self.node(f"node{kept}")
            before = self.check(node.run("init", "--json"), 0).json()
            for name in files[kept:]:
                os.unlink(os.path.join(node.dir, "keys", name))
            after = self.check(node.run("init", "--json"), 0).json()
            self.assertEqual(after["id"], before["id"])
            self.assertEqual(after["root_pub"] == before["root_pub"], kept > 0)
            self.check_fails(node.run("init"), 1, "member of a cluster already")
            node.up()

    def test_a_delegated_key_makes_no_root(self):
        node = self.node()
        node.must("init")
        keys = os.path.join(node.dir, "keys")
        os.rename(os.path.join(keys, "membership.cert.pb"), os.path.join(keys, "admin.cert.pb"))
        before = pln.tree_hash(node.dir)
        self.assertNotEqual(node.run("init").code, 0)
        self.assertEqual(pln.tree_hash(node.dir), before)

    def test_json(self):
        node = self.node()
        value = self.check(node.run("init", "--json"), 0).json()
        self.check_shape(value, "init")
        self.assertEqual(value["id"], node.id())

    def test_modes_are_narrow(self):
        node = self.node()
        node.must("init")
        for directory, names, files in os.walk(node.dir):
            for name in names + files:
                mode = os.lstat(os.path.join(directory, name)).st_mode
                self.assertEqual(mode & 0o027, 0, name)
        for name in ("ed25519.key", "admin_ed25519.key"):
            mode = os.stat(os.path.join(node.dir, "keys", name)).st_mode
            self.assertEqual(mode & 0o777, 0o600, name)

    def test_refuses_while_the_node_runs(self):
        node = self.node()
        node.up()
        self.check_fails(node.run("init"), 1, "in use by another process", "down")


class Id(pln.TestCase):
    def test_is_made_once_and_stays(self):
        node = self.node()
        first = self.check(node.run("id"), 0)
        self.assertRegex(first.out, r"^[0-9a-f]{64}\n$")
        self.assertEqual(node.run("id").out, first.out)
        value = self.check(node.run("id", "--json"), 0).json()
        self.check_shape(value, "id")
        self.assertEqual(value["id"] + "\n", first.out)

    def test_survives_the_loss_of_the_public_half(self):
        node = self.node()
        key = node.id()
        os.remove(os.path.join(node.dir, "keys", "ed25519.pub"))
        self.assertEqual(node.id(), key)

    def test_a_lone_public_half_is_an_error(self):
        node = self.node()
        node.id()
        os.remove(os.path.join(node.dir, "keys", "ed25519.key"))
        before = pln.tree_hash(node.dir)
        self.check(node.run("id"), 2)
        self.assertEqual(pln.tree_hash(node.dir), before)

    def test_halves_of_two_keys_are_an_error(self):
        node, other = self.node("a"), self.node("b")
        node.id()
        other.id()
        for source in (other.dir,):
            with open(os.path.join(source, "keys", "ed25519.pub"), "rb") as file:
                public = file.read()
        with open(os.path.join(node.dir, "keys", "ed25519.pub"), "wb") as file:
            file.write(public)
        before = pln.tree_hash(node.dir)
        self.check(node.run("id"), 2)
        self.assertEqual(pln.tree_hash(node.dir), before)


class Modes(pln.TestCase):
    def refuse(self, path, mode):
        node = self.node(path.replace("/", "_") or "top")
        node.must("init")
        os.chmod(os.path.join(node.dir, path), mode)
        before = pln.tree_hash(node.dir)
        for args in (["id"], ["invite"], ["up", "--port", "0", "--detach"]):
            result = self.check(node.run(*args), 4)
            self.assertIn("hint: ", result.err, str(result))
        self.assertEqual(pln.tree_hash(node.dir), before)

    def test_a_key_that_others_may_read(self):
        self.refuse("keys/ed25519.key", 0o640)

    def test_an_admin_key_that_others_may_read(self):
        self.refuse("keys/admin_ed25519.key", 0o644)

    def test_a_directory_that_others_may_write(self):
        self.refuse("keys", 0o777)


class Unreadable(pln.TestCase):
    def test_a_key_that_we_may_not_read(self):
        # Root may read everything, so somebody else has to try, who may not enter where this was built.
        user = 65534 if os.geteuid() == 0 else None
        node = self.node()
        program = shutil.copy(pln.PLN, os.path.join(self.root, "copy"))
        if user is not None:
            os.chown(self.root, user, user)

        def run(*args):
            return subprocess.run([program, "--dir", node.dir, *args], capture_output=True, text=True,
                                  check=False, user=user, group=user, extra_groups=[] if user else None)
        self.assertEqual(run("init").returncode, 0)
        os.chmod(os.path.join(node.dir, "keys", "ed25519.key"), 0)
        before = os.listdir(os.path.join(node.dir, "keys"))
        for args in (["id"], ["invite"], ["up", "--port", "0", "--detach"], ["init"]):
            done = run(*args)
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn("ed25519.key", done.stderr)
        self.assertEqual(os.listdir(os.path.join(node.dir, "keys")), before)


class Purge(pln.TestCase):
    def test_asks_for_yes(self):
        node = self.node()
        node.must("init")
        before = pln.tree_hash(node.dir)
        self.check_fails(node.run("purge"), 2, "say --yes")
        self.assertEqual(pln.tree_hash(node.dir), before)

    def test_leaves_the_node_key(self):
        node = self.node()
        node.must("init")
        key = node.id()
        node.must("purge", "--yes")
        self.assertEqual(node.id(), key)
        self.check(node.run("invite"), 1)
        self.check(node.run("init"), 0)

    def test_all_takes_the_node_key_too(self):
        node = self.node()
        key = node.id()
        node.must("purge", "--all", "--yes")
        self.assertNotEqual(node.id(), key)

    def test_takes_what_was_kept_of_torn_states_and_nothing_else(self):
        node = self.node()
        node.must("init")
        others = ["state.yaml.kept-", "state.yaml.kept-mine", "state.yaml.kept-00112233445566778"]
        for name in ["state.yaml.kept-0011223344556677", "state.yaml.kept-fedcba9876543210", *others]:
            with open(os.path.join(node.dir, name), "w", encoding="ascii") as file:
                file.write("peers:\n")
        node.must("purge", "--yes")
        self.assertEqual(sorted(name for name in os.listdir(node.dir) if "kept" in name), sorted(others))

    def test_refuses_while_the_node_runs(self):
        node = self.node()
        node.up()
        self.check_fails(node.run("purge", "--yes"), 1, "in use by another process", "down")
        self.assertTrue(os.path.exists(os.path.join(node.dir, "keys", "membership.cert.pb")))

    def test_of_nothing_is_fine(self):
        self.check(self.node("none").run("purge", "--yes"), 0)


class Config(pln.TestCase):
    def test_a_broken_one_stops_everything(self):
        node = self.node()
        node.must("init")
        with open(os.path.join(node.dir, "config.yaml"), "w", encoding="ascii") as file:
            file.write("bootstrapPeers: {not a list")
        os.chmod(os.path.join(node.dir, "config.yaml"), 0o600)
        before = pln.tree_hash(node.dir)
        for args in (["up", "--port", "0", "--detach"], ["invite"]):
            self.check_fails(node.run(*args), 2, "config.yaml")
        self.assertEqual(pln.tree_hash(node.dir), before)


class FullDisk(pln.TestCase):
    """On a file system of 64 KiB that is filled up; needs root."""

    def setUp(self):
        super().setUp()
        self.small = os.path.join(self.root, "small")
        os.mkdir(self.small, 0o700)
        if os.geteuid() != 0 or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", self.small],
                capture_output=True, check=False).returncode != 0:
            self.skipTest("cannot mount")
        self.addCleanup(subprocess.run, ["umount", "-l", self.small], check=False)

    def fill(self):
        with open(os.path.join(self.small, "filler"), "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass

    def test_init_fails_and_works_once_there_is_room(self):
        node = pln.Node(self.small, "node")
        os.mkdir(node.dir, 0o700)
        self.fill()
        self.check(node.run("init"), 1)
        os.remove(os.path.join(self.small, "filler"))
        self.check(node.run("init"), 0)

    def test_join_fails_and_the_invite_can_be_used_again(self):
        root = self.node("root")
        root.up()
        token = root.must("invite").out
        node = pln.Node(self.small, "node")
        node.id()
        self.fill()
        before = pln.tree_hash(node.dir)
        self.check(node.run("join", "-", stdin=token), 1)
        self.assertEqual(pln.tree_hash(node.dir), before)
        os.remove(os.path.join(self.small, "filler"))
        self.check(node.run("join", "-", stdin=token), 0)


if __name__ == "__main__":
    pln.main()
