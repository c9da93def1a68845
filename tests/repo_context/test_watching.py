from __future__ import annotations

import queue
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coderls.repo_context import upkeep as upkeep_module
from coderls.repo_context import watching as watching_module
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.watching import Watcher
from tests.repo_context.repository import ask, show, write

LONG_S = 20


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    write(root, {"pkg/model.py": "class Item:\n    def old(self): ...\n", "main.py": "", "plain/readme.txt": ""})
    return root


@pytest.fixture
def index(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RepositoryIndex]:
    monkeypatch.setattr(upkeep_module, "_QUIET_S", 0.0)
    made = RepositoryIndex([repo])
    made.build()
    made.watch()
    assert made._watcher is not None
    assert made._watcher.ready(LONG_S)
    yield made
    made.close()


def until(index: RepositoryIndex, holds: Callable[[], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for refreshes, one at a time, until the condition holds."""
    told: queue.Queue[Path] = queue.Queue()
    refresh = index._upkeep.note

    def note(path: Path) -> None:
        refresh(path)
        told.put(path)

    with monkeypatch.context() as patch:
        patch.setattr(index._upkeep, "note", note)
        while not holds():
            told.get(timeout=LONG_S)
            assert index.settle(LONG_S)


def test_changes_new_files_and_new_folders_are_noticed(
    index: RepositoryIndex, repo: Path, monkeypatch: pytest.MonkeyPatch
):
    def seen(text: str, question: str) -> Callable[[], bool]:
        return lambda: text in show(ask(index, repo, "main.py", question))

    write(repo, {"pkg/model.py": "class Item:\n    def changed(self): ...\n"})
    until(index, seen("changed", "from pkg.model import Item\n$0"), monkeypatch)
    write(repo, {"pkg/more.py": "def more(): ...\n"})
    until(index, seen("def more", "from pkg.more import more\n$0"), monkeypatch)
    write(repo, {"fresh/folder/deep.py": "def deep(): ...\n"})
    until(index, seen("def deep", "from fresh.folder.deep import deep\n$0"), monkeypatch)
    write(repo, {"fresh/folder/later.py": "def later(): ...\n"})
    until(index, seen("def later", "from fresh.folder.later import later\n$0"), monkeypatch)
    (repo / "empty/inside").mkdir(parents=True)
    until(index, lambda: repo / "empty/inside" in index._watcher._fresh, monkeypatch)  # type: ignore[union-attr]
    write(repo, {"empty/inside/last.py": "def last(): ...\n"})
    until(index, seen("def last", "from empty.inside.last import last\n$0"), monkeypatch)
    shutil.rmtree(repo / "pkg")
    until(index, lambda: not index._shelves[0].knows("pkg/model.py"), monkeypatch)


def test_only_folders_with_sources_and_those_around_them_are_watched(index: RepositoryIndex, repo: Path):
    write(repo, {"a/b/c.py": ""})
    index.build()
    names = [folder.relative_to(repo).as_posix() for folder in index._source_folders()]
    assert names == [".", "a", "pkg", "a/b"]


def test_more_folders_than_may_be_watched_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watching_module, "MAX_FOLDERS", 2)
    monkeypatch.setattr(watching_module, "_TREES", False)
    folders = [tmp_path, *(tmp_path / f"f{n}" for n in range(4))]
    for folder in folders[1:]:
        folder.mkdir()
    notes: list[str] = []
    told: queue.Queue[Path] = queue.Queue()
    watcher = Watcher([tmp_path], lambda: folders, told.put, notes.append)
    assert watcher.ready(LONG_S)
    assert len(notes) == 1
    assert "Of 5 folders 2 are watched" in notes[0]
    (tmp_path / "f0/new.py").write_text("")
    assert told.get(timeout=LONG_S) == tmp_path / "f0/new.py"
    watcher.close()


def test_a_system_that_refuses_is_said_and_ends_the_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> Iterator[set[object]]:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(watching_module, "watch", refuse)
    notes: queue.Queue[str] = queue.Queue()
    watcher = Watcher([tmp_path], lambda: [tmp_path], lambda path: None, notes.put)
    assert "watch limit" in notes.get(timeout=LONG_S)
    watcher.close()


def test_a_folder_that_goes_away_does_not_end_the_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watching_module, "_TREES", False)
    gone = tmp_path / "gone"
    gone.mkdir()
    asked: list[int] = []

    def folders() -> list[Path]:
        if not asked:
            asked.append(1)
            shutil.rmtree(gone)
            monkeypatch.setattr(Path, "is_dir", lambda self: True)
            return [tmp_path, gone]
        monkeypatch.undo()
        return [tmp_path]

    told: queue.Queue[Path] = queue.Queue()
    watcher = Watcher([tmp_path], folders, told.put, lambda text: None)
    assert watcher.ready(LONG_S)
    (tmp_path / "new.py").write_text("")
    assert told.get(timeout=LONG_S).name == "new.py"
    watcher.close()


def test_folders_without_a_chance_are_not_watched_when_they_come(index: RepositoryIndex, repo: Path):
    write(repo, {".gitignore": "out/\n", "node_modules/m/i.js": "", "out/a.py": "", ".git/x.py": "", "fine/a.txt": ""})
    index.refresh(repo / ".gitignore")
    assert index.settle(LONG_S)
    names = ("node_modules", "node_modules/m", "out", ".git", "fine")
    assert [name for name in names if index._workspace.may_hold_sources(repo / name)] == ["fine"]


def test_a_home_folder_is_not_watched(repo: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "home", lambda: repo)
    index = RepositoryIndex([repo])
    index.build()
    index.watch()
    assert index._watcher is None
    index.close()
