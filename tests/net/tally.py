# SPDX-License-Identifier: Apache-2.0
"""Trials as they come, how long the rest will take, and what the figures say in the end."""
import collections
import contextlib
import json
import threading

# How long a trial of each group takes, in seconds, without and with delay; until some were timed.
GUESSES = {"punch": (0.25, 0.4), "nodes": (0.35, 1.0), "loss": (1.0, 1.8)}


class Results:
    """All trials so far, in a file if there is one."""

    def __init__(self, path):
        self.path, self.by_key, self.lock = path, {}, threading.Lock()
        if path:
            with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
                for line in file:
                    self._note(json.loads(line))

    @staticmethod
    def _key(row, delay, pair, number):
        return row.key(), delay, tuple(pair), number

    def _note(self, entry):
        self.by_key[entry["row"], entry["delay_ms"], tuple(entry["pair"]), entry["number"]] = entry

    def has(self, row, delay, pair, number):
        return self._key(row, delay, pair, number) in self.by_key

    def add(self, row, delay, pair, number, result):
        entry = {"row": row.key(), "delay_ms": delay} | result | {"pair": list(pair), "number": number}
        with self.lock:
            self._note(entry)
            if self.path:
                with open(self.path, "a", encoding="utf-8") as file:
                    file.write(json.dumps(entry) + "\n")

    def of(self, row, delay, pair=None):
        """Those of a row and delay; in either order when a pair is named."""
        return [entry for (key, at, sites, _), entry in list(self.by_key.items())
                if key == row.key() and at == delay and (pair is None or sites in (pair, pair[::-1]))]


class Progress:
    def __init__(self, todo, results, jobs=1):
        self.left, self.jobs = collections.Counter(), jobs
        for row, delay, pair, numbers in todo:
            self.left[_kind(row, delay)] += sum(not results.has(row, delay, pair, number) for number in numbers)
        self.spent, self.done = collections.Counter(), collections.Counter()

    def step(self, row, delay, count, seconds):
        """So many trials are over, and took so long with what they needed."""
        kind = _kind(row, delay)
        self.spent[kind] += seconds
        self.done[kind] += count
        self.left[kind] -= count

    def _each(self, kind):
        return self.spent[kind] / self.done[kind] if self.done[kind] else GUESSES[kind[0]][kind[1]]

    def seconds_left(self):
        return sum(count * self._each(kind) for kind, count in self.left.items()) / self.jobs

    def total(self):
        return f"{sum(self.left.values())} trials, some {_span(self.seconds_left())}"

    def line(self, row, delay, pair, results):
        good = [entry["direct"] for entry in results.of(row, delay, pair)]
        return (f"{row.key()}, {delay:g} ms, {' x '.join(pair)}: {sum(good)} of {len(good)} direct; "
                f"some {_span(self.seconds_left())} left")


def _kind(row, delay):
    return row.group, int(delay > 0)


def _span(seconds):
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _rows(todo):
    """(row, delay), each once."""
    return list(dict.fromkeys((row, delay) for row, delay, _, _ in todo))


def listing(todo):
    counts = collections.Counter()
    for row, delay, _, numbers in todo:
        counts[row, delay] += len(numbers)
    lines = [f"{row.key()}, {delay:g} ms: {'; '.join(item.asked(delay) for item in row.asked)}; {count} trials, some "
             f"{_span(count * GUESSES[row.group][int(delay > 0)])}" for (row, delay), count in counts.items()]
    return "\n".join(lines)


def _shown(value, unit):
    return "-" if value is None else f"{value:.3g}{unit}" if isinstance(value, float) else f"{value}{unit}"


def _worst(row, delay, demand, results):
    """The pair that came off worst, when they differ."""
    values = {pair: demand.reached(results.of(row, delay, pair)) for pair in row.pairs
              if demand.concerns(pair) and results.of(row, delay, pair)}
    if len(set(values.values())) < 2:
        return ""
    def badness(pair):
        value = values[pair]
        return float("inf") if value is None else -value if demand.at_least else value
    pair = max(values, key=badness)
    return f"   worst: {' x '.join(pair)} {_shown(values[pair], demand.unit)}"


def verdicts(todo, results):
    """Lines, one for each figure, and how many of those were missed."""
    lines, missed, total = [], 0, 0
    for row, delay in _rows(todo):
        found = results.of(row, delay)
        lines.append(f"{row.key()}, {delay:g} ms each way, {len(found)} trials of {len(row.pairs)} pairs"
                     if found else f"{row.key()}, {delay:g} ms each way: not measured")
        for demand in row.asked:
            if not any(demand.concerns(entry["pair"]) for entry in found):
                continue
            value = demand.reached(found)
            good = demand.met(value, delay)
            missed += not good
            total += 1
            lines.append(f"  {'ok  ' if good else 'MISS'}  {demand.asked(delay):<32} "
                         f"{_shown(value, demand.unit):>10}{_worst(row, delay, demand, results)}")
    lines.append(f"{total - missed} of {total} figures are met")
    return lines, missed
