"""Libraries are compiled once and kept, as it takes seconds each: a name says what a library was made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from coderls.engine.model.native import build
from devtools.checker_tools import home


@pytest.fixture(scope="session")
def compiled() -> Path:
    """The cache folder that all of them share, and other runs of the tests as well."""
    folder = home() / "steps"
    for note in (folder / "native").glob("*.failed"):  # for want of memory, say: it is tried again
        note.unlink(missing_ok=True)
    return folder


@pytest.fixture
def shared_cache(compiled: Path, isolated_folders: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Compile there, and not in the empty cache that each test has."""
    monkeypatch.setattr(build, "cache_dir", lambda: compiled)
    return compiled
