"""The engines of this user that run now: found by their sockets (or port files), asked how they are, and ended.

A front only ever looks for the one engine that fits its settings. Here all of them are found, of whatever version,
and what engines left behind that were killed is removed.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from coderls import paths
from coderls.engine import launch
from coderls.engine.api import STOP_HEADER
from coderls.engine.lock_file import LockFile
from coderls.engine.unix_socket import is_too_long, listens
from coderls.errors import EngineError, EngineStartFailed

ANSWER_S = 5.0
LEAVES_S = 20.0  # what runs is ended first, and connections are waited for
POLL_S = 0.05
SILENT = "silent"  # somebody listens there, and says nothing of use


@dataclass(frozen=True, slots=True)
class Running:
    """One engine: its socket or port file, and what it says of itself. `state` SILENT: nothing."""

    file: Path
    state: str
    health: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Short, and another for each engine: the beginning of what its socket is called after."""
        return self.file.stem.removeprefix("e-")[:8]

    @property
    def model(self) -> str:
        """The name of its model."""
        return str(self.health.get("model", ""))

    @property
    def pid(self) -> int:
        """Its process; 0: unknown."""
        number = self.health.get("pid", 0)
        return number if isinstance(number, int) else 0


def running() -> list[Running]:
    """All engines of this user. Dead ones' files are removed.

    Raises EngineStartFailed where the folder for sockets is not this user's own.
    """
    folders = _folders()
    files = sorted({file for folder in folders for file in _files(folder)})
    with ThreadPoolExecutor(8) as pool:  # one that hangs shall not hold the others up
        found = list(pool.map(_look, files))
    for left in (file for folder in folders for file in folder.glob("e-*.lock")):
        if not left.with_suffix("").exists():
            _sweep(left.with_suffix(""))
    return [one for one in found if one is not None]


def port_file_beside(port_file: Path | None) -> Path | None:
    """Where an engine on a port says that it runs; None where `port_file` does, or this user has no folder for it."""
    try:
        folder = paths.runtime_dir()
    except EngineStartFailed:
        return None
    if port_file is not None and port_file.absolute().parent == folder and port_file.match("e-*.json"):
        return None
    return folder / f"e-{secrets.token_hex(8)}.json"


def chosen(engines: Iterable[Running], name: str) -> list[Running]:
    """Those that `name` means: all, a name of `Running.name` or its beginning, a model, or a process id."""
    engines = list(engines)
    if name == "all":
        return engines
    by_model = [one for one in engines if one.model == name]
    return by_model or [one for one in engines if one.name.startswith(name) or str(one.pid) == name]


def end(engine: Running) -> None:
    """Ask it to leave, and wait until it is gone. Raises EngineError when it does not go, with what can be done."""
    todo = f"End its process{f' ({engine.pid})' if engine.pid else ''}."
    client = _client(engine.file)
    if client is None:
        return
    with client:
        try:
            answer = client.post("/shutdown", headers=_stop_header(engine.file))
        except httpx.HTTPError as error:
            if not engine.file.exists():
                return
            raise EngineError(f"The engine {engine.name} does not answer: {error}.", todo) from error
    if answer.status_code != 202:
        raise EngineError(f"The engine {engine.name} does not leave (status {answer.status_code}).", todo)
    until = time.monotonic() + LEAVES_S
    while engine.file.exists():
        if time.monotonic() > until:
            raise EngineError(f"The engine {engine.name} has not left after {LEAVES_S:.0f} s.", todo)
        time.sleep(POLL_S)


def _folders() -> list[Path]:
    """Where engines of this user may have their sockets: see `launch.endpoint_for`."""
    usual, short = paths.runtime_dir(), launch.short_folder_path()
    return [usual, short] if is_too_long(usual / f"e-{'0' * 16}.sock") and short.is_dir() else [usual]


def _files(folder: Path) -> list[Path]:
    return [*folder.glob("e-*.sock"), *folder.glob("e-*.json")]


def _look(file: Path) -> Running | None:
    """The engine there; None where nobody is, and what was left is swept away."""
    try:
        nobody = file.suffix == ".sock" and not listens(file)
    except OSError:
        return Running(file, SILENT)
    client = None if nobody else _client(file)
    health = None if client is None else _asked(client)
    if health is not None and "protocol" in health:
        return Running(file, str(health.get("state", "")), health)
    # Somebody who is at a socket of this name is left alone; a port may be another program's by now.
    if client is not None and (file.suffix == ".sock" or health is None):
        return Running(file, SILENT)
    _sweep(file)
    return None


def _asked(client: httpx.Client) -> dict[str, Any] | None:
    """What `/health` says; empty: another program answers, or nobody is there; None: no answer in time."""
    with client:
        try:
            answer = client.get("/health")
            health = answer.json() if answer.status_code == 200 else {}
        except (httpx.ConnectError, ValueError):
            return {}
        except httpx.HTTPError:
            return None
    return health if isinstance(health, dict) else {}


def _client(file: Path) -> httpx.Client | None:
    """A client of whoever is there, of any version (it names no protocol); None for a port file that says nothing."""
    if file.suffix == ".sock":
        transport = httpx.HTTPTransport(uds=str(file), verify=False)  # a socket has no TLS
        return httpx.Client(transport=transport, base_url="http://localhost", timeout=ANSWER_S, trust_env=False)
    facts = _port_file(file)
    try:
        host, port, token = str(facts["host"]), int(facts["port"]), str(facts["token"])
    except (KeyError, TypeError, ValueError):
        return None
    where = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    headers = {"authorization": f"Bearer {token}"}
    return httpx.Client(base_url=where, headers=headers, timeout=ANSWER_S, trust_env=False)


def _stop_header(file: Path) -> dict[str, str]:
    token = "" if file.suffix == ".sock" else str(_port_file(file).get("stop_token", ""))
    return {STOP_HEADER: token}


def _port_file(file: Path) -> dict[str, Any]:
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _sweep(file: Path) -> None:
    """Remove what an engine left that was killed. Not while one is starting there: that has the lock."""
    starts = LockFile(f"{file}.start")
    lives = LockFile(f"{file}.lock")
    try:
        if starts.acquire() and (file.suffix != ".sock" or lives.acquire()):
            file.unlink(missing_ok=True)
    except OSError:
        return  # what cannot be removed is looked at again next time
    finally:
        lives.release()
        starts.release()
