"""The session's way to its engine, with clients that are played."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from coderls.engine.api import PROTOCOL_VERSION, Health
from coderls.fim.model import FimModel
from coderls.fim.templates import PREFIX_ONLY
from coderls.session.engine_link import EngineLink
from coderls.session.heavy import Engine

HEALTH = Health(PROTOCOL_VERSION, "ready", "played", prefill_tokens_per_s=100.0)


class PlayedEngine:
    """An engine's client that says `health` of itself."""

    def __init__(self, health: Health) -> None:
        self.current = health
        self.asked = 0

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


async def test_the_speed_is_not_asked_for_at_each_answer() -> None:
    link, client = await connected(100.0)
    assert link.engine is not None
    for _ in range(5):
        link.worked(link.engine)
        await asyncio.gather(*link._closing)
    assert client.asked == 1
