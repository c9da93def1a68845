from __future__ import annotations

import threading
from types import TracebackType

from coderls.repo_context.windows import Windows

TEXT = "".join(f"row_{number} = make_row(number_{number})\n" for number in range(40))


class Handover:
    """A lock after which, once, another thread goes first."""

    def __init__(self, windows: Windows) -> None:
        self._lock = threading.Lock()
        self._windows = windows
        self.is_armed = False

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lock.release()
        if self.is_armed:
            self.is_armed = False
            self._windows.put("b.py", TEXT)


def test_a_file_may_come_as_soon_as_a_search_lets_go_of_the_lock() -> None:
    windows = Windows()
    windows.put("a.py", TEXT)
    lock = Handover(windows)
    windows._lock = lock  # type: ignore[assignment]  # the moment cannot be met from outside
    lock.is_armed = True
    assert {hit.path for hit in windows.search({"make_row": 1.0})} == {"a.py"}
    assert {hit.path for hit in windows.search({"make_row": 1.0})} == {"a.py", "b.py"}
