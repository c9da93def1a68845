"""Front ends as editors start them: the real process over stdio, the real engine process with the scripted model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from coderls.engine.fake import FakeRule, FakeScript, write_fake_model
from devtools.lsp_client import CAPABILITIES, StdioClient
from tests.waiting import pause

SCRIPT = FakeScript(
    rules=(
        FakeRule("def add(a, b):\n    return ", "a + b"),
        FakeRule("forever = ", "'" + "".join(map(str, range(1000, 2000)))),
        FakeRule("marker = ", "found"),
        FakeRule("block:\n    ", "first = 1\n    second = 2"),
        FakeRule("poison = ", "1", fail="die"),
    ),
    default="pass",
    token_ms=5.0,
)
WITHOUT_GHOST_TEXT = {**CAPABILITIES, "textDocument": {"completion": {}}}


def eventually(condition: Callable[[], bool], what: str = "it", within_s: float = 30.0) -> None:
    """Wait for a state outside of the protocol, and fail if it does not come."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + within_s, f"{what} did not come to pass"
        pause(began)


class Front(StdioClient):
    """A client whose server has folders and a model of its own."""

    home: Path
    asked = 0

    def ready(self) -> Front:
        """Wait until completions can be had."""
        self.wait_for(lambda: any("engine is ready" in line for line in self.logged()), 60, "a ready engine")
        return self

    def logged(self) -> list[str]:
        """The lines in the editor's log of this server."""
        return [message["params"]["message"] for message in self.messages if message["method"] == "window/logMessage"]

    def shown(self) -> list[str]:
        """What the user was shown."""
        return [message["params"]["message"] for message in self.messages if message["method"] == "window/showMessage"]

    def put(self, marked: str, name: str = "a.py", language_id: str = "python") -> tuple[str, int, int]:
        """Open a document; its URI, and line and character (UTF-16) of the `$0` in it."""
        before, _, after = marked.partition("$0")
        uri = self.open(self.home / "work" / name, before + after, language_id)
        last = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")[-1]
        line = len(before.replace("\r\n", "\n").replace("\r", "\n").split("\n")) - 1
        return uri, line, len(last.encode("utf-16-le")) // 2

    def ghost(self, marked: str, name: str = "a.py", language_id: str = "python") -> str | None:
        """The ghost text at the `$0`, asked of the engine: the same was never asked before."""
        Front.asked += 1
        return text_of(self.wait(self.inline_request(*self.put(f"# {Front.asked}\n{marked}", name, language_id))))

    def engine(self) -> Engine:
        """The engine that serves this front."""
        [found] = engines(self.home)
        return found


@dataclass(frozen=True)
class Engine:
    """A running engine process, seen from its socket."""

    socket: Path

    def get(self, path: str) -> httpx.Response:
        transport = httpx.HTTPTransport(uds=str(self.socket), verify=False)  # certificates take 30 ms, each time
        with httpx.Client(transport=transport, base_url="http://localhost") as http:
            return http.get(path)

    def health(self) -> dict[str, Any]:
        return dict(self.get("/health").json())

    @property
    def pid(self) -> int:
        return int(self.health()["pid"])

    def metric(self, name: str) -> float:
        lines = self.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((name + " ", name + "{")))

    def working(self) -> bool:
        return self.metric("coderls_queue") > 0

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", "its end")


def engines(home: Path) -> list[Engine]:
    """The engines that answer in a runtime folder."""
    found = []
    for socket in sorted((home / "run").rglob("*.sock")):
        engine = Engine(socket)
        with suppress(httpx.TransportError):  # a stale socket
            engine.health()
            found.append(engine)
    return found


def engine_processes(home: Path) -> list[int]:
    """Ids of all engine processes whose socket is in a runtime folder, whether they answer or not."""
    mark = str(home)
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "engine" in line and any(mark in word for word in line) and process.status() != "zombie":
            found.append(process.pid)
    return found


def end_engines(home: Path) -> None:
    """End all engines of a runtime folder, and wait for their end."""
    while found := engine_processes(home):
        for pid in found:
            with suppress(ProcessLookupError):  # one that has failed leaves by itself
                os.kill(pid, signal.SIGTERM)
        eventually(lambda: not any(map(_runs, found)), "the end of all engines")


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def text_of(result: Mapping[str, Any]) -> str | None:
    """The text of the only item, or None."""
    items = result["items"]
    assert len(items) <= 1
    return items[0]["insertText"] if items else None


class Home:
    """Folders for the fronts and engines of one test, and their end."""

    def __init__(self) -> None:
        base = "/tmp" if Path("/tmp").is_dir() else None
        self.path = Path(tempfile.mkdtemp(prefix="cl-", dir=base))
        (self.path / "work").mkdir()
        self.fronts: list[Front] = []

    def model(self, script: FakeScript = SCRIPT, name: str = "fake") -> Path:
        folder = self.path / name
        return folder if folder.exists() else write_fake_model(folder, script)

    def environment(self) -> dict[str, str]:
        return {"CODERLS_CACHE": str(self.path / "cache"), "CODERLS_RUNTIME": str(self.path / "run")}

    def front(
        self,
        command: Sequence[str] = (sys.executable, "-m", "coderls", "--stdio"),
        *,
        env: Mapping[str, str] | None = None,
    ) -> Front:
        """A server process that was not spoken to yet."""
        (self.path / "run").mkdir(mode=0o700, exist_ok=True)
        log = (self.path / f"front-{len(self.fronts)}.log").open("wb")
        with log:
            front = Front(command, {**self.environment(), **(env or {})}, stderr=log, cwd=self.path)
        front.home = self.path
        self.fronts.append(front)
        return front

    def log(self, number: int = 0) -> str:
        """What a front wrote to stderr so far."""
        return (self.path / f"front-{number}.log").read_text(encoding="utf-8", errors="replace")

    def started(self, *, options: Any = None, script: FakeScript = SCRIPT, **initialize: Any) -> Front:
        """A server process that was initialized with the fake model."""
        front = self.front()
        engine = {"model": str(self.model(script)), "idle_exit_s": 60}
        params = {"initializationOptions": {"engine": engine, **(options or {})}, **initialize}
        front.initialize(self.path / "work", **params)
        return front

    def close(self) -> None:
        for front in self.fronts:
            front.close()
        end_engines(self.path)
        shutil.rmtree(self.path, ignore_errors=True)


@pytest.fixture
def home() -> Iterator[Home]:
    """Folders of this test's own."""
    made = Home()
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Front]:
    """A front that is ready, for the tests of a module that leave it as it was."""
    made = Home()
    # Long enough that a generation which nobody stops would be seen to run on.
    yield made.started(options={"completion": {"max_tokens": 4000}}).ready()
    made.close()


def written(path: Path) -> Any:
    """The JSON lines of a file that may still grow."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
