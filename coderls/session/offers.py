"""What became of the completions that were offered. Pure bookkeeping; times are seconds of any steady clock.

Most editors do not say whether ghost text was taken, so the documents are read: a change that puts the rest of the
offered text, or a larger part of it, in at once is an accept; a letter that the text goes on with is typing through
it; anything else typed at that place says no. A client that does say (the item's command) is believed too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from coderls.document import Document
from coderls.fim.reuse import Shown

#: Nobody has read what was there for a shorter time.
SEEN_S = 0.4
#: Characters on both sides that tell whether a change was made at the offer's place.
_AROUND = 200

Kind = Literal["accepted", "partly", "rejected", "passed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of offer `number`. `characters` of it were taken so far; "passed": nobody can tell.

    `text` is what of it stands in `document` at offset `start`, where that was seen.
    """

    number: int
    kind: Kind
    characters: int
    document: Document | None = None
    start: int = 0
    text: str = ""


@dataclass(slots=True)
class _Offer:
    number: int
    shown: Shown[Any]
    at: float
    typed: int = 0  # characters of its text that are in the document
    taken: int = 0  # of these, the ones that came in one piece
    before: Document | None = None  # the version that `typed` belongs to

    @property
    def rest(self) -> str:
        return self.shown.text[self.typed :]


class Offers:
    """The one offer that stands in each document. `told` gets each outcome as it is known."""

    def __init__(self, told: Callable[[Outcome], None]) -> None:
        self._told = told
        self._standing: dict[str, _Offer] = {}
        self._numbers = count(1)

    def show(self, shown: Shown[Any], now: float) -> int:
        """An offer goes out; its number. The rest of one that the user types through is that same offer."""
        standing = self._standing.get(shown.document.uri)
        if standing is not None and standing.before is shown.document and standing.rest == shown.text:
            return standing.number
        self._end(shown.document.uri, "passed")
        offer = _Offer(next(self._numbers), shown, now, before=shown.document)
        self._standing[shown.document.uri] = offer
        return offer.number

    def changed(self, document: Document, now: float) -> None:
        """A new version of a document."""
        offer = self._standing.get(document.uri)
        if offer is None or offer.before is None:
            return
        size = _inserted(offer, document)
        if size is None:
            self._end(document.uri, "passed")
            return
        at = offer.shown.start + offer.typed
        new = document.text[at : at + size]
        if size and offer.rest.startswith(new):
            offer.typed += size
            offer.before = document
            if size > 1 or (size == 1 and len(offer.shown.text) == 1):
                offer.taken += size
            if not offer.rest:
                self._end(document.uri, "accepted" if offer.taken else "passed", document)
            elif size > 1:
                self._told(_outcome(offer, "partly", document))
        else:
            seen = size > 0 and now - offer.at >= SEEN_S
            self._end(document.uri, "rejected" if seen else "passed")

    def accepted(self, number: int, document: Document | None = None) -> None:
        """The client says that an offer was taken."""
        for uri, offer in list(self._standing.items()):
            if offer.number == number:
                offer.taken = len(offer.shown.text)
                self._end(uri, "accepted", document)

    def rejected(self, number: int) -> Shown[Any] | None:
        """The client says that an offer was dismissed; what it was."""
        for uri, offer in list(self._standing.items()):
            if offer.number == number:
                self._end(uri, "rejected")
                return offer.shown
        return None

    def closed(self, uri: str) -> None:
        """The document is gone."""
        self._end(uri, "passed")

    def _end(self, uri: str, kind: Kind, document: Document | None = None) -> None:
        offer = self._standing.pop(uri, None)
        if offer is not None:
            self._told(_outcome(offer, kind, document))


def _outcome(offer: _Offer, kind: Kind, document: Document | None) -> Outcome:
    text = offer.shown.text[: offer.typed]
    return Outcome(offer.number, kind, offer.taken, document, offer.shown.start, text)


def _inserted(offer: _Offer, now: Document) -> int | None:
    """How many characters were put in at the offer's cursor; None when the change was elsewhere or another one.

    What the offer would replace may be gone with it.
    """
    before = offer.before
    if before is None:
        return None
    at = offer.shown.start + offer.typed
    replaced = offer.shown.end - offer.shown.start
    old, new = before.text, now.text
    if new[max(0, at - _AROUND) : at] != old[max(0, at - _AROUND) : at]:
        return None
    for gone in (replaced, 0) if replaced else (0,):
        size = len(new) - len(old) + gone
        if size >= 0 and new[at + size : at + size + _AROUND] == old[at + gone : at + gone + _AROUND]:
            if gone and new[at : at + size] != offer.rest:
                continue  # the rest of the line goes only with the whole text
            return size
    return None
