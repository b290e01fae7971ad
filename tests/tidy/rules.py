# SPDX-License-Identifier: Apache-2.0
"""The rules.  Each takes a Tree (tidy.py) and yields (path, line, rule, text)."""
import os
import re
import shutil
import subprocess

import csource

FILE_LINES_MAX = 800
TEST_FILE_LINES_MAX = 1000
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100
NESTING_MAX = 4
PUBLIC_HEADER_LINES_MAX = 300
RUN_SHARE_MAX = 0.25
RUN_SHARE_FROM_LINES = 4000  # below it the share says nothing yet

# What each room may include, itself aside.  docs/architecture.md draws it.
ROOMS = {
    "base": [],
    "wire": ["base"],
    "auth": ["base", "wire"],
    "quic": ["base", "wire", "auth"],
    "sock": ["base", "wire", "auth"],
    "portmap": ["base"],
    "mesh": ["base", "wire", "auth", "quic", "sock"],
    "peer": ["base", "wire", "auth"],
    "state": ["base", "wire", "auth"],
    "node": ["base", "wire", "auth", "quic", "sock", "mesh", "peer", "state"],
    "run": ["base", "wire", "auth", "quic", "sock", "mesh", "peer", "state", "node",
            "portmap"],
}

# Foreign headers and where they may be included (path prefixes).  First match counts.
FOREIGN = [
    (r"ngtcp2/|gnutls/", ["src/quic/"]),
    (r"protobuf-c/|.*\.pb-c\.h$", ["tests/"]),
    (r"yaml\.h$", ["src/wire/"]),
    (r"jansson\.h$", ["src/wire/", "src/run/", "cmd/"]),
    (r"sodium(\.h$|/)", ["src/auth/", "src/base/hash.c"]),
    # Types and byte order only; tests/purity looks at the calls.
    (r"(sys/socket|sys/types|netinet/in|arpa/inet)\.h$",
     ["src/base/addr.c", "src/base/addr.h", "src/quic/", "src/run/", "cmd/"]),
    (r"(sys|net|netinet|arpa|linux)/|(unistd|fcntl|poll|signal|netdb|ifaddrs|dirent|pthread|threads"
     r"|sched|termios|pwd|grp|syslog|spawn)\.h$", ["src/run/", "cmd/"]),
]

BANNED = {
    "strcpy": "memcpy with a known length, or snprintf",
    "strcat": "snprintf",
    "sprintf": "snprintf",
    "vsprintf": "vsnprintf",
    "gets": "fgets",
    "atoi": "strtol with end and range checked",
    "atol": "strtol with end and range checked",
    "atoll": "strtoll with end and range checked",
    "strtok": "strcspn and a length",
    "rand": "the injected pln_rng",
    "srand": "the injected pln_rng",
    "random": "the injected pln_rng",
    "time": "the now that is passed down",
    "sleep": "a deadline given to the loop",
    "usleep": "a deadline given to the loop",
    "nanosleep": "a deadline given to the loop",
    "alloca": "a bounded array, or pln_mem",
}

SPDX = "SPDX-License-Identifier: Apache-2.0"
_BANNED_CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED))
_SLEEP_SCRIPT = re.compile(r"^[^#\n]*?(?:(?<![\w.-])sleep[ \t]+[\d\"$]|\btime\.sleep\()", re.MULTILINE)


def include_direction(tree):
    for path in tree.c_files("src/", "include/"):
        room = path.split("/")[1] if path.startswith("src/") else None
        for line, kind, name in csource.includes(tree.text(path)):
            first = name.split("/")[0]
            if kind == "<" or name.endswith(".pb-c.h"):
                if room is None and first != "pollen" and name not in ("stdbool.h", "stddef.h", "stdint.h"):
                    yield path, line, "include-direction", f"a public header includes <{name}>"
                continue
            if room is None:
                yield path, line, "include-direction", f'a public header includes "{name}": use <pollen/...>'
            elif first not in ROOMS or "/" not in name:
                yield path, line, "include-direction", f'write "{name}" from the root: "<room>/<file>.h"'
            elif room not in ROOMS:
                yield path, line, "include-direction", f"src/{room} is no room: add it to ROOMS"
            elif first != room and first not in ROOMS[room]:
                yield path, line, "include-direction", f"{room} may not include {first}: includes point down only"


def foreign_header(tree):
    for path in tree.c_files("src/", "include/", "cmd/"):
        for line, _, name in csource.includes(tree.text(path)):
            for pattern, places in FOREIGN:
                if re.match(pattern, name):
                    if not path.startswith(tuple(places)):
                        yield path, line, "foreign-header", f"{name} belongs to {', '.join(places)}"
                    break


def banned(tree):
    for path in tree.c_files("src/", "include/", "cmd/", "tests/", "fuzz/", "bench/", "examples/"):
        code = csource.strip(tree.text(path))
        for match in _BANNED_CALL.finditer(code):
            name = match.group(1)
            yield path, csource.line_of(code, match.start()), "banned", f"{name}: use {BANNED[name]}"
    for path in tree.files:
        if path.startswith("tests/") and not tree.is_c(path) and tree.is_script(path):
            text = tree.text(path)
            for match in _SLEEP_SCRIPT.finditer(text):
                yield (path, csource.line_of(text, match.end()), "banned",
                       "sleep: wait for the thing itself, with a deadline")


def open_end(tree):
    for path in tree.text_files():
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            word = re.search(r"\b(TODO|FIXME|XXX)\b", line)
            if word:
                yield path, number, "open-end", f"{word.group(1)}: do it, or leave it out"
            if tree.is_c(path) and re.match(r"\s*#\s*if\s+0\b", line):
                yield path, number, "open-end", "#if 0: delete it, git remembers"
            if re.search(r"(?<![\w.])/(work|farm)/", line):
                yield path, number, "open-end", "a path of one machine"


