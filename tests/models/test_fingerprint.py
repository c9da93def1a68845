from __future__ import annotations

from pathlib import Path

import pytest

from coderls.errors import ModelNotFound
from coderls.models.fingerprint import fingerprint


def model(folder: Path, weights: bytes, config: str = "{}") -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(config)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "notes.txt").write_text(folder.name)
    return folder


def test_the_same_model_has_the_same_fingerprint_wherever_it_is(tmp_path: Path) -> None:
    weights = bytes(range(256)) * 40_000
    one, two = model(tmp_path / "one", weights), model(tmp_path / "two", weights)
    assert fingerprint(one) == fingerprint(two)
    other = bytearray(weights)
    for place in range(0, len(other), 1000):
        other[place] ^= 1
    prints = {
        fingerprint(one),
        fingerprint(model(tmp_path / "trained", bytes(other))),
        fingerprint(model(tmp_path / "longer", weights + b"\0")),
        fingerprint(model(tmp_path / "last", weights[:-1] + b"\1")),
        fingerprint(model(tmp_path / "configured", weights, '{"a": 1}')),
        fingerprint(model(tmp_path / "small", b"abc")),
    }
    assert len(prints) == 6


def test_a_model_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    folder = model(tmp_path / "one", b"abc")
    (folder / "more.safetensors").mkdir()
    with pytest.raises(ModelNotFound, match="cannot be read"):
        fingerprint(folder)
