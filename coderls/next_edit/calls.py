"""An argument that was added to two calls of the same function: the other calls of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

#: A string is passed over whole; brackets are counted.
_PIECE = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|[()\[\]{}]")
_CALL = re.compile(r"(?<![\w.])(?<!->)(?<!::)([^\W\d]\w*(?:(?:\.|->|::)\w+)*)\(")
_DEFINES = re.compile(r"(?:\bdef|\bfunction|\bfn|\bfunc|\bclass|\bnew)\s+\Z")
#: A call is no longer (characters).
_LONGEST = 2_000
_MOST = 200


def repeated_argument(text: str, places: Sequence[int], old: str, new: str) -> list[tuple[int, int]]:
    """Where `new`, which was put before the closing bracket of two calls of one function, can be put again.

    Empty where it is no last argument, or the calls are of different functions.
    """
    if old or not new.lstrip().startswith(",") or len(new.strip()) < 2:
        return []
    ends = [place + len(new) for place in places]
    named = {name for end in ends if (name := _call_that_ends(text, end)) is not None}
    if len(named) != 1 or any(text[end : end + 1] != ")" for end in ends):
        return []
    [name] = named
    found: list[tuple[int, int]] = []
    for start, end in _calls(text, name):
        inside = text[start:end]
        keyword = re.match(r"\s*,\s*(\w+)\s*=", new)
        has_it = new.strip(" ,") in inside or (keyword and re.search(rf"(?<!\w){keyword.group(1)}\s*=", inside))
        if inside.strip() and not inside.rstrip().endswith(",") and not has_it:
            place = start + len(inside.rstrip())
            found.append((place, place))
    return found[:_MOST]


def _call_that_ends(text: str, end: int) -> str | None:
    """The name of the function whose call has its closing bracket at `end`."""
    for match in _CALL.finditer(text, max(0, end - _LONGEST), end):
        if _close(text, match.end()) == end:
            return match.group(1)
    return None


def _calls(text: str, name: str) -> Iterator[tuple[int, int]]:
    """Where the arguments of each call of `name` begin and end."""
    for match in _CALL.finditer(text):
        if match.group(1) == name and not _DEFINES.search(text[max(0, match.start() - 12) : match.start()]):
            end = _close(text, match.end())
            if end is not None:
                yield match.end(), end


def _close(text: str, start: int) -> int | None:
    """The bracket that closes the one before `start`."""
    depth = 1
    for match in _PIECE.finditer(text, start, start + _LONGEST):
        sign = match.group()
        if sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
            if not depth:
                return match.start()
    return None
