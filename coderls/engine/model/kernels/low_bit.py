"""Products with int8 and int4 weights for few rows, and the weights at full width for more (see `quantize.py`).

Decoding reads every weight once for each token, and the arithmetic hides behind that: a tile of outputs goes through
all inputs, the weight is made wide in registers, and tensor cores take 16 rows for the price of one. Bias and residual
are added before the result is rounded, which also saves their launches.
"""

from __future__ import annotations

import triton
import triton.language as tl

from coderls.engine.model.kernels.arithmetic import narrow, product


@triton.jit(do_not_specialize=["rows"])
def low_bit_product(
    x,  # [rows, ins], stride of a row: x_stride
    q,  # int8 [outs, ins], or uint8 [outs, ins / 2]
    scale,  # [outs], or [ins / GROUP, outs]
    zero,  # [ins / GROUP, outs]; of int8 never read
    bias,  # [outs], where HAS_BIAS
    add,  # [rows, outs], stride of a row: add_stride; where HAS_ADD
    y,  # [rows, outs], contiguous
    rows,
    outs,
    ins,
    row_bytes,  # of q: ins or ins / 2
    x_stride,
    add_stride,
    GROUP: tl.constexpr,  # of int4; 0: int8
    HAS_BIAS: tl.constexpr,
    HAS_ADD: tl.constexpr,
    ROWS: tl.constexpr,  # 16: what a tensor core takes
    OUT: tl.constexpr,  # outputs of a tile
    IN: tl.constexpr,  # inputs at a time
    WIDEN: tl.constexpr,  # see `arithmetic.py`
):
    """Grid: tiles of outputs, tiles of rows."""
    out = tl.program_id(0) * OUT + tl.arange(0, OUT)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    real = (row < rows)[:, None]
    total = tl.zeros([ROWS, OUT], tl.float32)
    for step in range(0, tl.cdiv(ins, IN)):
        column = step * IN + tl.arange(0, IN)
        part = tl.load(x + row[:, None] * x_stride + column[None, :], mask=real & (column < ins)[None, :], other=0.0)
        if GROUP == 0:
            weight = int8_tile(q, out, step, outs, row_bytes, IN)
        else:
            weight = int4_tile(q, scale, zero, out, step, outs, row_bytes, GROUP, OUT, IN)
        total += product(part, tl.trans(narrow(weight, x.dtype.element_ty, WIDEN)), WIDEN)
    known = out < outs
    if GROUP == 0:
        total = total * tl.load(scale + out, mask=known, other=0.0).to(tl.float32)[None, :]
    if HAS_BIAS:
        total += tl.load(bias + out, mask=known, other=0.0).to(tl.float32)[None, :]
    mask = real & known[None, :]
    if HAS_ADD:
        total += tl.load(add + row[:, None] * add_stride + out[None, :], mask=mask, other=0.0).to(tl.float32)
    tl.store(y + row[:, None] * outs + out[None, :], narrow(total, y.dtype.element_ty, WIDEN), mask=mask)


@triton.jit
def low_bit_wide(
    q,
    scale,
    zero,
    wide,  # [outs, ins], contiguous
    outs,
    ins,
    row_bytes,
    GROUP: tl.constexpr,
    OUT: tl.constexpr,
    IN: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """The weight at full width. Grid: tiles of outputs, tiles of inputs."""
    out = tl.program_id(0) * OUT + tl.arange(0, OUT)
    step = tl.program_id(1)
    column = step * IN + tl.arange(0, IN)
    if GROUP == 0:
        weight = int8_tile(q, out, step, outs, row_bytes, IN)
        weight = weight * tl.load(scale + out, mask=out < outs, other=0.0).to(tl.float32)[:, None]
    else:
        weight = int4_tile(q, scale, zero, out, step, outs, row_bytes, GROUP, OUT, IN)
    mask = (out < outs)[:, None] & (column < ins)[None, :]
    to = wide + out.to(tl.int64)[:, None] * ins + column[None, :]
    tl.store(to, narrow(weight, wide.dtype.element_ty, WIDEN), mask=mask)


@triton.jit
def int8_tile(q, out, step, outs, row_bytes, IN: tl.constexpr):
    """float32 [OUT, IN]: the integers, not scaled: what all inputs of an output share is multiplied once, later."""
    byte = step * IN + tl.arange(0, IN)
    mask = (out < outs)[:, None] & (byte < row_bytes)[None, :]
    return tl.load(q + out.to(tl.int64)[:, None] * row_bytes + byte[None, :], mask=mask, other=0).to(tl.float32)


@triton.jit
def int4_tile(q, scale, zero, out, step, outs, row_bytes, GROUP: tl.constexpr, OUT: tl.constexpr, IN: tl.constexpr):
    """float32 [OUT, IN]: (n - 8) * scale + zero. Two inputs share a byte, the even one in its low half.

    Counted in bytes and groups, without a division of a position: the compiler has to see that loads are aligned.
    """
    byte = step * (IN // 2) + tl.arange(0, IN // 2)
    known = out < outs
    mask = known[:, None] & (byte < row_bytes)[None, :]
    pair = tl.load(q + out.to(tl.int64)[:, None] * row_bytes + byte[None, :], mask=mask, other=0)
    group = step * (IN // GROUP) + tl.arange(0, IN // GROUP)
    mask = (group < row_bytes // (GROUP // 2))[:, None] & known[None, :]
    at = group[:, None] * outs + out[None, :]
    scales = tl.trans(tl.load(scale + at, mask=mask, other=0.0).to(tl.float32))
    zeros = tl.trans(tl.load(zero + at, mask=mask, other=0.0).to(tl.float32))
    n = tl.interleave((pair & 15).to(tl.float32), (pair >> 4).to(tl.float32)) - 8.0
    grouped = tl.reshape(n, [OUT, IN // GROUP, GROUP])
    return tl.reshape(grouped * scales[:, :, None] + zeros[:, :, None], [OUT, IN])
