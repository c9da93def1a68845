"""What one run of the model works on: the new tokens of several sequences, side by side without padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from coderls.engine.model.kv import KvCache
from coderls.engine.model.rope import RopeTables
from coderls.engine.runner import Work


@dataclass(frozen=True, slots=True)
class Span:
    """Queries of one sequence: the last `count` of the first `end` positions of KV slot `slot`."""

    slot: int
    end: int
    count: int


@dataclass(frozen=True, slots=True)
class Batch:
    """`ids` int64 [3, total]: the tokens, and each one's row of the rotary tables and of the KV cache.

    They are made on the host; `to` moves them. `spans` says whose they are, in order; for the last `wanted[i]` tokens
    of span i logits are wanted: those in `rows` (int64, by their place in the batch; None: all).
    `unlikely`: one of them may become a token that is not among the likeliest.
    `between` is called before each layer of a long pass, and ends it by raising.
    """

    ids: Tensor
    spans: tuple[Span, ...]
    wanted: tuple[int, ...]
    rows: Tensor | None = None
    between: Callable[[], None] | None = None
    unlikely: bool = False

    @property
    def tokens(self) -> Tensor:
        """int64 [total]."""
        return self.ids[0]

    @property
    def rope_rows(self) -> Tensor:
        """int64 [total]."""
        return self.ids[1]

    @property
    def kv_rows(self) -> Tensor:
        """int64 [total]."""
        return self.ids[2]

    def to(self, device: torch.device) -> Batch:
        """The same, its `ids` on `device`."""
        if self.ids.device == device:
            return self
        return replace(self, ids=self.ids.to(device), rows=None if self.rows is None else self.rows.to(device))

    @property
    def ends(self) -> tuple[Span, ...]:
        """The spans of the tokens that become logits."""
        return tuple(
            Span(span.slot, span.end, wanted) for span, wanted in zip(self.spans, self.wanted, strict=True) if wanted
        )


def make_batch(
    works: Sequence[Work],
    cache: KvCache,
    rope: RopeTables,
    wanted: Sequence[int] | None = None,
    between: Callable[[], None] | None = None,
) -> Batch:
    """The batch of `works`, which were checked before. `wanted`: instead of the samples that each asks for."""
    tokens: list[int] = []
    rope_rows: list[int] = []
    kv_rows: list[int] = []
    for work in works:
        count = len(work.tokens)
        tokens.extend(work.tokens)
        rope_rows.extend(rope.rows(work.start, count, long=work.long))
        first = cache.offsets[work.slot] + work.start
        kv_rows.extend(range(first, first + count))
    spans = tuple(Span(work.slot, work.start + len(work.tokens), len(work.tokens)) for work in works)
    last = tuple(wanted) if wanted is not None else tuple(len(work.samples) for work in works)
    return Batch(
        ids=torch.tensor([tokens, rope_rows, kv_rows], dtype=torch.long),
        spans=spans,
        wanted=last,
        rows=_end_rows(spans, last),
        between=between,
        unlikely=any(
            spec.allowed is not None or spec.sampling.temperature > 0 for work in works for spec in work.samples
        ),
    )


def _end_rows(spans: Sequence[Span], wanted: Sequence[int]) -> Tensor | None:
    """`Batch.rows`."""
    if all(count == span.count for span, count in zip(spans, wanted, strict=True)):
        return None
    rows: list[int] = []
    after = 0
    for span, count in zip(spans, wanted, strict=True):
        after += span.count
        rows.extend(range(after - count, after))
    return torch.tensor(rows, dtype=torch.long)
