"""The engine process: binds its address before anything slow, serves, and leaves when nobody uses it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import secrets
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from coderls.engine.app import make_app
from coderls.engine.exit_door import ExitDoor
from coderls.engine.lock_file import LockFile
from coderls.engine.metrics import Metrics
from coderls.engine.unix_socket import LONGEST_SOCKET_PATH, is_too_long, listens
from coderls.engine.worker import Loaded, Report, Worker
from coderls.errors import EngineStartFailed, SettingsError

log = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "localhost", "::1")
FAILED_LINGER_S = 5.0  # so that whoever waits for the model can read why it failed; they stay connected until then
LEAVING_S = 15.0  # an engine that has stopped listening is given so long to be gone
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound address. `token`: what clients must send there (None on a unix socket). `close` removes its files.

    `stop_token`: what a request to leave must name, and only this user can read; "": nothing (only this user can open
    the socket); None: nobody can ask for that.
    """

    socket: socket.socket
    name: str
    token: str | None
    close: Callable[[], None]
    stop_token: str | None = None


def listen_unix(path: Path) -> Listener:
    """Bind a unix socket with mode 0600. The stale one of a dead engine is replaced, and one that leaves is waited for.

    Raises EngineStartFailed: taken by a live process, path too long, no permission, something else of that name.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise EngineStartFailed("This system has no unix sockets.", "Use --listen 127.0.0.1:0.")
    if is_too_long(path):
        raise EngineStartFailed(
            f"The socket path {path} is longer than {LONGEST_SOCKET_PATH} bytes.", "Choose a shorter one."
        )
    lock = LockFile(f"{path}.lock")  # held for life: the system frees it even if the engine is killed
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not path.parent.is_dir():  # the lock would make it, for everybody to enter
            raise FileNotFoundError(errno.ENOENT, "no such folder")
        _wait_for(lock, path)
        _remove_stale(path)
        before = os.umask(0o177)  # so that the socket is never wider than 0600, not even for a moment
        try:
            server.bind(str(path))
        finally:
            os.umask(before)
        server.listen(128)
    except OSError as error:
        server.close()
        lock.release()
        raise _bind_failed(str(path), error) from error

    def close() -> None:
        path.unlink(missing_ok=True)
        lock.release()

    return Listener(server, f"unix:{path}", None, close, stop_token="")


def _wait_for(lock: LockFile, path: Path) -> None:
    """Take `lock` from an engine that is on its way out. Raises OSError when that one listens, or does not leave."""
    until = time.monotonic() + LEAVING_S
    while not lock.acquire():
        if listens(path) or time.monotonic() > until:
            raise OSError(errno.EADDRINUSE, "another engine holds its lock")
        time.sleep(POLL_S)


def _remove_stale(path: Path) -> None:
    """Take away a socket that nobody listens on. Raises OSError for anything else of that name."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise FileExistsError(errno.EEXIST, "it is a file that is no socket")
    if listens(path):
        raise OSError(errno.EADDRINUSE, "another process listens on it")
    path.unlink(missing_ok=True)


def listen_loopback(
    host: str, port: int, *, token: str = "", port_file: Path | None = None, listed: Path | None = None
) -> Listener:
    """Bind a port on loopback (0: any free one), with a bearer token (a random one by default).

    `port_file` is where port, token and process id are written for clients, with mode 0600; `listed` another such file,
    by which `running` finds the engine. Without that one it serves as well, where it cannot be written.
    Raises SettingsError: not loopback. Raises EngineStartFailed: taken, no permission.
    """
    if host not in LOOPBACK:
        raise SettingsError(f"The engine does not listen on {host!r}.", "Use 127.0.0.1, localhost or ::1.")
    token = token or secrets.token_urlsafe(32)
    stop_token = secrets.token_urlsafe(32)  # other programs are given the other one
    written: dict[Path, str] = {}
    # asyncio sends without delay (TCP_NODELAY) only where the protocol is named: 40 ms of each first byte otherwise
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # on Windows it would let two processes share the port
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, port))
        server.listen(128)
        port = server.getsockname()[1]
        facts = {"host": host, "port": port, "token": token, "stop_token": stop_token, "pid": os.getpid()}
        if port_file is not None:
            _write_private(port_file, json.dumps(facts))
            written[port_file] = json.dumps(facts)
    except OSError as error:
        server.close()
        raise _bind_failed(f"{host}:{port}", error) from error

    with contextlib.suppress(OSError):
        if listed is not None:
            _write_private(listed, json.dumps(facts))
            written[listed] = json.dumps(facts)

    def close() -> None:
        for file, text in written.items():
            with contextlib.suppress(OSError, ValueError):  # gone already
                if file.read_text(encoding="utf-8") == text:  # not that of an engine which came after this one
                    file.unlink(missing_ok=True)

    shown = f"[{host}]" if ":" in host else host
    return Listener(server, f"http://{shown}:{port}", token, close, stop_token if written else None)


def _write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, whole or not at all."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(beside, path)


def _bind_failed(where: str, error: OSError) -> EngineStartFailed:
    number = error.errno
    if number == errno.EADDRINUSE:
        return EngineStartFailed(f"{where} is taken: another process listens there.", "Stop it, or choose another.")
    if number in (errno.EACCES, errno.EPERM):
        return EngineStartFailed(f"There is no permission to listen on {where}.", "Choose another place.")
    if number in (errno.ENOENT, errno.ENOTDIR):
        return EngineStartFailed(f"The folder of {where} is not there.", "Make it, or choose another place.")
    return EngineStartFailed(f"The engine cannot listen on {where}: {error}.", "Choose another place.")


