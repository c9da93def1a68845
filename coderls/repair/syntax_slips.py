"""Slips that keep a file from being parsed: brackets, quotes, colons, indentation, and words of other languages.

`mend_syntax` looks for one to four small edits after which the parser is content, or comes further than before: a
search by the parser itself, in the order of what people do wrong most. It is written for Python, whose parser says
where it stumbles; for other languages it tries brackets, quotes and semicolons against the syntax tree's faults.
"""

from __future__ import annotations

import ast
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

from coderls.document import Document, ParseFile
from coderls.fim.brackets import balance
from coderls.fim.stopping import indentation
from coderls.repair.candidate import Candidate
from coderls.repair.line_slips import (
    Changed,
    brackets,
    colons,
    comparisons,
    docstrings,
    foreign,
    keywords,
    old_python,
    quotes,
    semicolons,
    separators,
    stray,
    unbalanced,
    without_comment,
)
from coderls.repair.open_brackets import close_open

#: Edits after one another, forms that are kept at each step, and forms that are tried at each.
_DEPTH = 4
_KEPT = 3
_TRIED = 300
#: In other languages than Python: faults of a tree that are looked at, and lines that are tried.
_PLACES, _LINES = 3, 6
#: So many ways that end well are found, and no search goes on for longer (seconds).
_ENOUGH = 4
_LONGEST_S = 1.5
#: Longer texts (characters) are left alone: CPython's parser holds the interpreter while it works.
_LONGEST = 200_000
#: CPython's words for what its tokenizer stumbles over.
_UNREADABLE = ("unterminated", "literal", "invalid character", "unmatched", "unindent", "inconsistent", "continuation")

#: How far the parser of a text comes: the higher the better.
Progress = tuple[bool, int, int]


@dataclass(frozen=True, slots=True)
class _State:
    """A text on the way: what was done to it, and how far its parser comes (the higher the better)."""

    text: str
    progress: Progress
    titles: tuple[str, ...]
    #: Lines that were whole by themselves and are not any more: what was wrong is hardly there.
    broken: int = 0


def mend_syntax(document: Document, parse: ParseFile, *, near: int | None = None) -> list[Candidate]:
    """Texts of the document that parse, each with its edits; empty where it parses already, or nothing was found.

    Where there is more wrong than can be mended at once, texts of which the parser reads more than before. `near`: the
    line (from 0) that is complained about. Takes up to a second or two: call it in a thread.
    """
    text = document.text
    judge = _python_progress if document.language_id == "python" else _tree_progress(document.language_id, parse)
    start = judge(text) if len(text) <= _LONGEST else None
    if start is None:
        return []
    lines_of = _python_places if document.language_id == "python" else _other_places(near, document.language_id, parse)
    slips = _python_slips if document.language_id == "python" else _other_slips
    until = time.monotonic() + _LONGEST_S
    front, found, seen = [_State(text, start, ())], list[_State](), {text}
    for _ in range(_DEPTH):
        better: list[_State] = []
        for state in front:
            place = lines_of(state.text, state.progress)
            whole, nearer = _by_layout(state, place[0], document.language_id, judge, until)
            if whole is not None:
                return [_candidate(document, whole)]
            better += nearer
            seen.update(one.text for one in nearer)
            for changed, title in islice(slips(state.text, place, document.language_id), _TRIED):
                if changed in seen or time.monotonic() > until:
                    continue
                seen.add(changed)
                progress = judge(changed)
                if progress is None or progress > state.progress:
                    broken = state.broken + unbalanced(state.text, changed, document.language_id)
                    made = _State(changed, progress or (True, 0, 0), (*state.titles, title), broken)
                    (found if progress is None else better).append(made)
        if len(found) >= _ENOUGH or found or time.monotonic() > until:
            break
        front = sorted(better, key=lambda one: (one.progress, -one.broken), reverse=True)[:_KEPT]
    further = [state for state in front if state.titles and state.progress[:2] >= start[:2]]
    best = sorted(found or further, key=lambda one: one.broken)
    return [_candidate(document, state) for state in best[:_ENOUGH]]


