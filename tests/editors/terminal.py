"""A program in a terminal of 256 colours, and what is to be seen there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyte

from tests.editors.home import until

COLUMNS, ROWS = 100, 24
#: Questions to terminals of a kind that pyte would print.
_DEVICE_CONTROL = re.compile(rb"\x1bP.*?\x1b\\", re.DOTALL)


class _Screen(pyte.Screen):
    """A screen that answers what programs ask of a terminal."""

    def __init__(self, answer: Any) -> None:
        super().__init__(COLUMNS, ROWS)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        self._answer(data.encode())


def _control_terminal() -> None:
    """Make standard input the terminal of the new session: Emacs opens /dev/tty."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """Runs `command` until `close`."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> None:
        self._main, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=child,
            stdout=child,
            stderr=child,
            env={**os.environ, **environment, "COLORTERM": "", "TERM": "screen-256color"},
            cwd=folder,
            start_new_session=True,
            preexec_fn=_control_terminal,  # noqa: PLW1509 - nothing of Python runs in the child beside it
        )
        os.close(child)
        self.screen = _Screen(lambda data: os.write(self._main, data))
        self._stream = pyte.ByteStream(self.screen)

    def keys(self, typed: str) -> None:
        os.write(self._main, typed.encode())

    def text(self) -> str:
        """All that is to be seen now."""
        while select.select([self._main], [], [], 0)[0]:
            try:
                data = os.read(self._main, 65536)
            except OSError:  # it ended
                break
            if not data:
                break
            self._stream.feed(_DEVICE_CONTROL.sub(b"", data))
        return "\n".join(line.rstrip() for line in self.screen.display)

    def shows(self, words: str, *, within_s: float = 30.0) -> str:
        """Wait until this is to be seen."""
        return until(lambda: words in (seen := self.text()) and seen, f"{words!r} on the screen", within_s, self.text)

    def settled(self, *words: str, within_s: float = 5.0) -> str:
        """Wait until one of these is to be seen, but not for ever; what is to be seen then."""
        with suppress(AssertionError):
            until(lambda: any(word in self.text() for word in words), "any of the words", within_s)
        return self.text()

    def colour_of(self, words: str) -> str:
        """The colour of the first character of these words."""
        for row, line in enumerate(self.screen.display):
            if words in line:
                return str(self.screen.buffer[row][line.index(words)].fg)
        raise AssertionError(f"{words!r} is not to be seen:\n{self.text()}")

    def ended(self) -> int:
        """Wait for its end."""
        until(lambda: (self.text(), self._process.poll() is not None)[1], "the end of the program", said=self.text)
        return int(self._process.returncode)

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._main)
