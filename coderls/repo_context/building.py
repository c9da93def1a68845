"""Reading a whole workspace: what is as it was last time, then what open documents need, then the rest.

The files that a document imports come before those beside it, and settings files before all, because imports are
resolved by them. A document that is opened meanwhile goes before what is left.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from coderls.document import Document
from coderls.repo_context.intake import Intake
from coderls.repo_context.languages import by_id, by_path
from coderls.repo_context.languages.language import parent_folder

#: Other threads get the interpreter's lock for `_YIELD_S` whenever the work went on for `_SLICE_S`.
_SLICE_S, _YIELD_S = 0.005, 0.0003
_REPORT_S = 0.1
#: Imports of one document that go before the rest.
_MAX_HURRY = 400

Progress = Callable[[str, float], None]


class Build:
    """One reading of all folders of an intake.

    `pause` is called before each file and waits while something more urgent runs; `should_stop` ends the reading.
    """

    def __init__(
        self,
        intake: Intake,
        *,
        progress: Progress | None = None,
        pause: Callable[[], None] = lambda: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._intake = intake
        self._progress = progress or (lambda text, fraction: None)
        self._pause = pause
        self._should_stop = should_stop
        self._yielded_at = time.monotonic()
        self._reported_at = 0.0  # the first step is always told
        # By folder, the last first: a dict that is emptied from its beginning is slow.
        self._left: list[dict[str, None]] = []
        self._settings: deque[tuple[int, str]] = deque()
        self._hurry: deque[tuple[int, str]] = deque()

    def run(self) -> bool:
        """True when everything was read, false when it was stopped."""
        self._left = [self._list(number) for number in range(len(self._intake.shelves))]
        self._intake.newly_opened.extend(list(self._intake.open))
        total = sum(len(left) for left in self._left)
        done = 0
        while (place := self._next()) is not None:
            if self._should_stop():
                return False
            self._pause()
            self._intake.take_file(*place)
            done += 1
            self._breathe(f"{done:,} of {total:,} files", done / max(1, total))
        for store in self._intake.stores:
            store.sweep()
        self._progress(f"{sum(shelf.outlined_count() for shelf in self._intake.shelves):,} files", 1.0)
        return True

    def _list(self, number: int) -> dict[str, None]:
        """What has to be read of a folder; what is as it was is taken from the store."""
        intake, workspace = self._intake, self._intake.workspace
        self._progress(f"Listing {workspace.folders[number].name}", 0.0)
        files = workspace.list_files(number)
        left = dict.fromkeys(reversed(files))
        with intake.lock:
            shelf = intake.shelves[number]
            for path in shelf.paths():
                if path not in left and intake.open_at(number, path) is None:
                    shelf.drop(path)
            shelf.announce(path for path in files if by_path(path) is not None)
            intake.listed[number] = True
        intake.left_out[number] = {path: why for path, why in list(intake.left_out[number].items()) if path in left}
        intake.stores[number].flush()
        for row in intake.stores[number].rows():
            if self._should_stop():
                break
            if row.path not in left:
                intake.stores[number].drop(row.path)
            elif intake.open_at(number, row.path) is None and workspace.stamp(number, row.path) == row.stamp:
                intake.take_row(number, row)
                del left[row.path]
            self._breathe(f"Comparing {workspace.folders[number].name}", 0.0)
        self._settings.extend((number, path) for path in left if by_path(path) is None)
        return left

    def _next(self) -> tuple[int, str] | None:
        """The most urgent file that is left."""
        while not self._settings and self._intake.newly_opened:
            document = self._intake.open.get(self._intake.newly_opened.popleft())
            if document is not None:
                self._hurry_for(document)
        for urgent in (self._settings, self._hurry):
            while urgent:
                number, path = urgent.popleft()
                if path in self._left[number]:
                    del self._left[number][path]
                    return number, path
        for number, left in enumerate(self._left):
            if left:
                return number, left.popitem()[0]
        return None

    def _hurry_for(self, document: Document) -> None:
        """What `document` needs goes before the rest: itself, what it imports, what lies beside it."""
        place = self._intake.workspace.locate(document.path) if document.path else None
        if place is None:
            return
        number, path = place
        shelf = self._intake.shelves[number]
        language = by_id(document.language_id)
        wanted = [path]
        if language is not None:
            for entry in self._intake.imports_of(document)[:_MAX_HURRY]:
                with self._intake.lock:
                    wanted += shelf.resolve(language, entry.module, path)
        with self._intake.lock:
            wanted += shelf.inside(parent_folder(path))
        self._hurry.extendleft((number, other) for other in reversed(wanted))

    def _breathe(self, text: str, fraction: float) -> None:
        now = time.monotonic()
        if now - self._reported_at > _REPORT_S:
            self._reported_at = now
            self._progress(text, fraction)
        if now - self._yielded_at > _SLICE_S:
            time.sleep(_YIELD_S)
            self._yielded_at = time.monotonic()
