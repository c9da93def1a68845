"""`coderls replay FILE`: a recorded completion, made again."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from coderls.cli.options import settings_of
from coderls.cli.progress import Progress
from coderls.engine.launch import connect_or_start
from coderls.errors import RecordBroken
from coderls.question import load_fim_model
from coderls.records.record import Record, identity_of, read_record, written
from coderls.records.recorder import fingerprint_of, records_in
from coderls.records.reduced import as_test
from coderls.records.replay import Replay, replay_live, replay_recorded
from coderls.repo_context.parse import parse_file
from coderls.settings import Settings

#: Exit codes: something else came of a record, and nothing can be said because something else is not the same either.
OTHER, NO_VERDICT = 1, 3


def run(args: argparse.Namespace) -> int:
    """Replay and say what came; returns the exit code. Raises CoderlsError."""
    files = [file for given in args.files for file in (records_in(given) if os.path.isdir(given) else [given])]
    if not files:
        raise RecordBroken(f"There are no records in {args.files[0]}.", "`coderls --record DIR` writes them.")
    records = [read_record(file) for file in files]
    if args.as_test is not None:
        return _write_test(args.as_test, records)
    outcomes = asyncio.run(_replay(records, settings_of(args) if args.live else None))
    if args.json:
        print(json.dumps([_as_json(file, outcome) for file, outcome in zip(files, outcomes, strict=True)], indent=2))
    else:
        for file, record, outcome in zip(files, records, outcomes, strict=True):
            print(told(file, record, outcome))
    verdicts = {outcome.verdict for outcome in outcomes}
    return OTHER if "other" in verdicts else NO_VERDICT if "none" in verdicts else 0


async def _replay(records: Sequence[Record], live: Settings | None) -> list[Replay]:
    """Each of the records; `live`: with the engine of these settings."""
    if live is None:
        return [await replay_recorded(record, parse_file) for record in records]
    with Progress() as progress:
        client = await connect_or_start(live.engine, progress)
    try:
        health = await client.health()
        fim = load_fim_model(health)
        identity = identity_of(health, await asyncio.to_thread(fingerprint_of, health))
        return [await replay_live(record, client, fim, identity, parse_file) for record in records]
    finally:
        await client.aclose()


def _write_test(target: Path, records: Sequence[Record]) -> int:
    text = written(asyncio.run(as_test(records[0], parse_file)))
    try:
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise RecordBroken(f"{target} cannot be written: {error.strerror or error}.", "Name a new file.") from error
    print(
        f"{target} holds the test. Look through it (there is code in it), write into `shown` what should come, and put "
        "it into tests/records/cases: every file there is replayed."
    )
    return 0


def told(file: Path, record: Record, outcome: Replay) -> str:
    """The outcome in words, and what was decided on the way."""
    place = record.place
    line = place.first_line + place.text.count("\n", 0, place.offset) + 1
    facts = (place.path, f"line {line}", record.identity.model or "no model named", record.at)
    lines = [f"{file.name}: {', '.join(fact for fact in facts if fact)}"]
    for number, decision in enumerate(outcome.decisions, 1):
        said = f"said {_brief(decision.said)}" + (f", then failed: {decision.error}" if decision.error else "")
        steps = [said, f"wanted {_brief(decision.wanted)}"] if not decision.error else [said]
        if not decision.error:
            steps.append("nothing of worth" if decision.inserted is None else f"made {_brief(decision.inserted)}")
        if decision.inserted is not None:
            broken = "withheld: it would break the file"
            steps.append(broken if decision.kept is None else f"kept {_brief(decision.kept)}")
        lines.append(f"  answer {number}: " + "; ".join(steps))
    lines += [f"  differs: {fault}" for fault in outcome.faults]
    lines += [f"  not as then: {note}" for note in outcome.notes]
    verdicts = {"same": "the same came of it", "other": "something else came of it", "none": "no verdict"}
    return "\n".join([*lines, f"  {verdicts[outcome.verdict]}"])


def _brief(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:57]!r}..."


def _as_json(file: Path, outcome: Replay) -> dict[str, Any]:
    return {"file": str(file), "verdict": outcome.verdict, **asdict(outcome)}
