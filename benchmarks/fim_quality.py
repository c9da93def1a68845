"""Fill-in-the-middle through the real engine and the real pipeline: held-out lines and blocks, and HumanEval's lines.

    python -m benchmarks.fim_quality CORPUS [--lines 500] [--rests 500] [--blocks 300] [--context both|yes|no] ...
    python -m benchmarks.fim_quality HumanEval-SingleLineInfilling.jsonl.gz [--limit N] [--at-line-start] ...
        ... [--json FILE] [--model NAME|DIR] [--delta FILE|--no-delta] [--weights int8] [--layout prefix-only]
    python -m benchmarks.fim_quality --compare ONE.json OTHER.json

CORPUS is what `python -m training.corpus` made: points lie in its held-out projects (`benchmarks.held_out`), and exact
match, edit similarity, whether the model stops by itself, bits per character and log-probability are recorded for each,
with and without context. `--delta FILE` puts another delta in the place of the one that ships.

HumanEval's file has a task on each line: prompt, suffix, canonical_solution (the hidden line), test, entry_point. It is
hidden as an editor's user would delete it: what remains is its indentation, with the cursor behind it
(`--at-line-start`: not even that, as in published figures). Each task is generated once and judged twice: as coderls
offers it, and raw, which is the engine's first line with text in it, without stopping rules, post-processing and syntax
check. Greedy; 600 tokens before and 250 after the cursor.

`--json FILE` is written as it goes; the same command goes on from there. Intervals are Wilson's, 95%.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import json
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from tqdm import tqdm

from benchmarks import fim_compare, fim_held_out
from benchmarks.machine import describe
from benchmarks.sandbox import passes
from benchmarks.shares import Share, sign_test
from coderls import paths
from coderls.answer import Engine
from coderls.completion import complete
from coderls.document import Document
from coderls.engine.api import Chunk, GenerationRequest
from coderls.engine.client import EngineClient
from coderls.engine.launch import connect_or_start
from coderls.errors import CoderlsError
from coderls.fim.model import COLD_PROMPT_S, FimModel
from coderls.models import embedded, recipe, store
from coderls.question import CompletionRequest, Tools, load_fim_model
from coderls.repo_context.parse import parse_file
from coderls.settings import WEIGHTS, CompletionSettings, ContextSettings, EngineSettings, Settings

SETTINGS = Settings(
    completion=CompletionSettings(max_tokens=48, multiline="never", prefix_tokens=600, suffix_tokens=250),
    context=ContextSettings(enabled=False),
)
SAVE_EVERY = 20


@dataclass(frozen=True, slots=True)
class Task:
    """One hidden line."""

    name: str
    prompt: str
    line: str
    suffix: str
    test: str
    entry_point: str


@dataclass(frozen=True, slots=True)
class Row:
    """The answer to one task: `text` is what came in place of the line, None when nothing was offered.

    `raw`: the same of the engine's first line, as it came.
    """

    task: str
    text: str | None
    exact: bool
    passed: bool
    raw: str | None
    raw_exact: bool
    raw_passed: bool


@dataclass(frozen=True, slots=True)
class Variant:
    """How the model is asked; with the data, all that the figures depend on."""

    model: str
    layout: str
    at_line_start: bool
    weights: str = "auto"
    prompt_tokens: int = 0
    words: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        if args.compare:
            print(fim_compare.compare(*args.compare))
            return 0
        if args.data is None:
            raise CoderlsError("Nothing to measure on.", "Give a corpus, or HumanEval's file.")
        if args.data.is_dir():
            return _held_out(args)
        tasks = read_tasks(args.data)[: args.limit]
        model = _model(args)
        variant = Variant(_model_key(model), args.layout, args.at_line_start, args.weights)
        results = _Results(args.json, variant, hashlib.sha256(args.data.read_bytes()).hexdigest())
        asyncio.run(_run([task for task in tasks if task.name not in results.rows], model, variant, results, args))
    except (CoderlsError, OSError) as error:
        print(f"fim_quality: {error}", file=sys.stderr)
        return 1
    print(results.report([task.name for task in tasks]))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fim_quality")
    parser.add_argument("data", type=Path, nargs="?", help="a corpus, or HumanEval-SingleLineInfilling.jsonl.gz")
    parser.add_argument("--compare", type=Path, nargs=2, metavar="JSON", help="two files of results, point by point")
    parser.add_argument("--lines", type=int, default=500, metavar="N", help="held-out lines")
    parser.add_argument("--blocks", type=int, default=300, metavar="N", help="held-out blocks")
    parser.add_argument("--rests", type=int, default=0, metavar="N", help="held-out rests of lines")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="one in N of the held-out points")
    parser.add_argument(
        "--prompt-tokens",
        type=int,
        default=0,
        metavar="N",
        help="held-out prompts as on a machine that reads N in time",
    )
    parser.add_argument("--context", choices=["both", "yes", "no"], default="both")
    parser.add_argument("--no-words", action="store_true", help="held-out points without the words of their project")
    parser.add_argument("--delta", type=Path, metavar="FILE", help="nano with this delta")
    parser.add_argument("--weights", choices=WEIGHTS, default="auto")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N tasks only")
    parser.add_argument("--model", default=store.NANO, metavar="NAME|DIR")
    parser.add_argument("--no-delta", action="store_true", help="nano as it was before our training")
    parser.add_argument("--layout", choices=["template", "prefix-only"], default="template", help="default: fim.json's")
    parser.add_argument("--at-line-start", action="store_true", help="do not give the indentation away")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="engine threads; 0: all cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="results; an interrupted run goes on from them")
    return parser


def read_tasks(path: Path) -> list[Task]:
    """The tasks of a .jsonl or .jsonl.gz file. Raises CoderlsError when it is something else."""
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
        raw = [json.loads(line) for line in text.split("\n") if line.strip()]
        return [
            Task(r["task_id"], r["prompt"], r["canonical_solution"], r["suffix"], r["test"], r["entry_point"])
            for r in raw
        ]
    except (ValueError, KeyError, TypeError, EOFError) as error:
        raise CoderlsError(f"{path} holds no infilling tasks: {error!r}.", "Give the .jsonl.gz file.") from error


def _model(args: argparse.Namespace) -> store.ModelDir:
    def say(step: str, fraction: float) -> None:
        print(f"\r{step} {fraction:4.0%}", end="", file=sys.stderr, flush=True)

    if args.delta is not None:
        wanted = recipe.nano_recipe().with_delta(args.delta)
        return embedded.build(wanted, progress=say, into=paths.cache_dir() / "benchmarks")
    if args.no_delta:
        wanted = recipe.nano_recipe().without_delta()
        return embedded.build(wanted, progress=say, into=paths.cache_dir() / "benchmarks")
    if args.model == store.NANO:
        return embedded.build_nano(say)
    return store.resolve(args.model)


def _model_key(model: store.ModelDir) -> str:
    """Names the weights, so that results of different ones are never mixed."""
    parts = sorted(model.path.glob("*.safetensors")) or [model.path / "fake.json"]
    files = [(file.name, recipe.sha256_of(file)) for file in parts]
    return f"{model.name} {hashlib.sha256(json.dumps(files).encode()).hexdigest()[:12]}"


class _Results:
    """Rows so far, in the file that they are kept in."""

    def __init__(self, file: Path | None, variant: Variant, data: str) -> None:
        self._file = file
        self._facts = {"variant": asdict(variant), "data_sha256": data}
        self.rows: dict[str, Row] = {}
        if file is not None and file.is_file():
            kept = json.loads(file.read_text(encoding="utf-8"))
            if {name: kept.get(name) for name in self._facts} != self._facts:
                raise CoderlsError(f"{file} holds results of another variant.", "Name another file.")
            self.rows = {row["task"]: Row(**row) for row in kept["rows"]}

    def add(self, row: Row) -> None:
        self.rows[row.task] = row
        if len(self.rows) % SAVE_EVERY == 0:
            self.save()

    def save(self) -> None:
        if self._file is None:
            return
        facts = {
            **self._facts,
            "machine": asdict(describe(("coderls", "torch"))),
            "shares": {name: asdict(share) | {"interval": share.interval} for name, share in self.shares().items()},
            "rows": [asdict(row) for row in self.rows.values()],
        }
        part = self._file.with_name(self._file.name + ".part")
        part.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        os.replace(part, self._file)

    def shares(self, names: Sequence[str] | None = None) -> dict[str, Share]:
        rows = [self.rows[name] for name in (self.rows if names is None else names)]
        return {
            "answered": Share(sum(row.text is not None for row in rows), len(rows)),
            "exact": Share(sum(row.exact for row in rows), len(rows)),
            "passed": Share(sum(row.passed for row in rows), len(rows)),
            "raw_exact": Share(sum(row.raw_exact for row in rows), len(rows)),
            "raw_passed": Share(sum(row.raw_passed for row in rows), len(rows)),
        }

    def report(self, names: Sequence[str]) -> str:
        """Shares as offered and raw, and whether the two differ on the same tasks."""
        lines = [f"{name:10} {share}" for name, share in self.shares(names).items()]
        rows = [self.rows[name] for name in names]
        for what in ("exact", "passed"):
            pairs = [(getattr(row, what), getattr(row, f"raw_{what}")) for row in rows]
            gained, lost = pairs.count((True, False)), pairs.count((False, True))
            lines.append(f"{what}: only as offered {gained}, only raw {lost}, {sign_test(gained, lost)}")
        return "\n".join([f"{self._facts['variant']}", *lines, str(describe(("coderls", "torch")))])


async def _run(
    tasks: Sequence[Task], model: store.ModelDir, variant: Variant, results: _Results, args: argparse.Namespace
) -> None:
    if not tasks:
        return
    client, fim = await _engine(model, variant.layout, args)
    try:
        for task in tqdm(tasks, unit="line", mininterval=0.1 if sys.stderr.isatty() else 30.0):
            results.add(await _one(task, client, fim, variant))
    finally:
        await client.aclose()
        results.save()


async def _engine(model: store.ModelDir, layout: str, args: argparse.Namespace) -> tuple[EngineClient, FimModel]:
    settings = EngineSettings(model=str(model.path), threads=args.threads, weights=args.weights, idle_exit_s=60.0)
    client = await connect_or_start(
        settings, lambda step, fraction: print(f"\r{step} {fraction:4.0%}", file=sys.stderr)
    )
    fim = load_fim_model(await client.health())
    if layout == "prefix-only":
        fim = replace(fim, template=replace(fim.template, layout="prefix-only", prefix=""))
    return client, fim


def _held_out(args: argparse.Namespace) -> int:
    wanted = fim_held_out.chosen(args.data, args.lines, args.blocks, args.rests, args.every)
    model = _model(args)
    contexts = {"both": [True, False], "yes": [True], "no": [False]}[args.context]
    facts = {
        "variant": asdict(
            Variant(_model_key(model), args.layout, False, args.weights, args.prompt_tokens, not args.no_words)
        ),
        "corpus_sha256": recipe.sha256_of(args.data / "manifest.jsonl"),
    }
    results = fim_held_out.Results(args.json, facts)

    async def run() -> None:
        client, fim = await _engine(model, args.layout, args)
        fim = replace(fim, prefill_tokens_per_s=args.prompt_tokens / COLD_PROMPT_S)
        try:
            words = not args.no_words
            await fim_held_out.run(args.data, wanted, contexts, client=client, fim=fim, results=results, words=words)
        finally:
            await client.aclose()

    asyncio.run(run())
    names = {point.name for point in wanted}
    print(fim_held_out.report([row for row in results.rows.values() if row.name in names]))
    print(describe(("coderls", "torch")))
    return 0


class _Once:
    """An engine that is asked once, and listened to twice: by the pipeline, and for the whole first line."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stream: AsyncGenerator[Chunk, None] | None = None
        self._said = ""

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """What the engine says; it goes on saying it to `first_line` when this is closed."""
        self._stream = cast("AsyncGenerator[Chunk, None]", self._engine.stream(request))
        async for chunk in self._stream:
            self._said += chunk.text
            yield chunk

    async def first_line(self) -> str | None:
        """The first line with text, and the end of the generation. None where the engine was not asked."""
        if self._stream is None:
            return None
        async with aclosing(self._stream) as chunks:
            while "\n" not in self._said.lstrip("\n"):
                chunk = await anext(chunks, None)
                if chunk is None:
                    break
                self._said += chunk.text
        return self._said.lstrip("\n").split("\n")[0]


