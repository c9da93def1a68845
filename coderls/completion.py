"""The completion pipeline: one cursor in, checked edits out.

It joins what does not know of each other: `fim` (what to ask, what to keep), the repository's context, and an engine.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from coderls.answer import Answer, ask
from coderls.document import Document, ParseFile, Snippet
from coderls.engine.api import Priority, Usage
from coderls.errors import EngineError
from coderls.fim.names import unknown_names
from coderls.fim.postprocess import Insertion, Unfit, fitted, postprocess
from coderls.fim.prompt import Prompt
from coderls.fim.reuse import Again, Shown
from coderls.fim.stopping import gap_at, opens_block, stop_at
from coderls.fim.syntax import Before, breaks_again, clean, look_before
from coderls.fim.triggers import refusal
from coderls.last_word import LastWord
from coderls.question import CompletionRequest, ContextSource, FirstLines, Question, Tools, question_at
from coderls.settings import Settings
from coderls.timings import Timings, Watch

#: Documents longer than this (characters) are examined in a thread, so that the event loop stays free: 20,000
#: characters of a text that is hard to parse take seconds.
_LONG = 2_000
#: So much less likely (in mean log-probability) a completion counts that uses a name which exists nowhere in reach. Of
#: 884 judged completions 48 did, and one of these was what the author wrote; of the others, 190 of 836
#: (`benchmarks.keystroke judged`). More than this tells right from wrong no better.
_MADE_UP = 1.0
#: So long alternatives are waited for once the first is there. They are computed side by side with it.
_PATIENCE_S = 0.3


@dataclass(frozen=True, slots=True)
class Completion:
    """Replace `document.text[start:end]` by `text` (code points; start <= offset <= end).

    `reused` says how it came without the model: "" (it did not), "shown" (what is left of one that was shown) or
    "cache" (the same was asked before); `usage` is then that of the first time. `offer`: the number under which the
    session knows what becomes of it. `was_cut`: it had to be made shorter to be clean. `parses`: the file does with it.
    `finish_reason`: "stop" when the answer is whole, "length" when it was cut at the token limit, "deadline" when its
    first lines were wanted before the rest was there. `logprob` is the mean natural log-probability of the generated
    tokens, 0.0 when the engine does not say. `unknown` are names in it that exist nowhere in reach. `snippets` were
    offered for the prompt; `prompt.parts` says what is in it. `words`: tokens of the repository that were blended in.
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
    parses: bool = False
    unknown: tuple[str, ...] = ()
    words: int = 0

    @property
    def score(self) -> float:
        """By this completions are ranked: their log-probability, less where a name seems to be made up."""
        return self.logprob - (_MADE_UP if self.unknown else 0.0)

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
            "score": round(self.score, 4),
            "unknown_names": list(self.unknown),
            "blended_words": self.words,
            "tokens": {
                "prompt": usage.prompt_tokens,
                "cached": usage.cached_tokens,
                "completion": usage.completion_tokens,
            },
            "timings_ms": {name: round(value, 2) for name, value in asdict(self.timings).items()},
            **self.prompt.explained(self.snippets),
        }


async def complete(
    request: CompletionRequest,
    tools: Tools,
    heard: Callable[[str], None] = lambda _text: None,
    early: FirstLines | None = None,
) -> list[Completion]:
    """Up to `request.alternatives` different completions at a cursor, the best first; none where nothing fits.

    What had to be cut to be clean comes after what had not, and then the likelier first. The engine is asked for all
    at once; where it fails at others than the first, there are fewer. Others that come much later than the first are
    not waited for: they are in `tools.answers` when they are asked for again. `heard` gets the whole text of the first
    each time that there is more of it. `early` gets, once, whole lines when they are due, or as soon after that as
    there is one; its `finish_reason` is "deadline". Cancelling stops the engine. Raises EngineError when it fails.
    """
    question = await question_at(request, tools)
    if question is None:
        return []
    questions = [question, *(question.sampled(seed) for seed in range(1, request.alternatives))]
    return await best_of(questions, tools, heard, early)


async def best_of(
    questions: Sequence[Question],
    tools: Tools,
    heard: Callable[[str], None] = lambda _text: None,
    early: FirstLines | None = None,
) -> list[Completion]:
    """The completions that answer these questions, the best first (see `complete`)."""
    answers = tools.answers
    if answers is not None and questions[0].asked.priority is not Priority.BACKGROUND:
        answers.keep_late({question.key for question in questions})
    first = asyncio.ensure_future(_answered(questions[0], tools, heard, early))
    others = [asyncio.ensure_future(_answered(question, tools)) for question in questions[1:]]
    waited = {first, *others}
    try:
        best = await first
        if others:
            await asyncio.wait(others, timeout=None if answers is None or best is None else _PATIENCE_S)
        if answers is not None:
            for question, task in zip(questions[1:], others, strict=True):
                if not task.done():
                    answers.come_late(question.key, task)
                    waited.discard(task)
    finally:
        for task in waited:
            task.cancel()
        await asyncio.gather(*waited, return_exceptions=True)
    return _ranked([completion for task in (first, *others) if (completion := _made(task)) is not None])


