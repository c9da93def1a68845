"""Completions in five languages, judged by each language's own parser: `python -m benchmarks.keystroke judged`.

At places in real code something is hidden (`places.py`), the embedded model is asked through the whole pipeline, and
the text with and without verification goes to a parser that is not ours (`judges.py`). Counted are: answered where the
cursor is at the end of its line; withheld by verification, of what would have been shown without it; answers after
which the parser finds more errors than it found with the hole; answers that repeat what follows them; lines that stand
at the wrong depth (`faults.py`). `--json FILE` is written as it goes, and the same command goes on from there; what the
model said is kept, so a change of the rules is measured without asking it again (`--limit 0`).
With `--own-parser` rustc, javac, TypeScript's parser and gcc or clang have the last word, as they have in an editor.
All but gcc then judge what they let pass.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tqdm import tqdm

from benchmarks.context_sources import SourceError
from benchmarks.keystroke.faults import is_badly_indented, repeats_suffix
from benchmarks.keystroke.judges import judge_of
from benchmarks.keystroke.places import LANGUAGES, Hole, draw
from benchmarks.machine import describe
from benchmarks.shares import Share
from coderls.answer import Answer, AnswerCache, Engine
from coderls.completion import complete
from coderls.document import Document
from coderls.engine.api import Chunk, GenerationRequest
from coderls.engine.launch import connect_or_start
from coderls.errors import CoderlsError
from coderls.fim.model import FimModel
from coderls.fim.postprocess import postprocess
from coderls.fim.stopping import Gap
from coderls.models import store
from coderls.own_parsers import OwnParsers, Processes
from coderls.question import CompletionRequest, Tools, load_fim_model
from coderls.repo_context.parse import parse_file
from coderls.settings import CompletionSettings, ContextSettings, EngineSettings, Settings

# What is not worth showing is left out of "withheld by verification".
SETTINGS = Settings(completion=CompletionSettings(min_worth="off"), context=ContextSettings(enabled=False))
SEED = 20261122
SAVE_EVERY = 20
OWN_LIMIT_S = 20.0  # on busy cores the time that an editor gives would be over


@dataclass(frozen=True, slots=True)
class Put:
    """A completion: `text` takes the place of the first `replaced` characters after the cursor."""

    text: str
    replaced: int

    def into(self, hole: Hole) -> str:
        """The finished text."""
        return hole.before + self.text + hole.after[self.replaced :]


@dataclass(frozen=True, slots=True)
class Said:
    """What the model said at one hole until nobody listened any more, and how long that took. Kept in the file."""

    text: str
    logprobs: tuple[float, ...]
    finish_reason: str
    milliseconds: float


@dataclass(slots=True)
class Row:
    """What came of that, by the code as it is now: after post-processing, and after verification.

    `errors` by the parser: of the hole, and with `loose` and `shown` in it.
    """

    hole: Hole
    loose: Put | None
    shown: Put | None
    logprob: float
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether the code is what was hidden, up to blanks."""
        hole = self.hole
        whole = hole.before + hole.hidden + hole.after
        return self.shown is not None and self.shown.into(hole).split() == whole.split()

    @property
    def repeats(self) -> bool:
        return self.shown is not None and not self.shown.replaced and repeats_suffix(self.hole, self.shown.text)

    @property
    def badly_indented(self) -> bool:
        return self.shown is not None and is_badly_indented(self.hole, self.shown.text)

    def breaks(self, name: str) -> bool:
        """Whether the parser found more errors with the answer than with the hole."""
        return name in self.errors and self.errors[name] > self.errors["hole"]


