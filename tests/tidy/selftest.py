#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that tidy can fail: a tree that breaks every rule, and a clean one that breaks none."""
import os
import shutil
import sys
import tempfile

import rules
from tidy import Tree, findings

SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
LONG = "\n".join("    x += %d;" % i for i in range(rules.FUNCTION_LINES_MAX))
LISTED = "# SPDX-License-Identifier: Apache-2.0\npollen_room(base SOURCES a.c)\n"

CLEAN = {
    "src/base/CMakeLists.txt": LISTED,
    "src/base/a.c": SPDX + '#include "base/a.h"\n\nint pln_a(int time) {\n'
                           '    /* atoi(x), sprintf(y): not calls. */\n'
                           '    const char *s = "strcpy(a, b) { {";\n    return s[0] + time;\n}\n',
    "src/base/a.h": SPDX + "#ifndef A_H\n#define A_H\nint pln_a(int time);\n#endif\n",
    "src/node/x.h": SPDX + '#ifndef X_H\n#define X_H\n#include "mesh/y.h"\n#include <pollen/p.h>\n#endif\n',
    "src/mesh/y.h": SPDX + "#ifndef Y_H\n#define Y_H\n#endif\n",
    "include/pollen/p.h": SPDX + "#ifndef P_H\n#define P_H\n#include <stdint.h>\n"
                                 "#ifdef __cplusplus\nextern \"C\" {\n#endif\nint pollen_p(uint8_t b);\n"
                                 "#ifdef __cplusplus\n}\n#endif\n#endif\n",
    "tests/unit/test_a.c": SPDX + "int main(void) {\n    return 0;\n}\n",
    "tests/unit/CMakeLists.txt": "# SPDX-License-Identifier: Apache-2.0\npollen_test(a)\n",
    "tests/net/wait.sh": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n# No sleep 1 here.\ntrue\n",
}

LONG_FUNCTION = SPDX + "int pln_a(int x);\nint pln_a(int x) {\n" + LONG + "\n    return x;\n}\n"

