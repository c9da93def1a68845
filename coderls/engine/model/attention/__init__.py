"""Attention over the KV cache: one interface, several backends.

A backend is made for one cache. Before a run it is told the spans of the batch and makes what all layers share
(masks, lengths); what it returns is then called once a layer. Every backend reads the cache as it is (`kv.py`).
`choose.py` takes the best that passes its self-test on this device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from coderls.engine.model.batch import Span

#: `queries` [total, heads, head_dim] and the number of the layer to [total, heads * head_dim]. The next call may
#: use the memory of the result again.
Attend = Callable[[Tensor, int], Tensor]


class Attention(Protocol):
    """A backend, for one cache."""

    @property
    def name(self) -> str:
        """As `coderls doctor` shows it."""

    def plan(self, spans: Sequence[Span]) -> Attend:
        """Get ready for queries of `spans`, in this order, whose keys and values are in the cache."""


class OnDevice(Protocol):
    """What reads the lengths of sequences on the device, so that a captured CUDA graph serves all lengths."""

    @property
    def name(self) -> str:
        """See `Attention.name`."""

    @property
    def most_queries(self) -> int:
        """The most query tokens that one sequence may have in `plan_on_device`."""

    def plan_on_device(self, table: Tensor, queries: int) -> Attend:
        """Like `plan`, for the sequences that `table` (int32 [sequences, 4], on the device) names at each run.

        A row is: the first of its rows in `queries`, how many there are (at most `queries`), the end (`Span.end`) and
        the slot's first position in the cache (`KvCache.offsets`). A row of zeros is nobody's: it reads and writes
        nothing. Rows of the result that are nobody's are finite where those in `queries` are.
        """


@runtime_checkable
class GraphAttention(OnDevice, Attention, Protocol):
    """A backend that is both."""
