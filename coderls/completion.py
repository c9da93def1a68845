"""The completion pipeline: one cursor in, one checked edit out.

It joins what does not know of each other: `fim` (what to ask, what to keep), the repository's context, and an engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from coderls.answer import AnswerCache, Engine, ask
from coderls.document import Document, ParseFile, Snippet
from coderls.engine.api import GenerationRequest, Health, Sampling, Usage
from coderls.errors import EngineError
from coderls.fim.model import Budgets, FimModel, budgets
from coderls.fim.postprocess import Insertion, postprocess
from coderls.fim.prompt import Names, Prompt, build_prompt
from coderls.fim.reuse import Again, Shown
from coderls.fim.stopping import Gap, gap_at
from coderls.fim.syntax import Before, clean, look_before
from coderls.fim.templates import load_template
from coderls.fim.triggers import refusal
from coderls.settings import Settings
from coderls.timings import Timings, Watch
from coderls.tokenizer import Tokenizer

#: Documents longer than this (characters) are examined in a thread, so that the event loop stays free: 20,000
#: characters of a text that is hard to parse take seconds.
_LONG = 2_000
#: Of alternatives after the first. Lower ones repeat the first, higher ones talk nonsense.
_TEMPERATURE = 0.7


class ContextSource(Protocol):
    """What is needed of the repository's index: snippets in the order in which they go into the prompt."""

    def snippets(
        self, document: Document, offset: int, *, budget_tokens: int, count: Callable[[str], int]
    ) -> list[Snippet]: ...


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A cursor in a snapshot of a document (`offset` in code points). `invoked`: the user asked by a key."""

    document: Document
    offset: int
    invoked: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """Replace `document.text[start:end]` by `text` (code points; start <= offset <= end).

    `reused` says how it came without the model: "" (it did not), "shown" (what is left of one that was shown) or
    "cache" (the same was asked before); `usage` is then that of the first time. `offer`: the number under which the
    session knows what becomes of it. `was_cut`: it had to be made shorter to be clean.
    `finish_reason`: "stop" when the answer is whole, "length" when it was cut at the token limit. `logprob` is the
    mean natural log-probability of the generated tokens, 0.0 when the engine does not say. `snippets` were offered
    for the prompt; `prompt.parts` says what is in it.
    """

    text: str
    start: int
    end: int
    finish_reason: str
    prompt: Prompt
    usage: Usage
    timings: Timings
    logprob: float
    document: Document
    snippets: tuple[Snippet, ...] = ()
    reused: str = ""
    model: str = ""
    offer: int = 0
    was_cut: bool = False

    @property
    def shown(self) -> Shown[Completion]:
        """What to remember of it."""
        return Shown(self.document, self.start, self.end, self.text, self)

    def explained(self) -> dict[str, Any]:
        """What it was made from, as JSON: tokens, milliseconds of each stage, and the prompt's parts in their order.

        Lines count from 1 here, and the last one is included.
        """
        usage = self.usage
        return {
            "finish_reason": self.finish_reason,
            "reused": self.reused,
            "mean_logprob": round(self.logprob, 4),
            "tokens": {
                "prompt": usage.prompt_tokens,
                "cached": usage.cached_tokens,
                "completion": usage.completion_tokens,
            },
            "timings_ms": {name: round(value, 2) for name, value in asdict(self.timings).items()},
            "prompt": [
                {
                    "kind": part.kind,
                    "path": part.path,
                    "first_line": part.start_line + 1,
                    "last_line": part.end_line,
                    "tokens": part.tokens,
                }
                for part in self.prompt.parts
            ],
            "context": [snippet.explained() for snippet in self.snippets],
        }


async def complete(
    request: CompletionRequest,
    *,
    engine: Engine,
    fim: FimModel,
    context: ContextSource | None,
    parse: ParseFile,
    settings: Settings,
    repo_name: str = "",
    path: str = "",
    answers: AnswerCache | None = None,
    drafts: Sequence[str] = (),
    heard: Callable[[str], None] = lambda _text: None,
) -> Completion | None:
    """The completion at a cursor, or None where there is nothing to offer.

    `path` names the document in the prompt, best relative to its workspace folder. What is in `answers` is not asked
    again. `drafts` are texts that the answer may repeat, such as what was shown near by: an engine that speculates is
    faster with them, and says the same. `heard` gets the engine's whole text each time that there is more of it.
    Cancelling stops the engine's generation. Raises EngineError when the engine fails.
    """
    question = await _question(request, fim, context, settings, Names(path, repo_name), drafts=drafts)
    if question is None:
        return None
    return await _answered(question, engine, parse, answers, heard)


async def alternatives(
    request: CompletionRequest,
    *,
    engine: Engine,
    fim: FimModel,
    context: ContextSource | None,
    parse: ParseFile,
    settings: Settings,
    repo_name: str = "",
    path: str = "",
    answers: AnswerCache | None = None,
    drafts: Sequence[str] = (),
    heard: Callable[[str], None] = lambda _text: None,
) -> list[Completion]:
    """Up to `settings.completion.alternatives` different completions: the likeliest first, the others sampled.

    What had to be cut to be clean comes after what had not, and then the likelier first. The engine is asked for all
    at once, and `heard` gets the first; where it fails at others, there are fewer. As `complete` otherwise.
    """
    question = await _question(request, fim, context, settings, Names(path, repo_name), drafts=drafts)
    if question is None:
        return []
    seeds = range(1, settings.completion.alternatives)
    others = [replace(question, asked=_sampled(question.asked, seed)) for seed in seeds]
    found = await asyncio.gather(
        _answered(question, engine, parse, answers, heard),
        *(_answered(other, engine, parse, answers, lambda _text: None) for other in others),
        return_exceptions=True,
    )
    for error in found:
        if isinstance(error, BaseException) and (error is found[0] or not isinstance(error, EngineError)):
            raise error
    whole = (made for made in found if isinstance(made, Completion))
    ranked = sorted(whole, key=lambda made: (made.was_cut, -made.logprob))
    different: dict[str, Completion] = {}
    for made in ranked:
        different.setdefault(made.text, made)
    return list(different.values())


@dataclass(frozen=True)
class _Question:
    """What is asked of the engine at a cursor, and all that the answer is judged by."""

    document: Document
    offset: int
    snippets: tuple[Snippet, ...]
    prompt: Prompt
    gap: Gap
    asked: GenerationRequest
    drafts: tuple[str, ...]  # not a part of what is asked: the answer does not depend on them
    watch: Watch
    model: str


async def _question(
    request: CompletionRequest,
    fim: FimModel,
    context: ContextSource | None,
    settings: Settings,
    names: Names,
    *,
    drafts: Sequence[str],
) -> _Question | None:
    """The question, or None where there is nothing to ask."""
    document, offset = request.document, request.offset
    if refusal(document, offset, invoked=request.invoked, settings=settings.completion):
        return None
    watch = Watch()
    budget = budgets(fim, settings.completion, settings.context)
    snippets = await _snippets(context, document, offset, budget, fim)
    watch.lap("context")
    layout = settings.context.layout
    prompt = build_prompt(document, offset, fim, budget, snippets=snippets, layout=layout, names=names)
    gap = gap_at(document, offset, settings.completion.multiline)
    watch.lap("prompt")
    asked = _generation(prompt, fim, settings)
    known = tuple(drafts) if "drafts" in fim.features else ()
    return _Question(document, offset, tuple(snippets), prompt, gap, asked, known, watch, fim.name)


async def _answered(
    question: _Question,
    engine: Engine,
    parse: ParseFile,
    answers: AnswerCache | None,
    heard: Callable[[str], None],
) -> Completion | None:
    """The engine's answer as an edit that was checked, or None."""
    document, offset, gap, watch = question.document, question.offset, question.gap, question.watch.fork()
    looking = asyncio.ensure_future(_look_before(document, offset, parse))  # while the engine works
    try:
        known = answers.get((question.asked, gap)) if answers is not None else None
        answer = known or await ask(engine, replace(question.asked, drafts=question.drafts), gap, watch.first(heard))
        if answers is not None:
            answers.put((question.asked, gap), answer)
        watch.lap("engine")
        first_line = gap.line_before + answer.text.lstrip("\n").partition("\n")[0]
        echoed = question.prompt.has_heading(first_line, document.language_id)
        insertion = None if echoed else postprocess(answer.text, document, offset, gap)
        watch.lap("postprocess")
        checked = None if insertion is None else await _clean(insertion, await looking)
    finally:
        looking.cancel()
    watch.lap("verify")
    if checked is None:
        return None
    prompt_tokens = answer.usage.prompt_tokens or sum(part.tokens for part in question.prompt.parts)
    return Completion(
        text=checked.text,
        start=checked.start,
        end=checked.end,
        finish_reason=answer.finish_reason,
        prompt=question.prompt,
        usage=replace(answer.usage, prompt_tokens=prompt_tokens),
        timings=watch.timings(),
        logprob=answer.logprob,
        document=document,
        snippets=question.snippets,
        reused="cache" if known else "",
        model=question.model,
        was_cut=checked != insertion,
    )


