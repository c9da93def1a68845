"""The database of the index, in good and bad times."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coderls.repo_context import store as store_module
from coderls.repo_context.databases import database_path, drop_unused
from coderls.repo_context.files import name_hashes
from coderls.repo_context.languages.python import PYTHON
from coderls.repo_context.outline import Outline, to_bytes
from coderls.repo_context.parse import outline
from coderls.repo_context.reading import Stamp
from coderls.repo_context.store import (
    OUTLINE,
    SETTINGS,
    VERSION,
    Content,
    Store,
    key_of,
    names_of,
)

OLD = 1_000_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "index" / "a.sqlite"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    made = Store(file)
    yield made
    made.close()


def put(store: Store, path: str, text: str, mtime_ns: int = OLD) -> tuple[Content, Outline]:
    found = outline(PYTHON, text)
    assert found is not None
    content = Content(key_of("python", text.encode()), OUTLINE, len(found.definitions), name_hashes(found).tobytes())
    store.put(path, Stamp(mtime_ns, len(text)), content, to_bytes(found))
    return content, found


def test_what_is_put_is_there_at_once_after_writing_and_in_another_run(store: Store, file: Path):
    content, found = put(store, "a.py", "def f(x): ...\n")
    for _ in range(2):
        assert store.known(content.key) == content
        assert store.outline(content.key) == found
        store.flush()
    with_other = Store(file)
    (row,) = with_other.rows()
    assert (row.path, row.stamp, row.content) == ("a.py", Stamp(OLD, 14), content)
    assert with_other.outline(content.key) == found
    assert names_of(content.names) == name_hashes(found)
    with_other.close()


def test_files_that_were_dropped_do_not_come_back(store: Store, file: Path):
    put(store, "a.py", "def f(): ...\n")
    put(store, "b.py", "def g(): ...\n")
    store.flush()
    store.drop("a.py")
    store.flush()
    assert [row.path for row in store.rows()] == ["b.py"]


def test_rows_come_in_batches(store: Store):
    text = "def f(): ...\n"
    for n in range(4_500):
        put(store, f"m{n:05}.py", text)
    store.flush()
    assert [row.path for row in store.rows()] == [f"m{n:05}.py" for n in range(4_500)]


def test_a_file_that_was_just_written_is_read_again_next_time(store: Store):
    """It may change once more within the tick of the disk's clock, and keep its size."""
    now = time.time_ns()
    put(store, "fresh.py", "def f(): ...\n", mtime_ns=now)
    put(store, "old.py", "def f(): ...\n", mtime_ns=now - 10_000_000_000)
    store.flush()
    assert {row.path: row.stamp.mtime_ns for row in store.rows()} == {"fresh.py": 0, "old.py": now - 10_000_000_000}


def test_settings_texts(store: Store):
    content = Content(key_of(SETTINGS, b"{}"), SETTINGS)
    store.put("tsconfig.json", Stamp(OLD, 2), content, b"{}")
    assert store.text(content.key) == "{}"
    store.flush()
    assert store.text(content.key) == "{}"
    assert store.text(b"unknown") is None


def test_unused_contents_are_swept_when_they_are_many(store: Store):
    for n in range(3_000):
        put(store, "a.py", f"def f{n}(): ...\n")
    last, _ = put(store, "a.py", "def last(): ...\n")
    store.sweep()
    assert store.known(last.key) == last
    assert store.known(key_of("python", b"def f7(): ...\n")) is None


@pytest.mark.parametrize("damage", ["text", "half", "zeroes", "empty", "tables", "other_version", "folder_of_it"])
def test_a_damaged_or_older_database_is_made_anew(file: Path, damage: str, caplog: pytest.LogCaptureFixture):
    first = Store(file)
    for n in range(500):
        put(first, f"m{n}.py", f"def f{n}(): ...\n")
    first.close()
    if damage == "text":
        file.write_text("this is no database " * 1_000)
    elif damage == "half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif damage == "zeroes":
        data = file.read_bytes()
        file.write_bytes(data[:100] + bytes(len(data) - 100))
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "folder_of_it":
        file.unlink()
        file.parent.rmdir()
    else:
        connection = sqlite3.connect(file)
        if damage == "tables":
            connection.execute("DROP TABLE files")
        else:
            connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        connection.commit()
        connection.close()
    again = Store(file)
    assert list(again.rows()) == [] or damage == "half"
    content, found = put(again, "new.py", "def new(): ...\n")
    again.flush()
    list(again.rows())
    put(again, "new.py", "def new(): ...\n")
    again.close()
    third = Store(file)
    assert "new.py" in [row.path for row in third.rows()]
    assert third.outline(content.key) == found
    assert third.on_disk
    third.close()