def _by_layout(
    state: _State, place: int, language_id: str, judge: Callable[[str], Progress | None], until: float
) -> tuple[_State | None, list[_State]]:
    """Brackets closed where indentation says that they end: a text that parses, or those that come further.

    Where one parses nothing else is looked for: other places would do for the parser, too, and are not meant.
    """
    nearer: list[_State] = []
    for changed, title in close_open(state.text.split("\n"), place, language_id):
        if time.monotonic() > until:
            break
        progress = judge(changed)
        if progress is None:
            return _State(changed, (True, 0, 0), (*state.titles, title), state.broken), []
        if progress > state.progress:
            nearer.append(_State(changed, progress, (*state.titles, title), state.broken))
    return None, nearer


def _candidate(document: Document, state: _State) -> Candidate:
    title = "; ".join([state.titles[0], *(one[:1].lower() + one[1:] for one in state.titles[1:])])
    return Candidate.of_text(document.text, state.text, "rule", title)


def _python_progress(text: str) -> Progress | None:
    """None when it parses; else whether its tokens can be read at all (that is looked at first, in the whole text),
    brackets and quotes without partner, and the line at which the parser stumbles."""
    try:
        with warnings.catch_warnings():  # "\\d" in a user's file is not our business
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as error:
        readable = not any(word in (error.msg or "") for word in _UNREADABLE)
        odd = sum(line.count(quote) % 2 for line in text.split("\n") for quote in "\"'")
        return readable, -balance(text, "python").faults - odd, (error.lineno or 1) - 1
    except (ValueError, RecursionError, MemoryError):  # a null byte, a lone surrogate; nested too deeply
        return False, 0, 0
    return None


def _tree_progress(language_id: str, parse: ParseFile) -> Callable[[str], Progress | None]:
    def judge(text: str) -> Progress | None:
        tree = parse(language_id, text)
        faults = tree.faults() if tree is not None else 0
        return None if faults == 0 else (True, -faults, -balance(text, language_id).faults)

    return judge


def _python_places(text: str, progress: Progress) -> list[int]:
    """The lines to try: where the parser stumbles, the one before, and the one where an open bracket stands."""
    lines = text.split("\n")
    at = min(max(0, progress[2]), len(lines) - 1)
    above = next((line for line in range(at - 1, -1, -1) if lines[line].strip()), at)
    return list(dict.fromkeys([at, above, *_open_line(lines, at)]))


def _open_line(lines: list[str], at: int, language_id: str = "python") -> Iterator[int]:
    """The last line above that leaves a bracket or quote open; elsewhere than in Python braces are left so."""
    for line in range(at, max(-1, at - 30), -1):
        own = balance(lines[line], language_id)
        if own.quote or any(one != "{" or language_id == "python" for one in own.open):
            yield line
            return


def _other_places(near: int | None, language_id: str, parse: ParseFile) -> Callable[[str, Progress], list[int]]:
    """Lines to try by what is complained about, and by where the tree has faults: there, above, at open brackets."""

    def places(text: str, _progress: Progress) -> list[int]:
        lines = text.split("\n")
        tree = parse(language_id, text)
        faults = tree.fault_places()[:_PLACES] if tree is not None else ()
        found: list[int] = []
        for place in (near or 0, *(text.count("\n", 0, fault.start) for fault in faults)):
            at = min(max(0, place), len(lines) - 1)
            above = next((line for line in range(at - 1, -1, -1) if lines[line].strip()), at)
            found += [at, above, *_open_line(lines, at, language_id)]
        return list(dict.fromkeys(found))[:_LINES]

    return places


# What is tried on a line.


