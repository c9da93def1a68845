"""How many threads the operations of a pass are shared out to: as many as come at once.

PyTorch shares each operation out to its threads, and goes on when the last one has done its part. On cores that other
programs want too, the last one comes when the system lets it, some milliseconds later, a few hundred times in a pass:
a prompt then takes longer on two threads than on one. So before a pass, and now and then between its layers, they are
called together a few times, which takes a tenth of a millisecond where they come at once. Results do not depend on how
many there are (tested).

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
#: How long an answer holds. Where some stayed away, twice as long each time until they come: the editor's side may want
#: a core for a few milliseconds, or somebody builds a program for minutes.
_AGAIN_S, _LONGEST_S = 0.02, 0.32


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
        self._allowed = self._used = self._last = self.all
        self._call = call or _call
        self._use = use
        self._clock = clock
        self._alone = float("inf")
        self._holds_s = _AGAIN_S
        self._holds_until = float("-inf")

    def allow(self, count: int) -> None:
        """Never use more than `count` from now on."""
        self._allowed = count
        self._set(count)
        self._holds_until = float("-inf")

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """For a pass: as many as come at once; afterwards all that are allowed are there again."""
        self._set(min(self._last, self._allowed))
        self.gather()
        try:
            yield
        finally:
            self._last = self._used
            self._set(self._allowed)

    def gather(self) -> None:
        """In a pass: use as many as come at once, all of them or a half, a quarter, ... of them."""
        if self._allowed == 1 or self._clock() < self._holds_until:
            return
        if self._alone == float("inf"):
            self._come(1)
        count = self._allowed
        while not self._come(count):
            count //= 2
        holds_s = _AGAIN_S if count == self._allowed else self._holds_s
        self._holds_until = self._clock() + holds_s
        self._holds_s = _AGAIN_S if count == self._allowed else min(2 * holds_s, _LONGEST_S)

    def _set(self, count: int) -> None:
        if count != self._used:
            self._use(count)
            self._used = count

    def _come(self, count: int) -> bool:
        self._set(count)
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
