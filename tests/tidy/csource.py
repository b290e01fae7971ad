# SPDX-License-Identifier: Apache-2.0
"""Just enough C to look at it: comments and literals blanked, includes, functions with lengths."""
import re

_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_NAME = re.compile(r"([A-Za-z_]\w*)\s*\(")


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def strip(text):
    """Blanks comments and the insides of literals; line numbers and columns stay."""
    return _TOKEN.sub(lambda m: _blank(m.group(0)) if m.group(0)[0] == "/"
                      else m.group(0)[0] + _blank(m.group(0)[1:-1]) + m.group(0)[0], text)


def without_directives(stripped):
    """Blanks preprocessor lines, continuation lines too."""
    return _DIRECTIVE.sub(lambda m: _blank(m.group(0)), stripped)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def includes(text):
    """(line, '<' or '"', path) of every include that is not commented out."""
    without_comments = re.sub(r"//[^\n]*|/\*.*?\*/", lambda m: _blank(m.group(0)), text,
                              flags=re.DOTALL)
    return [(line_of(text, m.start()), m.group(1), m.group(2))
            for m in _INCLUDE.finditer(without_comments)]


def functions(text):
    """(name, first line, lines from opening to closing brace, deepest brace) of each definition."""
    code = without_directives(strip(text))
    found = []
    depth = 0
    head_start = 0
    opened = None
    deepest = 0
    for i, char in enumerate(code):
        if char == "{":
            if depth == 0:
                head = code[head_start:i]
                # extern "C" { opens no scope of its own.
                if re.search(r'\bextern\s*"\s*"\s*$', head):
                    head_start = i + 1
                    continue
                # A definition's head has a parameter list and no '=', which an initialiser has.
                name = _NAME.search(re.sub(r"__attribute__\s*\(\(.*?\)\)", "", head))
                opened = (name.group(1), i) if name and "=" not in head else None
            depth += 1
            deepest = 1 if depth == 1 else max(deepest, depth)
        elif char == "}":
            if depth == 0:
                head_start = i + 1
                continue
            depth -= 1
            if depth == 0:
                if opened:
                    first = line_of(code, opened[1])
                    found.append((opened[0], first, line_of(code, i) - first + 1, deepest))
                head_start = i + 1
        elif char == ";" and depth == 0:
            head_start = i + 1
    return found
