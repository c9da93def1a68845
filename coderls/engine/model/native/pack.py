"""Weights in the layout that the native step reads: tiles of 16 outputs, groups of 32 inputs, one run of memory.

Within a group the inputs go by pairs (bfloat16) or quads (int8, int4), and each pair or quad holds all 16 outputs
beside each other: a vector of the processor is one of them. What is missing to whole tiles and groups is filled up with
weights of zero.

- bfloat16: 16 pairs of 16 x 2 numbers: 1,024 bytes a group.
- int8: 8 quads of 16 x 4 bytes, each 128 more than the weight: 512 bytes. Scales are apart.
- int4: 4 times 64 bytes, a quad in the low four bits and the next in the high ones; then 16 scales and 16 zero points
  in bfloat16: 320 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from coderls.engine.model.linear import Linear, PackedLinear, PlainLinear, QuantizedLinear
from coderls.engine.model.quantize import Int4Weight, Int8Weight

BFLOAT16, INT8, INT4 = 0, 1, 2
TILE, GROUP = 16, 32
#: Bytes of a group of one tile, by kind.
GROUP_BYTES = {BFLOAT16: 1024, INT8: 512, INT4: 320}

Weight = Tensor | Int8Weight | Int4Weight


@dataclass(frozen=True, slots=True)
class Packed:
    """`data` uint8 [tiles, groups, bytes]; `scales` float32 [16 * tiles], for int8 only; `outs` without the filling."""

    kind: int
    outs: int
    data: Tensor
    scales: Tensor | None = None


def weight_of(linear: Linear) -> Weight | None:
    """The weight that decoding reads, [out, in]; None: in a form that the native step does not read."""
    if isinstance(linear, QuantizedLinear):
        return linear.weight
    if isinstance(linear, PlainLinear):
        return linear.weight if linear.weight.dtype == torch.bfloat16 else None
    if isinstance(linear, PackedLinear):
        dense: Tensor = linear.packed.to_dense()
        return dense
    return None


def rows_of(weight: Weight, first: int, last: int) -> Weight:
    """Some of its outputs."""
    if isinstance(weight, Int8Weight):
        return Int8Weight(weight.q[first:last], weight.scale[first:last])
    if isinstance(weight, Int4Weight):
        return Int4Weight(weight.q[first:last], weight.scale[:, first:last], weight.zero[:, first:last])
    return weight[first:last]


def packed_bytes(linear: Linear, first: int = 0, last: int | None = None) -> int | None:
    """Memory that the packed form of its weight takes, or of some of its outputs; None: a form that is not read.

    Nothing is unpacked to know it.
    """
    if isinstance(linear, QuantizedLinear):
        kind = INT4 if isinstance(linear.weight, Int4Weight) else INT8
        outs, ins = linear.weight.shape
    elif isinstance(linear, PackedLinear):
        kind, (outs, ins) = BFLOAT16, linear.shape
    elif isinstance(linear, PlainLinear) and linear.weight.dtype == torch.bfloat16:
        kind, (outs, ins) = BFLOAT16, linear.weight.shape
    else:
        return None
    taken = (outs if last is None else last) - first
    return -(-taken // TILE) * -(-ins // GROUP) * GROUP_BYTES[kind]


def pack(weight: Weight) -> Packed:
    """`weight` [out, in], bfloat16 or quantized, in tiles."""
    if isinstance(weight, Int4Weight):
        return _pack_int4(weight)
    if isinstance(weight, Int8Weight):
        outs = weight.shape[0]
        tiled = _tiled(weight.q.view(torch.uint8) ^ 128, 4, filling=128)
        scales = F.pad(weight.scale.float(), (0, -outs % TILE))
        return Packed(INT8, outs, tiled.flatten(2), scales.contiguous())
    tiled = _tiled(weight.contiguous().view(torch.int16), 2, filling=0)
    return Packed(BFLOAT16, weight.shape[0], tiled.view(torch.uint8).flatten(2))


def _pack_int4(weight: Int4Weight) -> Packed:
    outs, ins = weight.shape
    quads = _tiled(weight.numbers(), 4, filling=8)
    both = quads[:, :, 0::2] | quads[:, :, 1::2] << 4
    factors = [_tiled_factors(values, ins, weight.group) for values in (weight.scale, weight.zero)]
    return Packed(INT4, outs, torch.cat([both.flatten(2), *factors], -1).contiguous())


def _tiled(numbers: Tensor, together: int, filling: int) -> Tensor:
    """[out, in] to [tiles, groups, 32 / together, 16, together]."""
    outs, ins = numbers.shape
    missing = (0, -ins % GROUP, 0, -outs % TILE)
    whole = F.pad(numbers, missing, value=filling) if any(missing) else numbers  # it copies, even where nothing is
    shape = (whole.shape[0] // TILE, TILE, whole.shape[1] // GROUP, GROUP // together, together)
    return whole.view(shape).permute(0, 2, 3, 1, 4).contiguous()


def _tiled_factors(values: Tensor, ins: int, group: int) -> Tensor:
    """Scales or zero points, bfloat16 [in / group, out], as bytes [tiles, groups, 32]; larger groups repeat them."""
    spread = values.repeat_interleave(group // GROUP, 0)
    spread = F.pad(spread, (0, -values.shape[1] % TILE))
    tiled = spread.view(ins // GROUP, -1, TILE).permute(1, 0, 2).contiguous()
    return tiled.view(torch.uint8)
