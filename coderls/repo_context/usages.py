"""Code elsewhere that is like the code at the cursor: read in the background, found by the names that both have.

The index of windows is in memory; the names in the windows of a file are kept in the database, so that the next start
reads no file for them. It is filled after the definitions are there, from the files that were read first (those near
the open documents) on, and waits while a completion runs.
"""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence, Set
from dataclasses import dataclass

from coderls.repo_context.changes import Changes
from coderls.repo_context.surroundings import Near, Surroundings
from coderls.repo_context.windows import MAX_TEXT, FileWindows, Windows, load_numpy

logger = logging.getLogger(__name__)

#: Names nearest to the cursor that are looked for.
_MAX_NAMES = 50
#: Windows in which names are looked for that may come next, and how many of those.
_MAX_READ = 8
_MAX_EXPECTED = 60
_MAX_TEXTS = 200
#: Lines of a window that are shown.
SHOWN_LINES = 12
_YIELD_S = 0.0005
#: Of the best hit's score.
_MIN_SCORE = 0.3
#: Shorter lines (characters) are alike by chance; a file that shares so many of the others is a copy.
_TELLING = 15
_COPY = 0.5
_PART = 0.8
#: In files with fewer telling lines all lines count: so many, and such a share of the other file's, make a copy.
_FEW, _LEAST, _MOST = 8, 3, 0.6
#: A window with fewer lines of code shows nothing.
_MIN_LINES = 4
#: In a project with fewer windows everything is like everything.
_MIN_WINDOWS = 20
#: What was edited elsewhere is shown when it shares so many names that are so near the cursor.
_SHARED, _NEAR = 4, 0.3
#: How comments and imports begin: files that have nothing to do with each other share them.
_ALIKE = ("#", "//", "*", "/*", "import ", "from ", "use ", "using ", "package ", "export * from", "export {")
_NAME = re.compile(r"[^\W\d]\w+")


@dataclass(frozen=True, slots=True)
class Usage:
    """Lines of another file, and why: `source` is "similar" to those at the cursor (1 for the best) or "recent"."""

    path: str
    start_line: int
    end_line: int
    text: str
    score: float
    source: str = "similar"


