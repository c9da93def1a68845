"""Which request gets what, while texts are being made. A played generation says what the test tells it to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from coderls.fim.reuse import Place
from coderls.session.generations import GRACE_S, Generations, Heard
from tests.marked_text import at_cursor


@dataclass
class Played:
    """A generation in the hands of the test."""

    result: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    began: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    heard: Heard | None = None

    async def work(self, heard: Heard) -> str:
        self.heard = heard
        self.began.set()
        try:
            return await self.result
        finally:
            self.ended.set()

    def say(self, text: str) -> None:
        assert self.heard is not None
        self.heard(text)


def place(marked: str) -> Place:
    return Place(*at_cursor(marked))


async def begun(generations: Generations[str], marked: str, played: Played) -> asyncio.Task[str | None]:
    task = asyncio.ensure_future(generations.run(place(marked), played.work))
    await played.began.wait()
    return task


async def test_the_newest_request_wins() -> None:
    generations: Generations[str] = Generations()
    old, new = Played(), Played()
    first = await begun(generations, "x = $0\n", old)
    second = await begun(generations, "y = $0\n", new)
    assert await first is None
    await old.ended.wait()
    new.result.set_result("done")
    assert await second == "done"
    assert len(generations) == 0


@pytest.mark.parametrize("then", ["x = a$0\n", "x = ab$0\n", "x = abcd$0\n", "x = $0\n"])
async def test_a_request_joins_what_is_being_said(then: str) -> None:
    generations: Generations[str] = Generations()
    played, unused = Played(), Played()
    first = await begun(generations, "x = $0\n", played)
    played.say("ab")
    generations.supersede("file:///project/file.py")
    assert await first is None
    second = asyncio.ensure_future(generations.run(place(then), unused.work))
    await asyncio.sleep(0)
    played.say("abcde")
    played.result.set_result("whole")
    assert await second == "whole"
    assert not unused.began.is_set()


async def test_a_cancelled_request_leaves_its_generation_to_the_next() -> None:
    generations: Generations[str] = Generations()
    played, unused = Played(), Played()
    first = await begun(generations, "x = $0\n", played)
    played.say("ab")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.ensure_future(generations.run(place("x = a$0\n"), unused.work))
    await asyncio.sleep(0)
    played.result.set_result("whole")
    assert await second == "whole"


async def test_nobody_joins_what_says_something_else() -> None:
    generations: Generations[str] = Generations()
    played, new = Played(), Played()
    first = await begun(generations, "x = $0\n", played)
    played.say("ab")
    generations.supersede("file:///project/file.py")
    second = await begun(generations, "x = b$0\n", new)
    assert await first is None
    await played.ended.wait()
    new.result.set_result("new")
    assert await second == "new"


async def test_who_joined_begins_anew_when_the_text_turns_elsewhere() -> None:
    generations: Generations[str] = Generations()
    played, new = Played(), Played()
    await begun(generations, "x = $0\n", played)
    played.say("ab")
    second = asyncio.ensure_future(generations.run(place("x = abc$0\n"), new.work))
    await asyncio.sleep(0)
    assert not new.began.is_set()
    played.say("abd")
    await new.began.wait()
    await played.ended.wait()
    new.result.set_result("new")
    assert await second == "new"


async def test_who_typed_on_behind_the_end_of_a_text_begins_anew() -> None:
    generations: Generations[str] = Generations()
    played, new = Played(), Played()
    await begun(generations, "x = $0\n", played)
    played.say("ab")
    second = asyncio.ensure_future(generations.run(place("x = abc$0\n"), new.work))
    await asyncio.sleep(0)
    played.result.set_result("ab")
    await new.began.wait()
    new.result.set_result("new")
    assert await second == "new"


async def test_who_joined_begins_anew_when_that_came_to_nothing() -> None:
    """It was withheld, as it would have broken the text that there was then."""
    generations: Generations[str] = Generations()
    withheld, anew = Played(), Played()
    first = await begun(generations, "x = $0\n", withheld)
    withheld.say("ab")
    generations.supersede("file:///project/file.py")
    assert await first is None
    second = asyncio.ensure_future(generations.run(place("x = a$0\n"), anew.work))
    await asyncio.sleep(0)
    withheld.result.set_result("")
    await anew.began.wait()
    anew.result.set_result("whole")
    assert await second == "whole"


async def test_what_nobody_joins_stops() -> None:
    generations: Generations[str] = Generations()
    played = Played()
    first = await begun(generations, "x = $0\n", played)
    played.say("ab")
    generations.supersede("file:///project/file.py")
    await asyncio.wait_for(played.ended.wait(), 10)
    assert await first is None


async def test_nobody_joins_what_is_being_stopped() -> None:
    """Its connection takes a moment to close; who came in that moment got nothing at all."""
    generations: Generations[str] = Generations()
    played, new, closed = Played(), Played(), asyncio.Event()

    async def slow_to_end(heard: Heard) -> str:
        try:
            return await played.work(heard)
        finally:
            await closed.wait()

    first = asyncio.ensure_future(generations.run(place("retu$0\n"), slow_to_end))
    await played.began.wait()
    played.say("rn a + b")
    first.cancel()
    await asyncio.wait_for(played.ended.wait(), 10)
    second = asyncio.ensure_future(generations.run(place("return $0\n"), new.work))
    await asyncio.wait_for(new.began.wait(), 10)
    closed.set()
    new.result.set_result("a + b")
    assert await second == "a + b"


async def test_what_has_said_nothing_stops_at_once_with_its_last_request() -> None:
    generations: Generations[str] = Generations()
    played, new = Played(), Played()
    await begun(generations, "x = $0\n", played)
    second = await begun(generations, "x = a$0\n", new)
    await played.ended.wait()
    new.result.set_result("new")
    assert await second == "new"


async def test_errors_reach_who_waits() -> None:
    generations: Generations[str] = Generations()
    played = Played()
    first = await begun(generations, "x = $0\n", played)
    played.result.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await first


async def test_a_first_part_answers_and_the_whole_goes_on() -> None:
    generations: Generations[str] = Generations()
    played = Played()
    here = place("x = $0\n")
    first = asyncio.ensure_future(generations.run(here, played.work))
    await played.began.wait()
    played.say("abc")
    generations.answer(place("x = $0\n"), "of another request")
    generations.answer(here, "part")
    assert await first == "part"
    generations.supersede(here.document.uri)
    generations.keep(place("x = a$0\n"))  # answered from memory
    await asyncio.sleep(2 * GRACE_S)
    second = asyncio.ensure_future(generations.run(place("x = ab$0\n"), Played().work))
    await asyncio.sleep(0)
    played.result.set_result("whole")
    assert await second == "whole"


async def test_what_leads_elsewhere_is_not_kept() -> None:
    generations: Generations[str] = Generations()
    played = Played()
    first = await begun(generations, "x = $0\n", played)
    played.say("abc")
    generations.supersede(place("x = $0\n").document.uri)
    generations.keep(place("x = z$0\n"))
    await asyncio.wait_for(played.ended.wait(), 10)
    assert await first is None
