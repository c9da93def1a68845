"""The index is asked while the user's delay runs."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from coderls.document import Document, Snippet
from coderls.fim.model import FimModel
from coderls.fim.reuse import Place
from coderls.fim.templates import QWEN25_CODER
from coderls.session.looking import Looking
from coderls.session.notebooks import Notebooks
from coderls.session.offering import Offering
from coderls.session.rhythm import Rhythm
from coderls.settings import parse_settings


class Source:
    """An index that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Document, int]] = []
        self.came = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def snippets(
        self, document: Document, offset: int, *, budget_tokens: int, count: Callable[[str], int]
    ) -> list[Snippet]:
        assert budget_tokens > QWEN25_CODER.context_tokens  # what the short text leaves is in it
        self.asked.append((document, offset))
        self._loop.call_soon_threadsafe(self.came.set)
        return []


class Index:
    """The way to an index; `is_quiet` once it was told to be."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.is_quiet = asyncio.Event()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        self.is_quiet.set()
        yield


def offering(source: Source) -> Offering:
    engine: Any = SimpleNamespace(engine=SimpleNamespace(model=FimModel(QWEN25_CODER)), wanted=lambda: None)
    index: Any = Index(source)
    made = Offering({}, engine, index, Rhythm(), notebooks=Notebooks(), records=None, answered=lambda _: None)
    made.use(parse_settings({"completion.debounce_ms": 5_000})[0])
    return made


async def test_the_index_is_asked_before_the_delay_is_over() -> None:
    source = Source()
    offered = offering(source)
    document = Document("file:///a.py", "python", 1, "x = ")
    offered.changed(document)
    waiting = asyncio.ensure_future(offered.at(Place(document, 4), invoked=False))
    await asyncio.wait_for(source.came.wait(), 4)
    assert source.asked == [(document, 4)]
    assert not waiting.done()
    waiting.cancel()
    await offered.aclose()


async def test_where_nothing_will_be_offered_nothing_is_looked_for() -> None:
    source = Source()
    offered = offering(source)
    comment = Document("file:///a.py", "python", 1, "# a word")
    code = Document("file:///b.py", "python", 1, "x = ")
    for document in (comment, code):
        offered.changed(document)
        offered._look_around(Place(document, len(document.text)))
        assert offered._looking._task is not None
        await offered._looking._task
    assert [document for document, _ in source.asked] == [code]
    await offered.aclose()


async def test_the_question_waits_for_the_look_that_is_under_way() -> None:
    gate, source, asked = threading.Event(), Source(), asyncio.Event()
    offered = offering(source)
    offered.use(parse_settings({"completion.debounce_ms": 0})[0])
    offered._engine.wanted = lambda: offered._engine.engine  # type: ignore[method-assign]

    async def ask(*_: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    offered._ask = ask  # type: ignore[method-assign]
    offered._looking.begin(gate.wait)
    waiting = asyncio.ensure_future(offered.at(Place(Document("file:///a.py", "python", 1, "x = "), 4), invoked=False))
    index: Any = offered._index
    await asyncio.wait_for(index.is_quiet.wait(), 4)
    assert not asked.is_set()
    gate.set()
    await asyncio.wait_for(asked.wait(), 4)
    waiting.cancel()
    await offered.aclose()


async def test_a_look_that_is_held_up_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coderls.session.looking._LONGEST_S", 0.01)
    gate, looking = threading.Event(), Looking()
    looking.begin(gate.wait)
    await asyncio.wait_for(looking.over(), 4)
    assert looking._task is not None
    assert not looking._task.done()
    gate.set()
    assert await looking._task


async def test_a_question_may_end_while_it_waits_for_a_look() -> None:
    gate, looking = threading.Event(), Looking()
    await looking.over()
    looking.begin(gate.wait)
    waiting = asyncio.ensure_future(looking.over())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert looking._task is not None
    assert not looking._task.done()
    gate.set()
    assert await looking._task


async def test_one_look_at_a_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    looking, gate, looked = Looking(), threading.Event(), []
    looking.begin(gate.wait)
    looking.begin(lambda: looked.append("too soon"))
    gate.set()
    assert looking._task is not None
    await looking._task
    assert not looked

    def fail() -> None:
        raise OSError("the disk is gone")

    looking.begin(fail)
    await asyncio.wait([looking._task])
    await asyncio.sleep(0)
    assert "the disk is gone" in caplog.text
