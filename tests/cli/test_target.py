"""FILE:LINE:COLUMN, and the files that it may not name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coderls.cli import target
from coderls.cli.places import Target
from coderls.cli.target import language_id_of, offset_of, read_document, workspace_of
from coderls.errors import DocumentError, UsageError


@pytest.mark.parametrize(
    ("text", "path", "line", "column"),
    [
        ("a.py:3:1", "a.py", 3, 1),
        ("src/a b.py:12:40", "src/a b.py", 12, 40),
        (r"C:\src\a.py:3:1", r"C:\src\a.py", 3, 1),
        ("D:/src/a.py:3:1", "D:/src/a.py", 3, 1),
        ("odd:name.py:3:1", "odd:name.py", 3, 1),
    ],
)
def test_parse(text: str, path: str, line: int, column: int) -> None:
    assert Target.parse(text) == Target(Path(path), line, column)


@pytest.mark.parametrize("text", ["", "a.py", "a.py:3", r"C:\src\a.py:3", ":3:1", "a.py:x:1", "a.py:-1:1", "a.py:1:1:"])
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(ValueError, match="is no FILE:LINE:COLUMN"):
        Target.parse(text)


@pytest.mark.parametrize("text", ["a.py:0:1", "a.py:1:0"])
def test_places_count_from_1(text: str) -> None:
    with pytest.raises(ValueError, match="count from 1"):
        Target.parse(text)


def document(folder: Path, data: bytes) -> Path:
    path = folder / "a.py"
    path.write_bytes(data)
    return path


def test_a_file_as_it_is(tmp_path: Path) -> None:
    path = document(tmp_path, "a = '€'\r\nb\fc\rd\n".encode())
    found = read_document(path)
    assert found.text == "a = '€'\r\nb\fc\rd\n"
    assert (found.language_id, found.path) == ("python", path)


def test_a_byte_order_mark_is_not_text(tmp_path: Path) -> None:
    assert read_document(document(tmp_path, b"\xef\xbb\xbfx = 1\n")).text == "x = 1\n"


def refuses(path: Path) -> str:
    with pytest.raises(DocumentError) as caught:
        read_document(path)
    assert caught.value.todo
    return str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    assert "There is no file" in refuses(tmp_path / "none.py")


def test_a_folder(tmp_path: Path) -> None:
    assert "is a folder" in refuses(tmp_path)


def test_a_name_with_a_nul(tmp_path: Path) -> None:
    assert "cannot be read" in refuses(tmp_path / "a\0b.py") or "There is no file" in refuses(tmp_path / "a\0b.py")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    assert "no regular file" in refuses(tmp_path / "pipe.py")


def test_a_binary(tmp_path: Path) -> None:
    assert "binary" in refuses(document(tmp_path, b"\x7fELF\0\0\1"))


def test_not_utf_8_says_where(tmp_path: Path) -> None:
    assert "byte 5 is 0xe9" in refuses(document(tmp_path, b"caf \xe9\n"))


def test_a_very_long_file(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    assert "has 50 MB; files of up to 10 MB" in refuses(path)


def test_offset(tmp_path: Path) -> None:
    path = document(tmp_path, "é😀\r\nxyz".encode())
    found = read_document(path)
    assert found.text[offset_of(found, Target(path, 1, 2)) :] == "😀\r\nxyz"
    assert found.text[offset_of(found, Target(path, 1, 3)) :] == "\r\nxyz"
    assert offset_of(found, Target(path, 2, 4)) == len(found.text)


@pytest.mark.parametrize(
    ("line", "column", "says"), [(3, 1, "has 2 lines; there is no line 3"), (2, 5, "Columns go from 1 to 4")]
)
def test_past_the_end(tmp_path: Path, line: int, column: int, says: str) -> None:
    path = document(tmp_path, b"x\nabc")
    with pytest.raises(UsageError, match=says):
        offset_of(read_document(path), Target(path, line, column))


@pytest.mark.parametrize(
    ("name", "language"),
    [("a.py", "python"), ("a.tsx", "typescriptreact"), ("a.rb", "ruby"), ("Makefile", "makefile"), ("a", "plaintext")],
)
def test_language(name: str, language: str) -> None:
    assert language_id_of(Path(name)) == language


def test_workspace(tmp_path: Path) -> None:
    (tmp_path / "project" / "src").mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").touch()
    file = tmp_path / "project" / "src" / "a.py"
    assert workspace_of(file) == tmp_path / "project"
    assert workspace_of(file, marks=["no-such-mark-anywhere"]) == file.parent
    assert ".git" in target.ROOT_MARKS
