from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from coderls.session import owing as module
from coderls.session.owing import Owing

COMPLETION: Any = SimpleNamespace(snippets=("one",))
WITHOUT: Any = SimpleNamespace(snippets=())


class Model:
    """Weighs when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.stopped = 0
        self.go = asyncio.Event()

    async def __call__(self, completion: Any) -> dict[str, Any]:
        self.asked.append(completion)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        return {"snippets": ["weighed"]}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.0)


async def turns() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def test_it_is_found_out_by_itself_and_for_this_completion_only() -> None:
    model = Model()
    owing = Owing(model, lambda: True)
    owing.shown(COMPLETION)
    await turns()
    assert model.asked == [COMPLETION]
    assert owing.known(COMPLETION) is None
    model.go.set()
    await turns()
    assert owing.known(COMPLETION) == {"snippets": ["weighed"]}
    assert owing.known(WITHOUT) is None
    owing.shown(COMPLETION)
    await turns()
    assert len(model.asked) == 1, "what is known is not asked again"


async def test_a_key_ends_it() -> None:
    model = Model()
    owing = Owing(model, lambda: True)
    owing.shown(COMPLETION)
    await turns()
    owing.stop()
    await turns()
    assert model.stopped == 1
    model.go.set()
    await turns()
    assert owing.known(COMPLETION) is None


async def test_a_key_before_it_begins_leaves_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_S", 60.0)
    model = Model()
    owing = Owing(model, lambda: True)
    owing.shown(COMPLETION)
    await turns()
    owing.stop()
    await turns()
    assert model.asked == []


@pytest.mark.parametrize(("may", "completion"), [(False, COMPLETION), (True, WITHOUT)])
async def test_nothing_is_asked_on_battery_or_where_there_are_no_snippets(may: bool, completion: Any) -> None:
    model = Model()
    owing = Owing(model, lambda: may)
    owing.shown(completion)
    await turns()
    assert model.asked == []
