"""How the index scales: `python -m benchmarks.index_scale [--files 100000] [--keep DIR]`.

Two repositories: the source distribution of django 5.2, and a tree of many files made by copying it. Each copied file
gets a comment with the number of its copy, so that no two hold the same bytes: nothing is read once for two files.
Every measurement is a process of its own:

    cold    no database yet. Files per second of wall time and of processor time, memory
    warm    the same again: listing, comparing stamps, loading the records
    edit    from `update` of a changed open document, or `refresh` of a changed file, until a name in it is found
    ask     `snippets` at the middle of random files: for each the first time, and again

Memory is the resident set of the process, with Python, the grammars and all. The files are in the page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import cores, describe, percentile, wait_for_idle
from coderls.document import Document
from coderls.garbage import look_seldom, set_aside
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.languages import by_path
from coderls.repo_context.parse import language_of
from devtools.sdists import Sdist, project

DJANGO = Sdist("Django", "5.2", "1a47f7a7a3d43ce64570d350e008d2949abe8c7e21737b351b6a1611277c6d89")
SEED = 20261122
EDITS = 30
ASKED = 100
BUDGET = 2_000
_BACKGROUND_S = 120.0


def main() -> int:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=100_000, help="files of the copied tree; 0: only django")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make the copied tree here, and leave it there")
    parser.add_argument("--idle-limit", type=float, default=60.0, help="seconds to wait for idle cores")
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(MEASURES[args.measure](args.folder, args.cache)))
        return 0
    rows = []
    with _scratch(args.keep) as scratch:
        django = project(DJANGO, say=_say)
        rows.append(("django 5.2", _measure_all(django, scratch / "cache", args.idle_limit)))
        if args.files:
            tree = _copied(django, scratch / f"tree-{args.files}", args.files)
            rows.append((f"{args.files:,} copied files", _measure_all(tree, scratch / "cache", args.idle_limit)))
    _show(rows)
    return 0


# One measurement, in a process of its own.


def _cold(folder: Path, cache: Path) -> dict[str, Any]:
    with closing(RepositoryIndex([folder], cache=cache)) as index:
        return _timed_build(index)


def _timed_build(index: RepositoryIndex) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    index.build()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    stats = index.stats()
    return {
        "files": stats.files,
        "definitions": stats.definitions,
        "wall_s": wall,
        "cpu_s": cpu,
        "rss_mb": psutil.Process().memory_info().rss / 1e6,
        "peak_mb": _peak_mb(),
        "notes": list(stats.notes),
    }


def _peak_mb() -> float:
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 1e6
    import resource  # noqa: PLC0415 - not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def _ready(index: RepositoryIndex) -> None:
    """As it is in an editor a while after its start."""
    index.build()
    index.settle(_BACKGROUND_S)  # the windows of similar code are read after the definitions
    look_seldom()
    set_aside()


def _edit(folder: Path, cache: Path) -> dict[str, Any]:
    with closing(RepositoryIndex([folder], cache=cache)) as index:
        _ready(index)
        found: dict[str, Any] = {}
        for label, lines in (("open_760", 760), ("open_5000", 5_000)):
            path, text = _of_length(folder, lines)
            document = Document(path.as_uri(), "python", 0, text, path)
            index.update(document)
            index.settle(30)
            times = []
            for number in range(EDITS):
                name = f"zz_{label}_{number}"
                document = Document(document.uri, "python", number + 1, f"{text}\n\ndef {name}(): ...\n", path)
                times.append(_until_found(index, name, partial(index.update, document)))
            index.forget(document.uri)
            found[label] = times
        path = folder / "zz_edited_by_the_benchmark.py"
        try:
            times = []
            for number in range(EDITS):
                name = f"zz_disk_{number}"
                path.write_text(f"def {name}(): ...\n" + "x = 1\n" * 700)
                times.append(_until_found(index, name, partial(index.refresh, path)))
            found["disk"] = times
        finally:
            path.unlink(missing_ok=True)
        return found


def _of_length(folder: Path, lines: int) -> tuple[Path, str]:
    """A source file and a text of so many lines for its buffer: the longest sources, one after another."""
    longest = sorted(folder.rglob("django/db/**/*.py"), key=lambda path: -path.stat().st_size)[:6]
    text = "".join(path.read_text(encoding="utf-8") for path in longest).splitlines(keepends=True)
    while not text[lines].startswith(("def ", "class ")):  # a text that parses
        lines -= 1
    return longest[0], "".join(text[:lines])


def _until_found(index: RepositoryIndex, name: str, act: Callable[[], None]) -> float:
    """Milliseconds from `act` until the index knows `name`."""
    began = time.perf_counter()
    act()
    while not index.finds(name):
        time.sleep(0.0005)
        if time.perf_counter() - began > 30:
            raise TimeoutError(f"{name} was not found within 30 s")
    took = (time.perf_counter() - began) * 1000
    index.settle(30)
    return took


def _ask(folder: Path, cache: Path) -> dict[str, Any]:
    with closing(RepositoryIndex([folder], cache=cache)) as index:
        _ready(index)
        paths = sorted(path for path in folder.rglob("*.py") if path.stat().st_size > 500)
        first: list[float] = []
        again: list[float] = []
        for path in random.Random(SEED).sample(paths, min(ASKED, len(paths))):
            text = path.read_text(encoding="utf-8", errors="replace")
            document = Document(path.as_uri(), language_of(path) or "plaintext", 1, text, path)
            index.update(document)
            index.settle(30)
            for times in (first, again):
                began = time.perf_counter()
                index.snippets(document, len(text) // 2, budget_tokens=BUDGET, count=lambda part: len(part) // 3)
                times.append((time.perf_counter() - began) * 1000)
            index.forget(document.uri)
        return {"first": first, "again": again, "rss_mb": psutil.Process().memory_info().rss / 1e6}


MEASURES: dict[str, Callable[[Path, Path], dict[str, Any]]] = {"cold": _cold, "warm": _cold, "edit": _edit, "ask": _ask}


# All of them.


def _measure_all(folder: Path, cache: Path, idle_limit: float) -> dict[str, dict[str, Any]]:
    shutil.rmtree(cache, ignore_errors=True)
    results: dict[str, dict[str, Any]] = {}
    for name in MEASURES:
        if not wait_for_idle(idle_limit):
            _say("the cores were not idle: these times are too long")
        _say(f"{name}: {folder.name}")
        command = [sys.executable, "-m", "benchmarks.index_scale", "--measure", name]
        command += ["--folder", str(folder), "--cache", str(cache)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        results[name] = json.loads(done.stdout)
        _say(done.stdout[:300].strip())
    results["disk"] = {"bytes": sum(file.stat().st_size for file in cache.iterdir())}
    return results


def _copied(source: Path, target: Path, count: int) -> Path:
    """A repository of `count` source files, all of them different, known to git."""
    if (target / ".git").exists():
        return target
    _say(f"copying {count:,} files to {target}")
    files = sorted(path for path in source.rglob("*") if path.is_file() and _is_source(path.relative_to(source)))
    for number in range(count):
        path = files[number % len(files)]
        copy = number // len(files)
        place = target / f"copy_{copy:03}" / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        mark = "#" if path.suffix == ".py" else "//"
        place.write_bytes(path.read_bytes() + f"\n{mark} copy {copy}\n".encode())
        old = time.time() - 3_600
        os.utime(place, (old, old))  # else the index takes them for changed a moment ago
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", "-C", str(target), *command], check=True, stdin=subprocess.DEVNULL)
    return target


def _is_source(path: Path) -> bool:
    return by_path(path) is not None and not path.name.endswith(".min.js") and ".git" not in path.parts


@contextmanager
def _scratch(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="coderls-index-") as folder:
        yield Path(folder).resolve()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _show(rows: list[tuple[str, dict[str, dict[str, Any]]]]) -> None:
    names = [name for name, _ in rows]
    print("| | " + " | ".join(names) + " | to reach |")
    print("| --- |" + " ---: |" * (len(names) + 1))
    for label, goal, value in LINES:
        print(f"| {label} | " + " | ".join(value(results) for _, results in rows) + f" | {goal} |")
    print()
    print(f"{describe(('coderls', 'tree-sitter'))}; seed {SEED}, {cores()} cores.")
    for name, results in rows:
        for note in results["cold"]["notes"]:
            print(f"{name}: {note}")


def _two(times: list[float]) -> str:
    return f"{percentile(times, 50):,.1f} / {percentile(times, 95):,.1f}"


#: A line of the table: what, the goal, and how it is shown.
LINES: list[tuple[str, str, Callable[[dict[str, dict[str, Any]]], str]]] = [
    ("files; definitions", "", lambda r: f"{r['cold']['files']:,}; {r['cold']['definitions']:,}"),
    ("cold index, seconds", "", lambda r: f"{r['cold']['wall_s']:,.1f}"),
    ("cold, files per second", "", lambda r: f"{r['cold']['files'] / r['cold']['wall_s']:,.0f}"),
    ("cold, files per second of processor", "700", lambda r: f"{r['cold']['files'] / r['cold']['cpu_s']:,.0f}"),
    ("warm start, seconds", "1 for 3,000 files", lambda r: f"{r['warm']['wall_s']:,.2f}"),
    ("memory after the cold index, MB (peak)", "250 for 100,000",
     lambda r: f"{r['cold']['rss_mb']:,.0f} ({r['cold']['peak_mb']:,.0f})"),
    ("memory after a warm start, MB (peak)", "250 for 100,000",
     lambda r: f"{r['warm']['rss_mb']:,.0f} ({r['warm']['peak_mb']:,.0f})"),
    ("memory after 100 questions, MB", "250 for 100,000", lambda r: f"{r['ask']['rss_mb']:,.0f}"),
    ("database, MB", "", lambda r: f"{r['disk']['bytes'] / 1e6:,.1f}"),
    ("edit of 760 open lines to searchable, ms (p50 / p95)", "50", lambda r: _two(r["edit"]["open_760"])),
    ("edit of 5,000 open lines to searchable, ms", "", lambda r: _two(r["edit"]["open_5000"])),
    ("file of 700 lines changed on disk to searchable, ms", "50", lambda r: _two(r["edit"]["disk"])),
    ("context at a new place, ms", "10 / 50", lambda r: _two(r["ask"]["first"])),
    ("context there again, ms", "10 / 50", lambda r: _two(r["ask"]["again"])),
]  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
