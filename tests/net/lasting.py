# SPDX-License-Identifier: Apache-2.0
"""Processes that live through many punches, and what they and the NATs hold on to meanwhile."""
import argparse
import os
import re
import time

import engine
import trial
from nodes import Ours, pause, wait_for
from space import Failure
from topology import Topology

SETTLE_S = 15  # The engine keeps what may still be used for two seconds; slow machines take their time.
QUIET_S = 3


# ---- What there is ------------------------------------------------------------------------------------

def usage_of(process, space):
    """Of a process that is alone in its namespace."""
    links = [_target(f"/proc/{process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{process.pid}/fd")]
    with open(f"/proc/{process.pid}/status", encoding="ascii", errors="replace") as file:
        memory = int(re.search(r"RssAnon:\s+(\d+) kB", file.read()).group(1))
    return {"descriptors": sum(link != "" for link in links), "udp_sockets": space.udp_sockets(),
            "memory_kib": memory}


def _target(path):
    try:
        return os.readlink(path)
    except FileNotFoundError:  # closed meanwhile
        return ""


def words(value):
    return (f"{value['descriptors']} descriptors, {value['udp_sockets']} UDP sockets, "
            f"{value['memory_kib'] / 1024:.1f} MiB")


def growth(before, after, memory_kib):
    """What is more than it was, as sentences; memory counts beyond so many KiB."""
    found = [f"{after[key] - before[key]} {key.replace('udp_', 'UDP ')} more than before ({before[key]})"
             for key in ("descriptors", "udp_sockets") if after[key] > before[key]]
    if after["memory_kib"] > before["memory_kib"] + memory_kib:
        found.append(f"{after['memory_kib'] - before['memory_kib']} KiB more than before "
                     f"({before['memory_kib']}), where {memory_kib} are allowed for")
    return found


def shorten_timeouts(place, seconds):
    """How long the NATs remember a flow of UDP, whether it was answered or not."""
    for router in place.routers():
        router.set(netfilter__nf_conntrack_udp_timeout=seconds, netfilter__nf_conntrack_udp_timeout_stream=seconds)


def entries_beyond(routers, allowed, seconds):
    """Sentences on NATs that hold more entries than allowed, {space: count}, for longer than so many seconds."""
    def gone():
        return all(router.live_flows() <= allowed.get(router, 0) for router in routers)
    try:
        wait_for("entries expire", gone, seconds)
    except Failure:
        return [f"{router.name} still has {router.live_flows()} entries, {allowed.get(router, 0)} are in use"
                for router in routers if router.live_flows() > allowed.get(router, 0)]
    return []


# ---- Two engines --------------------------------------------------------------------------------------

class Engines:
    """Two engines between NATs that turn from kind to kind."""

    SHOWN = "no descriptor, no socket, no memory, no datagram, no entry in a NAT beyond its timeout"
    MEMORY_KIB = 256  # What the allocator may keep for later.
    BLOCK = 10
    TIMEOUT_S = 3
    PEERS = 200  # By turns: each peer has a budget of its own, which is full again when its turn comes.

    def __init__(self, options):
        settings = argparse.Namespace(puncher=options.puncher, publics=3, seed=options.seed, limit=10.0, skew=20.0,
                                      noise=0, forward=())
        self.bench = engine.Bench(("plain", "plain"), settings)
        shorten_timeouts(self.bench.place, self.TIMEOUT_S)
        self.sides = self.bench.sides()

    def close(self):
        for side in self.sides:
            side.close()
        self.bench.close()

    def become(self, pair):
        self.bench.pair = pair
        self.bench.place.become(pair)

    def punch(self, number):
        for side in self.sides:
            side.renew(number % self.PEERS + 1)
        self.bench.place.forget()
        return self.bench.meet(self.sides, number)

    def usage(self):
        return {name: usage_of(side.process, side.place.space) for name, side in zip("ab", self.sides, strict=True)}

    def settle(self):
        """What they hold when the last punch is over and its sockets had time to be given back."""
        for side in self.sides:
            side.renew(self.PEERS + 2)
        return _when_settled(self.usage, ("a", "b"))

    def silence(self):
        spaces = [side.place.space for side in self.sides]
        before = [space.datagrams_sent() for space in spaces]
        pause(QUIET_S)
        sent = [space.datagrams_sent() - early for space, early in zip(spaces, before, strict=True)]
        complaints = [f"{name} has sent {count} datagrams in {QUIET_S} s though all is over"
                      for name, count in zip("ab", sent, strict=True) if count > 0]
        return complaints + entries_beyond(self.bench.place.routers(), {}, self.TIMEOUT_S + SETTLE_S)


