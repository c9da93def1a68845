"""The words of the repository: given to the engine while nobody asks, and then blended into what its model says."""

from __future__ import annotations

import json
from typing import Any

from coderls.engine.blend import FEATURES
from coderls.engine.fake import FakeRule, FakeScript
from coderls.engine.runner import GATE_FILE
from tests.server.conftest import Front, eventually, text_of

#: Everything to the text of the repository: the fake model says what is blended in with a mass of more than a half.
_GATE = {"prompt": [-9.0, *[0.0] * 2 * FEATURES], "local": [9.0, *[0.0] * 2 * FEATURES]}
_SCRIPT = FakeScript(rules=(FakeRule("print(", "model)"),), default=";")


def started(home: Any) -> Front:
    (home.model(_SCRIPT) / GATE_FILE).write_text(json.dumps(_GATE))
    (home.path / "work" / "shapes.py").write_text("def show(sky):\n    print(shape_of(sky))\n" * 3, encoding="utf-8")
    options = {"completion": {"debounce_ms": 0, "ahead": "off", "max_tokens": 40}}
    front: Front = home.started(script=_SCRIPT, options=options).ready()
    front.wait_for(lambda: any("index is ready" in line for line in front.logged()), 60, "an index")
    return front


def asked(front: Front, number: int) -> tuple[str | None, int]:
    """What is offered in a new document, and how many words were blended in."""
    uri, line, character = front.put(f"import shapes\n\n\ndef show(sea_{number}):\n    print($0\n", f"main{number}.py")
    said = text_of(front.wait(front.inline_request(uri, line, character, invoked=False)))
    explained = front.call("workspace/executeCommand", {"command": "coderls.explain", "arguments": [uri]})
    front.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    return said, explained["blended_words"] if explained else 0


def given(front: Front) -> bool:
    """Whether the engine has been given a text."""
    there = 'coderls_requests_total{endpoint="/v1/local_text",status="200"}'
    return any(line.startswith(there) for line in front.engine().get("/metrics").text.splitlines())


def test_they_are_blended_in_once_the_engine_has_them(home: Any) -> None:
    front = started(home)
    assert asked(front, 0) == ("model)", 0), "no key waits for them"
    eventually(lambda: given(front), "the words of the repository")
    said, count = asked(front, 1)
    assert said == "shape_of(sky))"
    assert count > 50
    front.engine().kill()
    front.put("x = 1\n$0", "other.py")
    numbers = iter(range(2, 1_000))
    eventually(lambda: asked(front, next(numbers))[0] == "model)", "a new engine, which has none yet")
    eventually(lambda: given(front), "the words, in the new engine")
    assert asked(front, next(numbers))[0] == "shape_of(sky))"
