"""Token counts that are remembered: signatures are counted once, not at every key."""

from __future__ import annotations

from collections.abc import Callable

#: Texts whose counts are kept for each tokenizer, and tokenizers.
_MAX_TEXTS, _MAX_TOKENIZERS = 50_000, 4


class Counts:
    """What texts cost, by the functions that count. Not locked: asked by one thread at a time."""

    def __init__(self) -> None:
        self._known: dict[Callable[[str], int], dict[str, int]] = {}

    def of(self, count: Callable[[str], int]) -> Callable[[str], int]:
        """`count` with a memory."""
        if count not in self._known and len(self._known) >= _MAX_TOKENIZERS:
            self._known.clear()
        known = self._known.setdefault(count, {})
        if len(known) > _MAX_TEXTS:
            known.clear()

        def counted(text: str) -> int:
            tokens = known.get(text)
            if tokens is None:
                tokens = known[text] = count(text)
            return tokens

        return counted
