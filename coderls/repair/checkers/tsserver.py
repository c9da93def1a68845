"""TypeScript before version 7: the `tsserver.js` of its package, run by Node and kept warm.

It speaks a protocol of its own (github.com/microsoft/TypeScript/wiki/Standalone-Server-(tsserver), `lib/protocol.d.ts`
of older packages): requests are lines of JSON, answers come behind a Content-Length; lines and offsets count from 1, in
UTF-16 units. What it says is handed on as a language server would say it, so that one reader serves both.

It is told to fetch no types and to load no plugins from the project's folder.
"""

from __future__ import annotations

import json
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from coderls.document import Document
from coderls.errors import CheckerFailed
from coderls.repair.checkers.conversation import Conversation
from coderls.repair.checkers.process import start

ARGUMENTS = (
    *("--disableAutomaticTypingAcquisition", "--suppressDiagnosticEvents", "--noGetErrOnBackgroundUpdate"),
    *("--locale", "en"),
)
_KINDS = {"typescript": "TS", "typescriptreact": "TSX", "javascript": "JS", "javascriptreact": "JSX"}
_SEVERITIES = {"error": 1, "warning": 2, "message": 3, "suggestion": 4}


class TsServer(Conversation):
    """One running server, with the methods of `langserver.TextServer`. Use `launch`."""

    def __init__(self, process: Process, folder: Path) -> None:
        super().__init__(process, "tsserver")
        self._folder = folder
        self._open: dict[str, str] = {}

    @classmethod
    async def launch(
        cls, command: Sequence[str], *, folder: Path, environment: Mapping[str, str], limit_s: float
    ) -> TsServer:
        """Start it on `folder`, and wait until it answers."""
        server = cls(await start(command, folder=folder, environment=environment), folder)
        try:
            await server._ask("status", {}, limit_s)
        except BaseException:
            await server.aclose()
            raise
        return server

    async def diagnostics(
        self, uri: str, language_id: str, text: str, limit_s: float, others: Sequence[Document] = ()
    ) -> list[dict[str, Any]]:
        """What the compiler says of `text`, as diagnostics of LSP."""
        shown = {_file(one.path.as_uri()): (one.text, one.language_id) for one in others if one.path is not None}
        file = _file(uri)
        shown[file] = (text, language_id)
        for gone in self._open.keys() - shown.keys():
            del self._open[gone]
            self._send(self._number(), "close", {"file": gone})
        for name, (content, language) in shown.items():
            if self._open.get(name) != content:
                self._open[name] = content
                about = {"file": name, "fileContent": content, "projectRootPath": self._folder.as_posix()}
                self._send(self._number(), "open", {**about, "scriptKindName": _KINDS.get(language, "TS")})
        found = [
            one
            for command in ("syntacticDiagnosticsSync", "semanticDiagnosticsSync")
            for one in await self._ask(command, {"file": file}, limit_s) or []
        ]
        return [_diagnostic(one) for one in found]

    async def request(self, method: str, params: Any, limit_s: float) -> Any:
        """`textDocument/codeAction`, the only request that is made of it: what it offers against one diagnostic."""
        if method != "textDocument/codeAction":
            raise CheckerFailed(f"tsserver knows no {method}.")
        first, last = params["range"]["start"], params["range"]["end"]
        arguments = {
            "file": _file(params["textDocument"]["uri"]),
            "startLine": first["line"] + 1,
            "startOffset": first["character"] + 1,
            "endLine": last["line"] + 1,
            "endOffset": last["character"] + 1,
            "errorCodes": [int(one["code"]) for one in params["context"]["diagnostics"]],
        }
        return [_action(one) for one in await self._ask("getCodeFixes", arguments, limit_s) or []]

    async def _ask(self, command: str, arguments: Any, limit_s: float) -> Any:
        return await self._answer(lambda number: self._send(number, command, arguments), limit_s)

    def _send(self, number: int, command: str, arguments: Any) -> None:
        message = {"seq": number, "type": "request", "command": command, "arguments": arguments}
        self._write(json.dumps(message).encode() + b"\n")

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("type") == "response":
            error = None if message.get("success") else str(message.get("message"))[:300]
            self._settle(message["request_seq"], message.get("body"), error=error)


def _file(uri: str) -> str:
    """How the server names a file: with slashes, on Windows too."""
    return Path(url2pathname(urlsplit(uri).path)).as_posix()


def _range(start: dict[str, int], end: dict[str, int]) -> dict[str, dict[str, int]]:
    places = {"start": start, "end": end}
    return {edge: {"line": at["line"] - 1, "character": at["offset"] - 1} for edge, at in places.items()}


def _diagnostic(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "range": _range(one["start"], one["end"]),
        "message": one["text"],
        "code": one["code"],
        "severity": _SEVERITIES.get(one.get("category", "error"), 1),
    }


def _action(one: dict[str, Any]) -> dict[str, Any]:
    changes = {
        Path(change["fileName"]).as_uri(): [
            {"range": _range(edit["start"], edit["end"]), "newText": edit["newText"]} for edit in change["textChanges"]
        ]
        for change in one["changes"]
    }
    return {"title": one["description"], "edit": {"changes": changes}}
