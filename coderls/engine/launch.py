"""Finds the engine that fits the settings, or starts it: exactly one, however many fronts come at once."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import coderls
from coderls import paths
from coderls.engine.api import LEAVING, PROTOCOL_VERSION, Health
from coderls.engine.client import Endpoint, EngineClient
from coderls.engine.lock_file import LockFile
from coderls.engine.unix_socket import is_too_long
from coderls.errors import (
    EngineError,
    EngineMismatch,
    EngineSilent,
    EngineStartFailed,
    EngineUnreachable,
    ModelBroken,
    RequestRefused,
)
from coderls.models import store
from coderls.settings import EngineSettings

NO_UNIX_SOCKETS = sys.platform == "win32" or not hasattr(socket, "AF_UNIX")
POLL_S, RARELY_S = 0.05, 0.25
ANSWER_S = 60.0  # a process that was started has to answer after so long; the model may take longer
LOG_LINES = 12
#: What is reported before there is an engine that can say how far it is.
STARTING, WAITING = "starting the engine", "waiting for another coderls that starts the engine"

#: Settings that the engine process is given as options of the same name. Engines that differ in one are different.
ENGINE_OPTIONS = (
    *("device", "dtype", "weights", "kv_cache", "native", "threads", "context_length"),
    *("memory_gb", "gpu_memory_gb", "speculation", "draft_model", "battery"),
)

#: A line of the engine's log that is no complaint.
_NEWS = re.compile(r"\S+ \S+ (INFO|DEBUG) ")

Progress = Callable[[str, float], None]


def endpoint_for(settings: EngineSettings, *, loopback: bool = NO_UNIX_SOCKETS) -> Endpoint:
    """Where the engine for these settings is, or will be once it is started.

    `loopback`: a port with a token instead of a unix socket. Raises ModelNotFound or ModelBroken.
    """
    if settings.url.startswith("unix:"):
        return Endpoint(socket=settings.url.removeprefix("unix:"), foreign=True)
    if settings.url:
        return Endpoint(url=settings.url, foreign=True)
    name = f"e-{_identity(settings)}"
    if loopback:
        return Endpoint(port_file=str(paths.runtime_dir() / f"{name}.json"))
    path = paths.runtime_dir() / f"{name}.sock"
    if is_too_long(path):
        path = paths.private_folder(short_folder_path()) / path.name
    return Endpoint(socket=str(path))


def log_file(settings: EngineSettings) -> Path:
    """Where the engine for these settings writes its log."""
    return paths.logs_dir() / f"engine-{_identity(settings)}.log"


async def connect_or_start(
    settings: EngineSettings, progress: Progress | None = None, *, loopback: bool = NO_UNIX_SOCKETS
) -> EngineClient:
    """A client of an engine that is ready: the one that runs, or a new one.

    With `settings.url` nothing is started. Raises EngineStartFailed (with the last lines of the log), ModelNotFound,
    ModelBroken, and for a foreign engine what `EngineClient.health` raises.
    """
    say = progress or (lambda detail, fraction: None)
    endpoint = await asyncio.to_thread(endpoint_for, settings, loopback=loopback)
    if endpoint.foreign:
        return await _connect_foreign(endpoint, settings)
    found = await _connect(endpoint)
    started: _Started | None = None
    if found is None:
        async with _start_lock(endpoint, say):
            found = await _connect(endpoint)  # another front may have started it meanwhile
            if found is None:
                say(STARTING, 0.0)
                started = _start(settings, endpoint)
                found = await _answering(endpoint, started)
    try:
        await _ready(found, settings, started, say)
    except BaseException:
        await found.aclose()
        raise
    return found


async def connect(settings: EngineSettings, *, loopback: bool = NO_UNIX_SOCKETS) -> EngineClient | None:
    """A client of the engine that runs already, whatever its state; None when there is none of ours. Starts nothing.

    Raises EngineError (a foreign engine that does not answer, one that speaks another protocol) and ModelError.
    """
    endpoint = await asyncio.to_thread(endpoint_for, settings, loopback=loopback)
    return await _connect_foreign(endpoint, settings) if endpoint.foreign else await _connect(endpoint)


async def _connect_foreign(endpoint: Endpoint, settings: EngineSettings) -> EngineClient:
    client = EngineClient(endpoint, token=settings.token, model=settings.model)
    try:
        await client.health()
    except BaseException:
        await client.aclose()
        raise
    return client


async def _connect(endpoint: Endpoint) -> EngineClient | None:
    """A client of the engine that answers there; None when nobody does, or only one that is on its way out."""
    client = _client(endpoint)
    if client is None:
        return None
    try:
        leaving = (await client.health()).state == LEAVING  # a new one can be started, and waits for its end
        if leaving:
            await client.aclose()
            return None
    except EngineUnreachable:
        await client.aclose()
        return None
    except (EngineMismatch, RequestRefused):
        await client.aclose()
        if endpoint.port_file:  # a dead engine's port may be somebody else's by now
            return None
        raise
    except BaseException:
        await client.aclose()
        raise
    return client


def _client(endpoint: Endpoint) -> EngineClient | None:
    if endpoint.socket:
        return EngineClient(endpoint) if Path(endpoint.socket).exists() else None
    try:
        raw = json.loads(Path(endpoint.port_file).read_text(encoding="utf-8"))
        host, port, token = str(raw["host"]), int(raw["port"]), str(raw["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or of a process that died while it wrote
    return EngineClient(Endpoint(url=f"http://{host}:{port}", port_file=endpoint.port_file), token=token)


@contextlib.asynccontextmanager
async def _start_lock(endpoint: Endpoint, say: Progress) -> AsyncIterator[None]:
    """Held by the front that starts the engine, until that answers."""
    lock = LockFile(f"{endpoint.socket or endpoint.port_file}.start")
    try:
        while not lock.acquire():
            say(WAITING, 0.0)
            await asyncio.sleep(POLL_S)
    except OSError as error:
        raise EngineStartFailed(
            f"{lock.path} cannot be made: {error}.", "Make room there, or set CODERLS_RUNTIME."
        ) from error
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True, slots=True)
class _Started:
    """An engine process of ours, and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def failed(self, what: str) -> EngineStartFailed:
        return EngineStartFailed(what, _log_hint(self.log))


