"""One step ahead of the user: what would be shown if the completion that is being shown were accepted.

A while after an answer has gone out, the one that follows it is asked for, at a priority that every other request
pushes aside. When the user accepts (by Tab, or line by line up to the end), the next ghost text is there. It is
bounded: one step, a few tokens, nothing on battery, and the next key that leads elsewhere ends it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from coderls.document import Document, Edit
from coderls.errors import CoderlsError
from coderls.fim.reuse import Place, Shown

if TYPE_CHECKING:
    from coderls.completion import Completion

logger = logging.getLogger(__name__)

#: Who goes on typing at once has not accepted: so long nothing is asked.
WAIT_S = 0.15
#: The longest answer that is made ahead, in tokens. Most are one line.
TOKENS = 48

#: Asks for completions at a place at a low priority.
Ask = Callable[[Place], Awaitable[list["Completion"]]]


def accepted(shown: Shown[Completion]) -> Place:
    """The document with a completion in it, and the cursor behind it."""
    document = shown.document
    edit = Edit(shown.start, shown.end, shown.text)
    return Place(document.apply(edit, document.version + 1), shown.start + len(shown.text))


class Ahead:
    """The one step of a session. `may` is asked before each; never asked across threads."""

    def __init__(self, ask: Ask, may: Callable[[], bool]) -> None:
        self._ask = ask
        self._may = may
        self._from: Shown[Completion] | None = None
        self._place: Place | None = None
        self._task: asyncio.Task[list[Completion]] | None = None

    def shown(self, shown: Shown[Completion]) -> None:
        """This went out to the editor. What was begun for the same text goes on."""
        if not self._may():
            self.stop()
            return
        place = accepted(shown)
        if not self._is_at(place):
            self.stop()
            self._place = place
            self._task = asyncio.ensure_future(self._later(place))
            self._task.add_done_callback(_note_failure)
        self._from = shown

    def changed(self, document: Document) -> None:
        """A document has a new version: what does not lead to it any more ends."""
        if self._from is None or document.uri != self._from.document.uri or self._is_on_the_way(document):
            return
        self.stop()

    async def at(self, place: Place) -> list[Completion] | None:
        """What was made ahead for exactly this place, or is being made; None where nothing was."""
        task = self._task
        if task is None or not self._is_at(place):
            return None
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                self.stop()  # it is the caller whom nobody wants any more
                raise
            return None
        except CoderlsError:
            return None

    def stop(self) -> None:
        """End what runs, and forget what came of it."""
        if self._task is not None:
            self._task.cancel()
        self._from = self._place = self._task = None

    async def _later(self, place: Place) -> list[Completion]:
        await asyncio.sleep(WAIT_S)
        return await self._ask(place)

    def _is_at(self, place: Place) -> bool:
        mine = self._place
        return (
            mine is not None
            and (mine.document.uri, mine.offset) == (place.document.uri, place.offset)
            and mine.document.text == place.document.text
        )

    def _is_on_the_way(self, document: Document) -> bool:
        """Whether the document is the one that was shown to, with a part of the shown text in it, or all."""
        if self._from is None or self._place is None:
            return False
        if document.text == self._place.document.text:
            return True
        shown, new = self._from, document.text
        size = len(new) - len(shown.document.text)
        if not 0 <= size < len(shown.text):
            return False
        before, after = shown.document.text[: shown.start], shown.document.text[shown.start :]
        return new == before + shown.text[:size] + after


def _note_failure(task: asyncio.Task[list[Completion]]) -> None:
    """Nobody may have waited for it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.info("No completion ahead: %s", error)
