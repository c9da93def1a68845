"""Attention to two sets of positions, joined exactly by their log-sum-exp.

softmax over the union is the mean of the two softmaxes, weighted by their sums of exponentials (the associative step of
FlashAttention and Flash-Decoding). A chunk after cached positions needs no mask then: all of it sees all that is
cached, and itself causally. On a CPU torch reads a mask of new x all positions, as numbers, for every layer; without
it, 512 tokens that end at 8,192 took 0.69 of the time, at 4,096 0.85 (two cores, bfloat16); before 2,048 it was level.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Where it pays on a CPU: new tokens, and positions before them.
LEAST_NEW = 128
LEAST_PAST = 2048


def join(out: Tensor, weight: Tensor, other_out: Tensor, other_weight: Tensor) -> Tensor:
    """Attention over two disjoint sets of positions, from each one's result and log-sum-exp.

    `out` [..., head_dim] and `weight` [...], natural logarithm. The mean is taken in float32; the result has the dtype
    of `out`.
    """
    share = torch.sigmoid(weight.float() - other_weight.float()).unsqueeze(-1)
    return torch.lerp(other_out.float(), out.float(), share).to(out.dtype)


def pays(count: int, end: int, device: torch.device) -> bool:
    """Whether `after_cache` is the faster way for `count` queries that end at position `end`."""
    return device.type == "cpu" and count >= LEAST_NEW and end - count >= LEAST_PAST


def after_cache(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Causal attention of `queries` [1, heads, count, head_dim], the last of the positions in `keys` and `values`.

    Those are [1, kv_heads, end, head_dim]; there are positions before the queries' own. CPU only. The result
    has the shape of `queries`.
    """
    _, heads, count, head_dim = queries.shape
    kv_heads, end = keys.shape[1], keys.shape[2]
    past, group = end - count, heads // kv_heads
    # The query heads of one KV head are more rows of one product: no key is copied for them.
    rows = queries.reshape(1, kv_heads, group * count, head_dim)
    out, weight = _flash(rows, keys[:, :, :past], values[:, :, :past], causal=False)
    new_keys, new_values = (part[:, :, past:].repeat_interleave(group, 1) for part in (keys, values))
    new_out, new_weight = _flash(queries, new_keys, new_values, causal=True)
    return join(out.reshape(queries.shape), weight.reshape(1, heads, count), new_out, new_weight)


def _flash(queries: Tensor, keys: Tensor, values: Tensor, *, causal: bool) -> tuple[Tensor, Tensor]:
    """The operator that scaled_dot_product_attention runs on a CPU: also gives the log-sum-exp [1, heads, count]."""
    out, weight = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(queries, keys, values, 0.0, causal)
    return out, weight
