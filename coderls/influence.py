"""How much each snippet of a prompt mattered: the change of the completion's log-probability where it is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from coderls.answer import Engine
from coderls.completion import Completion
from coderls.document import Snippet
from coderls.engine.api import GenerationRequest, Priority
from coderls.fim.model import FimModel
from coderls.fim.prompt import Names, Prompt, build_prompt
from coderls.question import budget_at
from coderls.settings import Settings

#: Snippets that are looked at; each costs the reading of a prompt.
MOST = 24


@dataclass(frozen=True, slots=True)
class Influence:
    """`change`: the log-probability (natural, of the whole completion) with `snippet`, less that without it.

    Positive: the snippet made the completion likelier.
    """

    snippet: Snippet
    change: float


async def influence(completion: Completion, engine: Engine, fim: FimModel, settings: Settings) -> list[Influence]:
    """What the completion owes to each snippet of its prompt, in the order of the prompt; the last `MOST` of them.

    The engine scores the same text after each prompt (leave one out), and lets every other request go first. Nothing
    where there are no snippets, or the engine cannot score a given text. Raises EngineError.
    """
    shown = _shown(completion)
    if not shown or "forced" not in fim.features or fim.tokenizer is None:
        return []
    whole = await _scored(completion, completion.snippets, engine, fim, settings)
    found = []
    for snippet in shown[-MOST:]:
        rest = [other for other in completion.snippets if other is not snippet]
        found.append(Influence(snippet, whole - await _scored(completion, rest, engine, fim, settings)))
    return found


def weighing_s(completion: Completion, fim: FimModel) -> float:
    """Seconds of the engine's work that `influence` is, at most, by the speed it measured; infinite if unknown."""
    if not fim.prefill_tokens_per_s:
        return math.inf
    prompts = 1 + len(_shown(completion)[-MOST:])
    return prompts * len(completion.prompt.content) / fim.prefill_tokens_per_s


def _shown(completion: Completion) -> list[Snippet]:
    """The snippets that were in the prompt: not all that were offered need fit."""
    there = {(part.path, part.start_line, part.end_line) for part in completion.prompt.parts}
    return [each for each in completion.snippets if (each.path, each.start_line, each.end_line) in there]


async def _scored(
    completion: Completion, snippets: Sequence[Snippet], engine: Engine, fim: FimModel, settings: Settings
) -> float:
    """The log-probability of the completion's text behind the prompt with these snippets."""
    prompt = _prompt(completion, snippets, fim, settings)
    said = completion.text.replace("\r\n", "\n").replace("\r", "\n")
    request = GenerationRequest(
        prompt.content,
        forced=fim.encode(prompt.required_prefix + said),
        logprobs=0,
        priority=Priority.BACKGROUND,
    )
    total = 0.0
    async for chunk in engine.stream(request):
        total += sum(chunk.logprobs)
    return total


def _prompt(completion: Completion, snippets: Sequence[Snippet], fim: FimModel, settings: Settings) -> Prompt:
    path = next((part.path for part in completion.prompt.parts if part.kind == "prefix"), "")
    return build_prompt(
        completion.document,
        completion.start,
        fim,
        budget_at(completion.document, completion.start, fim, settings.completion, settings.context),
        snippets=snippets,
        layout=settings.context.layout,
        names=Names(path),
    )
