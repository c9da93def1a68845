"""Latency as an editor sees it: `python -m benchmarks.keystroke latency`.

A real client over stdio, the real server and engine processes, the source distribution of httpx 0.28.1. For each of
200 places (drawn with a seed) the rest of a line is hidden and ghost text is asked for: cold, a tenth of a second after
the jump (no hand is faster, and what a server does with a file that is opened is no part of an answer), and after
each of three more characters of the hidden text. Where the ghost text goes on with these, the answer is what is left
of it, without the model; warm are the others. Rested: at other places the editor says where the cursor is (it asks for
code actions), and a letter is typed two seconds later. Times run from the moment before `didChange` is sent until the
reply has been read, the server's own delay after a keystroke included. The editor side is measured at the same places
with a scripted engine that knows what is hidden, less the time that it took, where it was asked at all.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from benchmarks.keystroke.editor import (
    COMMAND,
    Answer,
    Editor,
    cancelled,
    editor_at,
    engine_client,
    engines,
    own_folders,
)
from benchmarks.machine import describe, percentile, wait_for_idle
from coderls.cli.progress import Progress
from coderls.engine.fake import FakeRule, FakeScript, write_fake_model
from devtools.lsp_client import CAPABILITIES, StdioClient
from devtools.sdists import HTTPX, project

TYPED = 3
STARTS = 9
CANCELS = 40
RESTS = 40
RESTS_SEED = 20261123  # other places than those that were asked about before
REST_S = 2.0  # a moment, and the reading of a prompt
EVERYWHERE = {"in_strings": True, "in_comments": True}  # places are drawn without a look at what they are in
JUMP_S = 0.1
SETTLE_S = 1.5  # an idle process has done its imports by then


@dataclass(frozen=True)
class Place:
    """A line of a file (from 0) and the column behind which it is hidden."""

    path: Path
    line: int
    column: int
    text: str


@dataclass
class Latencies:
    """Milliseconds of the requests that were answered with ghost text, and how many were asked."""

    asked: int = 0
    answered_ms: list[float] = field(default_factory=list)

    def add(self, answered: bool, milliseconds: float) -> None:
        """Count one request."""
        self.asked += 1
        if answered:
            self.answered_ms.append(milliseconds)

    @property
    def share(self) -> float:
        """Answered requests, from 0 to 1."""
        return len(self.answered_ms) / max(1, self.asked)


@dataclass
class Results:
    """Everything that was measured, in milliseconds and MiB."""

    machine: str = ""
    model: str = ""
    idle: bool = True
    start_to_reply_ms: list[float] = field(default_factory=list)
    receipt_to_reply_ms: list[float] = field(default_factory=list)
    ready_s: float = 0.0
    cold: Latencies = field(default_factory=Latencies)
    warm: Latencies = field(default_factory=Latencies)
    rested: Latencies = field(default_factory=Latencies)
    through_ms: list[float] = field(default_factory=list)
    editor_plain_ms: list[float] = field(default_factory=list)
    editor_context_ms: list[float] = field(default_factory=list)
    cancel_reply_ms: list[float] = field(default_factory=list)
    cancel_idle_ms: list[float] = field(default_factory=list)
    front_mib: float = 0.0
    engine_mib: float = 0.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure everything and print a table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keystroke latency", description=__doc__)
    parser.add_argument("--project", type=Path, help="folder of Python sources (default: httpx 0.28.1, fetched once)")
    parser.add_argument("--model", default="nano", help="model name or directory (default: %(default)s)")
    parser.add_argument("--positions", type=int, default=200, help="places to ask at (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--idle-wait", type=float, default=60, help="wait so long for idle cores (s)")
    parser.add_argument("--json", type=Path, help="write all single measurements to this file")
    args = parser.parse_args(argv)
    root = args.project or project(HTTPX, say=lambda line: print(line, file=sys.stderr))
    places = draw_places(root, args.positions, args.seed)
    results = Results(machine=str(describe(("coderls", "torch", "pygls"))), model=args.model)
    with own_folders() as scratch, Progress() as progress:
        results.idle = wait_for_idle(args.idle_wait)
        _measure_starts(results, progress)
        _measure_ghost_text(results, root, places, args.model, progress)
        fake = str(write_fake_model(scratch / "fake", FakeScript(rules=hidden(places))))
        results.editor_plain_ms = editor_side(root, places, fake, False, progress)
        results.editor_context_ms = editor_side(root, places, fake, True, progress)
    print(table(results, args.seed))
    if args.json:
        args.json.write_text(json.dumps(asdict(results), indent=1), encoding="utf-8")
    return 0


def draw_places(root: Path, count: int, seed: int) -> list[Place]:
    """Lines of code with something to guess: half hidden from their indentation on, half from inside."""
    chance = random.Random(seed)
    candidates = []
    for path in sorted(root.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for number, line in enumerate(re.split("\r\n|\n|\r", text)):
            if len(line.strip()) >= 12 and not line.lstrip().startswith("#") and line.isascii():
                candidates.append((path, number, line))
    places = []
    for index, (path, number, line) in enumerate(chance.sample(candidates, min(count, len(candidates)))):
        indentation = len(line) - len(line.lstrip())
        inside = chance.randint(indentation + 1, len(line.rstrip()) - TYPED - 2)
        places.append(Place(path, number, indentation if index % 2 else inside, line))
    return places


def _measure_starts(results: Results, progress: Progress) -> None:
    """`initialize` sent at once (from process start), and to a process that waits for it (from receipt)."""
    params = {"processId": os.getpid(), "rootUri": None, "capabilities": CAPABILITIES}
    for number in range(STARTS):
        progress("starting the server", number / STARTS)
        with StdioClient(COMMAND) as client:
            identity = client.request("initialize", params)
            client.wait(identity)
            results.start_to_reply_ms.append((client.arrived[identity] - client.started) * 1000)
        with StdioClient(COMMAND) as client:
            time.sleep(SETTLE_S)
            sent = time.perf_counter()
            identity = client.request("initialize", params)
            client.wait(identity)
            results.receipt_to_reply_ms.append((client.arrived[identity] - sent) * 1000)


def visit(editor: Editor, place: Place) -> Iterator[Answer]:
    """The cold answer, then the answer to each character that is typed; afterwards the line is as it was."""
    uri = editor.open(place.path)
    time.sleep(JUMP_S)
    began = time.perf_counter()
    editor.edit(uri, place.line, place.column, len(place.text), "")
    yield editor.ask(uri, place.line, place.column, began)
    column = place.column
    for char in place.text[column : column + TYPED]:
        began = time.perf_counter()
        editor.edit(uri, place.line, column, column, char)
        column += 1
        yield editor.ask(uri, place.line, column, began)
    editor.edit(uri, place.line, 0, column, place.text)


def _measure_ghost_text(results: Results, root: Path, places: Sequence[Place], model: str, progress: Progress) -> None:
    began = time.perf_counter()
    with editor_at(root, model, progress, completion=EVERYWHERE) as editor:
        results.ready_s = time.perf_counter() - began
        for number, place in enumerate(places):
            progress("ghost text", number / len(places))
            cold, *typed = visit(editor, place)
            results.cold.add(cold.came, cold.milliseconds)
            results.through_ms += [answer.milliseconds for answer in typed if answer.reused == "shown"]
            if typed[-1].reused != "shown":
                results.warm.add(typed[-1].came, typed[-1].milliseconds)
        _measure_rested(results, editor, draw_places(root, min(RESTS, len(places)), RESTS_SEED), progress)
        _measure_cancelling(results, editor, places, progress)
        [engine] = engines(Path(os.environ["CODERLS_RUNTIME"]))
        results.front_mib = psutil.Process(editor.client.process.pid).memory_info().rss / 2**20
        results.engine_mib = engine.memory_info().rss / 2**20


def _measure_rested(results: Results, editor: Editor, places: Sequence[Place], progress: Progress) -> None:
    """The first letter at a place where the cursor has been for a while."""
    for number, place in enumerate(places):
        progress("a cursor that rests", number / len(places))
        uri, column = editor.open(place.path), place.column
        editor.edit(uri, place.line, column, len(place.text), "")
        editor.rest(uri, place.line, column)
        time.sleep(REST_S)
        began = time.perf_counter()
        editor.edit(uri, place.line, column, column, place.text[column])
        answer = editor.ask(uri, place.line, column + 1, began)
        results.rested.add(answer.came, answer.milliseconds)
        editor.edit(uri, place.line, 0, column + 1, place.text)


def _measure_cancelling(results: Results, editor: Editor, places: Sequence[Place], progress: Progress) -> None:
    """Cancel requests that run, and look at the engine's own count until it is idle."""
    with engine_client() as engine:
        for number, place in enumerate(places):
            if len(results.cancel_idle_ms) == CANCELS:
                return
            progress("cancelling", number / len(places))
            uri = editor.open(place.path)
            editor.edit(uri, place.line, place.column, len(place.text), "")
            took = cancelled(editor, engine, editor.client.inline_request(uri, place.line, place.column, invoked=False))
            if took is not None:
                results.cancel_reply_ms.append(took[0])
                results.cancel_idle_ms.append(took[1])
            editor.edit(uri, place.line, 0, place.column, place.text)


