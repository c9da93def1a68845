"""What became of the completions that were offered. Pure bookkeeping; times are seconds of any steady clock.

Most editors do not say whether ghost text was taken, so the documents are read: a change that puts the rest of the
offered text, or a larger part of it, in at once is an accept; a letter that the text goes on with is typing through
it; anything else typed at that place says no. A client that does say (the item's command) is believed too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from coderls.document import Document
from coderls.fim.reuse import Shown, are_partners

#: Nobody has read what was there for a shorter time.
SEEN_S = 0.4
#: Characters on both sides that tell whether a change was made at the offer's place.
_AROUND = 200

Kind = Literal["accepted", "partly", "rejected", "passed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of offer `number`. `characters` of it were taken so far; "passed": nobody can tell.

    `text` is what of it stands at offset `start`. `document` is the version at the end; None: it may go on.
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
    variants: list[Shown[Any]]  # what still fits what was typed, of which the editor shows one
    at: float
    before: Document  # the version that `typed` belongs to
    typed: int = 0  # characters of the text that are in the document
    taken: int = 0  # of these, the ones that came in one piece
    told: int = 0  # characters that were taken so far, as the client says

    @property
    def accepted(self) -> int:
        """Characters that were taken so far."""
        return max(self.taken, self.told)

    @property
    def cursor(self) -> int:
        return self.variants[0].start + self.typed

    def rest(self, variant: Shown[Any]) -> str:
        return variant.text[self.typed :]


class Offers:
    """The one offer that stands in each document. `told` gets each outcome as it is known."""

    def __init__(self, told: Callable[[Outcome], None]) -> None:
        self._told = told
        self._standing: dict[str, _Offer] = {}
        self._numbers = count(1)

    def number(self) -> int:
        """A number for an offer that is followed elsewhere."""
        return next(self._numbers)

    def show(self, variants: Sequence[Shown[Any]], now: float) -> int:
        """An offer of one text, or of several at the same cursor, goes out; its number.

        The rest of one that the user types through is that same offer.
        """
        document = variants[0].document
        standing = self._standing.get(document.uri)
        if standing is not None and standing.before is document:
            rests = {standing.rest(variant) for variant in standing.variants}
            if all(variant.text in rests for variant in variants):
                return standing.number
        self._end(document.uri, "passed")
        offer = _Offer(next(self._numbers), list(variants), now, document)
        self._standing[document.uri] = offer
        return offer.number

    def changed(self, document: Document, now: float) -> None:
        """A new version of a document."""
        offer = self._standing.get(document.uri)
        if offer is None:
            return
        sizes = [_inserted(offer, variant, document) for variant in offer.variants]
        size = next((size for size in sizes if size is not None), None)
        if size is None:
            self._end(document.uri, "passed", document)
            return
        new = document.text[offer.cursor : offer.cursor + size]
        fitting = [
            variant
            for variant, found in zip(offer.variants, sizes, strict=True)
            if found == size and size and offer.rest(variant).startswith(new)
        ]
        if fitting:
            self._went_on(offer, fitting, size, document)
        else:
            seen = size > 0 and now - offer.at >= SEEN_S
            no = seen and not any(_agrees(offer.rest(variant), new) for variant in offer.variants)
            self._end(document.uri, "rejected" if no else "passed", document)

    def accepted(self, number: int, document: Document | None = None) -> None:
        """The client says that an offer was taken."""
        for uri, offer in list(self._standing.items()):
            if offer.number == number:
                offer.taken = offer.typed = len(offer.variants[0].text)
                self._end(uri, "accepted", document or offer.before)

    def partly(self, number: int, characters: int) -> None:
        """The client says that the first `characters` of an offer were taken so far."""
        for offer in self._standing.values():
            if offer.number == number:
                offer.told = max(offer.told, min(characters, len(offer.variants[0].text)))
                self._told(_outcome(offer, "partly", None))

    def rejected(self, number: int) -> Sequence[Shown[Any]]:
        """The client says that an offer was dismissed; what it was, if it still stood."""
        for uri, offer in list(self._standing.items()):
            if offer.number == number:
                self._end(uri, "rejected")
                return offer.variants
        return ()

    def closed(self, uri: str) -> None:
        """The document is gone."""
        self._end(uri, "passed")

    def _went_on(self, offer: _Offer, fitting: list[Shown[Any]], size: int, document: Document) -> None:
        """`size` characters more of the text are there: typed if it is one, taken if there are more."""
        offer.variants, offer.before = fitting, document
        offer.typed += size
        if size > 1 or len(fitting[0].text) == 1:
            offer.taken += size
        if not all(offer.rest(variant) for variant in fitting):
            self._end(document.uri, "accepted" if offer.accepted else "passed", document)
        elif size > 1:
            self._told(_outcome(offer, "partly", None))

    def _end(self, uri: str, kind: Kind, document: Document | None = None) -> None:
        offer = self._standing.pop(uri, None)
        if offer is not None:
            if offer.accepted and kind != "accepted":
                kind = "partly"  # and then the user went their own way
            self._told(_outcome(offer, kind, document))


def _agrees(rest: str, new: str) -> bool:
    """Whether `new` is a letter that the text goes on with, and the partner that the editor put behind it."""
    return bool(rest) and new.startswith(rest[0]) and are_partners(new[1:], rest[0])


def _outcome(offer: _Offer, kind: Kind, document: Document | None) -> Outcome:
    first = offer.variants[0]
    return Outcome(offer.number, kind, offer.accepted, document, first.start, first.text[: offer.typed])


def _inserted(offer: _Offer, variant: Shown[Any], now: Document) -> int | None:
    """How many characters were put in at the offer's cursor; None when the change was elsewhere or another one.

    What the variant would replace may be gone with it.
    """
    at = offer.cursor
    replaced = variant.end - variant.start
    old, new = offer.before.text, now.text
    if new[max(0, at - _AROUND) : at] != old[max(0, at - _AROUND) : at]:
        return None
    for gone in (replaced, 0) if replaced else (0,):
        size = len(new) - len(old) + gone
        if size >= 0 and new[at + size : at + size + _AROUND] == old[at + gone : at + gone + _AROUND]:
            if gone and new[at : at + size] != offer.rest(variant):
                continue  # the rest of the line goes only with the whole text
            return size
    return None