def _start(settings: EngineSettings, endpoint: Endpoint) -> _Started:
    log = log_file(settings)
    with contextlib.suppress(OSError):  # nothing to keep, or Windows still holds it: then it is overwritten
        os.replace(log, log.with_suffix(".old.log"))
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            process = subprocess.Popen(
                _command(settings, endpoint),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # it outlives this editor, and a Ctrl+C in its terminal
                creationflags=flags,
                cwd=paths.runtime_dir(),  # `python -m` imports from there: never from the user's project
                env={**os.environ, "CODERLS_CACHE": str(paths.cache_dir())},  # a relative path means nothing there
            )
    except OSError as error:
        raise EngineStartFailed(
            f"The engine process could not be started: {error}.", "Run `coderls doctor`."
        ) from error
    # Somebody has to take note of its end, or it stays as a zombie for as long as this process lives.
    threading.Thread(target=process.wait, name="engine-reaper", daemon=True).start()
    return _Started(process, log)


def _command(settings: EngineSettings, endpoint: Endpoint) -> list[str]:
    values = {name: str(getattr(settings, name)) for name in ENGINE_OPTIONS}
    if settings.draft_model:
        values["draft_model"] = _model_argument(settings.draft_model)
    if endpoint.socket:
        where = ["--socket", endpoint.socket]
    else:
        where = ["--listen", "127.0.0.1:0", "--port-file", endpoint.port_file]
    return [
        *(sys.executable, "-m", "coderls", "engine", "--model", _model_argument(settings.model), *where),
        *(part for name, value in values.items() for part in (f"--{name.replace('_', '-')}", value)),
        *("--idle-exit", str(settings.idle_exit_s), "--background"),
    ]


