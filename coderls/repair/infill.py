"""Candidates of a FIM model: the damaged span is cut out and filled anew, in several widths and several ways.

    return totl(a, b)        the complaint is about `totl`
           ^^^^              a token           return [....](a, b)
           ^^^^^^^^^^        the rest          return [..........]
    ^^^^^^^^^^^^^^^^^        the line       [.................]

What is asked in one go has most of its prompt in common, and reading prompts is what takes time on a CPU: the answers
of a span differ in nothing but their draws, names to be weighed stand where the token was, and all spans of a line
that reach to its end have the same text after them, so that prompts with the suffix first differ in their last tokens
only. The engine computes the rest once and runs the answers together. The first sample of a span is the likeliest
one, the others are drawn. What comes is stopped and joined to the line as a completion is.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from coderls.document import Document, Edit, Snippet
from coderls.engine.api import Chunk, GenerationRequest, Priority, Sampling
from coderls.errors import EngineError
from coderls.fim.model import FimModel, budgets
from coderls.fim.postprocess import Insertion, postprocess
from coderls.fim.prompt import Names, Prompt, build_prompt
from coderls.fim.stopping import Gap, gap_at, indentation, stop_at
from coderls.repair.candidate import Candidate
from coderls.repair.diagnostic import Diagnostic, clamped
from coderls.repair.slips import word_at
from coderls.settings import CompletionSettings, ContextSettings

_MAX_TOKENS = {"token": 12, "rest": 48, "line": 56, "statement": 80, "block": 120}
_TEMPERATURE = 0.6
_MOST_SPANS = 6
_TOKEN = re.compile(r"[^\W\d][\w]*|\d[\w.]*|\"[^\"\n]*\"|'[^'\n]*'|\S")


T = TypeVar("T")


class Engine(Protocol):
    """What is needed of an engine's client. Closing the iterator stops the generation."""

    def stream(self, request: GenerationRequest) -> AsyncIterator[Chunk]: ...


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the document to fill anew. `kind` is a key of _MAX_TOKENS."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True)
class Filler:
    """A FIM model and the engine that runs it. `samples`: how many answers for each span, the likeliest included."""

    engine: Engine
    fim: FimModel
    samples: int = 3
    priority: Priority = Priority.REPAIR
    snippets: tuple[Snippet, ...] = ()
    names: Names = field(default_factory=Names)
    layout: str = "before"

    async def fill(self, document: Document, spans: Sequence[Span]) -> list[Candidate]:
        """Different candidates, the likelier first. Raises EngineError when no span could be filled at all."""
        done = await asyncio.gather(*(self._filled(document, span) for span in spans), return_exceptions=True)
        failed = [one for one in done if isinstance(one, BaseException)]
        if failed and (len(failed) == len(done) or not isinstance(failed[0], EngineError)):
            raise failed[0]
        best: dict[str, Candidate] = {}
        for candidate in (one for some in done if not isinstance(some, BaseException) for one in some):
            known = best.get(candidate.text)
            if known is None or (candidate.logprob or 0.0) > (known.logprob or 0.0):
                best[candidate.text] = candidate
        return sorted(best.values(), key=lambda one: -(one.logprob or 0.0))

    @property
    def weighs(self) -> bool:
        """Whether the engine can say how likely given words are."""
        return "forced" in self.fim.features and self.fim.tokenizer is not None

    async def weighed(self, document: Document, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Candidates of one edit each, with the model's log-probability of just these words at their place.

        As they were for an engine that cannot tell. Raises EngineError.
        """
        if not self.weighs:
            return list(candidates)
        return await together(self._weigh(document, one) for one in candidates)

    async def _weigh(self, document: Document, candidate: Candidate) -> Candidate:
        [edit] = candidate.edits
        _, prompt = self._holed(document, edit.start, edit.end)
        words = self.fim.encode(prompt.required_prefix + edit.new_text)
        end = self.fim.template.stop_ids(self.fim.tokenizer)[:1] if self.fim.tokenizer else ()
        request = GenerationRequest(
            prompt=prompt.content, logprobs=0, priority=self.priority, forced=(*words, *end), max_tokens=len(words) + 1
        )
        total = 0.0
        async with aclosing(self.engine.stream(request)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                total += sum(chunk.logprobs)
        return replace(candidate, logprob=total)

    async def _filled(self, document: Document, span: Span) -> list[Candidate]:
        holed, prompt = self._holed(document, span.start, span.end)
        gap = gap_at(holed, span.start, "auto" if span.kind in ("block", "statement") else "never")
        asked = self._request(prompt, span)
        drawn = replace(asked, sampling=Sampling(_TEMPERATURE, 0.95, seed=1), n=max(1, self.samples - 1))
        requests = [asked] if self.samples < 2 else [asked, drawn]
        answers = await together(_answers(self.engine, request, gap) for request in requests)
        made = [
            _candidate(document, span, postprocess(said, holed, span.start, gap), logprob)
            for some in answers
            for said, logprob in some
        ]
        return [candidate for candidate in made if candidate is not None]

    def _holed(self, document: Document, start: int, end: int) -> tuple[Document, Prompt]:
        """The document without a stretch, and the prompt for what was there. Its length follows the engine's speed."""
        holed = document.apply(Edit(start, end, ""))
        context = ContextSettings(enabled=bool(self.snippets))
        budget = budgets(self.fim, CompletionSettings(max_tokens=max(_MAX_TOKENS.values())), context)
        prompt = build_prompt(
            holed, start, self.fim, budget, snippets=self.snippets, layout=self.layout, names=self.names
        )
        return holed, prompt

    def _request(self, prompt: Prompt, span: Span) -> GenerationRequest:
        template, tokenizer = self.fim.template, self.fim.tokenizer
        return GenerationRequest(
            prompt=prompt.content,
            max_tokens=_MAX_TOKENS[span.kind],
            stop=() if tokenizer else tuple(template.written(name).strip() for name in template.stop),
            stop_token_ids=template.stop_ids(tokenizer) if tokenizer else (),
            logprobs=0 if "token_ids" in self.fim.features else None,
            required_prefix=prompt.required_prefix,
            priority=self.priority,
        )


def spans_for(document: Document, diagnostic: Diagnostic) -> tuple[list[Span], list[Span], list[Span]]:
    """Stretches to fill anew for a complaint: its token, parts of its line, and what is around the line."""
    every = _spans(document, clamped(diagnostic, len(document.text)))
    line = document.line_of(min(max(0, diagnostic.start), len(document.text)))
    token = [span for span in every if span.kind == "token"]
    near = [span for span in every if span.kind in ("rest", "line") and document.line_of(span.start) == line]
    return token, near, [span for span in every if span not in (*token, *near)]


def _spans(document: Document, diagnostic: Diagnostic) -> list[Span]:
    """The narrowest first; a place of no width gets a token's."""
    first, last = document.line_of(diagnostic.start), document.line_of(max(diagnostic.start, diagnostic.end - 1))
    line_start, line_end = document.line_span(first)
    text = document.text[line_start:line_end]
    begin = line_start + len(text) - len(text.lstrip())
    spans: list[Span] = []
    token = word_at(document, diagnostic) or _token_at(document, diagnostic.start, line_start, line_end)
    if token is not None:
        spans.append(Span(*token, "token"))
        spans.append(Span(token[0], line_end, "rest"))
    if diagnostic.end > diagnostic.start and last == first:
        spans.append(Span(diagnostic.start, diagnostic.end, "rest"))
    if begin < line_end:
        spans.append(Span(begin, line_end, "line"))
    if last > first:
        spans.append(Span(begin, document.line_span(min(last, first + 8))[1], "statement"))
    above = next((line for line in range(first - 1, -1, -1) if _line(document, line).strip()), None)
    if above is not None and "syntax" in f"{diagnostic.rule} {diagnostic.message}".lower():
        start, end = document.line_span(above)
        spans.append(Span(end - len(document.text[start:end].lstrip()), end, "line"))
    if first == last and begin < line_end:
        spans.append(Span(begin, _nested_end(document, first), "block"))
    different: dict[tuple[int, int], Span] = {}
    for span in spans:
        if span.start <= span.end:
            different.setdefault((span.start, span.end), span)
    return list(different.values())[:_MOST_SPANS]


async def together(work: Iterable[Awaitable[T]]) -> list[T]:
    """The results of all, once all have ended: where one fails, the others are not left running."""
    done = await asyncio.gather(*work, return_exceptions=True)
    results: list[T] = []
    for one in done:
        if isinstance(one, BaseException):
            raise one
        results.append(one)
    return results


def _token_at(document: Document, place: int, low: int, high: int) -> tuple[int, int] | None:
    """The token that holds or follows `place` on its line, or else the last one."""
    tokens = [(low + match.start(), low + match.end()) for match in _TOKEN.finditer(document.text[low:high])]
    return next((token for token in tokens if token[1] > place), tokens[-1] if tokens else None)


def _nested_end(document: Document, line: int) -> int:
    """The end of the line and of what stands deeper below it, of at most a few lines."""
    depth = indentation(_line(document, line))
    end = line
    for below in range(line + 1, min(line + 6, len(document.line_starts))):
        text = _line(document, below)
        if text.strip() and indentation(text) <= depth:
            break
        end = below if text.strip() else end
    return document.line_span(end)[1]


def _line(document: Document, line: int) -> str:
    start, end = document.line_span(line)
    return document.text[start:end]


async def _answers(engine: Engine, request: GenerationRequest, gap: Gap) -> list[tuple[str, float]]:
    """The text of each of the request's `n` candidates, up to where it is whole, and its log-probability."""
    said = dict.fromkeys(range(request.n), "")
    logprobs = dict.fromkeys(range(request.n), 0.0)
    ended: dict[int, int] = {}
    async with aclosing(engine.stream(request)) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            number = chunk.index
            if number in ended or number not in said:
                continue
            said[number] += chunk.text
            logprobs[number] += sum(chunk.logprobs)
            stopped = [at for at in map(said[number].find, request.stop) if at >= 0]
            text = said[number] = _unix(said[number][: min(stopped)] if stopped else said[number])
            end = stop_at(text, gap, final=chunk.finish_reason == "stop" or bool(stopped))
            if end is None and chunk.finish_reason:
                end = 0  # cut off at its longest: half an answer is none
            if end is not None:
                ended[number] = end
            if len(ended) == request.n:
                break
    return [(said[number][:end], logprobs[number]) for number, end in ended.items() if end]


def _candidate(document: Document, span: Span, found: Insertion | None, logprob: float) -> Candidate | None:
    if found is None:
        return None
    edit = Edit(span.start, span.end + (found.end - span.start), found.text)
    old = document.text[edit.start : edit.end]
    if old == edit.new_text:
        return None
    return Candidate(document.text, (edit,), "infill", _title(old, edit.new_text, document, span), logprob)


def _title(old: str, new: str, document: Document, span: Span) -> str:
    """What is changed, as short as it can be said."""
    if "\n" in old + new or len(old) + len(new) > 80:
        first, last = document.line_of(span.start) + 1, document.line_of(span.end) + 1
        return f"Rewrite line {first}" if first == last else f"Rewrite lines {first} to {last}"
    low = 0
    while low < min(len(old), len(new)) and old[low] == new[low]:
        low += 1
    high = 0
    while high < min(len(old), len(new)) - low and old[-1 - high] == new[-1 - high]:
        high += 1
    while low and (old[low - 1].isalnum() or old[low - 1] == "_"):
        low -= 1
    while high and (old[len(old) - high].isalnum() or old[len(old) - high] == "_"):
        high -= 1
    gone, came = old[low : len(old) - high].strip(), new[low : len(new) - high].strip()
    if not gone:
        return f"Add {came!r}"
    return f"Change {gone!r} to {came!r}" if came else f"Take away {gone!r}"


def _unix(text: str) -> str:
    return text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
