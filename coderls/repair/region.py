"""The part of a file that a chat model is shown and may rewrite: the enclosing function, or what is near."""

from __future__ import annotations

import re
from dataclasses import dataclass

from coderls.document import Document
from coderls.fim.stopping import indentation
from coderls.repo_context.languages import by_id
from coderls.repo_context.parse import outline

#: A longer function is shown in part: a small model loses itself in it, and an answer takes its time.
MOST_LINES = 120
#: Around a place that is in no function.
_AROUND = 12
_HEADER = re.compile(
    r"^\s*(?:(?:export|default|public|private|protected|static|async|pub(?:\([^)]*\))?|final|override|inline)\s+)*"
    r"(?:def|class|function|func|fn|fun|sub|impl|interface|struct|module)\b"
)
_FUNCTIONS = ("function", "method", "wrapper")


@dataclass(frozen=True, slots=True)
class Region:
    """Whole lines of a document: `first_line` up to before `end_line` (from 0), `start` to `end` in code points.

    `whole`: it is a definition from its header to its end, so that an answer can be held to the same header.
    """

    first_line: int
    end_line: int
    start: int
    end: int
    whole: bool

    def text(self, document: Document) -> str:
        """The lines, with their line ends."""
        return document.text[self.start : self.end]


def enclosing(document: Document, start: int, end: int) -> Region:
    """The smallest function that holds `start`..`end`, else the lines around. Never longer than MOST_LINES."""
    first, last = document.line_of(start), document.line_of(max(start, end))
    found = _by_tree(document, first, last) or _by_indentation(document, first, last)
    if found is not None and found[1] - found[0] <= MOST_LINES:
        return region_of(document, *found, whole=True)
    low, high = (found[0], found[1]) if found else (0, len(document.line_starts))
    around = _AROUND if found is None else MOST_LINES // 3
    return region_of(document, max(low, first - around), min(high, max(first, min(last, first + around)) + around + 1))


def region_of(document: Document, first_line: int, end_line: int, *, whole: bool = False) -> Region:
    """The region of these lines."""
    starts = document.line_starts
    end_line = min(max(first_line + 1, end_line), len(starts))
    end = starts[end_line] if end_line < len(starts) else len(document.text)
    return Region(first_line, end_line, starts[first_line], end, whole)


def _by_tree(document: Document, first: int, last: int) -> tuple[int, int] | None:
    language = by_id(document.language_id)
    parsed = outline(language, document.text, limit_s=0.3) if language else None
    holding = [
        (one.start_line, one.end_line)
        for one in (parsed.definitions if parsed else ())
        if one.kind in _FUNCTIONS and one.start_line <= first and last < one.end_line
    ]
    return min(holding, key=lambda span: span[1] - span[0], default=None)


def _by_indentation(document: Document, first: int, last: int) -> tuple[int, int] | None:
    """By headers and indentation, for text that does not parse: from the header above to the next line as shallow."""
    depth = _depth(document, first)
    for line in range(first, max(-1, first - 3 * MOST_LINES), -1):
        text = _line(document, line)
        if not text.strip() or not _HEADER.match(text) or (line != first and indentation(text) >= max(1, depth)):
            continue
        base, end = indentation(text), line + 1
        while end < len(document.line_starts):
            below = _line(document, end)
            if below.strip() and indentation(below) <= base and end > last and below.strip()[0] not in ")]}":
                break
            end += 1
        while end > last + 1 and not _line(document, end - 1).strip():
            end -= 1
        return line, end
    return None


def _depth(document: Document, line: int) -> int:
    """The indentation of the line, or of the next one with text."""
    for number in range(line, min(line + 20, len(document.line_starts))):
        text = _line(document, number)
        if text.strip():
            return indentation(text)
    return 0


def _line(document: Document, line: int) -> str:
    start, end = document.line_span(line)
    return document.text[start:end]
