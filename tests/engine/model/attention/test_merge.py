"""Attention to two sets of positions is that to their union."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coderls.engine.model.attention import merge
from coderls.engine.model.attention.merge import after_cache, join, pays
from coderls.engine.model.attention.sdpa import SdpaAttention
from coderls.engine.model.batch import Span

from .cases import Shape, error_in, random_cache

CPU = torch.device("cpu")


@settings(deadline=None)
@given(
    left=st.integers(1, 40),
    right=st.integers(1, 40),
    size=st.sampled_from([0.1, 1.0, 100.0, 10_000.0]),
    seed=st.integers(0, 2**31),
)
def test_join(left: int, right: int, size: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(3, left + right, generator=generator, dtype=torch.float64) * size
    values = torch.randn(left + right, 5, generator=generator, dtype=torch.float64)
    whole = torch.softmax(scores, 1) @ values
    parts = [
        (torch.softmax(scores[:, at], 1) @ values[at], torch.logsumexp(scores[:, at], 1))
        for at in (slice(0, left), slice(left, None))
    ]
    found = join(parts[0][0], parts[0][1], *parts[1])
    torch.testing.assert_close(found, whole, atol=2e-4 if size > 1000 else 1e-4 if size > 1 else 1e-6, rtol=0)
    assert found.dtype == torch.float64


@settings(max_examples=25, deadline=None)
@given(
    past=st.integers(1, 300),
    count=st.integers(2, 200),
    group=st.sampled_from([1, 3, 7]),
    dtype=st.sampled_from([torch.bfloat16, torch.float32]),
)
def test_a_chunk_after_the_cache(past: int, count: int, group: int, dtype: torch.dtype) -> None:
    shape = Shape(kv_heads=2, group=group, dtype=dtype)
    spans = [Span(0, past + count, count)]
    cache = random_cache(spans, shape, device=CPU)

    class Merged:
        name = "merged"

        def plan(self, spans: object) -> object:
            rows = cache.slot(1, 0)[: past + count].transpose(0, 1).unsqueeze(0)
            keys, values = rows.chunk(2, dim=1)

            def attend(queries: torch.Tensor, _: int) -> torch.Tensor:
                out = after_cache(queries.transpose(0, 1).unsqueeze(0), keys, values)
                return out.squeeze(0).transpose(0, 1).reshape(count, -1)

            return attend

    assert error_in(Merged(), spans, shape, cache) <= 2  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [127, 128, 300])
def test_sdpa_takes_this_way_where_it_pays(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = merge._flash
    monkeypatch.setattr(merge, "_flash", lambda *parts, causal: calls.append(causal) or real(*parts, causal=causal))
    shape = Shape(kv_heads=1, group=3)
    spans = [Span(1, 2400, count), Span(0, 50, 9)]
    cache = random_cache(spans, shape, device=CPU)
    assert error_in(SdpaAttention(cache), spans, shape, cache) <= 2
    assert calls == ([False, True] if count >= 128 else [])


def test_where_it_pays() -> None:
    assert pays(512, 8192, CPU)
    assert not pays(512, 1024, CPU)
    assert not pays(1, 8192, CPU)
    assert not pays(512, 8192, torch.device("cuda"))  # flash attention aligns there by itself
