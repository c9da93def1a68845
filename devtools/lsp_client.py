"""A small LSP client on a subprocess's pipes: JSON-RPC frames, threads, nothing else.

It knows no LSP types on purpose, so that it can send what a library would refuse to send. The demo, the tests
and the benchmarks use it, each as an editor would:

    with StdioClient([sys.executable, "-m", "coderls", "--stdio"]) as client:
        client.initialize(Path("project"))
        client.open(path, text)
        result = client.call("textDocument/inlineCompletion", {...})
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

#: What a modern editor says it can do; `initialize(capabilities=...)` replaces it.
CAPABILITIES: dict[str, Any] = {
    "general": {"positionEncodings": ["utf-16"]},
    "window": {"workDoneProgress": True, "showMessage": {}},
    "workspace": {
        "configuration": True,
        "workspaceFolders": True,
        "didChangeConfiguration": {"dynamicRegistration": True},
        "didChangeWatchedFiles": {"dynamicRegistration": True},
    },
    "textDocument": {
        "synchronization": {"didSave": True},
        "inlineCompletion": {"dynamicRegistration": False},
    },
}


class ServerGone(Exception):
    """The server closed its output, or left, before it answered."""


class RpcError(Exception):
    """The server answered with an error; `code`, `message` and `data` are its own."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.code: int = error.get("code", 0)
        self.message: str = error.get("message", "")
        self.data: Any = error.get("data")


