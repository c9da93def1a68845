"""Real lines typed again, key by key, with an editor that asks at each key: `python -m benchmarks.keystroke typed`.

Pieces of code of three projects are taken out of their files and typed in again at a human rhythm that a seed makes:
some 150 ms from key to key, more where a word begins, a pause where a line does. At each key the editor cancels what it
still waits for and asks again, as VS Code does. Ghost text that is what the author wrote next, at least to the end of
the line, is read for a moment and accepted, whole or its first line; everything else is typed over. Ghost text is valid
where the file parses with it (Python's own `ast`), or did not parse without it either.

At the end of each piece a request is cancelled, and the engine looked at until it is idle. The editor side is measured
as in `latency`, at lines of the pieces, by a scripted engine, with and without context.

200 lines take some 15 minutes: what a human takes to type them, and a minute for the editor side.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.context_sources import SourceError, find_source
from benchmarks.keystroke.editor import Editor, cancelled, counter, editor_at, engine_client, own_folders
from benchmarks.keystroke.latency import TYPED, Place, editor_side, hidden
from benchmarks.machine import describe, percentile, wait_for_idle
from coderls.cli.progress import Progress
from coderls.engine.fake import FakeScript, write_fake_model
from coderls.tokenizer import Tokenizer
from devtools.lsp_client import span

PROJECTS = (("httpx==0.28.1", "httpx"), ("rich==15.0.0", "rich"), ("werkzeug==3.1.3", "src"))
PIECE = 8  # lines typed in a row
SEED = 20261122
CUT = 4  # characters at the end of a piece that are asked for again, to be cancelled
#: Accepting less than this is more work than typing it.
WORTH = 3


@dataclass
class Results:
    """Counts of keys and characters, tokens, and milliseconds from a key to its ghost text."""

    machine: str = ""
    idle: bool = True
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
    valid: int = 0  # with it the file parses, or did not without it
    invalid: list[dict[str, str]] = field(default_factory=list)  # where, what stood on the line, and the text
    accepted_tokens: int = 0
    model_calls: int = 0
    model_tokens: int = 0  # chosen
    run_tokens: int = 0  # that the model ran over
    prompt_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0
    cancel_reply_ms: list[float] = field(default_factory=list)
    cancel_idle_ms: list[float] = field(default_factory=list)
    editor_plain_ms: list[float] = field(default_factory=list)
    editor_context_ms: list[float] = field(default_factory=list)
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
    parser.add_argument(
        "--editor-lines",
        type=int,
        default=60,
        metavar="N",
        help="lines at which the editor side is measured (default: 60)",
    )
    parser.add_argument("--idle-wait", type=float, default=60, help="wait so long for idle cores (s)")
    parser.add_argument("--model", default="nano", help="model name or directory (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--pace", type=float, default=1.0, help="pauses times this: for a machine with other work")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=JSON", help="a setting of coderls")
    parser.add_argument("--json", type=Path, help="write the counts to this file")
    args = parser.parse_args(argv)
    # The projects on the disk hold the lines that are typed: no words of theirs are to be blended in.
    options = {"context.words": "off"}
    options |= {name: json.loads(value) for name, _, value in (each.partition("=") for each in args.option)}
    results = Results(str(describe(("coderls", "torch", "pygls"))), settings=options, pace=args.pace)
    try:
        with own_folders() as scratch, Progress() as progress:
            drawn = draw_pieces(args.lines, args.seed)
            results.idle = wait_for_idle(args.idle_wait)
            for number, (root, pieces) in enumerate(drawn):
                with editor_at(root, args.model, progress, **_nested(options)) as editor, engine_client() as engine:
                    progress(f"typing in {root.name}", number / len(PROJECTS))
                    _type_all(editor, engine, pieces, results, _Rhythm(args.seed + number, args.pace))
            root, pieces = drawn[0]
            places = _middles(pieces)[: args.editor_lines]
            if places:
                fake = str(write_fake_model(scratch / "fake", FakeScript(rules=hidden(places))))
                results.editor_plain_ms = editor_side(root, places, fake, False, progress)
                results.editor_context_ms = editor_side(root, places, fake, True, progress)
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
    names = ("generations", "completion_tokens", "run_tokens", "prompt_tokens", "cached_tokens")
    before = [counter(engine, f"coderls_{name}_total") for name in names]
    folder = Path(engine.get("/health").json()["model_path"])
    tokenizer = Tokenizer.from_file(folder / "tokenizer.json")
    began = time.perf_counter()
    for piece in pieces:
        typist = _Typist(editor, piece, results, rhythm)
        typist.type()
        took = cancelled(editor, engine, typist.ask_again())
        typist.put_back()
        if took is not None:
            results.cancel_reply_ms.append(took[0])
            results.cancel_idle_ms.append(took[1])
        results.accepted_tokens += sum(len(tokenizer.encode(text)) for text in typist.taken)
        for text, start, end, new in typist.offered:
            if is_valid(text, start, end, new):
                results.valid += 1
            else:
                line = text[text.rfind("\n", 0, start) + 1 : start] + "█" + text[end:].partition("\n")[0]
                where = f"{piece.path.name}:{text.count(chr(10), 0, start) + 1}"
                results.invalid.append({"at": where, "line": line, "replaced": text[start:end], "new": new})
    results.seconds += time.perf_counter() - began
    counts = [int(counter(engine, f"coderls_{name}_total") - was) for name, was in zip(names, before, strict=True)]
    results.model_calls += counts[0]
    results.model_tokens += counts[1]
    results.run_tokens += counts[2]
    results.prompt_tokens += counts[3]
    results.cached_tokens += counts[4]


def is_valid(text: str, start: int, end: int, new: str) -> bool:
    """Whether Python takes `text` with `new` in the place of `start`..`end`, or does not take `text` itself."""
    return _parses(text[:start] + new + text[end:]) or not _parses(text)


def _parses(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "typed.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


def _middles(pieces: Sequence[Piece]) -> list[Place]:
    """The middles of lines of these pieces."""
    return [
        Place(piece.path, piece.first + number, max(len(line) // 2, len(line) - len(line.lstrip())), line)
        for piece in pieces
        for number, line in enumerate(piece.lines)
        if len(line) // 2 + TYPED < len(line.rstrip())
    ]


class _Typist:
    """Types one piece into a document from which it was taken."""

    def __init__(self, editor: Editor, piece: Piece, results: Results, rhythm: _Rhythm) -> None:
        self._editor, self._piece, self._results, self._rhythm = editor, piece, results, rhythm
        self._uri = editor.open(piece.path)
        self._line, self._column = piece.first, 0
        self._asked: int | None = None
        self.taken: list[str] = []  # what was accepted
        self.offered: list[tuple[str, int, int, str]] = []  # text of the document, and the edit that was offered
        text = piece.path.read_text(encoding="utf-8").split("\n")
        self._before = "".join(f"{line}\n" for line in text[: piece.first])
        self._after = "\n" + "\n".join(text[piece.last :])
        self._done = ""  # what stands there of the piece now

    def ask_again(self) -> int:
        """The end of the last line is taken away and asked for: the number of the request."""
        cut = max(0, self._column - CUT)
        self._replace((self._line, cut), (self._line, self._column), "")
        return self._editor.client.inline_request(self._uri, self._line, cut, invoked=False)

    def put_back(self) -> None:
        """What `ask_again` took away."""
        cut = max(0, self._column - CUT)
        self._replace((self._line, cut), (self._line, cut), self._piece.lines[-1][cut : self._column])

    def type(self) -> None:
        """All of it."""
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
                self.taken.append(key)
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
        self._done += text
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
        new, place = str(items[0]["insertText"]), len(self._before) + len(self._done)
        start, end = (items[0]["range"][name]["character"] - self._column for name in ("start", "end"))
        self.offered.append((self._before + self._done + self._after, place + start, place + end, new))
        return new if start == end == 0 else ""

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
    asked = r.keys + r.accepts
    rows = [
        ("lines, characters", f"{r.lines:,}, {r.characters:,}"),
        ("keys pressed, completions accepted", f"{r.keys:,}, {r.accepts:,}"),
        ("characters accepted", f"{r.accepted_characters:,} ({_share(r.accepted_characters, r.characters)})"),
        ("keys with ghost text before the next one", _share(r.shown, asked)),
        ("keys with valid ghost text before the next one", _share(r.valid, asked)),
        ("ghost text that is what the author wrote, to the end of the line", _share(r.right, r.shown)),
        ("ghost text without the model", _share(r.reused, r.shown)),
        ("answers right after an accept", f"{r.after_accept} of {r.accepts}"),
        ("of these without the model", _share(r.after_accept_reused, r.after_accept)),
        ("runs of the model for an accepted character", f"{r.model_calls / max(1, r.accepted_characters):.2f}"),
        ("tokens chosen by the model", f"{r.model_tokens:,}"),
        ("of these wasted: not accepted", _share(r.model_tokens - r.accepted_tokens, r.model_tokens)),
        ("tokens that the model ran over, for each key", f"{r.run_tokens / max(1, asked):.1f}"),
        ("tokens of prompts that were answered", f"{r.prompt_tokens:,}"),
        ("of these from the cache", _share(r.cached_tokens, r.prompt_tokens)),
        ("ghost text, ms p50 / p95", _times([*r.model_ms, *r.reused_ms])),
        ("ghost text by the model, ms p50 / p95", _times(r.model_ms)),
        ("ghost text without it, ms p50 / p95", _times(r.reused_ms)),
        ("cancel to its reply, ms p50 / p95", _times(r.cancel_reply_ms)),
        ("cancel to an idle engine, ms p50 / p95", _times(r.cancel_idle_ms)),
        ("editor side without context, ms p50 / p95 (to reach: 5 / 25)", _times(r.editor_plain_ms)),
        ("editor side with context, ms p50 / p95 (to reach: 15 / 75)", _times(r.editor_context_ms)),
    ]
    lines = ["| | |", "| --- | ---: |", *(f"| {name} | {value} |" for name, value in rows)]
    said = f"Settings: {r.settings}, pauses times {r.pace:g}, {r.seconds / 60:.1f} minutes of typing"
    return "\n".join([*lines, "", f"{said}{'' if r.idle else ', the cores were NOT idle'}. {r.machine}"])


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _times(values: Sequence[float]) -> str:
    return f"{percentile(values, 50):,.1f} / {percentile(values, 95):,.1f} ({len(values)})" if values else "-"


if __name__ == "__main__":
    sys.exit(main())
