"""What is asked ahead of time, and answers when it is told to."""

from __future__ import annotations

import asyncio
from typing import Any

from coderls.errors import EngineUnreachable
from coderls.fim.reuse import Place


class Told:
    """Notes where it was asked, and how often it was stopped; answers `answer` once `go` is set, or fails."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.asked: list[Place] = []
        self.stopped = 0
        self.go = asyncio.Event()
        self.fails = False

    async def __call__(self, place: Place) -> Any:
        self.asked.append(place)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        if self.fails:
            raise EngineUnreachable("gone")
        return self.answer
