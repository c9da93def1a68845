"""A checker's process that stays and is talked to over its pipes: numbered questions, answers behind a Content-Length.

Language servers and `tsserver` write their answers alike (LSP 3.17, base protocol); how they are asked is their own.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from asyncio.subprocess import Process
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from coderls.errors import CheckerFailed
from coderls.repair.checkers.process import MOST_OUTPUT, stop


class Conversation(ABC):
    """With one running process; every method raises CheckerFailed when it is gone or too slow."""

    def __init__(self, process: Process, name: str) -> None:
        self._process = process
        self._name = name
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last = 0
        self._tasks = [asyncio.ensure_future(self._listen()), asyncio.ensure_future(self._drain())]

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self._process.returncode is None and not self._tasks[0].done()

    async def aclose(self) -> None:
        """End it, with whatever it started."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await stop(self._process)

    @abstractmethod
    def _take(self, message: dict[str, Any]) -> None:
        """Something that it said. What is raised for a message of another form ends the conversation."""

    def _number(self) -> int:
        """The number of the next message."""
        self._last += 1
        return self._last

    async def _answer(self, ask: Callable[[int], None], limit_s: float) -> Any:
        """What it answers to the question that `ask` puts under a number."""
        number = self._number()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            ask(number)
            return await self._wait(answer, limit_s)
        finally:
            self._waiting.pop(number, None)

    async def _wait(self, answer: asyncio.Future[Any], limit_s: float) -> Any:
        try:
            await asyncio.wait({answer, self._tasks[0]}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not answer.done():
                answer.cancel()
        if not answer.cancelled():
            return answer.result()
        if self._tasks[0].done():
            raise CheckerFailed(f"{self._name} ended or printed what is no answer.", "It is started again when needed.")
        raise CheckerFailed(f"{self._name} did not answer in {limit_s:.0f} s.")

    def _settle(self, number: int, result: Any, *, error: str | None) -> None:
        """Hand an answer to whoever waits for it; `error`: what it says instead of one."""
        answer = self._waiting.get(number)
        if answer is None or answer.done():
            return
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(CheckerFailed(f"{self._name} says: {error}"))

    def _write(self, message: bytes) -> None:
        if self._process.stdin is None or not self.alive:
            raise CheckerFailed(f"{self._name} has ended.", "It is started again when needed.")
        with suppress(BrokenPipeError, ConnectionResetError):  # then the listener ends too, and whoever waits is told
            self._process.stdin.write(message)

    async def _listen(self) -> None:
        """Read until it ends, or says what is no answer."""
        stream = self._process.stdout
        while stream is not None:
            try:
                length = _content_length(await stream.readuntil(b"\r\n\r\n"))
                if length is None:
                    return
                self._take(json.loads(await stream.readexactly(length)))
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                return
            except (ValueError, TypeError, AttributeError, KeyError):  # a message of another form
                return

    async def _drain(self) -> None:
        """Whatever it logs is read, so that it never waits for us, and thrown away."""
        while self._process.stderr is not None and await self._process.stderr.read(65_536):
            pass


def _content_length(head: bytes) -> int | None:
    """What the headers of a message say of its length; None for none, or one that nobody would read."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            length = int(value)
            return length if length <= MOST_OUTPUT else None
    return None
