"""Where the user edited and looked last: what was written a moment ago is likely to be used next."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

_MAX_REGIONS = 16
#: Lines around an edit that belong to it; two places so near are one region.
REACH = 8


@dataclass(frozen=True, slots=True)
class Region:
    """Lines around `line` of a file of one workspace folder; `edited` there, or only looked at."""

    folder: int
    path: str
    line: int
    edited: bool


class Recent:
    """A ring of regions, the latest first: the oldest go, and a place that is visited again comes to the front.

    May be used by any threads.
    """

    def __init__(self, size: int = _MAX_REGIONS) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._regions: list[Region] = []

    def note(self, region: Region) -> None:
        """The user is here now. Looking at what was edited does not change that it was."""
        with self._lock:
            near = [old for old in self._regions if _is_near(old, region)]
            edited = region.edited or any(old.edited for old in near)
            kept = [old for old in self._regions if old not in near]
            self._regions = [Region(region.folder, region.path, region.line, edited), *kept][: self._size]

    def moved(self, folder: int, path: str, line: int, shift: int) -> None:
        """Lines were inserted (or, with a negative shift, taken out) before what follows `line`."""
        with self._lock:
            self._regions = [
                Region(old.folder, old.path, max(line, old.line + shift), old.edited)
                if (old.folder, old.path) == (folder, path) and old.line > line
                else old
                for old in self._regions
            ]

    def drop(self, folder: int, path: str) -> None:
        """Forget a file."""
        with self._lock:
            self._regions = [old for old in self._regions if (old.folder, old.path) != (folder, path)]

    def regions(self, folder: int, *, without: str = "") -> Sequence[Region]:
        """Those of one folder, outside of one file; the latest first."""
        with self._lock:
            return [old for old in self._regions if old.folder == folder and old.path != without]


def _is_near(one: Region, other: Region) -> bool:
    return (one.folder, one.path) == (other.folder, other.path) and abs(one.line - other.line) <= 2 * REACH
