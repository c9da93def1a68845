"""The protocol's own rules: what is advertised, what is refused and how, and how a server leaves."""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from coderls.server.methods import Server
from devtools.lsp_client import CAPABILITIES, RpcError, ServerGone, position, span
from tests.server.conftest import text_of

INVALID_REQUEST, NOT_FOUND, INVALID_PARAMS, PARSE_ERROR, NOT_INITIALIZED = -32600, -32601, -32602, -32700, -32002


class Written(list[bytes]):
    """A writer that keeps what is written."""

    def write(self, data: bytes) -> None:
        self.append(data)

    def close(self) -> None:
        pass


def code_of(client: Any, method: str, params: Any = None) -> int:
    with pytest.raises(RpcError) as caught:
        client.call(method, params)
    assert caught.value.message
    return caught.value.code


def test_what_is_advertised(shared: Any) -> None:
    result = shared.initialize_result
    assert result["serverInfo"]["name"] == "coderls"
    capabilities = result["capabilities"]
    assert capabilities["textDocumentSync"]["openClose"] is True
    assert capabilities["textDocumentSync"]["change"] == 2
    assert "inlineCompletionProvider" in capabilities
    assert "completionProvider" not in capabilities  # this client shows ghost text
    assert capabilities["workspace"]["workspaceFolders"] == {"supported": True, "changeNotifications": True}


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(None, "utf-16"), ([], "utf-16"), (["utf-8", "utf-16"], "utf-8"), (["utf-7", "utf-32"], "utf-32")],
)
def test_the_position_encoding_is_agreed_on(home: Any, offered: list[str] | None, chosen: str) -> None:
    front = home.front()
    general = {} if offered is None else {"general": {"positionEncodings": offered}}
    result = front.call("initialize", {"processId": None, "rootUri": None, "capabilities": general})
    assert result["capabilities"]["positionEncoding"] == chosen
    assert result["capabilities"]["completionProvider"]  # nothing was said of ghost text


MALFORMED: list[tuple[str, Any]] = [
    ("textDocument/inlineCompletion", None),
    ("textDocument/inlineCompletion", {}),
    ("textDocument/inlineCompletion", []),
    ("textDocument/inlineCompletion", "text"),
    ("textDocument/inlineCompletion", {"textDocument": {"uri": "file:///x"}, "position": {"line": 0}}),
    (
        "textDocument/inlineCompletion",
        {"textDocument": {}, "position": position(0, 0), "context": {"triggerKind": 1}},
    ),
    (
        "textDocument/inlineCompletion",
        {"textDocument": {"uri": "file:///x"}, "position": {"line": "x", "character": 0}, "context": {}},
    ),
    (
        "textDocument/inlineCompletion",
        {"textDocument": {"uri": "file:///x"}, "position": position(0, 0), "context": {"triggerKind": 99}},
    ),
    ("textDocument/completion", {"position": position(0, 0)}),
]


@pytest.mark.parametrize(("method", "params"), MALFORMED)
def test_malformed_params_get_an_error_reply(shared: Any, method: str, params: Any) -> None:
    assert code_of(shared, method, params) == INVALID_PARAMS
    assert shared.ghost("marker = $0\n") == "found"


def test_a_change_that_cannot_be_read_loses_the_document_and_its_whole_text_finds_it_again(shared: Any) -> None:
    uri, line, character = shared.put("marker = $0\n", "lost.py")
    shared.notify("textDocument/didChange", {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [{}]})
    assert shared.wait(shared.inline_request(uri, line, character)) == {"items": []}
    assert any("lost.py that cannot be read" in text for text in shared.shown())
    shared.change(uri, 3, [{"range": span((0, 0), (0, 0)), "text": "#"}])
    assert shared.wait(shared.inline_request(uri, line, character)) == {"items": []}
    shared.change(uri, 4, [{"text": "other = 1\nmarker = "}])
    assert text_of(shared.wait(shared.inline_request(uri, 1, 9))) == "found"


@pytest.mark.parametrize("text", [None, 3, ["a"], {"a": 1}])
def test_what_is_no_text_never_becomes_one(shared: Any, text: Any) -> None:
    uri, line, character = shared.put("marker = $0\n", "no_text.py")
    shared.change(uri, 2, [{"range": span((0, 0), (0, 0)), "text": text}])
    assert shared.wait(shared.inline_request(uri, line, character)) == {"items": []}
    item = {"uri": "file:///none.py", "languageId": "python", "version": 1, "text": text}
    shared.notify("textDocument/didOpen", {"textDocument": item})
    assert code_of(shared, "textDocument/inlineCompletion", INLINE | {"textDocument": {"uri": item["uri"]}})


