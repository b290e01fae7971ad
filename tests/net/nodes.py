# SPDX-License-Identifier: Apache-2.0
"""Daemons that stand in namespaces: ours, and those of the reference implementation."""
import contextlib
import datetime
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time

from space import Failure

WAIT_S = 20
NOBODY = 65534


def pause(seconds, *sockets):
    """Waits at most so long, or until one of the sockets has something."""
    return select.select(sockets, [], [], max(0.0, seconds))[0]


def wait_for(what, condition, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        pause(0.005)


def seconds_of(text):
    """A time of the machine contract, in seconds since 1970."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Daemon:
    """A state directory and where its node stands.  The directory is made once and copied for each run."""

    def __init__(self, program, place, folder):
        self.program, self.place, self.dir = program, place, folder
        self.log = f"{folder}.log"
        self.process = None

    def command(self, *args):
        return [*self.prefix, self.program, "--dir", self.dir, *map(str, args)]

    prefix = ()

    def run(self, *args, text=None):
        self.own()
        with self.place.space.entered():
            done = subprocess.run(self.command(*args), input=text, capture_output=True, text=True, check=False,
                                  timeout=WAIT_S)
        if done.returncode != 0:
            raise Failure(f"pln {args[0]} in {self.place.space.name}: {done.stderr.strip()}")
        return done.stdout.strip()

    def own(self):
        """The directory belongs to the user that the daemon runs as."""

    def copy_from(self, template):
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.copytree(template, self.dir, ignore=shutil.ignore_patterns("*.sock", "*.pid", "*.log", ".state.lock"))
        self.own()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.log)

    def start(self):
        with open(self.log, "ab") as log, self.place.space.entered():
            self.process = subprocess.Popen(
                self.command("up", "--port", self.place.port, *self.options()),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)

    def reap(self):
        if self.process is not None:
            self.process.wait(WAIT_S)
            self.process = None

    def log_text(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def alive(self):
        if self.process.poll() is not None:
            raise Failure(f"the node in {self.place.space.name} ended: {self.log_text()[-500:]}")


class Ours(Daemon):
    kind = "ours"
    log_level = "info"

    def options(self):
        return ["--log-level", self.log_level]

    def id(self):
        return self.run("id")

    def invite(self):
        return self.run("invite")

    def join(self, token):
        self.run("join", "-", text=token)

    def ask(self, verb):
        """An open connection to the daemon, which has been asked."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(WAIT_S)
            sock.connect(os.path.join(self.dir, "pln.sock"))
            sock.sendall(json.dumps({"schema": "pollen.control/1", "verb": verb}).encode() + b"\n")
            return sock
        except OSError:
            sock.close()
            raise

    def status(self):
        with self.ask("status") as sock, sock.makefile() as file:
            return json.loads(file.readline())

    def up(self):
        self.alive()
        try:
            with self.ask("status") as sock:
                return sock.recv(1) != b""
        except OSError:
            return False

    def peer(self, peer_id):
        """(since, path, address) of the session with a peer, or None."""
        for peer in self.status()["peers"]:
            if peer["id"] == peer_id and peer["state"] == "connected":
                return self._since(peer_id), peer["path"], peer["addr"]
        return None

    def path(self, peer_id):
        """The path of the session with a peer, or None."""
        return next((peer["path"] for peer in self.status()["peers"]
                     if peer["id"] == peer_id and peer["state"] == "connected"), None)

    def _since(self, peer_id):
        """From the log, which tells milliseconds; the status has whole seconds."""
        lines = [line for line in self.log_text().splitlines() if f"peer {peer_id} connected" in line]
        return seconds_of(lines[-1].split()[0]) if lines else time.time()


class Reference(Daemon):
    """What it knows is told by its log alone."""

    kind = "reference"
    # It refuses to be root for some verbs.
    prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    _connected = re.compile(r"peer (dis)?connected.*?\"peer_id\":\s*\"(\w+)\"")

    def options(self):
        # Without the option it asks the world outside.
        return ["--ips", ",".join(filter(None, (self.place.address, self.place.address6)))]

    def own(self):
        os.makedirs(self.dir, exist_ok=True)
        for folder, _, files in os.walk(self.dir):
            for path in (folder, *(os.path.join(folder, name) for name in files)):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def id(self):
        return self.run("id")

    def invite(self):
        return self.run("invite")

    def join(self, token):
        self.run("join", "--no-start", token)

    def up(self):
        self.alive()
        return os.path.exists(os.path.join(self.dir, "pln.sock"))

    def peer(self, peer_id):
        last = None
        for line in self.log_text().splitlines():
            found = self._connected.search(line)
            if found and peer_id.startswith(found.group(2)):
                last = None if found.group(1) else (self._time(line), "direct", None)
        return last

    @staticmethod
    def _time(line):
        try:
            return seconds_of(line.split()[0])
        except (ValueError, IndexError):
            return time.time()
