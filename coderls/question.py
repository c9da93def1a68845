"""What is asked at a cursor: the request, what it is worked on with, and the question to the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from coderls.answer import AnswerCache, Engine
from coderls.document import Document, ParseFile, Snippet
from coderls.engine.api import GenerationRequest, Health, LocalName, Priority, Sampling
from coderls.fim.anchor import Anchor
from coderls.fim.backdrop import Backdrop
from coderls.fim.model import Budgets, FimModel, budgets
from coderls.fim.prompt import Names, Prompt, build_prompt
from coderls.fim.stopping import Gap, gap_at
from coderls.fim.templates import FimTemplate, load_template
from coderls.fim.triggers import refusal
from coderls.fim.window import with_spare
from coderls.last_word import OwnParser
from coderls.lines import unix_lines
from coderls.settings import CompletionSettings, ContextSettings, Settings
from coderls.steady import Steady
from coderls.timings import Watch
from coderls.tokenizer import Tokenizer

#: What ends the texts of common models, whatever the template says.
_MARKS = (
    "<|endoftext|>",
    "<|im_end|>",
    "<|im_start|>",
    "<|end_of_text|>",
    "<|file_sep|>",
    "<|fim_middle|>",
    "<|fim_pad|>",
)
#: Of alternatives after the first. Lower ones repeat the first, higher ones talk nonsense.
_TEMPERATURE = 0.7
#: Of the text before the cursor, what an engine is told that blends words in (characters, and tokens of these).
_TAIL, _TAIL_TOKENS = 200, 16
#: Longer documents (characters) are looked at in a thread.
_LONG = 2_000


class ContextSource(Protocol):
    """What is needed of the repository's index: snippets in the order in which they go into the prompt."""

    def snippets(
        self, document: Document, offset: int, *, budget_tokens: int, count: Callable[[str], int]
    ) -> list[Snippet]: ...

    def finds(self, name: str) -> bool:
        """Whether the index knows a definition of this name."""

    def state_beside(self, document: Document) -> object:
        """What changes when other files may give something else to `document`."""


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A cursor in a snapshot of a document (`offset` in code points). `invoked`: the user asked by a key.

    `alternatives`: so many completions are wanted; the first is the likeliest, the others are sampled. `path` names
    the document in the prompt, best relative to its workspace folder, and `repo_name` that folder. `drafts` are texts
    that the answer may repeat, such as what was shown near by: an engine that speculates is faster with them, and says
    the same. `background`: nobody waits for it yet, so everything else goes first. `cells`: what stands in the earlier
    cells of a notebook. `anchor`: see `fim.anchor`; it is used where the settings and the template want it.
    `backdrop`: what the engine has read and the prompt is to begin with; it refuses (`NOT_CACHED`) what it has no more.
    """

    document: Document
    offset: int
    invoked: bool = False
    alternatives: int = 1
    path: str = ""
    repo_name: str = ""
    drafts: tuple[str, ...] = ()
    background: bool = False
    cells: tuple[Snippet, ...] = ()
    anchor: Anchor | None = None
    backdrop: Backdrop | None = None


@dataclass(frozen=True)
class Tools:
    """What completions are made with, the same from one cursor to the next.

    `fim` is what is known of the engine's model. What is in `answers` is not asked again. `exact`: ask in such a way
    that the same engine answers the same again, where it can (see `GenerationRequest`). `own`: who has the last word on
    syntax, None where that is tree-sitter's. `told` gets each question, what the engine said to it, and why that is not
    offered ("": it is). `steady`: what stood in the prompts before, so that keys change as little of it as is wise.
    `local`: the text of the repository that the engine was given to blend in; None: nothing is blended.
    """

    engine: Engine
    fim: FimModel
    parse: ParseFile
    settings: Settings
    context: ContextSource | None = None
    answers: AnswerCache | None = None
    exact: bool = False
    own: OwnParser | None = None
    told: Callable[[Question, str, str], None] | None = None
    steady: Steady | None = None
    local: LocalName | None = None


@dataclass(frozen=True, slots=True)
class FirstLines:
    """Who wants what there is of whole lines once it is `due` (`time.monotonic`), should the answer not be there."""

    due: float
    give: Callable[[Any], None]  # a `completion.Completion`


@dataclass(frozen=True, slots=True)
class Worth:
    """What an answer must have to be worth showing: mean log-probability, and characters that are no blanks."""

    logprob: float = float("-inf")
    characters: int = 0

    def is_had_by(self, text: str, score: float, *, likely: bool) -> bool:
        """Whether an answer of that score has it. `likely`: its score says something; some engines tell none."""
        return len("".join(text.split())) >= self.characters and not (likely and score < self.logprob)


def least_worth(template: FimTemplate, settings: CompletionSettings, *, invoked: bool) -> Worth:
    """What is measured of a model counts for answers that nobody asked for, unless the user wants all of them."""
    if invoked or settings.min_worth != "auto":
        return Worth()
    return Worth(template.min_logprob or float("-inf"), template.min_characters)


@dataclass(frozen=True)
class Question:
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
    marks: tuple[str, ...] = ()  # what ends an answer wherever it is written out
    worth: Worth = Worth()

    @property
    def key(self) -> tuple[GenerationRequest, Gap]:
        """All that the answer depends on, and where it is cut. Keys are kept, so a beginning is a number in them.

        Which local text it was is not in it, only whether there was one: it changes whenever the repository does, and
        what was answered with an older one is as good.
        """
        first, local = self.asked.beginning, LocalName("some") if self.words else None
        if first is None:
            return replace(self.asked, local=local, before=()), self.gap
        prompt = (int(first.digest, 16), *map(int, self.asked.prompt))
        return replace(self.asked, prompt=prompt, beginning=None, local=local, before=()), self.gap

    @property
    def words(self) -> int:
        """How many tokens of the repository are blended in."""
        return self.asked.local.tokens if self.asked.local is not None else 0

    def sampled(self, seed: int) -> Question:
        """The same, answered by a draw."""
        sampling = Sampling(temperature=_TEMPERATURE, top_p=0.95, seed=seed)
        return replace(self, asked=replace(self.asked, sampling=sampling))


async def question_at(request: CompletionRequest, tools: Tools) -> Question | None:
    """The question, or None where there is nothing to ask."""
    document, offset, fim, settings = request.document, request.offset, tools.fim, tools.settings
    if await _refused(request, settings):
        return None
    watch = Watch()
    budget = budget_at(document, offset, fim, settings.completion, settings.context)
    found, state = await _snippets(tools.context, document, offset, budget.context, fim)
    watch.lap("context")
    backdrop = request.backdrop if request.alternatives == 1 else None  # there may be one slot of its length

    def build(snippets: Sequence[Snippet], backdrop: Backdrop | None = backdrop) -> Prompt:
        return _prompt(request, tools, budget, snippets, backdrop)

    if tools.steady is None:
        snippets, prompt = found, build(found)
    else:
        keep = not request.background
        snippets, prompt = tools.steady.settle(document.uri, found, state, build, budget=budget.context, keep=keep)
    if backdrop is not None and _tokens(backdrop, prompt) + settings.completion.max_tokens > backdrop.room:
        backdrop, prompt = None, build(snippets, None)
    gap = gap_at(document, offset, settings.completion.multiline)
    watch.lap("prompt")
    asked = _generation(prompt, tools)
    if asked.local is not None and not fim.template.ends_with_prefix:
        asked = replace(asked, before=_before(document, offset, prompt, fim))
    if backdrop is not None:
        first = backdrop.beginning
        asked = replace(asked, room=backdrop.room, least_cached=len(first), beginning=first)
    if request.background:
        asked = replace(asked, priority=Priority.BACKGROUND)
    worth = least_worth(fim.template, settings.completion, invoked=request.invoked)
    known = request.drafts if "drafts" in fim.features and not asked.exact else ()
    marks = marks_in(fim, document.text)
    shown = (*snippets, *request.cells)
    return Question(document, offset, shown, prompt, gap, asked, known, watch, fim.name, marks, worth)


def budget_at(
    document: Document, offset: int, fim: FimModel, completion: CompletionSettings, context: ContextSettings
) -> Budgets:
    """The tokens for each part of a prompt at a place; what a short text leaves goes to other files, unless the user
    has set how much those get."""
    budget = budgets(fim, completion, context)
    return budget if context.tokens else with_spare(budget, document.text, offset, fim.count)


def _tokens(backdrop: Backdrop, prompt: Prompt) -> int:
    return len(backdrop.beginning) + len(prompt.content)


def _prompt(
    request: CompletionRequest, tools: Tools, budget: Budgets, snippets: Sequence[Snippet], backdrop: Backdrop | None
) -> Prompt:
    fim, settings = tools.fim, tools.settings
    wanted = settings.completion.anchored
    return build_prompt(
        request.document,
        request.offset,
        fim,
        budget,
        snippets=[*snippets, *request.cells],
        layout=settings.context.layout,
        names=Names(request.path, request.repo_name),
        anchor=request.anchor if wanted == "on" or (wanted == "auto" and fim.template.anchored) else None,
        backdrop=backdrop,
    )


def marks_in(fim: FimModel, text: str) -> tuple[str, ...]:
    """Control tokens that no answer may spell out, though some engines do. Who works on such names in `text` may, and
    so may the model of an engine of ours: there a control token has no text, so a name is meant as text.
    """
    if "token_ids" in fim.features:
        return ()
    template = fim.template
    names = {*template.marks, *template.stop, *_MARKS}
    names |= {template.written(name).strip() for name in names} - {""}
    return tuple(sorted(name for name in names if len(name) > 2 and name not in text))


def load_fim_model(health: Health, model_path: Path | None = None) -> FimModel:
    """What the FIM code must know of the model behind an engine.

    `model_path` is a directory with the model's tokenizer.json for a foreign engine; without one its prompts are
    text. Raises ModelBroken for a tokenizer.json or fim.json that cannot be used.
    """
    path = model_path or (Path(health.model_path) if health.model_path else None)
    file = path / "tokenizer.json" if path else None
    tokenizer = Tokenizer.from_file(file) if file is not None and file.is_file() else None
    if tokenizer is not None:
        tokenizer.get_ready()
    return FimModel(
        template=load_template(path, health.model, tokenizer),
        tokenizer=tokenizer,
        features=frozenset(health.features),
        context_length=health.context_length,
        prefill_tokens_per_s=health.prefill_tokens_per_s,
        name=health.model,
    )


async def _refused(request: CompletionRequest, settings: Settings) -> bool:
    """Whether there is nothing to ask. Whether the cursor is in a string takes long to tell in a text made for that."""
    document, offset, invoked = request.document, request.offset, request.invoked
    if invoked or len(document.text) < _LONG:
        return bool(refusal(document, offset, invoked=invoked, settings=settings.completion))
    return bool(await asyncio.to_thread(refusal, document, offset, invoked=invoked, settings=settings.completion))


async def _snippets(
    context: ContextSource | None, document: Document, offset: int, budget: int, fim: FimModel
) -> tuple[tuple[Snippet, ...], object]:
    """What the index finds, and the state of the folder that it is from."""
    if context is None or budget <= 0:
        return (), None
    source = context

    def found() -> tuple[tuple[Snippet, ...], object]:
        state = source.state_beside(document)
        return tuple(source.snippets(document, offset, budget_tokens=budget, count=fim.count)), state

    return await asyncio.to_thread(found)


def _before(document: Document, offset: int, prompt: Prompt, fim: FimModel) -> tuple[int, ...]:
    """The last tokens before what the engine is to say."""
    required = len(prompt.required_prefix)
    text = unix_lines(document.text[max(0, offset - required - _TAIL) : offset])
    return fim.encode(text[: len(text) - required])[-_TAIL_TOKENS:]


def _generation(prompt: Prompt, tools: Tools) -> GenerationRequest:
    template, tokenizer, features = tools.fim.template, tools.fim.tokenizer, tools.fim.features
    return GenerationRequest(
        prompt=prompt.content,
        max_tokens=tools.settings.completion.max_tokens,
        stop=() if tokenizer else tuple(template.written(name).strip() for name in template.stop),
        stop_token_ids=template.stop_ids(tokenizer) if tokenizer else (),
        logprobs=0 if "token_ids" in features else None,
        required_prefix=prompt.required_prefix,
        exact=tools.exact and "exact" in features,
        local=tools.local if "local" in features and tools.settings.context.words == "auto" else None,
    )