def test_malformed_notifications_harm_nothing(shared: Any) -> None:
    uri, line, character = shared.put("marker = $0\n")
    shared.notify("textDocument/didChange", {"textDocument": {"uri": "file:///x"}})
    shared.notify("textDocument/didChange", 3)
    shared.notify("textDocument/didOpen", None)
    shared.notify("textDocument/didClose", {"textDocument": 3})
    shared.notify("$/cancelRequest", {})
    shared.notify("$/cancelRequest", {"id": 99999})
    shared.notify("$/setTrace", {"value": "off"})
    shared.notify("$/whatever", {"x": 1})
    shared.notify("made/up")
    shared.change("file:///never/opened.py", 3, [{"text": "x"}])
    items = shared.wait(shared.inline_request(uri, line, character))["items"]
    assert [item["insertText"] for item in items] == ["found"]


def test_an_unknown_method_is_said_to_be_unknown(shared: Any) -> None:
    assert code_of(shared, "textDocument/hoover", {"x": 1}) == NOT_FOUND
    assert code_of(shared, "textDocument/hover") == NOT_FOUND


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{nonsense", PARSE_ERROR),
        (b"\xff\xfe\x00", PARSE_ERROR),
        (b"[" * 100_000, PARSE_ERROR),
        (b"[]", INVALID_REQUEST),
        (b"3", INVALID_REQUEST),
        (b'{"jsonrpc": "2.0"}', INVALID_REQUEST),
        (b'{"jsonrpc": "1.0", "id": null, "method": "shutdown"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "shutdown"}', INVALID_REQUEST),
    ],
)
def test_what_is_no_message_is_answered_with_an_error_without_id(shared: Any, body: bytes, code: int) -> None:
    shared.send_bytes(body)
    with pytest.raises(RpcError) as caught:
        shared.wait(None)
    assert caught.value.code == code


def test_replies_that_nobody_waits_for_are_passed_over(shared: Any) -> None:
    shared.send({"jsonrpc": "2.0", "id": "unknown", "result": 3})
    shared.send({"jsonrpc": "2.0", "id": "unknown", "error": {"code": 1, "message": "no"}})
    shared.send({"jsonrpc": "2.0", "id": "unknown", "error": "no object"})
    assert shared.ghost("marker = $0\n") == "found"


async def test_replies_have_no_reply() -> None:
    """Of another form, twice, or after the server gave up waiting."""
    protocol, sent = Server().protocol, Written()
    protocol.set_writer(sent)
    waiting: concurrent.futures.Future[Any] = concurrent.futures.Future()
    waiting.cancel()
    protocol._request_futures["late"] = waiting
    for reply in ({"id": "late", "result": [{}]}, {"id": "late", "result": 1}, {"id": [1], "result": 2}):
        protocol.receive(json.dumps({"jsonrpc": "2.0", **reply}).encode())
    assert sent == []
    assert "late" not in protocol._request_futures


