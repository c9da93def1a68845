"""Who goes first: a lock whose waiters get their turn, and questions that the background waits for."""

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


class Questions:
    """Entered while a question is answered; `wait` is for what runs in the background.

    Two threads that compute share the processor, and worse: each thing that a question waits for (a file, a record)
    would cost the five milliseconds after which Python takes its lock from the other one.
    """

    def __init__(self) -> None:
        self._askers: set[int] = set()
        self._nobody = threading.Event()
        self._nobody.set()

    def __enter__(self) -> None:
        self._askers.add(threading.get_ident())
        self._nobody.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._askers.discard(threading.get_ident())
        if not self._askers:
            self._nobody.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until nobody asks: for the end of these questions, not of those that follow. False: it took longer."""
        return self._nobody.wait(timeout_s)
