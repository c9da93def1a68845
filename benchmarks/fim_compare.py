"""Two runs of `benchmarks.fim_quality` on the same points or tasks: what only one of them does, and by a sign test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.shares import Share, sign_test
from coderls.errors import CoderlsError


def compare(one: Path, other: Path) -> str:
    """A Markdown table. Raises CoderlsError where a file holds no results, or the two have nothing in common."""
    mine, theirs = _exact(one), _exact(other)
    lines = ["| | points | exact, first | exact, second | only first | only second | p |"]
    lines.append("| --- | ---: | --- | --- | ---: | ---: | ---: |")
    for group in dict.fromkeys(group for group, _ in mine):
        shared = [key for key in mine if key[0] == group and key in theirs]
        if not shared:
            continue
        first, second = sum(mine[key] for key in shared), sum(theirs[key] for key in shared)
        only, only_other = first - _both(mine, theirs, shared), second - _both(mine, theirs, shared)
        p = sign_test(only, only_other).p
        shares = f"{Share(first, len(shared))} | {Share(second, len(shared))}"
        lines.append(f"| {group} | {len(shared)} | {shares} | {only} | {only_other} | {p:.3g} |")
    if len(lines) == 2:
        raise CoderlsError(f"{one.name} and {other.name} have no point in common.")
    return "\n".join(lines)


def _both(mine: dict[tuple[str, str], bool], theirs: dict[tuple[str, str], bool], keys: list[tuple[str, str]]) -> int:
    return sum(mine[key] and theirs[key] for key in keys)


def _exact(path: Path) -> dict[tuple[str, str], bool]:
    """Whether each point came out exactly (HumanEval also: passed), by group and name."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return {key: bool(value) for row in rows for key, value in _groups(row)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoderlsError(f"{path} holds no results: {error!r}.") from error


def _groups(row: dict[str, object]) -> Iterator[tuple[tuple[str, str], object]]:
    if "task" in row:
        yield ("HumanEval, exact", str(row["task"])), row["exact"]
        yield ("HumanEval, passed", str(row["task"])), row["passed"]
    else:
        context = "with context" if row["context"] else "without"
        yield (f"{row['kind']}s {context}", str(row["name"])), row["exact"]
        yield (f"all {context}", str(row["name"])), row["exact"]
