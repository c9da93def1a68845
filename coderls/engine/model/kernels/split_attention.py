"""Attention of a few query tokens to a long KV cache, split along the cache: for decoding and for verifying drafts.

One sequence has 1 to 16 query tokens and up to 131,072 cached positions. A GPU has some hundred processors, so the
cache is cut into `splits` parts that are worked on at once (as in Flash-Decoding), each giving a softmax over its own
positions; a second kernel weighs the parts by their log-sum-exp. All query heads that share a KV head are rows of one
tile, whatever their number is, so that keys and values are read once.

How long each sequence is stands in a table on the device, and the number of parts does not depend on it: one
captured CUDA graph serves every length.
"""

from __future__ import annotations

import triton
import triton.language as tl

from coderls.engine.model.kernels.arithmetic import narrow, product


@triton.jit(do_not_specialize=["splits"])
def split_attention(
    queries,  # [total, KV_HEADS * GROUP, HEAD_DIM], stride of a token: query_stride
    cache,  # [positions, 2 * KV_HEADS, HEAD_DIM], contiguous: keys before values
    scales,  # bfloat16 [positions, 2 * KV_HEADS, SCALES], of a cache in 8 bits
    table,  # int32 [sequences, 4]: first query, number of queries, end (positions seen by the last), first position
    partial,  # float32 [total, KV_HEADS * GROUP, splits, HEAD_DIM]: softmax over each part
    weight,  # float32 [total, KV_HEADS * GROUP, splits]: log2 of each part's sum of exponentials
    query_stride,
    splits,  # how many parts; not part of what is compiled
    scale,  # of the scores, times log2(e): exponentials are powers of two
    KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,  # query heads to a KV head
    HEAD_DIM: tl.constexpr,
    ROWS: tl.constexpr,  # of the tile: at least queries * GROUP, a power of two, 16 or more
    BLOCK: tl.constexpr,  # positions at a time
    SCALES: tl.constexpr,  # of a head; 0: the cache is not in 8 bits
    LEAST: tl.constexpr,  # positions in a part, at least; a multiple of BLOCK
    WIDEN: tl.constexpr,  # see `arithmetic.py`
):
    """Grid: sequences, KV heads, parts."""
    sequence, kv_head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    first_query = tl.load(table + sequence * 4)
    count = tl.load(table + sequence * 4 + 1)
    end = tl.load(table + sequence * 4 + 2)
    # Rows of all slots together may be more than 2^31 values apart.
    first_position = tl.load(table + sequence * 4 + 3).to(tl.int64)
    part = part_length(end, splits, BLOCK, LEAST)
    low = split * part
    high = tl.minimum(low + part, end)
    if low >= high:
        return  # nothing left for this one; the second kernel knows
    dims = tl.arange(0, HEAD_DIM)
    rows = tl.arange(0, ROWS)
    query = rows // GROUP
    head = kv_head * GROUP + rows % GROUP
    real = query < count
    sees = end - count + query  # the last position that each row may see
    where_from = (first_query + query).to(tl.int64) * query_stride + head * HEAD_DIM
    q = tl.load(queries + where_from[:, None] + dims[None, :], mask=real[:, None], other=0.0)
    row_size = 2 * KV_HEADS * HEAD_DIM
    keys = cache + first_position * row_size + kv_head * HEAD_DIM
    values = keys + KV_HEADS * HEAD_DIM
    key_scales = scales + (first_position * 2 * KV_HEADS + kv_head) * SCALES
    value_scales = key_scales + KV_HEADS * SCALES
    highest = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    out = tl.zeros([ROWS, HEAD_DIM], tl.float32)
    for start in range(low, high, BLOCK):
        positions = start + tl.arange(0, BLOCK)
        written = positions < high
        k = fetch(keys, key_scales, positions, dims, written, q.dtype, KV_HEADS, HEAD_DIM, SCALES, WIDEN)
        scores = product(q, tl.trans(k), WIDEN) * scale
        visible = written[None, :] & (positions[None, :] <= sees[:, None])
        scores = tl.where(visible, scores, float("-inf"))
        new_highest = tl.maximum(highest, tl.max(scores, 1))
        # A row that has seen nothing yet: -inf less -inf would be NaN.
        base = tl.where(new_highest == float("-inf"), 0.0, new_highest)
        shrink = tl.exp2(highest - base)
        p = tl.exp2(scores - base[:, None])
        v = fetch(values, value_scales, positions, dims, written, q.dtype, KV_HEADS, HEAD_DIM, SCALES, WIDEN)
        total = total * shrink + tl.sum(p, 1)
        out = out * shrink[:, None] + product(narrow(p, v.dtype, WIDEN), v, WIDEN)
        highest = new_highest
    seen = total > 0.0
    total = tl.where(seen, total, 1.0)
    where_to = ((first_query + query).to(tl.int64) * (KV_HEADS * GROUP) + head) * splits + split
    tl.store(partial + where_to[:, None] * HEAD_DIM + dims[None, :], out / total[:, None], mask=real[:, None])
    tl.store(weight + where_to, tl.where(seen, highest + tl.log2(total), float("-inf")), mask=real)


