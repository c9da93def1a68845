"""The repair pipeline: one complaint in, verified repairs out, or what was tried.

    the checkers' word ──> fixes of checkers ──> common slips ──> infill ──> chat
                                    each: parse ──> linters ──> type checkers for the best few
                           the first source with a proved repair is the last

Cancelling the task stops everything, the engine's generation and started checkers included.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from coderls.document import Document
from coderls.errors import EngineError
from coderls.repair.candidate import Candidate
from coderls.repair.checkers import Checker, Step
from coderls.repair.diagnostic import Diagnostic, clamped, is_about_file
from coderls.repair.doubts import brings_unknown
from coderls.repair.sources import Found, Source, concerns
from coderls.repair.verify import Baseline, Rules, Verdict, newcomers, verify

#: So many repairs are offered, and so many candidates of a source come to the parser, the linters, the type checkers.
#: (Measured with benchmarks/repair.py: each of 26 repairs without a model was the first that a type checker saw.)
MOST_OFFERED = 3
_TO_PARSE, _TO_LINT, _TO_TYPES = 64, 16, 3
#: After so many proved repairs of a source no more are asked for; after one, if its proof took so long (seconds).
_ENOUGH, _SLOW_S = 2, 0.3

Progress = Callable[[str, float], None]
Pause = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Repair:
    """A repair that was proved: `evidence` are sentences about what was seen."""

    candidate: Candidate
    verdict: Verdict

    @property
    def title(self) -> str:
        """What it does."""
        return self.candidate.title

    @property
    def evidence(self) -> tuple[str, ...]:
        """Who was asked, and what they said."""
        return self.verdict.evidence

    @property
    def proved_by(self) -> str:
        """The names of the checkers that were asked: "parse, ruff, pyright"."""
        return ", ".join(self.verdict.checked_by)


@dataclass(frozen=True)
class Outcome:
    """Repairs, the best first; or none, and what was tried.

    `guesses` pass every check too, but so may others: they are for the user to choose from, never applied unseen.
    `unverified` are candidates that at least parse, the best first, and why each was refused. `tried` counts
    candidates by source. `reason` says why nothing could be tried at all.
    """

    repairs: tuple[Repair, ...] = ()
    unverified: tuple[tuple[Candidate, str], ...] = ()
    tried: tuple[tuple[str, int], ...] = ()
    refusals: tuple[str, ...] = ()
    reason: str = ""
    guesses: tuple[Repair, ...] = ()

    def sentence(self) -> str:
        """What the user is told when there is no repair."""
        if self.reason:
            return f"No verified fix. {self.reason}"
        if self.guesses:
            titles = "; ".join(one.title for one in self.guesses)
            return f"No verified fix, but guesses that pass {self.guesses[0].proved_by}: {titles}."
        count = sum(number for _, number in self.tried)
        names = ", ".join(f"{number} from {name}" for name, number in self.tried if number)
        said = "; ".join(f"{reason.rstrip('.')}" for reason in self.refusals[:3])
        were = "candidate was" if count == 1 else "candidates were"
        tried = f"{count} {were} tried ({names})" if count else "There was no candidate"
        return f"No verified fix. {tried}." + (f" {said}." if said else "")


@dataclass
class _Work:
    """What is known while the sources are asked one after another."""

    baseline: Baseline
    diagnostic: Diagnostic
    checkers: Sequence[Checker]
    rules: Rules | None
    repairs: list[Repair] = field(default_factory=list)
    guesses: list[Repair] = field(default_factory=list)
    unverified: list[tuple[Candidate, str]] = field(default_factory=list)
    tried: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)

    def outcome(self, reason: str = "") -> Outcome:
        ranked = sorted(self.repairs, key=lambda one: rank(one.candidate))[:MOST_OFFERED]
        guesses = tuple(self.guesses[:MOST_OFFERED]) if not ranked else ()
        why = tuple(reason for reason, _ in self.refusals.most_common(5))
        unverified = sorted(self.unverified, key=lambda pair: rank(pair[0]))[:MOST_OFFERED]
        return Outcome(tuple(ranked), tuple(unverified), tuple(self.tried.items()), why, reason, guesses)


async def no_pause() -> None:
    """For callers who have nothing more urgent."""


async def repair(
    document: Document,
    diagnostic: Diagnostic,
    *,
    checkers: Sequence[Checker],
    sources: Sequence[Source],
    baseline: Baseline | None = None,
    rules: Rules | None = None,
    limit_s: float = 30.0,
    progress: Progress = lambda _text, _fraction: None,
    pause: Pause = no_pause,
) -> Outcome:
    """Proved repairs of `diagnostic` in `document`, or what was tried. Changes nothing.

    `checkers` are those of the document's language, `sources` stand in the order in which they are asked. `pause` is
    awaited between steps: it returns when nothing more urgent runs. After `limit_s` seconds no new step begins.
    """
    until = time.monotonic() + limit_s
    work = _Work(baseline or Baseline(document), clamped(diagnostic, len(document.text)), checkers, rules)
    progress("asking the checkers", 0.0)
    reason = await _why_not(work)
    if reason:
        return work.outcome(reason)
    for number, source in enumerate(sources):
        await pause()
        if time.monotonic() > until:
            return work.outcome(f"It took longer than {limit_s:g} seconds." if not work.repairs else "")
        progress(f"asking {source.name}", 0.1 + 0.9 * number / len(sources))
        found = await _asked(source, until)
        work.refusals.update(found.refused)
        progress(f"checking what came from {source.name}", 0.1 + 0.9 * (number + 0.5) / len(sources))
        await _prove(work, source.name, found.candidates, pause, until)
        if work.repairs:
            break
    return work.outcome()


def rank(candidate: Candidate) -> tuple[int, bool, float]:
    """Smaller first, then what a checker itself offers as safe, then the likelier."""
    return candidate.tokens_changed, not candidate.safe, -(candidate.logprob or 0.0)


async def _why_not(work: _Work) -> str:
    """Why no repair could ever be proved; "" where one could."""
    if is_about_file(work.diagnostic):
        return "This is about the file (its name, its place or its permissions), not about its text."
    if not work.checkers:
        return f"No checker that coderls knows reads {work.baseline.document.language_id}."
    failed: list[str] = []
    for checker in sorted(work.checkers, key=lambda one: one.step):
        report = await work.baseline.report(checker)
        if report.failed:
            failed.append(f"{checker.name}: {report.failed}")
        if any(concerns(one, work.diagnostic, work.baseline.document) for one in report.diagnostics):
            return ""
    names = ", ".join(checker.name for checker in work.checkers)
    return " ".join([f"None of the checkers that could be asked ({names}) reports this problem.", *failed])


async def _asked(source: Source, until: float) -> Found:
    try:
        return await asyncio.wait_for(source.find(), max(0.1, until - time.monotonic()))
    except asyncio.TimeoutError:
        return Found(refused=(f"{source.name} took too long",))
    except EngineError as error:
        return Found(refused=(str(error),))


async def _prove(work: _Work, name: str, candidates: Sequence[Candidate], pause: Pause, until: float) -> None:
    """Ask the parser about all candidates of a source, and about the best of them, one after the other, everybody."""
    left: list[Candidate] = []
    for one in candidates:
        if one.text not in work.seen:
            work.seen.add(one.text)
            left.append(one)
    work.tried[name] += len(left)
    parsed: list[Candidate] = []
    for candidate in left[:_TO_PARSE]:
        await pause()
        if time.monotonic() > until:
            return
        if await _passes(work, candidate, Step.PARSE):
            parsed.append(candidate)
    proved, enough, typed = 0, _ENOUGH, 0
    for candidate in sorted(parsed, key=lambda one: (one.guess, rank(one)))[:_TO_LINT]:
        await pause()
        needless = candidate.guess and work.repairs  # nobody guesses where something is proved
        if needless or time.monotonic() > until or proved >= enough or typed >= _TO_TYPES:
            return
        if not await _passes(work, candidate, Step.LINT):
            continue
        typed += 1
        verdict = await _judged(work, candidate, Step.TESTS)
        if verdict.accepted:
            proved += 1
            (work.guesses if candidate.guess else work.repairs).append(Repair(candidate, verdict))
            if candidate.guess:
                enough = MOST_OFFERED  # to choose from
            elif verdict.took_s > _SLOW_S:
                return  # the best one is proved; another is not worth waiting for
        else:
            work.unverified.append((candidate, verdict.reason))
            work.refusals[verdict.reason] += 1


async def _passes(work: _Work, candidate: Candidate, step: Step) -> bool:
    """Whether nobody up to this step has anything against a candidate."""
    verdict = await _judged(work, candidate, step)
    if not verdict.accepted:
        work.refusals[verdict.reason] += 1
    return verdict.accepted


async def _judged(work: _Work, candidate: Candidate, upto: Step) -> Verdict:
    """The checkers' verdict. Of a name that is missing the one who says so may be the only one to know."""
    verdict = await verify(work.baseline, work.diagnostic, candidate, work.checkers, rules=work.rules, upto=upto)
    if verdict.accepted:
        name = brings_unknown(work.baseline.document, work.diagnostic, candidate, work.baseline.said)
        if name:
            return replace(verdict, accepted=False, reason=f"A checker says that {name!r} does not exist.")
    return verdict


async def no_worse(baseline: Baseline, candidate: Candidate, checkers: Sequence[Checker]) -> Verdict:
    """Whether a change that the user asked for brings no new complaint: there is no complaint that it must mend."""
    if candidate.text == candidate.original:
        return Verdict(False, reason="It changes nothing.")
    evidence: list[str] = []
    asked: list[str] = []
    for checker in sorted(checkers, key=lambda one: one.step):
        old, new = await baseline.report(checker), await baseline.report_on(checker, candidate.text)
        if old.failed or new.failed:
            evidence.append(f"{checker.name} was left out: {old.failed or new.failed}")
            continue
        came = newcomers(old.diagnostics, new.diagnostics, candidate)
        if came:
            reason = f"{checker.name} has a new complaint: {came[0].message}"
            return Verdict(False, tuple(evidence), reason, tuple(asked))
        asked.append(checker.name)
        evidence.append(f"{checker.name}: nothing new")
    reason = "" if asked else "No checker could be asked."
    return Verdict(bool(asked), tuple(evidence), reason, tuple(asked))