def _when_settled(usage, names):
    """The usage once each of them has its main socket alone, or after a while."""
    end = time.monotonic() + SETTLE_S
    while True:
        value = usage()
        if all(value[name]["udp_sockets"] <= 1 for name in names) or time.monotonic() > end:
            return value
        pause(0.05)


# ---- A node that stays, and one that comes and goes ---------------------------------------------------

class Nodes:
    """For each pair a topology with its public hosts and a first node, which stay, and a second one."""

    SHOWN = "no descriptor, no socket, no memory, and in the NATs only what the sessions that stay need"
    MEMORY_KIB = 2048
    BLOCK = 1  # By turns, for each pair's own pace.
    TIMEOUT_S = 20  # More than the 13 s after which an idle session says something.

    def __init__(self, options, folder):
        programs = trial.programs(os.path.abspath(options.pln), None, "none")
        self.cluster = trial.Cluster(folder, programs, 3)
        self.stages, self.stage = {}, None
        for pair in options.pairs:
            self.stages[pair] = self.stage = _Stage(pair, self.cluster, os.path.join(folder, "-".join(pair)))
            shorten_timeouts(self.stage.place, self.TIMEOUT_S)
            self.stage.start()

    def close(self):
        for stage in self.stages.values():
            stage.close()

    def become(self, pair):
        self.stage = self.stages[pair]

    def punch(self, number):
        return self.stage.punch(number)

    def usage(self):
        return self.stage.usage()

    def settle(self):
        found = {}
        for pair, stage in self.stages.items():
            value = _when_settled(stage.usage, ("a", "r1"))
            found.update({f"{name} of {':'.join(pair)}": item for name, item in value.items()})
            stage.in_use = stage.in_use or {router: router.live_flows() for router in stage.place.routers()}
        return found

    def silence(self):
        return [text for stage in self.stages.values()
                for text in entries_beyond(stage.place.routers(), stage.in_use, self.TIMEOUT_S + SETTLE_S)]


class _Stage:
    PACE_S = 2  # Its neighbours may tell a node twice a second to punch, and do so several times for each punch.

    def __init__(self, pair, cluster, folder):
        os.makedirs(folder)
        self.pair, self.cluster, self.in_use, self.begun_at = pair, cluster, {}, 0
        self.place = Topology(pair, cluster.publics)
        # Another port each time, so that no hole of the last time leads to it.
        self.place.b.port = 0
        self.names = cluster.choose(0)
        self.nodes = {f"r{i + 1}": self._node(place, folder, f"r{i + 1}") for i, place in enumerate(self.place.publics)}
        self.nodes["a"] = self._node(self.place.a, folder, self.names[0])
        self.nodes["b"] = self._node(self.place.b, folder, self.names[1])

    def _node(self, place, folder, name):
        node = Ours(self.cluster.programs["a"][1], place, os.path.join(folder, name))
        node.copy_from(self.cluster.path(name))
        return node

    def start(self):
        for name in [name for name in self.nodes if name != "b"]:
            self.nodes[name].start()
            wait_for(f"{name} is up", self.nodes[name].up)
        for name in [name for name in self.nodes if name not in "ab"]:
            wait_for(f"a's session with {name}", lambda peer=name: self.nodes["a"].path(self.cluster.ids[peer]))

    def close(self):
        for node in self.nodes.values():
            node.kill()
        for node in self.nodes.values():
            node.reap()
        self.place.close()

    def punch(self, number):
        first, last = self.nodes["a"], self.nodes["b"]
        sides = ((first, self.cluster.ids[self.names[1]]), (last, self.cluster.ids[self.names[0]]))
        result = {"pair": list(self.pair), "number": number, "direct": False, "why": None}
        pause(self.begun_at + self.PACE_S - time.monotonic())
        self.begun_at = time.monotonic()
        last.start()
        try:
            wait_for("b is up", last.up)
            wait_for("a direct session", lambda: all(node.path(peer) in ("direct", "punched") for node, peer in sides))
            result["direct"] = True
        except Failure as failure:
            result["why"] = str(failure)
        result["flows"] = max(router.live_flows() for router in self.place.routers())
        last.run("down")
        last.reap()
        wait_for("a has noticed that b is gone", lambda: first.path(sides[0][1]) is None)
        return result

    def usage(self):
        return {name: usage_of(self.nodes[name].process, self.nodes[name].place.space) for name in ("a", "r1")}
