"""Where the lines of a text begin, kept up to date by edits in microseconds.

Lines end at `\\n`, `\\r\\n` or a lone `\\r`, as the LSP specification (3.18, "Text Documents") has it: form feeds,
U+2028 and their kind are ordinary characters.

A keystroke in a file of 50,000 lines must not search the whole file for line ends. So the starts are kept in
blocks of some dozens of lines, each relative to its own first line; an edit makes new blocks where it touches the
text, shares all others with the index before it, and shifts one number for each block that follows.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import overload

_LINE_END = re.compile(r"\r\n|\n|\r")
_BLOCK = 64


def unix_lines(text: str) -> str:
    """The text as it stands in prompts: every line ends with a line feed."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


class LineStarts(Sequence[int]):
    """Offsets (in code points) at which the lines of one text begin; the first is 0. Never changes."""

    __slots__ = ("_blocks", "_first_lines", "_length", "_offsets")

    def __init__(self, blocks: list[tuple[int, ...]], offsets: list[int]) -> None:
        """`blocks[i]` holds line starts relative to `offsets[i]`, the offset of its first line."""
        self._blocks = blocks
        self._offsets = offsets
        *self._first_lines, self._length = accumulate(map(len, blocks), initial=0)

    @classmethod
    def of(cls, text: str) -> LineStarts:
        """The index of a whole text."""
        return cls(*_blocks_of([0, *(match.end() for match in _LINE_END.finditer(text))]))

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, line: int) -> int: ...
    @overload
    def __getitem__(self, line: slice) -> list[int]: ...
    def __getitem__(self, line: int | slice) -> int | list[int]:
        if isinstance(line, slice):
            return [self[number] for number in range(*line.indices(self._length))]
        if line < 0:
            line += self._length
        if not 0 <= line < self._length:
            raise IndexError(line)
        block = bisect_right(self._first_lines, line) - 1
        return self._offsets[block] + self._blocks[block][line - self._first_lines[block]]

    def __iter__(self) -> Iterator[int]:
        for offset, block in zip(self._offsets, self._blocks, strict=True):
            for start in block:
                yield offset + start

    def line_of(self, offset: int) -> int:
        """The line that holds `offset`; the last line for offsets past the end."""
        block = max(0, bisect_right(self._offsets, offset) - 1)
        return self._first_lines[block] + bisect_right(self._blocks[block], offset - self._offsets[block]) - 1

    def after(self, start: int, end: int, inserted: int, text: str) -> LineStarts:
        """The index of `text`, which was made by putting `inserted` characters in the place of `start`..`end`.

        The neighbours of the edit are read again too: `\\r` and `\\n` may have met, or been parted.
        """
        first = max(0, bisect_right(self._offsets, max(0, start - 1)) - 1)
        behind = bisect_right(self._offsets, end + 1)  # the first block that the edit does not touch
        shift = inserted - (end - start)
        begin = self._offsets[first]
        stop = self._offsets[behind] + shift if behind < len(self._offsets) else len(text)
        starts = [begin, *(match.end() for match in _LINE_END.finditer(text, begin, stop))]
        if behind < len(self._offsets):
            starts.pop()  # the start of the next block
        blocks, offsets = _blocks_of(starts)
        return LineStarts(
            [*self._blocks[:first], *blocks, *self._blocks[behind:]],
            [*self._offsets[:first], *offsets, *(offset + shift for offset in self._offsets[behind:])],
        )


def _blocks_of(starts: list[int]) -> tuple[list[tuple[int, ...]], list[int]]:
    """Line starts cut into blocks of at most two times _BLOCK, and the offset of each block."""
    cuts = range(0, max(1, len(starts) - _BLOCK // 2), _BLOCK)
    ends = [*cuts[1:], len(starts)]
    pieces = [starts[low:high] for low, high in zip(cuts, ends, strict=True)]
    return [tuple(start - piece[0] for start in piece) for piece in pieces], [piece[0] for piece in pieces]
