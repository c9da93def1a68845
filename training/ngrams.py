"""Runs of 13 words as numbers: what two texts have in common, and which texts are nearly the same.

The check against benchmarks follows GPT-3's (https://arxiv.org/abs/2005.14165, appendix C): words in lower case,
without punctuation, in runs of 13.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Grams = npt.NDArray[np.uint64]

LENGTH = 13
_WORD = re.compile(r"\w+")
_BASE = np.uint64(0x9E3779B97F4A7C15)
#: Smallest numbers of a text that stand for all of them (https://doi.org/10.1109/SEQUEN.1997.666900).
_SKETCH = 96
_KEYS = 6


def grams(text: str, length: int = LENGTH) -> Grams:
    """The distinct runs of `length` words of a text, as sorted 64-bit numbers: the same on every machine."""
    known: dict[str, int] = {}
    words = np.fromiter((known.setdefault(word, _number(word)) for word in _WORD.findall(text.lower())), np.uint64)
    if len(words) < length:
        return np.empty(0, np.uint64)
    size = len(words) - length + 1
    total = np.zeros(size, np.uint64)
    with np.errstate(over="ignore"):
        for place in range(length):
            total = total * _BASE + words[place : place + size]
        total ^= total >> np.uint64(31)  # the low bits of a product know little of its high ones
        total *= np.uint64(0xBF58476D1CE4E5B9)
    return np.unique(total)


def _number(word: str) -> int:
    data = word.encode("utf-8", "replace")
    return (zlib.crc32(data) << 32) | zlib.adler32(data)


class GramSet:
    """All runs of the texts that must not be trained on."""

    def __init__(self, texts: Iterable[str]) -> None:
        parts = [grams(text) for text in texts]
        self._grams = np.unique(np.concatenate(parts)) if parts else np.empty(0, np.uint64)

    def __len__(self) -> int:
        return len(self._grams)

    def shared(self, found: Grams) -> int:
        """How many of these runs are in the set."""
        if not len(self._grams) or not len(found):
            return 0
        places = np.minimum(np.searchsorted(self._grams, found), len(self._grams) - 1)
        return int(np.count_nonzero(self._grams[places] == found))


class NearDuplicates:
    """Texts that were seen, each by a sketch of its runs of 5 words; asks whether another is nearly one of them.

    Two texts are nearly the same from a Jaccard likeness of `limit` on. The smallest numbers of a sketch are keys: at a
    likeness of 0.7 all six differ in one case of a thousand.
    """

    def __init__(self, limit: float = 0.7) -> None:
        self._limit = limit
        self._sketches: list[Grams] = []
        self._by_key: dict[int, list[int]] = {}

    def is_new(self, text: str) -> bool:
        """Whether no text like this was seen; it counts as seen from now on."""
        sketch = grams(text, 5)[:_SKETCH]
        keys = [int(key) for key in sketch[:_KEYS]]
        candidates = {number for key in keys for number in self._by_key.get(key, ())}
        if any(_likeness(sketch, self._sketches[number]) >= self._limit for number in candidates):
            return False
        for key in keys:
            self._by_key.setdefault(key, []).append(len(self._sketches))
        self._sketches.append(sketch)
        return True


def _likeness(one: Grams, other: Grams) -> float:
    """Jaccard likeness, estimated from the smallest numbers of both together."""
    smallest = np.union1d(one, other)[:_SKETCH]
    both = np.intersect1d(one, other, assume_unique=True)
    return float(np.isin(smallest, both, assume_unique=True).mean()) if len(smallest) else 1.0
