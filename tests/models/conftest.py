"""Fixtures of the tiny embedded model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.tiny import TinyModel, make_tiny_model


@pytest.fixture
def tiny(tmp_path: Path) -> TinyModel:
    return make_tiny_model(tmp_path)


@pytest.fixture
def pip_finds(tiny: TinyModel, monkeypatch: pytest.MonkeyPatch) -> TinyModel:
    """The real pip, with a folder for an index."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tiny.index))
    return tiny
