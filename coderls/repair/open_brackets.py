"""Brackets that several lines leave open: closed where the lines that are deeper than the opening one end.

    total = compute(            total = compute(
        first,                      first,
        second                      second
    print(total)                )
                                print(total)

What stands in the brackets is told by indentation, as people read it; a parser judges, as it does over `line_slips.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coderls.fim.brackets import balance
from coderls.fim.languages import language
from coderls.fim.stopping import indentation
from coderls.repair.line_slips import HEADER, PAIRS, Changed, without_comment

#: Open lines that are tried, lines that one may hold, and ends that are tried of a header.
_MOST, _LONGEST, _ENDS = 6, 200, 40
#: Statements of these end with a semicolon always, and of those where the file writes them.
_SEMICOLONS = frozenset({"c", "cpp", "csharp", "java", "php", "rust"})
_OPTIONAL = frozenset({"javascript", "javascriptreact", "typescript", "typescriptreact"})
#: What goes on from a closed bracket, so that nothing is to be put between.
_GOES_ON = ("{", ")", "]", "}", ".", ";", ",", "?", "=>", "->")


def close_open(lines: Sequence[str], at: int, language_id: str) -> Iterator[Changed]:
    """Texts in which brackets that hold deeper lines end with these: those that are open at line `at` (from 0), and
    those that never end."""
    still = [*open_lines(lines, at, language_id), *open_lines(lines, len(lines) - 1, language_id)]
    for first in list(dict.fromkeys(still))[:_MOST]:
        last = _last_inside(lines, first)
        header = language_id == "python" and HEADER.match(lines[first])
        if header and without_comment(lines[first])[0].endswith(":"):
            continue  # its body is what is deeper
        # The body of a header is as deep as what stands in its brackets: the later end that parses is the one.
        for end in range(last, max(first, last - _ENDS), -1) if header else (last,):
            if end > first and lines[end].strip():
                yield from _closed(lines, first, end, language_id)


def open_lines(lines: Sequence[str], upto: int, language_id: str) -> list[int]:
    """The lines that leave a bracket open which is still open after line `upto`, the innermost first.

    Braces count in Python only: elsewhere all that is in a body stands in them.
    """
    stack: list[tuple[str, int]] = []
    quote = ""
    for number, line in enumerate(lines[: upto + 1]):
        own = balance(line + "\n", language_id, quote)
        quote = own.quote
        for closer in own.extra:
            if stack and PAIRS[stack[-1][0]] == closer:
                stack.pop()
        stack += [(opener, number) for opener in own.open]
    return list(dict.fromkeys(n for opener, n in reversed(stack) if opener != "{" or language_id == "python"))


def _last_inside(lines: Sequence[str], first: int) -> int:
    """The last line that is deeper than the line `first`, or the closing bracket right below those."""
    depth, last = indentation(lines[first]), first
    for number in range(first + 1, min(len(lines), first + _LONGEST)):
        text = lines[number].strip()
        if not text:
            continue
        own = indentation(lines[number])
        if own < depth or (own == depth and text[0] not in ")]}"):
            break
        last = number
        if own == depth:
            break
    return last


def _closed(lines: Sequence[str], first: int, end: int, language_id: str) -> Iterator[Changed]:
    """The brackets of the lines `first` to `end` closed, below them where the first line ends with its bracket."""
    own = balance("\n".join(lines[first : end + 1]), language_id)
    if not own.open or own.extra or own.quote:
        return
    closers = "".join(PAIRS[one] for one in reversed(own.open))
    mark = language(language_id).comment[0]
    code, comment = without_comment(lines[end], mark)
    begun = without_comment(lines[first], mark)[0]
    hangs = begun.endswith(tuple(PAIRS)) and indentation(lines[end]) > indentation(lines[first])
    if language_id == "python" and HEADER.match(begun):
        hangs = hangs and not code.endswith(":")
        code, closers = code.removesuffix(":"), closers + ":"
    elif language_id != "python" and code.endswith(";") and own.open[-1] != "{":
        code, closers, hangs = code.removesuffix(";"), closers + ";", False
    else:
        closers += _separator(lines, first, end, language_id)
    if language_id == "go" and not code.endswith(","):
        hangs = False  # a line that ends there would end the statement
    blank = begun[: len(begun) - len(begun.lstrip())]
    made = [lines[end], f"{blank}{closers}{_line_end(lines[end])}"] if hangs else [f"{code}{closers}{comment}"]
    yield "\n".join([*lines[:end], *made, *lines[end + 1 :]]), f"Add {closers!r} after line {end + 1}"


def _separator(lines: Sequence[str], first: int, end: int, language_id: str) -> str:
    """What follows on the closed bracket, by what is around it and below."""
    below = next((line.strip() for line in lines[end + 1 :] if line.strip()), "")
    if below.startswith(_GOES_ON):
        return ""
    if first and open_lines(lines, first - 1, language_id):
        return ","
    optional = language_id in _OPTIONAL and any(line.rstrip().endswith(";") for line in lines)
    return ";" if optional or language_id in _SEMICOLONS else ""


def _line_end(line: str) -> str:
    return "\r" if line.endswith("\r") else ""
