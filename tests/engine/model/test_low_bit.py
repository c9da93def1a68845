"""Products with int8 and int4 weights: by Triton's interpreter, or on a card where there is one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coderls.engine.model import linear
from coderls.engine.model.linear import PlainLinear
from coderls.engine.model.quantize import QuantizedWeight, quantize

pytest.importorskip("triton", reason="needs Triton, which has wheels for Linux only")

from coderls.engine.model import low_bit
from coderls.engine.model.low_bit import LowBitLinear, excess, few_rows, self_test, widened

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
FORMS = [(8, 0), (4, 32), (4, 64), (4, 128)]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def made(outs: int, ins: int, form: tuple[int, int], seed: int = 0) -> QuantizedWeight:
    weight = quantize(random(outs, ins, seed=seed), form[0], form[1] or 32)
    return type(weight)(**{name: part.to(DEVICE) for name, part in weight.tensors().items()})


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.integers(1, 40),
    outs=st.integers(1, 70),
    blocks=st.integers(1, 9),
    form=st.sampled_from(FORMS),
    tile=st.sampled_from([16, 32, 64]),
    dtype=st.sampled_from([torch.bfloat16, torch.float16, torch.float32]),
    extras=st.tuples(st.booleans(), st.booleans()),
)
def test_few_rows(
    rows: int,
    outs: int,
    blocks: int,
    form: tuple[int, int],
    *,
    tile: int,
    dtype: torch.dtype,
    extras: tuple[bool, bool],
) -> None:
    ins = blocks * (form[1] or 48)
    weight = made(outs, ins, form)
    x = random(rows, ins + 16, seed=1).to(DEVICE, dtype)[:, :ins]  # part of wider rows
    bias = random(outs, seed=2).to(DEVICE, dtype) if extras[0] else None
    add = random(rows, outs, seed=3).to(DEVICE, dtype) if extras[1] else None
    found = few_rows(x, weight, bias, add, tile)
    assert found.shape == (rows, outs)
    assert excess(found, weight, x, bias, add) <= 2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_widened_is_what_the_format_says(form: tuple[int, int], dtype: torch.dtype) -> None:
    weight = made(37, 384, form)
    torch.testing.assert_close(widened(weight, dtype), weight.dequantize(dtype), atol=0, rtol=2**-8)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [1, 16, 17, 64, 65])
def test_a_layer_of_any_number_of_rows(form: tuple[int, int], rows: int) -> None:
    weight = made(48, 256, form)
    x, add, bias = (random(*shape).to(DEVICE, torch.bfloat16) for shape in ((rows, 256), (rows, 48), (48,)))
    layer = LowBitLinear(weight, bias)
    assert excess(layer(x, add.clone()), weight, x, bias, add) <= 2
    assert excess(layer(x), weight, x, bias, None) <= 2
    assert layer.nbytes == weight.nbytes


def test_many_rows_go_through_the_wide_layer_where_there_is_one() -> None:
    weight = made(16, 64, (8, 0))
    wide = PlainLinear(torch.zeros(16, 64, dtype=torch.bfloat16, device=DEVICE))
    x = random(17, 64).to(DEVICE, torch.bfloat16)
    assert not LowBitLinear(weight, wide=wide)(x).any()
    assert LowBitLinear(weight, wide=wide)(x[:16]).any()


def test_a_row_of_nan_spoils_no_other() -> None:
    weight = made(40, 128, (4, 32))
    x = random(3, 128).to(DEVICE, torch.bfloat16)
    x[1] = float("nan")
    found = few_rows(x, weight, None, None)
    assert found[1].isnan().all()
    assert excess(found[[0, 2]], weight, x[[0, 2]], None, None) <= 2


@pytest.mark.parametrize("form", FORMS)
def test_the_self_test_passes(form: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(low_bit, "_TESTED", ((80, 384),))  # the larger shape is for cards
    assert self_test(*form, torch.bfloat16, DEVICE) == ""


def test_the_self_test_sees_a_wrong_product_and_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(low_bit, "_TESTED", ((32, 64),))
    real = low_bit.few_rows
    monkeypatch.setattr(low_bit, "few_rows", lambda *arguments: real(*arguments) * 1.01)
    assert "times that of plain PyTorch (1 x 64 x 32)" in self_test(8, 0, torch.bfloat16, DEVICE)

    def raises(*_: object) -> None:
        raise RuntimeError("out of resource: shared memory")

    monkeypatch.setattr(low_bit, "few_rows", raises)
    assert self_test(8, 0, torch.bfloat16, DEVICE) == "RuntimeError: out of resource: shared memory"


def test_layers_get_the_kernels_that_passed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(low_bit, "_TESTED", ((32, 64),))
    linear.card_kernels.cache_clear()
    kernels = linear.card_kernels(32, torch.bfloat16, DEVICE)
    assert kernels is not None
    assert type(kernels(made(16, 64, (4, 32)), None, wide=None)) is LowBitLinear
    linear.card_kernels.cache_clear()
    monkeypatch.setattr(low_bit, "few_rows", lambda *_: torch.zeros(1))
    assert linear.card_kernels(32, torch.bfloat16, DEVICE) is None
    assert "No kernels of our own for quantized weights" in caplog.text
    linear.card_kernels.cache_clear()
