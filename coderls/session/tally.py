"""What a session learns from its user: the rhythm of typing, what became of each offer, and how much of it was kept.

Numbers go to the statistics file in a thread of their own; a disk that fails costs numbers and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING

from coderls.document import Document
from coderls.fim.reuse import Shown
from coderls.session.offers import Kind, Offers, Outcome
from coderls.session.rhythm import Rhythm
from coderls.stats import KEPT_AFTER_S, Offered, Stats, kept_share

if TYPE_CHECKING:
    from coderls.completion import Completion

logger = logging.getLogger(__name__)

#: Offers whose rows are known: later ones than these are still looked at.
_MAX_ROWS = 1_000
#: After a failure (another program has locked the file, the disk is full) nothing is written for so long.
_RESTS_S = 60.0
#: What is to be written waits so long for more: no answer, and no key after it, shares the processor with the writer.
_GATHERED_S = 1.0


class Tally:
    """One session's. `text_of` gives the text of a document that is open now."""

    def __init__(self, text_of: Callable[[str], str | None]) -> None:
        self.rhythm = Rhythm()
        self.enabled = True
        self._text_of = text_of
        self._offers = Offers(self._ended)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="coderls-stats")
        self._waiting: SimpleQueue[Callable[[Stats], None]] = SimpleQueue()
        self._gathering: asyncio.TimerHandle | None = None
        self._stats: Stats | None = None
        self._rows: dict[int, int] = {}  # offer -> row of the file; the writer's
        self._looking: set[asyncio.TimerHandle] = set()
        self._rests_until = float("-inf")  # the writer's
        self._newest = 0  # offer

    def changed(self, document: Document) -> None:
        """A document has a new version."""
        now = time.monotonic()
        self.rhythm.key(now)
        self._offers.changed(document, now)

    def showing(self, completions: Sequence[Completion], *, invoked: bool, milliseconds: float) -> int:
        """Completions (the best first) go to the editor; the number of their offer."""
        number = self._offers.show([completion.shown for completion in completions], time.monotonic())
        completion = completions[0]
        if number > self._newest:  # else the rest of one that is being typed through, or the same one again
            self._newest = number
            offered = Offered(
                completion.document.language_id,
                completion.model,
                completion.reused,
                invoked,
                len(completion.text),
                milliseconds,
            )
            self._write(lambda stats: self._note_row(number, stats.offered(offered)))
        return number

    def showing_edit(self, offered: Offered) -> int:
        """A next edit goes to the editor; the number of its offer."""
        number = self._offers.number()
        self._write(lambda stats: self._note_row(number, stats.offered(offered)))
        return number

    def edit_ended(self, number: int, kind: Kind, characters: int) -> None:
        """What became of a next edit."""
        self._write_to(number, lambda stats, row: stats.ended(row, kind, characters))

    def _note_row(self, number: int, row: int) -> None:
        self._rows[number] = row
        while len(self._rows) > _MAX_ROWS:
            del self._rows[next(iter(self._rows))]

    def accepted(self, number: int) -> None:
        """The editor says that an offer was taken."""
        self._offers.accepted(number)

    def partly(self, number: int, characters: int) -> None:
        """The editor says that so much of an offer was taken so far."""
        self._offers.partly(number, characters)

    def rejected(self, number: int) -> Sequence[Shown[Completion]]:
        """The editor says that an offer was dismissed; what it was, if it still stood."""
        return self._offers.rejected(number)

    def closed(self, uri: str) -> None:
        """A document is gone."""
        self._offers.closed(uri)

    def settle(self) -> None:
        """Wait until all is written that was to be written."""
        self._writer.submit(self._write_all).result()

    def close(self) -> None:
        """Write what there is, and look at nothing more. May be called again: `shutdown` and `exit` both do."""
        self.enabled = False
        for handle in self._looking:
            handle.cancel()
        if self._gathering is not None:
            self._gathering.cancel()
        with suppress(RuntimeError):  # it was closed before
            self._writer.submit(self._write_all)
        self._writer.shutdown(wait=True)

    def _ended(self, outcome: Outcome) -> None:
        now = time.monotonic()
        goes_on = outcome.document is None
        if outcome.kind == "accepted" or (outcome.kind == "partly" and goes_on):
            self.rhythm.accepted(now)
        elif outcome.kind == "rejected":
            self.rhythm.rejected(now)
        kind, characters = outcome.kind, outcome.characters
        self._write_to(outcome.number, lambda stats, row: stats.ended(row, kind, characters))
        if kind in ("accepted", "partly") and outcome.document is not None:
            self._look_later(replace(outcome, document=None), outcome.document.uri)

    def _look_later(self, outcome: Outcome, uri: str) -> None:
        loop = asyncio.get_running_loop()
        for seconds in KEPT_AFTER_S:
            handle = loop.call_later(seconds, self._look, outcome, uri, seconds)
            self._looking.add(handle)

    def _look(self, outcome: Outcome, uri: str, seconds: int) -> None:
        self._looking = {handle for handle in self._looking if handle.when() > asyncio.get_running_loop().time()}
        text = self._text_of(uri)
        if text is not None:
            self._write_to(
                outcome.number,
                lambda stats, row: stats.kept(row, seconds, kept_share(outcome.text, text, outcome.start)),
            )

    def _write_to(self, number: int, what: Callable[[Stats, int], None]) -> None:
        """The same for the row of an offer, if it has one."""

        def write(stats: Stats) -> None:
            row = self._rows.get(number)
            if row is not None:
                what(stats, row)

        self._write(write)

    def _write(self, what: Callable[[Stats], None]) -> None:
        if not self.enabled:
            return
        self._waiting.put(what)
        if self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(_GATHERED_S, self._gathered)

    def _gathered(self) -> None:
        self._gathering = None
        self._writer.submit(self._write_all)

    def _write_all(self) -> None:
        """What waits, in the writer's thread."""
        import sqlite3  # noqa: PLC0415 - nobody waits for it in this thread

        while not self._waiting.empty():  # nobody else takes from it
            what = self._waiting.get()
            if time.monotonic() < self._rests_until:  # what waited then would fail too, each after a while
                continue
            try:
                if self._stats is None:
                    self._stats = Stats()
                what(self._stats)
            except (sqlite3.Error, OSError) as error:
                self._rests_until = time.monotonic() + _RESTS_S
                logger.warning("No statistics for a minute: %s", error)
