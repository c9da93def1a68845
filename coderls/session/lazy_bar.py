"""A progress bar that is asked for with the first report of what it shows, and that may stop the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from coderls.session.ui import Client, Progress


class LazyBar:
    """On the event loop's thread only. `stop` is called when the user ends the work in the editor."""

    def __init__(self, client: Client, title: str, stop: Callable[[], object]) -> None:
        self._client, self._title, self._stop = client, title, stop
        self._latest = ("", 0.0)
        self._asked: asyncio.Task[Progress] | None = None
        self._ended = False

    def report(self, detail: str, fraction: float) -> None:
        """As `Progress.report`."""
        self._latest = (detail, fraction)
        if self._asked is None:
            self._asked = asyncio.ensure_future(self._client.progress(self._title, self._stop))
            self._asked.add_done_callback(self._came)
        elif self._asked.done() and not self._asked.cancelled():
            self._asked.result().report(detail, fraction)

    def end(self, detail: str = "") -> None:
        """As `Progress.end`."""
        self._ended = True
        if self._asked is not None and self._asked.done() and not self._asked.cancelled():
            self._asked.result().end(detail)

    def _came(self, asked: asyncio.Task[Progress]) -> None:
        if not asked.cancelled():
            shown = asked.result()
            shown.report(*self._latest)
            if self._ended:
                shown.end()
