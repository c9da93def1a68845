"""Whole texts near a file, for what is counted in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coderls.document import Document
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.local import around
from tests.repo_context.repository import open_document, write
from tests.repo_context.test_backdrop import FILES, MAIN

_ALL = 100_000


@pytest.fixture
def index(tmp_path: Path) -> Iterator[RepositoryIndex]:
    write(tmp_path, {**FILES, "notes.md": "def no_code(): ...\n", ".env": "TOKEN=1\n"})
    made = RepositoryIndex([tmp_path], keep=False)
    made.build()
    made.settle(30)
    yield made
    made.close()


def test_all_code_is_there_the_closest_last_and_the_document_as_it_is_now(
    index: RepositoryIndex, tmp_path: Path
) -> None:
    document, _ = open_document(tmp_path, "pkg/main.py", MAIN + "# and more\n")
    beside, _ = open_document(tmp_path, "pkg/beside.py", "def unsaved(): ...\n")
    index.update(document)
    index.update(beside)
    index.settle(30)
    found = index.local_texts(document, MAIN.index("near.go()") + 5, _ALL)
    assert [path for path, _ in found] == [
        "tests/test_near.py", "far/away/other.py", "pkg/beside.py", "pkg/behind.py", "pkg/near.py",
        "pkg/main.py", "pkg/main.py (below)",
    ]  # fmt: skip
    texts = dict(found)
    assert texts["pkg/main.py"] == "from pkg import near\n\n", "the line of the cursor is left out"
    assert texts["pkg/main.py (below)"] == "# and more\n"
    assert texts["pkg/beside.py"] == "def unsaved(): ...\n"
    assert texts["pkg/near.py"] == FILES["pkg/near.py"]


def test_a_copy_of_the_document_is_not_among_them(index: RepositoryIndex, tmp_path: Path) -> None:
    long = MAIN + "".join(f"def function_number_{n}(first, second): ...\n" for n in range(20))
    write(tmp_path, {"old/main.py": long})
    index.refresh(tmp_path / "old" / "main.py")
    index.settle(30)
    document, _ = open_document(tmp_path, "pkg/main.py", long.replace("function_number_7", "changed"))
    assert "old/main.py" not in dict(index.local_texts(document, 0, _ALL))


def test_no_more_is_taken_than_fits_and_no_file_crowds_the_others_out(index: RepositoryIndex, tmp_path: Path) -> None:
    write(tmp_path, {"pkg/near.py": "def go(): ...\n" + "# data\n" * 400})
    index.refresh(tmp_path / "pkg" / "near.py")
    index.settle(30)
    document, _ = open_document(tmp_path, "pkg/main.py", MAIN)
    found = dict(index.local_texts(document, 0, 200))
    assert "pkg/near.py" not in found
    assert set(found) > {"pkg/main.py", "pkg/behind.py"}
    assert sum(len(text) for path, text in found.items() if not path.startswith("pkg/main.py")) <= 200
    end = len(MAIN)
    assert index.local_texts(document, end, 0) == [("pkg/main.py", MAIN), ("pkg/main.py (below)", "")]


def test_little_is_read_where_little_fits(
    index: RepositoryIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {f"pkg/many{number:02}.py": "def many(): ...\n" + "# x\n" * 100 for number in range(40)}
    write(tmp_path, many)
    for path in many:
        index.refresh(tmp_path / path)
    index.settle(30)
    read: list[str] = []
    kept = index._workspace.read
    monkeypatch.setattr(index._workspace, "read", lambda number, path: read.append(path) or kept(number, path))
    document, _ = open_document(tmp_path, "pkg/main.py", MAIN)
    index.local_texts(document, 0, 300)
    assert len([path for path in read if path in many]) < 25
    read.clear()
    asked = iter([True, True])
    index.local_texts(document, 0, _ALL, lambda: next(asked, False))
    assert len(read) == 2


def test_of_a_long_document_there_is_what_is_near_the_cursor() -> None:
    text = "".join(f"line_{number}\r\n" for number in range(100_000))
    at = text.index("line_60000")
    (path, above), (_, below) = around(Document("file:///a.py", "python", 1, text), at + 3, "a.py")
    assert path == "a.py"
    assert above.endswith("line_59999\r\n")
    assert below.startswith("line_60001\r\n")
    assert len(above) == len(below) < 200_000


def test_documents_elsewhere_and_of_other_languages_have_none(index: RepositoryIndex) -> None:
    outside = Document("file:///elsewhere/x.py", "python", 1, "x = 1\n", Path("/elsewhere/x.py"))
    assert index.local_texts(outside, 0, _ALL) == []
    assert index.local_texts(Document("untitled:1", "plaintext", 1, "x = 1\n"), 0, _ALL) == []
