"""A head in two looks beside the one product that it stands for."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from coderls.engine.model import shortlist
from coderls.engine.model.linear import FEW_ROWS, CpuInt8Product, PlainLinear, QuantizedLinear, make_quantized
from coderls.engine.model.quantize import Int8Weight, quantize
from coderls.engine.model.shortlist import LIKELY, ShortlistProduct, in_two_looks, likeliest

OUTS, INS = 12800, 96


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).bfloat16()


def head(outs: int = OUTS, ins: int = INS) -> Int8Weight:
    weight = quantize(random(outs, ins), 8)
    assert isinstance(weight, Int8Weight)
    return weight


@pytest.mark.parametrize("rows", [1, FEW_ROWS])
def test_the_likely_logits_are_those_of_8_bits_and_the_others_near_them(rows: int) -> None:
    weight, x = head(), random(rows, INS, seed=1)
    found, exact = ShortlistProduct(weight)(x), CpuInt8Product(weight)(x)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found.argmax(-1), exact.argmax(-1))
    # What 4 bits move a logit by, half a step, could put another at the end of the list.
    for row in range(rows):
        sure = exact[row].topk(LIKELY // 2).indices
        assert torch.equal(found[row, sure], exact[row, sure])
    error = (found.float() - exact.float()).square().mean().sqrt()
    assert 0 < error < 0.12 * exact.float().square().mean().sqrt(), "4 bits of what is not likely"


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 4), blocks=st.integers(1, 400), count=st.integers(1, 130), seed=st.integers(0, 99))
def test_the_likeliest_are_those_of_a_whole_sort(rows: int, blocks: int, count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, blocks * 64 + seed % 3, generator=generator).mul(8).round()  # with ties
    found = likeliest(logits, count)
    size = min(count, logits.shape[1])
    assert all(len(set(row.tolist())) == size for row in found)
    values = logits.gather(1, found).sort(-1, descending=True).values
    assert torch.equal(values, logits.topk(size).values)


def test_what_is_no_number_shows() -> None:
    x = random(1, INS)
    x[0, 3] = float("nan")
    assert ShortlistProduct(head())(x).isnan().all()


def test_float32_activations() -> None:
    weight, x = head(), random(2, INS, seed=3).float()
    found = ShortlistProduct(weight)(x)
    assert found.dtype == torch.float32
    assert torch.equal(found.argmax(-1), CpuInt8Product(weight)(x).argmax(-1))


def test_the_copy_is_made_at_the_first_call_and_counted() -> None:
    layer = in_two_looks(make_quantized(head()))
    before = layer.nbytes
    layer(random(1, INS))
    assert layer.nbytes == before + OUTS * INS // 2 + OUTS * INS // 32 * 4


def test_a_bias_and_the_wide_form_stay() -> None:
    weight, bias = head(), random(OUTS, seed=5)
    wide = PlainLinear(weight.dequantize(torch.bfloat16), bias)
    layer = in_two_looks(make_quantized(weight, bias, wide))
    x = random(FEW_ROWS + 1, INS, seed=6)
    assert torch.equal(layer(x), wide(x))
    assert torch.equal(layer(x[:1]).argmax(-1), wide(x[:1]).argmax(-1))


@pytest.mark.parametrize(
    "layer",
    [
        make_quantized(head(8192)),  # not worth it
        make_quantized(head(OUTS + 8)),  # torch's int4 product does not take it
        make_quantized(head(OUTS, 80)),
        QuantizedLinear(head()),  # there is no product for it
        make_quantized(quantize(random(OUTS, INS), 4)),
        PlainLinear(random(OUTS, INS)),
    ],
    ids=["small", "odd outputs", "odd inputs", "no product", "int4", "plain"],
)
def test_other_heads_stay_as_they_are(layer: QuantizedLinear | PlainLinear) -> None:
    assert in_two_looks(layer) is layer


def test_without_an_int4_product_a_head_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = make_quantized(head())
    monkeypatch.setattr(shortlist, "quantized_products_work", lambda group: group == 0)
    assert in_two_looks(layer) is layer
