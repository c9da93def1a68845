"""Weights in fewer bits: the two forms, how they are made from bfloat16, and what they stand for.

Only weights are rounded; activations stay as they are. Both forms are those that torch's own weight-only products take
(`_weight_int8pack_mm`, `_weight_int4pack_mm_for_cpu`), so that one form serves every backend:

- int8: symmetric, one scale for each output row.
- int4: groups of consecutive inputs of one output row, each with a scale and a zero point. Both are free, so a group
  can be held as well as by llama.cpp's Q4_1.

Scales and zero points are bfloat16, and the integers are chosen for the rounded ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from coderls.errors import ModelBroken

#: Sizes of int4 groups that torch's product takes and that the kernels know.
GROUPS = (32, 64, 128)
DEFAULT_GROUP = 32

_INT8_LIMIT = 127
_INT4_STEPS = 15
_INT4_MIDDLE = 8
#: Weights that are worked on at once: their float32 copies stay in the cache of a processor (three times as fast).
_CHUNK = 1 << 18
#: Parts of a group's range that are tried: cutting off the ends makes the steps between smaller.
_RANGES = (1.0, 0.92)


@dataclass(frozen=True, slots=True)
class Int8Weight:
    """`q` int8 [out, in] and `scale` bfloat16 [out]: the weight is `q * scale[:, None]`."""

    q: Tensor
    scale: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """[out, in] of the weight."""
        return self.q.shape[0], self.q.shape[1]

    @property
    def nbytes(self) -> int:
        """Memory of all tensors."""
        return self.q.nbytes + self.scale.nbytes

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The weight [out, in], computed in float32 and rounded to `dtype`."""
        return (self.q.float() * self.scale.float().unsqueeze(1)).to(dtype)

    def tensors(self) -> dict[str, Tensor]:
        """By the names under which they are stored."""
        return {"q": self.q, "scale": self.scale}


