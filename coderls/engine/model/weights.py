"""Reading a checkpoint: model.safetensors, or the files that model.safetensors.index.json names.

Names, shapes and lengths of all files are checked before the first weight is read. Nothing is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from coderls.engine.model.config import ModelConfig
from coderls.engine.model.linear import Linear, PlainLinear, QuantizedLinear, make_linear, make_quantized
from coderls.engine.model.norm import RmsNorm
from coderls.engine.model.quantize import Int4Weight, QuantizedWeight
from coderls.engine.model.qwen2 import Layer, Qwen2
from coderls.engine.model.rope import rope_tables
from coderls.engine.model.shortlist import in_two_looks
from coderls.errors import ModelBroken

Progress = Callable[[str, float], None]

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_DTYPES = {"BF16", "F16", "F32"}
_EMBEDDING, _HEAD, _NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Open safetensors files whose names and shapes were checked. `files` maps each tensor to its file."""

    folder: Path
    files: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]

    def fused(self, names: Iterable[str], device: torch.device, dtype: torch.dtype) -> Tensor:
        """The named tensors one below the other, copied out of the files' memory maps."""
        names = list(names)
        rows = sum(self.shapes[name][0] for name in names)
        whole = torch.empty((rows, *self.shapes[names[0]][1:]), dtype=dtype, device=device)
        at = 0
        for name in names:
            part = self.files[name].get_tensor(name)
            whole[at : at + part.shape[0]] = part
            at += part.shape[0]
        return whole


class Narrow(Protocol):
    """The quantized weights of a checkpoint: see `quantized_file.py`."""

    @property
    def wide(self) -> bool:
        """Whether the weights are wanted at full width too."""

    def weight(self, product: str, device: torch.device) -> QuantizedWeight:
        """The weight of a product by its name in `product_parts`. Raises ModelBroken."""


def load_qwen2(
    folder: Path,
    config: ModelConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    context_length: int,
    narrow: Narrow | None = None,
    kernels: bool = True,
    progress: Progress | None = None,
) -> Qwen2:
    """Load the weights of `folder` to `device` in `dtype`, with rotary tables for `context_length` positions.

    `narrow`: the same weights quantized, for all products; `kernels`: on a card by ours, where they work. `progress`
    gets what is being done and the fraction done, 0 to 1. Raises ModelBroken.
    """
    checkpoint = open_checkpoint(folder, config)
    parts = product_parts(config)
    report = progress or (lambda _detail, _fraction: None)

    def read(*names: str) -> Tensor:
        return checkpoint.fused(names, device, dtype)

    def norm(name: str) -> RmsNorm:
        return RmsNorm(read(name), config.rms_norm_eps)

    def product(name: str, bias: Tensor | None = None, known: Tensor | None = None) -> Linear:
        """`known`: the weight, where it is in memory already."""
        if narrow is None:
            return make_linear(read(*parts[name]) if known is None else known, bias)
        wide: Linear | None = None
        if narrow.wide:
            wide = make_linear(read(*parts[name]) if known is None else known, bias)
        elif known is not None:
            wide = PlainLinear(known, bias)  # costs no memory
        return make_quantized(narrow.weight(name, device), bias, wide, dtype, kernels=kernels)

    def read_layer(index: int) -> Layer:
        report("loading weights", (index + 0.5) / (config.layers + 1))
        at, here = f"model.layers.{index}.", f"layers.{index}."
        bias = read(*(f"{at}self_attn.{part}_proj.bias" for part in "qkv"))  # all zero in what was converted from Llama
        return Layer(
            attention_norm=norm(at + "input_layernorm.weight"),
            qkv=product(here + "qkv", bias if bias.any() else None),
            attention_out=product(here + "attention_out"),
            mlp_norm=norm(at + "post_attention_layernorm.weight"),
            gate_up=product(here + "gate_up"),
            mlp_out=product(here + "mlp_out"),
        )

    report("loading weights", 0.0)
    with torch.inference_mode():
        embedding = read(_EMBEDDING)
        layers = tuple(read_layer(index) for index in range(config.layers))
        head = product("head", known=embedding if config.tied_head else None)
        model = Qwen2(
            config=config,
            embedding=embedding,
            layers=layers,
            norm=norm(_NORM),
            # In the company of layers in 4 bits.
            head=in_two_looks(head) if _in_4_bits(layers[0].gate_up) else head,
            rope=rope_tables(config, context_length, device),
        )
    report("loading weights", 1.0)
    return model


def _in_4_bits(linear: Linear) -> bool:
    return isinstance(linear, QuantizedLinear) and isinstance(linear.weight, Int4Weight)


