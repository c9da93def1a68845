"""Keeping the index up to date: one worker thread, there only while something has changed.

What is noted returns at once, so the event loop may do it. The worker waits a moment for typing to pause, longer for
documents that take long to parse. Many files at once (another branch, a build) are listed again instead of being
asked about one by one.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from coderls.repo_context.filters import name_reason
from coderls.repo_context.intake import Intake

logger = logging.getLogger(__name__)

#: The worker waits until nothing was typed for so long, or for so many times what parsing the document takes.
_QUIET_S, _QUIET_DISK_S = 0.02, 0.01
_QUIET_COSTS = 2.0
_LONGEST_QUIET_S = 0.15
#: ... but at most this long: somebody may type for minutes.
_LONGEST_WAIT_S = 2.0
#: Given to other threads after each file: a parse holds the interpreter's lock.
_YIELD_S = 0.0003
#: More changed files than this are listed again.
_MANY = 40

#: A path on disk, or the uri of an open document.
Change = Path | str


class Upkeep:
    """`pause` is called before each change and waits while something more urgent runs."""

    def __init__(self, intake: Intake, pause: Callable[[], None]) -> None:
        self._intake = intake
        self._pause = pause
        self._todo: dict[Change, None] = {}
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._last_change = self._first_change = 0.0
        self._quiet_s = _QUIET_S
        self._closed = False
        intake.on_lost = self.note

    def note(self, change: Change) -> None:
        """Something changed. Returns at once."""
        with self._changed:
            if self._closed:
                return
            self._last_change = time.monotonic()
            if not self._todo:
                self._first_change = self._last_change
                self._quiet_s = 0.0
            self._quiet_s = max(self._quiet_s, self._quiet_after(change))
            self._todo[change] = None
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="coderls-index", daemon=True)
                self._worker.start()

    def settle(self, timeout_s: float) -> bool:
        """Wait until everything noted so far is indexed; false when it takes longer than `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._worker is None, timeout_s)

    def close(self) -> None:
        """End the worker."""
        with self._changed:
            self._closed = True
            self._todo.clear()
            self._changed.notify_all()
            worker = self._worker
        if worker is not None:
            worker.join(5.0)

    def _work(self) -> None:
        while batch := self._wait():
            self._pause()
            try:
                if len(batch) > 1:
                    self._catch_up_with_many([path for path in batch if isinstance(path, Path)])
                else:
                    self._catch_up(batch[0])
            except Exception:  # one strange file must not end the worker: nothing would be taken in any more
                logger.exception("A change could not be taken into the index.")
            time.sleep(_YIELD_S)

    def _wait(self) -> list[Change]:
        """What to do next, when it is time; nothing when there is nothing left and the worker ends."""
        for again in (False, True):
            with self._changed:
                while self._todo and (wait := self._due() - time.monotonic()) > 0:
                    self._changed.wait(wait)
                if self._todo:
                    return self._take()
                if again:
                    self._worker = None
                    self._changed.notify_all()
            if not again:  # outside of the lock: another server may be writing, and the event loop notes changes
                for store in self._intake.stores:
                    store.flush()
        return []

    def _quiet_after(self, change: Change) -> float:
        """Seconds in which nothing else may change before this is looked at. Files come one by one, or many at once."""
        if isinstance(change, Path):
            return min(_QUIET_S, _QUIET_DISK_S)
        cost = _QUIET_COSTS * self._intake.cost_s.get(change, 0.0)
        return max(_QUIET_S, min(cost, _LONGEST_QUIET_S))

    def _due(self) -> float:
        """When to begin: once typing pauses, and after a while even if it never does."""
        return min(self._last_change + self._quiet_s, self._first_change + _LONGEST_WAIT_S)

    def _take(self) -> list[Change]:
        """The next change; all changed files, when they are many. Called with the lock."""
        paths: list[Change] = [change for change in self._todo if isinstance(change, Path)]
        batch = paths if len(paths) > _MANY else [next(iter(self._todo))]
        for change in batch:
            del self._todo[change]
        return batch

    def _catch_up(self, change: Change) -> None:
        intake = self._intake
        document = intake.open.get(change) if isinstance(change, str) else None
        path = change if isinstance(change, Path) else document.path if document else None
        place = intake.workspace.locate(path) if path else None
        if path is None or place is None:
            return
        number, inside = place
        document = intake.open_at(number, inside)
        if isinstance(change, Path) and intake.workspace.changed(path):
            self._list_again(number)
        elif document is not None:
            if intake.workspace.is_allowed(path):
                intake.take_document(document, number, inside)
            else:
                intake.drop(number, inside)
        elif not os.path.lexists(path):
            intake.drop(number, inside)
        elif intake.workspace.open_only[number]:
            return
        elif _is_folder(path):
            self._take_in_folder(number, inside)
        elif self._may_be_read(number, inside) and intake.workspace.is_allowed(path):
            intake.take_file(number, inside)
        else:
            intake.drop(number, inside)

    def _catch_up_with_many(self, paths: list[Path]) -> None:
        """A listing of each folder says which of them may be read: asking git for each takes far longer."""
        intake = self._intake
        places = [place for path in paths if (place := intake.workspace.locate(path)) is not None]
        for number in sorted({number for number, _ in places}):
            listed = self._list_again(number)
            inside = [path for at, path in places if at == number]
            self._take_files(number, [path for path in inside if path in listed or self._is_open(number, path)])

    def _take_files(self, number: int, paths: Iterable[str]) -> None:
        for path in paths:
            self._pause()
            if self._closed:
                return
            self._intake.take_file(number, path)
            time.sleep(_YIELD_S)

    def _is_open(self, number: int, inside: str) -> bool:
        document = self._intake.open_at(number, inside)
        return document is not None and document.path is not None and self._intake.workspace.is_allowed(document.path)

    def _may_be_read(self, number: int, inside: str) -> bool:
        return name_reason(inside) is None and not self._intake.workspace.is_passed_over(number, inside)

    def _take_in_folder(self, number: int, inside: str) -> None:
        """A folder was made, or moved here: some editors tell of it alone. One that is known is left as it is."""
        workspace = self._intake.workspace
        with self._intake.lock:
            if self._intake.shelves[number].below(inside):
                return
        if workspace.may_hold_sources(workspace.folders[number] / inside):
            self._take_files(number, workspace.list_below(number, inside))

    def _list_again(self, number: int) -> set[str]:
        """Forget what is excluded or gone now, and read what is allowed again. The files of the folder."""
        intake = self._intake
        folder = intake.workspace.folders[number]
        listed = set(intake.workspace.list_files(number))
        with intake.lock:
            known = set(intake.shelves[number].paths())
        for path in known - listed:
            if intake.open_at(number, path) is None or not intake.workspace.is_allowed(folder / path):
                intake.drop(number, path)
        if intake.listed[number]:  # else the build comes to them
            self._take_files(number, sorted(listed - known - intake.left_out[number].keys()))
        return listed


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)
