"""The command line with a scripted model behind a real engine process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from coderls import cli
from coderls.engine.client import Endpoint, EngineClient
from coderls.engine.fake import FakeRule, FakeScript, write_fake_model
from coderls.errors import EngineUnreachable

SCRIPT = FakeScript(
    rules=(
        FakeRule("int:\n    return ", "width * height"),
        FakeRule("total = ", "add(1, 2)\n"),
        FakeRule("greet = ", "'héllo 😀'\n"),
        FakeRule("silence", ""),
        FakeRule("odd = ", ")]}\n"),
    ),
    default="",
)


@dataclass(frozen=True)
class Shown:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model directory that answers by SCRIPT."""
    return write_fake_model(tmp_path / "models" / "scripted", SCRIPT)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project of two files."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[project]\nname = 'sample'\n")
    (folder / "sums.py").write_text('def add(a: int, b: int) -> int:\n    """Both."""\n    return a + b\n')
    (folder / "app.py").write_text("from sums import add\n\ntotal = \nprint(total)\n")
    return folder


@pytest.fixture
def coderls(
    capfd: pytest.CaptureFixture[str], runtime_folder: Path, isolated_folders: None
) -> Iterator[Callable[..., Shown]]:
    """Run a command in this process; engines that it started are ended afterwards."""

    def run(*arguments: object) -> Shown:
        capfd.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        shown = capfd.readouterr()
        return Shown(code, shown.out, shown.err)

    yield run
    for path in (runtime_folder / "coderls").glob("*.sock"):
        with suppress(EngineUnreachable, psutil.NoSuchProcess):  # one that has failed leaves by itself
            end_engine(path)


def end_engine(path: Path) -> None:
    """End the engine that listens on a socket."""

    async def ask() -> int:
        client = EngineClient(Endpoint(socket=str(path)))
        try:
            return (await client.health()).pid
        finally:
            await client.aclose()

    process = psutil.Process(asyncio.run(ask()))
    process.terminate()
    process.wait(20)
