"""Attention by our Triton kernel for up to 16 query tokens of a sequence; longer ones go to another backend."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from coderls.engine.model.attention import Attend
from coderls.engine.model.batch import Span
from coderls.engine.model.kernels.split_attention import join_parts, split_attention
from coderls.engine.model.kv import KvCache

MOST_QUERIES = 16
HEAD_SIZES = (64, 128)
#: Positions in a part, at least: below this, reading it takes less time than joining one more.
LEAST_PART = 128
_MOST_SPLITS = 128
_LOG2_E = math.log2(math.e)


class TritonAttention:
    """The split-KV kernel for one cache: decoding and verifying. See `attention.GraphAttention`.

    `heads` query heads. `processors` (streaming multiprocessors) of the card: so many tiles can be worked on at once.
    """

    name = "triton"
    most_queries = MOST_QUERIES

    def __init__(self, cache: KvCache, heads: int, processors: int) -> None:
        _, kv_rows, self._head_dim = cache.layers[0].shape
        self._cache = cache
        self._heads = heads
        self._kv_heads = kv_rows // 2
        self._processors = processors
        self._device = cache.device
        self._dtype = cache.dtype
        #: Of a head; 0: the cache is not in 8 bits.
        self._scales = cache.scales[0].shape[2] if cache.scales else 0

    def plan(self, spans: Sequence[Span]) -> Attend:
        """See `Attention.plan`. Every span has at most `most_queries` queries."""
        rows: list[list[int]] = []
        total = 0
        for span in spans:
            rows.append([total, span.count, span.end, self._cache.offsets[span.slot]])
            total += span.count
        table = torch.tensor(rows, dtype=torch.int32).to(self._device)
        return self._attend(table, max(span.count for span in spans), total)

    def plan_on_device(self, table: Tensor, queries: int) -> Attend:
        """See `GraphAttention.plan_on_device`."""
        return self._attend(table, queries, len(table) * queries)

    def splits(self, sequences: int) -> int:
        """Into how many parts the cache is cut, a power of two: about twice as many tiles as processors.

        It does not depend on lengths: a captured graph serves all, and nothing is compiled while a user types.
        """
        wanted = max(1, min(_MOST_SPLITS, 2 * self._processors // (sequences * self._kv_heads)))
        return 1 << (wanted.bit_length() - 1)

    def _attend(self, table: Tensor, most: int, total: int) -> Attend:
        splits = self.splits(len(table))
        group = self._heads // self._kv_heads
        rows = max(16, triton.next_power_of_2(most * group))
        block = 64 if self._dtype.itemsize <= 2 else 32
        shape = (total, self._heads, splits, self._head_dim)
        partial = torch.empty(shape, dtype=torch.float32, device=self._device)
        weight = torch.empty(shape[:3], dtype=torch.float32, device=self._device)
        # Zeros: rows that are nobody's are read by what follows, and memory may hold NaN. Every layer uses it again.
        output = torch.zeros((total, self._heads, self._head_dim), dtype=self._dtype, device=self._device)
        sequences = len(table)
        warps = 8 if rows > 64 else 4
        # Blocks on their way while one is worked on; with these every form fits the 99 KB of the smallest cards.
        stages = 1 if self._dtype.itemsize > 2 else 3 if rows <= 32 else 2
        widen = self._device.type == "cpu"  # only the interpreter takes tensors there

        def attend(queries: Tensor, layer: int) -> Tensor:
            numbers = self._cache.layers[layer]
            split_attention[(sequences, self._kv_heads, splits)](
                queries,
                numbers,
                self._cache.scales[layer] if self._scales else numbers,  # something to point at
                table,
                partial,
                weight,
                queries.stride(0),
                splits,
                _LOG2_E / math.sqrt(self._head_dim),
                KV_HEADS=self._kv_heads,
                GROUP=group,
                HEAD_DIM=self._head_dim,
                ROWS=rows,
                BLOCK=block,
                SCALES=self._scales,
                LEAST=LEAST_PART,
                WIDEN=widen,
                num_warps=warps,
                num_stages=stages,
                enable_fp_fusion=True,
            )
            join_parts[(sequences, most, self._heads)](
                partial,
                weight,
                table,
                output,
                HEADS=self._heads,
                HEAD_DIM=self._head_dim,
                BLOCK=block,
                SPLITS=splits,
                LEAST=LEAST_PART,
                WIDEN=widen,
                num_warps=8 if splits > 64 else 4,
                enable_fp_fusion=True,
            )
            return output.view(total, self._heads * self._head_dim)

        return attend


def fits(cache: KvCache, heads: int) -> str:
    """ "" where the kernel takes this model, else why not."""
    _, kv_rows, head_dim = cache.layers[0].shape
    if head_dim not in HEAD_SIZES:
        return f"a head size of {head_dim}"
    if MOST_QUERIES * heads // (kv_rows // 2) > 256:
        return f"{heads} heads to {kv_rows // 2} KV heads"
    return ""
