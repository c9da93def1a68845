"""How many threads the operations of a pass are shared out to: as many as come at once.

PyTorch shares each operation out to its threads, and goes on when the last one has done its part. On cores that other
programs want too, the last one comes when the system lets it, some milliseconds later, a few hundred times in a pass:
a prompt then takes longer on two threads than on one. So before a pass they are called together a few times, which
takes a tenth of a millisecond where they come at once. Results do not depend on how many there are (tested).

(The native step needs none of this: its threads do not wait for each other.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

#: Numbers that PyTorch gives to one thread at least (`at::internal::GRAIN_SIZE`).
_GRAIN = 32_768
_CALLS = 8
#: They come at once when all calls together take no longer than this, or than so many times what one thread alone takes
#: for its part.
_AT_ONCE_S, _TIMES = 0.000_5, 4.0
#: How long an answer holds: all of them came, or they did not.
_AGAIN_S, _BUSY_S = 0.02, 0.5


class Threads:
    """PyTorch's threads on a processor. `call` times a few shared operations of so many threads (seconds); `use` has
    PyTorch use so many from now on; `clock` is in seconds. All three stand for the real ones in tests.
    """

    def __init__(
        self,
        *,
        call: Callable[[int], float] | None = None,
        use: Callable[[int], None] = torch.set_num_threads,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.all = torch.get_num_threads()
        self._allowed = self._count = self.all
        self._call = call or _call
        self._use = use
        self._clock = clock
        self._alone = float("inf")
        self._holds_until = float("-inf")

    def allow(self, count: int) -> None:
        """Never use more than `count` from now on."""
        self._allowed = count
        self._use(count)
        self._holds_until = float("-inf")

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """For a pass: as many as come at once, all of them or a half, a quarter, ... of them."""
        count = self._coming()
        if count != self._allowed:
            self._use(count)
        try:
            yield
        finally:
            if count != self._allowed:
                self._use(self._allowed)

    def _coming(self) -> int:
        if self._allowed == 1 or self._clock() < self._holds_until:
            return min(self._count, self._allowed)
        try:
            if self._alone == float("inf"):
                self._come(1)
            self._count = self._allowed
            while not self._come(self._count):
                self._count //= 2
        finally:
            self._use(self._allowed)
        self._holds_until = self._clock() + (_AGAIN_S if self._count == self._allowed else _BUSY_S)
        return self._count

    def _come(self, count: int) -> bool:
        self._use(count)
        if count == 1:
            self._alone = min(self._alone, self._call(1))
            return True
        return self._call(count) <= max(_AT_ONCE_S, _TIMES * self._alone)


def _call(count: int) -> float:
    shared = torch.zeros(count * _GRAIN)  # the first use of it also wakes threads that sleep
    began = time.perf_counter()
    for _ in range(_CALLS):
        shared.add_(1.0)
    return time.perf_counter() - began
