"""Ghost text over the wire: documents that stay right, requests that nobody wants any more, odd documents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from coderls.engine.fake import FakeRule, FakeScript
from devtools.lsp_client import RpcError, position, span
from tests.server.conftest import WITHOUT_GHOST_TEXT, eventually, text_of

CANCELLED = -32800


def test_ghost_text(shared: Any) -> None:
    uri, line, character = shared.put("def add(a, b):\n    return $0\n\n\nprint(add(1, 2))\n")
    result = shared.wait(shared.inline_request(uri, line, character))
    [item] = result["items"]
    command = item.pop("command")
    assert item == {"insertText": "a + b", "filterText": "a + b", "range": span((line, character), (line, character))}
    assert command["command"] == "coderls.accepted"


ODD = "# \f page\n# \u2028 line separator\n# é漢😀\r# lone\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_documents_stay_right_after_incremental_edits(home: Any, encoding: str) -> None:
    """The model only says `found` where the text before the cursor ends with `marker = `."""
    capabilities = {"general": {"positionEncodings": [encoding]}, "textDocument": {"inlineCompletion": {}}}
    front = home.started(capabilities=capabilities).ready()
    width = {"utf-8": 2 + 2 + 3 + 4, "utf-16": 2 + 1 + 1 + 2, "utf-32": 2 + 1 + 1 + 1}[encoding]
    uri = front.open(home.path / "work" / "odd.py", ODD + "mark\n")
    edits = [
        {"range": span((2, width), (2, width)), "text": " end"},  # behind the emoji, before the lone CR
        {"range": span((4, 4), (4, 4)), "text": "er = "},
        {"range": span((0, 2), (0, 4)), "text": ""},  # the form feed goes
        {"range": span((2, width - 1), (2, width + 4)), "text": "\v\u2029 "},  # emoji halves are not cut in UTF-8
    ]
    for version, edit in enumerate(edits[:3], start=2):
        front.change(uri, version, [edit])
    assert text_of(front.wait(front.inline_request(uri, 4, 9))) == "found"
    front.change(uri, 9, [edits[3], {"range": span((4, 9), (4, 9)), "text": "x = marker = "}])
    assert text_of(front.wait(front.inline_request(uri, 4, 22))) == "found"
    assert text_of(front.wait(front.inline_request(uri, 4, 5))) != "found"


def test_a_column_past_the_end_is_the_end_and_a_line_past_it_is_named(shared: Any) -> None:
    uri, _, _ = shared.put("x = 1\nmarker = ")
    assert text_of(shared.wait(shared.inline_request(uri, 1, 10_000))) == "found"
    with pytest.raises(RpcError, match="has 2 lines; there is no line 2"):
        shared.wait(shared.inline_request(uri, 2, 0))
    position = {"textDocument": {"uri": uri}, "position": {"line": 10_000, "character": 0}}
    with pytest.raises(RpcError, match="there is no line 10000"):
        shared.call("textDocument/completion", position)


@pytest.mark.parametrize("uri", ["untitled:Untitled-1", "vscode-vfs://github/o/r/a.py", "file:///elsewhere/b.py"])
def test_documents_that_are_no_files_of_the_workspace(shared: Any, uri: str) -> None:
    shared.open(uri, "marker = \n")
    assert text_of(shared.wait(shared.inline_request(uri, 0, 9))) == "found"


def test_a_document_of_fifty_megabytes(shared: Any) -> None:
    uri = shared.open("file:///big.py", "value = 1  # some filling\n" * 2_000_000 + "marker = ")
    shared.change(uri, 2, [{"range": span((1_000_000, 0), (1_000_000, 0)), "text": "x"}])
    result = shared.wait(shared.inline_request(uri, 2_000_000, 9), 100)
    assert text_of(result) in ("found", None)
    shared.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert shared.ghost("marker = $0\n") == "found"


def test_a_binary_and_lone_surrogates(shared: Any) -> None:
    uri = shared.open("file:///x.bin", "\0\1\2" * 1000, "plaintext")
    assert text_of(shared.wait(shared.inline_request(uri, 0, 10))) is None
    uri = shared.open("file:///half.py", "x = '\ud83d'\nmarker = ")
    assert text_of(shared.wait(shared.inline_request(uri, 1, 9))) == "found"


def test_a_workspace_with_files_that_are_no_text(home: Any) -> None:
    (home.path / "work" / "latin.py").write_bytes(b"name = '\xe9'\n")
    (home.path / "work" / "image.py").write_bytes(bytes(range(256)) * 100)
    (home.path / "work" / "good.py").write_text("def good():\n    return 1\n")
    front = home.started().ready()
    front.wait_for(lambda: any("index is ready" in line for line in front.logged()), what="the index")
    assert front.ghost("marker = $0\n") == "found"
    [line] = [line for line in front.logged() if "index is ready" in line]
    assert "in 2 files" in line  # the picture is none, and nothing stopped at it


def test_open_buffers_and_edits_reach_the_index(home: Any) -> None:
    """`helper.py` is only in the editor; its definition is in the prompt of `main.py`, which imports it."""
    (home.path / "work" / "helper.py").write_text("x = 1\n")
    # The prompt ends before the token at the cursor, "(", which the model has to say again (token healing).
    script = FakeScript(rules=(FakeRule("def lend(amount", "(seen"),), default="(unseen")
    front = home.started(script=script, options={"context": {"tokens": 500}}).ready()
    front.wait_for(lambda: any("index is ready" in line for line in front.logged()), what="the index")
    uri = front.put("x = 1\n$0", "helper.py")[0]
    front.change(uri, 2, [{"text": "def lend(amount: int) -> int:\n    return amount\n"}])
    asked = front.put("from helper import lend\n\nprint(lend($0)\n", "main.py")
    eventually(lambda: text_of(front.wait(front.inline_request(*asked))) == "seen", "the definition in the prompt")


def test_a_cancelled_request_is_answered_and_its_generation_stops(shared: Any) -> None:
    engine = shared.engine()
    number = shared.inline_request(*shared.put("forever = $0\n"))
    eventually(engine.working, "a running generation")
    shared.cancel(number)
    with pytest.raises(RpcError) as caught:
        shared.wait(number)
    assert caught.value.code == CANCELLED
    eventually(lambda: not engine.working(), "an idle engine")
    assert shared.ghost("marker = $0\n") == "found"


def test_the_newest_request_wins(shared: Any) -> None:
    engine = shared.engine()
    slow = shared.put("forever = $0\n", "slow.py")
    first = shared.inline_request(*slow)
    eventually(engine.working, "a running generation")
    second = shared.inline_request(*slow)
    assert text_of(shared.wait(first)) is None  # at once: the second is not done for long
    third = shared.inline_request(slow[0], 0, 0)
    assert text_of(shared.wait(second)) is None
    shared.wait(third)
    eventually(lambda: not engine.working(), "an idle engine")


def test_another_document_is_no_rival(home: Any) -> None:
    front = home.started().ready()
    first = front.inline_request(*front.put("def add(a, b):\n    return $0\n", "one.py"))
    second = front.inline_request(*front.put("marker = $0\n", "two.py"))
    assert text_of(front.wait(first)) == "a + b"
    assert text_of(front.wait(second)) == "found"


def test_a_request_is_over_when_its_document_moves_on(shared: Any) -> None:
    engine = shared.engine()
    uri, line, character = shared.put("forever = $0\n", "moving.py")
    number = shared.inline_request(uri, line, character)
    eventually(engine.working, "a running generation")
    shared.change(uri, 2, [{"range": span((0, 0), (0, 0)), "text": "marker = \n"}])
    assert text_of(shared.wait(number)) is None
    eventually(lambda: not engine.working(), "an idle engine")
    assert text_of(shared.wait(shared.inline_request(uri, 0, 9))) == "found"
    number = shared.inline_request(uri, 1, 10)
    eventually(engine.working, "a running generation")
    shared.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert text_of(shared.wait(number)) is None
    with pytest.raises(RpcError, match="is not open"):
        shared.wait(shared.inline_request(uri, 0, 0))


def test_a_burst_of_keystrokes_costs_one_generation(shared: Any) -> None:
    """As Neovim sends them: a request for each key, none of them cancelled."""
    uri, _, _ = shared.put("$0", "burst.py")
    numbers = []
    for version, char in enumerate("marker = ", start=2):
        column = version - 2
        shared.change(uri, version, [{"range": span((0, column), (0, column)), "text": char}])
        numbers.append(shared.inline_request(uri, 0, column + 1, invoked=False))
    answers = [text_of(shared.wait(number)) for number in numbers]
    assert answers[-1] == "found"
    assert set(answers[:-1]) == {None}


def test_popup_completion_for_clients_without_ghost_text(home: Any) -> None:
    front = home.started(capabilities=WITHOUT_GHOST_TEXT).ready()
    assert front.initialize_result["capabilities"]["completionProvider"]["triggerCharacters"]
    uri, line, character = front.put("def f():\n    block:\n    marker = $0\n")
    params = {"textDocument": {"uri": uri}, "position": position(line, character)}
    result = front.call("textDocument/completion", params)
    assert result["isIncomplete"] is True
    [item] = result["items"]
    assert item["label"] == "found"
    assert item["textEdit"] == {"range": span((line, character), (line, character)), "newText": "found"}
    assert item["insertTextFormat"] == 1


def generations(engine: Any) -> float:
    """Generations that have ended in the engine, in whatever way."""
    return float(engine.metric("coderls_generations_total"))


def test_typing_through_a_shown_completion_needs_no_model(shared: Any) -> None:
    uri, line, character = shared.put("def add(a, b):\n    return $0\n\n\nprint(add(1, 2))\n", "through.py")
    assert text_of(shared.wait(shared.inline_request(uri, line, character))) == "a + b"
    engine = shared.engine()
    eventually(lambda: not engine.working(), "an idle engine")
    before = generations(engine)
    for version, letter in enumerate("a + ", start=2):
        at = (line, character + version - 2)
        shared.change(uri, version, [{"range": span(at, at), "text": letter}])
        asked = shared.inline_request(uri, line, character + version - 1)
        assert text_of(shared.wait(asked)) == "a + b"[version - 1 :]
    explained = shared.call("workspace/executeCommand", {"command": "coderls.explain", "arguments": [uri]})
    assert explained["reused"] == "shown"
    shared.change(uri, 7, [{"range": span((line, character), (line, character + 4)), "text": ""}])
    assert text_of(shared.wait(shared.inline_request(uri, line, character))) == "a + b"  # after an undo
    assert generations(engine) == before


def test_what_each_snippet_was_worth_can_be_asked(shared: Any) -> None:
    uri, line, character = shared.put("def add(a, b):\n    return $0\n", "worth.py")
    ask = {"command": "coderls.influence", "arguments": [uri]}
    assert shared.call("workspace/executeCommand", ask) is None, "there was no completion yet"
    assert text_of(shared.wait(shared.inline_request(uri, line, character))) == "a + b"
    found = shared.call("workspace/executeCommand", ask)
    assert all(snippet["path"] and snippet["change"] == 0.0 for snippet in found["snippets"])


def test_a_request_joins_the_generation_that_says_what_was_typed(shared: Any) -> None:
    """`forever` goes on for long: the same generation is at work after each key."""
    engine = shared.engine()
    uri, line, character = shared.put("forever = $0\n", "join.py")
    eventually(lambda: not engine.working(), "an idle engine")
    ended = generations(engine)

    def several_more_steps() -> None:
        steps = engine.metric("coderls_steps_total")
        eventually(lambda: engine.metric("coderls_steps_total") > steps + 20, "steps of the model")

    number = shared.inline_request(uri, line, character, invoked=False)
    several_more_steps()
    for version, letter in enumerate("'10", start=2):
        at = (line, character + version - 2)
        shared.change(uri, version, [{"range": span(at, at), "text": letter}])
        before, number = number, shared.inline_request(uri, line, character + version - 1, invoked=False)
        assert text_of(shared.wait(before)) is None
        several_more_steps()
    assert generations(engine) == ended
    shared.cancel(number)
    eventually(lambda: generations(engine) == ended + 1, "the end of the one generation")


def test_what_became_of_completions_is_counted(home: Any) -> None:
    """Taken whole, as the document tells; taken, as the item's command tells; and one that was dismissed."""
    front = home.started().ready()
    uri, line, character = front.put("def add(a, b):\n    return $0\n\n\nprint(add(1, 2))\n")
    assert text_of(front.wait(front.inline_request(uri, line, character))) == "a + b"
    front.change(uri, 2, [{"range": span((line, character), (line, character)), "text": "a + b"}])
    items = [front.wait(front.inline_request(*front.put(f"# {name}\nmarker = $0\n", name)))["items"] for name in "xy"]
    for command, [item] in zip(("coderls.accepted", "coderls.rejected"), items, strict=True):
        front.call("workspace/executeCommand", {"command": command, "arguments": item["command"]["arguments"]})
    uri = (home.path / "work" / "y").as_uri()
    automatic = {"textDocument": {"uri": uri}, "position": position(1, 9), "context": {"triggerKind": 2}}
    assert front.call("textDocument/inlineCompletion", automatic) == {"items": []}  # it was just dismissed
    front.close()
    command = [sys.executable, "-m", "coderls", "stats", "--json"]
    done = subprocess.run(command, env=os.environ | home.environment(), capture_output=True, check=True, timeout=60)
    summary = json.loads(done.stdout)
    assert (summary["shown"], summary["accepted"], summary["rejected"]) == (3, 2, 1)
    assert summary["by_language"] == {"python": [3, 2]}
    assert b"add" not in (home.path / "cache" / "stats.sqlite").read_bytes(), "numbers only"


