"""Attention with lengths on the device against attention with lengths on the host."""

from __future__ import annotations

import pytest
import torch

from coderls.engine.model.attention.gathered import GatheredAttention
from coderls.engine.model.attention.sdpa import SdpaAttention
from coderls.engine.model.batch import Span
from coderls.engine.model.kv import KvCache, allocate

from .test_rope import PLAIN, config_of

SLOTS = (300, 64, 130)


@pytest.fixture
def cache() -> KvCache:
    """Every position holds NaN, but those that `written` says."""
    config, _ = config_of(PLAIN, 64)
    made = allocate(config, SLOTS, torch.device("cpu"), torch.float32)
    with torch.inference_mode():
        for layer in made.layers:
            layer[:-1] = float("nan")
    return made


@torch.inference_mode()
def written(cache: KvCache, spans: list[Span]) -> None:
    for span in spans:
        for number in range(len(cache.layers)):
            rows = cache.slot(number, span.slot)
            rows[: span.end] = torch.randn(rows[: span.end].shape)


@torch.inference_mode()
@pytest.mark.parametrize("queries", [1, 4, 16])
@pytest.mark.parametrize(
    "spans",
    [
        [Span(0, 300, 4)],
        [Span(2, 1, 1)],
        [Span(1, 64, 3), Span(0, 200, 1), Span(2, 5, 4)],
        [Span(0, 17, 1), Span(1, 4, 4)],
    ],
)
@pytest.mark.parametrize("at_the_end", [False, True])
def test_lengths_on_the_device(cache: KvCache, spans: list[Span], queries: int, at_the_end: bool) -> None:
    spans = [Span(span.slot, span.end, min(span.count, queries)) for span in spans]
    written(cache, spans)
    asked = torch.randn(sum(span.count for span in spans), 2, 64)
    expected = SdpaAttention(cache).plan(spans)(asked, 0)
    sequences = len(spans) + 1  # the last is nobody's
    table = torch.zeros(sequences, 4, dtype=torch.int32)
    filled = torch.zeros(sequences * queries, 2, 64)
    mine: list[int] = []
    for number, span in enumerate(spans):
        first = number * queries + (queries - span.count if at_the_end else 0)
        table[number] = torch.tensor([first, span.count, span.end, cache.offsets[span.slot]])
        mine += range(first, first + span.count)
    filled[mine] = asked
    found = GatheredAttention(cache).plan_on_device(table, queries)(filled, 0)
    assert found.isfinite().all(), "also of what is nobody's"
    torch.testing.assert_close(found[mine], expected, atol=1e-5, rtol=0)
