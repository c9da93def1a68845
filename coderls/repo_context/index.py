"""The index of the workspace: built in the background, kept up to date, asked at every keystroke.

Threads: `update`, `forget` and `refresh` only take note and return at once, so the event loop may call them;
one worker thread, started when there is something to do, reads and parses. `build` runs in a thread of its
caller's. `snippets` may be called from any thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from coderls.document import Document, Edit, Snippet
from coderls.paths import cache_dir
from coderls.repo_context.backdrop import Surveyed, backdrop, closest
from coderls.repo_context.building import Build, Progress
from coderls.repo_context.candidates import Asker, copies_of
from coderls.repo_context.counts import Counts
from coderls.repo_context.exclusion import Tally
from coderls.repo_context.intake import Intake
from coderls.repo_context.languages import by_id
from coderls.repo_context.languages.language import Language
from coderls.repo_context.local import around, local_texts
from coderls.repo_context.outline import Outline
from coderls.repo_context.parse import outline
from coderls.repo_context.recent import Recent, Region
from coderls.repo_context.retrieve import Query, Sources, ask, retrieve
from coderls.repo_context.surroundings import word_at
from coderls.repo_context.turns import Questions
from coderls.repo_context.upkeep import Upkeep
from coderls.repo_context.usages import OwnLines, Usages
from coderls.repo_context.verdict import Verdict, verdict
from coderls.repo_context.view import View, changed_span
from coderls.repo_context.workspace import Workspace

if TYPE_CHECKING:
    from coderls.repo_context.watching import Watcher

#: Longer documents are parsed again by the worker only, not while a completion waits (characters).
_PARSE_NOW = 30_000
#: Documents whose last answer is kept.
_MAX_ANSWERS = 16
_SETTLE_S = 5.0
#: The background waits no longer for a question to be answered.
_LONGEST_QUESTION_S = 1.0


@dataclass(frozen=True, slots=True)
class IndexStats:
    """What the index holds. `notes` are sentences for the user about what is not indexed, and why."""

    folders: int
    files: int
    definitions: int
    open_documents: int
    built: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, and all that its answer is made of. The word that is being typed is not in it."""

    query: Query
    state: tuple[object, ...]
    budget: int
    count: Callable[[str], int]

    def is_like(self, other: _Asked) -> bool:
        """Whether the answer is the same."""
        mine, theirs = self.query, other.query
        return (
            (self.budget, self.count, self.state) == (other.budget, other.count, other.state)
            and (mine.offset, mine.path, mine.language) == (theirs.offset, theirs.path, theirs.language)
            and mine.document.text == theirs.document.text
            and _outline_of(mine.view) == _outline_of(theirs.view)
        )


