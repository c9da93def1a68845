"""Where repairs are made: the checkers that are there for a folder, the models that can be asked, and the pipeline.

Imported in a thread when the first repair is looked for: it needs difflib, tree-sitter and the engine's client.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coderls.document import Document, Snippet
from coderls.engine.api import Priority
from coderls.engine.client import EngineClient
from coderls.errors import CoderlsError, EngineError
from coderls.fim.prompt import Names
from coderls.repair.candidate import Candidate
from coderls.repair.checkers import Checker, Step, find_checkers, not_found, of_language, only_trusted
from coderls.repair.diagnostic import Diagnostic, Severity, is_syntax
from coderls.repair.guards import objection
from coderls.repair.infill import Filler
from coderls.repair.pipeline import Outcome, Pause, Progress, Repair, no_worse, repair
from coderls.repair.prompt import Task
from coderls.repair.region import enclosing, region_of
from coderls.repair.sources import Chatter, Source, of_chat, of_checkers, of_guesses, of_infill, of_slips, of_syntax
from coderls.repair.verify import Baseline, Rules, remaining, same_complaints, verify
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.parse import parse_file
from coderls.secret_files import is_secret
from coderls.session.heavy import Engine, connect
from coderls.settings import EngineSettings, RepairSettings

logger = logging.getLogger(__name__)

_CHAT_NAME = re.compile(r"instruct|chat|(?:^|[-_/])it(?:$|[-_.])", re.IGNORECASE)
#: Tokens of definitions from other files, for a chat model's prompt and for a FIM model's.
_CHAT_CONTEXT, _FIM_CONTEXT = 1500, 200
NO_CHAT = "There is no chat model to ask. Name one in engine.model, or an engine in repair.url."
#: Baselines kept: what checkers said of a document is asked for again with each complaint about it.
_BASELINES = 4


@dataclass(frozen=True)
class Job:
    """One document to work on, and who can be asked. `folder`: the workspace folder that holds it, or None.

    `name`: how it is called in prompts. `others`: documents that are open with another text than on disk. `idle`:
    nobody waits, so other work of the engine goes first. `guess`: names that are only somewhat alike are tried where no
    model can weigh them; not for those who apply without looking.
    """

    document: Document
    folder: Path | None
    name: str
    engine: Engine | None
    index: RepositoryIndex | None
    idle: bool = False
    guess: bool = True
    others: tuple[Document, ...] = ()


class Workshop:
    """One session's. `trusted`: programs of the workspace itself may be run. Close it with `aclose`."""

    def __init__(self, settings: RepairSettings, *, trusted: bool) -> None:
        self._settings = settings
        self._trusted = trusted
        self._checkers: dict[Path | None, tuple[Checker, ...]] = {}
        self._baselines: list[Baseline] = []
        self._types_are_warm = False
        self._chat: tuple[EngineClient, str] | None = None
        self._finding = asyncio.Lock()

    async def aclose(self) -> None:
        """Stop what checkers keep warm, and leave the chat engine."""
        every = [checker for checkers in self._checkers.values() for checker in checkers]
        self._checkers = {}
        chat, self._chat = self._chat, None
        await asyncio.gather(*(checker.aclose() for checker in every), return_exceptions=True)
        if chat is not None:
            await chat[0].aclose()

    async def diagnostics(self, job: Job) -> tuple[Diagnostic, ...]:
        """What the checkers say of the document, each complaint once; of an idle job the cheap ones' word."""
        baseline, line_of = self._baseline(job), job.document.line_of
        found: dict[tuple[int, int, object], Diagnostic] = {}
        asked = [one for one in await self._checkers_of(job) if one.step is not Step.TESTS]  # those prove, later
        broken = [(await baseline.report(one)).diagnostics for one in asked if one.step is Step.PARSE]
        # A syntax error is everybody's complaint: the linter's word on it is the best placed, the parser's the last.
        for checker in sorted(asked, key=lambda one: (one.step is Step.PARSE, one.step)):
            known = [one for one in found.values() if one.severity is Severity.ERROR]
            told = (await baseline.report(checker)).diagnostics
            if checker.step is Step.TYPES and any(broken) and any(map(is_syntax, told)):
                told = tuple(filter(is_syntax, told))  # the rest is an echo of that, or is told again once it is mended
            for one in told:
                parsed = checker.step is Step.PARSE
                if not (parsed or is_syntax(one)) or not any(
                    abs(line_of(one.start) - line_of(other.start)) <= 1 and (parsed or is_syntax(other))
                    for other in known
                ):
                    found.setdefault((one.start, one.end, one.key), one)
        return tuple(sorted(found.values(), key=lambda one: (one.start, one.end)))

    async def silent(self, job: Job) -> tuple[str, ...]:
        """Who could say nothing of the document, and why, as sentences."""
        baseline = self._baseline(job)
        some = [one for one in await self._checkers_of(job) if one.step is not Step.TESTS]
        reports = [await baseline.report(checker) for checker in some]
        return tuple(f"{report.checker}: {report.failed}" for report in reports if report.failed)

    async def asked(self, job: Job) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names of those who said something of the document, and of those who would if they were installed."""
        baseline = self._baseline(job)
        some = [one for one in await self._checkers_of(job) if one.step is not Step.TESTS]
        names = tuple([one.name for one in some if not (await baseline.report(one)).failed])
        trusted = self._trusted and job.folder is not None
        missing = await asyncio.to_thread(not_found, job.folder, trusted=trusted, language_id=job.document.language_id)
        wanted = self._settings.checkers
        return names, tuple(name for name in missing if not wanted or name in wanted)

    async def untrusted(self, job: Job) -> tuple[str, ...]:
        """The names of those that are there, and are left out because they would run code of the project."""
        if self._trusted or job.folder is None:
            return ()
        names = await asyncio.to_thread(only_trusted, job.folder, job.document.language_id)
        return tuple(name for name in names if not self._settings.checkers or name in self._settings.checkers)

    async def repair(self, job: Job, diagnostic: Diagnostic, progress: Progress, pause: Pause) -> Outcome:
        """Proved repairs of one complaint. Raises nothing but what cancelling raises."""
        checkers = await self._checkers_of(job)
        baseline = self._baseline(job)
        sources = await self._sources(job, diagnostic, baseline, checkers)
        return await repair(
            job.document,
            diagnostic,
            checkers=checkers,
            sources=sources,
            baseline=baseline,
            limit_s=self._settings.deadline_s,
            progress=progress,
            pause=pause,
        )

    async def mended_by(self, job: Job, repair: Repair, diagnostic: Diagnostic) -> bool:
        """Whether the repair of another complaint mends this one as well: it was an echo of that."""
        if objection(job.document, diagnostic, repair.candidate, Rules(near=False)):
            return False  # for this one it would be no repair: what is wrong is taken away, say
        baseline, mended = self._baseline(job), False
        for checker in await self._checkers_of(job):
            mine = same_complaints((await baseline.report(checker)).diagnostics, diagnostic, job.document)
            if mine:
                now = await baseline.report_on(checker, repair.candidate.text)
                if now.failed or remaining(mine, now.diagnostics, repair.candidate):
                    return False
                mended = True
        return mended

    async def rewrite(self, job: Job, start: int, end: int, instruction: str, progress: Progress) -> Outcome:
        """What a chat model makes of the lines of `start`..`end`, if no checker has a new complaint about it."""
        document = job.document
        try:
            chatter = await self._chatter(job)
        except CoderlsError as error:
            return Outcome(reason=str(error))
        if chatter is None:
            return Outcome(reason=NO_CHAT)
        last = document.line_of(max(start, end - 1))
        region = region_of(document, document.line_of(start), last + 1)
        snippets = await self._snippets(job, start, _CHAT_CONTEXT)
        task = Task(document, region, instruction=instruction, path=job.name, snippets=snippets)
        checkers, baseline = await self._checkers_of(job), self._baseline(job)
        unverified: list[tuple[Candidate, str]] = []
        refused: list[str] = []
        tried = 0
        for again in (False, True):
            source = of_chat(chatter, task, again=again)
            progress(f"asking {source.name}", 0.1 + 0.4 * again)
            try:
                found = await source.find()
            except EngineError as error:
                return Outcome(reason=str(error))
            refused += found.refused
            for candidate in found.candidates:
                tried += 1
                progress("checking the answer", 0.4 + 0.4 * again)
                verdict = await no_worse(baseline, candidate, checkers)
                if verdict.accepted:
                    return Outcome(repairs=(Repair(candidate, verdict),))
                unverified.append((candidate, verdict.reason))
                refused.append(verdict.reason)
        return Outcome((), tuple(unverified), ((chatter.model, tried),), tuple(dict.fromkeys(refused)))

    async def together(self, job: Job, chosen: Sequence[tuple[Diagnostic, Candidate]]) -> Repair | None:
        """Several proved repairs as one, if they are that: proved again as a whole, each complaint on its own."""
        edits = tuple(edit for _, candidate in chosen for edit in candidate.edits)
        safe = all(candidate.safe for _, candidate in chosen)
        title = f"Apply {len(chosen)} verified fixes" if len(chosen) > 1 else chosen[0][1].title
        whole = Candidate(job.document.text, edits, "rule", title, safe=safe)
        checkers, baseline = await self._checkers_of(job), self._baseline(job)
        verdict = None
        for diagnostic, _ in chosen:
            verdict = await verify(baseline, diagnostic, whole, checkers, rules=Rules(near=False))
            if not verdict.accepted:
                return None
        return None if verdict is None else Repair(whole, verdict)

    def _baseline(self, job: Job) -> Baseline:
        wanted = (job.document, *job.others)
        known = next((one for one in self._baselines if _same(wanted, (one.document, *one.others))), None)
        if known is None:
            known = Baseline(job.document, job.others)
            self._baselines = [known, *self._baselines[: _BASELINES - 1]]
        return known

    async def _checkers_of(self, job: Job) -> tuple[Checker, ...]:
        """Those of the document's language. A type checker is not started for work that nobody asked for."""
        async with self._finding:
            if job.folder not in self._checkers:
                trusted = self._trusted and job.folder is not None
                self._checkers[job.folder] = await asyncio.to_thread(
                    find_checkers,
                    job.folder,
                    trusted=trusted,
                    parse=parse_file,
                    test_command=self._settings.test_command,
                )
        wanted = self._settings.checkers
        every = tuple(
            one
            for one in of_language(self._checkers[job.folder], job.document.language_id)
            if not wanted or one.name in wanted
        )
        if job.idle and not self._types_are_warm:
            return tuple(one for one in every if one.step < Step.TYPES)
        self._types_are_warm = True
        return every

    async def _sources(
        self, job: Job, diagnostic: Diagnostic, baseline: Baseline, checkers: Sequence[Checker]
    ) -> list[Source]:
        document = job.document
        sources = [
            of_checkers(baseline, diagnostic, checkers),
            of_syntax(document, diagnostic, parse_file),
            of_slips(document, diagnostic, baseline),
        ]
        priority = Priority.BACKGROUND if job.idle else Priority.REPAIR
        infill: list[Source] = []
        weighs = False
        if job.engine is not None:
            snippets = await self._snippets(job, diagnostic.start, _FIM_CONTEXT)
            repo = job.folder.name if job.folder else ""
            filler = Filler(
                job.engine.client, job.engine.model, priority=priority, snippets=snippets, names=Names(job.name, repo)
            )
            infill = of_infill(filler, document, diagnostic)
            weighs = filler.weighs
        if job.idle:
            return [*sources, *infill[:1]]  # a chat's answer takes long, and may cost somebody money
        try:
            chatter = await self._chatter(job)
        except CoderlsError as error:
            logger.warning("The chat engine for repairs cannot be asked: %s", error)
            chatter = None
        if chatter is not None:
            region = enclosing(document, diagnostic.start, diagnostic.end)
            reports = [await baseline.report(checker) for checker in checkers]
            others = tuple(
                one for report in reports for one in report.diagnostics if region.start <= one.start < region.end
            )
            snippets = await self._snippets(job, diagnostic.start, _CHAT_CONTEXT)
            task = Task(document, region, diagnostic, others, path=job.name, snippets=snippets)
            sources += [of_chat(chatter, task), of_chat(chatter, task, again=True)]
        guesses = [of_guesses(document, diagnostic)] if job.guess and not weighs else []
        return [*sources, *infill, *guesses]

    async def _chatter(self, job: Job) -> Chatter | None:
        """The chat model to ask, or None. Raises EngineError or ModelError when the engine for it cannot be had."""
        settings = self._settings
        if settings.chat == "off":
            return None
        if settings.url:
            if self._chat is None:
                wanted = EngineSettings(url=settings.url, token=settings.token, model=settings.model)
                client, health = await connect(wanted, lambda _text, _fraction: None)
                self._chat = (client, health.model)
            return Chatter(*self._chat)
        engine = job.engine
        if engine is None or (settings.chat == "auto" and not _CHAT_NAME.search(engine.health.model)):
            return None
        return Chatter(engine.client, engine.health.model)

    async def _snippets(self, job: Job, offset: int, tokens: int) -> tuple[Snippet, ...]:
        """Definitions that the code at `offset` may need."""
        index, engine = job.index, job.engine
        if index is None or engine is None:
            return ()
        found = await asyncio.to_thread(
            index.snippets, job.document, offset, budget_tokens=tokens, count=engine.model.count
        )
        return tuple(found)


def unsaved(documents: Sequence[Document]) -> tuple[Document, ...]:
    """Those whose text is not what their file holds; secrets are left out, no checker is to see them."""
    return tuple(one for one in documents if one.path is not None and not is_secret(one.path.name) and _differs(one))


def _differs(document: Document) -> bool:
    text = document.text.encode("utf-8", "surrogatepass")
    try:
        on_disk = document.path is not None and document.path.stat().st_size == len(text)
        return not on_disk or (document.path is not None and document.path.read_bytes() != text)
    except OSError:
        return True  # it has no file yet


def _same(some: Sequence[Document], others: Sequence[Document]) -> bool:
    return len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))
