"""KV memory: one tensor a layer that all slots share; a slot is a range of its positions.

A layer's cache is one tensor [positions, 2 * kv_heads, head_dim], keys before values, so that a step writes both
with one copy. (All layers in one tensor would make a compiled step five times slower.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from coderls.engine.model.config import ModelConfig


@dataclass(frozen=True, slots=True)
class KvCache:
    """`layers[l]` [positions, 2 * kv_heads, head_dim]; slot s is `lengths[s]` positions from `offsets[s]` on.

    One position more, `scratch`, belongs to no slot: tokens that only fill a batch up are written there.
    """

    layers: tuple[Tensor, ...]
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]

    @property
    def scratch(self) -> int:
        """The position that belongs to no slot; it always holds numbers."""
        return sum(self.lengths)

    def slot(self, layer: int, slot: int) -> Tensor:
        """The rows of one slot in one layer: a view."""
        start = self.offsets[slot]
        return self.layers[layer][start : start + self.lengths[slot]]

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of one slot to another."""
        for layer in range(len(self.layers)):
            self.slot(layer, target)[:length] = self.slot(layer, source)[:length]


def allocate(config: ModelConfig, lengths: Sequence[int], device: torch.device, dtype: torch.dtype) -> KvCache:
    """KV memory for slots of `lengths` tokens.

    It is left uninitialised: attention reads no position that was not written, and on a CPU memory that no
    prompt ever reached is never taken from the system.
    """
    with torch.inference_mode():
        shape = (sum(lengths) + 1, 2 * config.kv_heads, config.head_dim)
        layers = tuple(torch.empty(shape, dtype=dtype, device=device) for _ in range(config.layers))
        for layer in layers:
            layer[-1] = 0
    return KvCache(layers, tuple(accumulate(lengths, initial=0))[:-1], tuple(lengths))
