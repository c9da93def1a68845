"""Whether a cursor is in a comment or a string. No grammar needed, so it is known for every language at once."""

from __future__ import annotations

import re
from typing import Literal

from coderls.fim.brackets import unfinished
from coderls.fim.languages import language

Inside = Literal["code", "comment", "string"]

#: So far back the text is read. A longer string or comment is not seen.
_REACH = 20_000
#: A line that begins like this at its first column is hardly ever in a string: reading begins there.
_TOP = re.compile(r"^(?:def|class|async def|import|from|func|fn|pub|impl|struct|export|const|package|#include)\b", re.M)


def inside(text: str, offset: int, language_id: str) -> Inside:
    """What the cursor at `offset` is in. An open quote that its line does not close is a string that is being typed."""
    known = language(language_id)
    if not known.quotes:
        return "code"  # prose
    before = text[_start(text, offset) : offset].replace("\r\n", "\n").replace("\r", "\n")
    found = unfinished(before, language_id)
    if not found:
        return "code"
    return "comment" if found in ("/*", known.comment[0]) else "string"


def _start(text: str, offset: int) -> int:
    if offset <= _REACH:
        return 0
    top = _TOP.search(text, offset - _REACH, offset)
    return top.start() if top else text.rfind("\n", 0, offset - _REACH) + 1