class _Server(uvicorn.Server):
    """uvicorn, but without its ten wake-ups a second, and without dying of the signal that it was stopped by."""

    def __init__(self, config: uvicorn.Config, worker: Worker) -> None:
        super().__init__(config)
        self._worker = worker
        self._leave = asyncio.Event()
        self._leaving = threading.Event()
        self._loop = asyncio.get_running_loop()
        self.signal = 0  # the one that it left by

    def leave(self) -> None:
        """Stop serving; may be called from any thread and from signal handlers."""
        if not self._loop.is_closed():
            # Not in the handler of a signal: a second one may come in the middle of it.
            self._loop.call_soon_threadsafe(self._leaving.set)
            self._loop.call_soon_threadsafe(self._leave.set)

    def linger(self, seconds: float) -> None:
        """Wait in another thread until it leaves, or until all who have asked are gone; so long at most."""
        until, state = time.monotonic() + seconds, self.server_state
        while time.monotonic() < until and (state.connections or not state.total_requests):
            if self._leaving.wait(POLL_S):
                return

    async def main_loop(self) -> None:
        """Wait for the end; nothing has to be done in between."""
        await self._leave.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what runs with an error first: uvicorn waits for its connections.

        Before that nobody listens any more: who comes now starts the next engine, which waits for the end of this one.
        """
        for server in self.servers:
            server.close()
        await asyncio.to_thread(self._worker.stop)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave cleanly at SIGTERM and SIGINT; uvicorn's own would raise them again before our files are removed.

        The handlers stay to the end: a second Ctrl+C shall not leave files behind.
        """

        def handle(number: int, _: FrameType | None) -> None:
            log.info("Leaving: signal %d", number)
            self.signal = number
            self.leave()

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, handle)
        yield


def serve(listener: Listener, load: Callable[[Report], Loaded], *, model: str, idle_exit_s: float = 0.0) -> int:
    """Serve until a signal, or until nobody has asked for `idle_exit_s` seconds (0: for ever). Returns the exit code.

    The address answers at once; `load` runs in the worker's thread meanwhile. Code 1: the model could not be loaded;
    128 and its number: a signal. Where the worker's thread cannot be ended, the process ends here.
    """
    metrics = Metrics()
    worker = Worker(load, model=model, metrics=metrics)
    number = 0
    try:
        number = asyncio.run(_serve(listener, worker, metrics, idle_exit_s))
    except (KeyboardInterrupt, SystemExit) as error:  # before our own handlers were there
        number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM
    finally:
        ended = worker.stop()
        listener.close()
    code = 128 + number if number else 1 if worker.health.state == "failed" else 0
    if not ended:
        _end_at_once(code)
    return code


def _end_at_once(code: int) -> None:
    """End the process under a thread that is inside of a library: Python's own end would abort it in there."""
    log.info("The model's thread is still at work: the process ends without it")
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


async def _serve(listener: Listener, worker: Worker, metrics: Metrics, idle_exit_s: float) -> int:
    """Serve; returns the signal that ended it, or 0."""
    clock = _UseClock()
    exit_door = ExitDoor(listener.stop_token)
    config = uvicorn.Config(
        make_app(worker, metrics, token=listener.token, in_use=clock.in_use, exit_door=exit_door),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
        timeout_keep_alive=120,
        timeout_graceful_shutdown=3,
    )
    server = _Server(config, worker)
    exit_door.leave = server.leave
    worker.on_loaded = clock.touch
    worker.on_end = lambda: _leave_after_failure(server, worker)
    idle = asyncio.create_task(_leave_when_idle(server, worker, clock, idle_exit_s))
    worker.start()
    log.info("Listening on %s", listener.name)
    try:
        await server.serve(sockets=[listener.socket])
    finally:
        idle.cancel()
        await asyncio.gather(idle, return_exceptions=True)
    log.info("Left")
    return server.signal


class _UseClock:
    """When the engine was last used, and whether it is now. Requests are counted in the event loop's thread alone."""

    def __init__(self) -> None:
        self._requests = 0
        self.touch()

    def touch(self) -> None:
        """It was of use up to now; may be called from any thread."""
        self._last = time.monotonic()

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Around a request: the time that it takes does not count as idle."""
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1
            self.touch()

    def idle_s(self) -> float:
        """Seconds since the last use."""
        return 0.0 if self._requests else time.monotonic() - self._last


async def _leave_when_idle(server: _Server, worker: Worker, clock: _UseClock, idle_exit_s: float) -> None:
    """`worker` touches the clock at the end of its loading, too: between two looks here it may have become ready."""
    while idle_exit_s > 0:
        if worker.health.state in ("building", "loading"):
            clock.touch()
        left = idle_exit_s - clock.idle_s()
        if left <= 0:
            log.info("Leaving: nobody asked for %.0f s", idle_exit_s)
            server.leave()
            return
        await asyncio.sleep(left)


def _leave_after_failure(server: _Server, worker: Worker) -> None:
    """Called in the worker's thread at its end."""
    if worker.health.state == "failed":
        server.linger(FAILED_LINGER_S)
        server.leave()
