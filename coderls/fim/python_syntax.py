"""Python judged by its own compiler: what it refuses first, in the smallest part of the file that can be judged alone.

The parser alone (`ast.parse`) lets pass what Python then refuses to run: a keyword argument twice, `return` outside of
a function, `nonlocal` without a function around. To compile a text takes no longer than to parse it into Python's
objects (0.7 to 1.07 times as long, in files of 640 to 6,400 lines), and nothing of it is run. That is some 100 ns a
character, too much for a whole long file at each keystroke. A top-level statement reads by itself as it does in its
file; so does a statement of a class or function body, under a head of one line.
"""

from __future__ import annotations

import ast
import keyword
import re
import symtable
import warnings
from dataclasses import dataclass

from coderls.lines import LineStarts

#: Parts up to this long (characters) are judged as they are.
_SHORT = 6_000
#: Nothing longer is ever parsed: Python's parser lets no other thread run meanwhile.
_LONGEST = 300_000
#: Of longer parts only form and names are judged, not the code that is made of them: it may grow with the square of
#: their length, and a thousand lambdas inside each other take a second.
_LONGEST_COMPILED = 60_000
#: So many characters may be compiled, counting those again of which code is made more than once (a tenth of a second).
_MOST_COPIED = 20_000_000
_STATEMENT = r"(?![\s)\]}#]|elif\b|else\b|except\b|finally\b)"
_TOP_LEVEL = re.compile(rf"^{_STATEMENT}", re.MULTILINE)
_BODY = re.compile(r"^([ \t]+)\S", re.MULTILINE)
#: What statements stand in, and what takes its place above those that are judged without it.
_HEADER = re.compile(r"^(?:(?:async[ \t]+)?(?:def|for)|class|while)\b", re.MULTILINE)
_HEADS = {"def": "def _():\n", "class": "class _:\n", "while": "while 1:\n", "for": "for _ in _:\n"}
_FINALLY = re.compile(r"(?:^|\r)([ \t\f]*)finally\b", re.MULTILINE)
#: Its margin is that of the line above.
_HIDDEN = re.compile(r"\\\s+finally\b")
_LEAVES = re.compile(r"\b(?:return|break|continue)\b")
#: A file that an editor takes for cells, as a notebook's.
_CELLS = re.compile(r"^# ?%%", re.MULTILINE)
#: The names of a complaint: "keyword argument repeated: x", "name 'x' is parameter and global".
_NAMED = re.compile(r"'([^']+)'|: (\w+)$")


@dataclass(frozen=True, slots=True)
class Fault:
    """What Python refuses first (line from 0, -1 when it cannot say).

    `indentation`: for indentation, and `header` is the line whose block it misses (or -1). `parsed`: the text has the
    form of Python, and is refused for what it says, in these words (`said`), at this place (`place`, an offset).
    """

    line: int
    indentation: bool
    header: int
    parsed: bool = False
    said: str = ""
    place: int = 0

    def names(self) -> set[str]:
        """The names that it complains of."""
        found = {first or second for first, second in _NAMED.findall(self.said)}
        return {name for name in found if not keyword.iskeyword(name)}


@dataclass(frozen=True, slots=True)
class Region:
    """`text[start:end]` of a file, read below `head`, and its first fault (None: Python takes it).

    Lines are counted from the start of `head`. `awaits`: it is code of a notebook, where `await` may stand alone.
    """

    start: int
    end: int
    head: str
    fault: Fault | None
    awaits: bool = False

    @property
    def parses(self) -> bool:
        """Whether it has the form of Python."""
        return self.fault is None or self.fault.parsed

    def judged(self, text: str, *, grown: int = 0) -> Fault | None:
        """What is refused in a `text` that differs in this part from the one it was made of, which has `grown`."""
        return _first_below(self.head, text[self.start : self.end + grown], self.awaits)

    def place_of(self, fault: Fault) -> int:
        """Where in the file a fault of this part is; only for a fault that is `parsed`."""
        return self.start + fault.place - len(self.head)

    def line_of(self, text: str, offset: int) -> int:
        """The line in which `offset` of the whole text lies."""
        return count_line_ends(self.head + text[self.start : offset])


def region_around(text: str, offset: int, *, awaits: bool = False) -> Region:
    """The smallest part around the cursor that has the form of Python by itself; if none has, the smallest part."""
    if len(text) <= _SHORT:
        return _judged(text, 0, len(text), awaits)
    start, end = _statements(text, offset, _TOP_LEVEL)
    if end - start <= _SHORT:
        return _judged(text, start, end, awaits)
    inner = _judged(text, *_statements(text, offset, _body_statement(text, offset, start)), awaits, top=start)
    if inner.parses:
        return inner
    outer = _judged(text, start, end, awaits)
    return outer if outer.parses else inner


def statements_at(text: str, offset: int, *, awaits: bool = False) -> tuple[Region, Region]:
    """The top-level statement at `offset`, and that of its body: what is wrong elsewhere hides nothing there."""
    start, end = _statement(text, offset, _TOP_LEVEL)
    inner = _statement(text, offset, _body_statement(text, offset, start))
    return _judged(text, start, end, awaits), _judged(text, *inner, awaits, top=start)


def whole_file(text: str, *, awaits: bool = False) -> Region | None:
    """The whole file as a region; None for one that takes too long."""
    return _judged(text, 0, len(text), awaits) if len(text) <= _LONGEST else None


