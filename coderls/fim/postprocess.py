"""The model's words made into an edit: nothing twice, the editor's indentation and line ends.

A completion is put where the cursor is. Where it already holds what stands after the cursor on the line (the
closing bracket that the editor put there, say) the end of it is cut, or the rest of the line is replaced, whichever
leaves the brackets and quotes of the line whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

from coderls.document import Document
from coderls.fim.brackets import balance
from coderls.fim.languages import language
from coderls.fim.stopping import Gap, indentation, opens_block

_LINE_END = re.compile(r"\r\n|\n|\r")
#: Lines this short, such as `}` or `end`, repeat all over good code.
_TELLING = 4


@dataclass(frozen=True, slots=True)
class Insertion:
    """Put `text` in the place of the document's `start`..`end` (code points; start <= cursor <= end).

    `parses`: it was seen that the file parses with it.
    """

    text: str
    start: int
    end: int
    parses: bool = field(default=False, compare=False)


class Unfit(Enum):
    """Why nothing of an answer can stand at the cursor: the end of a sentence that begins "what the model said"."""

    EMPTY = "is blank, or only the beginning of a comment or string"
    LESS_DEEP = "begins in a line below, less deep than the cursor"
    BELOW = "stands below the cursor already"
    NEIGHBOUR = "is the line above or below the cursor again"
    AFTER = "stands after the cursor already"
    ONE_WORD = "would become one word with the text after the cursor"
    HEADING = "repeats a heading of the prompt"


def postprocess(raw: str, document: Document, offset: int, gap: Gap) -> Insertion | None:
    """As `fitted`, for those who need no reason: None where nothing of worth is left."""
    made = fitted(raw, document, offset, gap)
    return made if isinstance(made, Insertion) else None


def fitted(raw: str, document: Document, offset: int, gap: Gap) -> Insertion | Unfit:
    """`raw` (lines ended by \\n) as an insertion at `offset`, or why nothing of worth is left.

    `raw` has been cut by `stop_at`.
    """
    text = _without_leading_lines(raw.replace("\r\n", "\n").replace("\r", "\n"), gap)
    if not text and raw.strip():
        return Unfit.LESS_DEEP
    text = _without_indentation_twice(text, gap)
    text = whole = _without_loops(_indented_as(text, document, offset))
    text = _without_lines_below(text, document, offset, gap)
    text = text.rstrip("\n") if gap.line_after.strip() else _without_promise(text.rstrip(), gap)
    if _says_nothing(text, gap):
        return Unfit.EMPTY if _says_nothing(whole, gap) else Unfit.BELOW
    if _repeats_neighbour(text, gap):
        return Unfit.NEIGHBOUR
    text, replaced = _joined(text, gap)
    if not replaced and _runs_into_word(text, gap):
        return Unfit.ONE_WORD
    if gap.block and gap.line_after.strip() and not replaced and "\n" in text:
        text = text.rstrip() + "\n" + gap.head[: len(gap.head) - len(gap.head.lstrip())]  # `{}` was opened up
    if not text.strip() and not replaced:
        return Unfit.AFTER
    return Insertion(text.replace("\n", line_end(document, offset)), offset, offset + replaced)


def line_end(document: Document, offset: int) -> str:
    """The line end used nearest before the cursor, or after it; \\n in a text of one line."""
    line = document.line_of(offset)
    start = document.line_starts[line]
    near = document.text[max(0, start - 2) : start] if line else document.text[offset : offset + 10_000]
    ends = _LINE_END.findall(near)
    return (ends[-1] if line else ends[0]) if ends else "\n"


def _without_leading_lines(text: str, gap: Gap) -> str:
    """On an empty line the completion begins on that line, not below it."""
    if gap.line_before.strip() or not text.startswith("\n"):
        return text
    lines = text.split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    body = "\n".join(lines)
    return body[len(gap.line_before) :] if body.startswith(gap.line_before) else ""


def _without_indentation_twice(text: str, gap: Gap) -> str:
    """Where the cursor stands at the line's indentation already, without the blanks that would push its text deeper.

    They stay where the cursor is not yet as deep as the lines around it, or as a block that was opened above it is.
    """
    blanks = len(text) - len(text.lstrip(" \t"))
    here = indentation(gap.line_before + "x")
    if not blanks or not gap.line_before or gap.line_before.strip():
        return text
    deeper = indentation(gap.line_before + text)
    if deeper in (indentation(gap.last_line), indentation(gap.next_line)):
        return text
    if here <= indentation(gap.last_line) and opens_block(gap.last_line, gap.language_id):
        return text
    first, *rest = text.split("\n")
    if all(indentation(line) >= deeper for line in rest if line.strip()):
        rest = [line[blanks:] for line in rest]
    return "\n".join([first[blanks:], *rest])


def _without_promise(text: str, gap: Gap) -> str:
    """Without a backslash that would draw the next line into the last one, where the lines around do not go on so."""
    goes_on = gap.last_line.endswith("\\") or gap.next_line.endswith("\\")
    return text if goes_on or not text.endswith("\\") else text.rstrip("\\").rstrip()


def _indented_as(text: str, document: Document, offset: int) -> str:
    """Leading tabs or spaces of each line as the file has them."""
    lines = text.split("\n")
    if len(lines) == 1:
        return text
    near = document.text[max(0, offset - 8000) : offset] + document.text[offset : offset + 2000]
    tabs, spaces = len(re.findall(r"^\t", near, re.MULTILINE)), len(re.findall(r"^  +\S", near, re.MULTILINE))
    if tabs > spaces:
        unit = 2 if any(indentation(line) % 4 == 2 for line in lines[1:]) else 4
        return "\n".join([lines[0], *(_with_tabs(line, unit) for line in lines[1:])])
    if spaces > tabs:
        widths = [len(match) for match in re.findall(r"^( +)\S", near, re.MULTILINE)]
        unit = min((width for width in widths if width > 1), default=4)
        return "\n".join([lines[0], *(_with_spaces(line, unit) for line in lines[1:])])
    return text


def _with_tabs(line: str, unit: int) -> str:
    blanks = len(line) - len(line.lstrip(" "))
    return "\t" * (blanks // unit) + line[blanks - blanks % unit :]


def _with_spaces(line: str, unit: int) -> str:
    tabs = len(line) - len(line.lstrip("\t"))
    return " " * (unit * tabs) + line[tabs:]


def _without_loops(text: str) -> str:
    """Up to where the model began to repeat itself: a line, or a group of two or three, that comes again at once."""
    lines = text.split("\n")
    for size in (1, 2, 3):
        for start in range(len(lines) - 2 * size + 1):
            group = lines[start : start + size]
            again = lines[start + size : start + 2 * size]
            if group == again and len("".join(group).strip()) >= _TELLING:
                return "\n".join(lines[: start + size])
    return text


def _without_lines_below(text: str, document: Document, offset: int, gap: Gap) -> str:
    """Without last lines that are the first lines below the cursor."""
    lines = text.split("\n")
    _, end = document.line_span(document.line_of(offset))
    below = [line.strip() for line in _LINE_END.split(document.text[end : end + 4000]) if line.strip()]
    if not below or len(lines) < 2:
        return text
    filled = [number for number in range(1, len(lines)) if lines[number].strip()]
    for number in filled:
        tail = [lines[later].strip() for later in filled if later >= number]
        if tail != below[: len(tail)] or not _is_same_place(lines[number], gap.next_line):
            continue
        return "\n".join(lines[:number])
    return text


def _is_same_place(line: str, below: str) -> bool:
    """Whether two lines with the same words are the same line; short ones must stand equally deep."""
    return len(line.strip()) >= _TELLING or indentation(line) == indentation(below)


def _says_nothing(text: str, gap: Gap) -> bool:
    """Whether nothing is there, or no more than the beginning of a comment or string."""
    words = text.strip()
    return not words or words in ('"""', "'''", '"', "'", "`", *language(gap.language_id).comment)


def _repeats_neighbour(text: str, gap: Gap) -> bool:
    """Whether the completion says no more than the line above or below the cursor."""
    first = (gap.line_before + text.lstrip("\n").split("\n")[0] + gap.line_after).strip()
    if len(first) < _TELLING:
        return bool(first) and first == gap.next_line.strip() and "\n" not in text
    return first in (gap.next_line.strip(), gap.last_line.strip())


def _joined(text: str, gap: Gap) -> tuple[str, int]:
    """The text, and how many characters after the cursor it replaces, such that the line comes out whole.

    Tried in order: the end of the text that the rest of the line repeats is cut; the rest of the line is replaced,
    where all of it stands in the text; the text is put before the rest of the line as it is. The first with the
    fewest brackets and quotes without partner is taken.
    """
    rest = gap.line_after.rstrip()
    if not rest.strip():
        return text, 0
    choices = [
        (text[: len(text) - size], 0)
        for size in range(min(len(text), len(rest)), 0, -1)
        if text.endswith(rest[:size]) and _is_overlap(text, rest, size)
    ]
    stripped = rest.strip()
    if stripped in text or _is_subsequence(stripped, text):
        choices.append((text, len(gap.line_after)))
    choices.append((text, 0))
    if gap.line_after[:1].isspace():
        choices = [(choice.rstrip(" \t"), replaced) for choice, replaced in choices]

    def faults(choice: tuple[str, int]) -> int:
        words, replaced = choice
        line = gap.line_before + words + gap.line_after[replaced:] + "\n" + gap.next_line
        return balance(line, gap.language_id).faults

    return min(choices, key=faults)


def _is_overlap(text: str, rest: str, size: int) -> bool:
    """Whether an equal end and start of this size are one and the same: whole words, or all of the rest."""
    if size == len(rest):
        return True
    shared = rest[:size].strip()
    if not shared or not any(char.isalnum() for char in shared):
        return bool(shared)
    cut_word = _is_word(rest[size - 1]) and _is_word(rest[size])
    starts_word = size < len(text) and _is_word(text[-size]) and _is_word(text[-size - 1])
    return not cut_word and not starts_word


def _runs_into_word(text: str, gap: Gap) -> bool:
    """Whether the completion would become one word with what follows, where no word was parted by the cursor."""
    parted = gap.line_before != "" and _is_word(gap.line_before[-1])
    return not parted and _is_word(text[-1:]) and _is_word(gap.line_after[:1])


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


def _is_subsequence(rest: str, text: str) -> bool:
    """Whether `rest` is only closers and punctuation, and all of it comes in `text` in this order."""
    if any(_is_word(char) for char in rest):
        return False
    letters = iter(text)
    return all(char in letters for char in rest if not char.isspace())
