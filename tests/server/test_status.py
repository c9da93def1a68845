"""What the server says of itself: `coderls/status` to clients that ask for it, and the command `coderls.status`."""

from __future__ import annotations

from typing import Any

from coderls.engine.fake import FakeRule, FakeScript
from devtools.lsp_client import CAPABILITIES

WITH_STATUS = {**CAPABILITIES, "experimental": {"coderlsStatus": True}}


def states(front: Any) -> list[dict[str, Any]]:
    return list(front.notifications("coderls/status"))


def until(front: Any, state: str) -> dict[str, Any]:
    """Wait for a state; the status."""
    front.wait_for(lambda: any(status["state"] == state for status in states(front)), 60, f"the state {state}")
    return next(status for status in reversed(states(front)) if status["state"] == state)


def ask(front: Any, *arguments: Any) -> dict[str, Any]:
    return dict(front.call("workspace/executeCommand", {"command": "coderls.status", "arguments": list(arguments)}))


def test_from_starting_over_loading_to_ready(home: Any) -> None:
    front = home.started(script=FakeScript(default="pass", load_ms=2_000), capabilities=WITH_STATUS)
    status = until(front, "ready")
    assert list(status) == ["state", "text", "detail", "percent", "model", "device", "log"]
    assert status["text"] == "fake on cpu"
    assert status["log"].endswith(".log")
    assert status["percent"] is None
    seen = [status["state"] for status in states(front)]
    assert list(dict.fromkeys(seen)) == ["starting", "loading", "ready"]
    loading = next(status for status in states(front) if status["state"] == "loading")
    assert loading["text"] == "loading fake 0%"
    assert all(one != other for one, other in zip(states(front), states(front)[1:], strict=False)), "said twice"


def test_nothing_is_sent_to_clients_that_did_not_ask(home: Any) -> None:
    front = home.started().ready()
    assert ask(front)["state"] == "ready"
    assert states(front) == []


def test_an_experimental_capability_of_another_form_is_passed_over(home: Any) -> None:
    front = home.started(capabilities={**CAPABILITIES, "experimental": ["coderlsStatus"]}).ready()
    assert states(front) == []


def test_pause_and_again(home: Any) -> None:
    front = home.started(capabilities=WITH_STATUS).ready()
    front.call("workspace/executeCommand", {"command": "coderls.pause", "arguments": [True]})
    assert until(front, "paused")["model"] == "fake"
    front.call("workspace/executeCommand", {"command": "coderls.pause", "arguments": [False]})
    assert ask(front)["state"] == "ready"
    assert states(front)[-1]["state"] == "ready"


def test_completion_switched_off_by_the_options(home: Any) -> None:
    front = home.started(capabilities=WITH_STATUS, options={"completion.enabled": False}).ready()
    assert "completion.enabled" in until(front, "off")["detail"]


def test_a_broken_model_is_an_error_that_says_what_to_do(home: Any) -> None:
    front = home.started(capabilities=WITH_STATUS, script=FakeScript(load_error="the weights are cut short"))
    assert "the weights are cut short" in until(front, "error")["detail"]


def test_an_engine_elsewhere_that_does_not_answer_is_offline(home: Any) -> None:
    front = home.front()
    options = {"engine": {"url": "http://127.0.0.1:9"}}
    front.initialize(home.path / "work", initializationOptions=options, capabilities=WITH_STATUS)
    status = until(front, "offline")
    assert "127.0.0.1:9" in status["detail"]
    assert status["log"] == ""


def test_slow_answers_are_said_to_be_slow(home: Any) -> None:
    script = FakeScript(rules=(FakeRule("slow = ", "12345678"),), token_ms=300)
    front = home.started(script=script, capabilities=WITH_STATUS, options={"completion.alternatives": 1}).ready()
    assert front.ghost("slow = $0\n") == "12345678"
    assert "s on average" in until(front, "slow")["detail"]


def test_why_a_document_is_excluded(home: Any) -> None:
    front = home.started(capabilities=WITH_STATUS, options={"completion.exclude": ["*.min.js"]}).ready()
    plain, _, _ = front.put("x = $0\n")
    secret, _, _ = front.put("KEY=$0\n", name=".env")
    minified, _, _ = front.put("a=$0\n", name="app.min.js", language_id="javascript")
    assert ask(front, plain)["excluded"] == ""
    assert "secrets" in ask(front, secret)["excluded"]
    assert "options" in ask(front, minified)["excluded"]
    assert "not open" in ask(front, "file:///nowhere.py")["excluded"]
    assert "excluded" not in ask(front)


def test_other_options_are_followed_by_the_status_since_files_may_be_excluded_now(home: Any) -> None:
    front = home.started(capabilities=WITH_STATUS).ready()
    uri, _, _ = front.put("x = $0\n")
    before = len(states(front))
    front.settings = {"completion": {"exclude": ["*.py"]}, "engine": {"model": str(home.model()), "idle_exit_s": 60}}
    front.notify("workspace/didChangeConfiguration", {"settings": None})
    front.wait_for(lambda: len(states(front)) > before, 30, "the status again")
    assert "options" in ask(front, uri)["excluded"]