def test_odd_headers_are_passed_over(shared: Any) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": "odd", "method": "x/unknown"}).encode()
    writer = shared._writer
    writer.write(b"X-Junk: " + b"j" * 100_000 + b"\r\n\r\n")
    writer.write(b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n")
    writer.write(b"content-LENGTH: %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n" % len(body))
    writer.write(body)
    writer.flush()
    with pytest.raises(RpcError) as caught:
        shared.wait("odd")
    assert caught.value.code == NOT_FOUND


def test_an_unopened_document_is_named(shared: Any) -> None:
    with pytest.raises(RpcError, match=r"file:///nowhere\.py is not open") as caught:
        shared.wait(shared.inline_request("file:///nowhere.py", 0, 0))
    assert caught.value.code == INVALID_PARAMS


def test_a_refused_request_is_no_fault_of_the_log(home: Any) -> None:
    front = home.front()
    front.initialize(None, initializationOptions={"engine": {"url": "http://127.0.0.1:9"}})
    with pytest.raises(RpcError, match="is not open"):
        front.wait(front.inline_request("file:///nowhere.py", 0, 0))
    assert front.close() == 0
    assert "Traceback" not in home.log()
    assert "nowhere.py" not in home.log()


def test_malformed_params_are_named_in_a_line_without_their_values(home: Any) -> None:
    front = home.front()
    front.initialize(None, initializationOptions={"engine": {"url": "http://127.0.0.1:9"}})
    where = {"line": "a word of the user", "character": 0}
    with pytest.raises(RpcError, match=r"are not what LSP says they are \(.*position\.line\)"):
        front.call("textDocument/inlineCompletion", INLINE | {"position": where})
    front.change("file:///x.py", 2, [{"text": ["a word of the user"]}])
    assert front.close() == 0
    assert "a word of the user" not in home.log()
    assert "Traceback" not in home.log()
    assert len(home.log().splitlines()) < 10


def test_nothing_goes_before_initialize_or_twice(home: Any) -> None:
    front = home.front()
    assert code_of(front, "textDocument/inlineCompletion", {}) == NOT_INITIALIZED
    assert code_of(front, "shutdown") == NOT_INITIALIZED
    front.open("file:///early.py", "x = 1\n")  # dropped, as LSP says
    front.initialize(None, initializationOptions={"engine": {"url": "http://127.0.0.1:9"}})
    assert code_of(front, "initialize", {"processId": None, "rootUri": None, "capabilities": {}}) == INVALID_REQUEST
    assert code_of(front, "textDocument/inlineCompletion", INLINE) == INVALID_PARAMS


INLINE = {"textDocument": {"uri": "file:///early.py"}, "position": position(0, 0), "context": {"triggerKind": 1}}


def test_a_refused_initialize_can_be_repeated(home: Any) -> None:
    front = home.front()
    assert code_of(front, "initialize", {"capabilities": 3}) == INVALID_PARAMS
    assert front.call("initialize", {"processId": None, "rootUri": None, "capabilities": {}})["serverInfo"]


def test_after_shutdown_only_exit_is_heard(home: Any) -> None:
    front = home.started()
    assert front.call("shutdown") is None
    assert code_of(front, "textDocument/inlineCompletion", INLINE) == INVALID_REQUEST
    assert code_of(front, "shutdown") == INVALID_REQUEST
    front.notify("exit")
    assert front.process.wait(20) == 0


def test_exit_without_shutdown_is_an_error(home: Any) -> None:
    front = home.started()
    front.notify("exit")
    assert front.process.wait(20) == 1


def test_exit_before_initialize(home: Any) -> None:
    front = home.front()
    front.notify("exit")
    assert front.process.wait(20) == 1


@pytest.mark.parametrize(("in_order", "code"), [(True, 0), (False, 1)])
def test_the_server_leaves_when_its_input_ends(home: Any, in_order: bool, code: int) -> None:
    front = home.started()
    if in_order:
        front.call("shutdown")
    front.hang_up()
    assert front.process.wait(20) == code
    assert ("went away without" in home.log()) is not in_order


def test_input_without_a_client_is_told(home: Any) -> None:
    front = home.front()
    front._writer.write(b"hello?\n")
    front.hang_up()
    assert front.process.wait(20) == 1
    assert len(home.log().splitlines()) == 1
    assert "before a client had sent `initialize`" in home.log()


def test_a_message_that_is_cut_short_ends_it_too(home: Any) -> None:
    front = home.started()
    front._writer.write(b'Content-Length: 1000\r\n\r\n{"jsonrpc"')
    front._writer.flush()
    front.hang_up()
    assert front.process.wait(20) == 1


def test_the_server_does_not_outlive_its_editor(home: Any) -> None:
    editor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        front = home.started(processId=editor.pid)
        assert front.process.poll() is None
    finally:
        editor.kill()
        editor.communicate()
    assert front.process.wait(30) == 1


def test_an_editor_outside_of_this_machine_is_not_looked_for(home: Any) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    front = home.started(processId=ended.pid).ready()
    assert front.ghost("marker = $0\n") == "found"


STRAY = """
import os, subprocess, sys
from coderls.server import methods, serve_stdio
real = methods.METHODS["textDocument/didOpen"]
def did_open(ls, params):
    print("stray print")
    sys.stdout.write("stray write")
    os.write(1, b"stray bytes")
    child = "import sys; print('stray child'); print('it read', repr(sys.stdin.read()))"
    subprocess.run([sys.executable, "-c", child])
    real(ls, params)
methods.METHODS["textDocument/didOpen"] = did_open
sys.exit(serve_stdio())
"""


def test_standard_output_belongs_to_the_protocol(home: Any) -> None:
    front = home.front([sys.executable, "-c", STRAY])
    engine = {"model": str(home.model()), "idle_exit_s": 60}
    front.initialize(home.path / "work", initializationOptions={"engine": engine})
    front.ready()
    assert front.ghost("marker = $0\n") == "found"
    assert front.close() == 0
    for line in ("stray print", "stray write", "stray bytes", "stray child", "it read ''"):
        assert line in home.log()


def test_a_failing_handler_is_answered_without_paths(home: Any) -> None:
    code = STRAY.split("real =", maxsplit=1)[0] + (
        "def fail(ls, params):\n    open('/nobody/has/this')\n"
        "methods.METHODS['textDocument/completion'] = fail\n"
        "methods.METHODS['textDocument/didClose'] = fail\n"
        "sys.exit(serve_stdio())\n"
    )
    front = home.front([sys.executable, "-c", code])
    front.initialize(None, initializationOptions={"engine": {"url": "http://127.0.0.1:9"}})
    with pytest.raises(RpcError) as caught:
        front.call("textDocument/completion", {"textDocument": {"uri": "file:///x"}, "position": position(0, 0)})
    assert caught.value.code == -32603
    assert caught.value.data is None
    assert "/nobody" not in caught.value.message
    front.notify("textDocument/didClose", {"textDocument": {"uri": "file:///x"}})
    assert code_of(front, "x/unknown") == NOT_FOUND  # it lives
    assert front.close() == 0
    assert home.log().count("/nobody/has/this") >= 2  # the log knows


def test_a_client_that_only_sends_is_still_heard(home: Any) -> None:
    """The server reads on while its own output is full, so neither waits for the other."""
    command = [sys.executable, "-m", "coderls", "--stdio"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **home.environment()}
    )
    assert process.stdin is not None
    assert process.stdout is not None
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "x/unknown", "params": {"filling": "x" * 2000}}).encode()
    frame = b"Content-Length: %d\r\n\r\n" % len(body) + body
    for _ in range(3000):  # replies of some 300 KB, several times what a pipe holds
        process.stdin.write(frame)
    process.stdin.close()
    replies = process.stdout.read().count(b'"id": 1')
    process.stdout.close()
    assert replies == 3000
    assert process.wait(20) == 1


