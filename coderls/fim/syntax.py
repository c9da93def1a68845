"""Never break what parsed.

A completion is compared with the file before it: it may leave the file with the faults that it had, not with more.
Python is judged by its own parser (`ast`), which also knows indentation; other languages by the ERROR and MISSING
nodes of the whole tree; languages without a grammar by brackets and quotes near the cursor. What fails is cut back
to its longest clean prefix: of several lines whole ones, of one line whole tokens.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import islice

from coderls.document import Document, Edit, ParsedFile, ParseFile
from coderls.fim.brackets import balance
from coderls.fim.postprocess import Insertion

#: Characters before and after the cursor in which brackets are counted.
_NEAR = 10_000
#: Longer Python files are judged by the top-level statements around the cursor.
_WHOLE = 6_000
#: Longer ones never as a whole: Python's parser lets no other thread run meanwhile.
_LONGEST = 300_000
#: So many shorter forms of a completion are tried.
_TRIES = 20
#: A file with more faults is broken elsewhere too.
_FEW = 2
_TOKEN = re.compile(r"\w+|\s+|.", re.DOTALL)
_NAME = re.compile(r"[\w.]+")
_WORD = re.compile(r"\w")
_LINE_END = re.compile(r"\r\n|\n|\r")
_MAY_END = re.compile(r"[\w)\]}\"'`;]$")
_TOP_LEVEL = re.compile(r"^(?![\s)\]}#]|elif\b|else\b|except\b|finally\b)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Before:
    """What is known of a document before a completion goes in at `offset`; made while the engine works.

    `python`: the part of a Python file that is judged (its offsets and where its own parser stumbles), else None.
    """

    document: Document
    offset: int
    python: Region | None
    tree: ParsedFile | None
    faults: int

    @property
    def mendable(self) -> bool:
        """Whether little is broken, and as far as can be told at the cursor."""
        if self.python is not None and self.python.fault is not None:
            return self.python.fault.line == _lines(self.document.text[self.python.start : self.offset])
        return 1 <= self.faults <= _FEW


@dataclass(frozen=True, slots=True)
class Region:
    """`text[start:end]` of a Python file, and its first fault (None: it parses)."""

    start: int
    end: int
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Where Python's parser stops (line from 0), whether for indentation, and the line whose block it misses."""

    line: int
    indentation: bool
    header: int


def look_before(document: Document, offset: int, parse: ParseFile) -> Before:
    """Examine the document as it is. Some milliseconds in a long file."""
    region = _region(document.text, offset) if document.language_id == "python" else None
    if region is not None and region.fault is None:
        return Before(document, offset, region, None, 0)
    tree = parse(document.language_id, document.text)
    faults = tree.faults() if tree is not None else 0
    unsure = region is not None and faults == 0 and (region.start, region.end) != (0, len(document.text))
    if unsure and len(document.text) <= _LONGEST:
        whole = Region(0, len(document.text), _python_fault(document.text))  # the region began inside something
        region = whole if whole.fault is None else region
    return Before(document, offset, region, tree, faults)


