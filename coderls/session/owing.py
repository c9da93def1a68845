"""What the last completion that was shown owes to each snippet of its prompt, found out by itself when nobody types.

The engine scores the same text without each snippet in turn, at a priority that every other request pushes aside. A key
or another question ends it: it is for people who stop and look, and costs nothing while somebody works.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coderls.completion import Completion

logger = logging.getLogger(__name__)

#: So long nobody has typed when it begins.
IDLE_S = 3.0

#: What each snippet was worth to a completion, as JSON; None where nobody can say.
Weigh = Callable[["Completion"], Awaitable[dict[str, Any] | None]]


class Owing:
    """One session's. `may` is asked before the work begins; never asked across threads."""

    def __init__(self, weigh: Weigh, may: Callable[[], bool]) -> None:
        self._weigh = weigh
        self._may = may
        self._task: asyncio.Task[None] | None = None
        self._known: tuple[Completion, dict[str, Any]] | None = None

    def shown(self, completion: Completion) -> None:
        """This went to the editor."""
        self.stop()
        if completion.snippets and self.known(completion) is None and self._may():
            self._task = asyncio.ensure_future(self._later(completion))
            self._task.add_done_callback(_note_failure)

    def known(self, completion: Completion) -> dict[str, Any] | None:
        """What was found out for this very completion; None where nothing was (yet)."""
        return self._known[1] if self._known is not None and self._known[0] is completion else None

    def stop(self) -> None:
        """Somebody types, or asks for something."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _later(self, completion: Completion) -> None:
        await asyncio.sleep(IDLE_S)
        found = await self._weigh(completion)
        if found is not None:
            self._known = completion, found


def _note_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.warning("The influence of snippets cannot be told: %s", error)
