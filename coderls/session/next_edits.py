"""Which edit is offered next in a document, what became of it, and what the user does not want to be offered again."""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coderls.document import Document, Edit
from coderls.next_edit.history import History
from coderls.repair.diagnostic import Diagnostic
from coderls.session.engine_link import import_heavy
from coderls.session.fresh_fixes import Found, FreshFixes
from coderls.session.tally import Tally
from coderls.stats import NEXT_EDIT, Offered

if TYPE_CHECKING:
    from coderls.next_edit.rules import FollowUp
    from coderls.repair.pipeline import Repair

logger = logging.getLogger(__name__)

#: Nothing is looked for while keys follow each other faster than this (seconds).
_REST_S = 0.15
#: So long what was rejected is not offered again in its document, whatever the place (seconds).
_SULKS_S = 300.0


@dataclass(frozen=True, slots=True)
class NextEditOffer:
    """An edit of one version of a document. `kind`: "repeat" (as the last edits) or "repair" (a verified fix).

    `reason` is one line. `evidence`: who checked a repair. `more`: how many like it would follow.
    """

    number: int
    document: Document
    edit: Edit
    kind: str
    reason: str
    evidence: tuple[str, ...] = ()
    more: int = 0


class NextEdits:
    """One session's. `documents` are open; in those that are `lost` nothing is offered.

    `told` hears of a version for which something was found that no key brought about.
    """

    def __init__(
        self, documents: Mapping[str, Document], lost: Collection[str], tally: Tally, told: Callable[[Document], None]
    ) -> None:
        self._documents = documents
        self._lost = lost
        self._tally = tally
        self._told = told
        self._fixes: dict[str, FreshFixes] = {}
        self._enabled = True
        self._histories: dict[str, History] = {}
        self._changed_at: dict[str, float] = {}
        self._known: dict[str, tuple[Document, tuple[FollowUp, ...]]] = {}
        self._standing: dict[str, tuple[NextEditOffer, Found]] = {}
        self._taken: dict[str, tuple[str, tuple[str, str]]] = {}  # the text before the last one that was taken
        self._unwanted: dict[tuple[str, tuple[str, str]], float] = {}

    def use(self, *, enabled: bool) -> None:
        """Whether anything is offered at all."""
        self._enabled = enabled

    # Documents.

    def opened(self, document: Document) -> None:
        """A document was opened: nothing has been changed in it."""
        self.closed(document.uri)
        self._forget_beside(document.uri)
        self._histories[document.uri] = History(document)

    def changed(self, document: Document) -> None:
        """A new version. What was offered for the one before was taken, or is over."""
        uri = document.uri
        self._forget_beside(uri)
        self._changed_at[uri] = time.monotonic()
        self._known.pop(uri, None)
        undone, standing = self._taken.pop(uri, None), self._standing.get(uri)
        if undone is not None and document.text == undone[0]:  # it was not wanted
            self._unwanted[uri, undone[1]] = time.monotonic() + _SULKS_S
        if standing is not None:
            offer, found = standing
            taken = document.text == offer.document.apply(offer.edit).text
            self._end(uri, "accepted" if taken else "passed")
            if taken:
                self._taken[uri] = (offer.document.text, found.mark)
        if uri in self._histories:
            self._histories[uri].changed(document)
        else:
            self._histories[uri] = History(document)

    def closed(self, uri: str) -> None:
        """A document is gone, or its text is not known any more."""
        self._end(uri, "passed")
        self._histories.pop(uri, None)
        self._known.pop(uri, None)
        self._changed_at.pop(uri, None)
        self._fixes.pop(uri, None)
        self._taken.pop(uri, None)
        self._unwanted = {key: until for key, until in self._unwanted.items() if key[0] != uri}

    def looked(
        self, document: Document, complaints: Sequence[Diagnostic], proved: Sequence[tuple[Diagnostic, Repair]]
    ) -> None:
        """Idle work has found out what checkers complain about in a version, and what mends some of it."""
        history = self._histories.get(document.uri)
        if history is None or history.document is not document or not self._enabled:
            return
        fixes = self._fixes.setdefault(document.uri, FreshFixes())
        fixes.looked(document, complaints, proved, history.changes())
        if fixes.of(document):
            self._told(document)

    def _forget_beside(self, uri: str) -> None:
        """What is verified in other documents was so beside another text of this one."""
        for other, fixes in self._fixes.items():
            if other != uri:
                fixes.forget()

    # What is offered.

    async def at(self, document: Document, offset: int, *, typing: bool) -> NextEditOffer | None:
        """The next edit of a snapshot, for a cursor at `offset`; the same one has the same number.

        `typing`: the next letter goes to the cursor. None while that is in the word of the last change, and when the
        document has moved on meanwhile.
        """
        uri = document.uri
        history = self._histories.get(uri)
        if not self._enabled or uri in self._lost or history is None or history.document is not document:
            return None
        changes = history.changes()
        if not changes or (typing and changes[0].is_at(offset, document.text)):
            self._end(uri, "passed")
            return None
        began = time.monotonic()
        await asyncio.sleep(max(0.0, self._changed_at.get(uri, 0.0) + _REST_S - began))
        if self._documents.get(uri) is not document:
            return None
        found = await self._found(document, offset, history)
        if self._documents.get(uri) is not document or not self._enabled:
            return None
        return self._offered(document, found, (time.monotonic() - began) * 1000)

    def taken(self, number: int) -> None:
        """The editor says that offer `number` was taken. Its next version says so too."""
        uri = self._uri_of(number)
        if uri is not None:
            self._end(uri, "accepted")

    def rejected(self, number: int) -> None:
        """The user does not want it: the same is not offered in this document for a while, wherever."""
        uri = self._uri_of(number)
        if uri is not None:
            self._unwanted[uri, self._standing[uri][1].mark] = time.monotonic() + _SULKS_S
            self._end(uri, "rejected")

    async def _found(self, document: Document, offset: int, history: History) -> Found | None:
        uri, loop = document.uri, asyncio.get_running_loop()
        try:
            heavy = await loop.run_in_executor(None, import_heavy)
            rules = await loop.run_in_executor(None, importlib.import_module, "coderls.next_edit.rules")
            known = self._known.get(uri)
            if known is None or known[0] is not document:
                follow = await loop.run_in_executor(
                    None, rules.follow_ups, document, history.changes(), heavy.parse_file
                )
                self._known[uri] = known = (document, follow)
            wanted = [one for one in known[1] if not self._is_unwanted(uri, one.pair)]
            edit = await loop.run_in_executor(None, rules.next_edit, document, offset, wanted, heavy.parse_file)
        except Exception:  # a rule that fails must not cost an editor its cursor
            logger.exception("No next edit could be looked for.")
            return None
        if edit is not None:
            return Found(edit.edit, "repeat", edit.reason, edit.pair, more=edit.more)
        fixes = self._fixes[uri].of(document) if uri in self._fixes else ()
        return next((one for one in fixes if not self._is_unwanted(uri, one.mark)), None)

    def _offered(self, document: Document, found: Found | None, milliseconds: float) -> NextEditOffer | None:
        uri = document.uri
        standing = self._standing.get(uri)
        if standing is not None and standing[0].document is document and standing[1] == found:
            return standing[0]
        self._end(uri, "passed")
        if found is None:
            return None
        characters = len(found.edit.new_text)
        offered = Offered(document.language_id, NEXT_EDIT, found.kind, False, characters, milliseconds)
        number = self._tally.showing_edit(offered)
        offer = NextEditOffer(number, document, found.edit, found.kind, found.reason, found.evidence, found.more)
        self._standing[uri] = (offer, found)
        return offer

    def _is_unwanted(self, uri: str, mark: tuple[str, str]) -> bool:
        return self._unwanted.get((uri, mark), 0.0) > time.monotonic()

    def _uri_of(self, number: int) -> str | None:
        return next((uri for uri, (offer, _) in self._standing.items() if offer.number == number), None)

    def _end(self, uri: str, kind: Any) -> None:
        standing = self._standing.pop(uri, None)
        if standing is not None:
            offer = standing[0]
            self._tally.edit_ended(offer.number, kind, len(offer.edit.new_text) if kind == "accepted" else 0)
