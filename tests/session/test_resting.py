"""The prompt at a cursor that rests is read before anybody asks."""

from __future__ import annotations

import asyncio
import logging

import pytest

from coderls.document import Document
from coderls.fim.reuse import Place
from coderls.session import resting as module
from coderls.session.resting import Resting
from tests.session.told import Told

HERE = Place(Document("file:///a.py", "python", 1, "x = \ny = 2\n"), 4)
THERE = Place(HERE.document, 10)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REST_S", 0.0)


async def moments() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def test_each_place_is_read_once() -> None:
    engine = Told()
    resting = Resting(engine, lambda: True)
    for _ in range(3):
        resting.at(HERE)
        await moments()
    engine.go.set()
    await moments()
    resting.at(HERE)
    await moments()
    assert engine.asked == [HERE]
    assert engine.stopped == 0


async def test_another_place_a_key_and_a_question_end_it() -> None:
    engine = Told()
    resting = Resting(engine, lambda: True)
    resting.at(HERE)
    await moments()
    resting.at(THERE)
    await moments()
    assert (engine.asked, engine.stopped) == ([HERE, THERE], 1)
    resting.stop()
    await moments()
    assert engine.stopped == 2
    resting.at(HERE)
    await moments()
    resting.asked(HERE)
    await moments()
    assert engine.stopped == 3
    resting.at(HERE)  # as editors tell it after they have asked
    await moments()
    assert engine.asked == [HERE, THERE, HERE]


async def test_nothing_is_read_before_the_cursor_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REST_S", 3600.0)
    engine = Told()
    resting = Resting(engine, lambda: True)
    resting.at(HERE)
    await moments()
    resting.stop()
    assert not engine.asked


async def test_nothing_is_read_where_nothing_may_be() -> None:
    engine = Told()
    resting = Resting(engine, lambda: False)
    resting.at(HERE)
    await moments()
    assert not engine.asked


async def test_a_failure_is_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    engine = Told()
    engine.fails = True
    engine.go.set()
    resting = Resting(engine, lambda: True)
    resting.at(HERE)
    await moments()
    assert "No prompt was read ahead" in caplog.text
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
