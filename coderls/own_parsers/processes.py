"""The processes of own parsers: few at a time, and those that take long to start stay for a while.

What stays is started beside the work, and nobody waits for it: until it is there, nobody can tell. It leaves when it
was not asked for some minutes, when it is stuck, and with the session: its standard input ends.
"""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coderls.errors import CheckerFailed
from coderls.repair.checkers.conversation import Conversation
from coderls.repair.checkers.process import start

#: So many programs run at a time, whatever is asked: alternatives are judged side by side.
_AT_ONCE = 2
#: Without a question for so long a process that stays leaves: it holds some hundred megabytes.
_IDLE_S = 300.0
_START_S = 60.0
#: One that has not answered an earlier question for so long is stuck.
_STUCK_S = 5.0
#: After one that did not start, or ended, there is no other for so long.
_RESTS_S = 300.0


class NotYet(Exception):
    """Nobody can tell, and that is nobody's fault: the process is being started, or rests."""


class Talk(Conversation):
    """With a process that counts errors: `parse.cjs` and `ParseJava.java` say how it is asked."""

    def __init__(self, process: Process, name: str) -> None:
        super().__init__(process, name)
        self._heard = 0  # the last number that was answered
        self._since = time.monotonic()

    @property
    def stuck(self) -> bool:
        """Whether it is gone, or at one question for too long."""
        return not self.alive or (self._heard < self._last and time.monotonic() - self._since > _STUCK_S)

    async def found(self, kind: str, text: str, limit_s: float) -> int | None:
        """How many errors `text` has; None where it cannot tell. Raises CheckerFailed."""
        data = text.encode("utf-8", "replace")
        if self._heard == self._last:
            self._since = time.monotonic()
        found: int | None = await self._answer(lambda number: self._write(_question(number, kind, data)), limit_s)
        return found

    def _take(self, message: dict[str, Any]) -> None:
        found = message["found"]
        self._heard, self._since = message["number"], time.monotonic()
        self._settle(message["number"], found if isinstance(found, int) else None, error=None)


class Processes:
    """Those of one session. `patience_s`: how long a question waits for a process that is being started."""

    def __init__(self, patience_s: float = 0.0) -> None:
        self._patience_s = patience_s
        self.turns = asyncio.Semaphore(_AT_ONCE)  # for programs that are run once
        self._kept: dict[tuple[str, ...], _Kept] = {}

    async def found(
        self, command: tuple[str, ...], environment: Mapping[str, str], kind: str, text: str, limit_s: float
    ) -> int | None:
        """What the process of `command` says of a text, started if there is none.

        Raises NotYet while that takes its time, and CheckerFailed when it is too slow or gone.
        """
        kept = self._kept.get(command)
        if kept is None:
            kept = self._kept[command] = _Kept(command, environment)
        return await kept.found(kind, text, limit_s, self._patience_s)

    async def aclose(self) -> None:
        """End all of them."""
        kept, self._kept = list(self._kept.values()), {}
        await asyncio.gather(*(one.aclose() for one in kept))


class _Kept:
    """One process that stays. `found` has its documentation in `Processes`."""

    def __init__(self, command: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self._command, self._environment = command, environment
        self._starting: asyncio.Task[Talk] | None = None
        self._rests_until = float("-inf")
        self._leave: asyncio.TimerHandle | None = None
        self._leaving: asyncio.Task[None] | None = None

    async def found(self, kind: str, text: str, limit_s: float, patience_s: float) -> int | None:
        if time.monotonic() < self._rests_until:
            raise NotYet
        self._stay()
        try:
            return await self._found(kind, text, limit_s, patience_s)
        finally:
            self._stay()
            self._leave = asyncio.get_running_loop().call_later(_IDLE_S, self._go)

    async def _found(self, kind: str, text: str, limit_s: float, patience_s: float) -> int | None:
        starting = self._starting
        if starting is None:
            starting = self._starting = asyncio.ensure_future(self._start(kind))
            starting.add_done_callback(_hear)
        if not starting.done():
            await asyncio.wait({starting}, timeout=patience_s)
        if not starting.done():
            raise NotYet
        talk: Talk | None = None
        try:
            talk = await asyncio.shield(starting)
            return await talk.found(kind, text, limit_s)
        except CheckerFailed:
            if (talk is None or talk.stuck) and self._starting is starting:
                self._rests_until = time.monotonic() + _RESTS_S
                await self.aclose()
            raise

    async def aclose(self) -> None:
        starting, self._starting = self._starting, None
        self._stay()
        if starting is None:
            return
        if not starting.done():
            starting.cancel()
        [talk] = await asyncio.gather(starting, return_exceptions=True)
        if isinstance(talk, Talk):
            await asyncio.shield(asyncio.ensure_future(talk.aclose()))

    async def _start(self, kind: str) -> Talk:
        process = await start(self._command, folder=Path(Path(self._command[0]).anchor), environment=self._environment)
        return await _answering(process, Path(self._command[0]).name, kind)

    def _stay(self) -> None:
        if self._leave is not None:
            self._leave.cancel()

    def _go(self) -> None:
        self._leaving = asyncio.ensure_future(self.aclose())


async def _answering(process: Process, name: str, kind: str) -> Talk:
    """A process that has answered its first question."""
    talk = Talk(process, name)
    try:
        await talk.found(kind, "", _START_S)
    except BaseException:
        await talk.aclose()
        raise
    return talk


def _question(number: int, kind: str, data: bytes) -> bytes:
    return f"{number} {kind} {len(data)}\n".encode() + data


def _hear(starting: asyncio.Task[Talk]) -> None:
    """Nobody may wait for it: what is asked next is told."""
    if not starting.cancelled():
        starting.exception()
