"""The forms of a linear layer. `qwen2.py` calls them all alike; which one a weight gets is decided at load.

Decoding reads every weight once for each token, so the form decides the speed: on a CPU, torch runs a product
with one row on one thread, while oneDNN with weights in its own blocked layout uses them all. (One row through
all products of a 135M model in bfloat16, two cores: 22 ms plain, 12 ms packed; long prompts are level.)

In float32 the packed form is faster too (one row 45 against 66 microseconds), but sums in an order whose error
against float64 was up to four times that of the plain product; in bfloat16 it was never larger. More than twice is
not taken, so float32 stays plain.

A quantized weight is read in fewer bytes, and that pays for few rows only: prompts go through the bfloat16 weight
beside it, where the memory has room for one.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from coderls.engine.model.quantize import Int4Weight, Int8Weight, QuantizedWeight, quantize

log = logging.getLogger(__name__)

#: `x` [rows, in] to [rows, out]: a product that reads a quantized weight as it is.
Product = Callable[[Tensor], Tensor]


#: On a CPU. Beyond, products in bfloat16 take less time than the reading of the quantized weight saves.
FEW_ROWS = 4
#: torch's int4 product takes multiples of so many outputs.
INT4_ROWS = 16


class Linear(Protocol):
    """`x` [rows, in] to [rows, out]; `add` [rows, out] is added to the result (the residual stream)."""

    def __call__(self, x: Tensor, add: Tensor | None = None) -> Tensor: ...

    @property
    def nbytes(self) -> int:
        """Memory of the weight."""


class PlainLinear:
    """The weight as it is, [out, in]."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight = weight
        self.bias = bias

    def __call__(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        y = F.linear(x, self.weight, self.bias)
        return y if add is None else y.add_(add)

    @property
    def nbytes(self) -> int:
        """Memory of the weight."""
        return self.weight.nbytes


class PackedLinear:
    """The weight in oneDNN's blocked layout, CPU only. The operators are those that torch.compile emits."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        self.shape = weight.shape
        self.bias = bias
        self.nbytes = weight.nbytes

    def __call__(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        if add is None:
            y: Tensor = _LINEAR(x, self.packed, self.bias, "none", [], "")
        else:
            y = _LINEAR_ADD(x, add, self.packed, self.bias, "add")
        return y


class QuantizedLinear:
    """A weight in int8 or int4 for up to `few_rows` rows, and what the others go through.

    `wide` is the same layer at full width; without one the weight is made wide at each call, which long prompts hardly
    feel. `product` reads the quantized weight itself; without one (a device or dtype that has none) every call widens.
    """

    def __init__(
        self,
        weight: QuantizedWeight,
        bias: Tensor | None = None,
        *,
        wide: Linear | None = None,
        product: Product | None = None,
        few_rows: int = 0,
    ) -> None:
        self.weight = weight
        self.bias = bias
        self.wide = wide
        self.few_rows = few_rows if product else 0
        self._product = product

    def __call__(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        if self._product is not None and x.shape[0] <= self.few_rows:
            y = self._product(x)
            if self.bias is not None:
                y.add_(self.bias)
        elif self.wide is not None:
            return self.wide(x, add)
        else:
            y = F.linear(x, self.weight.dequantize(x.dtype), self.bias)
        return y if add is None else y.add_(add)

    @property
    def nbytes(self) -> int:
        """Memory of the weight in all its forms."""
        packed = getattr(self._product, "nbytes", 0)
        return self.weight.nbytes + packed + (0 if self.wide is None else self.wide.nbytes)


class CpuInt8Product:
    """torch's own product with int8 rows. It reads the tensors of the format as they are.

    It and its int4 sister are fast in bfloat16 only (in float32 twenty times slower), on processors without bfloat16
    arithmetic too: there the rows are rounded for it.
    """

    def __init__(self, weight: Int8Weight) -> None:
        self._weight = weight

    def __call__(self, x: Tensor) -> Tensor:
        if x.dtype == torch.bfloat16:
            return torch._weight_int8pack_mm(x, self._weight.q, self._weight.scale)
        return torch._weight_int8pack_mm(x.bfloat16(), self._weight.q, self._weight.scale).to(x.dtype)


class CpuInt4Product:
    """torch's own product with int4 groups, on a copy of the weight in its blocked layout.

    The copy is made at the first call: what runs whole steps by itself (`native`) never needs it.
    """

    def __init__(self, weight: Int4Weight) -> None:
        self._weight: Int4Weight | None = weight
        self._group = weight.group
        self._packed: tuple[Tensor, Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        packed, scales_and_zeros = self._packed or self._pack()
        rows = x if x.dtype == torch.bfloat16 else x.bfloat16()
        y: Tensor = torch._weight_int4pack_mm_for_cpu(rows, packed, self._group, scales_and_zeros)
        return y if rows is x else y.to(x.dtype)

    def _pack(self) -> tuple[Tensor, Tensor]:
        assert self._weight is not None
        numbers = self._weight.numbers().to(torch.int32)
        packed = torch._convert_weight_to_int4pack_for_cpu(numbers, 1)
        self._packed = packed, torch.stack((self._weight.scale, self._weight.zero), -1)
        self._weight = None
        return self._packed

    @property
    def nbytes(self) -> int:
        """Memory of the copy."""
        return sum(part.nbytes for part in self._packed or ())


def make_linear(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """The fastest form for the device that `weight` is on."""
    if weight.device.type == "cpu" and packing_works(weight.dtype):
        return PackedLinear(weight, bias)
    return PlainLinear(weight, bias)


def make_quantized(
    weight: QuantizedWeight,
    bias: Tensor | None = None,
    wide: Linear | None = None,
    dtype: torch.dtype = torch.bfloat16,
    *,
    kernels: bool = True,
) -> QuantizedLinear:
    """A quantized layer with the product that this device has for rows of `dtype`, if that passed its test here.

    `kernels`: those of ours may be taken on a card.
    """
    group = weight.group if isinstance(weight, Int4Weight) else 0
    device = weight.scale.device
    if kernels and device.type == "cuda" and (make := card_kernels(group, dtype, device)) is not None:
        return make(weight, bias, wide=wide)
    fits = group == 0 or weight.shape[0] % INT4_ROWS == 0
    if device.type == "cpu" and fits and quantized_products_work(group):
        return QuantizedLinear(weight, bias, wide=wide, product=_cpu_product(weight), few_rows=FEW_ROWS)
    return QuantizedLinear(weight, bias, wide=wide)


def _cpu_product(weight: QuantizedWeight) -> Product:
    return CpuInt8Product(weight) if isinstance(weight, Int8Weight) else CpuInt4Product(weight)


@lru_cache(maxsize=8)
def card_kernels(group: int, dtype: torch.dtype, device: torch.device) -> Callable[..., QuantizedLinear] | None:
    """What makes layers with our Triton kernels on `device`; None where they are not there, or wrong (said in the log).

    `group`: of int4; 0: int8.
    """
    if importlib.util.find_spec("triton") is None:
        return None
    try:
        low_bit = importlib.import_module("coderls.engine.model.low_bit")
    except (ImportError, OSError, RuntimeError) as error:
        log.warning("No kernels of our own for quantized weights: Triton cannot be imported: %s", error)
        return None
    if reason := low_bit.self_test(4 if group else 8, group, dtype, device):
        log.warning("No kernels of our own for quantized weights on %s: %s", device, reason)
        return None
    return partial(low_bit.LowBitLinear, processors=low_bit.processors_of(device))


@lru_cache(maxsize=8)
def quantized_products_work(group: int) -> bool:
    """Whether torch's product with int8 rows (`group` 0) or int4 groups is there, and agrees with the wide one.

    Tried, not guessed.
    """
    weight = (torch.arange(64 * 128, dtype=torch.float32) * 0.37).sin().view(64, 128).bfloat16()
    quantized = quantize(weight, 4, group) if group else quantize(weight, 8)
    try:
        product = _cpu_product(quantized)
        return all(
            torch.allclose(
                product(weight[:rows]).float(),
                F.linear(weight[:rows].float(), quantized.dequantize()),
                atol=0.05,
                rtol=0.02,
            )
            for rows in (1, 3, 5)
        )
    except (RuntimeError, NotImplementedError, AttributeError):
        return False


@lru_cache(maxsize=4)
def packing_works(dtype: torch.dtype) -> bool:
    """Whether a weight of `dtype` is packed: oneDNN's operators are there and agree with the plain product.

    Tried, not guessed.
    """
    if dtype != torch.bfloat16 or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    numbers = torch.arange(64 * 48, dtype=torch.float32)
    weight = (numbers * 0.37).sin().view(64, 48).to(dtype)
    bias, add = weight[:, 0].contiguous(), weight[:3, :].repeat(1, 2)[:, :64].contiguous()
    try:
        packed = PackedLinear(weight, bias)
        for rows in (1, 3):
            x = weight[:rows].contiguous()
            expected = F.linear(x.float(), weight.float(), bias.float())
            if not torch.allclose(packed(x).float(), expected, atol=0.05, rtol=0.05):
                return False
            if not torch.allclose(packed(x, add[:rows]).float(), expected + add[:rows].float(), atol=0.05, rtol=0.05):
                return False
    except (RuntimeError, NotImplementedError):
        return False
    return True


if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
    _LINEAR = torch.ops.mkldnn._linear_pointwise.default
    _LINEAR_ADD = torch.ops.mkldnn._linear_pointwise.binary
