"""Faults that no parser sees: lines that come twice, and lines that stand at the wrong place.

Written without the code that it judges. Both are told by what stands around the completion in the finished text.
"""

from __future__ import annotations

import re

from benchmarks.keystroke.places import Hole

#: Lines with fewer letters and digits than this (`}`, `});`, `end`) come again all over good code.
_TELLING = 4
#: A line after which a deeper one may stand: it opens something, or goes on, or is a head without a brace. ` *` of a
#: comment stands a column deeper than its `/*`.
_OPEN_END = re.compile(r"[({\[,\\]$|[-+*/=&|<>?:.]$|\)$|\b(else|do|return|throws.*)$|^\s*/\*")


def repeats_suffix(hole: Hole, text: str) -> bool:
    """Whether the end of a completion (put in for `hole`, `after` kept) says what follows it already."""
    said = [line.strip() for line in text.split("\n") if line.strip()]
    rest, _, below = hole.after.partition("\n")
    if len(re.findall(r"\w", rest)) >= _TELLING and text.rstrip().endswith(rest.strip()):
        return True
    follows = [line.strip() for line in below.split("\n") if line.strip()]
    hidden = [line.strip() for line in hole.hidden.split("\n") if line.strip()]
    if not said or not follows or rest.strip():
        return False
    first_is_whole = not hole.before.rpartition("\n")[2].strip()
    for size in range(1, len(said) + (1 if first_is_whole else 0)):
        tail = said[len(said) - size :]
        if tail == follows[:size] and len(re.findall(r"\w", "".join(tail))) >= _TELLING:
            return hidden[-size:] != tail  # the author may have written it twice
    return False


def is_badly_indented(hole: Hole, text: str) -> bool:
    """Whether a later line of a completion stands where its language's habit, and this file, would not have it.

    A line may stand as deep as the one before it, one step deeper where that one opens something, and as deep as any
    line above where blocks end. Tabs and blanks are those of the file.
    """
    lines = text.split("\n")
    if len(lines) < 2:
        return False
    uses_tabs = len(re.findall(r"^\t", hole.text, re.MULTILINE)) > len(re.findall(r"^  ", hole.text, re.MULTILINE))
    above = hole.before.split("\n")[:-1]
    first = hole.before.rpartition("\n")[2] + lines[0]
    depths = [_depth(line) for line in above if line.strip()]
    shallower = set(depths)
    previous = first if first.strip() else next((line for line in reversed(above) if line.strip()), "")
    for line in lines[1:]:
        if not line.strip():
            continue
        blanks = re.match(r"\s*", line)[0]  # type: ignore[index]
        if ("\t" in blanks) != uses_tabs and blanks:
            return True
        shallower.add(_depth(previous))
        depth, last = _depth(line), _depth(previous)
        if depth > last and not _OPEN_END.search(_code(previous, hole.language_id)):
            return True
        if depth < last and depth not in shallower:
            return True
        previous = line
    return False


def _code(line: str, language_id: str) -> str:
    """The line without a comment at its end. A mark in a string is taken for one, too, but `#` in Python only."""
    return re.sub(r"\s*(#.*)$" if language_id == "python" else r"\s*(//.*|/\*.*\*/)$", "", line).rstrip()


def _depth(line: str) -> int:
    expanded = line.expandtabs(4)
    return len(expanded) - len(expanded.lstrip())
