"""How much of the file around the cursor goes into a prompt.

The start of the prefix is chosen among marks at fixed distances from the start of the file, so that it stays
where it is while somebody types, and then moves by a whole block: otherwise each key would shift the prompt and
nothing of it could be reused. The end of the suffix depends on the text after the cursor alone, which typing
does not change. Only text near the cursor is looked at: a file of 50 MB costs what a small one does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from coderls.fim.model import Budgets

#: Characters that are looked at for each token of the budget; a token of code has some four.
_REACH = 6
#: Tokens that are left over change hands in steps of so many.
_STEP = 32


@dataclass(frozen=True, slots=True)
class Window:
    """`text[start:offset]` is the prefix and `text[offset:end]` the suffix (offsets in code points)."""

    start: int
    end: int


def window(text: str, offset: int, prefix_tokens: int, suffix_tokens: int, count: Callable[[str], int]) -> Window:
    """The window around `offset` that keeps to both budgets, by `count` (tokens of a text)."""
    return Window(_start(text, offset, prefix_tokens, count)[0], _end(text, offset, suffix_tokens, count)[0])


def with_spare(budget: Budgets, text: str, offset: int, count: Callable[[str], int]) -> Budgets:
    """The budgets, with the tokens that a text which is shorter than its share leaves given to other files.

    In steps, so that a key does not change what those may take.
    """
    if budget.context <= 0:
        return budget
    start, before = _start(text, offset, budget.prefix, count)
    end, after = _end(text, offset, budget.suffix, count)
    spare = (budget.prefix - before if start == 0 else 0) + (budget.suffix - after if end == len(text) else 0)
    return replace(budget, context=budget.context + max(0, spare) // _STEP * _STEP)


def _start(text: str, offset: int, budget: int, count: Callable[[str], int]) -> tuple[int, int]:
    """Where the prefix begins, and its tokens."""
    if budget <= 0:
        return offset, 0
    step = max(64, budget)  # characters: about a quarter of what the budget holds
    marks = _marks(text, offset, max(0, offset - budget * _REACH), step)
    start, used = offset, 0
    for mark in reversed(marks):
        more = used + count(text[mark:start])
        if more > budget:
            break
        start, used = mark, more
    if start == offset and marks:  # not even one block fits: text of many tokens a character
        size, used = _fitting(offset - marks[-1], budget, lambda size: count(text[offset - size : offset]))
        start = offset - size
    return start, used


def _marks(text: str, offset: int, low: int, step: int) -> list[int]:
    """Offsets from `low` to `offset`, ascending, at which a prefix may start: line starts where there are any."""
    marks = [0] if low == 0 and offset > 0 else []
    for place in range(-(-max(low, 1) // step) * step, offset, step):
        line_end = text.find("\n", place - 1, min(place + step, offset) - 1)
        mark = place if line_end < 0 else line_end + 1
        if not marks or mark > marks[-1]:
            marks.append(mark)
    return marks


def _end(text: str, offset: int, budget: int, count: Callable[[str], int]) -> tuple[int, int]:
    """Where the suffix ends, and its tokens at most."""
    if budget <= 0:
        return offset, 0
    high = min(len(text), offset + budget * _REACH)
    size, used = _fitting(high - offset, budget, lambda size: count(text[offset : offset + size]))
    if offset + size == len(text):
        return len(text), used
    line_end = text.rfind("\n", offset + 1, offset + size)
    return (offset + size if line_end < 0 else line_end + 1), used


def _fitting(size: int, budget: int, count: Callable[[int], int]) -> tuple[int, int]:
    """The largest size tried whose count is within the budget, and that count; each try is guided by the last."""
    while size > 0:
        used = count(size)
        if used <= budget:
            return size, used
        size = min(size - 1, size * budget // used)
    return 0, 0
