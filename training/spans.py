"""What to hide of a file: line ends, lines, blocks, and spans of characters that begin and end anywhere."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from coderls.fim.stopping import indentation

#: Kinds and how often each is drawn. A user who types is mostly within a line or at the start of one.
SHARES = {"line-end": 0.3, "line": 0.34, "block": 0.24, "characters": 0.12}
_LONGEST_SPAN = 160
_MOST_LINES = 8
#: Lines of comments and docstrings: nothing is offered in them unasked.
_PROSE = ("#", "//", "/*", "* ", '"""', "'''")
_WORD = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]` is hidden (offsets in code points)."""

    start: int
    end: int
    kind: str


def draw(text: str, chooser: random.Random, kind: str = "") -> Span | None:
    """One span of `text`, of a kind drawn by its share unless named; None where the draw meets nothing to hide."""
    kind = kind or chooser.choices(tuple(SHARES), tuple(SHARES.values()))[0]
    if kind == "characters":
        start = chooser.randrange(max(1, len(text) - 4))
        end = min(len(text), start + chooser.randint(3, _LONGEST_SPAN))
        return Span(start, end, kind) if text[start:end].strip() else None
    lines = text.split("\n")
    number = chooser.randrange(len(lines))
    line = lines[number]
    if not _WORD.search(line) or line.lstrip().startswith(_PROSE):
        return None
    start = sum(len(before) + 1 for before in lines[:number])
    indent = len(line) - len(line.lstrip())
    end = start + len(line.rstrip())
    if kind == "line":
        return Span(start + indent, end, kind)
    if kind == "line-end":
        return Span(start + chooser.randint(indent, max(indent, len(line.rstrip()) - 1)), end, kind)
    last = block_end(lines, number)
    if last == number:
        last = min(len(lines) - 1, number + chooser.randint(1, 3))
        while last > number and not lines[last].strip():
            last -= 1
    end = start + len("\n".join(lines[number : last + 1]).rstrip())
    begin = start + (indent if chooser.random() < 0.8 else 0)
    return Span(begin, end, kind) if last > number else None


def block_end(lines: list[str], number: int) -> int:
    """The last line of the run, from line `number` on, that stands as deep or deeper: at most a few lines of it."""
    depth = indentation(lines[number])
    last = number
    for place in range(number + 1, min(len(lines), number + _MOST_LINES)):
        if lines[place].strip():
            if indentation(lines[place]) < depth:
                break
            last = place
    return last