def _model_argument(model: str) -> str:
    """A model's name, or its whole path: a relative one means nothing in another folder."""
    found = store.resolve(model)
    return model if found.path.is_relative_to(paths.models_dir()) else str(found.path)


async def _answering(endpoint: Endpoint, started: _Started) -> EngineClient:
    """Wait until the process that was started answers at its address."""
    until = time.monotonic() + ANSWER_S
    while time.monotonic() < until:
        left = started.process.poll() is not None
        client = await _connect(endpoint)  # after the look at the process: it may have left for another that is there
        if client is not None:
            return client
        if left:
            raise started.failed(f"The engine process left with code {started.process.returncode}.")
        await asyncio.sleep(POLL_S)
    started.process.terminate()
    raise started.failed(f"The engine process did not answer for {ANSWER_S:.0f} s.")


async def _ready(client: EngineClient, settings: EngineSettings, started: _Started | None, say: Progress) -> Health:
    """Wait until the model is loaded, and say how far it is: as it loads, each question takes time from that."""
    began = heard = time.monotonic()
    while True:
        try:
            health = await client.health()
            heard = time.monotonic()
        except EngineError as error:
            if isinstance(error, EngineSilent) and time.monotonic() - heard < ANSWER_S:
                continue  # while it reads PyTorch's libraries from a slow disk it answers nobody
            code = started.process.poll() if started else None
            what = "The engine left while it loaded the model" + (f" (code {code})." if code is not None else ".")
            raise EngineStartFailed(what, _log_hint(log_file(settings))) from error
        if health.state == "ready":
            return health
        if health.state == "failed":
            raise EngineStartFailed(
                f"The engine could not load its model: {health.detail}",
                _log_hint(log_file(settings), known=health.detail),
            )
        say(health.detail or health.state, health.fraction)
        await asyncio.sleep(min(RARELY_S, max(POLL_S, (heard - began) / 10)))


def _log_hint(log: Path, *, known: str = "") -> str:
    """Where the log is, and its end. Where the reason is `known`: without it, and without what is no complaint."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    except OSError:
        lines = []
    if known:
        lines = [line for line in lines if known.partition("\n")[0] not in line and not _NEWS.match(line)]
    return f"Its log is {log}." + ("\n" + "\n".join(lines) if lines else "")


def _identity(settings: EngineSettings) -> str:
    """What makes engines different: version, user, model with its files, settings. It names the socket.

    Not `idle_exit_s`: two editors that differ in it only shall not hold the model twice.
    """
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    model = store.resolve(settings.model)
    options = [getattr(settings, name) for name in ENGINE_OPTIONS]
    facts = [coderls.__version__, user, *options]
    for one in (model, *([store.resolve(settings.draft_model)] if settings.draft_model else [])):
        facts.append(str(one.path.resolve()))
        if one.name != store.NANO:  # its folder's name says which build it is
            facts += _files(one.path)
    return hashlib.sha256(json.dumps([PROTOCOL_VERSION, *facts]).encode()).hexdigest()[:16]


def _files(folder: Path) -> list[str]:
    """Name, size and time of what the engine reads: a model that was replaced gets an engine of its own."""
    try:
        found = sorted(file for file in folder.iterdir() if file.suffix in (".json", ".safetensors", ".jinja"))
        return [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in found]
    except OSError as error:
        raise ModelBroken(f"{folder} cannot be read: {error}.", "Check the folder's permissions.") from error


def short_folder_path() -> Path:
    """A folder with a short name, for where the usual one is too long for a socket. It is not made here."""
    base = "/tmp" if Path("/tmp").is_dir() else tempfile.gettempdir()
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(base) / f"coderls-{user}"
