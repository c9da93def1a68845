"""JSON-RPC as pygls does it, with its faults of version 2.1.1 mended here and nowhere else.

What is taken from pygls: turning params into lsprotocol's types, running handlers, cancelling them, sending
requests. What is not: its built-in features (its workspace would keep a second copy of each document, split into
lines by `str.splitlines`, and so lose track of texts with form feeds or U+2028) and its reading loops (which drop
broken messages in silence). What is mended: a request whose params are wrong gets an error reply, an error reply
holds no traceback, a request that a handler refuses logs none, and the order that LSP prescribes (initialize, ...,
shutdown, exit) is watched.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from cattrs import BaseValidationError, transform_error
from lsprotocol import types as lsp
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInternalError,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcMethodNotFound,
    JsonRpcParseError,
    JsonRpcServerNotInitialized,
)
from pygls.protocol import LanguageServerProtocol

logger = logging.getLogger(__name__)
# It logs a traceback of some hundred lines for params of another form, with what stood there. Ours says what is wrong.
logging.getLogger("pygls.protocol.json_rpc").addFilter(
    lambda record: not str(record.msg).startswith("Unable to deserialize message")
)


#: Notifications that change texts, and where in their params it says which. One that cannot be read loses the text.
_CHANGES = {lsp.TEXT_DOCUMENT_DID_CHANGE: "textDocument", lsp.NOTEBOOK_DOCUMENT_DID_CHANGE: "notebookDocument"}
_MOST_REASONS = 3

#: What an editor says first, in short. Reading it finishes most of the types that a real one has (`late_types.py`).
_FIRST_MESSAGE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": lsp.INITIALIZE,
    "params": {
        "processId": None,
        "clientInfo": {"name": ""},
        "rootUri": None,
        "workspaceFolders": [{"uri": "file:///", "name": ""}],
        "capabilities": {
            "general": {"positionEncodings": ["utf-16"]},
            "window": {"workDoneProgress": True, "showMessage": {"messageActionItem": {}}, "showDocument": None},
            "workspace": {
                "configuration": True,
                "workspaceEdit": {"documentChanges": True},
                "didChangeConfiguration": {},
                "didChangeWatchedFiles": {},
                "executeCommand": {},
                "codeLens": {},
            },
            "textDocument": {
                "synchronization": {},
                "completion": {"completionItem": {"snippetSupport": True}, "completionItemKind": {}},
                "codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": []}}},
                "publishDiagnostics": {},
                "inlineCompletion": {},
            },
        },
    },
}


class Protocol(LanguageServerProtocol):
    """One connection. `exit_code` is None until the client said `exit`."""

    exit_code: int | None = None
    _initialized = False
    #: Called with a document's URI when a change of it could not be read: from then on its text is not the editor's.
    on_lost_change: Callable[[str], None] = staticmethod(lambda _uri: None)

    def _register_builtin_features(self) -> None:
        """None at all: every method that we answer is in the table of `methods.py`."""

    def get_ready(self) -> None:
        """While nobody waits yet: make what the first message would wait for, some 30 ms."""
        if not self._initialized:
            self.structure_message(_FIRST_MESSAGE)

    def receive(self, body: bytes) -> None:
        """Handle the body of one frame. Nothing in it makes this raise."""
        data: Any = None
        try:
            data = json.loads(body)
            self._receive(data)
        except (ValueError, RecursionError) as error:
            self._refuse(None, JsonRpcParseError(f"This is not JSON: {error}."))
        except JsonRpcException as error:
            self._refuse(data, error)
        except Exception:
            logger.exception("A message could not be handled.")
            self._refuse(data, JsonRpcInternalError())

    def _receive(self, data: Any) -> None:
        if not isinstance(data, dict):
            raise JsonRpcInvalidRequest("A message must be one JSON object; batches are not part of LSP.")
        method = data.get("method")
        if method is None and "id" in data and ("result" in data or "error" in data):
            self._receive_reply(data)
            return
        if data.get("jsonrpc") != self.VERSION or not isinstance(method, str):
            raise JsonRpcInvalidRequest('A message needs "jsonrpc": "2.0" and a method, or an id and a result.')
        if "id" in data and not _is_id(data["id"]):
            raise JsonRpcInvalidRequest("The id of a request must be a string or a whole number.")
        if not self._in_order(method, is_request="id" in data):
            return
        if method != lsp.CANCEL_REQUEST and method not in self.fm.features:
            if "id" in data:
                raise JsonRpcMethodNotFound.of(method)
            if not method.startswith("$/"):  # those may be ignored by definition
                logger.info("Ignored the notification %s.", method)
            return
        self.handle_message(self._structured(data))

    def _in_order(self, method: str, *, is_request: bool) -> bool:
        """Whether to go on with this message now; raises what a request out of order is answered with."""
        if method == lsp.EXIT:
            self.exit_code = 0 if self._shutdown else 1
            return False
        if method == lsp.INITIALIZE and self._initialized:
            raise JsonRpcInvalidRequest("initialize was sent twice.")
        if self._shutdown:
            if is_request:
                raise JsonRpcInvalidRequest("The server is shut down; only exit may follow.")
            return False
        if not self._initialized and method != lsp.INITIALIZE:
            if is_request:
                raise JsonRpcServerNotInitialized("Send initialize first.")
            return False
        return True

    def _structured(self, data: dict[str, Any]) -> Any:
        try:
            message = self.structure_message(data)
        except JsonRpcException as error:
            raise JsonRpcInvalidParams(
                f"The params of {data['method']} are not what LSP says they are{_where(error.__cause__)}."
            ) from error
        if not all(isinstance(text, str) for text in _texts(data)):  # cattrs makes a text of anything: "None" of null
            raise JsonRpcInvalidParams(f"A text in the params of {data['method']} is none.")
        if data["method"] == lsp.INITIALIZE:
            self._initialized = True
        return message

    def _receive_reply(self, data: dict[str, Any]) -> None:
        try:
            message = self.structure_message(data)
        except JsonRpcException as error:  # or whoever waits for it would wait forever
            future = self._request_futures.pop(data["id"], None)
            if future is not None:
                future.set_exception(JsonRpcInvalidRequest("The client's reply has another form than LSP says."))
            logger.warning("A reply of the client could not be read: %s", error)
            return
        self.handle_message(message)

    def _send_handler_result(self, future: Future[Any], *, msg_id: Any) -> None:
        """As in pygls, but what a handler refuses is no fault of ours: no traceback, and no pop-up."""
        error = None if future.cancelled() else future.exception()
        if isinstance(error, JsonRpcException) and not isinstance(error, JsonRpcInternalError):
            self._request_futures.pop(msg_id, None)
            logger.debug("Refused the request %s: %s", msg_id, error)
            self._send_response(msg_id, error=error.to_response_error())
        else:
            super()._send_handler_result(future, msg_id=msg_id)

    def _handle_response(self, msg_id: Any, result: Any = None, error: lsp.ResponseError | None = None) -> None:
        """As in pygls, but a reply that comes after we gave up waiting for it is passed over."""
        future = self._request_futures.get(msg_id)
        if future is not None and future.done():
            self._request_futures.pop(msg_id, None)
            return
        super()._handle_response(msg_id, result, error)

    def _refuse(self, data: Any, error: JsonRpcException) -> None:
        """Reply with an error where there is somebody who waits: notifications and replies have no reply."""
        is_notification = isinstance(data, dict) and "method" in data and "id" not in data
        is_reply = isinstance(data, dict) and "method" not in data and ("result" in data or "error" in data)
        number = data.get("id") if isinstance(data, dict) else None
        if is_notification and data["method"] in _CHANGES:
            self.on_lost_change(_document_of(data))
        logger.warning("Refused %s: %s", data.get("method") if isinstance(data, dict) else "a message", error)
        if not (is_notification or is_reply):
            self._send_response(number if _is_id(number) else None, error=error.to_response_error())

    def shut_down(self) -> None:
        """What `shutdown` does here: cancel all requests in flight; only `exit` is heard from now on."""
        self._shutdown = True
        current = self.msg_id
        for number, future in list(self._request_futures.items()):
            if number != current:
                future.cancel()

    @property
    def is_initialized(self) -> bool:
        """Whether the client said `initialize`."""
        return self._initialized

    @property
    def is_shut_down(self) -> bool:
        """Whether the client said `shutdown`."""
        return self._shutdown

    def _send_response(self, msg_id: Any, result: Any = None, error: lsp.ResponseError | None = None) -> None:
        """As in pygls, but tracebacks (with this machine's paths) stay in our log."""
        if error is not None and error.code == JsonRpcInternalError.CODE:
            error = lsp.ResponseError(error.code, "coderls failed here, and goes on. Its log says more.")
        super()._send_response(msg_id, result, error)


def _document_of(data: dict[str, Any]) -> str:
    """The URI (of a document or a notebook) in a message whose params have some wrong form; "" without one."""
    params = data.get("params")
    document = params.get(_CHANGES[data["method"]]) if isinstance(params, dict) else None
    uri = document.get("uri") if isinstance(document, dict) else None
    return uri if isinstance(uri, str) else ""


def _texts(data: dict[str, Any]) -> Iterator[Any]:
    """All that stands for the text of a document in a message whose params have else the right form."""
    method: str = data["method"]
    params: Any = data.get("params")
    if method == lsp.TEXT_DOCUMENT_DID_OPEN:
        yield params["textDocument"]["text"]
    elif method == lsp.TEXT_DOCUMENT_DID_CHANGE:
        yield from (change["text"] for change in params["contentChanges"])
    elif method == lsp.NOTEBOOK_DOCUMENT_DID_OPEN:
        yield from (cell["text"] for cell in params["cellTextDocuments"])
    elif method == lsp.NOTEBOOK_DOCUMENT_DID_CHANGE:
        cells = params["change"].get("cells") or {}
        yield from (cell["text"] for cell in (cells.get("structure") or {}).get("didOpen") or ())
        yield from (change["text"] for content in cells.get("textContent") or () for change in content["changes"])


def _where(error: BaseException | None) -> str:
    """What is wrong with params and where, as cattrs says it: without a value, since those may be the user's."""
    if not isinstance(error, BaseValidationError):
        return ""
    return f" ({'; '.join(transform_error(error)[:_MOST_REASONS])})"


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