async def _one(task: Task, client: EngineClient, fim: FimModel, variant: Variant) -> Row:
    line = task.line.rstrip("\n")
    indent = "" if variant.at_line_start else line[: len(line) - len(line.lstrip())]
    before, after = task.prompt + indent, "\n" + task.suffix
    document = Document("file:///solution.py", "python", 1, before + after)
    once = _Once(client)
    try:
        found = await complete(
            CompletionRequest(document, len(before), invoked=True), Tools(once, fim, parse_file, SETTINGS)
        )
    finally:
        raw = await once.first_line()
    offered = document.text[: found[0].start] + found[0].text + document.text[found[0].end :] if found else None
    shown = await asyncio.to_thread(_judged, task, offered, after)
    plain = None if raw is None else before + raw + after
    return Row(
        task.name, *shown, *(shown if plain == offered else await asyncio.to_thread(_judged, task, plain, after))
    )


def _judged(task: Task, whole: str | None, after: str) -> tuple[str | None, bool, bool]:
    """What stands in place of the hidden line, whether it is that line, and whether the task's tests pass with it."""
    if whole is None:
        return None, False, False
    exact = _plain(whole) == _plain(task.prompt + task.line.rstrip("\n") + after)
    text = whole[len(task.prompt) : len(whole) - len(after)] if whole.endswith(after) else whole[len(task.prompt) :]
    return text, exact, exact or passes(f"{whole}\n{task.test}\ncheck({task.entry_point})\n")


def _plain(code: str) -> list[str]:
    """Lines without the blanks at their ends and without empty lines: what counts when lines are compared."""
    return [line.rstrip() for line in code.splitlines() if line.strip()]


if __name__ == "__main__":
    sys.exit(main())
