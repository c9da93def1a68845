"""ruff, over standard input. Its configuration is data and loads no code, so an untrusted project's is used too.

Format: `ruff check --output-format json` (docs.astral.sh/ruff/settings/#output-format): rows and columns count
characters from 1, and `end_location` is the first place not included.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from coderls.document import Document, Edit
from coderls.errors import CheckerFailed
from coderls.repair.checkers.checker import Fix, Report, Step
from coderls.repair.checkers.command import CommandChecker, parsed
from coderls.repair.checkers.places import Places
from coderls.repair.checkers.process import Done
from coderls.repair.diagnostic import Diagnostic, Severity

_SYNTAX = "invalid-syntax"
#: Ruff stops before the rest of its rules when it meets one of these.
_BLINDING = frozenset({_SYNTAX, "E999", None})
#: What surely fails where it runs: names that nobody defines, formats that do not fit, what Python itself refuses, and
#: what pylint calls an error (docs.astral.sh/ruff/rules).
_FATAL = re.compile(r"E9|F82[123]|F7|F50[1235-9]|F52[146]|F525|F62[12]|F633|F40[467]|PLE")
#: How ruff says that a file of its settings cannot be used, and the files that it names.
_CONFIGURATION = re.compile(
    r"[Ff]ailed to (?:parse|load|read|resolve|find)|configuration|TOML|pyproject\.toml|ruff\.toml"
)
_NAMED = re.compile(r"`([^`\n]*[/\\][^`\n]*)`|(?:parse|load|read) (\S*[/\\]\S+)")


class Ruff(CommandChecker):
    """The linter that most Python projects have."""

    name = "ruff"
    languages = frozenset({"python"})
    step = Step.LINT

    async def ask(self, document: Document, limit_s: float, others: Sequence[Document]) -> Report:
        path = document.path
        isolated = path is None or self.surroundings.folder is None
        # A project may say `fix = true`: then the fixed text would come in place of the report.
        arguments = ["check", "--no-cache", "--quiet", "--no-fix", "--output-format", "json"]
        arguments += ["--isolated"] if isolated else []
        done = await self.run([*arguments, "--stdin-filename", str(path or "untitled.py"), "-"], document, limit_s)
        if done.code not in (0, 1):
            raise CheckerFailed(_why(done))
        rows = parsed(self.name, done)
        places = Places(document.text, "utf-32")
        found = [(_diagnostic(row, places), row.get("fix")) for row in rows]
        fixes = [_fix(diagnostic, fix, places) for diagnostic, fix in found if fix and fix.get("edits")]
        blind = any(row.get("code") in _BLINDING for row in rows)
        return Report(self.name, tuple(one for one, _ in found), tuple(fixes), blind=blind)


def _why(done: Done) -> str:
    """Why it could not run. Of settings only the files' names are told: it quotes what is in them, and `extend` may
    name any file."""
    said = done.stderr or done.stdout
    if not _CONFIGURATION.search(said):
        return f"ruff ended with code {done.code}: {done.last_words}"
    paths = dict.fromkeys((one or other).rstrip(":,") for one, other in _NAMED.findall(said))
    return f"ruff cannot read its configuration{': ' if paths else ''}{', '.join(paths)}."


def _diagnostic(row: dict[str, Any], places: Places) -> Diagnostic:
    rule = row["code"] or _SYNTAX
    fatal = rule == _SYNTAX or row.get("severity") == "fatal" or _FATAL.match(rule)
    severity = Severity.ERROR if fatal else Severity.WARNING
    start, end = _offset(row["location"], places), _offset(row["end_location"], places)
    return Diagnostic(start, max(start, end), row["message"], severity, "ruff", rule)


def _fix(diagnostic: Diagnostic, fix: dict[str, Any], places: Places) -> Fix:
    edits = tuple(
        Edit(_offset(edit["location"], places), _offset(edit["end_location"], places), edit["content"])
        for edit in fix["edits"]
    )
    title = fix.get("message") or f"Apply ruff's fix for {diagnostic.rule}"
    return Fix(diagnostic, edits, title, safe=fix.get("applicability") == "safe")


def _offset(place: dict[str, int], places: Places) -> int:
    return places.offset(place["row"] - 1, place["column"] - 1)
