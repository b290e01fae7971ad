# SPDX-License-Identifier: Apache-2.0
"""What the commands that measure have in common: where the programs are, and a bench for each pair."""
import copy
import os
import sys

import engine
import space
import trial

PATIENCE_S, SETTLE_S, SETTLE_FAR_S = 20, 5, 20


def add_programs(parser):
    parser.add_argument("--pln", default="build/release/cmd/pln/pln", help="our command (default: %(default)s)")
    parser.add_argument("--forwarder", default="build/release/tests/net/net-forwarder",
                        help="what delays and loses (default: %(default)s)")
    parser.add_argument("--puncher", default="build/release/tests/net/net-puncher",
                        help="the engine by itself (default: %(default)s)")


def find(path):
    if not os.access(path, os.X_OK):
        sys.exit(f"{os.path.basename(sys.argv[0])}: {path} is not there: build it, or see --help")
    return os.path.abspath(path)


def at_distance(options, delay=0, loss=0, jitter=0, reorder=0):
    """The options of benches whose core is like that."""
    changed = copy.copy(options)
    wanted = {"--delay": delay, "--jitter": jitter, "--loss": loss, "--reorder": reorder}
    changed.forward = tuple(item for pair in wanted.items() for item in pair) if any(wanted.values()) else ()
    if changed.forward:
        if not os.path.exists("/dev/net/tun"):
            space.skip("delay and loss need /dev/net/tun")
        changed.forwarder = find(options.forwarder)
    changed.patience, changed.settle = PATIENCE_S, SETTLE_FAR_S if changed.forward else SETTLE_S
    return changed


class Workshop:
    """Makes benches: of engines, or of nodes, which have one set of members for all."""

    def __init__(self, options, folder, reference=None, side="none"):
        self.options, self.folder, self.reference, self.side = options, folder, reference, side
        self.cluster = None

    def engines(self, pair, options):
        options.puncher = find(options.puncher)
        return engine.Bench(pair, options)

    def nodes(self, pair, options, worker=0):
        self.prepare_nodes()
        return trial.Bench(pair, self.cluster, os.path.join(self.folder, str(worker)), options)

    def prepare_nodes(self):
        """Members that have joined, if there are none yet."""
        if self.cluster is None:
            programs = trial.programs(find(self.options.pln), self.reference and find(self.reference), self.side)
            self.cluster = trial.Cluster(self.folder, programs, self.options.publics)
