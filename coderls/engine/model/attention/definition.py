"""Attention by its definition, softmax(q k) v: what every backend is measured against.

In float64 it is the reference. In the dtype of the model it is "plain PyTorch", whose error is the measure: a backend
may have at most twice of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from coderls.engine.model.batch import Span
from coderls.engine.model.kv import KvCache

#: Four units in the last place of float32: sums in another order were seen to be off by six.
_ROUNDING = 4 * torch.finfo(torch.float32).eps


def by_definition(queries: Tensor, cache: KvCache, layer: int, spans: Sequence[Span], dtype: torch.dtype) -> Tensor:
    """What `Attention.plan(spans)` gives for `queries` [total, heads, head_dim] and `layer`, computed in `dtype`.

    Of a quantized cache the numbers are those that are in it: what quantizing itself changes is measured elsewhere.
    """
    out = []
    at = 0
    for span in spans:
        rows = cache.first(layer, span.slot, span.end, dtype)
        out.append(_one(queries[at : at + span.count], rows))
        at += span.count
    return torch.cat(out)


def _one(queries: Tensor, rows: Tensor) -> Tensor:
    """One sequence: its last queries [count, heads, head_dim] to all of `rows` [end, 2 * kv_heads, head_dim]."""
    count, heads, head_dim = queries.shape
    end, kv_heads = rows.shape[0], rows.shape[1] // 2
    grouped = queries.to(rows.dtype).view(count, kv_heads, heads // kv_heads, head_dim).permute(1, 2, 0, 3)
    keys, values = rows.transpose(0, 1).unsqueeze(1).chunk(2)
    scores = grouped @ keys.transpose(-1, -2) * head_dim**-0.5  # [kv_heads, group, count, end]
    sees = torch.arange(end - count, end, device=rows.device)
    unseen = torch.arange(end, device=rows.device) > sees[:, None]
    out = torch.softmax(scores.masked_fill(unseen, float("-inf")), dim=-1) @ values
    return out.permute(2, 0, 1, 3).reshape(count, heads * head_dim)


def excess(found: Tensor, plain: Tensor, exact: Tensor) -> float:
    """How many times the error of `plain` the error of `found` is, both against `exact` (float64). NaN when not finite.

    The larger of two ratios: of all values together, and of the worst row, so that one wrong row among many is seen.
    An error of a few units in the last place of float32 counts as none.
    """
    ours, theirs = (_row_errors(rows, exact) for rows in (found, plain))
    floor = _ROUNDING * float(exact.square().mean().sqrt())
    worst = float(ours.max()) / max(float(theirs.max()), floor)
    together = float(ours.square().mean().sqrt()) / max(float(theirs.square().mean().sqrt()), floor)
    return max(worst, together) if math.isfinite(worst) and math.isfinite(together) else math.nan


def _row_errors(rows: Tensor, exact: Tensor) -> Tensor:
    return (rows.double() - exact).square().mean(1).sqrt()
