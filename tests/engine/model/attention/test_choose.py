"""The choice of a backend: a self-test tells right from wrong, and says why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from coderls.engine.model import faults
from coderls.engine.model.attention import Attend, GraphAttention, choose
from coderls.engine.model.attention.choose import Candidate, choose_attention, first_good, self_test, split_cases
from coderls.engine.model.attention.definition import by_definition
from coderls.engine.model.attention.gathered import GatheredAttention
from coderls.engine.model.attention.routed import RoutedAttention
from coderls.engine.model.attention.sdpa import SdpaAttention
from coderls.engine.model.batch import Span
from coderls.engine.model.kv import KvCache
from coderls.engine.model.kv_form import FP8, INT8, KvForm
from coderls.errors import EngineStartFailed

from .cases import DEVICE, Shape, random_cache

SHAPE = Shape(kv_heads=2, group=3, head_dim=64)
CASES = [[Span(1, 128, 1)], [Span(3, 700, 16), Span(2, 63, 5), Span(4, 1, 1)]]


def like(device: torch.device = DEVICE, form: KvForm | None = None) -> KvCache:
    return random_cache([Span(0, 4, 1)], replace(SHAPE, form=form), device=device)


class Altered(SdpaAttention):
    """Right but for what `change` does to the spans, or to the result."""

    name = "altered"
    spans: Callable[[Span], Span] = staticmethod(lambda span: span)
    result: Callable[[Tensor], Tensor] = staticmethod(lambda out: out)

    def plan(self, spans: Sequence[Span]) -> Attend:
        attend = super().plan([type(self).spans(span) for span in spans])
        return lambda queries, layer: type(self).result(attend(queries, layer))


def wrong_row(out: Tensor) -> Tensor:
    out = out.clone()
    out[-1] += 0.02
    return out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"spans": lambda span: Span(span.slot, max(span.count, span.end - 1), span.count)}, "times that of plain"),
        ({"spans": lambda span: Span(span.slot, span.end + 1, span.count)}, "nan times that of plain"),
        ({"result": wrong_row}, "times that of plain"),
        ({"result": lambda out: out.fill_(float("nan"))}, "nan times"),
    ],
    ids=["right", "one position too few", "reads what was not written", "one wrong row", "nan"],
)
@pytest.mark.parametrize("form", [None, INT8, FP8], ids=lambda form: form.name if form else "plain")
def test_a_self_test_tells_right_from_wrong(change: dict[str, object], said: str, form: KvForm | None) -> None:
    backend = type("Backend", (Altered,), {name: staticmethod(what) for name, what in change.items()})  # type: ignore[arg-type]
    reason = self_test(backend, CASES, like(form=form), SHAPE.heads)
    assert said in reason
    assert bool(reason) == bool(said)


def test_a_backend_that_raises_is_left_out_with_its_words() -> None:
    def make(_: KvCache) -> SdpaAttention:
        raise OSError("libflash.so:\n undefined symbol")

    assert self_test(make, CASES, like(), SHAPE.heads) == "OSError: libflash.so: undefined symbol"


def test_a_test_that_breaks_the_card_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def synchronize(_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    faults.check_usable(torch.device("cpu"), "anything")
    with pytest.raises(EngineStartFailed, match="left cuda:0 unusable") as raised:
        faults.check_usable(torch.device("cuda", 0), "illegal memory access")
    assert "engine.native" in raised.value.todo


def test_the_lengths_of_a_graph_are_tested_too() -> None:
    class Careless(GatheredAttention):
        def plan_on_device(self, table: Tensor, queries: int) -> Attend:
            attend = super().plan_on_device(table, queries)
            return lambda asked, layer: attend(asked, layer).flip(0)

    assert isinstance(Careless(like()), GraphAttention)
    assert "times that of plain" in self_test(Careless, CASES, like(), SHAPE.heads)


def test_the_first_good_one_is_taken() -> None:
    tried = []
    broken = type("Broken", (Altered,), {"result": staticmethod(wrong_row)})

    def candidate(name: str, missing: str, make: Callable[[KvCache], SdpaAttention]) -> Candidate:
        return Candidate(name, lambda: missing, make, CASES)

    candidates = [
        candidate("absent", "not installed", SdpaAttention),
        candidate("broken", "", broken),
        candidate("good", "", SdpaAttention),
        candidate("never tried", "", broken),
    ]
    found, rejected = first_good(candidates, like(), SHAPE.heads, lambda detail, _: tried.append(detail))
    assert type(found) is SdpaAttention
    assert [name for name, _ in rejected] == ["absent", "broken"]
    assert rejected[0][1] == "not installed"
    assert tried[-1] == "testing attention: good"


def test_a_processor_takes_torchs_own() -> None:
    chosen = choose_attention(like(torch.device("cpu")), SHAPE.heads)
    assert chosen.summary == chosen.attention.name == "sdpa"


def test_a_summary_says_what_was_left_out() -> None:
    chosen = choose.Choice(SdpaAttention(like()), (("flash-attn 2", "not installed"),))
    assert chosen.summary == "sdpa; not flash-attn 2: not installed"


def test_the_cases_of_the_kernel_stay_inside_of_their_slots() -> None:
    cases = split_cases(8)
    for spans in cases:
        assert len({span.slot for span in spans}) == len(spans)
        assert all(1 <= span.count <= min(16, span.end) <= span.end <= choose._LENGTHS[span.slot] for span in spans)
    assert {len(spans) for spans in cases} == {1, 2, 4, 8}
    assert {max(span.count for span in spans) for spans in cases} == {1, 2, 4, 8, 16}


@pytest.mark.parametrize(
    "counts", [[1], [40], [3, 40, 1, 2], [40, 17, 1], [1, 2, 16]], ids=lambda counts: "-".join(map(str, counts))
)
def test_few_tokens_and_many_go_to_their_own_backend(counts: list[int]) -> None:
    spans = [Span(slot, 50 + slot, count) for slot, count in enumerate(counts)]
    cache = random_cache(spans, SHAPE)
    few, many = GatheredAttention(cache), SdpaAttention(cache)
    few.most_queries = 16
    seen: list[tuple[str, list[int]]] = []
    for name, backend in (("few", few), ("many", many)):
        real = backend.plan

        def spy(spans: Sequence[Span], name: str = name, real: Callable[..., Attend] = real) -> Attend:
            seen.append((name, [span.count for span in spans]))
            return real(spans)

        backend.plan = spy  # type: ignore[method-assign]
    routed = RoutedAttention(few, many)
    assert isinstance(routed, GraphAttention)
    queries = torch.randn(sum(counts), SHAPE.heads, SHAPE.head_dim).to(DEVICE, SHAPE.dtype)
    found = routed.plan(spans)(queries, 1)
    exact = by_definition(queries, cache, 1, spans, torch.float64)
    torch.testing.assert_close(found.double(), exact, atol=0.02, rtol=0)
    assert [count for _, run in seen for count in run] == counts
    assert all((name == "few") == (max(run) <= 16) for name, run in seen)


def test_the_kernel_passes_its_self_test() -> None:
    pytest.importorskip("triton", reason="needs Triton, which has wheels for Linux only")
    candidate = choose._triton(like(), SHAPE.heads)
    assert candidate.missing() == ""
    assert self_test(candidate.make, [[Span(1, 129, 2), Span(2, 63, 16)]], like(), SHAPE.heads) == ""


def test_a_triton_that_cannot_be_imported_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="needs Triton, which has wheels for Linux only")

    def broken(name: str) -> None:
        raise ImportError("libtriton.so: undefined symbol")

    monkeypatch.setattr(choose.importlib, "import_module", broken)
    assert choose._triton(like(), SHAPE.heads).missing() == "Triton cannot be imported: libtriton.so: undefined symbol"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card; torch sees none")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("group", "head_dim"), [(7, 64), (6, 128), (7, 128), (8, 128), (5, 128), (3, 64)])
def test_what_a_card_takes(dtype: torch.dtype, group: int, head_dim: int) -> None:
    shape = Shape(kv_heads=2, group=group, head_dim=head_dim, dtype=dtype)
    chosen = choose_attention(random_cache([Span(0, 4, 1)], shape), shape.heads)
    assert "triton" in chosen.attention.name, chosen.summary
