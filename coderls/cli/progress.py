"""Progress of something long, on stderr: a bar on a terminal, a plain line now and then anywhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm

from coderls.cli.visible import visible

#: Where nobody watches a bar: one line when the step changes, and then at most one in so many seconds, with news.
LINE_EVERY_S = 5.0


class Progress:
    """Call it with what is being done and how much of it is (0..1); nothing shows until the first call.

    with Progress() as progress:
        client = await connect_or_start(settings, progress)
    """

    def __init__(self, stream: TextIO | None = None, *, after_s: float = 0.0) -> None:
        """`after_s`: what takes no longer than this shows nothing."""
        self._stream = sys.stderr if stream is None else stream
        self._from = time.monotonic() + after_s
        self._line = ""
        self._bar: Any = None
        self._what = ""
        self._said_at = 0.0

    def __call__(self, what: str, fraction: float) -> None:
        """Show that `what` is `fraction` done."""
        what, fraction = visible(what), min(1.0, max(0.0, fraction))
        if time.monotonic() < self._from:
            return
        if self._stream.isatty():
            self._draw(what, fraction)
        else:
            self._say(what, fraction)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _draw(self, what: str, fraction: float) -> None:
        if self._bar is None:
            layout = "{desc} {percentage:3.0f}%|{bar:30}| {elapsed}"
            self._bar = tqdm(total=1.0, file=self._stream, bar_format=layout, leave=False, miniters=0, mininterval=0.0)
        self._bar.set_description_str(what, refresh=False)
        self._bar.n = fraction
        self._bar.refresh()

    def _say(self, what: str, fraction: float) -> None:
        now = time.monotonic()
        if what == self._what and now - self._said_at < LINE_EVERY_S:
            return
        line = f"{what} ({fraction:.0%})" if fraction else what
        if line == self._line:
            return
        self._what, self._line, self._said_at = what, line, now
        print(line, file=self._stream, flush=True)