def test_paused_and_switched_on_again(shared: Any) -> None:
    uri, line, character = shared.put("# paused\nmarker = $0\n", "paused.py")
    where = {"textDocument": {"uri": uri}, "position": position(line, character)}
    shared.call("workspace/executeCommand", {"command": "coderls.pause", "arguments": [True]})
    automatic = {**where, "context": {"triggerKind": 2}}
    assert shared.call("textDocument/inlineCompletion", automatic) == {"items": []}
    invoked = {**where, "context": {"triggerKind": 1}}
    assert text_of(shared.call("textDocument/inlineCompletion", invoked)) == "found"
    shared.call("workspace/executeCommand", {"command": "coderls.pause", "arguments": [False]})
    assert text_of(shared.call("textDocument/inlineCompletion", automatic)) == "found"


def test_after_an_accept_the_next_answer_is_there(home: Any) -> None:
    # The last tokens before the cursor are for the model to say again: the blank, and then "one".
    script = FakeScript(rules=(FakeRule("first =", " one"), FakeRule("first = ", "one + two")))
    front = home.started(script=script, options={"completion": {"debounce_ms": 0}}).ready()
    uri, line, character = front.put("first = $0\n")
    assert text_of(front.wait(front.inline_request(uri, line, character, invoked=False))) == "one"
    engine = front.engine()
    eventually(lambda: engine.metric("coderls_generations_total") >= 2, "the answer to what comes after it")
    front.change(uri, 2, [{"range": span((line, character), (line, character)), "text": "one"}])
    found = front.wait(front.inline_request(uri, line, character + 3, invoked=False))
    assert text_of(found) == " + two"
    explained = front.call("workspace/executeCommand", {"command": "coderls.explain", "arguments": [uri]})
    assert explained["reused"] == "ahead"


