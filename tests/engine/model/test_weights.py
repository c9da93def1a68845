"""Damaged, incomplete and foreign checkpoints: each is refused with its fault named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from coderls.engine.model.config import read_config
from coderls.engine.model.qwen2 import Qwen2
from coderls.engine.model.weights import load_qwen2
from coderls.errors import ModelBroken

from .checkpoints import SMALL, oracle, save

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


@pytest.fixture
def single(tmp_path: Path) -> Path:
    return save(oracle(SMALL), tmp_path / "single")


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    return save(oracle(SMALL), tmp_path / "sharded", max_shard_size="3MB")


def read(folder: Path, progress: Callable[[str, float], None] | None = None) -> Qwen2:
    return load_qwen2(
        folder,
        read_config(folder),
        device=torch.device("cpu"),
        dtype=torch.float32,
        context_length=64,
        progress=progress,
    )


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Write the single file again with other tensors."""
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / SINGLE).items()}
    edit(tensors)
    save_file(tensors, folder / SINGLE)


def check_refused(folder: Path, said: str) -> None:
    with pytest.raises(ModelBroken, match=said) as caught:
        read(folder)
    assert caught.value.todo
    assert folder.name in str(caught.value) or "index" in str(caught.value)


def test_progress_goes_from_nothing_to_all(single: Path) -> None:
    seen: list[tuple[str, float]] = []
    read(single, lambda detail, fraction: seen.append((detail, fraction)))
    fractions = [fraction for _, fraction in seen]
    assert fractions[0] == 0.0
    assert fractions[-1] == 1.0
    assert fractions == sorted(fractions)
    assert {detail for detail, _ in seen} == {"loading weights"}


def test_a_loaded_model_does_not_need_its_files(single: Path) -> None:
    model = read(single)
    before = model.embedding.clone()
    (single / SINGLE).write_bytes(b"")
    assert torch.equal(model.embedding, before)


@pytest.mark.parametrize("kept", [0, 4, 8, 200, -1, -1000])
def test_truncated(single: Path, kept: int) -> None:
    data = (single / SINGLE).read_bytes()
    (single / SINGLE).write_bytes(data[:kept])
    check_refused(single, "damaged or truncated.*Fetch this file again")


def test_garbage_instead_of_safetensors(single: Path) -> None:
    (single / SINGLE).write_bytes(b"<!DOCTYPE html>" * 1000)
    check_refused(single, "damaged or truncated")


def test_truncated_shard(sharded: Path) -> None:
    shard = sorted(sharded.glob("model-*.safetensors"))[-1]
    shard.write_bytes(shard.read_bytes()[:-10])
    check_refused(sharded, shard.name)


def test_no_weights(single: Path) -> None:
    (single / SINGLE).unlink()
    check_refused(single, "has neither model.safetensors nor")


def test_pickled_weights_are_not_read(single: Path) -> None:
    (single / SINGLE).rename(single / "pytorch_model.bin")
    check_refused(single, "pytorch_model.bin is pickled and never read")


def test_index_names_a_missing_file(sharded: Path) -> None:
    shard = sorted(sharded.glob("model-*.safetensors"))[1]
    shard.unlink()
    check_refused(sharded, f"names {shard.name}, missing in")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": null}'])
def test_garbage_index(sharded: Path, content: str) -> None:
    (sharded / INDEX).write_text(content, encoding="utf-8")
    check_refused(sharded, "cannot be read")


@pytest.mark.parametrize("name", ["../single/model.safetensors", "/etc/passwd", 7])
def test_index_that_leads_elsewhere(single: Path, sharded: Path, name: object) -> None:
    index = json.loads((sharded / INDEX).read_text(encoding="utf-8"))
    index["weight_map"]["model.norm.weight"] = name
    (sharded / INDEX).write_text(json.dumps(index), encoding="utf-8")
    check_refused(sharded, "no file beside it")


def test_missing_tensor(single: Path) -> None:
    change(single, lambda tensors: tensors.__delitem__("model.layers.1.mlp.up_proj.weight"))
    check_refused(single, "model.layers.1.mlp.up_proj.weight missing")


def test_many_missing_tensors_are_not_all_listed(single: Path) -> None:
    config = json.loads((single / "config.json").read_text(encoding="utf-8"))
    config["num_hidden_layers"] = 3
    (single / "config.json").write_text(json.dumps(config), encoding="utf-8")
    check_refused(single, r"model\.layers\.2\.\S+, \S+, \S+ and 9 more missing")


def test_missing_head_of_an_untied_model(single: Path) -> None:
    config = json.loads((single / "config.json").read_text(encoding="utf-8"))
    config["tie_word_embeddings"] = False
    (single / "config.json").write_text(json.dumps(config), encoding="utf-8")
    check_refused(single, "lm_head.weight missing")


def test_tied_head_that_is_stored_all_the_same(single: Path) -> None:
    change(single, lambda tensors: tensors.update({"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}))
    read(single)


def test_wrong_shape(single: Path) -> None:
    change(single, lambda tensors: tensors.update({"model.norm.weight": torch.ones(577)}))
    check_refused(single, r"model.norm.weight has shape \[577\], expected \[576\]")


def test_fewer_layers_in_the_config_than_in_the_weights(single: Path) -> None:
    config = json.loads((single / "config.json").read_text(encoding="utf-8"))
    config["num_hidden_layers"] = 1
    config["layer_types"] = ["full_attention"]
    (single / "config.json").write_text(json.dumps(config), encoding="utf-8")
    check_refused(single, r"and 9 more in the weights, which Qwen2 does not have")


def test_weights_of_another_model(single: Path) -> None:
    change(single, lambda tensors: tensors.update({"model.layers.0.self_attn.q_norm.weight": torch.ones(64)}))
    check_refused(single, "q_norm.weight in the weights, which Qwen2 does not have")


def test_quantised_weights(single: Path) -> None:
    name = "model.layers.0.mlp.down_proj.weight"
    change(single, lambda tensors: tensors.update({name: torch.zeros(576, 160, dtype=torch.int8)}))
    check_refused(single, "stored as I8.*BF16, F16, F32")
