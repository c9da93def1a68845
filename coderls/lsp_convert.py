"""Between LSP's values and ours: positions and offsets, changes and edits, URIs and paths, completions and items.

LSP counts columns in UTF-8 bytes, UTF-16 code units or code points, as client and server agreed; all other code
counts code points from the start of the text. Both ways of the conversion are here and nowhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, unquote_to_bytes

from lsprotocol import types as lsp

from coderls.document import Document, Edit

if TYPE_CHECKING:
    from coderls.completion import Completion

#: The command of an item: it was taken.
ACCEPTED = "coderls.accepted"

Encoding = Literal["utf-8", "utf-16", "utf-32"]
_ENCODINGS: dict[str, Encoding] = {"utf-8": "utf-8", "utf-16": "utf-16", "utf-32": "utf-32"}

_SURROGATE = re.compile("[\ud800-\udfff]")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_MAX_LABEL = 80


# Positions.


def choose_encoding(offered: Sequence[str] | None) -> Encoding:
    """The client's first choice that we know; UTF-16 where it names none, as the specification demands."""
    for name in offered or ():
        if name in _ENCODINGS:
            return _ENCODINGS[name]
    return "utf-16"


def offset_at(document: Document, position: lsp.Position, encoding: Encoding) -> int:
    """The offset of a position.

    A column past the end of its line means the end of the line, a line past the last means the end of the text,
    and a column inside a character means its start. Nothing raises.
    """
    if position.line < 0:
        return 0
    if position.line >= len(document.line_starts):
        return len(document.text)
    start, end = document.line_span(position.line)
    return start + _characters(document.text, start, end, max(0, position.character), encoding)


def position_at(document: Document, offset: int, encoding: Encoding) -> lsp.Position:
    """The position of an offset; offsets outside the text mean its ends, one inside a line end means its start."""
    offset = min(max(0, offset), len(document.text))
    line = document.line_of(offset)
    start, end = document.line_span(line)
    return lsp.Position(line=line, character=_units(document.text[start : min(offset, end)], encoding))


def range_of(document: Document, start: int, end: int, encoding: Encoding) -> lsp.Range:
    """The LSP range of two offsets."""
    return lsp.Range(position_at(document, start, encoding), position_at(document, end, encoding))


def _characters(text: str, start: int, end: int, units: int, encoding: Encoding) -> int:
    """How many characters of the line `text[start:end]` make up `units` code units, rounded down."""
    # No more characters than units are needed: a short column in a line of a megabyte stays cheap.
    head = text[start : min(end, start + units)]
    if encoding == "utf-32" or head.isascii() or (encoding == "utf-16" and not _ASTRAL.search(head)):
        return len(head)
    if encoding == "utf-8":
        return len(head.encode("utf-8", "replace")[:units].decode("utf-8", "ignore"))
    return len(head.encode("utf-16-le", "replace")[: 2 * units].decode("utf-16-le", "ignore"))


def _units(text: str, encoding: Encoding) -> int:
    if encoding == "utf-32" or text.isascii():
        return len(text)
    if encoding == "utf-16":
        return len(text) + len(_ASTRAL.findall(text))
    return len(text.encode("utf-8", "replace"))


# Texts and changes.


def clean_text(text: str) -> str:
    """Text as a document holds it: halves of surrogate pairs, which no encoding can write, become U+FFFD.

    JSON can carry such halves; as text they would make each tokenizer and each UTF-8 writer fail later on.
    """
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def apply_changes(
    document: Document,
    changes: Sequence[lsp.TextDocumentContentChangeEvent],
    version: int,
    encoding: Encoding,
) -> Document:
    """The document after the content changes of one `didChange`, each against the text that the last one left."""
    for change in changes:
        document = document.apply(_edit_of(document, change, encoding), version)
    return document if document.version == version else document.apply(Edit(0, 0, ""), version)


def _edit_of(document: Document, change: lsp.TextDocumentContentChangeEvent, encoding: Encoding) -> Edit:
    new_text = clean_text(change.text)
    if isinstance(change, lsp.TextDocumentContentChangeWholeDocument):
        return Edit(0, len(document.text), new_text)
    start = offset_at(document, change.range.start, encoding)
    end = offset_at(document, change.range.end, encoding)
    return Edit(min(start, end), max(start, end), new_text)


# URIs.


