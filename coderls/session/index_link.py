"""The repository index of a session: made and built in the background, fed with what the user opens and edits.

The index has threads of its own, gets frozen documents and paths, and touches nothing else of the session. It is
polite: it waits while a completion runs.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from coderls.document import Document
from coderls.garbage import set_aside
from coderls.session.engine_link import import_heavy
from coderls.session.ui import Client, Progress

if TYPE_CHECKING:
    from coderls.repo_context.index import RepositoryIndex

logger = logging.getLogger(__name__)

#: A progress bar is shown for what takes longer.
_SHOW_AFTER_S = 0.7


class IndexLink:
    """The index of the workspace folders, or none: without folders, switched off, or not made yet.

    `documents` gives the documents that are open now.
    """

    def __init__(self, client: Client, documents: Callable[[], Collection[Document]]) -> None:
        self.folders: list[Path] = []
        self.source: RepositoryIndex | None = None
        self._client = client
        self._documents = documents
        self._making: asyncio.Task[None] | None = None
        self._enabled = False
        self._completions = 0
        self.resting = asyncio.Event()  # set while no completion runs
        self.resting.set()
        self._by_client: bool | None = None
        self._is_built = False

    def start(self, *, enabled: bool) -> None:
        """Make the index if it is wanted and not there; drop it if it is there and not wanted."""
        if enabled != self._enabled:
            self._enabled = enabled
            self._make_again()

    def use(self, folders: Sequence[Path]) -> None:
        """Other workspace folders than before."""
        self.folders = list(folders)
        self._make_again()

    def changed(self, document: Document) -> None:
        """An open document has this text now, whatever the disk says."""
        if self.source is not None:
            self.source.update(document)

    def closed(self, document: Document) -> None:
        """A document was closed: the disk counts again."""
        if self.source is not None:
            self.source.forget(document.uri)

    def files_changed(self, paths: Sequence[Path]) -> None:
        """Files on disk are new, other, or gone."""
        if self.source is not None:
            for path in paths:
                self.source.refresh(path)

    def watched(self, *, by_client: bool) -> None:
        """Whether the editor tells when files change on disk. If it does not, we look ourselves."""
        self._by_client = by_client
        self._watch_if_needed()

    def close(self) -> None:
        """Stop what runs."""
        self._enabled = False
        self._make_again()

    def folder_of(self, document: Document) -> Path | None:
        """The innermost workspace folder that holds a document."""
        if document.path is None:
            return None
        holding = [folder for folder in self.folders if document.path.is_relative_to(folder)]
        return max(holding, key=lambda folder: len(folder.parts), default=None)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """While a completion runs, the index does not compete with it for the processor."""
        self._completions += 1
        self.resting.clear()
        try:
            yield
        finally:
            self._completions -= 1
            if not self._completions:
                self.resting.set()

    def _make_again(self) -> None:
        if self._making is not None:
            self._making.cancel()
            self._making = None
        if self.source is not None:
            # It waits for its worker to end, which nobody here has to.
            threading.Thread(target=_end, args=([self.source],), name="index-close", daemon=True).start()
            self.source = None
        if self._enabled and self.folders:
            self._making = asyncio.ensure_future(self._make(tuple(self.folders)))

    async def _make(self, folders: tuple[Path, ...]) -> None:
        loop = asyncio.get_running_loop()
        try:
            work = await loop.run_in_executor(None, import_heavy)
            index: RepositoryIndex = await loop.run_in_executor(None, self._open, work.RepositoryIndex, folders)
        except Exception:
            logger.exception("The workspace cannot be indexed; completions go on without it.")
            self._client.log("The workspace cannot be indexed; completions go on without it. The log says more.")
            return
        self.source = index
        self._is_built = False
        for document in self._documents():
            index.update(document)
        bar = _Bar(self._client)

        def report(text: str, fraction: float) -> None:
            if self.source is index:
                bar.report(text, fraction)

        def told(text: str) -> None:
            bar.end(text)
            if self.source is index:
                self._client.log(text)
                self._is_built = True
                self._watch_if_needed()

        def on_loop(work: Callable[..., None], *values: object) -> None:
            try:
                loop.call_soon_threadsafe(work, *values)
            except RuntimeError:
                logger.debug("The index went on when the session was over.")

        def build() -> None:
            on_loop(told, _build(index, lambda text, fraction: on_loop(report, text, fraction)))
            set_aside()

        threading.Thread(target=build, name="index-build", daemon=True).start()

    def _watch_if_needed(self) -> None:
        """When it is built: the folders to watch are known then."""
        if self.source is not None and self._is_built and self._by_client is False:
            # It imports a library and looks at folders, which nobody here waits for.
            threading.Thread(target=self.source.watch, name="index-watch", daemon=True).start()

    def _open(self, kind: type[RepositoryIndex], folders: tuple[Path, ...]) -> RepositoryIndex:
        return kind.open_workspace(folders, busy=lambda: self._completions > 0)


class _Bar:
    """The editor's progress bar, for an index that takes a while. On the event loop's thread only."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._began = time.monotonic()
        self._asked: asyncio.Task[Progress] | None = None
        self._ended: str | None = None

    def report(self, text: str, fraction: float) -> None:
        if self._ended is not None:
            return
        if self._asked is None and time.monotonic() - self._began > _SHOW_AFTER_S:
            self._asked = asyncio.ensure_future(self._client.progress("Reading the repository"))
            self._asked.add_done_callback(self._shown)
        if self._asked is not None and self._asked.done() and not self._asked.cancelled():
            self._asked.result().report(text, fraction)

    def end(self, text: str) -> None:
        self._ended = text
        if self._asked is not None and self._asked.done() and not self._asked.cancelled():
            self._asked.result().end(text)

    def _shown(self, asked: asyncio.Task[Progress]) -> None:
        """The bar is there: too late, perhaps."""
        if self._ended is not None and not asked.cancelled():
            asked.result().end(self._ended)


def _end(indexes: list[RepositoryIndex]) -> None:
    """Close an index and let it go: only the list has it, and what is set aside is kept for good."""
    indexes.pop().close()
    set_aside()


def _build(index: RepositoryIndex, progress: Callable[[str, float], None]) -> str:
    """Read the workspace; a sentence about what came of it."""
    try:
        whole = index.build(progress)
    except Exception:
        logger.exception("Indexing the workspace failed.")
        return "Indexing the workspace failed; completions go on with what was read. The log says more."
    stats = index.stats()
    notes = " ".join(stats.notes)
    begun = "The index is ready" if whole else "The index was stopped"
    return f"{begun}: {stats.definitions} definitions in {stats.files} files. {notes}".rstrip()
