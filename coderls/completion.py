"""The completion pipeline: one cursor in, one checked edit out.

It joins what does not know of each other: `fim` (what to ask, what to keep), the repository's context, and an engine.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from coderls.document import Document, ParseFile, Snippet
from coderls.engine.api import Chunk, GenerationRequest, Health, Usage
from coderls.fim.model import Budgets, FimModel, budgets
from coderls.fim.postprocess import Insertion, postprocess
from coderls.fim.prompt import Names, Prompt, build_prompt
from coderls.fim.reuse import Again, Shown
from coderls.fim.stopping import Gap, gap_at, stop_at
from coderls.fim.syntax import Before, clean, look_before
from coderls.fim.templates import load_template
from coderls.fim.triggers import refusal
from coderls.settings import Settings
from coderls.tokenizer import Tokenizer

#: Documents longer than this (characters) are examined in a thread, so that the event loop stays free: 20,000
#: characters of a text that is hard to parse take seconds.
_LONG = 2_000


class Engine(Protocol):
    """What is needed of an engine's client. Closing the iterator stops the generation."""

    def stream(self, request: GenerationRequest) -> AsyncIterator[Chunk]: ...


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
class Timings:
    """Milliseconds of each stage. `first_token` is a part of `engine`; `total` is all that passed."""

    context: float = 0.0
    prompt: float = 0.0
    first_token: float = 0.0
    engine: float = 0.0
    postprocess: float = 0.0
    verify: float = 0.0
    total: float = 0.0

    @property
    def editor_side(self) -> float:
        """What was not spent waiting for the engine."""
        return self.total - self.engine


