"""Quantized weights: what they stand for is near the weight, whatever the weight is."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from coderls.engine.model import quantize as quantizing
from coderls.engine.model.quantize import Int4Weight, Int8Weight, quantize, quantize_int4, quantize_int8
from coderls.errors import ModelBroken


def some_weight(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)).bfloat16()


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 40),
    groups=st.integers(1, 5),
    group=st.sampled_from(quantizing.GROUPS),
    size=st.sampled_from([1e-20, 1e-3, 1.0, 1e4]),
    seed=st.integers(0, 1000),
)
def test_error_is_bounded_by_the_step(rows: int, groups: int, group: int, size: float, seed: int) -> None:
    weight = some_weight(rows, groups * group, seed) * size
    eight, four = quantize_int8(weight), quantize_int4(weight, group)
    assert eight.shape == four.shape == weight.shape
    assert four.group == group
    # Half a step, and what the rounding of scale and zero point to bfloat16 (2**-9) adds at the far end.
    off = (eight.dequantize() - weight.float()).abs()
    assert (off <= eight.scale.float().unsqueeze(1) * (0.5 + 127 * 2**-8)).all()
    ranges = weight.float().view(rows, groups, group).aminmax(dim=-1)
    step = (ranges.max - ranges.min) / 15
    off = (four.dequantize() - weight.float()).abs().view(rows, groups, group).amax(-1)
    assert (off <= 2 * step).all()


def test_int4_error_is_that_of_its_steps() -> None:
    """Normal values in groups of 32 have a range of some 4.1 deviations: steps of 0.27, errors of 0.079 at most."""
    weight = some_weight(256, 512)
    off = quantize_int4(weight).dequantize() - weight.float()
    assert off.square().mean().sqrt() < 0.076
    assert off.mean().abs() < 1e-3


def test_int8_error_is_that_of_its_steps() -> None:
    weight = some_weight(256, 512)
    off = quantize_int8(weight).dequantize() - weight.float()
    assert off.square().mean().sqrt() < 0.0085


def test_values_on_sixteen_steps_are_kept() -> None:
    """As those of a checkpoint that was made from 4-bit weights: scale and offset of each group are arbitrary."""
    generator = torch.Generator().manual_seed(3)
    numbers = torch.randint(0, 16, (64, 8, 32), generator=generator)
    numbers[..., 0], numbers[..., 1] = 0, 15
    scale = (torch.rand(64, 8, 1, generator=generator) + 0.1).bfloat16().float()
    weight = (numbers * scale - 7 * scale).view(64, 256)
    off = quantize_int4(weight).dequantize() - weight
    assert off.abs().max() < 0.02 * scale.max()


@pytest.mark.parametrize("value", [0.0, 1.5, -3.0, 1e-30])
def test_constant_weights_are_exact(value: float) -> None:
    weight = torch.full((3, 64), value).bfloat16()
    assert torch.equal(quantize_int4(weight).dequantize(torch.bfloat16), weight)
    assert torch.allclose(quantize_int8(weight).dequantize(), weight.float(), rtol=0.01, atol=0)


def test_one_outlier_in_a_row_spoils_its_own_group_only() -> None:
    weight = some_weight(2, 64)
    weight[0, 5] = 1000
    off = (quantize_int4(weight).dequantize() - weight.float()).abs()
    assert off[0, 32:].max() < 0.3
    assert off[1].max() < 0.3


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_refused(bad: float) -> None:
    weight = some_weight(4, 64)
    weight[2, 40] = bad
    for bits in (4, 8):
        with pytest.raises(ModelBroken, match="no numbers"):
            quantize(weight, bits)


def test_nibbles_lie_as_documented() -> None:
    form = quantize_int4(some_weight(5, 96))
    numbers = form.numbers()
    assert torch.equal(form.q[:, 7] & 15, numbers[:, 14])
    assert torch.equal(form.q[:, 7] >> 4, numbers[:, 15])
    scale, zero = form.scale.float(), form.zero.float()
    by_hand = (numbers[4, 70].float() - 8) * scale[2, 4] + zero[2, 4]
    assert form.dequantize()[4, 70] == by_hand
    assert form.scale.dtype == form.zero.dtype == torch.bfloat16


def test_other_numbers_of_rows_at_once_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = some_weight(37, 128)
    whole = quantize_int4(weight), quantize_int8(weight)
    monkeypatch.setattr(quantizing, "_CHUNK", 5 * 128)
    parts = quantize_int4(weight), quantize_int8(weight)
    for one, other in zip(whole, parts, strict=True):
        assert all(map(torch.equal, one.tensors().values(), other.tensors().values()))


def test_fitting_never_makes_it_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = some_weight(64, 256)
    weight[:, ::7] *= 4
    fitted = (quantize_int4(weight).dequantize() - weight.float()).square().view(64, 8, 32).sum(-1)
    monkeypatch.setattr(quantizing, "_RANGES", (1.0,))
    monkeypatch.setattr(quantizing, "_fitted", lambda groups, numbers: (torch.zeros(64, 8, 1), torch.zeros(64, 8, 1)))
    plain = (quantize_int4(weight).dequantize() - weight.float()).square().view(64, 8, 32).sum(-1)
    assert (fitted <= plain + 1e-6).all()
    assert fitted.sum() < 0.97 * plain.sum()


def test_inputs_that_are_no_groups_become_int8() -> None:
    assert isinstance(quantize(some_weight(4, 80), 4), Int8Weight)
    assert isinstance(quantize(some_weight(4, 96), 4, 64), Int8Weight)
    assert isinstance(quantize(some_weight(4, 128), 4, 64), Int4Weight)
    for group in (0, 16, 31, 96):
        with pytest.raises(ValueError, match="groups of"):
            quantize_int4(some_weight(4, 192), group)


def test_memory_is_counted() -> None:
    assert quantize_int8(some_weight(64, 128)).nbytes == 64 * 128 + 2 * 64
    assert quantize_int4(some_weight(64, 128)).nbytes == 64 * 64 + 2 * 2 * 64 * 4
