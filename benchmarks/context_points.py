"""Completion points: lines to hide, and for each name on them that another file defines, where it is defined.

    python -m benchmarks.context_points python FOLDER --out points.json      # any Python project, by jedi
    python -m benchmarks.context_points typescript FOLDER --out points.json  # any TypeScript project, by its
                                                                             # language service (needs node and npm)
    python -m benchmarks.context_points python flask==3.1.2 --out points.json
    python -m benchmarks.context_points typescript rxjs@7.8.2 --out points.json

FOLDER may also be a source distribution (`NAME==VERSION`) or an npm package (`NAME@VERSION`), which is fetched into
the cache. The answers come from jedi and from the TypeScript language service, not from coderls. Files are JSON:

    {"sdist": "flask==3.1.2", "oracle": "jedi goto", "line_base": 0, "files": 83, "points": [
      {"path": "src/flask/app.py", "line": 120,
       "symbols": {"Request": {"path": "src/flask/wrappers.py", "line": 17, "kind": "class"}}}, ...]}

`line` counts from 0. `sdist`, `npm` or `folder` says where the sources come from.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.context_sources import Source, SourceError, fetch_typescript, find_node, find_source

#: Points of one file: no file may be most of a benchmark.
PER_FILE = 12
SEED = 20261122
_TYPESCRIPT_ORACLE = Path(__file__).with_name("context_points_typescript.mjs")
_SKIPPED_FOLDERS = {"node_modules", ".git", "build", "dist", "docs", "examples", "__pycache__"}


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name on a hidden line, and where the project defines it (`line` counts from 0)."""

    name: str
    path: str
    line: int
    kind: str


@dataclass(frozen=True, slots=True)
class Point:
    """Line `line` of `path` is to be hidden; it needs `symbols`."""

    path: str
    line: int
    symbols: tuple[Symbol, ...]


@dataclass(frozen=True, slots=True)
class PointFile:
    """A file of points, and the sources that they lie in."""

    name: str
    source: Source
    oracle: str
    points: tuple[Point, ...]


