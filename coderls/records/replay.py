"""A record, done again: with what the engine said then, or with an engine that is asked now.

With the recorded streams no engine is needed: this says whether our own code makes the same of them, which is what a
bug report needs. With a live engine it says whether the engine gives the same bytes; a difference is a fault only
where engine, model and version are the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import coderls
from coderls.answer import Engine, ask
from coderls.completion import Completion, best_of, judge, look
from coderls.document import ParseFile
from coderls.engine.api import Chunk, GenerationRequest
from coderls.errors import EngineError, EngineUnreachable
from coderls.fim.model import FimModel
from coderls.fim.prompt import Names, Prompt, build_prompt
from coderls.fim.stopping import Gap, gap_at
from coderls.question import Question, Tools, budget_at
from coderls.records.record import Change, Identity, Record, changes
from coderls.records.recorder import Tape
from coderls.timings import Watch

Verdict = Literal["same", "other", "none"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What was made of one stream: its text, what of it was wanted, the edit, and what of that breaks nothing."""

    said: str
    wanted: str
    inserted: str | None
    kept: str | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a record. `faults`: what is not as recorded. `notes`: what else is not, and may explain it.

    `verdict`: "same", "other", or "none" where nothing can be said because of the notes.
    """

    shown: tuple[Change, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...] = ()
    decisions: tuple[Decision, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Whether what came now is what came then."""
        return "same" if not self.faults else "none" if self.notes else "other"


class Recorded:
    """An engine that says again what stands in a record."""

    def __init__(self, record: Record) -> None:
        self._record = record

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """As `Engine.stream`. An answer that would have gone on ends where it was no longer read."""
        for stream in self._record.streams:
            if stream.asked.sampling == request.sampling:
                for chunk in stream.chunks:
                    yield chunk
                if stream.error:
                    raise EngineUnreachable(stream.error)
                return
        raise EngineUnreachable("The record has no such stream.")


async def replay_recorded(record: Record, parse: ParseFile) -> Replay:
    """Make the completions again from what the engine said then."""
    gap = gap_at(record.document, record.place.offset, record.completion.multiline)
    tools = Tools(Recorded(record), record.model(), parse, record.settings)
    questions = record.questions(gap)
    decisions = [await _decision(question, tools) for question in questions]
    try:
        shown = changes(await best_of(questions, tools), 0)
    except EngineError:
        shown = ()
    faults = _gap_faults(record.gap, gap) if record.gap != gap else []
    notes = []
    if record.identity.coderls not in ("", coderls.__version__):
        notes.append(f"coderls: {record.identity.coderls} then, {coderls.__version__} now")
    if not record.place.whole:
        notes.append("the document was too long to be recorded whole: its syntax is judged by a part of it")
    return Replay(shown, tuple(faults + _shown_faults(record.shown, shown)), tuple(notes), tuple(decisions))


async def replay_live(record: Record, engine: Engine, fim: FimModel, identity: Identity, parse: ParseFile) -> Replay:
    """Ask `engine` again; `fim` and `identity` are of its model. Raises EngineError when it fails.

    The same model is sent the very prompt of the record; another one a prompt of its own for the same place.
    """
    notes = record.identity.differences(identity)
    gap = gap_at(record.document, record.place.offset, record.completion.multiline)
    same_model = bool(identity.fingerprint) and identity.fingerprint == record.identity.fingerprint
    prompt = _prompt(record, fim)
    faults: list[str] = []
    questions = record.questions(gap)
    if not same_model:
        notes = notes or ["nobody can tell whether it is the same model: the engine runs elsewhere"]
        questions = [_asked_of(question, prompt, fim) for question in questions]
    elif prompt.content != record.prompt.content and record.place.whole:
        faults.append("the prompt for this place is made in another way now")
    if "exact" not in fim.features or not all(stream.asked.exact for stream in record.streams):
        notes.append("the engine was not asked for exactly the same, or cannot be: near ties may fall the other way")
    tape = Tape(engine)
    made: list[Completion] = []
    for question in questions:  # one after another, as the engine does it with exact requests too
        await _heard(tape, question)
    said = replace(record, streams=tape.streams)
    made = await best_of(questions, Tools(Recorded(said), fim, parse, record.settings))
    shown = changes(made, 0)
    if same_model:
        faults += _stream_faults(record, said)
    faults += _shown_faults(record.shown, shown)
    return Replay(shown, tuple(faults), tuple(notes))


