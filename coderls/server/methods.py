"""The LSP method table: `METHODS` at the end names every method that coderls answers.

A handler takes its snapshot, makes one call into the session, and converts. `async def` handlers can be cancelled;
the others take microseconds. Requests are answered exactly once on every path: by the value that a handler
returns, or by the error that it raises.
"""

# ruff: noqa: D103  (the LSP specification says what each method is for)

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

import coderls
from coderls import lsp_convert
from coderls.document import Document
from coderls.server import fixes, next_edits, notebooks
from coderls.server.editor import SECTION, Editor
from coderls.server.parent import is_alive, outlived
from coderls.server.protocol import Protocol
from coderls.session import Session

logger = logging.getLogger(__name__)

#: Commands of `workspace/executeCommand`: what the last completion of a document was made from (its URI); a completion
#: was taken or dismissed (the number of its offer, as the item's own command has it); no automatic completions (true),
#: or again (false); how much each snippet mattered to that completion (a document's URI); the session's state, and why
#: nothing is completed in a document (its URI, or nothing).
EXPLAIN, STATUS, INFLUENCE = "coderls.explain", "coderls.status", "coderls.influence"
ACCEPTED, REJECTED, PAUSE = lsp_convert.ACCEPTED, "coderls.rejected", "coderls.pause"
PARTLY = "coderls.partly"  # so many characters of an offer were taken so far: its number, and how many

Argument = TypeVar("Argument")


class Server(LanguageServer):
    """One connection with one client: its session, and what was agreed on at `initialize`."""

    protocol: Protocol

    def __init__(self, records: Path | None = None) -> None:
        super().__init__("coderls", coderls.__version__, protocol_cls=Protocol)
        self.editor = Editor(self)
        self.session = Session(self.editor, records)
        self.encoding: lsp_convert.Encoding = "utf-16"
        self.client_gone = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.protocol.on_lost_change = self.session.lose
        for name, handler in METHODS.items():
            self.feature(name)(handler)

    def background(self, work: Any) -> None:
        """Run a coroutine beside the messages; what it raises is logged."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._background_ended)

    async def close(self) -> None:
        """End the session and all that runs for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.session.close()

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Instead of pygls' pop-up for each: the log."""
        logger.error("%s: %s", getattr(source, "__name__", source), error)

    def _background_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("Something in the background failed.", exc_info=error)


# Life.


def initialize(ls: Server, params: lsp.InitializeParams) -> lsp.InitializeResult:
    """Agree on the encoding, keep the folders and options, and reply: what takes time begins at `initialized`."""
    ls.editor.capabilities = params.capabilities
    general, document = params.capabilities.general, params.capabilities.text_document
    ls.encoding = lsp_convert.choose_encoding(general.position_encodings if general else None)
    ls.session.initialize(_folders(params), params.initialization_options)
    if params.process_id is not None and is_alive(params.process_id):  # asked before the reply: it may end right after
        ls.background(outlived(params.process_id, ls.client_gone))
    has_ghost_text = document is not None and document.inline_completion is not None
    return lsp.InitializeResult(
        capabilities=_capabilities(ls.encoding, popup=not has_ghost_text),
        server_info=lsp.ServerInfo("coderls", coderls.__version__),
    )


def _capabilities(encoding: str, *, popup: bool) -> lsp.ServerCapabilities:
    """`popup`: offer ordinary completion too, which would only repeat the ghost text of a client that shows it."""
    return lsp.ServerCapabilities(
        position_encoding=encoding,
        text_document_sync=lsp.TextDocumentSyncOptions(
            open_close=True,
            change=lsp.TextDocumentSyncKind.Incremental,
            save=lsp.SaveOptions(include_text=False),
        ),
        notebook_document_sync=notebooks.SYNC,
        inline_completion_provider=lsp.InlineCompletionOptions(),
        completion_provider=lsp.CompletionOptions(trigger_characters=list(".(=, ")) if popup else None,
        code_action_provider=fixes.PROVIDER,
        execute_command_provider=lsp.ExecuteCommandOptions(
            [*fixes.COMMANDS, EXPLAIN, INFLUENCE, STATUS, ACCEPTED, PARTLY, REJECTED, PAUSE]
        ),
        workspace=lsp.WorkspaceOptions(
            workspace_folders=lsp.WorkspaceFoldersServerCapabilities(supported=True, change_notifications=True)
        ),
        experimental={next_edits.CAPABILITY: True},
    )