class RepositoryIndex:
    """Definitions of the whole workspace, and the snippets of them that a completion needs.

    What was read is kept in `cache` (default: the user's cache folder), so that the next start reads only what changed
    since. `keep=False`: in memory only. `busy()` is true while a completion runs: the background then waits.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        busy: Callable[[], bool] = lambda: False,
        keep: bool = True,
        cache: Path | None = None,
    ) -> None:
        self._workspace = Workspace(folders)
        self._intake = Intake(self._workspace, (cache or cache_dir() / "index") if keep else None)
        self._upkeep = Upkeep(self._intake, self._wait_while_busy)
        self._shelves = self._intake.shelves
        self._usages = [
            Usages(partial(self._text, number), partial(self._intake.windows, number), self._wait_while_busy)
            for number in range(len(self._shelves))
        ]
        self._recent = Recent()
        for shelf, usages in zip(self._shelves, self._usages, strict=True):
            shelf.noticed = usages.note
        self._lock = self._intake.lock  # guards the shelves
        self._open = self._intake.open
        self._views = self._intake.views
        self._busy = busy
        self._intake.pause = self._wait_while_busy
        self._questions = Questions()
        self._answers: dict[str, tuple[_Asked, tuple[Snippet, ...]]] = {}
        self._counts = Counts()
        self._watcher: Watcher | None = None
        self._built = False
        self._closed = False

    @classmethod
    def open_workspace(cls, folders: Sequence[Path], *, busy: Callable[[], bool] = lambda: False) -> RepositoryIndex:
        """An index of `folders`, empty until `build`."""
        return cls(folders, busy=busy)

    def build(self, progress: Progress | None = None, should_stop: Callable[[], bool] | None = None) -> bool:
        """Read what changed of the whole workspace; false when it was stopped. Takes a while: call it in a thread."""

        def stop() -> bool:
            return self._closed or (should_stop is not None and should_stop())

        build = Build(self._intake, progress=progress, pause=lambda: self._wait_while_busy(stop), should_stop=stop)
        whole = build.run()
        self._built = self._built or whole
        for usages in self._usages:
            usages.start()
        return whole

    def update(self, document: Document) -> None:
        """This version of an open document hides the file on disk from now on. Returns at once."""
        self._note_region(self._open.get(document.uri), document)
        self._intake.opened(document)
        self._upkeep.note(document.uri)

    def forget(self, uri: str) -> None:
        """The document was closed: its file on disk counts again. Returns at once."""
        document = self._intake.closed(uri)
        self._answers.pop(uri, None)
        if document is not None and document.path is not None:
            self._upkeep.note(document.path)

    def refresh(self, path: Path) -> None:
        """A file was made, changed or deleted on disk. Returns at once."""
        self._upkeep.note(path)

    def watch(self) -> None:
        """Notice changes on disk from now on, until `close`: for editors that do not tell of them."""
        roots = [
            folder
            for folder, open_only in zip(self._workspace.folders, self._workspace.open_only, strict=True)
            if not open_only and folder.is_dir()
        ]
        if roots and self._watcher is None and not self._closed:
            from coderls.repo_context.watching import Watcher  # noqa: PLC0415 - most editors do not need it

            self._watcher = Watcher(
                roots, self._source_folders, self.refresh, self._note, self._workspace.may_hold_sources
            )

    def settle(self, timeout_s: float) -> bool:
        """Wait until everything noted so far is indexed; false when it takes longer than `timeout_s`."""
        end = time.monotonic() + timeout_s
        return self._upkeep.settle(timeout_s) and all(
            usages.settle(max(0.0, end - time.monotonic())) for usages in self._usages
        )

    def close(self) -> None:
        """End the worker and write what is new to disk. The index can still be asked for what is in memory."""
        self._closed = True
        if self._watcher is not None:
            self._watcher.close()
        self._upkeep.close()
        for usages in self._usages:
            usages.close()
        self._intake.close()

    def is_allowed(self, path: Path) -> bool:
        """Whether this file may give context (see `Workspace.is_allowed`)."""
        return self._workspace.is_allowed(path)

    def stats(self) -> IndexStats:
        """What is indexed now."""
        with self._lock:
            return IndexStats(
                folders=len(self._shelves),
                files=sum(shelf.outlined_count() for shelf in self._shelves),
                definitions=sum(shelf.definition_count for shelf in self._shelves),
                open_documents=len(self._open),
                built=self._built,
                notes=(*self._workspace.notes, *(note for store in self._intake.stores for note in store.notes)),
            )

    def finds(self, name: str) -> bool:
        """Whether a file is known that defines `name`, and not so many that it says nothing."""
        with self._lock:
            return any(shelf.defining(name) for shelf in self._shelves)

    def why(self, path: Path) -> Verdict:
        """Whether this file is in the index now, and if not, why."""
        return verdict(self._intake, path)

    def excluded(self) -> Tally:
        """How many files are left out, and why, with a few examples of each reason."""
        read = Tally()
        for files in self._intake.left_out:
            for path, reason in sorted(files.items()):
                read.add(reason, path)
        return Tally.together([*self._workspace.tallies, read])

    def snippets(
        self, document: Document, offset: int, *, budget_tokens: int, count: Callable[[str], int]
    ) -> list[Snippet]:
        """What other files define that the code at `offset` may need: at most `budget_tokens` by `count`.

        The headings that name the files are included in the budget. The most relevant snippet comes last. The
        same index, text and place give the same answer. Empty for files outside of the workspace, ignored or
        secret ones, and languages without a grammar.
        """
        with self._questions:
            return self._snippets(document, offset, budget_tokens, count)

    def _snippets(
        self, document: Document, offset: int, budget_tokens: int, count: Callable[[str], int]
    ) -> list[Snippet]:
        found = self._query(document, offset) if budget_tokens > 0 else None
        if found is None:
            return []
        number, query = found
        with self._lock:
            sources = self._sources(number, query.path)
            asked = _Asked(query, sources.state(query.path), budget_tokens, count)
            known = self._answers.get(document.uri)
            if known is None or not known[0].is_like(asked):
                answer = retrieve(query, sources, budget=budget_tokens, count=self._counts.of(count))
                known = self._answers[document.uri] = asked, tuple(answer)
                while len(self._answers) > _MAX_ANSWERS:
                    del self._answers[next(iter(self._answers))]
            return list(known[1])

    def backdrop(
        self,
        document: Document,
        *,
        budget_tokens: int,
        count: Callable[[str], int],
        previous: Sequence[Snippet] = (),
    ) -> list[Snippet]:
        """As much of the workspace folder as fits, for prompts about `document` (see `repo_context.backdrop`).

        Takes a second or more: call it in a thread. Nothing of open documents is in it, nor of copies of this one.
        """
        found = self._query(document, len(document.text))
        if found is None or budget_tokens <= 0:
            return []
        number, query = found
        folder, own = self._surveyed(number, document, query)

        def without(path: str) -> bool:
            return self._intake.open_at(number, path) is not None or not folder.is_other(path)

        return backdrop(
            folder, own, query.language, without=without, previous=previous, budget=budget_tokens, count=count
        )

    def local_texts(
        self, document: Document, offset: int, characters: int, may: Callable[[], bool] = lambda: True
    ) -> list[tuple[str, str]]:
        """Paths and texts near a cursor (see `repo_context.local`). Takes a second: call it in a thread."""
        found = self._query(document, len(document.text))
        if found is None:
            return []
        number, query = found
        folder, own = self._surveyed(number, document, query)
        files = closest(folder, own, query.language)
        return [*local_texts(folder, files, characters, may), *around(document, offset, query.path)]

    def _surveyed(self, number: int, document: Document, query: Query) -> tuple[Surveyed, Outline]:
        """The workspace folder of a document as others look at it, and the document's own outline."""
        shelf, own = self._shelves[number], _outline_of(query.view) or Outline((), ())
        shares_lines = partial(self._usages[number].shares_lines, own=OwnLines.of(document.text))
        is_copy = copies_of(own.definitions, shelf, shares_lines)
        return Surveyed(shelf, self._lock, partial(self._text, number), query.path, is_copy), own

    def holds(self, document: Document, snippets: Sequence[Snippet]) -> bool:
        """Whether all of a backdrop may still be shown to `document`: files that are there, allowed, and not open."""
        place = self._place(document)
        if place is None:
            return False
        number, shelf = place[0], self._shelves[place[0]]
        with self._lock:
            return all(
                shelf.is_outlined(path) and path != place[1] and self._intake.open_at(number, path) is None
                for path in (snippet.path for snippet in snippets)
            )

    def state_beside(self, document: Document) -> object:
        """What changes when other files may give something else to `document`: their text, and which are open."""
        place = self._place(document)
        if place is None:
            return None
        with self._lock:
            return self._shelves[place[0]].changes.besides(place[1]), frozenset(self._open)

    def asker(self, document: Document, offset: int) -> Asker | None:
        """What is known of a cursor before anything is looked for; None where `snippets` is empty."""
        found = self._query(document, offset)
        if found is None:
            return None
        with self._lock:
            return ask(found[1], self._sources(found[0], found[1].path))[0]

    def _query(self, document: Document, offset: int) -> tuple[int, Query] | None:
        language = by_id(document.language_id)
        place = self._place(document)
        if language is None or place is None:
            return None
        view = self._view(document, language)
        start, end = word_at(document.text, offset)
        if start < end:
            document = document.apply(Edit(start, end, ""))
        return place[0], Query(document, start, place[1], language, view)

    def _sources(self, number: int, path: str) -> Sources:
        recent = self._recent.regions(number, without=path)
        return Sources(self._shelves[number], self._usages[number], recent)

    def _note_region(self, old: Document | None, new: Document) -> None:
        """Keep in mind where the user edits; where a document is opened, that it was."""
        place = self._workspace.locate(new.path) if new.path else None
        if place is None or (old is not None and old.text == new.text):
            return
        if old is None:
            self._recent.note(Region(*place, 0, edited=False))
            return
        start, old_end, new_end = changed_span(old.text, new.text)
        line = new.line_of(start)
        shift = new.text.count("\n", start, new_end) - old.text.count("\n", start, old_end)
        if shift:
            self._recent.moved(*place, line, shift)
        self._recent.note(Region(*place, line, edited=True))

    def _text(self, number: int, path: str) -> str | None:
        """The text of a file that is in the index: its open buffer, else what is on disk."""
        if not self._shelves[number].is_outlined(path):
            return None
        document = self._intake.open_at(number, path)
        return document.text if document is not None else self._workspace.read(number, path)

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

    def _wait_while_busy(self, should_stop: Callable[[], bool] | None = None) -> None:
        self._questions.wait(_LONGEST_QUESTION_S)  # once: then its turn has come, though the next question follows
        while self._busy() and not self._closed and not (should_stop is not None and should_stop()):
            time.sleep(0.005)

    def _source_folders(self) -> list[Path]:
        """Folders with files of the index, and those around them; the workspace folders first."""
        self._upkeep.settle(_SETTLE_S)  # a new folder is known when it was looked at
        found: dict[Path, None] = {}
        for number, folder in enumerate(self._workspace.folders):
            if not self._workspace.open_only[number]:
                with self._lock:
                    inside = self._shelves[number].all_folders()
                found.update((folder / name if name else folder, None) for name in inside)
        return sorted(found, key=lambda folder: (len(folder.parts), folder))

    def _note(self, text: str) -> None:
        self._workspace.notes[text] = None


def _outline_of(view: View | None) -> Outline | None:
    return view.outline if view is not None else None