def _sampled(asked: GenerationRequest, seed: int) -> GenerationRequest:
    return replace(asked, sampling=Sampling(temperature=_TEMPERATURE, top_p=0.95, seed=seed))


async def recall(
    request: CompletionRequest, again: Again[Completion], *, parse: ParseFile, settings: Settings
) -> Completion | None:
    """What is left, at a cursor, of a completion from before (see `Memory.find`); None where it does not fit in.

    No model runs. What was welcome when it was shown is so in a string that it has begun, too.
    """
    document, offset = request.document, request.offset
    if refusal(document, offset, invoked=True, settings=settings.completion):
        return None
    watch = Watch()
    found: Insertion | None = Insertion(again.text, offset, offset + again.replaced)
    if not again.same:
        gap = gap_at(document, offset, settings.completion.multiline)
        found = postprocess(again.text, document, offset, gap)
        watch.lap("postprocess")
        found = await _clean(found, await _look_before(document, offset, parse)) if found else None
        watch.lap("verify")
    if found is None or not found.text.strip():
        return None
    return replace(
        again.shown.made,
        text=found.text,
        start=found.start,
        end=found.end,
        document=document,
        reused="shown",
        timings=watch.timings(),
    )


def load_fim_model(health: Health, model_path: Path | None = None) -> FimModel:
    """What the FIM code must know of the model behind an engine.

    `model_path` is a directory with the model's tokenizer.json for a foreign engine; without one its prompts are
    text. Raises ModelBroken for a tokenizer.json or fim.json that cannot be used.
    """
    path = model_path or (Path(health.model_path) if health.model_path else None)
    file = path / "tokenizer.json" if path else None
    tokenizer = Tokenizer.from_file(file) if file is not None and file.is_file() else None
    return FimModel(
        template=load_template(path, health.model, tokenizer),
        tokenizer=tokenizer,
        features=frozenset(health.features),
        context_length=health.context_length,
        prefill_tokens_per_s=health.prefill_tokens_per_s,
        name=health.model,
    )


async def _snippets(
    context: ContextSource | None, document: Document, offset: int, budget: Budgets, fim: FimModel
) -> list[Snippet]:
    if context is None or budget.context <= 0:
        return []
    return await asyncio.to_thread(context.snippets, document, offset, budget_tokens=budget.context, count=fim.count)


def _generation(prompt: Prompt, fim: FimModel, settings: Settings) -> GenerationRequest:
    template, tokenizer = fim.template, fim.tokenizer
    return GenerationRequest(
        prompt=prompt.content,
        max_tokens=settings.completion.max_tokens,
        stop=() if tokenizer else tuple(template.written(name).strip() for name in template.stop),
        stop_token_ids=template.stop_ids(tokenizer) if tokenizer else (),
        logprobs=0 if "token_ids" in fim.features else None,
        required_prefix=prompt.required_prefix,
    )


async def _look_before(document: Document, offset: int, parse: ParseFile) -> Before:
    if len(document.text) < _LONG:
        return look_before(document, offset, parse)
    return await asyncio.to_thread(look_before, document, offset, parse)


async def _clean(insertion: Insertion, before: Before) -> Insertion | None:
    if len(before.document.text) < _LONG:
        return clean(insertion, before)
    return await asyncio.to_thread(clean, insertion, before)