async def _heard(engine: Engine, question: Question) -> None:
    """Read the engine's answer as far as a completion does."""
    await ask(engine, question.asked, question.gap, lambda _text: None, question.marks)


def _prompt(record: Record, fim: FimModel) -> Prompt:
    budget = budget_at(record.document, record.place.offset, fim, record.completion, record.context)
    names = Names(record.place.path, record.place.repo_name)
    return build_prompt(
        record.document,
        record.place.offset,
        fim,
        budget,
        snippets=record.snippets,
        layout=record.context.layout,
        names=names,
    )


def _asked_of(question: Question, prompt: Prompt, fim: FimModel) -> Question:
    """The question for another model than the one of the record."""
    asked = replace(
        question.asked,
        prompt=prompt.content,
        required_prefix=prompt.required_prefix,
        stop=() if fim.tokenizer else tuple(fim.template.written(name).strip() for name in fim.template.stop),
        stop_token_ids=fim.template.stop_ids(fim.tokenizer) if fim.tokenizer else (),
        exact="exact" in fim.features,
    )
    return replace(question, prompt=prompt, asked=asked, model=fim.name)


async def _decision(question: Question, tools: Tools) -> Decision:
    said = ""
    document, offset = question.document, question.offset
    before = asyncio.ensure_future(look(document, offset, tools.parse))
    try:
        async for chunk in tools.engine.stream(question.asked):
            said += chunk.text
        answer = await ask(tools.engine, question.asked, question.gap, lambda _text: None, question.marks)
    except EngineError as error:
        before.cancel()
        return Decision(said, "", None, None, error.what)
    judged = await judge(question, answer, before, Watch())
    return Decision(
        said,
        answer.text,
        None if judged.insertion is None else judged.insertion.text,
        None if judged.checked is None else judged.checked.text,
    )


def _gap_faults(then: Gap, now: Gap) -> list[str]:
    names = [name for name in then.__dataclass_fields__ if getattr(then, name) != getattr(now, name)]
    return [f"the cursor's surroundings are read in another way: {', '.join(names)}"]


def _stream_faults(then: Record, now: Record) -> list[str]:
    """Where the engine said other bytes, or chose other tokens, or with other probabilities."""
    faults = []
    for number, (before, after) in enumerate(zip(then.streams, now.streams, strict=False)):
        name = f"answer {number + 1}"
        text, again = ("".join(chunk.text for chunk in stream.chunks) for stream in (before, after))
        ids, ids_again = ([token for chunk in stream.chunks for token in chunk.token_ids] for stream in (before, after))
        values, values_again = (
            [value for chunk in stream.chunks for value in chunk.logprobs] for stream in (before, after)
        )
        if text != again:
            faults.append(f"{name}: the engine said {text!r:.200} then, {again!r:.200} now")
        elif ids != ids_again:
            faults.append(f"{name}: the engine said the same in other tokens")
        elif values != values_again:
            place = next(at for at, pair in enumerate(zip(values, values_again, strict=True)) if pair[0] != pair[1])
            faults.append(
                f"{name}: the same bytes, but token {place + 1} had the log-probability {values[place]!r} then and "
                f"{values_again[place]!r} now"
            )
    return faults


def _shown_faults(then: Sequence[Change], now: Sequence[Change]) -> list[str]:
    """How the completions differ, in order."""
    faults = []
    for number in range(max(len(then), len(now))):
        before, after = (changes[number] if number < len(changes) else None for changes in (then, now))
        if before is None or after is None or _edit(before) != _edit(after):
            faults.append(f"completion {number + 1}: {_told(before)} then, {_told(after)} now")
    return faults


def _edit(change: Change) -> tuple[str, int, int]:
    return change.text, change.start, change.end


def _told(change: Change | None) -> str:
    if change is None:
        return "none"
    replaced = change.end - change.start
    return f"{change.text!r:.200}" + (f" over {replaced} characters" if replaced else "")
