"""Attention backends against the definition of attention."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from coderls.engine.model.attention import sdpa
from coderls.engine.model.attention.sdpa import SdpaAttention, causal_mask
from coderls.engine.model.batch import Span
from coderls.engine.model.kv import KvCache

HEADS, KV_HEADS, SIZE = 6, 2, 16


def cache_with(ends: dict[int, int]) -> KvCache:
    """Slots of 12 positions; `ends[slot]` of them were written. What was never written must not be read."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(36, 2 * KV_HEADS, SIZE, generator=generator)
    for slot in range(3):
        rows[slot * 12 + ends.get(slot, 0) : (slot + 1) * 12] = float("nan")
    return KvCache((torch.full_like(rows, float("nan")), rows), (0, 12, 24), (12, 12, 12))


def expected(queries: Tensor, rows: Tensor, span: Span) -> Tensor:
    """softmax(q k) v, head by head, in float64."""
    out = torch.empty(span.count, HEADS, SIZE, dtype=torch.float64)
    for row in range(span.count):
        sees = span.end - span.count + row + 1
        for head in range(HEADS):
            keys, values = (rows[:sees, part + head // 3].double() for part in (0, KV_HEADS))
            out[row, head] = torch.softmax(keys @ queries[row, head].double() / SIZE**0.5, 0) @ values
    return out.view(span.count, HEADS * SIZE).float()


@pytest.mark.parametrize(
    "spans",
    [
        [Span(1, 9, 1)],
        [Span(1, 9, 9)],
        [Span(1, 9, 4)],
        [Span(0, 1, 1)],
        [Span(2, 12, 1), Span(0, 3, 3), Span(1, 7, 2)],
    ],
)
def test_attention_against_its_definition(spans: list[Span]) -> None:
    cache = cache_with({span.slot: span.end for span in spans})
    total = sum(span.count for span in spans)
    queries = torch.randn(total, HEADS, SIZE, generator=torch.Generator().manual_seed(1))
    found = SdpaAttention(cache).plan(spans)(queries, 1)
    at = 0
    for span in spans:
        part = slice(at, at + span.count)
        at = part.stop
        torch.testing.assert_close(
            found[part], expected(queries[part], cache.slot(1, span.slot), span), atol=1e-5, rtol=0
        )


@pytest.mark.parametrize(("count", "end"), [(1, 9), (9, 9), (4, 9), (1, 1)])
def test_the_masks_of_card_and_processor_mean_the_same(count: int, end: int) -> None:
    queries, keys, values = (
        torch.randn(1, 2, n, 8, generator=torch.Generator().manual_seed(n)) for n in (count, end, end)
    )
    found = []
    for device in ("cpu", "cuda"):  # a card gets torch's own lower-right bias instead of a mask
        mask = causal_mask(count, end, torch.device(device))
        causal = mask is None and count > 1
        found.append(
            torch.nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=causal)
        )
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [1, 3, sdpa.COPIED_TOKENS + 1])
@pytest.mark.parametrize("room", [0, 1 << 20])
def test_reading_a_copy_changes_nothing(count: int, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a part of a slot: the copy is of what was written."""
    generator = torch.Generator().manual_seed(count)
    rows = torch.randn(300, 2 * KV_HEADS, SIZE, generator=generator).bfloat16()
    rows[250:] = float("nan")
    cache = KvCache((rows,), (0, 100), (100, 200))
    queries = torch.randn(count, HEADS, SIZE, generator=generator).bfloat16()
    monkeypatch.setattr(sdpa, "COPIED_BYTES", room)
    found = SdpaAttention(cache).plan([Span(1, 150, count)])(queries, 0)
    monkeypatch.setattr(sdpa, "COPIED_TOKENS", 0)
    assert torch.equal(found, SdpaAttention(cache).plan([Span(1, 150, count)])(queries, 0))
