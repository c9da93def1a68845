"""Work on a session's documents that takes a while: it has a progress bar, can be stopped, and is waited for.

What the work is (checking, looking for a fix, rewriting) is said by who asks for it; it is done in the workshop, which
is imported in a thread when it is first needed.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from coderls.document import Document
from coderls.session.engine_link import EngineLink
from coderls.session.index_link import IndexLink
from coderls.session.lazy_bar import LazyBar
from coderls.session.ui import Client, Progress
from coderls.settings import RepairSettings

if TYPE_CHECKING:
    from coderls.session.workshop import Job, Workshop

T = TypeVar("T")

#: A completion that runs is waited for, but not for ever (seconds).
_LONGEST_PAUSE_S = 10.0
#: Much can be mended without a model: one that is still being loaded, or even fetched, is not waited for (seconds).
_ENGINE_S = 15.0
#: Languages whose files a checker reads together.
_KIN = (
    frozenset({"typescript", "typescriptreact", "javascript", "javascriptreact"}),
    frozenset({"c", "cpp", "objective-c", "objective-cpp"}),
)


class RepairWork:
    """One session's. `trusted` is the editor's word that this workspace's own programs may be run."""

    def __init__(self, client: Client, documents: Mapping[str, Document], engine: EngineLink, index: IndexLink) -> None:
        self.trusted = False
        self._client = client
        self._documents = documents
        self._engine = engine
        self._index = index
        self._settings = RepairSettings()
        self._running: dict[str, set[asyncio.Task[Any]]] = {}
        self._others: set[asyncio.Task[Any]] = set()
        self._workshop: Workshop | None = None

    def use(self, settings: RepairSettings) -> None:
        """Other settings: what was made with the old ones is closed when the work in it has ended."""
        self._settings = settings
        workshop, self._workshop = self._workshop, None
        if workshop is not None:
            self.keep(_close_after(workshop, [task for running in self._running.values() for task in running]))

    async def close(self) -> None:
        """Stop everything."""
        tasks = [task for running in self._running.values() for task in running] + list(self._others)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._workshop is not None:
            await self._workshop.aclose()

    def stop(self, uri: str) -> None:
        """Stop all work on a document."""
        for task in self._running.pop(uri, ()):
            task.cancel()

    async def stoppable(
        self,
        document: Document,
        title: str,
        bar: Progress | None,
        work: Callable[[Workshop, Job, Callable[[str, float], None]], Coroutine[Any, Any, T]],
    ) -> T | None:
        """Do something in the workshop, with a progress bar that can stop it; None when the document moved, or the
        user stopped it there."""
        uri = document.uri

        async def run() -> T:
            workshop = await self.workshop()
            return await work(workshop, await self.job(document), shown.report)

        task = asyncio.ensure_future(run())
        self._running.setdefault(uri, set()).add(task)
        shown = bar or LazyBar(self._client, title, task.cancel)
        try:
            await asyncio.wait({task})
            return None if task.cancelled() else task.result()
        finally:
            task.cancel()
            self._running.get(uri, set()).discard(task)
            if bar is None:
                shown.end()

    async def workshop(self) -> Workshop:
        """Where the work is done."""
        module = await asyncio.get_running_loop().run_in_executor(None, importlib.import_module, _WORKSHOP)
        if self._workshop is None:
            self._workshop = module.Workshop(self._settings, trusted=self.trusted)
        return self._workshop

    async def job(self, document: Document, *, idle: bool = False) -> Job:
        """A document as something to work on. `idle`: nobody waits for it."""
        folder, beside = self._index.folder_of(document), self.beside(document)
        name = document.path.name if document.path else document.uri.rsplit("/", 1)[-1]
        if folder is not None and document.path is not None:
            name = document.path.relative_to(folder).as_posix()
        module = importlib.import_module(_WORKSHOP)
        others = await asyncio.to_thread(module.unsaved, beside)
        engine = self._engine.wanted() if idle else await self._engine.ready(_ENGINE_S)
        job: Job = module.Job(document, folder, name, engine, self._index.source, idle, others=others)
        return job

    def beside(self, document: Document) -> tuple[Document, ...]:
        """The open documents that checkers may read along with this one: what they say of it depends on them."""
        folder = self._index.folder_of(document)
        if folder is None:
            return ()
        kin = next((some for some in _KIN if document.language_id in some), frozenset({document.language_id}))
        return tuple(
            one
            for one in self._documents.values()
            if one is not document and one.language_id in kin and self._index.folder_of(one) == folder
        )

    async def pause(self) -> None:
        """Until no completion runs: those who type go first."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._index.resting.wait(), _LONGEST_PAUSE_S)

    def keep(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something that nobody waits for."""
        self.wait_for_its_end(asyncio.ensure_future(work))

    def wait_for_its_end(self, task: asyncio.Task[Any]) -> None:
        """`close` does."""
        self._others.add(task)
        task.add_done_callback(self._others.discard)


_WORKSHOP = "coderls.session.workshop"


async def _close_after(workshop: Workshop, tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Close a workshop when what runs in it has ended."""
    await asyncio.gather(*tasks, return_exceptions=True)
    await workshop.aclose()
