"""The repository index in a thread of its own: built once, then fed with what the user edits.

The thread is polite: it pauses while a completion runs, and sleeps while there is nothing to do. It gets frozen
documents and paths, and touches nothing else of the session.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from coderls.document import Document
from coderls.session.ui import Client

if TYPE_CHECKING:
    from coderls.repo_context.index import RepositoryIndex

logger = logging.getLogger(__name__)


class IndexLink:
    """The index of one session's workspace folders."""

    def __init__(self, client: Client) -> None:
        self.folders: list[Path] = []
        self._client = client
        self._index: RepositoryIndex | None = None
        self._completions = 0

    @property
    def source(self) -> RepositoryIndex | None:
        """Where snippets come from; None while there is no index."""
        return self._index

    def start(self, *, enabled: bool) -> None:
        pass

    def use(self, folders: list[Path]) -> None:
        self.folders = folders

    def changed(self, document: Document) -> None:
        pass

    def closed(self, document: Document) -> None:
        pass

    def files_changed(self, paths: Sequence[Path]) -> None:
        pass

    def close(self) -> None:
        pass

    def folder_of(self, document: Document) -> Path | None:
        """The innermost workspace folder that holds a document."""
        if document.path is None:
            return None
        holding = [folder for folder in self.folders if document.path.is_relative_to(folder)]
        return max(holding, key=lambda folder: len(folder.parts), default=None)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """While a completion runs, the index does not compete with it for the processor."""
        self._completions += 1
        try:
            yield
        finally:
            self._completions -= 1
