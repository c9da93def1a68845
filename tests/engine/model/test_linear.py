"""Each form of a linear layer against the same product in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from coderls.engine.model import linear
from coderls.engine.model.linear import (
    FEW_ROWS,
    PlainLinear,
    QuantizedLinear,
    make_linear,
    make_quantized,
    quantized_products_work,
)
from coderls.engine.model.quantize import Int4Weight, QuantizedWeight, quantize


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def check_error(y: Tensor, plain: Tensor, exact: Tensor) -> None:
    """At most twice the error of the plain form, in the mean and at the worst."""
    ours, theirs = (y.double() - exact).abs(), (plain.double() - exact).abs()
    assert ours.mean() <= 2 * theirs.mean()
    assert ours.max() <= 2 * theirs.max()


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, FEW_ROWS + 2),
    outs=st.integers(1, 12).map(lambda n: 16 * n),
    groups=st.integers(2, 20),
    bits=st.sampled_from([4, 8]),
    parts=st.sets(st.sampled_from(["bias", "add", "wide"])),
    seed=st.integers(0, 99),
)
def test_quantized_is_the_product_with_what_its_weight_stands_for(
    *, rows: int, outs: int, groups: int, bits: int, parts: set[str], seed: int
) -> None:
    weight = quantize(random(outs, 32 * groups, seed=seed), bits)
    bias = random(outs, seed=1) if "bias" in parts else None
    full = weight.dequantize(torch.bfloat16)
    layer = make_quantized(weight, bias, make_linear(full, bias) if "wide" in parts else None)
    x = random(rows, 32 * groups, seed=seed + 1)
    add = random(rows, outs, seed=2) if "add" in parts else None
    y = layer(x, add=add.clone() if add is not None else None)
    exact = x.double() @ weight.dequantize().double().t()
    plain = F.linear(x, full)
    for more in (bias, add):
        if more is not None:
            exact, plain = exact + more.double(), plain + more
    assert y.dtype == torch.bfloat16
    # Against a plain product that rounds the weight to bfloat16, which the quantized one does not.
    check_error(y, plain, exact)


@pytest.mark.parametrize("bits", [4, 8])
def test_few_rows_read_the_quantized_weight_and_many_the_wide_one(bits: int) -> None:
    weight = quantize(random(32, 64), bits)
    other = random(32, 64, seed=9)  # not the same layer, to see which was read
    layer = make_quantized(weight, wide=PlainLinear(other))
    few, many = random(FEW_ROWS, 64), random(FEW_ROWS + 1, 64)
    assert torch.allclose(layer(few).float(), few.float() @ weight.dequantize().t(), atol=0.1, rtol=0.02)
    assert torch.equal(layer(many), F.linear(many, other))


@pytest.mark.parametrize("bits", [4, 8])
def test_float32_activations(bits: int) -> None:
    """On processors without bfloat16 arithmetic rows are rounded for the product; the result is float32."""
    weight = quantize(random(32, 64), bits)
    x = random(2, 64, dtype=torch.float32)
    y = make_quantized(weight)(x)
    assert y.dtype == torch.float32
    assert torch.allclose(y, x @ weight.dequantize().t(), atol=0.1, rtol=0.02)


def test_outputs_that_torchs_int4_product_does_not_take() -> None:
    weight = quantize(random(24, 64), 4)
    assert isinstance(weight, Int4Weight)
    x = random(2, 64)
    assert torch.equal(make_quantized(weight)(x), F.linear(x, weight.dequantize(torch.bfloat16)))


@pytest.mark.parametrize("bits", [4, 8])
def test_product_that_fails_its_test_is_not_used(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        def __init__(self, _weight: QuantizedWeight) -> None:
            pass

        def __call__(self, x: Tensor) -> Tensor:
            return x.new_zeros(x.shape[0], 64)

    quantized_products_work.cache_clear()
    monkeypatch.setattr(linear, "CpuInt4Product", Wrong)
    monkeypatch.setattr(linear, "CpuInt8Product", Wrong)
    try:
        weight = quantize(random(64, 128), bits)
        layer = make_quantized(weight)
        assert layer.few_rows == 0
        x = random(1, 128)
        assert torch.equal(layer(x), F.linear(x, weight.dequantize(torch.bfloat16)))
    finally:
        quantized_products_work.cache_clear()


@pytest.mark.parametrize("bits", [4, 8])
def test_memory_of_all_forms_is_counted(bits: int) -> None:
    weight = quantize(random(32, 64), bits)
    wide = make_linear(weight.dequantize(torch.bfloat16))
    layer = make_quantized(weight, wide=wide)
    assert layer.nbytes == weight.nbytes + wide.nbytes
    layer(random(1, 64))
    copy = 32 * 32 + 2 * 2 * 32 * 2 if bits == 4 else 0  # torch's int4 product works on a copy of its own
    assert layer.nbytes == weight.nbytes + wide.nbytes + copy


def test_quantized_without_product_widens() -> None:
    weight = quantize(random(16, 32), 8)
    layer = QuantizedLinear(weight)
    x = random(1, 32)
    assert torch.equal(layer(x), F.linear(x, weight.dequantize(torch.bfloat16)))
