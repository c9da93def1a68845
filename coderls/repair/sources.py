"""Where candidates come from, cheapest first: fixes of the checkers, common slips, a FIM model, a chat model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from coderls.document import Document, ParseFile
from coderls.engine.api import ChatRequest, Chunk, Priority, Sampling
from coderls.errors import DocumentError, EngineError
from coderls.repair.answers import Refused, first_block, read_answer
from coderls.repair.candidate import Candidate
from coderls.repair.checkers import Checker, Fix
from coderls.repair.checkers.parse import python_fault
from coderls.repair.diagnostic import Diagnostic, is_superfluous, is_unknown
from coderls.repair.doubts import (
    ends_member_by_deletion,
    invents,
    leaves_open,
    may_be_meant,
    preferred,
    swaps_unknown,
    takes_away,
    unbalances,
)
from coderls.repair.habits import mend_habits
from coderls.repair.infill import Filler, Span, spans_for, together
from coderls.repair.other_slips import mend_others
from coderls.repair.prompt import Task, form_for, messages
from coderls.repair.slips import mend_names
from coderls.repair.syntax_slips import mend_syntax
from coderls.repair.verify import Baseline, is_same_complaint

#: Of a chat's second try, whose answers are drawn.
_TEMPERATURE = 0.7
_DRAWN = 2
#: Tokens of a chat's answer beyond the code itself, and the most in all.
_ROOM, _MOST_TOKENS = 256, 4096
_CHARACTERS_PER_TOKEN = 3
#: Names that a model finds less likely than this (log-probability) are no candidates.
_UNLIKELY = -12.0
#: Texts (characters) that CPython's parser reads in a moment.
_SHORT = 100_000
#: How rustc begins a suggestion that says of something unused that it is meant to be.
_CONDITIONAL = "if this is intentional"
#: Complaints about syntax, by rule or message: looked for with the parser.
_SYNTAX = ("syntax", "indent", "parse", "expected", "unclosed", "never closed", "unterminated", "invalid")


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates, and sentences about answers that were none."""

    candidates: tuple[Candidate, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """One way to come by candidates; `name` says it to the user. `find` may raise EngineError."""

    name: str
    find: Callable[[], Awaitable[Found]]


class ChatEngine(Protocol):
    """What is needed of a chat engine's client. Closing the iterator stops the generation."""

    def chat(self, request: ChatRequest) -> AsyncIterator[Chunk]: ...


@dataclass(frozen=True, slots=True)
class Chatter:
    """A chat model (`model`: its name, from which its size is read) and the engine that runs it."""

    engine: ChatEngine
    model: str
    priority: Priority = Priority.REPAIR


def of_checkers(baseline: Baseline, diagnostic: Diagnostic, checkers: Sequence[Checker]) -> Source:
    """What the checkers themselves offer against the complaint."""

    async def find() -> Found:
        document = baseline.document
        reports = [await baseline.report(checker) for checker in checkers]
        others = [one for report in reports for one in report.diagnostics]
        offered = [fix for report in reports for fix in report.fixes if concerns(fix.diagnostic, diagnostic, document)]
        made = await asyncio.to_thread(lambda: [_of_checker(document, fix, others) for fix in offered])
        return Found(tuple(one for one in made if one is not None))

    return Source("fixes of the checkers", find)


def _of_checker(document: Document, fix: Fix, others: Sequence[Diagnostic]) -> Candidate | None:
    """A checker's own fix: a guess where it takes away what another complaint may mean, or says so itself.

    None for one whose edits overlap or lie outside of the text.
    """
    try:
        candidate = Candidate(document.text, fix.edits, "rule", fix.title or "Its own fix", safe=fix.safe)
    except DocumentError:
        return None
    meant = is_superfluous(fix.diagnostic) and may_be_meant(document, candidate, others)
    return replace(candidate, guess=meant or fix.title.lower().startswith(_CONDITIONAL))


def concerns(own: Diagnostic, target: Diagnostic, document: Document) -> bool:
    """Whether a checker's complaint may be the target: the same one, or one about its very place in other words."""
    return is_same_complaint(own, target, document) or (own.start <= target.end and target.start <= own.end)


def of_syntax(document: Document, diagnostic: Diagnostic, parse: ParseFile) -> Source:
    """What keeps a file from being read: brackets, quotes, colons, indentation, keywords."""

    def look() -> Found:
        said = f"{diagnostic.rule} {diagnostic.message}".lower()
        # What type checkers say of a Python file that cannot be read is often an echo of that.
        about_syntax = document.language_id == "python" or any(word in said for word in _SYNTAX)
        near = document.line_of(diagnostic.start)
        found = mend_syntax(document, parse, near=near) if about_syntax else []
        found = [one for one in found if not ends_member_by_deletion(one)]
        doubtful = (takes_away(one) or leaves_open(one) or unbalances(document, one) for one in found)
        return Found(tuple(replace(one, guess=guess) for one, guess in zip(found, doubtful, strict=True)))

    return Source("slips of syntax", lambda: asyncio.to_thread(look))


def of_slips(document: Document, diagnostic: Diagnostic, baseline: Baseline | None = None) -> Source:
    """Other things that people get wrong most: habits of other languages, names that are almost others.

    What the checkers said before is in `baseline`: what one misses is not taken away for another.
    """

    def look() -> Found:
        others = () if baseline is None else baseline.said
        doubtful = (
            replace(one, guess=is_superfluous(diagnostic) and may_be_meant(document, one, others))
            for one in mend_others(document, diagnostic)
        )
        named = mend_names(document, diagnostic, sure=True)
        return Found((*mend_habits(document, diagnostic), *doubtful, *named))

    return Source("common slips", lambda: asyncio.to_thread(look))


def of_guesses(document: Document, diagnostic: Diagnostic) -> Source:
    """Names that are somewhat alike, or near by: guesses, for want of a model that could weigh them."""

    async def find() -> Found:
        if not is_unknown(diagnostic):
            return Found()  # another name may well silence any complaint
        return Found(tuple(await asyncio.to_thread(mend_names, document, diagnostic, sure=False)))

    return Source("names near by", find)


def of_infill(filler: Filler, document: Document, diagnostic: Diagnostic) -> list[Source]:
    """What a FIM model makes of it, the cheapest first: another token or name, another line, what is around it.

    In a file that cannot be read the place is the parser's: what else is said of it is often an echo of that.
    """
    reads = document.language_id == "python" and len(document.text) <= _SHORT
    token, line, around = spans_for(document, (python_fault(document) if reads else None) or diagnostic)

    async def names() -> Found:
        guessed = await asyncio.to_thread(mend_names, document, diagnostic, sure=False)
        weighed, filled = await together([filler.weighed(document, guessed), filler.fill(document, token)])
        likely = [one for one in weighed if one.logprob is not None and one.logprob > _UNLIKELY]
        named = [replace(one, origin="infill") for one in likely]
        sure = preferred(document, named, filled)
        every = (*filled, *sorted(named, key=lambda one: -(one.logprob or 0.0)))
        return Found(tuple(replace(one, guess=one.text != sure and invents(one)) for one in every))

    def of_spans(spans: Sequence[Span]) -> Callable[[], Awaitable[Found]]:
        async def find() -> Found:
            filled = await filler.fill(document, spans)
            return Found(tuple(replace(one, guess=invents(one)) for one in filled))

        return find

    sources = [
        Source("the completion model", names),
        Source("the completion model, the rest of the line", of_spans(line)),
        Source("the completion model, more lines", of_spans(around)),
    ]
    return [source for source, spans in zip(sources, (token, line, around), strict=True) if spans]


def of_chat(chatter: Chatter, task: Task, *, again: bool = False) -> Source:
    """The enclosing function as a chat model writes it. `again`: a second try, whose answers are drawn."""

    async def find() -> Found:
        request = _request(chatter, task)
        if again:
            request = replace(request, n=_DRAWN, sampling=Sampling(_TEMPERATURE, 0.95, seed=1))
        candidates: list[Candidate] = []
        refused: list[str] = []
        for said, finish_reason in await _turns(chatter.engine, request, task):
            text = read_answer(
                said,
                task.document,
                task.region,
                path=task.path,
                finish_reason=finish_reason,
                instructed=bool(task.instruction),
            )
            if isinstance(text, Refused):
                refused.append(text.reason)
            else:
                candidates.append(_of_chat(task, text))
        return Found(tuple(candidates), tuple(refused))

    return Source(f"{chatter.model}, once more" if again else chatter.model, find)


def _of_chat(task: Task, text: str) -> Candidate:
    """An answer. One that only puts another name for the unknown one is a guess, whoever made it."""
    candidate = Candidate.of_text(task.document.text, text, "chat", _title(task))
    doubtful = task.target is not None and swaps_unknown(task.document, task.target, candidate)
    return replace(candidate, guess=doubtful)


def _request(chatter: Chatter, task: Task) -> ChatRequest:
    code = task.region.text(task.document)
    most = min(_MOST_TOKENS, 2 * len(code) // _CHARACTERS_PER_TOKEN + _ROOM)
    form = form_for(chatter.model, task.region)
    return ChatRequest(
        messages(task, form),
        max_tokens=most,
        priority=chatter.priority,
        prediction=code if form == "whole" else "",
    )


async def _turns(engine: ChatEngine, request: ChatRequest, task: Task) -> list[tuple[str, str]]:
    """The text of each answer, at most up to the block that was asked for, and why it ended. Raises EngineError."""
    said = dict.fromkeys(range(request.n), "")
    ended = dict.fromkeys(range(request.n), "")
    async with aclosing(engine.chat(request)) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            if chunk.index not in said or ended[chunk.index]:
                continue
            said[chunk.index] += chunk.text
            whole = None
            if request.prediction and "\n" in chunk.text:  # the code as a whole is asked for
                whole = first_block(said[chunk.index], task.document, task.region)
            if whole is not None:
                said[chunk.index] = whole
            ended[chunk.index] = "stop" if whole is not None else chunk.finish_reason or ""
            if all(ended.values()):
                break
    if not any(ended.values()):
        raise EngineError("The chat engine did not end its answer.", "Ask again; its log may say why.")
    return [(said[number], ended[number]) for number in said]


def _title(task: Task) -> str:
    first, last = task.region.first_line + 1, task.region.end_line
    return f"Rewrite in lines {first} to {last}" if last > first else f"Rewrite line {first}"
