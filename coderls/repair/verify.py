"""The proof of a repair: it is applied to a copy, and those who complained are asked again.

    parse ──> linters ──> type checkers          each says: is the complaint gone, and did a new one come?
       └── guards first: no deletion, no suppression, no cast to Any, nothing far away, something at all

Nothing here writes to the editor's document or to the user's files.
"""

from __future__ import annotations

import re
import time
from collections import Counter, OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from coderls.document import Document, Edit
from coderls.repair.candidate import Candidate
from coderls.repair.checkers.checker import Checker, Report, Step
from coderls.repair.diagnostic import Diagnostic, Key, Severity, clamped
from coderls.repair.guards import Rules, objection

__all__ = ["Baseline", "Rules", "Verdict", "is_same_complaint", "newcomers", "remaining", "verify"]


_GONE = " is gone"
#: Reports on candidates that are kept: the sieve and the proof ask about the same texts.
_MOST_REPORTS = 64
_WORD = re.compile(r"\w+")
_QUOTED = re.compile(r"[`'\"\u2018\u201c]([\w.]+)[`'\"\u2019\u201d]")


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
    """What the checkers say of the document as it is, and of candidates: each is asked once about a text.

    `others` are the other documents that are open and differ from their files: checkers see them as the editor does.
    """

    def __init__(self, document: Document, others: Sequence[Document] = (), *, limit_s: float = 30.0) -> None:
        self.document = document
        self.others = tuple(others)
        self.limit_s = limit_s
        self._reports: dict[int, Report] = {}
        self._kept: dict[int, Checker] = {}  # an id is a checker's own only while that lives
        self._candidates: OrderedDict[tuple[int, str], Report] = OrderedDict()

    @property
    def said(self) -> tuple[Diagnostic, ...]:
        """All complaints of those who were asked about the document so far."""
        return tuple(one for report in self._reports.values() for one in report.diagnostics)

    async def report(self, checker: Checker) -> Report:
        """The checker's word on the document."""
        if id(checker) not in self._reports:
            self._reports[id(checker)] = await self._ask(checker, self.document)
        return self._reports[id(checker)]

    async def report_on(self, checker: Checker, text: str) -> Report:
        """The checker's word on the document with another text. One that failed is asked again the next time."""
        key = (id(checker), text)
        known = self._candidates.get(key)
        if known is None:
            known = await self._ask(checker, replace(self.document, text=text))
            if not known.failed:
                self._candidates[key] = known
            if len(self._candidates) > _MOST_REPORTS:
                self._candidates.popitem(last=False)
        return known

    async def _ask(self, checker: Checker, document: Document) -> Report:
        self._kept[id(checker)] = checker
        return await checker.check(document, limit_s=self.limit_s, others=self.others)


async def verify(
    baseline: Baseline,
    diagnostic: Diagnostic,
    candidate: Candidate,
    checkers: Sequence[Checker],
    *,
    rules: Rules | None = None,
    upto: Step = Step.TESTS,
) -> Verdict:
    """Whether `candidate` mends `diagnostic` in the baseline's document and breaks nothing.

    `checkers` are those of the document's language. Those of a later step than `upto` are left out, for a first sieve:
    then `accepted` means "not refused so far". Raises nothing for bad candidates or misbehaving checkers.
    """
    began = time.perf_counter()
    document = baseline.document
    target = clamped(diagnostic, len(document.text))
    reason = "The document has changed since this repair was made." if candidate.original != document.text else ""
    reason = reason or objection(document, target, candidate, rules or Rules())
    verdict = Verdict(False, reason=reason)
    if not reason:
        some = sorted((one for one in checkers if one.step <= upto), key=lambda one: one.step)
        verdict = await _ask_all(baseline, target, candidate, some)
    if verdict.accepted and upto >= Step.TYPES and not _is_gone(verdict):
        verdict = await _by_place(verdict, baseline, target, candidate, checkers)
    return replace(verdict, took_s=time.perf_counter() - began)


