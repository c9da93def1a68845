"""One generation for each document: the newest request wins.

A request that is superseded is answered at once with nothing (some editors do not cancel what they no longer
want); one that is cancelled ends at once too. In both cases its generation is cancelled: it drops its connection to
the engine, which then stops before its next step. Nobody waits for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Generic, TypeVar

T = TypeVar("T")


class _Generation(Generic[T]):
    """A running task, and the answer that its request waits for."""

    def __init__(self, work: Coroutine[None, None, T | None]) -> None:
        self.answer: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.ensure_future(work)
        self.task.add_done_callback(self._finished)

    def stop(self) -> None:
        if not self.answer.done():
            self.answer.set_result(None)
        self.task.cancel()

    def _finished(self, task: asyncio.Task[T | None]) -> None:
        error = None if task.cancelled() else task.exception()
        if self.answer.done():
            return  # nobody wants it any more, whatever it is
        if error is not None:
            self.answer.set_exception(error)
        else:
            self.answer.set_result(None if task.cancelled() else task.result())


class Generations(Generic[T]):
    """The generations in flight, by document."""

    def __init__(self) -> None:
        self._running: dict[str, _Generation[T]] = {}
        self._unfinished: set[asyncio.Task[T | None]] = set()

    def __len__(self) -> int:
        """How many tasks have not ended yet, cancelled ones included."""
        return len(self._unfinished)

    async def run(self, uri: str, work: Coroutine[None, None, T | None]) -> T | None:
        """The result of `work`; None as soon as a newer call for the same document comes.

        Raises what `work` raises. When the caller is cancelled, so is `work`.
        """
        self.stop(uri)
        generation = _Generation(work)
        self._running[uri] = generation
        self._unfinished.add(generation.task)
        generation.task.add_done_callback(self._unfinished.discard)
        try:
            return await generation.answer
        except asyncio.CancelledError:
            generation.stop()
            raise
        finally:
            if self._running.get(uri) is generation:
                del self._running[uri]

    def stop(self, uri: str) -> None:
        """Give up what runs for a document; its request is answered with None."""
        generation = self._running.pop(uri, None)
        if generation is not None:
            generation.stop()

    def stop_all(self) -> None:
        """Give up everything."""
        for uri in list(self._running):
            self.stop(uri)
