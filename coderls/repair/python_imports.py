"""Where a new import of Python's standard library goes, and the blank lines around it, as import sorters want them.

    def load(path): ...        import json         two blank lines before a definition, one before other code
                               ␤␤
                               def load(path): ...
    import os                  import json
    import zlib                import os           among its like, in the order of the alphabet
    from abc import ABC        from abc import ABC, abstractmethod

The order is that of isort's and ruff's defaults: `import x` before `from x import y`, the standard library above
everything else but `__future__`, and members by their kind: CONSTANTS, Classes, functions.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings

from coderls.document import Edit

#: A line of imports, with those that it goes on in: what comes from `__future__` stands above all others.
_LINE = re.compile(
    r"(?:import|from(?=[ \t]+[\w.]+[ \t]+import\b))[ \t]+(?P<module>[\w.]+)"
    r"(?:[^\n(#\\]*\([^)]*\))?[^\n\\]*(?:\\\r?\n[^\n\\]*)*"
)
_MEMBERS = re.compile(r"from[ \t]+[\w.]+[ \t]+import[ \t]+(?P<names>\w+(?:, \w+)*)[ \t]*")
_HEAD = re.compile(
    r'(?:[ \t]*(?:#[^\n]*)?\n)*(?:[ \t]*[rR]?("""|\'\'\').*?\1[^\n]*(?:\n|\Z))?'
    r"(?P<blank>(?:[ \t]*\n)*(?=from __future__))?(?:from __future__[^\n]*(?:\n|\Z))*",
    re.DOTALL,
)
_DEFINITION = re.compile(r"(?:#[^\n]*\n)*(?:(?:def|class|async[ \t]+def)\b|@)")
#: Comments at the top that are about the file: a blank line parts them from what is below.
_HEADER = re.compile(r"(?:#[^\n]*\n)+(?=[ \t]*\n)|#![^\n]*\n(?:#[^\n]*\n)*")
_LONGEST_LINE = 88


def import_edit(text: str, module: str, name: str = "") -> Edit:
    """The edit of `text` that imports `module`, or `name` of it. Line ends are those of the text."""
    end = "\r\n" if "\r\n" in text else "\n"
    line = f"from {module} import {name}" if name else f"import {module}"
    block = _first_block(text)
    if not block:
        return _alone(text, line, end)
    for match in block if name else ():
        joined = _joined(match, module, name)
        if joined is not None:
            return joined
    own = [match for match in block if _is_standard(match["module"])]
    if not own:
        return Edit(block[0].start(), block[0].start(), line + end + end)
    after = next((match for match in own if _order(match[0]) > _order(line)), None)
    if after is not None:
        return Edit(after.start(), after.start(), line + end)
    last = own[-1].end()
    last -= text[last - 1] == "\r"
    return Edit(last, last, end + line)


def _first_block(text: str) -> list[re.Match[str]]:
    """The lines of imports at the left margin from the first one on, as long as blank lines alone part them."""
    found, lines = list[re.Match[str]](), _lines_of_imports(text)
    for match in re.compile(rf"^{_LINE.pattern}", re.MULTILINE).finditer(text):
        if match["module"] == "__future__" or text[: match.start()].endswith("\\\n"):
            continue
        if lines is not None and text.count("\n", 0, match.start()) + 1 not in lines:
            continue  # it stands in a string
        if found and text[found[-1].end() : match.start()].strip():
            break
        found.append(match)
    return found


def _lines_of_imports(text: str) -> set[int] | None:
    """The lines, from 1, in which imports begin; None where Python's own parser cannot tell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return {node.lineno for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))}


def _joined(match: re.Match[str], module: str, name: str) -> Edit | None:
    """`name` among those that a line takes from the module already; None where that is another line, or full."""
    members = _MEMBERS.fullmatch(match[0].rstrip())
    if match["module"] != module or members is None or len(match[0]) + len(name) + 2 > _LONGEST_LINE:
        return None
    start, names = match.start() + members.start("names"), members["names"].split(", ")
    new = ", ".join(sorted({*names, name}, key=_kind))
    return Edit(start, start + len(members["names"]), new)


def _kind(name: str) -> tuple[int, str]:
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2), name


def _order(line: str) -> tuple[bool, str]:
    match = _LINE.match(line)
    return line.startswith("from"), match["module"].lower() if match else ""


def _is_standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _alone(text: str, line: str, end: str) -> Edit:
    """The first import of a file: below its docstring and comments, with blank lines around."""
    plain = text.replace("\r\n", "\n")
    head = _HEAD.match(plain)
    above = plain[: head.end()] if head else ""
    if not re.search(r'"""|\'\'\'|__future__', above):
        header = _HEADER.match(plain)
        above = header[0] if header else ""
    place = len(above) + (above.count("\n") if end == "\r\n" else 0)
    below = plain[len(above) :]
    code = below.lstrip("\n")
    wanted = 0 if not code.strip() else 2 if _DEFINITION.match(code) else 1
    before = end if above.strip() and not above.endswith("\n\n") else ""
    before = end + before if above and not above.endswith("\n") else before
    return Edit(place, place + len(end) * (len(below) - len(code)), before + line + end + end * wanted)
