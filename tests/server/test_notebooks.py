"""Notebooks over stdio: cells are documents, and earlier ones are context."""

from __future__ import annotations

from typing import Any

import pytest

from devtools.lsp_client import RpcError, span

from .conftest import text_of

BOOK = "file:///books/analysis.ipynb"


def cell(number: int, text: str, language: str = "python") -> dict[str, Any]:
    return {
        "uri": f"vscode-notebook-cell:/books/analysis.ipynb#{number}",
        "languageId": language,
        "version": 1,
        "text": text,
    }


def kinds(*items: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"kind": 2 if item["languageId"] == "python" else 1, "document": item["uri"]} for item in items]


def parts(front: Any, uri: str) -> list[tuple[str, str]]:
    explained = front.call("workspace/executeCommand", {"command": "coderls.explain", "arguments": [uri]})
    return [(part["kind"], part["path"]) for part in explained["prompt"]]


def test_a_cell_is_completed_with_the_cells_before_it(shared: Any) -> None:
    first = cell(1, "import os\nvalues = [1, 2]\n")
    prose = cell(2, "# About\n", "markdown")
    last = cell(3, "def add(a, b):\n    return ")
    shared.notify(
        "notebookDocument/didOpen",
        {
            "notebookDocument": {
                "uri": BOOK,
                "notebookType": "jupyter-notebook",
                "version": 1,
                "cells": kinds(first, prose, last),
            },
            "cellTextDocuments": [first, prose, last],
        },
    )
    assert text_of(shared.wait(shared.inline_request(last["uri"], 1, 11))) == "a + b"
    found = parts(shared, last["uri"])
    assert ("notebook", "analysis.ipynb, cell 1") in found
    assert ("prefix", "analysis.ipynb") in found
    assert not [path for _, path in found if "cell 2" in path], "prose is left out"

    # One more cell in between, and a change in the last.
    other = cell(4, "marker = ")
    shared.notify(
        "notebookDocument/didChange",
        {
            "notebookDocument": {"uri": BOOK, "version": 2},
            "change": {
                "cells": {
                    "structure": {
                        "array": {"start": 1, "deleteCount": 1, "cells": kinds(other)},
                        "didOpen": [other],
                        "didClose": [{"uri": prose["uri"]}],
                    },
                    "textContent": [
                        {
                            "document": {"uri": last["uri"], "version": 2},
                            "changes": [{"text": "x = 1\ndef add(a, b):\n    return "}],
                        }
                    ],
                }
            },
        },
    )
    assert text_of(shared.wait(shared.inline_request(other["uri"], 0, 9))) == "found"
    assert [path for kind, path in parts(shared, other["uri"]) if kind == "notebook"] == ["analysis.ipynb, cell 1"]
    assert text_of(shared.wait(shared.inline_request(last["uri"], 2, 11))) == "a + b"
    assert [path for kind, path in parts(shared, last["uri"]) if kind == "notebook"] == [
        "analysis.ipynb, cell 1",
        "analysis.ipynb, cell 2",
    ]
    shared.notify(
        "notebookDocument/didClose",
        {
            "notebookDocument": {"uri": BOOK},
            "cellTextDocuments": [{"uri": item["uri"]} for item in (first, other, last)],
        },
    )
    with pytest.raises(RpcError, match="is not open"):
        shared.wait(shared.inline_request(last["uri"], 2, 11))


def test_a_change_of_cells_that_cannot_be_read_loses_them_until_their_whole_text_comes(shared: Any) -> None:
    book = "file:///books/lost.ipynb"
    only = cell(7, "marker = ")
    shared.notify(
        "notebookDocument/didOpen",
        {
            "notebookDocument": {"uri": book, "notebookType": "jupyter", "version": 1, "cells": kinds(only)},
            "cellTextDocuments": [only],
        },
    )

    def change(version: int, *changes: Any) -> Any:
        content = {"document": {"uri": only["uri"], "version": version}, "changes": changes}
        shared.notify(
            "notebookDocument/didChange",
            {"notebookDocument": {"uri": book, "version": version}, "change": {"cells": {"textContent": [content]}}},
        )
        return shared.wait(shared.inline_request(only["uri"], 0, 9))

    assert change(2, {"range": 3, "text": "a"}) == {"items": []}
    assert any("lost.ipynb that cannot be read" in text for text in shared.shown())
    assert change(3, {"range": span((0, 0), (0, 0)), "text": "#"}) == {"items": []}
    assert change(4, {"text": None}) == {"items": []}
    assert text_of(change(5, {"text": "marker = "})) == "found"
