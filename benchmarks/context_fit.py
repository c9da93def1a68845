"""The weights of `coderls/repo_context/rank.py`: logistic regression on completion points.

    python -m benchmarks.context_fit POINTS.json [MORE.json ...]

Each candidate at each point is a row: what the ranker knows of it, and whether the hidden line needs it. Points whose
import only the hidden line uses are taken a second time without it. Projects weigh alike, however many candidates
they have. The shipped weights were fitted on points that `benchmarks.context_points` makes of flask 3.1.3,
werkzeug 3.1.3, rich 15.0.0, django 5.2, rxjs 7.8.2 and @theia/core 1.75.0 (200 each, its own seed).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.context_measure import Hidden, hide, without_imports
from benchmarks.context_points import PointFile, load
from benchmarks.context_sources import SourceError
from coderls.repo_context.candidates import Candidate, find
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.rank import WEIGHTS, features, with_neighbours

_PENALTY = 3.0
_STEPS = 60
Rows = npt.NDArray[np.float64]


def rows_of(points: PointFile) -> tuple[Rows, Rows]:
    """Features and labels of all candidates at all points of a project."""
    root = points.source.folder()
    index = RepositoryIndex([root], keep=False)
    names = list(WEIGHTS)
    rows: list[list[float]] = []
    labels: list[float] = []
    try:
        index.build()
        index.settle(120)
        for hidden in _documents(root, points):
            asker = index.asker(hidden.document, hidden.offset)
            if asker is None:
                continue
            for candidate, beside in with_neighbours(find(asker, limit_s=5.0), asker):
                found = features(candidate, asker, beside)
                rows.append([found.get(name, 0.0) for name in names])
                labels.append(float(_is_needed(candidate, hidden)))
    finally:
        index.close()
    return np.array(rows), np.array(labels)


def _documents(root: Path, points: PointFile) -> Iterator[Hidden]:
    for point in points.points:
        yield hide(root, point)
        harder = without_imports(root, point)
        if harder is not None:
            yield harder


def _is_needed(candidate: Candidate, hidden: Hidden) -> bool:
    definition = candidate.definition
    end = definition.start_line + definition.text.count("\n") + 1
    return any(
        symbol.path == candidate.path
        and (definition.start_line <= symbol.line < end or (symbol.name == definition.name and bool(definition.owner)))
        for symbol in hidden.point.symbols
    )


def fit(projects: Sequence[tuple[Rows, Rows]]) -> Rows:
    """Weights by damped Newton steps; the likelihood of each project counts alike."""
    rows = np.concatenate([project[0] for project in projects])
    labels = np.concatenate([project[1] for project in projects])
    needed = [max(1.0, project[1].sum()) for project in projects]
    mean = sum(needed) / len(needed)
    share = np.concatenate([np.full(len(p[1]), mean / n) for p, n in zip(projects, needed, strict=True)])
    weights = np.zeros(rows.shape[1])
    penalty = np.full(rows.shape[1], _PENALTY)
    penalty[list(WEIGHTS).index("bias")] = 0.0
    for _ in range(_STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(rows @ weights, -30, 30)))
        gradient = rows.T @ (share * (chance - labels)) + penalty * weights
        curve = (rows * (share * chance * (1 - chance))[:, None]).T @ rows + np.diag(penalty + 1e-6)
        step = np.linalg.solve(curve, gradient)
        weights -= step * min(1.0, 2.0 / max(1e-9, float(np.abs(step).max())))
        if float(np.abs(step).max()) < 1e-4:
            break
    unseen = ~rows.any(axis=0)  # of ways that these projects have no case of, nothing is learned
    weights[unseen] = np.array(list(WEIGHTS.values()))[unseen]
    return weights


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", type=Path, nargs="+", metavar="POINTS.json")
    args = parser.parse_args(arguments)
    projects = []
    try:
        for path in args.points:
            points = load(path)
            projects.append(rows_of(points))
            print(
                f"{points.name}: {len(projects[-1][1])} candidates, {int(projects[-1][1].sum())} needed",
                file=sys.stderr,
            )
    except SourceError as error:
        print(f"context_fit: {error}", file=sys.stderr)
        return 1
    weights = fit(projects)
    print("WEIGHTS: dict[str, float] = {")
    for name, weight in zip(WEIGHTS, weights, strict=True):
        print(f'    "{name}": {weight:.2f},')
    print("}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
