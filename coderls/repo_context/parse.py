"""The only importer of tree_sitter: grammars, trees of open files, and the outline of a file for the index.

Every parse makes its own parser (a microsecond), so that threads share nothing. Long texts are read through a
callback, which lets other threads run in between and ends a parse that takes too long.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath

import tree_sitter

from coderls.document import Edit, Fault
from coderls.repo_context.bindings import read_bindings
from coderls.repo_context.definitions import read_outline
from coderls.repo_context.languages import LANGUAGES, by_id, by_path
from coderls.repo_context.languages.language import Language
from coderls.repo_context.occurrences import Occurrence, read_occurrences
from coderls.repo_context.outline import Binding, Outline

#: Longer texts are not parsed at all (bytes of UTF-8).
MAX_BYTES = 4_000_000
#: Shorter texts are parsed in one call: even a strange one takes a few milliseconds at most. (Parsers that follow many
#: readings at once take seconds for 20,000 characters of `a<a<a<`.)
_SHORT = 1_000
#: Longer texts are read with pauses (bytes); from one to the next so many seconds pass.
_LONG, _PAUSE_EVERY_S = 20_000, 0.001
#: Definitions and imports are looked for in so many bytes at a time.
_WINDOW = 20_000
_CHUNK = 65_536
#: Nodes looked at when faults are counted; a text with more is hopeless anyway.
_MAX_FAULT_NODES = 100_000
#: Places of faults that are told, from the top: each is counted from the beginning of the text.
_MOST_PLACES = 1_000
#: What `faults()` says of a text whose parse was given up: more than any text that was parsed.
UNKNOWN_FAULTS = 1_000_000_000
#: A query takes time in the square of the children of an ERROR node: 10 ms for so many.
_MAX_ERROR_CHILDREN = 2_000
#: Matches begin no deeper in a tree: code ends at a hundred levels or so, `x.x.x.x` has as many as it is long, and a
#: query takes time in the square of them.
_MAX_DEPTH = 400
#: So many brackets more that open than close are no code. Parsers look for a way out of them, and do not look at the
#: clock meanwhile: 36,000 characters of `({[` took six seconds in Java.
_MAX_UNCLOSED = 500
_ROW_OF_LESS = re.compile(rb"(?:\b\w+\s*<\s*){100}")
#: Captures of classes, and of methods that may be written outside of theirs.
_OWNERS = frozenset(("class", "namespace", "declarator", "owner"))
#: No file that people write has so many definitions and imports.
_MAX_MATCHES = 50_000
#: What texts are handed over in. tree-sitter 0.26.1 keeps a reference to all that a read callback returns, for ever:
#: so it is always one of these, and a text is not kept with it.
_buffers: list[bytearray] = []


@dataclass(frozen=True, slots=True)
class Grammar:
    """A grammar for `doctor`: the wheel it comes from, and what is wrong with it ("" when it works)."""

    language: str
    package: str
    version: str
    problem: str = ""


def parse_file(language_id: str, text: str) -> ParsedText | None:
    """The tree of `text`; None for a language without a grammar, or a text too long to parse (see MAX_BYTES)."""
    language = by_id(language_id)
    if language is None:
        return None
    data = _encode(text)
    tree = _parse(language, data, _Clock(1.0))
    return None if tree is None else ParsedText(language, text, data, tree)


def language_of(path: str | PurePath) -> str | None:
    """The LSP language id of a file with a grammar, by its extension; None for other files."""
    language = by_path(path)
    return language.ids[0] if language else None


def grammars() -> list[Grammar]:
    """Every grammar, tried: one row a language."""
    return [_try(language) for language in LANGUAGES]


def outline(
    language: Language, text: str, *, limit_s: float = 2.0, pause: Callable[[], None] | None = None
) -> Outline | None:
    """Definitions and imports of `text`; None when it cannot be parsed within `limit_s` seconds.

    `pause` is called every millisecond or so of a long text, and may wait: that time does not count.
    """
    data = _encode(text)
    clock = _Clock(limit_s, pause if len(data) > _LONG else None)
    tree = _parse(language, data, clock)
    if tree is None or _has_wide_error(tree.root_node):
        return None
    return read_outline(language, data, _matches(_query(language), tree, len(data), clock))


def bindings(language: Language, text: str, *, first_line: int = 0, limit_s: float = 0.05) -> tuple[Binding, ...]:
    """Typed parameters and variables of `text`, which begins at line `first_line` of an open file.

    Give it the lines around the cursor rather than a whole long file. Empty when it cannot be parsed in time.
    """
    data = _encode(text)
    clock = _Clock(limit_s)
    tree = _parse(language, data, clock)
    if tree is None or _has_wide_error(tree.root_node):
        return ()
    found = list(_matches(_query(language), tree, len(data), clock))
    local = _matches(_variables(language), tree, len(data), clock)
    # Of what is defined here only that counts which says what `self` is.
    classes = (captures for captures in found if not _OWNERS.isdisjoint(captures)) if language.self_name else ()
    return read_bindings(language, data, read_outline(language, data, classes), [*found, *local], first_line=first_line)


class _Clock:
    """How long parsing may still take, less the time for which `pause` waited."""

    def __init__(self, limit_s: float, pause: Callable[[], None] | None = None) -> None:
        self._deadline = time.monotonic() + limit_s
        self._pause = pause
        self._paused_at = 0.0

    def is_late(self) -> bool:
        """Whether the time is over. Waits where `pause` does."""
        now = time.monotonic()
        if self._pause is not None and now - self._paused_at > _PAUSE_EVERY_S:
            self._pause()
            self._paused_at = time.monotonic()
            self._deadline += self._paused_at - now
            now = self._paused_at
        return now > self._deadline


def _matches(
    query: tree_sitter.Query, tree: tree_sitter.Tree, length: int, clock: _Clock
) -> Iterator[Mapping[str, Sequence[tree_sitter.Node]]]:
    """All matches of a query, window by window, so that other threads run in between.

    A match that reaches into two windows comes twice. (`matches` can take a callback for the same purpose;
    in tree-sitter 0.26.1 it crashes the process when predicate and callback are given.)
    """
    left = _MAX_MATCHES
    for start in range(0, max(length, 1), _WINDOW):
        if left <= 0 or clock.is_late():
            return
        cursor = tree_sitter.QueryCursor(query)
        cursor.set_max_start_depth(_MAX_DEPTH)
        cursor.set_byte_range(start, min(start + _WINDOW, length))
        found = cursor.matches(tree.root_node)
        left -= len(found)
        for _, captures in found:
            yield captures


class ParsedText:
    """A text and its tree. Never changes; `after` makes a new one."""

    def __init__(self, language: Language, text: str, data: bytes, tree: tree_sitter.Tree | None) -> None:
        self._language = language
        self._text = text
        self._data = data
        self._tree = tree

    def faults(self) -> int:
        """How many ERROR and MISSING nodes the tree has; UNKNOWN_FAULTS when the text could not be parsed."""
        return UNKNOWN_FAULTS if self._tree is None else _count_faults(self._tree.root_node)

    def faults_within(self, start: int, end: int) -> int:
        """Of these, the ones that begin in this part (code points)."""
        if self._tree is None:
            return UNKNOWN_FAULTS
        low, high = self._bytes_before(start), self._bytes_before(end)
        nodes = _faulty_nodes(self._tree.root_node)
        return sum((node.is_error or node.is_missing) and low <= node.start_byte < high for node in nodes)

    def lapses_within(self, start: int, end: int) -> int:
        """What only the grammar lets pass, as far as it touches this part (code points)."""
        if self._tree is None or not self._language.lax:
            return 0
        cursor = tree_sitter.QueryCursor(_lax(self._language))
        cursor.set_byte_range(max(0, self._bytes_before(start) - 1), self._bytes_before(end) + 1)
        return len(cursor.captures(self._tree.root_node).get("lax", ()))

    def fault_places(self) -> tuple[Fault, ...]:
        """What is missing, and the first token that the innermost errors cannot place: from the top."""
        if self._tree is None:
            return ()
        root = self._tree.root_node
        found = {_place_of(node, self._data) for node in _faulty_nodes(root) if _is_innermost(node)}
        return tuple(
            Fault(self._characters_before(start), self._characters_before(end), missing)
            for start, end, missing in sorted(found)[:_MOST_PLACES]
        )

    def occurrences(self, name: str) -> tuple[Occurrence, ...]:
        """Every place at which `name` stands as a whole word; none when the text could not be parsed."""
        return () if self._tree is None else read_occurrences(self._language, self._data, self._tree.root_node, name)

    def after(self, edit: Edit) -> ParsedText:
        """The tree after `edit` (offsets in code points), parsed again only where it changed."""
        text = self._text[: edit.start] + edit.new_text + self._text[edit.end :]
        start, old_end = self._bytes_before(edit.start), self._bytes_before(edit.end)
        new = _encode(edit.new_text)
        data = self._data[:start] + new + self._data[old_end:]
        if self._tree is None:
            return ParsedText(self._language, text, data, _parse(self._language, data, _Clock(0.2)))
        old = self._tree.copy()  # edit() changes a tree in place
        new_end = start + len(new)
        old.edit(start, old_end, new_end, _point(self._data, start), _point(self._data, old_end), _point(data, new_end))
        return ParsedText(self._language, text, data, _parse(self._language, data, _Clock(0.5), old))

    def _characters_before(self, offset: int) -> int:
        if len(self._data) == len(self._text):  # ASCII only
            return offset
        return len(self._data[:offset].decode("utf-8", "surrogatepass"))

    def _bytes_before(self, offset: int) -> int:
        if len(self._data) == len(self._text):  # ASCII only
            return offset
        return len(_encode(self._text[:offset]))


def _encode(text: str) -> bytes:
    """UTF-8; lone surrogates, which editors can send, take three bytes as other characters there do."""
    return text.encode("utf-8", "surrogatepass")


def _point(data: bytes, offset: int) -> tuple[int, int]:
    return data.count(b"\n", 0, offset), offset - (data.rfind(b"\n", 0, offset) + 1)


def _take_buffer() -> bytearray:
    try:
        return _buffers.pop()
    except IndexError:
        return bytearray()


def _parse(
    language: Language, data: bytes, clock: _Clock, old: tree_sitter.Tree | None = None
) -> tree_sitter.Tree | None:
    """A tree, or None: too long, too slow, or a grammar that does not load."""
    if len(data) > MAX_BYTES or _is_hopeless(data):
        return None
    try:
        parser = tree_sitter.Parser(_grammar(language))
        if len(data) <= _SHORT:
            return parser.parse(data, old) if old else parser.parse(data)
        buffer = _take_buffer()

        def read(offset: int, _point: tree_sitter.Point) -> bytearray:
            buffer[:] = data[offset : offset + _CHUNK]
            return buffer

        def late(_offset: int, _has_error: bool) -> bool:
            return clock.is_late()

        try:
            if old:
                return parser.parse(read, old, encoding="utf8", progress_callback=late)
            return parser.parse(read, encoding="utf8", progress_callback=late)
        finally:
            with suppress(BufferError):  # it is still in use: another one next time
                buffer.clear()
                _buffers.append(buffer)
    except (ValueError, ImportError, AttributeError):  # stopped by `late`; wheel missing; wheel too new or too old
        return None


def _is_hopeless(data: bytes) -> bool:
    if len(data) <= _SHORT:
        return False
    brackets = ((b"(", b")"), (b"[", b"]"), (b"{", b"}"))
    if any(data.count(start) - data.count(end) > _MAX_UNCLOSED for start, end in brackets):
        return True
    # Comparisons use `<` alone: only a row of them is hopeless.
    return data.count(b"<") - data.count(b">") > _MAX_UNCLOSED and _ROW_OF_LESS.search(data) is not None


@cache
def _grammar(language: Language) -> tree_sitter.Language:
    """Raises ImportError, AttributeError or ValueError when the wheel is missing or does not fit."""
    module, function = language.grammar
    return tree_sitter.Language(getattr(importlib.import_module(module), function)())


@cache
def _query(language: Language) -> tree_sitter.Query:
    return tree_sitter.Query(_grammar(language), language.query)


@cache
def _variables(language: Language) -> tree_sitter.Query:
    return tree_sitter.Query(_grammar(language), language.variables)


@cache
def _lax(language: Language) -> tree_sitter.Query:
    return tree_sitter.Query(_grammar(language), language.lax)


def _try(language: Language) -> Grammar:
    package = language.grammar[0].replace("_", "-")
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return Grammar(language.name, package, "", f"{package} is not installed. Install coderls again.")
    try:
        _query(language)
        _variables(language)
        _lax(language)
    except (ImportError, AttributeError, ValueError) as error:
        return Grammar(language.name, package, version, f"{package} {version} cannot be used: {error}.")
    return Grammar(language.name, package, version)


def _faulty_nodes(root: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """Nodes that are faults, or have some below them."""
    seen = 0
    waiting: list[tree_sitter.Node] = [root]
    while waiting and seen < _MAX_FAULT_NODES:
        node = waiting.pop()
        if node.has_error:
            yield node
            children: Sequence[tree_sitter.Node] = node.children
            seen += len(children)
            waiting.extend(children)


def _count_faults(root: tree_sitter.Node) -> int:
    return sum(node.is_error or node.is_missing for node in _faulty_nodes(root))


def _has_wide_error(root: tree_sitter.Node) -> bool:
    return any(node.is_error and node.child_count > _MAX_ERROR_CHILDREN for node in _faulty_nodes(root))


def _is_innermost(node: tree_sitter.Node) -> bool:
    return node.is_missing or (node.is_error and not any(child.has_error for child in node.children))


def _place_of(node: tree_sitter.Node, data: bytes) -> tuple[int, int, str]:
    """Where the fault is (bytes), and what is missing there.

    An ERROR begins with what was read well before the fault: that is the bracket that nothing closes, if it is longer
    than a line, else its last sign or keyword.
    """
    if node.is_missing:
        before = _end_before(node.start_byte, data)
        return before, before, node.type
    children: Sequence[tree_sitter.Node] = node.children
    place = _unclosed(children) if node.end_point[0] > node.start_point[0] else None
    tokens = [child for child in children if child.child_count == 0]
    if place is None and tokens:
        place = next((token for token in reversed(tokens) if not token.is_named), tokens[0])
    place = place or node
    return place.start_byte, place.end_byte, ""


def _end_before(start: int, data: bytes) -> int:
    """The end of what stands before a missing token: some grammars expect it only after the line break.

    Looked up in the text: to ask a tree for the parents of a node takes a walk down from its root for each of them.
    """
    end = start
    while end > 0 and data[end - 1] in b" \t\r\n\f\v":
        end -= 1
    return end or start


def _unclosed(children: Sequence[tree_sitter.Node]) -> tree_sitter.Node | None:
    """The last of these tokens that opens a bracket which none of them closes."""
    closed = 0
    for child in reversed(children[-_MAX_ERROR_CHILDREN:]):
        if child.type in (")", "]", "}"):
            closed += 1
        elif child.type in ("(", "[", "{"):
            if not closed:
                return child
            closed -= 1
    return None
