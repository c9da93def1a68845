"""Rounding to 4 bits that spares what a layer gives out."""

from __future__ import annotations

import gguf
import numpy as np
import torch

from training.rounding import Rounded, round_weight


def alike(rows: int, columns: int) -> torch.Tensor:
    """Inputs that vary in few directions, as those of a network do."""
    torch.manual_seed(4)
    return torch.randn(rows, 6) @ torch.randn(6, columns) + 0.1 * torch.randn(rows, columns)


def test_what_comes_out_changes_less_than_by_the_nearest() -> None:
    inputs, weight = alike(400, 96), torch.randn(48, 96)
    rounded = round_weight(weight, inputs.t() @ inputs).dequantized()
    nearest = round_weight(weight, torch.eye(96)).dequantized()
    error, plain = ((inputs @ (one - weight).t()).square().sum() for one in (rounded, nearest))
    assert error < 0.35 * plain
    assert (nearest - weight).abs().max() <= (weight.amax() - weight.amin()) / 15 / 2 * 1.2, "half a step, ends cut"


def test_a_change_smaller_than_a_step_is_not_lost() -> None:
    """A low-rank change of weights that lie on the grid: what the delta of the embedded model is."""
    torch.manual_seed(7)
    inputs, base = alike(400, 64), round_weight(torch.randn(32, 64), torch.eye(64)).dequantized()
    change = 0.02 * torch.randn(32, 2) @ torch.randn(2, 64)
    wanted = inputs @ change.t()

    def kept(moments: torch.Tensor) -> float:
        got = inputs @ (round_weight(base + change, moments).dequantized() - base).t()
        return float(1 - (got - wanted).square().sum() / wanted.square().sum())

    assert kept(inputs.t() @ inputs) > 0.5
    assert kept(inputs.t() @ inputs) > kept(torch.eye(64)) + 0.3


def test_inputs_that_are_always_zero_do_no_harm() -> None:
    inputs, weight = alike(100, 64), torch.randn(8, 64)
    inputs[:, 5:40] = 0
    rounded = round_weight(weight, inputs.t() @ inputs).dequantized()
    assert torch.isfinite(rounded).all()
    same = round_weight(torch.full((4, 32), 0.5), torch.eye(32)).dequantized()
    assert torch.equal(same, torch.full((4, 32), 0.5)), "a group of one value"


def test_blocks_are_those_of_gguf() -> None:
    weight = round_weight(torch.randn(6, 64), torch.eye(64))
    back = gguf.dequantize(weight.blocks(), gguf.GGMLQuantizationType.Q4_1)
    assert np.array_equal(back, weight.dequantized().numpy())
    assert isinstance(weight, Rounded)
