from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from coderls.document import Document
from coderls.fim.reuse import Place, Shown
from coderls.session import ahead as module
from coderls.session.ahead import Ahead, accepted
from coderls.session.power import linux
from tests.session.told import Told

BEFORE = Document("file:///a.py", "python", 1, "x = \ny = 2\n")
SHOWN: Shown[Any] = Shown(BEFORE, 4, 4, "foo(1)", "made")
AFTER = Place(Document("file:///a.py", "python", 2, "x = foo(1)\ny = 2\n"), 10)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.0)


async def begun(model: Told, *, may: bool = True) -> Ahead:
    ahead = Ahead(model, lambda: may)
    ahead.shown(SHOWN)
    for _ in range(3):
        await asyncio.sleep(0)
    return ahead


def test_where_the_cursor_is_after_an_accept() -> None:
    assert accepted(SHOWN) == AFTER
    replacing: Shown[Any] = Shown(Document("a", "c", 1, "f(b)"), 2, 4, "c)", "made")
    assert accepted(replacing) == Place(Document("a", "c", 2, "f(c)"), 4)


async def test_after_an_accept_it_is_there() -> None:
    model = Told(["next"])
    ahead = await begun(model)
    assert model.asked == [AFTER]
    model.go.set()
    ahead.changed(AFTER.document)
    assert await ahead.at(AFTER) == ["next"]
    assert await ahead.at(Place(AFTER.document, 3)) is None


async def test_an_accept_joins_what_is_still_being_made() -> None:
    model = Told(["next"])
    ahead = await begun(model)
    waiting = asyncio.ensure_future(ahead.at(AFTER))
    await asyncio.sleep(0)
    assert not waiting.done()
    model.go.set()
    assert await waiting == ["next"]
    assert len(model.asked) == 1


async def test_typing_through_goes_on_with_it_and_anything_else_ends_it() -> None:
    model = Told(["next"])
    ahead = await begun(model)
    through = Document("file:///a.py", "python", 2, "x = fo\ny = 2\n")
    ahead.changed(through)
    ahead.shown(Shown(through, 6, 6, "o(1)", "made"))
    ahead.changed(Document("file:///other.py", "python", 1, "z"))
    await asyncio.sleep(0)
    assert (len(model.asked), model.stopped) == (1, 0)
    ahead.changed(Document("file:///a.py", "python", 3, "x = fz\ny = 2\n"))
    await asyncio.sleep(0)
    assert model.stopped == 1
    assert await ahead.at(AFTER) is None


async def test_another_answer_is_another_step() -> None:
    model = Told(["next"])
    ahead = await begun(model)
    ahead.shown(Shown(BEFORE, 4, 4, "bar(2)", "made"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert [place.document.text for place in model.asked] == ["x = foo(1)\ny = 2\n", "x = bar(2)\ny = 2\n"]
    assert model.stopped == 1


async def test_who_does_not_want_it_any_more_ends_it() -> None:
    model = Told(["next"])
    ahead = await begun(model)
    waiting = asyncio.ensure_future(ahead.at(AFTER))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert model.stopped == 1


async def test_a_failure_is_no_answer_and_no_noise() -> None:
    model = Told(["next"])
    model.fails = True
    model.go.set()
    ahead = await begun(model)
    assert await ahead.at(AFTER) is None


async def test_nothing_is_made_where_it_may_not() -> None:
    model = Told(["next"])
    await begun(model, may=False)
    assert model.asked == []


@pytest.mark.parametrize(
    ("supplies", "battery"),
    [
        ({}, False),
        ({"BAT0": {"type": "Battery", "status": "Discharging"}}, True),
        ({"BAT0": {"type": "Battery", "status": "Charging"}}, False),
        ({"BAT0": {"type": "Battery", "status": "Discharging"}, "AC": {"type": "Mains", "online": "1"}}, False),
        ({"BAT0": {"type": "Battery", "status": "Discharging"}, "AC": {"type": "Mains", "online": "0"}}, True),
        ({"mouse": {"type": "Battery", "scope": "Device", "status": "Discharging"}}, False),
    ],
)
def test_a_battery(supplies: dict[str, dict[str, str]], battery: bool, tmp_path: Path) -> None:
    for name, files in supplies.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text + "\n")
    assert linux(tmp_path) is battery
    assert linux(tmp_path / "nowhere") is False
