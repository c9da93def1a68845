"""Which files define a name, in some nine bytes a pair: a dict of lists would take ten times that.

A name is its CRC-32 here. Two names that share one are told apart by whoever looks into the files that are found.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from zlib import crc32

#: Enough that a bucket of a very large repository has a hundred pairs. (Empty ones take no memory.)
_BUCKETS = 1 << 14
_LOW = (1 << 32) - 1
#: Names for which it is kept which files define them.
_MAX_FOUND = 4_000


def hash_of(name: str) -> int:
    """The 32-bit number that stands for `name`."""
    return crc32(name.encode("utf-8", "surrogatepass"))


def hashes_of(names: Iterable[str]) -> array[int]:
    """The numbers of distinct `names`, sorted."""
    return array("I", sorted({hash_of(name) for name in names}))


class NameTable:
    """Pairs of a name's hash and a file's number (both below 2**32)."""

    def __init__(self) -> None:
        self._buckets: list[array[int] | None] = [None] * _BUCKETS
        # What `files` found, by hash: the same names are asked for at every key.
        self._found: dict[int, Sequence[int]] = {}

    def add(self, file: int, hashes: Iterable[int]) -> None:
        """File number `file` defines these names; each is given once."""
        buckets = self._buckets
        for value in hashes:
            bucket = buckets[value % _BUCKETS]
            if bucket is None:
                bucket = buckets[value % _BUCKETS] = array("Q")
            bucket.append(value << 32 | file)
            self._found.pop(value, None)

    def remove(self, file: int, hashes: Iterable[int]) -> None:
        """Take back what `add` was told."""
        for value in hashes:
            bucket = self._buckets[value % _BUCKETS]
            if bucket is not None:
                bucket.remove(value << 32 | file)
                self._found.pop(value, None)

    def files(self, name: str) -> Sequence[int]:
        """Numbers of the files that define `name` (very rarely: or a name of the same hash)."""
        value = hash_of(name)
        found = self._found.get(value)
        if found is None:
            if len(self._found) >= _MAX_FOUND:
                self._found.clear()
            bucket = self._buckets[value % _BUCKETS] or ()
            found = self._found[value] = tuple(pair & _LOW for pair in bucket if pair >> 32 == value)
        return found
