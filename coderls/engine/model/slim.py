"""Weights that nobody reads any more, once something else than the eager pass runs all steps of a few tokens.

The native step has a copy of the weights in its own layout. What is left for the eager pass are prompts, and those read
the weights at full width; the quantized ones that it read for steps are given up, and a tied head is read from the
table of embeddings instead of from a copy of it.
"""

from __future__ import annotations

from dataclasses import replace

from coderls.engine.model.linear import Linear, PlainLinear, QuantizedLinear, make_quantized
from coderls.engine.model.qwen2 import Layer, Qwen2


def without_copies(model: Qwen2) -> Qwen2:
    """`model` for prompts only. Layers without weights at full width stay as they are."""
    return replace(model, layers=tuple(map(_wide_layer, model.layers)), head=_head(model))


def _wide_layer(layer: Layer) -> Layer:
    return replace(
        layer,
        qkv=_wide(layer.qkv),
        attention_out=_wide(layer.attention_out),
        gate_up=_wide(layer.gate_up),
        mlp_out=_wide(layer.mlp_out),
    )


def _wide(linear: Linear) -> Linear:
    return linear.wide if isinstance(linear, QuantizedLinear) and linear.wide is not None else linear


def _head(model: Qwen2) -> Linear:
    """One row at the end of each prompt goes through it: by the quantized weight, where there is one."""
    head = model.head
    if not isinstance(head, QuantizedLinear) or (head.wide is not None and not model.config.tied_head):
        return _wide(head)
    wide = None if head.wide is None else PlainLinear(model.embedding, head.bias)
    return make_quantized(head.weight, head.bias, wide)
