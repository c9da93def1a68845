"""Tests write a document as one string with `$0` at the cursor."""

from __future__ import annotations

from pathlib import PurePosixPath

from coderls.document import Document


def at_cursor(marked: str, language_id: str = "python", name: str = "file.py") -> tuple[Document, int]:
    """The document and the offset that `$0` marks."""
    offset = marked.index("$0")
    text = marked[:offset] + marked[offset + 2 :]
    return Document(f"file:///project/{PurePosixPath(name)}", language_id, 1, text), offset
