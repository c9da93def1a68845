"""Bytes in, frames out: the base protocol of LSP over standard streams and over TCP on loopback."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import threading
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger(__name__)

#: A larger body is read past, not into memory.
MAX_BODY = 256 * 1024 * 1024
_MAX_HEADER = 16 * 1024
#: More digits than any length has, and fewer than Python refuses to read.
_MAX_DIGITS = 18
_CHUNK = 256 * 1024
_HTTP = re.compile(rb"[A-Z]+ \S+ HTTP/\d\.\d\s*")


class Receiver(Protocol):
    """Where bodies of frames go."""

    exit_code: int | None

    def receive(self, body: bytes) -> None: ...


async def read_frames(stream: asyncio.StreamReader, receiver: Receiver) -> None:
    """Hand each frame's body to `receiver` until the stream ends or the client said `exit`.

    After each message other tasks run once. So an `async def` handler gets to its first `await` before the next
    message is looked at: its first statement sees the documents as they were when it was asked.
    """
    while receiver.exit_code is None:
        length = await _read_header(stream)
        if length is None:
            return
        if length > MAX_BODY:
            await _skip(stream, length)
            receiver.receive(b"")  # no JSON: the client hears of it
            continue
        try:
            body = await stream.readexactly(length)
        except asyncio.IncompleteReadError:
            return
        receiver.receive(body)
        await asyncio.sleep(0)


async def _read_header(stream: asyncio.StreamReader) -> int | None:
    """The length of the next body; None at the end of the stream. Lines that are no header are passed over.

    But for the first line of HTTP: any page in the user's browser can send a message's body to a port of this machine.
    """
    length: int | None = None
    while True:
        try:
            line = await stream.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError as error:
            await stream.readexactly(error.consumed)
            continue
        if _HTTP.fullmatch(line):
            logger.warning("Somebody spoke HTTP, which no editor does: a browser perhaps. It was turned away.")
            return None
        name, _, value = line.partition(b":")
        value = value.strip()
        if name.strip().lower() == b"content-length" and value.isdigit() and len(value) <= _MAX_DIGITS:
            length = int(value)
        elif not line.strip() and length is not None:
            return length


async def _skip(stream: asyncio.StreamReader, length: int) -> None:
    while length > 0:
        piece = await stream.read(min(length, _CHUNK))
        if not piece:
            return
        length -= len(piece)


class PipeWriter:
    """Writes whole messages to a file descriptor; tells once when nobody reads them any more."""

    def __init__(self, descriptor: int, on_broken: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._on_broken = on_broken
        self._broken = False

    def write(self, data: bytes) -> None:
        """Write all of `data`; does nothing once the pipe is broken."""
        view = memoryview(data)
        try:
            while view and not self._broken:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            self._broken = True
            logger.warning("The client reads no more: %s", error)
            self._on_broken()

    def close(self) -> None:
        """Nothing is buffered, and the descriptor ends with the process."""


def take_standard_streams() -> tuple[int, int]:
    """Descriptors of stdin and stdout for the protocol alone.

    From now on everything else that prints, in this process or one that it starts, writes to stderr, and
    everything else that reads standard input finds its end.
    """
    sys.stdout.flush()
    reader, writer = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return _binary(reader), _binary(writer)


def _binary(descriptor: int) -> int:
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415

        msvcrt.setmode(descriptor, os.O_BINARY)
    return descriptor


def stream_of(descriptor: int) -> asyncio.StreamReader:
    """A stream fed by a thread that reads the descriptor, which works for pipes, files and terminals everywhere.

    The thread reads on while the event loop is busy or blocked in a write, so that a client which sends before it
    reads never waits for us while we wait for it.
    """
    loop = asyncio.get_running_loop()
    stream = asyncio.StreamReader(limit=_MAX_HEADER)

    def tell(function: Callable[..., None], *args: bytes) -> bool:
        try:
            loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop is closed: we are leaving
            return False
        return True

    def read() -> None:
        try:
            while (piece := os.read(descriptor, _CHUNK)) and tell(stream.feed_data, piece):
                pass
        except OSError as error:
            logger.warning("Standard input cannot be read: %s", error)
        tell(stream.feed_eof)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return stream
