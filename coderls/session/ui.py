"""What a session needs of the editor, in words of ours."""

from __future__ import annotations

from typing import Any, Literal, Protocol

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

    async def progress(self, title: str) -> Progress:
        """Begin a progress bar; one that nobody sees where the editor has none."""

    async def options(self) -> Any:
        """The user's options now, or None where the editor cannot be asked."""

    async def watch_files(self) -> bool:
        """Ask to be told when files change on disk; false where the editor cannot do that."""
