"""Brackets and quotes of a piece of code, told apart from those in strings and comments: no grammar needed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from coderls.fim.languages import language

_PAIRS = {"(": ")", "[": "]", "{": "}"}
_CLOSERS = frozenset(_PAIRS.values())
#: What may follow up to the end of a string or block comment, by what began it.
_REST = {
    "/*": re.compile(r".*?\*/", re.DOTALL),
    "`": re.compile(r"(?:\\.|[^\\`])*`", re.DOTALL),
    '"""': re.compile(r'(?:\\.|(?!""").)*"""', re.DOTALL),
    "'''": re.compile(r"(?:\\.|(?!''').)*'''", re.DOTALL),
    # A string of one line that is not closed ends with its line.
    '"': re.compile(r'(?:\\.|[^\\"\n])*(?:"|(?=\n))', re.DOTALL),
    "'": re.compile(r"(?:\\.|[^\\'\n])*(?:'|(?=\n))", re.DOTALL),
}


@dataclass(frozen=True, slots=True)
class Balance:
    """`open`: brackets never closed, outermost first. `extra`: closers of nothing. `quote`: an open string's quote.

    `code`: what is neither string nor comment on the last line, without blanks at its end; strings stand as "".
    """

    open: tuple[str, ...]
    extra: tuple[str, ...]
    quote: str
    code: str

    @property
    def faults(self) -> int:
        """How many brackets and quotes have no partner."""
        return len(self.open) + len(self.extra) + bool(self.quote)


@lru_cache(maxsize=64)
def _tokens(language_id: str, *, brackets: bool = True) -> re.Pattern[str]:
    """One pattern for all that matters in a language; what it skips is plain code. `brackets`: those and lines too."""
    known = language(language_id)
    parts = [r"(?P<bracket>[()\[\]{}])", r"(?P<line>\n)"] if brackets else []
    if known.block_comments:
        parts.append(r"(?P<block>/\*)")
    if known.quotes:  # in prose there are no comments to skip either
        parts.append(rf"(?P<comment>{re.escape(known.comment[0])}[^\n]*)")
        if known.apostrophes:
            parts.append(r"(?P<char>'(?:\\.|[^\\'\n])')")
        parts.append("(?P<quote>" + "|".join(known.quotes) + ")")
    return re.compile("|".join(parts))


def balance(text: str, language_id: str, quote: str = "") -> Balance:
    """What of `text` is left open. `quote`: the string or comment in which the text begins, "" for none."""
    pattern = _tokens(language_id)
    stack: list[str] = []
    extra: list[str] = []
    code: list[str] = []
    place = 0
    if quote:
        place = _end(text, 0, quote)
        if place < 0:
            return Balance((), (), quote, "")
    while found := pattern.search(text, place):
        code.append(text[place : found.start()])
        place = found.end()
        kind, value = found.lastgroup, found.group()
        if kind == "line":
            code.clear()
        elif kind == "bracket":
            code.append(value)
            if value in _PAIRS:
                stack.append(value)
            elif stack and _PAIRS[stack[-1]] == value:
                stack.pop()
            else:
                extra.append(value)
        elif kind in ("block", "quote"):
            place = _end(text, place, value)
            if place < 0:
                return Balance(tuple(stack), tuple(extra), value, "")
            code.append('""' if kind == "quote" else " ")
    code.append(text[place:])
    return Balance(tuple(stack), tuple(extra), "", "".join(code).rstrip())


def unfinished(text: str, language_id: str) -> str:
    """What `text` ends inside of: the quote of a string, "/*", what begins a comment of one line, or "" for code.

    In half the time of `balance`, which matters at each key in a long file. Only for languages with quotes.
    """
    pattern = _tokens(language_id, brackets=False)
    place = 0
    while found := pattern.search(text, place):
        place = found.end()
        kind, value = found.lastgroup, found.group()
        if kind == "comment" and place == len(text):
            return language(language_id).comment[0]
        if kind in ("block", "quote"):
            place = _end(text, place, value)
            if place < 0:
                return value
    return ""


def _end(text: str, place: int, quote: str) -> int:
    """Offset behind the string or comment that `quote` began before `place`; -1 when it does not end."""
    rest = _REST[quote].match(text, place)
    return rest.end() if rest else -1


def closers_at(text: str) -> int:
    """How many closing brackets stand at the start of `text`; blanks, line ends, commas and semicolons between."""
    found = 0
    for char in text:
        if char in _CLOSERS:
            found += 1
        elif not char.isspace() and char not in ",;":
            break
    return found
