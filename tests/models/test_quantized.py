"""Where quantized copies lie, by the directory that they were made from."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest

from coderls.errors import ModelBroken
from coderls.models.quantized import file_for, files_of, quantized_dir, remove_orphans


def model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def copy_of(folder: Path, form: str) -> Path:
    """The header of a copy; nothing here reads more."""
    file = file_for(folder, form)
    file.parent.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"__metadata__": {"source": str(folder)}}).encode()
    file.write_bytes(struct.pack("<Q", len(header)) + header)
    return file


def test_each_directory_and_form_has_a_file_of_its_own(tmp_path: Path) -> None:
    one, other = model(tmp_path / "a" / "qwen"), model(tmp_path / "b" / "qwen")
    names = {file_for(folder, form) for folder in (one, other) for form in ("int8", "int4-g32")}
    assert len(names) == 4
    assert file_for(one, "int8") == file_for(one, "int8")
    assert all(name.parent == quantized_dir() for name in names)


def test_other_weights_are_another_file(tmp_path: Path) -> None:
    folder = model(tmp_path / "qwen")
    before = file_for(folder, "int8")
    (folder / "notes.txt").write_text("not read", encoding="utf-8")
    assert file_for(folder, "int8") == before
    os.utime(folder / "model.safetensors", ns=(5, 5))
    assert file_for(folder, "int8") != before


def test_a_models_files_are_found_and_no_others(tmp_path: Path) -> None:
    one, other = model(tmp_path / "qwen"), model(tmp_path / "qwen-int8")
    assert files_of(one) == []
    ours, theirs = copy_of(one, "int8"), copy_of(other, "int8")
    os.utime(one / "model.safetensors", ns=(5, 5))
    newer = copy_of(one, "int8")
    assert files_of(one) == sorted([ours, newer])
    assert files_of(other) == [theirs]


def test_copies_of_models_that_are_gone_go_too(tmp_path: Path) -> None:
    one, other = model(tmp_path / "qwen"), model(tmp_path / "gone")
    kept, orphan = copy_of(one, "int8"), copy_of(other, "int4-g32")
    foreign = quantized_dir() / "something.safetensors"
    foreign.write_bytes(b"?")
    (other / "config.json").unlink()
    (other / "model.safetensors").unlink()
    other.rmdir()
    remove_orphans()
    assert kept.exists()
    assert foreign.exists()
    assert not orphan.exists()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match="cannot be read"):
        file_for(tmp_path / "nowhere", "int8")
