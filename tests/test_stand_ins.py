from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest

from coderls import stand_ins
from coderls.stand_ins import stands_for_nothing

BIN = Path("/usr/bin")


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A Mac without developer tools and without a Java; what was run is noted."""
    ran: list[str] = []

    def run(command: tuple[str, ...], **_: Any) -> subprocess.CompletedProcess[str]:
        ran.append(" ".join(command))
        return subprocess.CompletedProcess(command, 2, "", "nothing there")

    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(subprocess, "run", run)
    stand_ins._says.cache_clear()
    return ran


@pytest.fixture(autouse=True)
def forget() -> Any:
    yield
    stand_ins._says.cache_clear()


def test_what_would_open_a_window_is_not_started(mac: list[str]) -> None:
    assert all(stands_for_nothing(BIN / name) for name in ("gcc", "clang", "git", "cc", "java", "javac"))
    assert sorted(mac) == ["/usr/bin/xcode-select -p", "/usr/libexec/java_home"], "asked once, and nothing else is run"


def test_what_is_no_stand_in(mac: list[str]) -> None:
    assert not stands_for_nothing(BIN / "ruby")
    assert not stands_for_nothing(Path("/opt/homebrew/bin/git"))
    assert mac == []


def test_with_the_tools_they_stand_for_something(
    mac: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(command: tuple[str, ...], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, f"{tmp_path}\n", "")

    monkeypatch.setattr(subprocess, "run", run)
    assert not stands_for_nothing(BIN / "git")
    assert not stands_for_nothing(BIN / "java")


def test_elsewhere_every_program_is_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert not stands_for_nothing(BIN / "git")
