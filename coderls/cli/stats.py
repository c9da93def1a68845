"""`coderls stats`: how the completions of the last weeks fared."""

from __future__ import annotations

import argparse
import json
import sqlite3
from dataclasses import asdict
from typing import Any

from coderls.errors import CoderlsError
from coderls.stats import Stats, Summary, stats_file

HELP = "how completions fared: shown, taken, kept (all of it stays on this machine)"


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser: argparse.ArgumentParser = subparsers.add_parser("stats", help=HELP, description=HELP)
    parser.add_argument("--days", type=_days, default=30.0, help="how far back to look (default: 30)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--clear", action="store_true", help="forget everything")
    parser.set_defaults(run=run)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days < 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days")
    return days


def run(args: argparse.Namespace) -> int:
    """Print the summary. Raises CoderlsError when the file cannot be read."""
    stats = Stats()
    try:
        if args.clear:
            stats.clear()
            print("Forgotten.")
            return 0
        summary = stats.summary(args.days)
    except (sqlite3.Error, OSError) as error:
        raise CoderlsError(
            f"{stats_file()} cannot be read: {error}.", "Remove it, or run `coderls stats --clear`."
        ) from error
    print(json.dumps(asdict(summary)) if args.json else described(summary, args.days))
    return 0


def described(summary: Summary, days: float) -> str:
    """The summary in words."""
    edits, taken, rejected = summary.next_edits
    of_edits = [f"  next edits    {edits} shown, {taken} taken, {rejected} rejected"] if edits else []
    if not summary.shown:
        return "\n".join([f"No completion was shown in the last {days:g} days.", *of_edits])
    taken = summary.accepted + summary.partly
    lines = [
        f"Last {days:g} days: {summary.shown} {'completion' if summary.shown == 1 else 'completions'} shown.",
        f"  taken         {taken} ({_percent(taken / summary.shown)}), {summary.partly} of them in part; "
        f"{summary.characters} characters",
        f"  rejected      {summary.rejected} ({_percent(summary.rejected / summary.shown)})",
        f"  without model {_percent(summary.without_model)}",
        f"  answered in   {summary.p50_ms or 0:.0f} ms (median), {summary.p95_ms or 0:.0f} ms (95%)",
    ]
    kept = [f"{_percent(share)} after {seconds} s" for seconds, share in summary.kept.items() if share is not None]
    if kept:
        lines.append(f"  kept          {', '.join(kept)}")
    lines += [f"  {language:<13} {of} of {shown} taken" for language, (shown, of) in summary.by_language.items()]
    return "\n".join([*lines, *of_edits])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.0f}%"
