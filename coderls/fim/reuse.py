"""Answers from before: a completion that the user types through, comes back to, or that an edit elsewhere moved.

What was shown is remembered with the text around it. A later cursor finds it again where the document reads as if a
part of it had just been typed: some letters, or all but the last. Where even the rest of the document
is the same, accepting what is left gives the very text that was checked before, so there is nothing to check again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from coderls.document import Document

#: Characters before and after a completion that must be as they were.
_AROUND = 400
#: Editors put the partner of a typed opener behind the cursor.
_PARTNERS = {"(": ")", "[": "]", "{": "}", '"': '"', "'": "'", "`": "`", "<": ">"}
_DOCUMENTS = 64
_REMEMBERED = 24
#: Each holds the whole text of its document: so many characters together, or the newest alone.
_MOST_CHARACTERS = 16_000_000

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor in a version of a document (code points)."""

    document: Document
    offset: int


@dataclass(frozen=True, slots=True)
class Shown(Generic[Made]):
    """`made` put `text` in the place of `document.text[start:end]`."""

    document: Document
    start: int
    end: int
    text: str
    made: Made


@dataclass(frozen=True, slots=True)
class Again(Generic[Made]):
    """What is left of `shown` at a cursor: `text`, to take the place of the next `replaced` characters.

    `same`: accepting it gives the document that accepting `shown` would have given. Otherwise the document is another
    (an edit elsewhere, a bracket that the editor added), and the text has to be fitted in and checked again.
    """

    shown: Shown[Made]
    text: str
    replaced: int
    same: bool


def typed_between(before: Place, now: Place) -> str | None:
    """What was typed at `before` to come to `now`; None where anything else was changed.

    The partners that an editor adds to typed brackets and quotes are passed over.
    """
    old, new = before.document.text, now.document.text
    if now.document.uri != before.document.uri or now.offset < before.offset:
        return None
    if new[: before.offset] != old[: before.offset]:
        return None
    typed, rest, tail = new[before.offset : now.offset], new[now.offset :], old[before.offset :]
    added = rest[: len(rest) - len(tail)] if len(rest) >= len(tail) else None
    if added is None or not rest.endswith(tail) or not are_partners(added, typed):
        return None
    return typed


def are_partners(added: str, typed: str, *, closers: bool = False) -> bool:
    """Whether `added` is nothing but partners of what is in `typed` (`closers`: or characters of it)."""
    wanted = [_PARTNERS[char] for char in typed if char in _PARTNERS]
    if closers:
        wanted += list(typed)
    for char in added:
        if char not in wanted:
            return False
        wanted.remove(char)
    return True


class Memory(Generic[Made]):
    """What was shown lately, by document, the newest first. Bounded; never asked across threads."""

    def __init__(self) -> None:
        self._shown: OrderedDict[str, list[Shown[Made]]] = OrderedDict()
        self._rejected: dict[tuple[str, str, str], float] = {}

    def add(self, shown: Shown[Made]) -> None:
        """Remember what is being shown."""
        known = self._shown.setdefault(shown.document.uri, [])
        self._shown.move_to_end(shown.document.uri)
        known[:] = [entry for entry in known if not _is_same(entry, shown)]
        known.insert(0, shown)
        del known[_REMEMBERED:]
        while len(self._shown) > _DOCUMENTS or (len(self._shown) > 1 and self._characters() > _MOST_CHARACTERS):
            self._shown.popitem(last=False)
        while len(known) > 1 and self._characters() > _MOST_CHARACTERS:
            known.pop()

    def _characters(self) -> int:
        """Characters of all versions of documents that are held."""
        held = {id(shown.document): len(shown.document.text) for known in self._shown.values() for shown in known}
        return sum(held.values())

    def find(self, place: Place, *, from_start: bool = False) -> Again[Made] | None:
        """What is left of something shown before, at this cursor.

        `from_start`: also where nothing of it was typed. Somebody who comes back to a place may have changed other
        files meanwhile, so there the question is best asked anew; its answer may be known all the same.
        """
        for shown in self._shown.get(place.document.uri, ()):
            again = _left_of(shown, place, 0 if from_start else 1)
            if again is not None:
                return again
        return None

    def texts(self, uri: str, most: int) -> tuple[str, ...]:
        """The last texts that were shown in a document, the newest first."""
        return tuple(shown.text for shown in self._shown.get(uri, ())[:most])

    def forget(self, uri: str | None = None) -> None:
        """Forget one document (it was closed), or all (the model or its settings are others now)."""
        if uri is None:
            self._shown.clear()
        else:
            self._shown.pop(uri, None)

    def reject(self, shown: Shown[Made], now: float) -> None:
        """The user said no to it; `now` in seconds of any steady clock."""
        known = self._shown.get(shown.document.uri, [])
        known[:] = [entry for entry in known if not _is_same(entry, shown)]
        self._rejected[_mark(shown)] = now

    def rejected(self, shown: Shown[Made], now: float, within_s: float) -> bool:
        """Whether the same text was rejected at the same place in the last `within_s` seconds."""
        self._rejected = {mark: when for mark, when in self._rejected.items() if now - when <= within_s}
        return _mark(shown) in self._rejected


def _mark(shown: Shown[Made]) -> tuple[str, str, str]:
    """The document, the text of the line before the completion, and its words."""
    text = shown.document.text
    line_start, _ = shown.document.line_span(shown.document.line_of(shown.start))
    return shown.document.uri, text[line_start : shown.start].strip(), shown.text.strip()


def _is_same(left: Shown[Made], right: Shown[Made]) -> bool:
    return (left.start, left.end, left.text) == (right.start, right.end, right.text) and (
        _before(left) == _before(right)
    )


def _before(shown: Shown[Made]) -> str:
    return shown.document.text[max(0, shown.start - _AROUND) : shown.start]


def _left_of(shown: Shown[Made], place: Place, least: int) -> Again[Made] | None:
    typed = _typed_of(shown, place, least)
    if typed is None:
        return None
    old, new = shown.document.text, place.document.text
    replaced = old[shown.start : shown.end]
    after, rest = old[shown.end : shown.end + _AROUND], new[place.offset :]
    left = shown.text[typed:]
    if rest.startswith(replaced + after):
        begins = place.offset - typed
        same = begins == shown.start and new[:begins] == old[:begins] and rest[len(replaced) :] == old[shown.end :]
        return Again(shown, left, len(replaced), same)
    # The editor added partners of what was typed, or the user typed over some of what was to be replaced.
    line_end = min((rest.find(end) for end in "\r\n" if end in rest), default=len(rest))
    between = rest[: rest.find(after)] if after and after in rest[: line_end + len(after)] else rest[:line_end]
    if rest[len(between) :].startswith(after) and are_partners(between, replaced + shown.text[:typed], closers=True):
        return Again(shown, left, 0, same=False)
    return None


def _typed_of(shown: Shown[Made], place: Place, least: int) -> int | None:
    """How many characters of the text stand before the cursor; `least` or more, but fewer than all."""
    new, offset = place.document.text, place.offset
    before = _before(shown)
    likely = offset - shown.start
    last = new[offset - 1 : offset]
    counts = range(len(shown.text) - 1, least - 1, -1)
    for count in (likely, *counts) if least <= likely < len(shown.text) else counts:
        if count and shown.text[count - 1] != last:
            continue  # most end here, without a copy of the text: it is asked at every key
        if new.startswith(shown.text[:count], offset - count) and new.endswith(before, 0, offset - count):
            begins = offset - count
            if begins >= len(before) and (len(before) == _AROUND or begins == len(before)):
                return count
    return None
