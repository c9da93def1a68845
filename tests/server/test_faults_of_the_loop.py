"""What of asyncio's faults goes to the log."""

from __future__ import annotations

import asyncio

import pytest

from coderls.server import log_fault


async def test_a_wait_that_was_cancelled_as_it_ended_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_fault)
    ended: asyncio.Future[None] = loop.create_future()
    ended.cancel()
    loop.call_soon(ended.set_result, None)
    await asyncio.sleep(0)
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


async def test_every_other_fault_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_fault)

    def broken() -> None:
        raise asyncio.InvalidStateError("of our own")

    loop.call_soon(broken)
    await asyncio.sleep(0)
    assert [each.name for each in caplog.records if each.levelname == "ERROR"] == ["asyncio"]
