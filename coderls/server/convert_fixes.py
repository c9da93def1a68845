"""Complaints and fixes between LSP's values and ours: diagnostics, code actions, workspace edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lsprotocol import types as lsp

from coderls import lsp_convert
from coderls.document import Document
from coderls.lsp_convert import Encoding
from coderls.repair.diagnostic import Diagnostic, Severity
from coderls.session import Offer, Resolved

#: The commands of code actions (`workspace/executeCommand`).
REPAIR, REWRITE = "coderls.repair", "coderls.rewrite"
FIX_ALL = "source.fixAll.coderls"
_ANNOTATION = "coderls"
#: An experimental capability: the client itself shows what needs the user's word, when `workspace/applyEdit` brings it.
PREVIEW = "coderlsPreview"


# Diagnostics.


def complaint_of(given: lsp.Diagnostic, document: Document, encoding: Encoding) -> Diagnostic | None:
    """A client's diagnostic; None for one whose place is not in this version of the document."""
    span = given.range
    if not 0 <= span.start.line < len(document.line_starts):
        return None
    start = lsp_convert.offset_at(document, span.start, encoding)
    end = lsp_convert.offset_at(document, span.end, encoding)
    severity = Severity(int(given.severity)) if given.severity is not None else Severity.ERROR
    rule = "" if given.code is None else str(given.code)
    return Diagnostic(min(start, end), max(start, end), given.message, severity, given.source or "", rule)


def diagnostic_of(one: Diagnostic, document: Document, encoding: Encoding) -> lsp.Diagnostic:
    """A complaint of a checker that coderls runs."""
    return lsp.Diagnostic(
        lsp_convert.range_of(document, one.start, one.end, encoding),
        one.message,
        severity=lsp.DiagnosticSeverity(int(one.severity)),
        code=one.rule or None,
        source=f"{one.source} (coderls)" if one.source else "coderls",
    )


def published(
    uri: str, document: Document | None, diagnostics: Sequence[Diagnostic], encoding: Encoding
) -> lsp.PublishDiagnosticsParams:
    """What `textDocument/publishDiagnostics` says; without a document that there are none."""
    if document is None:
        return lsp.PublishDiagnosticsParams(uri, [])
    shown = [diagnostic_of(one, document, encoding) for one in diagnostics]
    return lsp.PublishDiagnosticsParams(uri, shown, version=document.version)


# Code actions.


class Able:
    """What a client can do with code actions and edits."""

    def __init__(self, capabilities: lsp.ClientCapabilities) -> None:
        document, workspace = capabilities.text_document, capabilities.workspace
        actions = document.code_action if document else None
        edits = workspace.workspace_edit if workspace else None
        resolve = actions.resolve_support if actions else None
        self.literals = actions is not None and actions.code_action_literal_support is not None
        self.resolves = resolve is not None and "edit" in resolve.properties and bool(actions and actions.data_support)
        self.disables = bool(actions and actions.disabled_support)
        self.prefers = bool(actions and actions.is_preferred_support)
        self.tags = bool(actions and actions.tag_support)
        self.versions = bool(edits and edits.document_changes)
        self.annotates = bool(edits and edits.change_annotation_support) and self.versions
        self.applies = bool(workspace and workspace.apply_edit)
        self.previews = self.applies and self.annotates and names(capabilities, PREVIEW)


def names(capabilities: lsp.ClientCapabilities, experimental: str) -> bool:
    """Whether a client names an experimental capability."""
    offered = capabilities.experimental
    named = offered.get(experimental) if isinstance(offered, Mapping) else getattr(offered, experimental, None)
    return named is True


