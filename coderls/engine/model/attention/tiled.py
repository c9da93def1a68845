"""More query tokens than a kernel takes at once, as several sequences of fewer: for graphs of small prefills.

The tokens of a sequence that see the same positions before them can be cut anywhere: a piece of them is a sequence that
ends earlier. The pieces are worked out on the device, so that a captured graph serves every length.
"""

from __future__ import annotations

import torch
from torch import Tensor

from coderls.engine.model.attention import Attend, GraphAttention


class TiledAttention:
    """`inner` for up to `most_queries` tokens of a sequence. Its rows may lie anywhere in the queries."""

    def __init__(self, inner: GraphAttention, most_queries: int = 256) -> None:
        self._inner = inner
        self.name = inner.name
        self.most_queries = most_queries

    def plan_on_device(self, table: Tensor, queries: int) -> Attend:
        """See `GraphAttention.plan_on_device`."""
        if queries <= self._inner.most_queries:
            return self._inner.plan_on_device(table, queries)
        attend = self._inner.plan_on_device(self.cut(table, queries), self._inner.most_queries)
        rows = len(table) * queries
        return lambda asked, layer: attend(asked, layer)[:rows]

    def cut(self, table: Tensor, queries: int) -> Tensor:
        """The table of the pieces: int32 [sequences * pieces, 4]. A piece without tokens is nobody's."""
        size = self._inner.most_queries
        before = torch.arange(0, queries, size, dtype=torch.int32, device=table.device)
        firsts, counts, ends, starts = table.unsqueeze(1).unbind(2)  # each [sequences, 1]
        here = (counts - before).clamp(0, size)
        pieces = torch.stack((firsts + before, here, ends - counts + before + here, starts.expand_as(here)), -1)
        return torch.where(here.unsqueeze(-1) > 0, pieces, 0).view(-1, 4)
