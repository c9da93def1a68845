"""What a session needs of the editor, in words of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from coderls.document import Document
from coderls.repair.diagnostic import Diagnostic
from coderls.session.status import Status

Severity = Literal["error", "warning", "info"]


class Progress(Protocol):
    """A progress bar that somebody may be looking at."""

    def report(self, detail: str, fraction: float) -> None:
        """`fraction` runs from 0 to 1."""

    def end(self, detail: str = "") -> None:
        """Take the bar away; `detail` may be shown a little longer."""


class Client(Protocol):
    """The editor. Called on the event loop's thread only."""

    def show(self, severity: Severity, text: str) -> None:
        """Put a message before the user's eyes."""

    def log(self, text: str) -> None:
        """A line for those who look into the editor's log of this server."""

    def status(self, status: Status) -> None:
        """The session is in this state now: something for a status bar."""

    def next_edit_found(self, document: Document) -> None:
        """There is a next edit to ask for in this version, which no key has brought about."""

    async def progress(self, title: str, stop: Callable[[], object] | None = None) -> Progress:
        """Begin a progress bar; one that nobody sees where the editor has none. `stop`: the user may end the work."""

    def publish(self, uri: str, document: Document | None, diagnostics: Sequence[Diagnostic]) -> None:
        """Show these complaints about a document, and no others of ours. None: it is not open any more."""

    async def options(self) -> Any:
        """The user's options now, or None where the editor cannot be asked."""

    async def watch_files(self) -> bool:
        """Ask to be told when files change on disk; false where the editor cannot do that."""
