"""Token ids of texts near by, in the form in which an engine takes them (`EngineClient.give`)."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence

from coderls.lines import unix_lines

#: Tokens of all texts together: what a repository of a hundred files has. More costs memory and gains little.
MOST_TOKENS = 192_000
#: Characters that make so many tokens of code, about.
CHARACTERS = 4 * MOST_TOKENS
#: Between two texts there is this in place of a token.
_GAP = -1
#: Bytes of encoded texts that are kept: several times what is given at once.
_KEPT = 16 << 20


class LocalIds:
    """Encodes texts, and again only those that have changed. `encode` gives the token ids of plain text."""

    def __init__(self, encode: Callable[[str], Sequence[int]]) -> None:
        self._encode = encode
        self._known: OrderedDict[str, tuple[int, bytes]] = OrderedDict()
        self._bytes = 0

    def of(self, texts: Sequence[tuple[str, str]], may: Callable[[], bool] = lambda: True) -> bytes | None:
        """The ids of texts (path, text), four bytes each (little-endian, signed), -1 behind each text.

        Where there are too many the first are left out. A second's work for the first time: call it in a thread. `may`
        is asked before each text; None once it says no.
        """
        parts: list[bytes] = []
        left = MOST_TOKENS
        for path, text in reversed(texts):
            if not may():
                return None
            ids = self._ids(path, text)
            left -= len(ids) // 4
            if left < 0:
                break
            parts.append(ids)
        while self._bytes > _KEPT:
            _, (_, old) = self._known.popitem(last=False)
            self._bytes -= len(old)
        return b"".join(reversed(parts))

    def _ids(self, path: str, text: str) -> bytes:
        known = self._known.get(path)
        if known is None or known[0] != hash(text):
            ids = array("i", [*self._encode(unix_lines(text)), _GAP])
            if ids.itemsize != 4:
                raise ValueError("an int of four bytes is needed")
            self._bytes -= len(known[1]) if known is not None else 0
            known = hash(text), ids.tobytes()
            self._known[path] = known
            self._bytes += len(known[1])
        self._known.move_to_end(path)
        return known[1]