def product_parts(config: ModelConfig) -> dict[str, tuple[str, ...]]:
    """For every product of the model, the checkpoint's weights that lie one below the other in it."""
    layer = {
        "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "attention_out": ("self_attn.o_proj",),
        "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
        "mlp_out": ("mlp.down_proj",),
    }
    parts = {
        f"layers.{index}.{product}": tuple(f"model.layers.{index}.{name}.weight" for name in names)
        for index in range(config.layers)
        for product, names in layer.items()
    }
    return {**parts, "head": (_EMBEDDING if config.tied_head else _HEAD,)}


def open_checkpoint(folder: Path, config: ModelConfig) -> Checkpoint:
    """Open all weight files of `folder` and check them against `config`. Raises ModelBroken."""
    paths = _weight_files(folder)
    files: dict[str, Any] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for path in paths:
        opened = _open(path)
        for name in opened.keys():  # noqa: SIM118 - it is no mapping
            part = opened.get_slice(name)
            if part.get_dtype() not in _DTYPES:
                raise ModelBroken(
                    f"{path}: {name} is stored as {part.get_dtype()}; this engine reads {', '.join(sorted(_DTYPES))}.",
                    "Use the plain checkpoint (bfloat16) of the same model.",
                )
            files[name], shapes[name] = opened, tuple(part.get_shape())
    _check_shapes(folder, shapes, expected_shapes(config))
    return Checkpoint(folder, files, shapes)


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that a checkpoint of this shape holds."""
    hidden, middle = config.hidden_size, config.intermediate_size
    queries, pairs = config.heads * config.head_dim, config.kv_heads * config.head_dim
    layer: dict[str, tuple[int, ...]] = {
        "input_layernorm.weight": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
        "self_attn.q_proj.weight": (queries, hidden),
        "self_attn.k_proj.weight": (pairs, hidden),
        "self_attn.v_proj.weight": (pairs, hidden),
        "self_attn.q_proj.bias": (queries,),
        "self_attn.k_proj.bias": (pairs,),
        "self_attn.v_proj.bias": (pairs,),
        "self_attn.o_proj.weight": (hidden, queries),
        "mlp.gate_proj.weight": (middle, hidden),
        "mlp.up_proj.weight": (middle, hidden),
        "mlp.down_proj.weight": (hidden, middle),
    }
    shapes: dict[str, tuple[int, ...]] = {_EMBEDDING: (config.vocab_size, hidden), _NORM: (hidden,)}
    if not config.tied_head:
        shapes[_HEAD] = (config.vocab_size, hidden)
    for index in range(config.layers):
        shapes |= {f"model.layers.{index}.{name}": shape for name, shape in layer.items()}
    return shapes


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model directory."""
    index = folder / _INDEX
    if not index.exists():
        if (folder / _SINGLE).exists():
            return [folder / _SINGLE]
        pickled = [path.name for path in sorted(folder.glob("*.bin")) + sorted(folder.glob("*.pt"))]
        raise ModelBroken(
            f"{folder} has neither {_SINGLE} nor {_INDEX}.",
            f"{pickled[0]} is pickled and never read: fetch the safetensors form of this model."
            if pickled
            else "Copy the checkpoint's weights there, or pull it again.",
        )
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelBroken(f"{index} cannot be read: {error!r}.", "Fetch the checkpoint again.") from error
    outside = [name for name in names if not isinstance(name, str) or Path(name).name != name]
    if outside:
        raise ModelBroken(f"{index} names {outside[0]!r}, which is no file beside it.", "Fetch the checkpoint again.")
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        raise ModelBroken(
            f"{index.name} names {', '.join(missing)}, missing in {folder}.", "Fetch these files, or pull it again."
        )
    return [folder / name for name in sorted(names)]


def _open(path: Path) -> Any:
    """A safetensors file; opening it checks its header against its length."""
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelBroken(
            f"{path} ({path.stat().st_size:,} bytes) is damaged or truncated: {error}.", "Fetch this file again."
        ) from error


def _check_shapes(folder: Path, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Every expected tensor is there with its shape, and none that the model would silently leave out."""
    todo = "The weights do not belong to this config.json, or are incomplete: fetch the checkpoint again."
    missing = [name for name in expected if name not in found]
    if missing:
        raise ModelBroken(f"{folder}: {_some(missing)} missing in the weights.", todo)
    for name, shape in expected.items():
        if found[name] != shape:
            raise ModelBroken(f"{folder}: {name} has shape {list(found[name])}, expected {list(shape)}.", todo)
    # A tied head is sometimes stored all the same, and old checkpoints hold tables that follow from the config.
    extra = [n for n in found if n not in expected and n != _HEAD and not n.endswith("rotary_emb.inv_freq")]
    if extra:
        raise ModelBroken(f"{folder}: {_some(extra)} in the weights, which Qwen2 does not have.", todo)


def _some(names: list[str]) -> str:
    """The first few of many names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
