"""As much of the repository as a budget holds, in an order that edits do not change.

For prompts whose beginning the engine keeps in its cache. Files come by their closeness to the open one: what it
imports, what that imports, its folder, then the rest of the workspace by folders. First all get their signatures, as
far as the budget goes; where that leaves room the closest are whole. The closest stand last.

What was chosen once stays where it is: a file that changed goes to the end, since all behind a change has to be read
again. Open documents are not in it: they change with each key, and what they define is among the snippets of each
question anyway.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from coderls.document import Piece, Snippet
from coderls.repo_context.files import Shelf
from coderls.repo_context.languages import by_path
from coderls.repo_context.languages.language import ALL, Import, Language, parent_folder
from coderls.repo_context.outline import Outline
from coderls.repo_context.pack import HEADING, render
from coderls.repo_context.turns import TurnLock
from coderls.repo_context.twins import is_test

#: Retriever of these snippets.
SOURCE = "repository"
#: Files that are looked at, and imports of one of them that are followed.
_MAX_FILES, _MAX_IMPORTS = 4_000, 200
#: A file that takes a larger share of the budget is not shown whole.
_LARGEST = 0.2
#: So many files that do not fit any more are passed over before it ends.
_MAX_MISSES = 20


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What is needed of a workspace folder: its shelf, how to lock it, and the text of a file (None: not to be had).

    It is looked at for work on the file `path`, of which others may be copies.
    """

    shelf: Shelf
    lock: TurnLock
    read: Callable[[str], str | None]
    path: str
    is_copy: Callable[[str], bool]

    def is_other(self, path: str) -> bool:
        """Whether this is a file of the index, and neither the one that is worked on nor a copy of it."""
        if path == self.path:
            return False
        with self.lock:
            return self.shelf.is_outlined(path) and not self.is_copy(path)


def backdrop(
    folder: Surveyed,
    imports: Outline,
    language: Language,
    *,
    budget: int,
    count: Callable[[str], int],
    without: Callable[[str], bool],
    previous: Sequence[Snippet] = (),
) -> list[Snippet]:
    """Snippets of at most `budget` tokens, headings included, for work on `folder.path`, which has these `imports`.

    There are none of files of which `without` is true. What of `previous` is still as it was keeps its place.
    """
    packer = _Packer(folder, budget, count)
    for old in previous:
        if not without(old.path):
            packer.keep(old)
    files = [found for found in closest(folder, imports, language) if not without(found)]
    packer.add(files)
    return packer.snippets()


class _Packer:
    def __init__(self, folder: Surveyed, budget: int, count: Callable[[str], int]) -> None:
        self._folder = folder
        self._left = budget
        self._largest = int(_LARGEST * budget)
        self._count = count
        self._kept: list[Snippet] = []
        self._new: dict[str, Snippet] = {}  # the closest first

    def keep(self, old: Snippet) -> None:
        """Take a snippet in again where its file still gives the same."""
        is_whole = bool(old.pieces) and not old.pieces[0].name
        again = self._whole(old.path) if is_whole else self._signatures(old.path)
        if again is not None and again.text == old.text and old.tokens <= self._left:
            self._left -= old.tokens
            self._kept.append(old)

    def add(self, files: Sequence[str]) -> None:
        """Take files in, the closest first: signatures, then whole texts in their place."""
        known = {snippet.path for snippet in self._kept}
        misses = 0
        for path in files:
            if path in known or misses > _MAX_MISSES:
                continue
            found = self._signatures(path)
            if found is not None and found.tokens <= self._left:
                self._left -= found.tokens
                self._new[path] = found
            elif found is not None:
                misses += 1
        if misses:
            return
        for path in list(self._new):
            more = self._whole(path)
            if more is not None and more.tokens <= min(self._largest, self._left + self._new[path].tokens):
                self._left -= more.tokens - self._new[path].tokens
                self._new[path] = more

    def snippets(self) -> list[Snippet]:
        """What was kept, in its order; then what is new, the closest last."""
        return [*self._kept, *reversed(self._new.values())]

    def _signatures(self, path: str) -> Snippet | None:
        language = by_path(path)
        with self._folder.lock:
            definitions = self._folder.shelf.definitions(path)
        shown = {number: item.text for number, item in enumerate(definitions)}
        if language is None or not shown:
            return None
        pieces = tuple(
            Piece(
                item.name,
                item.start_line,
                item.start_line + item.text.count("\n") + 1,
                SOURCE,
                0.0,
                self._count(item.text),
            )
            for item in definitions
        )
        return self._snippet(path, render(definitions, shown, language), pieces)

    def _whole(self, path: str) -> Snippet | None:
        text = self._folder.read(path)
        if text is None or not text.strip() or len(text) > 8 * self._largest:
            return None
        return self._snippet(path, text, (Piece("", 0, text.count("\n") + 1, SOURCE, 0.0, self._count(text)),))

    def _snippet(self, path: str, text: str, pieces: tuple[Piece, ...]) -> Snippet:
        tokens = self._count(text) + self._count(path) + HEADING
        first, last = min(piece.start_line for piece in pieces), max(piece.end_line for piece in pieces)
        return Snippet(path, first, last, text, SOURCE, 0.0, tokens, pieces)


def closest(folder: Surveyed, imports: Outline, language: Language) -> Iterator[str]:
    """Files of the workspace folder, the closest to `folder.path` first; tests after the rest."""
    seen = {folder.path}
    tests: list[str] = []
    for found in _reached(folder, imports, language):
        if found not in seen and len(seen) < _MAX_FILES:
            seen.add(found)
            if is_test(found):
                tests.append(found)
            else:
                yield found
    yield from tests


def _reached(folder: Surveyed, imports: Outline, language: Language) -> Iterator[str]:
    waiting: deque[tuple[str, Outline, Language]] = deque([(folder.path, imports, language)])
    followed = {folder.path}
    while waiting and len(followed) < _MAX_FILES:
        importer, outline, spoken = waiting.popleft()
        for entry in outline.imports[:_MAX_IMPORTS]:
            with folder.lock:
                paths = _files_of(entry, folder.shelf, spoken, importer)
                found = [(other, folder.shelf.outline(other)) for other in paths if other not in followed]
            for other, inner in found:
                language_there = by_path(other)
                if inner is not None and language_there is not None:
                    followed.add(other)
                    waiting.append((other, inner, language_there))
                    yield other
    with folder.lock:
        rest = list(folder.shelf.outlined())
    yield from sorted(rest, key=lambda other: (_steps(folder.path, other), other))


def _files_of(entry: Import, shelf: Shelf, language: Language, importer: str) -> Sequence[str]:
    """What an import names: a module, or a module and what of it is one itself."""
    paths = shelf.resolve(language, entry.module, importer)
    if language.join and entry.name not in ("", ALL):
        return (*shelf.resolve(language, language.join(entry.module, entry.name), importer), *paths)
    return paths


def _steps(one: str, other: str) -> int:
    """Folders up and down from one file to the other."""
    mine, theirs = parent_folder(one).split("/"), parent_folder(other).split("/")
    shared = 0
    while shared < min(len(mine), len(theirs)) and mine[shared] == theirs[shared]:
        shared += 1
    return len(mine) + len(theirs) - 2 * shared
