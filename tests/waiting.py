"""How tests wait for a state that nothing tells of."""

from __future__ import annotations

import time


def pause(began: float) -> None:
    """Before the state is looked at again: a twentieth of the wait so far, from 10 ms to 0.1 s.

    `began`: `time.monotonic()` then. A look is a request, or a list of all processes: it takes the processor from what
    is waited for.
    """
    time.sleep(min(0.1, max(0.01, (time.monotonic() - began) / 20)))
