"""The native step against exact arithmetic: its error is at most twice that of plain bfloat16, in every form."""

from __future__ import annotations

import functools
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coderls.engine.model.config import ModelConfig
from coderls.engine.model.kv_form import FP8, INT8, KvForm
from coderls.engine.model.linear import PlainLinear
from coderls.engine.model.native import build
from coderls.engine.model.native.step import MOST_TOKENS, make_native_step
from coderls.engine.model.qwen2 import Qwen2
from coderls.engine.runner import Work

from .models import FORMS, Side, config, each_product, in_form, native_of, plain, random_model, rms, tokens, work

pytestmark = pytest.mark.usefixtures("shared_cache")

#: Query heads and KV heads, size of a head: each ratio of the family.
HEADS = [(9, 3, 64), (14, 2, 64), (12, 2, 128), (16, 2, 128), (28, 4, 128), (40, 8, 128)]
X86 = platform.machine().lower() in {"x86_64", "amd64"}
#: Instructions that are compared on one machine: what it has, and what others have.
VECTORS: dict[str, Sequence[str] | None] = {"native": None, "portable": ["-DCODERLS_PORTABLE"]}
if X86:
    VECTORS["avx2"] = ["-march=haswell"]


@pytest.fixture(autouse=True)
def no_gradients() -> object:
    with torch.inference_mode():
        yield


@functools.lru_cache(maxsize=8)  # quantizing takes most of a test's time, and nothing here changes a model
def three_forms(shape: ModelConfig, form: str, group: int) -> tuple[Qwen2, Qwen2, Qwen2]:
    """A random model in float64, in bfloat16, and as the engine holds it: the same numbers."""
    model = random_model(shape)
    exact, theirs = (plain(model, form, dtype, group) for dtype in (torch.float64, torch.bfloat16))
    return exact, theirs, in_form(model, form, group)


class Trio:
    """The native step, plain bfloat16 in torch, and exact numbers, which go on from the same keys and values."""

    def __init__(
        self,
        form: str,
        heads: tuple[int, int, int] = HEADS[0],
        *,
        group: int = 32,
        flags: Sequence[str] | None = None,
        cache: torch.dtype = torch.bfloat16,
        kv_form: KvForm | None = None,
        **sizes: int,
    ) -> None:
        exact, theirs, ours = three_forms(config(*heads, **sizes), form, group)
        self.exact = Side(exact, torch.float64)
        self.plain = Side(theirs, torch.bfloat16, kv_form=kv_form)
        self.side = Side(ours, cache, kv_form=kv_form)
        self.native = native_of(self.side.model, self.side.cache, flags)

    def prefill(self, works: Sequence[Work]) -> None:
        self.plain.run(works)
        for side in (self.exact, self.side):
            side.take_over(self.plain.cache)

    def check(self, works: Sequence[Work]) -> torch.Tensor:
        batch = self.side.batch(works)
        assert self.native.takes(batch)
        ours = self.native(batch)
        exact, theirs = self.exact.run(works), self.plain.run(works)
        assert ours is not None
        assert ours.dtype == torch.float32
        assert rms(theirs - exact) > 0
        assert rms(ours - exact) <= 2 * rms(theirs - exact)
        return ours


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("heads", HEADS, ids=str)
def test_step_and_verify(form: str, heads: tuple[int, int, int]) -> None:
    trio = Trio(form, heads, hidden=0 if heads[0] < 28 else 256)
    ids = tokens(60)
    trio.prefill([work(0, 0, ids[:40])])
    trio.check([work(0, 40, ids[40:41])])
    trio.check([work(0, 41, ids[41:46])])
    trio.check([work(0, 46, ids[46:60])])


@pytest.mark.parametrize("vectors", VECTORS)
@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_vectors(form: str, vectors: str) -> None:
    trio = Trio(form, flags=VECTORS[vectors])
    ids = tokens(70)
    trio.prefill([work(0, 0, ids[:50]), work(1, 0, ids[:9])])
    trio.check([work(0, 50, ids[50:61]), work(1, 9, ids[9:10]), work(2, 0, ids[:4])])
    name = trio.native.name
    assert vectors == "native" or vectors in name.lower()


@pytest.mark.parametrize("kv_form", [None, INT8], ids=lambda form: form.name if form else "plain")
@pytest.mark.parametrize("vectors", VECTORS)
def test_clang_makes_the_same_of_it(vectors: str, kv_form: KvForm | None, monkeypatch: pytest.MonkeyPatch) -> None:
    clang = shutil.which("clang++")
    if clang is None:
        pytest.skip("there is no clang++ here")
    monkeypatch.setattr(build, "find_compiler", lambda: clang)
    for form in FORMS:
        trio = Trio(form, flags=VECTORS[vectors], kv_form=kv_form)
        ids = tokens(70)
        trio.prefill([work(0, 0, ids[:50]), work(1, 0, ids[:9])])
        trio.check([work(0, 50, ids[50:61]), work(1, 9, ids[9:10]), work(2, 0, ids[:4])])


