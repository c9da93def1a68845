"""Checkers that are language servers: started at the first question, kept for the next ones, gone when idle."""

from __future__ import annotations

import asyncio
import tempfile
import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coderls.document import Document, Edit
from coderls.errors import CheckerFailed
from coderls.repair.checkers.checker import Fix, Report
from coderls.repair.checkers.command import CommandChecker
from coderls.repair.checkers.langserver import LanguageServer, TextServer
from coderls.repair.checkers.places import Places
from coderls.repair.checkers.surroundings import Surroundings
from coderls.repair.diagnostic import Diagnostic, Severity

#: Without a question for so long the server leaves: it holds some hundred megabytes.
IDLE_S = 600.0
START_S = 60.0


class WarmChecker(CommandChecker):
    """A checker behind the Language Server Protocol. Its name as `source` is that of its diagnostics."""

    def __init__(self, program: Path, surroundings: Surroundings) -> None:
        super().__init__(program, surroundings)
        self._server: TextServer | None = None
        self._turn = asyncio.Lock()
        self._leave: asyncio.TimerHandle | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._empty: tempfile.TemporaryDirectory[str] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Program and arguments."""

    @abstractmethod
    def configure(self, section: str) -> Any:
        """The settings of one section that the server asks for."""

    async def ask(self, document: Document, limit_s: float, others: Sequence[Document]) -> Report:
        """Open the text in the server and read what it says."""
        async with self._turn:
            server = await self._ready(document)
            try:
                uri = self.uri_of(document)
                mine = [one for one in others if one.language_id in self.languages]
                found = await server.diagnostics(uri, document.language_id, document.text, limit_s, mine)
                return await self.report(found, document, server)
            except BaseException:  # it hangs, it died, or the answer to this question is still to come
                await self._stop()
                raise
            finally:
                self._rest()

    async def report(self, found: list[dict[str, Any]], document: Document, server: TextServer) -> Report:
        """What the server said, as a report."""
        places = Places(document.text, "utf-16")
        diagnostics = tuple(diagnostic_of(one, places, self.name) for one in found)
        return Report(self.name, diagnostics)

    def uri_of(self, document: Document) -> str:
        """Where the server thinks that the text lies."""
        if document.path is not None:
            return document.path.as_uri()
        return (self._home() / f"untitled{self.extension(document.language_id)}").as_uri()

    def _home(self) -> Path:
        """The workspace folder; for a file outside of any an empty one: a server reads all that lies in its folder,
        and that would be the user's home or the whole disk."""
        folder = self.surroundings.folder
        if folder is not None and folder.is_dir():
            return folder
        if self._empty is None:
            self._empty = tempfile.TemporaryDirectory(prefix="coderls-empty-", ignore_cleanup_errors=True)
        return Path(self._empty.name)

    def extension(self, language_id: str) -> str:
        """The ending of a file of this language that has no name yet."""
        return {"python": ".py", "typescriptreact": ".tsx", "javascript": ".js", "javascriptreact": ".jsx"}.get(
            language_id, ".ts"
        )

    async def aclose(self) -> None:
        """Stop the server."""
        async with self._turn:
            await self._stop()

    async def _ready(self, document: Document) -> TextServer:
        if self._leave is not None:
            self._leave.cancel()
            self._leave = None
        if self._server is not None and not self._server.alive:
            await self._stop()
        if self._server is None:
            self._server = await self.launch(self._home())
        return self._server

    async def launch(self, folder: Path) -> TextServer:
        """Start the server on a folder, and wait until it is ready. Raises CheckerFailed."""
        return await LanguageServer.launch(
            self.command(),
            folder=folder,
            environment=self.surroundings.environment(),
            configure=self.configure,
            limit_s=START_S,
        )

    async def _stop(self) -> None:
        server, self._server = self._server, None
        if self._leave is not None:
            self._leave.cancel()
            self._leave = None
        empty, self._empty = self._empty, None
        try:
            if server is not None:
                await asyncio.shield(asyncio.ensure_future(server.aclose()))
        finally:
            if empty is not None:
                empty.cleanup()

    def _rest(self) -> None:
        if self._server is not None:
            self._leave = asyncio.get_running_loop().call_later(IDLE_S, self._go)

    def _go(self) -> None:
        self._leaving = asyncio.ensure_future(self.aclose())


def diagnostic_of(found: dict[str, Any], places: Places, source: str) -> Diagnostic:
    """An LSP diagnostic in offsets."""
    start, end = _span(found["range"], places)
    code = found.get("code")
    return Diagnostic(
        start,
        max(start, end),
        str(found["message"]),
        Severity(found.get("severity") or Severity.ERROR),
        source,
        "" if code is None else str(code),
    )


def fix_of(action: dict[str, Any], uri: str, diagnostic: Diagnostic, places: Places) -> Fix | None:
    """A code action as a fix; None for one that changes other files, or nothing."""
    edit = action.get("edit") or {}
    changes: dict[str, list[dict[str, Any]]] = dict(edit.get("changes") or {})
    for change in edit.get("documentChanges") or []:
        if "edits" not in change:
            return None  # it makes, moves or deletes files
        changes.setdefault(change["textDocument"]["uri"], []).extend(change["edits"])
    if set(changes) != {uri}:
        return None
    edits = [Edit(*_span(one["range"], places), one["newText"]) for one in changes[uri]]
    return Fix(diagnostic, tuple(edits), str(action.get("title") or "Apply the checker's fix"))


async def fixes_of(
    found: list[dict[str, Any]], document: Document, uri: str, server: TextServer, source: str
) -> tuple[Fix, ...]:
    """What a server offers against each of its errors and warnings, asked for in half a second altogether."""
    places = Places(document.text, "utf-16")
    fixes: list[Fix] = []
    deadline = time.monotonic() + 0.5
    for one in found:
        left = deadline - time.monotonic()
        if left <= 0 or (one.get("severity") or 1) > Severity.WARNING:
            continue
        params = {
            "textDocument": {"uri": uri},
            "range": one["range"],
            "context": {"diagnostics": [one], "only": ["quickfix"]},
        }
        try:
            actions = await server.request("textDocument/codeAction", params, left)
        except CheckerFailed:
            break  # without them the report is still whole
        diagnostic = diagnostic_of(one, places, source)
        made = (fix_of(action, uri, diagnostic, places) for action in actions or [])
        fixes += [fix for fix in made if fix is not None]
    return tuple(fixes)


def _span(spot: dict[str, dict[str, int]], places: Places) -> tuple[int, int]:
    start, end = spot["start"], spot["end"]
    return places.offset(start["line"], start["character"]), places.offset(end["line"], end["character"])
