"""What two places of the same replacement have in common around them, and where else that stands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

_TOKEN = re.compile(r"\w+|[ \t]+|[^\w\s]")
_WORD = re.compile(r"\w\w")
#: Tokens on each side, of the same line, that are compared.
_AROUND = 8
#: Signs (without blanks) that old text and surroundings have together, at least; and alone, without surroundings.
_ENOUGH, _ENOUGH_ALONE = 5, 8
#: Places, at most.
_MOST = 200


def alike(text: str, places: Sequence[int], old: str, new: str) -> list[tuple[int, int]]:
    """Where `old` stands as it stood at both `places`, where `new` is now; "" stands between two characters.

    None where what they have in common is too little to tell one place from another.
    """
    befores = [_tokens_before(text, place) for place in places]
    afters = [_tokens_after(text, place + len(new)) for place in places]
    before = "".join(reversed(_shared(*befores)))
    after = "".join(_shared(*afters))
    if not old:
        before, after = before.lstrip(), after.rstrip()
    known = "".join((before + old + after).split())
    alone = len("".join(old.split())) >= _ENOUGH_ALONE and _WORD.search(old) is not None
    around = bool(before.strip() if old else before.strip() and after.strip()) or bool(after.strip() and old)
    if not alone and (len(known) < _ENOUGH or not _WORD.search(known) or not around):
        return []
    if alone and not _WORD.search(before + after):
        before = after = ""
    taken = [(place, place + len(new)) for place in places]
    pattern = re.compile(
        f"{_edge(before + old, 'start')}{re.escape(before)}()"
        f"{re.escape(old)}(){re.escape(after)}{_edge(old + after, 'end')}"
    )
    found: list[tuple[int, int]] = []
    for match in pattern.finditer(text):
        start, end = match.start(1), match.start(2)
        is_done = any(low <= start < high or low < end <= high for low, high in taken)
        if not is_done and not (not old and text.startswith(new.strip(), start)):
            found.append((start, end))
        if len(found) >= _MOST:
            break
    return found


def _tokens_before(text: str, place: int) -> list[str]:
    """Tokens of the line before a place, the nearest first."""
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return _TOKEN.findall(line.lstrip())[-_AROUND:][::-1]


def _tokens_after(text: str, place: int) -> list[str]:
    """Tokens of the line after it."""
    end = text.find("\n", place)
    return _TOKEN.findall(text[place : len(text) if end < 0 else end].rstrip())[:_AROUND]


def _shared(one: Sequence[str], other: Sequence[str]) -> list[str]:
    return [pair[0] for pair in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))]


def _edge(text: str, side: str) -> str:
    """Where a pattern begins or ends with a word, that has to be a whole one."""
    sign = text[:1] if side == "start" else text[-1:]
    if not (sign.isalnum() or sign == "_"):
        return ""
    return r"(?<!\w)" if side == "start" else r"(?!\w)"
