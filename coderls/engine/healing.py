"""Token healing: which tokens may come next while the output must still begin with given bytes.

The cursor is often inside a token. The prompt then ends one token earlier, and the output is made to begin with the
bytes that were taken back: a token may come if it extends the bytes that remain, or is the beginning of them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence


class HealingIndex:
    """The vocabulary sorted by bytes. Building takes a moment; a look-up is far below a millisecond."""

    def __init__(self, token_bytes: Sequence[bytes]) -> None:
        entries = sorted((data, number) for number, data in enumerate(token_bytes) if data)
        self._sorted = [data for data, _ in entries]
        self._ids = array("q", [number for _, number in entries])

    def allowed(self, remaining: bytes) -> array[int]:
        """Ids of the tokens that begin with `remaining` or that `remaining` begins with (the order is fixed)."""
        ids = array("q")
        for size in range(1, len(remaining)):
            ids.extend(self._equal_to(remaining[:size]))
        low = bisect_left(self._sorted, remaining)
        following = _after(remaining)
        high = len(self._sorted) if following is None else bisect_left(self._sorted, following, low)
        ids.extend(self._ids[low:high])
        return ids

    def _equal_to(self, data: bytes) -> array[int]:
        low = high = bisect_left(self._sorted, data)
        while high < len(self._sorted) and self._sorted[high] == data:
            high += 1
        return self._ids[low:high]


def _after(prefix: bytes) -> bytes | None:
    """The smallest bytes that come after everything that begins with `prefix`; None if nothing does."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
