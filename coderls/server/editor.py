"""The session's view of the editor, spoken in LSP."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from coderls.document import Document
from coderls.repair.diagnostic import Diagnostic
from coderls.server.convert_fixes import names, published
from coderls.session import Progress
from coderls.session.status import Status
from coderls.session.ui import Severity

if TYPE_CHECKING:
    from coderls.server.methods import Server

logger = logging.getLogger(__name__)

SECTION = "coderls"
#: A notification of ours: what `Status.as_json` says. For clients with the experimental capability `coderlsStatus`.
STATUS = "coderls/status"
#: Another: `uri` and `version`. For clients with the experimental capability `coderlsNextEdit`.
NEXT_EDIT_FOUND = "coderls/nextEditFound"
_ANSWER_S = 5.0
#: So long a user may look at an edit before it is applied.
_CONFIRM_S = 600.0
_SEVERITIES = {"error": lsp.MessageType.Error, "warning": lsp.MessageType.Warning, "info": lsp.MessageType.Info}
T = TypeVar("T")


class Editor:
    """Implements `session.Client`. What the client cannot do is left out; what it does not answer is given up."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.capabilities = lsp.ClientCapabilities()
        self._stops: dict[lsp.ProgressToken, Callable[[], object]] = {}

    def show(self, severity: Severity, text: str) -> None:
        """`window/showMessage`."""
        logger.info("Shown to the user: %s", text)
        self._server.window_show_message(lsp.ShowMessageParams(_SEVERITIES[severity], f"coderls: {text}"))

    def log(self, text: str) -> None:
        """`window/logMessage`."""
        self._server.window_log_message(lsp.LogMessageParams(lsp.MessageType.Log, text))

    def status(self, status: Status) -> None:
        """`coderls/status`, for a client that said it knows what that is."""
        if self._knows("coderlsStatus"):
            self._server.protocol.notify(STATUS, status.as_json())

    def next_edit_found(self, document: Document) -> None:
        """`coderls/nextEditFound`, for a client that said it knows what that is."""
        if self._knows("coderlsNextEdit"):
            self._server.protocol.notify(NEXT_EDIT_FOUND, {"uri": document.uri, "version": document.version})

    def _knows(self, experimental: str) -> bool:
        return names(self.capabilities, experimental)

    def publish(self, uri: str, document: Document | None, diagnostics: Sequence[Diagnostic]) -> None:
        """`textDocument/publishDiagnostics`."""
        self._server.text_document_publish_diagnostics(published(uri, document, diagnostics, self._server.encoding))

    async def apply(self, edit: lsp.WorkspaceEdit, label: str) -> bool:
        """`workspace/applyEdit`: whether the client did it."""
        params = lsp.ApplyWorkspaceEditParams(edit, label=label)
        answer = await self._asked(self._server.workspace_apply_edit_async(params), "workspace/applyEdit", _CONFIRM_S)
        return answer is not None and answer.applied

    def stop(self, token: lsp.ProgressToken) -> None:
        """The user ended the work that a progress bar stands for."""
        stop = self._stops.pop(token, None)
        if stop is not None:
            stop()

    def bar(self, token: lsp.ProgressToken, title: str) -> Progress:
        """The bar of a request that brought a token of its own."""
        return _Bar(self._server, token, title)

    async def progress(self, title: str, stop: Callable[[], object] | None = None) -> Progress:
        """`window/workDoneProgress/create`, then `$/progress`."""
        window = self.capabilities.window
        if window is None or not window.work_done_progress:
            return _Unseen()
        token = f"coderls-{uuid.uuid4()}"
        create = self._server.window_work_done_progress_create_async(lsp.WorkDoneProgressCreateParams(token))
        try:
            await asyncio.wait_for(create, _ANSWER_S)
        except (
            JsonRpcException,
            asyncio.TimeoutError,
        ) as error:  # it refused, or is silent
            logger.info("The client shows no progress: %r", error)
            return _Unseen()
        if stop is not None:
            self._stops[token] = stop
        return _Bar(self._server, token, title, lambda: self._stops.pop(token, None), stoppable=stop is not None)

    async def options(self) -> Any:
        """`workspace/configuration`; None where the client has none, or does not answer."""
        workspace = self.capabilities.workspace
        if workspace is None or not workspace.configuration:
            return None
        params = lsp.ConfigurationParams([lsp.ConfigurationItem(section=SECTION)])
        answer = await self._asked(self._server.workspace_configuration_async(params), "workspace/configuration")
        return answer[0] if isinstance(answer, (list, tuple)) and answer else None

    async def watch_files(self) -> bool:
        """`client/registerCapability` for what can only be asked for that way; whether files are watched now."""
        workspace = self.capabilities.workspace
        if workspace is None:
            return False
        wanted: list[lsp.Registration] = []
        files, configuration = workspace.did_change_watched_files, workspace.did_change_configuration
        if files is not None and files.dynamic_registration:
            watchers = lsp.DidChangeWatchedFilesRegistrationOptions([lsp.FileSystemWatcher("**/*")])
            wanted.append(lsp.Registration("files", lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES, watchers))
        if configuration is not None and configuration.dynamic_registration:
            section = lsp.DidChangeConfigurationRegistrationOptions(SECTION)
            wanted.append(lsp.Registration("options", lsp.WORKSPACE_DID_CHANGE_CONFIGURATION, section))
        if not wanted:
            return False
        register = self._server.client_register_capability_async(lsp.RegistrationParams(wanted))
        agreed = await self._answered(register, "client/registerCapability")
        return agreed and any(registration.id == "files" for registration in wanted)

    async def _answered(self, reply: Awaitable[Any], what: str) -> bool:
        """Whether the client answered without an error (an answer may be null)."""

        async def replied() -> bool:
            await reply
            return True

        return await self._asked(replied(), what) or False

    async def _asked(self, reply: Awaitable[T], what: str, longest_s: float = _ANSWER_S) -> T | None:
        try:
            return await asyncio.wait_for(reply, longest_s)
        except (JsonRpcException, asyncio.TimeoutError) as error:  # an error reply, a reply of another form, or silence
            logger.warning("The client did not answer %s: %r", what, error)
            return None


class _Bar:
    """A progress bar that the client shows."""

    def __init__(
        self,
        server: Server,
        token: lsp.ProgressToken,
        title: str,
        on_end: Callable[[], object] = lambda: None,
        *,
        stoppable: bool = False,
    ) -> None:
        self._server = server
        self._token = token
        self._on_end = on_end
        self._last = ("", -1)
        self._send(lsp.WorkDoneProgressBegin(title, cancellable=stoppable, percentage=0))

    def report(self, detail: str, fraction: float) -> None:
        now = (detail, round(100 * min(1.0, max(0.0, fraction))))
        if now != self._last:
            self._last = now
            self._send(lsp.WorkDoneProgressReport(message=detail, percentage=now[1]))

    def end(self, detail: str = "") -> None:
        self._on_end()
        self._send(lsp.WorkDoneProgressEnd(message=detail or None))

    def _send(self, value: object) -> None:
        self._server.progress(lsp.ProgressParams(self._token, value))


class _Unseen:
    """Progress for a client without progress bars."""

    def report(self, detail: str, fraction: float) -> None:
        pass

    def end(self, detail: str = "") -> None:
        pass
