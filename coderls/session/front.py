"""The session: what the method table calls."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coderls.document import Document
from coderls.fim.reuse import Place
from coderls.fim.triggers import exclusion
from coderls.records.folder import notice
from coderls.session.engine_link import EngineLink, import_heavy
from coderls.session.index_link import IndexLink
from coderls.session.next_edits import NextEditOffer, NextEdits
from coderls.session.notebooks import Notebooks
from coderls.session.offering import Offering
from coderls.session.owing import Owing
from coderls.session.power import Power
from coderls.session.repairs import Repairs
from coderls.session.status import Pace, Status, status_of
from coderls.session.tally import Tally
from coderls.session.ui import Client
from coderls.settings import Problem, Settings, parse_settings

if TYPE_CHECKING:
    from coderls.completion import Completion

logger = logging.getLogger(__name__)


class Session:
    """One editor's documents, settings, engine and index.

    Order of calls: `initialize`, then `start`, then anything, at last `close`. Documents are swapped whole by
    `open` and `change`, so a document that was handed out stays as it was.
    `records`: the folder for records of completions. It is no option: those can come with a project.
    """

    def __init__(self, client: Client, records: Path | None = None) -> None:
        self.settings = Settings()
        self.documents: dict[str, Document] = {}
        self.lost: set[str] = set()  # documents whose text is not the editor's any more
        self.notebooks = Notebooks()
        self._client = client
        self._engine = EngineLink(client, self._engine_changed)
        self._pace = Pace()
        self._told: Status | None = None
        self._index = IndexLink(client, self.documents.values)
        self._last: dict[str, Completion] = {}
        self._took_ms: dict[str, float] = {}
        self._tally = Tally(lambda uri: self.documents[uri].text if uri in self.documents else None)
        self._records = records
        self._offering = Offering(
            self.documents,
            self._engine,
            self._index,
            self._tally.rhythm,
            notebooks=self.notebooks,
            records=records,
            answered=self._answered,
            trusted=lambda: self.repairs.work.trusted,
        )
        self._owing = Owing(self._weighed, self._may_weigh)
        self._power = Power()
        self._paused = False
        self._initial: Any = None
        self._shown: set[Problem] = set()
        self.repairs = Repairs(client, self.documents, self.lost, self._engine, self._index)
        self._next_edits = NextEdits(self.documents, self.lost, self._tally, client.next_edit_found)
        self.repairs.on_looked = self._next_edits.looked

    # Life.

    def initialize(self, folders: Sequence[Path], options: Any) -> None:
        """Keep what the client said. Nothing that takes time: its reply is waiting."""
        self._index.folders = list(folders)
        self._initial, self.repairs.work.trusted = _without_trust(options)
        self.repairs.use(parse_settings(_own_section(self._initial))[0].repair)  # a fix may be asked for at once

    async def start(self) -> None:
        """After `initialized`: read the options, find or start the engine, index the workspace."""
        if self._records is not None:
            self._client.show("warning", notice(self._records))
        await self._read_options(await self._client.options())
        self._engine.use(self.settings.engine)
        self._tell_status()
        self._index.start(enabled=self.settings.context.enabled)
        self._index.watched(by_client=await self._client.watch_files())

    async def close(self) -> None:
        """Stop everything of this session; the engine process stays for others."""
        await self._offering.aclose()
        self._owing.stop()
        self._index.close()
        await self.repairs.close()
        await self._engine.close()
        await asyncio.to_thread(self._tally.close)

    # Documents.

    def open(self, document: Document) -> None:
        """The editor has opened a document; its text counts from now on, not the disk's."""
        self.documents[document.uri] = document
        self.lost.discard(document.uri)
        self._offering.opened(document)
        self._index.changed(document)
        self._next_edits.opened(document)
        self.repairs.changed(document)

    def change(self, document: Document) -> None:
        """The editor has a new version. Answers to questions about the old one are not wanted any more."""
        self.documents[document.uri] = document
        self.lost.discard(document.uri)
        self._offering.changed(document)
        self._owing.stop()
        self._tally.changed(document)
        self._next_edits.changed(document)
        self._index.changed(document)
        self.repairs.changed(document)

    def lose(self, uri: str) -> None:
        """A change of a document could not be read. What we hold is not its text any more: complete nothing in it.

        It is found again when its whole text comes. Of a notebook all cells are lost.
        """
        gone = [one for one in (uri, *self.notebooks.cells_of(uri)) if one in self.documents and one not in self.lost]
        for one in gone:
            self.lost.add(one)
            self._offering.stop(one)
            self._next_edits.closed(one)
            self.repairs.closed(one)
        if gone:
            self._client.show(
                "warning",
                f"The editor sent a change of {uri.rsplit('/', 1)[-1]} that cannot be read. "
                "There are no completions in it until it is closed and opened again.",
            )

    def shut(self, uri: str) -> None:
        """The editor has closed a document."""
        document = self.documents.pop(uri, None)
        self._last.pop(uri, None)
        self._took_ms.pop(uri, None)
        self.lost.discard(uri)
        self._offering.closed(uri)
        self._next_edits.closed(uri)
        self._tally.closed(uri)
        self.repairs.closed(uri)
        if document is not None:
            self._index.closed(document)

    # The workspace.

    def files_changed(self, paths: Sequence[Path]) -> None:
        """Files were made, changed or removed on disk."""
        self._index.files_changed(paths)

    def folders_changed(self, added: Sequence[Path], removed: Sequence[Path]) -> None:
        """Workspace folders came and went."""
        folders = [folder for folder in self._index.folders if folder not in removed]
        self._index.use([*folders, *(folder for folder in added if folder not in folders)])

    async def options_changed(self, sent: Any) -> None:
        """The user changed options; `sent` came with the news, the client's own store knows better."""
        pulled = await self._client.options()
        await self._read_options(sent if pulled is None else pulled)
        self._engine.use(self.settings.engine)
        self._tell_status(again=True)
        self._index.start(enabled=self.settings.context.enabled)

    async def _read_options(self, pulled: Any) -> None:
        """Settings from what came with `initialize`, and over it what was pulled; each problem is shown once."""
        base, problems = parse_settings(_own_section(self._initial))
        self.settings, more = parse_settings(_own_section(pulled), base)
        self._tally.enabled = self.settings.stats.enabled
        self._next_edits.use(enabled=self.settings.next_edit.enabled)
        self.repairs.use(self.settings.repair)
        self._offering.use(self.settings)
        for problem in [*problems, *more]:
            if problem not in self._shown:
                self._shown.add(problem)
                self._client.show("warning", problem.message)

    # What it says of itself.

    def pause(self, paused: bool) -> None:
        """No completions without being asked by a key, or again."""
        self._paused = paused
        self._tell_status()

    def status(self) -> Status:
        """The state of the session, for a status bar."""
        enabled = self.settings.completion.enabled
        return status_of(self._engine.state, paused=self._paused, enabled=enabled, slow_s=self._pace.slow_s)

    def excluded(self, uri: str) -> str:
        """Why nothing is ever completed in an open document, in a few words; "" where that is not so."""
        document = self.documents.get(uri)
        if document is None:
            return "the document is not open"
        if uri in self.lost:
            return "a change of it was lost: close it and open it again"
        return exclusion(document, self.settings.completion)

    def _engine_changed(self) -> None:
        if self._engine.state.kind == "ready":
            self._offering.opened(*self.documents.values())
        else:
            self._pace.forget()
        self._tell_status()

    def _tell_status(self, *, again: bool = False) -> None:
        """Send the status if it is another one. `again`: even if not, since files may be excluded now."""
        status = self.status()
        if again or status != self._told:
            self._told = status
            self._client.status(status)

    # Requests.

    async def complete(self, document: Document, offset: int, *, invoked: bool) -> list[Completion]:
        """The completions at `offset` of a snapshot, the best first: one, or several where the user asked by a key.

        None at all when there is nothing to show, or no wish for it any more.
        Failures are logged, and shown where the user can do something: an editor asks at every keystroke, and
        must not be answered with an error at each.
        """
        if document.uri in self.lost or (self._paused and not invoked):
            return []
        self._owing.stop()
        began = time.monotonic()
        if invoked:
            self._tally.rhythm.invoked()
        found = await self._offering.at(Place(document, offset), invoked=invoked)
        if not found or self.documents.get(document.uri) is not document:
            return []
        milliseconds = (time.monotonic() - began) * 1000
        number = self._tally.showing(found, invoked=invoked, milliseconds=milliseconds)
        self._offering.shown(found[0])
        self._last[document.uri] = found[0]
        self._took_ms[document.uri] = milliseconds
        self._owing.shown(found[0])
        return [replace(completion, offer=number) for completion in found]

    def rests(self, document: Document, offset: int) -> None:
        """The cursor stands at `offset` of a snapshot, as far as the editor says."""
        if document.uri not in self.lost and not self._paused and self.documents.get(document.uri) is document:
            self._offering.rests(Place(document, offset))

    async def next_edit(self, document: Document, offset: int, *, typing: bool) -> NextEditOffer | None:
        """The edit that follows from the user's last ones in a snapshot (see `NextEdits.at`), or None."""
        self.rests(document, offset)
        if self._paused or exclusion(document, self.settings.completion):
            return None
        return await self._next_edits.at(document, offset, typing=typing)

    def accepted(self, number: int) -> None:
        """The user took the completion, or next edit, that was offer `number`."""
        self._next_edits.taken(number)
        self._tally.accepted(number)

    def partly_accepted(self, number: int, characters: int) -> None:
        """The user took the first `characters` (all that were taken so far) of offer `number`."""
        self._tally.partly(number, characters)

    def rejected(self, number: int) -> None:
        """The user dismissed it: the same text is not offered there again for a while."""
        self._next_edits.rejected(number)
        for shown in self._tally.rejected(number):
            self._offering.rejected(shown)

    def explain(self, uri: str) -> dict[str, Any] | None:
        """What the last completion that was shown in an open document was made from (`Completion.explained`), with its
        text, its line (from 1) and the milliseconds from its request to it, over all that was waited for (`took_ms`);
        None without one. And `influence`, where that was found out already (see `owing`).
        """
        completion = self._last.get(uri)
        if completion is None:
            return None
        owed = self._owing.known(completion)
        line = completion.document.line_of(completion.start) + 1
        shown = {"text": completion.text, "line": line, "took_ms": round(self._took_ms[uri], 2)}
        return shown | completion.explained() | ({} if owed is None else {"influence": owed["snippets"]})

    def _answered(self, made: list[Completion]) -> None:
        seconds = made[0].timings.total / 1000
        self._tally.rhythm.responded(seconds)
        if len(made) == 1 and not made[0].reused:
            self._pace.answered(seconds)
            self._tell_status()

    async def influence(self, uri: str) -> dict[str, Any] | None:
        """What its snippets were worth to the last completion of a document; None where nobody can say."""
        completion = self._last.get(uri)
        if completion is None:
            return None
        return self._owing.known(completion) or await self._weighed(completion, asked=True)

    def _may_weigh(self) -> bool:
        """Work that nobody asked for: not on battery, and not where the user wants none."""
        return self.settings.completion.ahead == "auto" and not self._power.on_battery()

    async def _weighed(self, completion: Completion, *, asked: bool = False) -> dict[str, Any] | None:
        engine = self._engine.engine
        if engine is None:
            return None
        heavy = import_heavy()
        found: dict[str, Any] | None = await heavy.influence_of(completion, engine, self.settings, asked=asked)
        return found


def _without_trust(options: Any) -> tuple[Any, bool]:
    """Options without `trusted`, and whether that was true: the editor's word, at the start and nowhere else.

    Settings can come from the workspace itself, and a workspace does not vouch for itself.
    """
    own = _own_section(options)
    if not isinstance(own, Mapping) or "trusted" not in own:
        return options, False
    return {key: value for key, value in own.items() if key != "trusted"}, own["trusted"] is True


def _own_section(options: Any) -> Any:
    """Options may come wrapped as an editor's settings file has them: `{"coderls": {...}}`."""
    if isinstance(options, Mapping) and set(options) == {"coderls"}:
        return options["coderls"]
    return options
