"""Two runs of `benchmarks.fim_quality` on the same points or tasks: what only one of them does, and by a sign test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.shares import Share, sign_test
from coderls.errors import CoderlsError


def compare(one: Path, other: Path) -> str:
    """A Markdown table. Raises CoderlsError where a file holds no results, or the two have nothing in common."""
    mine, theirs = _flags(one), _flags(other)
    lines = [
        "| | points | first | second | only first | only second | p |",
        "| --- | ---: | --- | --- | ---: | ---: | ---: |",
    ]
    for group in dict.fromkeys(group for group, _ in mine):
        shared = [key for key in mine if key[0] == group and key in theirs]
        if not shared:
            continue
        first, second = sum(mine[key] for key in shared), sum(theirs[key] for key in shared)
        both = sum(mine[key] and theirs[key] for key in shared)
        p = sign_test(first - both, second - both).p
        shares = f"{Share(first, len(shared))} | {Share(second, len(shared))}"
        lines.append(f"| {group} | {len(shared)} | {shares} | {first - both} | {second - both} | {p:.3g} |")
    if len(lines) == 2:
        raise CoderlsError(f"{one.name} and {other.name} have no point in common.")
    return "\n".join([*lines, *_likelihoods(_rows(one), _rows(other))])


def _likelihoods(mine: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> Iterator[str]:
    """Bits per character of the same hidden texts, and how often each of the two found them the likelier."""
    others = {(row["name"], row["context"]): row for row in theirs if row.get("bits")}
    for context in (True, False):
        pairs = [
            (row, others[row["name"], context])
            for row in mine
            if row.get("bits") and row["context"] is context and (row["name"], context) in others
        ]
        if not pairs:
            continue
        first, second = (sum(pair[side]["bits"] for pair in pairs) for side in (0, 1))
        characters = sum(pair[0]["characters"] for pair in pairs)
        wins = sum(pair[0]["bits"] < pair[1]["bits"] for pair in pairs)
        losses = sum(pair[0]["bits"] > pair[1]["bits"] for pair in pairs)
        yield (
            f"\nbits per character {'with context' if context else 'without'}: {first / characters:.4f} and "
            f"{second / characters:.4f}; likelier by the first {wins} times, by the second {losses}: "
            f"{sign_test(wins, losses)}"
        )


def _flags(path: Path) -> dict[tuple[str, str], bool]:
    """What is true of each point, by group and name."""
    try:
        return {key: bool(value) for row in _rows(path) for key, value in _groups(row)}
    except (KeyError, TypeError) as error:
        raise CoderlsError(f"{path} holds no results: {error!r}.") from error


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["rows"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoderlsError(f"{path} holds no results: {error!r}.") from error


def _groups(row: dict[str, Any]) -> Iterator[tuple[tuple[str, str], object]]:
    if "task" in row:
        yield ("HumanEval, exact", str(row["task"])), row["exact"]
        yield ("HumanEval, passed", str(row["task"])), row["passed"]
        if "raw_exact" in row:  # older results have none
            yield ("HumanEval raw, exact", str(row["task"])), row["raw_exact"]
            yield ("HumanEval raw, passed", str(row["task"])), row["raw_passed"]
    else:
        context = "with context" if row["context"] else "without"
        yield (f"{row['kind']}s {context}, exact", str(row["name"])), row["exact"]
        yield (f"all {context}, exact", str(row["name"])), row["exact"]
        yield (f"all {context}, stops by itself", str(row["name"])), row["stopped"]
