"""Where the last tokens occurred before: an index of tokens that grows as they come, and never makes anybody wait.

What was just said or is in the prompt often comes again. `TokenIndex.after` looks for the last place where the newest
tokens stood before, and says what followed there. It is a plain dictionary from each three tokens in a row to the
place after them, in pieces: a long prompt is taken in over several steps, the newest part first.
"""

from __future__ import annotations

from collections.abc import Sequence

#: Tokens in a row that have to be the same.
GRAM = 3
#: Tokens of a long sequence that are taken in at a time: about a fifth of a millisecond.
PIECE = 2048
#: How far back a match is measured; longer ones are not told apart.
LONGEST_MATCH = 16

_Gram = tuple[int, ...]


class TokenIndex:
    """One sequence of tokens, searchable."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = list(tokens)
        self._new: dict[_Gram, int] = {}  # of what was added since
        self._pieces: list[dict[_Gram, int]] = []  # of what was there at first, the newest first
        self._unread = len(self.tokens)  # the places before it are in no piece yet

    def add(self, token: int) -> None:
        """Append one token."""
        if len(self.tokens) >= GRAM:
            self._new[tuple(self.tokens[-GRAM:])] = len(self.tokens)
        self.tokens.append(token)

    def take_in(self, most: int = PIECE) -> None:
        """Take at most so many more of the first tokens into the index."""
        low, high = max(GRAM, self._unread - most), self._unread
        if high <= GRAM:
            return
        columns = [self.tokens[low - GRAM + shift : high - GRAM + shift] for shift in range(GRAM)]
        self._pieces.append(dict(zip(zip(*columns, strict=True), range(low, high), strict=True)))
        self._unread = low

    def after(self, last: Sequence[int]) -> tuple[int, int]:
        """The place after the newest occurrence of the end of `last`, and how many tokens before it are the same.

        (0, 0) when there is none. With `last` being these very tokens, their end itself does not count.
        """
        if len(last) < GRAM:
            return 0, 0
        gram = tuple(last[-GRAM:])
        for piece in (self._new, *self._pieces):
            place = piece.get(gram)
            if place is not None:
                return place, self._matching(place, last)
        return 0, 0

    def _matching(self, place: int, last: Sequence[int]) -> int:
        size = GRAM
        end = len(last)
        while size < LONGEST_MATCH and size < min(place, end) and self.tokens[place - size - 1] == last[end - size - 1]:
            size += 1
        return size

    def following(self, place: int, most: int, *, repeat: bool = False) -> list[int]:
        """Up to `most` tokens from `place` on. `repeat`: begin again there at the end, as a loop would go on."""
        found = self.tokens[place : place + most]
        while repeat and 0 < len(found) < most:
            found += found[: most - len(found)]
        return found
