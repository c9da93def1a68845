"""The frozen values that every layer shares: documents, edits, snippets, parsed files.

Offsets are counted in code points of `Document.text` everywhere below the LSP edge;
`lsp_convert.py` alone knows about UTF-8, UTF-16 and UTF-32 columns. Lines are counted from 0
and end at `\\n`, `\\r\\n` or a lone `\\r`, as the LSP specification (3.18, "Text Documents") has it:
form feeds, U+2028 and their kind are ordinary characters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from coderls.errors import DocumentError
from coderls.lines import LineStarts


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace `text[start:end]` by `new_text` (offsets in code points)."""

    start: int
    end: int
    new_text: str


@dataclass(frozen=True)
class Document:
    """One version of one open document. A change makes a new Document."""

    uri: str
    language_id: str
    version: int
    text: str
    path: Path | None = None

    @cached_property
    def line_starts(self) -> LineStarts:
        """Offsets at which the lines begin; the first is 0."""
        return LineStarts.of(self.text)

    def line_of(self, offset: int) -> int:
        """The line that holds `offset`."""
        return self.line_starts.line_of(offset)

    def line_span(self, line: int) -> tuple[int, int]:
        """Start and end offset of `line`, without its line end. Raises DocumentError past the last line."""
        starts = self.line_starts
        if not 0 <= line < len(starts):
            raise DocumentError(f"{self.uri} has {len(starts)} lines; there is no line {line + 1}.")
        start = starts[line]
        end = starts[line + 1] if line + 1 < len(starts) else len(self.text)
        while end > start and self.text[end - 1] in "\r\n":
            end -= 1
        return start, end

    def apply(self, edit: Edit, version: int | None = None) -> Document:
        """The document after `edit`; raises DocumentError when the edit lies outside the text."""
        if not 0 <= edit.start <= edit.end <= len(self.text):
            raise DocumentError(f"Edit {edit.start}..{edit.end} lies outside {self.uri} ({len(self.text)} characters).")
        text = self.text[: edit.start] + edit.new_text + self.text[edit.end :]
        after = replace(self, text=text, version=self.version if version is None else version)
        starts = self.__dict__.get("line_starts")
        if starts is not None:  # it was asked for once: it will be again, and this is far cheaper than anew
            after.__dict__["line_starts"] = starts.after(edit.start, edit.end, len(edit.new_text), text)
        return after


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines of a file that a snippet shows, and why: `source` names the retriever that found them.

    `name` is what they define ("" for a window of plain code). Lines count from 0, `end_line` is the first line
    not shown, and `tokens` are counted as the budget counts them.
    """

    name: str
    start_line: int
    end_line: int
    source: str
    score: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Snippet:
    """Code from elsewhere in the repository that goes into a prompt, and why it does.

    `path` is relative to the workspace folder with forward slashes; lines count from 0 and
    `end_line` is the first line not included; `text` may be elided (a signature without its body).
    `source` and `score` are those of the best of its `pieces`; `tokens` include the heading that names the file.
    """

    path: str
    start_line: int
    end_line: int
    text: str
    source: str = "definition"
    score: float = 0.0
    tokens: int = 0
    pieces: tuple[Piece, ...] = ()

    def explained(self) -> dict[str, Any]:
        """Where it comes from, as JSON: the file, and lines, retriever, score and tokens of each piece.

        Lines count from 1 here, and the last one is included.
        """
        return {
            "path": self.path,
            "tokens": self.tokens,
            "pieces": [
                {
                    "name": piece.name,
                    "first_line": piece.start_line + 1,
                    "last_line": piece.end_line,
                    "retriever": piece.source,
                    "score": piece.score,
                    "tokens": piece.tokens,
                }
                for piece in self.pieces
            ],
        }


class Fault(NamedTuple):
    """A place (code points) where a parser stumbles. `missing`: what it expects there, "" for what it does not."""

    start: int
    end: int
    missing: str


class ParsedFile(Protocol):
    """A syntax tree seen from far away: enough to tell whether an edit breaks what parsed."""

    def faults(self) -> int:
        """How many ERROR and MISSING nodes the whole tree has."""

    def faults_within(self, start: int, end: int) -> int:
        """How many of them begin in this part of the text (code points)."""

    def lapses_within(self, start: int, end: int) -> int:
        """What the grammar lets pass although the language does not, as far as it touches this part of the text."""

    def fault_places(self) -> tuple[Fault, ...]:
        """Where the tree's faults are, from the top, as near as a grammar can tell; empty for a text given up."""

    def after(self, edit: Edit) -> ParsedFile:
        """The tree of the text after `edit`, parsed incrementally."""


#: language id, text -> its tree, or None for a language without a grammar.
ParseFile = Callable[[str, str], ParsedFile | None]
