"""A lock whose waiters get their turn."""

from __future__ import annotations

import threading
from types import TracebackType


class TurnLock:
    """A re-entrant lock that a thread cannot take again at once while another one waits for it.

    Python's own locks go to whoever asks first after a release, and that is the thread that just let go: one that
    asks the index in a loop would keep the thread that reads the workspace from its work for good. Here whoever
    waits stands in the door, so the next to ask stands behind it.
    """

    def __init__(self) -> None:
        self._door = threading.Lock()
        self._lock = threading.Lock()
        self._owner = 0  # the thread that has the lock: it passes the door, which another may stand in
        self._depth = 0

    def __enter__(self) -> None:
        me = threading.get_ident()
        if self._owner != me:
            with self._door:
                self._lock.acquire()
            self._owner = me
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = 0
            self._lock.release()
