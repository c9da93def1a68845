"""config.json: what is read, and what is refused with a word on what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coderls.engine.model.config import Yarn, parse_config, read_config
from coderls.errors import ModelBroken, ModelNotFound

# As Qwen2.5-Coder-7B is published.
PUBLISHED: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "bos_token_id": 151643,
    "eos_token_id": 151643,
    "hidden_act": "silu",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "max_position_embeddings": 32768,
    "max_window_layers": 28,
    "model_type": "qwen2",
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 131072,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_sliding_window": False,
    "vocab_size": 152064,
}
PATH = Path("config.json")


def changed(**values: Any) -> dict[str, Any]:
    """PUBLISHED with other values; None takes a key out."""
    return {key: value for key, value in (PUBLISHED | values).items() if value is not None}


def test_published() -> None:
    config = parse_config(PUBLISHED, PATH, (151643,))
    assert (config.layers, config.heads, config.kv_heads, config.head_dim) == (28, 28, 4, 128)
    assert (config.context_length, config.rope_theta, config.yarn, config.tied_head) == (32768, 1e6, None, False)
    assert config.parameters == 7_615_616_512  # as its model card counts them
    assert config.kv_values_per_token * 2 == 56 * 1024


@pytest.mark.parametrize(
    ("values", "theta"),
    [
        ({"rope_theta": 5e5}, 5e5),
        ({"rope_theta": None, "rope_parameters": {"rope_type": "default", "rope_theta": 1e5}}, 1e5),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 1e5}}, 1e5),
        ({"rope_scaling": {"type": "default"}}, 1e6),
        ({"rope_theta": None}, 1e4),
    ],
)
def test_both_spellings_of_the_rotary_base(values: dict[str, Any], theta: float) -> None:
    assert parse_config(changed(**values), PATH).rope_theta == theta


@pytest.mark.parametrize(
    "values",
    [
        {"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 4}},
        {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e6}},
        {
            "max_position_embeddings": 131072,
            "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
        },
    ],
)
def test_yarn(values: dict[str, Any]) -> None:
    config = parse_config(changed(**values), PATH)
    assert config.yarn == Yarn(factor=4.0, original_context=32768)
    assert config.context_length == 131072
    assert config.rope_theta == 1e6


def test_head_dim_given() -> None:
    assert parse_config(changed(head_dim=64), PATH).head_dim == 64


def test_without_kv_heads_every_head_is_one() -> None:
    assert parse_config(changed(num_key_value_heads=None), PATH).kv_heads == 28


def test_model_type_stands_in_for_architectures() -> None:
    assert parse_config(changed(architectures=None), PATH).heads == 28


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, r"LlamaForCausalLM; this engine runs Qwen2ForCausalLM.*engine\.url"),
        ({"architectures": ["Qwen2MoeForCausalLM"]}, "Qwen2MoeForCausalLM"),
        ({"architectures": None, "model_type": "gpt2"}, "none named"),
        ({"architectures": "Qwen2ForCausalLM"}, "none named"),
        ({"use_sliding_window": True, "sliding_window": 4096}, "4096 tokens is in use.*use_sliding_window to false"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "'linear' is not supported.*rope_scaling out"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "'dynamic'"),
        ({"rope_parameters": {"rope_type": "llama3"}}, "'llama3'"),
        ({"rope_scaling": {"type": "yarn"}}, "factor is missing"),
        ({"rope_scaling": {"type": "yarn", "factor": 0.5}}, "less than 1"),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0, "mscale": 1.0}}, "mscale"),
        ({"rope_scaling": [1]}, "no object"),
        ({"quantization_config": {"quant_method": "gptq"}}, r"quantised \(gptq\).*plain checkpoint"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"hidden_size": 3585}, "no multiple"),
        ({"num_key_value_heads": 3}, "no multiple"),
        ({"head_dim": 63}, "odd"),
        ({"num_hidden_layers": None}, "num_hidden_layers is missing"),
        ({"vocab_size": "many"}, "vocab_size is 'many'"),
        ({"vocab_size": -1}, "vocab_size is -1"),
        ({"vocab_size": True}, "vocab_size is True"),
        ({"rms_norm_eps": "x"}, "rms_norm_eps"),
        ({"rms_norm_eps": 0}, "rms_norm_eps"),
    ],
)
def test_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelBroken, match=said) as caught:
        parse_config(changed(**values), PATH)
    assert "config.json" in str(caught.value)
    assert caught.value.todo


def test_sliding_window_that_is_off_is_no_matter() -> None:
    parse_config(changed(use_sliding_window=True, sliding_window=None), PATH)


def folder_with(tmp_path: Path, config: str | bytes, generation: str | None = None) -> Path:
    (tmp_path / "config.json").write_bytes(config if isinstance(config, bytes) else config.encode())
    if generation is not None:
        (tmp_path / "generation_config.json").write_text(generation, encoding="utf-8")
    return tmp_path


def test_stop_ids_of_both_files(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, json.dumps(PUBLISHED), '{"eos_token_id": [151645, 151643]}')
    assert read_config(folder).stop_ids == (151643, 151645)


@pytest.mark.parametrize("value", ['"</s>"', "[1, null]", "true", "999999", "-3"])
def test_stop_ids_that_are_none(tmp_path: Path, value: str) -> None:
    with pytest.raises(ModelBroken, match="eos_token_id"):
        read_config(folder_with(tmp_path, json.dumps(PUBLISHED), f'{{"eos_token_id": {value}}}'))


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="nowhere"):
        read_config(tmp_path / "nowhere")


def test_no_config(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match=r"config\.json is missing"):
        read_config(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", b"\xff\xfe\x00", '{"architectures": ', "[" * 100_000])
def test_config_that_is_garbage(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(ModelBroken, match=r"config\.json"):
        read_config(folder_with(tmp_path, content))
