"""The data card: what a corpus holds, by language, licence, origin and project, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


def render(rows: Sequence[Mapping[str, Any]], left_out: Mapping[str, int], most_projects: int = 400) -> str:
    """The card as Markdown. `rows` are those of the manifest; `left_out` counts files by reason."""
    parts = ["# Data card\n", _total(rows)]
    for title, key in (("Language", "language"), ("Licence", "licence"), ("Origin", "origin")):
        parts += [_table(title, rows, key)]
    parts.append(_reasons(left_out))
    parts.append(_projects(rows, most_projects))
    return "\n".join(parts)


def _total(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| split | projects | files | characters |", "| --- | ---: | ---: | ---: |"]
    for split in ("train", "validation", "held-out"):
        mine = [row for row in rows if row["split"] == split]
        projects = len({row["project"] for row in mine})
        lines.append(f"| {split} | {projects} | {len(mine):,} | {sum(row['characters'] for row in mine):,} |")
    return "\n".join(lines) + "\n"


def _table(title: str, rows: Sequence[Mapping[str, Any]], key: str) -> str:
    files: Counter[str] = Counter(row[key] for row in rows)
    characters: Counter[str] = Counter()
    for row in rows:
        characters[row[key]] += row["characters"]
    lines = [f"| {title.lower()} | files | characters |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {files[name]:,} | {count:,} |" for name, count in characters.most_common()]
    return f"## {title}\n\n" + "\n".join(lines) + "\n"


def _reasons(left_out: Mapping[str, int]) -> str:
    lines = ["| files left out because | files |", "| --- | ---: |"]
    lines += [f"| {reason} | {count:,} |" for reason, count in sorted(left_out.items(), key=lambda item: -item[1])]
    return "## Left out\n\n" + "\n".join(lines) + "\n"


def _projects(rows: Sequence[Mapping[str, Any]], most: int) -> str:
    characters: Counter[tuple[str, str, str, str]] = Counter()
    for row in rows:
        characters[(row["project"], row["version"], row["licence"], row["split"])] += row["characters"]
    lines = ["| project | version | licence | split | characters |", "| --- | --- | --- | --- | ---: |"]
    for (project, version, licence, split), count in characters.most_common(most):
        lines.append(f"| {project} | {version} | {licence} | {split} | {count:,} |")
    if len(characters) > most:
        lines.append(f"| {len(characters) - most} more | | | | |")
    return "## Projects\n\n" + "\n".join(lines) + "\n"
