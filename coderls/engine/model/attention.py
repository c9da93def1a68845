"""KV memory and attention over it. One backend so far: torch's scaled_dot_product_attention, on every device.

A layer's cache is one tensor [positions, 2 * kv_heads, head_dim], keys before values, so that a step writes
both with one copy. A slot is a range of its positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention.bias import causal_lower_right


@dataclass(frozen=True, slots=True)
class LayerKV:
    """One layer's cache of one slot, and the views of it that attention reads (no copies).

    `rows` [positions, 2 * kv_heads, head_dim]; `keys` and `values` [1, kv_heads, positions, head_dim].
    """

    rows: Tensor
    keys: Tensor
    values: Tensor


def layer_kv(rows: Tensor) -> LayerKV:
    """Views of one slot's range of a layer's cache."""
    keys, values = rows.transpose(0, 1).unsqueeze(0).chunk(2, dim=1)
    return LayerKV(rows, keys, values)


def causal_mask(count: int, end: int, device: torch.device) -> Tensor | None:
    """What `count` queries that end at position `end` may see of it; None where no tensor is needed for that.

    The last query sees all: the diagonal ends in the lower right corner. `is_causal` of
    scaled_dot_product_attention aligns to the upper left, which is right only where nothing is cached.
    """
    if count in {1, end}:
        return None
    if device.type != "cpu":
        # Tells flash attention to align there by itself, instead of reading a mask of count x end.
        bias: Tensor = causal_lower_right(count, end)
        return bias
    return torch.ones(count, end, dtype=torch.bool, device=device).tril_(end - count)


def attend(queries: Tensor, kv: LayerKV, end: int, mask: Tensor | None) -> Tensor:
    """Attention of `queries` [tokens, heads, head_dim] to the first `end` positions; [tokens, heads * head_dim].

    The queries are the last tokens of those positions; `mask` is from `causal_mask`.
    """
    count, heads, head_dim = queries.shape
    keys, values = kv.keys[:, :, :end], kv.values[:, :, :end]
    if count == 1:
        # The query heads of one KV head become rows of one product: nine times faster than enable_gqa in bfloat16.
        grouped = queries.view(1, keys.shape[1], heads // keys.shape[1], head_dim)
        return F.scaled_dot_product_attention(grouped, keys, values).view(1, heads * head_dim)
    out = F.scaled_dot_product_attention(
        queries.transpose(0, 1).unsqueeze(0), keys, values, attn_mask=mask, is_causal=mask is None, enable_gqa=True
    )
    return out.squeeze(0).transpose(0, 1).reshape(count, heads * head_dim)
