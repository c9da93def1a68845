"""Real lines typed again, key by key, with an editor that asks at each key: `python -m benchmarks.keystroke typed`.

Pieces of code of three projects are taken out of their files and typed in again at a human rhythm that a seed makes:
some 150 ms from key to key, more where a word begins, a pause where a line does. At each key the editor cancels what it
still waits for and asks again, as VS Code does. Ghost text that is what the author wrote next, at least to the end of
the line, is read for a moment and accepted, whole or its first line; everything else is typed over.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.context_sources import SourceError, find_source
from benchmarks.keystroke.editor import Editor, counter, editor_at, engine_client, own_folders
from benchmarks.machine import describe, percentile
from coderls.cli.progress import Progress
from devtools.lsp_client import span

PROJECTS = (("httpx==0.28.1", "httpx"), ("rich==15.0.0", "rich"), ("werkzeug==3.1.3", "src"))
PIECE = 8  # lines typed in a row
SEED = 20261122
#: Accepting less than this is more work than typing it.
WORTH = 3


@dataclass
class Results:
    """Counts of keys and characters, tokens, and milliseconds from a key to its ghost text."""

    machine: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    pace: float = 1.0
    lines: int = 0
    characters: int = 0
    keys: int = 0
    shown: int = 0  # ghost text was there before the next key
    right: int = 0  # and it was what the author wrote, to the end of the line at least
    reused: int = 0  # and it came without the model
    accepts: int = 0
    accepted_characters: int = 0
    after_accept: int = 0  # requests right after an accept that were answered
    after_accept_reused: int = 0
    model_calls: int = 0
    model_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    model_ms: list[float] = field(default_factory=list)
    reused_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines `first` to `last` (from 0, the last not included) of a file."""

    path: Path
    first: int
    last: int
    lines: tuple[str, ...]


class _Rhythm:
    """Seconds before a key, drawn with a seed: log-normal, as intervals of people who type are."""

    def __init__(self, seed: int, pace: float = 1.0) -> None:
        self._chance = random.Random(seed)
        self._pace = pace

    def before(self, key: str, last: str) -> float:
        if last == "\n":
            return self._pace * min(3.0, self._chance.lognormvariate(-0.5, 0.6))  # 0.6 s
        middle = -1.5 if last in " ([{.," or key == "\n" else -2.0  # 0.22 s, 0.14 s
        return self._pace * min(1.5, self._chance.lognormvariate(middle, 0.45))

    def reading(self) -> float:
        return self._pace * self._chance.uniform(0.3, 0.6)


