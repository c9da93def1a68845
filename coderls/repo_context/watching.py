"""Noticing changes on disk by ourselves, for editors that do not tell of them.

On Linux each folder needs a watch of its own, so only folders with sources, and those around them, get one: not
node_modules. Elsewhere the system watches a whole tree at once.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from watchfiles import watch

logger = logging.getLogger(__name__)

#: Folders that are watched on Linux, at most: a user may have some 8,000 to 1,000,000 watches for all programs.
MAX_FOLDERS = 4_000
#: Changes are gathered until none comes for `_STEP_MS`, but no longer than `_GATHER_MS`.
_STEP_MS, _GATHER_MS = 30, 200
#: How often a watch without changes comes back (it is up when it does so first).
_TURN_MS = 300
_TREES = sys.platform != "linux"


class Watcher:
    """A thread that calls `changed` with each path that was made, changed or removed, until `close`.

    `folders` gives what to watch, workspace folders first; it is asked again when folders come. `wanted` says whether a
    new folder may hold sources one day. `note` is told, in a sentence, what is not watched.
    """

    def __init__(
        self,
        roots: Iterable[Path],
        folders: Callable[[], list[Path]],
        changed: Callable[[Path], None],
        note: Callable[[str], None],
        wanted: Callable[[Path], bool] = lambda folder: True,
    ) -> None:
        self._roots = list(roots)
        self._folders = folders
        self._changed = changed
        self._note = note
        self._wanted = wanted
        #: Folders that came while we watched: some are empty, and no one else knows of them.
        self._fresh: dict[Path, None] = {}
        self._stop = threading.Event()
        self._watching = threading.Event()
        self._thread = threading.Thread(target=self._run, name="coderls-watch", daemon=True)
        self._thread.start()

    def ready(self, timeout_s: float) -> bool:
        """Wait until changes are noticed; false when it takes longer."""
        return self._watching.wait(timeout_s)

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        known: set[Path] = set()
        while not self._stop.is_set():
            folders = self._roots if _TREES else self._some()
            try:
                self._watch(folders, known)
            except FileNotFoundError:  # a folder went away between the listing and now
                self._stop.wait(0.2)
            except (OSError, RuntimeError) as error:
                logger.warning("Files cannot be watched: %s", error)
                self._note(f"Changes on disk are not noticed before a file is opened or saved here: {error}.")
                return
            else:
                known = set(folders)

    def _some(self) -> list[Path]:
        self._fresh = {folder: None for folder in self._fresh if folder.is_dir()}
        folders = [folder for folder in dict.fromkeys([*self._folders(), *self._fresh]) if folder.is_dir()]
        if len(folders) > MAX_FOLDERS:
            self._note(
                f"Of {len(folders)} folders {MAX_FOLDERS} are watched: changes in the others are noticed when a "
                "file is opened or saved here, or at the next start."
            )
        return folders[:MAX_FOLDERS]

    def _watch(self, folders: list[Path], known: set[Path]) -> None:
        """Until there is a new folder, or the end. Raises OSError and RuntimeError."""
        watched = set(folders)
        new = watched - known if known else set()
        for changes in watch(
            *folders,
            watch_filter=None,
            debounce=_GATHER_MS,
            step=_STEP_MS,
            stop_event=self._stop,
            rust_timeout=_TURN_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=_TREES,
            ignore_permission_denied=True,
        ):
            for folder in new:
                self._tell_of_files(folder)  # what came before it was watched
            new = set()
            self._watching.set()
            paths = [Path(path) for _, path in changes]
            for path in paths:
                self._changed(path)
            came = [] if _TREES else [path for path in paths if path not in watched and path.is_dir()]
            for path in came:
                self._add_fresh(path)
            if any(path in self._fresh for path in came):
                return

    def _add_fresh(self, folder: Path) -> None:
        """A new folder and those in it."""
        waiting = [folder]
        while waiting and len(self._fresh) < MAX_FOLDERS:
            path = waiting.pop()
            if not path.is_symlink() and self._wanted(path):
                self._fresh[path] = None
                with suppress(OSError):
                    waiting += [entry for entry in path.iterdir() if entry.is_dir()]

    def _tell_of_files(self, folder: Path) -> None:
        try:
            names = os.listdir(folder)
        except OSError:
            return
        for name in names:
            self._changed(folder / name)
