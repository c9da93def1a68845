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
from pathlib import Path
from typing import Any, Protocol

from coderls.document import Document
from coderls.repair.checkers.conversation import Conversation
from coderls.repair.checkers.process import start

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


class LanguageServer(Conversation):
    """One running language server. Use `launch`; every method raises CheckerFailed when it is gone or too slow."""

    def __init__(self, process: Process, name: str, configure: Configure) -> None:
        super().__init__(process, name)
        self._configure = configure
        self._published: dict[tuple[str, int], asyncio.Future[list[dict[str, Any]]]] = {}
        self._version = 0
        self._open: dict[str, str] = {}
        self._pulls = False

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
        return await self._answer(
            lambda number: self._send({"id": number, "method": method, "params": params}), limit_s
        )

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

    def _notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def _take(self, message: dict[str, Any]) -> None:
        method = message.get("method")
        if method is None:
            error = str(message["error"].get("message")) if "error" in message else None
            self._settle(message["id"], message.get("result"), error=error)
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