async def _ask_all(
    baseline: Baseline, target: Diagnostic, candidate: Candidate, checkers: Sequence[Checker]
) -> Verdict:
    """Ask one after the other until one objects."""
    evidence: list[str] = []
    asked: list[str] = []
    for checker in checkers:
        old = await baseline.report(checker)
        if old.failed:
            evidence.append(f"{checker.name} was left out: {old.failed}")
            continue
        new = await baseline.report_on(checker, candidate.text)
        asked.append(checker.name)
        word = compare(old, new, same_complaints(old.diagnostics, target, baseline.document), candidate)
        if word.reason:
            return Verdict(False, tuple(evidence), word.reason, tuple(asked))
        evidence.append(f"{checker.name}: {word.said}")
    return Verdict(True, tuple(evidence), "", tuple(asked))


async def _by_place(
    verdict: Verdict, baseline: Baseline, target: Diagnostic, candidate: Candidate, checkers: Sequence[Checker]
) -> Verdict:
    """Nobody here knows the complaint by its name or words: those who complained about its very place must be content.

    (An editor's other tools have other words for the same fault.)
    """
    content: list[str] = []
    for checker in checkers:
        closest = _closest((await baseline.report(checker)).diagnostics, target)
        if closest is None:
            continue
        new = await baseline.report_on(checker, candidate.text)
        if new.failed or remaining([closest], new.diagnostics, candidate):
            return replace(verdict, accepted=False, reason=f"{checker.name} still says: {_in_short(closest)}")
        content.append(f"{checker.name}: {closest.rule or closest.message}, of the same place,{_GONE}")
    if content:
        return replace(verdict, evidence=(*verdict.evidence, *content))
    reason = "No checker here reports this problem, so none can say that it is gone."
    return replace(verdict, accepted=False, reason=reason)


def _is_gone(verdict: Verdict) -> bool:
    return any(_GONE in line for line in verdict.evidence)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A checker's word on a candidate: what it has against it, or what it `said`."""

    reason: str = ""
    said: str = ""


def compare(old: Report, new: Report, mine: Sequence[Diagnostic], candidate: Candidate) -> Comparison:
    """What came and went between two reports; `mine` are the complaints of `old` that are to go away."""
    if new.failed:
        return Comparison(f"{new.checker} could not check it: {new.failed}")
    left = remaining(mine, new.diagnostics, candidate)
    if left:
        return Comparison(f"{new.checker} still says: {_in_short(left[0])}")
    came = newcomers(old.diagnostics, new.diagnostics, candidate, {one.key for one in mine})
    # A checker that stops at the first syntax error sees more once it is mended.
    sees_more = old.blind and (not new.blind or new.faults < old.faults)
    hidden = [one for one in came if sees_more and _was_hidden(one, candidate)]
    came = [one for one in came if one not in hidden]
    if came:
        return Comparison(f"{new.checker} has a new complaint: {_in_short(came[0])}")
    gone = f"{mine[0].rule or _in_short(mine[0])}{_GONE}, " if mine else ""
    shown = f", {len(hidden)} elsewhere that the syntax error hid" if hidden else ""
    return Comparison(said=f"{gone}nothing new{shown}")


def _in_short(one: Diagnostic) -> str:
    """The first line of a message: type checkers go on for many."""
    return one.message.strip().split("\n")[0]


def same_complaints(own: Sequence[Diagnostic], target: Diagnostic, document: Document) -> list[Diagnostic]:
    """Those of a checker's diagnostics that are the one that the client, perhaps with another tool, complains about.

    Of several in the same words on one line it is the one at its place.
    """
    same = [one for one in own if is_same_complaint(one, target, document)]
    return [one for one in same if _touch(one, target)] or same


