from __future__ import annotations

import gc
import sys

from coderls import server
from coderls.server.methods import Server


async def test_who_computes_does_not_keep_messages_waiting() -> None:
    async def client() -> None:
        """Says nothing, and goes."""

    before, thresholds = sys.getswitchinterval(), gc.get_threshold()
    try:
        assert await server._serve(Server(), client()) is None
        assert sys.getswitchinterval() <= server.TURN_S < before
        assert gc.get_threshold()[0] > thresholds[0]  # nor does the garbage collector
    finally:
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(before)
