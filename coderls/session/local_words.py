"""Giving the engine the words of the repository, which it blends into what its model says (`engine/blend.py`).

It happens in the background, while nothing else is wanted: texts near the document in which the user works are encoded
and given to the engine, again when some have changed. Until then answers come without them; no key waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from coderls.document import Document
from coderls.engine.api import LocalName
from coderls.errors import EngineError
from coderls.fim.reuse import Place
from coderls.session.engine_link import import_heavy
from coderls.session.index_link import IndexLink
from coderls.settings import Settings

if TYPE_CHECKING:
    from coderls.local_ids import LocalIds
    from coderls.repo_context.index import RepositoryIndex
    from coderls.session.heavy import Engine

logger = logging.getLogger(__name__)

#: So long nothing else is asked before it begins, and so long it leaves alone what it has just given (seconds).
REST_S, AGAIN_S = 1.0, 20.0


class LocalWords:
    """One session's. `may` is asked before anything is computed that nobody waits for."""

    def __init__(self, index: IndexLink, may: Callable[[], bool]) -> None:
        self._index = index
        self._may = may
        self._ids: LocalIds | None = None
        self._ids_for: object = None
        self._given: tuple[object, ...] = ()
        self._given_at = float("-inf")
        self._home: object = None  # of the document that they were given for
        self._task: asyncio.Task[None] | None = None
        self._next: tuple[Place, Engine] | None = None

    def name(self, engine: Engine, document: Document, settings: Settings) -> LocalName | None:
        """What a question about a document may name; None where the engine blends nothing.

        What was given for another folder, or before the user wanted nothing of other files, is not for it.
        """
        if "local" not in engine.model.features:
            return None
        fits = settings.context.enabled and self._home == self._home_of(document)
        return engine.client.local if fits else LocalName()

    def rest(self, place: Place, engine: Engine, settings: Settings) -> None:
        """The user works here: give the engine what is near when nothing more comes for a while."""
        wanted = settings.context.enabled and settings.context.words == "auto"
        if not wanted or "local" not in engine.model.features or engine.model.tokenizer is None or not self._may():
            return
        self._next = place, engine
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._work())

    def stop(self) -> None:
        """End what runs."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            self._ids = None  # its thread may go on with them for a moment
        self._task = self._next = None

    async def _work(self) -> None:
        while self._next is not None:
            waiting = self._next
            await asyncio.sleep(max(REST_S, self._given_at + AGAIN_S - time.monotonic()))
            await self._index.resting.wait()
            if self._next is not waiting:
                continue  # something was asked meanwhile
            self._next = None
            try:
                await self._see_to(*waiting)
            except EngineError as error:
                self._given_at = time.monotonic()
                logger.info("The engine was not given the words of the repository: %s", error)
            except Exception:
                self._given_at = time.monotonic()
                logger.exception("The engine was not given the words of the repository; answers go on without them.")

    async def _see_to(self, place: Place, engine: Engine) -> None:
        source, document, work = self._index.source, place.document, import_heavy()
        if source is None or len(document.text) > work.LOCAL_CHARACTERS:
            return
        home = self._home_of(document)
        # The index's lock may be held for a while by a question.
        built, beside = await asyncio.to_thread(lambda: (source.stats().built, source.state_beside(document)))
        state = (home, document.uri, document.version, engine.client, beside)
        if not built or (state == self._given and engine.client.local.digest):
            return
        if self._ids is None or self._ids_for is not engine.model:
            self._ids, self._ids_for = work.LocalIds(engine.model.encode_afresh), engine.model
        made = await asyncio.to_thread(self._made, place, source, self._ids, work.LOCAL_CHARACTERS)
        if made is None:  # somebody types: later
            self._next = self._next or (place, engine)
            return
        await engine.client.give(made)
        self._given, self._given_at, self._home = state, time.monotonic(), home
        logger.info("The engine was given %d tokens of the repository", engine.client.local.tokens)

    def _made(self, place: Place, source: RepositoryIndex, ids: LocalIds, characters: int) -> bytes | None:
        """The ids of what is near a place; None where something was asked meanwhile."""
        asked = False

        def may() -> bool:
            nonlocal asked
            asked = asked or not self._index.resting.is_set()
            return not asked

        texts = source.local_texts(place.document, place.offset, characters, may)
        return ids.of(texts, may) if may() else None  # it may be a part of them

    def _home_of(self, document: Document) -> tuple[Path | None, bool]:
        """The same for documents that the same files are near."""
        return self._index.folder_of(document), document.path is None
