from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coderls.document import Document, Snippet
from coderls.repo_context.index import RepositoryIndex
from tests.repo_context.repository import count, open_document, write

MAIN = "from pkg import near\n\nnear.go()\n"
FILES = {
    "pkg/__init__.py": "",
    "pkg/near.py": "from pkg import behind\n\n\ndef go():\n    return behind.deep()\n",
    "pkg/behind.py": "def deep():\n    return 1\n",
    "pkg/beside.py": "def beside():\n    return 2\n",
    "far/away/other.py": "def other():\n    return 3\n",
    "tests/test_near.py": "def test_go():\n    assert True\n",
    "secrets.py": "KEY = 1\n",
    "pkg/main.py": MAIN,
}


@pytest.fixture
def index(tmp_path: Path) -> Iterator[RepositoryIndex]:
    write(tmp_path, FILES)
    made = RepositoryIndex([tmp_path], keep=False)
    made.build()
    made.settle(30)
    yield made
    made.close()


def ask(
    index: RepositoryIndex, root: Path, budget: int = 4_000, previous: list[Snippet] | None = None
) -> tuple[Document, list[Snippet]]:
    document, _ = open_document(root, "pkg/main.py", MAIN)
    index.update(document)
    index.settle(30)
    return document, index.backdrop(document, budget_tokens=budget, count=count, previous=previous or ())


def paths(snippets: list[Snippet]) -> list[str]:
    return [snippet.path for snippet in snippets]


def test_the_whole_workspace_the_closest_files_last(index: RepositoryIndex, tmp_path: Path) -> None:
    _, found = ask(index, tmp_path)
    assert paths(found) == [
        "tests/test_near.py", "far/away/other.py", "pkg/beside.py", "pkg/behind.py", "pkg/near.py"
    ]  # fmt: skip
    assert [snippet.text for snippet in found] == [FILES[snippet.path] for snippet in found]
    assert {piece.source for snippet in found for piece in snippet.pieces} == {"repository"}


@pytest.mark.parametrize("budget", [20, 60, 100, 150])
def test_it_keeps_to_the_budget_and_signatures_come_before_bodies(
    index: RepositoryIndex, tmp_path: Path, budget: int
) -> None:
    _, found = ask(index, tmp_path, budget)
    assert sum(count(snippet.text) + count(snippet.path) for snippet in found) <= budget
    assert sum(snippet.tokens for snippet in found) <= budget
    if len(found) < 5:
        assert all("return" not in snippet.text for snippet in found)
    assert not found or found[-1].path == "pkg/near.py"


def test_what_is_open_what_is_secret_and_copies_are_not_in_it(index: RepositoryIndex, tmp_path: Path) -> None:
    long = MAIN + "".join(f"def function_number_{n}(first, second): ...\n" for n in range(20))
    write(tmp_path, {"old/main.py": long})
    index.refresh(tmp_path / "old" / "main.py")
    beside, _ = open_document(tmp_path, "pkg/beside.py", "def beside(): ...\n")
    index.update(beside)
    document, _ = open_document(tmp_path, "pkg/main.py", long)
    index.update(document)
    index.settle(30)
    found = index.backdrop(document, budget_tokens=4_000, count=count)
    assert not {"pkg/beside.py", "old/main.py", "pkg/main.py", "secrets.py"} & set(paths(found))
    assert "pkg/near.py" in paths(found)


def test_an_edit_moves_only_what_changed_to_the_end(index: RepositoryIndex, tmp_path: Path) -> None:
    _, before = ask(index, tmp_path)
    write(tmp_path, {"pkg/behind.py": "def deep(how):\n    return how\n", "pkg/newer.py": "def newer(): ...\n"})
    for name in ("behind", "newer"):
        index.refresh(tmp_path / "pkg" / f"{name}.py")
    index.settle(30)
    _, after = ask(index, tmp_path, previous=before)
    kept = [snippet for snippet in before if snippet.path != "pkg/behind.py"]
    assert after[: len(kept)] == kept
    assert sorted(paths(after[len(kept) :])) == ["pkg/behind.py", "pkg/newer.py"]
    assert after == ask(index, tmp_path, previous=after)[1]


def test_it_is_not_right_any_more_once_a_file_of_it_is_open_gone_or_ignored(
    index: RepositoryIndex, tmp_path: Path
) -> None:
    document, found = ask(index, tmp_path)
    state = index.state_beside(document)
    assert index.holds(document, found)
    beside, _ = open_document(tmp_path, "pkg/beside.py", "def beside(): ...\n")
    index.update(beside)
    assert not index.holds(document, found)
    assert index.state_beside(document) != state
    index.forget(beside.uri)
    index.settle(30)
    assert index.holds(document, found)
    write(tmp_path, {".ignore": "far/\n"})
    index.refresh(tmp_path / ".ignore")
    index.settle(30)
    assert not index.holds(document, found)
    assert not index.holds(beside, [snippet for snippet in found if snippet.path == "pkg/beside.py"])


def test_files_outside_of_the_workspace_have_none(index: RepositoryIndex) -> None:
    document = Document("untitled:1", "python", 1, "x = 1\n")
    outside = Document("file:///elsewhere/x.py", "python", 1, "x = 1\n", Path("/elsewhere/x.py"))
    assert index.backdrop(outside, budget_tokens=4_000, count=count) == []
    assert not index.holds(outside, [])
    assert index.backdrop(document, budget_tokens=0, count=count) == []