class Usages:
    """The windows of one workspace folder. `pause` waits while it should.

    `fetch` gives the text of a file, and `read` its windows; both None where it has nothing to show.
    """

    def __init__(
        self,
        fetch: Callable[[str], str | None],
        read: Callable[[str], FileWindows | None],
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        #: Which files were taken in so far.
        self.changes = Changes()
        self._windows = Windows()
        self._fetch = fetch
        self._read = read
        self._pause = pause
        self._todo: dict[str, None] = {}
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._started = False
        self._closed = False
        self._full = False
        self._texts: OrderedDict[str, list[str]] = OrderedDict()
        self._lines: dict[str, tuple[list[str], frozenset[str]]] = {}

    def note(self, path: str) -> None:
        """This file is new, other, or gone. Returns at once."""
        with self._changed:
            self._todo[path] = None
            self._texts.pop(path, None)
            self._wake()

    def start(self) -> None:
        """Begin to read what was noted."""
        with self._changed:
            self._started = True
            self._wake()

    def settle(self, timeout_s: float) -> bool:
        """Wait until everything noted is read; false when it takes longer than `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._worker is None, timeout_s)

    def close(self) -> None:
        """End the worker."""
        with self._changed:
            self._closed = True
            self._todo.clear()
            worker = self._worker
        if worker is not None:
            worker.join(5.0)

    def at(self, path: str, line: int) -> Usage | None:
        """The lines around a line that was edited."""
        start = max(0, line - SHOWN_LINES // 2)
        rows = self._rows(path)[start : start + SHOWN_LINES]
        return Usage(path, start, start + len(rows), "\n".join(rows), 0.5, "recent") if "".join(rows).strip() else None

    def edited(self, path: str, line: int, near: Near) -> Usage | None:
        """The lines around a line that was edited, when they have something to do with the cursor."""
        usage = self.at(path, line)
        names = {name for name in _NAME.findall(usage.text) if len(name) > 3} if usage else set()
        return usage if sum(near.get(name, 0.0) > _NEAR for name in names) >= _SHARED else None

    def find(
        self, around: Surroundings, own: str, is_copy: Callable[[str], bool], *, favoured: Collection[str] = ()
    ) -> list[Usage]:
        """Windows like the surroundings of a cursor in file `own`, the best first; no two overlap.

        Files in `favoured` count more; there are none of files of which `is_copy` is true.
        """
        if len(self._windows) < _MIN_WINDOWS:
            return []
        nearest = sorted(around.names.items(), key=lambda item: (-item[1], item[0]))[:_MAX_NAMES]
        hits = self._windows.search(dict(nearest), without=(own,), favoured=favoured, limit=2 * _MAX_READ)
        found: list[Usage] = []
        for hit in hits:
            if hit.score < _MIN_SCORE * hits[0].score:
                break
            if is_copy(hit.path) or any(hit.path == old.path and hit.start_line < old.end_line + 5 for old in found):
                continue
            rows = self._rows(hit.path)[hit.start_line : hit.end_line]
            if sum(bool(row.strip()) for row in rows) >= _MIN_LINES:
                score = hit.score / hits[0].score
                found.append(Usage(hit.path, hit.start_line, hit.start_line + len(rows), "\n".join(rows), score))
            if len(found) >= _MAX_READ:
                break
        return found

    def shares_lines(self, path: str, own: OwnLines) -> bool:
        """Whether half of the open file's telling lines stand in `path` too, or nearly all of that file in it.

        Of a file with few of them all lines count: nearly all have to be there, and be most of what is there.
        """
        theirs = self._telling(path)
        shared = len(theirs & own.telling)
        if shared >= max(3, _COPY * len(own.telling)) or shared >= max(8, _PART * len(theirs)):
            return True
        if not own.rows:
            return False
        rows = distinct(self._rows(path))
        return len(rows & own.rows) >= max(_LEAST, _PART * len(own.rows), _MOST * len(rows))

    def _telling(self, path: str) -> frozenset[str]:
        rows = self._rows(path)
        found = self._lines.get(path)
        if found is None or found[0] is not rows:
            if len(self._lines) > _MAX_TEXTS:
                self._lines.clear()
            found = self._lines[path] = rows, telling_lines(rows)
        return found[1]

    def _rows(self, path: str) -> list[str]:
        with self._changed:
            rows = self._texts.get(path)
            if rows is not None:
                self._texts.move_to_end(path)
                return rows
        text = self._fetch(path)
        rows = text.replace("\r\n", "\n").split("\n") if text is not None and len(text) <= MAX_TEXT else []
        with self._changed:
            self._texts[path] = rows
            while len(self._texts) > _MAX_TEXTS:
                self._texts.popitem(last=False)
        return rows

    def _wake(self) -> None:
        if self._started and not self._closed and self._todo and self._worker is None:
            self._worker = threading.Thread(target=self._work, name="coderls-usages", daemon=True)
            self._worker.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._todo:
                    self._worker = None
                    self._changed.notify_all()
                    return
                path = next(iter(self._todo))
                del self._todo[path]
            if self._full and not self._windows.knows(path):
                continue
            self._pause()
            self.changes.note(path)
            try:
                found = self._read(path)
                if found is None:
                    self._windows.drop(path)
                else:
                    self._full = not self._windows.put(path, found)
                    if len(self._windows) >= _MIN_WINDOWS:
                        load_numpy()  # here: the first search should not wait for it
            except Exception:  # one strange file must not end the worker
                logger.exception("A file could not be taken into the index of windows.")
            time.sleep(_YIELD_S)


@dataclass(frozen=True, slots=True)
class OwnLines:
    """Lines of the open file by which copies of it are known: the `telling_lines`; all `rows`, where those are few."""

    telling: Set[str]
    rows: Set[str] = frozenset()

    @classmethod
    def of(cls, text: str) -> OwnLines:
        """Those of a text."""
        rows = text.split("\n")
        telling = telling_lines(rows)
        return cls(telling, distinct(rows) if len(telling) < _FEW else frozenset())


def distinct(rows: Sequence[str]) -> frozenset[str]:
    """All lines, each once and without its indentation, but for empty ones."""
    return frozenset(map(str.strip, rows)) - {""}


def telling_lines(rows: Sequence[str]) -> frozenset[str]:
    """Lines of code that are no imports, and long enough not to be alike by chance."""
    bare = (row.strip() for row in rows)
    return frozenset(row for row in bare if len(row) > _TELLING and not row.startswith(_ALIKE))


def expected_names(usages: Collection[Usage], is_defined: Callable[[str], bool]) -> dict[str, float]:
    """Names in similar code that the project defines, with a strength up to 1."""
    found: dict[str, float] = {}
    for usage in usages:
        for name in set(_NAME.findall(usage.text)):
            found[name] = found.get(name, 0.0) + usage.score
    total = sum(usage.score for usage in usages) or 1.0
    strong: dict[str, float] = {}
    for name, score in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        if len(strong) >= _MAX_EXPECTED:
            break
        if is_defined(name):
            strong[name] = math.sqrt(score / total)
    return strong


def shorten(usage: Usage, near: Near, lines: int = SHOWN_LINES) -> Usage:
    """The lines of a usage that have most to do with the cursor."""
    rows = usage.text.split("\n")
    if len(rows) <= lines:
        return usage
    weights = [sum({name: near.get(name, 0.0) for name in _NAME.findall(row)}.values()) for row in rows]
    start = max(range(len(rows) - lines + 1), key=lambda at: (sum(weights[at : at + lines]), -at))
    text = "\n".join(rows[start : start + lines])
    return Usage(usage.path, usage.start_line + start, usage.start_line + start + lines, text, usage.score)
