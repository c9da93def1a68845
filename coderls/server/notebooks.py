"""The methods of notebooks: their cells are opened, changed and closed like any document."""

# ruff: noqa: D103  (the LSP specification says what each method is for)

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lsprotocol import types as lsp

from coderls import lsp_convert
from coderls.document import Document
from coderls.session.notebooks import Cell

if TYPE_CHECKING:
    from coderls.server.methods import Server

logger = logging.getLogger(__name__)

#: All cells of all notebooks. (A filter needs a notebook or cells; "*" is every type of notebook.)
SYNC = lsp.NotebookDocumentSyncOptions([lsp.NotebookDocumentFilterWithNotebook(notebook="*")], save=False)


def did_open(ls: Server, params: lsp.DidOpenNotebookDocumentParams) -> None:
    book = params.notebook_document
    ls.session.notebooks.open(book.uri, _cells(book.cells))
    for item in params.cell_text_documents:
        _open(ls, item)


def did_change(ls: Server, params: lsp.DidChangeNotebookDocumentParams) -> None:
    cells = params.change.cells
    if cells is None:
        return  # metadata
    structure = cells.structure
    if structure is not None:
        array = structure.array
        ls.session.notebooks.splice(
            params.notebook_document.uri, array.start, array.delete_count, _cells(array.cells or ())
        )
        for item in structure.did_open or ():
            _open(ls, item)
        for closed in structure.did_close or ():
            ls.session.shut(closed.uri)
    for content in cells.text_content or ():
        change(ls, content.document, content.changes)


def did_close(ls: Server, params: lsp.DidCloseNotebookDocumentParams) -> None:
    ls.session.notebooks.close(params.notebook_document.uri)
    for cell in params.cell_text_documents:
        ls.session.shut(cell.uri)


def ignored(ls: Server, params: Any) -> None:
    """What is on disk of a notebook is not read."""


def _cells(cells: Sequence[lsp.NotebookCell]) -> list[Cell]:
    return [Cell(cell.document, cell.kind == lsp.NotebookCellKind.Code) for cell in cells]


def _open(ls: Server, item: lsp.TextDocumentItem) -> None:
    ls.session.open(Document(item.uri, item.language_id, item.version, lsp_convert.clean_text(item.text)))


def change(
    ls: Server, changed: lsp.VersionedTextDocumentIdentifier, changes: Sequence[lsp.TextDocumentContentChangeEvent]
) -> None:
    """The changes of a document, be it a cell or not."""
    document = ls.session.documents.get(changed.uri)
    if document is None:
        logger.warning("A change of %s is lost: it is not open.", changed.uri)
        return
    whole = (isinstance(each, lsp.TextDocumentContentChangeWholeDocument) for each in changes)
    if document.uri in ls.session.lost and not any(whole):
        return  # a change of a text that we do not have
    ls.session.change(lsp_convert.apply_changes(document, changes, changed.version, ls.encoding))


METHODS: dict[str, Callable[..., Any]] = {
    lsp.NOTEBOOK_DOCUMENT_DID_OPEN: did_open,
    lsp.NOTEBOOK_DOCUMENT_DID_CHANGE: did_change,
    lsp.NOTEBOOK_DOCUMENT_DID_SAVE: ignored,
    lsp.NOTEBOOK_DOCUMENT_DID_CLOSE: did_close,
}
