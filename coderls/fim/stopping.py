"""How much of the model's answer is wanted: one line, or the block that the cursor is to fill.

Works on lines, indentation and brackets, so it serves every language and half-written code. `stop_at` is asked
after each piece of the stream: as soon as it knows the end, the stream is closed and the engine stops.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from coderls.document import Document
from coderls.fim.brackets import Balance, balance, closers_at
from coderls.fim.languages import language

#: A line that keeps a bracket open may go on for so many lines.
_MOST_CONTINUED = 8
#: A block that the answer opened by itself may have so many lines; one that the user opened, so many.
_MOST_OPENED = 8
_MOST_BLOCK = 24
#: The same words so many times in a row are no answer.
_LOOPS = 4
_LOOKED_AT = 4000

_BRACE_OPENERS = ("{", "(", "[", "=>", "->", "|")
_WORD_OPENERS = re.compile(r"\b(then|do|begin|of|where|else)$")
_CONTINUES_TRY = ("except", "finally", "catch")


@dataclass(frozen=True)
class Gap:
    """What surrounds the cursor. `block`: whether an empty block is to be filled, or else a line.

    `line_before` and `line_after` are the cursor's line; `last_line` is the last line with text above it and
    `next_line` the first one below. `head` is the line that the cursor follows on from (its own, where it has text)
    and `base` the indentation, in columns, that a block ends at.
    """

    language_id: str
    line_before: str
    line_after: str
    last_line: str
    next_line: str
    head: str
    block: bool
    base: int


def gap_at(document: Document, offset: int, multiline: str = "auto") -> Gap:
    """What surrounds `offset`. `multiline` is that of `CompletionSettings`."""
    start, end = document.line_span(document.line_of(offset))
    end = max(offset, end)
    line_before, line_after = document.text[start:offset], document.text[offset:end]
    above = _lines(document.text[max(0, start - _LOOKED_AT) : start])
    below = _lines(document.text[end : end + _LOOKED_AT])
    head = line_before if line_before.strip() else _head(above)
    base = indentation(head)
    opens = opens_block(head, document.language_id)
    block = multiline == "always" or (multiline == "auto" and opens)
    braces = head is line_before and head.rstrip().endswith("{") and line_after.strip().startswith("}")
    block = block and (braces or not line_after.strip()) and not (below and indentation(below[0]) > base)
    if not opens:
        base = indentation(line_before) - 1  # what stands as deep as the cursor belongs to it
    elif line_before and not line_before.strip() and indentation(line_before) <= base:
        block = False  # the cursor is not in the block
    last_line, next_line = (above or [""])[-1], (below or [""])[0]
    return Gap(document.language_id, line_before, line_after, last_line, next_line, head, block, base)


def _lines(text: str) -> list[str]:
    """The lines with text in them."""
    return [line for line in text.replace("\r", "\n").split("\n") if line.strip()]


def _head(lines: list[str]) -> str:
    """The last line above the cursor; over a docstring, the line that the docstring documents."""
    last = lines[-1].strip() if lines else ""
    quote = next((quote for quote in ('"""', "'''") if last.endswith(quote)), "")
    if not quote:
        return lines[-1] if lines else ""
    inside = last == quote or not last.startswith(quote)  # it began on a line above
    for number in range(len(lines) - 2, -1, -1):
        if not inside:
            return lines[number]
        inside = not lines[number].strip().startswith(quote)
    return lines[-1]


def indentation(line: str) -> int:
    """Columns of blanks at the start of the line, tabs to multiples of four."""
    expanded = line.expandtabs(4)
    return len(expanded) - len(expanded.lstrip())


def opens_block(line: str, language_id: str) -> bool:
    """Whether something nested must follow this line."""
    code = balance(line, language_id).code
    if code.endswith(_BRACE_OPENERS[:3]):
        return True
    if language(language_id).by_indentation:
        return code.endswith(":")
    return code.endswith(_BRACE_OPENERS) or bool(language(language_id).quotes and _WORD_OPENERS.search(code))


def stop_at(text: str, gap: Gap, *, final: bool = False) -> int | None:
    """Where in `text` (the answer so far, lines ended by \\n) the wanted part ends; None: not known yet.

    `final`: nothing more will come, so the answer is a number.
    """
    loop = _loop(text)
    if loop is not None:
        return loop
    lines = text.split("\n")
    if final:
        lines.append("")  # the last line is whole
    first = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    if min(first, len(lines) - 1) > 1 and gap.line_before.strip() and not gap.block:
        return 0  # the cursor's line is whole, and so is its paragraph
    reach = _Reach(lines, first, gap)
    if first >= len(lines):
        return len(text) if final else None
    end = reach.block(1 if first == 0 and gap.line_before.strip() else first) if gap.block else reach.line()
    if end is None:
        return len(text) if final else None
    return min(len(text), len("\n".join(lines[:end])))


