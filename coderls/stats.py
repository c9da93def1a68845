"""How completions fare, in one SQLite file on this machine: numbers only, no code, no paths, and nothing is sent.

A completion is kept as far as its text is still in the document some time after it was taken. The share of it that is,
after 15 to 600 seconds, says more than the accept alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

# What takes long to import comes with its first use: the server imports this before its reply to `initialize`.
if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

#: Seconds after an accept at which the document is looked at again.
KEPT_AFTER_S = (15, 30, 120, 300, 600)
#: Changed with the table: what a file of another version holds is dropped, not guessed at.
_VERSION = 1
_TABLE = f"""
CREATE TABLE IF NOT EXISTS offers (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    language TEXT NOT NULL,
    model TEXT NOT NULL,
    reused TEXT NOT NULL,
    invoked INTEGER NOT NULL,
    characters INTEGER NOT NULL,
    milliseconds REAL NOT NULL,
    outcome TEXT NOT NULL DEFAULT 'standing',
    taken INTEGER NOT NULL DEFAULT 0,
    {", ".join(f"kept_{seconds} REAL" for seconds in KEPT_AFTER_S)}
)
"""
#: Seconds to wait for another process that writes.
PATIENCE_S = 2.0
#: Matching runs of characters shorter than this are chance.
_CHANCE = 3
_DAY_S = 86_400.0
#: Older numbers go, once in so many offers.
_KEPT_DAYS, _TIDIED_AFTER = 400.0, 1_000
_PIECE = re.compile(r"\w+|\s+|[^\w\s]")
#: `Offered.model` of an edit that no model made: one that followed from others.
NEXT_EDIT = "next edit"


@dataclass(frozen=True, slots=True)
class Offered:
    """A completion that was shown. `reused` as in `Completion`; `milliseconds` from the request to the answer."""

    language: str
    model: str
    reused: str
    invoked: bool
    characters: int
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What the file says of some days. Shares are None where nothing was counted.

    `next_edits`: how many were shown, taken and rejected. They count in nothing else.
    """

    shown: int
    accepted: int
    partly: int
    rejected: int
    characters: int
    without_model: float | None
    p50_ms: float | None
    p95_ms: float | None
    kept: dict[int, float | None]
    by_language: dict[str, tuple[int, int]]
    next_edits: tuple[int, int, int] = (0, 0, 0)


def stats_file() -> Path:
    """Where the numbers are."""
    from coderls.paths import cache_dir  # noqa: PLC0415

    return cache_dir() / "stats.sqlite"


class Stats:
    """The file, opened when first needed. Every call opens and closes it, so several servers can share it.

    Raises sqlite3.Error or OSError where the disk does not play along; nobody needs numbers so much that this should
    stop a completion.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or stats_file()

    def offered(self, offer: Offered) -> int:
        """Note what is shown; its row."""
        names = [field.name for field in fields(Offered)]
        values = [getattr(offer, name) for name in names]
        with self._open() as file:
            marks = ", ".join("?" * (len(names) + 1))
            row = file.execute(
                f"INSERT INTO offers (at, {', '.join(names)}) VALUES ({marks})",
                [time.time(), *values],
            ).lastrowid
            if row and row % _TIDIED_AFTER == 0:
                file.execute("DELETE FROM offers WHERE at < ?", (time.time() - _KEPT_DAYS * _DAY_S,))
        return row or 0

    def ended(self, row: int, outcome: str, taken: int) -> None:
        """What became of it: "accepted", "partly", "rejected" or "passed", and how many characters were taken."""
        with self._open() as file:
            file.execute("UPDATE offers SET outcome = ?, taken = ? WHERE id = ?", (outcome, taken, row))

    def kept(self, row: int, seconds: int, share: float) -> None:
        """The share of what was taken that is still there after `seconds`, one of `KEPT_AFTER_S`."""
        if seconds not in KEPT_AFTER_S:
            raise ValueError(f"kept is looked at after {KEPT_AFTER_S} seconds, not after {seconds}")
        with self._open() as file:
            file.execute(f"UPDATE offers SET kept_{seconds} = ? WHERE id = ?", (share, row))

    def summary(self, days: float = 30.0) -> Summary:
        """The last `days`."""
        since = (time.time() - days * _DAY_S, NEXT_EDIT)
        completions = "FROM offers WHERE at >= ? AND model != ?"
        with self._open() as file:
            counted = dict(file.execute(f"SELECT outcome, COUNT(*) {completions} GROUP BY outcome", since))
            rows = file.execute(f"SELECT milliseconds, reused, taken {completions}", since).fetchall()
            kept = {
                seconds: file.execute(f"SELECT AVG(kept_{seconds}) {completions}", since).fetchone()[0]
                for seconds in KEPT_AFTER_S
            }
            languages = file.execute(
                f"SELECT language, COUNT(*), SUM(outcome IN ('accepted', 'partly')) {completions} "
                "GROUP BY language ORDER BY COUNT(*) DESC, language",
                since,
            ).fetchall()
            edits = dict(
                file.execute("SELECT outcome, COUNT(*) FROM offers WHERE at >= ? AND model = ? GROUP BY outcome", since)
            )
        times = sorted(milliseconds for milliseconds, _, _ in rows)
        return Summary(
            shown=len(rows),
            accepted=counted.get("accepted", 0),
            partly=counted.get("partly", 0),
            rejected=counted.get("rejected", 0),
            characters=sum(taken for _, _, taken in rows),
            without_model=sum(bool(reused) for _, reused, _ in rows) / len(rows) if rows else None,
            p50_ms=times[len(times) // 2] if times else None,
            p95_ms=times[min(len(times) - 1, int(len(times) * 0.95))] if times else None,
            kept=kept,
            by_language={language: (shown, taken) for language, shown, taken in languages},
            next_edits=(sum(edits.values()), edits.get("accepted", 0), edits.get("rejected", 0)),
        )

    def clear(self) -> None:
        """Forget everything."""
        for end in ("", "-wal", "-shm"):
            self._file.with_name(self._file.name + end).unlink(missing_ok=True)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        import sqlite3  # noqa: PLC0415

        self._file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._file, timeout=PATIENCE_S)) as file, file:
            version = file.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                file.execute("DROP TABLE IF EXISTS offers")
            if version != _VERSION:
                file.execute(_TABLE)
                file.execute(f"PRAGMA user_version = {_VERSION}")
            yield file


def kept_share(taken: str, text: str, start: int) -> float:
    """How much of `taken`, which was put in at offset `start` once, is still in `text` near there: 0 to 1."""
    if not taken:
        return 0.0
    reach = 2000 + len(taken)
    near = text[max(0, start - reach) : start + reach]
    if taken in near:
        return 1.0
    from difflib import SequenceMatcher  # noqa: PLC0415

    # By words: by characters it takes ten times as long, and other threads wait meanwhile.
    pieces = _PIECE.findall(taken)
    blocks = SequenceMatcher(None, _PIECE.findall(near), pieces, autojunk=False).get_matching_blocks()
    sizes = (sum(map(len, pieces[block.b : block.b + block.size])) for block in blocks)
    return sum(size for size in sizes if size >= min(_CHANCE, len(taken))) / len(taken)
