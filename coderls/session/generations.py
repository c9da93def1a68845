"""One generation for each document: the newest request wins, and may go on with what is being made already.

A request that is superseded is answered at once with nothing (some editors do not cancel what they no longer
want); one that is cancelled ends at once too. Its generation is given a moment: a keystroke supersedes a request and
brings the next one, and where the user types the very text that is being made, that request joins. Otherwise the
generation is cancelled: it drops its connection to the engine, which then stops before its next step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from coderls.fim.reuse import Place, typed_between

#: So long a generation that nobody waits for may be joined. It counts into the time until the engine is idle.
GRACE_S = 0.03

T = TypeVar("T")

#: Called with the whole text of a generation each time that there is more of it.
Heard = Callable[[str], None]
Work = Callable[[Heard], Coroutine[Any, Any, T | None]]


class _Generation(Generic[T]):
    """A running task, what it has said so far, and the request that waits for it (or none)."""

    def __init__(self, place: Place, work: Work[T]) -> None:
        self.place = place
        self.said = ""
        self._wanted = place
        self._answer: asyncio.Future[tuple[bool, T | None]] | None = None
        self._given_up: asyncio.TimerHandle | None = None
        self._stopped = False
        self.task = asyncio.ensure_future(work(self._heard))
        self.task.add_done_callback(self._finished)

    def leads_to(self, place: Place) -> bool:
        """Whether what was said so far and what was typed since begin alike. What is being stopped leads nowhere."""
        typed = self._typed(place)
        if typed is None or (typed and not self.said) or self._stopped or self.task.done():
            return False
        return self.said.startswith(typed) or typed.startswith(self.said)

    def _typed(self, place: Place) -> str | None:
        """What was typed since it began; None where anything else was changed."""
        typed = typed_between(self.place, place)
        return None if typed is None else typed.replace("\r\n", "\n").replace("\r", "\n")

    def wait_for(self, place: Place) -> asyncio.Future[tuple[bool, T | None]]:
        """Whether `place` still lies on its way when it ends, and its result. Who waited before gets None."""
        self._let_go()
        self.keep()
        self._wanted = place
        self._answer = asyncio.get_running_loop().create_future()
        return self._answer

    def keep(self) -> None:
        """It is still wanted, though perhaps nobody waits for it."""
        if self._given_up is not None:
            self._given_up.cancel()
            self._given_up = None

    def answer(self, result: T) -> None:
        """Who waits for this very place gets `result` now; it goes on."""
        if self._wanted is self.place and self._answer is not None and not self._answer.done():
            self._answer.set_result((True, result))

    def leave(self, answer: asyncio.Future[tuple[bool, T | None]]) -> None:
        """Who waited with `answer` does not want it any more; perhaps somebody has joined since."""
        if self._answer is answer:
            self.give_up()

    def give_up(self) -> None:
        """Nobody waits any more: stop, unless somebody joins within a moment."""
        self._let_go()
        if self._given_up is None and not self.task.done():
            # Before it has said anything nobody can know that it is what they want.
            wait = GRACE_S if self.said else 0.0
            self._given_up = asyncio.get_running_loop().call_later(wait, self._cancel)

    def stop(self) -> None:
        """Stop at once."""
        self._let_go()
        self._cancel()

    def _cancel(self) -> None:
        """It takes a moment to end: its connection is closed first."""
        self._stopped = True
        self.task.cancel()

    def _let_go(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((True, None))

    def _heard(self, text: str) -> None:
        self.said = text
        if self._wanted is not self.place and not self.leads_to(self._wanted):
            if self._answer is not None and not self._answer.done():
                self._answer.set_result((False, None))
            self._cancel()

    def _finished(self, task: asyncio.Task[T | None]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._answer is None or self._answer.done():
            return  # nobody wants it any more, whatever it is
        if error is not None:
            self._answer.set_exception(error)
        elif self._wanted is not self.place and not self.said.startswith(self._typed(self._wanted) or ""):
            self._answer.set_result((False, None))  # it ended before it said all that was typed
        else:
            self._answer.set_result((True, None if task.cancelled() else task.result()))


class Generations(Generic[T]):
    """The generations in flight, by document."""

    def __init__(self) -> None:
        self._running: dict[str, _Generation[T]] = {}
        self._unfinished: set[asyncio.Task[T | None]] = set()

    def __len__(self) -> int:
        """How many tasks have not ended yet, cancelled ones included."""
        return len(self._unfinished)

    async def run(self, place: Place, work: Work[T]) -> T | None:
        """The result of `work`, or of what runs already where that is on the way to `place` (it was made for an
        earlier place then); None as soon as a newer call for the same document comes.

        Raises what the work raises. When the caller is cancelled, so is the work, unless somebody joins it.
        """
        running = self._running.get(place.document.uri)
        if running is not None and running.leads_to(place):
            fits, result = await self._wait(running, place)
            if fits and (result is None or result):
                return result  # else it came to nothing, which is no answer for this place
        self.stop(place.document.uri)
        generation = _Generation(place, work)
        self._running[place.document.uri] = generation
        self._unfinished.add(generation.task)
        generation.task.add_done_callback(lambda _: self._ended(place.document.uri, generation))
        _, result = await self._wait(generation, place)
        return result

    async def _wait(self, generation: _Generation[T], place: Place) -> tuple[bool, T | None]:
        answer = generation.wait_for(place)
        try:
            return await answer
        except asyncio.CancelledError:
            generation.leave(answer)
            raise

    def _ended(self, uri: str, generation: _Generation[T]) -> None:
        self._unfinished.discard(generation.task)
        if self._running.get(uri) is generation:
            del self._running[uri]

    def answer(self, place: Place, result: T) -> None:
        """Answer who waits for `place` with the first part of what is being made; it goes on, for whoever joins."""
        running = self._running.get(place.document.uri)
        if running is not None and running.place is place:
            running.answer(result)

    def keep(self, place: Place) -> None:
        """Let what runs go on where it leads to `place`, whose request was answered without it."""
        running = self._running.get(place.document.uri)
        if running is not None and running.leads_to(place):
            running.keep()

    def supersede(self, uri: str) -> None:
        """The document has changed: who waits is answered with None, and what runs stops unless it is joined."""
        generation = self._running.get(uri)
        if generation is not None:
            generation.give_up()

    def stop(self, uri: str) -> None:
        """Stop what runs for a document; its request is answered with None."""
        generation = self._running.pop(uri, None)
        if generation is not None:
            generation.stop()

    def stop_all(self) -> None:
        """Stop everything."""
        for uri in list(self._running):
            self.stop(uri)