@pytest.mark.parametrize("invoked", [True, False])
def test_an_answer_comes_by_the_deadline_whatever_is_slow_and_is_there_when_asked_again(
    home: Any, invoked: bool
) -> None:
    """The engine is at the prompt for seconds, and says a single line: there is none that is whole before its end."""
    script = FakeScript(rules=(FakeRule("slow = ", "one"), FakeRule("fast = ", "two")), prefill_token_ms=100)
    options = {"completion": {"debounce_ms": 0, "deadline_ms": 50, "ahead": "off"}, "context": {"enabled": False}}
    front = home.started(script=script, options=options).ready()
    uri, line, character = front.put("def f():\n    x = [1, 2, 3]\n    y = [4, 5, 6]\n    return x, y\n\n\nslow = $0\n")
    assert text_of(front.wait(front.inline_request(uri, line, character, invoked=invoked))) is None
    assert front.call("workspace/executeCommand", {"command": "coderls.explain", "arguments": [uri]}) is None
    eventually(lambda: front.engine().working(), "the generation that goes on")
    eventually(lambda: not front.engine().working(), "the end of the generation")
    eventually(lambda: text_of(front.wait(front.inline_request(uri, line, character, invoked=invoked))) == "one")
    explained = front.call("workspace/executeCommand", {"command": "coderls.explain", "arguments": [uri]})
    assert (explained["text"], explained["line"]) == ("one", line + 1)
    assert explained["took_ms"] >= explained["timings_ms"]["total"] > 0


def test_the_first_lines_come_after_a_second_and_the_rest_with_the_next_key(home: Any) -> None:
    body = "one = 1\n    two = 2\n    three = 3\n    return one\n"
    script = FakeScript(rules=(FakeRule("def f():\n    ", body),), token_ms=40)
    front = home.started(script=script, options={"completion": {"debounce_ms": 0}}).ready()
    uri, line, character = front.put("def f():\n    $0\n")
    first = text_of(front.wait(front.inline_request(uri, line, character, invoked=False)))
    assert first is not None
    assert first.startswith("one = 1")
    assert "return" not in first
    front.change(uri, 2, [{"range": span((line, character), (line, character)), "text": "o"}])
    whole = text_of(front.wait(front.inline_request(uri, line, character + 1, invoked=False)))
    assert whole is not None
    assert body.startswith("o" + whole)
    eventually(lambda: not front.engine().working(), "the end of the generation")
    front.change(uri, 3, [{"range": span((line, character + 1), (line, character + 1)), "text": "n"}])
    rest = text_of(front.wait(front.inline_request(uri, line, character + 2, invoked=False)))
    assert rest == body.rstrip()[2:]
