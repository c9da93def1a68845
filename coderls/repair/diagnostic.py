"""What a checker complains about, and how one complaint is found again after an edit.

Offsets are code points of the text of one document version, as everywhere below the LSP edge. Two diagnostics of
different versions are the same one if rule and message are equal and the older one's place, moved by the edits between
the two versions, is the newer one's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

from coderls.document import Edit

#: "redefinition from line 12", "on line 7, column 2", "a.c:3:1": the places that a message names move with the text.
_PLACES = re.compile(r"\b(lines?|columns?) \d+|:\d+:\d+\b")

#: Complaints that are mended by taking something away: the checker says that it is not needed.
_SUPERFLUOUS = re.compile(
    r"unused|never (?:used|read|accessed)|not (?:used|accessed)|defined and not used|declared and not used|redefin"
    r"|duplicate|unreachable|unnecessary|redundant|useless|has no effect|extra semicolon|imported and not used"
    r"|imported but|un-sorted|assigned to itself|already (?:defined|declared)|blank line|trailing|multiple statements",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(
    r"not defined|undefined|undeclared|not declared|unresolved|unbound|unknown|cannot find|can't find|could not find"
    r"|cannot resolve|no (?:\w+ )?(?:attribute|member|field|method|parameter|variant)|does not exist|is not a known"
    r"|cannot access|was not found|implicit declaration|did you mean|could not be resolved|unexpected keyword",
    re.IGNORECASE,
)
_SYNTAX_RULES = frozenset({"syntax", "syntax-error", "invalid-syntax", "E999"})


#: A file that is executable and has no shebang, or the other way round; a folder without `__init__.py`; its name.
_ABOUT_FILES = frozenset({"EXE001", "EXE002", "INP001", "N999"})


class Severity(IntEnum):
    """How bad it is; the numbers are LSP's (3.18, `DiagnosticSeverity`)."""

    ERROR = 1
    WARNING = 2
    INFORMATION = 3
    HINT = 4


class Key(NamedTuple):
    """What two diagnostics share that are the same one at another place."""

    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One complaint about `text[start:end]`; `start == end` is a place between two characters.

    `source` names who complains (`ruff`, `pyright`, `rustc`), as the client or the checker spells it. `rule` is its
    code for this kind of fault (`F821`, `reportUndefinedVariable`, `2304`), "" where it gave none.
    """

    start: int
    end: int
    message: str
    severity: Severity = Severity.ERROR
    source: str = ""
    rule: str = ""

    @property
    def key(self) -> Key:
        """Rule and message, without the places that the message names."""
        return Key(self.rule, _PLACES.sub(lambda place: place.group(1) or "", self.message.strip()))

    def shifted(self, edits: Sequence[Edit]) -> Diagnostic:
        """Where it is after `edits`, which are offsets of the text before: a replaced range becomes its new text."""
        return replace(self, start=shifted(self.start, edits), end=shifted(self.end, edits, after=True))

    def touched_by(self, edits: Iterable[Edit]) -> bool:
        """Whether an edit reaches into its range, or begins or ends at it."""
        return any(edit.start <= self.end and self.start <= edit.end for edit in edits)


def is_syntax(one: Diagnostic) -> bool:
    """Whether a complaint says that the text cannot be read, as far as its rule or message tells."""
    of_tsc = one.source == "tsc" and len(one.rule) == 4 and one.rule.startswith("1")
    of_pyright = one.source in ("pyright", "basedpyright") and not one.rule and one.severity is Severity.ERROR
    return one.rule in _SYNTAX_RULES or of_tsc or of_pyright or "syntax error" in one.message.lower()


def is_about_file(diagnostic: Diagnostic) -> bool:
    """Whether no text would mend it: permissions, or where the file lies and what it is called (ruff's rules)."""
    return diagnostic.source.lower() == "ruff" and diagnostic.rule in _ABOUT_FILES


def is_superfluous(diagnostic: Diagnostic) -> bool:
    """Whether the complaint says that something is not needed: what a slip elsewhere made unused, for one."""
    return _SUPERFLUOUS.search(diagnostic.message) is not None


def is_unknown(complaint: Diagnostic) -> bool:
    """Whether a complaint is about a name that nobody knows: another name may be meant."""
    return _UNKNOWN.search(complaint.message) is not None


def shifted(offset: int, edits: Sequence[Edit], *, after: bool = False) -> int:
    """`offset` after `edits`, which are offsets of the text before and do not overlap.

    An offset inside of a replaced range goes to the start of the new text, or to its end if `after`.
    """
    moved = 0
    for edit in edits:
        if edit.end < offset or (edit.end == offset and (edit.start < edit.end or after)):
            moved += len(edit.new_text) - (edit.end - edit.start)
        elif edit.start < offset:
            return edit.start + moved_before(edit, edits) + (len(edit.new_text) if after else 0)
    return offset + moved


def moved_before(edit: Edit, edits: Iterable[Edit]) -> int:
    """By how much the edits that lie before `edit` move its start."""
    return sum(len(one.new_text) - (one.end - one.start) for one in edits if one is not edit and one.end <= edit.start)


def clamped(diagnostic: Diagnostic, length: int) -> Diagnostic:
    """The diagnostic within a text of `length` code points: a client's may be of another version of the document."""
    start = min(max(0, diagnostic.start), length)
    return replace(diagnostic, start=start, end=min(max(start, diagnostic.end), length))
