"""Hidden lines, rests of lines and blocks of projects that were never trained on, through the real engine and pipeline.

`python -m benchmarks.fim_quality CORPUS` runs this. Each point is asked with context of its project and without: then
the context's share of the prompt goes to the text before the cursor. One generation of the engine serves all figures:
the pipeline reads it, and what the pipeline withholds or cuts counts as wrong. Then the engine is given the hidden
text, for its likelihood.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.held_out import Hidden, Point, by_project, hide, points
from benchmarks.machine import describe
from benchmarks.shares import Share, sign_test
from coderls.completion import Completion, complete
from coderls.engine.api import Chunk, GenerationRequest
from coderls.engine.client import EngineClient
from coderls.errors import CoderlsError
from coderls.fim.model import FimModel
from coderls.local_ids import CHARACTERS, LocalIds
from coderls.question import CompletionRequest, Tools
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.parse import parse_file
from coderls.settings import CompletionSettings, ContextSettings, Settings

_SAVE_EVERY = 20
_MAX_TOKENS = {"line": 64, "rest": 64, "block": 128}
_KINDS = ("line", "rest", "block")


@dataclass(frozen=True, slots=True)
class Row:
    """The answer to one point. `offered`: something was shown. `stopped`: the model ended it by itself.

    `similarity` is difflib's ratio of what came and what was hidden (0 where nothing was offered). `logprob` is the
    mean natural log-probability of the generated tokens, `bits` the information of the hidden text and its end given
    the prompt, over `characters`, and `text` what would stand in its place.
    """

    name: str
    kind: str
    context: bool
    offered: bool
    exact: bool
    similarity: float
    stopped: bool
    logprob: float
    tokens: int
    context_tokens: int
    bits: float
    characters: int
    text: str


@dataclass
class Recorder:
    """An engine's client that lets through what is asked, and keeps what came."""

    client: EngineClient
    asked: GenerationRequest | None = None
    text: str = ""
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str = ""

    async def stream(self, request: GenerationRequest) -> AsyncIterator[Chunk]:
        """As `EngineClient.stream`."""
        self.asked = request
        async with aclosing(self.client.stream(request)) as chunks:
            async for chunk in chunks:
                self.text += chunk.text
                self.logprobs += chunk.logprobs
                self.finish_reason = chunk.finish_reason or self.finish_reason
                yield chunk


class Results:
    """Rows so far, in the file that they are kept in."""

    def __init__(self, file: Path | None, facts: dict[str, Any]) -> None:
        self._file, self._facts = file, facts
        self.rows: dict[tuple[str, bool], Row] = {}
        if file is not None and file.is_file():
            kept = json.loads(file.read_text(encoding="utf-8"))
            if {name: kept.get(name) for name in facts} != facts:
                raise CoderlsError(f"{file} holds results of another variant.", "Name another file.")
            self.rows = {(row["name"], row["context"]): Row(**row) for row in kept["rows"]}

    def add(self, row: Row) -> None:
        """Keep a row; every few are written."""
        self.rows[(row.name, row.context)] = row
        if len(self.rows) % _SAVE_EVERY == 0:
            self.save()

    def save(self) -> None:
        """Write the file anew."""
        if self._file is None:
            return
        machine = asdict(describe(("coderls", "torch")))
        facts = {**self._facts, "machine": machine, "rows": [asdict(row) for row in self.rows.values()]}
        part = self._file.with_name(self._file.name + ".part")
        part.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        os.replace(part, self._file)


async def run(
    corpus: Path,
    wanted: Sequence[Point],
    contexts: Sequence[bool],
    *,
    client: EngineClient,
    fim: FimModel,
    results: Results,
    words: bool = True,
) -> None:
    """Ask every point that has no row yet. Budgets follow `fim.prefill_tokens_per_s`: 0 for their full size.

    `words`: those of the project are blended in (`engine/blend.py`), with context and without.
    """
    words = words and "local" in fim.features
    missing = [point for point in wanted if any((point.name, context) not in results.rows for context in contexts)]
    bar = tqdm(total=len(missing), unit="point", mininterval=10.0)
    try:
        for project, mine in by_project(missing).items():
            folder = corpus / "projects" / project
            index = RepositoryIndex([folder], keep=False) if words or True in contexts else None
            ids = LocalIds(fim.encode_afresh)
            try:
                if index is not None:
                    await asyncio.to_thread(index.build)
                    index.settle(120)
                for point in mine:
                    hidden = hide(corpus, point)
                    if index is not None and words:
                        texts = await asyncio.to_thread(index.local_texts, hidden.document, hidden.offset, CHARACTERS)
                        await client.give(ids.of(texts) or b"")
                    for context in contexts:
                        results.add(await one(hidden, client, fim, index if context else None, words=words))
                    bar.update()
            finally:
                if index is not None:
                    index.close()
    finally:
        bar.close()
        results.save()


