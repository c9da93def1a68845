"""Models of true shapes with random weights, made on the device: speed does not depend on what the weights are."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from coderls.engine.model.config import ModelConfig, parse_config
from coderls.engine.model.linear import Linear, PlainLinear, make_linear, make_quantized
from coderls.engine.model.norm import RmsNorm
from coderls.engine.model.quantize import DEFAULT_GROUP, Int4Weight, Int8Weight, QuantizedWeight
from coderls.engine.model.qwen2 import Layer, Qwen2
from coderls.engine.model.rope import rope_tables
from coderls.models.family import SIZES


def shape_of(size: str) -> ModelConfig:
    """The configuration of a size of the family, such as "7B"; "tiny" is one to try the measures with."""
    if size == "tiny":
        values = next(one for one in SIZES if one.name == "0.5B").config()
        values |= {"num_hidden_layers": 2, "intermediate_size": 256, "vocab_size": 512}
        return parse_config(values, Path("tiny"))
    return parse_config(next(one for one in SIZES if one.name == size).config(), Path(size))


def random_qwen2(
    config: ModelConfig, bits: int, context_length: int, device: torch.device, dtype: torch.dtype
) -> Qwen2:
    """A model whose products have `bits` 16, 8 or 4 (the head 8 then), in the forms that a loaded model would have."""
    torch.manual_seed(0)

    def normal(*shape: int) -> Tensor:
        # A standard deviation that keeps activations from growing.
        return torch.empty(shape, dtype=dtype, device=device).normal_(std=shape[-1] ** -0.5)

    def product(outs: int, ins: int, *, bias: bool = False, narrow: int = bits) -> Linear:
        added = torch.zeros(outs, dtype=dtype, device=device) if bias else None
        if narrow == 16:
            return make_linear(normal(outs, ins), added)
        return make_quantized(_quantized(outs, ins, narrow, device), added)

    def norm() -> RmsNorm:
        return RmsNorm(torch.ones(config.hidden_size, dtype=dtype, device=device), config.rms_norm_eps)

    def layer() -> Layer:
        mixed = (config.heads + 2 * config.kv_heads) * config.head_dim
        return Layer(
            attention_norm=norm(),
            qkv=product(mixed, config.hidden_size, bias=True),
            attention_out=product(config.hidden_size, config.heads * config.head_dim),
            mlp_norm=norm(),
            gate_up=product(2 * config.intermediate_size, config.hidden_size),
            mlp_out=product(config.hidden_size, config.intermediate_size),
        )

    with torch.inference_mode():
        embedding = normal(config.vocab_size, config.hidden_size)
        tied = config.tied_head and bits == 16 and device.type != "cpu"
        head = PlainLinear(embedding) if tied else product(config.vocab_size, config.hidden_size, narrow=max(bits, 8))
        return Qwen2(
            config=config,
            embedding=embedding,
            layers=tuple(layer() for _ in range(config.layers)),
            norm=norm(),
            head=head,
            rope=rope_tables(config, context_length, device),
        )


def _quantized(outs: int, ins: int, bits: int, device: torch.device) -> QuantizedWeight:
    step = ins**-0.5 / (73 if bits == 8 else 4.6)  # the numbers' own deviation
    if bits == 8 or ins % DEFAULT_GROUP:
        q = torch.randint(-127, 128, (outs, ins), dtype=torch.int8, device=device)
        return Int8Weight(q, torch.full((outs,), step, dtype=torch.bfloat16, device=device))
    numbers = torch.randint(0, 256, (outs, ins // 2), dtype=torch.uint8, device=device)
    scale = torch.full((ins // DEFAULT_GROUP, outs), step, dtype=torch.bfloat16, device=device)
    return Int4Weight(numbers, scale, torch.zeros_like(scale))


def step_bytes(model: Qwen2, positions: int, kv_bytes: int) -> int:
    """What one decoding step has to read: all products, and the KV of `positions` tokens of `kv_bytes` each."""
    products = [p for layer in model.layers for p in (layer.qkv, layer.attention_out, layer.gate_up, layer.mlp_out)]
    return sum(p.nbytes for p in (*products, model.head)) + kv_bytes * positions


def prefill_operations(config: ModelConfig, tokens: int) -> float:
    """Floating point operations of reading a prompt: two a weight and token, and causal attention."""
    table = config.vocab_size * config.hidden_size * (1 if config.tied_head else 2)
    products = 2.0 * (config.parameters - table) * tokens
    attention = 2.0 * config.layers * config.heads * config.head_dim * float(tokens) * tokens
    return products + attention
