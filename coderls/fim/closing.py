"""Blocks that an answer opens and does not close: the lines that close them.

A model is stopped after some lines, or says only the head of a block. Where the file below closes nothing of it, that
would be cut or withheld; closed it can be taken, and what is missing be written in.
"""

from __future__ import annotations

import re

from coderls.fim.brackets import balance
from coderls.fim.languages import language

_CLOSERS = {"(": ")", "[": "]", "{": "}"}
#: An answer that leaves more lines open is in the middle of something.
_MOST = 3
_BLANKS = re.compile(r"[ \t]*")
_ENDS_STATEMENTS = re.compile(r";[ \t\r]*$", re.MULTILINE)


def closed(text: str, line_before: str, language_id: str, around: str) -> str | None:
    """`text` (lines ended by \\n) with a line for each of its lines that leaves brackets open; None where it leaves no
    block open, or too much. `line_before` is the cursor's line up to the cursor, `around` other code of the file: a
    call is ended by a semicolon where that ends statements so.
    """
    if language(language_id).by_indentation or not language(language_id).quotes:
        return None
    user = balance(line_before, language_id)
    open_now: list[tuple[str, str]] = [("", bracket) for bracket in user.open]  # blanks of the line, bracket
    said = line_before
    for number, line in enumerate(text.split("\n")):
        said += line if number == 0 else f"\n{line}"
        now = balance(said, language_id)
        kept = _common(open_now, now.open)
        if now.quote or now.extra != user.extra or kept < len(user.open):
            return None
        blanks = _BLANKS.match(line_before if number == 0 else line)
        open_now[kept:] = [(blanks.group() if blanks else "", bracket) for bracket in now.open[kept:]]
    opened = open_now[len(user.open) :]
    if not opened or opened[-1][1] != "{":
        return None
    return _with_ends(text, opened, semicolons=_ENDS_STATEMENTS.search(around) is not None)


def _common(left: list[tuple[str, str]], right: tuple[str, ...]) -> int:
    """How many brackets from the outermost on are the same."""
    pairs = zip(left, right, strict=False)
    return next((at for at, (mine, theirs) in enumerate(pairs) if mine[1] != theirs), min(len(left), len(right)))


def _with_ends(text: str, opened: list[tuple[str, str]], *, semicolons: bool) -> str | None:
    ends: list[tuple[str, str]] = []
    for blanks, bracket in reversed(opened):
        if ends and ends[-1][0] == blanks:
            ends[-1] = blanks, ends[-1][1] + _CLOSERS[bracket]
        else:
            ends.append((blanks, _CLOSERS[bracket]))
    if len(ends) > _MOST:
        return None
    return "\n".join([text, *(f"{blanks}{end}{';' if semicolons and ')' in end else ''}" for blanks, end in ends)])
