from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from coderls import paths
from coderls.errors import ModelBroken, ModelNotFound
from coderls.models import safetensors_file, store
from coderls.models.recipe import nano_recipe


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "my model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    write_weights(folder / "model.safetensors")
    return folder


def write_weights(path: Path) -> None:
    safetensors_file.write_bfloat16(path, {"a": (8,)}, iter([("a", np.ones(8))]))


def test_a_directory_is_found_by_its_path(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.resolve(str(model)) == store.ModelDir("my model", model)
    monkeypatch.chdir(model.parent)
    assert store.resolve("./my model").path == model
    monkeypatch.setenv("HOME", str(model.parent))
    monkeypatch.setenv("USERPROFILE", str(model.parent))
    assert store.resolve("~/my model").path == model


def test_a_bare_name_is_never_a_folder_of_the_current_directory(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model.rename(model.parent / "qwen")
    monkeypatch.chdir(model.parent)
    with pytest.raises(ModelNotFound, match=r"write \.[/\\]qwen"):
        store.resolve("qwen")


def test_nano_that_is_not_built_yet_has_a_place(tmp_path: Path) -> None:
    nano = store.resolve("nano")
    assert nano.path == paths.models_dir() / nano_recipe().folder
    assert not store.is_ready(nano)
    assert store.fault(nano) == (f"{nano.path} is not there.", "Run `coderls models build`.")


def test_nano_of_another_version_is_not_ready() -> None:
    nano = store.nano_dir()
    nano.path.mkdir(parents=True)
    (nano.path / "tokenizer.json").write_text("{}")
    store.write_manifest(nano.path, {"fingerprint": "another"})
    fault = store.fault(nano)
    assert fault is not None
    assert "another version" in fault[0]


@pytest.mark.parametrize(
    "name",
    [
        *("", "  ", "nowhere", "Some/Thing", "/no/such/place", "./none", "../../nowhere"),
        *("~nobody-of-this-name/x", "a" * 300, "./" + "a" * 300, "./a\0b"),
    ],
)
def test_what_is_not_there_is_said_not_to_be(name: str) -> None:
    with pytest.raises(ModelNotFound):
        store.resolve(name)


def test_a_file_is_no_model(model: Path) -> None:
    with pytest.raises(ModelBroken, match="is a file"):
        store.resolve(str(model / "config.json"))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("config.json", r"config\.json is missing"),
        ("tokenizer.json", r"has no tokenizer\.json"),
        ("model.safetensors", r"has no model\.safetensors"),
    ],
)
def test_a_missing_file_is_named(model: Path, file: str, message: str) -> None:
    (model / file).unlink()
    with pytest.raises(ModelBroken, match=message):
        store.resolve(str(model))


def test_pickled_weights_are_refused_with_the_reason(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(ModelBroken, match=r"only pickled weights.*safetensors only"):
        store.resolve(str(model))


def test_truncated_weights_are_noticed(model: Path) -> None:
    content = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(content[:-2])
    with pytest.raises(ModelBroken, match="truncated"):
        store.resolve(str(model))


@pytest.mark.parametrize("content", ["", "[1]", "{", "\x00", "[" * 100_000])
def test_a_config_that_cannot_be_read_is_named(model: Path, content: str) -> None:
    (model / "config.json").write_text(content)
    with pytest.raises(ModelBroken, match=r"config\.json"):
        store.resolve(str(model))


def test_shards_are_those_that_the_index_names(model: Path) -> None:
    write_weights(model / "model-00001-of-00002.safetensors")
    weights = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (model / store.INDEX).write_text(json.dumps({"weight_map": weights}))
    with pytest.raises(ModelBroken, match=r"model-00002-of-00002\.safetensors is missing"):
        store.resolve(str(model))
    write_weights(model / "model-00002-of-00002.safetensors")
    assert [path.name for path in store.weight_files(model)] == sorted(weights.values())


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "model.bin", 5, ""])
def test_an_index_cannot_lead_out_of_the_directory(model: Path, name: object) -> None:
    (model / store.INDEX).write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(ModelBroken, match="names no weights"):
        store.resolve(str(model))


def test_a_scripted_model_needs_no_weights(tmp_path: Path) -> None:
    (tmp_path / "fake.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text("{}")
    assert store.is_ready(store.resolve(str(tmp_path)))


def test_the_manifest_notices_what_changed(model: Path) -> None:
    store.write_manifest(model, {"name": "x"})
    found = store.resolve(str(model))
    assert store.fault(found, deep=True) is None
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    assert store.fault(found) is None  # of the same size
    deep = store.fault(found, deep=True)
    assert deep is not None
    assert "checksum" in deep[0]


@pytest.mark.parametrize("files", [None, [], {"config.json": 5}, {"config.json": {}}])
def test_a_manifest_that_makes_no_sense_is_said_to_be_so(model: Path, files: object) -> None:
    (model / store.MANIFEST).write_text(json.dumps({"files": files}))
    with pytest.raises(ModelBroken):
        store.resolve(str(model))


def test_what_the_system_does_not_let_us_read_is_said(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(store, "_check_files", closed)
    with pytest.raises(ModelBroken, match="Permission denied"):
        store.resolve(str(model))


def test_the_language_server_can_look_at_models_without_numpy() -> None:
    script = "import sys, coderls.models.store as store; store.nano_dir(); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
