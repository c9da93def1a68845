"""Rotary positions: tables of cosines and sines, with or without YaRN.

Angles are computed in float64 and stored in float32: at position 100,000 a float32 product is off by
several thousandths of a turn, which the fast frequencies feel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from coderls.engine.model.config import ModelConfig, Yarn


@dataclass(frozen=True, slots=True)
class RopeTables:
    """`cos` and `sin` are float32 of shape [positions, head_dim / 2]."""

    cos: Tensor
    sin: Tensor

    def at(self, start: int, count: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Factors for `count` positions from `start`, each [count, 1, head_dim], as `rotate` takes them.

        The first half of the sine is negated: rotating is then two products with the halves swapped.
        """
        cos = self.cos[start : start + count].to(dtype)
        sin = self.sin[start : start + count].to(dtype)
        return torch.cat((cos, cos), -1).unsqueeze(1), torch.cat((-sin, sin), -1).unsqueeze(1)


def rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Turn `heads` [tokens, heads, head_dim] to their positions, in place."""
    swapped = heads.roll(heads.shape[-1] // 2, -1)
    heads.mul_(cos).addcmul_(swapped, sin)


def rope_tables(config: ModelConfig, positions: int, device: torch.device) -> RopeTables:
    """Tables for positions 0 to `positions` - 1."""
    frequencies, factor = _frequencies(config)
    angles = torch.outer(torch.arange(positions, dtype=torch.float64), frequencies)
    cos, sin = angles.cos().mul_(factor), angles.sin().mul_(factor)
    return RopeTables(cos.to(device, torch.float32), sin.to(device, torch.float32))


def _frequencies(config: ModelConfig) -> tuple[Tensor, float]:
    """Radians per position for each pair of a head, float64 [head_dim / 2], and the attention factor."""
    dim = config.head_dim
    plain = config.rope_theta ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    if config.yarn is None:
        return plain, 1.0
    yarn = config.yarn
    low, high = _ramp_ends(yarn, dim, config.rope_theta)
    slowed = ((torch.arange(dim // 2, dtype=torch.float64) - low) / (high - low)).clamp(0.0, 1.0)
    attention = yarn.attention_factor
    if attention is None:
        attention = 0.1 * math.log(yarn.factor) + 1.0
    return plain * (1.0 - slowed) + plain / yarn.factor * slowed, attention


def _ramp_ends(yarn: Yarn, dim: int, theta: float) -> tuple[float, float]:
    """Pairs before the first end keep their frequency, those after the second are slowed by the whole factor.

    An end is the pair that makes `beta` turns within the original context.
    """

    def pair_with(turns: float) -> float:
        return dim * math.log(yarn.original_context / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low, high = pair_with(yarn.beta_fast), pair_with(yarn.beta_slow)
    if yarn.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    return low, high if high != low else high + 0.001
