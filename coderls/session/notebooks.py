"""Notebooks: their cells are documents of their own, and what stands in earlier cells is context for later ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from coderls.document import Document, Snippet

#: Earlier cells that go with a request, the last ones; what does not fit the budget is left out of the prompt later.
_MOST_CELLS = 40
#: Longer cells (characters) are data, not code.
_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: the URI of its document, and whether it is code (else it is prose)."""

    uri: str
    code: bool


class Notebooks:
    """The open notebooks and the order of their cells."""

    def __init__(self) -> None:
        self._cells: dict[str, list[Cell]] = {}
        self._home: dict[str, str] = {}  # cell -> notebook

    def open(self, uri: str, cells: Sequence[Cell]) -> None:
        """A notebook was opened."""
        self.close(uri)
        self._cells[uri] = []
        self.splice(uri, 0, 0, cells)

    def splice(self, uri: str, start: int, removed: int, cells: Sequence[Cell]) -> None:
        """`cells` take the place of `removed` ones from number `start` on."""
        known = self._cells.setdefault(uri, [])
        start = max(0, start)
        for cell in known[start : start + max(0, removed)]:
            self._home.pop(cell.uri, None)
        known[start : start + max(0, removed)] = cells
        self._home.update((cell.uri, uri) for cell in cells)

    def close(self, uri: str) -> None:
        """A notebook was closed."""
        for cell in self._cells.pop(uri, ()):
            self._home.pop(cell.uri, None)

    def cells_of(self, uri: str) -> tuple[str, ...]:
        """The URIs of a notebook's cells, in their order; none of what is no open notebook."""
        return tuple(cell.uri for cell in self._cells.get(uri, ()))

    def before(self, document: Document, documents: Mapping[str, Document]) -> tuple[Snippet, ...]:
        """What the code cells before `document` hold, of the same language, in their order. Else nothing."""
        home = self._home.get(document.uri)
        if home is None:
            return ()
        found: list[Snippet] = []
        for number, cell in enumerate(self._cells[home], 1):
            if cell.uri == document.uri:
                break
            earlier = documents.get(cell.uri)
            if earlier is None or not cell.code or earlier.language_id != document.language_id:
                continue
            text = earlier.text
            if text.strip() and len(text) <= _LONGEST:
                lines = text.count("\n") + 1
                found.append(Snippet(f"{_name(home)}, cell {number}", 0, lines, text, "notebook"))
        return tuple(found[-_MOST_CELLS:])

    def name_of(self, document: Document, folder: Path | None) -> str:
        """How a document is called in prompts: its path in the workspace folder, or else its bare name."""
        home = self._home.get(document.uri)
        if home is not None:
            return _name(home)
        if document.path is None:
            return document.uri.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
        return document.path.relative_to(folder).as_posix() if folder else document.path.name


def _name(uri: str) -> str:
    return unquote(urlsplit(uri).path).rsplit("/", 1)[-1] or uri
