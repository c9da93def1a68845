"""Chooses of several deltas or models by exact match on the same held-out lines: one command for all of them.

    python -m benchmarks.fim_choose CORPUS OUT [CANDIDATE ...] [what benchmarks.fim_quality CORPUS takes]

A candidate is a delta, or the folder of a whole model. What ships is measured first, and is what the others have to
beat. OUT gets the results of each, and an interrupted run goes on from them. The one with the most exact points is
named; of equals the one that finds the hidden text likelier. It takes the place of what ships only where the sign test
says that it is better.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import fim_quality
from benchmarks.shares import Share, SignTest, sign_test
from coderls.errors import CoderlsError

SHIPS = "ships"
#: How unlikely the difference has to be where none is better.
_P = 0.05

Rows = Mapping[tuple[str, bool], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one candidate does on the points that all of them were asked."""

    name: str
    exact: Share
    stopped: float
    bits: float
    against: SignTest


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, choose and say why; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fim_choose", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("candidates", type=Path, nargs="*", metavar="CANDIDATE")
    args, rest = parser.parse_known_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    files: dict[str, Path] = {}
    for path in (None, *args.candidates):
        name = path.stem if path else SHIPS
        files[name] = args.out / f"{name}.json"
        which = [] if path is None else ["--model" if path.is_dir() else "--delta", str(path)]
        code = fim_quality.main([str(args.corpus), *which, "--json", str(files[name]), *rest])
        if code:
            return code
    try:
        print(report(judged({name: read(file) for name, file in files.items()})))
    except CoderlsError as error:
        print(f"fim_choose: {error}", file=sys.stderr)
        return 1
    return 0


def read(file: Path) -> Rows:
    """Rows by name and context. Raises CoderlsError."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
        return {(str(row["name"]), bool(row["context"])): row for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoderlsError(f"{file} holds no results of held-out lines: {error!r}.") from error


def judged(results: Mapping[str, Rows]) -> list[Candidate]:
    """All candidates, the best first. Raises CoderlsError where they have no point in common."""
    shared = set.intersection(*(set(rows) for rows in results.values()))
    if not shared:
        raise CoderlsError("The candidates have no point in common.", "Measure them with the same arguments.")
    ships = results[SHIPS]
    found = []
    for name, rows in results.items():
        mine = [rows[key] for key in shared]
        gained = sum(rows[key]["exact"] and not ships[key]["exact"] for key in shared)
        lost = sum(ships[key]["exact"] and not rows[key]["exact"] for key in shared)
        found.append(
            Candidate(
                name,
                Share(sum(row["exact"] for row in mine), len(mine)),
                sum(row["stopped"] for row in mine) / len(mine),
                sum(row["bits"] for row in mine) / max(1, sum(row["characters"] for row in mine)),
                sign_test(gained, lost),
            )
        )
    return sorted(found, key=lambda candidate: (-candidate.exact.count, candidate.bits))


def report(candidates: Sequence[Candidate]) -> str:
    """A Markdown table, and what to do."""
    lines = [
        "| candidate | exact | stops by itself | bits a character | gained | lost | p |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {one.name} | {one.exact} | {one.stopped:.1%} | {one.bits:.3f} | {one.against.gained} | {one.against.lost} "
        f"| {one.against.p:.3g} |"
        for one in candidates
    ]
    best = candidates[0]
    if best.name == SHIPS:
        return "\n".join([*lines, "\nNone is better than what ships."])
    sure = best.against.gained > best.against.lost and best.against.p < _P
    says = "it is better than what ships" if sure else "too few points tell it from what ships"
    return "\n".join([*lines, f"\n{best.name}: {says}."])


if __name__ == "__main__":
    sys.exit(main())
