"""The language server: `coderls --stdio` and `coderls --tcp PORT`.

With `lsp_convert.py` this package is the only importer of pygls and lsprotocol. The method table is in
`methods.py`; how bytes come and go is in `transport.py`, and what pygls gets wrong is mended in `protocol.py`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from coderls.garbage import look_seldom
from coderls.server import late_types  # noqa: F401  (before anything else that imports lsprotocol)
from coderls.server.methods import Server
from coderls.server.transport import PipeWriter, read_frames, stream_of, take_standard_streams

__all__ = ["serve_stdio", "serve_tcp"]

logger = logging.getLogger(__name__)

_LEFT_IN_ORDER, _LEFT_ALONE = 0, 1
#: Python lets a thread that computes (the index, a look at the syntax) run so long while the loop has a message to
#: handle. By itself 5 ms, and a request waits for that at each of its steps.
TURN_S = 0.001
#: An editor that has said nothing for so long leaves time to get ready for what it will say.
_SILENCE_S = 0.02


def serve_stdio(records: Path | None = None) -> int:
    """Serve one client over standard input and output until it leaves; returns the exit code.

    0 after `shutdown`, 1 for `exit` without it, and when the client vanishes. `records`: see `Session`.
    """
    _log_to_stderr()
    reader, writer = take_standard_streams()
    return asyncio.run(_serve_pipes(reader, writer, records))


def serve_tcp(port: int, records: Path | None = None) -> int:
    """Serve one client at a time on 127.0.0.1; returns the exit code when one said `exit`, 1 if the port is taken.

    With port 0 the system chooses one. The address is printed on stderr. A client that just drops its connection
    leaves the server to the next. `records`: see `Session`.
    """
    _log_to_stderr()
    try:
        return asyncio.run(_serve_port(port, records))
    except OSError as error:
        print(f"coderls: port {port} cannot be used: {error.strerror}. Choose another.", file=sys.stderr)
        return 1


async def _serve_pipes(reader: int, writer: int, records: Path | None) -> int:
    asyncio.get_running_loop().set_exception_handler(log_fault)
    server = Server(records)
    server.protocol.set_writer(PipeWriter(writer, server.client_gone.set))
    code = await _serve(server, read_frames(stream_of(reader), server.protocol))
    if code is None and not server.protocol.is_initialized:
        logger.warning(
            "Standard input ended before a client had sent `initialize`. Editors start `coderls --stdio` by "
            "themselves; on a command line, `coderls complete` completes."
        )
    elif code is None and not server.protocol.is_shut_down:
        logger.warning("The client went away without `shutdown` and `exit`.")
    return _code_of_end(server) if code is None else code


async def _serve_port(port: int, records: Path | None) -> int:
    asyncio.get_running_loop().set_exception_handler(log_fault)
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    busy = asyncio.Lock()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if busy.locked():
            logger.warning("A second client was turned away: coderls --tcp serves one at a time.")
            writer.close()
            return
        async with busy:
            server = Server(records)
            server.protocol.set_writer(writer)
            code = await _serve(server, read_frames(reader, server.protocol))
            writer.close()
            if code is not None and not done.done():
                done.set_result(code)

    listener = await asyncio.start_server(connected, "127.0.0.1", port)
    chosen = listener.sockets[0].getsockname()[1]
    print(f"coderls listens on 127.0.0.1:{chosen}", file=sys.stderr, flush=True)
    try:
        return await done
    finally:
        listener.close()


async def _serve(server: Server, reading: Coroutine[Any, Any, None]) -> int | None:
    """Run a connection to its end; the exit code that the client asked for, or None if it just went away."""
    sys.setswitchinterval(TURN_S)
    look_seldom()
    read = asyncio.ensure_future(reading)
    gone = asyncio.ensure_future(server.client_gone.wait())
    ready = asyncio.get_running_loop().call_later(_SILENCE_S, server.protocol.get_ready)
    try:
        await asyncio.wait({read, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ready.cancel()
        for task in (read, gone):
            task.cancel()
        await asyncio.gather(read, gone, return_exceptions=True)
        await server.close()
    return server.protocol.exit_code


def log_fault(loop: asyncio.AbstractEventLoop, fault: dict[str, Any]) -> None:
    """What asyncio does with a fault in a callback, but for one that is none.

    anyio waits for a socket by a bare `Future.set_result`. Where the wait is cancelled in the turn in which the
    socket is ready, that is called on a future that has ended: nothing is lost, and no editor's log should tell it.
    """
    of_waiting = str(fault.get("message")).startswith("Exception in callback Future.set_result")
    if of_waiting and isinstance(fault.get("exception"), asyncio.InvalidStateError):
        logger.debug("A wait for a socket was cancelled as it ended.")
    else:
        loop.default_exception_handler(fault)


def _code_of_end(server: Server) -> int:
    return _LEFT_IN_ORDER if server.protocol.is_shut_down else _LEFT_ALONE


def _log_to_stderr() -> None:
    """Warnings for everybody; CODERLS_LOG=DEBUG and the like for developers. Never a prompt or a text of the user."""
    level = getattr(logging, os.environ.get("CODERLS_LOG", "WARNING").upper(), None)
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("coderls").setLevel(level if isinstance(level, int) else logging.WARNING)
    # pygls logs texts of documents, and each late cancel as a warning.
    logging.getLogger("pygls").setLevel(logging.ERROR)