def may_await(uri: str, text: str) -> bool:
    """Whether `await` may stand outside of a function: in the cells of a notebook, or of a file that is read as one."""
    return "notebook-cell:" in uri or ".ipynb" in uri or _CELLS.search(text) is not None


def first_fault(text: str, *, awaits: bool = False) -> Fault | None:
    """What Python refuses first (line -1 when it cannot say); None when it takes the text.

    Compiled only, never run, and without what this module imports from `__future__`.
    """
    if len(text) > _LONGEST:
        return Fault(-1, False, -1)
    try:
        with warnings.catch_warnings():  # "\\d" in a user's file is not our business
            warnings.simplefilter("ignore")
            if _is_copied_much(text):
                symtable.symtable(text, "", "exec")
            else:
                compile(text, "", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if awaits else 0, dont_inherit=True)
    except SyntaxError as error:
        return _fault(error, text)
    except (ValueError, RecursionError, MemoryError):  # a null byte, a lone surrogate; nested too deeply
        return None if parses(text) else Fault(-1, False, -1)
    return None


def count_line_ends(text: str) -> int:
    """How many lines end in `text`."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _fault(error: SyntaxError, text: str) -> Fault:
    line, said = (error.lineno or 1) - 1, error.msg or ""
    header = re.search(r"on line (\d+)$", said)
    named = int(header.group(1)) - 1 if header else -1
    if not parses(text):
        return Fault(line, isinstance(error, IndentationError), named)
    starts = LineStarts.of(text)
    start = starts[min(line, len(starts) - 1)]
    column = len(text[start:].split("\n", 1)[0].encode()[: (error.offset or 1) - 1].decode(errors="ignore"))
    return Fault(line, False, -1, True, said, start + column)


def _judged(text: str, start: int, end: int, awaits: bool, *, top: int | None = None) -> Region:
    """`top`: where the top-level statement begins whose body has these statements."""
    head = ""
    if text[start : start + 1] in (" ", "\t"):
        header = _HEADER.search(text, top, start) if top is not None else None
        head = _HEADS.get(header[0].split()[-1], "") if header else "if 1:\n"
        head = "async " * (header is not None and header[0].startswith("async")) + head
    return Region(start, end, head, _first_below(head, text[start:end], awaits), awaits)


def _first_below(head: str, text: str, awaits: bool) -> Fault | None:
    fault = first_fault(head + text, awaits=awaits)
    if head and fault is not None and fault.said.startswith("no binding for nonlocal"):
        return None  # what it binds may stand above
    return fault


def parses(text: str) -> bool:
    """Whether Python's parser takes the text. Nothing is compiled."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _is_copied_much(text: str) -> bool:
    """Whether code of this text could take for ever to make.

    A `finally` block is made again for each way out of its `try`, and one inside another for each way out of both: a
    text of 2,000 characters can ask for hours. Its depth is counted by its margins, which is never too little.
    """
    if "finally" not in text:
        return len(text) > _LONGEST_COMPILED
    margins = {match[1] for match in _FINALLY.finditer(text)}
    ways = 2 + sum(1 for _ in _LEAVES.finditer(text))
    copied = len(text) * ways ** min(len(margins), 30)
    return len(text) > _LONGEST_COMPILED or copied > _MOST_COPIED or _HIDDEN.search(text) is not None


def _statements(text: str, offset: int, statement: re.Pattern[str]) -> tuple[int, int]:
    """From the statement that holds the cursor's line to the end of the one after it.

    The one after it tells whether the completion leaves a block open, or ends one too early.
    """
    after = _next_statement(text, _next_statement(text, offset, statement), statement)
    return _statement_before(text, text.rfind("\n", 0, offset) + 1, statement), after


def _statement(text: str, offset: int, statement: re.Pattern[str]) -> tuple[int, int]:
    """The statement that holds the cursor's line, alone."""
    line = text.rfind("\n", 0, offset) + 1
    start = line if statement.match(text, line) else _statement_before(text, line, statement)
    return start, _next_statement(text, offset, statement)


def _body_statement(text: str, offset: int, start: int) -> re.Pattern[str]:
    """What begins a statement in the body of the top-level statement that begins at `start`."""
    line_end = text.find("\n", offset)
    body = _BODY.search(text, start, line_end if line_end >= 0 else len(text))
    depth = len(body.group(1)) if body else 0
    return re.compile(rf"^[ \t]{{0,{depth}}}{_STATEMENT}", re.MULTILINE)


def _statement_before(text: str, place: int, statement: re.Pattern[str]) -> int:
    """Start of the statement that holds the line at `place`, with its decorators."""
    start = place
    while start > 0:
        previous = text.rfind("\n", 0, start - 1) + 1
        if start < place and statement.match(text, start) and not _is_decorator(text, previous):
            return start
        start = previous
    return 0


def _next_statement(text: str, place: int, statement: re.Pattern[str]) -> int:
    """Start of the first statement below the line of `place`, not between decorators and their function."""
    while place < len(text):
        decorated = _is_decorator(text, text.rfind("\n", 0, place) + 1)
        line_end = text.find("\n", place)
        found = statement.search(text, line_end + 1) if line_end >= 0 else None
        place = found.start() if found else len(text)
        if not decorated:
            break
    return place


def _is_decorator(text: str, line_start: int) -> bool:
    return text[line_start : line_start + 80].lstrip(" \t").startswith("@")
