#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the sources against CONTRIBUTING.md: tidy.py [root], or lists the C files: tidy.py --list-c.

Only files that git tracks or would add are looked at.  A line is excused by a comment on it or on
the line before, with the rule's name and a reason:    tidy: allow <rule>: <reason>
"""
import os
import re
import statistics
import subprocess
import sys

import csource
import rules

C_SUFFIXES = (".c", ".h")
SPDX_SUFFIXES = (".c", ".h", ".sh", ".py", ".cmake", ".proto", ".map", ".md.in", ".1")
BINARY_SUFFIXES = (".png", ".jpg", ".pb", ".bin", ".der")
# Inputs and fixtures: bytes that are looked at elsewhere, not prose or code of ours.
DATA_PREFIXES = ("tests/vectors/", "fuzz/corpus/", "tests/tidy/")
WAIVER = re.compile(r"tidy: allow ([a-z-]+): \S+")


class Tree:
    """The files of a checkout, read once."""

    def __init__(self, root):
        self.root = root
        self.notes = []
        self._text = {}
        self._functions = {}
        self.files = sorted(self._list())

    def _list(self):
        listed = subprocess.run(["git", "-C", self.root, "ls-files", "-z", "--cached", "--others",
                                 "--exclude-standard", "--deduplicate"],
                                capture_output=True, check=False) if self._is_git() else None
        if listed is not None and listed.returncode == 0:
            names = [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
        else:
            names = []
            for directory, below, here in os.walk(self.root):
                relative = os.path.relpath(directory, self.root)
                below[:] = [d for d in below if d not in (".git", "__pycache__")
                            and not (relative == "." and d.startswith("build"))]
                names += [os.path.normpath(os.path.join(relative, name)) for name in here]
        return [name for name in names if os.path.isfile(os.path.join(self.root, name))]

    def _is_git(self):
        return os.path.exists(os.path.join(self.root, ".git"))

    def text(self, path):
        if path not in self._text:
            try:
                with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
                    self._text[path] = file.read()
            except OSError:
                self._text[path] = ""
        return self._text[path]

    def lines(self, path):
        return self.text(path).count("\n")

    def functions(self, path):
        if path not in self._functions:
            self._functions[path] = csource.functions(self.text(path))
        return self._functions[path]

    def c_files(self, *prefixes):
        return [path for path in self.files if path.endswith(C_SUFFIXES)
                and not path.startswith(DATA_PREFIXES) and (not prefixes or path.startswith(prefixes))]

    def text_files(self):
        return [path for path in self.files if not path.startswith(DATA_PREFIXES)
                and not path.endswith(BINARY_SUFFIXES) and path != "LICENSE"]

    @staticmethod
    def is_c(path):
        return path.endswith(C_SUFFIXES)

    def is_script(self, path):
        return path.endswith((".sh", ".py")) or self.text(path).startswith("#!")

    def wants_spdx(self, path):
        if path.startswith(("tests/vectors/", "fuzz/corpus/")):
            return False
        return (path.endswith(SPDX_SUFFIXES) or os.path.basename(path) == "CMakeLists.txt"
                or self.text(path).startswith("#!"))

    def ratchet(self):
        """Functions that are longer than the limit, with the length they may have."""
        for line in self.text("tests/tidy/function_lines.txt").split("\n"):
            fields = line.split("#")[0].split()
            if fields:
                path, name, limit = fields
                yield (path, name), int(limit)

    def note(self, text):
        self.notes.append(text)

    def excused(self, path, line, rule):
        lines = self.text(path).split("\n")
        for number in (line - 1, line):
            if 1 <= number <= len(lines):
                waiver = WAIVER.search(lines[number - 1])
                if waiver and waiver.group(1) == rule:
                    return True
        return False


def findings(tree):
    for rule in rules.ALL:
        for path, line, name, text in rule(tree):
            if not tree.excused(path, line, name):
                yield path, line, name, text


def report(tree):
    """Where the sources stand against the targets of CONTRIBUTING.md; fails nothing."""
    sources = tree.c_files("src/")
    lines = sum(tree.lines(path) for path in sources)
    if not lines:
        return
    lengths = sorted(length for path in sources for _, _, length, _ in tree.functions(path))
    files = [tree.lines(path) for path in sources if path.endswith(".c")]
    asserts = sum(len(re.findall(r"\bPLN_ASSERT\w*\s*\(", csource.strip(tree.text(path))))
                  for path in sources)
    run = sum(tree.lines(path) for path in tree.c_files("src/run/"))
    print(f"src: {lines} lines, run {100 * run / lines:.0f} %, "
          f"{1000 * asserts / lines:.1f} asserts per 1,000 lines (15 wanted)")
    if lengths and files:
        print(f"src: functions median {lengths[len(lengths) // 2]}, "
              f"p90 {lengths[len(lengths) * 9 // 10]}, max {lengths[-1]} (12 / 45 / 70 wanted); "
              f"files median {statistics.median(files):.0f}, max {max(files)} (250 / 800 wanted)")


def main():
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    if sys.argv[1:] == ["--list-c"]:
        print("\n".join(Tree(os.path.abspath(default)).c_files()))
        return 0
    tree = Tree(os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else default))
    count = 0
    for path, line, name, text in findings(tree):
        print(f"{path}:{line}: {name}: {text}")
        count += 1
    for note in tree.notes:
        print(f"note: {note}")
    report(tree)
    print(f"tidy: {len(tree.files)} files, {count} findings")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