def action_of(
    offer: Offer, about: Mapping[Diagnostic, lsp.Diagnostic], able: Able, encoding: Encoding
) -> lsp.CodeAction | lsp.Command | None:
    """An offer as this client can take it; None where it cannot.

    What has edits already carries them. The rest is resolved, or, by clients that do not resolve, run as a command.
    A client with a preview of its own runs commands for whatever it may have to show first.
    """
    if offer.reason and not able.disables:
        return None
    command = lsp.Command(offer.title, REPAIR, arguments=[offer.number])
    if not able.literals:
        return command
    action = lsp.CodeAction(
        offer.title,
        kind=FIX_ALL if offer.kind == "all" else lsp.CodeActionKind.QuickFix,
        diagnostics=[about[one] for one in offer.about if one in about] or None,
        is_preferred=True if offer.preferred and able.prefers else None,
        tags=_tags(able, by_model=offer.made_by_model or offer.edits is None),
    )
    if offer.reason:
        action.disabled = lsp.CodeActionDisabled(offer.reason)
    elif able.previews and offer.kind != "all" and (offer.edits is None or _asks_first(offer)):
        action.command = command
    elif offer.edits is not None:
        resolved = Resolved(
            offer.document, offer.edits, offer.title, offer.evidence, offer.made_by_model, verified=offer.verified
        )
        action.edit = edit_of(resolved, able, encoding)
    elif able.resolves:
        action.data = {"offer": offer.number}
    else:
        action.command = command
    return action


def rewrite_of(document: Document, span: lsp.Range, able: Able) -> lsp.CodeAction | lsp.Command:
    """The action that asks for an instruction: the editor's plugin adds it to the command as its second argument."""
    target = {
        "uri": document.uri,
        "version": document.version,
        "range": {
            "start": {"line": span.start.line, "character": span.start.character},
            "end": {"line": span.end.line, "character": span.end.character},
        },
    }
    command = lsp.Command("Rewrite by an instruction…", REWRITE, arguments=[target])
    if not able.literals:
        return command
    tags = _tags(able, by_model=True)
    return lsp.CodeAction(command.title, kind=lsp.CodeActionKind.RefactorRewrite, command=command, tags=tags)


def edit_of(resolved: Resolved, able: Able, encoding: Encoding) -> lsp.WorkspaceEdit | None:
    """The edits of one version of a document, with what is known about them where the client shows it."""
    document, edits = resolved.document, resolved.edits
    if document is None or edits is None:
        return None
    plain = [lsp.TextEdit(lsp_convert.range_of(document, one.start, one.end, encoding), one.new_text) for one in edits]
    if not able.versions:
        return lsp.WorkspaceEdit(changes={document.uri: plain})
    version = lsp.OptionalVersionedTextDocumentIdentifier(document.uri, version=document.version)
    if not able.annotates:
        return lsp.WorkspaceEdit(document_changes=[lsp.TextDocumentEdit(version, list(plain))])
    noted = [lsp.AnnotatedTextEdit(_ANNOTATION, one.range, one.new_text) for one in plain]
    annotation = lsp.ChangeAnnotation(
        resolved.title,
        needs_confirmation=_asks_first(resolved),
        description=". ".join(resolved.evidence) or None,
    )
    changes = [lsp.TextDocumentEdit(version, list(noted))]
    return lsp.WorkspaceEdit(document_changes=list(changes), change_annotations={_ANNOTATION: annotation})


def _asks_first(fix: Offer | Resolved) -> bool:
    """Whether the user is to see it before it is applied."""
    return fix.made_by_model or not fix.verified


def wants(only: Sequence[str] | None, kind: str) -> bool:
    """Whether a request for `only` these kinds is one for `kind`; source actions have to be named."""
    if only is None:
        return not kind.startswith("source")
    return any(one in ("", kind) or kind.startswith(f"{one}.") for one in map(str, map(_value, only)))


def _value(kind: object) -> object:
    return kind.value if isinstance(kind, lsp.CodeActionKind) else kind


def _tags(able: Able, *, by_model: bool) -> list[lsp.CodeActionTag] | None:
    return [lsp.CodeActionTag.LlmGenerated] if by_model and able.tags else None
