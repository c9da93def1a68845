"""Engines for tests: the real process with the scripted fake model."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from coderls.engine.fake import FakeRule, FakeScript, write_fake_model

TOKEN = "a-token-for-tests-0123456789"

SCRIPT = FakeScript(
    rules=(
        FakeRule("def add(a, b):\n    ", "return a + b"),
        FakeRule("greet = ", "'héllo 😀'\nprint(greet)\n\nmore"),
        FakeRule("dice = ", ("one", "two", "three", "four", "five")),
        FakeRule("forever", "x" * 2000),
        FakeRule("breaks here", "okay then", fail="error", fail_after=3),
        FakeRule("no number", "okay", fail="nan"),
        FakeRule("rubbish", "r", fail="garbage"),
        FakeRule("<|im_end|>\n", "injected"),
        FakeRule("Say hi\n", "Hi there!"),
    ),
    token_ms=2.0,
    slots=(256, 4096, 4096),
    context_length=4096,
)


@dataclass(frozen=True)
class Engine:
    """A running engine process."""

    process: subprocess.Popen[bytes]
    http: httpx.Client
    socket: str = ""
    url: str = ""

    def metric(self, name: str) -> float:
        """The sum of a counter over its labels."""
        lines = self.http.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((name + " ", name + "{")))

    def idle(self, within_s: float = 20.0) -> None:
        """Wait until nothing runs."""
        eventually(lambda: self.metric("coderls_queue") == 0, within_s)


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait for a state, and fail if it does not come."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.01)


def start_engine(*arguments: object, log: Path | None = None) -> subprocess.Popen[bytes]:
    """`coderls engine` as a process."""
    command = [sys.executable, "-m", "coderls", "engine", *map(str, arguments)]
    if log is None:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=file)


def answers(http: httpx.Client, state: str = "ready") -> bool:
    """Whether the engine there is in this state."""
    try:
        return http.get("/health").json()["state"] == state
    except httpx.TransportError:
        return False


def unix_http(path: object) -> httpx.Client:
    """A plain client over a unix socket."""
    return httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost", timeout=30)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that a test started."""
    process.terminate()
    process.wait(15)
    if process.stdout is not None:
        process.stdout.close()


@pytest.fixture
def fake_dir(tmp_path: Path) -> Path:
    """A fake model of this test's own."""
    return write_fake_model(tmp_path / "fake", SCRIPT)


@pytest.fixture(scope="session")
def shared_fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_model(tmp_path_factory.mktemp("model") / "fake", SCRIPT)


@pytest.fixture(scope="session")
def unix_engine(shared_fake: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine on a unix socket for all tests that do it no harm."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="cl-", dir="/tmp") as folder:
        path = Path(folder) / "e.sock"
        log = tmp_path_factory.mktemp("log") / "engine.log"
        process = start_engine("--model", shared_fake, "--socket", path, log=log)
        with unix_http(path) as http:
            eventually(lambda: process.poll() is None and path.exists() and answers(http))
            yield Engine(process, http, socket=str(path))
        stop(process)


@pytest.fixture(scope="session")
def loopback_engine(shared_fake: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine on loopback with a token."""
    import json

    folder = tmp_path_factory.mktemp("loopback")
    (folder / "token").write_text(TOKEN + "\n")
    port_file = folder / "port.json"
    listen = ("--listen", "127.0.0.1:0", "--token-file", folder / "token", "--port-file", port_file)
    process = start_engine("--model", shared_fake, *listen, log=folder / "engine.log")
    eventually(port_file.exists)
    url = f"http://127.0.0.1:{json.loads(port_file.read_text())['port']}"
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30) as http:
        eventually(lambda: answers(http))
        yield Engine(process, http, url=url)
    stop(process)
