"""Small models for the native step: random weights in true head shapes, in every form, beside exact ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from coderls.engine.api import Sampling
from coderls.engine.model.attention.sdpa import SdpaAttention
from coderls.engine.model.batch import Batch, make_batch
from coderls.engine.model.config import ModelConfig
from coderls.engine.model.kv import KvCache, allocate
from coderls.engine.model.kv_form import KvForm, widen_kv
from coderls.engine.model.linear import Linear, PlainLinear, QuantizedLinear
from coderls.engine.model.native import build
from coderls.engine.model.native.step import NativeStep
from coderls.engine.model.norm import RmsNorm
from coderls.engine.model.quantize import quantize
from coderls.engine.model.qwen2 import Layer, Qwen2, forward
from coderls.engine.model.rope import rope_tables
from coderls.engine.runner import SampleSpec, Work

CPU = torch.device("cpu")
FORMS = ("bfloat16", "int8", "int4")
_GREEDY = SampleSpec(Sampling())


def config(
    heads: int = 9, kv_heads: int = 3, head_dim: int = 64, *, hidden: int = 0, middle: int = 160, vocab: int = 320
) -> ModelConfig:
    """By default the embedded model's heads, and sizes that fill no last tile."""
    return ModelConfig(
        vocab_size=vocab,
        hidden_size=hidden or heads * head_dim,
        intermediate_size=middle,
        layers=2,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        rms_norm_eps=1e-6,
        tied_head=False,
        rope_theta=1e5,
        yarn=None,
        context_length=2048,
        stop_ids=(),
    )


def random_model(shape: ModelConfig, seed: int = 0) -> Qwen2:
    """Plain bfloat16, norms and biases random too."""
    generator = torch.Generator().manual_seed(seed)

    def numbers(*size: int) -> Tensor:
        return torch.randn(size, generator=generator)

    def product(outs: int, ins: int, bias: bool = False) -> Linear:
        weight = (numbers(outs, ins) * ins**-0.5).bfloat16()
        return PlainLinear(weight, (0.5 * numbers(outs)).bfloat16() if bias else None)

    def norm(size: int) -> RmsNorm:
        return RmsNorm((1 + 0.1 * numbers(size)).bfloat16(), shape.rms_norm_eps)

    def layer() -> Layer:
        hidden, middle = shape.hidden_size, shape.intermediate_size
        queries = shape.heads * shape.head_dim
        return Layer(
            attention_norm=norm(hidden),
            qkv=product(queries + 2 * shape.kv_heads * shape.head_dim, hidden, bias=True),
            attention_out=product(hidden, queries),
            mlp_norm=norm(hidden),
            gate_up=product(2 * middle, hidden),
            mlp_out=product(hidden, middle),
        )

    return Qwen2(
        config=shape,
        embedding=numbers(shape.vocab_size, shape.hidden_size).bfloat16(),
        layers=tuple(layer() for _ in range(shape.layers)),
        norm=norm(shape.hidden_size),
        head=product(shape.vocab_size, shape.hidden_size),
        rope=rope_tables(shape, shape.context_length, CPU),
    )


def each_product(model: Qwen2, change: Callable[[PlainLinear], Linear], dtype: torch.dtype = torch.bfloat16) -> Qwen2:
    """The model with every product changed, and all other weights in `dtype`."""

    def changed(linear: Linear) -> Linear:
        assert isinstance(linear, PlainLinear)
        return change(linear)

    def norm(one: RmsNorm) -> RmsNorm:
        return RmsNorm(one.weight.to(dtype), one.eps)

    layers = tuple(
        Layer(
            attention_norm=norm(layer.attention_norm),
            qkv=changed(layer.qkv),
            attention_out=changed(layer.attention_out),
            mlp_norm=norm(layer.mlp_norm),
            gate_up=changed(layer.gate_up),
            mlp_out=changed(layer.mlp_out),
        )
        for layer in model.layers
    )
    return replace(
        model,
        embedding=model.embedding.to(dtype),
        layers=layers,
        norm=norm(model.norm),
        head=changed(model.head),
    )


def in_form(model: Qwen2, form: str, group: int = 32) -> Qwen2:
    """The model as the engine would hold it."""
    if form == "bfloat16":
        return model
    bits = 8 if form == "int8" else 4
    return each_product(model, lambda linear: QuantizedLinear(quantize(linear.weight, bits, group), linear.bias))


def plain(model: Qwen2, form: str, dtype: torch.dtype, group: int = 32) -> Qwen2:
    """The numbers that `in_form` stands for, as plain weights in `dtype`."""

    def widen(linear: PlainLinear) -> PlainLinear:
        weight = linear.weight.to(dtype)
        if form != "bfloat16":
            weight = quantize(linear.weight, 8 if form == "int8" else 4, group).dequantize(dtype)
        return PlainLinear(weight, None if linear.bias is None else linear.bias.to(dtype))

    return each_product(model, widen, dtype)


def tokens(count: int, vocab: int = 320, seed: int = 1) -> list[int]:
    """Random ids."""
    return torch.randint(0, vocab, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def work(slot: int, start: int, ids: Sequence[int], wanted: int | None = None, long: bool = False) -> Work:
    """A piece of work that wants logits of the last `wanted` tokens; None: of all."""
    return Work(slot, start, ids, (_GREEDY,) * (len(ids) if wanted is None else wanted), long=long)


class Side:
    """A model with a cache of its own, run by torch."""

    def __init__(
        self,
        model: Qwen2,
        dtype: torch.dtype,
        lengths: Sequence[int] = (1024, 512, 512),
        kv_form: KvForm | None = None,
    ) -> None:
        self.model = model
        self.cache = allocate(model.config, lengths, CPU, dtype, kv_form)
        with torch.inference_mode():
            self.cache.poison()  # what was never written must not be read

    def batch(self, works: Sequence[Work]) -> Batch:
        return make_batch(works, self.cache, self.model.rope)

    def run(self, works: Sequence[Work]) -> Tensor:
        logits = forward(self.model, self.batch(works), self.cache, SdpaAttention(self.cache))
        assert logits is not None
        return logits

    def take_over(self, cache: KvCache) -> None:
        """The other's keys and values, in the own dtype: both sides then go on from the same."""
        if self.cache.form == cache.form:
            for own, other in zip(
                (*self.cache.layers, *self.cache.scales), (*cache.layers, *cache.scales), strict=True
            ):
                own.copy_(other)
            return
        for own, other, scales in zip(self.cache.layers, cache.layers, cache.scales, strict=True):
            own.copy_(widen_kv(other, scales, own.dtype))


def native_of(model: Qwen2, cache: KvCache, flags: Sequence[str] | None = None) -> NativeStep:
    """The native step, compiled in the real cache. Skips, by name, where nothing can be compiled."""
    if build.find_compiler() is None:
        pytest.skip("there is no C++ compiler here")
    library = build.build(flags=flags)
    assert library is not None, f"it does not compile: {sorted(Path(build.cache_dir() / 'native').glob('*.failed'))}"
    return NativeStep(library, model, cache)


def rms(values: Tensor) -> float:
    """Root of the mean square."""
    return float(values.double().square().mean().sqrt())
