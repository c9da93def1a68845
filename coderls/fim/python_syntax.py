"""Python judged by its own parser: where it stumbles first, in the smallest part of the file that can be judged alone.

A parse takes some 250 ns a character, too much for a whole long file at each keystroke. A top-level statement parses
by itself exactly as it does in its file; so does a statement of a class or function body, under a head of one line.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

#: Parts up to this long (characters) are judged as they are.
_SHORT = 6_000
#: Nothing longer is ever parsed: Python's parser lets no other thread run meanwhile.
_LONGEST = 300_000
_STATEMENT = r"(?![\s)\]}#]|elif\b|else\b|except\b|finally\b)"
_TOP_LEVEL = re.compile(rf"^{_STATEMENT}", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fault:
    """Where the parser stops (line from 0), whether for indentation, and the line whose block it misses (or -1)."""

    line: int
    indentation: bool
    header: int


@dataclass(frozen=True, slots=True)
class Region:
    """`text[start:end]` of a file, parsed below `head`, and its first fault (None: it parses).

    Lines are counted from the start of `head`.
    """

    start: int
    end: int
    head: str
    fault: Fault | None

    def line_of(self, text: str, offset: int) -> int:
        """The line in which `offset` of the whole text lies."""
        return count_line_ends(self.head + text[self.start : offset])


def region_around(text: str, offset: int) -> Region:
    """The smallest part around the cursor that parses by itself; if none does, the smallest part."""
    if len(text) <= _SHORT:
        return _judged(text, 0, len(text))
    start, end = _statements(text, offset, _TOP_LEVEL)
    if end - start <= _SHORT:
        return _judged(text, start, end)
    body = re.compile(r"^([ \t]+)\S", re.MULTILINE).search(text, start, offset)
    depth = len(body.group(1)) if body else 0
    inner = _judged(text, *_statements(text, offset, re.compile(rf"^[ \t]{{0,{depth}}}{_STATEMENT}", re.MULTILINE)))
    if inner.fault is None:
        return inner
    outer = _judged(text, start, end)
    return outer if outer.fault is None else inner


def whole_file(text: str) -> Region | None:
    """The whole file as a region; None for one that takes too long."""
    return _judged(text, 0, len(text)) if len(text) <= _LONGEST else None


def first_fault(text: str) -> Fault | None:
    """Where Python's parser stumbles first (line -1 when it cannot say); None when it does not."""
    if len(text) > _LONGEST:
        return Fault(-1, False, -1)
    try:
        with warnings.catch_warnings():  # "\\d" in a user's file is not our business
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as error:
        header = re.search(r"on line (\d+)$", error.msg or "")
        named = int(header.group(1)) - 1 if header else -1
        return Fault((error.lineno or 1) - 1, isinstance(error, IndentationError), named)
    except (ValueError, RecursionError, MemoryError):  # a null byte, a lone surrogate; nested too deeply
        return Fault(-1, False, -1)
    return None


def count_line_ends(text: str) -> int:
    """How many lines end in `text`."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _judged(text: str, start: int, end: int) -> Region:
    head = "if 1:\n" if text[start : start + 1] in (" ", "\t") else ""
    return Region(start, end, head, first_fault(head + text[start:end]))


def _statements(text: str, offset: int, statement: re.Pattern[str]) -> tuple[int, int]:
    """From the statement that holds the cursor's line to the end of the one after it.

    The one after it tells whether the completion leaves a block open, or ends one too early.
    """
    after = _next_statement(text, _next_statement(text, offset, statement), statement)
    return _statement_before(text, text.rfind("\n", 0, offset) + 1, statement), after


def _statement_before(text: str, place: int, statement: re.Pattern[str]) -> int:
    """Start of the statement that holds the line at `place`, with its decorators."""
    start = place
    while start > 0:
        previous = text.rfind("\n", 0, start - 1) + 1
        if start < place and statement.match(text, start) and not _is_decorator(text, previous):
            return start
        start = previous
    return 0


def _next_statement(text: str, place: int, statement: re.Pattern[str]) -> int:
    """Start of the first statement below the line of `place`, not between decorators and their function."""
    while place < len(text):
        decorated = _is_decorator(text, text.rfind("\n", 0, place) + 1)
        line_end = text.find("\n", place)
        found = statement.search(text, line_end + 1) if line_end >= 0 else None
        place = found.start() if found else len(text)
        if not decorated:
            break
    return place


def _is_decorator(text: str, line_start: int) -> bool:
    return text[line_start : line_start + 80].lstrip(" \t").startswith("@")
