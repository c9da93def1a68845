"""Arithmetic that Triton's interpreter gets wrong in bfloat16, and a card does not.

The interpreter runs the kernels where there is no card. Its `tl.dot` takes the bits of a bfloat16 for an integer, and
its conversion cuts bits off where a card rounds. With `WIDEN` both are done in float32, and come out as on
a card.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def product(a, b, WIDEN: tl.constexpr):
    """a @ b, summed in float32; float32 factors are not cut to TF32.

    The product of two bfloat16 is exact in float32: widening changes no result.
    """
    if WIDEN:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, input_precision="ieee")


@triton.jit
def narrow(x, dtype: tl.constexpr, WIDEN: tl.constexpr):
    """float32 to `dtype`, rounded to the nearest, ties to even."""
    if WIDEN and dtype == tl.bfloat16:
        bits = x.to(tl.int32, bitcast=True)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & -65536
        x = rounded.to(tl.float32, bitcast=True)
    return x.to(dtype)
