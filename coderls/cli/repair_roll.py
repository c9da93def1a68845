"""Which complaints a file had before anything was repaired: `--apply` tells of the same ones as a look does.

A repair changes what is there to complain about. What it mends beside its own complaint is mended, too; what was
hidden behind it, such as all of a file that could not be parsed, has come to light and is counted by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from coderls.document import Document, Edit
from coderls.repair.diagnostic import Diagnostic, shifted

#: A complaint is known again by its rule, its words and its place.
_Key = tuple[str, str, int]


@dataclass
class Roll:
    """The complaints of one file that were not told yet, by what they are known by in its present version."""

    document: Document | None = None
    _left: dict[_Key, Diagnostic] = field(default_factory=dict)

    def gone(self, document: Document, complaints: Sequence[Diagnostic]) -> list[Diagnostic]:
        """Those of the first version that are not among the `complaints` of this one any more."""
        if self.document is None:
            self.document = document
            self._left = {_key(complaint): complaint for complaint in complaints}
        now = {_key(complaint) for complaint in complaints}
        return [self._left.pop(key) for key in list(self._left) if key not in now]

    def place(self, complaint: Diagnostic) -> int:
        """Where a complaint that is told now was in the first version; -1 for one that came to light later."""
        known = self._left.pop(_key(complaint), None)
        return -1 if known is None else known.start

    def moved(self, edits: Sequence[Edit]) -> None:
        """The file has a new version."""
        self._left = {(*key[:2], shifted(key[2], edits)): one for key, one in self._left.items()}


def _key(complaint: Diagnostic) -> _Key:
    return complaint.rule, complaint.key.message, complaint.start
