"""Where things are kept: which folders are used, and which are not."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from coderls.errors import EngineStartFailed
from coderls.paths import runtime_dir

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has neither XDG_RUNTIME_DIR nor modes")


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable says anything; temporary files go to `tmp_path`."""
    for name in ("CODERLS_RUNTIME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_of_the_session_where_there_is_one(free: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (free / "session").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(free / "session"))
    assert runtime_dir() == free / "session" / "coderls"
    monkeypatch.setenv("CODERLS_RUNTIME", str(free / "own"))
    assert runtime_dir() == free / "own" / "coderls"


@pytest.mark.parametrize("named", ["missing", "file"])
def test_a_session_folder_that_is_none_is_passed_over(free: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    (free / "file").write_text("")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(free / named))
    assert runtime_dir() == free / f"coderls-{os.getuid()}"


def test_a_folder_that_others_can_enter_is_refused(free: Path) -> None:
    (free / f"coderls-{os.getuid()}").mkdir()
    (free / f"coderls-{os.getuid()}").chmod(0o755)
    with pytest.raises(EngineStartFailed, match="not a private folder"):
        runtime_dir()
