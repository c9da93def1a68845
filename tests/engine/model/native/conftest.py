"""Libraries are compiled once for all tests of a run: it takes seconds each."""

from __future__ import annotations

from pathlib import Path

import pytest

from coderls.engine.model.native import build


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder that all of them share."""
    return tmp_path_factory.mktemp("native-cache")


@pytest.fixture
def shared_cache(compiled: Path, isolated_folders: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Compile there, and not in the empty cache that each test has."""
    monkeypatch.setattr(build, "cache_dir", lambda: compiled)
    return compiled
