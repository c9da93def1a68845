"""Attention with lengths on the device, in plain torch: for CUDA graphs where no kernel of our own runs.

A graph cannot know how long a context will be, so the first `most_positions` of each slot are gathered and masked. For
short contexts the copies cost little beside the weights; longer ones run without a graph. It is also what kernels that
read their lengths on the device are compared with.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from coderls.engine.model.attention import Attend
from coderls.engine.model.attention.sdpa import SdpaAttention
from coderls.engine.model.kv import KvCache

#: Copies of more than these cost more than a graph saves.
MOST_POSITIONS = 4096


class GatheredAttention(SdpaAttention):
    """`SdpaAttention` that is also a `GraphAttention`, for contexts of up to `most_positions`."""

    most_queries = 256

    def __init__(self, cache: KvCache, most_positions: int = MOST_POSITIONS) -> None:
        super().__init__(cache)
        self._cache = cache
        self.most_positions = min(most_positions, max(cache.lengths))

    def plan_on_device(self, table: Tensor, queries: int) -> Attend:
        """See `GraphAttention.plan_on_device`; the rows of sequence i are within `queries` from `i * queries` on."""
        device, sequences = table.device, len(table)
        firsts, counts, ends, starts = table.long().unbind(1)
        positions = torch.arange(self.most_positions, device=device)
        rows = (starts[:, None] + positions).clamp(max=self._cache.scratch).flatten()
        # Which of the sequence's queries a row is; [sequences, queries].
        number = torch.arange(sequences * queries, device=device).view(sequences, queries) - firsts[:, None]
        real = (number >= 0) & (number < counts[:, None])
        seen = positions <= ((ends - counts)[:, None] + number)[:, :, None]  # [sequences, queries, positions]
        # A query that is nobody's sees the first position, so that its softmax is one of numbers.
        mask = torch.where(real[:, :, None], seen, positions == 0)
        unread = (positions >= ends[:, None])[:, :, None, None]

        def attend(asked: Tensor, layer: int) -> Tensor:
            _, heads, head_dim = asked.shape
            found = self._cache.gather(layer, rows).view(sequences, self.most_positions, -1, head_dim)
            # What was never written may be NaN, which a weight of zero does not remove.
            keys, values = found.masked_fill(unread, 0).transpose(1, 2).chunk(2, dim=1)
            # The query heads of one KV head become rows of one product: [sequences, kv_heads, group * queries, dim].
            group = heads // keys.shape[1]
            packed = asked.reshape(sequences, queries, -1, group, head_dim).permute(0, 2, 3, 1, 4)
            out = F.scaled_dot_product_attention(
                packed.reshape(sequences, -1, group * queries, head_dim),
                keys,
                values,
                attn_mask=mask.repeat(1, group, 1)[:, None],
            )
            out = out.view(sequences, -1, group, queries, head_dim).permute(0, 3, 1, 2, 4)
            return out.reshape(sequences * queries, heads * head_dim)

        return attend