@triton.jit
def fetch(
    numbers,  # where those of the first position are, of one head
    scales,  # where its scales are
    positions,
    dims,
    written,
    dtype: tl.constexpr,
    KV_HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    SCALES: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """Keys or values of `positions`, [positions, dims], in `dtype`."""
    rows = positions.to(tl.int64)[:, None] * (2 * KV_HEADS)
    # What was never written may be NaN, and 0 * NaN is NaN: it is not even loaded.
    found = tl.load(numbers + rows * HEAD_DIM + dims[None, :], mask=written[:, None], other=0.0)
    if SCALES:
        at = rows * SCALES + (dims // (HEAD_DIM // SCALES))[None, :]
        factors = tl.load(scales + at, mask=written[:, None], other=0.0)
        found = narrow(found.to(tl.float32) * factors.to(tl.float32), dtype, WIDEN)
    return found


@triton.jit
def join_parts(
    partial,
    weight,
    table,
    output,  # [total, HEADS, HEAD_DIM], contiguous; rows of no sequence are left as they are
    HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK: tl.constexpr,
    SPLITS: tl.constexpr,  # a power of two
    LEAST: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """Grid: sequences, queries of the longest, heads."""
    sequence, query, head = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    first_query = tl.load(table + sequence * 4)
    count = tl.load(table + sequence * 4 + 1)
    end = tl.load(table + sequence * 4 + 2)
    if query >= count:
        return
    part = part_length(end, SPLITS, BLOCK, LEAST)
    splits = tl.arange(0, SPLITS)
    dims = tl.arange(0, HEAD_DIM)
    # Parts that had nothing to do wrote nothing.
    used = splits * part < end
    row = (first_query + query).to(tl.int64) * HEADS + head
    w = tl.load(weight + row * SPLITS + splits, mask=used, other=float("-inf"))
    w = tl.exp2(w - tl.max(w, 0))
    at = (row * SPLITS + splits)[:, None] * HEAD_DIM + dims[None, :]
    parts = tl.load(partial + at, mask=used[:, None], other=0.0)
    out = tl.sum(parts * w[:, None], 0) / tl.sum(w, 0)
    tl.store(output + row * HEAD_DIM + dims, narrow(out, output.dtype.element_ty, WIDEN))


@triton.jit
def part_length(end, splits, BLOCK: tl.constexpr, LEAST: tl.constexpr):
    """How many positions each part has: whole blocks, so that only the last block of a sequence is not full."""
    each = (end + splits - 1) // splits
    return tl.maximum((each + BLOCK - 1) // BLOCK * BLOCK, LEAST)
