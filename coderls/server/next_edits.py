"""`coderls/nextEdit`: a request of ours for the edit that follows from the user's last ones. The README describes it.

    params   textDocument: {uri, version?}, position, typing? (default true: the next letter goes to the position)
    result   null, or id, textDocument: {uri, version}, range, newText, kind, reason, evidence, more

A client that names the experimental capability `coderlsNextEdit` gets `coderls/nextEditFound` (uri, version) when
there is something to ask for that no key brought about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInvalidParams

from coderls import lsp_convert

if TYPE_CHECKING:
    from coderls.server.methods import Server

NEXT_EDIT = "coderls/nextEdit"
#: LSP's `uinteger` ends here.
_MOST = 2**31 - 1
#: What the server says of itself in `capabilities.experimental`.
CAPABILITY = "coderlsNextEdit"


async def next_edit(ls: Server, params: Any) -> dict[str, Any] | None:
    """Answer the request. Raises JsonRpcInvalidParams for params of another form, and documents that are not open."""
    uri, version, position, typing = _read(params)
    document = ls.session.documents.get(uri)
    if document is None:
        raise JsonRpcInvalidParams(f"{uri} is not open. Send textDocument/didOpen for it first.")
    if version is not None and version != document.version:
        return None
    offset = lsp_convert.offset_at(document, position, ls.encoding)
    offer = await ls.session.next_edit(document, offset, typing=typing)
    if offer is None:
        return None
    span = lsp_convert.range_of(offer.document, offer.edit.start, offer.edit.end, ls.encoding)
    return {
        "id": offer.number,
        "textDocument": {"uri": uri, "version": offer.document.version},
        "range": {
            "start": {"line": span.start.line, "character": span.start.character},
            "end": {"line": span.end.line, "character": span.end.character},
        },
        "newText": offer.edit.new_text,
        "kind": offer.kind,
        "reason": offer.reason,
        "evidence": list(offer.evidence),
        "more": offer.more,
    }


def _read(params: Any) -> tuple[str, int | None, lsp.Position, bool]:
    try:
        document, position = _get(params, "textDocument"), _get(params, "position")
        uri, version = _get(document, "uri"), _get(document, "version", None)
        line, character = _get(position, "line"), _get(position, "character")
        typing = _get(params, "typing", True)
    except (AttributeError, KeyError, TypeError) as error:
        raise JsonRpcInvalidParams(f"{NEXT_EDIT} needs textDocument and position.") from error
    numbers = [line, character, *([] if version is None else [version])]
    fits = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
    if not fits or not isinstance(uri, str) or not isinstance(typing, bool):
        raise JsonRpcInvalidParams(f"{NEXT_EDIT} needs textDocument and position.")
    return uri, version, lsp.Position(_within(line), _within(character)), typing


def _within(number: int) -> int:
    """The nearest number that a line or a column may have."""
    return min(max(0, number), _MOST)


def _get(value: Any, name: str, *default: Any) -> Any:
    """A field of what pygls made of an object: a mapping, or something with attributes."""
    if isinstance(value, dict):
        return value.get(name, *default) if default else value[name]
    return getattr(value, name, *default)
