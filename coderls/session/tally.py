"""What a session learns from its user: the rhythm of typing, what became of each offer, and how much of it was kept.

Numbers go to the statistics file in a thread of their own; a disk that fails costs numbers and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from coderls.document import Document
from coderls.fim.reuse import Shown
from coderls.session.offers import Offers, Outcome
from coderls.session.rhythm import Rhythm
from coderls.stats import KEPT_AFTER_S, Offered, Stats, kept_share

if TYPE_CHECKING:
    from coderls.completion import Completion

logger = logging.getLogger(__name__)


class Tally:
    """One session's. `text_of` gives the text of a document that is open now."""

    def __init__(self, text_of: Callable[[str], str | None]) -> None:
        self.rhythm = Rhythm()
        self.enabled = True
        self._text_of = text_of
        self._offers = Offers(self._ended)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="coderls-stats")
        self._stats: Stats | None = None
        self._rows: dict[int, int] = {}  # offer -> row of the file; the writer's
        self._looking: set[asyncio.TimerHandle] = set()
        self._failed = False

    def changed(self, document: Document) -> None:
        """A document has a new version."""
        now = time.monotonic()
        self.rhythm.key(now)
        self._offers.changed(document, now)

    def showing(self, completions: Sequence[Completion], *, invoked: bool, milliseconds: float) -> int:
        """Completions (the best first) go to the editor; the number of their offer."""
        number = self._offers.show([completion.shown for completion in completions], time.monotonic())
        completion = completions[0]
        if completion.reused != "shown":
            offered = Offered(
                completion.document.language_id,
                completion.model,
                completion.reused,
                invoked,
                len(completion.text),
                milliseconds,
            )
            self._write(lambda stats: self._rows.__setitem__(number, stats.offered(offered)))
        return number

    def accepted(self, number: int) -> None:
        """The editor says that an offer was taken."""
        self._offers.accepted(number)

    def rejected(self, number: int) -> Sequence[Shown[Completion]]:
        """The editor says that an offer was dismissed; what it was, if it still stood."""
        return self._offers.rejected(number)

    def closed(self, uri: str) -> None:
        """A document is gone."""
        self._offers.closed(uri)

    def close(self) -> None:
        """Write what there is, and look at nothing more."""
        for handle in self._looking:
            handle.cancel()
        self._writer.shutdown(wait=True)

    def _ended(self, outcome: Outcome) -> None:
        now = time.monotonic()
        if outcome.kind in ("accepted", "partly"):
            self.rhythm.accepted(now)
        elif outcome.kind == "rejected":
            self.rhythm.rejected(now)
        self._write(lambda stats: stats.ended(self._rows.get(outcome.number, 0), outcome.kind, outcome.characters))
        if outcome.kind == "accepted" and outcome.document is not None:
            self._look_later(outcome, outcome.document.uri)

    def _look_later(self, outcome: Outcome, uri: str) -> None:
        loop = asyncio.get_running_loop()
        for seconds in KEPT_AFTER_S:
            handle = loop.call_later(seconds, self._look, outcome, uri, seconds)
            self._looking.add(handle)

    def _look(self, outcome: Outcome, uri: str, seconds: int) -> None:
        self._looking = {handle for handle in self._looking if handle.when() > asyncio.get_running_loop().time()}
        text = self._text_of(uri)
        if text is not None:
            self._write(
                lambda stats: stats.kept(
                    self._rows.get(outcome.number, 0), seconds, kept_share(outcome.text, text, outcome.start)
                )
            )

    def _write(self, what: Callable[[Stats], None]) -> None:
        if not self.enabled or self._failed:
            return

        def write() -> None:
            try:
                if self._stats is None:
                    self._stats = Stats()
                what(self._stats)
            except (sqlite3.Error, OSError) as error:
                self._failed = True
                logger.warning("No statistics from now on: %s", error)

        self._writer.submit(write)
