# SPDX-License-Identifier: Apache-2.0
"""What is asked of the punch and of nodes that meet, row by row."""
import itertools

from report import percentile

GROUPS = ("punch", "nodes", "loss")
# Every filtering, the one that moves its mapping, and one that answers; in pairs, each once.
EASY = ("plain", "plainopen", "plainreject", "apdf", "adf", "eif")
EASY_PAIRS = tuple(itertools.combinations_with_replacement(EASY, 2))
FILTERED_BY_PORT = ("plain", "plainreject", "apdf")  # Without plainopen, which has a figure of its own.
UNFILTERED_BY_PORT = ("adf", "eif")
ROUND_TRIPS = 2  # What a delay may add to a punch.


class Demand:
    """One figure: what is asked, and what was reached by the results of one delay."""

    def __init__(self, name, bound, measure, unit="", at_least=False, round_trips=0, sites=None):
        """sites: only pairs with one of them are meant."""
        self.name, self.bound, self.measure, self.unit = name, bound, measure, unit
        self.at_least, self.round_trips, self.sites = at_least, round_trips, sites
        if sites:
            self.name += f" with {' or '.join(sites)}"

    def concerns(self, pair):
        return self.sites is None or bool(set(self.sites) & set(pair))

    def limit(self, delay):
        return self.bound + self.round_trips * 2 * delay / 1000

    def asked(self, delay):
        return f"{self.name} {'>=' if self.at_least else '<='} {self.limit(delay):g}{self.unit}"

    def reached(self, results):
        """The figure; None when there is none, as the p50 of no success."""
        meant = [result for result in results if self.concerns(result["pair"])]
        return self.measure(meant) if meant else None

    def met(self, value, delay):
        if value is None:
            return False
        return value >= self.limit(delay) if self.at_least else value <= self.limit(delay)


def _seconds(results):
    return [result["seconds"] for result in results if result["direct"]]


def direct(share):
    return Demand("direct", share, lambda results: 100 * len(_seconds(results)) / len(results), " %", True)


def direct_within(share, seconds):
    """Those that came later do not count."""
    def measure(results):
        return 100 * sum(value <= seconds for value in _seconds(results)) / len(results)
    return Demand(f"direct in {seconds:g} s", share, measure, " %", True)


def quantile(share, seconds, round_trips=0):
    return Demand(f"p{share}", seconds, lambda results: percentile(_seconds(results), share / 100), " s",
                  round_trips=round_trips)


def entries(count, sites=None):
    return Demand("NAT entries", count, lambda results: max(
        (result["flows"] for result in results if "flows" in result), default=None), sites=sites)


def probes(count):
    return Demand("probes", count, lambda results: max(
        (each for result in results for each in result.get("probes", ()) if each is not None), default=None))


def _all_hopeless(results):
    return all(end and end[0] == "hopeless" for result in results for end in result.get("ends", [None]))


def hopeless_within(seconds):
    """The longest until both sides gave up; none when one did not."""
    return Demand("given up after", seconds, lambda results: max(
        max(result["over_seconds"]) for result in results) if _all_hopeless(results) else None, " s")


def packets(count):
    return Demand("packets", count, lambda results: max((max(result["packets"]) for result in results
                                                         if "packets" in result), default=None))


class Row:
    """Pairs that the same is asked of, and how they are measured."""

    def __init__(self, group, name, pairs, asked, noise=0, loss=0):
        self.group, self.name, self.pairs, self.asked = group, name, tuple(pairs), asked
        self.noise, self.loss = noise, loss

    def key(self):
        return f"{self.group}: {self.name}"


def _with_random(sites):
    return [(site, "edm_random") for site in sites]


ROWS = (
    Row("punch", "easy x easy", EASY_PAIRS,
        [direct(100), quantile(95, 0.5, ROUND_TRIPS), entries(8)]),
    Row("punch", "random x easy, filtered by port", _with_random(FILTERED_BY_PORT),
        [direct_within(99, 3), quantile(50, 0.6), entries(1300)]),
    Row("punch", "random x easy, filtered by address or not", _with_random(UNFILTERED_BY_PORT),
        [direct_within(99, 3), quantile(50, 0.6), entries(12)]),
    Row("punch", "random x plainopen", _with_random(("plainopen",)),
        [direct(98), entries(1300)]),
    Row("punch", "sequential x sequential, up to 15 other flows a side", [("edm_seq", "edm_seq")],
        [direct(95)], noise=15),
    Row("punch", "sequential x apdf", [("edm_seq", "apdf")],
        [direct(95), probes(64)]),
    Row("punch", "random x random", [("edm_random", "edm_random")],
        [hopeless_within(1), packets(64)]),
    Row("nodes", "easy x easy", EASY_PAIRS,
        [direct(100), quantile(50, 0.25), quantile(95, 0.6), entries(8)]),
    Row("nodes", "random x easy", _with_random(EASY),
        [direct(99), quantile(50, 0.5), quantile(95, 1.5), entries(1300), entries(12, UNFILTERED_BY_PORT)]),
    Row("loss", "easy x easy, 10 % lost each way", EASY_PAIRS, [direct_within(100, 5)], loss=10),
    Row("loss", "random x easy, 10 % lost each way", _with_random(EASY), [direct_within(100, 5)], loss=10),
)