def _python_slips(text: str, places: list[int], language_id: str) -> Iterator[Changed]:
    lines = text.split("\n")
    for way in (old_python, docstrings, colons, comparisons, brackets, quotes):
        for at in places:
            yield from _with_line(lines, at, way(lines[at], language_id))
    for at in places:
        yield from _indented(lines, at)
    for way in (keywords, foreign, separators, stray):
        for at in places:
            yield from _with_line(lines, at, way(lines[at], language_id))
    for at in places:  # two slips in a line, of the commonest kinds
        for first in (*brackets(lines[at], language_id), *comparisons(lines[at], language_id)):
            yield from _with_line(lines, at, islice(colons(first[0], language_id), 1))


def _other_slips(text: str, places: list[int], language_id: str) -> Iterator[Changed]:
    lines = text.split("\n")
    for way in (semicolons, brackets, quotes, stray):
        for at in places:
            yield from _with_line(lines, at, way(lines[at], language_id))
    for at in places:
        line = lines[at]
        blank = line[: len(line) - len(line.lstrip())]
        yield "\n".join([*lines[: at + 1], blank + "}", *lines[at + 1 :]]), "Add a line '}'"
        if line.strip() in ("}", "};", ")", "});"):
            yield "\n".join([*lines[:at], *lines[at + 1 :]]), f"Take away the line {line.strip()!r}"


def _with_line(lines: list[str], at: int, forms: Iterator[Changed]) -> Iterator[Changed]:
    for form, title in forms:
        yield "\n".join([*lines[:at], form, *lines[at + 1 :]]), title


def _indented(lines: list[str], at: int) -> Iterator[Changed]:
    """The line, or the block that it begins, as deep as the lines around allow."""
    line = lines[at]
    if not line.strip():
        return
    own = indentation(line)
    above = [text for text in lines[:at] if text.strip()][-12:]
    unit = _unit(lines)
    depths = [indentation(text) + (unit if without_comment(text)[0].endswith(":") else 0) for text in reversed(above)]
    depths += [indentation(text) for text in reversed(above)] + [0]
    below = next((number for number in range(at + 1, len(lines)) if lines[number].strip()), None)
    if below is not None:
        depths.append(indentation(lines[below]))
    for depth in dict.fromkeys(depth for depth in depths if depth != own):
        title = "Indent" if depth > own else "Unindent"
        for end in dict.fromkeys((at + 1, _block_end(lines, at, own), _run_end(lines, at, own))):
            moved = [_shifted(text, depth - own) for text in lines[at:end]]
            count = f"{title} {len(moved)} lines" if len(moved) > 1 else f"{title} the line"
            yield "\n".join([*lines[:at], *moved, *lines[end:]]), count


def _block_end(lines: list[str], at: int, own: int) -> int:
    """The end of the block whose first line this is: up to the first line that is shallower."""
    end = at + 1
    while end < len(lines) and (not lines[end].strip() or indentation(lines[end]) >= own):
        end += 1
    while end > at + 1 and not lines[end - 1].strip():
        end -= 1
    return end


def _run_end(lines: list[str], at: int, own: int) -> int:
    """The end of what belongs to this line: up to the first line that is as deep."""
    end = at + 1
    while end < len(lines) and (not lines[end].strip() or indentation(lines[end]) > own):
        end += 1
    while end > at + 1 and not lines[end - 1].strip():
        end -= 1
    return end


def _shifted(line: str, columns: int) -> str:
    if not line.strip():
        return line
    depth = max(0, indentation(line) + columns)
    blank = line[: len(line) - len(line.lstrip())]
    made = "\t" * (depth // 4) + " " * (depth % 4) if "\t" in blank and " " not in blank else " " * depth
    return made + line.lstrip()


def _unit(lines: list[str]) -> int:
    """How many columns a block is deeper in this file: the commonest smallest step."""
    depths = [indentation(line) for line in lines if line.strip()]
    steps = [after - before for before, after in pairwise(depths) if 0 < after - before <= 8]
    return max(set(steps), key=steps.count) if steps else 4
