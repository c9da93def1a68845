"""The forms of a linear layer. `qwen2.py` calls them all alike; which one a weight gets is decided at load.

Decoding reads every weight once for each token, so the form decides the speed: on a CPU, torch runs a product
with one row on one thread, while oneDNN with weights in its own blocked layout uses them all. (One row through
all products of a 135M model in bfloat16, two cores: 22 ms plain, 12 ms packed; long prompts are level.)

In float32 the packed form is faster too (one row 45 against 66 microseconds), but sums in an order whose error
against float64 was up to four times that of the plain product; in bfloat16 it was never larger. More than twice is
not taken, so float32 stays plain.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


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
        self.bias = bias
        self.nbytes = weight.nbytes

    def __call__(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        if add is None:
            y: Tensor = _LINEAR(x, self.packed, self.bias, "none", [], "")
        else:
            y = _LINEAR_ADD(x, add, self.packed, self.bias, "add")
        return y


def make_linear(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """The fastest form for the device that `weight` is on."""
    if weight.device.type == "cpu" and packing_works(weight.dtype):
        return PackedLinear(weight, bias)
    return PlainLinear(weight, bias)


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
