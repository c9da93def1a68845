"""The session's index: its progress bar, and who watches the files."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coderls.repo_context.index import RepositoryIndex
from coderls.session import index_link as link_module
from coderls.session.index_link import IndexLink
from tests.repo_context.repository import write


class PlayedBar:
    def __init__(self) -> None:
        self.reports: list[tuple[str, float]] = []
        self.ended: list[str] = []

    def report(self, detail: str, fraction: float) -> None:
        self.reports.append((detail, fraction))

    def end(self, detail: str = "") -> None:
        self.ended.append(detail)


class PlayedClient:
    """An editor that shows what it is told; `gate` holds back the answer to a wish for a progress bar."""

    def __init__(self) -> None:
        self.logs: list[str] = []
        self.bars: list[PlayedBar] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def log(self, text: str) -> None:
        self.logs.append(text)

    async def progress(self, title: str) -> PlayedBar:
        await self.gate.wait()
        self.bars.append(PlayedBar())
        return self.bars[-1]


async def until(holds: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not holds():  # noqa: ASYNC110 - threads do these things, not tasks
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), 30)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    write(root, {f"m{n}.py": f"def f{n}(): ...\n" for n in range(30)})
    return root


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[RepositoryIndex]:
    """Indexes that were told to watch their files."""
    found: list[RepositoryIndex] = []

    def watch(index: RepositoryIndex) -> None:
        found.append(index)

    monkeypatch.setattr(RepositoryIndex, "watch", watch)
    return found


def linked(client: Any, repo: Path) -> IndexLink:
    link = IndexLink(client, list)
    link.folders = [repo]
    link.start(enabled=True)
    return link


async def closed(link: IndexLink) -> None:
    source = link.source
    link.close()
    if source is not None:
        await asyncio.to_thread(source.close)


async def test_a_bar_is_shown_for_what_takes_a_while(repo: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link_module, "_SHOW_AFTER_S", -1.0)
    client = PlayedClient()
    link = linked(client, repo)
    await until(lambda: bool(client.logs) and bool(client.bars) and bool(client.bars[0].ended))
    assert len(client.bars) == 1
    assert client.logs == client.bars[0].ended
    assert client.logs[0].startswith("The index is ready: 30 definitions in 30 files.")
    await closed(link)


async def test_no_bar_for_what_is_quick(repo: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link_module, "_SHOW_AFTER_S", 1_000.0)
    client = PlayedClient()
    link = linked(client, repo)
    await until(lambda: bool(client.logs))
    assert not client.bars
    await closed(link)


async def test_a_bar_that_comes_too_late_is_taken_away(repo: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link_module, "_SHOW_AFTER_S", -1.0)
    client = PlayedClient()
    client.gate.clear()
    link = linked(client, repo)
    await until(lambda: bool(client.logs))
    client.gate.set()
    await until(lambda: bool(client.bars) and bool(client.bars[0].ended))
    assert client.bars[0].reports == []
    await closed(link)


@pytest.mark.parametrize("told_first", [True, False])
async def test_files_are_watched_where_the_editor_does_not_tell(
    repo: Path, watched: list[RepositoryIndex], told_first: bool
):
    client = PlayedClient()
    link = linked(client, repo)
    if told_first:
        link.watched(by_client=False)
    await until(lambda: bool(client.logs))
    if not told_first:
        assert not watched
        link.watched(by_client=False)
    await until(lambda: bool(watched))
    assert watched == [link.source]
    await closed(link)


async def test_files_are_not_watched_where_the_editor_tells(repo: Path, watched: list[RepositoryIndex]):
    client = PlayedClient()
    link = linked(client, repo)
    link.watched(by_client=True)
    await until(lambda: bool(client.logs))
    assert not watched
    await closed(link)


async def test_what_was_read_is_set_aside_from_the_garbage_collector(repo: Path, monkeypatch: pytest.MonkeyPatch):
    frozen: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    link = linked(PlayedClient(), repo)
    await until(lambda: bool(frozen))
    await closed(link)


async def test_an_index_that_is_closed_is_let_go(repo: Path, monkeypatch: pytest.MonkeyPatch):
    frozen, freeze = list[bool](), gc.freeze
    monkeypatch.setattr(gc, "freeze", lambda: (freeze(), frozen.append(True)))
    link = linked(PlayedClient(), repo)
    await until(lambda: bool(frozen))
    assert link.source is not None
    gone = weakref.ref(link.source)
    link.close()
    await until(lambda: gone() is None)


async def test_another_folder_gets_an_index_of_its_own(repo: Path, tmp_path: Path):
    other = tmp_path / "other"
    write(other, {"a.py": "def a(): ...\n"})
    client = PlayedClient()
    link = linked(client, repo)
    await until(lambda: len(client.logs) == 1)
    link.use([other])
    await until(lambda: len(client.logs) == 2)
    assert "1 definitions in 1 files" in client.logs[1]
    await closed(link)
