"""Lines and blocks to hide in the held-out projects of a corpus (`python -m training.corpus`), drawn with a seed.

A line is hidden behind its indentation, the rest of one from somewhere inside of it on. A block is what a line that
ends in a colon opens: two to six lines, hidden from the first one's indentation on. Lines that say nothing (imports,
comments, brackets, `pass`) are not asked for.
"""

from __future__ import annotations

import ast
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from coderls.document import Document
from coderls.errors import CoderlsError
from coderls.fim.stopping import indentation

SEED = 20261122
#: Of one file, so that no file is most of a benchmark.
_LINES_OF_A_FILE, _BLOCKS_OF_A_FILE = 3, 2
_TELLING = re.compile(r"[=(\[]|\b(return|if|for|while|raise|yield|with|assert)\b")
_SILENT = ("#", '"', "'", "import ", "from ", ">>>", "@", "pass", "...", ")", "]", "}")
_LONGEST_BLOCK = 6


@dataclass(frozen=True, slots=True)
class Point:
    """`text[start:end]` of a file (offsets in code points) is hidden; `kind` is "line", "rest" or "block"."""

    project: str
    path: str
    start: int
    end: int
    kind: str

    @property
    def name(self) -> str:
        """Names the point in files of results."""
        return f"{self.project}/{self.path}:{self.start}:{self.kind}"


@dataclass(frozen=True)
class Hidden:
    """A point as it is asked: the document without the hidden text."""

    point: Point
    document: Document
    text: str

    @property
    def offset(self) -> int:
        """Where the cursor stands."""
        return self.point.start


def points(corpus: Path, lines: int, blocks: int, rests: int = 0, *, language: str = "python") -> list[Point]:
    """So many points, in an order that does not depend on their number. Raises CoderlsError without a corpus."""
    files = list(_files(corpus, language))
    random.Random(SEED).shuffle(files)
    found: list[Point] = []
    kinds = (
        ("line", lines, _LINES_OF_A_FILE), ("block", blocks, _BLOCKS_OF_A_FILE), ("rest", rests, _LINES_OF_A_FILE)
    )  # fmt: skip
    for kind, wanted, most in kinds:
        rounds: list[list[Point]] = [[] for _ in range(most)]
        for project, path in files:
            text = (corpus / "projects" / project / path).read_text(encoding="utf-8")
            chooser = random.Random(f"{SEED} {project} {path} {kind}")
            spans = list(_blocks(text) if kind == "block" else _lines(text))
            for number, (start, end) in enumerate(chooser.sample(spans, min(most, len(spans)))):
                if kind == "rest":
                    start = chooser.randrange(start + 1, end)  # noqa: PLW2901
                rounds[number].append(Point(project, path, start, end, kind))
        found += [point for part in rounds for point in part][:wanted]
    return found


def _files(corpus: Path, language: str) -> Iterator[tuple[str, str]]:
    try:
        rows = [json.loads(line) for line in (corpus / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
        for row in rows:
            if row["split"] == "held-out" and row["language"] == language and not _is_aside(row["path"]):
                yield str(row["project"]), str(row["path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoderlsError(f"{corpus} holds no corpus: {error!r}.", "Make it: python -m training.corpus.") from error


def _is_aside(path: str) -> bool:
    """Whether a file is a test, an example or documentation: most people write others."""
    parts = path.lower().split("/")
    return any(part in ("tests", "test", "docs", "doc", "examples", "demos") for part in parts[:-1]) or parts[
        -1
    ].startswith(("test_", "conftest", "setup."))


def _code_lines(text: str) -> Iterator[tuple[int, str]]:
    """Offset and text of each line that is not inside of a string of several lines."""
    inside = set[int]()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.end_lineno != node.lineno:
            inside.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    place = 0
    for number, line in enumerate(text.split("\n"), 1):
        if number not in inside:
            yield place, line
        place += len(line) + 1


def _lines(text: str) -> Iterator[tuple[int, int]]:
    lines = list(_code_lines(text))
    for place, line in lines[5:-3]:
        plain = line.strip()
        if 12 <= len(plain) <= 80 and not plain.startswith(_SILENT) and _TELLING.search(plain):
            yield place + len(line) - len(line.lstrip()), place + len(line.rstrip())


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    lines = list(_code_lines(text))
    for number in range(4, len(lines) - 2):
        head, (place, first) = lines[number][1], lines[number + 1]
        if not head.rstrip().endswith(":") or place != lines[number][0] + len(head) + 1:
            continue
        if not first.strip() or first.strip().startswith(_SILENT):
            continue
        size = _inside(lines[number + 1 :], indentation(head))
        if 2 <= size <= _LONGEST_BLOCK:
            last_place, last = lines[number + size]
            end = last_place + len(last.rstrip())
            if text[place:end].count("\n") == size - 1:
                yield place + len(first) - len(first.lstrip()), end


def _inside(lines: list[tuple[int, str]], depth: int) -> int:
    """How many lines, from the first, stand deeper; 0 where they go on after an empty line."""
    size = next((n for n, (_, line) in enumerate(lines) if not line.strip() or indentation(line) <= depth), len(lines))
    below = next((line for _, line in lines[size:] if line.strip()), "")
    return 0 if below and indentation(below) > depth else size


def hide(corpus: Path, point: Point) -> Hidden:
    """The point's document without the hidden text. Raises OSError."""
    path = corpus / "projects" / point.project / point.path
    text = path.read_text(encoding="utf-8")
    left = text[: point.start] + text[point.end :]
    return Hidden(point, Document(path.as_uri(), "python", 1, left, path), text[point.start : point.end])


def by_project(chosen: list[Point]) -> Mapping[str, list[Point]]:
    """Points of each project: its index is built once."""
    found: dict[str, list[Point]] = {}
    for point in chosen:
        found.setdefault(point.project, []).append(point)
    return found
