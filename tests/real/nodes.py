# SPDX-License-Identifier: Apache-2.0
"""Nodes as processes of their own on the loopback interface, for what is measured in seconds.

A node is driven through its control socket, because starting a command for each look would take longer
than much of what is measured.
"""
import argparse
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
LOOPBACK = "127.0.0.1"
START_S = 30


class Failure(Exception):
    pass


def binary():
    found = os.environ.get("POLLEN_PLN") or HERE.parents[1] / "build" / "dev" / "cmd" / "pln" / "pln"
    if not os.access(found, os.X_OK):
        sys.exit(f"no command at {found}: build it, or name it in POLLEN_PLN")
    return str(found)


def let_pass(seconds):
    """Time that belongs to the story."""
    select.select([], [], [], seconds)


def wait_for(what, condition, seconds=START_S, pause=0.01):
    """Looks again and again until the condition gives something true; that is its result."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what}")
        let_pass(pause)


class Node:
    def __init__(self, directory, pln):
        self.dir, self.pln = str(directory), pln
        self.process, self.port, self.key = None, 0, None

    def command(self, *args, stdin=""):
        done = subprocess.run([self.pln, "--dir", self.dir, *args], input=stdin, capture_output=True,
                              text=True, timeout=START_S, check=False)
        if done.returncode != 0:
            raise Failure(f"pln {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def spawn(self):
        """Starts the daemon and does not wait for it.  It comes back to the port it had."""
        args = ["up", "--port", str(self.port), "--ips", LOOPBACK]
        self.process = subprocess.Popen([self.pln, "--dir", self.dir, *args], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def up(self):
        self.spawn()
        self.await_control()

    def await_control(self):
        info = wait_for("a control socket that answers", lambda: self.ask_once("info"), pause=0.001)
        self.port, self.key = info["port"], info["id"]

    def cpu_seconds(self):
        """Used by the daemon so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def ask(self, verb, timeout=START_S, **fields):
        """One request, one answer."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout)
            client.connect(os.path.join(self.dir, "pln.sock"))
            request = {"schema": "pollen.control/1", "verb": verb, **fields}
            client.sendall(json.dumps(request).encode() + b"\n")
            line = client.makefile().readline()
        if not line:
            raise OSError("the control socket was closed")
        return json.loads(line)

    def ask_once(self, verb, **fields):
        """As ask(), None while the daemon does not answer."""
        try:
            return self.ask(verb, **fields)
        except OSError:
            return None

    def peers(self):
        return {peer["id"]: peer for peer in self.ask("status")["peers"]}

    def connected(self):
        return {key for key, peer in self.peers().items() if peer["state"] == "connected"}

    def ask_connected(self):
        """As connected(), None while the daemon does not answer."""
        try:
            return self.connected()
        except OSError:
            return None

    def ping(self, key, timeout_s):
        """True when a reply came."""
        answer = self.ask("ping", timeout=timeout_s + 5, peer=key, count=1, interval_ms=1000, size=56,
                          until_direct=False, timeout_ms=max(1, int(timeout_s * 1000)))
        return answer.get("ok") is True


class Cluster:
    """A root and members that know nobody but the root."""

    def __init__(self, pln):
        self.pln = pln
        self.root_dir = pathlib.Path(tempfile.mkdtemp(prefix="pln-real-"))
        self.nodes = []

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.process.terminate()
        for node in self.nodes:
            node.stop()
        shutil.rmtree(self.root_dir, ignore_errors=True)

    def start_root(self):
        root = Node(self.root_dir / "root", self.pln)
        self.nodes.append(root)
        root.up()
        return root

    def enrol(self, count=1):
        """Members that are not running yet."""
        added = []
        for _ in range(count):
            member = Node(self.root_dir / f"member{len(self.nodes)}", self.pln)
            token = self.nodes[0].command("invite")
            member.command("join", "-", stdin=token)
            member.key = member.command("id").strip()
            self.nodes.append(member)
            added.append(member)
        return added


# ---- Figures ----

def quantile(values, share):
    """The smallest value that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def summary(values):
    return {"n": len(values), "p50": round(quantile(values, 0.5), 4), "p95": round(quantile(values, 0.95), 4),
            "max": round(max(values), 4)}


def arguments(text, **defaults):
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, (value, words) in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value,
                            help=f"{words} (default: {value})")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


def emit(as_json, name, figures):
    if as_json:
        print(json.dumps({"case": name, **figures}), flush=True)
    else:
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in figures.items()), flush=True)
