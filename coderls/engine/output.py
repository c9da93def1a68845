"""Tokens become text: whole characters only, no stop string, nothing of the required prefix.

A character may be cut over tokens, and so may a stop string; bytes are held back until it is known what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coderls.engine.runner import Sample


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that is final, and the tokens that began in it."""

    text: str = ""
    samples: tuple[Sample, ...] = ()


class OutputText:
    """The output of one candidate, token by token.

    Bytes that can never be UTF-8 are left out: what is shown to a user goes into a file, and U+FFFD does not belong
    there. `stop` strings are looked for after the required prefix.
    """

    def __init__(self, token_bytes: Sequence[bytes], stop: Sequence[str] = (), required_prefix: str = "") -> None:
        self._token_bytes = token_bytes
        self._stop = [text.encode() for text in stop if text]
        self._required = required_prefix.encode()
        self._data = bytearray()  # all bytes so far, the required prefix included
        self._sent = len(self._required)
        self._pending: list[tuple[int, Sample]] = []  # (offset of the first byte, sample), not handed out yet

    @property
    def remaining_prefix(self) -> bytes:
        """What of the required prefix has still to come."""
        return self._required[len(self._data) :]

    def bytes_of(self, token: int) -> bytes:
        """The bytes of a token."""
        return self._token_bytes[token]

    def add(self, sample: Sample) -> tuple[Piece, bool]:
        """Take one token. Returns what became final, and whether a stop string was completed."""
        before = len(self._data)
        self._pending.append((before, sample))
        self._data += self._token_bytes[sample.token]
        cut = self._stop_at(before)
        if cut is not None:
            return self._hand_out(cut), True
        return self._hand_out(self._final()), False

    def finish(self) -> Piece:
        """No more tokens come: what was held back for a stop string is text after all."""
        piece = self._hand_out(_whole(self._data))
        return Piece(piece.text, (*piece.samples, *(sample for _, sample in self._take(len(self._data) + 1))))

    def _stop_at(self, before: int) -> int | None:
        """Offset of the first stop string that the newest bytes completed."""
        found = []
        for stop in self._stop:
            at = self._data.find(stop, max(self._sent, before - len(stop) + 1))
            if at >= 0:
                found.append(at)
        return min(found, default=None)

    def _final(self) -> int:
        """Up to which byte the text is settled: whole characters, and no beginning of a stop string."""
        end = _whole(self._data)
        for stop in self._stop:
            for size in range(min(len(stop) - 1, len(self._data) - self._sent), 0, -1):
                if self._data.endswith(stop[:size]):
                    end = min(end, len(self._data) - size)
                    break
        return end

    def _hand_out(self, end: int) -> Piece:
        if end <= self._sent:
            return Piece()
        text = self._data[self._sent : end].decode(errors="ignore")
        self._sent = end
        return Piece(text, tuple(sample for _, sample in self._take(end)))

    def _take(self, end: int) -> list[tuple[int, Sample]]:
        taken = [entry for entry in self._pending if entry[0] < end]
        self._pending = self._pending[len(taken) :]
        return taken


def _whole(data: bytearray) -> int:
    """The length of `data` without a character that is not complete yet."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:  # a continuation byte: look further for the first
            continue
        needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return len(data) - back if needed > back else len(data)
    return len(data)
