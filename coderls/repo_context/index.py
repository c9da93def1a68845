"""The index of the workspace, in memory: built in the background, kept up to date, asked at every keystroke.

Threads: `update`, `forget` and `refresh` only take note and return at once, so the event loop may call them;
one worker thread, started when there is something to do, reads and parses. `build` runs in a thread of its
caller's. `snippets` may be called from any thread.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coderls.document import Document, Snippet
from coderls.repo_context import candidates, rank
from coderls.repo_context.files import Shelf
from coderls.repo_context.languages import by_id, by_path, is_settings_file
from coderls.repo_context.languages.language import Language
from coderls.repo_context.outline import Outline
from coderls.repo_context.pack import pack
from coderls.repo_context.parse import outline
from coderls.repo_context.view import View
from coderls.repo_context.workspace import Workspace

logger = logging.getLogger(__name__)

#: The worker waits until nothing was typed for so long.
_QUIET_S = 0.25
#: ... but at most this long: somebody may type for minutes.
_LONGEST_WAIT_S = 2.0
#: Given to other threads after each file: a parse holds the interpreter's lock.
_YIELD_S = 0.0003
#: Longer documents are parsed again by the worker only, not while a completion waits (characters).
_PARSE_NOW = 30_000
_MAX_COUNTS = 50_000

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class IndexStats:
    """What the index holds. `notes` are sentences for the user about what is not indexed, and why."""

    folders: int
    files: int
    definitions: int
    open_documents: int
    built: bool
    notes: tuple[str, ...]


class RepositoryIndex:
    """Definitions of the whole workspace, and the snippets of them that a completion needs."""

    def __init__(self, folders: Sequence[Path], *, busy: Callable[[], bool] = lambda: False) -> None:
        self._workspace = Workspace(folders)
        self._shelves = tuple(Shelf() for _ in self._workspace.folders)
        self._busy = busy
        self._lock = threading.RLock()  # guards the shelves
        self._open: dict[str, Document] = {}
        self._views: dict[str, View] = {}
        self._costs: dict[Callable[[str], int], dict[str, int]] = {}
        self._built = False
        self._todo: dict[Path | str, None] = {}  # files (Path) and open documents (uri) that changed
        self._todo_changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._last_change = 0.0
        self._first_change = 0.0
        self._closed = False

    @classmethod
    def open_workspace(cls, folders: Sequence[Path], *, busy: Callable[[], bool] = lambda: False) -> RepositoryIndex:
        """An empty index of `folders`. `busy()` is true while a completion runs: the background then waits."""
        return cls(folders, busy=busy)

    def build(self, progress: Progress | None = None, should_stop: Callable[[], bool] | None = None) -> bool:
        """Read the whole workspace. Runs for a while: call it in a thread. False when it was stopped."""
        work = [(number, path) for number in range(len(self._shelves)) for path in self._by_closeness(number, progress)]
        for done, (number, path) in enumerate(work):
            if self._closed or (should_stop is not None and should_stop()):
                return False
            self._wait_while_busy(should_stop)
            self._read(number, path)
            if progress is not None and done % 50 == 0:
                progress(f"{done} of {len(work)} files", done / len(work))
            time.sleep(_YIELD_S)
        self._drop_vanished(work)
        self._built = True
        if progress is not None:
            progress(f"{len(work)} files", 1.0)
        return True

    def update(self, document: Document) -> None:
        """This version of an open document hides the file on disk from now on. Returns at once."""
        self._open[document.uri] = document
        self._note(document.uri)

    def forget(self, uri: str) -> None:
        """The document was closed: its file on disk counts again. Returns at once."""
        document = self._open.pop(uri, None)
        self._views.pop(uri, None)
        if document is not None and document.path is not None:
            self._note(document.path)

    def refresh(self, path: Path) -> None:
        """A file was made, changed or deleted on disk. Returns at once."""
        self._note(path)

    def settle(self, timeout_s: float) -> bool:
        """Wait until everything noted so far is indexed; false when it takes longer than `timeout_s`."""
        with self._todo_changed:
            return self._todo_changed.wait_for(lambda: self._worker is None, timeout_s)

    def close(self) -> None:
        """End the worker. The index can still be asked."""
        with self._todo_changed:
            self._closed = True
            self._todo.clear()
            self._todo_changed.notify_all()
            worker = self._worker
        if worker is not None:
            worker.join(5.0)

    def is_allowed(self, path: Path) -> bool:
        """Whether this file may give context (see `Workspace.is_allowed`)."""
        return self._workspace.is_allowed(path)

    def stats(self) -> IndexStats:
        """What is indexed now."""
        with self._lock:
            outlines = [item for shelf in self._shelves for item in shelf.outlines.values()]
            return IndexStats(
                folders=len(self._shelves),
                files=len(outlines),
                definitions=sum(len(item.definitions) for item in outlines),
                open_documents=len(self._open),
                built=self._built,
                notes=tuple(self._workspace.notes),
            )

    def snippets(
        self, document: Document, offset: int, *, budget_tokens: int, count: Callable[[str], int]
    ) -> list[Snippet]:
        """What other files define that the code at `offset` may need: at most `budget_tokens` by `count`.

        The headings that name the files are included in the budget. The most relevant snippet comes last. The
        same index, text and place give the same answer. Empty for files outside of the workspace, ignored or
        secret ones, and languages without a grammar.
        """
        language = by_id(document.language_id)
        place = self._place(document)
        if language is None or place is None or budget_tokens <= 0:
            return []
        number, path = place
        view = self._view(document, language)
        near = rank.names_near(document.text, offset)
        counted = self._counting(count)
        with self._lock:
            shelf = self._shelves[number]
            asker = candidates.Asker(path, language, view.imports if view else (), near)
            return pack(
                rank.rank(candidates.find(shelf, asker), near),
                shelf,
                budget=budget_tokens,
                count=counted,
                near=rank.near_text(document.text, offset),
                is_copy=candidates.copies_of(view.outline.definitions if view else (), shelf),
            )

    def _place(self, document: Document) -> tuple[int, str] | None:
        """Folder number and path of a document that may have context. One without a file is at the top."""
        if document.path is None:
            return (0, "") if self._shelves else None
        return self._workspace.locate(document.path) if self._workspace.is_allowed(document.path) else None

    def _view(self, document: Document, language: Language) -> View | None:
        """Imports and definitions of the asking document; those of an earlier version while a long one changes."""
        view = self._views.get(document.uri)
        carried = view.carried_to(document, language) if view else None
        if carried is None:
            if view and document.uri in self._open and len(document.text) > _PARSE_NOW:
                return view  # the worker makes a new one when typing pauses
            parsed = outline(language, document.text, limit_s=0.5)
            carried = View.of(document, parsed) if parsed else None
        if carried is not None and document.uri in self._open:
            self._views[document.uri] = carried
        return carried or view

    def _counting(self, count: Callable[[str], int]) -> Callable[[str], int]:
        """`count` with a memory: signatures are counted once."""
        if count not in self._costs and len(self._costs) >= 4:
            self._costs.clear()
        known = self._costs.setdefault(count, {})
        if len(known) > _MAX_COUNTS:
            known.clear()

        def counted(text: str) -> int:
            tokens = known.get(text)
            if tokens is None:
                tokens = known[text] = count(text)
            return tokens

        return counted

    def _by_closeness(self, number: int, progress: Progress | None) -> list[str]:
        """The files of a folder, those beside open documents first."""
        if progress is not None:
            progress(f"Listing {self._workspace.folders[number].name}", 0.0)
        busy_folders = set()
        for document in list(self._open.values()):
            place = self._workspace.locate(document.path) if document.path else None
            if place is not None and place[0] == number:
                busy_folders.add(place[1].rpartition("/")[0])
        files = self._workspace.list_files(number)
        return sorted(files, key=lambda path: (path.rpartition("/")[0] not in busy_folders, path))

    def _drop_vanished(self, work: Sequence[tuple[int, str]]) -> None:
        listed = set(work)
        with self._lock:
            for number, shelf in enumerate(self._shelves):
                for path in shelf.paths():
                    if (number, path) not in listed and self._open_at(number, path) is None:
                        shelf.drop(path)

    def _wait_while_busy(self, should_stop: Callable[[], bool] | None = None) -> None:
        while self._busy() and not self._closed and not (should_stop is not None and should_stop()):
            time.sleep(0.005)

    # One file

    def _read(self, number: int, path: str) -> None:
        """Index one file: its open buffer if there is one, else what is on disk."""
        document = self._open_at(number, path)
        if document is not None:
            self._index_document(document, number, path)
            return
        text = self._workspace.read(number, path)
        if is_settings_file(path.rpartition("/")[2]) and text is not None:
            with self._lock:
                self._shelves[number].put_settings(path, text)
            return
        language = by_path(path, text or "")
        found = outline(language, text) if language is not None and text is not None else None
        with self._lock:
            if found is None:
                self._shelves[number].drop(path)
            else:
                self._shelves[number].put(path, _lean(found))

    def _index_document(self, document: Document, number: int, path: str) -> None:
        language = by_id(document.language_id)
        found = outline(language, document.text) if language is not None else None
        with self._lock:
            current = self._open.get(document.uri)
            if current is None or found is None:
                return
            self._shelves[number].put(path, _lean(found))
            self._views[document.uri] = View.of(document, found)

    def _open_at(self, number: int, path: str) -> Document | None:
        for document in list(self._open.values()):
            if document.path is not None and self._workspace.locate(document.path) == (number, path):
                return document
        return None

    # The worker

    def _note(self, what: Path | str) -> None:
        with self._todo_changed:
            if self._closed:
                return
            self._last_change = time.monotonic()
            if not self._todo:
                self._first_change = self._last_change
            self._todo[what] = None
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="coderls-index", daemon=True)
                self._worker.start()

    def _work(self) -> None:
        while True:
            with self._todo_changed:
                while self._todo and (wait := self._due() - time.monotonic()) > 0:
                    self._todo_changed.wait(wait)
                if not self._todo:
                    self._worker = None
                    self._todo_changed.notify_all()
                    return
                what = next(iter(self._todo))
                del self._todo[what]
            self._wait_while_busy()
            try:
                self._catch_up(what)
            except Exception:  # one strange file must not end the worker: nothing would be taken in any more
                logger.exception("A change could not be taken into the index.")
            time.sleep(_YIELD_S)

    def _due(self) -> float:
        """When to begin: once typing pauses, and after a while even if it never does."""
        return min(self._last_change + _QUIET_S, self._first_change + _LONGEST_WAIT_S)

    def _catch_up(self, what: Path | str) -> None:
        document = self._open.get(what) if isinstance(what, str) else None
        path = what if isinstance(what, Path) else document.path if document else None
        place = self._workspace.locate(path) if path else None
        if path is None or place is None:
            return
        number, inside = place
        if isinstance(what, Path) and self._workspace.changed(path):
            self._list_again(number)
        elif not self._workspace.is_allowed(path):
            self._drop(number, inside)
        elif self._open_at(number, inside) is None and _is_folder(path):
            self._take_in_folder(number, inside)
        elif os.path.exists(path) or self._open_at(number, inside) is not None:
            self._read(number, inside)
        else:
            self._drop(number, inside)

    def _drop(self, number: int, inside: str) -> None:
        """Forget a file, or all files of a folder that is gone."""
        with self._lock:
            shelf = self._shelves[number]
            for path in [path for path in shelf.paths() if path == inside or path.startswith(inside + "/")]:
                shelf.drop(path)

    def _take_in_folder(self, number: int, inside: str) -> None:
        """A folder was made, or moved here: some editors tell of it alone. One that is known is left as it is."""
        with self._lock:
            if any(path.startswith(inside + "/") for path in self._shelves[number].paths()):
                return
        for path in self._workspace.list_below(number, inside):
            self._note(self._workspace.folders[number] / path)

    def _list_again(self, number: int) -> None:
        """An ignore file changed: forget what it excludes now, and read what it allows again."""
        folder = self._workspace.folders[number]
        listed = set(self._workspace.list_files(number))
        with self._lock:
            known = set(self._shelves[number].paths())
        for path in known - listed:
            if self._open_at(number, path) is None or not self._workspace.is_allowed(folder / path):
                self._drop(number, path)
        if self._built:  # else the build comes to them
            for path in sorted(listed - known):
                self._note(folder / path)


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _lean(found: Outline) -> Outline:
    """Without what only open documents need."""
    return replace(found, import_rows=())
