"""Code actions and their commands: handlers as in `methods.py`, one call into the session's repairs each."""

# ruff: noqa: D103  (the LSP specification says what each method is for)

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInvalidParams

from coderls import lsp_convert
from coderls.document import Document
from coderls.errors import CoderlsError
from coderls.server.convert_fixes import (
    FIX_ALL,
    REPAIR,
    REWRITE,
    Able,
    action_of,
    complaint_of,
    diagnostic_of,
    edit_of,
    rewrite_of,
    wants,
)
from coderls.session import Offer, Progress, Resolved

if TYPE_CHECKING:
    from coderls.server.methods import Server

#: Asks all checkers about a document (its URI), and publishes what they say.
CHECK = "coderls.check"

PROVIDER = lsp.CodeActionOptions(
    code_action_kinds=[lsp.CodeActionKind.QuickFix, lsp.CodeActionKind.RefactorRewrite, FIX_ALL],
    resolve_provider=True,
)


async def code_action(ls: Server, params: lsp.CodeActionParams) -> list[lsp.CodeAction | lsp.Command]:
    document = _opened(ls, params.text_document.uri)
    start, end = sorted(
        lsp_convert.offset_at(document, place, ls.encoding) for place in (params.range.start, params.range.end)
    )
    if start == end:
        ls.session.rests(document, start)
    only, able, repairs = params.context.only, Able(ls.editor.capabilities), ls.session.repairs
    about = {
        complaint: given
        for given in params.context.diagnostics
        if (complaint := complaint_of(given, document, ls.encoding)) is not None
    }
    offers: list[Offer] = []
    if wants(only, lsp.CodeActionKind.QuickFix):
        told = params.context.trigger_kind is not lsp.CodeActionTriggerKind.Automatic
        offers += repairs.offers(document, start, end, list(about), told=told)
    if wants(only, FIX_ALL):
        offers += repairs.all_of(document)
    about |= {
        one: diagnostic_of(one, document, ls.encoding) for offer in offers for one in offer.about if one not in about
    }
    actions = [action for offer in offers if (action := action_of(offer, about, able, ls.encoding)) is not None]
    if wants(only, lsp.CodeActionKind.RefactorRewrite) and repairs.rewriting(document, start, end):
        actions.append(rewrite_of(document, params.range, able))
    return actions


async def resolve(ls: Server, action: lsp.CodeAction) -> lsp.CodeAction:
    number = action.data.get("offer") if isinstance(action.data, dict) else getattr(action.data, "offer", None)
    if not isinstance(number, int):
        return action  # nothing of ours is left to find out about it
    able = Able(ls.editor.capabilities)
    resolved = await ls.session.repairs.resolve(number)
    action.edit = edit_of(resolved, able, ls.encoding)
    if action.edit is None and able.disables:
        action.disabled = lsp.CodeActionDisabled(resolved.reason)
    return action


async def repair(ls: Server, params: lsp.ExecuteCommandParams) -> dict[str, Any]:
    """`coderls.repair`, for clients that do not resolve actions: the number of an offer."""
    number = params.arguments[0] if params.arguments else None
    if not isinstance(number, int) or isinstance(number, bool):
        raise JsonRpcInvalidParams(f"{REPAIR} needs the number of an offer as its argument.")
    bar = _bar(ls, params, "Looking for a verified fix")
    try:
        return await _applied(ls, await ls.session.repairs.resolve(number, bar))
    finally:
        _end(bar)


async def rewrite(ls: Server, params: lsp.ExecuteCommandParams) -> dict[str, Any]:
    """`coderls.rewrite`: what to rewrite (uri, version, range; as the action has it), and the user's words for it."""
    target, instruction = [*(params.arguments or ()), None, None][:2]
    if instruction is None:
        ls.editor.show("info", "Rewriting needs an instruction, which this editor did not ask you for.")
        return {"applied": False, "reason": "no instruction"}
    document, start, end = _target(ls, target)
    if not isinstance(instruction, str):
        raise JsonRpcInvalidParams(f"{REWRITE} needs the instruction, a text, as its second argument.")
    bar = _bar(ls, params, "Rewriting")
    try:
        resolved = await ls.session.repairs.rewrite(document, start, end, instruction, bar)
        if resolved.edits is None:
            ls.editor.show("info", resolved.reason)
        return await _applied(ls, resolved)
    finally:
        _end(bar)


async def check(ls: Server, params: lsp.ExecuteCommandParams) -> dict[str, Any]:
    """`coderls.check`: the URI of an open document. Its complaints are published, and counted in the answer."""
    uri = params.arguments[0] if params.arguments else None
    if not isinstance(uri, str):
        raise JsonRpcInvalidParams(f"{CHECK} needs the URI of a document as its argument.")
    try:
        found = await ls.session.repairs.check(_opened(ls, uri))
    except CoderlsError as error:
        ls.editor.show("info", str(error))
        return {"diagnostics": None}
    return {"diagnostics": len(found)}


def stop(ls: Server, params: lsp.WorkDoneProgressCancelParams) -> None:
    """`window/workDoneProgress/cancel`."""
    ls.editor.stop(params.token)


COMMANDS: dict[str, Callable[[Server, lsp.ExecuteCommandParams], Awaitable[dict[str, Any]]]] = {
    REPAIR: repair,
    REWRITE: rewrite,
    CHECK: check,
}


async def _applied(ls: Server, resolved: Resolved) -> dict[str, Any]:
    """The edit, given to the client; what became of it."""
    able = Able(ls.editor.capabilities)
    edit = edit_of(resolved, able, ls.encoding)
    if edit is None:
        return {"applied": False, "reason": resolved.reason}
    if not able.applies:
        ls.editor.show("warning", "This editor takes no edits from a server, so nothing was changed.")
        return {"applied": False, "reason": "the client does not apply edits"}
    applied = await ls.editor.apply(edit, resolved.title)
    return {
        "applied": applied,
        "reason": "" if applied else "the editor did not take the edit",
        "title": resolved.title,
    }


def _target(ls: Server, target: Any) -> tuple[Document, int, int]:
    """The document and offsets that a rewriting is about. Raises JsonRpcInvalidParams."""
    try:
        if not isinstance(target, dict):
            target = {name: getattr(target, name) for name in ("uri", "version", "range")}
        document = _opened(ls, str(target["uri"]))
        span = target["range"]
        places = [lsp.Position(int(span[edge]["line"]), int(span[edge]["character"])) for edge in ("start", "end")]
        version = target.get("version")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise JsonRpcInvalidParams(f"{REWRITE} needs uri, version and range of what to rewrite.") from error
    if version is not None and version != document.version:
        raise JsonRpcInvalidParams(f"The document is at version {document.version}, not {version}: ask again.")
    start, end = sorted(lsp_convert.offset_at(document, place, ls.encoding) for place in places)
    return document, start, end


def _opened(ls: Server, uri: str) -> Document:
    document = ls.session.documents.get(uri)
    if document is None:
        raise JsonRpcInvalidParams(f"{uri} is not open. Send textDocument/didOpen for it first.")
    return document


def _bar(ls: Server, params: lsp.ExecuteCommandParams, title: str) -> Progress | None:
    """The client's own progress bar for a command, where it brought a token; else one is asked for later."""
    return None if params.work_done_token is None else ls.editor.bar(params.work_done_token, title)


def _end(bar: Progress | None) -> None:
    if bar is not None:
        bar.end()
