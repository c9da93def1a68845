"""A GGUF of the Llama architecture as a Qwen2 checkpoint, exactly.

Qwen2 is Llama with biases on q, k and v: with biases of zero the two compute the same. GGUF stores the rows
of q and k in the order that llama.cpp's rotary embedding wants (pairs beside each other); Hugging Face's
wants the two halves apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from coderls.errors import ModelBroken
from coderls.models.gguf_file import GgufFile, GgufTensor, read_gguf

Array = npt.NDArray[np.float32]

_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


@dataclass(frozen=True)
class Qwen2Tensors:
    """Names and shapes of a checkpoint, and the tensors themselves one at a time, in the same order."""

    shapes: dict[str, tuple[int, ...]]
    loaders: dict[str, Callable[[], Array]]

    def __iter__(self) -> Iterator[tuple[str, Array]]:
        for name, load in self.loaders.items():
            yield name, load()


def open_llama(path: Path) -> Qwen2Tensors:
    """The tensors of a GGUF file under Hugging Face's names, in float32. Raises ModelBroken."""
    try:
        file = read_gguf(path)
    except (OSError, ValueError) as error:
        raise ModelBroken(f"{path.name} is no GGUF file that can be read: {error}.") from error
    architecture = _value(file, "general.architecture")
    if architecture != "llama":
        raise ModelBroken(f"{path.name} has the architecture {architecture!r}; only llama can be converted.")
    heads = int(_value(file, "llama.attention.head_count"))
    kv_heads = int(_value(file, "llama.attention.head_count_kv"))
    shapes: dict[str, tuple[int, ...]] = {}
    loaders: dict[str, Callable[[], Array]] = {}
    for tensor in file.tensors:
        name = _rename(tensor.name)
        rows = {"q_proj": heads, "k_proj": kv_heads}.get(name.split(".")[-2], 0)
        shapes[name] = tensor.shape
        loaders[name] = _loader(tensor, rows)
        if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
            bias = name.removesuffix("weight") + "bias"
            shapes[bias] = shapes[name][:1]
            loaders[bias] = _zeros(shapes[bias])
    return Qwen2Tensors(shapes, loaders)


def _value(file: GgufFile, key: str) -> Any:
    found = file.values.get(key)
    if found is None:
        raise ModelBroken(f"The GGUF file does not say its {key}.")
    return found


def _rename(name: str) -> str:
    parts = name.split(".")
    if len(parts) == 2 and parts[0] in _OUTSIDE and parts[1] == "weight":
        return f"{_OUTSIDE[parts[0]]}.weight"
    if len(parts) == 4 and parts[0] == "blk" and parts[2] in _LAYER and parts[3] == "weight":
        return f"model.layers.{parts[1]}.{_LAYER[parts[2]]}.weight"
    raise ModelBroken(f"The GGUF file holds a tensor that Qwen2 has no place for: {name}.")


def _loader(tensor: GgufTensor, heads: int) -> Callable[[], Array]:
    def load() -> Array:
        values: Array = np.asarray(gguf.dequantize(tensor.data, tensor.kind), dtype=np.float32)
        return halves_apart(values, heads) if heads else values

    return load


def _zeros(shape: tuple[int, ...]) -> Callable[[], Array]:
    return lambda: np.zeros(shape, dtype=np.float32)


def halves_apart(weight: Array, heads: int) -> Array:
    """Rows [pair0.a, pair0.b, pair1.a, ...] of each head become [all a, all b]. Shape [heads * size, inputs]."""
    rows, inputs = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, inputs)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows, inputs)