class _Recorder:
    """An engine that keeps what the real one says."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.said: list[Chunk] = []

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        async with aclosing(self._engine.stream(request)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                self.said.append(chunk)
                yield chunk


@dataclass(frozen=True)
class _Again:
    """An engine that says it again."""

    said: Said

    async def stream(self, _request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        said = self.said
        yield Chunk(said.text, logprobs=said.logprobs, finish_reason=said.finish_reason or None)


class _Listening(AnswerCache):
    """Keeps the last answer, cut where it ends, and what it was judged by."""

    last: tuple[Answer, Gap] | None = None

    def put(self, question: tuple[GenerationRequest, Gap], answer: Answer) -> None:
        self.last = answer, question[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing in the file, and print a table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keystroke judged", description=__doc__)
    parser.add_argument("--each", type=int, default=200, metavar="N", help="places in each language (default: 200)")
    parser.add_argument("--limit", type=int, metavar="N", help="ask at no more than N of them now")
    parser.add_argument("--languages", nargs="+", default=list(LANGUAGES), choices=list(LANGUAGES))
    parser.add_argument("--model", default=store.NANO, metavar="NAME|DIR")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="engine threads; 0: all cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="results; an interrupted run goes on from them")
    parser.add_argument(
        "--own-parser", action="store_true", help="let rustc, gcc ... have the last word, as in an editor"
    )
    parser.add_argument("--faults", action="store_true", help="print each fault with the lines around it")
    args = parser.parse_args(argv)
    try:
        holes = [hole for language_id in args.languages for hole in draw(language_id, args.each, args.seed)]
        kept = _Kept(args.json)
        missing = [hole for hole in _mixed(holes) if hole.name not in kept.said][: args.limit]
        fim = asyncio.run(_ask_all(missing, kept, args))
        rows = asyncio.run(_rows([hole for hole in holes if hole.name in kept.said], kept, fim, own=args.own_parser))
        _judge(rows, kept)
    except (CoderlsError, SourceError, OSError) as error:
        print(f"judged: {error}", file=sys.stderr)
        return 1
    if args.faults:
        print("\n".join(_faults(rows)))
    print(table(rows))
    return 0


def _mixed(holes: Sequence[Hole]) -> list[Hole]:
    """By turns from each language, so that a run that is stopped has some of all."""
    by_language = [[hole for hole in holes if hole.language_id == language_id] for language_id in LANGUAGES]
    longest = max(map(len, by_language), default=0)
    return [each[number] for number in range(longest) for each in by_language if number < len(each)]


class _Kept:
    """What was said, and what parsers said of texts, in the file that they are kept in."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        raw = json.loads(file.read_text(encoding="utf-8")) if file is not None and file.is_file() else {}
        self.said = {
            name: Said(**{**said, "logprobs": tuple(said["logprobs"])}) for name, said in raw.get("said", {}).items()
        }
        self.errors: dict[str, int] = raw.get("errors", {})

    def save(self) -> None:
        if self._file is None:
            return
        said = {name: asdict(each) for name, each in self.said.items()}
        facts = {"machine": asdict(describe(("coderls", "torch"))), "said": said, "errors": self.errors}
        part = self._file.with_name(self._file.name + ".part")
        part.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        os.replace(part, self._file)


async def _ask_all(holes: Sequence[Hole], kept: _Kept, args: argparse.Namespace) -> FimModel:
    settings = EngineSettings(model=args.model, threads=args.threads, idle_exit_s=60.0)
    client = await connect_or_start(settings, lambda _step, _fraction: None)
    try:
        fim = load_fim_model(await client.health())
        for hole in tqdm(holes, unit="place", mininterval=0.1 if sys.stderr.isatty() else 30.0):
            recorder = _Recorder(client)
            began = time.perf_counter()
            await complete(_request(hole), Tools(recorder, fim, parse_file, SETTINGS))
            kept.said[hole.name] = Said(
                "".join(chunk.text for chunk in recorder.said),
                tuple(round(each, 4) for chunk in recorder.said for each in chunk.logprobs),
                next((chunk.finish_reason for chunk in recorder.said if chunk.finish_reason), ""),
                (time.perf_counter() - began) * 1000,
            )
            if len(kept.said) % SAVE_EVERY == 0:
                kept.save()
        return fim
    finally:
        await client.aclose()
        kept.save()


def _request(hole: Hole) -> CompletionRequest:
    document = Document(hole.path.as_uri(), hole.language_id, 1, hole.text, hole.path)
    return CompletionRequest(document, len(hole.before), path=hole.path.name)


