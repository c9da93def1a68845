"""What a session notes of its completions, and what it holds on to."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from coderls.completion import Completion
from coderls.document import Document
from coderls.engine.api import Usage
from coderls.fim.prompt import Prompt
from coderls.session.tally import Tally
from coderls.stats import Stats, stats_file
from coderls.timings import Timings

BEFORE = Document("file:///a.py", "python", 1, "x = \n", Path("/a.py"))
MADE = Completion(
    text="first(1)",
    start=4,
    end=4,
    finish_reason="stop",
    prompt=Prompt((), (), None, ""),
    usage=Usage(),
    timings=Timings(),
    logprob=0.0,
    document=BEFORE,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODERLS_CACHE", str(tmp_path))


def typed(text: str) -> Document:
    return replace(BEFORE, version=BEFORE.version + 1, text=text)


def show(tally: Tally, completion: Completion) -> int:
    return tally.showing([completion], invoked=False, milliseconds=1.0)


async def test_each_offer_is_counted_once_also_one_that_comes_back() -> None:
    tally = Tally(lambda _uri: None)
    first = show(tally, MADE)
    again = show(tally, replace(MADE, reused="cache"))
    after = typed("x = f\n")
    tally.changed(after)
    rest = show(tally, replace(MADE, text="irst(1)", start=5, end=5, document=after, reused="shown"))
    assert first == again == rest

    other = typed("y = \n")
    tally.changed(other)
    back = show(tally, replace(MADE, document=other, reused="shown"))
    taken = replace(other, version=9, text="y = first(1)\n")
    tally.changed(taken)
    tally.close()

    summary = Stats().summary()
    assert back != first
    assert (summary.shown, summary.accepted, summary.without_model) == (2, 1, 0.5)


async def test_numbers_are_written_a_while_after_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    written, came, loop = list[str](), asyncio.Event(), asyncio.get_running_loop()

    def note(self: Stats, offer: object) -> int:
        written.append("shown")
        loop.call_soon_threadsafe(came.set)
        return 1

    def end(self: Stats, row: int, outcome: str, taken: int) -> None:
        written.append(outcome)

    monkeypatch.setattr("coderls.session.tally._GATHERED_S", 0.05)
    monkeypatch.setattr(Stats, "offered", note)
    monkeypatch.setattr(Stats, "ended", end)
    tally = Tally(lambda _uri: None)
    show(tally, MADE)
    tally.changed(typed("y = \n"))
    await asyncio.sleep(0)
    assert not written
    await asyncio.wait_for(came.wait(), 4)
    await asyncio.to_thread(tally.settle)
    assert written == ["shown", "passed"]
    tally.close()


async def test_after_the_end_nothing_is_noted_and_nothing_fails() -> None:
    tally = Tally(lambda _uri: None)
    tally.close()
    tally.close()
    show(tally, MADE)
    tally.changed(typed("x = first(1)\n"))
    assert Stats().summary().shown == 0


async def test_a_locked_file_costs_some_numbers_and_not_all_that_come_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Stats().summary()  # the file is there
    locked = sqlite3.connect(stats_file())
    locked.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr("coderls.session.tally._RESTS_S", 0.0)
    monkeypatch.setattr("coderls.stats.PATIENCE_S", 0.05)
    tally = Tally(lambda _uri: None)
    show(tally, MADE)
    await asyncio.to_thread(tally.settle)
    locked.rollback()
    locked.close()
    tally.changed(typed("y = \n"))
    show(tally, replace(MADE, document=typed("y = \n")))
    tally.close()
    assert Stats().summary().shown == 1