def _made(task: asyncio.Future[Completion | None]) -> Completion | None:
    """What a task has made; None while it has not. Raises what is no failure of the engine."""
    if not task.done() or task.cancelled() or isinstance(task.exception(), EngineError):
        return None
    return task.result()


def _ranked(made: list[Completion]) -> list[Completion]:
    """Without duplicates, the best first."""
    different: dict[str, Completion] = {}
    for completion in sorted(made, key=lambda each: (each.was_cut, -each.score)):
        different.setdefault(completion.text, completion)
    return list(different.values())


async def _answered(
    question: Question,
    tools: Tools,
    heard: Callable[[str], None] = lambda _text: None,
    early: FirstLines | None = None,
) -> Completion | None:
    """The engine's answer as an edit that was checked, or None."""
    watch = question.watch.fork()
    looking = asyncio.ensure_future(look(question.document, question.offset, tools.parse))  # while the engine works
    own = None if tools.own is None else LastWord(tools.own, question.document)
    first = _First(question, looking, tools.fim.count, watch, early) if early else None
    if first is not None:
        heard = first.listening(heard)
    try:
        answer, known = await _answer(question, tools, watch.first(own.listening(heard) if own else heard))
        watch.lap("engine")
        judged = await judge(question, answer, looking, watch, own)
    finally:
        looking.cancel()
        if own is not None:
            own.stop()
        if first is not None:
            first.stop()
    made = _completion(question, answer, judged, watch, reused="cache" if known else "")
    if made is not None:
        made = replace(made, unknown=_unknown(question, made, tools.context))
        if not question.worth.is_had_by(made.text, made.score, likely=bool(made.logprob)):
            made = None
    if tools.told is not None:
        tools.told(question, answer.text, "" if made else why_not(answer, judged))
    return made


def _unknown(question: Question, made: Completion, context: ContextSource | None) -> tuple[str, ...]:
    """Names in a completion that are neither in the document nor in the prompt's snippets nor in the index."""
    texts = (made.document.text, *(snippet.text for snippet in question.snippets))

    def known(name: str) -> bool:
        word = re.compile(rf"(?<![\w$]){re.escape(name)}(?![\w$])")
        there = any(name in text and word.search(text) for text in texts)
        return there or (context is not None and context.finds(name))

    gap = question.gap
    return unknown_names(made.text, gap.language_id, known, gap.line_before, gap.line_after)


def _completion(
    question: Question, answer: Answer, judged: Judged, watch: Watch, *, reused: str = ""
) -> Completion | None:
    if judged.checked is None:
        return None
    prompt = question.prompt
    prompt_tokens = answer.usage.prompt_tokens or sum(part.tokens for part in prompt.parts)
    return Completion(
        text=judged.checked.text,
        start=judged.checked.start,
        end=judged.checked.end,
        finish_reason=answer.finish_reason,
        prompt=prompt,
        usage=replace(answer.usage, prompt_tokens=prompt_tokens),
        timings=watch.timings(),
        logprob=answer.logprob,
        document=question.document,
        snippets=question.snippets,
        words=question.words,
        reused=reused,
        model=question.model,
        was_cut=judged.checked != judged.insertion,
        parses=judged.checked.parses,
    )


class _First:
    """Gives what there is of whole lines, once, when they are due; the generation goes on."""

    def __init__(
        self,
        question: Question,
        looking: asyncio.Future[Before],
        count: Callable[[str], int],
        watch: Watch,
        wanted: FirstLines,
    ) -> None:
        self._question, self._looking, self._give = question, looking, wanted.give
        self._count, self._watch = count, watch
        self._lines = ""
        self._due = False
        self._judging: asyncio.Task[None] | None = None
        left = wanted.due - time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, left), self._pass)

    def listening(self, heard: Callable[[str], None]) -> Callable[[str], None]:
        """`heard`, with the whole lines of what it gets kept here."""

        def both(text: str) -> None:
            lines = text.split("\n")[:-1]
            while lines and opens_block(lines[-1], self._question.document.language_id):
                lines.pop()  # a head without its block helps nobody
            self._lines = "\n".join(lines)
            heard(text)
            self._try()

        return both

    def stop(self) -> None:
        """The answer is whole, or not wanted any more."""
        self._timer.cancel()
        if self._judging is not None:
            self._judging.cancel()

    def _pass(self) -> None:
        self._due = True
        self._try()

    def _try(self) -> None:
        if self._due and self._judging is None and self._lines.strip():
            self._judging = asyncio.ensure_future(self._judge(self._lines))

    async def _judge(self, lines: str) -> None:
        question, watch = self._question, replace(self._watch, laps=dict(self._watch.laps))
        watch.lap("engine")
        text = lines[: stop_at(lines, question.gap, final=True)]
        answer = Answer(text, "deadline", Usage(completion_tokens=self._count(text)), 0.0)
        judged = await judge(question, answer, asyncio.shield(self._looking), watch)
        made = _completion(question, answer, judged, watch)
        if made is not None:
            self._give(made)


