"""The completion pipeline: one cursor in, checked edits out.

It joins what does not know of each other: `fim` (what to ask, what to keep), the repository's context, and an engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from coderls.answer import ask
from coderls.document import Document, ParseFile, Snippet
from coderls.engine.api import Usage
from coderls.errors import EngineError
from coderls.fim.postprocess import Insertion, postprocess
from coderls.fim.prompt import Prompt
from coderls.fim.reuse import Again, Shown
from coderls.fim.stopping import gap_at
from coderls.fim.syntax import Before, clean, look_before
from coderls.fim.triggers import refusal
from coderls.question import CompletionRequest, Question, Tools, question_at
from coderls.settings import Settings
from coderls.timings import Timings, Watch

#: Documents longer than this (characters) are examined in a thread, so that the event loop stays free: 20,000
#: characters of a text that is hard to parse take seconds.
_LONG = 2_000


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
    request: CompletionRequest, tools: Tools, heard: Callable[[str], None] = lambda _text: None
) -> list[Completion]:
    """Up to `request.alternatives` different completions at a cursor, the best first; none where nothing fits.

    What had to be cut to be clean comes after what had not, and then the likelier first. The engine is asked for all
    at once; where it fails at others than the first, there are fewer. `heard` gets the whole text of the first each
    time that there is more of it. Cancelling stops the engine. Raises EngineError when the engine fails.
    """
    question = await question_at(request, tools)
    if question is None:
        return []
    found = await asyncio.gather(
        _answered(question, tools, heard),
        *(_answered(question.sampled(seed), tools) for seed in range(1, request.alternatives)),
        return_exceptions=True,
    )
    for error in found:
        if isinstance(error, BaseException) and (error is found[0] or not isinstance(error, EngineError)):
            raise error
    return _ranked([made for made in found if isinstance(made, Completion)])


def _ranked(made: list[Completion]) -> list[Completion]:
    """Without duplicates, the best first."""
    different: dict[str, Completion] = {}
    for completion in sorted(made, key=lambda each: (each.was_cut, -each.logprob)):
        different.setdefault(completion.text, completion)
    return list(different.values())


async def _answered(
    question: Question, tools: Tools, heard: Callable[[str], None] = lambda _text: None
) -> Completion | None:
    """The engine's answer as an edit that was checked, or None."""
    answers = tools.answers
    document, offset, gap, watch = question.document, question.offset, question.gap, question.watch.fork()
    looking = asyncio.ensure_future(_look_before(document, offset, tools.parse))  # while the engine works
    try:
        known = answers.get((question.asked, gap)) if answers is not None else None
        answer = known or await ask(
            tools.engine, replace(question.asked, drafts=question.drafts), gap, watch.first(heard)
        )
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


async def _look_before(document: Document, offset: int, parse: ParseFile) -> Before:
    if len(document.text) < _LONG:
        return look_before(document, offset, parse)
    return await asyncio.to_thread(look_before, document, offset, parse)


async def _clean(insertion: Insertion, before: Before) -> Insertion | None:
    if len(before.document.text) < _LONG:
        return clean(insertion, before)
    return await asyncio.to_thread(clean, insertion, before)