# rule: the files that must make it speak, over the clean tree; the path that must be named; its text.
BROKEN = [
    ("include-direction", {"src/base/a.h": SPDX + '#include "wire/w.h"\n'}, "src/base/a.h", "base may not include wire"),
    ("include-direction", {"src/peer/a.h": SPDX + '#include "mesh/y.h"\n'}, "src/peer/a.h", "peer may not include mesh"),
    ("include-direction", {"src/mesh/y.h": SPDX + '#include "run/loop.h"\n'}, "src/mesh/y.h", "mesh may not include run"),
    ("include-direction", {"src/mesh/y.h": SPDX + '#include "y2.h"\n'}, "src/mesh/y.h", "from the root"),
    ("include-direction", {"src/misc/y.h": SPDX + '#include "base/a.h"\n'}, "src/misc/y.h", "no room"),
    ("include-direction", {"include/pollen/p.h": SPDX + '#include "base/a.h"\n'}, "include/pollen/p.h", "public"),
    ("include-direction", {"include/pollen/p.h": SPDX + "#include <stdio.h>\n"}, "include/pollen/p.h", "stdio.h"),
    ("foreign-header", {"src/mesh/y.h": SPDX + "#include <ngtcp2/ngtcp2.h>\n"}, "src/mesh/y.h", "src/quic/"),
    ("foreign-header", {"src/wire/y.h": SPDX + "#include <gnutls/x509.h>\n"}, "src/wire/y.h", "src/quic/"),
    ("foreign-header", {"src/auth/y.h": SPDX + "#include <jansson.h>\n"}, "src/auth/y.h", "src/wire/"),
    ("foreign-header", {"src/mesh/y.h": SPDX + '#include "pollen/mesh/v1/mesh.pb-c.h"\n'}, "src/mesh/y.h", "tests/"),
    ("foreign-header", {"src/base/a.h": SPDX + "#include <sodium.h>\n"}, "src/base/a.h", "src/auth/"),
    ("foreign-header", {"src/base/a.h": SPDX + "#include <pthread.h>\n"}, "src/base/a.h", "src/run/"),
    ("foreign-header", {"src/peer/a.h": SPDX + "#include <sys/epoll.h>\n"}, "src/peer/a.h", "src/run/"),
    ("banned", {"src/base/a.c": SPDX + "void pln_a(void) {\n    strcpy(a, b);\n}\n"}, "src/base/a.c", "strcpy"),
    ("banned", {"tests/unit/test_a.c": SPDX + "int main(void) {\n    usleep(1);\n}\n"}, "tests/unit/test_a.c", "usleep"),
    ("banned", {"tests/net/wait.sh": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\nfoo; sleep 1\n"}, "tests/net/wait.sh", "sleep"),
    ("banned", {"tests/net/w.py": "# SPDX-License-Identifier: Apache-2.0\ntime.sleep(1)\n"}, "tests/net/w.py", "sleep"),
    ("open-end", {"src/base/a.c": SPDX + "/* TODO: later */\n"}, "src/base/a.c", "TODO"),
    ("open-end", {"docs/a.md": "FIXME\n"}, "docs/a.md", "FIXME"),
    ("open-end", {"src/base/a.c": SPDX + "#if 0\n#endif\n"}, "src/base/a.c", "#if 0"),
    ("open-end", {"script/x": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\ncd /work/x\n"}, "script/x", "one machine"),
    ("spdx", {"src/base/a.h": "#ifndef A_H\n#define A_H\n#endif\n"}, "src/base/a.h", "SPDX"),
    ("spdx", {"script/x": "#!/bin/sh\ntrue\n"}, "script/x", "SPDX"),
    ("unlisted", {"src/base/CMakeLists.txt": LISTED.replace("a.c", "aa.c")}, "src/base/a.c", "CMakeLists"),
    ("unlisted", {"tests/unit/test_b.c": SPDX + "int main(void) {\n    return 0;\n}\n"}, "tests/unit/test_b.c", "CMakeLists"),
    ("file-length", {"src/base/a.c": SPDX + "\n" * rules.FILE_LINES_MAX}, "src/base/a.c", "801 lines"),
    ("file-length", {"tests/unit/test_a.c": SPDX + "\n" * rules.TEST_FILE_LINES_MAX}, "tests/unit/test_a.c", "1001 lines"),
    ("file-length", {"include/pollen/p.h": SPDX + "\n" * rules.PUBLIC_HEADER_LINES_MAX}, "include/pollen/p.h", "301 lines"),
    ("columns", {"src/base/a.c": SPDX + "/* " + "x" * 98 + "*/\n"}, "src/base/a.c", "103 columns"),
    ("function-length", {"src/base/a.c": LONG_FUNCTION}, "src/base/a.c", "pln_a: 73 lines, 70 at most"),
    ("function-length", {"src/base/a.c": LONG_FUNCTION, "tests/tidy/function_lines.txt": "src/base/a.c pln_a 80\n"},
     "src/base/a.c", "lower it to 73"),
    ("function-length", {"src/base/a.c": LONG_FUNCTION, "tests/tidy/function_lines.txt": "src/base/a.c pln_a 72\n"},
     "src/base/a.c", "72 at most"),
    ("function-length", {"tests/tidy/function_lines.txt": "src/base/a.c pln_gone 80\n"}, "src/base/a.c", "is gone"),
    ("nesting", {"src/base/a.c": SPDX + "void pln_a(void) " + "{\n" * 6 + "}\n" * 6}, "src/base/a.c", "5 deep"),
    ("header-alone", {"src/base/a.h": SPDX + "uint8_t pln_x(void);\n"}, "src/base/a.h", "gcc"),
    ("header-alone", {"include/pollen/p.h": SPDX + "int pollen_new(int class);\n"}, "include/pollen/p.h", "g++"),
    ("run-share", {"src/run/CMakeLists.txt": LISTED, "src/run/a.c": SPDX + "\n" * rules.RUN_SHARE_FROM_LINES},
     "src/run", "system calls"),
]

# These must not speak: what is excused, and an exception at its exact number.
QUIET = [
    {"src/base/a.c": SPDX + "void pln_a(void) {\n    /* tidy: allow banned: shown to work */\n    strcpy(a, b);\n}\n"},
    {"src/base/a.c": LONG_FUNCTION, "tests/tidy/function_lines.txt": "src/base/a.c pln_a 73\n"},
]


def found(files):
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**CLEAN, **files}.items():
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        return list(findings(Tree(root)))


def main():
    wrong = []
    for files in [{}] + QUIET:
        for finding in found(files):
            wrong.append(f"clean tree with {sorted(files)}: {finding}")
    has_cxx = shutil.which("g++") is not None
    spoken = set()
    for rule, files, path, text in BROKEN:
        if text == "g++" and not has_cxx:
            continue
        if any(f[0] == path and f[2] == rule and text in f[3] for f in found(files)):
            spoken.add(rule)
        else:
            wrong.append(f"{rule} is silent about {sorted(files)}: {found(files)}")
    for rule in rules.ALL:
        if rule.__name__.replace("_", "-") not in spoken:
            wrong.append(f"no case shows that {rule.__name__} can fail")
    for line in wrong:
        print(line)
    print(f"tidy selftest: {len(BROKEN)} broken trees, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
