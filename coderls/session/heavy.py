"""What needs httpx, tokenizers or tree-sitter. Imported in a thread, after the reply to `initialize`.

(torch is never imported in this process at all: it lives in the engine's.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from coderls.answer import AnswerCache
from coderls.completion import Completion, complete, recall
from coderls.document import Document
from coderls.engine.api import GenerationRequest, Health, Priority
from coderls.engine.client import EngineClient
from coderls.engine.launch import STARTING, WAITING, connect_or_start, log_file
from coderls.errors import EngineError, ModelError
from coderls.fim.backdrop import Backdrop
from coderls.fim.model import FimModel, backdrop_plan
from coderls.fim.prompt import make_backdrop
from coderls.fim.triggers import refusal
from coderls.influence import influence, weighing_s
from coderls.local_ids import CHARACTERS as LOCAL_CHARACTERS
from coderls.local_ids import LocalIds
from coderls.own_parsers import OwnParsers, Processes
from coderls.question import CompletionRequest, ContextSource, FirstLines, Tools, budget_at, load_fim_model, question_at
from coderls.records.recorder import Recorder
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.parse import parse_file
from coderls.settings import EngineSettings, Settings
from coderls.steady import Steady

logger = logging.getLogger(__name__)

#: Work that nobody asked for keeps the engine busy so long at most: on a slow processor there is none of it.
_MOST_UNASKED_S = 8.0
#: A prompt that is read for a cursor that rests keeps it busy so long at most.
_LONGEST_READ_S = 2.0

__all__ = [
    "LOCAL_CHARACTERS",
    "AnswerCache",
    "Completion",
    "CompletionRequest",
    "Engine",
    "FirstLines",
    "LocalIds",
    "OwnParsers",
    "Processes",
    "Recorder",
    "RepositoryIndex",
    "Steady",
    "Tools",
    "backdrop_plan",
    "complete",
    "connect",
    "influence_of",
    "load_fim_model",
    "log_of",
    "look_around",
    "make_backdrop",
    "not_loading_yet",
    "parse_file",
    "read_ahead",
    "read_prompt",
    "recall",
]


@dataclass(frozen=True)
class Engine:
    """An engine that is ready, and what prompts for its model look like."""

    client: EngineClient
    health: Health
    model: FimModel


async def connect(settings: EngineSettings, progress: Callable[[str, float], None]) -> tuple[EngineClient, Health]:
    """Find or start the engine and wait until it is ready. Raises EngineError and ModelError."""
    client = await connect_or_start(settings, progress)
    try:
        return client, await client.health()
    except BaseException:
        await client.aclose()
        raise


async def read_ahead(engine: Engine, backdrop: Backdrop) -> None:
    """Have the engine read a backdrop into its cache; every other request goes first. Raises EngineError."""
    request = GenerationRequest(
        (), max_tokens=0, priority=Priority.BACKGROUND, room=backdrop.room, beginning=backdrop.beginning
    )
    async with aclosing(engine.client.stream(request)) as chunks:
        async for _ in chunks:
            pass


async def read_prompt(request: CompletionRequest, tools: Tools) -> None:
    """Have the engine read the prompt of a place into its cache, if that takes it a moment; nothing where none will be
    asked. Every other request goes first. Raises EngineError.
    """
    speed = tools.fim.prefill_tokens_per_s
    question = await question_at(request, tools) if speed and "priority" in tools.fim.features else None
    if question is None or len(question.asked.prompt) > speed * _LONGEST_READ_S:
        return
    async with aclosing(tools.engine.stream(replace(question.asked, max_tokens=0))) as chunks:  # type: ignore[type-var]
        async for _ in chunks:
            pass


def look_around(document: Document, offset: int, source: ContextSource, model: FimModel, settings: Settings) -> None:
    """Ask the index what a completion here will ask it, so that it knows; nothing where none will."""
    budget = budget_at(document, offset, model, settings.completion, settings.context).context
    if budget > 0 and not refusal(document, offset, invoked=False, settings=settings.completion):
        source.snippets(document, offset, budget_tokens=budget, count=model.count)


def log_of(settings: EngineSettings) -> str:
    """The log file of the engine for these settings; "" for one of somebody else's, and where there is no model."""
    if settings.url:
        return ""
    try:
        return str(log_file(settings))
    except ModelError:
        return ""


def not_loading_yet(detail: str) -> bool:
    """Whether what `connect` reports is about the way to the engine, not about its model."""
    return detail in (STARTING, WAITING)


async def influence_of(
    completion: Completion, engine: Engine, settings: Settings, *, asked: bool
) -> dict[str, Any] | None:
    """How much likelier each snippet made a completion, as JSON; None where the engine fails. Every other request goes
    first, so it may take a while. Not `asked` for: None where it would keep the machine busy for long.
    """
    if not asked and weighing_s(completion, engine.model) > _MOST_UNASKED_S:
        return None
    try:
        found = await influence(completion, engine.client, engine.model, settings)
    except EngineError as error:
        logger.warning("The influence of snippets cannot be told: %s", error)
        return None
    return {"snippets": [each.snippet.explained() | {"change": round(each.change, 4)} for each in found]}
