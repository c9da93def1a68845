"""`coderls doctor`: looks at every part of this installation, and says what to do about each fault."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

from coderls.cli import checks
from coderls.cli.checks import Finding
from coderls.cli.complete import complete_once
from coderls.cli.options import settings_of
from coderls.cli.progress import Progress
from coderls.cli.torch_probe import probe_torch
from coderls.document import Document
from coderls.engine import launch
from coderls.engine.client import Endpoint
from coderls.errors import CoderlsError
from coderls.repair.checkers import find_checkers, not_found, only_trusted
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.parse import parse_file
from coderls.settings import ContextSettings, EngineSettings, Settings

#: The index is tried for so long (seconds).
INDEX_S = 20.0

#: Completed for real at the end.
_SAMPLE = "def area(width: int, height: int) -> int:\n    return \n\n\nprint(area(2, 3))\n"
_CURSOR = _SAMPLE.index("return ") + len("return ")

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
_COLOURS = {"ok": "32", "warn": "33", "fail": "31"}


def run(args: argparse.Namespace) -> int:
    """Look at everything, print it, and return the exit code."""
    settings = settings_of(args)
    with Progress() as progress:
        findings = examine(settings, args.folder.absolute(), progress, quick=args.quick)
    if args.json:
        facts = {
            "status": checks.worst(findings),
            "settings": checks.settings_facts(settings),
            "findings": [asdict(finding) for finding in findings],
        }
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        print(render(findings, colours=sys.stdout.isatty()))
    return 1 if checks.worst(findings) == "fail" else 0


def examine(settings: Settings, folder: Path, progress: Progress, *, quick: bool = False) -> list[Finding]:
    """Every finding, in the order in which the parts depend on each other."""
    progress("looking at PyTorch", 0.0)
    torch = checks.check_torch(probe_torch(), settings.engine)
    progress("looking at the model", 0.3)
    model = checks.check_model(settings.engine)
    socket, endpoint = checks.check_socket(settings.engine)
    progress("looking at the repository", 0.4)
    findings = [
        checks.check_python(),
        checks.check_coderls(),
        *torch,
        model,
        checks.check_cache(ready=model.status == "ok"),
        socket,
        checks.check_grammars(),
        check_index(folder),
        check_checkers(folder),
    ]
    if endpoint is not None:
        findings.append(asyncio.run(_check_engine(settings.engine, endpoint)))
    if not quick:
        findings.append(_check_completion(settings, folder, findings, progress))
    progress.close()
    return findings


def check_index(folder: Path, limit_s: float = INDEX_S) -> Finding:
    """The repository index of a folder, read as at an editor's start."""
    if not folder.is_dir():
        return Finding("index", "fail", f"{folder} is no folder", "Name one with --folder.")
    began = time.perf_counter()
    try:
        with closing(RepositoryIndex([folder])) as index:
            whole = index.build(should_stop=lambda: time.perf_counter() - began > limit_s)
            stats = index.stats()
    except CoderlsError as error:
        return checks.failed("index", error)
    took = time.perf_counter() - began
    facts = {
        "folder": str(folder),
        "files": stats.files,
        "definitions": stats.definitions,
        "seconds": round(took, 3),
        "notes": list(stats.notes),
    }
    detail = f"{folder}: {stats.files:,} files, {stats.definitions:,} definitions, {took:.2f} s"
    if not whole:
        todo = "Completions use what was read so far. Open a smaller folder, or add big folders to .gitignore."
        return Finding("index", "warn", f"{detail}, not read to its end", todo, facts)
    if stats.notes:
        return Finding("index", "warn", detail, "\n".join(stats.notes), facts)
    return Finding("index", "ok", detail, facts=facts)


def check_checkers(folder: Path) -> Finding:
    """Who can prove a repair in this folder, if it is not trusted."""
    root = folder if folder.is_dir() else None
    found = {one.name: one.version_of for one in find_checkers(root, trusted=False, parse=parse_file)}
    missing = not_found(root, trusted=False)
    untrusted = only_trusted(root) if root is not None else ()
    detail = ", ".join(found) + (f"; in a trusted folder also: {', '.join(untrusted)}" if untrusted else "")
    detail += f"; not found: {', '.join(missing)}" if missing else ""
    facts = {"found": found, "not_found": list(missing), "untrusted": list(untrusted)}
    if len(found) > 1:
        return Finding("checkers", "ok", detail, facts=facts)
    todo = "Install the checkers of your language (README, Repairs)."
    if untrusted:
        todo = "Trust the folder in your editor, or use `coderls repair --trust`: then those that are there are asked."
    todo = f"Repairs are proved by parsing alone. {todo}"
    return Finding("checkers", "warn", detail, todo, facts)


async def _check_engine(settings: EngineSettings, endpoint: Endpoint) -> Finding:
    try:
        client = await launch.connect(settings)
        if client is None:
            return checks.check_engine(None, endpoint)
        try:
            return checks.check_engine(await client.health(), endpoint)
        finally:
            await client.aclose()
    except CoderlsError as error:
        return checks.check_engine(error, endpoint)


def _check_completion(settings: Settings, folder: Path, found: list[Finding], progress: Progress) -> Finding:
    """One real completion, by the same way as an editor's."""
    broken = [finding.name for finding in found if finding.status == "fail" and finding.name != "index"]
    if broken:
        return Finding("completion", "fail", "not tried", f"Mend this first: {', '.join(broken)}.")
    alone = replace(settings, context=ContextSettings(enabled=False))
    document = Document("untitled:doctor.py", "python", 1, _SAMPLE)
    try:
        outcome = asyncio.run(complete_once(document, _CURSOR, alone, folder, progress))
    except CoderlsError as error:
        return checks.failed("completion", error)
    if outcome.completion is None:
        todo = "The engine answers. A larger model may say more: `coderls models recommend`."
        return Finding("completion", "warn", f"the model {outcome.model} had nothing to say", todo)
    total, start = outcome.completion.timings.total, outcome.stages["engine_start"]
    shown = outcome.completion.text.strip().splitlines()[0]
    facts = {"milliseconds": round(total, 1), "engine_start_ms": round(start, 1), "text": outcome.completion.text}
    detail = f"`return {shown}` in {total:,.0f} ms, after {start / 1000:.1f} s to reach the engine"
    return Finding("completion", "ok", detail, facts=facts)


def render(findings: list[Finding], *, colours: bool = False) -> str:
    """The report as text, one line a finding, and one below it that says what to do."""
    lines = []
    for finding in findings:
        mark = _MARKS[finding.status]
        if colours:
            mark = f"\x1b[{_COLOURS[finding.status]}m{mark}\x1b[0m"
        lines.append(f"{mark}  {finding.name:<11} {finding.detail}")
        if finding.todo and finding.status != "ok":
            lines.extend(f"{'':<18} {line}" for line in finding.todo.splitlines())
    problems = [finding.name for finding in findings if finding.status == "fail"]
    lines.append(f"{len(problems)} to mend: {', '.join(problems)}" if problems else "nothing to mend")
    return "\n".join(lines)
