"""Layers with int8 or int4 weights on a card, by our Triton kernels. Import it only where Triton is installed.

Few rows read the quantized weight as it is; more rows read it at full width, from the layer beside it or made anew for
each call.
"""

from __future__ import annotations

import os

import torch
import triton
from torch import Tensor
from torch.nn import functional as F

from coderls.engine.model.faults import check_usable
from coderls.engine.model.kernels.low_bit import low_bit_product, low_bit_wide
from coderls.engine.model.linear import Linear, QuantizedLinear
from coderls.engine.model.quantize import Int4Weight, QuantizedWeight, quantize

#: Rows that a tensor core takes at once.
_TILE_ROWS = 16
#: Beyond, reading the quantized weight once for every 16 rows takes longer than making it wide (by counting bytes).
MOST_ROWS = 64
#: Weights that a tile reads at a time: enough of them are on their way then to keep the memory busy.
_AT_ONCE = 8192
#: A layer's error against float64 may be so many times that of the same layer in plain PyTorch.
_MOST_EXCESS = 2.0
#: Shapes [out, in] that self-tests run: rest of a tile and of a step; many tiles.
_TESTED = ((80, 576), (4608, 896))


class LowBitLinear(QuantizedLinear):
    """See `linear.Linear`. `processors` of the card: every one should have two tiles."""

    def __init__(
        self, weight: QuantizedWeight, bias: Tensor | None = None, *, wide: Linear | None = None, processors: int = 8
    ) -> None:
        super().__init__(weight, bias, wide=wide)
        self.few_rows = _TILE_ROWS if wide is not None else MOST_ROWS
        outs = weight.shape[0]
        self._tile = next((tile for tile in (64, 32) if outs >= 2 * tile * processors), 16)

    def __call__(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        if x.shape[0] <= self.few_rows:
            return few_rows(x, self.weight, self.bias, add, self._tile)
        if self.wide is not None:
            return self.wide(x, add)
        y = F.linear(x, widened(self.weight, x.dtype), self.bias)
        return y if add is None else y.add_(add)


def few_rows(x: Tensor, weight: QuantizedWeight, bias: Tensor | None, add: Tensor | None, tile: int = 16) -> Tensor:
    """`x` [rows, in] times `weight`, plus `bias` [out] and `add` [rows, out], rounded once: [rows, out]."""
    outs, ins = weight.shape
    y = torch.empty((x.shape[0], outs), dtype=x.dtype, device=x.device)
    group, zero = _groups(weight)
    low_bit_product[(triton.cdiv(outs, tile), triton.cdiv(x.shape[0], _TILE_ROWS))](
        x,
        weight.q,
        weight.scale,
        zero,
        weight.scale if bias is None else bias,  # something to point at
        x if add is None else add,
        y,
        x.shape[0],
        outs,
        ins,
        weight.q.shape[1],
        x.stride(0),
        0 if add is None else add.stride(0),
        GROUP=group,
        HAS_BIAS=bias is not None,
        HAS_ADD=add is not None,
        ROWS=_TILE_ROWS,
        OUT=tile,
        IN=max(group, _AT_ONCE // tile // (x.dtype.itemsize // 2)),
        WIDEN=x.device.type == "cpu",
        num_warps=4,
        num_stages=4 if x.dtype.itemsize == 2 else 2,
        enable_fp_fusion=True,
    )
    return y


def widened(weight: QuantizedWeight, dtype: torch.dtype) -> Tensor:
    """The weight [out, in] in `dtype`, as `dequantize` gives it, in one pass and without float32 copies."""
    outs, ins = weight.shape
    wide = torch.empty((outs, ins), dtype=dtype, device=weight.q.device)
    group, zero = _groups(weight)
    low_bit_wide[(triton.cdiv(outs, 16), triton.cdiv(ins, 256))](
        weight.q,
        weight.scale,
        zero,
        wide,
        outs,
        ins,
        weight.q.shape[1],
        GROUP=group,
        OUT=16,
        IN=256,
        WIDEN=wide.device.type == "cpu",
        num_warps=4,
        enable_fp_fusion=True,
    )
    return wide


def processors_of(device: torch.device) -> int:
    """Streaming multiprocessors of a card; a few where there is none."""
    return int(torch.cuda.get_device_properties(device).multi_processor_count) if device.type == "cuda" else 8


def self_test(bits: int, group: int, dtype: torch.dtype, device: torch.device) -> str:
    """ "" when the kernels are right on this device for weights of that form, else what is wrong or was raised."""
    try:
        generator = torch.Generator().manual_seed(int.from_bytes(os.urandom(4), "little"))
        for outs, ins in _TESTED:
            weight = quantize(torch.randn(outs, ins, generator=generator), bits, group or 32)
            weight = type(weight)(**{name: part.to(device) for name, part in weight.tensors().items()})
            for rows in (1, 5, 16, 40, 70):
                x, add, bias = (
                    torch.randn(shape, generator=generator).to(device, dtype)
                    for shape in ((rows, ins), (rows, outs), (outs,))
                )
                for tile_processors in (1, 10**6):
                    layer = LowBitLinear(weight, bias, processors=tile_processors)
                    times = excess(layer(x, add), weight, x, bias, add)
                    if not times <= _MOST_EXCESS:
                        return f"its error is {times:.3g} times that of plain PyTorch ({rows} x {ins} x {outs})"
    except Exception as error:  # noqa: BLE001 (a compiler may raise anything: the reason is kept and shown)
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        check_usable(device, reason)
        return reason
    return ""


def excess(found: Tensor, weight: QuantizedWeight, x: Tensor, bias: Tensor | None, add: Tensor | None) -> float:
    """How many times the error of plain PyTorch, with the weight made wide in the dtype of `x`, that of `found` is."""
    exact = F.linear(x.double(), weight.dequantize(torch.float64), None if bias is None else bias.double())
    plain = F.linear(x, weight.dequantize(x.dtype), bias)
    if add is not None:
        exact, plain = exact + add.double(), plain + add
    floor = 1e-6 * float(exact.square().mean().sqrt())
    ours, theirs = (float((y.double() - exact).square().mean().sqrt()) for y in (found, plain))
    return ours / max(theirs, floor)


def _groups(weight: QuantizedWeight) -> tuple[int, Tensor]:
    """The group size (0: int8) and the zero points, or something to point at."""
    return (weight.group, weight.zero) if isinstance(weight, Int4Weight) else (0, weight.scale)
