"""Never break what parsed.

A completion is compared with the file before it: it may leave the file with the faults that it had, not with more.
Python is judged by its own compiler (nothing is run), which also knows indentation; other languages by the ERROR and
MISSING nodes of the whole tree, and none of them in what is new; languages without a grammar by brackets and quotes
near the cursor. What fails is cut back to its longest clean prefix: of several lines whole ones, of one line whole
tokens.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import islice

from coderls.document import Document, Edit, ParsedFile, ParseFile
from coderls.fim.brackets import balance
from coderls.fim.closing import closed
from coderls.fim.postprocess import Insertion, line_end
from coderls.fim.python_syntax import (
    Fault,
    Region,
    count_line_ends,
    may_await,
    region_around,
    statements_at,
    whole_file,
)

#: Characters before and after the cursor in which brackets are counted.
_NEAR = 10_000
#: Characters before and after the cursor's line that tell whether statements end with a semicolon.
_AROUND = 2_000
#: So many shorter forms of a completion are tried.
_TRIES = 20
#: And none after so many seconds: a strange text can make each parse slow.
_ENOUGH_S = 0.5
#: With more faults than these it is not the cursor that is broken, or not it alone.
_FEW = 2
#: Quotes that stand together stay together: half of three is the beginning of another string.
_TOKEN = re.compile(r"\w+|\s+|\"+|'+|`+|.", re.DOTALL)
_NAME = re.compile(r"[\w.]+")
_WORD = re.compile(r"\w")
_WHOLE_WORD = re.compile(r"\w+")
#: No name is longer (characters).
_WORD_LENGTH = 200
_LINE_END = re.compile(r"\r\n|\n|\r")
#: The rest of a line, and the next that is not empty.
_NEXT_LINE = re.compile(r"[^\r\n]*\s*[^\r\n]*")
_MAY_END = re.compile(r"[\w)\]}\"'`;]$")
#: Where the text below the cursor goes on with a list or a block, it may end like this too.
_GOES_ON = re.compile(r"[,(\[{]$")


@dataclass(frozen=True, slots=True)
class Before:
    """What is known of a document before a completion goes in at `offset`; made while the engine works.

    `python`: the part of a Python file that is judged (its offsets and what Python refuses in it), else None.
    `near`: how many of the tree's `faults` are at the cursor; others may stay for ever, such as macros that a grammar
    cannot know.
    """

    document: Document
    offset: int
    python: Region | None
    tree: ParsedFile | None
    faults: int
    near: int = 0

    @property
    def mendable(self) -> bool:
        """Whether little is broken, and as far as can be told at the cursor."""
        if self.python is not None and self.python.fault is not None:
            return not self.python.fault.parsed and self.python.fault.line == self.python.line_of(
                self.document.text, self.offset
            )
        return 1 <= self.faults <= _FEW or 1 <= self.near <= _FEW


def look_before(document: Document, offset: int, parse: ParseFile) -> Before:
    """Examine the document as it is. Some milliseconds in a long file."""
    region = _python_around(document, offset)
    if region is not None and (region.fault is None or region.fault.parsed):
        return Before(document, offset, region, None, 0)
    tree = parse(document.language_id, document.text)
    faults = tree.faults() if tree is not None else 0
    if region is not None and faults == 0:  # perhaps the part began inside a string
        whole = whole_file(document.text, awaits=region.awaits)
        region = whole if whole is not None and whole.fault is None else region
    near = _near(tree, document.text, offset, offset) if tree is not None and faults else 0
    return Before(document, offset, region, tree, faults, near)


def clean(insertion: Insertion, before: Before) -> Insertion | None:
    """The insertion, or the longest form of it found that adds no fault, or None.

    Where the file is broken at the cursor, as it is while somebody types, and the insertion leaves it so, a shorter
    form that mends it is taken instead.
    """
    began = time.monotonic()
    effect = _effect(insertion, before)
    if effect is _Effect.PARSES:
        return replace(insertion, parses=True)
    at_cursor = replace(insertion, end=before.offset)
    best = insertion if effect is _Effect.NO_WORSE else None
    if best is not None and not before.mendable:
        return best
    worthy = (text for text in _shorter(insertion.text, before) if _has_worth(text, before))
    for text in islice(worthy, _TRIES if best is None else _TRIES // 2):
        if time.monotonic() - began > _ENOUGH_S:
            break
        shorter = replace(at_cursor, text=text)
        effect = _effect(shorter, before)
        if effect is _Effect.PARSES:
            return replace(shorter, parses=True)
        if effect is _Effect.NO_WORSE and not before.mendable:  # where it could mend the file, a piece that does not
            best = shorter  # is no help
            break
    return best or _closed(insertion, before)


def shorter(insertion: Insertion, before: Before) -> Insertion | None:
    """The longest form found of a clean insertion that is shorter and clean too, or None."""
    worthy = (text for text in _shorter(insertion.text, before) if _has_worth(text, before))
    at_cursor = replace(insertion, end=before.offset)
    for text in islice(worthy, _TRIES // 2):
        form = replace(at_cursor, text=text)
        effect = _effect(form, before)
        if effect is _Effect.PARSES or (effect is _Effect.NO_WORSE and not before.mendable):
            return replace(form, parses=effect is _Effect.PARSES)
    return None


def allowed(insertion: Insertion, before: Before) -> bool:
    """Whether the document has no more faults with the insertion than without it."""
    return _effect(insertion, before) is not _Effect.WORSE


def breaks_again(insertion: Insertion, document: Document, offset: int) -> bool:
    """Whether a file that did not parse when an insertion was judged does now, and would not with what is left of it.

    Asked at each key, so of Python only, in the part around the cursor: an insertion in another language has no fault
    of its own, whatever is broken beside it.
    """
    region = _python_around(document, offset)
    if region is None or region.fault is not None:
        return False
    edit = Edit(insertion.start, insertion.end, insertion.text)
    return _python_effect(edit, document.text, region) is _Effect.WORSE


def _python_around(document: Document, offset: int) -> Region | None:
    """What is judged of a Python file; None for another language."""
    if document.language_id != "python":
        return None
    return region_around(document.text, offset, awaits=may_await(document.uri, document.text))


def _closed(insertion: Insertion, before: Before) -> Insertion | None:
    """With an end for each block that it leaves open, where that breaks nothing."""
    document = before.document
    start, end = document.line_span(document.line_of(before.offset))
    if document.text[before.offset : end].strip():
        return None
    around = document.text[max(0, start - _AROUND) : start] + document.text[end : end + _AROUND]
    plain = insertion.text.replace("\r\n", "\n").replace("\r", "\n").rstrip()
    text = closed(plain, document.text[start : before.offset], document.language_id, around)
    if text is None:
        return None
    whole = replace(insertion, text=text.replace("\n", line_end(document, before.offset)), end=before.offset)
    effect = _effect(whole, before)
    return replace(whole, parses=effect is _Effect.PARSES) if effect is not _Effect.WORSE else None


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
        return _tree_effect(edit, document.text, before, before.tree)
    low, high = max(0, edit.start - _NEAR), edit.end + _NEAR
    head, tail = document.text[low : edit.start], document.text[edit.end : high]
    was = balance(head + document.text[edit.start : edit.end] + tail, document.language_id).faults
    return _compared(balance(head + edit.new_text + tail, document.language_id).faults, was)


def _tree_effect(edit: Edit, text: str, before: Before, old: ParsedFile) -> _Effect:
    """By the tree: no fault more, none that begins in what is new, and no lapse more."""
    tree, end = old.after(edit), edit.start + len(edit.new_text)
    faults = tree.faults()
    if faults > before.faults or tree.faults_within(edit.start, end):
        return _Effect.WORSE
    if tree.lapses_within(edit.start, end) > old.lapses_within(edit.start, edit.end):
        return _Effect.WORSE
    if not faults:
        return _Effect.PARSES
    if before.near and faults < before.faults:
        after = text[: edit.start] + edit.new_text + text[edit.end :]
        return _Effect.NO_WORSE if _near(tree, after, edit.start, end) else _Effect.PARSES
    return _Effect.NO_WORSE


def _near(tree: ParsedFile, text: str, start: int, end: int) -> int:
    """Faults between the beginning of the line of `start` and the end of the next line with text below `end`."""
    first = max(text.rfind(char, 0, start) for char in "\r\n") + 1
    below = _NEXT_LINE.match(text, end)
    last = below.end() if below is not None else len(text)
    return sum(first <= place.start <= last for place in tree.fault_places())


def _compared(faults: int, before: int) -> _Effect:
    if faults == 0:
        return _Effect.PARSES
    return _Effect.NO_WORSE if faults <= before else _Effect.WORSE


def _shorter(text: str, before: Before) -> Iterator[str]:
    """Shorter forms: some lines fewer, and at last some tokens of the first line; half a line below helps nobody."""
    line_ends = [match.start() for match in _LINE_END.finditer(text)]
    first_line = text[: line_ends[0]] if line_ends else text
    ends = [match.end() for match in _TOKEN.finditer(first_line)]
    seen = {text}
    for end in (*reversed(line_ends), *reversed(ends)):
        form = text[:end].rstrip()
        may_end = _MAY_END.search(form) or (before.mendable and _GOES_ON.search(form))
        if form not in seen and may_end and any(char.isalnum() for char in form):
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
    """By Python itself; None where it cannot tell (the file was broken before, and still is)."""
    after = text[: edit.start] + edit.new_text + text[edit.end :]
    fault = region.judged(after, grown=len(after) - len(text))
    if fault is None:
        return _Effect.PARSES
    if region.fault is None:
        return _Effect.WORSE
    if fault.parsed:
        return _Effect.WORSE if _is_refused(edit, after, replace(region, fault=fault), region.fault) else _Effect.PARSES
    first = region.line_of(text, edit.start)
    last = first + count_line_ends(edit.new_text)
    misses_block = first < fault.header <= last or (first < fault.line <= last and fault.header < 0)
    if region.fault.parsed or (fault.indentation and misses_block):
        return _Effect.WORSE
    if first <= fault.line <= last and region.fault.line != first:
        return _Effect.WORSE  # it was broken elsewhere, and now here
    return None


def _is_refused(edit: Edit, after: str, region: Region, old: Fault) -> bool:
    """Whether Python refuses a text for what the edit put in, as far as can be told.

    It was refused before too, for the `old` fault. It names the first fault alone, which may hide one at the edit.
    """
    end = edit.start + len(edit.new_text)
    near = _WHOLE_WORD.finditer(after, max(0, edit.start - _WORD_LENGTH), end + _WORD_LENGTH)
    words = {word[0] for word in near if word.end() > edit.start and word.start() < end}

    def is_at_edit(part: Region) -> bool:
        fault = part.fault
        if fault is None or not fault.parsed:
            return False
        return edit.start <= part.place_of(fault) < end or (fault.said != old.said and bool(fault.names() & words))

    return any(map(is_at_edit, (region, *statements_at(after, edit.start, awaits=region.awaits))))