@pytest.mark.parametrize("rows", range(1, MOST_TOKENS + 1))
@pytest.mark.parametrize("form", FORMS)
def test_every_number_of_rows(form: str, rows: int) -> None:
    trio = Trio(form)
    ids = tokens(33 + rows)
    trio.prefill([work(0, 0, ids[:33])])
    trio.check([work(0, 33, ids[33:])])


@pytest.mark.parametrize("group", [64, 128])
def test_larger_groups(group: int) -> None:
    trio = Trio("int4", (4, 2, 64), group=group, hidden=256, middle=384)
    trio.check([work(0, 0, tokens(7))])


@pytest.mark.parametrize("form", FORMS)
def test_sizes_that_fill_no_tile(form: str) -> None:
    # 100 and 36 are multiples of neither 32 nor 16; int4 has no groups there and becomes int8.
    trio = Trio(form, (3, 1, 32), hidden=100, middle=36, vocab=37)
    ids = tokens(9, vocab=37)
    assert trio.check([work(0, 0, ids)]).shape == (9, 37)


def test_float32_cache() -> None:
    trio = Trio("int8", cache=torch.float32)
    ids = tokens(80)
    trio.prefill([work(0, 0, ids[:64])])
    trio.check([work(0, 64, ids[64:])])


@pytest.mark.parametrize("heads", [HEADS[0], HEADS[2]], ids=str)
@pytest.mark.parametrize("vectors", VECTORS)
def test_cache_in_int8(vectors: str, heads: tuple[int, int, int]) -> None:
    trio = Trio("int8", heads, flags=VECTORS[vectors], kv_form=INT8)
    ids = tokens(420)
    trio.prefill([work(0, 0, ids[:400]), work(1, 0, ids[:33])])
    trio.check([work(0, 400, ids[400:410]), work(1, 33, ids[33:34]), work(2, 0, ids[:5])])
    trio.check([work(0, 410, ids[410:411])])


def test_torch_and_the_step_write_the_same_numbers_in_int8() -> None:
    trio = Trio("bfloat16", kv_form=INT8)
    batch = trio.side.batch([work(1, 0, tokens(14))])
    trio.native(batch)
    trio.plain.run([work(1, 0, tokens(14))])
    ours, theirs = (side.cache.first(0, 1, 14, torch.float64) for side in (trio.side, trio.plain))
    # They round what is given to them differently, to bfloat16 or not; a number may fall into the next step then.
    torch.testing.assert_close(ours, theirs, atol=float(theirs.abs().max()) / 60, rtol=0)
    assert not trio.side.cache.first(0, 1, 15, torch.float64)[14:].isfinite().any()


def test_what_is_no_number_is_none_in_int8() -> None:
    model = random_model(config())
    model.embedding[5] = float("nan")
    side = Side(in_form(model, "int8"), torch.bfloat16, kv_form=INT8)
    native = native_of(side.model, side.cache)
    native(side.batch([work(0, 0, [4, 5, 6])]))
    assert side.cache.first(0, 0, 1, torch.float64).isfinite().all()
    assert not side.cache.first(0, 0, 2, torch.float64)[1].isfinite().any()


@pytest.mark.parametrize("length", [1, 15, 16, 17, 31, 33, 95, 96, 97, 191, 193, 500, 1000])
def test_any_length_of_context(length: int) -> None:
    trio = Trio("int4", (6, 2, 64))
    ids = tokens(length + 8)
    trio.prefill([work(0, 0, ids[:length])])
    trio.check([work(0, length, ids[length : length + 1])])
    trio.check([work(0, length + 1, ids[length + 1 :])])


def test_it_goes_on_from_its_own_keys_and_values() -> None:
    trio = Trio("int4")
    ids = tokens(48)
    steps = [trio.native(trio.side.batch([work(0, at, ids[at : at + 1])])) for at in range(48)]
    exact, theirs = trio.exact.run([work(0, 0, ids)]), trio.plain.run([work(0, 0, ids)])
    ours = torch.cat([step for step in steps if step is not None])
    assert rms(ours - exact) <= 2 * rms(theirs - exact)


def test_torch_reads_what_it_wrote() -> None:
    trio = Trio("bfloat16")
    ids = tokens(20)
    trio.native(trio.side.batch([work(1, 0, ids[:12])]))
    exact = trio.exact.run([work(1, 0, ids)])[12:]
    theirs = trio.plain.run([work(1, 0, ids)])[12:]
    ours = trio.side.run([work(1, 12, ids[12:])])
    assert rms(ours - exact) <= 2 * rms(theirs - exact)


