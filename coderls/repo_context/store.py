"""What the index has read, kept between runs: one SQLite database a workspace folder, in the user's cache folder.

Four tables. `files`: path, time of change and size, and the key of what the file held. `contents`: by that key (a
hash of language and bytes) what came of it, and hashes of the names that it defines: all that a warm start reads.
`outlines`: by the same key the outline itself, compressed, read when a completion asks for it. `windows`: the names in
the windows of its text (see `windows.py`), read in the background. A content is parsed once, whatever files hold it,
and whichever branch they are on.

WAL mode (https://sqlite.org/wal.html): two servers may use one database. What one of them has read the other finds. A
database that is damaged or of another version is made anew. One that cannot be written (a full disk, a read-only
folder) is no harm: what is read stays in memory then, and `notes` says so.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from coderls.repo_context.databases import is_busy, is_damage, remove
from coderls.repo_context.outline import FORMAT, Outline, from_bytes
from coderls.repo_context.reading import Stamp, unpacked

logger = logging.getLogger(__name__)

#: Version of the tables, and of the rules that say which files are left out.
LAYOUT = 2
VERSION = LAYOUT * 1_000 + FORMAT
#: `Content.kind` of an outline and of a settings file; others are names of `Reason`.
OUTLINE, SETTINGS = "outline", "settings"

#: A file that was changed so shortly before it was read may change again within one tick of its disk's clock, and keep
#: its size: its stamp proves nothing (git calls such a file racy).
_RACY_NS = 2_000_000_000
_FLUSH_FILES = 256
_FLUSH_S = 1.0
_BUSY_S = 5.0
#: After somebody else has held the database for so long, nothing is written for a while: each try would wait again.
_RESTS_S = 60.0
#: More is no record of a file of 1 MB (bytes; number).
_MAX_RECORD, _MAX_DEFINITIONS = 64_000_000, 1_000_000
_TABLES = """
CREATE TABLE files (path TEXT PRIMARY KEY, mtime_ns INTEGER, size INTEGER, key BLOB) WITHOUT ROWID;
CREATE TABLE contents (key BLOB PRIMARY KEY, kind TEXT, definitions INTEGER, names BLOB) WITHOUT ROWID;
CREATE TABLE outlines (key BLOB PRIMARY KEY, data BLOB);
CREATE TABLE windows (key BLOB PRIMARY KEY, data BLOB);
"""
_ROWS = """
SELECT path, mtime_ns, size, key, kind, definitions, names FROM files JOIN contents USING (key)
WHERE path > ? ORDER BY path LIMIT 2000
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Content:
    """What came of reading some bytes: the number of definitions, and the hashes of their names (see `names.py`)."""

    key: bytes
    kind: str
    definitions: int = 0
    names: bytes = b""


@dataclass(frozen=True, slots=True)
class Row:
    """A file as it was when it was last read."""

    path: str
    stamp: Stamp
    content: Content


def key_of(language: str, data: bytes) -> bytes:
    """The key of the bytes of a file in this language: 16 bytes."""
    return blake2b(data, digest_size=16, person=language.encode()[:16]).digest()


