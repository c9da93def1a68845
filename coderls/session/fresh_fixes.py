"""Verified fixes of what the user's last edits brought about elsewhere in a document.

A complaint is fresh while it was not there before the edits. What was there before the first look is told by the name
that was changed: a complaint about that is fresh, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coderls.document import Document, Edit
from coderls.next_edit.history import Change, difference
from coderls.repair.diagnostic import Diagnostic, Key

if TYPE_CHECKING:
    from coderls.repair.pipeline import Repair

#: A longer fix (characters, of old and new text) is for a list of code actions, where it can be looked at first.
_LONGEST = 400
#: So many of the last changes are looked at.
_LATELY = 4
_WORD = re.compile(r"[^\W\d]\w+")


@dataclass(frozen=True, slots=True)
class Found:
    """An edit that may be offered. `mark`: what it is known by when the user does not want it."""

    edit: Edit
    kind: str
    reason: str
    mark: tuple[str, str]
    evidence: tuple[str, ...] = ()
    more: int = 0


class FreshFixes:
    """Those of one open document."""

    def __init__(self) -> None:
        self._before: frozenset[Key] | None = None
        self._fresh: frozenset[Key] = frozenset()
        self._document: Document | None = None
        self._found: tuple[Found, ...] = ()

    def of(self, document: Document) -> Sequence[Found]:
        """The fixes that are known for this version, from the top."""
        return self._found if self._document is document else ()

    def forget(self) -> None:
        """Another document has changed, and with it what they were proved beside."""
        self._document, self._found = None, ()

    def looked(
        self,
        document: Document,
        complaints: Sequence[Diagnostic],
        proved: Sequence[tuple[Diagnostic, Repair]],
        changes: Sequence[Change],
    ) -> None:
        """What checkers say of a version, fixes that were proved, and what was changed lately (the newest first)."""
        now = frozenset(one.key for one in complaints)
        if self._before is None:
            about = {word for change in changes[:_LATELY] for word in _WORD.findall(change.words()[0])}
            self._fresh = frozenset(one.key for one in complaints if about & set(_WORD.findall(one.message)))
        else:
            self._fresh = frozenset(key for key in now if key not in self._before or key in self._fresh)
        self._before = now
        self._document = document
        fixes = [
            fix
            for one, repair in proved
            if one.key in self._fresh and (fix := _offered(document, one, repair, changes)) is not None
        ]
        self._found = tuple(sorted(fixes, key=lambda fix: fix.edit.start))


def _offered(document: Document, one: Diagnostic, repair: Repair, changes: Sequence[Change]) -> Found | None:
    """A fix as a next edit; None where it is too long, or in a line that the user is at work on."""
    edits = repair.candidate.edits  # a line as a whole reads better than the smallest difference
    edit = edits[0] if len(edits) == 1 else difference(document.text, repair.candidate.text)
    if edit is None or edit.end - edit.start + len(edit.new_text) > _LONGEST:
        return None
    first, last = document.line_of(edit.start), document.line_of(max(edit.start, edit.end - 1))
    if any(first <= document.line_of(change.place) <= last for change in changes[:1]):
        return None
    message = " ".join(one.message.split())
    reason = f"{repair.title} (verified: {repair.proved_by})"
    return Found(edit, "repair", reason, (message, edit.new_text), (message, *repair.evidence))