def load(path: Path) -> PointFile:
    """Read a file of points. Raises SourceError for one that cannot be used."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        points = tuple(_point(item) for item in raw["points"])
        source = Source.of(raw)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{path} holds no completion points: {error!r}.") from error
    return PointFile(source.name, source, str(raw.get("oracle", "")), points)


def _point(raw: Mapping[str, Any]) -> Point:
    symbols = tuple(
        Symbol(name, str(where["path"]), int(where["line"]), str(where.get("kind", "")))
        for name, where in raw["symbols"].items()
    )
    return Point(str(raw["path"]), int(raw["line"]), symbols)


# Python


def python_points(root: Path, count: int, seed: int = SEED) -> tuple[int, list[Point]]:
    """How many files there are, and `count` points among them, chosen by `seed`. Tests are left out."""
    import jedi  # noqa: PLC0415 - only makers of points need it

    files = [path for path in _files(root, (".py",)) if not _is_test(path)]
    project = jedi.Project(str(root), smart_sys_path=True, load_unsafe_extensions=False)
    chooser = random.Random(seed)
    points: list[Point] = []
    for path in chooser.sample(files, len(files)):
        if len(points) >= count:
            break
        try:
            text = (root / path).read_text(encoding="utf-8")
            names = _names_by_line(text)
        except (OSError, UnicodeDecodeError, tokenize.TokenError, SyntaxError):
            continue
        script = jedi.Script(text, path=root / path, project=project)
        points += _of_file(root, path, script, names, chooser)
    return len(files), points[:count]


def _of_file(
    root: Path, path: str, script: Any, names: Mapping[int, Sequence[tuple[str, int]]], chooser: random.Random
) -> Iterator[Point]:
    found = 0
    for line in chooser.sample(sorted(names), min(len(names), 6 * PER_FILE)):
        if found >= PER_FILE:
            return
        symbols: dict[str, Symbol] = {}
        for name, column in names[line]:
            if name not in symbols and (symbol := _goto(root, path, script, name, (line + 1, column))):
                symbols[name] = symbol
        if symbols:
            found += 1
            yield Point(path, line, tuple(symbols.values()))


def _goto(root: Path, path: str, script: Any, name: str, place: tuple[int, int]) -> Symbol | None:
    """Where the `name` at `place` (row from 1, column from 0) is defined, when that is another file of this project."""
    try:
        targets = script.goto(*place, follow_imports=True, follow_builtin_imports=False)
    except Exception as error:  # noqa: BLE001 - jedi raises what it stumbles over: that place is no point
        print(f"{path}:{place[0]}: jedi: {error!r}", file=sys.stderr)
        return None
    for target in targets:
        module = target.module_path
        if module is None or target.line is None or target.type in ("module", "namespace", "param"):
            continue
        try:
            inside = Path(module).resolve().relative_to(root.resolve()).as_posix()
        except ValueError:
            continue
        if inside != path:
            return Symbol(name, inside, target.line - 1, str(target.type))
    return None


def _names_by_line(text: str) -> dict[int, list[tuple[str, int]]]:
    """Names with their columns, for the lines in functions that are not imports, signatures or decorators."""
    lines: dict[int, list[tuple[str, int]]] = {}
    rows = text.split("\n")
    statement: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            first = statement[0].string if statement else ""
            if first not in ("import", "from", "def", "class", "@", "async", "if TYPE_CHECKING"):
                for part in statement:
                    row, column = part.start
                    if part.type == tokenize.NAME and part.string.isidentifier() and rows[row - 1][:1].isspace():
                        lines.setdefault(row - 1, []).append((part.string, column))
            statement = []
        elif token.type not in (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT):
            statement.append(token)
    return {row: names for row, names in lines.items() if len(rows[row].strip()) > 6}


# TypeScript


def typescript_points(root: Path, count: int, seed: int = SEED) -> tuple[int, list[Point]]:
    """As `python_points`, by the TypeScript language service in node. Raises SourceError without node."""
    node = find_node()
    compiler = fetch_typescript()
    files = [path for path in _files(root, (".ts", ".tsx")) if not _is_test(path) and not path.endswith(".d.ts")]
    chooser = random.Random(seed)
    order = chooser.sample(files, len(files))
    request = {"root": str(root), "files": order, "count": count, "perFile": PER_FILE, "seed": seed}
    answer = node.run(_TYPESCRIPT_ORACLE, [str(compiler)], json.dumps(request))
    return len(files), [_point(item) for item in json.loads(answer)]


def _files(root: Path, endings: tuple[str, ...]) -> list[str]:
    found = []
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if path.name.endswith(endings) and path.is_file() and not _SKIPPED_FOLDERS & set(inside.parts[:-1]):
            found.append(inside.as_posix())
    return found


def _is_test(path: str) -> bool:
    name = path.rpartition("/")[2]
    folders = path.split("/")[:-1]
    return (
        bool({"tests", "test", "testing", "spec", "__tests__"} & set(folders))
        or name.startswith(("test_", "conftest"))
        or ".spec." in name
        or ".test." in name
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a file of points."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language", choices=["python", "typescript"])
    parser.add_argument("source", help="a folder, a source distribution NAME==VERSION, or an npm package NAME@VERSION")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args(arguments)
    try:
        source = find_source(args.source)
        make = python_points if args.language == "python" else typescript_points
        files, points = make(source.folder(), args.points, args.seed)
    except SourceError as error:
        print(f"context_points: {error}", file=sys.stderr)
        return 1
    oracle = "jedi goto" if args.language == "python" else "TypeScript language service"
    written = {
        **source.named(),
        "oracle": oracle,
        "seed": args.seed,
        "line_base": 0,
        "files": files,
        "points": [
            {
                "path": point.path,
                "line": point.line,
                "symbols": {s.name: {"path": s.path, "line": s.line, "kind": s.kind} for s in point.symbols},
            }
            for point in points
        ],
    }
    args.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    print(f"{len(points)} points in {files} files of {source.name}: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