def test_the_client_notices_a_server_that_is_gone(home: Any) -> None:
    front = home.started()
    front.process.kill()
    with pytest.raises(ServerGone):
        front.wait(front.inline_request("file:///x.py", 0, 0))


def test_capabilities_name_dynamic_registrations(shared: Any) -> None:
    assert CAPABILITIES["workspace"]["didChangeWatchedFiles"]["dynamicRegistration"]
    [request] = [request for request in shared.server_requests if request["method"] == "client/registerCapability"]
    methods = {item["method"] for item in request["params"]["registrations"]}
    assert methods == {"workspace/didChangeWatchedFiles", "workspace/didChangeConfiguration"}


def test_what_a_completion_was_made_from_can_be_asked_for(shared: Any) -> None:
    uri, line, character = shared.put("marker = $0\n", "asked.py")
    ask = {"command": "coderls.explain", "arguments": [uri]}
    assert shared.call("workspace/executeCommand", ask) is None
    assert shared.wait(shared.inline_request(uri, line, character))["items"]
    made = shared.call("workspace/executeCommand", ask)
    assert ("prefix", "asked.py") in [(part["kind"], part["path"]) for part in made["prompt"]]
    assert made["timings_ms"]["engine"] > 0
    assert code_of(shared, "workspace/executeCommand", {"command": "rm"}) == INVALID_PARAMS
    assert code_of(shared, "workspace/executeCommand", {"command": "coderls.explain"}) == INVALID_PARAMS
    assert (
        code_of(shared, "workspace/executeCommand", {"command": "coderls.partly", "arguments": [1]}) == INVALID_PARAMS
    )
    assert shared.call("workspace/executeCommand", {"command": "coderls.partly", "arguments": [999_999, 3]}) is None


def test_span_and_position_are_what_lsp_calls_them() -> None:
    assert span((0, 1), (2, 3)) == {"start": {"line": 0, "character": 1}, "end": {"line": 2, "character": 3}}
