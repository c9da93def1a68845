"""A repository written as a dict of files, with `$0` at the cursor in one of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from coderls.document import Document, Snippet
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.parse import language_of

CURSOR = "$0"


def count(text: str) -> int:
    """A tokenizer for tests: four characters a token."""
    return len(text) // 4 + 1


def write(root: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.replace(CURSOR, "").encode()
        path.write_bytes(data)


def open_document(root: Path, name: str, text: str, version: int = 1) -> tuple[Document, int]:
    """The document and the offset of its cursor (its end where there is none)."""
    offset = text.index(CURSOR) if CURSOR in text else len(text)
    path = root / name
    language = language_of(path) or "plaintext"
    return Document(path.as_uri(), language, version, text.replace(CURSOR, ""), path), offset


def ask(index: RepositoryIndex, root: Path, name: str, text: str, budget: int = 1000) -> list[Snippet]:
    document, offset = open_document(root, name, text)
    return index.snippets(document, offset, budget_tokens=budget, count=count)


def show(snippets: list[Snippet]) -> str:
    return "\n".join(f"== {snippet.path}\n{snippet.text}" for snippet in snippets)


def check(files: Mapping[str, str], budget: int = 1000) -> str:
    """The packed context at the cursor, as text."""
    with TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        write(root, files)
        index = RepositoryIndex([root])
        index.build()
        index.settle(30)
        name, text = next((name, text) for name, text in files.items() if CURSOR in text)
        found = show(ask(index, root, name, text, budget))
        index.close()
        return found