@dataclass(frozen=True, slots=True)
class Int4Weight:
    """The weight is `(n - 8) * scale + zero` with n from 0 to 15.

    `q` uint8 [out, in / 2] holds n of an even input in the low four bits, and of the odd input after it in the high
    four. `scale` and `zero` are bfloat16 [in / group, out].
    """

    q: Tensor
    scale: Tensor
    zero: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """[out, in] of the weight."""
        return self.q.shape[0], 2 * self.q.shape[1]

    @property
    def group(self) -> int:
        """Inputs that share a scale and a zero point."""
        return 2 * self.q.shape[1] // self.scale.shape[0]

    @property
    def nbytes(self) -> int:
        """Memory of all tensors."""
        return self.q.nbytes + self.scale.nbytes + self.zero.nbytes

    def numbers(self) -> Tensor:
        """n of every weight, uint8 [out, in]."""
        return torch.stack((self.q & 15, self.q >> 4), -1).view(self.shape)

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The weight [out, in], computed in float32 and rounded to `dtype`."""
        rows, columns = self.shape
        grouped = self.numbers().view(rows, columns // self.group, self.group).float() - _INT4_MIDDLE
        scale, zero = (values.t().float().unsqueeze(-1) for values in (self.scale, self.zero))
        return grouped.mul_(scale).add_(zero).view(rows, columns).to(dtype)

    def tensors(self) -> dict[str, Tensor]:
        """By the names under which they are stored."""
        return {"q": self.q, "scale": self.scale, "zero": self.zero}


QuantizedWeight = Int8Weight | Int4Weight


def quantize(weight: Tensor, bits: int, group: int = DEFAULT_GROUP) -> QuantizedWeight:
    """`weight` [out, in] in `bits` (4 or 8). One whose inputs do not fall into groups becomes int8 all the same.

    Raises ModelBroken when it holds values that are no numbers.
    """
    if bits == 4 and weight.shape[1] % group == 0:
        return quantize_int4(weight, group)
    return quantize_int8(weight)


def quantize_int8(weight: Tensor) -> Int8Weight:
    """`weight` [out, in], each row scaled so that its largest value becomes 127. Raises ModelBroken for NaN."""
    rows, columns = weight.shape
    q = torch.empty((rows, columns), dtype=torch.int8, device=weight.device)
    scale = torch.empty(rows, dtype=torch.bfloat16, device=weight.device)
    step = max(1, _CHUNK // columns)
    for at in range(0, rows, step):
        part = weight[at : at + step].float()
        scales = (part.abs().amax(1) / _INT8_LIMIT).bfloat16()
        _check_finite(scales)
        divisor = scales.float().unsqueeze(1)
        numbers = torch.where(divisor > 0, part / divisor, torch.zeros_like(part))
        q[at : at + step] = numbers.round_().clamp_(-_INT8_LIMIT, _INT8_LIMIT)
        scale[at : at + step] = scales
    return Int8Weight(q, scale)


def quantize_int4(weight: Tensor, group: int = DEFAULT_GROUP) -> Int4Weight:
    """`weight` [out, in] in groups of `group` inputs, by the least squared error among a few ways to place the steps.

    Raises ValueError when the inputs do not fall into groups, and ModelBroken for NaN.
    """
    rows, columns = weight.shape
    if group not in GROUPS or columns % group:
        raise ValueError(f"{columns} inputs do not fall into groups of {group}")
    q = torch.empty((rows, columns // 2), dtype=torch.uint8, device=weight.device)
    scale = torch.empty((columns // group, rows), dtype=torch.bfloat16, device=weight.device)
    zero = torch.empty_like(scale)
    step = max(1, _CHUNK // columns)
    for at in range(0, rows, step):
        part = weight[at : at + step].float()
        numbers, scales, zeros = _best_steps(part.view(part.shape[0], columns // group, group))
        _check_finite(zeros)
        pairs = numbers.view(part.shape[0], columns // 2, 2).to(torch.uint8)
        q[at : at + step] = pairs[..., 0] | (pairs[..., 1] << 4)
        scale[:, at : at + step] = scales.squeeze(-1).t()
        zero[:, at : at + step] = zeros.squeeze(-1).t()
    return Int4Weight(q, scale, zero)


def _best_steps(groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each group of float32 [rows, groups, group]: n, scale and zero point, with a last dimension of their own.

    Each candidate covers a part of the group's range; its steps are then fitted to the group by least squares, as
    llama.cpp does for its K quantizations.
    """
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    middle, half = (low + high) / 2, (high - low) / 2
    best: tuple[Tensor, Tensor, Tensor] | None = None
    least = torch.empty(0)
    for part in _RANGES:
        scale = 2 * half * part / _INT4_STEPS
        candidates = [_rounded(scale, middle - half * part + _INT4_MIDDLE * scale)]
        candidates.append(_fitted(groups, _numbers(groups, *candidates[0])))
        for scale, zero in candidates:
            numbers = _numbers(groups, scale, zero)
            error = (numbers - _INT4_MIDDLE).mul_(scale).add_(zero).sub_(groups).square_().sum(-1, keepdim=True)
            if best is None:
                best, least = (numbers, scale, zero), error
            else:
                better = error < least
                best = (
                    torch.where(better, numbers, best[0]),
                    torch.where(better, scale, best[1]),
                    torch.where(better, zero, best[2]),
                )
                least = torch.where(better, error, least)
    assert best is not None  # there are candidates
    return best


def _rounded(scale: Tensor, zero: Tensor) -> tuple[Tensor, Tensor]:
    """As they will be stored, in float32."""
    return scale.bfloat16().float(), zero.bfloat16().float()


def _numbers(groups: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """The nearest n of each value; 8 where all values of a group are one (its scale is 0)."""
    divisor = torch.where(scale > 0, scale, torch.ones_like(scale))
    return ((groups - zero) / divisor).round_().add_(_INT4_MIDDLE).clamp_(0, _INT4_STEPS)


def _fitted(groups: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and zero point that make the squared error of these n least."""
    centred = numbers - _INT4_MIDDLE
    mean_n, mean_w = centred.mean(-1, keepdim=True), groups.mean(-1, keepdim=True)
    deviations = centred - mean_n
    spread = deviations.square().sum(-1, keepdim=True)
    slope = (deviations * (groups - mean_w)).sum(-1, keepdim=True) / spread.clamp(min=1e-6)
    scale = torch.where(spread > 0, slope, torch.zeros_like(slope)).clamp(min=0)
    return _rounded(scale, mean_w - mean_n * scale)


def _check_finite(values: Tensor) -> None:
    if not bool(torch.isfinite(values).all()):
        raise ModelBroken("The weights hold values that are no numbers.", "Fetch the checkpoint again.")
