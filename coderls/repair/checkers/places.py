"""Lines and columns, as the tools count them, become offsets in code points.

Tools differ: columns are bytes (gcc, rustc, go), UTF-16 units (pyright, tsc, eslint) or characters (ruff, mypy), and
lines end at `\\n`, `\\r\\n` and sometimes a lone `\\r` or U+2028.
"""

from __future__ import annotations

import re
from typing import Literal

Unit = Literal["utf-8", "utf-16", "utf-32"]

#: As LSP and Python have it. C, Go and Rust know `\n` alone, with or without a `\r` before it.
LSP_LINES = re.compile(r"\r\n|\n|\r")
UNIX_LINES = re.compile(r"\n")
#: ECMAScript (ECMA-262, 12.3) ends lines at these as well.
SCRIPT_LINES = re.compile(r"\r\n|[\n\r\u2028\u2029]")


class Places:
    """Offsets in one text. Lines and columns count from 0; what lies outside is brought to the nearest place inside."""

    def __init__(self, text: str, unit: Unit, lines: re.Pattern[str] = LSP_LINES) -> None:
        self._text = text
        self._unit = unit
        self._starts = [0, *(match.end() for match in lines.finditer(text))]
        self._plain = text.isascii()

    def offset(self, line: int, column: int) -> int:
        """The offset of a place."""
        if line < 0:
            return 0
        if line >= len(self._starts):
            return len(self._text)
        start = self._starts[line]
        end = self._starts[line + 1] if line + 1 < len(self._starts) else len(self._text)
        return start + self._characters(self._text[start:end], max(0, column))

    def of_unit(self, place: int) -> int:
        """The offset of a place that is counted in units from the start of the text."""
        return self._characters(self._text, max(0, place))

    def _characters(self, text: str, units: int) -> int:
        if self._plain or self._unit == "utf-32":
            return min(units, len(text))
        if self._unit == "utf-8":
            return len(text.encode("utf-8", "surrogatepass")[:units].decode("utf-8", "ignore"))
        return len(text.encode("utf-16-le", "surrogatepass")[: units * 2].decode("utf-16-le", "ignore"))
