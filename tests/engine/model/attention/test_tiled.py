"""Many query tokens as pieces of few, cut on the device."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from coderls.engine.model.attention import Attend
from coderls.engine.model.attention.sdpa import SdpaAttention
from coderls.engine.model.attention.tiled import TiledAttention
from coderls.engine.model.batch import Span
from coderls.engine.model.kv import KvCache
from coderls.engine.model.kv_form import INT8

from .cases import DEVICE, Shape, error_of, random_cache, random_queries

SHAPE = Shape(kv_heads=1, group=3)


class OnHost(SdpaAttention):
    """Looks into the table, which only a test may; reads rows wherever they are."""

    name = "on host"
    most_queries = 16

    def __init__(self, cache: KvCache) -> None:
        super().__init__(cache)
        self.slots = {offset: slot for slot, offset in enumerate(cache.offsets)}
        self.tables: list[list[list[int]]] = []

    def plan_on_device(self, table: Tensor, queries: int) -> Attend:
        self.tables.append(table.tolist())

        def attend(asked: Tensor, layer: int) -> Tensor:
            out = torch.zeros(len(table) * queries, asked.shape[1] * asked.shape[2]).to(asked)
            for first, count, end, start in table.tolist():
                if count:
                    span = Span(self.slots[start], end, count)
                    out[first : first + count] = self.plan([span])(asked[first : first + count], layer)
            return out

        return attend


def check(backend: TiledAttention, cache: KvCache, spans: Sequence[Span], shape: Shape, tokens: int) -> None:
    """Each sequence at the end of its row of `tokens`, as graphs have it; one row more is nobody's."""
    queries = random_queries(spans, shape)
    padded = torch.zeros((len(spans) + 1) * tokens, *queries.shape[1:]).to(queries)
    table = torch.zeros(len(spans) + 1, 4, dtype=torch.int32)
    mine: list[int] = []
    for number, span in enumerate(spans):
        first = number * tokens + tokens - span.count
        table[number] = torch.tensor([first, span.count, span.end, cache.offsets[span.slot]])
        mine += range(first, first + span.count)
    padded[mine] = queries
    found = backend.plan_on_device(table.to(DEVICE), tokens)(padded, 1)
    assert found.shape == (len(padded), shape.heads * shape.head_dim)
    assert found.isfinite().all()
    assert error_of(found[mine], queries, cache, spans) <= 2


@pytest.mark.parametrize("tokens", [16, 32, 40, 256])
@pytest.mark.parametrize("counts", [(1, 16), (17, 3), (31, 32)])
def test_pieces_see_what_the_whole_sees(tokens: int, counts: tuple[int, int]) -> None:
    spans = [Span(slot, 300 + 7 * slot, min(count, tokens)) for slot, count in enumerate(counts)]
    cache = random_cache(spans, SHAPE)
    check(TiledAttention(OnHost(cache)), cache, spans, SHAPE, tokens)


def test_the_table_of_the_pieces() -> None:
    cache = random_cache([Span(0, 100, 1), Span(1, 50, 1)], SHAPE)
    table = torch.tensor([[4, 36, 100, 0], [0, 0, 0, 0], [95, 1, 50, cache.offsets[1]]], dtype=torch.int32)
    found = TiledAttention(OnHost(cache)).cut(table, 40)
    assert found.dtype == torch.int32
    nobody = [0, 0, 0, 0]
    assert found.tolist() == [
        *([4, 16, 80, 0], [20, 16, 96, 0], [36, 4, 100, 0]),
        *(nobody, nobody, nobody),
        *([95, 1, 50, cache.offsets[1]], nobody, nobody),
    ]


def test_few_tokens_are_not_cut() -> None:
    cache = random_cache([Span(0, 20, 1)], SHAPE)
    inner = OnHost(cache)
    table = torch.tensor([[0, 3, 20, 0]], dtype=torch.int32)
    TiledAttention(inner).plan_on_device(table, 16)
    assert inner.tables == [table.tolist()]


@pytest.mark.parametrize("form", [None, INT8], ids=lambda form: form.name if form else "plain")
def test_with_the_kernel(form: object) -> None:
    pytest.importorskip("triton", reason="needs Triton, which has wheels for Linux only")
    from coderls.engine.model.attention.triton_backend import TritonAttention

    shape = Shape(kv_heads=1, group=3, form=form)  # type: ignore[arg-type]
    spans = [Span(0, 400, 50), Span(1, 33, 33)]
    cache = random_cache(spans, shape)
    check(TiledAttention(TritonAttention(cache, shape.heads, 8)), cache, spans, shape, 64)
