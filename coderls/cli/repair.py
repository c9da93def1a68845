"""`coderls repair FILE`: what the checkers complain about, and a verified fix for each complaint; `--check` for trees.

Exit codes: 0 nothing to repair is left, 1 it failed and said why, 2 wrong usage, 3 complaints are left and some have a
verified fix, 4 complaints are left and none has. With --check a file that cannot be read gives 1 only where nothing is
left in the others: 3 and 4 go first, and the summary counts it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from coderls.cli.options import settings_of
from coderls.cli.progress import Progress
from coderls.cli.repair_report import FileReport, Finding, as_json, finding_lines, not_asked, summary, written
from coderls.cli.repair_roll import Roll
from coderls.cli.target import language_id_of, lines_of, no_such_line, read_document, workspace_of
from coderls.cli.visible import visible
from coderls.cli.write_back import refuse_links_out, refuse_read_only, write_back
from coderls.document import Document
from coderls.errors import CoderlsError, DocumentError
from coderls.question import load_fim_model
from coderls.repair.candidate import Candidate
from coderls.repair.diagnostic import Diagnostic, Severity, is_superfluous, is_syntax, shifted
from coderls.repair.pipeline import Outcome, no_pause
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.workspace import Workspace
from coderls.session.heavy import Engine, connect
from coderls.session.workshop import Job, Workshop
from coderls.settings import Settings

CLEAN, FAILED, SOME_FIXED, NONE_FIXED = 0, 1, 3, 4
#: Rounds of "apply one, check again" in one file.
_MOST_ROUNDS = 200
#: A tree with more files is checked in parts.
MOST_FILES = 20_000


def run(args: argparse.Namespace) -> int:
    """Look for repairs and print them; returns the exit code. Raises CoderlsError."""
    settings = settings_of(args)
    files, root = _files(args)
    reports = [FileReport(path) for path in files]
    try:
        with Progress() as progress:
            asyncio.run(_repair_all(reports, root, settings, args, _Screen(args, progress)))
    except KeyboardInterrupt:
        if args.apply:
            print(f"coderls: stopped. {visible(written(reports))}", file=sys.stderr)
        raise
    if args.json:
        print(json.dumps(as_json(reports, unverified=args.unverified), indent=2, ensure_ascii=False))
    else:
        print(summary(reports, errors_only=args.errors_only))
    for sentence in not_asked(reports):
        print(f"coderls: not asked: {visible(sentence)}", file=sys.stderr)
    return _exit_code(reports)


def _exit_code(reports: Sequence[FileReport]) -> int:
    left = [finding for report in reports for finding in report.findings if not finding.applied]
    if not left:
        return FAILED if any(report.error for report in reports) else CLEAN
    return SOME_FIXED if any(finding.repair is not None for finding in left) else NONE_FIXED


def _files(args: argparse.Namespace) -> tuple[list[Path], Path]:
    """The files to look at, and the project's folder. Raises DocumentError."""
    paths: list[Path] = args.paths or [Path()]
    first = paths[0].absolute()
    root = (args.root or (first if os.path.isdir(first) else workspace_of(first))).absolute()
    files: dict[Path, None] = {}
    for path in paths:
        files.update(dict.fromkeys(_below(path) if os.path.isdir(path) else [path]))
    if len(files) > MOST_FILES:
        raise DocumentError(f"{len(files)} files are too many for one run.", "Check one folder at a time.")
    return list(files), root


def _below(folder: Path) -> list[Path]:
    """The sources of a folder: what git lists, without secrets, generated files, and links that lead out of it."""
    workspace = Workspace([folder.absolute()])
    return [folder / name for name in workspace.list_files(0) if workspace.is_allowed(folder.absolute() / name)]


@dataclass(frozen=True)
class _Screen:
    """What is shown while it goes on: progress, and for people each result once it is known."""

    args: argparse.Namespace
    progress: Progress

    def show(self, report: FileReport, finding: Finding | None = None) -> None:
        """Print a finding, or that the file cannot be read."""
        if self.args.json:
            return
        self.progress.close()  # a bar would stand in the line
        if finding is None:
            print(visible(f"{report.path}: {report.error}"), flush=True)
        else:
            lines = finding_lines(report.path, finding, unverified=self.args.unverified)
            print(*(visible(line, keep="\t") for line in lines), sep="\n", flush=True)


async def _repair_all(
    reports: Sequence[FileReport], root: Path, settings: Settings, args: argparse.Namespace, screen: _Screen
) -> None:
    """Fill in the report of one file after another."""
    progress = screen.progress
    async with AsyncExitStack() as stack:
        workshop = Workshop(settings.repair, trusted=args.trust)
        stack.push_async_callback(workshop.aclose)
        models = _Models(
            settings, root, progress, stack, wanted=not args.no_model and (args.with_model or not args.check)
        )
        desk = _Desk(workshop, models, root, args, screen)
        for number, report in enumerate(reports):
            if len(reports) > 1:
                progress(f"checking {report.path}", number / len(reports))
            try:
                await desk.work_on(report)
            except DocumentError as error:
                if not args.check:
                    raise
                report.error = "" if language_id_of(report.path) == "plaintext" else str(error)
                if report.error:
                    screen.show(report)
        progress.close()


