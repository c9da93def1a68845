"""Caches and queries of random numbers, NaN where nothing was written, for backends to work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coderls.engine.model.attention import Attention
from coderls.engine.model.attention.definition import by_definition, excess
from coderls.engine.model.batch import Span
from coderls.engine.model.kv import KvCache
from coderls.engine.model.kv_form import KvForm, quantize_kv

#: Where kernels run: on a card, or else by Triton's interpreter.
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True, slots=True)
class Shape:
    kv_heads: int = 2
    group: int = 7
    head_dim: int = 64
    dtype: torch.dtype = torch.bfloat16
    form: KvForm | None = None

    @property
    def heads(self) -> int:
        return self.kv_heads * self.group


def random_cache(
    spans: Sequence[Span], shape: Shape, *, seed: int = 0, device: torch.device = DEVICE, room: int = 5
) -> KvCache:
    """One layer of NaN, one of numbers up to the end of each span; each slot has `room` positions more."""
    ends = {span.slot: span.end for span in spans}
    lengths = tuple(ends.get(slot, 0) + room for slot in range(max(ends) + 1))
    offsets = tuple(sum(lengths[:slot]) for slot in range(len(lengths)))
    rows = torch.full((sum(lengths) + 1, 2 * shape.kv_heads, shape.head_dim), float("nan"))
    generator = torch.Generator().manual_seed(seed)
    for slot, end in ends.items():
        at = offsets[slot]
        rows[at : at + end] = torch.randn((end, *rows.shape[1:]), generator=generator)
    rows = rows.to(device, shape.dtype)
    if shape.form is not None:
        # Where there is NaN, the scale says so.
        numbers, scales = quantize_kv(rows, shape.form)
        layers, factors = (torch.zeros_like(numbers), numbers), (torch.full_like(scales, float("nan")), scales)
        return KvCache(layers, offsets, lengths, shape.form, factors, shape.dtype)
    return KvCache((torch.full_like(rows, float("nan")), rows), offsets, lengths)


def random_queries(spans: Sequence[Span], shape: Shape, *, seed: int = 1, device: torch.device = DEVICE) -> Tensor:
    """As the model hands them over: the first heads of wider rows."""
    wide = torch.randn(
        sum(span.count for span in spans),
        shape.heads + 2 * shape.kv_heads,
        shape.head_dim,
        generator=torch.Generator().manual_seed(seed),
    )
    return wide.to(device, shape.dtype)[:, : shape.heads]


def error_of(found: Tensor, queries: Tensor, cache: KvCache, spans: Sequence[Span]) -> float:
    """How many times the error of plain PyTorch in the same dtype."""
    exact = by_definition(queries, cache, 1, spans, torch.float64)
    plain = by_definition(queries, cache, 1, spans, queries.dtype)
    return excess(found, plain, exact)


def error_in(backend: Attention, spans: Sequence[Span], shape: Shape, cache: KvCache, seed: int = 1) -> float:
    """`error_of` what `backend`, made for `cache`, gives for random queries."""
    queries = random_queries(spans, shape, seed=seed, device=cache.layers[1].device)
    found = backend.plan(spans)(queries, 1)
    assert found.shape == (len(queries), shape.heads * shape.head_dim)
    assert found.dtype == queries.dtype
    return error_of(found, queries, cache, spans)
