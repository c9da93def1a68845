"""Giving the engine as much of the repository as its context holds, before anybody asks, while nothing else is wanted.

When typing rests after an answer, the backdrop of the active document is put together and read by the engine at a
priority that every other request pushes aside. Only then do prompts begin with it. The engine refuses a prompt whose
backdrop it has no more, which takes a few milliseconds, and the same is asked without it: a keystroke never waits for
a long prompt to be read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coderls.document import Document
from coderls.errors import EngineError
from coderls.fim.backdrop import Backdrop
from coderls.session.engine_link import import_heavy
from coderls.session.index_link import IndexLink
from coderls.settings import Settings

if TYPE_CHECKING:
    from coderls.fim.model import BackdropPlan
    from coderls.session.heavy import Engine

logger = logging.getLogger(__name__)

#: So long after the last answer nothing is begun: somebody who types gets all of the machine.
REST_S = 2.0


@dataclass(frozen=True)
class _Read:
    """A backdrop that the engine has read, for which document and client, and what it was made from."""

    backdrop: Backdrop
    uri: str
    client: object
    made_from: tuple[object, ...]


class Backdrops:
    """The one backdrop of a session. `may` is asked before anything is computed that nobody waits for."""

    def __init__(self, index: IndexLink, may: Callable[[], bool]) -> None:
        self._index = index
        self._may = may
        self._read: _Read | None = None
        self._task: asyncio.Task[None] | None = None
        self._next: tuple[Document, Engine, Settings] | None = None

    def at(self, document: Document, engine: Engine) -> Backdrop | None:
        """What a prompt in this document may begin with; None where the engine has not read it, or it is not right."""
        read, source = self._read, self._index.source
        if read is None or source is None or read.uri != document.uri or read.client is not engine.client:
            return None
        return read.backdrop if source.holds(document, read.backdrop.snippets) else None

    def rest(self, document: Document, engine: Engine, settings: Settings) -> None:
        """An answer went out in this document: see to its backdrop when nothing more comes for a while."""
        if import_heavy().backdrop_plan(engine.model, settings.completion, settings.context) is None or not self._may():
            return
        self._next = document, engine, settings
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._work())

    def lost(self) -> None:
        """The engine has it no more."""
        self._read = None

    def stop(self) -> None:
        """End what runs, and forget everything."""
        if self._task is not None:
            self._task.cancel()
        self._task = self._next = self._read = None

    async def _work(self) -> None:
        while self._next is not None:
            waiting = self._next
            await asyncio.sleep(REST_S)
            await self._index.resting.wait()
            if self._next is not waiting:
                continue  # somebody asked meanwhile
            self._next = None
            try:
                await self._see_to(*waiting)
            except EngineError as error:
                logger.info("The engine has not read the repository: %s", error)

    async def _see_to(self, document: Document, engine: Engine, settings: Settings) -> None:
        """Have the backdrop of a document read, if it is another one than before."""
        plan: BackdropPlan | None = import_heavy().backdrop_plan(engine.model, settings.completion, settings.context)
        source, folder = self._index.source, self._index.folder_of(document)
        if plan is None or source is None or folder is None or not source.stats().built:
            return
        made_from = (document.uri, plan, source.state_beside(document))
        old = self._read
        if old is not None and old.client is engine.client and old.made_from == made_from:
            return
        made = await asyncio.to_thread(self._made, document, engine, plan, folder.name)
        if made is None:
            self._read = None
            return
        if old is None or old.client is not engine.client or old.backdrop.beginning != made.beginning:
            self._read = None  # the engine writes over it
            await import_heavy().read_ahead(engine, made)
            logger.info("The engine has read %d tokens of the repository", len(made.beginning))
        self._read = _Read(made, document.uri, engine.client, made_from)

    def _made(self, document: Document, engine: Engine, plan: BackdropPlan, repo_name: str) -> Backdrop | None:
        source = self._index.source
        if source is None:
            return None
        count = engine.model.count
        previous = self._read.backdrop.snippets if self._read is not None else ()
        snippets = source.backdrop(document, budget_tokens=plan.tokens, count=count, previous=previous)
        made: Backdrop | None = import_heavy().make_backdrop(
            snippets, engine.model, plan, repo_name=repo_name, language_id=document.language_id
        )
        return made
