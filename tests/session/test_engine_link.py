"""The session's way to its engine, with clients that are played."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from coderls.engine.api import PROTOCOL_VERSION, Health
from coderls.errors import EngineLeaving
from coderls.fim.model import FimModel
from coderls.fim.templates import PREFIX_ONLY
from coderls.session.engine_link import EngineLink
from coderls.session.heavy import Engine
from coderls.settings import EngineSettings

HEALTH = Health(PROTOCOL_VERSION, "ready", "played", prefill_tokens_per_s=100.0)


class PlayedEngine:
    """An engine's client that says `health` of itself."""

    def __init__(self, health: Health) -> None:
        self.current = health
        self.asked = 0

    async def aclose(self) -> None:
        pass

    async def health(self) -> Health:
        self.asked += 1
        return self.current


async def connected(speed: float) -> tuple[EngineLink, PlayedEngine]:
    link, client = EngineLink(client=None), PlayedEngine(replace(HEALTH, prefill_tokens_per_s=speed))  # type: ignore[arg-type]
    any_client: Any = client
    link.engine = Engine(any_client, HEALTH, FimModel(PREFIX_ONLY, prefill_tokens_per_s=HEALTH.prefill_tokens_per_s))
    return link, client


@pytest.mark.parametrize(("speed", "expected"), [(900.0, 900.0), (110.0, 100.0), (20.0, 100.0)])
async def test_prompts_grow_with_an_engine_that_turns_out_faster_and_do_not_shrink(
    speed: float, expected: float
) -> None:
    link, _ = await connected(speed)
    assert link.engine is not None
    link.worked(link.engine)
    await asyncio.gather(*link._closing)
    assert link.engine.model.prefill_tokens_per_s == expected


async def test_an_engine_that_leaves_is_followed_by_another_and_that_is_no_failure() -> None:
    link, _ = await connected(100.0)
    left, link._settings = link.engine, EngineSettings()
    assert left is not None
    coming = asyncio.Event()

    async def find(settings: EngineSettings) -> None:
        await coming.wait()
        link.engine, link._connecting = replace(left, health=replace(HEALTH, pid=2)), None

    link._find_or_start = find
    link.lost(left, EngineLeaving("It leaves."))  # the link has no client: a message would be an error
    waiting = asyncio.ensure_future(link.successor(left))
    await asyncio.sleep(0)
    assert not waiting.done()
    coming.set()
    successor = await waiting
    assert successor is link.engine
    assert successor is not None
    assert successor.health.pid == 2
    assert await link.successor(successor) is None, "that one has not left"


async def test_the_speed_is_not_asked_for_at_each_answer() -> None:
    link, client = await connected(100.0)
    assert link.engine is not None
    for _ in range(5):
        link.worked(link.engine)
        await asyncio.gather(*link._closing)
    assert client.asked == 1
