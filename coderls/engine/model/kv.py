"""KV memory: one tensor a layer that all slots share; a slot is a range of its positions.

A layer's cache is one tensor [positions, 2 * kv_heads, head_dim], keys before values, so that a step writes both
with one copy. (All layers in one tensor would make a compiled step five times slower.) A cache in 8 bits
(`kv_form.py`) has a tensor of scales beside each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from coderls.engine.model.config import ModelConfig
from coderls.engine.model.kv_form import SCALE, KvForm, block_of, quantize_kv, widen_kv


@dataclass(frozen=True, slots=True)
class KvCache:
    """`layers[l]` [positions, 2 * kv_heads, head_dim]; slot s is `lengths[s]` positions from `offsets[s]` on.

    One position more, `scratch`, belongs to no slot: tokens that only fill a batch up are written there.
    With a `form` the numbers are quantized: `scales[l]` [positions, 2 * kv_heads, blocks] belong to them, and `wide`
    is the dtype that the model computes in.
    """

    layers: tuple[Tensor, ...]
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]
    form: KvForm | None = None
    scales: tuple[Tensor, ...] = ()
    wide: torch.dtype | None = None

    @property
    def scratch(self) -> int:
        """The position that belongs to no slot; it always holds numbers."""
        return sum(self.lengths)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.layers[0].device

    @property
    def dtype(self) -> torch.dtype:
        """Of the keys and values that are written, and read."""
        return self.wide or self.layers[0].dtype

    @property
    def name(self) -> str:
        """The form, as settings and `coderls doctor` call it."""
        return self.form.name if self.form else str(self.dtype).removeprefix("torch.")

    def slot(self, layer: int, slot: int) -> Tensor:
        """The rows of one slot in one layer: a view, of quantized numbers where there is a form."""
        start = self.offsets[slot]
        return self.layers[layer][start : start + self.lengths[slot]]

    def write(self, layer: int, rows: Tensor, values: Tensor) -> None:
        """Put keys and values [count, 2 * kv_heads, head_dim] at the positions `rows` (int64 [count])."""
        if self.form is None:
            self.layers[layer].index_copy_(0, rows, values)
            return
        numbers, scales = quantize_kv(values, self.form)
        # As bytes: not every operator knows 8-bit floating point.
        self.layers[layer].view(torch.uint8).index_copy_(0, rows, numbers.view(torch.uint8))
        self.scales[layer].index_copy_(0, rows, scales)

    def first(self, layer: int, slot: int, end: int, dtype: torch.dtype) -> Tensor:
        """The first `end` positions of a slot in `dtype`: [end, 2 * kv_heads, head_dim]. A view where that can be."""
        start = self.offsets[slot]
        rows = self.layers[layer][start : start + end]
        return rows.to(dtype) if self.form is None else widen_kv(rows, self.scales[layer][start : start + end], dtype)

    def gather(self, layer: int, rows: Tensor) -> Tensor:
        """The positions `rows` (int64 [count]) in `dtype`: [count, 2 * kv_heads, head_dim]."""
        if self.form is None:
            return self.layers[layer][rows]
        numbers = self.layers[layer].view(torch.uint8)[rows].view(self.form.dtype)
        return widen_kv(numbers, self.scales[layer][rows], self.dtype)

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of one slot to another."""
        at, to = self.offsets[source], self.offsets[target]
        for rows in (*self.layers, *self.scales):
            rows[to : to + length] = rows[at : at + length]

    def unwritten(self, lengths: Sequence[int]) -> KvCache:
        """A cache of one layer of the same kind with slots of `lengths`, in which every number is NaN."""
        kv_rows, head_dim = self.layers[0].shape[1:]
        made = _allocate(1, (sum(lengths) + 1, kv_rows, head_dim), lengths, (self.device, self.dtype, self.form))
        made.poison()
        return made

    def poison(self) -> None:
        """Make every number NaN, so that it shows where one is read that was not written."""
        for part in self.scales or self.layers:
            part.fill_(float("nan"))


def allocate(
    config: ModelConfig,
    lengths: Sequence[int],
    device: torch.device,
    dtype: torch.dtype,
    form: KvForm | None = None,
) -> KvCache:
    """KV memory for slots of `lengths` tokens of a model that computes in `dtype`; `form`: quantized.

    It is left uninitialised: attention reads no position that was not written, and on a CPU memory that no
    prompt ever reached is never taken from the system.
    """
    with torch.inference_mode():
        shape = (sum(lengths) + 1, 2 * config.kv_heads, config.head_dim)
        cache = _allocate(config.layers, shape, lengths, (device, dtype, form))
        for part in (*cache.layers, *cache.scales):
            part[-1] = 0
    return cache


def _allocate(
    layers: int,
    shape: tuple[int, int, int],
    lengths: Sequence[int],
    like: tuple[torch.device, torch.dtype, KvForm | None],
) -> KvCache:
    device, dtype, form = like

    def each(size: tuple[int, ...], kind: torch.dtype) -> tuple[Tensor, ...]:
        return tuple(torch.empty(size, dtype=kind, device=device) for _ in range(layers))

    offsets = tuple(accumulate(lengths, initial=0))[:-1]
    if form is None:
        return KvCache(each(shape, dtype), offsets, tuple(lengths))
    scales = each((*shape[:2], shape[2] // block_of(shape[2])), SCALE)
    return KvCache(each(shape, form.dtype), offsets, tuple(lengths), form, scales, dtype)
