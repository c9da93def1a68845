"""What is offered to mend a document, and what became of an offer: values, and how they are told apart."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from coderls.document import Document, Edit
from coderls.repair.diagnostic import Diagnostic

if TYPE_CHECKING:
    from coderls.repair.pipeline import Outcome, Repair

Kind = Literal["fix", "all"]
_MESSAGE = 60
#: So many offers are remembered.
_MOST = 512


@dataclass(frozen=True)
class Offer:
    """Something to do with a document. `edits` None: it is looked for when the offer is resolved.

    `about` is the complaint that it mends. `evidence` says who checked it. `made_by_model`: a model wrote it.
    `reason` is set where it is known that nothing can be done. `told`: the user asked by hand, and may be told.
    """

    number: int
    kind: Kind
    title: str
    document: Document
    about: tuple[Diagnostic, ...] = ()
    edits: tuple[Edit, ...] | None = None
    evidence: tuple[str, ...] = ()
    made_by_model: bool = False
    preferred: bool = False
    verified: bool = True
    reason: str = ""
    told: bool = False


@dataclass(frozen=True)
class Resolved:
    """What became of an offer: the edits of `document`, or None and the `reason`."""

    document: Document | None = None
    edits: tuple[Edit, ...] | None = None
    title: str = ""
    evidence: tuple[str, ...] = ()
    made_by_model: bool = False
    verified: bool = True
    reason: str = ""


@dataclass
class Known:
    """What is known of one version of a document. `whole`: complaints for which everybody was asked. `beside`: the open
    documents that checkers read along with it."""

    document: Document
    beside: tuple[Document, ...] = ()
    outcomes: dict[Diagnostic, Outcome] = field(default_factory=dict)
    whole: set[Diagnostic] = field(default_factory=set)
    own: tuple[Diagnostic, ...] | None = None
    asked_about: tuple[Diagnostic, ...] = ()

    def holds_for(self, document: Document, beside: Sequence[Document]) -> bool:
        """Whether nothing of all this has another version by now."""
        mine, others = (self.document, *self.beside), (document, *beside)
        return len(mine) == len(others) and all(one is other for one, other in zip(mine, others, strict=True))


class Offered:
    """The offers that were made lately, by their numbers."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Offer] = OrderedDict()
        self._last = 0

    def get(self, number: int) -> Offer | None:
        """The offer of this number; None for one that is too old, or never was."""
        return self._kept.get(number)

    def about(self, known: Known, complaint: Diagnostic, *, told: bool, unverified: bool) -> list[Offer]:
        """What can be done about one complaint, by what is known of it."""
        outcome = known.outcomes.get(complaint)
        document = known.document
        said = short(complaint.message)
        if outcome is None or not (outcome.repairs or complaint in known.whole):
            title = f"Find a verified fix: {said}"
            guesses = () if outcome is None else outcome.guesses
            return [
                self.add("fix", title, document, about=(complaint,), told=told),
                *(self._add_guess(document, complaint, repair) for repair in guesses),
            ]
        found = [
            self._add_repair(document, complaint, repair, preferred=not place)
            for place, repair in enumerate(outcome.repairs)
        ]
        if not found:
            found = [self._add_guess(document, complaint, repair) for repair in outcome.guesses]
        if not found and unverified:
            found = [
                self.add(
                    "fix",
                    f"Unverified: {candidate.title} ({short(reason)})",
                    document,
                    about=(complaint,),
                    edits=candidate.edits,
                    evidence=(f"Not verified: {reason}",),
                    made_by_model=candidate.origin != "rule",
                    verified=False,
                )
                for candidate, reason in outcome.unverified
            ]
        if found:
            return found
        title = f"No verified fix: {said}"
        return [self.add("fix", title, document, about=(complaint,), reason=outcome.sentence(), told=told)]

    def _add_repair(self, document: Document, complaint: Diagnostic, repair: Repair, *, preferred: bool) -> Offer:
        return self.add(
            "fix",
            f"{repair.title} (verified: {repair.proved_by})",
            document,
            about=(complaint,),
            edits=repair.candidate.edits,
            evidence=repair.evidence,
            made_by_model=repair.candidate.origin != "rule",
            preferred=preferred,
        )

    def _add_guess(self, document: Document, complaint: Diagnostic, repair: Repair) -> Offer:
        """One of several ways that would pass: nobody prefers it, and what it does is confirmed before."""
        return self.add(
            "fix",
            f"Guess: {repair.title} (passes {repair.proved_by})",
            document,
            about=(complaint,),
            edits=repair.candidate.edits,
            evidence=("A guess: others may pass the same checks", *repair.evidence),
            made_by_model=repair.candidate.origin != "rule",
            verified=False,
        )

    def add(self, kind: Kind, title: str, document: Document, **more: Any) -> Offer:
        """A new offer, with a number of its own."""
        self._last += 1
        offer = Offer(self._last, kind, title, document, **more)
        self._kept[offer.number] = offer
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return offer


def resolved_by(document: Document, repair: Repair) -> Resolved:
    """An offer that a proved repair settles."""
    candidate = repair.candidate
    title = f"{repair.title} (verified: {repair.proved_by})"
    return Resolved(document, candidate.edits, title, repair.evidence, candidate.origin != "rule")


def apart(proved: Sequence[tuple[Diagnostic, Repair]]) -> list[tuple[Diagnostic, Repair]]:
    """Those whose edits neither overlap nor touch, from the top; the same edits count once."""
    chosen: list[tuple[Diagnostic, Repair]] = []
    for one, repair in sorted(proved, key=lambda pair: pair[1].candidate.edits[0].start):
        taken = [edit for _, other in chosen for edit in other.candidate.edits]
        mine = repair.candidate.edits
        if all(edit.end < other.start or other.end < edit.start for edit in mine for other in taken):
            chosen.append((one, repair))
    return chosen


def meets(one: Diagnostic, start: int, end: int) -> bool:
    """Whether a complaint lies in `start`..`end`, or touches it."""
    return one.start <= end and start <= one.end


def same(one: Diagnostic, other: Diagnostic) -> bool:
    """Whether two tools, or one tool by two ways, complain about the same."""
    return meets(one, other.start, other.end) and (one.key == other.key or (bool(one.rule) and one.rule == other.rule))


def short(message: str) -> str:
    """A message as a part of a title."""
    line = " ".join(message.split())
    return line if len(line) <= _MESSAGE else line[: _MESSAGE - 1] + "…"