@dataclass(frozen=True, slots=True)
class Completion:
    """Replace `document.text[start:end]` by `text` (code points; start <= offset <= end).

    `reused` says how it came without the model: "" (it did not), "shown" (what is left of one that was shown) or
    "cache" (the same was asked before); `usage` is then that of the first time. `offer`: the number under which the
    session knows what becomes of it.
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
    heard: Callable[[str], None] = lambda _text: None,
) -> Completion | None:
    """The completion at a cursor, or None where there is nothing to offer.

    `path` names the document in the prompt, best relative to its workspace folder. What is in `answers` is not asked
    again. `heard` gets the engine's whole text each time that there is more of it. Cancelling stops the engine's
    generation. Raises EngineError when the engine fails.
    """
    document, offset = request.document, request.offset
    if refusal(document, offset, invoked=request.invoked, settings=settings.completion):
        return None
    watch = _Watch()
    budget = budgets(fim, settings.completion, settings.context)
    snippets = await _snippets(context, document, offset, budget, fim)
    watch.lap("context")
    names = Names(path, repo_name)
    layout = settings.context.layout
    prompt = build_prompt(document, offset, fim, budget, snippets=snippets, layout=layout, names=names)
    gap = gap_at(document, offset, settings.completion.multiline)
    watch.lap("prompt")
    looking = asyncio.ensure_future(_look_before(document, offset, parse))  # while the engine works
    try:
        asked = _generation(prompt, fim, settings)
        known = answers.get((asked, gap)) if answers is not None else None
        answer = known or await _generate(engine, asked, gap, watch, heard)
        if answers is not None:
            answers.put((asked, gap), answer)
        watch.lap("engine")
        first_line = gap.line_before + answer.text.lstrip("\n").partition("\n")[0]
        echoed = prompt.has_heading(first_line, document.language_id)
        insertion = None if echoed else postprocess(answer.text, document, offset, gap)
        watch.lap("postprocess")
        checked = None if insertion is None else await _clean(insertion, await looking)
    finally:
        looking.cancel()
    watch.lap("verify")
    if checked is None:
        return None
    return Completion(
        checked.text,
        checked.start,
        checked.end,
        answer.finish_reason,
        prompt,
        replace(answer.usage, prompt_tokens=answer.usage.prompt_tokens or sum(part.tokens for part in prompt.parts)),
        watch.timings(),
        answer.logprob,
        document,
        tuple(snippets),
        "cache" if known else "",
        fim.name,
    )


async def recall(
    request: CompletionRequest, again: Again[Completion], *, parse: ParseFile, settings: Settings
) -> Completion | None:
    """What is left, at a cursor, of a completion from before (see `Memory.find`); None where it does not fit in.

    No model runs.
    """
    document, offset = request.document, request.offset
    if refusal(document, offset, invoked=request.invoked, settings=settings.completion):
        return None
    watch = _Watch()
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


class AnswerCache:
    """Engines' answers to the same question: the same request (all of its prompt) and the same surroundings.

    Only for greedy requests, whose answer does not change. Bounded; the oldest go first.
    """

    def __init__(self, size: int = 128) -> None:
        self._size = size
        self._known: OrderedDict[tuple[GenerationRequest, Gap], _Answer] = OrderedDict()

    def get(self, question: tuple[GenerationRequest, Gap]) -> _Answer | None:
        """The answer of before, if there is one."""
        return self._known.get(question)

    def put(self, question: tuple[GenerationRequest, Gap], answer: _Answer) -> None:
        """Remember an answer."""
        if question[0].sampling.temperature > 0:
            return
        self._known[question] = answer
        self._known.move_to_end(question)
        if len(self._known) > self._size:
            self._known.popitem(last=False)

    def forget(self) -> None:
        """Forget all: another engine answers now."""
        self._known.clear()


@dataclass
class _Watch:
    """Milliseconds from one lap to the next."""

    began: float = field(default_factory=time.perf_counter)
    last: float = field(default_factory=time.perf_counter)
    laps: dict[str, float] = field(default_factory=dict)

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = (now - self.last) * 1000
        self.last = now

    def note(self, name: str) -> None:
        self.laps.setdefault(name, (time.perf_counter() - self.last) * 1000)

    def timings(self) -> Timings:
        self.last = time.perf_counter()
        return Timings(**self.laps, total=(self.last - self.began) * 1000)


@dataclass(frozen=True)
class _Answer:
    """What came from the engine, cut where the wanted part ends."""

    text: str
    finish_reason: str
    usage: Usage
    logprob: float


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


async def _generate(
    engine: Engine, request: GenerationRequest, gap: Gap, watch: _Watch, heard: Callable[[str], None]
) -> _Answer:
    """Read the engine's stream until the wanted part is whole, then close it: the engine stops at its next step."""
    text, finish_reason, usage, logprobs = "", "", Usage(), list[float]()
    stream = engine.stream(request)
    async with aclosing(stream) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            watch.note("first_token")
            text += chunk.text
            logprobs.extend(chunk.logprobs)
            usage = chunk.usage or replace(usage, completion_tokens=usage.completion_tokens + len(chunk.token_ids))
            text, ended = _before_stop(text, request.stop)
            heard(_unix_lines(text))
            end = stop_at(_unix_lines(text), gap, final=ended)
            if end is not None:
                text, finish_reason = _unix_lines(text)[:end], "stop"
                break
            finish_reason = chunk.finish_reason or finish_reason
        else:
            text = _whole(_unix_lines(text), gap, cut_off=finish_reason == "length")
    return _Answer(text, finish_reason or "stop", usage, sum(logprobs) / len(logprobs) if logprobs else 0.0)


def _before_stop(text: str, stop: tuple[str, ...]) -> tuple[str, bool]:
    """The text up to the first stop string, and whether there was one: some engines write them out."""
    places = [place for place in map(text.find, stop) if place >= 0]
    return (text[: min(places)], True) if places else (text, False)


def _whole(text: str, gap: Gap, cut_off: bool) -> str:
    """The wanted part when nothing more comes. A text that was cut off in a later line ends before that line."""
    lines = text.split("\n")
    if cut_off and any(line.strip() for line in lines[:-1]):
        text = "\n".join(lines[:-1])
    return text[: stop_at(text, gap, final=True)]


def _unix_lines(text: str) -> str:
    """Line ends as \\n; a \\r at the very end may be half of one."""
    return text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


async def _look_before(document: Document, offset: int, parse: ParseFile) -> Before:
    if len(document.text) < _LONG:
        return look_before(document, offset, parse)
    return await asyncio.to_thread(look_before, document, offset, parse)


async def _clean(insertion: Insertion, before: Before) -> Insertion | None:
    if len(before.document.text) < _LONG:
        return clean(insertion, before)
    return await asyncio.to_thread(clean, insertion, before)
