"""Parsers that stay: started once, stopped when they hang, never waited for."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from coderls.errors import CheckerFailed
from coderls.own_parsers import processes as module
from coderls.own_parsers.processes import NotYet, Processes

#: A parser after the protocol of `parse.cjs`: a `!` is an error; `hang` is never answered, at `die` it ends.
PARSER = """
import json, os, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
with (folder / "starts").open("a") as file:
    file.write(f"{os.getpid()}\\n")
while (folder / "wait").exists():
    time.sleep(0.01)
for head in iter(sys.stdin.buffer.readline, b""):
    number, kind, size = head.split()
    text = sys.stdin.buffer.read(int(size)).decode()
    if text == "hang":
        time.sleep(600)
    if text == "die":
        sys.exit(3)
    found = None if text == "?" else text.count("!")
    said = json.dumps({"number": int(number), "found": found}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\\r\\n\\r\\n%b" % (len(said), said))
    sys.stdout.buffer.flush()
"""


@pytest.fixture
def command(tmp_path: Path) -> tuple[str, ...]:
    script = tmp_path / "parser.py"
    script.write_text(PARSER)
    return sys.executable, str(script), str(tmp_path)


@pytest_asyncio.fixture
async def processes() -> AsyncIterator[Processes]:
    made = Processes(patience_s=60.0)
    yield made
    await made.aclose()


def started(folder: Path) -> list[int]:
    file = folder / "starts"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


async def until(condition: Callable[[], object], what: str) -> None:
    for _ in range(3_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(what)


async def until_gone(pid: int) -> None:
    await until(lambda: not psutil.pid_exists(pid), "it is still there")


async def ask(processes: Processes, command: tuple[str, ...], text: str, limit_s: float = 30.0) -> int | None:
    return await processes.found(command, dict(os.environ), "kind", text, limit_s)


async def test_one_process_answers_all(processes: Processes, command: tuple[str, ...], tmp_path: Path) -> None:
    texts = ["", "!", "é😀!!", "x" * 300_000, "?", "\ud83d!"]
    assert [await ask(processes, command, text) for text in texts] == [0, 1, 2, 0, None, 1]
    assert await asyncio.gather(*(ask(processes, command, "!" * number) for number in range(9))) == list(range(9))
    assert len(started(tmp_path)) == 1


async def test_nobody_waits_for_its_start(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "wait").touch()
    processes = Processes()
    for _ in range(3):
        with pytest.raises(NotYet):
            await ask(processes, command, "!")
    (tmp_path / "wait").unlink()
    found = None
    while found is None:
        try:
            found = await ask(processes, command, "!")
        except NotYet:
            await asyncio.sleep(0.01)
    assert found == 1
    [pid] = started(tmp_path)
    await processes.aclose()
    await until_gone(pid)


async def test_a_session_that_ends_while_it_starts_leaves_nothing(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "wait").touch()
    processes = Processes()
    with pytest.raises(NotYet):
        await ask(processes, command, "!")
    await until(lambda: started(tmp_path), "it did not start")
    await processes.aclose()
    await until_gone(started(tmp_path)[0])


async def test_who_is_late_may_go_on_and_who_is_stuck_is_ended(
    processes: Processes, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await ask(processes, command, "!") == 1
    [pid] = started(tmp_path)
    with pytest.raises(CheckerFailed):
        await ask(processes, command, "hang", 0.01)
    assert psutil.pid_exists(pid)
    monkeypatch.setattr(module, "_STUCK_S", 0.0)
    with pytest.raises(CheckerFailed):
        await ask(processes, command, "!", 0.01)
    await until_gone(pid)
    with pytest.raises(NotYet):
        await ask(processes, command, "!")
    assert len(started(tmp_path)) == 1, "it rests, and is not started at every key"


async def test_one_that_ended_or_cannot_be_started_rests(
    processes: Processes, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = (str(tmp_path / "nowhere"),)
    for asked, text in ((command, "die"), (nowhere, "")):
        with pytest.raises(CheckerFailed):
            await ask(processes, asked, text)
        with pytest.raises(NotYet):
            await ask(processes, asked, "!")


async def test_it_leaves_when_nobody_asks(
    processes: Processes, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IDLE_S", 0.01)
    assert await ask(processes, command, "!") == 1
    await until_gone(started(tmp_path)[0])
    monkeypatch.setattr(module, "_IDLE_S", 600.0)
    assert await ask(processes, command, "!!") == 2
    assert len(started(tmp_path)) == 2


async def test_of_questions_side_by_side_the_last_says_when_it_leaves(
    processes: Processes, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IDLE_S", 612.0)
    loop = asyncio.get_running_loop()
    later, leaves = loop.call_later, list[asyncio.TimerHandle]()

    def noted(delay: float, *call: Any, **more: Any) -> asyncio.TimerHandle:
        handle = later(delay, *call, **more)
        if delay == 612.0:
            leaves.append(handle)
        return handle

    monkeypatch.setattr(loop, "call_later", noted)
    await asyncio.gather(*(ask(processes, command, "!") for _ in range(3)))
    assert [handle.cancelled() for handle in leaves] == [True, True, False]
