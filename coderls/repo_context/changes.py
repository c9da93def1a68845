"""Counting changes, so that one can tell whether anything changed but the file that asks."""

from __future__ import annotations

from collections import OrderedDict

#: Files whose own changes are counted apart: those that were asked for last.
_MAX_WATCHED = 64


class Changes:
    """How often anything changed. Not locked: counting is done by one thread at a time."""

    def __init__(self) -> None:
        self._total = 0
        self._own: OrderedDict[str, int] = OrderedDict()

    def note(self, path: str) -> None:
        """File `path` is new, other, or gone."""
        self._total += 1
        if path in self._own:
            self._own[path] += 1

    def besides(self, path: str) -> int:
        """A number that stays the same as long as nothing but `path` changes."""
        own = self._own.get(path)
        if own is None:
            own = self._own[path] = 0
            while len(self._own) > _MAX_WATCHED:
                self._own.popitem(last=False)
        return self._total - own
