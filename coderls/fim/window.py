"""How much of the file around the cursor goes into a prompt.

The start of the prefix is chosen among marks at fixed distances from the start of the file, so that it stays
where it is while somebody types, and then moves by a whole block: otherwise each key would shift the prompt and
nothing of it could be reused. The end of the suffix depends on the text after the cursor alone, which typing
does not change. Only text near the cursor is looked at: a file of 50 MB costs what a small one does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: Characters that are looked at for each token of the budget; a token of code has some four.
_REACH = 6


@dataclass(frozen=True, slots=True)
class Window:
    """`text[start:offset]` is the prefix and `text[offset:end]` the suffix (offsets in code points)."""

    start: int
    end: int


def window(text: str, offset: int, prefix_tokens: int, suffix_tokens: int, count: Callable[[str], int]) -> Window:
    """The window around `offset` that keeps to both budgets, by `count` (tokens of a text)."""
    return Window(_start(text, offset, prefix_tokens, count), _end(text, offset, suffix_tokens, count))


def _start(text: str, offset: int, budget: int, count: Callable[[str], int]) -> int:
    if budget <= 0:
        return offset
    step = max(64, budget)  # characters: about a quarter of what the budget holds
    marks = _marks(text, offset, max(0, offset - budget * _REACH), step)
    start, used = offset, 0
    for mark in reversed(marks):
        used += count(text[mark:start])
        if used > budget:
            break
        start = mark
    if start == offset and marks:  # not even one block fits: text of many tokens a character
        start = offset - _fitting(offset - marks[-1], budget, lambda size: count(text[offset - size : offset]))
    return start


def _marks(text: str, offset: int, low: int, step: int) -> list[int]:
    """Offsets from `low` to `offset`, ascending, at which a prefix may start: line starts where there are any."""
    marks = [0] if low == 0 and offset > 0 else []
    for place in range(-(-max(low, 1) // step) * step, offset, step):
        line_end = text.find("\n", place - 1, min(place + step, offset) - 1)
        mark = place if line_end < 0 else line_end + 1
        if not marks or mark > marks[-1]:
            marks.append(mark)
    return marks


def _end(text: str, offset: int, budget: int, count: Callable[[str], int]) -> int:
    if budget <= 0:
        return offset
    high = min(len(text), offset + budget * _REACH)
    size = _fitting(high - offset, budget, lambda size: count(text[offset : offset + size]))
    if offset + size == len(text):
        return len(text)
    line_end = text.rfind("\n", offset + 1, offset + size)
    return offset + size if line_end < 0 else line_end + 1


def _fitting(size: int, budget: int, count: Callable[[int], int]) -> int:
    """The largest size tried whose count is within the budget; each try is guided by the last."""
    while size > 0:
        used = count(size)
        if used <= budget:
            return size
        size = min(size - 1, size * budget // used)
    return 0
