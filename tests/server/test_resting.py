"""The prompt of a place is in the engine's cache before the first key there."""

from __future__ import annotations

from typing import Any

from tests.server.conftest import eventually, text_of


def test_the_first_key_finds_the_prompt_of_a_cursor_that_rests(home: Any) -> None:
    front = home.started(options={"context": {"enabled": False}}).ready()
    engine = front.engine()
    uri, line, character = front.put("number = 1\n" * 40 + "$0\n")
    at = {"line": line, "character": character}
    cursor = {"textDocument": {"uri": uri}, "range": {"start": at, "end": at}, "context": {"diagnostics": []}}
    front.call("textDocument/codeAction", cursor)
    eventually(lambda: engine.metric("coderls_prompt_tokens_total") > 0, "a prompt that was read")
    assert engine.metric("coderls_completion_tokens_total") == 0
    assert not engine.working()
    read = engine.metric("coderls_prompt_tokens_total")
    front.change(uri, 2, [{"range": {"start": at, "end": at}, "text": "marker = "}])
    request = front.inline_request(uri, line, len("marker = "), invoked=False)
    assert text_of(front.wait(request)) == "found"
    made = front.call("workspace/executeCommand", {"command": "coderls.explain", "arguments": [uri]})
    assert made["tokens"]["cached"] >= read - 8
    assert made["tokens"]["prompt"] - made["tokens"]["cached"] < 20
