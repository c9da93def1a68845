"""An engine of somebody else that misbehaves: no wrong edit, no storm of messages, and completions come back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from devtools.lsp_client import span
from tests.server.conftest import Front, Home, eventually, text_of

#: What comes where the text before the cursor ends so: bytes of an event's text, as they go over the wire.
SAYS = {
    "good = ": b"found",
    "invalid = ": b"'caf\xc3",
    "middle = ": b"abc\xff\xfedef",
    "special = ": b"one<|endoftext|>two",
    "fim = ": b"one<|fim_middle|>two",
    "file = ": b"one<|file_sep|>other.py\\nx = 1",
    "null = ": b"one\\u0000two",
    "half = ": b"one\\ud83dtwo",
    "code = ": b"```python\\nx\\n```",
}


class Handler(BaseHTTPRequestHandler):
    """A model behind HTTP. `cut` hangs up in the middle, `mad` sends no JSON, `late` never ends, `refuse` refuses."""

    server: Server

    def do_GET(self) -> None:
        self._head("application/json")
        self.wfile.write(json.dumps({"data": [{"id": "some-qwen2.5-coder"}]}).encode())

    def do_POST(self) -> None:
        prompt = json.loads(self.rfile.read(int(self.headers["content-length"])))["prompt"]
        before = prompt.partition("<|fim_suffix|>")[0]
        self.server.asked += 1
        if before.endswith("refuse = "):
            self.send_error(500)
            return
        self._head("text/event-stream")
        if before.endswith("mad = "):
            self._event(b"{no json")
        elif before.endswith("cut = "):
            self._event(b'{"choices": [{"text": "on"}]}')
        elif before.endswith("late = "):
            self._event(b'{"choices": [{"text": "on"}]}')
            self.server.over.wait(60)
        else:
            said = next((text for end, text in SAYS.items() if before.endswith(end)), b"pass")
            self._event(b'{"choices": [{"text": "%b", "finish_reason": "stop"}]}' % said)
            self._event(b"[DONE]")

    def _head(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.end_headers()

    def _event(self, data: bytes) -> None:
        self.wfile.write(b"data: " + data + b"\n\n")
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


class Server(ThreadingHTTPServer):
    """Counts questions; `over`: the test has ended."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = 0
        self.over = threading.Event()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.over.set()
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture(scope="module")
def front(server: Server) -> Iterator[Front]:
    """One for all tests, each with a document of its own that was never asked about."""
    home = Home()
    made = home.front()
    engine = {"url": f"http://127.0.0.1:{server.server_address[1]}"}
    made.initialize(home.path / "work", initializationOptions={"engine": engine, "context": {"enabled": False}})
    yield made.ready()
    home.close()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("good", "found"),
        ("middle", "abc"),
        ("special", "one"),
        ("fim", "one"),
        ("file", "one"),
        ("null", "one"),
        ("half", "one"),
    ],
)
def test_what_is_no_text_ends_an_answer(front: Front, name: str, shown: str) -> None:
    assert front.ghost(f"{name} = $0\n") == shown
    assert front.ghost("good = $0\n") == "found"
    assert front.shown() == []


def test_a_request_to_one_that_never_ends_is_over_when_the_document_moves_on(front: Front, server: Server) -> None:
    uri, line, character = front.put("late = $0\n")
    before = server.asked
    number = front.inline_request(uri, line, character)
    eventually(lambda: server.asked > before, "the question")
    front.change(uri, 2, [{"range": span((0, 0), (0, 0)), "text": "good = \n"}])
    assert text_of(front.wait(number)) is None
    assert text_of(front.wait(front.inline_request(uri, 0, 7))) == "found"
    assert front.shown() == []


def test_one_that_fails_again_and_again_is_one_message(front: Front) -> None:
    for name in ("cut", "mad", "refuse", "invalid", "code") * 3:
        assert front.ghost(f"{name} = $0\n") in (None, "x"), name
        eventually(lambda: front.ghost("good = $0\n") == "found", "an answer after that")
    assert len(front.shown()) <= 1
    assert not [line for line in front.logged() if "Traceback" in line]
