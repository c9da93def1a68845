"""The pipeline with sources and checkers that are played: what is asked, in which order, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from coderls.document import Document, Edit
from coderls.errors import EngineUnreachable
from coderls.repair import pipeline
from coderls.repair.candidate import Candidate
from coderls.repair.checkers import Fix, Report, Step
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.pipeline import no_worse, repair
from coderls.repair.sources import Found, Source, of_checkers
from coderls.repair.verify import Baseline

TEXT = "one = 1\ntwo = bad\nthree = 3\n"
DOCUMENT = Document("file:///a.py", "python", 1, TEXT)
AT = TEXT.index("bad")
TARGET = Diagnostic(AT, AT + 3, "bad is wrong", rule="B1", source="played")


@dataclass
class Played:
    """Complains about each of `words` in a text."""

    words: tuple[str, ...] = ("bad",)
    name: str = "played"
    step: Step = Step.LINT
    fails: str = ""
    version_of: str = "here"
    languages: frozenset[str] = frozenset({"python"})
    asked: list[str] = field(default_factory=list)

    async def check(self, document: Document, *, limit_s: float = 30.0, others: object = ()) -> Report:
        self.asked.append(document.text)
        if self.fails:
            return Report(self.name, failed=self.fails)
        found = [
            Diagnostic(place, place + len(word), f"{word} is wrong", rule="B1", source=self.name)
            for word in self.words
            for place in [document.text.find(word)]
            if place >= 0
        ]
        return Report(self.name, tuple(found))

    async def aclose(self) -> None:
        pass


def change(new: str, **more: object) -> Candidate:
    return Candidate(TEXT, (Edit(AT, AT + 3, new),), "infill", f"to {new}", **more)  # type: ignore[arg-type]


def source(
    *news: str, name: str = "words", also: Callable[[], None] = lambda: None, refused: Sequence[str] = ()
) -> Source:
    async def find() -> Found:
        also()
        return Found(tuple(change(new) for new in news), tuple(refused))

    return Source(name, find)


async def test_the_first_source_with_a_proved_repair_is_the_last() -> None:
    asked: list[str] = []
    sources = [
        source("bad ", "worse bad", name="first", also=lambda: asked.append("first")),
        source("2", "22 + 2", name="second", also=lambda: asked.append("second")),
        source("3", name="third", also=lambda: asked.append("third")),
    ]
    outcome = await repair(DOCUMENT, TARGET, checkers=[Played()], sources=sources)
    assert asked == ["first", "second"]
    assert [one.title for one in outcome.repairs] == ["to 2", "to 22 + 2"]
    assert outcome.repairs[0].proved_by == "played"
    assert outcome.repairs[0].evidence == ("played: B1 is gone, nothing new",)


async def test_smaller_comes_first_and_then_likelier() -> None:
    async def find() -> Found:
        return Found((change("a + b", logprob=-0.1), change("c", logprob=-9.0), change("d", logprob=-1.0)))

    outcome = await repair(DOCUMENT, TARGET, checkers=[Played()], sources=[Source("s", find)])
    assert [one.title for one in outcome.repairs] == ["to d", "to c"]


async def test_what_was_tried_is_told() -> None:
    def broken() -> None:
        raise EngineUnreachable("Nobody answers.")

    sources = [
        source("bad2bad", name="slips"),
        source(name="model", refused=["The model answered without code."]),
        source(name="engine", also=broken),
    ]
    outcome = await repair(DOCUMENT, TARGET, checkers=[Played()], sources=sources)
    assert outcome.repairs == ()
    assert outcome.sentence().startswith("No verified fix. 1 candidate was tried (1 from slips).")
    assert {"The model answered without code.", "Nobody answers."} <= set(outcome.refusals)


@pytest.mark.parametrize(
    ("checkers", "says"),
    [
        ([], "No checker that coderls knows"),
        ([Played(words=("other",))], "None of the checkers"),
        ([Played(fails="it hangs")], "it hangs"),
    ],
)
async def test_nothing_is_asked_where_nothing_could_be_proved(checkers: list[Played], says: str) -> None:
    asked: list[str] = []
    outcome = await repair(DOCUMENT, TARGET, checkers=checkers, sources=[source("2", also=lambda: asked.append("it"))])
    assert (outcome.repairs, asked) == ((), [])
    assert says in outcome.sentence()


async def test_slow_checkers_see_the_best_few_only() -> None:
    types = Played(words=("bad", "2"), name="types", step=Step.TYPES)
    lint = Played()
    news = [str(number) for number in range(2, 40)]
    outcome = await repair(DOCUMENT, TARGET, checkers=[lint, types], sources=[source(*news)])
    assert len(types.asked) <= 1 + 3
    assert len(outcome.repairs) == 2
    assert all(reason.startswith("types has a new complaint") for _, reason in outcome.unverified)


async def test_a_text_is_shown_to_a_checker_once() -> None:
    types, lint = Played(name="types", step=Step.TYPES), Played()
    await repair(DOCUMENT, TARGET, checkers=[lint, types], sources=[source("bad2"), source("2", "bad2")])
    assert sorted(lint.asked) == sorted(set(lint.asked))
    assert sorted(types.asked) == sorted(set(types.asked))


async def test_after_a_slow_proof_no_other_is_looked_for() -> None:
    class Slow(Played):
        async def check(self, document: Document, *, limit_s: float = 30.0, others: object = ()) -> Report:
            if document.text != TEXT:
                await asyncio.sleep(pipeline._SLOW_S)  # that is what is slow about it
            return await super().check(document, limit_s=limit_s, others=others)

    outcome = await repair(DOCUMENT, TARGET, checkers=[Slow(step=Step.TYPES)], sources=[source("2", "3")])
    assert [one.title for one in outcome.repairs] == ["to 2"]


async def test_guesses_are_no_repairs() -> None:
    async def find() -> Found:
        return Found(tuple(change(new, guess=True) for new in ("2", "3", "4", "5")))

    outcome = await repair(DOCUMENT, TARGET, checkers=[Played()], sources=[Source("names near by", find)])
    assert outcome.repairs == ()
    assert [one.title for one in outcome.guesses] == ["to 2", "to 3", "to 4"]
    assert outcome.sentence() == "No verified fix, but guesses that pass played: to 2; to 3; to 4."
    after = [Source("names near by", find), source("6")]
    sure = await repair(DOCUMENT, TARGET, checkers=[Played()], sources=after)
    assert ([one.title for one in sure.repairs], sure.guesses) == (["to 6"], ())


async def test_cancelling_stops_between_steps() -> None:
    waiting = asyncio.Event()

    async def pause() -> None:
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(repair(DOCUMENT, TARGET, checkers=[Played()], sources=[source("2")], pause=pause))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_source_that_hangs_is_given_up() -> None:
    async def find() -> Found:
        await asyncio.Event().wait()
        return Found()

    outcome = await repair(DOCUMENT, TARGET, checkers=[Played()], sources=[Source("hanging", find)], limit_s=0.0)
    assert outcome.repairs == ()
    assert "longer than" in outcome.sentence() or "too long" in outcome.sentence()


async def test_progress_goes_forward() -> None:
    seen: list[float] = []
    sources = [source("bad1"), source("2")]
    await repair(
        DOCUMENT, TARGET, checkers=[Played()], sources=sources, progress=lambda _, fraction: seen.append(fraction)
    )
    assert seen == sorted(seen)
    assert all(0 <= fraction <= 1 for fraction in seen)


async def test_a_rewriting_may_not_bring_complaints() -> None:
    text = "one = 1\n"
    baseline = Baseline(Document("file:///a.py", "python", 1, text))
    for new, accepted in (("one = 2\n", True), ("one = bad\n", False), (text, False)):
        candidate = Candidate.of_text(text, new, "chat", "t")
        assert (await no_worse(baseline, candidate, [Played()])).accepted is accepted
    failing = await no_worse(baseline, Candidate.of_text(text, "one = 2\n", "chat", "t"), [Played(fails="gone")])
    assert not failing.accepted


async def test_fixes_of_a_checker_that_are_no_edits_of_the_text_are_passed_over() -> None:
    class Offering(Played):
        async def check(self, document: Document, *, limit_s: float = 30.0, others: object = ()) -> Report:
            report = await super().check(document, limit_s=limit_s)
            edits = [
                (Edit(AT, AT + 3, "4"), Edit(AT + 1, AT + 2, "5")),
                (Edit(5, len(TEXT) + 9, ""),),
                (Edit(AT, AT + 3, "2"),),
            ]
            return replace(report, fixes=tuple(Fix(one, each, "") for one in report.diagnostics for each in edits))

    checker = Offering()
    outcome = await repair(
        DOCUMENT, TARGET, checkers=[checker], sources=[of_checkers(Baseline(DOCUMENT), TARGET, [checker])]
    )
    assert [one.candidate.text for one in outcome.repairs] == [TEXT.replace("bad", "2")]
