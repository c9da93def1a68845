"""The KV cache at full width and in 8 bits: what is written is what is read, and how far it is from what was given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from coderls.engine.api import Sampling
from coderls.engine.model.config import read_config
from coderls.engine.model.kv import KvCache, allocate
from coderls.engine.model.kv_form import (
    FORMS,
    FP8,
    INT8,
    KvForm,
    choose_kv_form,
    kv_bytes_per_token,
    quantize_kv,
    widen_kv,
)
from coderls.engine.model.torch_runner import TorchRunner, load_runner
from coderls.engine.runner import SampleSpec, Work
from coderls.errors import EngineStartFailed

from .checkpoints import FAMILY, oracle, save, some_tokens
from .test_rope import PLAIN, config_of

CPU = torch.device("cpu")
CARD = torch.device("cuda", 0)
EVERY: list[KvForm | None] = [None, INT8, FP8]
NAMED = pytest.mark.parametrize("form", EVERY, ids=lambda form: form.name if form else "plain")
QUANTIZED = pytest.mark.parametrize("form", [INT8, FP8], ids=lambda form: form.name)
#: Half a step of the largest number of a block for int8; half a step of each number for e4m3, whose steps near zero
#: are 2^-9 of its own.
HALF_STEP = {"int8": 0.5 / 127, "fp8": 2.0**-4}


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@QUANTIZED
@pytest.mark.parametrize("head_dim", [64, 128])
def test_each_block_is_off_by_half_a_step_at_most(form: KvForm, head_dim: int) -> None:
    given = numbers(50, 6, head_dim) * torch.logspace(-6, 4, 50)[:, None, None]
    found = widen_kv(*quantize_kv(given, form), torch.float64)
    most = given.unflatten(-1, (-1, 32)).abs().amax(-1, keepdim=True).double().expand(-1, -1, -1, 32).flatten(-2)
    # The scale is rounded to bfloat16: 2^-8 of the largest may be cut off, or a step be longer by as much.
    assert ((found - given).abs() <= most * (HALF_STEP[form.name] * (1 + 2.0**-7))).all()


def test_int8_is_nearer_than_fp8() -> None:
    given = numbers(200, 4, 64)
    errors = {
        form.name: float((widen_kv(*quantize_kv(given, form), torch.float32) - given).norm()) for form in (INT8, FP8)
    }
    assert errors["int8"] < 0.5 * errors["fp8"]
    assert errors["int8"] < 0.006 * float(given.norm())


@QUANTIZED
def test_a_channel_that_is_far_larger_takes_nothing_from_other_blocks(form: KvForm) -> None:
    given = numbers(20, 2, 128)
    loud = given.clone()
    loud[:, :, 70] = 500.0
    calm, disturbed = (widen_kv(*quantize_kv(values, form), torch.float32) for values in (given, loud))
    kept = [number for number in range(128) if not 64 <= number < 96]
    assert torch.equal(calm[:, :, kept], disturbed[:, :, kept])
    torch.testing.assert_close(disturbed[:, :, 70], loud[:, :, 70], rtol=2.0**-8, atol=0)


@QUANTIZED
def test_zeros_stay_and_what_is_no_number_shows(form: KvForm) -> None:
    given = torch.zeros(3, 1, 64)
    given[1, 0, 40] = float("nan")
    given[2, 0, 3] = float("inf")
    found = widen_kv(*quantize_kv(given, form), torch.bfloat16)
    assert torch.equal(found[0], given[0].bfloat16())
    assert not found[1, 0, 32:].isfinite().any()
    assert torch.equal(found[1, 0, :32], given[1, 0, :32].bfloat16())
    assert not found[2, 0, 3].isfinite()


@QUANTIZED
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_wide_numbers_are_rounded_once(form: KvForm, dtype: torch.dtype) -> None:
    held = quantize_kv(numbers(30, 2, 64), form)
    assert torch.equal(widen_kv(*held, dtype), widen_kv(*held, torch.float64).to(dtype))


def cache_of(form: KvForm | None, dtype: torch.dtype = torch.bfloat16) -> KvCache:
    """Three slots of a small model, in which everything but the scratch position is NaN."""
    config = replace(config_of(PLAIN, 64)[0], layers=2)
    made = allocate(config, (40, 20, 30), CPU, dtype, form)
    with torch.inference_mode():
        kept = [part[-1].clone() for part in (*made.layers, *made.scales)]
        made.poison()
        for part, last in zip((*made.layers, *made.scales), kept, strict=True):
            part[-1] = last
    return made


@torch.inference_mode()
@NAMED
def test_what_is_written_is_read_in_every_way(form: KvForm | None) -> None:
    cache = cache_of(form)
    _, kv_rows, head_dim = cache.layers[0].shape
    given = numbers(12, kv_rows, head_dim).bfloat16()
    rows = torch.arange(40 + 3, 40 + 15)
    cache.write(1, rows, given)
    gathered = cache.gather(1, rows)
    assert gathered.dtype == torch.bfloat16
    assert torch.equal(cache.first(1, 1, 15, torch.bfloat16)[3:], gathered)
    assert not cache.first(1, 1, 15, torch.bfloat16)[:3].isfinite().any()
    expected = given if form is None else widen_kv(*quantize_kv(given, form), torch.bfloat16)
    assert torch.equal(gathered, expected)
    assert not cache.first(0, 1, 15, torch.bfloat16).isfinite().any(), "another layer"
    assert cache.gather(0, torch.tensor([cache.scratch])).isfinite().all()


@torch.inference_mode()
@NAMED
def test_a_copy_of_a_prefix_is_the_same_to_the_bit(form: KvForm | None) -> None:
    cache = cache_of(form)
    _, kv_rows, head_dim = cache.layers[0].shape
    for layer in range(len(cache.layers)):
        cache.write(layer, torch.arange(25), numbers(25, kv_rows, head_dim, seed=layer).bfloat16())
    cache.copy(0, 2, 18)
    for layer in range(len(cache.layers)):
        assert torch.equal(cache.first(layer, 2, 18, torch.float64), cache.first(layer, 0, 18, torch.float64))
        assert not cache.first(layer, 2, 30, torch.float64)[18:].isfinite().any()
        assert not cache.first(layer, 1, 20, torch.float64).isfinite().any()


@NAMED
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_plan_counts_what_is_taken(form: KvForm | None, dtype: torch.dtype) -> None:
    config, _ = config_of(PLAIN, 64)
    cache = allocate(config, (90,), CPU, dtype, form)
    taken = sum(part.nbytes for part in (*cache.layers, *cache.scales))
    assert taken == 91 * kv_bytes_per_token(config, dtype.itemsize, form)


def test_8_bits_are_a_little_more_than_half() -> None:
    config, _ = config_of(PLAIN, 64)
    ratio = kv_bytes_per_token(config, 2, INT8) / kv_bytes_per_token(config, 2, None)
    assert ratio == (1 + 2 / 32) / 2


def test_which_form_there_is() -> None:
    assert choose_kv_form("auto", CPU) is None
    assert choose_kv_form("int8", CPU) is INT8
    assert choose_kv_form("fp8", CARD, (9, 0)) is FP8
    assert choose_kv_form("fp8", CARD, (8, 9)) is FP8
    assert choose_kv_form("int8", CARD, (8, 0)) is INT8
    for device, card in ((CPU, None), (CARD, (8, 6)), (torch.device("mps"), None)):
        with pytest.raises(EngineStartFailed, match="8-bit floating point") as caught:
            choose_kv_form("fp8", device, card)
        assert "int8" in caught.value.todo
    with pytest.raises(EngineStartFailed, match="no KV cache in 'int2'"):
        choose_kv_form("int2", CPU)


@pytest.fixture(scope="module", params=[FAMILY[0], FAMILY[4]], ids=lambda member: member.name)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(oracle(request.param), tmp_path_factory.mktemp("model"))


def runner_with(folder: Path, kv_cache: str) -> TorchRunner:
    if kv_cache != "fp8":
        return load_runner(folder, name="x", device="cpu", dtype="float32", context_length=256, kv_cache=kv_cache)
    # No processor is offered fp8; what it computes is tried all the same.
    made = load_runner(folder, name="x", device="cpu", dtype="float32", context_length=256)
    return TorchRunner(made._model, "x", made.slot_lengths, torch.float32, kv_form=FP8)


def off(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize(("kv_cache", "most"), [("int8", 0.01), ("fp8", 0.06)])
def test_logits_are_near_those_at_full_width(folder: Path, kv_cache: str, most: float) -> None:
    tokens = some_tokens(150)
    exact = runner_with(folder, "auto").logits(Work(0, 0, tokens))
    runner = runner_with(folder, kv_cache)
    whole = runner.logits(Work(0, 0, tokens))
    assert 1e-5 < off(whole, exact) < most
    # Read in pieces, and gone on from a copy: the same numbers are in the cache.
    pieces = [
        runner.logits(Work(1, at, tokens[at : at + size])) for at, size in ((0, 100), (100, 1), (101, 9), (110, 40))
    ]
    assert off(torch.cat(pieces), whole) < 0.2 * most
    runner.copy(1, 2, 110)
    both = [runner.logits(Work(slot, 110, tokens[110:])) for slot in (1, 2)]
    assert torch.equal(*both)


def test_what_the_runner_says_of_it(folder: Path) -> None:
    config = read_config(folder)
    plain, short = (runner_with(folder, kind) for kind in ("auto", "int8"))
    assert plain.info.kv_cache == "float32"
    assert short.info.kv_cache == "int8"
    assert "KV" not in plain.info.numerics
    assert short.info.numerics.endswith("KV in int8"), "a record of it is no record of the other"
    assert short.info.kv_bytes_per_token == kv_bytes_per_token(config, 4, FORMS["int8"])
    assert short.info.memory["kv"] == sum(short.slot_lengths) * short.info.kv_bytes_per_token
    (result,) = short.run([Work(0, 0, some_tokens(20), (SampleSpec(Sampling()),))])
    assert isinstance(result, tuple)


def test_fp8_is_refused_where_no_hardware_has_it(folder: Path) -> None:
    with pytest.raises(EngineStartFailed, match="cpu has no arithmetic in 8-bit"):
        load_runner(folder, name="x", device="cpu", kv_cache="fp8")
