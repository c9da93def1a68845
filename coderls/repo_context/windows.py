"""Windows of code by the names in them, so that code like that at the cursor is found in a millisecond.

A small inverted index of our own: for each name (its CRC-32) the numbers of the windows that hold it, four bytes each,
scored as BM25 does, with each name counted once a window (Robertson and Zaragoza, "The Probabilistic Relevance
Framework", 2009). Measured beside tantivy in BENCHMARKS.md.
"""

from __future__ import annotations

import re
import threading
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import accumulate
from typing import Any

from coderls.repo_context.names import hash_of
from coderls.repo_context.reading import unpacked

#: Longer texts have no windows (characters).
MAX_TEXT = 400_000
#: Lines of a window, and from the begin of one to that of the next.
SIZE, STRIDE = 20, 15
#: Lines that both are multiples of.
_BLOCK = 5
#: Names in windows, all together: four bytes each. More files are left out.
MAX_POSTINGS = 3_000_000
_MAX_LINES = 6_000
#: A name in more windows than this share says nothing.
_COMMON = 0.15
_FEW = 200
#: How much a window with many names is held back (`b` of BM25).
_LENGTH = 0.5
#: How much the windows of favoured files count.
_FAVOUR = 1.3
#: Files that were taken in again and whose names are kept, so that they can be taken out.
_MAX_EDITED = 64
#: More is no record of a file of 1 MB (bytes).
_MAX_RECORD = 16_000_000
_NAME = re.compile(r"[^\W\d]\w+")


@dataclass(frozen=True, slots=True)
class Hit:
    """Lines `start_line` up to `end_line` (not included) of `path`."""

    path: str
    start_line: int
    end_line: int
    score: float


