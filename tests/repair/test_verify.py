"""The proof: a scripted checker complains, and a candidate is judged by what it says then."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from coderls.document import Document, Edit
from coderls.repair.candidate import Candidate
from coderls.repair.checkers import Report, Step
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.verify import Baseline, Verdict, verify


@dataclass
class Scripted:
    """A checker that complains about each match of a pattern, or answers as it is told."""

    pattern: str
    step: Step = Step.LINT
    answer: Callable[[str], Report] | None = None
    name: str = "scripted"
    version_of: str = "test"
    languages: frozenset[str] = frozenset({"python"})
    seen: list[str] = field(default_factory=list)

    async def check(self, document: Document, *, limit_s: float = 30.0, others: object = ()) -> Report:
        self.seen.append(document.text)
        if self.answer is not None:
            return self.answer(document.text)
        found = re.finditer(self.pattern, document.text)
        return Report(self.name, tuple(Diagnostic(m.start(), m.end(), f"no {m.group()}", rule="X1") for m in found))

    async def aclose(self) -> None:
        return None


def python(text: str) -> Document:
    return Document("file:///a.py", "python", 1, text)


async def judge(text: str, after: str, checker: Scripted, target: Diagnostic | None = None) -> Verdict:
    first = (await checker.check(python(text))).diagnostics
    return await verify(
        Baseline(python(text)), target or first[0], Candidate.of_text(text, after, "rule", "t"), [checker]
    )


async def test_what_mends_the_complaint_is_accepted_with_evidence() -> None:
    verdict = await judge("a = bad\nb = 1\n", "a = good\nb = 1\n", Scripted("bad"))
    assert verdict.accepted
    assert verdict.evidence == ("scripted: X1 is gone, nothing new",)
    assert verdict.checked_by == ("scripted",)


async def test_what_leaves_the_complaint_is_refused() -> None:
    verdict = await judge("a = bad\n", "a = (bad)\n", Scripted("bad"))
    assert not verdict.accepted
    assert "still says: no bad" in verdict.reason


async def test_what_brings_a_new_complaint_is_refused() -> None:
    verdict = await judge("a = bad\nb = 1\n", "a = good\nb = worse\n", Scripted("bad|worse"))
    assert "new complaint: no worse" in verdict.reason


async def test_of_two_complaints_of_one_line_each_can_be_mended() -> None:
    text = "a = bad + 1 + bad\n"
    first, second = Diagnostic(4, 7, "no bad", rule="X1"), Diagnostic(14, 17, "no bad", rule="X1")
    checker = Scripted("bad")
    assert (await judge(text, "a = good + 1 + bad\n", checker, first)).accepted
    assert (await judge(text, "a = bad + 1 + good\n", checker, second)).accepted
    assert "still says" in (await judge(text, "a = bad + 1 + good\n", checker, first)).reason
    moved = await judge("a = bad + 1\n", "a = 1 + bad\n", checker, Diagnostic(4, 7, "no bad", rule="X1"))
    assert not moved.accepted


async def test_complaints_elsewhere_may_stay_where_they_are() -> None:
    text = "bad2 = 0\na = bad\nz = bad2\n"
    target = Diagnostic(text.index("bad\n"), text.index("bad\n") + 3, "no bad")
    assert (await judge(text, text.replace("a = bad\n", "a = good +\\\n good\n"), Scripted("bad2?"), target)).accepted


async def test_a_complaint_more_of_the_same_kind_is_new() -> None:
    verdict = await judge("a = bad\nb = 1\nc = 2\nd = bad\n", "a = good\nb = 1\nc = bad\nd = bad\n", Scripted("bad"))
    assert "new complaint" in verdict.reason


async def test_complaints_move_with_lines_that_are_put_in_order() -> None:
    text, after = "b = bad\na = worse\n", "a = worse\nb = good\n"
    target = Diagnostic(4, 7, "no bad", rule="X1")
    assert (await judge(text, after, Scripted("bad|worse"), target)).accepted
    moved = await judge("b = bad\na = 1\n", "a = 1\nb = bad\n", Scripted("bad"), target)
    assert not moved.accepted


async def test_nothing_is_proved_where_nobody_complained() -> None:
    text = "a = bad\n"
    verdict = await judge(text, "a = good\n", Scripted("other"), Diagnostic(4, 7, "no bad"))
    assert not verdict.accepted
    assert "No checker here" in verdict.reason


async def test_a_checker_that_fails_on_the_candidate_proves_nothing() -> None:
    def answer(text: str) -> Report:
        failed = "it crashed" if "good" in text else None
        return Report("scripted", (Diagnostic(4, 7, "no bad"),) if "bad" in text else (), failed=failed)

    verdict = await judge("a = bad\n", "a = good\n", Scripted("", answer=answer))
    assert "it crashed" in verdict.reason


async def test_a_repair_for_another_text_is_refused() -> None:
    checker = Scripted("bad")
    candidate = Candidate("old = bad\n", (Edit(6, 9, "x"),), "rule", "t")
    verdict = await verify(Baseline(python("a = bad\n")), Diagnostic(4, 7, "no bad"), candidate, [checker])
    assert "has changed" in verdict.reason
    assert not checker.seen


async def test_the_first_sieve_asks_the_cheap_ones_only() -> None:
    cheap, dear = Scripted("bad"), Scripted("bad", step=Step.TYPES)
    candidate = Candidate.of_text("a = bad\n", "a = good\n", "rule", "t")
    assert (
        await verify(
            Baseline(python("a = bad\n")), Diagnostic(4, 7, "no bad"), candidate, [dear, cheap], upto=Step.LINT
        )
    ).accepted
    assert len(cheap.seen) == 2
    assert not dear.seen