def test_only_the_wanted_rows() -> None:
    trio = Trio("int4")
    ids = tokens(12)
    whole = trio.native(trio.side.batch([work(0, 0, ids)]))
    some = trio.native(trio.side.batch([work(0, 0, ids, 2), work(1, 0, ids[:3], 0), work(2, 0, ids[:1], 1)]))
    assert whole is not None
    assert some is not None
    assert torch.equal(some[:2], whole[10:])
    assert torch.equal(some[2], whole[0])
    assert trio.native(trio.side.batch([work(0, 0, ids, 0)])) is None


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(threads: int) -> None:
    ids = tokens(200)
    found = []
    for count in (2, threads):
        torch.set_num_threads(count)
        try:
            trio = Trio("int4")
            trio.prefill([work(0, 0, ids[:180])])
            found.append(trio.check([work(0, 180, ids[180:190]), work(1, 0, ids[:3])]))
        finally:
            torch.set_num_threads(2)
    # Ranges of attention depend on the number of threads, and merging rounds.
    torch.testing.assert_close(found[0], found[1], atol=0.02, rtol=0)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.tuples(st.integers(0, 130), st.integers(1, 5)), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
    form=st.sampled_from(FORMS),
)
def test_ragged_batches(lengths: list[tuple[int, int]], seed: int, form: str) -> None:
    trio = _TRIOS.setdefault(form, None) or Trio(form)
    _TRIOS[form] = trio
    ids = [tokens(old + new, seed=seed + slot) for slot, (old, new) in enumerate(lengths)]
    before = [work(slot, 0, ids[slot][:old]) for slot, (old, _) in enumerate(lengths) if old]
    if before:
        trio.prefill(before)
    trio.check([work(slot, old, ids[slot][old:]) for slot, (old, _) in enumerate(lengths)])


_TRIOS: dict[str, Trio | None] = {}


def test_what_is_no_number_comes_out_as_none() -> None:
    model = random_model(config())
    model.embedding[5] = float("nan")
    model.embedding[6] = float("inf")
    for form in FORMS:
        side = Side(in_form(model, form), torch.bfloat16)
        native = native_of(side.model, side.cache)
        logits = native(side.batch([work(0, 0, [4]), work(1, 0, [5]), work(2, 0, [6])]))
        assert logits is not None
        assert torch.isfinite(logits[0]).all()
        assert torch.isnan(logits[1]).all()
        assert torch.isnan(logits[2]).all()


def test_larger_batches_are_left_to_torch() -> None:
    trio = Trio("int8")
    assert trio.native.takes(trio.side.batch([work(0, 0, tokens(16))]))
    assert not trio.native.takes(trio.side.batch([work(0, 0, tokens(16)), work(1, 0, [1])]))


def test_forms_that_it_does_not_read() -> None:
    model = random_model(config())
    wide = each_product(model, lambda linear: PlainLinear(linear.weight.float(), None), torch.float32)
    side = Side(wide, torch.float32)
    assert make_native_step(side.model, side.cache) is None
    for dtype, kv_form in ((torch.bfloat16, FP8), (torch.float32, INT8)):
        side = Side(in_form(model, "int8"), dtype, kv_form=kv_form)
        assert make_native_step(side.model, side.cache) is None
    odd = Side(random_model(config(head_dim=48)), torch.bfloat16)
    assert make_native_step(odd.model, odd.cache) is None


def test_many_steps_on_more_threads_than_cores() -> None:
    # Threads then come late to a step, or not at all: none may take part in a later one with what it knows of an older.
    torch.set_num_threads(6)
    try:
        trio = Trio("int4")
    finally:
        torch.set_num_threads(2)
    ids = tokens(12)
    batches = [trio.side.batch([work(slot, 0, ids[: 4 + slot])]) for slot in range(3)]
    expected = [trio.native(batch) for batch in batches]
    for _ in range(15):
        for batch, logits in zip(batches, expected, strict=True):
            found = trio.native(batch)
            assert found is not None
            assert logits is not None
            assert torch.equal(found, logits)


def test_fewer_threads_change_no_bit_and_the_others_sleep() -> None:
    torch.set_num_threads(4)
    try:
        trio = Trio("int4")
    finally:
        torch.set_num_threads(2)
    ids = tokens(200)
    trio.prefill([work(0, 0, ids[:180])])
    batch = trio.side.batch([work(0, 180, ids[180:190]), work(1, 0, ids[:3])])
    expected = trio.native(batch)
    assert expected is not None
    for count in (1, 2, 4, 3, 9, 1):
        trio.native.use_threads(count)
        for _ in range(5):
            found = trio.native(batch)
            assert found is not None
            assert torch.equal(found, expected)
    trio.native.close()  # with threads asleep: they end too


def test_threads_end_with_it() -> None:
    def count() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    if not Path("/proc/self/task").is_dir():
        pytest.skip("only Linux tells the threads of a process this way")
    trio = Trio("int8")
    trio.native.use_threads(1)
    with_it = count()
    trio.native.close()
    assert count() == with_it - (torch.get_num_threads() - 1)
