"""What a session does with documents that come and an engine that comes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

from coderls.document import Document
from coderls.session.front import Session
from coderls.session.status import EngineState


class Lines:
    """A model that notes which texts it is to know."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.came = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def get_ready(self, *documents: str) -> None:
        self.texts.extend(documents)
        self._loop.call_soon_threadsafe(self.came.set)

    async def heard(self) -> list[str]:
        await asyncio.wait_for(self.came.wait(), 4)
        self.came.clear()
        texts, self.texts = self.texts, []
        return texts


async def test_lines_are_encoded_once_both_engine_and_document_are_there() -> None:
    session, model = Session(MagicMock()), Lines()
    engine: Any = SimpleNamespace(model=model, client=SimpleNamespace(aclose=asyncio.Event().wait))
    session.open(Document("untitled:early", "python", 1, "early = 1\n"))
    session._engine.engine = engine
    session._engine._enter(EngineState("ready"))
    assert await model.heard() == ["early = 1\n"]
    session.open(Document("untitled:late", "python", 1, "late = 1\n"))
    assert await model.heard() == ["late = 1\n"]
    session._engine.engine = None
    await session.close()
