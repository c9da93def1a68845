"""`coderls complete FILE:LINE:COLUMN`: one completion without an editor."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coderls.cli.options import settings_of
from coderls.cli.places import Target
from coderls.cli.progress import Progress
from coderls.cli.target import offset_of, read_document, workspace_of
from coderls.cli.visible import visible
from coderls.completion import Completion, complete
from coderls.document import Document, Snippet
from coderls.engine.api import LocalName
from coderls.engine.client import EngineClient
from coderls.engine.launch import connect_or_start
from coderls.fim.model import FimModel, budgets
from coderls.fim.prompt import Prompt
from coderls.fim.triggers import refusal
from coderls.influence import Influence, influence
from coderls.local_ids import CHARACTERS, LocalIds
from coderls.own_parsers import OwnParsers, Processes
from coderls.question import CompletionRequest, Question, Tools, budget_at, load_fim_model
from coderls.records.recorder import Recorder
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.parse import parse_file
from coderls.settings import Settings

#: A repository that takes longer to read (seconds) is used as far as it was read.
INDEX_S = 30.0
#: So long a parser that takes its time to start is waited for (seconds).
_PATIENCE_S = 3.0


@dataclass(frozen=True)
class Outcome:
    """A completion, or the reason why there is none. `stages`: milliseconds of what came before the pipeline.

    `model` answered, "" where none was asked. `question`: what it was asked, and `said`: what it answered. `room`:
    tokens that other files may take, and `room_why`: what decides on that.
    """

    completion: Completion | None = None
    model: str = ""
    stages: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    index_whole: bool = True
    influence: tuple[Influence, ...] = ()
    question: Question | None = None
    said: str = ""
    room: int = 0
    room_why: str = ""


def run(args: argparse.Namespace) -> int:
    """Complete and print; returns the exit code. Raises CoderlsError."""
    more = {"completion.max_tokens": args.max_tokens, "context.enabled": False if args.no_context else None}
    settings = settings_of(args, **more)
    target: Target = args.target
    document = read_document(target.path)
    offset = offset_of(document, target)
    root = (args.root or workspace_of(target.path)).absolute()
    reason = refusal(document, offset, invoked=True, settings=settings.completion)
    if reason:  # nothing is asked: no engine is started for it
        outcome = Outcome(reason=reason)
    else:
        with Progress() as progress:
            recorder = None if args.record_one is None else Recorder(args.record_one)
            outcome = asyncio.run(
                complete_once(document, offset, settings, root, progress, recorder=recorder, weigh=args.influence)
            )
    if args.json:
        print(json.dumps(report(document, outcome), indent=2, ensure_ascii=False))
    elif outcome.completion is not None:
        text = outcome.completion.text
        print(visible(text, keep="\r\n\t") if sys.stdout.isatty() else text)
    if args.explain or (args.influence and not args.json):
        print(visible(explained(outcome), keep="\n"), file=sys.stderr)
    if outcome.completion is None:
        print(f"coderls: no suggestion here: {outcome.reason}.", file=sys.stderr)
    if not outcome.index_whole:
        print(f"coderls: {root} was read for {INDEX_S:.0f} s, not to its end.", file=sys.stderr)
    return 0


async def complete_once(
    document: Document,
    offset: int,
    settings: Settings,
    root: Path,
    progress: Progress,
    *,
    recorder: Recorder | None = None,
    weigh: bool = False,
) -> Outcome:
    """Find or start the engine, read the repository meanwhile, and complete. Raises CoderlsError."""
    enough = threading.Event()
    stages: dict[str, float] = {}
    reading = asyncio.ensure_future(asyncio.to_thread(_read_repository, root, settings, enough))
    try:
        began = time.perf_counter()
        client = await connect_or_start(settings.engine, progress)
        try:
            health = await client.health()
            fim = await asyncio.to_thread(load_fim_model, health)
            stages["engine_start"] = (time.perf_counter() - began) * 1000
            if not reading.done():
                progress("reading the repository", 0.0)
            index, whole, stages["index"] = await reading
            progress.close()
            place = _relative(document.path, root)
            request = CompletionRequest(document, offset, invoked=True, path=place, repo_name=root.name)
            parsers = Processes(patience_s=_PATIENCE_S)
            try:
                own = OwnParsers(root, parsers) if settings.completion.own_parser == "auto" else None
                heard: list[tuple[Question, str, str]] = []
                local = None if recorder is not None else await _local(client, fim, request, index, settings)
                tools = Tools(
                    *(client, fim, parse_file, settings, index),
                    own=own,
                    told=lambda *facts: heard.append(facts),
                    local=local,
                )
                found = await (
                    complete(request, tools) if recorder is None else recorder.complete(request, tools, health=health)
                )
                owed = await influence(found[0], client, fim, settings) if weigh and found else []
            finally:
                await parsers.aclose()
                if index is not None:
                    await asyncio.to_thread(index.close)
        finally:
            await client.aclose()
    finally:
        enough.set()
    question, said, reason = heard[0] if heard else (None, "", "there is nothing to ask here")
    made = found[0] if found else None
    room = budget_at(document, offset, fim, settings.completion, settings.context).context
    why = _room_why(fim, settings)
    return Outcome(made, fim.name, stages, "" if made else reason, whole, tuple(owed), question, said, room, why)


async def _local(
    client: EngineClient, fim: FimModel, request: CompletionRequest, index: RepositoryIndex | None, settings: Settings
) -> LocalName | None:
    """The words of the repository, given to the engine; None where it blends nothing. Raises EngineError."""
    if "local" not in fim.features or settings.context.words != "auto":
        return None
    if index is not None:
        texts = await asyncio.to_thread(index.local_texts, request.document, request.offset, CHARACTERS)
        ids = await asyncio.to_thread(lambda: LocalIds(fim.encode_afresh).of(texts))
        await client.give(ids or b"")
    return client.local


def _room_why(fim: FimModel, settings: Settings) -> str:
    """What decides on how many tokens other files may take."""
    if settings.context.tokens:
        return "`context.tokens`"
    other = "`context.tokens` sets another number"
    if budgets(fim, settings.completion, settings.context).context >= fim.template.context_tokens:
        return other
    speed = fim.prefill_tokens_per_s
    reads = f"at {speed:,.0f} tokens/s the engine reads no more in time" if speed else "its context holds no more"
    return f"{reads}; {other}"


def _read_repository(
    root: Path, settings: Settings, enough: threading.Event
) -> tuple[RepositoryIndex | None, bool, float]:
    """The index, whether it is whole, and the milliseconds that it took."""
    began = time.perf_counter()
    if not settings.context.enabled:
        return None, True, 0.0

    def stop() -> bool:
        return enough.is_set() or time.perf_counter() - began > INDEX_S

    index = RepositoryIndex([root])
    whole = index.build(should_stop=stop)
    while whole and not stop() and not index.settle(0.1):
        pass  # code like that at the cursor is read after the definitions
    return index, whole, (time.perf_counter() - began) * 1000


def _relative(path: Path | None, root: Path) -> str:
    if path is None:
        return ""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def report(document: Document, outcome: Outcome) -> dict[str, Any]:
    """What `--json` prints. Lines and columns count from 1; times are milliseconds."""
    facts: dict[str, Any] = {
        "text": "",
        "range": None,
        "model": outcome.model,
        "timings_ms": {name: round(value, 2) for name, value in outcome.stages.items()},
        "reason": outcome.reason,
    }
    completion = outcome.completion
    if completion is None:
        asked = outcome.question
        return facts | ({"said": outcome.said} | asked.prompt.explained(asked.snippets) if asked else {})
    made = completion.explained()
    made["timings_ms"] = facts["timings_ms"] | made["timings_ms"]
    if outcome.influence:
        made["influence"] = [{"path": each.snippet.path, "change": round(each.change, 4)} for each in outcome.influence]
    return facts | {
        "text": completion.text,
        "range": {"start": _position(document, completion.start), "end": _position(document, completion.end)},
        **made,
    }


def explained(outcome: Outcome) -> str:
    """What `--explain` says: what was asked with, and what came of the answer."""
    completion, asked = outcome.completion, outcome.completion or outcome.question
    if asked is None:
        return "The model was not asked."
    lines = [provenance(asked.snippets, asked.prompt)]
    if outcome.room:
        taken = sum(snippet.tokens for snippet in asked.snippets)
        lines.append(f"Of {outcome.room} tokens for other files ({outcome.room_why}): {taken}.")
    if asked.words:
        lines.append(f"Words of the repository that were blended in: {asked.words:,} tokens.")
    if completion is None and outcome.said.strip():
        lines.append(f"The model said: {outcome.said!r}")
    lines += [
        f"{each.change:+8.3f}  {each.snippet.path} made the completion so much likelier" for each in outcome.influence
    ]
    return "\n".join(lines)


def provenance(snippets: Sequence[Snippet], prompt: Prompt) -> str:
    """A line for each piece of other files, in the order of the prompt; lines count from 1."""
    if not snippets:
        return "Nothing of other files was offered for the prompt."
    rows = [("score", "tokens", "prompt", "retriever", "place")]
    for snippet in snippets:
        there = "in" if prompt.shows(snippet) else "left out"
        for piece in snippet.pieces:
            place = f"{snippet.path}:{piece.start_line + 1}-{piece.end_line} {piece.name}".rstrip()
            rows.append((f"{piece.score:.3f}", str(piece.tokens), there, piece.source, place))
    width = max(len(row[3]) for row in rows)
    return "\n".join(
        f"{score:>6} {tokens:>6}  {there:<8}  {source:<{width}}  {place}"
        for score, tokens, there, source, place in rows
    )


def _position(document: Document, offset: int) -> dict[str, int]:
    line = document.line_of(offset)
    return {"line": line + 1, "column": offset - document.line_starts[line] + 1}
