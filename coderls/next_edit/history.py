"""What the user changed in a document lately: keystrokes at one place are one change.

Imports nothing that takes long: the session keeps a history from the first key on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from coderls.document import Document, Edit

#: So many changes are remembered, and so many characters of the versions before them. Longer texts have no history.
_CHANGES, _CHARACTERS, _LONGEST = 16, 3_000_000, 500_000


@dataclass(frozen=True, slots=True)
class Change:
    """`before.text[start:end]` became `text`, which stands at `place` of the newest version.

    `times`: how often the same word was replaced by the same other one, one after the other; `before` is then the text
    before the first of them, and everything else is of the last. `is_open`: the next key may still go on with it.
    """

    before: Document
    start: int
    end: int
    text: str
    place: int
    origin: Document
    times: int = 1
    is_open: bool = False

    @property
    def old(self) -> str:
        """What stood there."""
        return self.origin.text[self.start : self.end]

    def words(self) -> tuple[str, str, int]:
        """What was changed with the words that it begins and ends in: old text, new text, the place of the new."""
        text, start, end, new = self.origin.text, self.start, self.end, self.text
        old = text[start:end]
        lead = _common(old, new)
        old, new, start = old[lead:], new[lead:], start + lead
        tail = _common(old[::-1], new[::-1])
        old, new, end = old[: len(old) - tail], new[: len(new) - tail], end - tail
        if not (old or new):
            return "", "", self.place
        inside = _is_word(text[end : end + 1]) and _is_word(text[start - 1 : start])
        first, last = start, end
        if _is_word(old[:1]) or _is_word(new[:1]) or inside:
            while first and _is_word(text[first - 1]):
                first -= 1
        if _is_word(old[-1:]) or _is_word(new[-1:]) or inside:
            while last < len(text) and _is_word(text[last]):
                last += 1
        head, rest = text[first:start], text[end:last]
        return head + old + rest, head + new + rest, self.place + lead - len(head)

    def is_at(self, offset: int, text: str) -> bool:
        """Whether a cursor at `offset` of the newest `text` is in the word that is being typed, or at its end."""
        _, new, place = self.words()
        end = place + len(new)
        while end < len(text) and _is_word(text[end]):
            end += 1
        return self.is_open and place <= offset <= end


class History:
    """The changes of one open document, made from its versions."""

    def __init__(self, document: Document) -> None:
        self._now = document
        self._changes: deque[Change] = deque()  # the newest first

    @property
    def document(self) -> Document:
        """The newest version."""
        return self._now

    def changes(self) -> Sequence[Change]:
        """The changes, the newest first."""
        if not self._changes:
            return ()
        newest, *older = self._changes
        return (_folded(newest, older), *older)

    def changed(self, document: Document) -> None:
        """A new version."""
        edit = difference(self._now.text, document.text)
        before, self._now = self._now, document
        if edit is None:
            return
        if len(document.text) > _LONGEST:
            self._changes.clear()
            return
        newest = self._changes.popleft() if self._changes else None
        going_on = newest is not None and newest.is_open and _goes_on(newest, edit, before.text)
        shift = len(edit.new_text) - (edit.end - edit.start)
        older = [moved for change in self._changes if (moved := _moved(change, edit, shift, kept=going_on)) is not None]
        if newest is None:
            added = [_begun(before, edit)]
        elif going_on:
            added = [grown] if (grown := _grown(newest, edit, before.text)) is not None else []
        else:
            closed = replace(_folded(newest, older), is_open=False)
            moved = _moved(closed, edit, shift, kept=False)
            added = [_begun(before, edit), *([] if moved is None else [moved])]
        self._changes = deque([*added, *older][:_CHANGES])
        while len(self._changes) > 1 and sum(len(one.origin.text) for one in self._changes) > _CHARACTERS:
            self._changes.pop()


def difference(old: str, new: str) -> Edit | None:
    """The smallest single edit that makes `new` of `old`; None where they are equal."""
    if old == new:
        return None
    start = _common(old, new)
    tail = _common(old[start:][::-1], new[start:][::-1])
    return Edit(start, len(old) - tail, new[start : len(new) - tail])


def _common(one: str, other: str) -> int:
    """Length of the common beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _is_word(sign: str) -> bool:
    return sign == "_" or sign.isalnum()


def _begun(before: Document, edit: Edit) -> Change:
    return Change(before, edit.start, edit.end, edit.new_text, edit.start, before, is_open=True)


def _goes_on(change: Change, edit: Edit, now: str) -> bool:
    """Whether an edit of the text of `now` is at an open change, or in the same word.

    Somebody who types `total` over `count` takes out `coun` with the first key, and goes on behind the `t` that stayed.
    """
    between = now[change.place + len(change.text) : edit.start] or now[edit.end : change.place]
    return all(map(_is_word, between))


def _grown(change: Change, edit: Edit, now: str) -> Change | None:
    """The open change with one more edit at it; None where everything is as it was before it."""
    end = change.place + len(change.text)
    low, high = min(edit.start, change.place), max(edit.end, end)
    start, old_end = change.start - (change.place - low), change.end + (high - end)
    text = now[low : edit.start] + edit.new_text + now[edit.end : high]
    if change.origin.text[start:old_end] == text:
        return None
    return replace(change, start=start, end=old_end, text=text, place=low)


def _moved(change: Change, edit: Edit, shift: int, *, kept: bool) -> Change | None:
    """Where a closed change is after an edit; None where the edit is in it.

    `kept`: the edit goes on with the newest change. What it puts beside an older one does not end that.
    """
    end = change.place + len(change.text)
    if edit.end <= change.place and (edit.start < change.place or not kept):
        return replace(change, place=change.place + shift)
    return change if edit.start >= end else None


def _folded(change: Change, older: list[Change]) -> Change:
    """A change that did the same as the one before it takes that one's place."""
    if older:
        old, new, _ = change.words()
        last_old, last_new, _ = older[0].words()
        if old and old.isidentifier() and new.isidentifier() and (old, new) == (last_old, last_new):
            earlier = older.pop(0)
            return replace(change, before=earlier.before, times=earlier.times + 1)
    return change
