# SPDX-License-Identifier: Apache-2.0
"""Punches by themselves: the engine of both sides on real sockets, and a coordinator that is this program.

It tells each side how the public hosts see it and what the other one made of that, as nodes would tell
each other, and then the moment to begin.
"""
import os
import random
import subprocess
import time

from nodes import pause
from space import Failure
from topology import Topology

BEGIN_MS = 20
ANSWER_S = 10
OBSERVED, LAN = 0, 2  # pln_target_kind


class Side:
    """One net-puncher process."""

    def __init__(self, program, place, seed):
        self.place = place
        with place.space.entered():
            self.process = subprocess.Popen([program, str(place.port), str(seed)], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, bufsize=0)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.rest, self.lines = b"", []
        self.won = self.over = None

    def tell(self, *words):
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())

    def read(self):
        """Takes in what it has printed."""
        data = self.process.stdout.read()
        if data == b"":
            raise Failure(f"the puncher in {self.place.space.name} ended with {self.process.wait(5)}")
        *lines, self.rest = (self.rest + (data or b"")).decode().split("\n") if data else [self.rest.decode()]
        self.rest = self.rest.encode()
        for line in lines:
            words = line.split()
            if words[0] == "won":
                self.won = float(words[1]) / 1000, words[2]
            elif words[0] == "over":
                self.over = words[1:]
            self.lines.append(words)

    def answer(self, verb):
        end = time.monotonic() + ANSWER_S
        while not any(words[0] == verb for words in self.lines):
            if time.monotonic() > end:
                raise Failure(f"no answer to {verb}")
            pause(0.05, self.process.stdout)
            self.read()
        return next(words[1:] for words in self.lines if words[0] == verb)

    def renew(self, peer):
        """The same process, ready for a punch with another peer, of this number."""
        self.tell("fresh", peer)
        self.answer("fresh")
        self.lines, self.won, self.over = [], None, None

    def close(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()
        self.process.stdout.close()


class Bench:
    """As that of trial.py, but without nodes."""

    def __init__(self, pair, options):
        self.pair, self.options = pair, options
        self.random = random.Random(f"{options.seed} {pair}")
        self.place = Topology(pair, options.publics)
        self.observers = [(public, public.space.udp(public.port, "::")) for public in self.place.publics]

    def close(self):
        for _, sock in self.observers:
            sock.close()
        self.place.close()

    def trial(self, number):
        if self.options.forward:
            self.place.start_forwarder(self.options.forwarder, "--seed", self.options.seed + number,
                                       *self.options.forward)
        self.place.forget()
        sides = self.sides()
        try:
            return self.meet(sides, number)
        finally:
            for side in sides:
                side.close()

    def sides(self):
        return [Side(self.options.puncher, place, self.random.randrange(1000000))
                for place in (self.place.a, self.place.b)]

    def meet(self, sides, number):
        """One punch between two that know nothing; its result as a plain dictionary."""
        result = {"pair": list(self.pair), "number": number, "direct": False, "why": None}
        try:
            self._drop_late_looks()
            self._introduce(sides, result)
            self._make_noise(result)
            self._punch(sides, result)
        except Failure as failure:
            result["why"] = str(failure)
        return result

    def _introduce(self, sides, result):
        """The verdicts of both sides, and what each is told of the other."""
        verdicts = [self.verdict(side) for side in sides]
        result["verdicts"] = [" ".join(words) for words in verdicts]
        for side, other, (mapping, allocation, step, external, *ports) in zip(sides, sides[::-1], verdicts[::-1],
                                                                             strict=True):
            side.tell("theirs", mapping, allocation, step, *ports)
            side.tell("target", OBSERVED, external)
            side.tell("target", LAN, _address(other.place.address, other.place.port))

    def verdict(self, side):
        """What the side makes of how the public hosts see it, in the puncher's words."""
        v6 = ":" in side.place.address
        side.tell("local", _address(side.place.address, side.place.port))
        waiting = {sock: _address(public.address6 if v6 else public.address, public.port)
                   for public, sock in self.observers}
        for _ in range(20):  # What is lost on the way is asked again.
            for observer in waiting.values():
                side.tell("look", observer)
            self._note_looks(side, waiting)
            if not waiting:
                break
        else:
            raise Failure(f"{side.place.space.name} is not seen by {', '.join(waiting.values())}")
        side.tell("judge")
        return side.answer("nat")

    @staticmethod
    def _note_looks(side, waiting):
        """Tells the side where its looks came from, until each has come or for a while."""
        end = time.monotonic() + 0.3
        while waiting and time.monotonic() < end:
            for sock in pause(end - time.monotonic(), *waiting):
                source = sock.recvfrom(64)[1]
                side.tell("seen", waiting.pop(sock), _address(source[0].removeprefix("::ffff:"), source[1]))

    def _drop_late_looks(self):
        for _, sock in self.observers:
            while pause(0, sock):
                sock.recvfrom(64)

    def _make_noise(self, result):
        """Flows of other programs on both sides, up to so many, that move what a NAT counts."""
        result["noise"] = [self.random.randint(0, self.options.noise) for _ in "ab"]
        for site, count in zip((self.place.a, self.place.b), result["noise"], strict=True):
            site.make_noise(self.place.publics[0], count)

    def _punch(self, sides, result):
        before = [self._sent(side) for side in sides]
        budget = round(self.options.limit * 1000)
        core = dict(zip(self.options.forward[::2], self.options.forward[1::2], strict=True))
        rtt = max(round(2 * core.get("--delay", 0)), 1)
        for side in sides:
            side.tell("punch", BEGIN_MS + round(self.random.uniform(0, self.options.skew)), budget, rtt)
        end = time.monotonic() + self.options.limit + 1
        while not all(side.over for side in sides):
            if time.monotonic() > end:
                break
            pause(0.1, *(side.process.stdout for side in sides))
            for side in sides:
                side.read()
        result["packets"] = [self._sent(side) - early for side, early in zip(sides, before, strict=True)]
        result["flows"] = max((space.flows() for space in self.place.routers()), default=0)
        result["ends"] = [side.over for side in sides]
        result["probes"] = [int(side.over[2]) if side.over else None for side in sides]
        result["over_seconds"] = [float(side.over[6]) / 1000 if side.over else None for side in sides]
        if all(side.won for side in sides):
            result["direct"] = True
            result["seconds"] = max(side.won[0] for side in sides)
            result["method"] = max((side.won for side in sides))[1]
        else:
            result["why"] = "; ".join(side.over[0] if side.over else "won" if side.won else "?" for side in sides)

    @staticmethod
    def _sent(side):
        space, link = (side.place.routers[-1][0], "wan") if side.place.routers else (side.place.space, "eth0")
        return space.packets(link)[1]


def _address(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
