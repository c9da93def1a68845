"""Does the context of other files hold what the next line needs? On points made by a language service, not by us.

    python -m benchmarks.context_recall POINTS.json [MORE.json ...]
    python -m benchmarks.context_points python FOLDER --out POINTS.json     # points of your own project

At each point the line is hidden, and the prompt is built as at that cursor. Measured, by repository and pooled:

    recall      share of the definitions in other files that the hidden line needs, whose line is in the context
    coverage    share of the hidden line's identifiers that stand in the prompt (text around the cursor included)
    leaks       points at which the open file, or a stale copy of it, is in the context (a copy of each open file,
                with one line changed, lies in the project for this)
    twins       points at which the hidden line stands word for word elsewhere in the project, and is shown
    no import   recall after the imports that only the hidden line uses are removed
    build       milliseconds for the context, at a place that was not asked for before

Contenders: coderls, windows by Jaccard similarity, chunks by BM25, and no context at all.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.context_baselines import Bm25, Corpus, Jaccard
from benchmarks.context_measure import Hidden, covered, found_symbols, has_twin, hide, leaks, without_imports
from benchmarks.context_points import Point, PointFile, load
from benchmarks.context_sources import SourceError
from benchmarks.machine import describe, percentile
from coderls import paths
from coderls.document import Document, Edit, Snippet
from coderls.garbage import look_seldom, set_aside
from coderls.models import store
from coderls.repo_context import candidates, retrieve
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.parse import language_of
from coderls.tokenizer import Tokenizer

BUDGETS = (1_000, 2_000, 4_000, 8_000)
MAIN = 2_000
LONG_LINES = 5_000
_COPIES = "stale-copies"

Count = Callable[[str], int]


@dataclass
class Score:
    """Sums over points, for one contender and one budget."""

    points: int = 0
    symbols: int = 0
    found: int = 0
    names: int = 0
    names_found: int = 0
    leaks: int = 0
    twins: int = 0

    def add(self, hidden: Hidden, snippets: Sequence[Snippet], root: Path) -> None:
        """Take a point in."""
        self.points += 1
        self.symbols += len(hidden.point.symbols)
        self.found += found_symbols(snippets, hidden.point.symbols, root)
        there, all_names = covered(hidden, snippets)
        self.names_found += there
        self.names += all_names
        self.leaks += leaks(hidden, snippets, root)
        self.twins += has_twin(hidden, snippets)

    def __add__(self, other: Score) -> Score:
        return Score(*(getattr(self, name) + getattr(other, name) for name in asdict(self)))

    @property
    def recall(self) -> float:
        """Percent."""
        return 100 * self.found / max(1, self.symbols)

    @property
    def coverage(self) -> float:
        """Percent."""
        return 100 * self.names_found / max(1, self.names)


@dataclass
class Result:
    """What was measured in one project. Keys are contender and budget; times are milliseconds."""

    name: str
    language: str
    files: int
    scores: dict[tuple[str, int], Score] = field(default_factory=lambda: defaultdict(Score))
    no_import: Score = field(default_factory=Score)  # the points whose import was removed
    no_import_all: Score = field(default_factory=Score)  # all points, those without such an import as they are
    build_ms: list[float] = field(default_factory=list)
    keystroke_ms: list[float] = field(default_factory=list)
    long_ms: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


def measure(points: PointFile, count: Count, *, baselines: bool, limit: int, copies: bool) -> Result:
    """All points of one file. Raises SourceError."""
    with tempfile.TemporaryDirectory(prefix="coderls-recall-") as scratch:
        root = Path(scratch) / points.name.rpartition("/")[2]
        shutil.copytree(points.source.folder(), root, symlinks=True)
        chosen = list(points.points[:limit])
        if copies:
            _plant_copies(root, chosen)
        index = RepositoryIndex([root], keep=False)
        try:
            index.build()
            index.settle(120)
            look_seldom()  # as an editor's session does
            set_aside()
            return _measure(points.name, root, index, chosen, count, baselines=baselines)
        finally:
            index.close()


def _measure(
    name: str, root: Path, index: RepositoryIndex, points: Sequence[Point], count: Count, *, baselines: bool
) -> Result:
    indexed = [path for path in _indexed(root, index) if not path.startswith(_COPIES)]
    language = language_of(points[0].path) or ""
    result = Result(name, language, len(indexed))
    corpus = Corpus.read(root, indexed) if baselines else Corpus({})
    others: dict[str, Jaccard | Bm25] = {"jaccard": Jaccard(corpus), "bm25": Bm25(corpus)} if baselines else {}
    for hidden in _in_turn(root, index, points):
        began = time.perf_counter()
        snippets = index.snippets(hidden.document, hidden.offset, budget_tokens=MAIN, count=count)
        result.build_ms.append((time.perf_counter() - began) * 1000)
        result.keystroke_ms.append(_keystroke(index, hidden, count))
        result.scores["coderls", MAIN].add(hidden, snippets, root)
        if found_symbols(snippets, hidden.point.symbols, root) < len(hidden.point.symbols):
            result.missed.append(_miss(hidden, snippets, root))
        result.scores["none", MAIN].add(hidden, [], root)
        for budget in BUDGETS:
            if budget != MAIN:
                more = index.snippets(hidden.document, hidden.offset, budget_tokens=budget, count=count)
                result.scores["coderls", budget].add(hidden, more, root)
            for contender, other in others.items():
                result.scores[contender, budget].add(hidden, other.context(hidden, budget, count), root)
        harder = without_imports(root, hidden.point)
        if harder is not None:
            index.update(harder.document)
            index.settle(10)
            snippets = index.snippets(harder.document, harder.offset, budget_tokens=MAIN, count=count)
            result.no_import.add(harder, snippets, root)
        result.no_import_all.add(harder or hidden, snippets, root)
    result.long_ms = _long_buffers(root, index, indexed, points, count)
    return result


def _in_turn(root: Path, index: RepositoryIndex, points: Sequence[Point]) -> Iterator[Hidden]:
    """The points file by file, each document open in the index while its points are asked for."""
    by_path: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        by_path[point.path].append(point)
    for path in sorted(by_path):
        first = hide(root, by_path[path][0])
        index.update(first.document)
        index.settle(10)
        for point in by_path[path]:
            hidden = hide(root, point)
            index.update(hidden.document)
            index.settle(10)  # nothing that was found in the document with this line in it counts any more
            yield hidden
        index.forget(first.document.uri)


def _keystroke(index: RepositoryIndex, hidden: Hidden, count: Count) -> float:
    """Milliseconds for the context after one more character at the same place."""
    typed = hidden.document.apply(Edit(hidden.offset, hidden.offset, hidden.line[:1] or "x"), 3)
    index.update(typed)
    began = time.perf_counter()
    index.snippets(typed, hidden.offset + 1, budget_tokens=MAIN, count=count)
    return (time.perf_counter() - began) * 1000


def _long_buffers(
    root: Path, index: RepositoryIndex, indexed: Sequence[str], points: Sequence[Point], count: Count
) -> list[float]:
    """Milliseconds in buffers of 5,000 lines, made of files of the project that stand one after another."""
    chooser = random.Random(len(points))
    ending = points[0].path.rpartition(".")[2]
    paths_ = [path for path in indexed if path.endswith("." + ending)]
    times: list[float] = []
    for number in range(4):
        rows: list[str] = []
        for path in chooser.sample(paths_, len(paths_)) * 50:
            rows += (root / path).read_bytes().decode("utf-8", "replace").split("\n")
            if len(rows) >= LONG_LINES:
                break
        place = root / points[0].path.rpartition("/")[0] / f"long_buffer_{number}.{ending}"
        text = "\n".join(rows[:LONG_LINES])
        document = Document(place.as_uri(), language_of(place) or "plaintext", 1, text, place)
        index.update(document)
        index.settle(20)
        for _ in range(10):
            offset = document.line_starts[chooser.randrange(len(document.line_starts))]
            document = document.apply(Edit(offset, offset, "    "), document.version + 1)
            index.update(document)
            began = time.perf_counter()
            index.snippets(document, offset + 4, budget_tokens=MAIN, count=count)
            times.append((time.perf_counter() - began) * 1000)
        index.forget(document.uri)
    return times


def _plant_copies(root: Path, points: Sequence[Point]) -> None:
    """A stale copy of each open file, as build folders and backups have them."""
    for path in sorted({point.path for point in points}):
        copy = root / _COPIES / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        rows = (root / path).read_bytes().split(b"\n")
        rows.insert(len(rows) // 2, b"")
        copy.write_bytes(b"\n".join(rows))


def _indexed(root: Path, index: RepositoryIndex) -> list[str]:
    """The files that the index may show, so that all contenders see the same."""
    return [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*"))
        if ".git" not in path.parts and path.is_file() and language_of(path) and index.is_allowed(path)
    ]


def _miss(hidden: Hidden, snippets: Sequence[Snippet], root: Path) -> str:
    missing = [
        f"{symbol.name} ({symbol.path}:{symbol.line + 1}, {symbol.kind})"
        for symbol in hidden.point.symbols
        if not found_symbols(snippets, [symbol], root)
    ]
    return f"{hidden.point.path}:{hidden.point.line + 1}: {hidden.line[:100]}  <- {', '.join(missing)}"


def report(results: Sequence[Result]) -> str:
    """The tables of BENCHMARKS.md."""
    lines = [
        "| project | points | definition recall at 1K / 2K / 4K / 8K | identifier coverage at 2K | leaks | twins "
        "| no import at 2K |",
        "| --- | ---: | --- | ---: | ---: | ---: | --- |",
    ]
    for result in [*results, *_pooled(results)]:
        ours = result.scores["coderls", MAIN]
        recalls = " / ".join(f"{result.scores['coderls', budget].recall:.1f}" for budget in BUDGETS)
        lines.append(
            f"| {result.name} | {ours.points} | {recalls} | {ours.coverage:.1f} | "
            f"{sum(result.scores['coderls', budget].leaks for budget in BUDGETS)} | {ours.twins} | "
            f"{result.no_import_all.recall:.1f} ({result.no_import.recall:.1f} of {result.no_import.points}) |"
        )
    lines += ["", "| pooled | contender | recall at 1K / 2K / 4K / 8K | coverage at 2K | twins |"]
    lines += ["| --- | --- | --- | ---: | ---: |"]
    for result in _pooled(results):
        for contender in ("none", "jaccard", "bm25", "coderls"):
            if (contender, MAIN) not in result.scores:
                continue
            main = result.scores[contender, MAIN]
            recalls = "0" if contender == "none" else ""
            recalls = recalls or " / ".join(f"{result.scores[contender, budget].recall:.1f}" for budget in BUDGETS)
            lines.append(f"| {result.name} | {contender} | {recalls} | {main.coverage:.1f} | {main.twins} |")
    lines += ["", "| milliseconds, p50 / p95 | at a new place | a key later | buffers of 5,000 lines |"]
    lines += ["| --- | --- | --- | --- |"]
    for result in [*results, *_pooled(results)]:
        times = (_times(values) for values in (result.build_ms, result.keystroke_ms, result.long_ms))
        lines.append(f"| {result.name}, {result.files} files | {' | '.join(times)} |")
    return "\n".join(lines)


def _times(values: Sequence[float]) -> str:
    return f"{percentile(values, 50):.1f} / {percentile(values, 95):.1f}" if values else ""


def _pooled(results: Sequence[Result]) -> list[Result]:
    """One sum over the Python projects and one over the others, where there are any."""
    sums = []
    for name, wanted in (("Python, pooled", True), ("TypeScript, pooled", False)):
        group = [result for result in results if (result.language == "python") is wanted]
        if not group:
            continue
        total = Result(name, "", sum(result.files for result in group))
        for result in group:
            for key, score in result.scores.items():
                total.scores[key] += score
            total.no_import += result.no_import
            total.no_import_all += result.no_import_all
            total.build_ms += result.build_ms
            total.keystroke_ms += result.keystroke_ms
            total.long_ms += result.long_ms
        sums.append(total)
    return sums


def _give_time() -> None:
    """What is found must not depend on what else the machine does."""
    defaults = candidates.find.__kwdefaults__ or {}
    defaults["limit_s"] = 30.0
    retrieve._BINDINGS_S = 10.0


def tokenizer(path: Path | None) -> tuple[Count, str]:
    """How tokens are counted, and its name: a tokenizer.json, the embedded model's, or an estimate."""
    file = path or store.nano_dir().path / "tokenizer.json"
    if path is not None or file.is_file():
        return Tokenizer.from_file(file).count, str(path) if path else "the embedded model's tokenizer"
    return lambda text: -(-len(text.encode()) // 3), f"3 bytes a token, as {paths.models_dir()} has no model"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", type=Path, nargs="+", metavar="POINTS.json")
    parser.add_argument("--tokenizer", type=Path, metavar="FILE", help="a tokenizer.json to count tokens with")
    parser.add_argument("--limit", type=int, default=10_000, metavar="N", help="points of each file")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--no-copies", action="store_true", help="plant no stale copies of the open files")
    parser.add_argument("--unhurried", action="store_true", help="no retriever is left out for being late: busy cores")
    parser.add_argument("--misses", action="store_true", help="print the points at which something is missing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all sums here")
    args = parser.parse_args(arguments)
    if args.unhurried:
        _give_time()
    count, counted_by = tokenizer(args.tokenizer)
    results = []
    try:
        for path in args.points:
            points = load(path)
            print(f"{points.name}: {len(points.points)} points", file=sys.stderr)
            results.append(
                measure(points, count, baselines=not args.no_baselines, limit=args.limit, copies=not args.no_copies)
            )
    except SourceError as error:
        print(f"context_recall: {error}", file=sys.stderr)
        return 1
    if args.misses:
        print("\n".join(miss for result in results for miss in result.missed))
    print(report(results))
    print(f"\nTokens by {counted_by}. {describe(('coderls', 'tree-sitter'))}.")
    if args.json:
        rows = [
            {"project": result.name, "contender": key[0], "budget": key[1], **asdict(score)}
            for result in results
            for key, score in result.scores.items()
        ]
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
