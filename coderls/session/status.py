"""What a session says of itself: one state for a status bar, why it is so, and what to do about it.

Pure bookkeeping. The first of these that holds is the state: paused, switched off, the engine's own state, slow, ready.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

#: Answers are slow when their mean takes longer than the first, and no more when it takes less than the second.
SLOW_S, QUICK_S = 2.0, 1.5

State = Literal["starting", "loading", "ready", "slow", "offline", "paused", "off", "error"]


@dataclass(frozen=True, slots=True)
class EngineState:
    """How far the way to the engine is.

    "offline": it is not on this machine, or its model is not, and cannot be reached now. `fraction` runs from 0 to 1
    while it loads, and is None where nobody can say. `log`: the file it writes its log to, "" for an engine elsewhere.
    """

    kind: Literal["starting", "loading", "ready", "offline", "error"] = "starting"
    detail: str = ""
    fraction: float | None = None
    model: str = ""
    device: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """`text` is a few words for a status bar, `detail` says why it is so and what to do. `percent`: of the loading."""

    state: State
    text: str
    detail: str = ""
    percent: int | None = None
    model: str = ""
    device: str = ""
    log: str = ""

    def as_json(self) -> dict[str, Any]:
        """As `coderls/status` has it."""
        names = ("state", "text", "detail", "percent", "model", "device", "log")
        return {name: getattr(self, name) for name in names}


def status_of(engine: EngineState, *, paused: bool, enabled: bool, slow_s: float | None) -> Status:
    """The status of a session. `slow_s`: what answers take on average, where that is too long."""
    state, text, detail, percent = _words(engine, slow_s)
    if paused:
        state, text, percent = "paused", "paused", None
        detail = "No completions by themselves. A key that asks for one still gets it."
    elif not enabled:
        state, text, percent = "off", "switched off", None
        detail = "The setting completion.enabled is false."
    return Status(state, text, detail, percent, engine.model, engine.device, engine.log)


def _words(engine: EngineState, slow_s: float | None) -> tuple[State, str, str, int | None]:
    where = engine.model + (f" on {engine.device}" if engine.device else "")
    if engine.kind == "starting":
        return "starting", engine.detail or "starting", "The engine is found or started.", None
    if engine.kind == "loading":
        percent = None if engine.fraction is None else round(100 * min(1.0, max(0.0, engine.fraction)))
        text = engine.detail if percent is None else f"{engine.detail} {percent}%"
        return "loading", text, "Completions come when the model is loaded.", percent
    if engine.kind == "offline":
        return "offline", "offline", engine.detail, None
    if engine.kind == "error":
        return "error", "no engine", engine.detail, None
    if slow_s is not None:
        advice = "A smaller model, or engine.weights int8 or int4, is faster. Other programs may keep the machine busy."
        return "slow", f"slow: {where}", f"Answers take {slow_s:.1f} s on average. {advice}", None
    return "ready", where, "", None


@dataclass(slots=True)
class Pace:
    """Whether answers are slow, with some inertia so that nothing flickers."""

    _mean: float | None = None
    _slow: bool = False

    def answered(self, seconds: float) -> None:
        """An answer by the model took so long."""
        self._mean = seconds if self._mean is None else self._mean + 0.3 * (seconds - self._mean)
        self._slow = self._mean > (QUICK_S if self._slow else SLOW_S)

    @property
    def slow_s(self) -> float | None:
        """The mean in seconds where it is too long; None where all is well."""
        return round(self._mean, 1) if self._slow and self._mean is not None else None

    def forget(self) -> None:
        """Another engine."""
        self._mean, self._slow = None, False