def _folders(params: lsp.InitializeParams) -> list[Path]:
    """Workspace folders; the root of a client that knows no folders."""
    if params.workspace_folders:
        uris = [folder.uri for folder in params.workspace_folders]
    elif params.root_uri:
        uris = [params.root_uri]
    else:
        return [Path(params.root_path)] if params.root_path else []
    return [path for path in map(lsp_convert.path_of, uris) if path is not None]


def initialized(ls: Server, params: lsp.InitializedParams) -> None:
    ls.background(ls.session.start())


def shutdown(ls: Server, params: Any) -> None:
    ls.protocol.shut_down()
    ls.background(ls.session.close())


# Documents. These swap a frozen document and do nothing else.


def did_open(ls: Server, params: lsp.DidOpenTextDocumentParams) -> None:
    item = params.text_document
    path = lsp_convert.path_of(item.uri)
    text = lsp_convert.clean_text(item.text)
    ls.session.open(Document(item.uri, item.language_id, item.version, text, path))


def did_change(ls: Server, params: lsp.DidChangeTextDocumentParams) -> None:
    notebooks.change(ls, params.text_document, params.content_changes)


def did_close(ls: Server, params: lsp.DidCloseTextDocumentParams) -> None:
    ls.session.shut(params.text_document.uri)


def did_save(ls: Server, params: lsp.DidSaveTextDocumentParams) -> None:
    path = lsp_convert.path_of(params.text_document.uri)
    if path is not None:
        ls.session.files_changed([path])
    ls.session.repairs.saved(params.text_document.uri)


# The workspace and its options.


def did_change_configuration(ls: Server, params: lsp.DidChangeConfigurationParams) -> None:
    sent = params.settings
    if isinstance(sent, dict) and SECTION in sent:
        sent = sent[SECTION]
    ls.background(ls.session.options_changed(sent))


def did_change_watched_files(ls: Server, params: lsp.DidChangeWatchedFilesParams) -> None:
    paths = [lsp_convert.path_of(change.uri) for change in params.changes]
    ls.session.files_changed([path for path in paths if path is not None])


def did_change_workspace_folders(ls: Server, params: lsp.DidChangeWorkspaceFoldersParams) -> None:
    added, removed = (
        [path for folder in folders if (path := lsp_convert.path_of(folder.uri)) is not None]
        for folders in (params.event.added, params.event.removed)
    )
    ls.session.folders_changed(added, removed)


# Requests.


async def inline_completion(ls: Server, params: lsp.InlineCompletionParams) -> lsp.InlineCompletionList:
    document = _snapshot(ls, params.text_document.uri)
    offset = _offset(ls, document, params.position)
    invoked = params.context.trigger_kind == lsp.InlineCompletionTriggerKind.Invoked
    found = await ls.session.complete(document, offset, invoked=invoked)
    return lsp_convert.inline_items(document, found, ls.encoding)


async def completion(ls: Server, params: lsp.CompletionParams) -> lsp.CompletionList:
    document = _snapshot(ls, params.text_document.uri)
    offset = _offset(ls, document, params.position)
    # Invoked also stands for "a letter was typed" here.
    found = await ls.session.complete(document, offset, invoked=False)
    return lsp_convert.completion_items(document, offset, found, ls.encoding)


