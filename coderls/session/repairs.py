"""The repairs of a session: what is offered at once, what is looked for when it is asked for, and what when idle.

An offer has a number, and belongs to one version of one document. Whatever is proved for a version is kept until the
next one comes: then all work on the old one is stopped, and its offers yield no edit any more.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from coderls.document import Document
from coderls.errors import CoderlsError
from coderls.repair.diagnostic import Diagnostic
from coderls.session.engine_link import EngineLink
from coderls.session.fixes import Known, Offer, Offered, Resolved, apart, meets, resolved_by, same
from coderls.session.index_link import IndexLink
from coderls.session.repair_work import RepairWork
from coderls.session.ui import Client, Progress
from coderls.settings import RepairSettings

if TYPE_CHECKING:
    from coderls.repair.candidate import Candidate
    from coderls.repair.pipeline import Outcome, Repair
    from coderls.session.workshop import Job, Workshop

logger = logging.getLogger(__name__)

#: So many complaints of one place get an offer.
_MOST_COMPLAINTS = 12
#: Rest after the last change until fixes are looked for unasked, and for how many complaints (seconds).
_REST_S, _WHEN_IDLE = 1.5, 3
_STALE = "The document has changed since this was offered. Ask for actions again."
_LATER = "The document has changed meanwhile."


class Repairs:
    """One session's. `work` does what takes a while, and knows whether the workspace is trusted."""

    def __init__(
        self, client: Client, documents: Mapping[str, Document], lost: set[str], engine: EngineLink, index: IndexLink
    ) -> None:
        self.work = RepairWork(client, documents, engine, index)
        self._client = client
        self._documents = documents
        self._lost = lost
        self._engine = engine
        self._settings = RepairSettings()
        self._offered = Offered()
        self._known: dict[str, Known] = {}
        self._idle: asyncio.Task[None] | None = None
        self._published: set[str] = set()
        self._told: set[tuple[str, int, str]] = set()
        self._turn = asyncio.Lock()
        #: Called when the idle work on a version has ended: its complaints, and what mends some of them.
        self.on_looked: Callable[[Document, Sequence[Diagnostic], Sequence[tuple[Diagnostic, Repair]]], None] = _nobody

    def use(self, settings: RepairSettings) -> None:
        """Other settings than before: what was found with the old ones is forgotten."""
        if settings == self._settings:
            return
        self._settings = settings
        self._stop_idle()
        self._known.clear()
        self.work.use(settings)
        if settings.diagnostics == "off":
            for uri in self._published:
                self._client.publish(uri, None, ())
            self._published.clear()

    async def close(self) -> None:
        """Stop everything."""
        self._stop_idle()
        await self.work.close()

    # Documents.

    def changed(self, document: Document) -> None:
        """A new version: nothing that is known of the old one holds."""
        self._forget(document.uri)
        self._plan(document)

    def saved(self, uri: str) -> None:
        """The editor has saved a document."""
        document = self._documents.get(uri)
        if document is not None and self._settings.enabled and self._settings.diagnostics == "onSave":
            self.work.keep(self._check_saved(document))

    def closed(self, uri: str) -> None:
        """The editor has closed a document: its complaints are nobody's any more."""
        self._forget(uri)
        if uri in self._published:
            self._published.discard(uri)
            self._client.publish(uri, None, ())

    # What is offered.

    def offers(
        self, document: Document, start: int, end: int, complaints: Sequence[Diagnostic], *, told: bool
    ) -> list[Offer]:
        """What can be done about the complaints that the editor sends and those of our own in `start`..`end`.

        At once: verified fixes that are known, and for each complaint one to look for. `told`: the user asked.
        """
        if not self._settings.enabled or document.uri in self._lost:
            return []
        known = self._known_of(document)
        own = [one for one in known.own or () if meets(one, start, end) and not any(same(one, c) for c in complaints)]
        every = list(dict.fromkeys([*complaints, *own]))[:_MOST_COMPLAINTS]
        known.asked_about = tuple(every)
        offered: list[Offer] = []
        for one in every:
            offered += self._offered.about(known, one, told=told, unverified=self._settings.unverified)
        if any(one not in known.outcomes for one in every) and (self._idle is None or self._idle.done()):
            self._plan(document)  # not again and again while it is planned: editors ask at each move of the cursor
        unique = {(offer.edits, offer.about if offer.edits is None else ()): offer for offer in reversed(offered)}
        return sorted(unique.values(), key=lambda offer: (not offer.verified, offer.edits is None, offer.number))

    def all_of(self, document: Document) -> list[Offer]:
        """All that was verified for this version, as one: for "fix all" on save and by hand."""
        if not self._settings.enabled:
            return []
        known = self._known_of(document)
        chosen = apart([(one, outcome.repairs[0]) for one, outcome in known.outcomes.items() if outcome.repairs])
        if not chosen:
            return []
        title = "Apply all verified fixes" if len(chosen) > 1 else f"Apply the verified fix: {chosen[0][1].title}"
        return [self._offered.add("all", title, document, about=tuple(one for one, _ in chosen))]

    def rewriting(self, document: Document, start: int, end: int) -> bool:
        """Whether lines of this document can be rewritten by an instruction: there is a chat model to ask."""
        if not self._settings.enabled or start == end or document.uri in self._lost or self._settings.chat == "off":
            return False
        engine = self._engine.engine
        named = engine.health.model.lower() if engine is not None else ""
        return bool(self._settings.url) or self._settings.chat == "on" or "instruct" in named or "chat" in named

    # What is looked for when it is asked for.

    async def resolve(self, number: int, bar: Progress | None = None) -> Resolved:
        """The edits of an offer, or why there are none. Cancelling stops the search."""
        offer = self._offered.get(number)
        if offer is None:
            return Resolved(reason=_STALE)
        resolved = await self._resolved(offer, bar)
        if self._documents.get(offer.document.uri) is not offer.document:
            resolved = Resolved(reason=_STALE if offer.edits is not None else _LATER)
        if resolved.edits is None:
            self._tell(offer, resolved.reason)
        return resolved

    async def rewrite(
        self, document: Document, start: int, end: int, instruction: str, bar: Progress | None = None
    ) -> Resolved:
        """The lines of `start`..`end` as the instruction wants them, if no checker has a new complaint about it."""
        reason = self._why_not(document) or ("" if instruction.strip() else "It needs an instruction in words.")
        if reason:
            return Resolved(reason=reason)
        outcome = await self.work.stoppable(
            document,
            "Rewriting",
            bar,
            lambda workshop, job, report: workshop.rewrite(job, start, end, instruction, report),
        )
        if outcome is None or self._documents.get(document.uri) is not document:
            return Resolved(reason=_LATER)
        if outcome.repairs:
            return resolved_by(document, outcome.repairs[0])
        if self._settings.unverified and outcome.unverified:
            candidate, reason = outcome.unverified[0]
            said = f"Not verified: {reason}"
            return Resolved(document, candidate.edits, candidate.title, (said,), made_by_model=True, verified=False)
        return Resolved(reason=outcome.sentence().replace("No verified fix.", "No rewriting that passes its checks."))

    async def check(self, document: Document) -> tuple[Diagnostic, ...]:
        """Ask all checkers about a document, and show the editor what they say."""
        reason = "" if self._settings.enabled else "Repairs are switched off (option repair.enabled)."
        if reason:
            raise CoderlsError(reason)
        known = self._known_of(document)
        found = await self.work.stoppable(
            document, "Checking", None, lambda workshop, job, _: workshop.diagnostics(job)
        )
        if found is None or self._documents.get(document.uri) is not document:
            return ()
        known.own = found
        self._published.add(document.uri)
        self._client.publish(document.uri, document, found)
        return found

    async def _resolved(self, offer: Offer, bar: Progress | None) -> Resolved:
        document = offer.document
        reason = self._why_not(document) or offer.reason
        if reason:
            return Resolved(reason=reason)
        if offer.edits is not None:
            return Resolved(
                document, offer.edits, offer.title, offer.evidence, offer.made_by_model, verified=offer.verified
            )
        if offer.kind == "all":
            return await self._all_resolved(offer, bar)
        [complaint] = offer.about
        outcome = await self._outcome(document, complaint, bar)
        if outcome is None:
            return Resolved(reason=_LATER)
        return resolved_by(document, outcome.repairs[0]) if outcome.repairs else Resolved(reason=outcome.sentence())

    async def _all_resolved(self, offer: Offer, bar: Progress | None) -> Resolved:
        known = self._known_of(offer.document)
        proved = [
            (one, outcome.repairs[0]) for one in offer.about if (outcome := known.outcomes.get(one)) and outcome.repairs
        ]
        chosen: list[tuple[Diagnostic, Candidate]] = [(one, repair.candidate) for one, repair in apart(proved)]
        if not chosen:
            return Resolved(reason=_STALE)
        whole = await self.work.stoppable(
            offer.document, "Checking all fixes", bar, lambda workshop, job, _: workshop.together(job, chosen)
        )
        if whole is None:
            return Resolved(reason="The fixes do not pass their checks when they are applied together.")
        return resolved_by(offer.document, whole)

    async def _outcome(self, document: Document, complaint: Diagnostic, bar: Progress | None) -> Outcome | None:
        """What comes of looking for a fix everywhere; None where the document has moved meanwhile."""
        self._stop_idle()
        known = self._known_of(document)

        async def look(workshop: Workshop, job: Job, report: Callable[[str, float], None]) -> Outcome:
            async with self._turn:
                before = known.outcomes.get(complaint)
                if before is not None and (before.repairs or complaint in known.whole):
                    return before
                outcome = await workshop.repair(job, complaint, report, self.work.pause)
                known.outcomes[complaint] = outcome
                known.whole.add(complaint)
                return outcome

        return await self.work.stoppable(document, "Looking for a verified fix", bar, look)

    def _why_not(self, document: Document) -> str:
        """Why nothing is changed in this document, whatever is found; "" where it may be."""
        if self._documents.get(document.uri) is not document:
            return _STALE
        if document.uri in self._lost:
            return "A change of this document was lost. Close it and open it again."
        path = document.path
        return f"{path.name} is read-only." if path is not None and _is_read_only(path) else ""

    def _tell(self, offer: Offer, reason: str) -> None:
        """Say once what was tried: editors resolve some actions unasked, and some again and again."""
        self._client.log(f"{offer.title}: {reason}")
        key = (offer.document.uri, offer.document.version, reason)
        if offer.told and key not in self._told:
            self._told.add(key)
            self._client.show("info", reason)

    # When idle.

    def _plan(self, document: Document) -> None:
        """Look for fixes in this document when the user rests."""
        self._stop_idle()
        if self._settings.enabled and self._settings.when_idle and document.uri not in self._lost:
            self._idle = asyncio.ensure_future(self._when_idle(document))

    async def _when_idle(self, document: Document) -> None:
        await asyncio.sleep(_REST_S)
        await self.work.pause()
        try:
            await self._engine.spare_battery()
            workshop = await self.work.workshop()
            known = self._known_of(document)  # first: what is found out holds for what is open now
            job = await self.work.job(document, idle=True)
            if known.own is None:
                known.own = await workshop.diagnostics(job)
            for complaint in dict.fromkeys([*known.asked_about, *known.own][: 2 * _WHEN_IDLE]):
                if complaint not in known.outcomes and len(known.outcomes) < _WHEN_IDLE:
                    async with self._turn:
                        known.outcomes[complaint] = await workshop.repair(job, complaint, _unheard, self.work.pause)
            found = [(one, outcome.repairs[0]) for one, outcome in known.outcomes.items() if outcome.repairs]
            if self._known_of(document) is known:  # nothing that was read along has changed meanwhile
                self.on_looked(document, known.own, found)
        except CoderlsError as error:
            logger.info("No fixes were looked for when idle: %s", error)
        except Exception:
            logger.exception("Looking for fixes when idle failed.")

    async def _check_saved(self, document: Document) -> None:
        with suppress(CoderlsError):
            await self.check(document)

    def _stop_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self.work.wait_for_its_end(self._idle)
            self._idle = None

    def _known_of(self, document: Document) -> Known:
        """What is known of this version, while the documents that were read along with it are what they were."""
        known, beside = self._known.get(document.uri), self.work.beside(document)
        if known is None or not known.holds_for(document, beside):
            known = self._known[document.uri] = Known(document, beside)
        return known

    def _forget(self, uri: str) -> None:
        self._known.pop(uri, None)
        self._told = {key for key in self._told if key[0] != uri}
        if self._idle is not None:
            self._stop_idle()
        self.work.stop(uri)


def _is_read_only(path: Path) -> bool:
    """Whether nobody may write the file (not even its owner), or not we."""
    try:
        return not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK)
    except OSError:
        return False  # a new file, which is only in the editor


def _nobody(_document: Document, _own: Sequence[Diagnostic], _found: Sequence[tuple[Diagnostic, Repair]]) -> None:
    """Nobody asked what idle work has found."""


def _unheard(_text: str, _fraction: float) -> None:
    """Nobody looks at the progress of idle work."""
