"""Which of the right backends reads prompts: the fastest here, by times that the tests make up."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from coderls.engine.model.attention import Attention, choose
from coderls.engine.model.attention.choose import Candidate, for_prompts
from coderls.engine.model.attention.fastest import LENGTHS, fastest
from coderls.engine.model.attention.sdpa import SdpaAttention
from coderls.engine.model.batch import Span
from coderls.engine.model.kv_form import INT8, KvForm

from .cases import DEVICE, Shape, error_in, random_cache

SHAPE = Shape(kv_heads=2, group=3, head_dim=64)


class Times:
    """Says how long each backend takes, by its name; notes what was run."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = seconds
        self.ran: list[tuple[str, int]] = []

    def __call__(self, backend: Attention, spans: Sequence[Span], queries: torch.Tensor) -> float:
        (span,) = spans
        assert span.count == span.end == len(queries)
        self.ran.append((backend.name, span.count))
        backend.plan([Span(0, 9, 9)])(queries[:9], 0)  # there are numbers
        return self.seconds[backend.name] * span.count


def named(name: str) -> SdpaAttention:
    backend = SdpaAttention(random_cache([Span(0, max(LENGTHS), 1)], SHAPE))
    backend.name = name
    return backend


@pytest.mark.parametrize(
    ("seconds", "taken"),
    [
        ({"plain": 1.0, "one": 2.0, "two": 0.5}, "two"),
        ({"plain": 1.0, "one": 0.7, "two": 0.9}, "one"),
        ({"plain": 1.0, "one": 0.97, "two": 3.0}, "plain"),  # nearly the same
    ],
)
def test_the_fastest_is_taken_where_it_is_faster(seconds: dict[str, float], taken: str) -> None:
    times = Times(**seconds)
    like = random_cache([Span(0, max(LENGTHS), 1)], SHAPE)
    found, slower = fastest([named(name) for name in seconds], like, SHAPE.heads, times)
    assert found.name == taken
    assert [name for name, _ in slower] == [name for name in seconds if name != taken]
    assert all(words.endswith(f"times the time of {taken} for a prompt") for _, words in slower)
    for name in seconds:
        lengths = [length for ran, length in times.ran if ran == name]
        assert len(lengths) == len(set(lengths)), "each prompt is as long as none before it"


def test_the_time_is_that_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    class Taking(SdpaAttention):
        def __init__(self, name: str, seconds: float) -> None:
            super().__init__(like)
            self.name, self.seconds = name, seconds

        def plan(self, spans: Sequence[Span]):  # type: ignore[no-untyped-def]
            clock[0] += self.seconds
            return lambda queries, layer: queries

    like = random_cache([Span(0, max(LENGTHS), 1)], SHAPE)
    monkeypatch.setattr("coderls.engine.model.attention.fastest.time.perf_counter", lambda: clock[0])
    found, slower = fastest([Taking("slow", 5.0), Taking("quick", 1.0)], like, SHAPE.heads)
    assert found.name == "quick"
    assert slower == [("slow", "5.00 times the time of quick for a prompt")]


@pytest.mark.parametrize("form", [None, INT8], ids=lambda form: form.name if form else "plain")
def test_only_what_is_right_is_timed(form: KvForm | None) -> None:
    shape = Shape(kv_heads=2, group=3, head_dim=64, form=form)
    spans = [Span(0, 40, 40), Span(2, 90, 30), Span(1, 7, 1)]
    cache = random_cache(spans, shape)

    class Wrong(SdpaAttention):
        name = "wrong"

        def plan(self, spans: Sequence[Span]):  # type: ignore[no-untyped-def]
            attend = super().plan(spans)
            return lambda queries, layer: attend(queries, layer) * 1.1

    candidates = [
        Candidate("absent", lambda: "not installed", SdpaAttention, []),
        Candidate("wrong", lambda: "", Wrong, choose._PROMPTS[:2]),
        *(Candidate(one.name, one.missing, one.make, choose._PROMPTS[:3]) for one in choose._kernels()),
    ]
    times = Times(**{"sdpa": 1.0, "sdpa (flash)": 0.5, "sdpa (cudnn)": 0.6, "wrong": 0.1})
    found, rejected = for_prompts(candidates, cache, shape.heads, lambda _detail, _fraction: None, times)
    reasons = dict(rejected)
    assert found.name == "sdpa (flash)"
    assert reasons["absent"] == "not installed"
    assert "times that of plain PyTorch" in reasons["wrong"]
    assert "2.00 times the time of sdpa (flash)" in reasons["sdpa"]
    if DEVICE.type == "cpu":
        assert "Error" in reasons["sdpa (cudnn)"], "no processor has it"
    assert "wrong" not in {name for name, _ in times.ran}
    assert error_in(found, spans, shape, cache) <= 2, "it is made for the real cache"


def test_torch_chooses_where_nothing_else_is_right() -> None:
    cache = random_cache([Span(0, 9, 1)], SHAPE)
    found, rejected = for_prompts(
        [Candidate("absent", lambda: "not installed", SdpaAttention, [])], cache, SHAPE.heads, lambda *_: None
    )
    assert found.name == "sdpa"
    assert rejected == [("absent", "not installed")]