async def _answer(question: Question, tools: Tools, heard: Callable[[str], None]) -> tuple[Answer, bool]:
    """The engine's answer, and whether it was known before."""
    answers = tools.answers
    if answers is not None:
        await answers.late(question.key)
        known = answers.get(question.key)
        if known is not None:
            return known, True
    asked = replace(question.asked, drafts=question.drafts)
    answer = await ask(tools.engine, asked, question.gap, heard, question.marks)
    if answers is not None:
        answers.put(question.key, answer)
    return answer, False


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of an answer: the edit that was made of it, or why none was, and the form that breaks nothing."""

    insertion: Insertion | None = None
    checked: Insertion | None = None
    unfit: Unfit | None = None


def why_not(answer: Answer, judged: Judged) -> str:
    """Why an answer is not offered, in a few words."""
    if not answer.text.strip():
        return "the model said nothing; a line of code, or a comment that says what comes, helps it"
    if judged.unfit is not None:
        return f"what the model said {judged.unfit.value}"
    if judged.checked is None:
        return "what the model said is withheld, as it would break the syntax of the file"
    return "the answer is too short or, as the model itself thinks, too unlikely to be shown unasked"


async def judge(
    question: Question, answer: Answer, before: Awaitable[Before], watch: Watch, own: LastWord | None = None
) -> Judged:
    """What of an answer is fit to be shown. `before`: the document as `look` has seen it."""
    document, gap = question.document, question.gap
    first_line = gap.line_before + answer.text.lstrip("\n").partition("\n")[0]
    echoed = question.prompt.has_heading(first_line, document.language_id)
    insertion = Unfit.HEADING if echoed else fitted(answer.text, document, question.offset, gap)
    watch.lap("postprocess")
    if isinstance(insertion, Unfit):
        return Judged(unfit=insertion)
    checked = await _clean(insertion, await before)
    if checked is not None and own is not None:
        checked = await own.cleaned(checked, await before)
    watch.lap("verify")
    return Judged(insertion, checked)


async def recall(
    request: CompletionRequest, again: Again[Completion], *, parse: ParseFile, settings: Settings
) -> Completion | None:
    """What is left, at a cursor, of a completion from before (see `Memory.find`); None where it does not fit in.

    No model runs. What was welcome when it was shown is so in a string that it has begun, too. Where the file did not
    parse with it, it was shown because it did not before either: what was typed of it may have mended that, and the
    rest may break it again.
    """
    document, offset = request.document, request.offset
    if refusal(document, offset, invoked=True, settings=settings.completion):
        return None
    watch = Watch()
    found: Insertion | None = Insertion(again.text, offset, offset + again.replaced, again.shown.made.parses)
    if not again.same:
        gap = gap_at(document, offset, settings.completion.multiline)
        found = postprocess(again.text, document, offset, gap)
        watch.lap("postprocess")
        found = await _clean(found, await look(document, offset, parse)) if found else None
        watch.lap("verify")
    elif found is not None and not found.parses and breaks_again(found, document, offset):
        found = await _clean(found, await look(document, offset, parse))
        watch.lap("verify")
    if found is None or not found.text.strip():
        return None
    return replace(
        again.shown.made,
        text=found.text,
        start=found.start,
        end=found.end,
        document=document,
        parses=found.parses,
        reused="shown",
        timings=watch.timings(),
    )


async def look(document: Document, offset: int, parse: ParseFile) -> Before:
    """The document as it is before a completion, examined where the event loop does not wait for it."""
    if len(document.text) < _LONG:
        return look_before(document, offset, parse)
    return await asyncio.to_thread(look_before, document, offset, parse)


async def _clean(insertion: Insertion, before: Before) -> Insertion | None:
    if len(before.document.text) < _LONG:
        return clean(insertion, before)
    return await asyncio.to_thread(clean, insertion, before)
