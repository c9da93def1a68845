"""What is measured of a context: is what the hidden line needs in it, and nothing that gives the line away?"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from benchmarks.context_points import Point, Symbol
from coderls.document import Document, Snippet
from coderls.repo_context.languages import by_path
from coderls.repo_context.outline import Outline
from coderls.repo_context.parse import language_of, outline

_NAME = re.compile(r"[^\W\d]\w+")
_KEYWORDS = frozenset(keyword.kwlist) | frozenset(
    re.findall(
        r"\w+",
        "break case catch class const continue debugger default delete do else enum export extends false finally for "
        "function if implements import in instanceof interface let new null package private protected public "
        "readonly return static super switch this throw true try type typeof undefined var void while with yield "
        "abstract async await declare of self cls string number boolean any unknown never int str bool",
    )
)
#: A shorter line (characters) says nothing when it stands elsewhere too.
_TELLING = 20
#: So many characters around the cursor are in a prompt: about 1,500 and 500 tokens, the default budgets.
_BEFORE, _AFTER = 5_000, 1_700


@dataclass(frozen=True, slots=True)
class Hidden:
    """A document whose line is hidden: the cursor stands behind its indentation."""

    point: Point
    document: Document
    offset: int
    line: str


def hide(root: Path, point: Point, *, text: str = "") -> Hidden:
    """The document of `point` without its line; `text` in place of the file's. Raises DocumentError, OSError."""
    path = root / point.path
    whole = text or path.read_bytes().decode("utf-8", "replace")
    document = Document(path.as_uri(), language_of(path) or "plaintext", 1, whole, path)
    start, end = document.line_span(point.line)
    line = whole[start:end]
    offset = start + len(line) - len(line.lstrip())
    hidden = Document(document.uri, document.language_id, 2, whole[:offset] + whole[end:], path)
    return Hidden(point, hidden, offset, line.strip())


def without_imports(root: Path, point: Point) -> Hidden | None:
    """As `hide`, without the imports of `point.symbols` that nothing but the hidden line uses; None without such."""
    plain = hide(root, point)
    language = by_path(point.path)
    found = outline(language, plain.document.text) if language else None
    if found is None:
        return None
    rows = plain.document.text.split("\n")
    import_rows = set(found.import_rows)
    rest = "\n".join(row for number, row in enumerate(rows) if number not in import_rows)
    used, left = set(_NAME.findall(plain.line)), set(_NAME.findall(rest))
    needed = {symbol.name for symbol in point.symbols}
    mine = {entry.alias for entry in found.imports if entry.alias} & used & needed - left
    if not mine:
        return None
    whole = (root / point.path).read_bytes().decode("utf-8", "replace").split("\n")
    if len(whole) != len(rows):
        return None
    for name in mine:
        _remove_import(whole, sorted(import_rows), name)
    text = _EMPTY_IMPORT.sub(lambda match: "\n" * match.group().count("\n"), "\n".join(whole))
    return hide(root, point, text=text)


#: An import statement that is left without a name.
_EMPTY_IMPORT = re.compile(
    r"^[ \t]*(?:from\s+[\w.]+\s+)?import[ \t]*(?:type\s*)?(?:[({]\s*[)}][^\n]*|(?:from\b[^\n]*)?)$", re.MULTILINE
)


def _remove_import(rows: list[str], import_rows: Sequence[int], name: str) -> None:
    """Take `name` out of the import statements in `rows`."""
    one = rf"(?:[\w.]+\s+as\s+)?(?<![\w./'\"-]){re.escape(name)}\b(?!\s*(?:as|from)\b)"
    word = re.compile(rf",\s*{one}(?=\s*(?:$|[)}}#;]))|{one}\s*,?\s*")
    for row in import_rows:
        head, source = _split_source(rows[row])
        shorter = word.sub("", head)
        if shorter != head:
            rows[row] = shorter.rstrip() + (" " if source else "") + source


def _split_source(row: str) -> tuple[str, str]:
    """The names, and the module that they come from where it stands last, as in `import {a} from "b"`."""
    at = re.search(r"\bfrom\s+['\"]", row)
    return (row[: at.start()], row[at.start() :]) if at else (row, "")


def found_symbols(snippets: Sequence[Snippet], symbols: Iterable[Symbol], root: Path) -> int:
    """How many of `symbols` are shown: the line of their definition, or that of the same name in the same class
    (an attribute that several methods set counts once)."""
    return sum(any(_shows(snippet, symbol, root) for snippet in snippets) for symbol in symbols)


def _shows(snippet: Snippet, symbol: Symbol, root: Path) -> bool:
    if snippet.path != symbol.path:
        return False
    for piece in snippet.pieces:
        if piece.start_line <= symbol.line < piece.end_line:
            return True
        if piece.name == symbol.name and _class_at(root / symbol.path, piece.start_line) == _class_at(
            root / symbol.path, symbol.line
        ):
            return True
    return False


def _class_at(path: Path, line: int) -> int:
    """The innermost class around a line, as a number; -1 for none."""
    found = _outline_of(path)
    classes = [
        (item.start_line, number)
        for number, item in enumerate(found.definitions if found else ())
        if item.kind == "class" and item.start_line < line < item.end_line
    ]
    return max(classes, default=(0, -1))[1]


@lru_cache(maxsize=4_096)
def _outline_of(path: Path) -> Outline | None:
    language = by_path(path)
    return outline(language, path.read_bytes().decode("utf-8", "replace")) if language else None


def identifiers(line: str) -> set[str]:
    """The names on a line, keywords and the words in its comments left out."""
    return set(_NAME.findall(re.sub(r"\s(#|//).*", "", line))) - _KEYWORDS


def covered(hidden: Hidden, snippets: Sequence[Snippet]) -> tuple[int, int]:
    """How many of the hidden line's identifiers stand in the prompt, and how many there are.

    The prompt is the text around the cursor (5,000 characters before it, 1,700 after) and the context.
    """
    text, offset = hidden.document.text, hidden.offset
    around = text[max(0, offset - _BEFORE) : offset + _AFTER]
    words = set(_NAME.findall(around)).union(*(_NAME.findall(snippet.text) for snippet in snippets))
    wanted = identifiers(hidden.line)
    return len(wanted & words), len(wanted)


def leaks(hidden: Hidden, snippets: Sequence[Snippet], root: Path) -> bool:
    """Whether the context holds the open file itself, or a copy of it: a file with four fifths of its lines of code."""
    return any(
        snippet.path == hidden.point.path or _is_copy(root / snippet.path, root / hidden.point.path)
        for snippet in snippets
    )


@lru_cache(maxsize=100_000)
def _is_copy(path: Path, own: Path) -> bool:
    return len(_lines(path) & _lines(own)) >= max(2, 0.8 * len(_lines(own)))


@lru_cache(maxsize=4_096)
def _lines(path: Path) -> frozenset[str]:
    rows = (row.strip() for row in path.read_bytes().decode("utf-8", "replace").split("\n"))
    alike = ("#", "//", "*", "/*", "import ", "from ", "export * from", "export {")
    return frozenset(row for row in rows if len(row) >= _TELLING and not row.startswith(alike))


def has_twin(hidden: Hidden, snippets: Sequence[Snippet]) -> bool:
    """Whether the hidden line stands in the context, word for word, from another place."""
    return len(hidden.line) >= _TELLING and any(
        hidden.line == row.strip() for snippet in snippets for row in snippet.text.split("\n")
    )
