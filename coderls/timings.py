"""What a completion spent its time on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds of each stage. `first_token` is a part of `engine`; `total` is all that passed."""

    context: float = 0.0
    prompt: float = 0.0
    first_token: float = 0.0
    engine: float = 0.0
    postprocess: float = 0.0
    verify: float = 0.0
    total: float = 0.0

    @property
    def editor_side(self) -> float:
        """What was not spent waiting for the engine."""
        return self.total - self.engine


@dataclass
class Watch:
    """Milliseconds from one lap to the next."""

    began: float = field(default_factory=time.perf_counter)
    last: float = field(default_factory=time.perf_counter)
    laps: dict[str, float] = field(default_factory=dict)

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = (now - self.last) * 1000
        self.last = now

    def fork(self) -> Watch:
        """One that has run alike so far."""
        return Watch(self.began, time.perf_counter(), dict(self.laps))

    def first(self, heard: Callable[[str], None]) -> Callable[[str], None]:
        """`heard`, with a note of when it was first called."""

        def noted(text: str) -> None:
            self.laps.setdefault("first_token", (time.perf_counter() - self.last) * 1000)
            heard(text)

        return noted

    def timings(self) -> Timings:
        self.last = time.perf_counter()
        return Timings(**self.laps, total=(self.last - self.began) * 1000)
