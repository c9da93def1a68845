"""The split-KV kernel: by Triton's interpreter where there is no card, on the card where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coderls.engine.model.attention import GraphAttention
from coderls.engine.model.batch import Span
from coderls.engine.model.kv import KvCache
from coderls.engine.model.kv_form import FP8, INT8, KvForm

from .cases import DEVICE, Shape, error_in, error_of, random_cache, random_queries

pytest.importorskip("triton", reason="needs Triton, which has wheels for Linux only")

from coderls.engine.model.attention import triton_backend
from coderls.engine.model.attention.triton_backend import TritonAttention

#: Cards before 8.9 have no arithmetic for fp8; the interpreter has.
FORMS = [INT8, FP8] if DEVICE.type == "cpu" or torch.cuda.get_device_capability() >= (8, 9) else [INT8]
BOUNDARIES = [1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 513]


def check(spans: list[Span], shape: Shape, *, processors: int = 4, seed: int = 0) -> None:
    """The kernel is right for `spans`, with NaN in all that was not written."""
    cache = random_cache(spans, shape, seed=seed)
    backend = TritonAttention(cache, shape.heads, processors)
    assert error_in(backend, spans, shape, cache, seed + 1) <= 2


@st.composite
def ragged(draw: st.DrawFn) -> list[Span]:
    spans = []
    for slot in range(draw(st.integers(1, 4))):
        end = draw(st.sampled_from(BOUNDARIES) | st.integers(1, 300))
        spans.append(Span(slot, end, draw(st.integers(1, min(16, end)))))
    return draw(st.permutations(spans))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    spans=ragged(),
    shape=st.builds(
        Shape,
        kv_heads=st.integers(1, 2),
        group=st.sampled_from([1, 3, 5, 6, 7, 8]),
        head_dim=st.sampled_from([64, 128]),
        dtype=st.sampled_from([torch.bfloat16, torch.float16, torch.float32]),
        form=st.sampled_from([None, *FORMS]),
    ),
    processors=st.sampled_from([1, 4, 40]),
    seed=st.integers(0, 2**31),
)
def test_ragged_batches(spans: list[Span], shape: Shape, processors: int, seed: int) -> None:
    check(spans, shape, processors=processors, seed=seed)


@pytest.mark.parametrize("group", [1, 3, 5, 6, 7, 8])
@pytest.mark.parametrize("count", [1, 3, 16])
def test_every_ratio_and_number_of_queries(group: int, count: int) -> None:
    check([Span(0, 200, count)], Shape(kv_heads=1, group=group))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize(("head_dim", "kv_heads", "count"), [(64, 3, 1), (128, 1, 16), (128, 2, 5)])
def test_caches_in_8_bits(form: KvForm, head_dim: int, kv_heads: int, count: int) -> None:
    spans = [Span(0, 300, count), Span(2, 17, 1), Span(1, 129, min(count, 2))]
    check(spans, Shape(kv_heads, group=3, head_dim=head_dim, form=form))


@pytest.mark.parametrize("end", BOUNDARIES)
def test_block_and_part_boundaries(end: int) -> None:
    check([Span(0, end, 1), Span(1, end, min(end, 5))], Shape(kv_heads=1, group=3), processors=4)


@pytest.mark.parametrize(
    ("end", "count", "form"), [(4095, 16, None), (8192, 1, None), (131072, 2, None), (4095, 2, INT8)]
)
def test_long_contexts(end: int, count: int, form: KvForm | None) -> None:
    check([Span(0, end, count)], Shape(kv_heads=1, form=form), processors=16)


def test_many_processors_and_few_positions_leave_parts_without_work() -> None:
    check([Span(0, 3, 1), Span(1, 129, 2)], Shape(), processors=132)


def test_scores_that_overflow_an_exponential() -> None:
    spans, shape = [Span(0, 300, 4)], Shape(dtype=torch.float32)
    cache = random_cache(spans, shape)
    queries = random_queries(spans, shape) * 200
    found = TritonAttention(cache, shape.heads, 8).plan(spans)(queries, 1)
    assert error_of(found, queries, cache, spans) <= 2


def test_memory_that_holds_nan_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., torch.Tensor] = torch.empty

    def poisoned(*args: Any, **options: Any) -> torch.Tensor:
        return real(*args, **options).fill_(float("nan"))

    monkeypatch.setattr(triton_backend.torch, "empty", poisoned)
    check([Span(0, 3, 1), Span(2, 200, 7), Span(1, 128, 16)], Shape(), processors=132)


def test_positions_beyond_two_to_the_31_values() -> None:
    if DEVICE.type == "cuda" and torch.cuda.mem_get_info()[0] < 6e9:
        pytest.skip("needs 6 GB of memory on the card")
    shape = Shape(kv_heads=8, group=1, head_dim=128)
    spans = [Span(1, 70, 2)]
    before = 2**31 // (2 * 8 * 128) + 10
    # Never touched but for its end: on a CPU the system gives no memory for the rest.
    layer = torch.empty((before + 80, 16, 128), dtype=shape.dtype, device=DEVICE)
    layer[before:] = float("nan")
    layer[before : before + 70] = torch.randn(70, 16, 128).to(layer)
    cache = KvCache((layer, layer), (0, before), (before, 80))
    assert error_in(TritonAttention(cache, 8, 8), spans, shape, cache) <= 2


def test_one_plan_serves_every_length_that_the_table_says() -> None:
    shape = Shape(group=3)
    ends = [Span(0, 130, 3), Span(1, 520, 1), Span(2, 64, 2)]
    cache = random_cache(ends, shape)
    backend: GraphAttention = TritonAttention(cache, shape.heads, 8)
    assert isinstance(backend, GraphAttention)
    table = torch.zeros((4, 4), dtype=torch.int32, device=DEVICE)
    attend = backend.plan_on_device(table, 4)  # what a graph would hold
    for spans in (ends, [Span(2, 60, 4)], [Span(1, 17, 2), Span(0, 5, 1)]):
        queries = random_queries(spans, shape)
        padded = torch.full((16, *queries.shape[1:]), float("nan"), dtype=shape.dtype, device=DEVICE)
        table.zero_()
        kept: list[int] = []
        for place, span in enumerate(spans):
            rows = range(4 * place, 4 * place + span.count)
            table[place] = torch.tensor([rows.start, span.count, span.end, cache.offsets[span.slot]])
            padded[rows.start : rows.stop] = queries[len(kept) : len(kept) + span.count]
            kept.extend(rows)
        found = attend(padded, 1)
        assert torch.isfinite(found).all()
        assert error_of(found[kept], queries, cache, spans) <= 2


@pytest.mark.parametrize(
    ("head_dim", "heads", "said"), [(64, 14, ""), (128, 28, ""), (96, 14, "head size"), (64, 64, "heads")]
)
def test_which_models_it_takes(head_dim: int, heads: int, said: str) -> None:
    cache = KvCache((torch.empty(2, 4, head_dim),), (0,), (1,))
    reason = triton_backend.fits(cache, heads)
    assert said in reason
    assert bool(reason) == bool(said)


@pytest.mark.parametrize(("sequences", "splits"), [(1, 64), (2, 32), (8, 8), (1000, 1)])
def test_splits_fill_the_card_whatever_the_lengths(sequences: int, splits: int) -> None:
    cache = KvCache((torch.empty(2, 8, 64),), (0,), (1,))
    assert TritonAttention(cache, 28, 132).splits(sequences) == splits
