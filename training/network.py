"""The Qwen2 network for training: whole sequences at once, in torch, with everything frozen but what is trained.

It computes what transformers' Qwen2ForCausalLM does (tests compare them). Sequences of one batch are padded at their
ends: attention is causal, so padding changes nothing before it, and no mask stands in the way of flash attention.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from coderls.errors import ModelBroken

#: Linear layers that get a low-rank part.
LINEARS = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
)  # fmt: skip
EMBEDDING = "model.embed_tokens.weight"
#: Places whose scores are held in memory together (400 MB of float32 at a vocabulary of 49,152).
_AT_ONCE = 2048


@dataclass(frozen=True, slots=True)
class Shape:
    """What config.json says of the network."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    vocabulary: int
    theta: float
    eps: float

    @classmethod
    def read(cls, folder: Path) -> Shape:
        """From a model's folder. Raises ModelBroken."""
        try:
            raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            theta = (raw.get("rope_parameters") or {}).get("rope_theta") or raw["rope_theta"]
            return cls(
                raw["num_hidden_layers"], raw["hidden_size"], raw["num_attention_heads"], raw["num_key_value_heads"],
                raw["vocab_size"], float(theta), float(raw["rms_norm_eps"]),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelBroken(f"{folder} has no config.json that can be trained: {error!r}.") from error


@dataclass(frozen=True, slots=True)
class LowRank:
    """A low-rank part for each linear layer, and whole rows of the embedding: what a delta file holds.

    `scale` and `rows` are those of the recipe that applies it (`Recipe.delta_scale`, `Recipe.delta_rows`).
    """

    rank: int = 16
    scale: float = 2.0
    rows: tuple[int, ...] = (7, 8, 9, 10, 0)


class Linear(nn.Module):
    """A linear layer: `weight` [out, in] and `bias`, and the low-rank part `scale * B @ A` where there is one."""

    def __init__(self, weight: Tensor, bias: Tensor | None, low: LowRank | None) -> None:
        super().__init__()
        trained = low is None
        self.weight = nn.Parameter(weight, requires_grad=trained)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.scale = low.scale if low else 0.0
        if low is not None:
            out, inputs = weight.shape
            self.A = nn.Parameter(torch.randn(low.rank, inputs) / math.sqrt(inputs))
            self.B = nn.Parameter(torch.zeros(out, low.rank))

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        if not self.scale:
            return F.linear(x, self.weight.to(x.dtype), bias)
        a, b = self.A.to(x.dtype), (self.scale * self.B).to(x.dtype)
        y: Tensor = _Merged.apply(x, self.weight.to(x.dtype), a, b)  # type: ignore[no-untyped-call]
        return y if bias is None else y + bias


class _Merged(torch.autograd.Function):
    """`x (W + B A)^T` with W frozen: one product forward and one back, as many as without the low-rank part.

    Beside them the way back has three thin products for A and B, and none of the size of `x` or the result is added.
    The sum is rounded to the dtype of `x` as that of the built model is.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor) -> Tensor:
        merged = torch.addmm(weight, b, a)
        ctx.save_for_backward(x, merged, a, b)
        return F.linear(x, merged)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
        x, merged, a, b = ctx.saved_tensors
        rows, flat = x.reshape(-1, x.shape[-1]), slope.reshape(-1, slope.shape[-1])
        return slope @ merged, None, (flat @ b).t() @ rows, flat.t() @ (rows @ a.t())


class Layer(nn.Module):
    """One layer: attention and feed-forward, each behind a norm and beside a residual."""

    def __init__(self, tensors: Mapping[str, Tensor], number: int, shape: Shape, low: LowRank | None) -> None:
        super().__init__()
        self.shape = shape
        start = f"model.layers.{number}."
        self.input_norm = nn.Parameter(tensors[start + "input_layernorm.weight"], requires_grad=low is None)
        self.post_norm = nn.Parameter(tensors[start + "post_attention_layernorm.weight"], requires_grad=low is None)

        def linear(name: str) -> Linear:
            return Linear(tensors[f"{start}{name}.weight"], tensors.get(f"{start}{name}.bias"), low)

        self.q_proj, self.k_proj = linear("self_attn.q_proj"), linear("self_attn.k_proj")
        self.v_proj, self.o_proj = linear("self_attn.v_proj"), linear("self_attn.o_proj")
        self.gate_proj, self.up_proj = linear("mlp.gate_proj"), linear("mlp.up_proj")
        self.down_proj = linear("mlp.down_proj")

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(F.rms_norm(x, (x.shape[-1],), self.input_norm.to(x.dtype), self.shape.eps), cos, sin)
        y = F.rms_norm(x, (x.shape[-1],), self.post_norm.to(x.dtype), self.shape.eps)
        return x + self.down_proj.forward(F.silu(self.gate_proj.forward(y)) * self.up_proj.forward(y))

    def attention(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Causal attention with grouped heads. `x`: [batch, length, hidden]."""
        batch, length, _ = x.shape

        def heads(projected: Tensor, count: int) -> Tensor:
            return projected.view(batch, length, count, -1).transpose(1, 2)

        q = _rotated(heads(self.q_proj.forward(x), self.shape.heads), cos, sin)
        k = _rotated(heads(self.k_proj.forward(x), self.shape.kv_heads), cos, sin)
        v = heads(self.v_proj.forward(x), self.shape.kv_heads)
        mixed = _attention(q, k, v)
        return self.o_proj.forward(mixed.transpose(1, 2).reshape(batch, length, -1))


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention of grouped heads: [batch, heads, length, size], with fewer heads in `k` and `v`.

    torch's fused kernel for CPUs takes twice as long as plain products at a few hundred tokens, above all on the way
    back; these also take the heads of a group together.
    """
    batch, count, length, size = q.shape
    groups = count // k.shape[1]
    if q.device.type != "cpu":
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    together = (-1, groups * length, size)
    scores = torch.bmm((q * size**-0.5).reshape(together), k.reshape(-1, length, size).transpose(1, 2))
    after = torch.full((length, length), float("-inf"), dtype=q.dtype).triu(1)
    weights = (scores.view(-1, groups, length, length) + after).softmax(-1).view(-1, groups * length, length)
    return torch.bmm(weights, v.reshape(-1, length, size)).view(batch, count, length, size)


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding, the halves of a head apart (https://arxiv.org/abs/2104.09864)."""
    one, other = x.chunk(2, -1)
    return torch.cat((one * cos - other * sin, other * cos + one * sin), -1)


class Network(nn.Module):
    """The whole network with its tied head. `low` None: every weight is trained."""

    rows: Tensor
    row_of: Tensor

    def __init__(self, shape: Shape, tensors: Mapping[str, Tensor], low: LowRank | None, dtype: torch.dtype) -> None:
        super().__init__()
        self.shape, self.dtype, self.low = shape, dtype, low
        self.checkpointing = False
        held = tensors[EMBEDDING]
        self.embedding = nn.Parameter(held, requires_grad=low is None)
        self.norm = nn.Parameter(tensors["model.norm.weight"], requires_grad=low is None)
        self.layers = nn.ModuleList(Layer(tensors, number, shape, low) for number in range(shape.layers))
        if low is not None:
            rows = torch.tensor(low.rows)
            self.E = nn.Parameter(held[rows].float().clone())
            row_of = torch.full((shape.vocabulary,), -1)
            row_of[rows] = torch.arange(len(low.rows))
            self.register_buffer("rows", rows, persistent=False)
            self.register_buffer("row_of", row_of, persistent=False)

    def hidden(self, ids: Tensor) -> Tensor:
        """Hidden states behind the last norm. `ids`: [batch, length]; result [batch, length, hidden]."""
        x = F.embedding(ids, self.embedding).to(self.dtype)
        if self.low is not None:
            row = self.row_of[ids]
            x = torch.where((row >= 0)[..., None], self.E.to(self.dtype)[row.clamp(min=0)], x)
        cos, sin = self.angles(ids.shape[1], x.device)
        for layer in self.layers:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer, x, cos, sin, use_reentrant=False)
            else:
                x = layer(x, cos, sin)
        return F.rms_norm(x, (x.shape[-1],), self.norm.to(x.dtype), self.shape.eps)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of all tokens, float32. `hidden`: [count, hidden]."""
        scores = F.linear(hidden, self.embedding.to(hidden.dtype)).float()
        if self.low is None:
            return scores
        return scores.index_copy(1, self.rows, F.linear(hidden, self.E.to(hidden.dtype)).float())

    def angles(self, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the rotary embedding, [length, size of a head / 2] each."""
        size = self.shape.hidden // self.shape.heads
        rates = self.shape.theta ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        angles = torch.outer(torch.arange(length, dtype=torch.float64), rates)
        return angles.cos().to(device, self.dtype), angles.sin().to(device, self.dtype)

    def trained(self) -> dict[str, nn.Parameter]:
        """What is trained, by name, in a fixed order."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}


def load(folder: Path, low: LowRank | None, dtype: torch.dtype, device: str = "cpu") -> Network:
    """The network of a model's folder; trained weights are float32. Raises ModelBroken."""
    try:
        files = [load_file(str(path)) for path in sorted(folder.glob("*.safetensors"))]
    except Exception as error:  # the library raises its own and OSError alike
        raise ModelBroken(f"{folder} holds no weights that can be read: {error}.") from error
    tensors = {name: value.to(dtype if low else torch.float32) for part in files for name, value in part.items()}
    try:
        return Network(Shape.read(folder), tensors, low, dtype).to(device)
    except KeyError as error:
        raise ModelBroken(f"{folder} lacks the tensor {error}.") from error


def loss_of(network: Network, hidden: Tensor, places: Tensor, targets: Tensor, without: Sequence[int] = ()) -> Tensor:
    """Sum of negative log-likelihoods. `hidden`: [tokens, hidden]; `places` in it predict `targets`.

    Tokens in `without` have no share in the likelihood, and learn nothing from it. Many places go in parts, each
    computed again on the way back: the scores of a vocabulary are the largest tensor of all.
    """
    if len(places) <= _AT_ONCE:
        return _part_loss(network, hidden[places], targets, without)
    total = hidden.new_zeros((), dtype=torch.float32)
    for start in range(0, len(places), _AT_ONCE):
        part, wanted = hidden[places[start : start + _AT_ONCE]], targets[start : start + _AT_ONCE]
        total = total + checkpoint(_part_loss, network, part, wanted, without, use_reentrant=False)
    return total


def _part_loss(network: Network, hidden: Tensor, targets: Tensor, without: Sequence[int]) -> Tensor:
    scores = network.logits(hidden)
    if without:
        scores = scores.index_fill(1, torch.tensor(without, device=scores.device), float("-inf"))
    return F.cross_entropy(scores, targets, reduction="sum")
