# SPDX-License-Identifier: Apache-2.0
"""One trial: two real nodes that know one root meet, or do not, through whatever lies between them."""
import os
import random
import shutil
import threading
import time

import nat
from nodes import Failure, Ours, Reference, pause, wait_for
from topology import Topology

ROLES = ("r1", "a", "b")
POLL_S = 0.01
_RANDOM = {"edm_random", "cgn_hard"}
_HARD = {*nat.HARD, *_RANDOM}


def hopeless(pair):
    """Pairs that only a relay joins: both sides draw a port for each destination, and one of them at random."""
    return "noudp" in pair or (len(pair) == 2 and set(pair) <= _HARD and bool(set(pair) & _RANDOM))


class Cluster:
    """Identities that have joined once: state directories that every trial starts from.

    Several members of each kind, so that either side's key can be the smaller one.
    """

    def __init__(self, folder, programs, publics):
        """programs: {"r1": (class, path), "a": ..., "b": ...}."""
        self.folder, self.programs, self.publics = os.path.join(folder, "cluster"), programs, publics
        os.mkdir(self.folder, 0o755)
        self.ids, self.members = {}, {}
        place = Topology(("public", "public"), publics)
        try:
            self._join(place)
        finally:
            place.close()

    def _join(self, place):
        root_class, root_program = self.programs["r1"]
        root = root_class(root_program, place.publics[0], self.path("r1"))
        root.own()
        root.start()
        try:
            wait_for("the root is up", root.up)
            self.ids["r1"] = root.id()
            for i in range(1, self.publics):
                self._member(root, self.programs["r1"], place.publics[i], f"r{i + 1}")
            for kind_class, program in {self.programs["a"], self.programs["b"]}:
                names = [f"{kind_class.kind}{i}" for i in range(3)]
                self.members[kind_class] = names
                for name in names:
                    self._member(root, (kind_class, program), place.a, name)
        finally:
            root.kill()
            root.reap()

    def _member(self, root, kind, place, name):
        node = kind[0](kind[1], place, self.path(name))
        self.ids[name] = node.id()
        node.join(root.invite())

    def path(self, name):
        return os.path.join(self.folder, name)

    def choose(self, number):
        """The names of a and b for the trial of this number: by turns, a's key is the smaller and the larger."""
        pairs = [(a, b) for a in self.members[self.programs["a"][0]] for b in self.members[self.programs["b"][0]]
                 if a != b]
        fitting = [pair for pair in pairs if (self.ids[pair[0]] < self.ids[pair[1]]) == (number % 2 == 0)]
        return (fitting or pairs)[number // 2 % len(fitting or pairs)]


class Bench:
    """A topology for one pair, and the trials on it."""

    def __init__(self, pair, cluster, folder, options):
        self.pair, self.cluster, self.folder, self.options = pair, cluster, folder, options
        os.makedirs(folder, 0o755, exist_ok=True)
        self.random = random.Random(f"{options.seed} {pair}")
        self.place = Topology(pair, cluster.publics)

    def close(self):
        self.place.close()

    def trial(self, number):
        """One trial; its result as a plain dictionary."""
        if self.options.forward:
            self.place.start_forwarder(self.options.forwarder, "--seed", self.options.seed + number,
                                       *self.options.forward)
        self.place.forget()
        names = self.cluster.choose(number)
        nodes = {f"r{i + 1}": self._node("r1", place, f"r{i + 1}") for i, place in enumerate(self.place.publics)}
        nodes["a"] = self._node("a", self.place.a, names[0])
        nodes["b"] = self._node("b", self.place.b, names[1])
        result = {"pair": list(self.pair), "number": number, "direct": False, "why": None}
        try:
            self._meet(nodes, [self.cluster.ids[name] for name in names], result)
        except Failure as failure:
            result["why"] = str(failure)
        finally:
            if not result["direct"]:
                self._keep_flows(number)
            for node in nodes.values():
                node.kill()
            for node in nodes.values():
                node.reap()
        if not result["direct"]:
            self._keep(nodes, number)
        return result

    def _node(self, role, place, name):
        kind, program = self.cluster.programs[role]
        node = kind(program, place, os.path.join(self.folder, place.space.name.rpartition("-")[2]))
        node.copy_from(self.cluster.path(name))
        return node

    def _meet(self, nodes, ids, result):
        publics = [name for name in nodes if name not in "ab"]
        patience = 3 if "noudp" in self.pair else self.options.patience
        for name in publics:
            nodes[name].start()
        for name in publics:
            wait_for(f"{name} is up", nodes[name].up)
        first, last = nodes["a"], nodes["b"]
        first.start()
        wait_for("a is up", first.up)
        wait_for("a's session with the root", lambda: first.peer(self.cluster.ids["r1"]), patience)
        result["observers"] = self._observers(first, publics)
        result["noise"] = [self.random.randint(0, self.options.noise) for _ in "ab"]
        first.place.make_noise(self.place.publics[0], result["noise"][0])
        before = self._counts()
        last.start()
        wait_for("b is up", last.up)
        last.place.make_noise(self.place.publics[0], result["noise"][1])
        met = wait_for("b's session with the root", lambda: last.peer(self.cluster.ids["r1"]), patience)
        self._until_direct(nodes, ids, met[0], result)
        after = self._counts()
        result["packets"] = [late - early for early, late in zip(before, after, strict=True)]
        result["flows"] = max((space.flows() for space in self.place.routers()), default=0)

    def _observers(self, node, publics):
        """How many public hosts the first node has a session with, once it has one with all, or after a while."""
        end = time.monotonic() + self.options.settle
        while True:
            count = sum(node.peer(self.cluster.ids[name]) is not None for name in publics)
            if count == len(publics) or time.monotonic() > end:
                return count
            pause(POLL_S)

    def _until_direct(self, nodes, ids, begun, result):
        end = time.time() + self.options.limit
        sides = ((nodes["a"], ids[1]), (nodes["b"], ids[0]))
        while True:
            found = [node.peer(peer) for node, peer in sides]
            result["paths"] = [session and session[1] for session in found]
            now = time.time()
            if all(path in ("direct", "punched") for path in result["paths"]):
                result["direct"] = True
                # A session that began on another path is older than the path.
                result["seconds"] = max(0.0, min(now, self._latest(result, found, now)) - begun)
                result["method"] = "punched" if "punched" in result["paths"] else "direct"
                return
            result["relay_seconds"] = result.get("relay_seconds") or (now - begun if all(found) else None)
            if now > end:
                result["why"] = f"no direct session within {self.options.limit} s, but {result['paths']}"
                return
            for node, _ in sides:
                node.alive()
            pause(POLL_S)

    @staticmethod
    def _latest(result, found, now):
        return now if result.get("relay_seconds") else max(session[0] for session in found)

    def _counts(self):
        """Packets that each site has sent into the core."""
        outermost = [site.routers[-1][0] if site.routers else site.space for site in (self.place.a, self.place.b)]
        return [space.packets("wan" if site.routers else "eth0")[1]
                for space, site in zip(outermost, (self.place.a, self.place.b), strict=True)]

    def _kept(self, number):
        folder = os.path.join(self.options.keep, f"{'-'.join(self.pair)}-{number}")
        os.makedirs(folder, exist_ok=True)
        return folder

    def _keep_flows(self, number):
        """What the NATs hold at the end of a trial that failed."""
        for space in self.place.routers() if self.options.keep else ():
            with open(os.path.join(self._kept(number), f"{space.name}.flows"), "w", encoding="ascii") as file:
                file.write(space.flow_table())

    def _keep(self, nodes, number):
        for name, node in nodes.items() if self.options.keep else ():
            if os.path.exists(node.log):
                shutil.copy(node.log, os.path.join(self._kept(number), f"{name}.log"))


def run_all(pairs, count, make_bench, jobs, tell):
    """Every pair so many times, several pairs at once; tell() gets each pair's results as they are complete.

    make_bench(pair, worker) gives something with trial(number) and close().
    """
    telling = threading.Lock()

    def do(item, worker):
        at, pair = item
        results = _trials(make_bench(pair, worker), count)
        with telling:
            tell(at, pair, results)

    share_out(list(enumerate(pairs)), do, jobs)


def share_out(items, do, jobs):
    """Calls do(item, worker) for each item, by so many workers, in that order; the first failure ends it."""
    waiting, lock, failures = list(items), threading.Lock(), []

    def work(worker):
        while not failures:
            with lock:
                if not waiting:
                    return
                item = waiting.pop(0)
            try:
                do(item, worker)
            except Exception as failure:  # pylint: disable=broad-except
                failures.append(failure)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _trials(bench, count):
    try:
        return [bench.trial(number) for number in range(count)]
    finally:
        bench.close()


def programs(pln, reference, side):
    """Who runs what.  side: which of the two nodes is the reference, or "all" for the public hosts too."""
    theirs = {"none": (), "a": ("a",), "b": ("b",), "both": ("a", "b"), "all": ROLES}[side]
    return {role: (Reference, reference) if role in theirs else (Ours, pln) for role in ROLES}
