"""The proof of a repair: it is applied to a copy, and those who complained are asked again.

    parse ──> linters ──> type checkers          each says: is the complaint gone, and did a new one come?
       └── guards first: no deletion, no suppression, no cast to Any, nothing far away, something at all

Nothing here writes to the editor's document or to the user's files.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from coderls.document import Document
from coderls.repair.candidate import Candidate
from coderls.repair.checkers.checker import Checker, Report, Step
from coderls.repair.diagnostic import Diagnostic, clamped


@dataclass(frozen=True, slots=True)
class Rules:
    """What a repair may not do, besides failing a checker. All are on; benchmarks tell what each one costs.

    near: changes lines near the complaint only. keep: does not delete the statement that is complained about.
    """

    near: bool = True
    keep: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a repair may be offered as verified.

    `evidence` are sentences of what was seen ("ruff: F821 is gone, nothing new"), `reason` says why not ("" when
    accepted), `checked_by` names the checkers that were asked.
    """

    accepted: bool
    evidence: tuple[str, ...] = ()
    reason: str = ""
    checked_by: tuple[str, ...] = ()
    took_s: float = 0.0


class Baseline:
    """What the checkers say of the document as it is: each is asked once, however many candidates there are."""

    def __init__(self, document: Document, *, limit_s: float = 30.0) -> None:
        self.document = document
        self.limit_s = limit_s
        self._reports: dict[int, Report] = {}

    async def report(self, checker: Checker) -> Report:
        """The checker's word on the document."""
        if id(checker) not in self._reports:
            self._reports[id(checker)] = await checker.check(self.document, limit_s=self.limit_s)
        return self._reports[id(checker)]


async def verify(
    baseline: Baseline,
    diagnostic: Diagnostic,
    candidate: Candidate,
    checkers: Sequence[Checker],
    *,
    rules: Rules | None = None,
    upto: Step = Step.TYPES,
) -> Verdict:
    """Whether `candidate` mends `diagnostic` in the baseline's document and breaks nothing.

    `checkers` are those of the document's language. Those of a later step than `upto` are left out, for a first sieve:
    then `accepted` means "not refused so far". Raises nothing for bad candidates or misbehaving checkers.
    """
    began = time.perf_counter()
    document = baseline.document
    reason = refused_unseen(document, candidate, rules or Rules())
    verdict = Verdict(False, reason=reason)
    if not reason:
        target = clamped(diagnostic, len(document.text))
        verdict = await _ask_all(baseline, target, candidate, [one for one in checkers if one.step <= upto])
        if verdict.accepted and upto is Step.TYPES and not any(" is gone" in line for line in verdict.evidence):
            reason = "No checker here reports this problem, so none can say that it is gone."
            verdict = replace(verdict, accepted=False, reason=reason)
    return replace(verdict, took_s=time.perf_counter() - began)


def refused_unseen(document: Document, candidate: Candidate, rules: Rules) -> str:
    """Why a candidate is refused before any checker is asked; "" if it is not."""
    if candidate.original != document.text:
        return "The document has changed since this repair was made."
    if candidate.text == document.text:
        return "It changes nothing."
    return ""


async def _ask_all(
    baseline: Baseline, target: Diagnostic, candidate: Candidate, checkers: Sequence[Checker]
) -> Verdict:
    evidence: list[str] = []
    asked: list[str] = []
    reason = ""
    after = replace(baseline.document, text=candidate.text)
    for checker in sorted(checkers, key=lambda one: one.step):
        old = await baseline.report(checker)
        if old.failed:
            evidence.append(f"{checker.name} was left out: {old.failed}")
            continue
        new = await checker.check(after, limit_s=baseline.limit_s)
        asked.append(checker.name)
        mine = [one for one in old.diagnostics if is_same_complaint(one, target, baseline.document)]
        reason = _objection(new, old, mine, candidate)
        if reason:
            break
        gone = f"{mine[0].rule or mine[0].message} is gone, " if mine else ""
        evidence.append(f"{checker.name}: {gone}nothing new")
    return Verdict(not reason, tuple(evidence), reason, tuple(asked))


def _objection(new: Report, old: Report, mine: Sequence[Diagnostic], candidate: Candidate) -> str:
    """What a checker has against the candidate; `mine` are those of its complaints that are to go away."""
    if new.failed:
        return f"{new.checker} could not check it: {new.failed}"
    left = remaining(mine, new.diagnostics, candidate)
    if left:
        return f"{new.checker} still says: {left[0].message}"
    came = newcomers(old.diagnostics, new.diagnostics, candidate)
    return f"{new.checker} has a new complaint: {came[0].message}" if came else ""


def is_same_complaint(own: Diagnostic, target: Diagnostic, document: Document) -> bool:
    """Whether a checker's diagnostic is the one that the client (perhaps another tool) complains about."""
    if own.start <= target.end and target.start <= own.end:
        return True
    same_line = document.line_of(own.start) == document.line_of(target.start)
    return same_line and (own.key == target.key or (own.rule != "" and own.rule == target.rule))


def remaining(mine: Sequence[Diagnostic], now: Sequence[Diagnostic], candidate: Candidate) -> list[Diagnostic]:
    """Of the complaints `mine` those that are still there after the edit."""
    return [one for one in mine if any(_is_at(other, one, candidate) for other in now)]


def newcomers(old: Sequence[Diagnostic], new: Sequence[Diagnostic], candidate: Candidate) -> list[Diagnostic]:
    """The complaints of `new` that no complaint of `old` accounts for: each of `old` accounts for one."""
    spare = Counter(one.shifted(candidate.smallest) for one in old)
    came = []
    for one in new:
        match = next((other for other, left in spare.items() if left and _agree(one, other)), None)
        if match is None:
            came.append(one)
        else:
            spare[match] -= 1
    return came


def _is_at(now: Diagnostic, before: Diagnostic, candidate: Candidate) -> bool:
    return _agree(now, before.shifted(candidate.smallest))


def _agree(one: Diagnostic, other: Diagnostic) -> bool:
    """The same complaint, at places that touch: what an edit replaced may be anywhere in its new text."""
    return one.key == other.key and one.start <= other.end and other.start <= one.end