#: A complaint: its rule, words, line, and place.
_Mark = tuple[str, str, str, int]


@dataclass
class _Models:
    """The engine and the index, started when the first complaint needs them."""

    settings: Settings
    root: Path
    progress: Progress
    stack: AsyncExitStack
    wanted: bool
    engine: Engine | None = None
    index: RepositoryIndex | None = None

    async def get(self) -> tuple[Engine | None, RepositoryIndex | None]:
        """Both, or None for those that are not wanted or cannot be had; the latter is said once."""
        if self.wanted and self.engine is None:
            self.wanted = False
            try:
                client, health = await connect(self.settings.engine, self.progress)
            except CoderlsError as error:
                print(f"coderls: without a model: {error}", file=sys.stderr)
                return None, None
            self.stack.push_async_callback(client.aclose)
            self.engine = Engine(client, health, await asyncio.to_thread(load_fim_model, health))
            if self.settings.context.enabled:
                self.progress("reading the repository", 0.0)
                self.index = RepositoryIndex([self.root])
                await asyncio.to_thread(self.index.build)
                self.stack.callback(self.index.close)
        return self.engine, self.index


@dataclass
class _Desk:
    """Works on one file after another."""

    workshop: Workshop
    models: _Models
    root: Path
    args: argparse.Namespace
    screen: _Screen
    #: Of the file at hand: what the rules made of a complaint, and which were told (to apply, each is tried once).
    ruled: dict[_Mark, Outcome] = field(default_factory=dict)
    told: set[_Mark] = field(default_factory=set)
    roll: Roll = field(default_factory=Roll)
    mended: list[Finding] = field(default_factory=list)  # and not shown yet

    async def work_on(self, report: FileReport) -> None:
        """Fill in the report, and write what was repaired if that was asked for. Raises DocumentError."""
        document = read_document(report.path)
        if self.args.apply:
            refuse_read_only(report.path)
            refuse_links_out(report.path, self.root)
        original = document.text
        anchor = self._anchor(document)
        self.ruled, self.told, self.roll = {}, set(), Roll()
        for _ in range(_MOST_ROUNDS):
            job = self._job(document)
            complaints = await self._complaints(job, anchor, report)
            self._tell_gone(document, complaints, report)
            report.silent = await self.workshop.silent(job)
            report.asked, report.not_found = await self.workshop.asked(job)
            report.untrusted = await self.workshop.untrusted(job)
            applied = await self._next_repair(job, complaints, report)
            if applied is None:
                break
            anchor = shifted(anchor, applied.edits) if anchor is not None else None
            self.roll.moved(applied.edits)
            self.told = {_moved(mark, applied) for mark in self.told}
            self.ruled = {_moved(mark, applied): outcome for mark, outcome in self.ruled.items()}
            document = replace(document, text=applied.text, version=document.version + 1)
        self._show_mended(report)
        if document.text != original:
            write_back(report.path, original, document.text)
            report.written = True

    async def _next_repair(self, job: Job, complaints: Sequence[Diagnostic], report: FileReport) -> Candidate | None:
        """Look for repairs of new complaints, by rules for all of them and then by a model for those that are left.

        With --apply the first that is found ends the round.
        """
        left: list[tuple[Diagnostic, Outcome]] = []
        for number, complaint in enumerate(complaints):
            mark = _mark(job.document, complaint)
            if (mark in self.told and self.args.apply) or await self._is_echo(job, complaint, report):
                continue
            outcome = self.ruled.get(mark) if self.args.apply else None
            if outcome is None:
                say = self._say(f"{report.path}: complaint", number, len(complaints))
                outcome = self.ruled[mark] = await self.workshop.repair(job, complaint, say, no_pause)
            if not outcome.repairs and not outcome.reason:
                left.append((complaint, outcome))
            elif (applied := self._tell(job, complaint, outcome, report)) is not None:
                return applied
        for number, (complaint, outcome) in enumerate(left):
            if await self._is_echo(job, complaint, report):
                continue
            known = await self._mended_by_known(job, complaint, report)
            engine, index = await self.models.get() if known is None else (None, None)
            if engine is not None:  # only now is a model needed
                say = self._say(f"{report.path}: for the model, complaint", number, len(left))
                known = await self.workshop.repair(replace(job, engine=engine, index=index), complaint, say, no_pause)
            applied = self._tell(job, complaint, known or outcome, report)
            if applied is not None:
                return applied
        return None

    def _tell(self, job: Job, complaint: Diagnostic, outcome: Outcome, report: FileReport) -> Candidate | None:
        """Put a finding into the report, and show it; the repair to apply, if it is to be."""
        finding = Finding(job.document, complaint, outcome)
        finding = replace(
            finding,
            applied=self.args.apply and finding.repair is not None,
            like=next((one for one in report.findings if one.is_same_repair(finding)), None),
            place=self.roll.place(complaint),
        )
        self.told.add(_mark(job.document, complaint))
        report.findings.append(finding)
        if finding.place >= 0:
            self._show_mended(report, upto=_turn(finding))
        self.screen.show(report, finding)
        return finding.repair.candidate if finding.applied and finding.repair is not None else None

    def _tell_gone(self, document: Document, complaints: Sequence[Diagnostic], report: FileReport) -> None:
        """What the last repair has mended beside its own complaint. Echoes of a syntax error were never told."""
        gone, by = self.roll.gone(document, complaints), report.findings[-1] if report.findings else None
        for complaint in gone:
            if by is None or self.roll.document is None or (is_syntax(complaint) and is_syntax(by.diagnostic)):
                continue
            also = replace(by, document=self.roll.document, diagnostic=complaint, like=by, place=complaint.start)
            report.findings.insert(-1, also)  # the last one stays the one that was applied
            self.mended.append(also)

    def _show_mended(self, report: FileReport, upto: tuple[bool, int] = (True, sys.maxsize)) -> None:
        """Show what was mended by another's repair when it is its turn, as a look would."""
        due = sorted((one for one in self.mended if _turn(one) < upto), key=_turn)
        self.mended = [one for one in self.mended if one not in due]
        for one in due:
            self.screen.show(report, one)

    async def _mended_by_known(self, job: Job, complaint: Diagnostic, report: FileReport) -> Outcome | None:
        """A repair of another complaint that is proved to mend this one, too."""
        for one in report.findings:
            known = one.repair if one.document is job.document and one.like is None else None
            if known is not None and await self.workshop.mended_by(job, known, complaint):
                return Outcome(repairs=(known,))
        return None

    async def _is_echo(self, job: Job, complaint: Diagnostic, report: FileReport) -> bool:
        """Whether this is a syntax error that a known repair of another one mends, too: one fault is told once."""
        if not is_syntax(complaint):
            return False
        proved = [one.repair for one in report.findings if one.document is job.document and is_syntax(one.diagnostic)]
        return any([one is not None and await self.workshop.mended_by(job, one, complaint) for one in proved])

    async def _complaints(self, job: Job, anchor: int | None, report: FileReport) -> list[Diagnostic]:
        """Errors and warnings, each place once: several checkers may have words for the same fault."""
        worst = Severity.ERROR if self.args.errors_only else Severity.WARNING
        line = None if anchor is None else job.document.line_of(anchor)
        found: dict[int, Diagnostic] = {}
        report.warnings_left_out = 0
        for one in await self.workshop.diagnostics(job):
            lines = range(job.document.line_of(one.start), job.document.line_of(one.end) + 1)
            if one.severity > Severity.WARNING or (line is not None and line not in lines):
                continue
            if one.severity <= worst:
                known = found.get(one.start)
                if known is None or one.severity < known.severity:
                    found[one.start] = one
            else:
                report.warnings_left_out += 1
        return sorted(found.values(), key=lambda one: _order(one, one.start))

    def _anchor(self, document: Document) -> int | None:
        """Where the line that was asked for begins. Raises UsageError past the end."""
        if self.args.line is None:
            return None
        if self.args.line > lines_of(document):
            raise no_such_line(document, self.args.paths[0], self.args.line)
        return document.line_span(self.args.line - 1)[0]

    def _job(self, document: Document) -> Job:
        path = document.path
        inside = path is not None and path.is_relative_to(self.root)
        name = path.relative_to(self.root).as_posix() if path is not None and inside else path.name if path else ""
        looked_at = not self.models.wanted and not self.args.apply  # a model, if there is one, is asked later
        return Job(document, self.root if inside else None, name, None, None, guess=looked_at)

    def _say(self, what: str, number: int, of: int) -> Callable[[str, float], None]:
        """Progress of one complaint, under one name: where nobody watches a bar, a line is enough for it.

        How far it is counts all of them.
        """
        name = f"{what} {number + 1} of {of}"
        return lambda _step, fraction: self.screen.progress(name, (number + fraction) / of)


def _order(complaint: Diagnostic, place: int) -> tuple[bool, int]:
    """A slip can make something unused: it is mended first, or what it meant would be removed."""
    return is_superfluous(complaint), place


def _turn(finding: Finding) -> tuple[bool, int]:
    return _order(finding.diagnostic, finding.place)


def _mark(document: Document, complaint: Diagnostic) -> _Mark:
    start, end = document.line_span(document.line_of(complaint.start))
    return complaint.rule, complaint.key.message, document.text[start:end].strip(), complaint.start


def _moved(mark: _Mark, applied: Candidate) -> _Mark:
    """Where it is once a repair is in: lines that are alike have complaints that are."""
    return (*mark[:3], shifted(mark[3], applied.edits))
