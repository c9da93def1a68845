"""What a session says of itself."""

from __future__ import annotations

import pytest

from coderls.session.status import EngineState, Pace, status_of

READY = EngineState("ready", model="nano", device="cpu", log="/logs/engine.log")


def said(engine: EngineState, *, paused: bool = False, enabled: bool = True, slow_s: float | None = None) -> str:
    status = status_of(engine, paused=paused, enabled=enabled, slow_s=slow_s)
    return f"{status.state}: {status.text}"


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        (EngineState(), "starting: starting"),
        (EngineState("starting", "starting the engine", 0.0), "starting: starting the engine"),
        (EngineState("loading", "loading nano", 0.404), "loading: loading nano 40%"),
        (EngineState("loading", "loading nano", 1.7), "loading: loading nano 100%"),
        (EngineState("loading", "loading nano"), "loading: loading nano"),
        (READY, "ready: nano on cpu"),
        (EngineState("ready", model="theirs"), "ready: theirs"),
        (EngineState("offline", "Nobody answers."), "offline: offline"),
        (EngineState("error", "The weights are cut short."), "error: no engine"),
    ],
)
def test_the_engines_state_in_a_few_words(engine: EngineState, expected: str) -> None:
    assert said(engine) == expected


def test_what_the_user_did_comes_before_the_engines_state() -> None:
    broken = EngineState("error", "The weights are cut short.")
    assert said(broken, paused=True, enabled=False) == "paused: paused"
    assert said(broken, enabled=False) == "off: switched off"
    assert said(READY, slow_s=2.4) == "slow: slow: nano on cpu"
    assert said(broken, slow_s=2.4) == "error: no engine"


def test_details_say_why() -> None:
    assert "2.4 s" in status_of(READY, paused=False, enabled=True, slow_s=2.4).detail
    assert status_of(EngineState("error", "It is cut."), paused=False, enabled=True, slow_s=None).detail == "It is cut."


def test_the_engines_log_is_named_in_each_state() -> None:
    assert status_of(READY, paused=True, enabled=True, slow_s=None).as_json()["log"] == "/logs/engine.log"


def test_one_slow_answer_among_quick_ones_is_not_slow_and_one_quick_among_slow_ones_is_not_quick() -> None:
    pace = Pace()
    pace.answered(0.2)
    pace.answered(3.0)
    assert pace.slow_s is None
    for _ in range(10):
        pace.answered(3.0)
    assert pace.slow_s is not None
    pace.answered(0.2)
    assert pace.slow_s is not None
    for _ in range(10):
        pace.answered(0.2)
    assert pace.slow_s is None


def test_another_engine_begins_anew() -> None:
    pace = Pace()
    pace.answered(9.0)
    pace.forget()
    assert pace.slow_s is None
