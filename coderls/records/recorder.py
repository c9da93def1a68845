"""Writes records into a folder that the user named."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from coderls.answer import Engine
from coderls.completion import Completion, best_of
from coderls.document import Document, Snippet
from coderls.engine.api import Chunk, GenerationRequest, Health
from coderls.errors import CoderlsError, EngineError
from coderls.models.fingerprint import fingerprint
from coderls.question import CompletionRequest, ContextSource, Tools, question_at
from coderls.records.folder import prepared
from coderls.records.record import Identity, Record, Stream, changes, identity_of, record_of, written

logger = logging.getLogger(__name__)

#: The newest so many records stay in the folder.
MOST_RECORDS = 2_000
_ENDING = ".coderls.json"


class Recorder:
    """One folder of records. Its files can be read by their owner only."""

    def __init__(self, folder: Path, most: int = MOST_RECORDS) -> None:
        """Make the folder. Raises RecordBroken when it cannot be written to."""
        self.folder = prepared(folder)
        self._most = most
        self._numbers = count(1)
        self._fingerprints: dict[str, str] = {}
        self._failed = False

    async def complete(
        self,
        request: CompletionRequest,
        tools: Tools,
        heard: Callable[[str], None] = lambda _text: None,
        *,
        health: Health,
    ) -> list[Completion]:
        """As `completion.complete`, and a record of it. Nothing is recorded where nothing is asked of the engine, as in
        files that are excluded or may hold secrets, nor of what was cancelled.

        The engine is asked in such a way that it can be asked the same again: each time, not from what was answered
        before, and exactly (see `GenerationRequest`), which is slower. tree-sitter alone judges, as in a replay, and a
        name that is neither in the document nor in the prompt is known to nobody.
        """
        tape = Tape(tools.engine)
        context = None if tools.context is None else _Snippets(tools.context)
        tools = replace(tools, engine=tape, answers=None, exact=True, own=None, context=context)
        question = await question_at(request, tools)
        if question is None:
            return []
        record = record_of(request, question, tools.fim, tools.settings, await self._identity(health))
        questions = [question, *(question.sampled(seed) for seed in range(1, request.alternatives))]
        try:
            made = await best_of(questions, tools, heard)
        except EngineError:
            await self._write(replace(record, streams=tape.streams))
            raise
        low = request.offset - record.place.offset
        await self._write(replace(record, streams=tape.streams, shown=changes(made, low)))
        return made

    async def _identity(self, health: Health) -> Identity:
        path = health.model_path or ""
        if path not in self._fingerprints:
            self._fingerprints[path] = await asyncio.to_thread(fingerprint_of, health)
        return identity_of(health, self._fingerprints[path])

    async def _write(self, record: Record) -> None:
        """A disk that fails costs records, and no completion."""
        try:
            await asyncio.to_thread(self._keep, record)
            self._failed = False
        except OSError as error:
            if not self._failed:
                logger.warning("A completion could not be recorded in %s: %s", self.folder, error)
            self._failed = True

    def _keep(self, record: Record) -> None:
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}-{next(self._numbers):05}{_ENDING}"
        # A new file, never one that somebody put there, and nobody else's to read from its first byte on.
        handle = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(written(record))
        for old in records_in(self.folder)[: -self._most]:
            old.unlink(missing_ok=True)


def fingerprint_of(health: Health) -> str:
    """The fingerprint of an engine's model; "" where its directory is not on this machine or cannot be read."""
    if not health.model_path or not Path(health.model_path).is_dir():
        return ""
    try:
        return fingerprint(Path(health.model_path))
    except CoderlsError as error:
        logger.warning("It cannot be told which model this is: %s", error)
        return ""


@dataclass(frozen=True)
class _Snippets:
    """The index, as far as it is in a record."""

    index: ContextSource

    def snippets(
        self, document: Document, offset: int, *, budget_tokens: int, count: Callable[[str], int]
    ) -> list[Snippet]:
        return self.index.snippets(document, offset, budget_tokens=budget_tokens, count=count)

    def state_beside(self, document: Document) -> object:
        return self.index.state_beside(document)

    def finds(self, name: str) -> bool:
        del name
        return False


class Tape:
    """An engine that remembers what it was asked and what it said."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._said: list[tuple[GenerationRequest, list[Chunk], list[str]]] = []

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All that was said so far, in the order in which it was asked."""
        return tuple(Stream(asked, tuple(chunks), "".join(errors)) for asked, chunks, errors in self._said)

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """As `Engine.stream`."""
        chunks: list[Chunk] = []
        errors: list[str] = []
        self._said.append((request, chunks, errors))
        stream = self._engine.stream(request)
        async with aclosing(stream) as coming:  # type: ignore[type-var]
            try:
                async for chunk in coming:
                    chunks.append(chunk)
                    yield chunk
            except EngineError as error:
                errors.append(f"{type(error).__name__}: {error}")
                raise


def records_in(folder: Path) -> list[Path]:
    """The records in a folder, the oldest first."""
    return sorted(folder.glob(f"*{_ENDING}"))