def main(argv: Sequence[str] | None = None) -> int:
    """Type, count, and print a table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keystroke typed", description=__doc__)
    parser.add_argument("--lines", type=int, default=200, metavar="N", help="lines to type (default: 200)")
    parser.add_argument("--model", default="nano", help="model name or directory (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--pace", type=float, default=1.0, help="pauses times this: for a machine with other work")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=JSON", help="a setting of coderls")
    parser.add_argument("--json", type=Path, help="write the counts to this file")
    args = parser.parse_args(argv)
    options = {name: json.loads(value) for name, _, value in (each.partition("=") for each in args.option)}
    results = Results(str(describe(("coderls", "torch", "pygls"))), options, args.pace)
    try:
        with own_folders(), Progress() as progress:
            for number, (root, pieces) in enumerate(draw_pieces(args.lines, args.seed)):
                with editor_at(root, args.model, progress, **_nested(options)) as editor, engine_client() as engine:
                    progress(f"typing in {root.name}", number / len(PROJECTS))
                    _type_all(editor, engine, pieces, results, _Rhythm(args.seed + number, args.pace))
    except SourceError as error:
        print(f"typed: {error}", file=sys.stderr)
        return 1
    print(table(results))
    if args.json:
        args.json.write_text(json.dumps(asdict(results), indent=1), encoding="utf-8")
    return 0


def draw_pieces(lines: int, seed: int) -> list[tuple[Path, list[Piece]]]:
    """Pieces of each project, `lines` in all. A piece begins below a line of code. Raises SourceError."""
    chance = random.Random(seed)
    drawn = []
    for spec, folder in PROJECTS:
        root = find_source(spec).folder()
        places = []
        for path in sorted((root / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8").split("\n")
            for first in range(5, len(text) - PIECE, PIECE):
                piece = tuple(text[first : first + PIECE])
                prose = any('"""' in line or line.lstrip().startswith("#") or not line.isascii() for line in piece)
                if all(line.strip() for line in piece) and not prose:
                    places.append(Piece(path, first, first + PIECE, piece))
        count = -(-lines // (PIECE * len(PROJECTS)))
        drawn.append((root, chance.sample(places, min(count, len(places)))))
    return drawn


def _nested(options: dict[str, Any]) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = value
    return sections


def _type_all(editor: Editor, engine: httpx.Client, pieces: Sequence[Piece], results: Results, rhythm: _Rhythm) -> None:
    names = ("generations_total", "completion_tokens_total", "prompt_tokens_total", "cached_tokens_total")
    before = [counter(engine, f"coderls_{name}") for name in names]
    for piece in pieces:
        _Typist(editor, piece, results, rhythm).type()
    counts = [int(counter(engine, f"coderls_{name}") - was) for name, was in zip(names, before, strict=True)]
    results.model_calls += counts[0]
    results.model_tokens += counts[1]
    results.prompt_tokens += counts[2]
    results.cached_tokens += counts[3]


class _Typist:
    """Types one piece into a document from which it was taken."""

    def __init__(self, editor: Editor, piece: Piece, results: Results, rhythm: _Rhythm) -> None:
        self._editor, self._piece, self._results, self._rhythm = editor, piece, results, rhythm
        self._uri = editor.open(piece.path)
        self._line, self._column = piece.first, 0
        self._asked: int | None = None

    def type(self) -> None:
        """All of it; afterwards the document is as it was."""
        piece, wanted, last = self._piece, "\n".join(self._piece.lines), "\n"
        self._replace((piece.first, 0), (piece.last - 1, len(piece.lines[-1])), "")
        self._results.lines += len(piece.lines)
        self._results.characters += len(wanted)
        done, accepted = 0, False
        while done < len(wanted):
            key = wanted[done]
            if last == "\n":  # the editor indents by itself
                key = re.match(r"[ \t]*", wanted[done:])[0] or key  # type: ignore[index]
            due = time.perf_counter() + (self._rhythm.reading() if accepted else self._rhythm.before(key, last))
            ghost = self._ghost(due, after_accept=accepted)
            size = _right(ghost, wanted[done:]) if done else 0
            accepted = size >= WORTH
            if ghost:
                self._results.right += bool(size)
            if accepted:
                time.sleep(self._rhythm.reading())
                key = ghost[:size]
                self._results.accepts += 1
                self._results.accepted_characters += size
            else:
                time.sleep(max(0.0, due - time.perf_counter()))
                self._results.keys += 1
            self._put(key)
            done += len(key)
            last = key[-1]
        self._cancel()

    def _put(self, text: str) -> None:
        """One change, and the question that follows it at once."""
        self._cancel()
        self._began = time.perf_counter()
        self._replace((self._line, self._column), (self._line, self._column), text)
        self._line += text.count("\n")
        self._column = len(text) - text.rfind("\n") - 1 if "\n" in text else self._column + len(text)
        self._asked = self._editor.client.inline_request(self._uri, self._line, self._column, invoked=False)

    def _ghost(self, due: float, *, after_accept: bool) -> str:
        """The ghost text that comes before the next key is due."""
        client, number = self._editor.client, self._asked
        if number is None:
            return ""
        try:
            client.wait_for(lambda: number in client.arrived, max(0.0, due - time.perf_counter()))
        except TimeoutError:
            return ""
        self._asked = None
        items = client.wait(number)["items"]
        if not items:
            return ""
        milliseconds = (client.arrived[number] - self._began) * 1000
        made = client.call("workspace/executeCommand", {"command": "coderls.explain", "arguments": [self._uri]})
        reused = bool(made["reused"])
        self._results.shown += 1
        self._results.reused += reused
        (self._results.reused_ms if reused else self._results.model_ms).append(milliseconds)
        if after_accept:
            self._results.after_accept += 1
            self._results.after_accept_reused += reused
        return str(items[0]["insertText"])

    def _cancel(self) -> None:
        if self._asked is not None:
            self._editor.client.cancel(self._asked)
            self._asked = None

    def _replace(self, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        self._editor.change(self._uri, {"range": span(start, end), "text": text})


def _right(ghost: str, wanted: str) -> int:
    """How many characters of the ghost text are what comes next, by whole lines; 0 for none."""
    for text in (ghost, ghost.partition("\n")[0]):
        if text.strip() and wanted.startswith(text) and wanted[len(text) : len(text) + 1] in ("", "\n"):
            return len(text)
    return 0


def table(results: Results) -> str:
    """The counts as Markdown."""
    r = results
    wasted = r.model_tokens - r.accepted_characters // 4
    rows = [
        ("lines, characters", f"{r.lines:,}, {r.characters:,}"),
        ("keys pressed, completions accepted", f"{r.keys:,}, {r.accepts:,}"),
        ("characters accepted", f"{r.accepted_characters:,} ({_share(r.accepted_characters, r.characters)})"),
        ("keys with ghost text before the next one", _share(r.shown, r.keys + r.accepts)),
        ("of these what the author wrote, to the end of the line", _share(r.right, r.shown)),
        ("of these without the model", _share(r.reused, r.shown)),
        ("answers right after an accept", f"{r.after_accept} of {r.accepts}"),
        ("of these without the model", _share(r.after_accept_reused, r.after_accept)),
        ("runs of the model for an accepted character", f"{r.model_calls / max(1, r.accepted_characters):.2f}"),
        ("tokens of the model", f"{r.model_tokens:,}"),
        ("of these not accepted (4 characters a token)", _share(wasted, r.model_tokens)),
        ("tokens of prompts", f"{r.prompt_tokens:,}"),
        ("of these from the cache", _share(r.cached_tokens, r.prompt_tokens)),
        ("ghost text by the model, ms p50 / p95", _times(r.model_ms)),
        ("ghost text without it, ms p50 / p95", _times(r.reused_ms)),
    ]
    lines = ["| | |", "| --- | ---: |", *(f"| {name} | {value} |" for name, value in rows)]
    return "\n".join([*lines, "", f"Settings: {results.settings}, pauses times {results.pace:g}. {results.machine}"])


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _times(values: Sequence[float]) -> str:
    return f"{percentile(values, 50):,.1f} / {percentile(values, 95):,.1f} ({len(values)})" if values else "-"


if __name__ == "__main__":
    sys.exit(main())