def _loop(text: str) -> int | None:
    """Where the last line has said once what it then says again and again; None where it does not."""
    start = text.rfind("\n") + 1
    line = text[start:]
    for size in range(4, len(line) // _LOOPS + 1):
        unit = line[-size:]
        if line.endswith(unit * _LOOPS) and any(char.isalnum() for char in unit):
            begin = len(line) - _LOOPS * size
            while begin > 0 and line[begin - 1] == line[begin - 1 + size]:
                begin -= 1
            return start + begin + size
    return None


@dataclass(frozen=True)
class _Reach:
    """Finds the line number at which the wanted part ends (not included), or None while it is not known.

    All of `lines` but the last are whole; `first` is the first with text.
    """

    lines: list[str]
    first: int
    gap: Gap

    def line(self) -> int | None:
        """One line, and what must follow it: the rest of open brackets, the block that it opens."""
        for number in range(self.first, min(len(self.lines) - 1, self.first + _MOST_CONTINUED)):
            if number > self.first and self._is_below(number):
                return self._back(number)
            if self._open(number + 1):
                continue
            head = self._line(number)
            if opens_block(head, self.gap.language_id) and not self._nested_below(head):
                return self.block(number + 1, indentation(self._line(self.first)), _MOST_OPENED)
            return number + 1
        return None if len(self.lines) - 1 < self.first + _MOST_CONTINUED else self.first + 1

    def block(self, start: int, base: int | None = None, most: int = _MOST_BLOCK) -> int | None:
        """Lines from `start` that stand deeper than `base`, with the line that closes them."""
        base = self.gap.base if base is None else base
        for number in range(start, len(self.lines)):
            line = self._line(number)
            if number - self.first >= most or self._worthless(number):
                return self._back(number)
            if not line.strip() or indentation(line) > base or self._goes_on(number, base):
                continue
            if not (line.strip()[0] in ")]}" or line.strip() == "end") or not self._open(number):
                return self._back(number)
            if number == len(self.lines) - 1:
                return None
            if not self._open(number + 1):
                return number + 1
        return None

    def _back(self, number: int) -> int:
        """Without the empty lines before line `number`."""
        while number > self.first + 1 and not self.lines[number - 1].strip():
            number -= 1
        return number

    def _line(self, number: int) -> str:
        return (self.gap.line_before if number == 0 else "") + self.lines[number]

    def _balance(self, end: int) -> Balance:
        return balance(self.gap.line_before + "".join(f"{line}\n" for line in self.lines[:end]), self.gap.language_id)

    def _open(self, end: int) -> bool:
        """Whether the lines up to `end` leave something open that the text after the cursor does not close."""
        before = balance(self.gap.line_before, self.gap.language_id)
        closed_after = closers_at(f"{self.gap.line_after}\n{self.gap.next_line}")
        now = self._balance(end)
        return len(now.open) > min(len(before.open), closed_after) or bool(now.quote)

    def _nested_below(self, head: str) -> bool:
        return bool(self.gap.next_line) and indentation(self.gap.next_line) > indentation(head)

    def _goes_on(self, number: int, base: int) -> bool:
        """Whether a line that does not stand deeper still belongs: in a string, or a try's other half."""
        if self._balance(number).quote:
            return True
        heads = [self._line(line) for line in range(number) if indentation(self._line(line)) == base]
        tried = any(head.strip().startswith("try") for head in (*heads, self.gap.head))
        if not tried or self.gap.next_line.strip().startswith(_CONTINUES_TRY):
            return False
        line = self.lines[number].strip()
        coming = number == len(self.lines) - 1 and any(word.startswith(line) for word in _CONTINUES_TRY)
        return coming or line.startswith(_CONTINUES_TRY)

    def _is_below(self, number: int) -> bool:
        """Whether the answer has come to the line that stands below the cursor already."""
        line = self.lines[number].strip()
        return line == self.gap.next_line.strip() and len(line) > 2

    def _worthless(self, number: int) -> bool:
        """Whether the answer goes round in circles here, leaves a gap, or has come to what is there already."""
        line = self.lines[number].strip()
        if number == len(self.lines) - 1:
            return False
        if not line:
            return number > self.first and not self.lines[number - 1].strip()
        if self._is_below(number):
            return True
        return number > self.first + 1 and {self.lines[number - 1].strip(), self.lines[number - 2].strip()} == {line}
