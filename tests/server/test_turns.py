from __future__ import annotations

import sys

from coderls import server
from coderls.server.methods import Server


async def test_who_computes_does_not_keep_messages_waiting() -> None:
    async def client() -> None:
        """Says nothing, and goes."""

    before = sys.getswitchinterval()
    try:
        assert await server._serve(Server(), client()) is None
        assert sys.getswitchinterval() <= server.TURN_S < before
    finally:
        sys.setswitchinterval(before)