def is_same_complaint(own: Diagnostic, target: Diagnostic, document: Document) -> bool:
    """Whether `own` has the rule or the words of `target`, and touches it or is on its line."""
    if own.key.message != target.key.message and (own.rule != target.rule or not own.rule):
        return False
    return _touch(own, target) or document.line_of(own.start) == document.line_of(target.start)


def _closest(own: Sequence[Diagnostic], target: Diagnostic) -> Diagnostic | None:
    """The narrowest complaint that touches the place of `target`: other tools have other words for the same fault."""
    near = [one for one in own if _touch(one, target) and one.severity <= Severity.WARNING]
    return min(near, key=lambda one: one.end - one.start, default=None)


def _touch(one: Diagnostic, other: Diagnostic) -> bool:
    return one.start <= other.end and other.start <= one.end


def remaining(mine: Sequence[Diagnostic], now: Sequence[Diagnostic], candidate: Candidate) -> list[Diagnostic]:
    """Of the complaints `mine` those that are still there after the edit."""
    return [one for one in mine if any(_is_at(other, one, candidate) for other in now)]


def newcomers(
    old: Sequence[Diagnostic], new: Sequence[Diagnostic], candidate: Candidate, mine: Collection[Key] = ()
) -> list[Diagnostic]:
    """The complaints of `new` that no complaint of `old` accounts for: each of `old` accounts for one.

    One may lie elsewhere in what was written if its old place was written anew, too: lines were put in another order.
    Not so one of `mine`, which are to go. Hints do not count: they tell what could be dimmed.
    """
    spare = Counter(one.shifted(candidate.exact) for one in old)
    came = []
    for one in new:
        if one.severity is Severity.HINT:
            continue
        match = next((other for other, left in spare.items() if left and _agree(one, other)), None)
        if match is None:
            came.append(one)
        else:
            spare[match] -= 1
    written = _written(candidate)
    moved = Counter(one.key for one in spare.elements() if one.key not in mine and one.touched_by(written))
    for one in list(came):
        if moved[one.key] and one.touched_by(written):
            moved[one.key] -= 1
            came.remove(one)
    return came


def _written(candidate: Candidate) -> list[Edit]:
    """The stretches that the candidate wrote, in its own text; their `new_text` does not matter."""
    moved, found = 0, []
    for edit in candidate.exact:
        start = edit.start + moved
        found.append(Edit(start, start + len(edit.new_text), ""))
        moved += len(edit.new_text) - (edit.end - edit.start)
    return found


def _is_at(now: Diagnostic, before: Diagnostic, candidate: Candidate) -> bool:
    return _agree(now, before.shifted(candidate.exact))


def _agree(one: Diagnostic, other: Diagnostic) -> bool:
    """The same complaint, at places that touch: what an edit replaced may be anywhere in its new text."""
    return one.key == other.key and _touch(one, other)


def _was_hidden(one: Diagnostic, candidate: Candidate) -> bool:
    """Whether a complaint was there before, as far as can be told, and a syntax error kept the checker from seeing it.

    The repair has neither taken away nor brought a name that the complaint is about; of lines that it touched only
    complaints about names are judged so.
    """
    old = " ".join(candidate.original[edit.start : edit.end] for edit in candidate.smallest)
    new = " ".join(edit.new_text for edit in candidate.smallest)
    before, after = Counter(_WORD.findall(old)), Counter(_WORD.findall(new))
    names = [name for quoted in _QUOTED.findall(one.message) for name in _WORD.findall(quoted)]
    if any(before[name] != after[name] for name in names):
        return False
    return bool(names) or not _is_in_new_text(one, candidate)


def _is_in_new_text(one: Diagnostic, candidate: Candidate) -> bool:
    moved = 0
    for edit in candidate.smallest:
        start = edit.start + moved
        if one.start < start + len(edit.new_text) and start < max(one.end, one.start + 1):
            return True
        moved += len(edit.new_text) - (edit.end - edit.start)
    return False
