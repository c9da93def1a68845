"""Qwen2 (also Qwen2.5, Qwen2.5-Coder and Qwen2.5-Math): the whole forward pass.

A decoder of identical layers: RMSNorm, attention with grouped KV heads, rotary positions and a bias on
queries, keys and values; RMSNorm, SwiGLU. Products that read the same input are fused into one weight:
queries, keys and values; gate and up.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from coderls.engine.model.attention import Attention
from coderls.engine.model.batch import Batch
from coderls.engine.model.config import ModelConfig
from coderls.engine.model.kv import KvCache
from coderls.engine.model.linear import Linear, PlainLinear, QuantizedLinear
from coderls.engine.model.norm import RmsNorm
from coderls.engine.model.quantize import Int4Weight
from coderls.engine.model.rope import RopeTables, rotate
from coderls.engine.model.shortlist import TwoLooks


@dataclass(frozen=True, slots=True)
class Layer:
    """Weights of one layer. The products map as their names say.

    `qkv`: hidden to (heads + 2 * kv_heads) * head_dim; `gate_up`: hidden to 2 * intermediate.
    """

    attention_norm: RmsNorm
    qkv: Linear
    attention_out: Linear
    mlp_norm: RmsNorm
    gate_up: Linear
    mlp_out: Linear


@dataclass(frozen=True, slots=True)
class Qwen2:
    """A loaded model. `embedding` [vocab, hidden]; `head`: hidden to vocab."""

    config: ModelConfig
    embedding: Tensor
    layers: tuple[Layer, ...]
    norm: RmsNorm
    head: Linear
    rope: RopeTables

    @property
    def form(self) -> str:
        """How the weights of the layers are held: "int8", "int4", or the dtype they are computed in."""
        first = self.layers[0].gate_up
        if isinstance(first, QuantizedLinear):
            return "int4" if isinstance(first.weight, Int4Weight) else "int8"
        return str(self.embedding.dtype).removeprefix("torch.")

    @property
    def weight_bytes(self) -> int:
        """Memory of all weights; a tied head that is the embedding itself is counted once."""
        wide = self.head.wide if isinstance(self.head, QuantizedLinear) else self.head
        shared = self.embedding.nbytes if isinstance(wide, PlainLinear) and wide.weight is self.embedding else 0
        products = [p for layer in self.layers for p in (layer.qkv, layer.attention_out, layer.gate_up, layer.mlp_out)]
        return self.embedding.nbytes + self.head.nbytes - shared + sum(p.nbytes for p in products)


def forward(model: Qwen2, batch: Batch, cache: KvCache, attention: Attention) -> Tensor | None:
    """Run the batch's tokens, writing their keys and values into `cache`, of which `attention` is a backend.

    The positions before each span's tokens must be in the cache. Returns float32 logits [wanted, vocab] of the
    tokens for which they are wanted, in order, or None.
    """
    config = model.config
    count = batch.tokens.shape[0]
    kv_rows, between = batch.kv_rows, batch.between
    cos, sin = model.rope.factors(batch.rope_rows, model.embedding.dtype)
    attend = attention.plan(batch.spans)
    x = F.embedding(batch.tokens, model.embedding)
    last = len(model.layers) - 1
    for number, layer in enumerate(model.layers):
        if between is not None:
            between()
        normed = layer.attention_norm(x)
        heads = layer.qkv(normed).view(count, config.heads + 2 * config.kv_heads, config.head_dim)
        rotate(heads[:, : config.heads + config.kv_heads], cos, sin)
        cache.write(number, kv_rows, heads[:, config.heads :])
        queries = heads[:, : config.heads]
        if number == last and (rows := batch.rows) is not None:
            # Nothing attends to the last layer's output: only the rows that become logits go on.
            if not len(rows):
                return None
            queries, x, attend = queries[rows], x[rows], attention.plan(batch.ends)
        x = layer.attention_out(attend(queries, number), add=x)
        normed = layer.mlp_norm(x)
        gate, up = layer.gate_up(normed).chunk(2, dim=-1)
        x = layer.mlp_out(F.silu(gate).mul_(up), add=x)
    x = model.norm(x)
    head = model.head.whole if batch.unlikely and isinstance(model.head, TwoLooks) else model.head
    return head(x).float()