def path_of(uri: str, *, windows: bool = os.name == "nt") -> Path | None:
    """The file that a URI names; None for untitled documents and for schemes other than `file`.

    `file:///c%3A/x`, `file:///C:/x` and `file://server/share/x` are paths on Windows only; elsewhere a host other
    than localhost is no file of this machine.
    """
    pure = _pure_path_of(uri, windows)
    return None if pure is None else Path(pure)


def _pure_path_of(uri: str, windows: bool) -> str | None:
    scheme, separator, rest = uri.partition(":")
    if not separator or scheme.lower() != "file":
        return None
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    host = ""
    if rest.startswith("//"):
        host, slash, tail = rest[2:].partition("/")
        rest = slash + tail
    path = os.fsdecode(unquote_to_bytes(rest))
    host = os.fsdecode(unquote_to_bytes(host))
    if not path.startswith("/") or "\0" in path:
        return None
    if host.lower() == "localhost":
        host = ""
    if not windows:
        return None if host else str(PurePosixPath(path))
    if host:
        return str(PureWindowsPath(f"//{host}{path}"))
    if re.match(r"/[A-Za-z]:", path):
        path = path[1].upper() + path[2:]
        path = path if len(path) > 2 else path + "/"
    return str(PureWindowsPath(path))


def uri_of(path: Path | PureWindowsPath | PurePosixPath) -> str:
    """The URI of an absolute path, with a small drive letter and `%3A`, as VS Code writes it."""
    text = path.as_posix()
    if isinstance(path, PureWindowsPath):
        if path.drive.startswith("\\\\"):
            host, _, rest = text[2:].partition("/")
            return f"file://{quote(host)}/{quote(rest)}"
        text = f"/{text[0].lower()}{text[1:]}"
    return "file://" + quote(os.fsencode(text), safe="/")


# Completions.


def inline_items(document: Document, completions: Sequence[Completion], encoding: Encoding) -> lsp.InlineCompletionList:
    """Ghost texts, the best first."""
    return lsp.InlineCompletionList(
        items=[
            lsp.InlineCompletionItem(
                insert_text=completion.text,
                # Editors show ghost text only where it begins with what it replaces, up to the cursor.
                filter_text=completion.text,
                range=range_of(document, completion.start, completion.end, encoding),
                command=_accepted(completion),
            )
            for completion in completions
            if _on_one_line(document, completion)
        ]
    )


def completion_items(
    document: Document, offset: int, completions: Sequence[Completion], encoding: Encoding
) -> lsp.CompletionList:
    """The best of them for the popup of a client without ghost text.

    Popups filter their items by the word before the cursor, so the item replaces that word too, by itself.
    The list is incomplete: it is asked for again as the user types.
    """
    completion = next((each for each in completions if _on_one_line(document, each)), None)
    if completion is None:
        return lsp.CompletionList(is_incomplete=True, items=[])
    line_start, _ = document.line_span(document.line_of(offset))
    start = completion.start
    while start > line_start and (document.text[start - 1].isalnum() or document.text[start - 1] == "_"):
        start -= 1
    text = document.text[start : completion.start] + completion.text
    first, *rest = text.strip().splitlines() or [""]
    label = first if len(first) <= _MAX_LABEL else first[: _MAX_LABEL - 1] + "…"
    item = lsp.CompletionItem(
        label=label + (" …" if rest else ""),
        kind=lsp.CompletionItemKind.Text,
        detail="coderls",
        documentation=_fenced(document.language_id, text) if rest else None,
        sort_text="\u0001",  # before the names that other servers offer
        filter_text=text,
        insert_text_format=lsp.InsertTextFormat.PlainText,
        text_edit=lsp.TextEdit(range_of(document, start, completion.end, encoding), text),
        command=_accepted(completion),
    )
    return lsp.CompletionList(is_incomplete=True, items=[item])


def _accepted(completion: Completion) -> lsp.Command | None:
    """What the editor runs once the item is taken."""
    return lsp.Command("coderls: taken", ACCEPTED, arguments=[completion.offer]) if completion.offer else None


def _on_one_line(document: Document, completion: Completion) -> bool:
    """LSP demands it of the ranges of both kinds of item."""
    return document.line_of(completion.start) == document.line_of(completion.end)


def _fenced(language_id: str, text: str) -> lsp.MarkupContent:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return lsp.MarkupContent(lsp.MarkupKind.Markdown, f"{fence}{language_id}\n{text}\n{fence}")
