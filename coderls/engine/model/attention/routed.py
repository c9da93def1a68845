"""Two backends as one: few query tokens of a sequence to one of them, many to the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from coderls.engine.model.attention import Attend, Attention, GraphAttention
from coderls.engine.model.batch import Span


class RoutedAttention:
    """`few` takes sequences of at most its `most_queries` new tokens (decoding, verifying), `many` all others."""

    def __init__(self, few: GraphAttention, many: Attention) -> None:
        self._few = few
        self._many = many
        self.name = f"{few.name} for up to {few.most_queries} tokens, {many.name} for more"
        self.most_queries = few.most_queries

    def plan(self, spans: Sequence[Span]) -> Attend:
        """See `Attention.plan`."""
        runs = [list(run) for _, run in groupby(spans, self._backend)]
        plans = [self._backend(run[0]).plan(run) for run in runs]
        if len(plans) == 1:
            return plans[0]
        counts = [sum(span.count for span in run) for run in runs]

        def attend(queries: Tensor, layer: int) -> Tensor:
            parts = torch.split(queries, counts)
            return torch.cat([plan(part, layer) for plan, part in zip(plans, parts, strict=True)])

        return attend

    def plan_on_device(self, table: Tensor, queries: int) -> Attend:
        """See `GraphAttention.plan_on_device`."""
        return self._few.plan_on_device(table, queries)

    def _backend(self, span: Span) -> Attention:
        return self._few if span.count <= self.most_queries else self._many