async def _rows(holes: Sequence[Hole], kept: _Kept, fim: FimModel, *, own: bool) -> list[Row]:
    processes = Processes(patience_s=OWN_LIMIT_S)
    parsers = OwnParsers(None, processes, limit_s=OWN_LIMIT_S) if own else None
    try:
        return [await _row(hole, kept.said[hole.name], fim, parsers) for hole in holes]
    finally:
        await processes.aclose()


async def _row(hole: Hole, said: Said, fim: FimModel, own: OwnParsers | None) -> Row:
    """The answer as a user would have got it."""
    request, answers = _request(hole), _Listening()
    found = await complete(request, Tools(_Again(said), fim, parse_file, SETTINGS, answers=answers, own=own))
    shown = Put(found[0].text, found[0].end - request.offset) if found else None
    if answers.last is None:  # nothing was asked
        return Row(hole, None, shown, 0.0)
    answer, gap = answers.last
    raw = postprocess(answer.text, request.document, request.offset, gap)
    loose = Put(raw.text, raw.end - request.offset) if raw is not None else None
    return Row(hole, loose, shown, answer.logprob)


def _judge(rows: Sequence[Row], kept: _Kept) -> None:
    """Fill in what the parsers say, which is asked once for each text."""
    wanted: dict[str, dict[str, tuple[Path, str]]] = {}
    places: list[tuple[Row, str, str]] = []
    for row in rows:
        texts = {"hole": row.hole.text}
        texts |= {name: put.into(row.hole) for name, put in (("loose", row.loose), ("shown", row.shown)) if put}
        for name, text in texts.items():
            key = hashlib.sha256(f"{row.hole.language_id}\0{row.hole.path.name}\0{text}".encode()).hexdigest()[:24]
            places.append((row, name, key))
            if key not in kept.errors:
                wanted.setdefault(row.hole.language_id, {})[key] = row.hole.path, text
    for language_id, due in wanted.items():
        kept.errors |= dict(zip(due, judge_of(language_id)(list(due.values())), strict=True))
    for row, name, key in places:
        row.errors[name] = kept.errors[key]
    kept.save()


def table(rows: Sequence[Row]) -> str:
    """The counts as Markdown, by language and pooled."""
    lines = [
        "| language | places | answered at line ends | withheld by verification | new errors | without verification | "
        "repeats what follows | wrong indentation | exact |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in (*LANGUAGES, "all"):
        some = [row for row in rows if name in (row.hole.language_id, "all")]
        ends = [row for row in some if row.hole.at_line_end]
        loose = [row for row in some if row.loose is not None]
        shown = [row for row in some if row.shown is not None]
        cells = [
            str(len(some)),
            _share(sum(row.shown is not None for row in ends), len(ends)),
            _share(sum(row.shown is None for row in loose), len(loose)),
            f"{sum(row.breaks('shown') for row in shown)} of {len(shown)}",
            f"{sum(row.breaks('loose') for row in loose)} of {len(loose)}",
            str(sum(row.repeats for row in some)),
            str(sum(row.badly_indented for row in some)),
            _share(sum(row.exact for row in some), len(some)),
        ]
        if some:
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", str(describe(("coderls", "torch")))])


def _share(count: int, total: int) -> str:
    low, high = Share(count, total).interval
    return f"{count / max(1, total):.1%} of {total} ({100 * low:.0f} to {100 * high:.0f})"


def _faults(rows: Sequence[Row]) -> list[str]:
    said = []
    for row in rows:
        hole = row.hole
        what = {
            "breaks": row.breaks("shown"),
            "repeats": row.repeats,
            "indentation": row.badly_indented,
            "withheld": row.loose is not None and row.shown is None,
        }
        names = [name for name, holds in what.items() if holds]
        put = row.shown or row.loose
        if names and put is not None:
            before = "\n".join(hole.before.split("\n")[-4:])
            after = "\n".join(hole.after[put.replaced :].split("\n")[:3])
            said.append(f"=== {hole.name}: {', '.join(names)} {row.errors}\n{before}«{put.text}»{after}")
    return said


if __name__ == "__main__":
    sys.exit(main())
