"""A checker that is a language server, kept warm: a text is opened in it, and it is asked for its diagnostics.

The text is laid over the file in the server's memory; nothing is written to disk, and the editor sees nothing of it.
Open are the document and those that the editor has not saved, and no others: a candidate for one file is never seen by
the check of another.
Language Server Protocol 3.17: base protocol, `textDocument/diagnostic`, `textDocument/publishDiagnostics`.
"""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from coderls.document import Document
from coderls.errors import CheckerFailed
from coderls.repair.checkers.process import MOST_OUTPUT, start, stop

_LOCATION = {"dynamicRegistration": False}
_CAPABILITIES: dict[str, Any] = {
    "general": {"positionEncodings": ["utf-16"]},
    "workspace": {"configuration": True, "workspaceFolders": True},
    "textDocument": {
        "synchronization": {"didSave": False},
        "diagnostic": _LOCATION,
        "publishDiagnostics": {"versionSupport": True},
        "codeAction": {
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix"]}},
            "resolveSupport": {"properties": ["edit"]},
        },
    },
}

#: From `section` (of `workspace/configuration`) to the settings that the server is given; None: it has none.
Configure = Callable[[str], Any]


class TextServer(Protocol):
    """What a warm checker needs of its server. Every method raises CheckerFailed when it is gone or too slow."""

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""

    async def diagnostics(
        self, uri: str, language_id: str, text: str, limit_s: float, others: Sequence[Document] = ()
    ) -> list[dict[str, Any]]:
        """LSP diagnostics of `text`, as if it were what `uri` holds, and the files of `others` their text."""

    async def request(self, method: str, params: Any, limit_s: float) -> Any:
        """The result of one request of LSP."""

    async def aclose(self) -> None:
        """End it, with whatever it started."""


class LanguageServer:
    """One running language server. Use `launch`; every method raises CheckerFailed when it is gone or too slow."""

    def __init__(self, process: Process, name: str, configure: Configure) -> None:
        self._process = process
        self._name = name
        self._configure = configure
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._published: dict[tuple[str, int], asyncio.Future[list[dict[str, Any]]]] = {}
        self._next = 0
        self._version = 0
        self._open: dict[str, str] = {}
        self._pulls = False
        self._tasks = [asyncio.ensure_future(self._listen()), asyncio.ensure_future(self._drain())]

    @classmethod
    async def launch(
        cls,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        configure: Configure,
        limit_s: float,
    ) -> LanguageServer:
        """Start it on `folder`, and wait until it is ready."""
        process = await start(command, folder=folder, environment=environment)
        server = cls(process, Path(command[0]).name, configure)
        try:
            await server._initialize(folder, limit_s)
        except BaseException:
            await server.aclose()
            raise
        return server

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self._process.returncode is None and not self._tasks[0].done()

    async def diagnostics(
        self, uri: str, language_id: str, text: str, limit_s: float, others: Sequence[Document] = ()
    ) -> list[dict[str, Any]]:
        """LSP diagnostics of `text`, as if it were what `uri` holds. One call at a time."""
        wanted = {one.path.as_uri(): one for one in others if one.path is not None}
        wanted.pop(uri, None)
        for gone in self._open.keys() - wanted.keys() - {uri}:
            del self._open[gone]
            self._notify("textDocument/didClose", {"textDocument": {"uri": gone}})
        for place, other in wanted.items():
            if self._open.get(place) != other.text:
                self._show(place, other.language_id, other.text)
        published = asyncio.get_running_loop().create_future()
        self._published = {(uri, self._version + 1): published}
        self._show(uri, language_id, text)
        if self._pulls:
            report = await self.request("textDocument/diagnostic", {"textDocument": {"uri": uri}}, limit_s)
            return list(report.get("items") or [])
        return list(await self._wait(published, limit_s))

    def _show(self, uri: str, language_id: str, text: str) -> None:
        """Open a text, or change it."""
        self._version += 1
        document = {"uri": uri, "version": self._version}
        if uri in self._open:
            self._notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})
        else:
            opened = {**document, "languageId": language_id, "text": text}
            self._notify("textDocument/didOpen", {"textDocument": opened})
        self._open[uri] = text

    async def request(self, method: str, params: Any, limit_s: float) -> Any:
        """The result of one request."""
        self._next += 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[self._next] = answer
        try:
            self._send({"id": self._next, "method": method, "params": params})
            return await self._wait(answer, limit_s)
        finally:
            self._waiting.pop(self._next, None)

    async def aclose(self) -> None:
        """End it, with whatever it started."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await stop(self._process)

    async def _initialize(self, folder: Path, limit_s: float) -> None:
        root = folder.as_uri()
        params = {
            "processId": None,
            "rootUri": root,
            "workspaceFolders": [{"uri": root, "name": folder.name}],
            "capabilities": _CAPABILITIES,
        }
        result = await self.request("initialize", params, limit_s)
        self._pulls = bool(result["capabilities"].get("diagnosticProvider"))
        self._notify("initialized", {})

    async def _wait(self, answer: asyncio.Future[Any], limit_s: float) -> Any:
        try:
            await asyncio.wait({answer, self._tasks[0]}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not answer.done():
                answer.cancel()
        if not answer.cancelled():
            return answer.result()
        if self._tasks[0].done():
            raise CheckerFailed(f"{self._name} ended or printed what is no answer.", "It is started again when needed.")
        raise CheckerFailed(f"{self._name} did not answer in {limit_s:.0f} s.")

    def _notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        if self._process.stdin is None or not self.alive:
            raise CheckerFailed(f"{self._name} has ended.", "It is started again when needed.")
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        with suppress(BrokenPipeError, ConnectionResetError):  # then the listener ends too, and whoever waits is told
            self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    async def _listen(self) -> None:
        """Read until the server ends, or says what is no LSP."""
        stream = self._process.stdout
        while stream is not None:
            try:
                head = await stream.readuntil(b"\r\n\r\n")
                length = content_length(head)
                if length is None:
                    return
                message = json.loads(await stream.readexactly(length))
                self._take(message)
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, TypeError, KeyError):
                return

    async def _drain(self) -> None:
        """Whatever it logs is read, so that it never waits for us, and thrown away."""
        while self._process.stderr is not None and await self._process.stderr.read(65_536):
            pass

    def _take(self, message: dict[str, Any]) -> None:
        method = message.get("method")
        if method is None:
            answer = self._waiting.get(message["id"])
            if answer is not None and not answer.done():
                if "error" in message:
                    answer.set_exception(CheckerFailed(f"{self._name} says: {message['error'].get('message')}"))
                else:
                    answer.set_result(message.get("result"))
        elif "id" in message:
            self._send({"id": message["id"], "result": self._reply(method, message.get("params"))})
        elif method == "textDocument/publishDiagnostics":
            params = message["params"]
            published = self._published.get((params["uri"], params.get("version")))
            if published is not None and not published.done():
                published.set_result(params["diagnostics"])

    def _reply(self, method: str, params: Any) -> Any:
        if method == "workspace/configuration":
            return [self._configure(item.get("section") or "") for item in params["items"]]
        if method == "workspace/applyEdit":
            return {"applied": False}
        return None


def content_length(head: bytes) -> int | None:
    """What the headers of a message say of its length; None for none, or one that nobody would read."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            length = int(value)
            return length if length <= MOST_OUTPUT else None
    return None
