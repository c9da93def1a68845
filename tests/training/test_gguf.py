"""The GGUF export, read back, and the distribution that carries it in pieces."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

from coderls.errors import ModelBroken
from coderls.models import embedded, gguf_llama, recipe, safetensors_file
from tests.models.gguf_words import read_whole
from training import gguf_export, network, package, rounding, shards
from training.gguf_export import Form

NANO = recipe.nano_recipe().data


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with nano's tokenizer and template; its weights are whole numbers over 64, exact in bfloat16."""
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=49152, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e5}, bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("model")
    built = Qwen2ForCausalLM(config)
    with torch.no_grad():
        for name, value in built.named_parameters():
            value.copy_(torch.zeros_like(value) if name.endswith("bias") else torch.randint(-64, 64, value.shape) / 64)
    built.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "fim.json"):
        shutil.copyfile(NANO / name, folder / name)
    return folder


def tensors(model: Path) -> dict[str, np.ndarray]:
    found = load_file(str(model / "model.safetensors"))
    return {name: value for name, value in found.items() if name != "lm_head.weight"}


def test_what_is_exported_comes_back(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.gguf"
    gguf_export.export(model, out, Form("f32", "f32"))
    back = dict(gguf_llama.open_llama(out))
    expected = tensors(model)
    assert set(back) == set(expected)
    for name, values in expected.items():
        assert np.array_equal(back[name], values), name
    reader = read_whole(out)
    config = json.loads((model / "config.json").read_text("utf-8"))
    assert reader.get_field("llama.rope.freq_base").contents() == 1e5
    assert reader.get_field("llama.attention.head_count_kv").contents() == config["num_key_value_heads"]
    assert not list(tmp_path.glob("*.part"))


def test_the_vocabulary_and_the_ids_of_the_marks(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.gguf"
    gguf_export.export(model, out, Form("q8_0", "q8_0"))
    reader = read_whole(out)

    def value(key: str) -> object:
        field = reader.get_field(f"tokenizer.ggml.{key}")
        return None if field is None else field.contents()

    tokens = value("tokens")
    assert isinstance(tokens, list)
    raw = json.loads((NANO / "tokenizer.json").read_text("utf-8"))
    assert len(tokens) == 49152
    assert all(tokens[number] == text for text, number in raw["model"]["vocab"].items())
    marks = {name: tokens[int(str(value(f"fim_{name}_token_id")))] for name in ("pre", "suf", "mid")}
    assert marks == {"pre": "<gh_stars>", "suf": "<issue_start>", "mid": "<issue_comment>"}
    assert tokens[int(str(value("eos_token_id")))] == "<|endoftext|>"
    types = value("token_type")
    assert isinstance(types, list)
    assert {number for number, kind in enumerate(types) if kind == 3} == {token["id"] for token in raw["added_tokens"]}
    merges = value("merges")
    assert isinstance(merges, list)
    assert len(merges) == len(raw["model"]["merges"])
    assert (value("model"), value("pre")) == ("gpt2", "smollm")


def test_quantized_weights_are_near(model: Path, tmp_path: Path) -> None:
    gguf_export.export(model, tmp_path / "small.gguf", Form("q4_1", "q8_0"))
    back = dict(gguf_llama.open_llama(tmp_path / "small.gguf"))
    for name, values in tensors(model).items():
        limit = 0.0 if values.ndim == 1 else 0.01 if "embed" in name else 0.08
        assert np.abs(back[name] - values).max() <= limit, name


def test_weights_rounded_by_examples_are_those_of_the_rounded_network(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = [np.random.default_rng(seed).integers(20, 400, 40) for seed in range(3)]
    shards.write(tmp_path / "examples", [(ids.tolist(), 30) for ids in examples])
    command = [str(model), str(tmp_path / "model.gguf"), "--calibrate", str(tmp_path / "examples")]
    assert gguf_export.main(command) == 0
    back = dict(gguf_llama.open_llama(tmp_path / "model.gguf"))
    found = rounding.round_network(network.load(model, None, torch.bfloat16), examples)
    assert len(found) == 2 * 7
    for name, weight in found.items():
        assert np.array_equal(back[name], weight.dequantized().numpy()), name
    plain = tmp_path / "plain.gguf"
    gguf_export.export(model, plain)
    nearest = dict(gguf_llama.open_llama(plain))
    assert any(not np.array_equal(back[name], nearest[name]) for name in found)
    assert gguf_export.main([*command, "--layers", "q8_0"]) == 1
    folder = str(tmp_path / "examples")
    assert rounding.main([str(model), folder, folder, "--validate", "3"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.strip().partition(" Held")[0] for line in said[-4:]] == [
        "as it is", "and in the engine's int4", "rounded by examples", "and in the engine's int4",
    ]  # fmt: skip
    assert rounding.main([str(model), str(tmp_path), folder]) == 1


def test_a_model_with_biases_is_no_llama(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    changed = load_file(str(copy / "model.safetensors"))
    changed["model.layers.0.self_attn.q_proj.bias"] = np.ones(64, np.float32)
    save_file(changed, str(copy / "model.safetensors"))
    with pytest.raises(ModelBroken, match="no Llama"):
        gguf_export.export(copy, tmp_path / "model.gguf")
    assert gguf_export.main([str(tmp_path / "nowhere"), str(tmp_path / "x.gguf")]) == 1


def test_the_distribution_builds_the_embedded_model(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel with the weights in pieces, and the model directory that users would get from it."""
    monkeypatch.setattr(package, "PIECE_BYTES", 2_000_000)
    out = tmp_path / "dist"
    assert package.main([str(model), str(out), "--version", "9.1", "--layers", "bf16", "--build"]) == 0
    [wheel] = (out / "dist").glob("coderls_nano-9.1-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    pieces = sorted(name for name in names if ".gguf." in name)
    assert len(pieces) > 1
    assert pieces[0] == "coderls_nano/nano.gguf.000"
    assert all(zipfile.ZipFile(wheel).getinfo(name).file_size <= 2_000_000 for name in pieces)
    assert {f"coderls_nano-9.1.dist-info/licenses/{name}" for name in ("LICENSE", "NOTICE")} <= set(names)
    data = tmp_path / "data"
    data.mkdir()
    for path in (out / "source.json", *model.glob("*.json")):
        shutil.copyfile(path, data / path.name)
    built = embedded.build(recipe.read_recipe(data), wheel=wheel, into=tmp_path / "models")
    made = safetensors_file.read_float32(built.path / "model.safetensors")
    for name, values in tensors(model).items():
        limit = 0.01 if "embed" in name else 0.0
        assert np.abs(made[name] - values).max() <= limit, name
