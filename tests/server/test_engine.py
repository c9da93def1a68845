"""The engine behind the front: found, started, shared, lost and had again; and the options that choose it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from coderls.engine.fake import FakeRule, FakeScript
from devtools.lsp_client import CAPABILITIES
from tests.server.conftest import SCRIPT, engine_processes, engines, eventually, text_of, written


def ask_until(front: Any, wanted: str, marked: str = "marker = $0\n") -> list[str | None]:
    """Ask again and again; all answers up to the wanted one."""
    answers: list[str | None] = []

    def found() -> bool:
        answers.append(front.ghost(marked))
        return answers[-1] == wanted

    eventually(found, f"the answer {wanted!r}", 60)
    return answers


def test_progress_is_shown_while_the_model_loads(home: Any) -> None:
    front = home.started(script=FakeScript(default="pass", load_ms=300)).ready()
    [created] = [request for request in front.server_requests if request["method"] == "window/workDoneProgress/create"]
    token = created["params"]["token"]
    reports = [params["value"] for params in front.notifications("$/progress") if params["token"] == token]
    front.wait_for(lambda: any(v["value"]["kind"] == "end" for v in front.notifications("$/progress")))
    assert reports[0]["kind"] == "begin"
    assert reports[0]["title"] == "coderls"
    middle = [report for report in reports if report["kind"] == "report"]
    assert any("starting the engine" in report["message"] for report in middle)
    assert all(0 <= report["percentage"] <= 100 for report in middle)
    assert front.shown() == []


@pytest.mark.parametrize("capabilities", [{}, {"window": {"workDoneProgress": True}}])
def test_clients_without_progress_or_that_refuse_it(home: Any, capabilities: dict[str, Any]) -> None:
    front = home.front()
    refused = {"code": -32603, "message": "not now"}
    front.answers["window/workDoneProgress/create"] = lambda params: refused
    params = {"capabilities": capabilities, "initializationOptions": {"engine": {"model": str(home.model())}}}
    front.initialize(home.path / "work", **params)
    ask_until(front, "found")
    assert front.shown() == []


def test_a_request_while_the_engine_loads_is_answered_at_once_with_nothing(home: Any) -> None:
    front = home.started(script=FakeScript(default="pass", load_ms=60_000))
    assert front.ghost("marker = $0\n") is None
    assert front.logged() == []


def test_two_fronts_that_start_at_once_share_one_engine(home: Any) -> None:
    home.model()
    fronts = [home.front() for _ in range(2)]
    options = {"engine": {"model": str(home.model())}}
    numbers = [
        front.request(
            "initialize",
            {"processId": None, "rootUri": None, "capabilities": CAPABILITIES, "initializationOptions": options},
        )
        for front in fronts
    ]
    for front, number in zip(fronts, numbers, strict=True):
        front.wait(number)
    for front in fronts:
        front.notify("initialized", {})
    for front in fronts:
        front.ready()
        assert front.ghost("marker = $0\n") == "found"
    assert len(engine_processes(home.path)) == 1


def test_a_killed_engine_comes_back_and_the_user_hears_of_it_once(home: Any) -> None:
    front = home.started().ready()
    uri, line, character = front.put("marker = $0\n")
    assert text_of(front.wait(front.inline_request(uri, line, character))) == "found"
    before = front.engine().pid
    front.engine().kill()
    answers = ask_until(front, "found")
    assert set(answers[:-1]) <= {None}
    assert front.engine().pid != before
    [shown] = front.shown()
    assert "started again" in shown
    # The document was not lost: it is edited, not opened again.
    front.change(uri, 5, [{"text": "marker = "}])
    assert text_of(front.wait(front.inline_request(uri, 0, 9))) == "found"


def test_a_keystroke_while_the_engine_leaves_is_answered_by_the_next_one(home: Any) -> None:
    """Nothing is lost, and nothing is said."""
    said = "alpha(beta, gamma, delta, epsilon)"
    script = FakeScript(rules=(FakeRule("slow = ", said),), token_ms=20.0)
    front = home.started(script=script).ready()
    engine = front.engine()
    first = engine.pid
    number = front.inline_request(*front.put("slow = $0\n"))
    eventually(engine.working, "a running generation")
    os.kill(first, signal.SIGTERM)
    assert text_of(front.wait(number)) == said
    assert front.engine().pid != first
    assert front.shown() == []


def test_the_first_keystroke_after_the_engine_left_because_it_was_idle_is_answered(home: Any) -> None:
    front = home.started(options={"engine.idle_exit_s": 1}).ready()
    eventually(lambda: not engine_processes(home.path), "an engine that leaves")
    assert front.ghost("marker = $0\n") == "found"
    assert front.shown() == []


def test_an_engine_that_dies_in_the_middle_of_an_answer(home: Any) -> None:
    front = home.started().ready()
    ask_until(front, "found")
    assert front.ghost("poison = $0\n") is None
    ask_until(front, "found")
    assert len(front.shown()) == 1


def test_an_engine_that_dies_at_each_request_is_not_restarted_at_each(home: Any) -> None:
    """Two deaths without an answer in between: the second is followed by a pause, and the user is told once."""
    front = home.started().ready()
    answers = [front.ghost("poison = $0\n") for _ in range(40)]
    assert set(answers) == {None}
    assert len(front.shown()) == 1
    assert home.log().count("The engine is gone") <= 2


def test_no_engine_is_one_message_and_no_error(home: Any) -> None:
    front = home.front()
    front.initialize(home.path / "work", initializationOptions={"engine": {"model": "no-such-model"}})
    front.wait_for(lambda: len(front.shown()) > 0, what="a message")
    answers = [front.ghost("marker = $0\n") for _ in range(20)]
    assert set(answers) == {None}
    [shown] = front.shown()
    assert "no-such-model" in shown


def test_a_broken_model_is_said_to_be_broken(home: Any) -> None:
    front = home.started(script=FakeScript(load_error="the weights are cut short"))
    front.wait_for(lambda: len(front.shown()) > 0, what="a message")
    assert "the weights are cut short" in front.shown()[0]
    assert front.ghost("marker = $0\n") is None


def test_a_foreign_engine_that_is_not_there(home: Any) -> None:
    front = home.front()
    front.initialize(home.path / "work", initializationOptions={"engine": {"url": "http://127.0.0.1:9"}})
    front.wait_for(lambda: len(front.shown()) > 0, what="a message")
    assert "127.0.0.1:9" in front.shown()[0]
    assert engine_processes(home.path) == []


def test_bad_options_are_named_and_the_rest_is_used(home: Any) -> None:
    options = {"completion": {"max_tokens": "many", "colour": 1}, "context.layout": "sideways"}
    front = home.started(options=options).ready()
    assert front.ghost("marker = $0\n") == "found"
    shown = " ".join(front.shown())
    assert len(front.shown()) == 3
    for name in ("completion.max_tokens", "completion.colour", "context.layout"):
        assert name in shown


@pytest.mark.parametrize("options", [[], "text", 3, {"engine": []}])
def test_options_of_another_kind(home: Any, options: Any) -> None:
    front = home.front()
    front.settings = {"engine": {"model": str(home.model())}}
    front.initialize(home.path / "work", initializationOptions=options)
    front.ready()
    assert len(front.shown()) == 1


def test_configuration_is_pulled_and_pulled_again(home: Any) -> None:
    front = home.front()
    front.settings = {"engine": {"model": str(home.model())}}
    front.initialize(home.path / "work", initializationOptions={"coderls": {"engine": {"model": "other"}}})
    front.ready()
    assert front.ghost("marker = $0\n") == "found"
    second = home.model(FakeScript(rules=(FakeRule("marker = ", "second"),)), "second")
    front.settings = {"engine": {"model": str(second)}, "completion": {"max_tokens": 0}}
    front.notify("workspace/didChangeConfiguration", {"settings": None})
    ask_until(front, "second")
    [shown] = front.shown()
    assert "completion.max_tokens" in shown
    front.settings = {"engine": {"model": str(second)}, "completion": {"enabled": False}}
    front.notify("workspace/didChangeConfiguration", {"settings": {}})
    eventually(lambda: front.ghost("marker = $0\n") is None, "silence")
    assert len(engines(home.path)) == 2


def test_clients_that_push_their_configuration(home: Any) -> None:
    front = home.started(capabilities={"textDocument": {"inlineCompletion": {}}}).ready()
    second = home.model(FakeScript(rules=(FakeRule("marker = ", "pushed"),)), "second")
    settings = {"coderls": {"engine": {"model": str(second)}}}
    front.notify("workspace/didChangeConfiguration", {"settings": settings})
    ask_until(front, "pushed")


def test_folders_come_and_go(home: Any) -> None:
    front = home.started().ready()
    (home.path / "more").mkdir()
    (home.path / "more" / "m.py").write_text("def more():\n    pass\n")
    folder = {"uri": (home.path / "more").as_uri(), "name": "more"}
    front.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [folder], "removed": []}})
    front.wait_for(lambda: any("1 definitions" in line for line in front.logged()), what="the index of both")
    front.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": [folder]}})
    front.wait_for(lambda: "0 definitions" in front.logged()[-1], what="the index of one")
    missing = {"uri": (home.path / "missing").as_uri(), "name": "missing"}
    front.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [missing], "removed": []}})
    assert front.ghost("marker = $0\n") == "found"


def test_an_engine_that_stalls_is_given_up(home: Any) -> None:
    code = (
        "import sys\nfrom coderls.session import offering\nassert offering.LONGEST_S\noffering.LONGEST_S = 1.0\n"
        "from coderls.server import serve_stdio\nsys.exit(serve_stdio())\n"
    )
    script = FakeScript(rules=(FakeRule("marker = ", "x", fail="stall"),), default="pass")
    front = home.front([sys.executable, "-c", code])
    front.initialize(home.path / "work", initializationOptions={"engine": {"model": str(home.model(script))}})
    front.ready()
    assert front.ghost("marker = $0\n") is None
    assert "given up" in home.log()


SPY = """
import json, os, sys
class Spy:
    seen = set()
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in self.seen:
            self.seen.add(top)
            with open(os.environ["CODERLS_TEST_SPY"], "a") as file:
                file.write(json.dumps([" ".join(sys.orig_argv[-1:]), top]) + "\\n")
