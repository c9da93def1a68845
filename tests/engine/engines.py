"""Engines for tests: the real process with the scripted fake model."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from coderls.engine.client import Endpoint, EngineClient
from coderls.engine.fake import FakeRule, FakeScript
from coderls.tokenizer import Tokenizer
from tests.waiting import pause

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
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + within_s, "it did not come to that"
        pause(began)


def start_engine(*arguments: object, log: Path | None = None) -> subprocess.Popen[bytes]:
    """`coderls engine` as a process."""
    command = [sys.executable, "-m", "coderls", "engine", *map(str, arguments)]
    if log is None:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=file)


def answers(http: httpx.Client, state: str = "ready") -> bool:
    """Whether the engine there is in this state."""
    return bool(http.get("/health").json()["state"] == state)


def accepts(path: object) -> bool:
    """Whether somebody listens there (httpx leaks its socket when nobody does)."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def unix_http(path: object) -> httpx.Client:
    """A plain client over a unix socket, once somebody listens there."""
    eventually(lambda: accepts(path))
    transport = httpx.HTTPTransport(uds=str(path), verify=False)  # reading certificates takes 30 ms, each time
    return httpx.Client(transport=transport, base_url="http://localhost", timeout=30)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that a test started."""
    process.terminate()
    process.wait(15)
    if process.stdout is not None:
        process.stdout.close()


def ids_of(engine: Engine, text: str) -> tuple[int, ...]:
    """Token ids of the fake model's text: a prompt of them says what the text would."""
    folder = engine.http.get("/health").json()["model_path"]
    return tuple(Tokenizer.from_file(Path(folder) / "tokenizer.json").encode(text))


@asynccontextmanager
async def connected(engine: Engine) -> AsyncIterator[EngineClient]:
    """A client of ours that knows what the engine says of itself."""
    client = EngineClient(Endpoint(socket=engine.socket))
    try:
        await client.health()
        yield client
    finally:
        await client.aclose()