async def execute_command(ls: Server, params: lsp.ExecuteCommandParams) -> dict[str, Any] | None:
    if params.command in fixes.COMMANDS:
        return await fixes.COMMANDS[params.command](ls, params)
    given = params.arguments[0] if params.arguments else None
    if params.command == EXPLAIN:
        return ls.session.explain(_argument(params.command, given, str, "the URI of a document"))
    if params.command == INFLUENCE:
        return await ls.session.influence(_argument(params.command, given, str, "the URI of a document"))
    if params.command in (ACCEPTED, REJECTED):
        number = _argument(params.command, given, int, "the number of an offer")
        (ls.session.accepted if params.command == ACCEPTED else ls.session.rejected)(number)
    elif params.command == PARTLY:
        length = params.arguments[1] if params.arguments and len(params.arguments) > 1 else None
        ls.session.partly_accepted(
            _argument(params.command, given, int, "the number of an offer"),
            _argument(params.command, length, int, "the number of an offer, and the characters taken of it"),
        )
    elif params.command == PAUSE:
        ls.session.pause(_argument(params.command, given, bool, "true or false"))
    elif params.command == STATUS:
        status = ls.session.status().as_json()
        if given is None:
            return status
        return status | {
            "excluded": ls.session.excluded(_argument(params.command, given, str, "the URI of a document"))
        }
    else:
        raise JsonRpcInvalidParams(f"There is no command {params.command!r:.60}.")
    return None


def _argument(command: str, given: Any, kind: type[Argument], what: str) -> Argument:
    if not isinstance(given, kind) or (kind is int and isinstance(given, bool)):
        raise JsonRpcInvalidParams(f"{command} needs {what} as its argument.")
    return given


def _snapshot(ls: Server, uri: str) -> Document:
    document = ls.session.documents.get(uri)
    if document is None:
        raise JsonRpcInvalidParams(f"{uri} is not open. Send textDocument/didOpen for it first.")
    return document


def _offset(ls: Server, document: Document, position: lsp.Position) -> int:
    """Where a completion is wanted. A column past its line's end is that end, as LSP says; other lines are nowhere.

    Not so in a text that is not the editor's any more, which nothing is offered for.
    """
    lines = len(document.line_starts)
    if position.line >= lines and document.uri not in ls.session.lost:
        raise JsonRpcInvalidParams(
            f"{document.uri} has {lines} lines; there is no line {position.line} (from 0). Send the changes first."
        )
    return lsp_convert.offset_at(document, position, ls.encoding)


def ignored(ls: Server, params: Any) -> None:
    """For what clients send as a matter of course and we have no use for."""


METHODS: dict[str, Callable[..., Any]] = {
    lsp.INITIALIZE: initialize,
    lsp.INITIALIZED: initialized,
    lsp.SHUTDOWN: shutdown,
    lsp.SET_TRACE: ignored,
    lsp.WINDOW_WORK_DONE_PROGRESS_CANCEL: fixes.stop,
    lsp.TEXT_DOCUMENT_DID_OPEN: did_open,
    lsp.TEXT_DOCUMENT_DID_CHANGE: did_change,
    lsp.TEXT_DOCUMENT_DID_CLOSE: did_close,
    lsp.TEXT_DOCUMENT_DID_SAVE: did_save,
    lsp.WORKSPACE_DID_CHANGE_CONFIGURATION: did_change_configuration,
    lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES: did_change_watched_files,
    lsp.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: did_change_workspace_folders,
    lsp.TEXT_DOCUMENT_INLINE_COMPLETION: inline_completion,
    lsp.TEXT_DOCUMENT_COMPLETION: completion,
    lsp.TEXT_DOCUMENT_CODE_ACTION: fixes.code_action,
    lsp.CODE_ACTION_RESOLVE: fixes.resolve,
    lsp.WORKSPACE_EXECUTE_COMMAND: execute_command,
    next_edits.NEXT_EDIT: next_edits.next_edit,
    **notebooks.METHODS,
}
