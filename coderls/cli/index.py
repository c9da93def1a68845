"""`coderls index [FOLDER]`: read a repository now, and say what is in its index and what is not."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from coderls.cli.progress import Progress
from coderls.cli.target import project_of, workspace_of
from coderls.cli.visible import visible
from coderls.errors import WorkspaceError
from coderls.paths import cache_dir
from coderls.repo_context.databases import database_path
from coderls.repo_context.index import RepositoryIndex

#: `--why` says nothing of the reading where that is so quick (seconds).
QUICK_S = 2.0


def run(args: argparse.Namespace) -> int:
    """Build and print; exit code 1 when --why names a file that is not in the index. Raises WorkspaceError."""
    # A file in no project is asked about where the user is: nobody wants an index of /etc.
    folder = args.folder or (project_of(args.why) if args.why else None) or workspace_of(Path("x"))
    folder = folder.absolute()
    database = database_path(cache_dir() / "index", folder)
    if args.rebuild:
        _forget(database)
    index = RepositoryIndex([folder])
    try:
        with Progress(after_s=0.0 if args.why is None else QUICK_S) as progress:
            began = time.perf_counter()
            index.build(lambda _, fraction: progress(f"reading {folder.name}", fraction))
            took = time.perf_counter() - began
        if args.why is not None:
            return _say_why(index, args.why.absolute(), as_json=args.json)
        facts = _facts(index, folder, database, took)
    finally:
        index.close()
    facts["database_bytes"] = database.stat().st_size if database.is_file() else 0
    print(json.dumps(facts, indent=2, ensure_ascii=False) if args.json else _shown(facts))
    return 0


def _say_why(index: RepositoryIndex, path: Path, *, as_json: bool) -> int:
    verdict = index.why(path)
    if as_json:
        reason = verdict.reason.name.lower() if verdict.reason else None
        print(json.dumps({"file": str(path), "indexed": verdict.indexed, "reason": reason, "detail": verdict.detail}))
    else:
        print(f"{visible(str(path))} is {'in the index' if verdict.indexed else 'not in the index'}: {verdict.detail}.")
    return 0 if verdict.indexed else 1


def _facts(index: RepositoryIndex, folder: Path, database: Path, took: float) -> dict[str, Any]:
    stats, excluded = index.stats(), index.excluded()
    return {
        "folder": str(folder),
        "files": stats.files,
        "definitions": stats.definitions,
        "seconds": round(took, 3),
        "database": str(database),
        "excluded": [
            {
                "reason": reason.name.lower(),
                "what": reason.value,
                "files": count,
                "examples": excluded.examples.get(reason, []),
            }
            for reason, count in excluded.counts.most_common()
        ],
        "notes": list(stats.notes),
    }


def _shown(facts: dict[str, Any]) -> str:
    lines = [
        visible(facts["folder"]),
        f"  {facts['files']:,} files, {facts['definitions']:,} definitions, read in {facts['seconds']:.2f} s",
        f"  kept in {facts['database']} ({facts['database_bytes'] / 1e6:.1f} MB)",
    ]
    if facts["excluded"]:
        lines.append("Left out:")
    for entry in facts["excluded"]:
        examples = ", ".join(map(visible, entry["examples"][:3]))
        more = ", ..." if entry["files"] > len(entry["examples"][:3]) else ""
        lines.append(f"  {entry['files']:>7,}  {entry['what']}: {examples}{more}")
    lines += [f"Note: {visible(note)}" for note in facts["notes"]]
    lines.append("What git ignores is not counted. `coderls index --why FILE` says why a file is left out.")
    return "\n".join(lines)


def _forget(database: Path) -> None:
    try:
        for file in (database, Path(f"{database}-wal"), Path(f"{database}-shm")):
            file.unlink(missing_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{database} cannot be removed: {error}.", "Close editors that use it.") from error
