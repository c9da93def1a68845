"""Attention over the KV cache: one interface, several backends.

A backend is made for one cache. Before a run it is told the spans of the batch and makes what all layers share
(masks, lengths); what it returns is then called once a layer. Every backend reads the cache as it is (`kv.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from coderls.engine.model.batch import Span

#: `queries` [total, heads, head_dim] and the number of the layer to [total, heads * head_dim].
Attend = Callable[[Tensor, int], Tensor]


class Attention(Protocol):
    """A backend, for one cache."""

    @property
    def name(self) -> str:
        """As `coderls doctor` shows it."""

    def plan(self, spans: Sequence[Span]) -> Attend:
        """Get ready for queries of `spans`, in this order, whose keys and values are in the cache."""
