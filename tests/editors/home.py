"""Where tests find editors, and the folders, model and engine that an editor under test works with."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from coderls.engine.fake import FakeRule, FakeScript, write_fake_model
from devtools.lsp_client import StdioClient
from tests.server.conftest import Engine, end_engines, engines
from tests.waiting import pause

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
EDITORS = ROOT / "editors"
SERVER = [sys.executable, "-m", "coderls", "--stdio"]
SCRIPT = FakeScript(
    rules=(
        FakeRule("def add(a, b):\n    return ", "a + b"),
        FakeRule("sum_of_both = ", "a + b"),
        FakeRule("difference = ", "a - b"),
        FakeRule("one = ", ("'first'", "'second'", "'third'")),
        FakeRule("total(", "left, right)"),
        FakeRule("block:\n    ", "first = 1\n    second = 2"),
        FakeRule("make it a sum", "```python\ndef whole(values):\n    return sum(values)\n```"),
        FakeRule("name `qqq`", "```python\ndef f(count):\n    return count\n```"),
        FakeRule("poison = ", "1", fail="die"),
    ),
    default="pass",
)


def installed(name: str, program: str) -> Path:
    """The program of an editor. Skips the test where it was not fetched; fails in CI, which fetches all of them."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("CODERLS_TEST_EDITORS") or Path(cache) / "coderls-test-editors")
    path = folder / name / program
    if not (folder / name / ".installed").exists():
        why = f"{name} is not there: run tests/editors/install.sh {name}"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return path


def until(condition: Callable[[], T], what: str, within_s: float = 20.0, said: Callable[[], object] = str) -> T:
    """Wait for a state, and fail if it does not come. Returns what `condition` returned."""
    began = time.monotonic()
    while not (found := condition()):
        assert time.monotonic() < began + within_s, f"{what} did not come to pass. {said()}"
        pause(began)
    return found


class Home:
    """A folder to work in, the fake model, and an engine that all editors of these tests share."""

    def __init__(self, script: FakeScript = SCRIPT) -> None:
        base = "/tmp" if Path("/tmp").is_dir() else None
        self.path = Path(tempfile.mkdtemp(prefix="cl-", dir=base))
        self.work = self.path / "work"
        self.work.mkdir()
        (self.work / "pyproject.toml").write_text("[project]\nname = 'work'\n")
        (self.path / "run").mkdir(mode=0o700)
        self.model = write_fake_model(self.path / "fake", script)

    @property
    def environment(self) -> dict[str, str]:
        """For the server: folders of its own."""
        return {"CODERLS_CACHE": str(self.path / "cache"), "CODERLS_RUNTIME": str(self.path / "run")}

    @property
    def quiet(self) -> dict[str, str]:
        """For the editor: nothing of the user's is read or written, and no proxy or network is asked."""
        home = self.path / "home"
        home.mkdir(exist_ok=True)
        names = ("CONFIG", "DATA", "STATE", "CACHE")
        folders = {f"XDG_{name}_HOME": str(home / name.lower()) for name in names}
        return {**folders, "HOME": str(home), "TERM": "xterm-256color", "LANG": "C.UTF-8", **self.environment}

    @property
    def settings(self) -> dict[str, object]:
        """Options of the server: the fake model, no delay, nothing learnt from earlier tests."""
        return {
            "engine": {"model": str(self.model), "idle_exit_s": 120},
            "completion": {"debounce_ms": 0},
            "stats": {"enabled": False},
        }

    def file(self, name: str, text: str) -> Path:
        """A file in the folder."""
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def warm(self) -> None:
        """Have the engine run: for editors that ask once, and do not say when asking again would help."""
        with StdioClient(SERVER, self.environment, cwd=self.work) as client:
            client.initialize(self.work, initializationOptions=self.settings)
            said = "The engine is ready"
            client.wait_for(
                lambda: any(said in note["message"] for note in client.notifications("window/logMessage")), 60, said
            )

    def engines(self) -> list[Engine]:
        """The engines that answer."""
        return engines(self.path)

    def close(self) -> None:
        """End the engines, and remove everything."""
        end_engines(self.path)
        shutil.rmtree(self.path, ignore_errors=True)
