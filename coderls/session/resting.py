"""The prompt at a cursor that rests, read before anybody asks: the first key there finds it in the engine's cache.

Editors say where a cursor is when they ask for code actions or the next edit, which they do when it has come to
somewhere. When it stays there for a moment, the engine is given the prompt of that place and is to say nothing, at a
priority that every other request pushes aside. It is bounded: each place once, one prompt of at most a second or two by
the engine's measured speed, nothing on battery, and the next key, place or question ends it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from coderls.errors import CoderlsError
from coderls.fim.reuse import Place

logger = logging.getLogger(__name__)

#: So long a cursor stays before anything is read for it: who walks through a file by keys does not rest.
REST_S = 0.4

#: Has the engine read the prompt for a place.
Read = Callable[[Place], Awaitable[None]]


class Resting:
    """One session's. `may` is asked before each; never asked across threads."""

    def __init__(self, read: Read, may: Callable[[], bool]) -> None:
        self._read = read
        self._may = may
        self._place: Place | None = None
        self._task: asyncio.Task[None] | None = None

    def at(self, place: Place) -> None:
        """The cursor is here. Telling it again changes nothing."""
        if place == self._place:
            return
        self.stop()
        self._place = place
        if self._may():
            self._task = asyncio.ensure_future(self._later(place))

    def asked(self, place: Place) -> None:
        """A completion is asked for here: what has to be read for it is read by that."""
        self.stop()
        self._place = place

    def stop(self) -> None:
        """Somebody types, or is gone."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _later(self, place: Place) -> None:
        await asyncio.sleep(REST_S)
        try:
            await self._read(place)
        except CoderlsError as error:
            logger.info("No prompt was read ahead: %s", error)