class LspClient:
    """JSON-RPC over a pair of binary streams. Safe to use from several threads.

    `messages` keeps every notification of the server, `server_requests` every request, in order of arrival;
    `arrived[id]` is the `time.perf_counter()` at which the reply to a request was read.
    """

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self.settings: dict[str, Any] = {}
        self.messages: list[dict[str, Any]] = []
        self.server_requests: list[dict[str, Any]] = []
        self.arrived: dict[int, float] = {}
        self.initialize_result: dict[str, Any] = {}
        self.answers: dict[str, Callable[[Any], Any]] = {"workspace/configuration": self._configuration}
        self._reader, self._writer = reader, writer
        self._replies: dict[Any, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._last_id = 0
        self._closed = False
        self._thread = threading.Thread(target=self._read_all, name="lsp-client-reader", daemon=True)
        self._thread.start()

    # The protocol, one method for each of its verbs.

    def initialize(self, root: Path | None = None, **options: Any) -> dict[str, Any]:
        """Say hello and `initialized`; returns the result of `initialize`.

        Keyword arguments go into the params: `capabilities`, `initializationOptions`, `processId`, ...
        """
        params: dict[str, Any] = {
            "processId": os.getpid(),
            "clientInfo": {"name": "coderls devtools"},
            "rootUri": root.absolute().as_uri() if root else None,
            "capabilities": CAPABILITIES,
            "workspaceFolders": [{"uri": root.absolute().as_uri(), "name": root.name}] if root else None,
        }
        params.update(options)
        self.initialize_result = self.call("initialize", params, timeout=60)
        self.notify("initialized", {})
        return self.initialize_result

    def notify(self, method: str, params: Any = None) -> None:
        """Send a notification."""
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def request(self, method: str, params: Any = None) -> int:
        """Send a request; returns its id for `wait` and `cancel`."""
        with self._writing:
            self._last_id += 1
            number = self._last_id
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return number

    def cancel(self, number: int) -> None:
        """Ask the server to give up a request."""
        self.notify("$/cancelRequest", {"id": number})

    def wait(self, number: int | None, timeout: float = 60) -> Any:
        """The result of a request. Raises RpcError, ServerGone or TimeoutError (a hang guard, in seconds)."""
        self.wait_for(lambda: number in self._replies, timeout, f"the reply to request {number}")
        reply = self._replies.pop(number)
        if "error" in reply:
            raise RpcError(reply["error"])
        return reply.get("result")

    def call(self, method: str, params: Any = None, timeout: float = 60) -> Any:
        """Send a request and wait for its result."""
        return self.wait(self.request(method, params), timeout)

    def notifications(self, method: str) -> list[Any]:
        """The params of all notifications of one method so far, in order."""
        with self._changed:
            return [message.get("params") for message in self.messages if message["method"] == method]

    def wait_for(self, condition: Callable[[], bool], timeout: float = 60, what: str = "a message") -> None:
        """Wait until `condition` holds; it is looked at after each message from the server."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition():
                if self._closed:
                    raise ServerGone(f"The server closed its output; {what} never came.")
                if not self._changed.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    raise TimeoutError(f"Waited {timeout:g} s for {what}.")

    # Documents, as an editor speaks of them.

    def open(self, path: Path | str, text: str, language_id: str = "python", version: int = 1) -> str:
        """Open a document; returns its URI. A string is taken for a URI as it is."""
        uri = path if isinstance(path, str) else path.absolute().as_uri()
        item = {"uri": uri, "languageId": language_id, "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})
        return uri

    def change(self, uri: str, version: int, changes: Sequence[Mapping[str, Any]]) -> None:
        """Send content changes: `{"text": ...}`, or with a `range` built by `span`."""
        document = {"uri": uri, "version": version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": list(changes)})

    def inline_request(self, uri: str, line: int, character: int, *, invoked: bool = True) -> int:
        """Ask for ghost text at a position; returns the request's id."""
        return self.request(
            "textDocument/inlineCompletion",
            {
                "textDocument": {"uri": uri},
                "position": {"line": line, "character": character},
                "context": {"triggerKind": 1 if invoked else 2},
            },
        )

    # Frames.

    def send(self, message: Any) -> None:
        """Send one JSON value as a frame, whatever it is."""
        self.send_bytes(json.dumps(message).encode())

    def send_bytes(self, body: bytes) -> None:
        """Send one frame with this body, JSON or not."""
        with self._writing:
            try:
                self._writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
                self._writer.flush()
            except (BrokenPipeError, ConnectionError, ValueError) as error:
                raise ServerGone("The server closed its input.") from error

    def _read_all(self) -> None:
        try:
            for message in _frames(self._reader):
                now = time.perf_counter()
                with self._changed:
                    self._take(message, now)
                    self._changed.notify_all()
                if "method" in message and "id" in message:
                    self._answer(message)
        except (OSError, ValueError, ServerGone):
            pass  # the streams were closed under us: whoever waits is told below
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()

    def _take(self, message: dict[str, Any], now: float) -> None:
        if "method" not in message:
            self._replies[message.get("id")] = message
            if isinstance(message.get("id"), int):
                self.arrived[message["id"]] = now
        elif "id" in message:
            self.server_requests.append(message)
        else:
            self.messages.append(message)

    def _answer(self, message: dict[str, Any]) -> None:
        answer = self.answers.get(message["method"])
        result = answer(message.get("params")) if answer else None
        self.send({"jsonrpc": "2.0", "id": message["id"], "result": result})

    def _configuration(self, params: Any) -> list[Any]:
        return [self.settings if item.get("section") == "coderls" else None for item in params["items"]]


class StdioClient(LspClient):
    """A client that starts the server itself and talks over its pipes.

    `stderr`: where the server's log goes; a file, or None for this process's own.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        stderr: Any = None,
        cwd: Path | None = None,
    ) -> None:
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, **env} if env else None,
            cwd=cwd,
        )
        if self.process.stdout is None or self.process.stdin is None:
            raise ServerGone("The server was started without pipes.")
        super().__init__(self.process.stdout, self.process.stdin)  # type: ignore[arg-type]

    def close(self, timeout: float = 20) -> int:
        """Shut the server down in order and return its exit code; kill it if it does not leave."""
        try:
            if self.process.poll() is None:
                self.call("shutdown", None, timeout)
                self.notify("exit")
        except (ServerGone, RpcError, TimeoutError):
            pass  # it is on its way out, or never said hello: the exit code tells
        finally:
            self.hang_up()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(timeout)
        finally:
            self._thread.join(timeout)
            self._reader.close()

    def hang_up(self) -> None:
        """Close the server's stdin, as an editor that crashed would."""
        with contextlib.suppress(OSError):  # what was buffered can no longer be delivered
            self._writer.close()

    def __enter__(self) -> StdioClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class TcpClient(LspClient):
    """A client of a server that listens on loopback."""

    def __init__(self, port: int, timeout: float = 20) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.settimeout(None)
        super().__init__(self._socket.makefile("rb"), self._socket.makefile("wb"))

    def close(self) -> None:
        """Drop the connection."""
        with contextlib.suppress(OSError):  # the server was first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        for stream in (self._writer, self._reader, self._socket):
            with contextlib.suppress(OSError):  # unsent bytes of a dead connection
                stream.close()


def position(line: int, character: int) -> dict[str, int]:
    """An LSP position."""
    return {"line": line, "character": character}


def span(start: tuple[int, int], end: tuple[int, int]) -> dict[str, dict[str, int]]:
    """An LSP range from two (line, character) pairs."""
    return {"start": position(*start), "end": position(*end)}


def _frames(reader: BinaryIO) -> Iterator[dict[str, Any]]:
    """The messages of a stream, until it ends."""
    while True:
        length = 0
        while line := reader.readline():
            if line == b"\r\n":
                break
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
        if not line:
            return
        body = reader.read(length)
        if len(body) < length:
            return
        yield json.loads(body)