def hidden(places: Sequence[Place]) -> tuple[FakeRule, ...]:
    """The scripted model says what is hidden; the longest text before the cursor that fits decides."""
    rules: list[FakeRule] = []
    for place in places:
        above = re.split("\r\n|\n|\r", place.path.read_text(encoding="utf-8"))[max(0, place.line - 1)]
        columns = range(place.column, place.column + TYPED + 1)
        rules.extend(FakeRule(f"{above}\n{place.text[:column]}", place.text[column:]) for column in columns)
    return tuple(sorted(rules, key=lambda rule: -len(rule.after)))


def editor_side(root: Path, places: Sequence[Place], fake: str, context: bool, progress: Progress) -> list[float]:
    """Everything but the engine: conversion, context, prompt, the way to the engine's process, checks, reply."""
    options = {
        "context": {"enabled": context, "tokens": 1000 if context else 0},
        "completion": {"debounce_ms": 0, **EVERYWHERE},
    }
    milliseconds = []
    with editor_at(root, fake, progress, **options) as editor:
        for number, place in enumerate(places):
            progress("editor side", number / len(places))
            asked = [answer for answer in visit(editor, place) if answer.came and not answer.reused]
            milliseconds += [answer.milliseconds - answer.engine_ms for answer in asked]
    return milliseconds


