"""What `coderls repair` found, as lines for people and as JSON for scripts. Lines and columns count from 1."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coderls.document import Document
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.pipeline import Outcome, Repair


@dataclass(frozen=True)
class Finding:
    """One complaint of a version of a file, and the best repair of it, or why there is none.

    `place`: where it was before anything was repaired; -1: it came to light by a repair.
    """

    document: Document
    diagnostic: Diagnostic
    outcome: Outcome | None
    applied: bool = False
    #: The finding that has the same repair and was told before.
    like: Finding | None = None
    place: int = 0

    def is_same_repair(self, other: Finding) -> bool:
        """Whether one repair mends both: the same edits of the same version."""
        if self.repair is None or other.repair is None or self.document is not other.document:
            return False
        return self.repair.candidate.edits == other.repair.candidate.edits

    @property
    def repair(self) -> Repair | None:
        """The best of the verified ones."""
        return self.outcome.repairs[0] if self.outcome is not None and self.outcome.repairs else None


@dataclass
class FileReport:
    """What was found in one file. `silent` are sentences about checkers that could not say anything.

    `asked` are the names of those that did, `not_found` of those that would be asked if they were there, `untrusted` of
    those that are there and would be asked in a trusted folder.
    """

    path: Path
    findings: list[Finding] = field(default_factory=list)
    silent: tuple[str, ...] = ()
    error: str = ""
    asked: tuple[str, ...] = ()
    not_found: tuple[str, ...] = ()
    untrusted: tuple[str, ...] = ()
    warnings_left_out: int = 0
    written: bool = False

    @property
    def ordered(self) -> list[Finding]:
        """As they stand in the file; what came to light later is at the end."""
        later = [one for one in self.findings if one.place < 0]
        return sorted((one for one in self.findings if one.place >= 0), key=lambda one: one.place) + later

    @property
    def complaints(self) -> int:
        """How many there were before anything was repaired."""
        return sum(finding.place >= 0 for finding in self.findings)

    @property
    def repaired(self) -> int:
        """Of these, the ones with a verified repair."""
        return sum(finding.repair is not None and finding.place >= 0 for finding in self.findings)

    @property
    def came_to_light(self) -> int:
        """Complaints that nobody could see before something was repaired."""
        return len(self.findings) - self.complaints

    @property
    def applied(self) -> int:
        """Complaints whose repair was written to the file."""
        return sum(finding.applied for finding in self.findings)


def as_json(reports: Sequence[FileReport], *, unverified: bool) -> dict[str, Any]:
    """All of it."""
    return {
        "files": [
            {
                "path": str(report.path),
                "complaints": [_finding_json(finding, unverified) for finding in report.ordered],
                "asked": list(report.asked),
                "not_found": list(report.not_found),
                "untrusted": list(report.untrusted),
                "warnings_left_out": report.warnings_left_out,
                "silent": list(report.silent),
                "error": report.error or None,
            }
            for report in reports
        ],
        "failed": sum(bool(report.error) for report in reports),
        "complaints": sum(report.complaints for report in reports),
        "came_to_light": sum(report.came_to_light for report in reports),
        "repaired": sum(report.repaired for report in reports),
        "applied": sum(report.applied for report in reports),
    }


def summary(reports: Sequence[FileReport], *, errors_only: bool = False) -> str:
    """The last line."""
    complaints, later = sum(report.complaints for report in reports), sum(report.came_to_light for report in reports)
    failed = sum(bool(report.error) for report in reports)
    broken = f" {_count(failed, 'file')} could not be read." if failed else ""
    hidden = sum(report.warnings_left_out for report in reports)
    left_out = f" ({_count(hidden, 'warning')} not shown)" if hidden else ""
    if not complaints:
        nothing = "No errors" if errors_only else "No complaints"
        return f"{nothing}{left_out} in {_count(len(reports) - failed, 'file')} ({_who(reports)}).{broken}"
    repaired, applied = sum(report.repaired for report in reports), sum(report.applied for report in reports)
    end = f"{applied} applied" if applied else "nothing was changed (--apply writes them)" if repaired else ""
    found = f"{_count(complaints, 'complaint')}{left_out} in {_count(len(reports), 'file')}"
    found = f"{found}, {repaired} with a verified fix ({_who(reports)})"
    end += f", {later} more came to light" if later else ""
    return f"{found}; {end}.{broken}" if end else f"{found}.{broken}"


def not_asked(reports: Sequence[FileReport]) -> Iterator[str]:
    """What kept checkers from saying anything, each sentence once, with the file or how many there are."""
    of_files: dict[str, list[Path]] = {}
    for report in reports:
        for sentence in report.silent:
            of_files.setdefault(sentence, []).append(report.path)
    for sentence, paths in of_files.items():
        more = f" and {_count(len(paths) - 1, 'other file')}" if len(paths) > 1 else ""
        yield f"{sentence} ({paths[0]}{more})"


def written(reports: Sequence[FileReport]) -> str:
    """Which files were written, for one who stopped the command."""
    names = [str(report.path) for report in reports if report.written]
    return f"Written before that: {', '.join(names)}." if names else "Nothing was written."


def _who(reports: Sequence[FileReport]) -> str:
    """Who had a word in it, and who was not there to be asked."""
    asked = list(dict.fromkeys(name for report in reports for name in report.asked))
    missing = list(dict.fromkeys(name for report in reports for name in report.not_found))
    untrusted = list(dict.fromkeys(name for report in reports for name in report.untrusted))
    said = f"asked: {', '.join(asked)}" if asked else "nobody could be asked"
    if asked == ["parse"]:
        said = "asked: parse only"
    said += f"; with --trust also: {', '.join(untrusted)}" if untrusted else ""
    return f"{said}; not found: {', '.join(missing)}" if missing else said


def finding_lines(path: Path, finding: Finding, *, unverified: bool) -> Iterator[str]:
    """One finding, for a terminal. A repair that was told before is only named."""
    line, column = _position(finding.document, finding.diagnostic.start)
    said = " ".join(finding.diagnostic.message.split())
    name = f"{finding.diagnostic.source} {finding.diagnostic.rule}".strip()
    yield f"{path}:{line}:{column}: {said} ({name})"
    repair = finding.repair
    if repair is not None and finding.like is not None:
        line, column = _position(finding.like.document, finding.like.diagnostic.start)
        yield f"    fix: the one of {line}:{column} mends this, too"
    elif repair is not None:
        yield f"    {'applied' if finding.applied else 'fix'}: {repair.title}, verified by {repair.proved_by}"
        yield from (f"      {line}" for line in _changes(repair.candidate.original, repair.candidate.text))
        yield from (f"      {sentence}" for sentence in repair.evidence)
    elif finding.outcome is not None:
        yield f"    {finding.outcome.sentence()}"
        for guess in finding.outcome.guesses:
            yield f"    Guess: {guess.title} (passes {guess.proved_by})"
            yield from (f"      {line}" for line in _changes(guess.candidate.original, guess.candidate.text))
        for candidate, reason in finding.outcome.unverified if unverified else ():
            yield f"    Unverified: {candidate.title} ({reason})"
            yield from (f"      {line}" for line in _changes(candidate.original, candidate.text))


def _finding_json(finding: Finding, unverified: bool) -> dict[str, Any]:
    document, diagnostic, repair = finding.document, finding.diagnostic, finding.repair
    line, column = _position(document, diagnostic.start)
    end_line, end_column = _position(document, diagnostic.end)
    facts: dict[str, Any] = {
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "message": diagnostic.message,
        "severity": diagnostic.severity.name.lower(),
        "source": diagnostic.source,
        "rule": diagnostic.rule,
        "repair": None,
        "why_not": None,
        "applied": finding.applied,
        "came_to_light": finding.place < 0,
    }
    if repair is not None:
        facts["repair"] = _repair_json((finding.like or finding).document, repair)
    elif finding.outcome is not None:
        facts["why_not"] = finding.outcome.sentence()
        facts["guesses"] = [_repair_json(document, guess) for guess in finding.outcome.guesses]
        if unverified:
            facts["unverified"] = [
                {
                    "title": candidate.title,
                    "reason": reason,
                    "edits": [_edit_json(document, edit.start, edit.end, edit.new_text) for edit in candidate.edits],
                }
                for candidate, reason in finding.outcome.unverified
            ]
    return facts


def _repair_json(document: Document, repair: Repair) -> dict[str, Any]:
    return {
        "title": repair.title,
        "origin": repair.candidate.origin,
        "checked_by": list(repair.verdict.checked_by),
        "evidence": list(repair.evidence),
        "tokens_changed": repair.candidate.tokens_changed,
        "edits": [_edit_json(document, edit.start, edit.end, edit.new_text) for edit in repair.candidate.edits],
    }


def _edit_json(document: Document, start: int, end: int, new_text: str) -> dict[str, Any]:
    (line, column), (end_line, end_column) = _position(document, start), _position(document, end)
    return {"line": line, "column": column, "end_line": end_line, "end_column": end_column, "new_text": new_text}


def _changes(before: str, after: str) -> Iterator[str]:
    """The changed lines, old ones with a minus and new ones with a plus."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return (line for line in lines if not line.startswith(("---", "+++", "@@")))


def _position(document: Document, offset: int) -> tuple[int, int]:
    line = document.line_of(offset)
    return line + 1, offset - document.line_starts[line] + 1


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