class Store:
    """The records of one workspace folder. May be used by any threads. `file` None: in memory only."""

    def __init__(self, file: Path | None) -> None:
        self.notes: dict[str, None] = {}
        self._file = file
        self._writing = threading.RLock()
        self._reading = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        # Not written yet; where there is no database, for good.
        self._new_rows: dict[str, Row | None] = {}
        self._new_contents: dict[bytes, tuple[Content, bytes]] = {}
        self._new_windows: dict[bytes, bytes] = {}
        self._flushed_at = time.monotonic()
        self._rests_until = float("-inf")
        if file is not None:
            self._open(file)

    @property
    def on_disk(self) -> bool:
        """Whether there is a database."""
        return self._writer is not None

    def rows(self) -> Iterator[Row]:
        """Every file that was read before, in the order of paths."""
        last = ""
        found: list[tuple[Any, ...]]
        nothing: list[tuple[Any, ...]] = []
        while found := self._read(partial(_some_rows, last), nothing):
            for path, mtime_ns, size, *content in found:
                read = _content(*content)
                if read is not None and isinstance(path, str) and isinstance(mtime_ns, int) and isinstance(size, int):
                    yield Row(path, Stamp(mtime_ns, size), read)
            last = found[-1][0]

    def known(self, key: bytes) -> Content | None:
        """What came of reading bytes with this key, if they were read before."""
        new = self._new_contents.get(key)
        if new is not None:
            return new[0]
        text = "SELECT kind, definitions, names FROM contents WHERE key = ?"
        found = self._read(lambda reader: reader.execute(text, (key,)).fetchone(), None)
        return None if found is None else _content(key, *found)

    def outline(self, key: bytes) -> Outline | None:
        """The outline with this key; None when it is lost: the file has to be read again."""
        data = self._data(key)
        try:
            return None if data is None else from_bytes(unpacked(data, _MAX_RECORD))
        except (ValueError, zlib.error) as error:
            logger.warning("A record of the index is damaged: %s", error)
            return None

    def text(self, key: bytes) -> str | None:
        """The text of a settings file with this key; None when it is lost."""
        data = self._data(key)
        try:
            return None if data is None else unpacked(data, _MAX_RECORD).decode()
        except (ValueError, zlib.error):
            return None

    def put(self, path: str, stamp: Stamp, content: Content, data: bytes | None = None) -> None:
        """Keep what came of reading `path`; `data` is its record, None when the content is known already.

        It is written by the next `flush`, or by `flush_when_due`.
        """
        if time.time_ns() - stamp.mtime_ns < _RACY_NS:
            stamp = Stamp(0, stamp.size)
        with self._writing:
            self._new_rows[path] = Row(path, stamp, content)
            if data is not None:
                self._new_contents[content.key] = content, zlib.compress(data, 1) if data else b""

    def windows(self, key: bytes) -> bytes | None:
        """The record of the windows of a text with this key; None where there is none yet."""
        return self._new_windows.get(key) or self._blob("windows", key)

    def put_windows(self, key: bytes, record: bytes) -> None:
        """Keep the record of the windows of a text, where there is a database: it is made fast enough without one."""
        with self._writing:
            if self._writer is not None:
                self._new_windows[key] = record

    def drop(self, path: str) -> None:
        """Forget a file."""
        with self._writing:
            self._new_rows[path] = None

    def flush_when_due(self) -> None:
        """Write what is new, if that is much or some time has passed: writing may wait for the disk."""
        many = max(len(self._new_rows), len(self._new_windows)) >= _FLUSH_FILES
        if many or time.monotonic() - self._flushed_at > _FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Write what is new, where there is a database."""
        with self._writing:
            self._flushed_at = time.monotonic()
            if self._writer is None:
                self._new_rows.clear()  # of use to a later run only
                self._new_windows.clear()
                return
            if not (self._new_rows or self._new_contents or self._new_windows):
                return
            if self._write(self._write_new):
                self._new_rows.clear()
                self._new_contents.clear()
                self._new_windows.clear()

    def sweep(self) -> None:
        """Drop contents that no file has any more, when they are more than those that some have."""

        def drop_unused(writer: sqlite3.Connection) -> None:
            used, kept = (
                writer.execute(f"SELECT count(*) FROM {what}").fetchone()[0]
                for what in ("(SELECT DISTINCT key FROM files)", "contents")
            )
            if kept > 2 * used + 1_000:
                for table in ("contents", "outlines", "windows"):
                    writer.execute(f"DELETE FROM {table} WHERE key NOT IN (SELECT key FROM files)")

        with self._writing:
            self.flush()
            if self._writer is not None:
                self._write(drop_unused)

    def close(self) -> None:
        """Write what is new and let go of the database. What is in memory can still be asked."""
        self.flush()
        with self._writing, self._reading:
            self._disconnect()

    # The database

    def _open(self, file: Path) -> None:
        for again in (False, True):
            try:
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._writer = self._connect(file)
                self._prepare(self._writer)
                self._reader = self._connect(file)
                os.utime(file)  # it is in use: see `drop_unused`
            except (sqlite3.Error, OSError) as error:
                self._disconnect()
                if again or not is_damage(error):
                    self._do_without(error)
                    return
                logger.warning("The index in %s is damaged and made anew: %s", file, error)
                if not remove(file):
                    self._do_without(error)
                    return
            else:
                return

    def _connect(self, file: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA journal_size_limit = 16000000")
        connection.execute("PRAGMA trusted_schema = OFF")
        return connection

    def _prepare(self, writer: sqlite3.Connection) -> None:
        """Make the tables; drop those of another version first. Raises sqlite3.Error."""
        if self._version(writer) == VERSION:
            writer.execute("SELECT path FROM files LIMIT 1")
            return
        writer.execute("BEGIN IMMEDIATE")
        try:
            if self._version(writer) != VERSION:  # another server may have been faster
                names = writer.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
                for (name,) in names:
                    quoted = str(name).replace('"', '""')
                    writer.execute(f'DROP TABLE "{quoted}"')
                for statement in filter(None, (part.strip() for part in _TABLES.split(";"))):
                    writer.execute(statement)
                writer.execute(f"PRAGMA user_version = {VERSION}")
            writer.execute("COMMIT")
        except sqlite3.Error:
            with suppress(sqlite3.Error):
                writer.execute("ROLLBACK")
            raise

    @staticmethod
    def _version(connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def _write_new(self, writer: sqlite3.Connection) -> None:
        contents = [(c.key, c.kind, c.definitions, c.names) for c, _ in self._new_contents.values()]
        outlines = [(content.key, data) for content, data in self._new_contents.values() if data]
        rows = [(r.path, r.stamp.mtime_ns, r.stamp.size, r.content.key) for r in self._new_rows.values() if r]
        gone = [(path,) for path, row in self._new_rows.items() if row is None]
        writer.executemany("INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?)", contents)
        writer.executemany("INSERT OR REPLACE INTO outlines VALUES (?, ?)", outlines)
        writer.executemany("INSERT OR REPLACE INTO windows VALUES (?, ?)", self._new_windows.items())
        writer.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
        writer.executemany("DELETE FROM files WHERE path = ?", gone)

    def _write(self, work: Callable[[sqlite3.Connection], None]) -> bool:
        """Do `work` in one transaction; False when it came to nothing. Called with the lock."""
        writer = self._writer
        if writer is None or time.monotonic() < self._rests_until:
            return False
        try:
            writer.execute("BEGIN IMMEDIATE")
            work(writer)
            writer.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                writer.execute("ROLLBACK")
            if is_busy(error):
                self._rests_until = time.monotonic() + _RESTS_S
                return False  # somebody else writes; next time
            if is_damage(error):
                self._begin_anew(error)
            else:  # what was written before can still be read
                with suppress(sqlite3.Error):
                    writer.close()
                self._writer = None
                self._do_without(error)
            return False
        return True

    def _read(self, ask: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        with self._reading:
            if self._reader is None:
                return otherwise
            try:
                return ask(self._reader)
            except sqlite3.Error as error:
                found = error
        if not is_busy(found):
            with self._writing:
                self._begin_anew(found)
        return otherwise

    def _data(self, key: bytes) -> bytes | None:
        new = self._new_contents.get(key)
        if new is not None:
            return new[1]
        return self._blob("outlines", key)

    def _blob(self, table: str, key: bytes) -> bytes | None:
        text = f"SELECT data FROM {table} WHERE key = ?"
        found = self._read(lambda reader: reader.execute(text, (key,)).fetchone(), None)
        return found[0] if found and isinstance(found[0], bytes) else None

    def _begin_anew(self, error: sqlite3.Error) -> None:
        """A database that cannot be read any more: remove it and make another, or do without."""
        with self._reading:
            self._disconnect()
        if self._file is None:
            return
        logger.warning("The index in %s is damaged and made anew: %s", self._file, error)
        if is_damage(error) and remove(self._file):
            self._open(self._file)
        else:
            self._do_without(error)

    def _do_without(self, error: Exception) -> None:
        logger.warning("The index cannot be kept in %s: %s", self._file, error)
        self.notes[f"The index cannot be kept in {self._file} ({error}): the next start reads everything again."] = None

    def _disconnect(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()
        self._reader = self._writer = None


def _some_rows(after: str, reader: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return reader.execute(_ROWS, (after,)).fetchall()


def _content(key: object, kind: object, definitions: Any, names: object) -> Content | None:
    """What a row of `contents` says; None where SQLite, which takes anything into any column, has something else."""
    if not (isinstance(key, bytes) and isinstance(kind, str) and isinstance(names, bytes)):
        return None
    plausible = isinstance(definitions, int) and 0 <= definitions <= _MAX_DEFINITIONS
    return Content(key, kind, definitions, names) if plausible else None


def names_of(data: bytes) -> array[int]:
    """The hashes that `Content.names` holds; none where their number makes no sense."""
    names = array("I")
    if len(data) % names.itemsize == 0:
        names.frombytes(data)
    return names