def clean(insertion: Insertion, before: Before) -> Insertion | None:
    """The insertion, or the longest form of it found that adds no fault, or None.

    Where the file is broken at the cursor, as it is while somebody types, and the insertion leaves it so, a shorter
    form that mends it is taken instead.
    """
    effect = _effect(insertion, before)
    if effect is _Effect.PARSES:
        return insertion
    at_cursor = replace(insertion, end=before.offset)
    best = insertion if effect is _Effect.NO_WORSE else None
    if best is not None and not before.mendable:
        return best
    worthy = (text for text in _shorter(insertion.text) if _has_worth(text, before))
    for text in islice(worthy, _TRIES if best is None else _TRIES // 2):
        shorter = replace(at_cursor, text=text)
        effect = _effect(shorter, before)
        if effect is _Effect.PARSES:
            return shorter
        if effect is _Effect.NO_WORSE and best is None:
            best = shorter
            if not before.mendable:
                break
    return best


def allowed(insertion: Insertion, before: Before) -> bool:
    """Whether the document has no more faults with the insertion than without it."""
    return _effect(insertion, before) is not _Effect.WORSE


class _Effect(Enum):
    PARSES = auto()
    NO_WORSE = auto()
    WORSE = auto()


def _effect(insertion: Insertion, before: Before) -> _Effect:
    document = before.document
    edit = Edit(insertion.start, insertion.end, insertion.text)
    if before.python is not None:
        verdict = _python_effect(edit, document.text, before.python)
        if verdict is not None:
            return verdict
    if before.tree is not None:
        return _compared(before.tree.after(edit).faults(), before.faults)
    low, high = max(0, edit.start - _NEAR), edit.end + _NEAR
    head, tail = document.text[low : edit.start], document.text[edit.end : high]
    was = balance(head + document.text[edit.start : edit.end] + tail, document.language_id).faults
    return _compared(balance(head + edit.new_text + tail, document.language_id).faults, was)


def _compared(faults: int, before: int) -> _Effect:
    if faults == 0:
        return _Effect.PARSES
    return _Effect.NO_WORSE if faults <= before else _Effect.WORSE


def _shorter(text: str) -> Iterator[str]:
    """Shorter forms: some lines fewer, and at last some tokens of the first line; half a line below helps nobody."""
    line_ends = [match.start() for match in _LINE_END.finditer(text)]
    first_line = text[: line_ends[0]] if line_ends else text
    ends = [match.end() for match in _TOKEN.finditer(first_line)]
    seen = {text}
    for end in (*reversed(line_ends), *reversed(ends)):
        form = text[:end].rstrip()
        if form not in seen and _MAY_END.search(form) and any(char.isalnum() for char in form):
            seen.add(form)
            yield form


def _has_worth(text: str, before: Before) -> bool:
    """Whether what was cut is still worth showing: no lone name on a line, no word that runs into the next."""
    document, offset = before.document, before.offset
    line_start, _ = document.line_span(document.line_of(offset))
    if not document.text[line_start:offset].strip() and _NAME.fullmatch(text.strip()):
        return False
    return not (_WORD.match(text[-1]) and _WORD.match(document.text[offset : offset + 1]))


def _python_effect(edit: Edit, text: str, region: Region) -> _Effect | None:
    """By Python's own parser; None where it cannot tell (the file was broken before, and still is)."""
    after = text[region.start : edit.start] + edit.new_text + text[edit.end : region.end]
    fault = _python_fault(after)
    if fault is None:
        return _Effect.PARSES
    if region.fault is None:
        return _Effect.WORSE
    first = _lines(text[region.start : edit.start])
    last = first + _lines(edit.new_text)
    if fault.indentation and (first < fault.header <= last or (first < fault.line <= last and fault.header < 0)):
        return _Effect.WORSE
    if first <= fault.line <= last and region.fault.line != first:
        return _Effect.WORSE  # it was broken elsewhere, and now here
    return None


def _python_fault(text: str) -> Fault | None:
    """Where Python's parser stumbles first."""
    try:
        with warnings.catch_warnings():  # "\d" in a user's file is not our business
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as error:
        header = re.search(r"on line (\d+)$", error.msg or "")
        named = int(header.group(1)) - 1 if header else -1
        return Fault((error.lineno or 1) - 1, isinstance(error, IndentationError), named)
    except (ValueError, RecursionError, MemoryError):  # a null byte, a lone surrogate; nested too deeply
        return Fault(-1, False, -1)
    return None


def _region(text: str, offset: int) -> Region:
    """The top-level statements around the cursor of a long file, or all of a short one."""
    start, end = 0, len(text)
    if len(text) > _WHOLE:
        line_start = text.rfind("\n", 0, offset) + 1
        start = _statement_before(text, line_start)
        # One statement more than the cursor's, so that a block which the completion leaves open is noticed.
        end = _statement_after(text, _statement_after(text, offset))
    return Region(start, end, _python_fault(text[start:end]))


def _statement_before(text: str, place: int) -> int:
    """Start of the top-level statement that holds the line at `place`, with its decorators."""
    start = place
    while start > 0:
        previous = text.rfind("\n", 0, start - 1) + 1
        at_statement = start < place and _TOP_LEVEL.match(text, start) and not text.startswith("\n", start)
        if at_statement and not text.startswith("@", previous):
            return start
        start = previous
    return 0


def _statement_after(text: str, place: int) -> int:
    """Start of the first top-level statement below the line of `place`, not between decorators and their function."""
    while place < len(text):
        decorated = text.startswith("@", text.rfind("\n", 0, place) + 1)
        found = _TOP_LEVEL.search(text, _line_after(text, place))
        place = found.start() if found else len(text)
        if not decorated:
            break
    return place


def _line_after(text: str, place: int) -> int:
    line_end = text.find("\n", place)
    return len(text) if line_end < 0 else line_end + 1


def _lines(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")
