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
    """`cos` and `sin` are float32 of shape [rows, head_dim / 2].

    The first `plain` rows are positions 0, 1, ... without YaRN; with YaRN those of all positions follow. A sequence
    uses one or the other for all of its positions: keys that were turned by the one do not fit queries of the other.
    """

    cos: Tensor
    sin: Tensor
    plain: int

    def rows(self, start: int, count: int, *, long: bool) -> range:
        """The rows of `count` positions from `start` on; `long`: those with YaRN. Raises ValueError past their end."""
        first = start + (self.plain if long else 0)
        if first + count > (self.cos.shape[0] if long else self.plain):
            raise ValueError(f"there are no rotary rows for {count} positions from {start} on (long: {long})")
        return range(first, first + count)

    def factors(self, rows: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Factors for `rows` [count], each [count, 1, head_dim], as `rotate` takes them.

        The first half of the sine is negated: rotating is then two products with the halves swapped.
        """
        cos, sin = self.cos[rows].to(dtype), self.sin[rows].to(dtype)
        return torch.cat((cos, cos), -1).unsqueeze(1), torch.cat((-sin, sin), -1).unsqueeze(1)


def rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Turn `heads` [tokens, heads, head_dim] to their positions, in place."""
    swapped = heads.roll(heads.shape[-1] // 2, -1)
    heads.mul_(cos).addcmul_(swapped, sin)


def rope_tables(config: ModelConfig, positions: int, device: torch.device) -> RopeTables:
    """Tables for sequences of up to `positions` tokens."""
    plain = min(positions, config.plain_context) if config.yarn else positions
    tables = [_table(_plain_frequencies(config), 1.0, plain)]
    if config.yarn is not None and positions > plain:
        tables.append(_table(*_yarn_frequencies(config, config.yarn), positions))
    cos, sin = (torch.cat(parts).to(device) for parts in zip(*tables, strict=True))
    return RopeTables(cos, sin, plain)


def _table(frequencies: Tensor, factor: float, positions: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines times `factor`, float32 [positions, head_dim / 2]."""
    angles = torch.outer(torch.arange(positions, dtype=torch.float64), frequencies)
    return angles.cos().mul_(factor).float(), angles.sin().mul_(factor).float()


def _plain_frequencies(config: ModelConfig) -> Tensor:
    """Radians per position for each pair of a head, float64 [head_dim / 2]."""
    return config.rope_theta ** (-torch.arange(0, config.head_dim, 2, dtype=torch.float64) / config.head_dim)


def _yarn_frequencies(config: ModelConfig, yarn: Yarn) -> tuple[Tensor, float]:
    """The same with YaRN (section 3 of its paper), and the attention factor that goes on cosines and sines."""
    dim = config.head_dim
    plain = _plain_frequencies(config)
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