def spdx(tree):
    for path in tree.files:
        lines = tree.text(path).split("\n", 2)[:2] if tree.wants_spdx(path) else None
        if lines is None:
            continue
        if tree.is_c(path):
            ok = lines[0] == f"/* {SPDX} */"
        else:
            ok = any(re.match(rf"^(#|//|/\*|\.\\\"|<!--) {SPDX}", line) for line in lines)
        if not ok:
            yield path, 1, "spdx", f"the first line is /* {SPDX} */ (in other languages: line 1 or 2)"


def unlisted(tree):
    """A source that no CMakeLists.txt names is never compiled, and so proves nothing."""
    for path in tree.c_files("src/", "cmd/", "tests/", "fuzz/", "bench/"):
        if not path.endswith(".c") or path == "fuzz/replay_main.c":
            continue
        directory, name = os.path.split(path)
        wanted = [re.escape(name)]
        short = re.match(r"(test|fuzz|bench)_(.+)\.c$", name)
        if short:
            wanted.append(rf"pollen_{short.group(1)}\({re.escape(short.group(2))}")
        pattern = re.compile(rf"(?<![\w.-])({'|'.join(wanted)})(?![\w.-])")
        listed = False
        while directory and not listed:
            listed = bool(pattern.search(tree.text(f"{directory}/CMakeLists.txt")))
            directory = os.path.dirname(directory)
        if not listed:
            yield path, 1, "unlisted", "no CMakeLists.txt names it"


def file_length(tree):
    for path in tree.c_files():
        lines = tree.lines(path)
        if path.startswith("include/") and lines > PUBLIC_HEADER_LINES_MAX:
            yield path, 1, "file-length", f"{lines} lines; a public header has {PUBLIC_HEADER_LINES_MAX} at most"
        elif lines > (TEST_FILE_LINES_MAX if path.startswith("tests/") else FILE_LINES_MAX):
            yield path, 1, "file-length", f"{lines} lines; split it at a noun"


def columns(tree):
    """clang-format keeps code inside; comments and literals it leaves as they are."""
    for path in tree.c_files():
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            if len(line) > COLUMNS_MAX:
                yield path, number, "columns", f"{len(line)} columns, {COLUMNS_MAX} at most"


def function_length(tree):
    allowed = dict(tree.ratchet())
    for path in tree.c_files():
        for name, line, length, _ in tree.functions(path):
            limit = allowed.pop((path, name), FUNCTION_LINES_MAX)
            if length > limit:
                yield path, line, "function-length", f"{name}: {length} lines, {limit} at most"
            elif limit > FUNCTION_LINES_MAX and length < limit:
                now = "remove it" if length <= FUNCTION_LINES_MAX else f"lower it to {length}"
                yield path, line, "function-length", f"{name} shrank: {now} in tests/tidy/function_lines.txt"
    for path, name in allowed:
        yield path, 1, "function-length", f"{name} is gone: remove it from tests/tidy/function_lines.txt"


def nesting(tree):
    for path in tree.c_files():
        for name, line, _, deepest in tree.functions(path):
            if deepest - 1 > NESTING_MAX:
                yield path, line, "nesting", f"{name}: blocks {deepest - 1} deep, {NESTING_MAX} at most"


def header_alone(tree):
    """Every header compiles by itself; the public ones as C++ too."""
    cc = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    cxx = shutil.which("g++")
    if not cc:
        tree.note("header-alone skipped: no C compiler")
        return
    if not cxx:
        tree.note("header-alone: no C++ compiler, so C only")
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Werror", "-fsyntax-only",
              "-DPLN_CHECK_THREADS=1"]
    for path in tree.c_files("include/", "src/"):
        if not path.endswith(".h"):
            continue
        public = path.startswith("include/")
        name = path.split("/", 1)[1]
        # Twice, for its guard; the typedef because ISO C forbids an empty translation unit.
        source = f"#include <{name}>\n#include <{name}>\ntypedef int not_empty;\n"
        include = ["-I", "include"] if public else ["-I", "include", "-I", "src"]
        define = "-D_GNU_SOURCE" if path.startswith("src/run/") else "-D_POSIX_C_SOURCE=200809L"
        runs = [[cc, "-std=c11", "-x", "c"] + ([] if public else [define])]
        if public and cxx:
            runs.append([cxx, "-std=c++11", "-x", "c++"])
        for run in runs:
            done = subprocess.run(run + strict + include + ["-"], cwd=tree.root, input=source,
                                  capture_output=True, text=True, check=False)
            if done.returncode != 0:
                first = next((l for l in done.stderr.split("\n") if "error" in l), done.stderr[:200])
                yield path, 1, "header-alone", f"{os.path.basename(run[0])} {run[1]}: {first.strip()}"


def run_share(tree):
    total = sum(tree.lines(path) for path in tree.c_files("src/"))
    run = sum(tree.lines(path) for path in tree.c_files("src/run/"))
    if total > RUN_SHARE_FROM_LINES and run > total * RUN_SHARE_MAX:
        yield ("src/run", 1, "run-share",
               f"{run} of {total} lines ({100 * run // total} %) have system calls; "
               f"{int(100 * RUN_SHARE_MAX)} % at most: move decisions into the core")


ALL = [include_direction, foreign_header, banned, open_end, spdx, unlisted, file_length, columns,
       function_length, nesting, header_alone, run_share]
