"""What coderls' context is compared with: windows by Jaccard similarity, and chunks by BM25.

Both read the same files as the index and never the open one.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.context_measure import Hidden
from coderls.document import Piece, Snippet
from coderls.repo_context.languages.language import nearest

_NAME = re.compile(r"[^\W\d]\w+")
_NEIGHBOURS, _WINDOW = 20, 60
_CHUNK, _K1, _B = 40, 1.2, 0.75
_QUERY_BEFORE, _QUERY_AFTER = 20, 10

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Corpus:
    """The text of each file of a project, as lines."""

    files: dict[str, list[str]]

    @classmethod
    def read(cls, root: Path, paths: Sequence[str]) -> Corpus:
        """The files at `paths` of `root`."""
        return cls({path: (root / path).read_bytes().decode("utf-8", "replace").split("\n") for path in paths})


class Jaccard:
    """The best window of 60 lines of each of the 20 nearest files, by shared words with the 60 lines before."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._windows: dict[str, list[tuple[int, frozenset[str]]]] = {}

    def context(self, hidden: Hidden, budget: int, count: Count) -> list[Snippet]:
        """Windows in the budget, best first."""
        before = hidden.document.text[: hidden.offset].split("\n")[-_WINDOW:]
        wanted = frozenset(_NAME.findall("\n".join(before)))
        own = hidden.point.path
        ending = own.rpartition(".")[2]
        paths = [path for path in self._corpus.files if path != own and path.endswith(ending)]
        best = []
        for path in nearest(paths, own)[:_NEIGHBOURS]:
            scored = [(_overlap(wanted, words), -start) for start, words in self._of(path)]
            if scored:
                score, start = max(scored)
                best.append((score, path, -start))
        best.sort(key=lambda item: (-item[0], item[1]))
        return _fill([(path, start, _WINDOW) for _, path, start in best], self._corpus, budget, count, "jaccard")

    def _of(self, path: str) -> list[tuple[int, frozenset[str]]]:
        if path not in self._windows:
            rows = self._corpus.files[path]
            starts = range(0, max(1, len(rows) - _WINDOW + 1), 10)
            self._windows[path] = [(s, frozenset(_NAME.findall("\n".join(rows[s : s + _WINDOW])))) for s in starts]
        return self._windows[path]


class Bm25:
    """Chunks of 40 lines of all files, by BM25 with the words of the 20 lines before and 10 after the cursor."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._chunks: list[tuple[str, int]] = []
        self._postings: dict[str, list[tuple[int, int]]] = {}
        self._lengths: list[int] = []
        for path, rows in corpus.files.items():
            for start in range(0, len(rows), _CHUNK):
                words = Counter(_NAME.findall("\n".join(rows[start : start + _CHUNK])))
                number = len(self._chunks)
                self._chunks.append((path, start))
                self._lengths.append(sum(words.values()))
                for word, times in words.items():
                    self._postings.setdefault(word, []).append((number, times))
        self._mean = sum(self._lengths) / max(1, len(self._lengths))

    def context(self, hidden: Hidden, budget: int, count: Count) -> list[Snippet]:
        """Chunks in the budget, best first."""
        before = hidden.document.text[: hidden.offset].split("\n")[-_QUERY_BEFORE:]
        after = hidden.document.text[hidden.offset :].split("\n")[:_QUERY_AFTER]
        scores: dict[int, float] = {}
        for word in set(_NAME.findall("\n".join([*before, *after]))):
            postings = self._postings.get(word, ())
            weight = math.log(1 + (len(self._chunks) - len(postings) + 0.5) / (len(postings) + 0.5))
            for number, times in postings:
                size = 1 - _B + _B * self._lengths[number] / self._mean
                scores[number] = scores.get(number, 0.0) + weight * times * (_K1 + 1) / (times + _K1 * size)
        ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        places = [(*self._chunks[number], _CHUNK) for number, _ in ranked[:400]]
        others = [place for place in places if place[0] != hidden.point.path]
        return _fill(others, self._corpus, budget, count, "bm25")


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one or other else 0.0


def _fill(places: Sequence[tuple[str, int, int]], corpus: Corpus, budget: int, count: Count, how: str) -> list[Snippet]:
    """Whole windows while they fit; the last one is cut to the budget."""
    snippets: list[Snippet] = []
    left = budget
    for path, start, length in places:
        rows = corpus.files[path][start : start + length]
        left -= count(path) + 6
        while rows and count("\n".join(rows) + "\n") > left:
            rows = rows[: len(rows) * 4 // 5]
        if not rows:
            break
        text = "\n".join(rows) + "\n"
        tokens = count(text)
        left -= tokens
        end = start + len(rows)
        piece = Piece("", start, end, how, 0.0, tokens)
        snippets.append(Snippet(path, start, end, text, how, 0.0, tokens, (piece,)))
    return snippets
