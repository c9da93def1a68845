"""Looking for context while the user's delay still runs, so that the answer is there when the model is to be asked.

The index keeps its last answer for each document: the question that comes after the delay finds it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)

#: A look takes some ten milliseconds, in a large project fifty.
_LONGEST_S = 0.5


class Looking:
    """One look at a time, in a thread: who types faster than that is looked for when they rest."""

    def __init__(self) -> None:
        self._task: asyncio.Future[object] | None = None

    def begin(self, look: Callable[[], object]) -> None:
        """Look, unless a look is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(asyncio.to_thread(look))
            self._task.add_done_callback(_note_failure)

    async def over(self) -> None:
        """Wait for the look that is under way. The index answers one after the other: a question that does not wait
        here waits there, and what else it computes takes turns with the look's thread. Not for long: a look that is
        held up (by a slow disk, or git) may be one at another document."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task], timeout=_LONGEST_S)


def _note_failure(task: asyncio.Future[object]) -> None:
    """Nobody waits for it; who asks later meets the same failure and says so."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.info("No context ahead: %s", error)