async def one(
    hidden: Hidden, client: EngineClient, fim: FimModel, index: RepositoryIndex | None, *, words: bool
) -> Row:
    """Ask for one point. `words`: the engine was given those of its project."""
    kind = hidden.point.kind
    recorder = Recorder(client)
    settings = Settings(
        completion=CompletionSettings(
            max_tokens=_MAX_TOKENS[kind], multiline="auto" if kind == "block" else "never", in_strings=True
        ),
        context=ContextSettings(enabled=index is not None),
    )
    place, project = hidden.point.path, hidden.point.project
    found = await complete(
        CompletionRequest(hidden.document, hidden.offset, invoked=True, path=place, repo_name=project),
        Tools(recorder, fim, parse_file, settings, index, local=client.local if words else None),
    )
    made = found[0] if found else None
    text = _in_place(hidden, made)
    bits, characters = await _bits(recorder.asked, hidden, client, fim)
    logprobs = recorder.logprobs
    return Row(
        name=hidden.point.name,
        kind=kind,
        context=index is not None,
        offered=made is not None,
        exact=made is not None and _plain(text) == _plain(hidden.text),
        similarity=SequenceMatcher(None, text.strip(), hidden.text.strip()).ratio() if made else 0.0,
        stopped=recorder.finish_reason == "stop",
        logprob=round(made.logprob if made else sum(logprobs) / max(1, len(logprobs)), 5),
        tokens=len(logprobs),
        context_tokens=_context_tokens(made),
        bits=round(bits, 4),
        characters=characters,
        text=text,
    )


def _in_place(hidden: Hidden, made: Completion | None) -> str:
    """What stands between prefix and suffix after accepting."""
    if made is None:
        return ""
    before, after = hidden.document.text[: hidden.offset], hidden.document.text[hidden.offset :]
    whole = hidden.document.text[: made.start] + made.text + hidden.document.text[made.end :]
    return whole[len(before) : len(whole) - len(after)] if whole.endswith(after) else whole[len(before) :][:400]


def _plain(text: str) -> list[str]:
    """Lines without blanks at their ends and without empty ones; indentation of the first does not count."""
    return [line.rstrip() for line in text.strip().splitlines() if line.strip()]


def _context_tokens(made: Completion | None) -> int:
    parts = made.prompt.parts if made else ()
    return sum(part.tokens for part in parts if part.kind not in ("prefix", "suffix"))


async def _bits(
    asked: GenerationRequest | None, hidden: Hidden, client: EngineClient, fim: FimModel
) -> tuple[float, int]:
    """Information of the hidden text and its end, in bits, and its characters with what was taken back before it."""
    if asked is None or isinstance(asked.prompt, str) or "forced" not in fim.features or not asked.stop_token_ids:
        return 0.0, 0
    target = asked.required_prefix + hidden.text
    forced = (*fim.encode(target), asked.stop_token_ids[0])
    request = replace(asked, required_prefix="", stop_token_ids=(), forced=forced, logprobs=0)
    logprobs: list[float] = []
    async with aclosing(client.stream(request)) as chunks:
        async for chunk in chunks:
            logprobs += chunk.logprobs
    return -sum(logprobs) / math.log(2), len(target)


def report(rows: Sequence[Row]) -> str:
    """A Markdown table of each kind, with and without context, and what context changes."""
    lines = [
        "| hidden | context | points | exact | of those offered | similarity | stops by itself | bits a character |",
        "| --- | --- | ---: | --- | --- | ---: | ---: | ---: |",
    ]
    for kind in _KINDS:
        for context in (True, False):
            mine = [row for row in rows if row.kind == kind and row.context is context]
            if mine:
                lines.append(f"| {kind} | {'yes' if context else 'no'} | {_figures(mine)} |")
    for kind in _KINDS:
        by_name = {(row.name, row.context): row.exact for row in rows if row.kind == kind}
        both = {name for name, context in by_name if context and (name, False) in by_name}
        gained = sum(by_name[name, True] and not by_name[name, False] for name in both)
        lost = sum(by_name[name, False] and not by_name[name, True] for name in both)
        if both:
            lines.append(f"\n{kind}s exact only with context {gained}, only without {lost}: {sign_test(gained, lost)}")
    return "\n".join(lines)


def _figures(rows: Sequence[Row]) -> str:
    exact, offered = sum(row.exact for row in rows), sum(row.offered for row in rows)
    similarity = sum(row.similarity for row in rows) / len(rows)
    stopped = sum(row.stopped for row in rows) / len(rows)
    characters = sum(row.characters for row in rows)
    bits = f"{sum(row.bits for row in rows) / characters:.3f}" if characters else ""
    return (
        f"{len(rows)} | {Share(exact, len(rows))} | {Share(exact, offered)} | {similarity:.3f} | {stopped:.1%} | {bits}"
    )


def chosen(corpus: Path, lines: int, blocks: int, rests: int = 0, every: int = 1) -> list[Point]:
    """The points of a run: one in `every` of them."""
    return points(corpus, lines, blocks, rests)[::every]
