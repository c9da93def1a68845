"""What is offered at a cursor: the rest of something earlier, what was made ahead, or what the model says now."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from coderls.document import Document
from coderls.engine.api import NOT_CACHED
from coderls.errors import CoderlsError, EngineError, RequestRefused
from coderls.fim.anchor import Anchors
from coderls.fim.reuse import Memory, Place, Shown
from coderls.session.ahead import TOKENS, Ahead
from coderls.session.backdrops import Backdrops
from coderls.session.engine_link import EngineLink, import_heavy
from coderls.session.generations import Generations, Heard
from coderls.session.index_link import IndexLink
from coderls.session.local_words import LocalWords
from coderls.session.looking import Looking
from coderls.session.notebooks import Notebooks
from coderls.session.power import Power
from coderls.session.resting import Resting
from coderls.session.rhythm import Rhythm
from coderls.settings import Settings

if TYPE_CHECKING:
    from coderls.answer import AnswerCache
    from coderls.completion import Completion
    from coderls.own_parsers import OwnParsers, Processes
    from coderls.question import CompletionRequest, FirstLines, Tools
    from coderls.records.recorder import Recorder
    from coderls.session.heavy import Engine
    from coderls.steady import Steady

logger = logging.getLogger(__name__)

#: Ghost text that comes later than this helps nobody; it also ends requests to an engine that stalls.
LONGEST_S = 30.0
#: So long a text that was dismissed is not offered again at the same place.
_SULKS_S = 60.0
#: Whole lines are wanted after so long where the user names no deadline.
_FIRST_LINES_S = 1.0
#: Where they do, this part of it is for making the lines, and the rest for judging them.
_LINES_OF_DEADLINE = 0.85
#: So many of the texts shown last in a document are given to the engine as drafts.
_DRAFTS = 4


class _Due(NamedTuple):
    """When whole lines are wanted, and when there is an answer whatever is slow (`time.monotonic`; None: never)."""

    lines: float | None = None
    answer: float | None = None


class Offering:
    """One session's. `documents` are those that are open now; `answered` hears of each answer of the model; `trusted`
    says whether the folders are.

    Failures are logged, and shown where the user can do something.
    """

    def __init__(
        self,
        documents: Mapping[str, Document],
        engine: EngineLink,
        index: IndexLink,
        rhythm: Rhythm,
        *,
        notebooks: Notebooks,
        records: Path | None,
        answered: Callable[[list[Completion]], None],
        trusted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.settings = Settings()
        self._documents = documents
        self._engine = engine
        self._index = index
        self._rhythm = rhythm
        self._notebooks = notebooks
        self._records = records
        self._recorder: Recorder | None = None
        self._answered = answered
        self._trusted = trusted
        self._changed_at: dict[str, float] = {}
        self._generations: Generations[list[Completion]] = Generations()
        self._memory: Memory[Completion] = Memory()
        self._answers: AnswerCache | None = None
        self._steady: Steady | None = None
        self._answered_by: object = None
        self._anchors = Anchors()
        self._own: dict[Path | None, OwnParsers] = {}
        self._parsers: Processes | None = None
        self._looking = Looking()
        self._overdue: set[asyncio.Task[list[Completion]]] = set()
        self._power = Power()
        self._ahead = Ahead(self._ask_ahead, self._may_go_ahead)
        self._resting = Resting(self._read_ahead, self._may_go_ahead)
        self._words = LocalWords(index, lambda: records is None and not self._power.on_battery())
        self._backdrops = Backdrops(index, lambda: records is None and not self._power.on_battery())

    def use(self, settings: Settings) -> None:
        """With other settings, what was answered before would not be answered now."""
        if settings != self.settings:
            self.settings = settings
            self._forget()

    async def aclose(self) -> None:
        """Stop everything."""
        self._generations.stop_all()
        self._forget()
        if self._parsers is not None:
            await self._parsers.aclose()

    def opened(self, *documents: Document) -> None:
        """These can be asked about from now on: have their lines in tokens before somebody waits for it."""
        engine = self._engine.engine
        if engine is not None and documents:
            texts = [document.text for document in documents]
            asyncio.get_running_loop().run_in_executor(None, engine.model.get_ready, *texts)

    def changed(self, document: Document) -> None:
        """A new version: answers to questions about the old one are not wanted any more."""
        self._changed_at[document.uri] = time.monotonic()
        self._generations.supersede(document.uri)
        self._ahead.changed(document)
        self._resting.stop()

    def rests(self, place: Place) -> None:
        """The cursor is there, and nothing was typed: have the engine read what the first key will ask."""
        if self.settings.completion.enabled:
            self._resting.at(place)

    def stop(self, uri: str) -> None:
        """Nothing is known of a document any more, not even its text."""
        self._generations.stop(uri)

    def closed(self, uri: str) -> None:
        """A document is gone."""
        self._changed_at.pop(uri, None)
        self._generations.stop(uri)
        self._memory.forget(uri)

    def shown(self, completion: Completion) -> None:
        """This goes to the editor: be ready for what comes after it. What comes after first lines is on its way."""
        if completion.finish_reason != "deadline":
            self._ahead.shown(completion.shown)

    def rejected(self, shown: Shown[Completion]) -> None:
        """The user dismissed it: the same text is not offered there again for a while."""
        self._memory.reject(shown, time.monotonic())

    async def at(self, place: Place, *, invoked: bool) -> list[Completion]:
        """The completions at a place, the best first: one, or several where the user asked by a key.

        None where the user's deadline passes before there is a whole line: it is made all the same, for who asks next.
        """
        due = self._due(place, invoked)
        if due.answer is None:
            return await self._found(place, invoked, due)
        task = asyncio.ensure_future(self._found(place, invoked, due))
        try:
            await asyncio.wait([task], timeout=max(0.0, due.answer - time.monotonic()))
        except asyncio.CancelledError:
            task.cancel()
            raise
        if task.done():
            return task.result()
        self._overdue.add(task)
        task.add_done_callback(self._came_late)
        return []

    def _came_late(self, task: asyncio.Task[list[Completion]]) -> None:
        self._overdue.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("A completion failed after its deadline: %s", error)

    def _due(self, place: Place, invoked: bool) -> _Due:
        """Counted from now, or for an automatic request from the end of the user's delay."""
        deadline = self.settings.completion.deadline_ms
        if deadline == 0:
            return _Due()
        began = time.monotonic() + (0.0 if invoked else self._delay(place.document.uri))
        if deadline is None:
            return _Due(began + _FIRST_LINES_S)
        return _Due(began + deadline / 1000 * _LINES_OF_DEADLINE, began + deadline / 1000)

    async def _found(self, place: Place, invoked: bool, due: _Due) -> list[Completion]:
        self._resting.asked(place)
        found = await self._recall(place, invoked)
        if not found and not invoked:
            found = self._remembered(await self._ahead.at(place) or [])
        if found:
            self._generations.keep(place)  # these may be the first lines of what is still being made
            return found
        self._ahead.stop()
        found = await self._generated(place, invoked, due)
        if found and found[0].document is not place.document:  # it was on its way to this place, or seemed to be
            found = await self._recall(place, invoked, from_start=True) or await self._generated(place, invoked, due)
        return found

    async def _generated(self, place: Place, invoked: bool, due: _Due) -> list[Completion]:
        return await self._generations.run(place, lambda heard: self._make(place, invoked, heard, due)) or []

    async def _recall(self, place: Place, invoked: bool, *, from_start: bool = False) -> list[Completion]:
        """What is left of an earlier completion here: no model, and no waiting for the user's delay."""
        again = self._memory.find(place, from_start=from_start)
        if again is None:
            return []
        work = import_heavy()
        request = work.CompletionRequest(place.document, place.offset, invoked)
        found: Completion | None = await work.recall(request, again, parse=work.parse_file, settings=self.settings)
        return [] if found is None else [found]

    async def _make(self, place: Place, invoked: bool, heard: Heard, due: _Due) -> list[Completion]:
        """Completions by the model, and remembered."""
        if not self.settings.completion.enabled:
            return []
        if not invoked:
            self._look_around(place)
            if not await self._until_typing_rests(place.document.uri):
                return []
        engine = self._engine.wanted()
        if engine is None:
            return []
        with self._index.quiet():
            await self._looking.over()
            made = await self._ask(engine, place, invoked, heard, due)
            if not made and (successor := await self._engine.successor(engine)) is not None:
                made = await self._ask(successor, place, invoked, heard, due)
        return self._remembered(made, invoked)

    def _look_around(self, place: Place) -> None:
        """Have the context ready when the delay is over."""
        engine, source = self._engine.engine, self._index.source
        if engine is not None and source is not None:
            work, settings, model = import_heavy(), self.settings, engine.model
            self._looking.begin(lambda: work.look_around(place.document, place.offset, source, model, settings))

    def _remembered(self, made: list[Completion], invoked: bool = False) -> list[Completion]:
        """Without what the user has rejected, where it comes unasked; and kept for later places."""
        now = time.monotonic()
        wanted = [each for each in made if invoked or not self._memory.rejected(each.shown, now, _SULKS_S)]
        for completion in reversed(wanted):
            self._memory.add(completion.shown)
        return wanted

    async def _ask(self, engine: Engine, place: Place, invoked: bool, heard: Heard, due: _Due) -> list[Completion]:
        def give(completion: Completion) -> None:
            self._generations.answer(place, self._remembered([completion], invoked))

        request, tools = self._request(engine, place, invoked)
        work = import_heavy()
        early = None if due.lines is None else work.FirstLines(due.lines, give)
        try:
            if self._records is None:
                asked = self._complete(request, tools, heard, early)
            else:
                self._recorder = self._recorder or work.Recorder(self._records)
                asked = self._recorder.complete(request, tools, heard, health=engine.health)
            made: list[Completion] = await asyncio.wait_for(asked, LONGEST_S)
        except asyncio.TimeoutError:
            logger.warning("The engine took longer than %g s for a completion; it was given up.", LONGEST_S)
            return []
        except RequestRefused as error:
            logger.warning("The engine refused a completion: %s", error)
            return []
        except EngineError as error:
            self._engine.lost(engine, error)
            return []
        except CoderlsError as error:
            logger.warning("No completion: %s", error)
            return []
        except Exception:
            if self._engine.engine is engine:
                raise
            return []  # its connection was closed under this request: the options name another engine now
        if made:
            self._engine.worked(engine)
            self._answered(made)
        self._backdrops.rest(place.document, engine, self.settings)
        self._words.rest(place, engine, self.settings)
        return made

    async def _complete(
        self,
        request: CompletionRequest,
        tools: Tools,
        heard: Heard = lambda _text: None,
        early: FirstLines | None = None,
    ) -> list[Completion]:
        """With the backdrop, or without it where the engine says that it has it no more."""
        work = import_heavy()
        try:
            made: list[Completion] = await work.complete(request, tools, heard, early)
        except RequestRefused as error:
            if error.status != NOT_CACHED:
                raise
            self._backdrops.lost()
            made = await work.complete(replace(request, backdrop=None), tools, heard, early)
        return made

    def _request(self, engine: Engine, place: Place, invoked: bool) -> tuple[CompletionRequest, Tools]:
        """What is asked at a place, and with what."""
        work = import_heavy()
        document = place.document
        folder = self._index.folder_of(document)
        if self._answers is not None and self._answered_by is not engine.client:
            self._answers.keep_late(())
            self._answers = None
        if self._answers is None:
            self._answers, self._answered_by, self._steady = work.AnswerCache(), engine.client, work.Steady()
        request = work.CompletionRequest(
            document,
            place.offset,
            invoked,
            alternatives=self.settings.completion.alternatives if invoked else 1,
            path=self._notebooks.name_of(document, folder),
            repo_name=folder.name if folder else "",
            drafts=self._memory.texts(document.uri, _DRAFTS),
            cells=self._notebooks.before(document, self._documents),
            backdrop=self._backdrops.at(document, engine) if self._records is None else None,
        )
        if self.settings.completion.anchored != "off" and self._records is None:  # a record stands for itself
            anchor = self._anchors.at(document, place.offset, time.monotonic(), engine.model.count)
            request = replace(request, anchor=anchor)
        source = self._index.source
        tools = work.Tools(engine.client, engine.model, work.parse_file, self.settings, source, self._answers)
        if self._records is None:  # a record holds all that was asked: it names nothing that is elsewhere
            tools = replace(tools, steady=self._steady, local=self._words.name(engine, document, self.settings))
        if self.settings.completion.own_parser == "auto" and self._records is None:  # a record is judged without it
            tools = replace(tools, own=self._own_parsers(folder))
        return request, tools

    def _own_parsers(self, folder: Path | None) -> OwnParsers:
        work = import_heavy()
        if self._parsers is None:
            self._parsers = work.Processes()
        if folder not in self._own:  # it looks at every folder of PATH
            self._own[folder] = work.OwnParsers(folder, self._parsers, trusted=self._trusted())
        return self._own[folder]

    def _may_go_ahead(self) -> bool:
        wanted = self.settings.completion.ahead == "auto" and self._records is None
        return wanted and not self._power.on_battery()

    async def _ask_ahead(self, place: Place) -> list[Completion]:
        """What would be shown there: a few tokens, after everything that anybody waits for."""
        engine = self._engine.engine
        if engine is None or place.document.uri not in self._documents:
            return []
        request, tools = self._request(engine, place, invoked=False)
        completion = self.settings.completion
        few = replace(completion, max_tokens=min(TOKENS, completion.max_tokens))
        tools = replace(tools, settings=replace(self.settings, completion=few))
        made = await self._complete(replace(request, background=True), tools)
        return [replace(each, reused="ahead") for each in made]

    async def _read_ahead(self, place: Place) -> None:
        """The prompt of a place goes into the engine's cache, after everything that anybody waits for."""
        engine = self._engine.engine
        if engine is not None and self._documents.get(place.document.uri) is place.document:
            self._words.rest(place, engine, self.settings)
            request, tools = self._request(engine, place, invoked=False)
            await import_heavy().read_prompt(replace(request, background=True), tools)

    def _forget(self) -> None:
        self._memory.forget()
        self._ahead.stop()
        self._resting.stop()
        self._backdrops.stop()
        self._words.stop()
        if self._answers is not None:
            self._answers.keep_late(())
        self._answers = None

    async def _until_typing_rests(self, uri: str) -> bool:
        """Wait for the rest of the delay after the last change; newer requests cancel this one meanwhile.

        False: the user has had enough of answers for now. A delay that the user set is kept to, whatever they do.
        """
        if self.settings.completion.debounce_ms is None and self._rhythm.rests(time.monotonic()):
            return False
        await asyncio.sleep(self._delay(uri))
        return True

    def _delay(self, uri: str) -> float:
        """What is left of it, in seconds."""
        now, fixed = time.monotonic(), self.settings.completion.debounce_ms
        wait = self._rhythm.delay(now) if fixed is None else fixed / 1000
        return max(0.0, self._changed_at.get(uri, float("-inf")) + wait - now)
