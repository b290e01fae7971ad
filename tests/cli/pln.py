# SPDX-License-Identifier: Apache-2.0
"""Running pln from tests: nodes in directories of their own, results with both streams, golden shapes."""
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PLN = os.environ.get("PLN", "pln")
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")
WAIT_S = 90  # Many times what it takes: a machine may be slow, busy, and run sanitizers.


class Result:
    def __init__(self, args, done):
        self.args, self.code, self.out, self.err = args, done.returncode, done.stdout, done.stderr

    def __str__(self):
        return f"pln {' '.join(self.args)}\nexit {self.code}\nout: {self.out}\nerr: {self.err}"

    def lines(self):
        """stdout as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    def json(self):
        lines = self.lines()
        assert len(lines) == 1, str(self)
        return lines[0]


def run(*args, stdin="", env=None, timeout=WAIT_S, cwd=None):
    """Runs to the end; output is text."""
    environment = {key: value for key, value in os.environ.items() if key != "POLLEN_TOKEN"}
    environment.update(env or {})
    done = subprocess.run([PLN, *args], input=stdin, capture_output=True, text=True, check=False,
                          env=environment, timeout=timeout, cwd=cwd)
    return Result(args, done)


def until(condition, what, seconds=WAIT_S):
    """Waits for a condition, with a bound; returns what it returned."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        pause.wait(0.02)


def is_gone(pid):
    """No such process, or one that nobody has waited for yet.

    The thread that began may have ended before the others, which keep its files, and so its lock, until
    they have."""
    def has_ended(thread):
        with open(f"/proc/{pid}/task/{thread}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    try:
        return all(has_ended(thread) for thread in os.listdir(f"/proc/{pid}/task"))
    except (FileNotFoundError, ProcessLookupError):
        return not os.path.exists(f"/proc/{pid}/task")


def tree_hash(path):
    """Names, modes and contents below path; sockets and the lock are not state."""
    digest = hashlib.sha256()
    for directory, names, files in sorted(os.walk(path)):
        names.sort()
        for name in sorted(files + names):
            full = os.path.join(directory, name)
            mode = os.lstat(full).st_mode
            if name in (".state.lock", "pln.sock"):
                continue
            digest.update(f"{os.path.relpath(full, path)} {mode:o}\n".encode())
            if os.path.isfile(full):
                with open(full, "rb") as file:
                    digest.update(file.read())
    return digest.hexdigest()


# What a command waits for by itself, where a test does not say: a slow machine may need it.
PATIENCE = {"down": ["--timeout", "60s"], "join": ["--timeout", "60s"], "ping": ["--timeout", "30s"]}


class Node:
    """A state directory, and the daemon that may run in it."""

    def __init__(self, root, name):
        self.dir = os.path.join(root, name)

    def run(self, *args, **options):
        patience = PATIENCE.get(args[0], []) if "--timeout" not in args else []
        return run("--dir", self.dir, args[0], *patience, *args[1:], **options)

    def must(self, *args, **options):
        result = self.run(*args, **options)
        assert result.code == 0, str(result)
        return result

    def up(self, *args):
        return self.must("up", "--port", "0", "--ips", "127.0.0.1", "--detach", *args)

    def down(self):
        self.run("down")

    def id(self):
        return self.must("id").out.strip()

    def status(self):
        return self.must("status", "--json").json()

    def peer(self, key):
        """What status says of a peer, or None."""
        return next((peer for peer in self.status()["peers"] if peer["id"] == key), None)

    def wait_connected(self, key):
        return until(lambda: (self.peer(key) or {}).get("state") == "connected", f"session with {key}")

    def pid(self):
        """The daemon answers this on its control socket."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(os.path.join(self.dir, "pln.sock"))
            client.sendall(b'{"schema":"pollen.control/1","verb":"info"}\n')
            return json.loads(client.makefile().readline())["pid"]

    def kill(self):
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        until(lambda: is_gone(pid), "the end of a killed daemon")


class TestCase(unittest.TestCase):
    """With a directory that goes away, and nodes that are stopped."""

    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="pln-")
        self.nodes = []
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.addCleanup(self.stop_all)

    def stop_all(self):
        for node in self.nodes:
            node.down()

    def node(self, name="node"):
        node = Node(self.root, name)
        self.nodes.append(node)
        return node

    def cluster(self, count):
        """A root and members, all running, each connected with the root."""
        root = self.node("root")
        root.up()
        nodes = [root]
        for i in range(1, count):
            member = self.node(f"member{i}")
            member.must("join", "-", stdin=root.must("invite").out)
            member.up()
            nodes.append(member)
        for member in nodes[1:]:
            member.wait_connected(root.id())
        return nodes

    # ---- Claims ----

    def check(self, result, code):
        self.assertEqual(result.code, code, str(result))
        return result

    def check_fails(self, result, code, words, hint=None):
        """One `pln:` line with the words; a hint line where one is expected, and nothing on stdout."""
        self.check(result, code)
        lines = [line for line in result.err.splitlines() if not line.startswith("20")]
        errors = [line for line in lines if line.startswith("pln: ")]
        self.assertEqual(len(errors), 1, str(result))
        self.assertIn(words, errors[0], str(result))
        if hint is not None:
            hints = [line for line in lines if line.startswith("hint: ")]
            self.assertEqual(len(hints), 1, str(result))
            self.assertIn(hint, hints[0], str(result))
        self.assertEqual(result.out, "", str(result))
        return result

    def check_shape(self, value, name):
        """The value has exactly the fields and types of the golden file."""
        with open(os.path.join(GOLDEN, f"{name}.json"), encoding="utf-8") as file:
            problem = mismatch(value, json.load(file), name)
        self.assertIsNone(problem, f"{problem}\nin {json.dumps(value, indent=2)}")


# ---- Golden shapes.  A leaf is a string: types separated by "|", or the text itself after "=". ----

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"
TYPES = {
    "null": lambda v: v is None,
    "bool": lambda v: isinstance(v, bool),
    "int": lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0,
    "seconds": lambda v: isinstance(v, float) and v >= 0,
    "text": lambda v: isinstance(v, str) and v != "",
    "hex64": lambda v: isinstance(v, str) and re.fullmatch("[0-9a-f]{64}", v),
    "hex16": lambda v: isinstance(v, str) and re.fullmatch("[0-9a-f]{16}", v),
    "time": lambda v: isinstance(v, str) and re.fullmatch(TIME, v),
    "addr": lambda v: isinstance(v, str) and re.fullmatch(r"(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d+", v),
    "base64": lambda v: isinstance(v, str) and re.fullmatch("[A-Za-z0-9+/]+=*", v),
    "empty": lambda v: v == [],
}


def mismatch(value, shape, path):
    if isinstance(shape, dict):
        if value is None and shape.get("?") == "null":
            return None
        if not isinstance(value, dict):
            return f"{path}: not an object"
        expected = set(shape) - {"?"}
        if set(value) != expected:
            return f"{path}: fields differ: {sorted(set(value) ^ expected)}"
        return next((m for m in (mismatch(value[k], shape[k], f"{path}.{k}") for k in expected) if m), None)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{path}: not a list"
        return next((m for m in (mismatch(v, shape[0], f"{path}[]") for v in value) if m), None)
    for kind in shape.split("|"):
        if kind.startswith("=") and value == kind[1:] or kind in TYPES and TYPES[kind](value):
            return None
    return f"{path}: {value!r} is not {shape}"


def main():
    if len(sys.argv) > 1 and os.path.exists(sys.argv[1]):
        globals()["PLN"] = os.path.abspath(sys.argv.pop(1))
    unittest.main(module="__main__", verbosity=2)
