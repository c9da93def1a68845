"""What context is worth to the model: exact match of hidden lines with and without it, through the real engine.

    python -m benchmarks.context_quality POINTS.json ... [--limit N] [--tokens N] [--model NAME|DIR] [--json FILE]

POINTS.json as for `context_recall`: each line needs a definition of another file. It is hidden behind its indentation,
and asked for twice: with the context that the index gives, and without any. The whole prompt has the same size both
times: without context its share goes to the text before the cursor. Greedy, one line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tqdm import tqdm

from benchmarks.context_measure import Hidden, hide
from benchmarks.context_points import SEED, PointFile, load
from benchmarks.context_sources import SourceError
from benchmarks.machine import describe
from benchmarks.shares import Share
from coderls.completion import complete
from coderls.engine.client import EngineClient
from coderls.engine.launch import connect_or_start
from coderls.errors import CoderlsError
from coderls.fim.model import FimModel
from coderls.question import CompletionRequest, Tools, load_fim_model
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.parse import parse_file
from coderls.settings import CompletionSettings, ContextSettings, EngineSettings, Settings


@dataclass(frozen=True, slots=True)
class Row:
    """One point: whether the line came out exactly, with and without context, and how much context there was."""

    project: str
    path: str
    line: int
    with_context: bool
    without: bool
    context_tokens: int


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.context_quality")
    parser.add_argument("points", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="points of each file, drawn with a seed")
    parser.add_argument("--tokens", type=int, default=400, metavar="N", help="tokens of context")
    parser.add_argument("--model", default="nano", metavar="NAME|DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows")
    args = parser.parse_args(argv)
    try:
        files = [load(path) for path in args.points]
        rows = asyncio.run(_run(files, args))
    except (CoderlsError, SourceError, OSError) as error:
        print(f"context_quality: {error}", file=sys.stderr)
        return 1
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    print(report(rows))
    print(describe(("coderls", "torch")))
    return 0


def report(rows: Sequence[Row]) -> str:
    """A Markdown table: each project, and all of them."""
    lines = ["| project | points | exact with context | without | only with | only without |"]
    lines.append("| --- | ---: | --- | --- | ---: | ---: |")
    for project in (*dict.fromkeys(row.project for row in rows), ""):
        mine = [row for row in rows if not project or row.project == project]
        both = [sum(row.with_context for row in mine), sum(row.without for row in mine)]
        gained = sum(row.with_context and not row.without for row in mine)
        lost = sum(row.without and not row.with_context for row in mine)
        shares = " | ".join(str(Share(count, len(mine))) for count in both)
        lines.append(f"| {project or 'all'} | {len(mine)} | {shares} | {gained} | {lost} |")
    return "\n".join(lines)


async def _run(files: Sequence[PointFile], args: argparse.Namespace) -> list[Row]:
    client = await connect_or_start(EngineSettings(model=args.model, idle_exit_s=60.0))
    try:
        fim = load_fim_model(await client.health())
        return [row for points in files for row in await _project(points, client, fim, args)]
    finally:
        await client.aclose()


async def _project(points: PointFile, client: EngineClient, fim: FimModel, args: argparse.Namespace) -> list[Row]:
    chosen = list(points.points)
    random.Random(SEED).shuffle(chosen)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="coderls-quality-") as scratch:
        root = Path(scratch) / points.name.rpartition("/")[2]
        shutil.copytree(points.source.folder(), root, symlinks=True)
        index = RepositoryIndex([root], keep=False)
        try:
            await asyncio.to_thread(index.build)
            index.settle(120)
            for point in tqdm(chosen[: args.limit], unit="line", desc=points.name, mininterval=20.0):
                hidden = hide(root, point)
                index.update(hidden.document)
                index.settle(30)
                rows.append(await _row(points.name, hidden, index, client, fim, tokens=args.tokens))
                index.forget(hidden.document.uri)
        finally:
            index.close()
    return rows


async def _row(
    project: str, hidden: Hidden, index: RepositoryIndex, client: EngineClient, fim: FimModel, *, tokens: int
) -> Row:
    exact: list[bool] = []
    shown = 0
    for context in (index, None):
        settings = Settings(
            completion=CompletionSettings(max_tokens=64, multiline="never"),
            context=ContextSettings(enabled=context is not None, tokens=tokens),
        )
        everywhere = replace(fim, prefill_tokens_per_s=0.0)  # budgets of their full size on any machine
        found = await complete(
            CompletionRequest(hidden.document, hidden.offset, invoked=True, path=hidden.point.path, repo_name=project),
            Tools(client, everywhere, parse_file, settings, context),
        )
        made = found[0] if found else None
        text = "" if made is None else hidden.document.text[hidden.offset : made.start] + made.text
        after = "" if made is None else hidden.document.text[made.end :].split("\n")[0]
        exact.append((text + after).strip() == hidden.line)
        if made is not None and context is not None:
            shown = sum(part.tokens for part in made.prompt.parts if part.kind not in ("prefix", "suffix"))
    return Row(project, hidden.point.path, hidden.point.line, exact[0], exact[1], shown)


if __name__ == "__main__":
    sys.exit(main())
