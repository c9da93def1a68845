"""One answer of an engine: its stream, read until the wanted part is whole."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol

from coderls.engine.api import Chunk, GenerationRequest, Usage
from coderls.errors import EngineUnreachable
from coderls.fim.stopping import Gap, stop_at
from coderls.lines import unix_lines

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """What is needed of an engine's client. Closing the iterator stops the generation."""

    def stream(self, request: GenerationRequest) -> AsyncIterator[Chunk]: ...


@dataclass(frozen=True)
class Answer:
    """What came from the engine, cut where the wanted part ends."""

    text: str
    finish_reason: str
    usage: Usage
    logprob: float


#: Halves of characters, and what stands for bytes that were none. Some engines cut their text between bytes.
_HALF = re.compile("[\ud800-\udfff]")
_NO_TEXT = re.compile("[\0\ufffd\ud800-\udfff]")
#: How an answer is found again: all that it depends on.
Key = tuple[GenerationRequest, Gap]


class AnswerCache:
    """Engines' answers to the same question: the same request (all of its prompt) and the same surroundings.

    Not for draws without a seed, which are another each time. Bounded; the oldest go first. It also holds what is still
    being answered although nobody waits for it just now.
    """

    def __init__(self, size: int = 128) -> None:
        self._size = size
        self._known: OrderedDict[Key, Answer] = OrderedDict()
        self._late: dict[Key, asyncio.Future[Any]] = {}

    def get(self, question: Key) -> Answer | None:
        """The answer of before, if there is one."""
        return self._known.get(question)

    def put(self, question: Key, answer: Answer) -> None:
        """Remember an answer."""
        sampling = question[0].sampling
        if sampling.temperature > 0 and sampling.seed is None:
            return
        self._known[question] = answer
        self._known.move_to_end(question)
        if len(self._known) > self._size:
            self._known.popitem(last=False)

    def come_late(self, question: Key, work: asyncio.Future[Any]) -> None:
        """`work` will put the answer in; it goes on until a request comes that does not want it.

        Where somebody is at it already it is not needed, and ends.
        """
        before = self._late.get(question)
        if before is not None and not before.done():
            work.cancel()
            return
        self._late[question] = work
        work.add_done_callback(lambda done: self._came(question, done))

    async def late(self, question: Key) -> None:
        """Wait until the answer is in, if somebody is at it."""
        work = self._late.get(question)
        if work is not None and work is not asyncio.current_task():
            await asyncio.wait([work])

    def keep_late(self, wanted: Collection[Key]) -> None:
        """Stop what comes late and is not wanted."""
        for question, work in self._late.items():
            if question not in wanted:
                work.cancel()

    def _came(self, question: Key, work: asyncio.Future[Any]) -> None:
        if self._late.get(question) is work:
            del self._late[question]
        error = None if work.cancelled() else work.exception()
        if error is not None:
            gone = isinstance(error, EngineUnreachable)  # whoever asks it next is told that, too
            logger.log(logging.DEBUG if gone else logging.WARNING, "An alternative could not be made: %s", error)


async def ask(
    engine: Engine, request: GenerationRequest, gap: Gap, heard: Callable[[str], None], marks: tuple[str, ...] = ()
) -> Answer:
    """Read the engine's stream until the wanted part is whole, then close it: the engine stops at its next step.

    `heard` gets the whole text each time that there is more of it. The answer ends before `marks` too, and before what
    is no text at all. Raises EngineError.
    """
    text, finish_reason, usage, logprobs = "", "", Usage(), list[float]()
    stream = engine.stream(request)
    async with aclosing(stream) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            text += chunk.text
            logprobs.extend(chunk.logprobs)
            usage = chunk.usage or replace(usage, completion_tokens=usage.completion_tokens + len(chunk.token_ids))
            text, ended = _before_stop(_sound(text), (*request.stop, *marks))
            plain = _unix_lines(text)
            heard(plain)
            end = stop_at(plain, gap, final=ended)
            if end is not None:
                text, finish_reason = plain[:end], "stop"
                break
            finish_reason = chunk.finish_reason or finish_reason
        else:
            text = _whole(_unix_lines(text), gap, cut_off=finish_reason == "length")
    return Answer(text, finish_reason or "stop", usage, sum(logprobs) / len(logprobs) if logprobs else 0.0)


def _before_stop(text: str, stop: tuple[str, ...]) -> tuple[str, bool]:
    """The text up to the first stop string, and whether there was one: some engines write them out."""
    places = [place for place in map(text.find, stop) if place >= 0]
    broken = _NO_TEXT.search(text)
    if broken is not None and (broken.end() < len(text) or not _HALF.fullmatch(broken.group())):
        places.append(broken.start())
    return (text[: min(places)], True) if places else (text, False)


def _sound(text: str) -> str:
    """The text with characters put together that came in two halves."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _whole(text: str, gap: Gap, cut_off: bool) -> str:
    """The wanted part when nothing more comes. A text that was cut off in a later line ends before that line."""
    lines = text.split("\n")
    if cut_off and any(line.strip() for line in lines[:-1]):
        text = "\n".join(lines[:-1])
    return text[: stop_at(text, gap, final=True)]


def _unix_lines(text: str) -> str:
    """Line ends as \\n; a \\r at the very end may be half of one."""
    return unix_lines(text.removesuffix("\r"))