def table(results: Results, seed: int) -> str:
    """The results as Markdown."""
    cold, warm = results.cold, results.warm
    rows = [
        ("process start to the reply to `initialize`", results.start_to_reply_ms, "800 / -"),
        ("receipt of `initialize` to the reply", results.receipt_to_reply_ms, "50 / -"),
        ("ghost text, cold (after a jump)", cold.answered_ms, "700 / 1,200"),
        (f"ghost text, warm (after {TYPED} typed characters)", warm.answered_ms, "150 / 400"),
        ("ghost text, first letter where the cursor rested", results.rested.answered_ms, "150 / 400"),
        ("ghost text, typing through it", results.through_ms, "5 / -"),
        ("editor side, without context", results.editor_plain_ms, "5 / 25"),
        ("editor side, with context", results.editor_context_ms, "15 / 75"),
        ("cancel to its reply", results.cancel_reply_ms, ""),
        ("cancel to an idle engine", results.cancel_idle_ms, "- / 80 (p99)"),
    ]
    lines = [
        f"Model {results.model}, seed {seed}{'' if results.idle else ', the cores were NOT idle'}. {results.machine}",
        "",
        "| milliseconds | n | p50 | p95 | max | to reach (p50 / p95) |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, values, goal in rows:
        if values:
            numbers = (percentile(values, 50), percentile(values, 95), max(values))
            lines.append(f"| {name} | {len(values)} | " + " | ".join(f"{n:,.1f}" for n in numbers) + f" | {goal} |")
        else:
            lines.append(f"| {name} | 0 | - | - | - | {goal} |")
    lines += [
        "",
        f"Answered: cold {cold.share:.0%} of {cold.asked}, warm {warm.share:.0%} of {warm.asked}, "
        f"rested {results.rested.share:.0%} of {results.rested.asked}. "
        f"Engine and index ready after {results.ready_s:.1f} s. "
        f"Memory (RSS): server {results.front_mib:,.0f} MiB, engine {results.engine_mib:,.0f} MiB.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