def test_damage_while_it_is_open(store: Store, file: Path):
    content, _ = put(store, "a.py", "def f(): ...\n")
    store.flush()
    for name in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        name.write_bytes(b"\xff" * 50_000)
    store._reader.close()  # type: ignore[union-attr]
    store._reader = sqlite3.connect(file, check_same_thread=False)
    assert store.outline(content.key) is None
    again, found = put(store, "b.py", "def g(): ...\n")
    store.flush()
    assert store.outline(again.key) == found


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE contents SET definitions = -1",
        "UPDATE contents SET definitions = 'many'",
        "UPDATE contents SET names = 'f'",
        "UPDATE contents SET kind = NULL",
        "UPDATE files SET mtime_ns = 'late'",
        "UPDATE files SET size = NULL",
        "UPDATE files SET path = X'ff'",
    ],
)
def test_a_row_of_something_else_is_passed_over(store: Store, file: Path, change: str):
    put(store, "a.py", "def f(): ...\n")
    store.flush()
    other = sqlite3.connect(file)
    other.execute(change)
    other.commit()
    other.close()
    assert list(store.rows()) == []


def test_a_record_that_unpacks_without_an_end_is_lost(store: Store, monkeypatch: pytest.MonkeyPatch):
    content, found = put(store, "a.py", "def f(): ...\n" + "# more\n" * 1_000)
    assert store.outline(content.key) == found
    monkeypatch.setattr(store_module, "_MAX_RECORD", 20)
    assert store.outline(content.key) is None


def test_a_damaged_record_is_lost_not_fatal(store: Store):
    content, _ = put(store, "a.py", "def f(): ...\n")
    store.flush()
    assert store._writer is not None
    for data in (b"", b"nonsense", None, "text"):
        store._writer.execute("UPDATE outlines SET data = ?", (data,))
        assert store.outline(content.key) is None


def test_a_full_disk_does_no_harm(store: Store, file: Path):
    content, found = put(store, "a.py", "def f(): ...\n")
    store.flush()
    assert store._writer is not None
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count = {pages}")  # what SQLite says then is what it says of a full disk
    kept = [put(store, f"m{n}.py", f"def f{n}({'x' * 3000}{n}): ...\n" * 20) for n in range(100)]
    store.flush()
    assert not store.on_disk
    assert any("cannot be kept" in note and "full" in note for note in store.notes)
    assert store.outline(content.key) == found  # what was written before
    assert all(store.outline(content.key) == found for content, found in kept)
    store.flush()


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX permissions")
def test_only_the_user_can_read_it(store: Store, file: Path):
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_cache_that_is_no_folder(tmp_path: Path):
    (tmp_path / "index").write_text("a file")
    store = Store(tmp_path / "index" / "a.sqlite")
    content, found = put(store, "a.py", "def f(): ...\n")
    store.flush()
    assert store.outline(content.key) == found
    assert (store.on_disk, len(store.notes)) == (False, 1)
    store.close()


def test_two_servers_write_at_once(file: Path):
    stores = [Store(file), Store(file)]

    def work(number: int) -> None:
        for n in range(600):
            put(stores[number], f"{number}/m{n}.py", f"def f{n}(): ...\n")
            if n % 50 == 0:
                stores[number].flush()
        stores[number].close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    again = Store(file)
    rows = list(again.rows())
    assert len(rows) == 1_200
    assert all(again.outline(row.content.key) is not None for row in rows)
    again.close()


def test_a_server_that_finds_the_database_busy_writes_later(store: Store, file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store_module, "_BUSY_S", 0.01)
    second = Store(file)
    assert store._writer is not None
    store._writer.execute("BEGIN IMMEDIATE")
    content, found = put(second, "a.py", "def f(): ...\n")
    second.flush()
    assert list(second.rows()) == []
    assert second.outline(content.key) == found
    store._writer.execute("COMMIT")
    second.flush()
    assert list(second.rows()) == [], "each try would wait again, file after file"
    second._rests_until = 0.0
    second.flush()
    assert [row.path for row in second.rows()] == ["a.py"]
    assert not second.notes
    second.close()


def test_each_folder_has_a_database_of_its_own_however_it_is_reached(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    cache = tmp_path / "cache"
    assert database_path(cache, tmp_path / "a") != database_path(cache, tmp_path / "b")
    if hasattr(os, "symlink") and sys.platform != "win32":
        (tmp_path / "link").symlink_to("a")
        assert database_path(cache, tmp_path / "link") == database_path(cache, tmp_path / "a")


def test_the_same_bytes_in_another_language_are_another_content():
    assert key_of("c", b"int x;") != key_of("cpp", b"int x;")


def test_databases_that_nobody_uses_are_removed_and_the_others_are_not(store: Store, file: Path):
    other = file.with_name("other.sqlite")
    Store(other).close()
    os.utime(other, (1, 1))
    os.utime(file, (1, 1))
    Store(file).close()  # it is used again
    drop_unused(file.parent)
    assert (file.exists(), other.exists()) == (True, False)
    drop_unused(file.parent / "gone")