sys.meta_path.insert(0, Spy())
"""


def test_what_the_front_imports_and_when(home: Any) -> None:
    """Every import of the real process is written down: what is slow comes after `initialize`, torch never."""
    (home.path / "spy").mkdir()
    (home.path / "spy" / "sitecustomize.py").write_text(SPY)
    notes = home.path / "imports.jsonl"
    front = home.front(env={"PYTHONPATH": str(home.path / "spy"), "CODERLS_TEST_SPY": str(notes)})
    options = {"engine": {"model": str(home.model())}}
    root = (home.path / "work").as_uri()
    params = {"processId": None, "rootUri": root, "capabilities": CAPABILITIES, "initializationOptions": options}
    front.call("initialize", params)

    def imported() -> set[str]:
        return {name for argument, name in written(notes) if argument == "--stdio"}

    slow = {"torch", "transformers", "httpx", "tokenizers", "tree_sitter", "numpy", "huggingface_hub"}
    assert "pygls" in imported()
    assert not imported() & slow
    front.notify("initialized", {})
    front.ready()
    assert front.ghost("marker = $0\n") == "found"
    assert {"httpx", "tokenizers", "tree_sitter"} <= imported()
    assert not imported() & {"torch", "transformers"}
    maps = Path(f"/proc/{front.process.pid}/maps")
    if maps.exists():
        assert "libtorch" not in maps.read_text()


def test_script_of_these_tests() -> None:
    assert {rule.after for rule in SCRIPT.rules} >= {"marker = ", "poison = "}
