# SPDX-License-Identifier: Apache-2.0
"""Results as a table, as JSON, and as a picture."""
import json
import math

import trial

HEAD = (f"{'pair':<32} {'direct':>9} {'p50 s':>8} {'p95 s':>8} {'packets':>9} {'flows':>6}  how")


def percentile(values, share):
    """The smallest value that so large a share of them does not exceed; None without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


class Row:
    def __init__(self, delay, pair, results):
        self.delay, self.pair, self.results = delay, pair, results
        good = [result for result in results if result["direct"]]
        self.tried, self.good = len(results), len(good)
        self.p50, self.p95 = (percentile([result["seconds"] for result in good], share) for share in (0.5, 0.95))
        # The side that sends more.
        self.packets = percentile([max(result["packets"]) for result in results if "packets" in result], 0.5)
        self.flows = max((result["flows"] for result in results if "flows" in result), default=None)
        methods = [result.get("method") or ("relay" if result.get("relay_seconds") else "-") for result in results]
        self.methods = {method: methods.count(method) for method in sorted(set(methods))}
        self.hopeless = trial.hopeless(pair)

    def name(self):
        return " x ".join(self.pair)

    def how(self):
        words = [method if len(self.methods) == 1 else f"{method} {count}" for method, count in self.methods.items()]
        return ", ".join(words) + ("  (a relay is all there can be)" if self.hopeless else "")

    def line(self):
        packets = "-" if self.packets is None else f"{self.packets}"
        flows = "-" if self.flows is None else f"{self.flows}"
        return (f"{self.name():<32} {f'{self.good}/{self.tried}':>9} {_number(self.p50, 3):>8} "
                f"{_number(self.p95, 3):>8} {packets:>9} {flows:>6}  {self.how()}")

    def plain(self):
        return {"pair": list(self.pair), "delay_ms": self.delay, "tried": self.tried, "direct": self.good, "p50_seconds": self.p50,
                "p95_seconds": self.p95, "packets": self.packets, "flows": self.flows, "methods": self.methods,
                "trials": self.results}


class Report:
    """Rows for each delay, in the order in which they were asked for."""

    def __init__(self, settings):
        self.settings, self.rows = settings, {}

    def add(self, delay, at, pair, results):
        """The row of a pair; its line."""
        row = self.rows.setdefault(delay, {})[at] = Row(delay, pair, results)
        return row.line()

    def groups(self):
        return [(delay, [rows[at] for at in sorted(rows)]) for delay, rows in self.rows.items()]

    def ordered(self):
        return [row for _, rows in self.groups() for row in rows]

    def summary(self):
        rows = [row for row in self.ordered() if not row.hopeless]
        good, tried = sum(row.good for row in rows), sum(row.tried for row in rows)
        reasons = sorted({result["why"] for row in rows for result in row.results if result["why"]})
        share = f", {100 * good / tried:.1f} %" if tried else ""
        return "\n".join([f"{good} of {tried} direct where that is possible{share}", *reasons])

    def disappointing(self):
        """Pairs that failed more than once, or always; one failure of many is what chance may do."""
        return [row.name() for row in self.ordered()
                if not row.hopeless and row.good < row.tried and (row.good == 0 or row.tried - row.good > 1)]

    def write(self, stem):
        with open(f"{stem}.txt", "w", encoding="utf-8") as file:
            for delay, rows in self.groups():
                title = [f"{delay:g} ms each way"] if len(self.rows) > 1 else []
                print(*title, HEAD, *(row.line() for row in rows), sep="\n", file=file)
            print(self.summary(), file=file)
        with open(f"{stem}.json", "w", encoding="utf-8") as file:
            json.dump({"schema": "pollen.lab/1", "settings": self.settings,
                       "rows": [row.plain() for row in self.ordered()]}, file, indent=1)
            file.write("\n")
        with open(f"{stem}.svg", "w", encoding="utf-8") as file:
            file.write(pictures(self.groups()))


# ---- The picture: a square for each pair of sites, and a line for each other pair -----------------------

CELL_W, CELL_H, LEFT, TOP = 76, 34, 130, 64


def _colour(row):
    """From red to green by how often it was direct; grey where only a relay is possible."""
    if row.hopeless:
        return "#d8d8d8"
    share = row.good / row.tried if row.tried else 0
    return f"hsl({round(120 * share ** 2)} 60% 72%)"


def _text(x, y, text, *attributes):
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x}" y="{y}" {" ".join(attributes)}>{text}</text>'


def _cell(x, y, row):
    share = f"{100 * row.good / row.tried:.0f} %" if row.tried else "-"
    speed = "" if row.p50 is None else f"{row.p50:.2f} s"
    return [f'<rect x="{x}" y="{y}" width="{CELL_W - 2}" height="{CELL_H - 2}" fill="{_colour(row)}">'
            f"<title>{row.line()}</title></rect>",
            _text(x + CELL_W / 2, y + 14, share, 'text-anchor="middle"', 'font-weight="bold"'),
            _text(x + CELL_W / 2, y + 27, speed, 'text-anchor="middle"')]


def _drawing(delay, rows):
    """(width, height, lines) of the picture of one delay."""
    from topology import SITES  # the order of the axes

    pairs = [row for row in rows if len(row.pair) == 2 and not {"v6", "noudp"} & set(row.pair)]
    others = [row for row in rows if row not in pairs]
    sites = [site for site in SITES if any(site in row.pair for row in pairs)]
    cells = {row.pair: row for row in pairs}
    width = LEFT + CELL_W * max(len(sites), 4) + 20
    height = TOP + CELL_H * len(sites) + 30 + CELL_H * len(others) + 20
    where = f", with {delay:g} ms each way" if delay else ""
    lines = [_text(10, 22, f"How many trials ended with a direct session, and how fast half of those did{where}",
                   'font-size="14"')]
    for i, site in enumerate(sites):
        lines.append(_text(LEFT + CELL_W * (i + 0.5), TOP - 8, site, 'text-anchor="middle"'))
        lines.append(_text(LEFT - 8, TOP + CELL_H * i + 21, site, 'text-anchor="end"'))
        for j, other in enumerate(sites):
            row = cells.get((site, other)) or cells.get((other, site))
            if row is not None:
                lines += _cell(LEFT + CELL_W * j, TOP + CELL_H * i, row)
    top = TOP + CELL_H * len(sites) + 30
    for i, row in enumerate(others):
        lines.append(_text(LEFT - 8, top + CELL_H * i + 21, row.name(), 'text-anchor="end"'))
        lines += _cell(LEFT, top + CELL_H * i, row)
    return width, height, lines


def pictures(groups):
    """One drawing for each delay, below each other."""
    drawings = [_drawing(delay, rows) for delay, rows in groups]
    width, height = max(drawing[0] for drawing in drawings), sum(drawing[1] for drawing in drawings)
    lines = ["<!-- SPDX-License-Identifier: Apache-2.0 -->",
             f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
             f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
             '<rect width="100%" height="100%" fill="white"/>']
    top = 0
    for _, drawing_height, drawing in drawings:
        lines += [f'<g transform="translate(0 {top})">', *drawing, "</g>"]
        top += drawing_height
    return "\n".join([*lines, "</svg>"]) + "\n"