@dataclass(frozen=True, slots=True)
class FileWindows:
    """The hashes of the names in each window of one file; window number i begins at line i * STRIDE."""

    names: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, text: str) -> FileWindows:
        """Those of a text."""
        lines = text.split("\n")[:_MAX_LINES]
        # Windows overlap: names are looked for in blocks that they all are made of.
        blocks = [
            {hash_of(name) for name in set(_NAME.findall("\n".join(lines[at : at + _BLOCK])))}
            for at in range(0, len(lines), _BLOCK)
        ]
        starts = range(0, max(1, len(lines) - 4), STRIDE)
        return cls(tuple(tuple(sorted(set().union(*blocks[at // _BLOCK : (at + SIZE) // _BLOCK]))) for at in starts))

    def to_bytes(self) -> bytes:
        """A record for a store; `from_bytes` reads it.

        32-bit numbers: how many names there are, each hash once (where it came first), how many names each window
        has. Then the windows, as places among those hashes: sorted, and each less the one before it, so that most of
        them are 1 and take next to nothing when they are compressed.
        """
        places: dict[int, int] = {}
        for window in self.names:
            for name in window:
                places.setdefault(name, len(places))
        steps = array("I")
        for window in self.names:
            before = 0
            for place in sorted(places[name] for name in window):
                steps.append(place - before)
                before = place
        numbers = array("I", [len(places), *places, len(self.names), *map(len, self.names), *steps])
        return zlib.compress(numbers.tobytes(), 1)

    @classmethod
    def from_bytes(cls, record: bytes) -> FileWindows:
        """The windows of a record of `to_bytes`. Raises ValueError for anything else."""
        numbers = array("I")
        try:
            numbers.frombytes(unpacked(record, _MAX_RECORD))
            count = numbers[0]
            names, windows = numbers[1 : 1 + count], numbers[1 + count]
            at = 2 + count + windows
            found = []
            for size in numbers[2 + count : at]:
                found.append(tuple(names[place] for place in accumulate(numbers[at : at + size])))
                at += size
        except (ValueError, IndexError, zlib.error) as error:
            raise ValueError(f"this is no record of windows: {error}") from error
        if at != len(numbers) or len(found) != windows:
            raise ValueError("this is no record of windows: its numbers do not add up")
        return cls(tuple(found))


class Windows:
    """The windows of one workspace folder. May be used by any threads."""

    def __init__(self, max_postings: int = MAX_POSTINGS) -> None:
        self._lock = threading.Lock()
        self._max_postings = max_postings
        self._postings: dict[int, array[int]] = {}
        self._size = 0
        self._paths: dict[str, list[int]] = {}
        # By number of window; one whose file is gone has no path.
        self._path_of: list[str | None] = []
        self._start = array("I")
        self._length = array("I")
        self._dead = 0
        self._edited: dict[str, FileWindows] = {}

    def __len__(self) -> int:
        return len(self._path_of) - self._dead

    def put(self, path: str, found: FileWindows) -> bool:
        """Take a file in, or again; false when there is no room any more."""
        with self._lock:
            again = path in self._paths
            self._drop(path)
            if self._size + sum(map(len, found.names)) > self._max_postings:
                return False
            for order, names in enumerate(found.names):
                number = len(self._path_of)
                self._path_of.append(path)
                self._start.append(order * STRIDE)
                self._length.append(len(names))
                self._size += len(names)
                self._paths.setdefault(path, []).append(number)
                for name in names:
                    posting = self._postings.get(name)
                    if posting is None:
                        posting = self._postings[name] = array("I")
                    posting.append(number)
            if again:  # what is edited is edited more often
                self._edited[path] = found
                if len(self._edited) > _MAX_EDITED:
                    del self._edited[next(iter(self._edited))]
        return True

    def drop(self, path: str) -> None:
        """Forget a file."""
        with self._lock:
            self._drop(path)

    def knows(self, path: str) -> bool:
        """Whether this file was taken in."""
        return path in self._paths

    def search(
        self,
        names: Mapping[str, float],
        *,
        without: Collection[str] = (),
        favoured: Collection[str] = (),
        limit: int = 20,
    ) -> list[Hit]:
        """The best windows for weighted names, outside of the files in `without`; ties by path and line."""
        with self._lock:
            count = len(self._path_of)
            if not count:
                return []
            np = load_numpy()
            alive = count - self._dead
            scores = np.zeros(count, dtype=np.float32)
            for name, weight in names.items():
                posting = self._postings.get(hash_of(name))
                if posting is None or (len(posting) > _COMMON * alive and alive > _FEW):
                    continue
                rarity = np.log1p((max(alive - len(posting), 0) + 0.5) / (len(posting) + 0.5))
                scores[np.frombuffer(posting, dtype=np.uint32)] += weight * rarity
            # A copy: while a view of an array is alive, the array cannot grow, and this name outlives the lock.
            lengths = np.array(self._length, dtype=np.float32)
            scores /= 1 - _LENGTH + _LENGTH * lengths / max(1.0, self._size / max(1, alive))
            for path in favoured:
                scores[self._paths.get(path, [])] *= _FAVOUR
            for path in without:
                scores[self._paths.get(path, [])] = 0.0
            best = np.argpartition(-scores, min(3 * limit, count - 1))[: 3 * limit]
            hits = [
                Hit(path, self._start[number], self._start[number] + SIZE, float(scores[number]))
                for number in best.tolist()
                if scores[number] > 0 and (path := self._path_of[number]) is not None
            ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.path, hit.start_line))[:limit]

    def _drop(self, path: str) -> None:
        """Take a file out. Its names still count as ones of windows, but for a file that is edited again and again."""
        numbers = self._paths.pop(path, ())
        known = self._edited.pop(path, None)
        for number, names in zip(numbers, known.names if known else (), strict=False):
            for name in names:
                posting = self._postings[name]
                del posting[bisect_left(posting, number)]
                if not posting:
                    del self._postings[name]
        for number in numbers:
            self._path_of[number] = None
            self._size -= self._length[number]
            self._dead += 1
        if self._dead > 1_000 and self._dead > len(self._path_of) // 2:
            self._compact()

    def _compact(self) -> None:
        """Take out the windows of files that are gone."""
        np = load_numpy()
        kept = [number for number, path in enumerate(self._path_of) if path is not None]
        new = np.full(len(self._path_of), -1, dtype=np.int64)
        new[kept] = np.arange(len(kept))
        for name, posting in list(self._postings.items()):
            numbers = new[np.frombuffer(posting, dtype=np.uint32)]
            left = array("I", numbers[numbers >= 0].astype(np.uint32).tobytes())
            if left:
                self._postings[name] = left
            else:
                del self._postings[name]
        self._path_of = [self._path_of[number] for number in kept]
        self._start = array("I", [self._start[number] for number in kept])
        self._length = array("I", [self._length[number] for number in kept])
        self._paths = {}
        for number, path in enumerate(self._path_of):
            if path is not None:
                self._paths.setdefault(path, []).append(number)
        self._dead = 0


def load_numpy() -> Any:
    """numpy, for the searching: it takes a tenth of a second to import, and many a folder has nothing to search."""
    return import_module("numpy")
